"""What every temporal model shares: reading measured cells and returning predicted ones.

The temporal protocol is two methods. ``fit(adata, time_key)`` learns from cells with a measured
time and returns the model. ``sample(times, n_cells, seed, noise)`` returns an AnnData with
``n_cells`` predicted cells at each of ``times``. A model with a latent space that can be read
meets the latent-flow protocol too.

Models work on *values*: for counts these are log1p of counts per 10,000, for anything else the
numbers as they were given. :mod:`scstlib.preprocess.cells` makes the one from the other and back.

Without noise, predicted counts answer two questions. ``X`` holds *expected counts*, and their log1p
per 10,000 is *log expression*: what a cell expresses, to be compared with noise-free truth.
``layers["log1p_cp10k"]`` holds *mean log values*: the mean of log1p of counts per 10,000 over
measurements of such a cell, to be compared with measured cells. The second is the smaller one, the
more so the fewer counts a gene has. :func:`scstlib.models.temporal.score_held_out_times` takes the
one that its reference asks for.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, Self, TypeVar, cast

import numpy as np

from scstlib.caller import warn_caller
from scstlib.leakage import record_fit
from scstlib.models.files import SavedModel, under
from scstlib.models.settings import all_or_nothing, check_whole, explain_arguments
from scstlib.models.temporal.cells import CellFormat, MeasuredCells, measured_cells

if TYPE_CHECKING:
    from anndata import AnnData
    from torch import Tensor

# Mean intervals of the training times: so far a solver gets in seconds.
FARTHEST = 1000


class CellSampler(Protocol):
    """What gives cells at a time: a fitted model, or cells that were predicted before."""

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
            True: cells as they would be measured. False: the de-noised population. "depth":
            de-noised cells that differ in depth as measured ones do. A model that does not tell
            noise from signal gives the same for all three.

        Returns
        -------
        AnnData, (len(times) * n_cells, n_genes)
            ``X`` in the unit of the input, time in ``obs[time_key]``; of counts
            ``layers["log1p_cp10k"]`` holds log1p of counts per 10,000 as well, without noise the
            mean log values of measured cells.

        Raises
        ------
        ValueError
            If the model is not fitted, ``n_cells`` is no whole number above 0, ``noise`` is
            something else, or a time is not finite, one that the model does not reach, or 1,000
            mean intervals away.
        """
        ...


class TemporalModel(CellSampler, Protocol):
    """A model that predicts populations of cells at any time.

    ``fit`` calls :func:`scstlib.leakage.record_fit`, or the model cannot be scored.
    """

    def fit(self, adata: AnnData, time_key: str = "time") -> Self:
        """Learn from cells with a measured time in ``adata.obs[time_key]``."""
        ...


class LatentFlow(TemporalModel, Protocol):
    """A temporal model that moves cells through a latent space, which can be read.

    Times are in the unit of the data. Latent coordinates are float arrays (n_cells, n_latent).

    Attributes
    ----------
    genes : tuple of str
        The genes of the training cells.
    times_ : numpy.ndarray, shape (n_times,)
        Training times, ascending.
    time_key_ : str
    """

    @property
    def genes(self) -> tuple[str, ...]:
        """The genes of the training cells."""
        ...

    @property
    def times_(self) -> np.ndarray:
        """Training times, ascending."""
        ...

    @property
    def time_key_(self) -> str:
        """Column of ``adata.obs`` that held the measured time."""
        ...

    def encode(self, adata: AnnData) -> np.ndarray:
        """Return latent coordinates (n_cells, n_latent); no noise is drawn.

        Raises
        ------
        ValueError
            If the genes are not the fitted ones.
        """
        ...

    def decode(self, latent: np.ndarray) -> np.ndarray:
        """Return the de-noised values, (n_cells, n_genes), of latent points."""
        ...

    def velocity(self, latent: np.ndarray, time: float) -> np.ndarray:
        """Return the velocity of latent points at ``time``, per unit of measured time.

        Raises
        ------
        ValueError
            For points or a time that are not finite, or points of another space.
        """
        ...

    def flow(self, latent: np.ndarray, start: float, times: Sequence[float]) -> np.ndarray:
        """Move latent points from ``start`` to each of ``times``; (n_times, n_cells, n_latent).

        ``times`` may lie before or after ``start``, in any order.

        Raises
        ------
        ValueError
            As for ``velocity``, and for times more than 1,000 mean intervals away.
        """
        ...


def check_request(
    times: Sequence[float], n_cells: int, noise: bool | Literal["depth"] = True
) -> list[float]:
    """Return the requested times as floats.

    Raises
    ------
    ValueError
        For times that are none, not finite or no numbers, ``n_cells`` that is no whole number
        above 0, or ``noise`` that is neither True, False nor "depth".

    Examples
    --------
    >>> check_request([0, 1.5], 100)
    [0.0, 1.5]
    """
    requested = check_times(times)
    check_whole({"n_cells": n_cells}, "n_cells")
    if not (isinstance(noise, bool | np.bool_) or (isinstance(noise, str) and noise == "depth")):
        raise ValueError(f"noise must be True, False or 'depth', not {noise!r}")
    return requested


def check_times(times: Any, name: str = "times") -> list[float]:
    """Return times as floats.

    Raises
    ------
    ValueError
        For times that are none, not finite or no numbers.

    Examples
    --------
    >>> check_times(12, "start")
    [12.0]
    >>> check_times([0, float("nan")])
    Traceback (most recent call last):
        ...
    ValueError: times must be one or more finite numbers in the unit of ..., not [0, nan]
    """
    try:
        given = np.asarray(times).ravel()
    except ValueError:  # Lists of unequal lengths.
        given = np.array([])
    if not given.size or given.dtype.kind not in "iuf" or not np.isfinite(given).all():
        raise ValueError(
            f"{name} must be one or more finite numbers in the unit of the training times, not"
            f" {times!r}"
        )
    return [float(time) for time in given]


def check_far(times: Sequence[float], measured: np.ndarray) -> None:
    """Refuse times that lie far beyond the measured ones, (n_times,), on either side.

    Raises
    ------
    ValueError
        If a time is more than ``FARTHEST`` mean intervals away.
    """
    interval = (measured.max() - measured.min()) / (len(measured) - 1)
    for time in (min(times), max(times)):
        if not measured.min() - FARTHEST * interval <= time <= measured.max() + FARTHEST * interval:
            raise ValueError(
                f"time {time:g} lies more than {FARTHEST} mean intervals of {interval:g} away from"
                f" the training times {measured.min():g} to {measured.max():g}: nothing can be said"
                " of it."
            )


def check_latent(latent: Any, n_latent: int) -> np.ndarray:
    """Return latent points as an array (..., n_latent).

    Raises
    ------
    ValueError
        For points that are no numbers, not finite, or of another space.
    """
    points = np.asarray(latent)
    if points.dtype.kind not in "iuf" or points.ndim < 2 or points.shape[-1] != n_latent:
        raise ValueError(
            f"latent points must be numbers of shape (n, {n_latent}), not {points.dtype} of shape"
            f" {points.shape}; encode(adata) gives them"
        )
    if not np.isfinite(points).all():
        raise ValueError(
            f"{int((~np.isfinite(points)).any(axis=-1).sum())} latent points are NaN or infinite:"
            " leave them out"
        )
    return points


def check_reach(times: Sequence[float], measured: np.ndarray) -> None:
    """Refuse times before the first training time, and warn of those far beyond the last.

    Parameters
    ----------
    times : sequence of float
        Requested times.
    measured : numpy.ndarray, shape (n_times,)
        Training times, ascending.

    Raises
    ------
    ValueError
        If a time lies before the first training time, or as :func:`check_far` says.
    """
    check_far(times, measured)
    if min(times) < measured[0]:
        raise ValueError(
            f"time {min(times):g} lies before the first training time {measured[0]:g}, where no"
            " path starts: ask for later times, or follow cells backwards by"
            " flow(latent, start, times)"
        )
    interval = (measured[-1] - measured[0]) / (len(measured) - 1)
    distance = max(times) - measured[-1]
    if distance > interval * (1 + 1e-9):
        warn_caller(
            f"time {max(times):g} lies {distance:g} beyond the last training time"
            f" {measured[-1]:g}, {distance / interval:.1f} mean intervals of the training times;"
            " nothing measured supports a prediction so far out."
        )


Kept = TypeVar("Kept", bound=CellFormat)


class FittedOnCells(SavedModel, Generic[Kept]):
    """A model that remembers its training cells, in ``cells_``, and saves them.

    A subclass names the class of ``cells_`` in ``_kind_of_cells``.
    """

    cells_: Kept | None = None
    _kind_of_cells: type[CellFormat]

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

    def _learned(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        about, tensors = self._fitted().to_file()
        return {"cells": about}, {f"cells.{name}": value for name, value in tensors.items()}

    def _restore(self, learned: dict[str, Any], tensors: dict[str, Tensor], device: str) -> None:
        cells = self._kind_of_cells.from_file(learned["cells"], under("cells", tensors))
        self.cells_ = cast("Kept", cells)


def check_times_have_cells(cells: MeasuredCells) -> None:
    """Refuse cells of a file of which none were measured at one of its times."""
    if without := sorted(set(cells.times.tolist()) - set(cells.time.tolist())):
        raise ValueError(f"it has no cells of its times {without}")


class KeptCellsModel(FittedOnCells[MeasuredCells]):
    """A temporal model that keeps its training cells and predicts each time by itself.

    A subclass implements ``_draw``. One that makes no difference between noise and signal is a
    :class:`CellKeepingModel`.
    """

    _kind_of_cells = MeasuredCells

    @explain_arguments
    @all_or_nothing
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

    @explain_arguments
    def sample(
        self,
        times: Sequence[float],
        n_cells: int,
        seed: int = 0,
        noise: bool | Literal["depth"] = True,
    ) -> AnnData:
        """Predict ``n_cells`` cells at each of ``times``: see :class:`TemporalModel`.

        The class says what ``noise`` is; if it does not, ``noise`` makes no difference.
        """
        requested = check_request(times, n_cells, noise)
        cells, rng = self._fitted(), np.random.default_rng(seed)
        check_far(requested, cells.times)
        # Noise that is not drawn one by one is there or not: "depth" asks for cells without it.
        populations = [
            self._draw(cells, time, n_cells, rng, noise != "depth" and bool(noise))
            for time in requested
        ]
        return cells.as_anndata(populations, requested)

    def _learn(self, cells: MeasuredCells) -> None:
        """Learn more than the cells themselves."""

    def _restore(self, learned: dict[str, Any], tensors: dict[str, Tensor], device: str) -> None:
        super()._restore(learned, tensors, device)
        check_times_have_cells(self._fitted())
        self._learn(self._fitted())

    @abstractmethod
    def _draw(
        self,
        cells: MeasuredCells,
        time: float,
        n_cells: int,
        rng: np.random.Generator,
        noise: bool,
    ) -> np.ndarray:
        """Return the predicted values at ``time``, shape (n_cells, n_genes)."""


class CellKeepingModel(KeptCellsModel):
    """A temporal model that keeps its training cells and predicts each time by itself.

    It makes no difference between noise and signal. A subclass implements ``_population``.
    """

    def _draw(
        self,
        cells: MeasuredCells,
        time: float,
        n_cells: int,
        rng: np.random.Generator,
        noise: bool,
    ) -> np.ndarray:
        return self._population(cells, time, n_cells, rng)

    @abstractmethod
    def _population(
        self, cells: MeasuredCells, time: float, n_cells: int, rng: np.random.Generator
    ) -> np.ndarray:
        """Return the predicted values at ``time``, shape (n_cells, n_genes)."""
