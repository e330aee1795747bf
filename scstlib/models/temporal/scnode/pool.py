"""Populations between measured times, pooled from several ways of predicting them.

A linear pool (Stone 1961, https://doi.org/10.1214/aoms/1177704873) draws each cell from one of
several predictions, in fixed shares: those that predict left-out training times best, as
:mod:`scstlib.models.shares` finds them. They are drawn to a guess, the less the more the left-out
times agree.

Cells keep what is their own: values keep their residual, and counts are thinned for genes whose
expected count falls, and receive Poisson counts for genes whose expected count rises. Zeros and
the correlations between genes stay those of measured cells.

How far between two measured times a population is follows the measured time or a clock learned
from displacement (:mod:`scstlib.models.temporal.scnode.displacement_clock`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, Self

import numpy as np
import torch
from torch import Tensor

from scstlib.models.shares import (
    TINY,
    Distances,
    distances,
    energies,
    shares_of_cells,
    yielding_pull,
)
from scstlib.models.temporal.scnode.count_factors import CountFactors
from scstlib.models.temporal.scnode.displacement_clock import DisplacementClock
from scstlib.models.temporal.scnode.drift import DriftField, squared_w2
from scstlib.models.temporal.scnode.flow_matching import DriftSettings, train_drift
from scstlib.models.temporal.scnode.latent_cells import (
    LatentCells,
    StartCells,
    draw_rows,
    expected_cells,
    population_at,
)
from scstlib.models.temporal.scnode.model_time import ModelTime
from scstlib.models.temporal.scnode.transport_curves import couple_times
from scstlib.models.temporal.scnode.value_factors import ValueFactors, principal_axes
from scstlib.models.temporal.transport import coupling, draw_pairs, grow
from scstlib.preprocess.cells import log_values

Factors = CountFactors | ValueFactors

DRIFT, OWN, SMOOTHED = "drift", "drift, own residuals", "smoothed cells"
WAYS = ("cells as measured", "mean moved", "coupled pairs", DRIFT, OWN)
# What the shares are drawn to, the less the more the left-out times agree on others: half of the
# cells stay, half move. In six real series no way alone is as near the left-out times as cells of
# which half stay. The drift, which may leave the data, has to earn its shares.
PRIOR = np.array([0.5, 0.25, 0.25, 0.0, 0.0])
MOST_LEFT_OUT = 6
FOLD_CELLS = 200  # Of a time, when times are left out.
SHORTER = 3  # Drifts without a time are trained in as many times fewer steps.
LARGEST_CHANGE = 4.0  # Of a log count: a gene that is hardly counted says little of its rate.
NEAR, HALF = 20, 0.5  # Smoothed cells lie halfway to the mean of so many cells of their time.
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
        of both expected populations; where both clocks were tried, their energy distances with
        cells of ``PRIOR``.
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


@dataclass(frozen=True)
class Side:
    """Measured cells of one time: as stored (n, genes) and in the latent space (n, rank)."""

    stored: np.ndarray
    points: np.ndarray

    def some(self, n: int, rng: np.random.Generator) -> Side:
        """Draw n cells, each as often as any other up to one."""
        rows = draw_rows(len(self.points), n, rng)
        return Side(self.stored[rows], self.points[rows])


def joined(parts: Sequence[Side]) -> Side:
    """Return the cells of several parts, one after the other."""
    return Side(
        np.concatenate([part.stored for part in parts]),
        np.concatenate([part.points for part in parts]),
    )


@dataclass(frozen=True)
class Between:
    """Measured cells of the two times around a requested one.

    Attributes
    ----------
    left, right : Side
    times : tuple of float
        When they were measured.
    time : float
        The requested one.
    growth : float or None
        As for ``ScNODE``.
    """

    left: Side
    right: Side
    times: tuple[float, float]
    time: float
    growth: float | None = None

    @property
    def weight(self) -> float:
        """How far it lies from the earlier time, 0, to the later, 1."""
        return (self.time - self.times[0]) / (self.times[1] - self.times[0])

    @cached_property
    def plan(self) -> np.ndarray:
        """Coupling (n_left, n_right) by optimal transport, with the masses at the time.

        With growth, the mass of a pair changes at a constant rate.
        """
        start, end = (side.points.astype(float) for side in (self.left, self.right))
        if self.growth is None:
            return coupling(start, end)
        grown = grow(start, end, self.growth)
        return coupling(start, end, grown) * grown[:, None] ** (self.weight - 1)

    def pairs(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw n pairs of coupled cells: rows of the earlier time and of the later."""
        return draw_pairs(self.plan, n, rng)

    def n_right(self, n: int, rng: np.random.Generator) -> int:
        """Of n cells, how many come from the later time."""
        return int(n * self.weight + rng.random())


def between(
    start: StartCells, times: np.ndarray, time: float, growth: float | None = None
) -> Between | None:
    """Return the cells around ``time``; None at a measured time and beyond the last."""
    after = int(np.searchsorted(times, time, side="right"))
    if after == len(times) or times[after - 1] == time:
        return None
    left, right = float(times[after - 1]), float(times[after])
    return Between(
        Side(*start.at(left)), Side(*start.at(right)), (left, right), float(time), growth
    )


def carried(
    factors: Factors,
    side: Side,
    goal: np.ndarray,
    rng: np.random.Generator,
) -> Side:
    """Return measured cells moved to latent points ``goal`` (n, rank), each with what is its own.

    Values keep their residual; of counts see :func:`thinned_and_raised`.
    """
    device = device_of(factors)
    start, end = (_tensor(points).to(device) for points in (side.points, goal))
    if isinstance(factors, ValueFactors):
        shift = (factors.expected_values(end) - factors.expected_values(start)).cpu().numpy()
        return Side(_not_below(side.stored + shift, factors.smallest), goal)
    before = factors.log_share(start)
    change = (factors.log_share(end) - before).cpu().numpy()
    return Side(thinned_and_raised(side.stored, before.exp().cpu().numpy(), change, rng), goal)


def thinned_and_raised(
    counts: np.ndarray, share: np.ndarray, change: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return counts of cells whose expected shares change, exact where they are Poisson.

    Parameters
    ----------
    counts : numpy.ndarray, shape (n, genes)
    share : numpy.ndarray, shape (n, genes)
        Expected share of each gene in the counts of its cell.
    change : numpy.ndarray, shape (n, genes) or (genes,)
        Of the log of the share. Where it is negative, each count is kept with probability
        ``exp(change)``; where it is positive, Poisson counts are added.
    """
    ratio = np.exp(np.clip(change, -LARGEST_CHANGE, LARGEST_CHANGE))
    kept = rng.binomial(np.rint(counts).astype(np.int64), np.minimum(ratio, 1.0))
    expected = share * counts.sum(1, keepdims=True)
    moved: np.ndarray = kept + rng.poisson(expected * np.maximum(ratio - 1.0, 0.0))
    return moved.astype(np.float32)


def stay(factors: Factors, around: Between, n: int, rng: np.random.Generator) -> Side:
    """Cells of both times as they were measured, more of the nearer one."""
    n_right = around.n_right(n, rng)
    if around.growth is not None:
        before, after = around.pairs(n, rng)
        parts = (around.left, before[n_right:]), (around.right, after[:n_right])
        return joined([Side(side.stored[rows], side.points[rows]) for side, rows in parts])
    return joined([around.left.some(n - n_right, rng), around.right.some(n_right, rng)])


def mean_moved(factors: Factors, around: Between, n: int, rng: np.random.Generator) -> Side:
    """Cells of both times, moved so that their mean latent point is the one between both.

    Of counts, the mean of log expression moves: a mean of shares follows the cells of few counts.
    """
    n_right, moved = around.n_right(n, rng), []
    goal = _mix(around.left.points.mean(0), around.right.points.mean(0), around.weight)
    for side, size in ((around.left, n - n_right), (around.right, n_right)):
        some = side.some(size, rng)
        moved.append(carried(factors, some, some.points + (goal - side.points.mean(0)), rng))
    return joined(moved)


def coupled_pairs(factors: Factors, around: Between, n: int, rng: np.random.Generator) -> Side:
    """Cells of both times moved along straight lines to their partners by optimal transport."""
    rows = around.pairs(n, rng)
    goal = _mix(around.left.points[rows[0]], around.right.points[rows[1]], around.weight)
    later = np.arange(n) < around.n_right(n, rng)
    stored = np.empty((n, around.left.stored.shape[1]), dtype=np.float32)
    for side, own, mask in ((around.left, rows[0], ~later), (around.right, rows[1], later)):
        cells = Side(side.stored[own[mask]], side.points[own[mask]])
        stored[mask] = carried(factors, cells, goal[mask], rng).stored
    return Side(stored, goal.astype(np.float32))


def drifted(
    factors: Factors, field: DriftField, around: Between, n: int, rng: np.random.Generator
) -> Side:
    """Cells of both times moved by the drift, each with what is its own."""
    n_right, moved = around.n_right(n, rng), []
    sides, sizes = (around.left, around.right), (n - n_right, n_right)
    for side, start, size in zip(sides, around.times, sizes, strict=True):
        if size:
            some = side.some(size, rng)
            goal = field.flow(some.points, start, [around.time])[0]
            moved.append(carried(factors, some, goal, rng))
    return joined(moved)


WITHOUT_DRIFT = (stay, mean_moved, coupled_pairs)  # In the order of ``WAYS``.


@dataclass(frozen=True)
class Smoothed:
    """Cells that are smoothed over near cells of their time.

    Attributes
    ----------
    values : numpy.ndarray, shape (n, genes)
        Halfway from each cell to the mean of its nearest cells, itself among them.
    expression : numpy.ndarray, shape (n, genes)
        Of counts their log expression, which keeps no noise of the cell: log1p of the mean share
        of the nearest cells, per 10,000. Else ``values``.
    """

    values: np.ndarray
    expression: np.ndarray

    @classmethod
    def of(cls, stored: np.ndarray, counts: bool) -> Self:
        """Smooth cells, ``stored`` of shape (n, genes)."""
        from sklearn.neighbors import NearestNeighbors

        values = (log_values(stored) if counts else stored).astype(np.float64)
        k = min(NEAR, len(values))
        near = NearestNeighbors(n_neighbors=k).fit(values).kneighbors_graph(values) / k
        half = (1 - HALF) * values + HALF * (near @ values)
        if not counts:
            return cls(half, half)
        return cls(half, log_values(near @ (stored / stored.sum(1, keepdims=True))))

    def some(self, n: int, rng: np.random.Generator) -> Smoothed:
        """Draw n cells, each as often as any other up to one."""
        rows = draw_rows(len(self.values), n, rng)
        return Smoothed(self.values[rows], self.expression[rows])


def smoothed_cells(around: Between, counts: bool, n: int, rng: np.random.Generator) -> Smoothed:
    """Return n cells on the lines between coupled cells that were smoothed before."""
    before, after = (Smoothed.of(side.stored, counts) for side in (around.left, around.right))
    rows = draw_pairs(coupling(before.values, after.values), n, rng)
    return Smoothed(
        _mix(before.values[rows[0]], after.values[rows[1]], around.weight),
        _mix(before.expression[rows[0]], after.expression[rows[1]], around.weight),
    )


def pooled(
    shares: np.ndarray,
    factors: Factors,
    around: Between,
    n: int,
    rng: np.random.Generator,
    field: DriftField,
    anew: Callable[[int], Side],
) -> Side:
    """Return n cells of a pool, as stored, shuffled.

    Parameters
    ----------
    field : DriftField
    anew : function
        Returns so many cells of the drift with noise drawn anew.
    """
    *sizes, n_anew, n_own = (int(size) for size in _rounded(shares * n, rng))
    parts = [way(factors, around, k, rng) for way, k in zip(WITHOUT_DRIFT, sizes, strict=True) if k]
    if n_anew:
        parts.append(anew(n_anew))
    if n_own:
        parts.append(drifted(factors, field, around, n_own, rng))
    cells, order = joined(parts), rng.permutation(n)
    return Side(cells.stored[order], cells.points[order])


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
            tried[name].append((part, {"time": fold.time} | row))
    best = clocks[0]
    if len(clocks) > 1:
        off = {name: np.array([_error(part) for part, _ in tried[name]]) for name in clocks}
        best = _better_clock(off)
        for number, (_, row) in enumerate(tried[best]):
            row |= {f"energy, {name} clock": float(off[name][number]) for name in clocks}
    parts, left_out = [part for part, _ in tried[best]], [row for _, row in tried[best]]
    place = np.array([[row[f"place, {kind}"] for row in left_out] for kind in (SMOOTHED, DRIFT)])
    gain = np.log((place[0] + TINY) / (place[1] + TINY))
    shares = shares_of_cells(parts, PRIOR, yielding_pull(parts, PRIOR))
    clear = more_than_chance(gain) if len(gain) > 1 else gain[0] > 0
    expected = DRIFT if clear else SMOOTHED
    return Pool(shares, expected, left_out, best)


def _better_clock(off: dict[str, np.ndarray]) -> str:
    """Displacement where it predicts left-out times better than measured time, by no chance."""
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


def device_of(factors: Factors) -> torch.device:
    """Where the factors lie."""
    return (factors.mean if isinstance(factors, ValueFactors) else factors.intercept).device


def _axes(values: np.ndarray) -> np.ndarray:
    """Principal axes of values, (genes, at most 20)."""
    centred = torch.as_tensor(values - values.mean(0))
    rank = max(min(MOST_COMPONENTS, min(centred.shape) - 1), 1)
    axes: np.ndarray = principal_axes(centred, rank).numpy().T
    return axes


def _mix(left: np.ndarray, right: np.ndarray, weight: float) -> np.ndarray:
    mixed: np.ndarray = (1 - weight) * left + weight * right
    return mixed


def _not_below(values: np.ndarray, smallest: float) -> np.ndarray:
    """Values without negative ones where the training cells have none."""
    kept: np.ndarray = values if smallest < 0 else np.maximum(values, 0)
    return kept.astype(np.float32)


def _rounded(sizes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Whole numbers of the same sum, each at most one off; the rest is drawn."""
    ends = np.floor(np.cumsum(sizes) + rng.random() * (1 - 1e-9))
    ends[-1] = round(sizes.sum())
    whole: np.ndarray = np.diff(np.r_[0, np.minimum(ends, ends[-1])]).astype(int)
    return whole


def _tensor(values: np.ndarray) -> Tensor:
    return torch.as_tensor(np.ascontiguousarray(values), dtype=torch.float32)
