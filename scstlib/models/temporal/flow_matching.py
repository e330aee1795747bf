"""Conditional flow matching with minibatch transport: balanced, unbalanced, by pseudotime."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from scstlib.models.settings import (
    check_not_negative,
    check_positive,
    check_whole,
    explain_arguments,
    layer_widths,
)
from scstlib.models.temporal.cells import MeasuredCells
from scstlib.models.temporal.moved_cells import MovedCells
from scstlib.models.temporal.pseudotime import ahead
from scstlib.models.temporal.transport import coupling, grow

if TYPE_CHECKING:
    from torch import Tensor

    from scstlib.models.temporal.scnode.flow_matching import TimedDrift

MAX_STEP = 0.1  # Of the solver, in intervals of the training times.


class FlowMatching(MovedCells):
    """A velocity learned from straight lines between cells that minibatches pair.

    At each step a batch of cells of each training time is drawn, the exact coupling of the
    batches of neighbouring times pairs them, and a network learns the velocity of points on the
    straight lines of the pairs (OT-CFM, Tong et al. 2024, https://arxiv.org/abs/2302.00482,
    equation 14 with the minibatch coupling of section 3.3; as in torchcfm). Cells follow it
    forwards or backwards, as :class:`scstlib.models.temporal.moved_cells.MovedCells` describes,
    and with noise keep what the components leave of them.

    The network sees 0, 1, 2, ... at the training times and straight lines in between, so that
    velocities of long and short intervals are alike. Beyond the last training time cells keep
    following the velocity that it has there, and before the first the network extrapolates in
    time, both in mean intervals: nothing measured bounds it.

    Parameters
    ----------
    n_components : int
        Principal components of the training cells.
    growth : float, optional
        None: every cell keeps its mass between two times. A number: batches are drawn by the
        masses of unbalanced transport (:func:`scstlib.models.temporal.transport.grow`), and
        predicted cells start with a mass that grows at a constant rate.
    pseudotime : float, optional
        None: cells are paired by place alone. A number: cells that are ahead of their population
        are paired with such cells, as if :func:`scstlib.models.temporal.pseudotime.ahead` were a
        further coordinate, that varies among cells of a time so many times as much as all others
        together. It is a prior on pairs; models that give each cell a time of its own, such as
        CT-OT Flow (https://arxiv.org/abs/2505.17354), train at these times instead.
    path_noise : float
        Standard deviation around the lines, in standard deviations of the points.
    hidden : sequence of int
        Widths of the hidden layers.
    matching_steps, batch_size, learning_rate
        Of training; the batch is that of one time.
    max_cells : int
        Cells of a time from which batches are drawn, and cells start.
    seed : int
        Draws cells, weights and batches.

    Attributes
    ----------
    drift_ : TimedDrift
        The velocity, per interval of the training times.
    paired_by_ : list of numpy.ndarray
        By training time the coordinates of cells by which they are paired.
    losses_ : dict of numpy.ndarray
        Loss of each step, ``"matching"``.

    Raises
    ------
    ValueError
        For a number out of range.

    Examples
    --------
    >>> FlowMatching(growth=1.0)
    FlowMatching(growth=1.0)
    """

    @explain_arguments
    def __init__(
        self,
        n_components: int = 6,
        growth: float | None = None,
        path_noise: float = 0.0,
        hidden: Sequence[int] = (64, 64),
        matching_steps: int = 500,
        batch_size: int = 64,
        learning_rate: float = 5e-3,
        max_cells: int = 1000,
        seed: int = 0,
        *,
        pseudotime: float | None = None,
    ) -> None:
        for name, value in {"growth": growth, "pseudotime": pseudotime}.items():
            if value is not None:
                check_positive({name: value}, name)
        check_not_negative({"path_noise": path_noise}, "path_noise")
        whole = {"matching_steps": matching_steps, "batch_size": batch_size, "max_cells": max_cells}
        whole["n_components"] = n_components
        check_whole(whole, *whole)
        check_positive({"learning_rate": learning_rate}, "learning_rate")
        self.n_components = n_components
        self.growth = growth
        self.path_noise = path_noise
        self.hidden = layer_widths("hidden", hidden)
        self.matching_steps = matching_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.max_cells = max_cells
        self.seed = seed
        self.pseudotime = pseudotime

    def _place(self, cells: MeasuredCells) -> None:
        super()._place(cells)
        points = list(self.points_.values())
        self.paired_by_ = points  # Where the distance of two cells is the cost of pairing them.
        if self.pseudotime is not None:
            later = ahead(points)
            place, time = (np.mean([x.var(0).sum() for x in each]) for each in (points, later))
            unit = self.pseudotime * np.sqrt(place / (time or 1.0))
            self.paired_by_ = [np.c_[own, unit * t] for own, t in zip(points, later, strict=True)]
        # How many times more each cell becomes until the next time, and became since the last one.
        self.growth_: list[tuple[np.ndarray, np.ndarray]] = []
        for start, end in pairwise(self.paired_by_):
            grown, came_of = np.ones(len(start)), np.ones(len(end))
            if self.growth is not None:
                grown = grow(start, end, self.growth)
                plan = coupling(start, end, grown)
                came_of = (plan * grown[:, None]).sum(0) / plan.sum(0)
            self.growth_.append((grown, came_of))

    def _learn_moves(self, cells: MeasuredCells) -> None:
        import torch

        from scstlib.training import minimise

        rng = np.random.default_rng(self.seed)
        self.drift_ = self._new_drift()
        n_times = len(self.points_)
        points = np.concatenate(list(self.points_.values()))
        steps = np.diff([own.mean(0) for own in self.points_.values()], axis=0)
        self.drift_.time_range[1] = n_times - 1.0
        self.drift_.position_scale.fill_(float(points.std(0).mean()) or 1.0)
        self.drift_.velocity_scale.fill_(float(np.sqrt((steps**2).mean())) or 1.0)

        def loss_of_step(_: int) -> Tensor:
            time, place, velocity = (
                torch.as_tensor(part, dtype=torch.float32) for part in self._batch(rng)
            )
            error = (self.drift_(time, place) - velocity) / self.drift_.velocity_scale
            loss: Tensor = error.square().mean()
            return loss

        history = minimise(
            loss_of_step,
            self.drift_.parameters(),
            n_steps=self.matching_steps,
            learning_rate=self.learning_rate,
            learning_rate_end=0.0,
            label="flow matching",
        )
        self.losses_ = {"matching": history.losses}

    def _batch(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Times (n, 1), places and velocities (n, n_components) on lines between paired cells."""
        points, n = list(self.points_.values()), self.batch_size
        spread = self.path_noise * float(self.drift_.position_scale)
        parts = []
        for k, (start, end) in enumerate(pairwise(points)):
            grown = self.growth_[k][0]
            rows = rng.choice(len(start), n, p=grown / grown.sum())
            columns = rng.choice(len(end), n)
            # Equally many on both sides with equal mass: the exact coupling is a permutation.
            plan = coupling(self.paired_by_[k][rows], self.paired_by_[k + 1][columns])
            early, late = start[rows], end[columns[plan.argmax(axis=1)]]
            share = rng.random((n, 1))
            place = early + share * (late - early) + spread * rng.standard_normal(early.shape)
            parts.append((k + share, place, late - early))
        time, place, velocity = (np.concatenate(part) for part in zip(*parts, strict=True))
        return time, place, velocity

    def _new_drift(self) -> TimedDrift:
        from scstlib.models.temporal.scnode.flow_matching import TimedDrift
        from scstlib.training import seeded_weights

        with seeded_weights(self.seed):
            return TimedDrift(self.n_components, self.hidden, "silu")

    def _chances(self, start: float, time: float) -> np.ndarray | None:
        times = list(self.points_)
        if self.growth is None or time == start or not times[0] <= time <= times[-1]:
            return None
        k = times.index(start)
        if time > start:
            mass = self.growth_[k][0] ** ((time - start) / (times[k + 1] - start))
        else:  # On the way back a cell that came of one that multiplies becomes less.
            mass = self.growth_[k - 1][1] ** ((time - start) / (start - times[k - 1]))
        chances: np.ndarray = mass / mass.sum()
        return chances

    def _moved(
        self, start: float, time: float, rows: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        import torch

        from scstlib.models.temporal.scnode.flow_matching import integrate
        from scstlib.models.temporal.scnode.model_time import ModelTime

        points = self.points_[start][rows]
        if time == start:
            return points, points
        grid = ModelTime(list(self.points_), "index")(np.array([start, time]))
        with torch.no_grad():
            begin = torch.as_tensor(points, dtype=torch.float32)
            end = integrate(self.drift_, begin, grid, MAX_STEP, damping=None)[-1]
        return points, end.numpy().astype(np.float64)

    def _learned(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        learned, tensors = super()._learned()
        tensors |= {f"drift.{name}": value for name, value in self.drift_.state_dict().items()}
        return learned, tensors | self._space_tensors()

    def _restore(self, learned: dict[str, Any], tensors: dict[str, Tensor], device: str) -> None:
        from scstlib.models.files import load_weights, under

        self._restore_space(learned, tensors, device)
        self.drift_ = self._new_drift()
        load_weights(self.drift_, under("drift", tensors), "n_components and hidden")
