"""``fit`` and ``sample`` of the temporal models, with what all of them check."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Generic, Literal, Self, TypeVar

import numpy as np

from scstlib.leakage import record_fit
from scstlib.models.temporal.cells import CellFormat, MeasuredCells, measured_cells
from scstlib.models.temporal.protocol import check_request

if TYPE_CHECKING:
    from anndata import AnnData

Kept = TypeVar("Kept", bound=CellFormat)


class PopulationModel(ABC, Generic[Kept]):
    """A temporal model that predicts one population for each time.

    A subclass sets ``cells_`` in ``fit`` and implements ``_populations``.
    """

    cells_: Kept | None = None

    def sample(
        self,
        times: Sequence[float],
        n_cells: int,
        seed: int = 0,
        noise: bool | Literal["depth"] = True,
    ) -> AnnData:
        """Predict ``n_cells`` cells at each of ``times``.

        Parameters
        ----------
        times : sequence of float
            In the unit of the training times.
        n_cells : int
            Cells at each time.
        seed : int
            Draws the cells.
        noise : bool or "depth"
            False or "depth": the de-noised population, where the model tells noise from signal;
            its class says whether it does.

        Returns
        -------
        AnnData, (len(times) * n_cells, n_genes)
            In the unit of the input; counts with ``layers["log1p_cp10k"]`` as well.

        Raises
        ------
        ValueError
            If the model is not fitted, ``n_cells`` is below 1, a time is not finite or it is one
            that the model does not reach.
        """
        requested = check_request(times, n_cells)
        populations = self._populations(requested, n_cells, seed, noise)
        return self._fitted().as_anndata(populations, requested)

    @property
    def genes(self) -> tuple[str, ...]:
        """The genes of the training cells."""
        return self._fitted().genes

    @property
    def times_(self) -> np.ndarray:
        """Training times, ascending."""
        return self._fitted().times

    @property
    def time_key_(self) -> str:
        """Column of ``adata.obs`` that held the measured time."""
        return self._fitted().time_key

    def _fitted(self) -> Kept:
        """What ``fit`` kept of the training cells, or ``ValueError`` before it."""
        if self.cells_ is None:
            raise ValueError("the model is not fitted; call fit(adata, time_key) first.")
        return self.cells_

    @abstractmethod
    def _populations(
        self, times: list[float], n_cells: int, seed: int, noise: bool | Literal["depth"]
    ) -> list[np.ndarray]:
        """Return the predicted values at each time, arrays (n_cells, n_genes)."""


class CellKeepingModel(PopulationModel[MeasuredCells]):
    """A temporal model that keeps its training cells and predicts each time by itself.

    It makes no difference between noise and signal.
    """

    def fit(self, adata: AnnData, time_key: str = "time") -> Self:
        """Learn from measured cells.

        Parameters
        ----------
        adata : AnnData
            Training cells: counts, or values such as log counts.
        time_key : str
            Column of ``adata.obs`` with the measured time.

        Raises
        ------
        ValueError
            For input that :class:`scstlib.preprocess.cells.CellReader` refuses, or settings that
            do not go with it.
        """
        cells = measured_cells(adata, time_key)
        self._learn(cells)
        self.cells_ = cells
        record_fit(self, adata)
        return self

    def _learn(self, cells: MeasuredCells) -> None:
        """Learn more than the cells themselves."""

    def _populations(
        self, times: list[float], n_cells: int, seed: int, noise: bool | Literal["depth"]
    ) -> list[np.ndarray]:
        cells, rng = self._fitted(), np.random.default_rng(seed)
        return [self._population(cells, time, n_cells, rng) for time in times]

    @abstractmethod
    def _population(
        self, cells: MeasuredCells, time: float, n_cells: int, rng: np.random.Generator
    ) -> np.ndarray:
        """Return the predicted values at ``time``, shape (n_cells, n_genes)."""
