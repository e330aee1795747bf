"""What a model with a latent flow offers to whoever reads it: the second part of its interface.

``scstlib.analysis`` is written against this protocol only, so that everything there works for any
model that maps cells into a latent space and moves them by a velocity that depends on time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from scstlib.models.protocol import TemporalModel

if TYPE_CHECKING:
    from anndata import AnnData


class LatentFlow(TemporalModel, Protocol):
    """A fitted temporal model whose cells move in a latent space, dz/dt = v(z, t).

    Attributes
    ----------
    genes : tuple of str
        The fitted genes.
    times_ : numpy.ndarray, shape (n_times,)
        Training times, ascending.
    time_key_ : str
        Column of ``obs`` with the times.
    """

    times_: np.ndarray
    time_key_: str

    @property
    def genes(self) -> tuple[str, ...]:
        """Return the fitted genes."""
        ...

    def encode(self, adata: AnnData) -> np.ndarray:
        """Return cells in latent space (n, latent), no noise drawn; ValueError for other genes."""
        ...

    def decode(self, latent: np.ndarray) -> np.ndarray:
        """Return the de-noised values (n, genes) of ``latent`` (n, latent)."""
        ...

    def velocity(self, latent: np.ndarray, time: float) -> np.ndarray:
        """Return dz/dt (n, latent) at ``time``, per unit of measured time."""
        ...

    def flow(
        self, latent: np.ndarray, start: float, times: Sequence[float] | np.ndarray
    ) -> np.ndarray:
        """Return where cells at time ``start`` are at ``times``: (n_times, n, latent).

        Times may lie before or after ``start``, in any order.
        """
        ...
