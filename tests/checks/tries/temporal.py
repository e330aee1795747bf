"""Tries at the exercises of the part *Time*."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from scstlib import checks
from tests.checks.tries.one import Tries

RNG = np.random.default_rng(1)


def of_euler() -> Tries:
    h = np.array([0.5, 1.5, 2.0, 2.5])
    n = np.array([60, 20, 15, 12])
    right = (1 - h) ** n
    return Tries(
        checks.euler_of_decay,
        (list(h), 30),
        (list(right), right, torch.tensor(right)),
        {
            "exact solution": np.exp([-30.0] * 4),
            "after one step": 1 - h,
            "lose its minus sign": (1 + h) ** n,
            "absolute values": np.abs(right),
            "the shape is": right[:2],
            "NaN": [0.0, 0.0, np.nan, 129.7],
        },
    )


def of_flows() -> Tries:
    x = np.linspace(-2, 2, 41)
    moves = {"shift": x + 1, "mirror": -x, "squeeze": x / 3, "square": x**2}
    return Tries(
        checks.flows_on_a_line,
        (x, moves),
        (["shift", "squeeze"], ("squeeze", "shift"), {"shift", "squeeze"}),
        {
            "change places": ["shift", "squeeze", "mirror"],
            "bring points together": ["shift"],
            "no name": ["shift", "Squeeze"],
        },
    )


def of_gradients() -> Tries:
    x = torch.tensor(RNG.normal(size=(6, 3)), requires_grad=True)
    loss = x.square().sum() + x.exp().mean()
    (right,) = torch.autograd.grad(loss, x, retain_graph=True)
    return Tries(
        checks.gradient_of,
        (x, loss),
        (right, right.numpy()),
        {
            "these are the cells": x,
            "one and the same factor": right / 2,
            "the shape is": right.sum(0),
            "of the values differ": right + 1,
        },
    )


def of_ways() -> Tries:
    scores = pd.DataFrame(
        {"48 h": [8.0, 4.0, 3.0], "96 h": [20.0, 14.0, 5.0]}, index=["copy", "default", "floor"]
    )
    first, ours, last = scores.to_numpy()
    right = (first - ours) / (first - last)
    return Tries(
        checks.share_of_the_way,
        (scores, "default", "copy", "floor"),
        (right, pd.Series(right, scores.columns), list(right)),
        {
            "that is left": 1 - right,
            "both differences": -right,
            "percentage": 100 * right,
            "the way to 0": (first - ours) / first,
            "left of 'copy'": ours / first,
            "upside down": 1 / right,
            "the shape is": right[:1],
        },
    )


def of_fronts() -> Tries:
    scores = pd.DataFrame(
        {"place": [1, 2, 3, 4], "likeness": [9, 5, 6, 1]}, index=["moved", "OT", "GP", "scNODE"]
    )
    right = ["moved", "OT", "scNODE"]
    return Tries(
        checks.not_beaten,
        (scores,),
        (right, pd.Index(right), np.array(right)),
        {
            "no other is better": ["moved", "scNODE"],
            "look for another": [*right, "GP"],
            "is no name": ["floor"],
        },
    )


def of_bands() -> Tries:
    names = [f"gene{i}" for i in range(41)]
    mean = pd.Series(RNG.normal(size=41), index=names)
    measured = mean + RNG.normal(size=41)
    half = RNG.uniform(0.1, 0.5, 41)
    band = pd.DataFrame({"lower": mean - half, "mean": mean, "upper": mean + half})
    ratio = (measured - mean).abs() / half
    right = float(ratio.quantile(0.9))
    return Tries(
        checks.factor_to_hold,
        (measured, band, 0.9),
        (right, np.float64(right)),
        {
            "whole widths": right / 2,
            "twice too large": 2 * right,
            "this is the mean": ratio.mean(),
            "half of the genes": ratio.median(),
            "all genes": ratio.max(),
            "share that is held": (ratio <= 1).mean(),
            "NaN": np.nan,
        },
    )


def of_growth() -> Tries:
    odds = np.log(0.45 / 0.55) - np.log(0.2 / 0.8)
    return Tries(
        checks.extra_growth,
        (0.2, 0.45, 30.0),
        (odds / 30,),
        {
            "rise of the share": 0.25 / 30,
            "take the odds": np.log(0.45 / 0.2) / 30,
            "per hour": odds,
            "doublings": odds / 30 / np.log(2),
            "powers of ten": odds / 30 / np.log(10),
            "does not": -odds / 30,
        },
    )


def of_knock_outs() -> Tries:
    changes = pd.DataFrame(
        {
            "gene": np.repeat(["TF_a × 0", "TF_b × 0", "TF_c × 2"], 2),
            "fate": ["alpha", "beta"] * 3,
            "model": [0.4, -0.4, 0.0, 0.0, 0.3, -0.1],
            "truth": [0.45, -0.45, 0.3, -0.05, 0.1, -0.05],
        }
    )
    return Tries(
        checks.misjudged,
        (changes, 0.1),
        (["TF_b × 0", "TF_c × 2"], np.array(["TF_c × 2", "TF_b × 0"])),
        {
            "absolute values": ["TF_c × 2"],
            "every fate": ["TF_b × 0"],
            "more than the limit": list(changes["gene"].unique()),
            "is no name": ["TF_a"],
        },
    )


def of_turns() -> Tries:
    cells = RNG.normal(size=(2000, 2))
    right = cells[:, 0] > 0
    return Tries(
        checks.quarter_turn,
        (cells,),
        (np.mean(cells[right, 1] < 0), np.mean(cells[right, 1] > 0)),
        {
            "the world that stays": 1.0,
            "half a turn": 0.0,
            "share of all cells": right.mean() / 2,
            "percentage": 100 * np.mean(cells[right, 1] > 0),
            "look at the sign": 0.7,
            "NaN": np.nan,
        },
    )


def of_curves() -> Tries:
    chain = np.array([0.0, 1.0, 0.8, 0.0])
    # In hours the directions are 0.9367 and -1/30 an hour, in intervals 0.4 and -1/2 an interval.
    right = np.array([3.0668, 1.0485])
    return Tries(
        checks.heights_of_curves,
        ([0.0, 1.0, 16.0, 31.0], chain),
        (right, list(right)),
        {
            "straight lines": [1.0, 1.0],
            "in hours first": right[::-1],
            "at 0, 1, 2 and 3": [right[0], right[0]],
            "where they were measured": [right[1], right[1]],
            "highest": [2.0, 1.2],
            "NaN": [np.nan, 1.0],
        },
    )


TRIES = [
    of_euler(),
    of_flows(),
    of_gradients(),
    of_ways(),
    of_fronts(),
    of_bands(),
    of_growth(),
    of_knock_outs(),
    of_turns(),
    of_curves(),
]
