"""Genes that differ between two groups of cells: two tests, and a false discovery rate."""

from __future__ import annotations

import numpy as np


def welch_test(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Welch's test of each gene for equal means, two-sided, for groups of a hundred cells or so.

    The normal distribution stands for Student's. It takes values as they are: if they depend on
    depth, as logarithms of scaled counts do, so does the answer.

    Parameters
    ----------
    a, b : array (cells, genes)
        Values, such as log1p of counts per 10,000.

    Returns
    -------
    array (genes,)
        p-values; 1 for a gene that does not vary.

    Raises
    ------
    ValueError
        If genes differ in number, a group has fewer than two cells, or a value is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.experiments.group_differences import welch_test
    >>> rng = np.random.default_rng(0)
    >>> shifted = rng.normal(size=(200, 2)) + [0.0, 1.0]
    >>> (welch_test(rng.normal(size=(200, 2)), shifted) < 0.01).tolist()
    [False, True]
    """
    a, b = _two_groups(a, b)
    error = np.sqrt(a.var(axis=0, ddof=1) / len(a) + b.var(axis=0, ddof=1) / len(b))
    return _two_sided(a.mean(axis=0) - b.mean(axis=0), error)


def share_test(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Test of the share that each gene has of all counts, two-sided; depth is the exposure.

    A group's share is the sum of a gene's counts over the sum of all. Its error is estimated from
    how far each cell is from what its depth and that share expect, so that cells may be
    overdispersed and groups of unequal depth.

    Parameters
    ----------
    a, b : array (cells, genes)
        Raw counts of all genes: their sum is taken for the depth of a cell.

    Returns
    -------
    array (genes,)
        p-values; 1 for a gene without counts.

    Raises
    ------
    ValueError
        As :func:`welch_test`, for negative values, or for a group without counts.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.experiments.group_differences import share_test
    >>> rng = np.random.default_rng(0)
    >>> deep, shallow = rng.poisson(9.0, (200, 50)), rng.poisson(1.0, (200, 50))
    >>> bool(share_test(deep, shallow).min() > 0.001)
    True
    """
    shares, squares = [], []
    for counts in _two_groups(a, b):
        if (counts < 0).any() or not counts.any():
            raise ValueError("a group has negative counts or none: give raw counts.")
        depth = counts.sum(axis=1, keepdims=True)
        shares.append(counts.sum(axis=0) / depth.sum())
        squares.append(((counts - shares[-1] * depth) ** 2).sum(axis=0) / depth.sum() ** 2)
    return _two_sided(shares[0] - shares[1], np.sqrt(squares[0] + squares[1]))


def called_genes(p: np.ndarray, rate: float = 0.05) -> np.ndarray:
    """Genes called different at a false discovery rate (Benjamini and Hochberg).

    Parameters
    ----------
    p : array (genes,)
        p-values.
    rate : float
        Share of false ones among the called that is accepted, in the mean.

    Returns
    -------
    array (genes,) of bool

    Raises
    ------
    ValueError
        If the rate is not between 0 and 1, or a p-value is not from 0 to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.experiments.group_differences import called_genes
    >>> called_genes(np.array([0.001, 0.04, 0.04, 0.9])).tolist()
    [True, False, False, False]
    """
    from scipy.stats import false_discovery_control

    if not 0 < rate < 1:
        raise ValueError(f"rate is {rate}; it must lie between 0 and 1.")
    called: np.ndarray = false_discovery_control(p) <= rate
    return called


def _two_groups(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as floats, refused if they cannot be compared."""
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(
            f"groups of shapes {a.shape} and {b.shape}: two cells or more each, of the same genes."
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("a group holds NaN or infinity.")
    return a, b


def _two_sided(change: np.ndarray, error: np.ndarray) -> np.ndarray:
    from scipy.stats import norm

    z = np.divide(change, error, out=np.zeros(len(error)), where=error > 0)
    p: np.ndarray = 2 * norm.sf(np.abs(z))
    return p
