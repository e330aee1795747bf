"""scNODE with factors of the counts as latent space and a drift learned by flow matching.

Three parts, in the order in which ``fit`` makes them:

1. a latent space (:mod:`scstlib.models.count_factors`, or :mod:`scstlib.models.value_factors` for
   input that is no counts): encoder, decoder and observation model of cells;
2. a drift, a function of position and time (:mod:`scstlib.models.flow_matching`);
3. how fast the drift fades beyond the last training time, chosen by leaving that time out.

A prediction between two training times moves cells of the earlier one forwards and cells of the
later one backwards, more of those that are nearer; beyond the last it moves cells of the last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import torch
from torch import Tensor

from scstlib.leakage import record_fit
from scstlib.models.base import PopulationModel
from scstlib.models.cell_format import COUNTS_PER_CELL, CellFormat
from scstlib.models.count_factors import CountFactors, fit_count_factors
from scstlib.models.files import read_model, write_model
from scstlib.models.flow_matching import DriftSettings, TimedDrift, integrate, train_drift
from scstlib.models.model_time import ModelTime
from scstlib.models.protocol import check_request, warn_of_extrapolation
from scstlib.models.reading import MAX_CELLS_IN_MEMORY, CellReader, reader_like
from scstlib.models.scnode_networks import ACTIVATIONS
from scstlib.models.value_factors import ValueFactors, fit_value_factors
from scstlib.training import launch, resolve_device

if TYPE_CHECKING:
    from anndata import AnnData
    from lightning_fabric import Fabric

FILE_NAME = "ScNODE"
FACTORS = {"counts": CountFactors, "values": ValueFactors}
DAMPINGS = (0.0, 0.5, 1.0, 2.0, 4.0, None)


@dataclass(frozen=True)
class DefaultSettings:
    """Settings of :class:`DefaultScNODE`.

    Parameters
    ----------
    latent_dim : int, optional
        None: by parallel analysis of the training cells, at least ``smallest_rank``.
    smallest_rank : int
        A panel of few genes shows few components above its noise; the latent space keeps so many.
    drift_hidden, drift_activation
        Of the drift: "silu", "tanh" or "signed_relu"; with "relu" no latent coordinate ever falls.
    matching_steps, batch_size, learning_rate
        Of flow matching.
    transport_steps : int
        Steps on the Sinkhorn divergence in latent space after flow matching.
    growth : float, optional
        None: every cell keeps its mass between two times. A number: masses of unbalanced
        transport, the freer the smaller it is; for fates that grow at very different rates.
    damping : float or "auto", optional
        Beyond the last training time the drift decays by ``exp(-elapsed / damping)``, in mean
        intervals of the training times; 0: it stands still; None: it does not decay. "auto":
        what predicts the last training time best when the drift has not seen it.
    max_step : float
        Step bound of the solver, in mean intervals.
    start_times : "all" or "first"
        Where predicted cells start: at the neighbouring training times, or all at the first.
    time : "real" or "index"
        What the drift takes for time, as for the published variant.
    time_points : sequence of float, optional
        For ``time="index"``: times of the whole series; None: the training times.
    validate_every, patience : int
        With a validation time: steps between validations, and how many may be no better.
    seed : int

    Raises
    ------
    ValueError
        For a choice that there is not, or a number out of range.
    """

    latent_dim: int | None = None
    smallest_rank: int = 6
    drift_hidden: tuple[int, ...] = (64, 64)
    drift_activation: str = "silu"
    matching_steps: int = 800
    batch_size: int = 256
    learning_rate: float = 1e-2
    transport_steps: int = 0
    growth: float | None = None
    damping: float | str | None = "auto"
    max_step: float = 0.25
    start_times: str = "all"
    time: str = "real"
    time_points: tuple[float, ...] | None = None
    validate_every: int = 50
    patience: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        choices = {
            "drift_activation": tuple(ACTIVATIONS),
            "start_times": ("all", "first"),
            "time": ("real", "index"),
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {known}, not {getattr(self, name)!r}.")
        for name in ("max_step", "learning_rate", "batch_size", "smallest_rank", "matching_steps"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}.")
        if isinstance(self.damping, str) and self.damping != "auto":
            raise ValueError(f"damping must be a number, None or 'auto', not {self.damping!r}.")
        if isinstance(self.damping, int | float) and self.damping < 0:
            raise ValueError(f"damping must not be negative, got {self.damping}.")

    @property
    def drift(self) -> DriftSettings:
        """What flow matching needs of them."""
        return DriftSettings(
            hidden=self.drift_hidden,
            activation=self.drift_activation,
            matching_steps=self.matching_steps,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            transport_steps=self.transport_steps,
            growth=self.growth,
            seed=self.seed,
        )


@dataclass(frozen=True)
class LatentCells(CellFormat):
    """Training cells as points of the latent space.

    Attributes
    ----------
    points : numpy.ndarray, shape (n_cells, n_latent), float32
    time : numpy.ndarray, shape (n_cells,)
    """

    points: np.ndarray
    time: np.ndarray

    def at(self, time: float) -> np.ndarray:
        """Return the points of the cells measured at ``time``, (n, n_latent)."""
        return self.points[self.time == time]


class DefaultScNODE(PopulationModel[LatentCells]):
    """scNODE on factors of the counts; see the module.

    Parameters
    ----------
    **settings
        Of :class:`DefaultSettings`.

    Attributes
    ----------
    factors_ : CountFactors or ValueFactors
    drift_ : TimedDrift
    damping_ : float or None
        In mean intervals.
    losses_ : dict of numpy.ndarray
        Loss of each step of ``"matching"`` and ``"transport"``.
    """

    factors_: CountFactors | ValueFactors
    drift_: TimedDrift
    damping_: float | None

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
            For input that :class:`scstlib.models.reading.CellReader` refuses, a validation time
            that was not measured, or a ``latent_dim`` that the cells do not have.
        """
        reader = CellReader(adata, time_key, max_cells_in_memory=max_cells_in_memory)
        fabric = launch(device, precision)
        training = _training_rows(reader, validation_time)
        self._fit_factors(reader, training, fabric)
        points = self._encode(reader)
        about = reader.format
        times = np.unique(reader.time[training])
        self.cells_ = LatentCells(
            times, about.genes, time_key, about.depth, points[training], reader.time[training]
        )
        record_fit(self, adata)
        self.damping_ = 0.0 if self.settings.damping == "auto" else self.settings.damping
        stage: dict[str, Any] = {"progress": progress}
        if checkpoint is not None:
            stage |= {"checkpoint": f"{checkpoint}.drift", "run": self._run(precision)}
        if validation_time is not None:
            stage |= self._validation(points[~training], validation_time)
        self.drift_, self.losses_ = self._train(times, fabric, stage)
        if self.settings.damping == "auto":
            self.damping_ = self._chosen_damping(fabric)
        return self

    def _fit_factors(self, reader: CellReader, training: np.ndarray, fabric: Fabric) -> None:
        of, rng = self.settings, np.random.default_rng(self.settings.seed)
        rows = _same_share(reader.time, training, reader.max_cells_in_memory, rng)
        cells = torch.as_tensor(reader.stored_of(rows), device=fabric.device)
        if reader.holds_counts:
            totals = reader.totals[training]
            self.factors_ = fit_count_factors(
                cells, of.latent_dim, of.smallest_rank, totals, of.seed
            )
        else:
            self.factors_ = fit_value_factors(cells, of.latent_dim, of.smallest_rank, of.seed)

    def _encode(self, reader: CellReader | Any) -> np.ndarray:
        device = self._device()
        parts = [
            self.factors_.encode(torch.as_tensor(chunk, device=device)).cpu().numpy()
            for _, chunk in reader.stored_chunks()
        ]
        return np.concatenate(parts)

    def _train(
        self, times: np.ndarray, fabric: Fabric | None, stage: dict[str, Any]
    ) -> tuple[TimedDrift, dict[str, np.ndarray]]:
        """Train a drift on the cells of ``times``."""
        cells = self._fitted()
        populations = [cells.at(time) for time in times]
        return train_drift(
            populations, self._model_times(times), self.settings.drift, fabric, stage
        )

    def _chosen_damping(self, fabric: Fabric) -> float | None:
        """The damping with which a drift that has not seen the last time predicts it best."""
        import ot

        cells = self._fitted()
        if len(cells.times) < 4:
            return 1.0
        drift, _ = self._train(cells.times[:-1], fabric, {"progress": False})
        start, goal = (cells.at(time)[:500] for time in cells.times[-2:])
        first, last = self._model_times(cells.times[-2:])
        points = torch.as_tensor(start, device=self._device())
        distances = []
        for damping in DAMPINGS:
            with torch.no_grad():
                moved = integrate(
                    drift, points, first, np.array([last]), self.settings.max_step, damping
                )[0].cpu().numpy()
            cost = ot.dist(moved.astype(float), goal.astype(float))
            distances.append(ot.emd2(ot.unif(len(moved)), ot.unif(len(goal)), cost))
        return DAMPINGS[int(np.argmin(distances))]

    def _validation(self, points: np.ndarray, time: float) -> dict[str, Any]:
        """How :func:`scstlib.training.minimise` validates on the latent points of a time."""
        import ot

        goal = points[:500].astype(float)

        def validate() -> float:
            moved = self._latent(time, len(goal), np.random.default_rng(self.settings.seed))
            cost = ot.dist(moved.astype(float), goal)
            return float(ot.emd2(ot.unif(len(moved)), ot.unif(len(goal)), cost))

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
        latent = np.concatenate([self._latent(time, n_cells, rng) for time in requested])
        generator = torch.Generator(device=self._device()).manual_seed(seed)
        return self._as_anndata(latent, np.repeat(requested, n_cells), noise, generator)
