"""Metrics of probabilistic predictions given as samples: is the stated uncertainty true?

Samples are along the first axis; the other axes are whatever was predicted (cells, genes, times,
pixels). Proper scores: https://doi.org/10.1198/016214506000001437.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from scstlib.metrics._arrays import Array


def _ensemble(samples: ArrayLike, observed: ArrayLike) -> tuple[Array, Array]:
    ensemble = np.asarray(samples, dtype=np.float64)
    truth = np.asarray(observed, dtype=np.float64)
    if ensemble.ndim == 0 or len(ensemble) == 0 or ensemble.shape[1:] != truth.shape:
        raise ValueError(
            "samples must be (n_samples, ...) with the shape of observed behind at least one "
            f"sample, got {ensemble.shape} and {truth.shape}"
        )
    return ensemble, truth


def crps(samples: ArrayLike, observed: ArrayLike, *, fair: bool = True) -> Array:
    """Continuous ranked probability score ``E|X - y| - E|X - X'| / 2`` of an ensemble; low is good.

    Parameters
    ----------
    samples : array (n_samples, ...)
        Draws of the prediction.
    observed : array (...)
        What happened, in the same unit.
    fair : bool
        ``True`` divides the sum over pairs of samples by n (n - 1): the mean does not depend on
        the number of samples, so ensembles of different size compare; single values may be
        negative. ``False`` divides by n**2: the score of the empirical distribution, which rewards
        more samples.

    Returns
    -------
    array (...)
        Units of the prediction; NaN where a sample or the observation is NaN, and everywhere if
        ``fair`` and there is one sample. Plain, one sample: the absolute error.

    Raises
    ------
    ValueError
        If the shapes do not match or there is no sample.

    Examples
    --------
    >>> from scstlib.metrics.uncertainty import crps
    >>> float(crps([1.0, 2.0, 3.0], 2.0, fair=False).round(3))
    0.222
    >>> float(crps([3.0], 2.0, fair=False))  # one sample: the absolute error
    1.0
    """
    ensemble, truth = _ensemble(samples, observed)
    n = len(ensemble)
    error = np.abs(ensemble - truth).mean(axis=0)
    if n == 1:
        return np.full_like(error, np.nan) if fair else error
    # The sum over pairs of |x_i - x_j| from the sorted samples, without the pairs.
    coefficients = 2.0 * np.arange(1, n + 1) - n - 1
    pairs = np.tensordot(coefficients, np.sort(ensemble, axis=0), axes=1)
    score: Array = error - pairs / (n * (n - 1) if fair else n**2)
    return score


def energy_score(samples: ArrayLike, observed: ArrayLike, *, fair: bool = True) -> Array:
    """Energy score ``E|X - y| - E|X - X'| / 2`` of vectors, a CRPS of many dimensions; low is good.

    Parameters
    ----------
    samples : array (n_samples, ..., dimension)
        Draws of the prediction.
    observed : array (..., dimension)
        What happened, in the same unit.
    fair : bool
        As for `crps`.

    Returns
    -------
    array (...)
        Units of the prediction; NaN as for `crps`. One dimension: equal to `crps`.

    Raises
    ------
    ValueError
        If the shapes do not match, there is no sample or no dimension.

    Examples
    --------
    >>> from scstlib.metrics.uncertainty import energy_score
    >>> samples = [[0.0, 0.0], [3.0, 4.0]]
    >>> float(energy_score(samples, [3.0, 4.0], fair=False))
    1.25
    """
    ensemble, truth = _ensemble(samples, observed)
    if truth.ndim == 0:
        raise ValueError("observed needs a last axis, the dimension; use crps for scalars")
    n = len(ensemble)
    error = np.linalg.norm(ensemble - truth, axis=-1).mean(axis=0)
    if n == 1:
        return np.full_like(error, np.nan) if fair else error
    # One sample against those after it: memory stays that of the ensemble.
    pairs = np.zeros_like(error)
    for i in range(n - 1):
        pairs += np.linalg.norm(ensemble[i + 1 :] - ensemble[i], axis=-1).sum(axis=0)
    score: Array = error - pairs / (n * (n - 1) if fair else n**2)
    return score


def interval_coverage(samples: ArrayLike, observed: ArrayLike, level: ArrayLike = 0.9) -> Array:
    """Share of observations inside the central interval of the samples.

    The interval goes from the (1 - level)/2 to the (1 + level)/2 quantile of the samples, linearly
    interpolated, ends included. With few samples it is too narrow: n samples from the true
    distribution cover about level * (n - 1) / (n + 1).

    Parameters
    ----------
    samples : array (n_samples, ...)
        Draws of the prediction.
    observed : array (...)
        What happened. Entries with NaN, here or in a sample, are left out.
    level : float or array (levels,)
        Nominal coverage, between 0 and 1.

    Returns
    -------
    float or array (levels,)
        Between 0 and 1; NaN if no entry is left.

    Raises
    ------
    ValueError
        If the shapes do not match, there is no sample, or a level lies outside 0-1.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.metrics.uncertainty import interval_coverage
    >>> samples = np.linspace(0, 1, 101)[:, None] * np.ones(4)
    >>> float(interval_coverage(samples, [0.01, 0.4, 0.6, 0.98], level=0.9))
    0.5
    """
    ensemble, truth = _ensemble(samples, observed)
    levels = np.asarray(level, dtype=np.float64)
    if levels.ndim > 1 or not ((levels >= 0) & (levels <= 1)).all():
        raise ValueError(f"level must be a number or (levels,) between 0 and 1, got {level!r}")
    flat, truth = ensemble.reshape(len(ensemble), -1), truth.reshape(-1)
    valid = ~(np.isnan(flat).any(axis=0) | np.isnan(truth))
    flat, truth = flat[:, valid], truth[valid]
    if len(truth) == 0:
        return np.full(levels.shape, np.nan)[()]
    low = np.quantile(flat, (1 - levels) / 2, axis=0)
    high = np.quantile(flat, (1 + levels) / 2, axis=0)
    inside: Array = ((truth >= low) & (truth <= high)).mean(axis=-1)
    return inside


def calibration_error(
    samples: ArrayLike,
    observed: ArrayLike,
    levels: ArrayLike | None = None,
    *,
    signed: bool = False,
) -> float:
    """Mean over levels of the difference between expected and observed coverage.

    Parameters
    ----------
    samples, observed
        As for `interval_coverage`.
    levels : array (levels,), optional
        Nominal coverages. Default: 0.1, 0.2, ... 0.9.
    signed : bool
        ``False``: mean of the absolute differences. ``True``: mean of expected minus observed,
        positive if the prediction is too sure of itself, where opposite errors cancel.

    Returns
    -------
    float
        Between 0 and 1, or -1 and 1; NaN if no entry is left. 0 does not make a good prediction:
        the overall distribution of the truth is calibrated too. Report it beside a proper score.

    Raises
    ------
    ValueError
        As `interval_coverage`.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.metrics.uncertainty import calibration_error
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.standard_normal(1000)
    >>> honest = rng.standard_normal((200, 1000))
    >>> round(calibration_error(honest, truth), 1)
    0.0
    >>> round(calibration_error(honest / 3, truth, signed=True), 1)  # too sure of itself
    0.3
    """
    nominal = np.linspace(0.1, 0.9, 9) if levels is None else np.atleast_1d(np.asarray(levels))
    difference = nominal - interval_coverage(samples, observed, nominal)
    return float((difference if signed else np.abs(difference)).mean())
