"""Tries at the exercises of the part *Alternatives*."""

from __future__ import annotations

import numpy as np
import pandas as pd

from scstlib import checks
from tests.checks.tries.one import Tries

RNG = np.random.default_rng(4)


def of_processes() -> Tries:
    hours, values = np.array([0.0, 6.0, 24.0]), np.array([1.0, 0.5, -0.9])

    def kernel(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return np.exp(-0.5 * (np.subtract.outer(one, other) / 12) ** 2)

    def expected(noise: float) -> float:
        weights = np.linalg.solve(kernel(hours, hours) + noise * np.eye(3), values)
        return float((kernel(np.array([12.0]), hours) @ weights)[0])

    return Tries(
        checks.gaussian_process_mean,
        (hours, values, 12.0, 12.0, 0.1),
        (expected(0.1), np.array([expected(0.1)])),
        {
            "mean of the values": values.mean(),
            "straight line": np.interp(12.0, hours, values),
            "solve for the weights": (kernel(np.array([12.0]), hours) @ values)[0],
            "variance already": expected(0.01),
            "count as exact": expected(1e-10),
            "kernel of the new time": 5.0,
            "NaN": np.nan,
        },
    )


def of_cuts() -> Tries:
    x = np.array([0.0, 6.0, 12.0, 24.0, 36.0, 48.0])
    y = np.array([0.0, 0.1, 0.2, 2.0, 2.1, 4.5])
    return Tries(
        checks.first_cut,
        (x, y),
        (18.0, 13, np.float64(23.0)),
        {
            "must part them": 60.0,
            "too few values": 42.0,
            "another cut": 3.0,
            "one number, a threshold": [18.0, 24.0],
        },
    )


def of_pairs() -> Tries:
    a, b = RNG.normal(size=(2, 300)) * [[1.0], [2.0]] + [[0.0], [1.0]]
    ordered = np.sort(a) - np.sort(b)
    right = np.mean(ordered**2)
    return Tries(
        checks.sorted_pairs,
        (a, b),
        (right,),
        {
            "happen to be listed": np.mean((a - b) ** 2),
            "square each": np.mean(np.abs(ordered)),
            "root of it": np.sqrt(right),
            "this is the sum": np.sum(ordered**2),
            "half of it": right / 2,
            "means alone": (a.mean() - b.mean()) ** 2,
            "one partner": np.mean(np.subtract.outer(a, b) ** 2),
        },
    )


def of_velocities() -> Tries:
    here, there = RNG.normal(0, 1, 20_000), RNG.normal(2, 1, 20_000)
    exact = 2 + (0.25 - 0.75) / (0.75**2 + 0.25**2) * (1.5 - 0.5)
    return Tries(
        checks.mean_velocity,
        (here, there, 0.25, 1.5),
        (exact,),
        {
            "mean of all lines": (there - here).mean(),
            "start here": np.polyval(np.polyfit(here, there - here, 1), 1.5),
            "from the start to the end": -exact,
            "near this place": 4.0,
        },
    )


def of_weights() -> Tries:
    shared = RNG.normal(size=400)
    first, second = shared + RNG.normal(size=400), shared + 2 * RNG.normal(size=400)
    a, b, both = np.mean(first**2), np.mean(second**2), np.mean(first * second)
    right = (b - both) / (a + b - 2 * both)
    return Tries(
        checks.best_weight,
        (first, second),
        (right, right + 0.01),
        {
            "the second method": 1 - right,
            "nothing to do with each other": b / (a + b),
            "equal weights": 0.5,
            "does the other add": 1.0,
            "percentage": 100 * right,
            "lowest point": 0.3,
        },
    )


def of_intervals() -> Tries:
    truth = RNG.normal(size=200)
    truth[::7] = np.nan
    lower, upper = np.full(200, -1.0), np.full(200, 1.2)
    known = np.isfinite(truth)
    inside = (lower <= truth) & (truth <= upper)
    right = inside[known].mean()
    return Tries(
        checks.share_inside,
        (lower, upper, truth, 0.8),
        (right,),
        {
            "leave NaN out": inside.mean(),
            "share outside": 1 - right,
            "both ends": (truth[known] <= 1.2).mean(),
            "what they promise": 0.8,
            "percentage": 100 * right,
            "between both ends": 0.1,
        },
    )


def of_tasks() -> Tries:
    scores = pd.DataFrame(
        {"ours": [1.0, 95.0, 50.0, 3.0], "theirs": [9.0, 99.0, 80.0, 4.0]},
        index=["ratio", "mean", "span", "small"],
    )
    return Tries(
        checks.deciding_task,
        (scores,),
        ("span", ["span"], pd.Index(["span"])),
        {
            "largest *ratio*": "ratio",
            "largest mean": "mean",
            "how far apart": "small",
            "one task": ["span", "mean"],
            "is no name": "spam",
        },
    )


TRIES = [
    of_processes(),
    of_cuts(),
    of_pairs(),
    of_velocities(),
    of_weights(),
    of_intervals(),
    of_tasks(),
]
