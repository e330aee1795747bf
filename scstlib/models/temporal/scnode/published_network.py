"""The networks of scNODE, as published and with a drift that can be changed.

Zhang, Larschan, Bigness, Singh 2024, Bioinformatics 40 (Suppl 2) ii146,
https://doi.org/10.1093/bioinformatics/btae393; public code ``rsinghlab/scNODE`` at commit
``ba55e8d``. :mod:`scstlib.models.temporal.scnode.published` trains them and predicts with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from scstlib.models.temporal.scnode.model_time import ModelTime

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "signed_relu": nn.ReLU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


def _linear_stack(
    sizes: Sequence[int], activation: type[nn.Module], after_last: bool = True
) -> nn.Sequential:
    """Linear layers, each followed by the activation, the last one too unless said otherwise."""
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), activation()]
    return nn.Sequential(*(layers if after_last else layers[:-1]))


class Encoder(nn.Module):
    """Cells to the mean and spread of their latent coordinates.

    The hidden layers have no activation, so the mean is a linear function of the cell.
    """

    def __init__(self, n_genes: int, hidden: Sequence[int], latent_dim: int) -> None:
        super().__init__()
        self.net = _linear_stack([n_genes, *hidden, latent_dim], nn.Identity)
        self.mu_layer = nn.Linear(latent_dim, latent_dim)
        self.var_layer = nn.Linear(latent_dim, latent_dim)

    def forward(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Cells (..., genes) to mu and sigma, both (..., latent)."""
        features = self.net(cells)
        return self.mu_layer(features), self.var_layer(features).abs()


class Decoder(nn.Module):
    """Latent coordinates (..., latent) to cells (..., genes)."""

    def __init__(self, latent_dim: int, hidden: Sequence[int], n_genes: int) -> None:
        super().__init__()
        sizes = [latent_dim, *hidden, n_genes]
        # Without a hidden layer the decoder is linear; with one, its output is never negative.
        self.net = _linear_stack(sizes, nn.ReLU if hidden else nn.Identity)

    def forward(self, latent: Tensor) -> Tensor:
        decoded: Tensor = self.net(latent)
        return decoded


class Drift(nn.Module):
    """The velocity of a latent point, which does not depend on time.

    With the activation "relu" it stands after the last layer too, so that no velocity is
    negative; with the others the last layer is linear.
    """

    def __init__(self, latent_dim: int, hidden: Sequence[int], activation: str = "relu") -> None:
        super().__init__()
        sizes = [latent_dim, *hidden, latent_dim]
        stack = _linear_stack(sizes, ACTIVATIONS[activation], after_last=activation == "relu")
        self.net = nn.ModuleDict({"net": stack})

    def forward(self, time: Tensor, latent: Tensor) -> Tensor:
        velocity: Tensor = self.net["net"](latent)
        return velocity


class ScNODENetwork(nn.Module):
    """Encoder, drift and decoder, under the key names of the authors' state dictionaries."""

    def __init__(
        self,
        n_genes: int,
        latent_dim: int,
        drift_hidden: Sequence[int],
        encoder_hidden: Sequence[int],
        decoder_hidden: Sequence[int],
        drift_activation: str = "relu",
    ) -> None:
        super().__init__()
        self.n_genes, self.latent_dim = n_genes, latent_dim
        self.latent_encoder = Encoder(n_genes, encoder_hidden, latent_dim)
        self.diffeq_decoder = Drift(latent_dim, drift_hidden, drift_activation)
        self.obs_decoder = Decoder(latent_dim, decoder_hidden, n_genes)

    def encode(self, cells: Tensor, eps: Tensor) -> Tensor:
        """Draw latent points mu + eps * sigma; cells (..., genes) and eps (..., latent)."""
        mu, sigma = self.latent_encoder(cells)
        drawn: Tensor = mu + eps * sigma
        return drawn

    def integrate(self, latent: Tensor, times: Tensor, max_step: float | None = None) -> Tensor:
        """Follow latent points (n, latent) from ``times[0]``; returns (n_times, n, latent).

        Explicit Euler. Without ``max_step`` it makes one step between consecutive ``times``, so
        the path depends on which times are asked for. With it, steps of that length are made from
        ``times[0]`` on and the path is linear within a step: it is the same path whatever is asked
        for.
        """
        from torchdiffeq import odeint

        if len(times) == 1:
            return latent[None]
        options = None if max_step is None else {"step_size": max_step}
        path: Tensor = odeint(self.diffeq_decoder, latent, times, method="euler", options=options)
        return path

    def tensor(self, values: np.ndarray, dtype: torch.dtype | None = None) -> Tensor:
        """Return numbers where the weights are, in their type unless another is given."""
        weight = next(self.parameters())
        values = np.require(values, requirements="W")  # torch warns of an array that is read-only
        return torch.as_tensor(values, dtype=dtype or weight.dtype, device=weight.device)


@dataclass(frozen=True)
class OdeField:
    """Velocities and paths of latent points in measured time.

    Attributes
    ----------
    network : ScNODENetwork
    clock : ModelTime
        Measured time to the time that the ODE sees.
    training_times : numpy.ndarray, shape (n_times,)
        Steps without a bound end there too.
    max_step : float or None
        Step bound of the solver in the time that the ODE sees; None for no bound.
    """

    network: ScNODENetwork
    clock: ModelTime
    training_times: np.ndarray
    max_step: float | None

    def velocity(self, latent: np.ndarray, time: float) -> np.ndarray:
        """Return the velocity (n, latent) of latent points, per unit of measured time."""
        with torch.no_grad():
            drift: Tensor = self.network.diffeq_decoder(None, self.network.tensor(latent))
        return drift.cpu().numpy() * self.clock.rate(time)

    def flow(self, latent: np.ndarray, start: float, times: Sequence[float]) -> np.ndarray:
        """Move latent points from ``start`` to each of ``times``; (n_times, n, latent)."""
        requested = np.atleast_1d(np.asarray(times, dtype=float))
        points = self.network.tensor(latent)
        moved = points.new_empty((len(requested), *points.shape))
        moved[requested == start] = points
        for direction in (1, -1):
            ahead = direction * (requested - start) > 0
            if ahead.any():
                moved[ahead] = self._path(points, start, requested[ahead], direction)
        return moved.cpu().numpy()

    def _path(self, points: Tensor, start: float, times: np.ndarray, direction: int) -> Tensor:
        """Latent points at ``times``, all later than ``start`` (1) or all earlier (-1)."""
        last = times[np.argmax(direction * times)]
        on_the_way = [t for t in self.training_times if min(start, last) < t < max(start, last)]
        grid = np.unique([start, *on_the_way, *times])[::direction]
        place = [int(np.flatnonzero(grid == time)[0]) for time in times]
        model_times = self.network.tensor(self.clock(grid), torch.float64)
        with torch.no_grad():
            return self.network.integrate(points, model_times, self.max_step)[place]
