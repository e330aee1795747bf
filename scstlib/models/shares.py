"""Shares of several predictions in a mixture, from how each of them does on what was left out.

A mixture is scored by a convex quadratic function of the shares, so that the best shares are the
solution of a small programme, without search: stacking (Breiman 1996,
https://doi.org/10.1007/BF00117832). Little is left out, so the shares are drawn to a guess that is
made beforehand.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

PULL = 0.3  # Of the guess, against the score of the best prediction.
LEAST_PULL = 0.01  # Where left-out times agree; without any, equal ways would have no best shares.
TINY = 1e-9

#: Mean distances of the cells that one time lacks: of each prediction to the measured cells (k,),
#: between predictions (k, k), and between measured cells.
Distances = tuple[np.ndarray, np.ndarray, float]


def best_shares(
    linear: np.ndarray, square: np.ndarray, guess: np.ndarray, pull: float = PULL
) -> np.ndarray:
    """Return the shares s that minimise ``linear @ s - s @ square @ s + pull * |s - guess|**2``.

    Parameters
    ----------
    linear : numpy.ndarray, shape (k,)
    square : numpy.ndarray, shape (k, k)
        Symmetric; ``-square`` is positive semidefinite where shares add up to 1. Distances of
        samples are so but for chance, more so where two predictions move the same cells; what
        they bend the other way is taken for flat, so that there is one best answer.
    guess : numpy.ndarray, shape (k,)
        Shares without any knowledge.
    pull : float
        0: the guess does not matter.

    Returns
    -------
    numpy.ndarray, shape (k,)
        Not negative, sum 1.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.models.shares import best_shares
    >>> errors = np.array([[1.0, -1.0], [-1.0, 1.0]])  # opposite errors cancel
    >>> best_shares(np.zeros(2), -errors, np.array([1.0, 0.0]), pull=0.0).round(2).tolist()
    [0.5, 0.5]
    """
    from scipy.optimize import minimize

    steps = np.eye(len(guess)) - 1 / len(guess)  # Onto changes that leave the sum at 1.
    bends, axes = np.linalg.eigh(-steps @ square @ steps)
    curvature = (axes * np.maximum(bends, 0)) @ axes.T
    alone = linear - np.diag(square) - np.diag(curvature)  # Each prediction keeps its own score.

    def loss(shares: np.ndarray) -> float:
        off = shares - guess
        return float(alone @ shares + shares @ curvature @ shares + pull * off @ off)

    def slope(shares: np.ndarray) -> np.ndarray:
        gradient: np.ndarray = alone + 2 * curvature @ shares + 2 * pull * (shares - guess)
        return gradient

    found = minimize(
        loss, guess, jac=slope, bounds=[(0, 1)] * len(guess), method="SLSQP",
        constraints={"type": "eq", "fun": lambda s: s.sum() - 1, "jac": lambda s: np.ones(len(s))},
        options={"maxiter": 300, "ftol": 1e-9},
    )  # fmt: skip
    shares: np.ndarray = np.clip(found.x, 0, None).round(3)
    shares /= shares.sum()
    return shares


def shares_of_cells(
    parts: Sequence[Distances], guess: np.ndarray, pull: float = PULL
) -> np.ndarray:
    """Return the shares of a linear pool with the least energy distance, summed over parts.

    A linear pool (Stone 1961, https://doi.org/10.1214/aoms/1177704873) draws each cell from one of
    several predictions. Its energy distance to measured cells is quadratic in the shares (Székely
    and Rizzo 2013, https://doi.org/10.1016/j.jspi.2013.03.018).

    Parameters
    ----------
    parts : sequence of (to_measured, among, measured)
        One for each time that was left out; each is divided by the energy distance of its best
        prediction.
    guess, pull
        As for :func:`best_shares`.

    Returns
    -------
    numpy.ndarray, shape (k,)
    """
    linear, square = _relative(parts)
    return best_shares(linear.mean(0), square.mean(0), guess, pull)


def yielding_pull(parts: Sequence[Distances], guess: np.ndarray, most: float = PULL) -> float:
    """Return how strongly shares are drawn to a guess, less where left-out times agree.

    Each left-out time tells what the shares that the others choose, without a pull, gain over the
    guess. The pull is ``most`` times the standard error of the mean gain divided by the mean, at
    most ``most``: noise over signal, as in the ridge of Hoerl, Kennard and Baldwin 1975
    (https://doi.org/10.1080/03610927508827232).

    Parameters
    ----------
    parts, guess
        As for :func:`shares_of_cells`.
    most : float
        The pull where nothing is gained on average, and with a single part.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.models.shares import yielding_pull
    >>> away = np.array([3.0, 1.0])  # One dimension: two predictions, measured cells at 0.
    >>> part = (away, np.abs(np.subtract.outer(away, away)), 0.0)
    >>> guess = np.array([1.0, 0.0])
    >>> yielding_pull([part], guess), yielding_pull([part, part, part], guess)
    (0.3, 0.01)
    """
    n = len(parts)
    if n < 2:
        return most
    linear, square = _relative(parts)
    gains = []
    for left in range(n):
        others = np.arange(n) != left
        chosen = best_shares(linear[others].mean(0), square[others].mean(0), guess, LEAST_PULL)
        guessed, found = (
            linear[left] @ shares - shares @ square[left] @ shares for shares in (guess, chosen)
        )
        gains.append(guessed - found)
    mean, error = float(np.mean(gains)), float(np.std(gains, ddof=1) / np.sqrt(n))
    return most if mean <= error else max(most * error / mean, LEAST_PULL)


def _relative(parts: Sequence[Distances]) -> tuple[np.ndarray, np.ndarray]:
    """Linear and square terms, (n, k) and (n, k, k), in units of the best energy distance."""
    # No way is taken for better than measured cells can tell; cells all alike have no distance.
    best = [max(float(energies(*part).min()), 0.02 * float(part[0].mean()), TINY) for part in parts]
    linear = np.array([2 * part[0] / b for part, b in zip(parts, best, strict=True)])
    square = np.array([part[1] / b for part, b in zip(parts, best, strict=True)])
    return linear, square


def distances(predicted: Sequence[np.ndarray], measured: np.ndarray) -> Distances:
    """Return the mean distances of predicted populations, each (n, n_genes), and measured cells."""
    clouds = [_tensor(cells) for cells in predicted]
    seen = _tensor(measured)
    to_measured = np.array([_mean_distance(x, seen) for x in clouds])
    among = np.array([[_mean_distance(x, y) for y in clouds] for x in clouds])
    return to_measured, among, _mean_distance(seen, seen)


def energies(to_measured: np.ndarray, among: np.ndarray, measured: float) -> np.ndarray:
    """Return the energy distance of each prediction, (k,), from mean distances."""
    found: np.ndarray = 2 * to_measured - np.diag(among) - measured
    return found


def _mean_distance(x: torch.Tensor, y: torch.Tensor) -> float:
    """Mean distance of two clouds, or of pairs of different cells of one."""
    total = float(torch.cdist(x, y).sum())
    return total / (len(x) * (len(y) - (x is y)))


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.as_tensor(np.ascontiguousarray(values), dtype=torch.float32)
