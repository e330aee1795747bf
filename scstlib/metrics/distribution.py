"""Distances between two populations of cells, as whole distributions.

No cell is paired with another, and the populations need not have the same number of cells.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from scstlib.metrics._arrays import Array, populations

# Distances held at once: 16 MB of float64.
_PAIRS = 2**21


def sinkhorn(
    x: ArrayLike,
    y: ArrayLike,
    *,
    blur: float = 0.05,
    scaling: float = 0.5,
    debias: bool = True,
) -> float:
    """Sinkhorn divergence for the cost ``|x - y|**2 / 2``: about half of the *squared* W2.

    With the default settings this is the "Wasserstein distance" of published comparisons,
    https://doi.org/10.1093/bioinformatics/btae393. At ``scaling=0.5`` the iteration has not
    converged; for a Wasserstein distance use `wasserstein`.

    Parameters
    ----------
    x, y : array (cells, genes)
        The two populations.
    blur, scaling, debias
        As for `scstlib.ot.sinkhorn_divergence`; computed in float64.

    Returns
    -------
    float
        Squared units of the coordinates; 0 for equal populations if ``debias``.

    Raises
    ------
    ValueError
        If the arrays are sparse, empty, not finite, or differ in genes.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.metrics.expression import sinkhorn
    >>> cells = np.random.default_rng(0).standard_normal((50, 3))
    >>> round(sinkhorn(cells, cells), 9)
    0.0
    >>> round(sinkhorn(cells, cells + 1), 2)  # half of 3, the squared distance that cells moved
    1.5
    """
    import torch

    from scstlib.ot import sinkhorn_divergence

    a, b = (torch.from_numpy(np.array(c, order="C")) for c in populations(x, y))
    with torch.no_grad():
        return float(sinkhorn_divergence(a, b, blur=blur, scaling=scaling, debias=debias))


def wasserstein(
    x: ArrayLike,
    y: ArrayLike,
    p: Literal[1, 2] = 2,
    *,
    squared: bool = False,
    max_iterations: int = 10_000_000,
) -> float:
    """Exact Wasserstein distance between two populations of equally weighted cells.

    W1 is the least mean distance moved; W2 the square root of the least mean *squared* distance
    moved. ``squared=True`` returns W2**2, which is twice what `sinkhorn` tends to.

    Parameters
    ----------
    x, y : array (cells, genes)
        The two populations.
    p : 1 or 2
    squared : bool
        Only with ``p=2``.
    max_iterations : int
        Limit of POT's network simplex. Time grows about with the cube of the number of cells:
        a few thousand are the limit.

    Returns
    -------
    float
        Units of the coordinates, or their square.

    Raises
    ------
    ValueError
        If ``p`` is neither 1 nor 2, ``squared`` comes with ``p=1``, or the arrays do not match.
    RuntimeError
        If the optimum is not reached within ``max_iterations``.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.metrics.expression import wasserstein
    >>> cells = np.random.default_rng(0).standard_normal((50, 3))
    >>> round(wasserstein(cells, cells + [3.0, 4.0, 0.0]), 6)  # every cell moved by 5
    5.0
    >>> round(wasserstein(cells, cells + [3.0, 4.0, 0.0], squared=True), 6)
    25.0
    """
    import ot

    if p not in (1, 2):
        raise ValueError(f"p must be 1 or 2, got {p!r}")
    if squared and p == 1:
        raise ValueError("squared is for p=2 only")
    a, b = populations(x, y)
    cost = ot.dist(a, b, metric="euclidean" if p == 1 else "sqeuclidean")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # said by the error below
        plan, log = ot.emd([], [], cost, numItermax=max_iterations, log=True)
    if log["result_code"] != 1:
        raise RuntimeError(
            f"no optimum after {max_iterations} iterations; raise max_iterations or take a "
            f"subsample of the {len(a)} and {len(b)} cells"
        )
    value = max(float((plan * cost).sum()), 0.0)
    return value if p == 1 or squared else float(np.sqrt(value))


def energy_distance(x: ArrayLike, y: ArrayLike, *, unbiased: bool = False) -> float:
    """Energy distance ``2 E|X - Y| - E|X - X'| - E|Y - Y'|``, zero only for equal populations.

    The squared form; ``scipy.stats.energy_distance`` is its square root in one dimension. It is
    twice the energy score averaged over cells, up to a constant of the true population, hence
    proper: https://doi.org/10.1198/016214506000001437.

    Parameters
    ----------
    x, y : array (cells, genes)
        The two populations. Distances are computed in pieces; memory does not grow with the
        number of pairs.
    unbiased : bool
        Leave the distance of a cell to itself out of the means within a population. Then two
        samples of one population give 0 on average, and single values may be negative; otherwise
        the value is never negative, and 0 for equal samples.

    Returns
    -------
    float
        Units of the coordinates; NaN if ``unbiased`` and a population has one cell.

    Raises
    ------
    ValueError
        If the arrays are sparse, empty, not finite, or differ in genes.

    Examples
    --------
    >>> from scstlib.metrics.expression import energy_distance
    >>> energy_distance([[0.0], [1.0]], [[1.0], [0.0]])
    0.0
    >>> energy_distance([[0.0], [0.0]], [[3.0], [3.0]])
    6.0
    """
    a, b = populations(x, y)
    between = _mean_distance(a, b)
    within = []
    for cells in (a, b):
        n = len(cells)
        if unbiased and n == 1:
            return float("nan")
        within.append(_mean_distance(cells, cells) * (n / (n - 1) if unbiased else 1.0))
    value = 2 * between - sum(within)
    return value if unbiased else max(value, 0.0)


def _distance_blocks(a: Array, b: Array) -> Iterator[Array]:
    """Euclidean distances of rows of ``a`` to all of ``b``, a few rows at a time."""
    from scipy.spatial.distance import cdist

    step = max(1, _PAIRS // len(b))
    for i in range(0, len(a), step):
        yield cdist(a[i : i + step], b)


def _mean_distance(a: Array, b: Array) -> float:
    return sum(float(block.sum()) for block in _distance_blocks(a, b)) / (len(a) * len(b))


def mmd(x: ArrayLike, y: ArrayLike, *, bandwidth: float | None = None) -> float:
    """Squared maximum mean discrepancy with the kernel ``exp(-|x - y|**2 / (2 bandwidth**2))``.

    The biased estimate (V-statistic): never negative, 0 for equal samples, and positive on average
    for two samples of one population.

    Parameters
    ----------
    x, y : array (cells, genes)
        The two populations.
    bandwidth : float, optional
        Units of the coordinates. Default: the median distance between two different cells of the
        pooled populations, which holds all their distances in memory. Values with different
        bandwidths cannot be compared: to rank models, give one bandwidth to all.

    Returns
    -------
    float
        Between 0 and 2, without unit; 0 if all cells are one and the same point.

    Raises
    ------
    ValueError
        If the arrays are sparse, empty, not finite, differ in genes, or ``bandwidth`` <= 0.

    Examples
    --------
    >>> from scstlib.metrics.expression import mmd
    >>> round(mmd([[0.0], [1.0]], [[1.0], [0.0]], bandwidth=1.0), 9)
    0.0
    >>> round(mmd([[0.0], [0.0]], [[3.0], [3.0]], bandwidth=1.0), 3)
    1.978
    """
    a, b = populations(x, y)
    if bandwidth is None:
        from scipy.spatial.distance import pdist

        distances = pdist(np.vstack([a, b]))
        if not distances.any():
            return 0.0
        bandwidth = float(np.median(distances))
    if not bandwidth > 0:
        raise ValueError(
            f"bandwidth must be positive, got {bandwidth}; the median distance is 0 when most "
            "cells are copies of each other: give a bandwidth"
        )

    def mean_kernel(u: Array, v: Array) -> float:
        blocks = _distance_blocks(u, v)
        total = sum(float(np.exp(-np.square(d / bandwidth) / 2).sum()) for d in blocks)
        return total / (len(u) * len(v))

    return max(mean_kernel(a, a) + mean_kernel(b, b) - 2 * mean_kernel(a, b), 0.0)


def mean_pairwise_distance(
    x: ArrayLike, y: ArrayLike, metric: Literal["l2", "cosine", "correlation"] = "l2"
) -> float:
    """Mean distance between a cell of one population and a cell of the other.

    Reported beside the Sinkhorn divergence by published comparisons,
    https://doi.org/10.1093/bioinformatics/btae393. It is *not* 0 for equal populations and is
    lowest for a single point in the middle: a term of `energy_distance`, no measure of fit.

    Parameters
    ----------
    x, y : array (cells, genes)
        The two populations.
    metric : "l2", "cosine" or "correlation"
        Euclidean distance, 1 - cosine similarity, or 1 - Pearson correlation across genes.

    Returns
    -------
    float
        Units of the coordinates, or between 0 and 2. Cells whose angle is undefined (all zero;
        constant for "correlation") are left out; NaN if none is left in a population.

    Raises
    ------
    ValueError
        If the metric is unknown or the arrays do not match.

    Examples
    --------
    >>> from scstlib.metrics.expression import mean_pairwise_distance
    >>> mean_pairwise_distance([[0.0], [2.0]], [[0.0], [2.0]])  # not 0 for equal populations
    1.0
    >>> mean_pairwise_distance([[1.0], [1.0]], [[0.0], [2.0]])
    1.0
    """
    if metric not in ("l2", "cosine", "correlation"):
        raise ValueError(f'metric must be "l2", "cosine" or "correlation", got {metric!r}')
    a, b = populations(x, y)
    if metric == "l2":
        return _mean_distance(a, b)
    if metric == "correlation":
        a, b = (
            np.where(np.ptp(c, axis=1, keepdims=True) > 0, c - c.mean(axis=1, keepdims=True), 0.0)
            for c in (a, b)
        )
    norms = [np.linalg.norm(c, axis=1) for c in (a, b)]
    if not all((norm > 0).any() for norm in norms):
        return float("nan")
    # The mean over pairs of a product is the product of the means.
    means = [
        (c[norm > 0] / norm[norm > 0, None]).mean(axis=0)
        for c, norm in zip((a, b), norms, strict=True)
    ]
    return float(1 - means[0] @ means[1])
