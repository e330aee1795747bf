"""What every temporal model shares: reading measured cells and returning predicted ones.

The temporal protocol is two methods. ``fit(adata, time_key)`` learns from cells with a measured
time and returns the model. ``sample(times, n_cells, seed, noise)`` returns an AnnData with
``n_cells`` predicted cells at each of ``times``. A model with a latent space that can be read
meets the latent-flow protocol too.

Models work on *values*: for counts these are log1p of counts per 10,000, for anything else the
numbers as they were given. :mod:`scstlib.preprocess.cells` makes the one from the other and back.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np

if TYPE_CHECKING:
    from anndata import AnnData


class TemporalModel(Protocol):
    """A model that predicts populations of cells at any time."""

    def fit(self, adata: AnnData, time_key: str = "time") -> Self:
        """Learn from cells with a measured time in ``adata.obs[time_key]``."""
        ...

    def sample(
        self, times: Sequence[float], n_cells: int, seed: int = 0, noise: bool = True
    ) -> AnnData:
        """Predict ``n_cells`` cells at each of ``times``."""
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
        """Return the velocity of latent points at ``time``, per unit of measured time."""
        ...

    def flow(self, latent: np.ndarray, start: float, times: Sequence[float]) -> np.ndarray:
        """Move latent points from ``start`` to each of ``times``; (n_times, n_cells, n_latent).

        ``times`` may lie before or after ``start``, in any order.
        """
        ...


def check_request(times: Sequence[float], n_cells: int) -> list[float]:
    """Return the requested times as floats, or raise ``ValueError`` for a request that is empty."""
    requested = [float(time) for time in np.atleast_1d(np.asarray(times, dtype=float))]
    if not requested or not np.isfinite(requested).all():
        raise ValueError(f"times must be one or more finite numbers, not {times!r}.")
    if n_cells < 1:
        raise ValueError(f"n_cells must be at least 1, not {n_cells}.")
    return requested


def warn_of_extrapolation(times: Sequence[float], measured: np.ndarray) -> None:
    """Warn if a requested time lies more than a mean interval beyond the last measured one.

    Parameters
    ----------
    times : sequence of float
        Requested times.
    measured : numpy.ndarray, shape (n_times,)
        Training times, ascending.
    """
    interval = (measured[-1] - measured[0]) / (len(measured) - 1)
    distance = max(times) - measured[-1]
    if distance > interval * (1 + 1e-9):
        warnings.warn(
            f"time {max(times):g} lies {distance:g} beyond the last training time"
            f" {measured[-1]:g}, {distance / interval:.1f} mean intervals of the training times;"
            " nothing measured supports a prediction so far out.",
            stacklevel=5,
        )
