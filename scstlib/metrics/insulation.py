"""Insulation scores of contact maps, by cooltools' convention, and their agreement."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from scstlib.metrics._arrays import (
    Array,
    contrast,
    correlation,
    map_pair,
    map_stack,
    reference_stack,
    unstack,
)

# Scores are logarithms around 0; spread below this, in log2 units, is rounding.
_ROUNDING = 1e-10


def insulation_score(maps: ArrayLike, *, window: int, ignore_diags: int = 2) -> Array:
    """Insulation: log2 of the mean contacts across a bin, divided by the median of all bins.

    Bin i gets the mean over rows (i - window, i] and columns [i, i + window), cut at the edges,
    without the first ``ignore_diags`` diagonals. Low values are boundaries. Same convention as
    ``cooltools.insulation`` on a region; Crane et al. 2015, https://doi.org/10.1038/nature14450.

    Parameters
    ----------
    maps : array (n, bins, bins) or (bins, bins)
        Balanced contact maps, not log-transformed; masked bins NaN; the upper triangle is read.
    window : int
        Side of the square in bins.
    ignore_diags : int
        Number of diagonals that do not count.

    Returns
    -------
    array (n, bins), or (bins,) for a single map
        log2 units; NaN where the square has no valid pixel or no contact.

    Raises
    ------
    ValueError
        If the maps are not square, ``window`` < 1, or nothing is left after ``ignore_diags``.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.metrics.contacts import insulation_score
    >>> domain = np.repeat([0, 1], 6)
    >>> contacts = np.where(domain[:, None] == domain, 4.0, 1.0)
    >>> score = insulation_score(contacts, window=3)
    >>> score.round(1).tolist()  # low where few contacts cross, between bins 5 and 6
    [0.0, 0.0, 0.0, 0.0, -0.7, -1.4, -1.4, -0.7, 0.0, 0.0, 0.0, 0.0]
    """
    stack, single = map_stack(maps, "maps")
    if window < 1:
        raise ValueError(f"window must be at least 1 bin, got {window}")
    if not 0 <= ignore_diags <= 2 * (window - 1):
        raise ValueError(
            f"ignore_diags must lie between 0 and {2 * (window - 1)} for a window of {window} "
            f"bins, got {ignore_diags}"
        )
    total, count = _square_sums(stack, window, ignore_diags)
    mean = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    median = _median(mean)[:, None]
    score = np.divide(mean, median, out=np.full(total.shape, np.nan), where=median > 0)
    return unstack(np.log2(score, out=np.full(total.shape, np.nan), where=score > 0), single)


def _square_sums(stack: Array, window: int, ignore_diags: int) -> tuple[Array, Array]:
    """Sum and number of valid pixels in each bin's square, (n, bins) both.

    Pixel (i - up, i + right) lies on diagonal up + right: each diagonal is read once and added at
    every offset ``up``. Sums of zeros stay exactly zero, as they do not with cumulative sums.
    """
    bins = stack.shape[-1]
    total = np.zeros(stack.shape[:2])
    count = np.zeros(stack.shape[:2])
    for distance in range(ignore_diags, min(2 * window - 1, bins)):
        diagonal = np.diagonal(stack, distance, axis1=1, axis2=2)
        valid = ~np.isnan(diagonal)
        filled = np.where(valid, diagonal, 0.0)
        for up in range(max(0, distance - window + 1), min(distance, window - 1) + 1):
            total[:, up : up + bins - distance] += filled
            count[:, up : up + bins - distance] += valid
    return total, count


def _median(values: Array) -> Array:
    """Median over the last axis without NaN; NaN where all are."""
    ordered = np.sort(values, axis=-1)  # NaN last
    count = (~np.isnan(values)).sum(axis=-1)
    middle = np.stack([(count - 1) // 2, count // 2], axis=-1)
    median: Array = np.take_along_axis(ordered, np.maximum(middle, 0), axis=-1).mean(axis=-1)
    return median


def insulation_correlation(
    prediction: ArrayLike, target: ArrayLike, *, window: int, ignore_diags: int = 2
) -> Array:
    """Pearson correlation over bins between the insulation scores of two maps.

    Parameters
    ----------
    prediction, target : array (n, bins, bins) or (bins, bins)
        Balanced contact maps, not log-transformed; masked bins NaN.
    window, ignore_diags : int
        As for `insulation_score`.

    Returns
    -------
    array (n,), or a scalar for a single map
        Between -1 and 1; bins without a score in either map are left out; NaN if fewer than two
        remain or a score is constant.

    Raises
    ------
    ValueError
        If shapes differ, or as `insulation_score`.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.metrics.contacts import insulation_correlation
    >>> first, second = np.repeat([0, 1], 6), np.repeat([0, 1], [3, 9])
    >>> target, other = (np.where(d[:, None] == d, 4.0, 1.0) for d in (first, second))
    >>> round(float(insulation_correlation(target**2, target, window=3)), 2)
    1.0
    >>> round(float(insulation_correlation(other, target, window=3)), 2)
    -0.31
    """
    a, b, single = map_pair(prediction, target)
    scores = (insulation_score(m, window=window, ignore_diags=ignore_diags) for m in (a, b))
    return unstack(correlation(*scores, floor=_ROUNDING), single)


def insulation_contrast_correlation(
    prediction: ArrayLike,
    target: ArrayLike,
    reference: ArrayLike,
    *,
    window: int,
    ignore_diags: int = 2,
    prediction_reference: ArrayLike | None = None,
) -> Array:
    """Correlation over bins of insulation minus the insulation of the mean training type.

    The counterpart of `contrast_correlation`: what of the insulation is specific to the cell type.

    Parameters
    ----------
    prediction, target : array (n, bins, bins) or (bins, bins)
        Balanced contact maps of one cell type, not log-transformed; masked bins NaN.
    reference : array of the same shape, or (bins, bins) for all maps
        Mean true map of the training cell types at the same place.
    window, ignore_diags : int
        As for `insulation_score`.
    prediction_reference : array like ``reference``, optional
        Mean of the model's own predictions for the training types, used for ``prediction``.

    Returns
    -------
    array (n,), or a scalar for a single map
        Between -1 and 1. 0 if the prediction has no contrast; NaN if the target has none, or
        fewer than two bins have a score.

    Raises
    ------
    ValueError
        If shapes do not match, or as `insulation_score`.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.metrics.contacts import insulation_contrast_correlation
    >>> domain = np.repeat([0, 1], 6)
    >>> target = np.where(domain[:, None] == domain, 4.0, 1.0)
    >>> reference = np.ones((12, 12))  # the mean of the training types has no boundary
    >>> round(float(insulation_contrast_correlation(target, target, reference, window=3)), 2)
    1.0
    >>> float(insulation_contrast_correlation(reference, target, reference, window=3))
    0.0
    """
    a, b, single = map_pair(prediction, target)
    own = reference if prediction_reference is None else prediction_reference
    references = (
        reference_stack(own, a.shape, "prediction_reference"),
        reference_stack(reference, a.shape, "reference"),
    )
    scores = [
        insulation_score(m, window=window, ignore_diags=ignore_diags) for m in (a, b, *references)
    ]
    return unstack(contrast(*scores, floor=_ROUNDING), single)
