"""Tries at the exercises of the part *Pitfalls*."""

from __future__ import annotations

import numpy as np
import pandas as pd

from scstlib import checks
from tests.checks.tries.one import Tries

RNG = np.random.default_rng(3)


def of_clouds() -> Tries:
    d = np.sqrt(18)
    return Tries(
        checks.shifted_cloud,
        ([3, 3, 0, 0, 0],),
        ([d, d, 18, 9], (4.24, 4.24, 18.0, 9.0)),
        {
            "half of a squared": [d, d, 18, 18],
            "the second is its root": [d, 18, 18, 9],
            "coordinates are added": [6, 6, 36, 18],
            "the first adds": [6, d, 18, 9],
            "the shape is": [d, d, 18],
            "how long is it": [1, 2, 3, 4],
        },
    )


def in_place(a: np.ndarray) -> list[float]:
    """Sums of rows above the diagonal; changes its input."""
    a[np.tril_indices(len(a))] = 0
    return [float(row.sum()) for row in a]


def of_pure() -> Tries:
    return Tries(
        checks.pure,
        (in_place, RNG.random((6, 6))),
        (lambda a: np.triu(a, 1).sum(axis=1), lambda a: in_place(a.copy())),
        {
            "input has changed": in_place,
            "another one": lambda a: np.triu(a).sum(axis=1),
            "a function of one map": 3,
        },
    )


def of_best() -> Tries:
    drawn = RNG.normal(0, 0.02, (20_000, 20)).max(axis=1).mean()
    return Tries(
        checks.best_of,
        (0.02, 20),
        (drawn, 0.0373),
        {
            "the limit for endless": 0.02 * np.sqrt(2 * np.log(20)),
            "spread of one try": 0.02,
            "error of a mean": 0.02 / np.sqrt(20),
            "mean of all": 0.0,
            "percentage": 3.73,
            "draw many rows": 0.06,
        },
    )


def of_folds() -> Tries:
    donor = RNG.integers(8, size=320)
    return Tries(
        checks.folds_by_donor,
        (donor, donor % 2),
        (donor // 2, list(donor // 4), pd.Series(donor // 2)),
        {
            "one donor are in several": RNG.integers(4, size=320),
            "only healthy": donor,
            "one fold only": np.zeros(320),
            "each of the 320": np.arange(8) // 2,
            "no fold": np.where(donor == 3, np.nan, donor // 2),
        },
    )


def of_relatives() -> Tries:
    base = RNG.normal(size=(5, 40))
    change = np.vstack([base + RNG.normal(0, 0.5, base.shape) for _ in range(3)])
    kinds = np.repeat(["stem", "gamma", "beta"], 5)
    one, two, own = change.reshape(3, 5, 40)
    mean = (one + two) / 2
    square = (own**2).mean()

    def skill(x: np.ndarray) -> float:
        return float(1 - ((x - own) ** 2).mean() / square)

    return Tries(
        checks.skill_of_relatives,
        (change, kinds, "beta"),
        (skill(mean),),
        {
            "error over the mean square": 1 - skill(mean),
            "leave it out": skill(change.reshape(3, 5, 40).mean(axis=0)),
            "this is one type": skill(one),
            "the type itself": 1.0,
            "same place": skill(mean[::-1]),
            "NaN": np.nan,
        },
    )


def of_logarithms() -> Tries:
    first, second = RNG.poisson(1.0, 200_000), RNG.poisson(0.3, 200_000)
    logs = [np.log1p(x).mean() for x in (first, second, second / 0.3)]
    return Tries(
        checks.bias_of_logarithm,
        (1.0, 0.3),
        (logs[2] - logs[0],),
        {
            "means of the counts are equal": 0.0,
            "not scaled": logs[1] - logs[0],
            "one of the two means": logs[2],
            "subtract the unthinned": logs[0] - logs[2],
            "draw both samples": -0.5,
        },
    )


def of_dips() -> Tries:
    noise = 3 * RNG.normal(size=400)
    high = noise > np.median(noise)
    gap = noise[high].mean() - noise[~high].mean()
    error = np.sqrt(noise[high].var() / 200 + noise[~high].var() / 200)
    return Tries(
        checks.double_dip,
        (noise,),
        (gap / noise.std(), gap / noise.std(ddof=1)),
        {
            "made by the values": 0.0,
            "against the median": gap / noise.std() / 2,
            "variance": gap / noise.var(),
            "t statistic": gap / error,
            "subtract the means": 1.0,
        },
    )


def of_curves() -> Tries:
    numbers = np.array([3, 10, 30, 100, 300, 1000])
    r = {
        size: numbers / (numbers + half)
        for size, half in {"1 Mb": 2.0, "500 kb": 5.0, "250 kb": 20.0}.items()
    }
    curves = pd.DataFrame(r, index=numbers)
    at = {goal: [np.interp(goal, curves[c], np.log10(numbers)) for c in r] for goal in (0.8, 0.9)}
    low, high = (10 ** np.array(at[goal]) for goal in (0.8, 0.9))
    return Tries(
        checks.more_cells,
        (curves, 0.8, 0.9),
        (high / low, pd.Series(high / low, index=list(r))),
        {
            "how many cells more": high - low,
            "upside down": low / high,
            "logarithm of the factor": np.log10(high / low),
            "divide by that": high,
            "interpolated over the number": [
                np.interp(0.9, curves[c], numbers) / np.interp(0.8, curves[c], numbers) for c in r
            ],
            "the shape is": (high / low)[:1],
        },
    )


def of_coordinates() -> Tries:
    speed = np.maximum(RNG.normal(size=(50, 10)), 0)
    speed[:, [2, 5, 9]] = 0
    still = (speed == 0).all(axis=0)
    return Tries(
        checks.never_moving,
        (speed,),
        ([2, 5, 9], np.flatnonzero(still), still, [9, 5, 2]),
        {
            "how many there are": 3,
            "the other way round": np.flatnonzero(~still),
            "in some cells": np.flatnonzero((speed == 0).any(axis=0)),
            "some are missing": [2, 5],
            "whole numbers from 0": [3, 6, 10],
        },
    )


def of_splits() -> Tries:
    record = {"training": range(1, 16), "validation": [15, 16], "test": [3, 17, 18, 19]}
    return Tries(
        checks.shared_parts,
        (record,),
        ({3, 15}, [15, 3], np.array([3, 15])),
        {
            "compare every part": [15],
            "stand in two parts": [3, 15, 16],
            "is no name": [3, 15, 22],
        },
    )


TRIES = [
    of_clouds(),
    of_pure(),
    of_best(),
    of_folds(),
    of_relatives(),
    of_logarithms(),
    of_dips(),
    of_curves(),
    of_coordinates(),
    of_splits(),
]
