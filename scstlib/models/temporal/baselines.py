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
        return _moved_to(cells.mean_at(time), cells, time, n_cells, rng)


class MeanMovedOn(CellKeepingModel):
    """Cells of the nearest measured time, moved to the straight line of the means, outside too.

    Inside the measured range it is :class:`InterpolatedMean`. Beyond the last time the mean moves
    on as between the last two times, in proportion to the elapsed time, and before the first as
    between the first two: the simplest forecast that there is. Nothing bounds it far out, but
    that values which the move makes negative become 0 where the input has no negative values.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from anndata import AnnData
    >>> obs = pd.DataFrame({"day": [0.0, 0.0, 2.0, 2.0]}, index=list("abcd"))
    >>> values = np.array([[1.0, -1], [1, -3], [2, -2], [2, -4]], dtype=np.float32)
    >>> model = MeanMovedOn().fit(AnnData(values, obs=obs), "day")
    >>> model.sample([6.0], 2).X.mean(0).tolist()
    [4.0, -5.0]
    """

    def _population(
        self, cells: MeasuredCells, time: float, n_cells: int, rng: np.random.Generator
    ) -> np.ndarray:
        times = cells.times
        after = int(np.clip(np.searchsorted(times, time), 1, len(times) - 1))
        left, right = float(times[after - 1]), float(times[after])
        start, end = cells.at(left).mean(0), cells.at(right).mean(0)
        mean = start + (time - left) / (right - left) * (end - start)
        return _moved_to(mean, cells, time, n_cells, rng)


def _moved_to(
    mean: np.ndarray,
    cells: MeasuredCells,
    time: float,
    n_cells: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Cells of the measured time nearest to ``time``, moved so that their mean is ``mean``."""
    nearest = cells.at(cells.nearest(time))
    moved: np.ndarray = draw(nearest, n_cells, rng) + (mean - nearest.mean(0))
    return moved if cells.values.min() < 0 else np.maximum(moved, 0)
