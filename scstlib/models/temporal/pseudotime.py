"""How far each cell is ahead of the others that were measured with it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def ahead(points: Sequence[np.ndarray], n_neighbours: int = 15) -> list[np.ndarray]:
    """Return how far cells are ahead of the mean of their time, in intervals.

    The pseudotime of a cell is the mean time, 0, 1, 2, ..., of its nearest neighbours among the
    cells of all times; each counts in inverse proportion to the number of cells of its time. Where
    populations of neighbouring times do not overlap, all cells of a time have the same pseudotime,
    and none is ahead.

    Parameters
    ----------
    points : sequence of numpy.ndarray, shapes (n, n_dimensions)
        Cells of each time, in the order of the times.
    n_neighbours : int
        Without the cell itself; at most as many as there are other cells.

    Returns
    -------
    list of numpy.ndarray, shapes (n,)

    Examples
    --------
    >>> early, late = np.array([[0.0], [1.0], [2.0]]), np.array([[2.5], [3.0], [4.0]])
    >>> first, second = ahead([early, late], n_neighbours=2)
    >>> first.round(2).tolist(), second.round(2).tolist()
    ([-0.17, -0.17, 0.33], [-0.17, -0.17, 0.33])
    """
    from sklearn.neighbors import NearestNeighbors

    sizes = np.array([len(own) for own in points])
    time, everyone = np.repeat(np.arange(len(points)), sizes), np.concatenate(points)
    nearest = NearestNeighbors(n_neighbors=min(n_neighbours, len(everyone) - 1)).fit(everyone)
    near = nearest.kneighbors(return_distance=False)
    pseudotime = np.average(time[near], axis=1, weights=1 / sizes[time][near])
    return [own - own.mean() for own in np.split(pseudotime, sizes.cumsum()[:-1])]
