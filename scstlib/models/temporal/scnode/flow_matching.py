"""A drift learned by flow matching (Tong et al. 2024, https://arxiv.org/abs/2302.00482).

A network learns the velocity of latent points, as a function of position and time, from the curves
of :mod:`scstlib.models.temporal.scnode.transport_curves`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from scstlib.models.temporal.scnode.published_network import ACTIVATIONS
from scstlib.models.temporal.scnode.transport_curves import Coupled, Curves, draw_curves
from scstlib.ot import sinkhorn_divergence
from scstlib.training import minimise, seeded_weights, terms_of

if TYPE_CHECKING:
    from lightning_fabric import Fabric

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
        for n_in, n_out in pairwise(sizes):
            layers += [nn.Linear(n_in, n_out), ACTIVATIONS[activation]()]
        self.net = nn.Sequential(*(layers if activation == "relu" else layers[:-1]))
        self.register_buffer("time_range", torch.tensor([0.0, 1.0], dtype=torch.float64))
        self.register_buffer("position_scale", torch.ones(()))
        self.register_buffer("velocity_scale", torch.ones(()))

    def forward(self, time: Tensor, points: Tensor) -> Tensor:
        """Return velocities (..., n_latent) at ``time``, a scalar or of shape (..., 1)."""
        velocity: Tensor = self.net(self.inputs(time, points)) * self.velocity_scale
        return velocity

    def inputs(self, time: Tensor, points: Tensor) -> Tensor:
        """Return what the network is given, (..., n_latent + 1)."""
        first, last = self.time_range
        scaled = ((time - first) / (last - first) * 2 - 1).to(points)
        scaled = scaled.expand(*points.shape[:-1], 1)
        return torch.cat([points / self.position_scale, scaled], dim=-1)


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
    seed : int
    """

    hidden: tuple[int, ...] = (64, 64)
    activation: str = "silu"
    matching_steps: int = 800
    batch_size: int = 256
    learning_rate: float = 1e-2
    transport_steps: int = 0
    seed: int = 0


def train_drift(
    coupled: Coupled,
    times: np.ndarray,
    settings: DriftSettings,
    fabric: Fabric | None = None,
    *,
    validate: Callable[[TimedDrift], float] | None = None,
    validate_every: int = 50,
    patience: int = 10,
    checkpoint: str | Path | None = None,
    run: str = "",
    progress: bool | None = None,
    label: str = "flow matching",
) -> tuple[TimedDrift, dict[str, np.ndarray]]:
    """Train a drift on coupled latent populations.

    Parameters
    ----------
    coupled : Coupled
        Latent points of each time and their coupling.
    times : numpy.ndarray, shape (n_times,)
        Model times.
    fabric : Fabric, optional
        Device, precision and processes.
    validate : function, optional
        Number that is lower for a better drift, for early stopping.
    checkpoint : path, optional
        Where the run is kept, in a file for each stage.
    validate_every, patience, run, progress
        As for :func:`scstlib.training.minimise`.
    label : str
        Name of flow matching in the bar, in the log and in errors.

    Returns
    -------
    TimedDrift, dict of numpy.ndarray
        The drift, and the losses of each stage.
    """
    curves = draw_curves(coupled, times, np.random.default_rng(settings.seed))
    drift = _untrained(curves, times, settings)
    device = torch.device("cpu") if fabric is None else fabric.device
    drift.to(device)
    generator = torch.Generator(device=device).manual_seed(settings.seed)

    def stage(name: str) -> dict[str, Any]:
        """What :func:`scstlib.training.minimise` is told in every stage."""
        return {
            "fabric": fabric,
            "generators": [generator],
            "validate": None if validate is None else partial(validate, drift),
            "validate_every": validate_every,
            "patience": patience,
            "checkpoint": None if checkpoint is None else Path(f"{checkpoint}.{name}"),
            "run": run,
            "progress": progress,
        }

    matching = {**stage("matching"), "label": label}
    losses = {"matching": _match(drift, curves, settings, generator, matching)}
    if settings.transport_steps:
        losses["transport"] = _transport(
            drift, coupled.cells, times, settings, generator, stage("transport")
        )
    return drift, losses


def _untrained(curves: Curves, times: np.ndarray, settings: DriftSettings) -> TimedDrift:
    """Return a drift with random weights, scaled to the positions and velocities of the curves."""
    with seeded_weights(settings.seed):
        drift = TimedDrift(curves.position.shape[1], settings.hidden, settings.activation)
    drift.time_range[:] = torch.as_tensor(times[[0, -1]])
    drift.position_scale.fill_(float(curves.position.std(0).mean()) or 1.0)
    drift.velocity_scale.fill_(float(curves.velocity.std(0).mean()) or 1.0)
    return drift


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
    inputs, wanted = drift.inputs(time, position), velocity / drift.velocity_scale
    mine = terms_of(how["fabric"], settings.batch_size)
    n_processes = 1 if how["fabric"] is None else how["fabric"].world_size

    def loss_of_step(_: int) -> Tensor:
        rows = torch.randint(
            len(inputs), (settings.batch_size,), generator=generator, device=generator.device
        )[mine]
        error = drift.net(inputs[rows]) - wanted[rows]
        loss: Tensor = error.square().mean(1).sum() * (n_processes / settings.batch_size)
        return loss

    return minimise(
        loss_of_step,
        drift.parameters(),
        n_steps=settings.matching_steps,
        learning_rate=settings.learning_rate,
        learning_rate_end=0.0,
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
    drift: TimedDrift, points: Tensor, grid: np.ndarray, max_step: float, damping: float | None
) -> Tensor:
    """Move latent points (n, n_latent) from ``grid[0]`` to the others, (n_times - 1, n, n_latent).

    Classical Runge-Kutta in steps of at most ``max_step``, with cubic interpolation in between:
    the path does not depend on which times are asked for.

    Parameters
    ----------
    grid : numpy.ndarray, shape (n_times,)
        Ascending or descending model times.
    damping : float or None
        Of the velocity beyond the last training time, as for
        :class:`scstlib.models.temporal.scnode.drift.DriftField`.
    """
    last, end = float(drift.time_range[1]), float(grid[-1])
    # The velocity has a kink at the last training time; a step that ends there keeps its order.
    crosses = min(grid[0], end) < last < max(grid[0], end)
    at, path = float(grid[0]), [points]
    for stop in (last, end) if crosses else (end,):
        inside = grid[1:][
            ((grid[1:] - at) * (stop - at) > 0) & (np.abs(grid[1:] - at) <= abs(stop - at))
        ]
        leg = _leg(drift, path[-1], np.r_[at, inside, stop], max_step, damping)
        path, at = [*path[:-1], *leg], stop
    return torch.stack(path[:-1])


def _leg(
    drift: TimedDrift, points: Tensor, grid: np.ndarray, max_step: float, damping: float | None
) -> list[Tensor]:
    """Latent points at ``grid[1:]``, which does not cross the last training time."""
    from torchdiffeq import odeint

    last = float(drift.time_range[1])
    rate = 0.0
    if grid.max() > last and damping is not None:
        if damping == 0:
            return [points] * (len(grid) - 1)
        rate = 1 / damping

    def velocity(time: Tensor, at: Tensor) -> Tensor:
        found: Tensor = drift(time.clamp(max=last), at)
        return found * np.exp((last - float(time)) * rate) if rate else found

    # The solver takes no time twice.
    stops, place = np.unique(grid, return_inverse=True)
    if grid[-1] < grid[0]:
        stops, place = stops[::-1], len(stops) - 1 - place
    if len(stops) == 1:
        return [points] * (len(grid) - 1)
    times = torch.as_tensor(stops.copy(), dtype=torch.float64, device=points.device)
    options = {"step_size": max_step, "interp": "cubic"}
    path: Tensor = odeint(velocity, points, times, method="rk4", options=options)
    return [path[k] for k in place[1:]]
