"""How far is an input from what a model was trained on? A number above 1 is a flag.

A model says nothing of what it has not seen, and its interval, calibrated on other data like the
training data, does not know that it has not. The distance to the nearest training point does; its
measure is how far training points lie from one another (Ramaswamy et al. 2000,
https://doi.org/10.1145/342009.335437, of outliers).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from scstlib.metrics._arrays import Array


def novelty(points: ArrayLike, training: ArrayLike, *, quantile: float = 0.95) -> Array:
    """Distance to the nearest training point, over that of training points to their nearest.

    Parameters
    ----------
    points : array (n, dimensions)
        Inputs of a prediction, such as log expression of cell types; every dimension in a unit in
        which differences count alike.
    training : array (m, dimensions)
        Inputs of the training data.
    quantile : float
        Of the distances of training points, between 0 and 1: 1 - ``quantile`` of inputs that are
        like the training data are above 1.

    Returns
    -------
    array (n,)
        Not negative; above 1, an input is farther than is usual among the training data. Infinite
        where all training points are alike and a point differs.

    Raises
    ------
    ValueError
        For arrays of other shapes, fewer than 2 training points, values that are not finite or a
        quantile out of range.

    Examples
    --------
    >>> from scstlib.metrics.novelty import novelty
    >>> training = [[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]]
    >>> novelty([[1.5, 0.0], [2.0, 3.0]], training).tolist()
    [0.5, 3.0]
    """
    new, known = (np.asarray(each, dtype=float) for each in (points, training))
    if known.ndim != 2 or len(known) < 2 or new.ndim != 2 or new.shape[1] != known.shape[1]:
        raise ValueError(
            "points and training must be (n, dimensions), with 2 training points or more, got"
            f" {new.shape} and {known.shape}"
        )
    if not 0 <= quantile <= 1:
        raise ValueError(f"quantile must lie between 0 and 1, got {quantile}")
    own = nearest_distance(known, known, itself=True)
    return relative_to(nearest_distance(new, known), own, quantile)


def time_novelty(times: ArrayLike, measured: ArrayLike) -> Array:
    """Distance of times to the nearest measured one, in mean intervals of the measured times.

    Between evenly spaced times it is 0.5 at most; above 1 nothing measured is near.

    Parameters
    ----------
    times : array (n,)
    measured : array (m,)
        In any order and the same unit; equal ones count once.

    Returns
    -------
    array (n,)

    Raises
    ------
    ValueError
        For fewer than 2 different measured times, or times that are not finite.

    Examples
    --------
    >>> from scstlib.metrics.novelty import time_novelty
    >>> time_novelty([6.0, 30.0, 48.0], measured=[0.0, 12.0, 24.0]).tolist()
    [0.5, 0.5, 2.0]
    """
    known = np.unique(np.asarray(measured, dtype=float))
    new = np.asarray(times, dtype=float).reshape(-1)
    if len(known) < 2 or not (np.isfinite(known).all() and np.isfinite(new).all()):
        raise ValueError(f"measured must hold 2 different finite times or more, got {measured!r}")
    distance: Array = np.abs(new[:, None] - known).min(axis=1)
    intervals: Array = distance / ((known[-1] - known[0]) / (len(known) - 1))
    return intervals


def nearest_distance(points: Array, training: Array, *, itself: bool = False) -> Array:
    """Euclidean distance of each point to the nearest training point, (n,).

    Parameters
    ----------
    points, training : array (n, dimensions), (m, dimensions)
    itself : bool
        The points are the training points, and none is its own neighbour.

    Raises
    ------
    ValueError
        For values that are not finite.
    """
    from sklearn.neighbors import NearestNeighbors

    near = NearestNeighbors(n_neighbors=1).fit(training)
    distance: Array = near.kneighbors(None if itself else points)[0][:, 0]
    return distance


def relative_to(distance: Array, own: Array, quantile: float) -> Array:
    """Distances over a quantile of those that are usual; infinite if these are 0."""
    scale = float(np.quantile(own, quantile))
    ratio: Array = distance / scale if scale > 0 else np.where(distance > 0, np.inf, 0.0)
    return ratio
