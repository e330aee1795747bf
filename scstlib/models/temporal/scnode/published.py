"""scNODE as published, and with each of its observed limits open to be changed.

Zhang, Larschan, Bigness, Singh 2024, Bioinformatics 40 (Suppl 2) ii146,
https://doi.org/10.1093/bioinformatics/btae393, as its public code does it
(``rsinghlab/scNODE`` at commit ``ba55e8d``). A variational autoencoder, a neural ODE in its latent
space, an optimal-transport loss: the networks are in
:mod:`scstlib.models.temporal.scnode.published_network`, the
losses in :mod:`scstlib.models.temporal.scnode.published_training`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import torch
from torch import Tensor

from scstlib.leakage import record_fit
from scstlib.models.files import load_weights, write_model
from scstlib.models.temporal.cells import MeasuredCells, hold_out_time, measured_cells
from scstlib.models.temporal.protocol import warn_of_extrapolation
from scstlib.models.temporal.scnode.latent_ode import LatentODE
from scstlib.models.temporal.scnode.model_time import ModelTime
from scstlib.models.temporal.scnode.published_network import ScNODENetwork
from scstlib.models.temporal.scnode.published_settings import PublishedSettings
from scstlib.models.temporal.scnode.published_training import (
    population_divergence,
    pretrain,
    train_jointly,
)
from scstlib.training import launch, parameter_dtype, resolve_device, seeded_weights

if TYPE_CHECKING:
    from anndata import AnnData

FILE_NAME = "ScNODE"


class PublishedScNODE(LatentODE):
    """scNODE as the authors' code trains it and predicts with it, unless a switch says otherwise.

    It draws latent points when it samples, but no measurement noise, whatever ``noise`` says.
    Samples lie at or after the first training time, where the first path starts; ``flow`` goes
    further back.

    Parameters
    ----------
    **settings
        Of :class:`scstlib.models.temporal.scnode.published_settings.PublishedSettings`.

    Attributes
    ----------
    settings : PublishedSettings
    network_ : ScNODENetwork
    losses_ : dict of numpy.ndarray
        Loss of each step of ``"pretrain"``, and of every tenth step of ``"joint"``; with a
        validation time the divergence from its cells, ``"validation"``.

    References
    ----------
    https://doi.org/10.1093/bioinformatics/btae393
    """

    def __init__(self, **settings: Any) -> None:
        for name in ("drift_hidden", "encoder_hidden", "decoder_hidden"):
            if name in settings:  # Lists come from model files.
                settings[name] = tuple(settings[name])
        if settings.get("time_points") is not None:
            settings["time_points"] = tuple(sorted(float(t) for t in settings["time_points"]))
        self.settings = PublishedSettings(**settings)

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
                f"the published variant holds all {adata.n_obs} cells in memory, more than"
                f" max_cells_in_memory={max_cells_in_memory}; raise it, or take another variant."
            )
        cells, validation = hold_out_time(measured_cells(adata, time_key), validation_time)
        fabric = launch(device, precision)
        with seeded_weights(self.settings.seed):
            network = self._new_network(len(cells.genes))
        self.network_ = network.to(fabric.device, parameter_dtype(fabric))
        self.cells_ = self._kept(cells)
        record_fit(self, adata)
        generator = torch.Generator(device=fabric.device).manual_seed(self.settings.seed)
        run = "" if checkpoint is None else f"{self.settings} {precision} {_digest(cells)}"

        def stage(name: str) -> dict[str, Any]:
            return {
                "fabric": fabric,
                "generators": [generator],
                "checkpoint": None if checkpoint is None else Path(f"{checkpoint}.{name}"),
                "run": run,
                "progress": progress,
            }

        by_time = [self._tensor(cells.at(time)) for time in cells.times]
        basis = self._basis(cells)
        reconstruction = pretrain(
            network, torch.cat(by_time), self.settings, generator, stage("pretrain")
        )
        history = train_jointly(
            network,
            by_time,
            self._tensor(self._time_map()(cells.times), torch.float64),
            self.settings,
            basis,
            generator,
            stage("joint"),
            None if validation is None else self._validation(validation, basis),
        )
        self.losses_ = {"pretrain": reconstruction, "joint": history.losses}
        if validation is not None:
            self.losses_["validation"] = history.validation_losses
        return self

    def _populations(
        self, times: list[float], n_cells: int, seed: int, noise: bool | Literal["depth"]
    ) -> list[np.ndarray]:
        """Repeat the cells of a start time, encode, integrate, decode."""
        cells, network = self._fitted(), self._network()
        if min(times) < cells.times[0]:
            raise ValueError(
                f"time {min(times)} lies before the first training time {cells.times[0]}, where"
                " no path starts; flow(latent, start, times) integrates backwards."
            )
        warn_of_extrapolation(times, cells.times)
        populations: dict[float, np.ndarray] = {}
        for start, reached in self._starts(times).items():
            values = self._tensor(cells.at(start))
            # Each start cell is repeated as a block and the tail cut off, so the last start cells
            # are not used unless n_cells is a multiple of their number.
            values = values.repeat_interleave(-(-n_cells // len(values)), dim=0)[:n_cells]
            generator = torch.Generator(device=values.device).manual_seed(seed)
            eps = torch.randn(
                n_cells, self.settings.latent_dim, generator=generator,
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
        if self.settings.start_times == "first":
            return {float(measured[0]): sorted(set(times))}
        starts: dict[float, list[float]] = {}
        for time in sorted(set(times)):
            start = measured[np.searchsorted(measured, time, side="right") - 1]
            starts.setdefault(float(start), []).append(time)
        return starts

    def _new_network(self, n_genes: int) -> ScNODENetwork:
        of = self.settings
        return ScNODENetwork(
            n_genes, of.latent_dim, of.drift_hidden, of.encoder_hidden, of.decoder_hidden,
            of.drift_activation,
        )  # fmt: skip

    def _time_map(self) -> ModelTime:
        points = self.settings.time_points or self._fitted().times
        return ModelTime(points, self.settings.time)

    def _max_step(self) -> float | None:
        return self.settings.step

    def _kept(self, cells: MeasuredCells) -> MeasuredCells:
        """What prediction needs: the cells at which paths start, and all training times."""
        if self.settings.start_times == "all":
            return cells
        first = cells.time == cells.times[0]
        return replace(cells, values=cells.values[first], time=cells.time[first])

    def _basis(self, cells: MeasuredCells) -> Tensor | None:
        """Principal axes of the training cells, (genes, components), where the loss needs them."""
        from sklearn.decomposition import PCA

        if self.settings.transport_space != "components":
            return None
        rank = min(self.settings.n_components, *cells.values.shape)
        axes = PCA(rank, random_state=self.settings.seed).fit(cells.values).components_
        return self._tensor(axes.T.copy())

    def _validation(self, cells: MeasuredCells, basis: Tensor | None) -> Callable[[], float]:
        """Divergence between predicted and measured cells of a time that is not trained on."""
        rng = np.random.default_rng(self.settings.seed)
        n = min(len(cells.values), 2 * self.settings.target_size)
        measured = self._tensor(cells.values[rng.choice(len(cells.values), n, replace=False)])
        time = float(cells.times[0])

        def validate() -> float:
            predicted = self._populations([time], n, self.settings.seed, noise=False)[0]
            return population_divergence(self._tensor(predicted), measured, basis)

        return validate

    def load_published(
        self,
        state_dict: Mapping[str, Tensor | np.ndarray],
        adata: AnnData | None = None,
        time_key: str = "time",
    ) -> Self:
        """Take the weights of the authors' code, by their key names.

        Parameters
        ----------
        state_dict : mapping of str to Tensor or numpy.ndarray
            As ``torch.load(path, weights_only=True)`` gives it.
        adata : AnnData, optional
            Cells that the weights were trained on, where paths start. Not needed if the model is
            fitted; ``fit`` with no steps keeps the cells and learns nothing.

        Raises
        ------
        ValueError
            Naming keys that are missing or not known, or shapes that differ from the settings or
            the genes; or if there are no cells.
        """
        if adata is not None:
            cells = measured_cells(adata, time_key)
            self.cells_ = self._kept(cells)
            record_fit(self, adata)
        network = self._new_network(len(self._fitted().genes))
        sizes = "latent_dim, drift_hidden, encoder_hidden, decoder_hidden and the genes"
        load_weights(network, state_dict, sizes)
        self.network_ = network
        return self

    def save(self, path: str | Path) -> None:
        """Write weights, start cells and settings to one file, all or nothing.

        Raises
        ------
        ValueError
            If the model is not fitted.
        """
        network, cells = self._network(), self._fitted()
        tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
        for name in ("values", "time", "times"):
            tensors[f"cells.{name}"] = torch.as_tensor(getattr(cells, name))
        settings = {
            "variant": "published",
            "model": asdict(self.settings),
            "cells": {"genes": cells.genes, "time_key": cells.time_key, "depth": cells.depth},
        }
        write_model(path, FILE_NAME, settings, tensors)

    @classmethod
    def restore(
        cls, settings: Mapping[str, Any], tensors: Mapping[str, Tensor], device: str = "auto"
    ) -> Self:
        """Return the model of the settings and tensors of a model file."""
        model = cls(**settings["model"])
        about = settings["cells"]
        model.cells_ = MeasuredCells(
            **{name: tensors[f"cells.{name}"].numpy() for name in ("values", "time", "times")},
            genes=tuple(about["genes"]),
            time_key=about["time_key"],
            depth=about["depth"],
        )
        weights = {
            name.removeprefix("network."): value
            for name, value in tensors.items()
            if name.startswith("network.")
        }
        network = model._new_network(len(model.cells_.genes)).to(next(iter(weights.values())).dtype)
        network.load_state_dict(weights)
        model.network_ = network.to(resolve_device(device))
        return model


def _digest(cells: MeasuredCells) -> str:
    """What tells the training cells of one run from those of another."""
    digest = sha256(json.dumps([cells.genes, cells.time_key]).encode())
    for array in (cells.values, cells.time):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
