"""Cells in the latent space of a neural ODE, and along its paths."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from scstlib.models.temporal.base import PopulationModel
from scstlib.models.temporal.cells import MeasuredCells, reader_like
from scstlib.models.temporal.scnode.model_time import ModelTime
from scstlib.models.temporal.scnode.published_network import ScNODENetwork

if TYPE_CHECKING:
    from anndata import AnnData


class LatentODE(PopulationModel[MeasuredCells]):
    """The latent-flow protocol on an encoder, a drift and a decoder."""

    network_: ScNODENetwork | None = None

    def encode(self, adata: AnnData) -> np.ndarray:
        """Return the mean latent coordinates of cells, (n_cells, latent_dim).

        Raises
        ------
        ValueError
            If the genes or the kind of values are not the fitted ones.
        """
        network, reader = self._network(), reader_like(adata, self._fitted())
        with torch.no_grad():
            means = [
                network.latent_encoder(self._tensor(chunk))[0].cpu().numpy()
                for _, chunk in reader.chunks()
            ]
        return np.concatenate(means)

    def decode(self, latent: np.ndarray) -> np.ndarray:
        """Return the values, (n, n_genes), of latent points (n, latent_dim)."""
        with torch.no_grad():
            decoded: Tensor = self._network().obs_decoder(self._tensor(latent))
        return decoded.cpu().numpy()

    def velocity(self, latent: np.ndarray, time: float) -> np.ndarray:
        """Return the velocity (n, latent_dim) of latent points, per unit of measured time."""
        with torch.no_grad():
            drift: Tensor = self._network().diffeq_decoder(None, self._tensor(latent))
        return drift.cpu().numpy() * self._time_map().rate(time)

    def flow(self, latent: np.ndarray, start: float, times: Sequence[float]) -> np.ndarray:
        """Move latent points from ``start`` to each of ``times``; (n_times, n, latent_dim).

        ``times`` may lie on both sides of ``start``; to those before it the ODE is integrated
        backwards. Without a bound on the steps they end at the requested times and at the
        training times on the way.
        """
        requested = np.atleast_1d(np.asarray(times, dtype=float))
        points = self._tensor(latent)
        moved = points.new_empty((len(requested), *points.shape))
        moved[requested == start] = points
        for direction in (1, -1):
            ahead = direction * (requested - start) > 0
            if ahead.any():
                moved[ahead] = self._integrate(points, start, requested[ahead], direction)
        return moved.cpu().numpy()

    def _integrate(self, points: Tensor, start: float, times: np.ndarray, direction: int) -> Tensor:
        """Latent points at ``times``, all later than ``start`` (1) or all earlier (-1)."""
        last = times[np.argmax(direction * times)]
        on_the_way = [
            time for time in self._fitted().times
            if min(start, last) < time < max(start, last)
        ]  # fmt: skip
        grid = np.unique([start, *on_the_way, *times])[::direction]
        place = [int(np.flatnonzero(grid == time)[0]) for time in times]
        model_times = self._tensor(self._time_map()(grid), torch.float64)
        with torch.no_grad():
            return self._network().integrate(points, model_times, self._max_step())[place]

    @abstractmethod
    def _time_map(self) -> ModelTime:
        """Measured times to the times that the ODE sees."""

    @abstractmethod
    def _max_step(self) -> float | None:
        """Step bound of the solver in the time that the ODE sees; None for no bound."""

    def _network(self) -> ScNODENetwork:
        self._fitted()
        assert self.network_ is not None
        return self.network_

    def _tensor(self, values: np.ndarray, dtype: torch.dtype | None = None) -> Tensor:
        """Numbers where the network is, in its type unless another is given."""
        weight = next(self._network().parameters())
        values = np.require(values, requirements="W")  # torch warns of an array that is read-only
        return torch.as_tensor(values, dtype=dtype or weight.dtype, device=weight.device)
