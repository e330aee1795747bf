"""The networks of scNODE and the loss of one training step, as published.

Zhang, Larschan, Bigness, Singh 2024, Bioinformatics 40 (Suppl 2) ii146,
https://doi.org/10.1093/bioinformatics/btae393; public code ``rsinghlab/scNODE`` at commit
``ba55e8d``. :mod:`scstlib.models.scnode` trains them and predicts with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from scstlib.ot import sinkhorn_divergence


def _linear_stack(sizes: Sequence[int], activation: type[nn.Module]) -> nn.Sequential:
    """Linear layers, each followed by the activation, the last one too."""
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), activation()]
    return nn.Sequential(*layers)


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
        return self.net(latent)


class Drift(nn.Module):
    """The velocity of a latent point; ReLU after the last layer keeps it from being negative."""

    def __init__(self, latent_dim: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.net = nn.ModuleDict({"net": _linear_stack([latent_dim, *hidden, latent_dim], nn.ReLU)})

    def forward(self, time: Tensor, latent: Tensor) -> Tensor:
        return self.net["net"](latent)


class ScNODENetwork(nn.Module):
    """Encoder, drift and decoder, under the key names of the authors' state dictionaries."""

    def __init__(
        self,
        n_genes: int,
        latent_dim: int,
        drift_hidden: Sequence[int],
        encoder_hidden: Sequence[int],
        decoder_hidden: Sequence[int],
    ) -> None:
        super().__init__()
        self.latent_encoder = Encoder(n_genes, encoder_hidden, latent_dim)
        self.diffeq_decoder = Drift(latent_dim, drift_hidden)
        self.obs_decoder = Decoder(latent_dim, decoder_hidden, n_genes)

    def encode(self, cells: Tensor, eps: Tensor) -> Tensor:
        """Draw latent points mu + eps * sigma; cells (..., genes) and eps (..., latent)."""
        mu, sigma = self.latent_encoder(cells)
        return mu + eps * sigma

    def integrate(self, latent: Tensor, times: Tensor) -> Tensor:
        """Follow latent points (n, latent) from ``times[0]``; returns (n_times, n, latent).

        Explicit Euler with one step between consecutive ``times``: the path depends on which
        times are asked for.
        """
        from torchdiffeq import odeint

        if len(times) == 1:
            return latent[None]
        return odeint(self.diffeq_decoder, latent, times, method="euler")


def joint_loss(
    network: ScNODENetwork,
    times: Tensor,
    start: Tensor,
    start_eps: Tensor,
    target: Tensor,
    encoded: Tensor,
    encoded_eps: Tensor,
    latent_weight: float = 1.0,
    constant_terms: bool = True,
) -> tuple[Tensor, Tensor]:
    """Return the two parts of the loss of one training step.

    Parameters
    ----------
    times : Tensor, shape (n_times,)
        Training times as the ODE sees them; the first is where ``start`` was measured.
    start, start_eps : Tensor, shapes (n, genes) and (n, latent)
        Cells of the first time and the noise that draws their latent points.
    target : Tensor, shape (n_times, m, genes)
        Measured cells that the decoded cells are compared with.
    encoded, encoded_eps : Tensor, shapes (n_times, n, genes) and (n_times, n, latent)
        Measured cells that, encoded, the integrated latent points are compared with.
    latent_weight : float
        Weight of the latent part.
    constant_terms : bool
        False leaves the term of the measured cells alone out of the part in gene space: it costs
        most and has no gradient.

    Returns
    -------
    tuple of Tensor
        Mean divergence over times in gene space, and ``latent_weight`` times that in latent
        space. The loss is their sum.
    """
    path = network.integrate(network.encode(start, start_eps), times)
    decoded = network.obs_decoder(path)
    in_genes = sinkhorn_divergence(
        decoded, target, blur=0.05, scaling=0.5, constant_term=constant_terms
    ).mean()
    measured = network.encode(encoded, encoded_eps)
    in_latent = sinkhorn_divergence(measured, path, blur=0.05, scaling=0.5).mean()
    return in_genes, latent_weight * in_latent
