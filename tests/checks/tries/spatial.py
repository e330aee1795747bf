"""Tries at the exercises of the part *Space*."""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import binom

from scstlib import checks
from tests.checks.tries.one import Tries

RNG = np.random.default_rng(2)
MAPS, OTHERS = RNG.random((2, 3, 8, 8))


def network(tracks: torch.Tensor, encodings: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    """Maps that depend on the encodings."""
    return maps * (tracks + encodings[:, :, None] ** 3)


def of_signs() -> Tries:
    given = [torch.tensor(0.5), torch.tensor(RNG.random((3, 8))), torch.tensor(MAPS)]
    turned = network(given[0], 1 - given[1], given[2])
    return Tries(
        checks.moved_by_signs,
        (network, given),
        (turned, turned.numpy()),
        {
            "nothing moved": network(*given),
            "within this range": network(given[0], -given[1], given[2]),
            "the shape is": turned[0],
            "NaN": np.full(MAPS.shape, np.nan),
        },
    )


def of_symmetry() -> Tries:
    turned = MAPS.transpose(0, 2, 1)
    upper = np.triu(MAPS)
    return Tries(
        checks.made_symmetric,
        (torch.tensor(MAPS),),
        ((MAPS + turned) / 2, torch.tensor((MAPS + turned) / 2)),
        {
            "sum of both": MAPS + turned,
            "counts twice": upper + upper.transpose(0, 2, 1),
            "copied to the other": upper + np.triu(MAPS, 1).transpose(0, 2, 1),
            "as lopsided": turned,
            "as they were": MAPS,
            "Leave the axis": (MAPS + MAPS[::-1]) / 2,
            "the shape is": MAPS.T[:, :, :2],
        },
    )


def of_guides() -> Tries:
    return Tries(
        checks.guide_exchanged,
        (np.concatenate([MAPS, OTHERS]), np.repeat(["beta", "gamma"], 3), "beta", "gamma"),
        (OTHERS, OTHERS * 1.001),
        {
            "nothing changed": MAPS,
            "both strands": (MAPS + OTHERS) / 2,
            "between windows of one place": OTHERS[::-1],
            "the shape is": OTHERS[:2],
        },
    )


def of_signed_gains() -> Tries:
    gains = np.array([0.2, 0.1, 0.3, 0.1, 0.2, 0.1, 0.4, 0.2, -0.1, 0.3, -0.2, 0.0])
    right = binom.sf(8, 11, 0.5)
    return Tries(
        checks.sign_test,
        (gains,),
        (right, np.mean([bin(i).count("1") >= 9 for i in range(2**11)])),
        {
            "exactly so many": binom.pmf(9, 11, 0.5),
            "chance of more": binom.sf(9, 11, 0.5),
            "both sides": 2 * right,
            "the other tail": 1 - right,
            "share of gains": 9 / 11,
            "percentage": 100 * right,
            "toss a coin": 0.25,
        },
    )


TRIES = [of_signs(), of_symmetry(), of_guides(), of_signed_gains()]
