"""scNODE: a variational autoencoder, a neural ODE in its latent space, an optimal-transport loss.

Zhang, Larschan, Bigness, Singh 2024, Bioinformatics 40 (Suppl 2) ii146,
https://doi.org/10.1093/bioinformatics/btae393, as its public code does it
(``rsinghlab/scNODE`` at commit ``ba55e8d``). The networks and the loss of one step are in
:mod:`scstlib.models.scnode_networks`; this file trains them and predicts with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from torch import Tensor, nn

from scstlib.leakage import record_fit
from scstlib.models.base import PopulationModel
from scstlib.models.files import read_model, write_model
from scstlib.models.protocol import MeasuredCells, measured_cells
from scstlib.models.scnode_networks import ScNODENetwork, joint_loss
from scstlib.training import minimise, resolve_device, seeded_weights

if TYPE_CHECKING:
    from anndata import AnnData

ADAM_BETAS = (0.95, 0.99)
# The full value of the transport loss is only for looking at; its gradient costs a third of it.
LOSS_EVERY = 10
SETTINGS = (
    "variant",
    "latent_dim",
    "drift_hidden",
    "encoder_hidden",
    "decoder_hidden",
    "pretrain_steps",
    "joint_steps",
    "batch_size",
    "target_size",
    "latent_weight",
    "learning_rate",
    "time",
    "time_points",
    "seed",
)


class ScNODE(PopulationModel[MeasuredCells]):
    """scNODE in the temporal protocol.

    Parameters
    ----------
    variant : "published"
        The model as the authors' code trains it and predicts with it.
    latent_dim, drift_hidden, encoder_hidden, decoder_hidden
        Sizes of the networks; the defaults are the authors' settings for zebrafish.
    pretrain_steps : int
        Full-batch steps on the reconstruction error, before the drift is trained.
    joint_steps : int
        Steps on the transport loss, all networks together.
    batch_size, target_size : int
        Cells integrated in a step, and measured cells of each time that they are compared with.
    latent_weight : float
        Weight of the transport loss in latent space.
    learning_rate : float
    time : "index" or "real"
        What the ODE takes for time. "index": 0, 1, 2, ... for the times of ``time_points``, as
        published, with straight lines between them. "real": the measured time, in units of the
        mean interval of ``time_points`` so that a step is about as long as in "index".
    time_points : sequence of float, optional
        Times of the whole series, held-out ones included; None: the training times. Only the
        times enter the model, no cell of theirs.
    seed : int
        Draws weights and batches.
    device : str
        "auto", "cpu" or "cuda".

    Attributes
    ----------
    network_ : ScNODENetwork
    losses_ : dict of numpy.ndarray
        Loss of each step of ``"pretrain"``, and of every tenth step of ``"joint"``.

    References
    ----------
    https://doi.org/10.1093/bioinformatics/btae393
    """

    def __init__(
        self,
        variant: str = "published",
        *,
        latent_dim: int = 50,
        drift_hidden: Sequence[int] = (50, 50),
        encoder_hidden: Sequence[int] = (),
        decoder_hidden: Sequence[int] = (),
        pretrain_steps: int = 200,
        joint_steps: int = 1000,
        batch_size: int = 32,
        target_size: int = 200,
        latent_weight: float = 1.0,
        learning_rate: float = 1e-3,
        time: str = "index",
        time_points: Sequence[float] | None = None,
        seed: int = 0,
        device: str = "auto",
    ) -> None:
        if variant != "published":
            raise ValueError(f"variant {variant!r} is not known; there is 'published'.")
        if time not in ("index", "real"):
            raise ValueError(f"time must be 'index' or 'real', not {time!r}.")
        self.variant = variant
        self.latent_dim = latent_dim
        self.drift_hidden = tuple(drift_hidden)
        self.encoder_hidden = tuple(encoder_hidden)
        self.decoder_hidden = tuple(decoder_hidden)
        self.pretrain_steps = pretrain_steps
        self.joint_steps = joint_steps
        self.batch_size = batch_size
        self.target_size = target_size
        self.latent_weight = latent_weight
        self.learning_rate = learning_rate
        self.time = time
        self.time_points = None if time_points is None else sorted(float(t) for t in time_points)
        self.seed = seed
        self.device = device
        self.network_: ScNODENetwork | None = None

    def fit(self, adata: AnnData, time_key: str = "time") -> Self:
        """Pre-train the autoencoder, then train everything on the transport loss.

        Parameters
        ----------
        adata : AnnData
            Training cells: counts, or values such as log counts.
        time_key : str
            Column of ``adata.obs`` with the measured time.

        Raises
        ------
        ValueError
            For input that :func:`scstlib.models.protocol.measured_cells` refuses.
        """
        cells = measured_cells(adata, time_key)
        device = resolve_device(self.device)
        generator = torch.Generator(device=device).manual_seed(self.seed)
        with seeded_weights(self.seed):
            network = self._new_network(len(cells.genes)).to(device)
        self.cells_, self.network_ = self._keep(cells), network
        record_fit(self, adata)
        by_time = [torch.as_tensor(cells.at(time), device=device) for time in cells.times]
        self.losses_ = {
            "pretrain": self._pretrain(torch.cat(by_time), generator),
            "joint": self._train_jointly(by_time, self._model_time(cells.times), generator),
        }
        return self

    def _populations(
        self, times: list[float], n_cells: int, seed: int, noise: bool
    ) -> list[np.ndarray]:
        """Repeat cells of the first time, encode, integrate over all times, decode."""
        cells, network = self._fitted(), self._network()
        if min(times) < cells.times[0]:
            raise ValueError(
                f"time {min(times)} lies before the first training time {cells.times[0]};"
                " the model integrates forward only."
            )
        device = next(network.parameters()).device
        generator = torch.Generator(device=device).manual_seed(seed)
        # Each start cell is repeated as a block and the tail cut off, so the last start cells
        # are not used unless n_cells is a multiple of their number.
        start = torch.as_tensor(cells.values, device=device)
        start = start.repeat_interleave(-(-n_cells // len(start)), dim=0)[:n_cells]
        grid = np.union1d(cells.times, times)
        with torch.no_grad():
            eps = torch.randn(n_cells, self.latent_dim, generator=generator, device=device)
            path = network.integrate(network.encode(start, eps), self._model_time(grid).to(device))
            rows = torch.as_tensor(np.searchsorted(grid, times), device=device)
            populations = network.obs_decoder(path[rows]).cpu().numpy()
        return list(populations)

    def _new_network(self, n_genes: int) -> ScNODENetwork:
        return ScNODENetwork(
            n_genes, self.latent_dim, self.drift_hidden, self.encoder_hidden, self.decoder_hidden
        )

    def _network(self) -> ScNODENetwork:
        self._fitted()
        assert self.network_ is not None
        return self.network_

    def _keep(self, cells: MeasuredCells) -> MeasuredCells:
        """Keep what prediction needs: the cells of the first time, and all training times."""
        first = cells.time == cells.times[0]
        return replace(cells, values=cells.values[first], time=cells.time[first])

    def _model_time(self, times: np.ndarray) -> Tensor:
        """Measured times (n,) to the times that the ODE sees (n,)."""
        points = np.asarray(self.time_points or self._fitted().times, dtype=float)
        interval = (points[-1] - points[0]) / (len(points) - 1)
        if self.time == "real":
            return torch.as_tensor((times - points[0]) / interval, dtype=torch.float32)
        index = np.interp(times, points, np.arange(len(points)))
        beyond = np.maximum(times - points[-1], 0) / interval
        return torch.as_tensor(index + beyond, dtype=torch.float32)

    def _pretrain(self, cells: Tensor, generator: torch.Generator) -> np.ndarray:
        network = self._network()

        def loss_of_step(_: int) -> Tensor:
            eps = torch.randn(len(cells), self.latent_dim, generator=generator, device=cells.device)
            return nn.functional.mse_loss(network.obs_decoder(network.encode(cells, eps)), cells)

        autoencoder = [*network.latent_encoder.parameters(), *network.obs_decoder.parameters()]
        return minimise(
            loss_of_step,
            autoencoder,
            n_steps=self.pretrain_steps,
            learning_rate=self.learning_rate,
            betas=ADAM_BETAS,
        )

    def _train_jointly(
        self, by_time: list[Tensor], times: Tensor, generator: torch.Generator
    ) -> np.ndarray:
        network = self._network()
        device = by_time[0].device
        times = times.to(device)
        n, latent_dim = self.batch_size, self.latent_dim

        def loss_of_step(step: int) -> Tensor:
            in_genes, in_latent = joint_loss(
                network,
                times,
                start=_draw(by_time[0], n, generator),
                start_eps=torch.randn(n, latent_dim, generator=generator, device=device),
                target=torch.stack([_draw(c, self.target_size, generator) for c in by_time]),
                encoded=torch.stack([_draw(c, n, generator) for c in by_time]),
                encoded_eps=torch.randn(
                    len(by_time), n, latent_dim, generator=generator, device=device
                ),
                latent_weight=self.latent_weight,
                constant_terms=step % LOSS_EVERY == 0,
            )
            return in_genes + in_latent

        losses = minimise(
            loss_of_step,
            network.parameters(),
            n_steps=self.joint_steps,
            learning_rate=self.learning_rate,
            betas=ADAM_BETAS,
        )
        return losses[::LOSS_EVERY]

    def save(self, path: str | Path) -> None:
        """Write weights, start cells and settings to one file, all or nothing.

        Raises
        ------
        ValueError
            If the model is not fitted.
        """
        network, cells = self._network(), self._fitted()
        tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
        tensors["start_cells"] = torch.as_tensor(cells.values)
        tensors["training_times"] = torch.as_tensor(cells.times)
        settings = {
            "model": {name: getattr(self, name) for name in SETTINGS},
            "cells": {"genes": cells.genes, "time_key": cells.time_key, "depth": cells.depth},
        }
        write_model(path, "ScNODE", settings, tensors)

    @classmethod
    def load(cls, path: str | Path, device: str = "auto") -> ScNODE:
        """Read a model that :meth:`save` wrote.

        Raises
        ------
        FileNotFoundError, ValueError
            As :func:`scstlib.models.files.read_model` says.
        """
        settings, tensors = read_model(path, "ScNODE")
        model = cls(**settings["model"], device=device)
        times, start = tensors.pop("training_times").numpy(), tensors.pop("start_cells").numpy()
        about = settings["cells"]
        model.cells_ = MeasuredCells(
            values=start,
            time=np.full(len(start), times[0]),
            times=times,
            genes=tuple(about["genes"]),
            time_key=about["time_key"],
            depth=about["depth"],
        )
        network = model._new_network(len(model.cells_.genes))
        network.load_state_dict({k.removeprefix("network."): v for k, v in tensors.items()})
        model.network_ = network.to(resolve_device(device))
        return model


def _draw(cells: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Draw n rows, without replacement where there are enough."""
    device = cells.device
    if len(cells) < n:
        return cells[torch.randint(len(cells), (n,), generator=generator, device=device)]
    return cells[torch.randperm(len(cells), generator=generator, device=device)[:n]]
