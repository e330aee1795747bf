"""Tries at the steps of the projects."""

from __future__ import annotations

import numpy as np
import pandas as pd

from scstlib import checks
from scstlib.metrics.expression import energy_distance
from tests.checks.tries.one import Tries

RNG = np.random.default_rng(5)


def of_weights() -> Tries:
    return Tries(
        checks.weight_on_line,
        (2.0, 4.0, 7.0),
        (0.4, np.float32(2 / 5)),
        {"earlier time": 0.6, "middle": 0.5, "the whole way": 2.0, "percentage": 40},
    )


def of_means() -> Tries:
    early, late = RNG.gamma(2, 1, (50, 6)), RNG.gamma(4, 1, (200, 6))
    start, end = early.mean(0), late.mean(0)
    return Tries(
        checks.mean_on_line,
        (early, late, (2.0, 4.0, 7.0)),
        (0.6 * start + 0.4 * end, pd.Series(0.6 * start + 0.4 * end)),
        {
            "exchanged": 0.4 * start + 0.6 * end,
            "middle": (start + end) / 2,
            "one heap": np.vstack([early, late]).mean(0),
            "nothing has moved": start,
        },
    )


def of_predictions() -> Tries:
    copied, hidden = RNG.normal(0, 1, (60, 5)), RNG.normal(1, 1, (60, 5))
    return Tries(
        checks.cells_predicted,
        (copied, hidden, energy_distance),
        (copied + 0.8, pd.DataFrame(copied + 0.5)),
        {
            "of the hidden time": np.vstack([copied, hidden[:3]]),
            "one profile": np.tile(hidden.mean(0), (60, 1)),
            "no population": copied[:5] + 1,
            "cells have to move": copied,
            "the shape is": copied.T,
            "NaN": np.where(copied > 2, np.nan, copied),
        },
    )


def of_specific_parts() -> Tries:
    distance = np.abs(np.subtract.outer(np.arange(8), np.arange(8)))
    maps = RNG.poisson(200 / (1 + distance), (3, 2, 8, 8)).astype(float)
    maps += maps.transpose(0, 1, 3, 2)
    means = [maps[..., distance == d].mean(-1) for d in range(8)]
    over = maps / np.moveaxis(np.array(means)[distance], (0, 1), (2, 3))
    return Tries(
        checks.specific_to_each,
        (maps,),
        (over - over.mean(0),),
        {
            "distance is gone": over,
            "fall with distance": maps - maps.mean(0),
            "one number": over - over.mean(),
            "a ratio": over / over.mean(0),
        },
    )


def of_owners() -> Tries:
    return Tries(
        checks.owners,
        (["stem", "alpha", "beta"],),
        (["stem", "alpha", "beta"], np.array(["stem", "alpha", "beta"])),
        {
            "1 of 3": ["stem", "beta", "alpha"],
            "two maps": ["stem", "beta", "beta"],
            "`gamma` is none": ["stem", "alpha", "gamma"],
            "2 names for 3": ["stem", "alpha"],
        },
    )


def of_honesty() -> Tries:
    return Tries(
        checks.honest_accuracy,
        (),
        (0.5, 0.51),
        {"always wrong": 0, "always right": 1, "two answers": 0.125, "percentage": 50},
    )


def of_mending() -> Tries:
    return Tries(
        checks.mended_accuracy,
        (0.88,),
        (0.45, 0.52),
        {
            "no leak": 0.88,
            "79% of the illusion": 0.8,
            "same order": 0.1,
            "between 0 and 1": 45,
            "take the mean": [0.4, 0.5],
        },
    )


def of_steps() -> Tries:
    return Tries(
        checks.leaking_steps,
        (),
        ({3, 4}, [4, 3], (3, 4)),
        {
            "step 1 needs": {1, 3, 4},
            "step 2 breaks": {2, 3, 4},
            "step 5": {5},
            "mend what you have named": {3},
            "numbered from": {6},
        },
    )


TRIES = [
    of_weights(),
    of_means(),
    of_predictions(),
    of_specific_parts(),
    of_owners(),
    of_honesty(),
    of_mending(),
    of_steps(),
]
