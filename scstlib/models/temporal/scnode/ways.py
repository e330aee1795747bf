"""Ways of predicting cells between two measured times, which a pool mixes, and smoothed cells.

Cells that are moved keep what is their own: values keep their residual, and counts are thinned for
genes whose expected count falls, and receive Poisson counts for genes whose expected count rises.
Zeros and the correlations between genes stay those of measured cells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import torch
from torch import Tensor

from scstlib.models.temporal.moved_cells import draw_by_mass
from scstlib.models.temporal.scnode.count_factors import CountFactors
from scstlib.models.temporal.scnode.drift import DriftField
from scstlib.models.temporal.scnode.latent_cells import StartCells, draw_rows
from scstlib.models.temporal.scnode.value_factors import ValueFactors
from scstlib.models.temporal.transport import coupling, draw_pairs, grow
from scstlib.preprocess.cells import log_values

Factors = CountFactors | ValueFactors

DRIFT, OWN, SMOOTHED = "drift", "drift, own residuals", "smoothed cells"
WAYS = ("cells as measured", "mean moved", "coupled pairs", DRIFT, OWN)
LARGEST_CHANGE = 4.0  # Of a log count: a gene that is hardly counted says little of its rate.
NEAR, HALF = 20, 0.5  # Smoothed cells lie halfway to the mean of so many cells of their time.


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
        masses = around.plan.sum(1), around.plan.sum(0)
        parts = zip((around.left, around.right), masses, (n - n_right, n_right), strict=True)
        drawn = [(side, draw_by_mass(mass, size, rng)) for side, mass, size in parts]
        return joined([Side(side.stored[rows], side.points[rows]) for side, rows in drawn])
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

    def chosen(self, rows: np.ndarray) -> Smoothed:
        """Return the cells of these rows."""
        return Smoothed(self.values[rows], self.expression[rows])

    def moved(self, factors: Factors, begin: np.ndarray, end: np.ndarray) -> Smoothed:
        """Move cells as what is expected changes from latent points ``begin`` to ``end`` (n, rank).

        Values change by the difference, log expression by the ratio of expected shares.
        """
        points = [_tensor(each).to(device_of(factors)) for each in (begin, end)]
        before, after = (factors.expected_values(each).cpu().numpy() for each in points)
        shifted = self.values + (after - before)
        if isinstance(factors, ValueFactors):
            values = _not_below(shifted, factors.smallest)
            return Smoothed(values, values)
        before, after = (factors.log_share(each).cpu().numpy() for each in points)
        ratio = np.exp(np.clip(after - before, -LARGEST_CHANGE, LARGEST_CHANGE))
        return Smoothed(np.maximum(shifted, 0), np.log1p(np.expm1(self.expression) * ratio))


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


def device_of(factors: Factors) -> torch.device:
    """Where the factors lie."""
    return (factors.mean if isinstance(factors, ValueFactors) else factors.intercept).device


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
