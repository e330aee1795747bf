"""Stratum-adjusted correlation of contact maps (HiCRep), and the variant of a published model."""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scstlib.metrics._arrays import Array, box_sum, deviations, in_blocks, map_pair, unstack


def stratum_adjusted_correlation(
    prediction: ArrayLike,
    target: ArrayLike,
    *,
    max_distance: int | None = None,
    smoothing: int = 0,
    variant: Literal["hicrep", "published"] = "hicrep",
) -> Array:
    """Stratum-adjusted correlation coefficient (SCC): weighted mean of correlations per distance.

    A stratum is one diagonal, at distance 1 to ``max_distance`` bins; the main diagonal is left
    out. In each stratum the Pearson correlation between the maps is taken, so a factor per
    distance changes nothing. Strata are weighted by ``n * sqrt(var_a * var_b)``, where the
    variances are those of the ranks divided by n.

    ``variant="hicrep"``: Yang et al. 2017, https://doi.org/10.1101/gr.220640.117. Pixels that are
    zero in both maps are left out of their stratum; the weight of n pixels is
    ``n (1 + 1/n) / 12``, larger for longer strata.

    ``variant="published"``: as scored in https://doi.org/10.1093/bioinformatics/btae223 (public
    code at 8019e1f). Common zeros stay in, and ``argsort`` stands where ranks are meant and is
    divided by n twice: the weight is ``(n**2 - 1) / (12 n**3)``, larger for *shorter* strata.

    Parameters
    ----------
    prediction, target : array (n, bins, bins) or (bins, bins)
        Contact maps, each in any unit; the upper triangle is read. Bins that are masked in one
        map (NaN) are left out of both.
    max_distance : int, optional
        Largest distance in bins. Default: all (``hicrep``), or 39 and at most bins - 6
        (``published``).
    smoothing : int
        Half width h of the square mean filter applied first, in bins; 0 for none. At the edges,
        and beside masked bins, the mean is over the pixels that exist. The filter sees both
        triangles; the package ``hicrep`` filters the upper triangle alone, which differs within
        h bins of the diagonal.
    variant : "hicrep" or "published"

    Returns
    -------
    array (n,), or a scalar for a single map
        Between -1 and 1. Strata with fewer than two pixels, or constant in one of the maps, have
        no correlation and do not count (the package ``hicrep`` counts constant ones as 0); NaN
        if none counts.

    Raises
    ------
    ValueError
        If shapes differ or an argument is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.metrics.contacts import stratum_adjusted_correlation
    >>> rng = np.random.default_rng(0)
    >>> decay = 1 / (1 + np.abs(np.subtract.outer(np.arange(30), np.arange(30))))
    >>> target = decay * (1 + rng.random((30, 30)))
    >>> round(float(stratum_adjusted_correlation(3 * target, target)), 3)  # units do not count
    1.0
    >>> float(stratum_adjusted_correlation(decay, target))  # pure decay has no correlation
    nan
    """
    a, b, single = map_pair(prediction, target)
    bins = a.shape[-1]
    if variant not in ("hicrep", "published"):
        raise ValueError(f'variant must be "hicrep" or "published", got {variant!r}')
    if smoothing < 0:
        raise ValueError(f"smoothing must be 0 or more, got {smoothing}")
    if max_distance is None:
        max_distance = bins - 1 if variant == "hicrep" else min(39, bins - 6)
    elif max_distance < 1:
        raise ValueError(f"max_distance must be at least 1, got {max_distance}")
    max_distance = min(max_distance, bins - 1)
    if max_distance < 1:
        return unstack(np.full(len(a), np.nan), single)
    scc = in_blocks(partial(_scc, max_distance, smoothing, variant), a, b)
    return unstack(scc, single)


def _scc(max_distance: int, smoothing: int, variant: str, a: Array, b: Array) -> Array:
    if smoothing:
        a, b = _mean_filter(a, smoothing), _mean_filter(b, smoothing)
    pixels, inside = _strata(a.shape[-1], max_distance)
    flat = (len(a), a.shape[-1] ** 2)
    x = np.take(a.reshape(flat), pixels, axis=1)
    y = np.take(b.reshape(flat), pixels, axis=1)
    valid = inside & ~np.isnan(x + y)
    if variant == "hicrep":
        valid &= (x != 0) | (y != 0)
    dx, x_norm = deviations(x, valid, 1)
    dy, y_norm = deviations(y, valid, 1)
    norm = x_norm * y_norm
    defined = norm > 0
    rho = np.divide((dx * dy).sum(axis=1), norm, out=np.zeros_like(norm), where=defined)
    weight = np.where(defined, _weight(valid.sum(axis=1), variant), 0.0)
    total = weight.sum(axis=1)
    mean = np.divide(
        (rho * weight).sum(axis=1), total, out=np.full(len(a), np.nan), where=total > 0
    )
    bounded: Array = np.clip(mean, -1.0, 1.0)
    return bounded


def _weight(count: NDArray[np.int_], variant: str) -> Array:
    """Weight of a stratum of ``count`` pixels; 0 below two."""
    n = np.maximum(count, 1).astype(np.float64)
    weight = (n + 1) / 12 if variant == "hicrep" else (n**2 - 1) / (12 * n**3)
    return np.where(count > 1, weight, 0.0)


def _strata(bins: int, max_distance: int) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Flat positions of diagonals 1 to ``max_distance`` as columns, and which of them exist."""
    row = np.arange(bins - 1)[:, None]
    column = row + np.arange(1, max_distance + 1)
    return row * bins + np.minimum(column, bins - 1), column < bins


def _mean_filter(maps: Array, half_width: int) -> Array:
    """Mean over squares of side 2 h + 1, cut at the edges; NaN is left out and stays NaN."""
    size = 2 * half_width + 1
    edge = ((0, 0), (half_width, half_width), (half_width, half_width))
    missing = np.isnan(maps)
    total = box_sum(np.pad(np.where(missing, 0.0, maps), edge), size)
    count = box_sum(np.pad((~missing).astype(np.float64), edge), size)
    return np.where(missing, np.nan, total / np.maximum(count, 1.0))
