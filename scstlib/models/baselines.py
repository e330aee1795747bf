"""Baselines that learn no dynamics. A model earns its place by beating them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import numpy as np

from scstlib.leakage import record_fit
from scstlib.models.protocol import MeasuredCells, check_request, draw, measured_cells

if TYPE_CHECKING:
    from anndata import AnnData


class _Baseline(ABC):
    """Fit by keeping the cells; sample each requested time with ``_population``."""

    def __init__(self) -> None:
        self.cells_: MeasuredCells | None = None

    def fit(self, adata: AnnData, time_key: str = "time") -> Self:
        """Keep the cells.

        Parameters
        ----------
        adata : AnnData
            Training cells: counts, or values such as log counts.
        time_key : str
            Column of ``adata.obs`` with the measured time.

        Raises
        ------
        KeyError, ValueError
            For input that :func:`scstlib.models.protocol.measured_cells` refuses.
        """
        self.cells_ = measured_cells(adata, time_key)
        record_fit(self, adata)
        return self

    def sample(
        self, times: Sequence[float], n_cells: int, seed: int = 0, noise: bool = True
    ) -> AnnData:
        """Predict ``n_cells`` cells at each of ``times``.

        ``noise`` makes no difference: a baseline does not tell noise from signal.

        Parameters
        ----------
        times : sequence of float
            In the unit of the training times.
        n_cells : int
            Cells at each time.
        seed : int
            Draws the cells.

        Returns
        -------
        AnnData, (len(times) * n_cells, n_genes)
            In the unit of the input; counts with ``layers["log1p_cp10k"]`` as well.

        Raises
        ------
        ValueError
            If the baseline is not fitted, ``n_cells`` is below 1 or a time is not finite.
        """
        requested = check_request(times, n_cells)
        if self.cells_ is None:
            raise ValueError("the baseline is not fitted; call fit(adata, time_key) first.")
        rng = np.random.default_rng(seed)
        populations = [self._population(self.cells_, time, n_cells, rng) for time in requested]
        return self.cells_.as_anndata(populations, requested)

    @abstractmethod
    def _population(
        self, cells: MeasuredCells, time: float, n_cells: int, rng: np.random.Generator
    ) -> np.ndarray:
        """Return the predicted values at ``time``, shape (n_cells, n_genes)."""


class CopyNearest(_Baseline):
    """Cells of the nearest measured time, drawn with replacement."""

    def _population(
        self, cells: MeasuredCells, time: float, n_cells: int, rng: np.random.Generator
    ) -> np.ndarray:
        return draw(cells.at(cells.nearest(time)), n_cells, rng)


class ConstantMean(_Baseline):
    """One vector for every cell: the mean profile, linear between measured times.

    It predicts no population at all, only its centre. Metrics that it wins do not ask for a
    population.
    """

    def _population(
        self, cells: MeasuredCells, time: float, n_cells: int, rng: np.random.Generator
    ) -> np.ndarray:
        return np.tile(cells.mean_at(time), (n_cells, 1))


class InterpolatedMean(_Baseline):
    """Cells of the nearest measured time, moved so that their mean is the interpolated mean.

    The mean profile is linear between measured times and constant outside them. Values that the
    move makes negative stay so where the input has negative values, and become 0 elsewhere.
    """

    def _population(
        self, cells: MeasuredCells, time: float, n_cells: int, rng: np.random.Generator
    ) -> np.ndarray:
        nearest = cells.at(cells.nearest(time))
        moved = draw(nearest, n_cells, rng) + (cells.mean_at(time) - nearest.mean(0))
        return moved if cells.values.min() < 0 else np.maximum(moved, 0)
