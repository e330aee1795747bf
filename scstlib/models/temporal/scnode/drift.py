"""A trained drift in measured time, which fades beyond the last training time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from scstlib.models.temporal.scnode.flow_matching import (
    DriftSettings,
    TimedDrift,
    integrate,
    train_drift,
)
from scstlib.models.temporal.scnode.model_time import ModelTime
from scstlib.models.temporal.scnode.transport_curves import Coupled

if TYPE_CHECKING:
    from lightning_fabric import Fabric

DAMPINGS = (0.0, 0.5, 1.0, 2.0, 4.0, None)
MAX_COMPARED = 500
SHORTER = 3  # Drifts that only choose the damping are trained in as many times fewer steps.


@dataclass(frozen=True)
class DriftField:
    """Velocities and paths of latent points.

    Attributes
    ----------
    drift : TimedDrift
        In model time.
    clock : ModelTime
        Measured time to model time, whose unit is the mean interval of the training times.
    max_step : float
        Step bound of the solver, in model time.
    damping : float or None
        Beyond the last training time the velocity is that at the last training time and decays
        by ``exp(-elapsed / damping)``, in model time; None: it does not decay; 0: nothing moves.
    """

    drift: TimedDrift
    clock: ModelTime
    max_step: float
    damping: float | None

    def velocity(self, latent: np.ndarray, time: float) -> np.ndarray:
        """Return the velocity (n, n_latent) of latent points, per unit of measured time."""
        ahead = float(self.clock(np.array([time]))[0])
        last = float(self.drift.time_range[1])
        with torch.no_grad():
            found = self.drift(torch.tensor(min(ahead, last)), self._tensor(latent)).cpu().numpy()
        left = 1.0
        if ahead > last and self.damping is not None:
            left = np.exp((last - ahead) / self.damping) if self.damping > 0 else 0.0
        moving: np.ndarray = found * (self.clock.rate(time) * left)
        return moving

    def flow(self, latent: np.ndarray, start: float, times: Sequence[float]) -> np.ndarray:
        """Move latent points from ``start`` to each of ``times``; (n_times, n, n_latent).

        ``times`` may lie before or after ``start``, in any order; the path does not depend on
        which of them are asked for.
        """
        requested = np.atleast_1d(np.asarray(times, dtype=float))
        points = self._tensor(latent)
        moved = points.new_empty((len(requested), *points.shape))
        moved[torch.as_tensor(requested == start)] = points
        for side in (requested > start, requested < start):
            if side.any():
                moved[torch.as_tensor(side)] = self._path(points, start, requested[side])
        return moved.cpu().numpy()

    def _path(self, points: Tensor, start: float, times: np.ndarray) -> Tensor:
        """Latent points at ``times``, all on one side of ``start``."""
        near_to_far = np.unique(times)
        if times[0] < start:
            near_to_far = near_to_far[::-1]
        grid = self.clock(np.r_[start, near_to_far])
        with torch.no_grad():
            path = integrate(self.drift, points, grid, self.max_step, self.damping)
        return path[[int(np.flatnonzero(near_to_far == time)[0]) for time in times]]

    def _tensor(self, latent: np.ndarray) -> Tensor:
        device = self.drift.time_range.device
        return torch.as_tensor(np.array(latent), dtype=torch.float32, device=device)


def choose_damping(
    coupled: Coupled,
    times: np.ndarray,
    settings: DriftSettings,
    max_step: float,
    fabric: Fabric | None = None,
) -> float | None:
    """Return the damping with which drifts that have not seen the last times predict them best.

    Parameters
    ----------
    coupled : Coupled
        Latent points of each time and their coupling.
    times : numpy.ndarray, shape (n_times,)
        Model times. With fewer than four none can be left out, and nothing says how far the
        drift holds: the damping is 0.
    settings : DriftSettings
        Of the drift that is damped; those that choose are trained in a third of its steps.
    """
    shorter = replace(settings, matching_steps=settings.matching_steps // SHORTER)
    errors = []
    for n in range(max(3, len(times) - 2), len(times)):
        drift, _ = train_drift(
            coupled.first(n),
            times[:n],
            shorter,
            fabric,
            progress=False,
            label=f"flow matching of the first {n} times, for the damping",
        )
        grid, (before, after) = times[n - 1 : n + 1], coupled.cells[n - 1 : n + 1]
        errors.append(damping_errors(drift, grid, before, after, max_step))
    return DAMPINGS[int(np.argmin(np.sum(errors, axis=0)))] if errors else 0.0


def damping_errors(
    drift: TimedDrift, grid: np.ndarray, before: np.ndarray, after: np.ndarray, max_step: float
) -> list[float]:
    """Return how badly a drift predicts a later population, for each of ``DAMPINGS``.

    Parameters
    ----------
    drift : TimedDrift
        Trained without the later time.
    grid : numpy.ndarray, shape (2,)
        The last model time that the drift was trained on, and the later one.
    before, after : numpy.ndarray, shapes (n, n_latent) and (m, n_latent)
        Latent points measured at these times, compared by :func:`squared_w2`.
    """
    points = torch.as_tensor(_some(before), dtype=torch.float32, device=drift.time_range.device)
    errors = []
    for damping in DAMPINGS:
        with torch.no_grad():
            moved = integrate(drift, points, grid, max_step, damping)[0]
        errors.append(squared_w2(moved.cpu().numpy(), after))
    return errors


def squared_w2(a: np.ndarray, b: np.ndarray) -> float:
    """Exact squared Wasserstein distance of latent points, at most ``MAX_COMPARED`` of each."""
    import ot

    a, b = _some(a).astype(float), _some(b).astype(float)
    cost = ot.dist(a, b)
    return float(ot.emd2(ot.unif(len(a)), ot.unif(len(b)), cost, numItermax=2_000_000))


def _some(points: np.ndarray) -> np.ndarray:
    """Evenly spaced rows: cells are often ordered by batch."""
    n = min(len(points), MAX_COMPARED)
    some: np.ndarray = points[np.linspace(0, len(points) - 1, n).astype(int)]
    return some
