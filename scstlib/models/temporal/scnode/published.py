"""scNODE as published, and with each of its observed limits open to be changed.

Zhang, Larschan, Bigness, Singh 2024, Bioinformatics 40 (Suppl 2) ii146,
https://doi.org/10.1093/bioinformatics/btae393, as its public code does it
(``rsinghlab/scNODE`` at commit ``ba55e8d``). A variational autoencoder, a neural ODE in its latent
space, an optimal-transport loss: the networks are in
:mod:`scstlib.models.temporal.scnode.published_network`, the losses in
:mod:`scstlib.models.temporal.scnode.published_training`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import torch
from torch import Tensor

from scstlib.leakage import record_fit
from scstlib.models.files import load_weights, under
from scstlib.models.settings import (
    all_or_nothing,
    check_choices,
    check_not_negative,
    check_positive,
    check_whole,
    explain_arguments,
    layer_widths,
)
from scstlib.models.temporal.cells import (
    MeasuredCells,
    hold_out_time,
    measured_cells,
    reader_like,
)
from scstlib.models.temporal.protocol import (
    FittedOnCells,
    check_far,
    check_latent,
    check_reach,
    check_request,
    check_times,
)
from scstlib.models.temporal.scnode.model_time import ModelTime, time_points_of
from scstlib.models.temporal.scnode.published_network import ACTIVATIONS, OdeField, ScNODENetwork
from scstlib.models.temporal.scnode.published_training import (
    Comparison,
    draw_batch,
    population_divergence,
    pretrain,
    train_jointly,
)
from scstlib.preprocess.cells import ValueReader
from scstlib.training import launch, parameter_dtype, resolve_device, seeded_weights

if TYPE_CHECKING:
    from anndata import AnnData

GENES_OF = "latent_encoder.net.0.weight"  # Of shape (its width, genes).


class PublishedScNODE(FittedOnCells[MeasuredCells]):
    """scNODE as the authors' code trains it and predicts with it, unless a setting says otherwise.

    The defaults are the authors' settings for zebrafish. It draws latent points when it samples,
    but no measurement noise, whatever ``noise`` says. Samples lie at or after the first training
    time, where the first path starts; ``flow`` goes further back.

    Parameters
    ----------
    latent_dim : int
        Coordinates of a latent point.
    drift_hidden, encoder_hidden, decoder_hidden : sequence of int
        Widths of the hidden layers.
    pretrain_steps : int
        Full-batch steps on the reconstruction error, before the drift is trained.
    joint_steps : int
        Steps on the transport loss, all networks together.
    batch_size, target_size : int
        Cells integrated in a step, and measured cells of each time that they are compared with.
    latent_weight : float
        Weight of the transport loss in latent space.
    learning_rate : float
        Of Adam, in both stages.
    drift_activation : "relu", "signed_relu", "silu" or "tanh"
        "relu", as published, also after the last layer: no latent coordinate ever falls. The
        others end with a linear layer.
    solver_grid : "requested" or "fixed"
        "requested", as published: one Euler step between neighbouring times, of training or of
        the request. "fixed": steps of ``max_step`` whatever is requested.
    max_step : float
        In units of the time that the ODE sees, where the mean interval of the series is 1.
    start_times : "first" or "all"
        "first", as published: all cells start at the first training time. "all": in training
        every time starts paths to the next, and a prediction starts at the latest training time
        that is not after it.
    transport_space : "genes", "components" or "latent"
        Where decoded and measured cells are compared. "genes", as published. "components": in
        ``n_components`` principal components of the training cells, where the noise of single
        cells weighs less. "latent": nowhere; only the latent points are compared, and the
        pre-trained encoder and decoder stay as they are, for they could shrink that distance.
    n_components : int
        For ``transport_space="components"``.
    time : "index" or "real"
        What the ODE takes for time. "index": 0, 1, 2, ... for the times of ``time_points``, as
        published, with straight lines between them. "real": the measured time, in units of the
        mean interval of ``time_points`` so that a step is about as long as in "index".
    time_points : sequence of float, optional
        Times of the whole series, held-out ones included; None: the training times. Only the
        times enter the model, no cell of theirs.
    validate_every, patience : int
        With a validation time: joint steps between two validations, and how many in a row may be
        no better than the best before the training stops.
    seed : int
        Draws weights and batches.

    Attributes
    ----------
    network_ : ScNODENetwork
    cells_ : MeasuredCells
        The training cells at which paths start.
    losses_ : dict of numpy.ndarray
        Loss of each step of ``"pretrain"``, and of every tenth step of ``"joint"``; with a
        validation time the divergence from its cells, ``"validation"``.

    Raises
    ------
    ValueError
        For an unknown choice, or a number out of range.

    References
    ----------
    https://doi.org/10.1093/bioinformatics/btae393

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from anndata import AnnData
    >>> counts = np.random.default_rng(0).poisson(5.0, (90, 20)).astype(np.float32)
    >>> obs = pd.DataFrame({"time": np.repeat([0.0, 12.0, 24.0], 30)})
    >>> cells = AnnData(counts, obs=obs.set_index("cell" + obs.index.astype(str)))
    >>> model = PublishedScNODE(latent_dim=4, pretrain_steps=2, joint_steps=2).fit(cells)
    >>> model.sample([6.0], n_cells=4).shape
    (4, 20)
    """

    network_: ScNODENetwork | None = None
    losses_: dict[str, np.ndarray]
    _kind_of_cells = MeasuredCells

    @explain_arguments
    def __init__(
        self,
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
        drift_activation: Literal["relu", "signed_relu", "silu", "tanh"] = "relu",
        solver_grid: Literal["requested", "fixed"] = "requested",
        max_step: float = 0.1,
        start_times: Literal["first", "all"] = "first",
        transport_space: Literal["genes", "components", "latent"] = "genes",
        n_components: int = 20,
        time: Literal["index", "real"] = "index",
        time_points: Sequence[float] | None = None,
        validate_every: int = 50,
        patience: int = 10,
        seed: int = 0,
    ) -> None:
        self.latent_dim = latent_dim
        self.drift_hidden = layer_widths("drift_hidden", drift_hidden)
        self.encoder_hidden = layer_widths("encoder_hidden", encoder_hidden)
        self.decoder_hidden = layer_widths("decoder_hidden", decoder_hidden)
        self.pretrain_steps = pretrain_steps
        self.joint_steps = joint_steps
        self.batch_size = batch_size
        self.target_size = target_size
        self.latent_weight = latent_weight
        self.learning_rate = learning_rate
        self.drift_activation = drift_activation
        self.solver_grid = solver_grid
        self.max_step = max_step
        self.start_times = start_times
        self.transport_space = transport_space
        self.n_components = n_components
        self.time = time
        self.time_points = time_points_of(time_points)
        self.validate_every = validate_every
        self.patience = patience
        self.seed = seed
        check_choices(
            self.settings,
            {
                "drift_activation": ACTIVATIONS,
                "solver_grid": ("requested", "fixed"),
                "start_times": ("first", "all"),
                "transport_space": ("genes", "components", "latent"),
                "time": ("index", "real"),
            },
        )
        check_whole(
            self.settings,
            "latent_dim", "batch_size", "target_size", "n_components", "validate_every", "patience",
        )  # fmt: skip
        check_whole(self.settings, "pretrain_steps", "joint_steps", "seed", least=0)
        check_positive(self.settings, "learning_rate", "max_step")
        check_not_negative(self.settings, "latent_weight")

    @explain_arguments
    @all_or_nothing
    def fit(
        self,
        adata: AnnData,
        time_key: str = "time",
        *,
        device: str = "auto",
        precision: str = "32-true",
        max_cells_in_memory: int | None = None,
        validation_time: float | None = None,
        checkpoint: str | Path | None = None,
        progress: bool | None = None,
    ) -> Self:
        """Pre-train the autoencoder, then train everything on the transport loss.

        Parameters
        ----------
        adata : AnnData
            Training cells: counts, or values such as log counts.
        time_key : str
            Column of ``adata.obs`` with the measured time.
        device, precision : str
            As for :func:`scstlib.training.launch`.
        max_cells_in_memory : int, optional
            The full-batch pre-training needs all cells in memory; more than this are refused.
        validation_time : float, optional
            A measured time that is not trained on: the joint training stops where the prediction
            of its cells gets no better, and the best parameters are kept.
        checkpoint : path, optional
            Where the run is kept, in a file for each stage, to go on from after a break.
        progress : bool, optional
            Show a bar; None: on a terminal.

        Raises
        ------
        ValueError
            For input that :class:`scstlib.preprocess.cells.CellReader` refuses, more than
            ``max_cells_in_memory`` cells, or a validation time that was not measured or is the
            first.
        """
        if max_cells_in_memory is not None and adata.n_obs > max_cells_in_memory:
            raise ValueError(
                f"PublishedScNODE holds all {adata.n_obs} cells in memory, more than"
                f" max_cells_in_memory={max_cells_in_memory}; raise it, or take ScNODE."
            )
        cells, validation = hold_out_time(measured_cells(adata, time_key), validation_time)
        fabric = launch(device, precision)
        with seeded_weights(self.seed):
            network = self._new_network(len(cells.genes))
        self.network_ = network.to(fabric.device, parameter_dtype(fabric))
        self.cells_ = self._kept(cells)
        record_fit(self, adata)
        generator = torch.Generator(device=fabric.device).manual_seed(self.seed)
        run = "" if checkpoint is None else f"{self.settings} {precision} {_digest(cells)}"

        def stage(name: str) -> dict[str, Any]:
            return {
                "fabric": fabric,
                "generators": [generator],
                "checkpoint": None if checkpoint is None else Path(f"{checkpoint}.{name}"),
                "run": run,
                "progress": progress,
            }

        by_time = [network.tensor(cells.at(time)) for time in cells.times]
        basis = self._basis(cells)
        reconstruction = pretrain(
            network,
            torch.cat(by_time),
            n_steps=self.pretrain_steps,
            learning_rate=self.learning_rate,
            generator=generator,
            stage=stage("pretrain"),
        )
        history = train_jointly(
            network,
            network.tensor(self._field().clock(cells.times), torch.float64),
            Comparison(
                self.latent_weight, basis, self.transport_space == "latent", self._solver_step()
            ),
            lambda: draw_batch(
                by_time,
                batch_size=self.batch_size,
                target_size=self.target_size,
                latent_dim=self.latent_dim,
                from_all=self.start_times == "all",
                generator=generator,
            ),
            n_steps=self.joint_steps,
            learning_rate=self.learning_rate,
            stage=stage("joint"),
            validate=None if validation is None else self._validation(validation, basis),
            validate_every=self.validate_every,
            patience=self.patience,
        )
        self.losses_ = {"pretrain": reconstruction, "joint": history.losses}
        if validation is not None:
            self.losses_["validation"] = history.validation_losses
        return self

    @explain_arguments
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
            In the unit of the training times, none before the first of them.
        n_cells : int
            Cells at each time.
        seed : int
            Draws the latent points of the start cells.
        noise : bool or "depth"
            Makes no difference.

        Returns
        -------
        AnnData, (len(times) * n_cells, n_genes)
            In the unit of the input; counts with ``layers["log1p_cp10k"]`` as well.

        Raises
        ------
        ValueError
            If the model is not fitted or has no cells to start from, ``n_cells`` is no whole
            number above 0, ``noise`` is something else, or a time is not finite or lies before
            the first training time.
        """
        requested = check_request(times, n_cells, noise)
        cells = self._fitted()
        check_reach(requested, cells.times)
        return cells.as_anndata(self._populations(requested, n_cells, seed), requested)

    def _populations(self, times: list[float], n_cells: int, seed: int) -> list[np.ndarray]:
        """Repeat the cells of a start time, encode, integrate, decode."""
        cells, network = self._fitted(), self._network()
        populations: dict[float, np.ndarray] = {}
        for start, reached in self._starts(times).items():
            values = network.tensor(cells.at(start))
            # Each start cell is repeated as a block and the tail cut off, so the last start cells
            # are not used unless n_cells is a multiple of their number.
            values = values.repeat_interleave(-(-n_cells // len(values)), dim=0)[:n_cells]
            generator = torch.Generator(device=values.device).manual_seed(seed)
            eps = torch.randn(
                n_cells, self.latent_dim, generator=generator,
                device=values.device, dtype=values.dtype,
            )  # fmt: skip
            with torch.no_grad():
                latent = network.encode(values, eps).cpu().numpy()
            for time, points in zip(reached, self.flow(latent, start, reached), strict=True):
                populations[time] = self.decode(points)
        return [populations[time] for time in times]

    def _starts(self, times: list[float]) -> dict[float, list[float]]:
        """Requested times by the training time at which their paths start."""
        measured = self._fitted().times
        if self.start_times == "first":
            return {float(measured[0]): sorted(set(times))}
        starts: dict[float, list[float]] = {}
        for time in sorted(set(times)):
            start = measured[np.searchsorted(measured, time, side="right") - 1]
            starts.setdefault(float(start), []).append(time)
        return starts

    def encode(self, adata: AnnData | np.ndarray) -> np.ndarray:
        """Return the mean latent coordinates of cells, (n_cells, latent_dim).

        Parameters
        ----------
        adata : AnnData or numpy.ndarray, shape (n_cells, n_genes)
            Cells as fitted. An array holds values: of counts, log1p of counts per 10,000.

        Raises
        ------
        ValueError
            If the genes or the kind of values are not the fitted ones.
        """
        network = self._network()
        known = self.cells_
        named = known is not None and not isinstance(adata, np.ndarray)
        if not named and adata.shape[1:] != (network.n_genes,):
            raise ValueError(
                f"the model reads cells of {network.n_genes} genes, not an array {adata.shape}"
            )
        if isinstance(adata, np.ndarray):
            chunks = [adata]
        else:
            reader = ValueReader(adata) if known is None else reader_like(adata, known)
            chunks = [chunk for _, chunk in reader.chunks()]
        with torch.no_grad():
            means = [network.latent_encoder(network.tensor(c))[0].cpu().numpy() for c in chunks]
        return np.concatenate(means)

    def decode(self, latent: np.ndarray) -> np.ndarray:
        """Return the values, (n, n_genes), of latent points (n, latent_dim)."""
        network = self._network()
        latent = check_latent(latent, self.latent_dim)
        with torch.no_grad():
            decoded: Tensor = network.obs_decoder(network.tensor(latent))
        return decoded.cpu().numpy()

    def velocity(self, latent: np.ndarray, time: float) -> np.ndarray:
        """Return the velocity (n, latent_dim) of latent points, per unit of measured time."""
        field, (time,) = self._field(), check_times(time, "time")
        return field.velocity(check_latent(latent, self.latent_dim), time)

    def flow(self, latent: np.ndarray, start: float, times: Sequence[float]) -> np.ndarray:
        """Move latent points from ``start`` to each of ``times``; (n_times, n, latent_dim).

        ``times`` may lie on both sides of ``start``; to those before it the ODE is integrated
        backwards. Without a bound on the steps they end at the requested times and at the
        training times on the way.

        Raises
        ------
        ValueError
            If there are no weights, or for points or times that are not finite, points of another
            space, and times more than 1,000 mean intervals away.
        """
        field, latent = self._field(), check_latent(latent, self.latent_dim)
        (start,), times = check_times(start, "start"), check_times(times)
        check_far([start, *times], field.clock.points)
        return field.flow(latent, start, times)

    def load_published(
        self,
        state_dict: Mapping[str, Tensor | np.ndarray],
        adata: AnnData | None = None,
        time_key: str = "time",
        device: str = "auto",
    ) -> Self:
        """Take the weights of the authors' code, by their key names.

        Without cells the network encodes, decodes and moves latent points; their times are those
        of ``time_points``, or where that is None those that the ODE sees. Predictions start from
        cells: give them here or to :meth:`start_from`. What the weights were trained on is not
        written in them, so the leak guard knows of these cells only.

        Parameters
        ----------
        state_dict : mapping of str to Tensor or numpy.ndarray
            As ``torch.load(path, weights_only=True)`` gives it.
        adata : AnnData, optional
            Cells that the weights were trained on. None: those that the model has, if any.
        time_key : str
            Column of ``adata.obs`` with the measured time.
        device : str
            Where it predicts: "auto", "cpu", "cuda", "cuda:1", "mps".

        Raises
        ------
        ValueError
            Naming keys that are missing or not known, shapes that differ from the settings or the
            genes, or a device that is not there.
        """
        n_genes = np.shape(state_dict.get(GENES_OF, np.empty((0, 1))))[-1]
        network = self._new_network(n_genes)
        sizes = "latent_dim, drift_hidden, encoder_hidden, decoder_hidden and the genes"
        load_weights(network, state_dict, sizes)
        if adata is None and self.cells_ is not None and len(self.genes) != n_genes:
            raise ValueError(
                f"the weights are of {n_genes} genes, and the model was fitted on"
                f" {len(self.genes)}; load them into a new PublishedScNODE"
            )
        self.network_ = network.to(resolve_device(device))
        if adata is not None:
            self.cells_ = None
            return self.start_from(adata, time_key)
        if self.cells_ is None:
            record_fit(self)
        return self

    def start_from(self, adata: AnnData, time_key: str = "time") -> Self:
        """Take the cells that loaded weights were trained on: paths start at the first of them.

        Parameters
        ----------
        adata : AnnData
            Cells with the genes of the weights, in their order.
        time_key : str
            Column of ``adata.obs`` with the measured time.

        Raises
        ------
        ValueError
            If there are no weights, the number of genes is another, or for input that
            :class:`scstlib.preprocess.cells.CellReader` refuses.
        """
        n_genes = self._network().n_genes
        if adata.n_vars != n_genes:
            raise ValueError(f"the weights are of {n_genes} genes, and adata has {adata.n_vars}")
        self.cells_ = self._kept(measured_cells(adata, time_key))
        record_fit(self, adata)
        return self

    def _learned(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        weights = self._network().state_dict()
        learned, tensors = ({"cells": None}, {}) if self.cells_ is None else super()._learned()
        return learned, tensors | {f"network.{name}": value for name, value in weights.items()}

    def _restore(self, learned: dict[str, Any], tensors: dict[str, Tensor], device: str) -> None:
        if learned["cells"] is not None:
            super()._restore(learned, tensors, device)
        weights = under("network", tensors)
        network = self._new_network(weights[GENES_OF].shape[1]).to(weights[GENES_OF].dtype)
        load_weights(network, weights, "latent_dim and the widths of the hidden layers")
        self.network_ = network.to(resolve_device(device))

    def _new_network(self, n_genes: int) -> ScNODENetwork:
        return ScNODENetwork(
            n_genes, self.latent_dim, self.drift_hidden, self.encoder_hidden, self.decoder_hidden,
            self.drift_activation,
        )  # fmt: skip

    def _network(self) -> ScNODENetwork:
        if self.network_ is None:
            raise ValueError("the model is not fitted; call fit(adata, time_key) first.")
        return self.network_

    def _fitted(self) -> MeasuredCells:
        if self.cells_ is None and self.network_ is not None:
            raise ValueError(
                "cells are needed to predict from loaded weights: give those that they were"
                " trained on by start_from(adata, time_key)"
            )
        return super()._fitted()

    def _field(self) -> OdeField:
        # Without cells the training times are unknown, and 0, 1, 2, ... are those of the ODE.
        series = np.array([0.0, 1.0]) if self.cells_ is None else self.cells_.times
        clock = ModelTime(self.time_points or series, self.time)
        return OdeField(self._network(), clock, series, self._solver_step())

    def _solver_step(self) -> float | None:
        """The step bound of the solver; None where the requested times are its grid."""
        return self.max_step if self.solver_grid == "fixed" else None

    def _kept(self, cells: MeasuredCells) -> MeasuredCells:
        """What prediction needs: the cells at which paths start, and all training times."""
        if self.start_times == "all":
            return cells
        first = cells.time == cells.times[0]
        return replace(cells, values=cells.values[first], time=cells.time[first])

    def _basis(self, cells: MeasuredCells) -> Tensor | None:
        """Principal axes of the training cells, (genes, components), where the loss needs them."""
        from sklearn.decomposition import PCA

        if self.transport_space != "components":
            return None
        rank = min(self.n_components, *cells.values.shape)
        axes = PCA(rank, random_state=self.seed).fit(cells.values).components_
        return self._network().tensor(axes.T.copy())

    def _validation(self, cells: MeasuredCells, basis: Tensor | None) -> Callable[[], float]:
        """Divergence between predicted and measured cells of a time that is not trained on."""
        network, rng = self._network(), np.random.default_rng(self.seed)
        n = min(len(cells.values), 2 * self.target_size)
        measured = network.tensor(cells.values[rng.choice(len(cells.values), n, replace=False)])
        time = float(cells.times[0])

        def validate() -> float:
            predicted = self._populations([time], n, self.seed)[0]
            return population_divergence(network.tensor(predicted), measured, basis)

        return validate


def _digest(cells: MeasuredCells) -> str:
    """What tells the training cells of one run from those of another."""
    digest = sha256(json.dumps([cells.genes, cells.time_key]).encode())
    for array in (cells.values, cells.time):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
