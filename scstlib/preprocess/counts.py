"""Counts made fewer, split in two, and held against what counting alone would give.

Thinning keeps or loses each molecule by chance, which is what a shallower experiment would have
done. Both need raw counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from scstlib.preprocess.reduction import with_x

if TYPE_CHECKING:
    from anndata import AnnData

# A negative binomial with a smaller dispersion is Poisson up to rounding.
_LEAST_DISPERSION = 1e-6


def thin_counts(
    adata: AnnData,
    *,
    seed: int | np.random.Generator,
    fraction: float | np.ndarray | None = None,
    total: float | None = None,
) -> AnnData:
    """Return cells of which each molecule was kept by chance (binomial thinning).

    Parameters
    ----------
    adata : AnnData
        Counts in ``X``.
    fraction : float or numpy.ndarray, shape (cells,)
        Probability with which a molecule is kept, one for all cells or one for each.
    total : float
        Or: the total that every cell is expected to have after, so that cells of unequal depth can
        be compared.

    Returns
    -------
    AnnData
        A copy; CSR if ``X`` is sparse.

    Raises
    ------
    ValueError
        If ``X`` does not hold counts, both or neither size is given, a fraction is no probability,
        or a cell has fewer than ``total``.

    Examples
    --------
    >>> import numpy as np
    >>> from anndata import AnnData
    >>> from scstlib.preprocess.counts import thin_counts
    >>> cells = AnnData(np.full((2, 1000), 4.0))
    >>> thinned = thin_counts(cells, fraction=0.25, seed=0)
    >>> round(float(thinned.X.mean()), 1)
    1.0
    """
    counts = _whole_counts(adata)
    if (fraction is None) == (total is None):
        raise ValueError("give either fraction or total.")
    if total is not None:
        sums = _sums(counts, 1)
        if not 0 <= total <= sums.min():
            raise ValueError(
                f"total is {total:g}, but {int((sums < total).sum())} cells have fewer counts (down"
                f" to {sums.min():g}): filter them out or choose a smaller total."
            )
        fraction = np.divide(total, sums, out=np.zeros(len(sums)), where=sums > 0)
    share = np.broadcast_to(np.asarray(fraction, dtype=float), (adata.n_obs,))
    if not ((share >= 0) & (share <= 1)).all():
        raise ValueError(f"fractions run from {share.min()} to {share.max()}: give probabilities.")
    return with_x(adata, _binomial(counts, share, np.random.default_rng(seed)), "counts")


def thin_to_one_depth(
    parts: Sequence[AnnData], *, seed: int | np.random.Generator
) -> list[AnnData]:
    """Thin several samples so that all cells are expected to have the total of the shallowest.

    Samples of unequal depth can be compared after it. Filter first: one nearly empty cell makes
    all of them nearly empty.

    Parameters
    ----------
    parts : sequence of AnnData
        Counts in ``X``.

    Returns
    -------
    list of AnnData
        Copies.

    Raises
    ------
    ValueError
        If ``X`` does not hold counts, or there is no sample.

    Examples
    --------
    >>> import numpy as np
    >>> from anndata import AnnData
    >>> from scstlib.preprocess.counts import thin_to_one_depth
    >>> deep, shallow = (AnnData(np.full((2, 1000), x)) for x in (4.0, 1.0))
    >>> [round(float(part.X.mean()), 1) for part in thin_to_one_depth([deep, shallow], seed=0)]
    [1.0, 1.0]
    """
    if not parts:
        raise ValueError("there is no sample to thin.")
    total = min(float(_sums(_whole_counts(part), 1).min()) for part in parts)
    rng = np.random.default_rng(seed)
    return [thin_counts(part, seed=rng, total=total) for part in parts]


def count_split(
    adata: AnnData, *, seed: int | np.random.Generator, fraction: float = 0.5
) -> tuple[AnnData, AnnData]:
    """Split the molecules of every cell in two sets of counts that are independent, if Poisson.

    What is found in one (clusters, an order, chosen genes) can be tested in the other without
    having seen it (Neufeld et al. 2024, https://doi.org/10.1093/biostatistics/kxac047). Counts
    that are overdispersed about the mean of their cell are not Poisson: a cell that has much of a
    gene by chance has much in both parts, and the test is too easily passed by what is left.

    Parameters
    ----------
    adata : AnnData
        Counts in ``X``.
    fraction : float
        Probability with which a molecule falls into the first part.

    Returns
    -------
    AnnData, AnnData
        The same cells twice; the two ``X`` add up to that of ``adata``.

    Raises
    ------
    ValueError
        If ``X`` does not hold counts, or the fraction is not between 0 and 1.

    Examples
    --------
    >>> import numpy as np
    >>> from anndata import AnnData
    >>> from scstlib.preprocess.counts import count_split
    >>> cells = AnnData(np.full((2, 3), 8.0))
    >>> first, second = count_split(cells, seed=0)
    >>> bool((first.X + second.X == cells.X).all())
    True
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction is {fraction}; it must lie between 0 and 1.")
    first = thin_counts(adata, seed=seed, fraction=fraction)
    rest = _whole_counts(adata) - _whole_counts(first)
    return first, with_x(adata, sp.csr_matrix(rest) if sp.issparse(rest) else rest, "counts")


def expected_zeros(adata: AnnData, groups: Any = None) -> pd.DataFrame:
    """Return the share of zeros of each gene, and what two count models expect.

    Parameters
    ----------
    adata : AnnData
        Counts in ``X``; cells without counts are left out.
    groups : array, shape (cells,), optional
        Cell types or clusters: levels are taken to be equal within one. Without, all cells are
        one group, and differences between cells count as dispersion.

    Returns
    -------
    pandas.DataFrame
        By gene: ``mean`` (count), ``zeros`` (observed share of cells), ``poisson`` (expected, from
        the gene's share of all counts and the depth of each cell), ``negative_binomial`` (the
        same, with one dispersion a gene by the method of moments within groups) and
        ``dispersion`` (variance = mean + dispersion × mean²).

    Raises
    ------
    ValueError
        If ``X`` does not hold counts, or there are none.

    Examples
    --------
    >>> import numpy as np
    >>> from anndata import AnnData
    >>> from scstlib.preprocess.counts import expected_zeros
    >>> counts = np.random.default_rng(0).poisson(0.5, (500, 40)).astype(float)
    >>> expected_zeros(AnnData(counts))[["zeros", "poisson"]].mean().round(1).to_dict()
    {'zeros': 0.6, 'poisson': 0.6}
    """
    counts = _whole_counts(adata)
    counts = counts.toarray() if sp.issparse(counts) else counts
    seen = counts.sum(axis=1) > 0
    if not seen.any():
        raise ValueError("there are no counts.")
    labels = np.zeros(len(counts)) if groups is None else pd.factorize(np.asarray(groups))[0]
    counts, labels = counts[seen].astype(float), labels[seen]
    depth = counts.sum(axis=1)
    mean = np.empty_like(counts)
    for label in np.unique(labels):
        rows = labels == label
        mean[rows] = depth[rows, None] * (counts[rows].sum(axis=0) / counts[rows].sum())
    square = (mean**2).sum(axis=0)
    excess = ((counts - mean) ** 2 - mean).sum(axis=0)
    dispersion = np.maximum(np.divide(excess, square, out=0 * square, where=square > 0), 0)
    phi = np.maximum(dispersion, _LEAST_DISPERSION)
    return pd.DataFrame(
        {
            "mean": counts.mean(axis=0),
            "zeros": (counts == 0).mean(axis=0),
            "poisson": np.exp(-mean).mean(axis=0),
            "negative_binomial": np.exp(-np.log1p(phi * mean) / phi).mean(axis=0),
            "dispersion": dispersion,
        },
        index=adata.var_names,
    )


def _whole_counts(adata: AnnData) -> Any:
    x = adata.X
    x = sp.csr_array(x) if sp.issparse(x) else np.asarray(x)
    values: Any = x.data if sp.issparse(x) else x
    if not np.isfinite(values).all() or (values < 0).any() or (values != np.round(values)).any():
        raise ValueError("X holds values that are not counts: thin raw counts, before normalising.")
    return x


def _binomial(counts: Any, share: np.ndarray, rng: np.random.Generator) -> Any:
    if not sp.issparse(counts):
        return rng.binomial(counts.astype(np.int64), share[:, None]).astype(counts.dtype)
    kept = counts.copy()
    by_entry = np.repeat(share, np.diff(counts.indptr))
    kept.data = rng.binomial(counts.data.astype(np.int64), by_entry).astype(counts.dtype)
    kept.eliminate_zeros()
    return sp.csr_matrix(kept)


def _sums(counts: Any, axis: int) -> np.ndarray:
    return np.asarray(counts.sum(axis=axis), dtype=float).ravel()
