"""Curves through measured populations, along optimal transport.

Cells of neighbouring times are paired by optimal transport (Tong et al. 2024,
https://arxiv.org/abs/2302.00482). Pairs are joined to chains over four times, and a cubic Hermite
curve through each chain gives positions and velocities, so that paths bend where straight lines
between pairs have corners.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from scstlib.models.temporal.moved_cells import partners
from scstlib.models.temporal.transport import coupling, draw_pairs, grow

MAX_COUPLED = 1000  # Cells of a time that enter a coupling, whose cost grows with their square.
CURVES = 4000  # Drawn per interval.


@dataclass(frozen=True)
class Coupled:
    """Cells of successive times and how they are paired.

    Attributes
    ----------
    cells : list of numpy.ndarray, each of shape (n_cells, n_latent)
        Latent points of each time, at most ``MAX_COUPLED``, float64.
    plans : list of numpy.ndarray, each of shape (n_cells, n_cells of the next time)
        One for each interval.
    """

    cells: list[np.ndarray]
    plans: list[np.ndarray]

    def first(self, n: int) -> Coupled:
        """Return the first n times alone."""
        return Coupled(self.cells[:n], self.plans[: n - 1])


@dataclass(frozen=True)
class Curves:
    """Points on curves through measured cells: time (n,), position and velocity (n, n_latent)."""

    time: np.ndarray
    position: np.ndarray
    velocity: np.ndarray


def couple_times(
    populations: Sequence[np.ndarray], growth: float | None, rng: np.random.Generator
) -> Coupled:
    """Couple the populations, (n_cells, n_latent) each, of neighbouring times.

    With ``growth`` cells of the earlier time have the masses that
    :func:`scstlib.models.temporal.transport.grow` finds.
    """
    some = [cells[rng.permutation(len(cells))[:MAX_COUPLED]] for cells in populations]
    some = [cells.astype(np.float64) for cells in some]
    plans = []
    for start, end in pairwise(some):
        mass = None if growth is None else grow(start, end, growth)
        plans.append(coupling(start, end, mass))
    return Coupled(some, plans)


def draw_curves(coupled: Coupled, times: np.ndarray, rng: np.random.Generator) -> Curves:
    """Draw points on Hermite curves through chains of coupled cells.

    Every interval gets as many points, wherever the measured times are dense; the tangent at a
    measured cell is that of the parabola through it and its two neighbours in the chain.
    """
    some, plans = coupled.cells, coupled.plans
    parts = []
    for k, plan in enumerate(plans):
        left, right = draw_pairs(plan, CURVES, rng)
        before = some[k - 1][partners(plans[k - 1].T, left, rng)] if k > 0 else None
        after = some[k + 2][partners(plans[k + 1], right, rng)] if k + 2 < len(some) else None
        time = rng.uniform(times[k], times[k + 1], CURVES)
        ends = some[k][left], some[k + 1][right]
        around = times[max(k - 1, 0)], times[k], times[k + 1], times[min(k + 2, len(times) - 1)]
        parts.append((time, *hermite(time, around, before, *ends, after)))
    return Curves(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def hermite(
    time: np.ndarray,
    around: tuple[float, float, float, float],
    before: np.ndarray | None,
    left: np.ndarray,
    right: np.ndarray,
    after: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return position and velocity (n, n_latent) of curves between two measured times.

    Parameters
    ----------
    time : numpy.ndarray, shape (n,)
        Between the second and the third of ``around``.
    around : tuple of float
        The four measured times of the chain.
    before, left, right, after : numpy.ndarray, shapes (n, n_latent)
        Its points at these times; None where the chain begins or ends.
    """
    t0, t1, t2, t3 = around
    width = t2 - t1
    slope = (right - left) / width
    first, last = slope, slope
    if before is not None:
        outer, gap = (left - before) / (t1 - t0), t1 - t0
        first = (gap * slope + width * outer) / (gap + width)
    if after is not None:
        outer, gap = (after - right) / (t3 - t2), t3 - t2
        last = (gap * slope + width * outer) / (gap + width)
    s = ((time - t1) / width)[:, None]
    position = (
        left
        + s * (right - left)
        + width * s * (1 - s) * ((1 - s) * (first - slope) - s * (last - slope))
    )
    velocity = slope + (1 - s) * (1 - 3 * s) * (first - slope) - s * (2 - 3 * s) * (last - slope)
    return position, velocity
