"""scNODE with factors of the counts as latent space and a drift learned by flow matching.

Three parts, in the order in which ``fit`` makes them:

1. a latent space (:mod:`scstlib.models.temporal.scnode.count_factors`, or
   :mod:`scstlib.models.temporal.scnode.value_factors` for
   input that is no counts): encoder, decoder and observation model of cells;
2. a drift, a function of position and time (:mod:`scstlib.models.temporal.scnode.flow_matching`);
3. how fast the drift fades beyond the last training time, chosen by leaving that time out.

A prediction between two training times moves cells of the earlier one forwards and cells of the
later one backwards, more of those that are nearer; beyond the last it moves cells of the last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import torch
from torch import Tensor

from scstlib.leakage import record_fit
from scstlib.models.files import write_model
from scstlib.models.temporal.base import PopulationModel
from scstlib.models.temporal.cells import CellFormat, reader_like
from scstlib.models.temporal.protocol import check_request, warn_of_extrapolation
from scstlib.models.temporal.scnode.count_factors import CountFactors, fit_count_factors
from scstlib.models.temporal.scnode.default_settings import DefaultSettings
from scstlib.models.temporal.scnode.drift import (
    DAMPINGS,
    MAX_COMPARED,
    DriftField,
    damping_errors,
    squared_w2,
)
from scstlib.models.temporal.scnode.flow_matching import TimedDrift, train_drift
from scstlib.models.temporal.scnode.latent_cells import (
    LatentCells,
    predicted_cells,
    same_share,
    training_rows,
)
from scstlib.models.temporal.scnode.model_time import ModelTime
from scstlib.models.temporal.scnode.transport_curves import Coupled, couple_times
from scstlib.models.temporal.scnode.value_factors import ValueFactors, fit_value_factors
from scstlib.preprocess.cells import MAX_CELLS_IN_MEMORY, CellReader
from scstlib.training import launch, resolve_device

if TYPE_CHECKING:
    from anndata import AnnData
    from lightning_fabric import Fabric

FILE_NAME = "ScNODE"
SHORTER = 3  # Drifts that only choose the damping are trained in as many times fewer steps.


class DefaultScNODE(PopulationModel[LatentCells]):
    """scNODE on factors of the counts; see the module.

    Parameters
    ----------
    **settings
        Of :class:`DefaultSettings`.

    Attributes
    ----------
    factors_ : CountFactors or ValueFactors
    field_ : DriftField
        The trained drift in measured time.
    losses_ : dict of numpy.ndarray
        Loss of each step of ``"matching"`` and ``"transport"``.
    """

    factors_: CountFactors | ValueFactors
    field_: DriftField

    def __init__(self, **settings: Any) -> None:
        if "drift_hidden" in settings:
            settings["drift_hidden"] = tuple(settings["drift_hidden"])
        if settings.get("time_points") is not None:
            settings["time_points"] = tuple(sorted(float(t) for t in settings["time_points"]))
        self.settings = DefaultSettings(**settings)

    def fit(
        self,
        adata: AnnData,
        time_key: str = "time",
        *,
        device: str = "auto",
        precision: str = "32-true",
        max_cells_in_memory: int = MAX_CELLS_IN_MEMORY,
        validation_time: float | None = None,
        checkpoint: str | Path | None = None,
        progress: bool | None = None,
    ) -> Self:
        """Fit the factors, then the drift between the measured populations.

        Parameters
        ----------
        adata : AnnData
            Training cells: raw counts, or values such as log counts; may be backed.
        time_key : str
            Column of ``adata.obs`` with the measured time.
        device, precision : str
            As for :func:`scstlib.training.launch`; the factors are fitted in single precision.
        max_cells_in_memory : int
            Factors are fitted on so many cells, the same share of every time; all cells are
            encoded, in chunks of so many.
        validation_time : float, optional
            A measured time that is not trained on: training stops where the prediction of its
            cells gets no better.
        checkpoint : path, optional
            Where the training of the drift is kept, to go on from after a break.
        progress : bool, optional
            Show a bar; None: on a terminal.

        Raises
        ------
        ValueError
            For input that :class:`scstlib.preprocess.cells.CellReader` refuses, a validation time
            that was not measured, or a ``latent_dim`` that the cells do not have.
        """
        reader = CellReader(adata, time_key, max_cells_in_memory=max_cells_in_memory)
        fabric = launch(device, precision)
        training = training_rows(reader, validation_time)
        self._fit_factors(reader, training, fabric)
        points = self._encode(reader)
        about = CellFormat(reader.times, reader.genes, time_key, reader.depth)
        times = np.unique(reader.time[training])
        self.cells_ = LatentCells(
            times, about.genes, time_key, about.depth, points[training], reader.time[training]
        )
        record_fit(self, adata)
        how: dict[str, Any] = {"progress": progress}
        if checkpoint is not None:
            how |= {"checkpoint": checkpoint, "run": self._run(precision)}
        if validation_time is not None:
            how |= self._validation(points[~training], validation_time)
        clock = self._clock()
        coupled = couple_times(
            [self.cells_.at(time) for time in times],
            self.settings.growth,
            np.random.default_rng(self.settings.seed),
        )
        drift, self.losses_ = train_drift(coupled, clock(times), self.settings.drift, fabric, **how)
        damping = self._damping(coupled, clock(times), fabric)
        self.field_ = DriftField(drift, clock, self.settings.max_step, damping)
        return self

    def _fit_factors(self, reader: CellReader, training: np.ndarray, fabric: Fabric) -> None:
        of, rng = self.settings, np.random.default_rng(self.settings.seed)
        rows = same_share(reader.time, training, reader.max_cells_in_memory, rng)
        cells = torch.as_tensor(reader.stored_of(rows), device=fabric.device)
        if reader.holds_counts:
            totals = reader.totals[training]
            self.factors_ = fit_count_factors(
                cells, of.latent_dim, of.smallest_rank, totals, of.seed
            )
        else:
            self.factors_ = fit_value_factors(cells, of.latent_dim, of.smallest_rank, of.seed)

    def _encode(self, reader: CellReader | Any) -> np.ndarray:
        device, points = self._device(), np.empty((0, 0), dtype=np.float32)
        for rows, chunk in reader.stored_chunks():
            found = self.factors_.encode(torch.as_tensor(chunk, device=device)).cpu().numpy()
            # Small results kept one by one would break up the memory that chunks are read into.
            if rows.start == 0:
                points = np.empty((len(reader), found.shape[1]), dtype=np.float32)
            points[rows] = found
        return points

    def _clock(self) -> ModelTime:
        return ModelTime(self.settings.time_points or self._fitted().times, self.settings.time)

    def _damping(self, coupled: Coupled, times: np.ndarray, fabric: Fabric) -> float | None:
        """The damping with which drifts that have not seen the last times predict them best."""
        of = self.settings
        if not isinstance(of.damping, str):
            return of.damping
        shorter = replace(of.drift, matching_steps=of.matching_steps // SHORTER)
        errors = []
        for n in range(max(3, len(times) - 2), len(times)):
            drift, _ = train_drift(coupled.first(n), times[:n], shorter, fabric, progress=False)
            grid, (before, after) = times[n - 1 : n + 1], coupled.cells[n - 1 : n + 1]
            errors.append(damping_errors(drift, grid, before, after, of.max_step))
        # With fewer than four times none can be left out, and nothing says how far the drift holds.
        return DAMPINGS[int(np.argmin(np.sum(errors, axis=0)))] if errors else 0.0

    def _validation(self, points: np.ndarray, time: float) -> dict[str, Any]:
        """How :func:`scstlib.training.minimise` validates on the latent points of a time."""
        n_cells = min(len(points), MAX_COMPARED)

        def validate(drift: TimedDrift) -> float:
            field = DriftField(drift, self._clock(), self.settings.max_step, damping=None)
            rng = np.random.default_rng(self.settings.seed)
            return squared_w2(self._latent(time, n_cells, rng, field), points)

        return {
            "validate": validate,
            "validate_every": self.settings.validate_every,
            "patience": self.settings.patience,
        }

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
            Draws start cells, depths and counts.
        noise : bool or "depth"
            True: cells as they would be measured. False: the de-noised population; of counts, X
            is the expected count of a cell of median depth and ``layers["log1p_cp10k"]`` the
            expected log value of a measured cell. "depth": the same for cells that differ in
            depth as measured ones do.

        Returns
        -------
        AnnData, (len(times) * n_cells, n_genes)
            In the unit of the input; counts with ``layers["log1p_cp10k"]`` as well. Latent points
            are in ``obsm["latent"]``.

        Raises
        ------
        ValueError
            If the model is not fitted, ``n_cells`` is below 1, a time is not finite or lies
            before the first training time.
        """
        requested = check_request(times, n_cells)
        cells = self._fitted()
        if min(requested) < cells.times[0]:
            raise ValueError(
                f"time {min(requested)} lies before the first training time {cells.times[0]}, where"
                " no path starts; flow(latent, start, times) integrates backwards."
            )
        warn_of_extrapolation(requested, cells.times)
        rng = np.random.default_rng(seed)
        latent = np.concatenate(
            [self._latent(time, n_cells, rng, self.field_) for time in requested]
        )
        generator = torch.Generator(device=self._device()).manual_seed(seed)
        return predicted_cells(
            self.factors_, cells, latent, np.repeat(requested, n_cells), noise, generator
        )

    def _populations(
        self, times: list[float], n_cells: int, seed: int, noise: bool | Literal["depth"]
    ) -> list[np.ndarray]:
        values = self.sample(times, n_cells, seed, noise)
        predicted = values.layers.get("log1p_cp10k", values.X)
        return list(np.split(np.asarray(predicted), len(times)))

    def _latent(
        self, time: float, n_cells: int, rng: np.random.Generator, field: DriftField
    ) -> np.ndarray:
        """Latent points (n_cells, n_latent) of the population at a time."""
        times = self._fitted().times
        if self.settings.start_times == "first":
            return self._moved(times[0], time, n_cells, rng, field)
        after = int(np.searchsorted(times, time, side="right"))
        if after == len(times):
            return self._moved(times[-1], time, n_cells, rng, field)
        left, right = times[after - 1], times[after]
        # Drawing the remainder keeps the share of the later time right for any n_cells.
        n_right = int(n_cells * (time - left) / (right - left) + rng.random())
        parts = [(left, n_cells - n_right), (right, n_right)]
        return np.concatenate([self._moved(start, time, n, rng, field) for start, n in parts if n])

    def _moved(
        self, start: float, time: float, n_cells: int, rng: np.random.Generator, field: DriftField
    ) -> np.ndarray:
        """Cells of a training time, each as often as any other up to one, moved to ``time``."""
        points = self._fitted().at(start)
        whole, rest = divmod(n_cells, len(points))
        # Drawn as copying draws them: a drift at rest predicts the cells that copying does.
        drawn = rng.choice(len(points), rest, replace=False)
        rows = np.r_[np.repeat(np.arange(len(points)), whole), drawn]
        return field.flow(points[rows], start, [time])[0]

    def encode(self, adata: AnnData) -> np.ndarray:
        """Return the latent points of cells, (n_cells, n_latent).

        Raises
        ------
        ValueError
            If the genes or the kind of values are not the fitted ones.
        """
        return self._encode(reader_like(adata, self._fitted()))

    def decode(self, latent: np.ndarray) -> np.ndarray:
        """Return the expected values, (n, n_genes), at latent points (n, n_latent)."""
        return self.factors_.expected_values(self._tensor(latent)).cpu().numpy()

    def velocity(self, latent: np.ndarray, time: float) -> np.ndarray:
        """Return the velocity (n, n_latent) of latent points, per unit of measured time."""
        self._fitted()
        return self.field_.velocity(latent, time)

    def flow(self, latent: np.ndarray, start: float, times: Sequence[float]) -> np.ndarray:
        """Move latent points from ``start`` to each of ``times``; (n_times, n, n_latent).

        ``times`` may lie before or after ``start``, in any order; the path does not depend on
        which of them are asked for.
        """
        self._fitted()
        return self.field_.flow(latent, start, times)

    def _device(self) -> torch.device:
        factors = self.factors_
        return (factors.mean if isinstance(factors, ValueFactors) else factors.intercept).device

    def _tensor(self, latent: np.ndarray) -> Tensor:
        self._fitted()
        return torch.as_tensor(np.asarray(latent), dtype=torch.float32, device=self._device())

    def _run(self, precision: str) -> str:
        """What tells one run of training from another."""
        cells = self._fitted()
        digest = sha256(np.ascontiguousarray(cells.points).tobytes())
        digest.update(np.ascontiguousarray(cells.time).tobytes())
        return f"{self.settings} {precision} {digest.hexdigest()[:16]}"

    def save(self, path: str | Path) -> None:
        """Write factors, drift, latent training cells and settings to one file, all or nothing.

        Raises
        ------
        ValueError
            If the model is not fitted.
        """
        cells = self._fitted()
        tensors = {f"drift.{name}": value for name, value in self.field_.drift.state_dict().items()}
        for name in ("points", "time", "times"):
            tensors[f"cells.{name}"] = torch.as_tensor(getattr(cells, name))
        numbers = {}
        for name, value in vars(self.factors_).items():
            if isinstance(value, Tensor):
                tensors[f"factors.{name}"] = value
            else:
                numbers[name] = value
        settings = {
            "variant": "default",
            "model": asdict(self.settings),
            "cells": {"genes": cells.genes, "time_key": cells.time_key, "depth": cells.depth},
            "factors": numbers,
            "damping": self.field_.damping,
        }
        write_model(path, FILE_NAME, settings, tensors)

    @classmethod
    def restore(
        cls, settings: Mapping[str, Any], tensors: Mapping[str, Tensor], device: str = "auto"
    ) -> Self:
        """Return the model of the settings and tensors of a model file."""
        model, where = cls(**settings["model"]), resolve_device(device)
        groups: dict[str, dict[str, Tensor]] = {"factors": {}, "drift": {}, "cells": {}}
        for name, value in tensors.items():
            group, _, key = name.partition(".")
            groups[group][key] = value.to(where) if group != "cells" else value
        about = settings["cells"]
        model.cells_ = LatentCells(
            **{name: value.numpy() for name, value in groups["cells"].items()},
            genes=tuple(about["genes"]), time_key=about["time_key"], depth=about["depth"],
        )  # fmt: skip
        kind: Any = CountFactors if about["depth"] is not None else ValueFactors
        model.factors_ = kind(**groups["factors"], **settings["factors"])
        of = model.settings
        n_latent = model.cells_.points.shape[1]
        drift = TimedDrift(n_latent, of.drift_hidden, of.drift_activation).to(where)
        drift.load_state_dict(groups["drift"])
        model.field_ = DriftField(drift, model._clock(), of.max_step, settings["damping"])
        return model
