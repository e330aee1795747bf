"""Metrics on contact maps: pure, batched over (n, bins, bins), one value a map.

Masked bins are rows and columns of NaN. What is not defined for a map is NaN.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from scstlib.metrics._arrays import (
    Array,
    box_sum,
    contrast,
    in_blocks,
    map_pair,
    map_stack,
    ratio,
    reference_stack,
    unstack,
)
from scstlib.metrics.compartments import compartment_correlation, compartment_eigenvector
from scstlib.metrics.genome_disco import genome_disco
from scstlib.metrics.insulation import (
    insulation_contrast_correlation,
    insulation_correlation,
    insulation_score,
)
from scstlib.metrics.stratum import stratum_adjusted_correlation

__all__ = [
    "compartment_correlation",
    "compartment_eigenvector",
    "contrast_correlation",
    "expected_by_distance",
    "genome_disco",
    "insulation_contrast_correlation",
    "insulation_correlation",
    "insulation_score",
    "mse",
    "ssim",
    "stratum_adjusted_correlation",
]


def mse(prediction: ArrayLike, target: ArrayLike) -> Array:
    """Mean squared difference over the pixels that are not NaN in either map.

    Parameters
    ----------
    prediction, target : array (n, bins, bins) or (bins, bins)
        Contact maps in one unit.

    Returns
    -------
    array (n,), or a scalar for a single map
        Squared units of the maps; NaN for a map without a shared pixel.

    Raises
    ------
    ValueError
        If the shapes differ or are not square.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.metrics.contacts import mse
    >>> target = np.array([[4.0, 1.0], [1.0, np.nan]])
    >>> float(mse(target + 2, target))
    4.0
    """
    a, b, single = map_pair(prediction, target)
    return unstack(in_blocks(lambda x, y: _mean_pixel(np.square(x - y)), a, b), single)


def _mean_pixel(maps: Array) -> Array:
    """Mean of the pixels that are not NaN, (n,)."""
    mean: Array = maps.mean(axis=(1, 2))
    if not np.isnan(mean).any():
        return mean
    missing = np.isnan(maps)
    return ratio(np.where(missing, 0.0, maps).sum(axis=(1, 2)), (~missing).sum(axis=(1, 2)))


def ssim(prediction: ArrayLike, target: ArrayLike, *, data_range: float, window: int = 7) -> Array:
    """Structural similarity, the mean over all square windows that fit into the map.

    The same as ``skimage.metrics.structural_similarity`` with its defaults (uniform window,
    K1 = 0.01, K2 = 0.03, sample covariance). The value depends strongly on ``data_range``: with
    2 for maps between 0 and 1 it comes out higher than with 1.

    Parameters
    ----------
    prediction, target : array (n, bins, bins) or (bins, bins)
        Contact maps in one unit.
    data_range : float
        Largest minus smallest possible value, in the unit of the maps; 1 for maps scaled to 0-1.
    window : int
        Side of the window in bins, odd.

    Returns
    -------
    array (n,), or a scalar for a single map
        At most 1, which only equal maps reach; windows with NaN are left out; NaN if none is left.

    Raises
    ------
    ValueError
        If the shapes differ, ``window`` is even or larger than the map, or ``data_range`` <= 0.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.metrics.contacts import ssim
    >>> distance = np.abs(np.subtract.outer(np.arange(16), np.arange(16)))
    >>> target = 1 / (1 + distance)
    >>> round(float(ssim(target, target, data_range=1)), 6)
    1.0
    >>> round(float(ssim(target / 2, target, data_range=1)), 2)
    0.65
    """
    a, b, single = map_pair(prediction, target)
    if not data_range > 0:
        raise ValueError(f"data_range must be positive, got {data_range}")
    if window < 3 or window % 2 == 0 or window > a.shape[-1]:
        raise ValueError(
            f"window must be odd, at least 3 and at most the {a.shape[-1]} bins, got {window}"
        )
    return unstack(in_blocks(partial(_ssim, data_range, window), a, b), single)


def _ssim(data_range: float, window: int, a: Array, b: Array) -> Array:
    pixels = window**2
    mean_a, mean_b = box_sum(a, window) / pixels, box_sum(b, window) / pixels
    squares = box_sum(np.square(a) + np.square(b), window) / pixels
    products = box_sum(a * b, window) / pixels
    sample = pixels / (pixels - 1)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    mean_product = mean_a * mean_b
    mean_squares = np.square(mean_a) + np.square(mean_b)
    local = (2 * mean_product + c1) * (2 * sample * (products - mean_product) + c2)
    local /= (mean_squares + c1) * (sample * (squares - mean_squares) + c2)
    return _mean_pixel(local)


def expected_by_distance(maps: ArrayLike) -> Array:
    """Mean contacts at each distance, P(s).

    Parameters
    ----------
    maps : array (n, bins, bins) or (bins, bins)
        Contact maps; the upper triangle is read.

    Returns
    -------
    array (n, bins), or (bins,) for a single map
        Mean of the pixels at distance 0, 1, ... bins - 1 that are not NaN, in the unit of the
        maps; NaN at a distance without one. Zeros count.

    Raises
    ------
    ValueError
        If the maps are not square.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.metrics.contacts import expected_by_distance
    >>> expected_by_distance(np.array([[8, 4, 1], [4, 6, 2], [1, 2, 4]])).tolist()
    [6.0, 3.0, 1.0]
    """
    stack, single = map_stack(maps, "maps")
    result = np.empty(stack.shape[:2])
    for distance in range(stack.shape[1]):
        diagonal = np.diagonal(stack, distance, axis1=1, axis2=2)
        valid = ~np.isnan(diagonal)
        total = np.where(valid, diagonal, 0.0).sum(axis=1)
        result[:, distance] = ratio(total, valid.sum(axis=1))
    return unstack(result, single)


def contrast_correlation(
    prediction: ArrayLike,
    target: ArrayLike,
    reference: ArrayLike,
    *,
    prediction_reference: ArrayLike | None = None,
    min_distance: int = 1,
) -> Array:
    """Correlation of what is specific to the cell type: map minus the mean of the training types.

    Pearson correlation over pixels between ``prediction - reference`` and ``target - reference``.
    Ordinary metrics are dominated by what all cell types share, and a prediction that is one and
    the same for every cell type scores high there. Here it scores 0 with ``prediction_reference``;
    without, its own difference from the reference may correlate with the target's by chance.

    Parameters
    ----------
    prediction, target : array (n, bins, bins) or (bins, bins)
        Contact maps of one cell type, in one unit; the upper triangle is read.
    reference : array of the same shape, or (bins, bins) for all maps
        Mean true map of the training cell types at the same place.
    prediction_reference : array like ``reference``, optional
        Mean of the model's own predictions for the training cell types, subtracted from
        ``prediction`` instead. It takes away what the model gets wrong in the same way for every
        cell type; a copy of the bulk map then has no contrast left.
    min_distance : int
        Smallest distance in bins that counts; 1 leaves the main diagonal out.

    Returns
    -------
    array (n,), or a scalar for a single map
        Between -1 and 1. 0 if the prediction has no contrast (it is the reference, up to a
        constant); NaN if the target has none, or fewer than two pixels are not NaN.

    Raises
    ------
    ValueError
        If shapes do not match or ``min_distance`` is negative.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.metrics.contacts import contrast_correlation
    >>> rng = np.random.default_rng(0)
    >>> reference, specific = rng.random((2, 8, 8))
    >>> target = reference + specific
    >>> float(contrast_correlation(reference, target, reference))  # the same for every cell type
    0.0
    >>> round(float(contrast_correlation(reference + specific / 2, target, reference)), 6)
    1.0
    """
    a, b, single = map_pair(prediction, target)
    if min_distance < 0:
        raise ValueError(f"min_distance must be 0 or more, got {min_distance}")
    own = reference if prediction_reference is None else prediction_reference
    bins = a.shape[-1]
    rows, columns = np.triu_indices(bins, min_distance)
    if len(rows) == 0:
        return unstack(np.full(len(a), np.nan), single)
    pixels = rows * bins + columns
    stacks = (
        a,
        b,
        reference_stack(own, a.shape, "prediction_reference"),
        reference_stack(reference, a.shape, "reference"),
    )

    def correlate(*maps: Array) -> Array:
        return contrast(*(m.reshape(len(m), bins**2)[:, pixels] for m in maps))

    return unstack(in_blocks(correlate, *stacks), single)
