"""Populations between measured times, pooled from several ways of predicting them.

A linear pool (Stone 1961, https://doi.org/10.1214/aoms/1177704873) draws each cell from one of
several predictions, in fixed shares: those that predict left-out training times best, as
:mod:`scstlib.models.shares` finds them. They are drawn to a guess, the less the more the left-out
times agree. The predictions are those of :mod:`scstlib.models.temporal.scnode.ways`.

How far between two measured times a population is follows the measured time or a clock learned
from displacement (:mod:`scstlib.models.temporal.scnode.displacement_clock`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from scstlib.models.shares import (
    TINY,
    Distances,
    distances,
    energies,
    shares_of_cells,
    yielding_pull,
)
from scstlib.models.temporal.scnode.displacement_clock import DisplacementClock
from scstlib.models.temporal.scnode.drift import DriftField, squared_w2
from scstlib.models.temporal.scnode.flow_matching import DriftSettings, train_drift
from scstlib.models.temporal.scnode.latent_cells import (
    LatentCells,
    StartCells,
    expected_cells,
    population_at,
)
from scstlib.models.temporal.scnode.model_time import ModelTime
from scstlib.models.temporal.scnode.transport_curves import couple_times
from scstlib.models.temporal.scnode.value_factors import principal_axes
from scstlib.models.temporal.scnode.ways import (
    DRIFT,
    SMOOTHED,
    WAYS,
    WITHOUT_DRIFT,
    Between,
    Factors,
    between,
    device_of,
    drifted,
    smoothed_cells,
)
from scstlib.preprocess.cells import log_values

# What the shares are drawn to, the less the more the left-out times agree on others: half of the
# cells stay, half move. In six real series no way alone is as near the left-out times as cells of
# which half stay. The drift, which may leave the data, has to earn its shares.
PRIOR = np.array([0.5, 0.25, 0.25, 0.0, 0.0])
MOST_LEFT_OUT = 6
FOLD_CELLS = 200  # Of a time, when times are left out.
SHORTER = 3  # Drifts without a time are trained in as many times fewer steps.
MOST_COMPONENTS = 20  # In which expected populations are compared.
MEASURED, DISPLACEMENT = CLOCKS = ("measured", "displacement")


@dataclass(frozen=True)
class Pool:
    """How cells between two measured times are predicted.

    Attributes
    ----------
    shares : numpy.ndarray, shape (5,)
        Share of each of ``WAYS`` in cells as they would be measured.
    expected : str
        Whose populations are predicted as expected ones, to be compared with measured cells:
        ``SMOOTHED``, or ``DRIFT`` where these are nearer left-out times by more than chance, or
        nearer a single one.
    left_out : list of dict
        For each time left out its energy distance by way, and the squared Wasserstein distances
        of both expected populations in components, ``"place"``, and in all genes, ``"genes"``;
        where both clocks were tried, their energy distances with cells of ``PRIOR``.
    clock : str
        What says how far between two measured times a population is: ``MEASURED`` time or
        ``DISPLACEMENT``.
    """

    shares: np.ndarray
    expected: str
    left_out: list[dict[str, float]]
    clock: str = MEASURED

    def check(self) -> None:
        """Refuse what a file cannot have from a fit."""
        shares = self.shares
        if shares.shape != (len(WAYS),) or not (shares >= 0).all() or abs(shares.sum() - 1) > 1e-6:
            raise ValueError(f"shares {shares.tolist()} are not {len(WAYS)} parts of a whole")
        if self.expected not in (DRIFT, SMOOTHED):
            raise ValueError(f"expected is {self.expected!r}, not {DRIFT!r} or {SMOOTHED!r}")
        rows = self.left_out if isinstance(self.left_out, list) else [self.left_out]
        if not all(isinstance(row, dict) and "time" in row for row in rows):
            raise ValueError("left_out is no list of what was found at each time")


def choose_pool(
    cells: LatentCells,
    start: StartCells,
    factors: Factors,
    settings: DriftSettings,
    clock: Callable[[np.ndarray], ModelTime],
    max_step: float,
    growth: float | None = None,
    clocks: Sequence[str] = (MEASURED,),
) -> Pool:
    """Choose the shares by leaving out one inner training time after the other.

    Parameters
    ----------
    settings : DriftSettings
        Of the drift; those without a time are trained in a third of its steps.
    clock : function
        Returns the model time of a series of measured times.
    growth : float, optional
        As for ``ScNODE``.
    clocks : sequence of str
        Of ``CLOCKS``; with both, the one that predicts left-out times better.

    Returns
    -------
    Pool
        With fewer than three times none can be left out: the shares are ``PRIOR`` and expected
        populations are smoothed cells.
    """
    times, rng = cells.times, np.random.default_rng(settings.seed)
    inner = times[1:-1]
    if not len(inner):
        return Pool(PRIOR, SMOOTHED, [], clocks[0])
    chosen = np.unique(np.linspace(0, len(inner) - 1, min(len(inner), MOST_LEFT_OUT)).astype(int))
    small = start.at_most(FOLD_CELLS, rng)
    stored = small.stored()
    axes = _axes(stored if cells.depth is None else log_values(stored))
    tried: dict[str, list[_Tried]] = {name: [] for name in clocks}
    for left in inner[chosen]:
        fold = _Fold(cells, small, factors, float(left), settings, clock, max_step, growth)
        for name in clocks:
            part = fold.distances(name, rng)
            row = {f"energy, {way}": float(e) for way, e in zip(WAYS, energies(*part), strict=True)}
            for kind, predicted in fold.expected(name, rng).items():
                row[f"place, {kind}"] = squared_w2(predicted @ axes, fold.measured @ axes)
                row[f"genes, {kind}"] = squared_w2(predicted, fold.measured)
            tried[name].append((part, {"time": fold.time} | row))
    best = clocks[0]
    if len(clocks) > 1:
        off = {name: np.array([_error(part) for part, _ in tried[name]]) for name in clocks}
        best = _better_clock(off)
        for number, (_, row) in enumerate(tried[best]):
            row |= {f"energy, {name} clock": float(off[name][number]) for name in clocks}
    parts, left_out = [part for part, _ in tried[best]], [row for _, row in tried[best]]
    shares = shares_of_cells(parts, PRIOR, yielding_pull(parts, PRIOR))
    return Pool(shares, better_population(left_out), left_out, best)


def better_population(left_out: list[dict[str, float]]) -> str:
    """The drift's where it is nearer by more than chance, or at a single left-out time.

    The logs of both ratios are added: in components, which show where cells lie, the noise that is
    left in a smoothed cell hardly counts; in all genes it does.
    """
    gain = np.zeros(len(left_out))
    for space in ("place", "genes"):
        for kind, sign in ((SMOOTHED, 1), (DRIFT, -1)):
            gain += sign * np.log([row[f"{space}, {kind}"] + TINY for row in left_out])
    clear = more_than_chance(gain) if len(gain) > 1 else gain[0] > 0
    return DRIFT if clear else SMOOTHED


def _better_clock(off: dict[str, np.ndarray]) -> str:
    """Displacement where it predicts left-out times better by more than chance."""
    gain = np.log(off[MEASURED] / off[DISPLACEMENT])
    return DISPLACEMENT if more_than_chance(gain) else MEASURED


def more_than_chance(gain: np.ndarray) -> bool:
    """Whether the median gain at left-out times, (n,), is more than the standard error of a mean.

    One time of six that is far off the others does not decide.
    """
    return len(gain) > 1 and bool(np.median(gain) > gain.std(ddof=1) / np.sqrt(len(gain)))


_Tried = tuple[Distances, dict[str, float]]  # A time left out, on one clock.


def _error(part: Distances) -> float:
    """Energy distance of cells of ``PRIOR``, at least what measured cells can tell."""
    to_measured, among, own = part
    energy = 2 * to_measured @ PRIOR - PRIOR @ among @ PRIOR - own
    return max(float(energy), 0.02 * float(to_measured.mean()), TINY)


class _Fold:
    """One training time left out: its cells, and what every way predicts without it."""

    def __init__(
        self,
        cells: LatentCells,
        small: StartCells,
        factors: Factors,
        left_out: float,
        settings: DriftSettings,
        clock: Callable[[np.ndarray], ModelTime],
        max_step: float,
        growth: float | None,
    ) -> None:
        times = cells.times[cells.times != left_out]
        self.factors, self.counts = factors, cells.depth is not None
        displaced = DisplacementClock.of(times, [small.at(time)[1] for time in times])
        self.time = left_out
        self.asked = {MEASURED: left_out, DISPLACEMENT: displaced(left_out)}
        self.small, self.growth = small, growth
        self.measured = self._values(small.at(left_out)[0])
        coupled = couple_times(
            [small.at(time)[1] for time in times], growth, np.random.default_rng(settings.seed)
        )
        shorter = replace(settings, matching_steps=max(settings.matching_steps // SHORTER, 1))
        own_clock = clock(times)
        drift, _ = train_drift(coupled, own_clock(times), shorter, progress=False)
        self.field = DriftField(drift, own_clock, max_step, 0.0)
        points = np.concatenate([small.at(time)[1] for time in times])
        time = np.repeat(times, [len(small.at(t)[1]) for t in times])
        self.cells = replace(cells, times=times, points=points, time=time)

    def distances(self, clock: str, rng: np.random.Generator) -> Distances:
        """Mean distances: of each way to measured cells, between ways, between measured cells."""
        n, around = len(self.measured), self._around(clock)
        values = [self._values(way(self.factors, around, n, rng).stored) for way in WITHOUT_DRIFT]
        values.append(self._of_drift(clock, n, rng, noise=True))
        own = drifted(self.factors, self.field, around, n, rng)
        return distances([*values, self._values(own.stored)], self.measured)

    def expected(self, clock: str, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Expected populations, values (n, genes), of both kinds."""
        n = len(self.measured)
        of_drift = self._of_drift(clock, n, rng, noise="depth")
        smooth = smoothed_cells(self._around(clock), self.counts, n, rng).values
        return {DRIFT: of_drift, SMOOTHED: smooth}

    def _around(self, clock: str) -> Between:
        found = between(self.small, self.cells.times, self.asked[clock], self.growth)
        assert found is not None
        return found

    def _of_drift(
        self, clock: str, n: int, rng: np.random.Generator, noise: bool | Literal["depth"]
    ) -> np.ndarray:
        """Values (n, genes) of the drift's population."""
        latent = population_at(self.cells, self.field, self.asked[clock], n, rng, "all")
        generator = torch.Generator(device_of(self.factors))
        generator.manual_seed(int(rng.integers(2**31)))
        return expected_cells(self.factors, self.cells, latent, noise, generator)[1]

    def _values(self, stored: np.ndarray) -> np.ndarray:
        return log_values(stored) if self.counts else stored


def _axes(values: np.ndarray) -> np.ndarray:
    """Principal axes of values, (genes, at most 20)."""
    centred = torch.as_tensor(values - values.mean(0))
    rank = max(min(MOST_COMPONENTS, min(centred.shape) - 1), 1)
    axes: np.ndarray = principal_axes(centred, rank).numpy().T
    return axes
