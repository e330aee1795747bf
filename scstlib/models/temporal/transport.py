"""Optimal-transport displacement between neighbouring measured times."""

from __future__ import annotations

import numpy as np

from scstlib.models.settings import check_whole, explain_arguments
from scstlib.models.temporal.cells import MeasuredCells, draw
from scstlib.models.temporal.protocol import CellKeepingModel


class DisplacementInterpolation(CellKeepingModel):
    """McCann's displacement interpolation; the outermost time is repeated outside the range.

    The exact coupling between the two measured times around a requested time is computed with
    squared Euclidean cost. Pairs are drawn from it, and each predicted cell stands on the
    straight line between its pair (McCann 1997, https://doi.org/10.1006/aima.1997.1634). In
    principal components the cells are de-noised, in gene space they are not, whatever ``noise``
    says.

    Parameters
    ----------
    n_components : int or None
        Number of principal components, of the training cells, in which cells are coupled and
        moved. None: in gene space.
    max_cells : int
        At most so many cells of a time enter a coupling, whose cost grows with their product.
    seed : int
        Draws the cells where a time has more than ``max_cells``.

    Examples
    --------
    >>> DisplacementInterpolation(n_components=6)
    DisplacementInterpolation(n_components=6)
    """

    @explain_arguments
    def __init__(
        self, n_components: int | None = None, max_cells: int = 2000, seed: int = 0
    ) -> None:
        check_whole({"max_cells": max_cells}, "max_cells")
        self.n_components = n_components
        self.max_cells = max_cells
        self.seed = seed

    def _learn(self, cells: MeasuredCells) -> None:
        rng = np.random.default_rng(self.seed)
        self.mean_ = cells.values.mean(0)
        self.components_ = self._principal_components(cells.values - self.mean_)
        self.points_ = {
            float(time): self._project(_at_most(cells.at(time), self.max_cells, rng))
            for time in cells.times
        }

    def _population(
        self, cells: MeasuredCells, time: float, n_cells: int, rng: np.random.Generator
    ) -> np.ndarray:
        import ot

        left, right, weight = cells.between(time)
        start, end = self.points_[left], self.points_[right]
        if left == right:
            return self._to_values(draw(start, n_cells, rng))
        cost = ot.dist(start, end, metric="sqeuclidean")
        plan = ot.emd(ot.unif(len(start)), ot.unif(len(end)), cost, numItermax=2_000_000)
        pairs = rng.choice(plan.size, n_cells, p=(plan / plan.sum()).ravel())
        from_row, to_row = np.unravel_index(pairs, plan.shape)
        return self._to_values((1 - weight) * start[from_row] + weight * end[to_row])

    def _principal_components(self, centred: np.ndarray) -> np.ndarray | None:
        if self.n_components is None:
            return None
        from sklearn.decomposition import PCA

        largest = min(centred.shape)
        if not 1 <= self.n_components <= largest:
            raise ValueError(f"n_components must be 1 to {largest} here, not {self.n_components}.")
        axes: np.ndarray = PCA(self.n_components, random_state=self.seed).fit(centred).components_
        return axes

    def _project(self, values: np.ndarray) -> np.ndarray:
        if self.components_ is None:
            return values.astype(np.float64)
        points: np.ndarray = ((values - self.mean_) @ self.components_.T).astype(np.float64)
        return points

    def _to_values(self, points: np.ndarray) -> np.ndarray:
        if self.components_ is None:
            return points
        values: np.ndarray = points @ self.components_ + self.mean_
        return values


def _at_most(cells: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    return cells if len(cells) <= n else cells[rng.choice(len(cells), n, replace=False)]
