"""Least-action paths: the likeliest way from one state to another against the flow.

Cells that follow dz = v(z, t) dt plus Gaussian noise take a path x with a probability that falls
as ``exp(-action / (2 noise²))``, ``action = ∫ |dx/dt - v(x, t)|² dt`` (Onsager & Machlup 1953,
10.1103/PhysRev.91.1505; the term with the divergence of v is left out, which is right for small
noise). The action is 0 along the flow and grows with every detour from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scstlib.analysis.cells import decoded, latent_scale

if TYPE_CHECKING:
    from anndata import AnnData

    from scstlib.models.temporal.protocol import LatentFlow

#: Takes a function of a vector that returns (value, gradient), and where to begin.
Optimiser = Callable[[Callable[[np.ndarray], tuple[float, np.ndarray]], np.ndarray], Any]


@dataclass(frozen=True)
class LeastActionPath:
    """The path of the lowest action that was seen.

    Attributes
    ----------
    action : float
        In squared latent units per unit of time.
    path : AnnData
        One row for each point: decoded values in ``X``, ``obsm["latent"]``, the time and
        ``obs["action"]``, the action up to there. ``var["change"]`` is the change of each gene from
        start to end, ``var["travel"]`` the length of its way; their absolute difference is what
        the gene goes up and down again.
    trace : numpy.ndarray, shape (n_evaluations,)
        Action at each evaluation, in order. It need not fall all the time: its minimum is
        ``action``.
    """

    action: float
    path: AnnData
    trace: np.ndarray


def least_action_path(
    model: LatentFlow,
    start: np.ndarray,
    end: np.ndarray,
    start_time: float,
    end_time: float,
    *,
    n_steps: int = 24,
    max_iterations: int = 300,
    optimiser: Optimiser | None = None,
) -> LeastActionPath:
    """Find the path of least action between two states in a given time.

    Two first guesses are improved, the straight line and the way that the flow takes from the
    start, bent to the end; the lowest action of all evaluations is returned, whatever the optimiser
    ends on.

    Parameters
    ----------
    model : LatentFlow
    start, end : numpy.ndarray, shape (latent,) or (n, latent)
        States in latent space; of several cells the mean is taken.
    start_time, end_time : float
        When the path begins and ends.
    n_steps : int
        Pieces of the path.
    max_iterations : int
        Of the default optimiser, for each first guess.
    optimiser : callable, optional
        By default L-BFGS of SciPy. Called with a function that returns the action and its gradient,
        and with the inner points of a path as a vector. Its result is not read.

    Returns
    -------
    LeastActionPath

    Raises
    ------
    ValueError
        If the states have different dimensions, ``end_time`` is not after ``start_time``, or
        ``n_steps`` is below 2.
    """
    first, last = np.atleast_2d(start).mean(axis=0), np.atleast_2d(end).mean(axis=0)
    if first.shape != last.shape:
        raise ValueError(f"start has {first.size} dimensions and end {last.size}; both need one.")
    if not end_time > start_time:
        raise ValueError(f"the path would end at {end_time:g}, not after {start_time:g}.")
    if n_steps < 2:
        raise ValueError(f"n_steps is {n_steps}; a path needs at least 2.")
    times = np.linspace(start_time, end_time, n_steps + 1)
    step = latent_scale(np.stack([first, last])) * 1e-3
    best_action, best = np.inf, np.empty(0)
    trace: list[float] = []

    def evaluate(inner: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal best_action, best
        path = np.concatenate([[first], inner.reshape(-1, len(first)), [last]])
        pieces, gradient = path_action(model, path, times, step)
        action = float(pieces.sum())
        trace.append(action)
        if action < best_action:
            best_action, best = action, path
        return action, gradient[1:-1].ravel()

    improve = optimiser or _lbfgs(max_iterations)
    for guess in _first_guesses(model, first, last, times):
        improve(evaluate, guess[1:-1].ravel())
    return LeastActionPath(best_action, _describe(model, best, times, step), np.array(trace))


def path_action(
    model: LatentFlow, path: np.ndarray, times: np.ndarray, step: float = 1e-3
) -> tuple[np.ndarray, np.ndarray]:
    """Return the action of each piece of a path, and the gradient of their sum.

    Parameters
    ----------
    path : numpy.ndarray, shape (n_steps + 1, latent)
    times : numpy.ndarray, shape (n_steps + 1,)
    step : float
        For the derivative of the velocity, by central differences, in latent units.

    Returns
    -------
    pieces : numpy.ndarray, shape (n_steps,)
        ``|Δx / Δt - v|² Δt``, with v in the middle of the piece.
    gradient : numpy.ndarray, shape (n_steps + 1, latent)
    """
    width = np.diff(times)
    middle, when = (path[1:] + path[:-1]) / 2, (times[1:] + times[:-1]) / 2
    dim = path.shape[1]
    moves = step * np.concatenate([np.zeros((1, dim)), np.eye(dim), -np.eye(dim)])
    pieces, gradient = np.empty(len(width)), np.zeros_like(path)
    for k, (point, time, dt) in enumerate(zip(middle, when, width, strict=True)):
        around = model.velocity(point + moves, float(time))
        # jacobian[i, j]: how velocity j changes with coordinate i.
        jacobian = (around[1 : dim + 1] - around[dim + 1 :]) / (2 * step)
        miss = (path[k + 1] - path[k]) / dt - around[0]
        pieces[k] = miss @ miss * dt
        gradient[k] += 2 * (-miss - dt / 2 * jacobian @ miss)
        gradient[k + 1] += 2 * (miss - dt / 2 * jacobian @ miss)
    return pieces, gradient


def _lbfgs(max_iterations: int) -> Optimiser:
    from scipy.optimize import minimize

    def improve(evaluate: Callable[..., Any], guess: np.ndarray) -> None:
        minimize(evaluate, guess, jac=True, method="L-BFGS-B", options={"maxiter": max_iterations})

    return improve


def _first_guesses(
    model: LatentFlow, first: np.ndarray, last: np.ndarray, times: np.ndarray
) -> list[np.ndarray]:
    """Return a straight path and one along the flow whose end is moved to where it should be."""
    share = ((times - times[0]) / (times[-1] - times[0]))[:, None]
    straight = first + share * (last - first)
    flown = model.flow(first[None], float(times[0]), times.tolist())[:, 0]
    return [straight, flown + share * (last - flown[-1])]


def _describe(model: LatentFlow, path: np.ndarray, times: np.ndarray, step: float) -> AnnData:
    pieces = path_action(model, path, times, step)[0]
    so_far = np.concatenate([[0.0], np.cumsum(pieces)])
    out = decoded(model, path, {model.time_key_: times, "action": so_far})
    values = np.asarray(out.X, dtype=float)
    out.var["change"] = values[-1] - values[0]
    out.var["travel"] = np.abs(np.diff(values, axis=0)).sum(axis=0)
    return out
