"""A drift learned by flow matching along optimal-transport paths through measured populations.

Cells of neighbouring times are paired by optimal transport (Tong et al. 2024,
https://arxiv.org/abs/2302.00482). Pairs are joined to chains over four times, and a cubic Hermite
curve through each chain gives positions and velocities, so that paths bend where straight lines
between pairs have corners. A network learns the velocity as a function of position and time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from scstlib.models.scnode_networks import ACTIVATIONS
from scstlib.ot import sinkhorn_divergence
from scstlib.training import minimise, seeded_weights, terms_of

if TYPE_CHECKING:
    from lightning_fabric import Fabric

MAX_COUPLED = 1000  # Cells of a time that enter a coupling, whose cost grows with their square.
CURVES = 4000  # Drawn per interval.
SOLVER_STEPS = 4  # Runge-Kutta steps per mean interval of the training times.


class TimedDrift(nn.Module):
    """The velocity of a latent point at a time, and how both are scaled.

    Parameters
    ----------
    n_latent : int
    hidden : sequence of int
    activation : str
        "relu" stands after the last layer too, so that no velocity is negative.
    """

    time_range: Tensor  # First and last training time.
    position_scale: Tensor  # Standard deviation of the positions.
    velocity_scale: Tensor

    def __init__(self, n_latent: int, hidden: Sequence[int], activation: str) -> None:
        super().__init__()
        sizes, layers = [n_latent + 1, *hidden, n_latent], []
        for n_in, n_out in zip(sizes[:-1], sizes[1:], strict=True):
            layers += [nn.Linear(n_in, n_out), ACTIVATIONS[activation]()]
        self.net = nn.Sequential(*(layers if activation == "relu" else layers[:-1]))
        self.register_buffer("time_range", torch.tensor([0.0, 1.0], dtype=torch.float64))
        self.register_buffer("position_scale", torch.ones(()))
        self.register_buffer("velocity_scale", torch.ones(()))

    def forward(self, time: Tensor, points: Tensor) -> Tensor:
        """Return velocities (..., n_latent) at ``time``, a scalar or of shape (..., 1)."""
        first, last = self.time_range
        scaled = ((time - first) / (last - first) * 2 - 1).to(points)
        scaled = scaled.expand(*points.shape[:-1], 1)
        inputs = torch.cat([points / self.position_scale, scaled], dim=-1)
        velocity: Tensor = self.net(inputs) * self.velocity_scale
        return velocity


@dataclass(frozen=True)
class DriftSettings:
    """How a drift is trained.

    Attributes
    ----------
    hidden : tuple of int
        Widths of the hidden layers.
    activation : str
        As for :class:`TimedDrift`.
    matching_steps, batch_size, learning_rate
        Of flow matching.
    transport_steps : int
        Steps on the Sinkhorn divergence between flowed and measured latent populations of
        neighbouring times, after flow matching.
    growth : float or None
        How much the mass of a cell may change between two times: penalty on the divergence of
        the masses from uniform, relative to a typical cost of moving a cell. Small lets cells
        grow and die; None keeps all masses equal.
    seed : int
    """

    hidden: tuple[int, ...] = (64, 64)
    activation: str = "silu"
    matching_steps: int = 800
    batch_size: int = 256
    learning_rate: float = 1e-2
    transport_steps: int = 0
    growth: float | None = None
    seed: int = 0


def train_drift(
    populations: Sequence[np.ndarray],
    times: np.ndarray,
    settings: DriftSettings,
    fabric: Fabric | None = None,
    stage: dict[str, Any] | None = None,
) -> tuple[TimedDrift, dict[str, np.ndarray]]:
    """Train a drift on latent populations.

    Parameters
    ----------
    populations : sequence of numpy.ndarray, each of shape (n_cells, n_latent)
        One for each time.
    times : numpy.ndarray, shape (n_times,)
    fabric : Fabric, optional
        Device, precision and processes.
    stage : dict, optional
        Checkpoint, progress and validation for :func:`scstlib.training.minimise`.

    Returns
    -------
    TimedDrift, dict of numpy.ndarray
        The drift, and the losses of each stage.
    """
    rng = np.random.default_rng(settings.seed)
    curves = draw_curves(populations, times, settings.growth, rng)
    with seeded_weights(settings.seed):
        drift = TimedDrift(populations[0].shape[1], settings.hidden, settings.activation)
    drift.time_range[:] = torch.as_tensor(times[[0, -1]])
    drift.position_scale.fill_(float(curves.position.std(0).mean()))
    drift.velocity_scale.fill_(float(curves.velocity.std(0).mean()) or 1.0)
    device = torch.device("cpu") if fabric is None else fabric.device
    drift.to(device)
    generator = torch.Generator(device=device).manual_seed(settings.seed)
    how = {"fabric": fabric, "generators": [generator], **(stage or {})}
    losses = {"matching": _match(drift, curves, settings, generator, how)}
    if settings.transport_steps:
        losses["transport"] = _transport(drift, populations, times, settings, generator, how)
    return drift, losses


@dataclass(frozen=True)
class Curves:
    """Points on curves through measured cells: time (n,), position and velocity (n, n_latent)."""

    time: np.ndarray
    position: np.ndarray
    velocity: np.ndarray


def draw_curves(
    populations: Sequence[np.ndarray],
    times: np.ndarray,
    growth: float | None,
    rng: np.random.Generator,
) -> Curves:
    """Draw points on Hermite curves through chains of coupled cells.

    Every interval gets as many points, wherever the measured times are dense; the tangent at a
    measured cell is that of the parabola through it and its two neighbours in the chain.
    """
    some = [cells[rng.permutation(len(cells))[:MAX_COUPLED]] for cells in populations]
    some = [cells.astype(np.float64) for cells in some]
    plans = [couple(a, b, growth) for a, b in zip(some[:-1], some[1:], strict=True)]
    parts = []
    for k, plan in enumerate(plans):
        pair = rng.choice(plan.size, CURVES, p=plan.ravel() / plan.sum())
        left, right = np.unravel_index(pair, plan.shape)
        before = some[k - 1][_partner(plans[k - 1].T, left, rng)] if k > 0 else None
        after = some[k + 2][_partner(plans[k + 1], right, rng)] if k + 2 < len(some) else None
        time = rng.uniform(times[k], times[k + 1], CURVES)
        ends = some[k][left], some[k + 1][right]
        around = times[max(k - 1, 0)], times[k], times[k + 1], times[min(k + 2, len(times) - 1)]
        parts.append((time, *_hermite(time, around, before, *ends, after)))
    return Curves(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def couple(start: np.ndarray, end: np.ndarray, growth: float | None = None) -> np.ndarray:
    """Return the optimal coupling (n, m) of two populations, cost squared distance.

    With ``growth`` the masses at the start are those of unbalanced transport (entropic, penalty
    on the Kullback-Leibler divergence from uniform), and the coupling of these masses is exact.
    """
    import ot

    cost = ot.dist(start, end, metric="sqeuclidean")
    mass, uniform = ot.unif(len(start)), ot.unif(len(end))
    if growth is not None:
        typical = np.median(cost.min(axis=1))
        relaxed = ot.unbalanced.sinkhorn_unbalanced(
            mass, uniform, cost / typical, reg=0.5, reg_m=10 * growth, numItermax=300
        )
        mass = relaxed.sum(axis=1) / relaxed.sum()
    plan: np.ndarray = ot.emd(mass, uniform, cost, numItermax=2_000_000)
    return plan


def _partner(plan: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw for each of ``rows`` of a coupling a column, by its mass."""
    cumulative = plan.cumsum(axis=1)
    level = rng.random(len(rows)) * cumulative[rows, -1]
    return (cumulative[rows] <= level[:, None]).sum(axis=1).clip(max=plan.shape[1] - 1)


def _hermite(
    time: np.ndarray,
    around: tuple[float, float, float, float],
    before: np.ndarray | None,
    left: np.ndarray,
    right: np.ndarray,
    after: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Position and velocity (n, n_latent) between ``left`` and ``right`` at times (n,)."""
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


def _match(
    drift: TimedDrift,
    curves: Curves,
    settings: DriftSettings,
    generator: torch.Generator,
    how: dict[str, Any],
) -> np.ndarray:
    """Flow matching: mean squared error of the velocity at points on the curves."""
    time, position, velocity = (
        torch.as_tensor(part, dtype=torch.float32, device=generator.device)
        for part in (curves.time[:, None], curves.position, curves.velocity)
    )
    mine = terms_of(how["fabric"], settings.batch_size)
    n_processes = 1 if how["fabric"] is None else how["fabric"].world_size

    def loss_of_step(_: int) -> Tensor:
        rows = torch.randint(
            len(time), (settings.batch_size,), generator=generator, device=generator.device
        )[mine]
        error = (drift(time[rows], position[rows]) - velocity[rows]) / drift.velocity_scale
        return error.square().mean(1).sum() * (n_processes / settings.batch_size)

    return minimise(
        loss_of_step,
        drift.parameters(),
        n_steps=settings.matching_steps,
        learning_rate=settings.learning_rate,
        learning_rate_end=0.0,
        label="flow matching",
        **how,
    ).losses


def _transport(
    drift: TimedDrift,
    populations: Sequence[np.ndarray],
    times: np.ndarray,
    settings: DriftSettings,
    generator: torch.Generator,
    how: dict[str, Any],
) -> np.ndarray:
    """Sinkhorn divergence between cells that flowed to the next time and those measured there."""
    clouds = [
        torch.as_tensor(cells, dtype=torch.float32, device=generator.device)
        for cells in populations
    ]
    mine = terms_of(how["fabric"], len(times) - 1)
    n_processes = 1 if how["fabric"] is None else how["fabric"].world_size
    starts = torch.as_tensor(times[:-1], device=generator.device)[mine, None, None]
    width = torch.as_tensor(np.diff(times), device=generator.device)[mine, None, None]

    def drawn() -> Tensor:
        n = settings.batch_size // 2
        return torch.stack([
            cloud[torch.randint(len(cloud), (n,), generator=generator, device=cloud.device)]
            for cloud in clouds
        ]) / drift.position_scale  # fmt: skip

    def loss_of_step(_: int) -> Tensor:
        cells, targets = drawn()[:-1][mine], drawn()[1:][mine]
        for step in range(SOLVER_STEPS):
            cells = _midpoint(drift, cells, starts + width * step / SOLVER_STEPS, width)
        found = sinkhorn_divergence(cells, targets, blur=0.1, scaling=0.7, constant_term=False)
        return found.sum() * (n_processes / (len(times) - 1))

    return minimise(
        loss_of_step,
        drift.parameters(),
        n_steps=settings.transport_steps,
        learning_rate=settings.learning_rate / 20,
        learning_rate_end=0.0,
        label="transport",
        **how,
    ).losses


def _midpoint(drift: TimedDrift, cells: Tensor, time: Tensor, width: Tensor) -> Tensor:
    """One midpoint step of scaled latent points (k, n, n_latent), a quarter of an interval."""
    step, scale = (width / SOLVER_STEPS).to(cells), drift.position_scale

    def velocity(at: Tensor, when: Tensor) -> Tensor:
        found: Tensor = drift(when, at * scale) / scale
        return found

    half = cells + step / 2 * velocity(cells, time)
    return cells + step * velocity(half, time + width / (2 * SOLVER_STEPS))


def integrate(
    drift: TimedDrift,
    points: Tensor,
    start: float,
    times: np.ndarray,
    max_step: float,
    damping: float | None,
) -> Tensor:
    """Move latent points (n, n_latent) from ``start`` to ``times``, (n_times, n, n_latent).

    Classical Runge-Kutta in steps of at most ``max_step``, with cubic interpolation in between:
    the path does not depend on which times are asked for.

    Parameters
    ----------
    times : numpy.ndarray
        Monotone, all later or all earlier than ``start``.
    damping : float or None
        Beyond the last training time the velocity is that at the last training time and decays
        by ``exp(-elapsed / damping)``; None: it does not decay; 0: nothing moves.
    """
    from torchdiffeq import odeint

    last = float(drift.time_range[1])

    def velocity(time: Tensor, at: Tensor) -> Tensor:
        beyond = float(time) - last
        found: Tensor = drift(time.clamp(max=last), at)
        if beyond <= 0 or damping is None:
            return found
        return found * (np.exp(-beyond / damping) if damping > 0 else 0.0)

    grid = torch.as_tensor(np.r_[start, times], dtype=torch.float64, device=points.device)
    options = {"step_size": max_step, "interp": "cubic"}
    path: Tensor = odeint(velocity, points, grid, method="rk4", options=options)
    return path[1:]
