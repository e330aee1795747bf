"""Whether two descriptions of the same cells put the same cells next to each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def shared_neighbours(a: ArrayLike, b: ArrayLike, k: int = 15) -> float:
    """Mean share of the ``k`` nearest cells that two descriptions of the same cells have in common.

    Parameters
    ----------
    a, b : array (cells, dimensions)
        Points of the same cells in the same order; dimensions may differ. Euclidean distances.
    k : int
        Neighbours of a cell, itself not among them.

    Returns
    -------
    float
        From 0 to 1; about ``k / (cells - 1)`` for descriptions that have nothing in common.

    Raises
    ------
    ValueError
        If the numbers of cells differ, or ``k`` is not between 1 and the number of other cells.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.metrics.neighbours import shared_neighbours
    >>> points = np.random.default_rng(0).normal(size=(100, 3))
    >>> shared_neighbours(points, 2 * points)
    1.0
    """
    near_a, near_b = _nearest(np.asarray(a), k), _nearest(np.asarray(b), k)
    if len(near_a) != len(near_b):
        raise ValueError(f"{len(near_a)} and {len(near_b)} cells: describe the same cells twice.")
    pairs = zip(near_a, near_b, strict=True)
    return float(np.mean([len(np.intersect1d(x, y)) / k for x, y in pairs]))


def _nearest(points: np.ndarray, k: int) -> np.ndarray:
    """Indices of the k nearest other points, (n, k)."""
    from sklearn.neighbors import NearestNeighbors

    if points.ndim != 2 or not 1 <= k < len(points):
        raise ValueError(f"{k} neighbours of points of shape {points.shape}.")
    found: np.ndarray = NearestNeighbors(n_neighbors=k).fit(points).kneighbors()[1]
    return found
