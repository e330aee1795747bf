"""Cells drawn from the populations that a fitted scNODE predicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from scstlib.models.temporal.scnode.displacement_clock import DisplacementClock
from scstlib.models.temporal.scnode.drift import DriftField
from scstlib.models.temporal.scnode.latent_cells import (
    LatentCells,
    StartCells,
    draw_rows,
    expected_cells,
    population_at,
)
from scstlib.models.temporal.scnode.pool import MEASURED, Pool
from scstlib.models.temporal.scnode.ways import (
    SMOOTHED,
    Factors,
    Side,
    Smoothed,
    between,
    carried,
    device_of,
    pooled,
    smoothed_cells,
)
from scstlib.preprocess.cells import COUNTS_PER_CELL, log_values


@dataclass(frozen=True)
class Drawn:
    """Predicted cells.

    Attributes
    ----------
    x, values : numpy.ndarray, shapes (n, genes)
        In the unit of the input, and of counts log1p of counts per 10,000, else the same.
    latent : numpy.ndarray, shape (n, rank)
    """

    x: np.ndarray
    values: np.ndarray
    latent: np.ndarray


@dataclass(frozen=True)
class Prediction:
    """What cells are drawn from: the parts of a fitted ``ScNODE``, as its attributes name them.

    Attributes
    ----------
    cells : LatentCells
    factors : CountFactors or ValueFactors
    field : DriftField
    pool : Pool or None
        None: the drift alone predicts.
    start : StartCells or None
        With a pool, the measured cells that predictions start from.
    growth : float or None
    start_times : "all" or "first"
    """

    cells: LatentCells
    factors: Factors
    field: DriftField
    pool: Pool | None
    start: StartCells | None
    growth: float | None
    start_times: Literal["all", "first"]

    def draw(
        self, times: Sequence[float], n_cells: int, noise: bool | Literal["depth"], seed: int
    ) -> Drawn:
        """Return n_cells cells at each time, one time after the other."""
        rng = np.random.default_rng(seed)
        generator = torch.Generator(device=device_of(self.factors)).manual_seed(seed)
        if self.pool is None:
            latent = np.concatenate([self._population(time, n_cells, rng, noise) for time in times])
            return self._of_points(latent, noise, generator)
        clocked = [self._on_the_clock(time) for time in times]
        at_times = [self._combined(time, n_cells, noise, rng, generator) for time in clocked]
        return Drawn(
            np.concatenate([drawn.x for drawn in at_times]),
            np.concatenate([drawn.values for drawn in at_times]),
            np.concatenate([drawn.latent for drawn in at_times]),
        )

    def smooths(self, noise: bool | Literal["depth"]) -> bool:
        """Whether predicted cells are smoothed measured ones.

        Never for counts without noise, whose truth measured cells do not show: half of a smoothed
        cell's own noise stays.
        """
        if self.pool is None or self.pool.expected != SMOOTHED or noise is True:
            return False
        return noise == "depth" or self.cells.depth is None

    def _population(
        self, time: float, n_cells: int, rng: np.random.Generator, noise: bool | Literal["depth"]
    ) -> np.ndarray:
        """Latent points (n_cells, rank) of the drift's population at a time."""
        averaged = noise is False and self.cells.depth is not None
        return population_at(self.cells, self.field, time, n_cells, rng, self.start_times, averaged)

    def _on_the_clock(self, time: float) -> float:
        """The time at which straight lines between measured times have come as far as the pool."""
        cells, pool, start = self.cells, self.pool, self.start
        if pool is None or start is None or pool.clock == MEASURED:
            return time
        populations = [start.points[start.time == each] for each in cells.times]
        return DisplacementClock.of(cells.times, populations)(time)

    def _before(self, time: float) -> float:
        """The last measured time up to ``time``."""
        times = self.cells.times
        return float(times[times <= time][-1])

    def _of_points(
        self, latent: np.ndarray, noise: bool | Literal["depth"], generator: torch.Generator
    ) -> Drawn:
        return Drawn(*expected_cells(self.factors, self.cells, latent, noise, generator), latent)

    def _combined(
        self,
        time: float,
        n_cells: int,
        noise: bool | Literal["depth"],
        rng: np.random.Generator,
        generator: torch.Generator,
    ) -> Drawn:
        """Cells of the pool at one time."""
        cells, pool, start = self.cells, self.pool, self.start
        assert pool is not None
        assert start is not None
        if self.smooths(noise):
            return self._smoothed(start, time, n_cells, rng)
        if noise is not True:
            return self._of_points(self._population(time, n_cells, rng, noise), noise, generator)
        around = between(start, cells.times, time, self.growth)
        if around is None:
            last = self._before(time)
            side = Side(*start.at(last)).some(n_cells, rng)
            if time > last:
                goal = self.field.flow(side.points, last, [time])[0]
                side = carried(self.factors, side, goal, rng)
        else:
            side = pooled(
                pool.shares,
                self.factors,
                around,
                n_cells,
                rng,
                self.field,
                lambda n: self._of_drift(time, n, rng),
            )
        values = side.stored if cells.depth is None else log_values(side.stored)
        return Drawn(side.stored, values, side.points)

    def _of_drift(self, time: float, n_cells: int, rng: np.random.Generator) -> Side:
        """Cells of the drift with noise drawn anew."""
        points = self._population(time, n_cells, rng, noise=True)
        generator = torch.Generator(device_of(self.factors)).manual_seed(int(rng.integers(2**31)))
        return Side(self._of_points(points, True, generator).x, points)

    def _smoothed(
        self, start: StartCells, time: float, n_cells: int, rng: np.random.Generator
    ) -> Drawn:
        """Smoothed cells at one time."""
        cells, factors = self.cells, self.factors
        around, counts = between(start, cells.times, time), cells.depth is not None
        if around is None:
            drawn = self._smoothed_on(start, time, n_cells, rng)
        else:
            drawn = smoothed_cells(around, counts, n_cells, rng)
        values = x = drawn.values.astype(np.float32)
        if cells.depth is not None:
            share = np.expm1(drawn.expression) / COUNTS_PER_CELL
            x = (share * (cells.depth / share.sum(1, keepdims=True))).astype(np.float32)
        latent = factors.encode(torch.as_tensor(x, device=device_of(factors)))
        return Drawn(x, values, latent.cpu().numpy())

    def _smoothed_on(
        self, start: StartCells, time: float, n_cells: int, rng: np.random.Generator
    ) -> Smoothed:
        """Smoothed cells of the last measured time so far, moved on by the drift."""
        last = self._before(time)
        stored, points = start.at(last)
        rows = draw_rows(len(points), n_cells, rng)
        smooth = Smoothed.of(stored, self.cells.depth is not None).chosen(rows)
        goal = self.field.flow(points[rows], last, [time])[0]
        return smooth.moved(self.factors, points[rows], goal)
