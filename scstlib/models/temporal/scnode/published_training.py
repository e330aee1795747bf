"""How the published scNODE is trained: its two losses, and what may be changed in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from scstlib.models.temporal.scnode.published_network import ScNODENetwork
from scstlib.ot import sinkhorn_divergence
from scstlib.training import History, minimise, terms_of

ADAM_BETAS = (0.95, 0.99)
BLUR, SCALING = 0.05, 0.5
# The transport loss is computed in full, with the term that has no gradient, every so many steps.
LOSS_EVERY = 10


@dataclass
class Batch:
    """Cells and noise of one training step.

    Attributes
    ----------
    start, start_eps : Tensor, shapes (n, genes) and (n, latent)
        Cells of the first time, and the noise that draws their latent points. With a leading axis
        (n_times - 1): cells of every time but the last, each of which starts a path of its own.
    target : Tensor, shape (n_times, m, genes)
        Measured cells that the decoded cells are compared with.
    encoded, encoded_eps : Tensor, shapes (n_times, n, genes) and (n_times, n, latent)
        Measured cells that, encoded, the integrated latent points are compared with.
    """

    start: Tensor
    start_eps: Tensor
    target: Tensor
    encoded: Tensor
    encoded_eps: Tensor


@dataclass(frozen=True)
class Comparison:
    """What is compared in a training step.

    Attributes
    ----------
    latent_weight : float
        Weight of the divergence in latent space.
    basis : Tensor (genes, components), optional
        Decoded and measured cells are projected on it before they are compared.
    latent_only : bool
        Compare nothing but the latent points; encoder and decoder stay as they are.
    max_step : float, optional
        As for :meth:`ScNODENetwork.integrate`.
    """

    latent_weight: float = 1.0
    basis: Tensor | None = None
    latent_only: bool = False
    max_step: float | None = None


def reconstruction_loss(network: ScNODENetwork, cells: Tensor, eps: Tensor) -> Tensor:
    """Return the mean squared error of encoded, drawn and decoded cells (n, genes)."""
    decoded = network.obs_decoder(network.encode(cells, eps))
    return nn.functional.mse_loss(decoded.to(cells.dtype), cells)


def joint_loss(
    network: ScNODENetwork,
    times: Tensor,
    batch: Batch,
    comparison: Comparison,
    *,
    constant_terms: bool = True,
    terms: slice = slice(None),
) -> tuple[Tensor, Tensor]:
    """Return the two parts of the loss of one training step.

    Parameters
    ----------
    times : Tensor, shape (n_times,)
        Training times as the ODE sees them; ``batch.start`` was measured at the first.
    constant_terms : bool
        False leaves the term of the measured cells alone out of the part in gene space: it costs
        most and has no gradient.
    terms : slice
        Times whose divergences are computed. The parts are their sums over the number of all
        times, so those of disjoint slices add up to the whole.

    Returns
    -------
    tuple of Tensor
        Mean divergence over times in gene space, and ``latent_weight`` times that in latent
        space. The loss is their sum.
    """
    with torch.set_grad_enabled(torch.is_grad_enabled() and not comparison.latent_only):
        start = network.encode(batch.start, batch.start_eps)
        measured = network.encode(batch.encoded[terms], batch.encoded_eps[terms])
    path = paths(network, times, start, comparison.max_step)[terms]
    zero = path.new_zeros(())
    if not len(path):
        return zero, zero
    cells_type = batch.target.dtype  # Half precision ends before distances are taken.
    in_latent = sinkhorn_divergence(
        measured.to(cells_type), path.to(cells_type), blur=BLUR, scaling=SCALING
    )
    in_genes = zero
    if not comparison.latent_only:
        decoded, target = network.obs_decoder(path).to(cells_type), batch.target[terms]
        if comparison.basis is not None:
            decoded, target = decoded @ comparison.basis, target @ comparison.basis
        in_genes = sinkhorn_divergence(
            decoded, target, blur=BLUR, scaling=SCALING, constant_term=constant_terms
        ).sum()
    return in_genes / len(times), comparison.latent_weight * in_latent.sum() / len(times)


def paths(
    network: ScNODENetwork, times: Tensor, start: Tensor, max_step: float | None = None
) -> Tensor:
    """Return latent points (n_times, n, latent) that reach each time.

    From ``start`` (n, latent) one path runs through all times. From (n_times - 1, n, latent) each
    time but the last starts a path to the next, and the first time keeps its points.
    """
    if start.ndim == 2:
        return network.integrate(start, times, max_step)
    reached = [
        network.integrate(points, times[i : i + 2], max_step)[-1] for i, points in enumerate(start)
    ]
    return torch.stack([start[0], *reached])


def draw_batch(
    cells: list[Tensor],
    *,
    batch_size: int,
    target_size: int,
    latent_dim: int,
    from_all: bool,
    generator: torch.Generator,
) -> Batch:
    """Draw the cells of one step from the cells of each time, arrays (n, genes)."""

    def normal(*shape: int) -> Tensor:
        device, dtype = cells[0].device, cells[0].dtype
        return torch.randn(*shape, latent_dim, generator=generator, device=device, dtype=dtype)

    n = batch_size
    if from_all:
        start = torch.stack([draw_cells(c, n, generator) for c in cells[:-1]])
        start_eps = normal(len(cells) - 1, n)
    else:
        start, start_eps = draw_cells(cells[0], n, generator), normal(n)
    return Batch(
        start=start,
        start_eps=start_eps,
        target=torch.stack([draw_cells(c, target_size, generator) for c in cells]),
        encoded=torch.stack([draw_cells(c, n, generator) for c in cells]),
        encoded_eps=normal(len(cells), n),
    )


def draw_cells(cells: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Draw n rows, without replacement where there are enough."""
    device = cells.device
    if len(cells) < n:
        return cells[torch.randint(len(cells), (n,), generator=generator, device=device)]
    return cells[torch.randperm(len(cells), generator=generator, device=device)[:n]]


def pretrain(
    network: ScNODENetwork,
    cells: Tensor,
    *,
    n_steps: int,
    learning_rate: float,
    generator: torch.Generator,
    stage: Mapping[str, Any],
) -> np.ndarray:
    """Train encoder and decoder on the reconstruction of all cells (n, genes); returns losses.

    ``stage`` holds what every stage gives to :func:`scstlib.training.minimise`.
    """
    rows = terms_of(stage["fabric"], len(cells))
    share = len(cells[rows]) * stage["fabric"].world_size / len(cells)

    def loss_of_step(_: int) -> Tensor:
        eps = torch.randn(
            len(cells), network.latent_dim, generator=generator,
            device=cells.device, dtype=cells.dtype,
        )  # fmt: skip
        loss: Tensor = share * reconstruction_loss(network, cells[rows], eps[rows])
        return loss

    autoencoder = [*network.latent_encoder.parameters(), *network.obs_decoder.parameters()]
    return minimise(
        loss_of_step,
        autoencoder,
        n_steps=n_steps,
        learning_rate=learning_rate,
        betas=ADAM_BETAS,
        label="autoencoder",
        **stage,
    ).losses


def train_jointly(
    network: ScNODENetwork,
    times: Tensor,
    comparison: Comparison,
    draw: Callable[[], Batch],
    *,
    n_steps: int,
    learning_rate: float,
    stage: Mapping[str, Any],
    validate: Callable[[], float] | None = None,
    validate_every: int = 50,
    patience: int = 10,
) -> History:
    """Train all networks on the transport loss, on a batch of its own in every step."""
    n_processes = stage["fabric"].world_size

    def loss_of_step(step: int) -> Tensor:
        in_genes, in_latent = joint_loss(
            network,
            times,
            draw(),
            comparison,
            # The full value is only for looking at; its gradient costs a third of it.
            constant_terms=step % LOSS_EVERY == 0,
            terms=terms_of(stage["fabric"], len(times)),
        )
        loss: Tensor = n_processes * (in_genes + in_latent)
        return loss

    trained = network.diffeq_decoder if comparison.latent_only else network
    history = minimise(
        loss_of_step,
        trained.parameters(),
        n_steps=n_steps,
        learning_rate=learning_rate,
        betas=ADAM_BETAS,
        label="joint training",
        validate=validate,
        validate_every=validate_every,
        patience=patience,
        **stage,
    )
    return history._replace(losses=history.losses[::LOSS_EVERY])


def population_divergence(predicted: Tensor, measured: Tensor, basis: Tensor | None) -> float:
    """Return the divergence between two populations (n, genes), as the loss takes it."""
    if basis is not None:
        predicted, measured = predicted @ basis, measured @ basis
    return float(sinkhorn_divergence(predicted, measured, blur=BLUR, scaling=SCALING))
