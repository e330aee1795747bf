"""Baselines that learn no dynamics. A model earns its place by beating them."""

from __future__ import annotations

import numpy as np

from scstlib.models.temporal.cells import MeasuredCells, draw
from scstlib.models.temporal.protocol import CellKeepingModel


class CopyNearest(CellKeepingModel):
    """Cells of the nearest measured time, drawn with replacement."""

    def _population(
        self, cells: MeasuredCells, time: float, n_cells: int, rng: np.random.Generator
    ) -> np.ndarray:
        return draw(cells.at(cells.nearest(time)), n_cells, rng)


class ConstantMean(CellKeepingModel):
    """One vector for every cell: the mean profile, linear between measured times.

    It predicts no population at all, only its centre. Metrics that it wins do not ask for a
    population.
    """

    def _population(
        self, cells: MeasuredCells, time: float, n_cells: int, rng: np.random.Generator
    ) -> np.ndarray:
        return np.tile(cells.mean_at(time), (n_cells, 1))


class InterpolatedMean(CellKeepingModel):
    """Cells of the nearest measured time, moved so that their mean is the interpolated mean.

    The mean profile is linear between measured times and constant outside them. Values that the
    move makes negative stay so where the input has negative values, and become 0 elsewhere.
    """

    def _population(
        self, cells: MeasuredCells, time: float, n_cells: int, rng: np.random.Generator
    ) -> np.ndarray:
        nearest = cells.at(cells.nearest(time))
        moved: np.ndarray = draw(nearest, n_cells, rng) + (cells.mean_at(time) - nearest.mean(0))
        return moved if cells.values.min() < 0 else np.maximum(moved, 0)
