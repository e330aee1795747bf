"""scNODE with factors of the counts as latent space and a drift learned by flow matching.

Four parts, in the order in which ``fit`` makes them:

1. a latent space (:mod:`scstlib.models.temporal.scnode.count_factors`, or
   :mod:`scstlib.models.temporal.scnode.value_factors` for input that is no counts): encoder,
   decoder and observation model of cells;
2. a drift, a function of position and time (:mod:`scstlib.models.temporal.scnode.flow_matching`);
3. how fast the drift fades beyond the last training time, chosen by leaving that time out;
4. how much the drift is trusted between training times, chosen by leaving these out
   (:mod:`scstlib.models.temporal.scnode.pool`).

The drift moves cells of the earlier of two training times forwards and cells of the later one
backwards, more of those that are nearer; beyond the last it moves cells of the last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import torch
from torch import Tensor

from scstlib.leakage import record_fit
from scstlib.models.files import check_shapes, load_weights, under
from scstlib.models.settings import (
    all_or_nothing,
    check_choices,
    check_not_negative,
    check_positive,
    check_whole,
    explain_arguments,
    layer_widths,
)
from scstlib.models.temporal.cells import reader_like
from scstlib.models.temporal.protocol import (
    FittedOnCells,
    check_far,
    check_latent,
    check_reach,
    check_request,
    check_times,
)
from scstlib.models.temporal.scnode.count_factors import CountFactors, fit_count_factors
from scstlib.models.temporal.scnode.drift import (
    MAX_COMPARED,
    DriftField,
    choose_damping,
    squared_w2,
)
from scstlib.models.temporal.scnode.flow_matching import DriftSettings, TimedDrift, train_drift
from scstlib.models.temporal.scnode.latent_cells import (
    LatentCells,
    StartCells,
    as_cells,
    population_at,
    same_share,
    some_of_each,
    training_rows,
    warn_of_cells_outside,
)
from scstlib.models.temporal.scnode.model_time import ModelTime, time_points_of
from scstlib.models.temporal.scnode.pool import CLOCKS, Pool, choose_pool
from scstlib.models.temporal.scnode.prediction import Prediction
from scstlib.models.temporal.scnode.published_network import ACTIVATIONS
from scstlib.models.temporal.scnode.transport_curves import couple_times
from scstlib.models.temporal.scnode.value_factors import ValueFactors, fit_value_factors
from scstlib.models.temporal.scnode.ways import DRIFT, SMOOTHED, WAYS, device_of
from scstlib.preprocess.cells import MAX_CELLS_IN_MEMORY, CellReader, ValueReader
from scstlib.training import launch, resolve_device

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from lightning_fabric import Fabric

KEPT_CELLS = 1000  # Of a time, that combined predictions start from.


class ScNODE(FittedOnCells[LatentCells]):
    """Cells flow through a latent space, learned from populations measured at some times.

    The latent space are factors of the counts, the drift in it is learned by flow matching, and
    cells are drawn from it by a negative binomial. After the model of Zhang et al. 2024
    (https://doi.org/10.1093/bioinformatics/btae393), which as published is
    :class:`scstlib.models.PublishedScNODE`.

    Parameters
    ----------
    latent_dim : int, optional
        None: by parallel analysis of the training cells, at most one for 25 cells, at least
        ``smallest_rank``.
    smallest_rank : int
        A panel of few genes shows few components above its noise; the latent space keeps so many.
    drift_hidden : sequence of int
        Widths of the hidden layers of the drift.
    drift_activation : "silu", "tanh", "signed_relu" or "relu"
        With "relu" no latent coordinate ever falls.
    matching_steps, batch_size, learning_rate
        Of flow matching.
    transport_steps : int
        Steps on the Sinkhorn divergence in latent space after flow matching.
    growth : float, optional
        None: every cell keeps its mass between two times. A number: cells of the earlier time have
        the masses of :func:`scstlib.models.temporal.transport.grow`, the freer the smaller it is;
        for fates that grow at different rates. Cells that stay or move in pairs are drawn as often
        as they have mass at the requested time, others alike. Left-out times do not tell whether
        it helps (``benchmarks.temporal.growth``): set it if fates are known to grow at different
        rates.
    damping : float or "auto", optional
        Beyond the last training time the drift decays by ``exp(-elapsed / damping)``, in mean
        intervals of the training times; 0: it stands still; None: it does not decay. "auto":
        what predicts the last two training times best when the drift has not seen them; with
        fewer than four training times 0, as there is nothing to learn it from.
    max_step : float
        Step bound of the solver, in mean intervals.
    start_times : "all" or "first"
        Where predicted cells start: at the neighbouring training times, or all at the first.
    time : "index" or "real"
        What the drift takes for time: 0, 1, 2, ... for the times of ``time_points``, with straight
        lines between them, or the measured time, in mean intervals. In real time a short interval
        sets velocities that a long one beside it cannot hold.
    time_points : sequence of float, optional
        For ``time="index"``: times of the whole series; None: the training times.
    clock : "measured", "displacement" or "auto"
        How far between two training times combined predictions are: in proportion to the measured
        time; to the way that the mean of the cells travels, for series whose cells move ever more
        slowly or faster; or whichever predicts left-out times better by more than chance.
    combine : bool
        True: cells between two training times come from several predictions, of which the drift
        is one, in shares that predict left-out training times best; :meth:`report` shows them.
        False: all come from the drift. Those that start at the first time always do.
    validate_every, patience : int
        With a validation time: steps between validations, and how many may be no better.
    seed : int
        Draws weights, curves and batches.

    Attributes
    ----------
    factors_ : CountFactors or ValueFactors
        The latent space.
    field_ : DriftField
        The trained drift in measured time.
    cells_ : LatentCells
        The training cells in the latent space.
    losses_ : dict of numpy.ndarray
        Loss of each step of ``"matching"`` and ``"transport"``.
    pool_ : Pool or None
        What ``combine`` chose; None: the drift alone predicts.
    start_ : StartCells or None
        Measured cells that combined predictions start from, at most 1,000 of each time.

    Raises
    ------
    ValueError
        For an unknown choice, or a number out of range.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from anndata import AnnData
    >>> counts = np.random.default_rng(0).poisson(5.0, (90, 20)).astype(np.float32)
    >>> obs = pd.DataFrame({"time": np.repeat([0.0, 12.0, 24.0], 30)})
    >>> cells = AnnData(counts, obs=obs.set_index("cell" + obs.index.astype(str)))
    >>> model = ScNODE(latent_dim=2, matching_steps=10).fit(cells)
    >>> model.sample([6.0], n_cells=4).shape
    (4, 20)
    """

    factors_: CountFactors | ValueFactors
    field_: DriftField
    losses_: dict[str, np.ndarray]
    pool_: Pool | None
    start_: StartCells | None
    _kind_of_cells = LatentCells

    @explain_arguments
    def __init__(
        self,
        *,
        latent_dim: int | None = None,
        smallest_rank: int = 10,
        drift_hidden: Sequence[int] = (64, 64),
        drift_activation: Literal["silu", "tanh", "signed_relu", "relu"] = "silu",
        matching_steps: int = 800,
        batch_size: int = 256,
        learning_rate: float = 1e-2,
        transport_steps: int = 0,
        growth: float | None = None,
        damping: float | Literal["auto"] | None = "auto",
        max_step: float = 0.25,
        start_times: Literal["all", "first"] = "all",
        time: Literal["real", "index"] = "index",
        time_points: Sequence[float] | None = None,
        clock: Literal["measured", "displacement", "auto"] = "measured",
        combine: bool = True,
        validate_every: int = 50,
        patience: int = 10,
        seed: int = 0,
    ) -> None:
        self.latent_dim = latent_dim
        self.smallest_rank = smallest_rank
        self.drift_hidden = layer_widths("drift_hidden", drift_hidden)
        self.drift_activation = drift_activation
        self.matching_steps = matching_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.transport_steps = transport_steps
        self.growth = growth
        self.damping = damping
        self.max_step = max_step
        self.start_times = start_times
        self.time = time
        self.time_points = time_points_of(time_points)
        self.clock = clock
        self.combine = combine
        self.validate_every = validate_every
        self.patience = patience
        self.seed = seed
        check_choices(
            self.settings,
            {
                "drift_activation": ACTIVATIONS,
                "start_times": ("all", "first"),
                "time": ("real", "index"),
                "clock": (*CLOCKS, "auto"),
            },
        )
        if not isinstance(combine, bool):
            raise ValueError(f"combine must be True or False, not {combine!r}")
        check_whole(
            self.settings,
            "smallest_rank", "matching_steps", "batch_size", "validate_every", "patience",
        )  # fmt: skip
        check_whole(self.settings, "transport_steps", "seed", least=0)
        check_positive(self.settings, "learning_rate", "max_step")
        if latent_dim is not None:
            check_whole(self.settings, "latent_dim")
        if growth is not None:
            check_positive(self.settings, "growth")
        if damping is not None and damping != "auto":
            check_not_negative(self.settings, "damping")

    @explain_arguments
    @all_or_nothing
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
        times = np.unique(reader.time[training])
        self.cells_ = LatentCells(
            times, reader.genes, time_key, reader.depth, points[training], reader.time[training]
        )
        record_fit(self, adata)
        validate = None
        if validation_time is not None:
            validate = self._validation(points[~training], validation_time)
        clock = self._clock()
        coupled = couple_times(
            [self.cells_.at(time) for time in times],
            self.growth,
            np.random.default_rng(self.seed),
        )
        drift, self.losses_ = train_drift(
            coupled,
            clock(times),
            self.drift_settings,
            fabric,
            validate=validate,
            validate_every=self.validate_every,
            patience=self.patience,
            checkpoint=checkpoint,
            run="" if checkpoint is None else self._run(precision),
            progress=progress,
        )
        damping = self.damping
        if damping == "auto":
            damping = choose_damping(
                coupled, clock(times), self.drift_settings, self.max_step, fabric
            )
        self.field_ = DriftField(drift, clock, self.max_step, damping)
        self.pool_ = self.start_ = None
        if self.combine and self.start_times == "all":
            self._choose_pool(reader, training)
        return self

    def report(self) -> pd.DataFrame:
        """Return where predicted cells between two training times come from.

        Returns
        -------
        pandas.DataFrame, one row for each way of predicting
            ``share`` of the cells with ``noise=True``, and for each training time that was left
            out the energy distance to its measured cells, in the unit of the values. Then the
            expected populations (``noise="depth"``, of values ``noise=False`` too), with the
            squared Wasserstein distances in principal components (*place*) and in all genes. The
            drift's are used where they are nearer by more than chance, or nearer at a single time;
            the logs of both ratios are added. With ``clock="auto"`` also both clocks, with the
            energy distance of cells in the shares of no knowledge.

        Raises
        ------
        ValueError
            If the model is not fitted or does not combine predictions.
        """
        import pandas as pd

        self._fitted()
        if self.pool_ is None:
            raise ValueError("the drift alone predicts: combine=False, or it starts at one time")
        pool = self.pool_
        kinds = [("noise=True", way, "energy") for way in WAYS]
        for cells, score in (("expected, place", "place"), ("expected, genes", "genes")):
            kinds += [(cells, way, score) for way in (DRIFT, SMOOTHED)]
        clocks = CLOCKS if self.clock == "auto" else ()
        kinds += [("clock", f"{name} clock", "energy") for name in clocks]
        shares = [*pool.shares, *2 * [float(way == pool.expected) for way in (DRIFT, SMOOTHED)]]
        shares += [float(name == pool.clock) for name in clocks]
        index = pd.MultiIndex.from_tuples([k[:2] for k in kinds], names=["cells", "way"])
        scores = {
            f"without {row['time']:g}": [
                row.get(f"{score}, {way}", np.nan) for _, way, score in kinds
            ]
            for row in pool.left_out
        }
        return pd.DataFrame({"share": shares, **scores}, index=index)

    @property
    def drift_settings(self) -> DriftSettings:
        """How the drift is trained."""
        return DriftSettings(
            hidden=self.drift_hidden,
            activation=self.drift_activation,
            matching_steps=self.matching_steps,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            transport_steps=self.transport_steps,
            seed=self.seed,
        )

    def _fit_factors(self, reader: CellReader, training: np.ndarray, fabric: Fabric) -> None:
        rng = np.random.default_rng(self.seed)
        rows = same_share(reader.time, training, reader.max_cells_in_memory, rng)
        cells = torch.as_tensor(reader.stored_of(rows), device=fabric.device)
        if reader.holds_counts:
            totals = reader.totals[training]
            self.factors_ = fit_count_factors(
                cells, self.latent_dim, self.smallest_rank, totals, self.seed
            )
        else:
            self.factors_ = fit_value_factors(cells, self.latent_dim, self.smallest_rank, self.seed)

    def _choose_pool(self, reader: CellReader, training: np.ndarray) -> None:
        cells, n_times = self._fitted(), len(self._fitted().times)
        most = max(min(KEPT_CELLS, reader.max_cells_in_memory // n_times), 2)
        rows = some_of_each(reader.time, training, most, np.random.default_rng(self.seed))
        place = np.searchsorted(np.flatnonzero(training), rows)
        self.start_ = StartCells.of(reader.stored_of(rows), cells.points[place], cells.time[place])
        self.pool_ = choose_pool(
            cells,
            self.start_,
            self.factors_,
            self.drift_settings,
            lambda times: ModelTime(self.time_points or times, self.time),
            self.max_step,
            self.growth,
            CLOCKS if self.clock == "auto" else (self.clock,),
        )

    def _encode(self, reader: ValueReader) -> np.ndarray:
        device, points = self._device(), np.empty((0, 0), dtype=np.float32)
        for rows, chunk in reader.stored_chunks():
            found = self.factors_.encode(torch.as_tensor(chunk, device=device)).cpu().numpy()
            # Small results kept one by one would break up the memory that chunks are read into.
            if rows.start == 0:
                points = np.empty((len(reader), found.shape[1]), dtype=np.float32)
            points[rows] = found
        return points

    def _clock(self) -> ModelTime:
        return ModelTime(self.time_points or self._fitted().times, self.time)

    def _validation(self, points: np.ndarray, time: float) -> Callable[[TimedDrift], float]:
        """How far a drift is off the latent points of a time that is not trained on."""
        n_cells = min(len(points), MAX_COMPARED)

        def validate(drift: TimedDrift) -> float:
            field = DriftField(drift, self._clock(), self.max_step, damping=None)
            rng = np.random.default_rng(self.seed)
            predicted = population_at(self._fitted(), field, time, n_cells, rng, self.start_times)
            return squared_w2(predicted, points)

        return validate

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
            Draws start cells, depths and counts.
        noise : bool or "depth"
            True: cells as they would be measured; at a measured time, measured cells. False: the
            population without noise. "depth": expected values of cells that differ as measured
            ones do, to be compared with measured cells. Of counts both hold expected counts in X,
            for log expression, and in ``layers["log1p_cp10k"]`` mean log values of measured cells.
            False is then for cells of median depth and always of the drift, before the last time
            from means of near cells; "depth" is of the drift at drawn depths or of smoothed cells,
            whose X has the median depth, as :meth:`report` says. Of values both are the same.
            Beyond the last time all kinds move as far as the damped drift does.

        Returns
        -------
        AnnData, (len(times) * n_cells, n_genes)
            In the unit of the input; counts with ``layers["log1p_cp10k"]`` as well. Latent points
            are in ``obsm["latent"]``.

        Raises
        ------
        ValueError
            If the model is not fitted, ``n_cells`` is no whole number above 0, ``noise`` is
            something else, or a time is not finite or lies before the first training time.

        Warns
        -----
        UserWarning
            If a time lies far beyond the last, or over 5% of the cells lie outside the range
            measured at the times around it, along a latent axis, by more than half of that range.
            Smoothed cells are checked only beyond the last time.
        """
        requested = check_request(times, n_cells, noise)
        noise = noise if noise == "depth" else bool(noise)  # numpy has a True of its own
        cells = self._fitted()
        check_reach(requested, cells.times)
        prediction = self._prediction()
        drawn = prediction.draw(requested, n_cells, noise, seed)
        each = np.split(drawn.latent, len(requested))
        for asked, points in zip(requested, each, strict=True):
            # Before the last time, means of measured cells lie among these.
            if asked > cells.times[-1] or not prediction.smooths(noise):
                warn_of_cells_outside(points, cells, asked)
        time = np.repeat(requested, n_cells)
        return as_cells(cells, time, drawn.x, drawn.values, drawn.latent, drawn=noise is True)

    def _prediction(self) -> Prediction:
        return Prediction(
            self._fitted(),
            self.factors_,
            self.field_,
            self.pool_,
            self.start_,
            self.growth,
            self.start_times,
        )

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
        latent = check_latent(latent, self._fitted().points.shape[1])
        return self.factors_.expected_values(self._tensor(latent)).cpu().numpy()

    def velocity(self, latent: np.ndarray, time: float) -> np.ndarray:
        """Return the velocity (n, n_latent) of latent points, per unit of measured time."""
        latent = check_latent(latent, self._fitted().points.shape[1])
        (time,) = check_times(time, "time")
        return self.field_.velocity(latent, time)

    def flow(self, latent: np.ndarray, start: float, times: Sequence[float]) -> np.ndarray:
        """Move latent points from ``start`` to each of ``times``; (n_times, n, n_latent).

        ``times`` may lie before or after ``start``, in any order; the path does not depend on
        which of them are asked for.

        Raises
        ------
        ValueError
            If the model is not fitted, or for points or times that are not finite, points of
            another space, and times more than 1,000 mean intervals away.
        """
        latent = check_latent(latent, self._fitted().points.shape[1])
        (start,), times = check_times(start, "start"), check_times(times)
        check_far([start, *times], self.field_.clock.points)
        return self.field_.flow(latent, start, times)

    def _device(self) -> torch.device:
        return device_of(self.factors_)

    def _tensor(self, latent: np.ndarray) -> Tensor:
        return torch.as_tensor(np.asarray(latent), dtype=torch.float32, device=self._device())

    def _run(self, precision: str) -> str:
        """What tells one run of training from another."""
        cells = self._fitted()
        digest = sha256(np.ascontiguousarray(cells.points).tobytes())
        digest.update(np.ascontiguousarray(cells.time).tobytes())
        return f"{self.settings} {precision} {digest.hexdigest()[:16]}"

    def _learned(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        learned, tensors = super()._learned()
        factors = {each.name: getattr(self.factors_, each.name) for each in fields(self.factors_)}
        arrays = {name: value for name, value in factors.items() if isinstance(value, Tensor)}
        learned["factors"] = {n: value for n, value in factors.items() if n not in arrays}
        learned["damping"] = self.field_.damping
        if self.pool_ is not None and self.start_ is not None:
            pool, start = vars(self.pool_), vars(self.start_)
            learned["pool"] = {**pool, "shares": pool["shares"].tolist()}
            learned["start"] = {"n_genes": self.start_.n_genes}
            tensors |= {
                f"start.{name}": torch.as_tensor(value)
                for name, value in start.items()
                if name != "n_genes"
            }
        tensors |= {f"factors.{name}": value for name, value in arrays.items()}
        drift = self.field_.drift.state_dict()
        return learned, tensors | {f"drift.{name}": value for name, value in drift.items()}

    def _restore(self, learned: dict[str, Any], tensors: dict[str, Tensor], device: str) -> None:
        super()._restore(learned, tensors, device)
        cells, where = self._fitted(), resolve_device(device)
        factors: dict[str, Any] = {n: t.to(where) for n, t in under("factors", tensors).items()}
        kind = CountFactors if cells.depth is not None else ValueFactors
        for name, value in learned["factors"].items():
            if type(value) not in (int, float):
                raise ValueError(f"{name} is {value!r}, not a number")
        self.factors_ = kind(**factors, **learned["factors"])
        drift = TimedDrift(cells.points.shape[1], self.drift_hidden, self.drift_activation)
        load_weights(drift, under("drift", tensors), "latent_dim and drift_hidden")
        self.field_ = DriftField(drift.to(where), self._clock(), self.max_step, learned["damping"])
        self.pool_ = self.start_ = None
        if "pool" in learned:  # Older files have none: their drift alone predicts.
            pool, shares = learned["pool"], np.array(learned["pool"]["shares"])
            if len(shares) == len(WAYS) - 1:  # A file of before the last way.
                shares = np.append(shares, 0.0)
            self.pool_ = Pool(**{**pool, "shares": shares})
            start: dict[str, Any] = {n: t.numpy() for n, t in under("start", tensors).items()}
            self.start_ = StartCells(**start, **learned["start"])
        self._check_restored()

    def _check_restored(self) -> None:
        """Refuse arrays of a file that do not belong together."""
        cells, genes = self._fitted(), np.empty(len(self._fitted().genes))
        arrays: dict[str, tuple[Any, str]] = {
            "points": (cells.points, "cells rank"),
            "time": (cells.time, "cells"),
            "genes": (genes, "genes"),
            **self.factors_.shapes(),
        }
        if self.start_ is not None:
            start = self.start_
            rows = np.empty(len(start.time) + 1)
            arrays |= {
                "start points": (start.points, "starts rank"),
                "start time": (start.time, "starts"),
                "start data": (start.data, "entries"),
                "start indices": (start.indices, "entries"),
                "start rows": (rows, "rows"),
                "start indptr": (start.indptr, "rows"),
            }
        check_shapes(arrays)
        if self.field_.damping is not None:
            check_not_negative({"damping": self.field_.damping}, "damping")
        if self.pool_ is not None:
            self.pool_.check()
        if not np.isin(cells.times, cells.time).all():
            raise ValueError(f"its times {cells.times.tolist()} are not those of its cells")
        if self.start_ is not None:
            if self.start_.n_genes != len(cells.genes):
                raise ValueError(f"its start cells have {self.start_.n_genes} genes")
            self.start_.check()
