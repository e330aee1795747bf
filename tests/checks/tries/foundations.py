"""Tries at the exercises of the part *Foundations*."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from scstlib import checks
from tests.checks.tries.one import Tries

RNG = np.random.default_rng(0)


def of_counts() -> Tries:
    counts = RNG.poisson(RNG.gamma(0.5, 2, 30), (300, 30))
    thin = RNG.binomial(counts, 0.5)
    return Tries(
        checks.depth_halved,
        (counts,),
        (thin, pd.DataFrame(thin)),
        {
            "that of `counts` is": thin.T,
            "NaN": np.where(thin == 0, np.nan, thin),
            "no whole numbers": counts / 2,
            "larger than before": RNG.poisson(counts / 2),
            "rounding": counts // 2,
            "what is the probability": RNG.binomial(counts, 0.1),
            "as a whole": np.where(RNG.random(counts.shape) < 0.5, counts, 0),
            "not a number made of them": 0.78,
            "for each molecule": counts // 2 + (counts % 2) * RNG.binomial(1, 0.5, counts.shape),
        },
    )


def of_standardising() -> Tries:
    train, test = RNG.gamma(2, 1, (500, 8)), RNG.gamma(4, 1, (200, 8))
    train[:, 7] = test[:, 7] = 1.0
    both = np.vstack([train, test])
    with np.errstate(all="ignore"):
        return Tries(
            checks.standardised,
            (train, test),
            (
                (test - train.mean(0)) / train.std(0),
                (pd.DataFrame(test) - train.mean(0)) / train.std(0, ddof=1),
            ),
            {
                "with their own means": (test - test.mean(0)) / test.std(0),
                "took part": (test - both.mean(0)) / both.std(0),
                "these are the training cells": (train - train.mean(0)) / train.std(0),
                "divide by the deviations": test - train.mean(0),
                "square root": (test - train.mean(0)) / train.var(0),
                "one mean for all genes": (test - train[:, :7].mean()) / train[:, :7].std(),
                "the shape is": test.T,
                "NaN": np.full(test.shape, np.nan),
            },
        )


def of_expected() -> Tries:
    n = 30
    distance = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    half = RNG.gamma(5, 1, (n, n)) / (1 + distance)
    contacts = half + half.T
    contacts[4], contacts[:, 4] = np.nan, np.nan

    def over(mean: Any, given: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return contacts / np.array([mean(np.diagonal(given, s)) for s in range(n)])[distance]

    right = over(np.nanmean, contacts)
    return Tries(
        checks.observed_over_expected,
        (contacts,),
        (right, pd.DataFrame(right)),
        {
            "the decay is still there": contacts / np.nanmean(contacts),
            "along the diagonals": contacts
            / pd.DataFrame(contacts).mean(axis=1).to_numpy()[:, None],
            "take its mean": over(np.nansum, contacts),
            "`np.nanmean`": over(np.mean, np.nan_to_num(contacts)),
            "only one half": np.triu(right),
            "logarithm": np.log2(right),
            "upside down": 1 / right,
            "stay NaN": np.nan_to_num(right),
            "the shape is": right[:-1, :-1],
        },
    )


def of_cells() -> Tries:
    distance = np.abs(np.subtract.outer(np.arange(60), np.arange(60)))
    sums = {n: RNG.poisson(n / 8 / (1 + distance)) for n in (1, 4, 16, 64, 256, 1000)}
    return Tries(
        checks.cells_for_half,
        (sums, 10),
        (64, 64.0, np.int64(64)),
        {
            "the numbers in `sums`": 100,
            "the whole map": 256,
            "a smaller sum": 1000,
            "still empty": 16,
        },
    )


def of_balancing() -> Tries:
    half, seen = RNG.gamma(5, 1, (25, 25)), RNG.gamma(2, 1, 25)
    contacts = (half + half.T) * np.outer(seen, seen)
    contacts[3, 9] = contacts[9, 3] = 0
    right = contacts.copy()
    for _ in range(100):
        weight = np.sqrt(right.sum(0).mean() / right.sum(0))
        right = right * np.outer(weight, weight)
    missing = np.where(contacts == 0, np.nan, right)
    return Tries(
        checks.balanced_by_hand,
        (contacts,),
        (right, 7 * right, right / right.sum(0).mean()),
        {
            "no longer symmetric": contacts / contacts.sum(1, keepdims=True),
            "repeat it": contacts / np.outer(contacts.sum(0), contacts.sum(0)),
            "the map itself": 2 * contacts,
            "filled": np.where(contacts == 0, 1.0, right),
            "NaN": missing,
            "no weights lead": np.outer(*2 * [np.ones(25)]) * (contacts > 0)
            + np.diag((contacts == 0).sum(0)),
            "the shape is": right[1:, 1:],
        },
    )


def of_windows() -> Tries:
    rows = [(c, s, s + 128) for c in ("chr1", "chr2") for s in range(0, 1024, 32)]
    table = pd.DataFrame(rows, columns=["chrom", "start", "end"])
    train, test = table.iloc[::3], table.iloc[[5, 13, 17, 50]]

    def marked(overlap: Callable[[Any, Any], bool]) -> list[bool]:
        pairs = [[overlap(a, b) for b in test.itertuples()] for a in train.itertuples()]
        return [any(row) for row in pairs]

    right = marked(lambda a, b: a.chrom == b.chrom and a.start < b.end and b.start < a.end)
    return Tries(
        checks.overlapping,
        (train, test),
        (right, np.array(right), pd.Series(right)),
        {
            "two chromosomes": marked(lambda a, b: a.start < b.end and b.start < a.end),
            "only touch": marked(
                lambda a, b: a.chrom == b.chrom and a.start <= b.end and b.start <= a.end
            ),
            "at the same place": marked(lambda a, b: (a.chrom, a.start) == (b.chrom, b.start)),
            "both sides": marked(lambda a, b: a.chrom == b.chrom and b.start <= a.start < b.end),
            "whole chromosomes": marked(lambda a, b: a.chrom == b.chrom),
            "the other way round": [not each for each in right],
            "mark the training windows": [True, False, True, True],
            "the shape is": [True] * 9,
        },
    )


def of_genes() -> Tries:
    names = [f"gene{i}" for i in range(40)]
    expression = pd.Series(np.arange(40.0), index=names)
    placed = pd.Index(names[::2])
    lost = expression[1::2]
    return Tries(
        checks.genes_without_place,
        (expression, placed),
        (lost.nlargest(10), list(lost.nlargest(10).index), lost.nlargest(10).to_frame()),
        {
            "have a place": expression.nlargest(10),
            "are asked for": lost.nlargest(5),
            "have more expression": lost.nsmallest(10),
            "no genes of the table": ["a", "b"],
        },
    )


TRIES = [
    of_counts(),
    of_standardising(),
    of_expected(),
    of_cells(),
    of_balancing(),
    of_windows(),
    of_genes(),
]
