"""Checks of the exercises in the part *Foundations*."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from scstlib.checks.feedback import Feedback, array, check, judge_array


@check("counts of cells by genes, as an array")
def depth_halved(answer: Any, counts: ArrayLike) -> Feedback:
    """Whether each molecule of `counts` was kept or lost by chance, one of two.

    The sum must be half of that of `counts` within five standard deviations of chance.

    Parameters
    ----------
    answer
        Counts (cells, genes) at half the depth.
    counts
        Counts (cells, genes).

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib import checks
    >>> rng = np.random.default_rng(0)
    >>> counts = rng.poisson(0.5, (200, 20))
    >>> checks.depth_halved(rng.binomial(counts, 0.5), counts)
    Right: the share of zeros rises from 61% to 79%, and no gene changed in any cell
    >>> checks.depth_halved(counts / 2, counts)
    Not yet: these are no whole numbers: a molecule is kept or lost, never halved
    """
    thin, full = array(answer), array(counts)
    if thin.ndim == 0:
        return Feedback(False, "give the thinned counts, cells by genes, not a number made of them")
    if thin.shape != full.shape:
        return Feedback(False, f"the shape is {thin.shape}, and that of `counts` is {full.shape}")
    if np.isnan(thin).any():
        return Feedback(False, "some counts are NaN: a gene that was not seen has the count 0")
    if (thin != np.rint(thin)).any():
        return Feedback(
            False, "these are no whole numbers: a molecule is kept or lost, never halved"
        )
    if (thin > full).any() or (thin < 0).any():
        return Feedback(False, "some counts are negative or larger than before: draw from `counts`")
    if np.array_equal(thin, full // 2) or np.array_equal(thin, np.rint(full / 2)):
        return Feedback(
            False, "rounding decides here, the same way for each count of 1: let chance decide"
        )
    n_kept, n_all = thin.sum(), full.sum()
    if abs(n_kept - n_all / 2) > 5 * np.sqrt(n_all / 4):
        kept = n_kept / n_all
        return Feedback(False, f"{kept:.0%} of all molecules are kept: what is the probability?")
    both = full >= 2
    halves = array(thin[both] * 2 == full[both])
    if both.sum() >= 10 and np.isin(thin[both] / full[both], (0, 1)).all():
        return Feedback(
            False, "each count is kept or lost as a whole: draw for each molecule on its own"
        )
    if both.any() and halves[full[both] % 2 == 0].mean() > 0.9:
        return Feedback(False, "counts of 2 always become 1: draw for each molecule on its own")
    zeros = [f"{(each == 0).mean():.0%}" for each in (full, thin)]
    return Feedback(
        True,
        f"the share of zeros rises from {zeros[0]} to {zeros[1]}, and no gene changed in any cell",
    )


@check("a table or array of held-out cells by genes")
def standardised(answer: Any, train: ArrayLike, test: ArrayLike) -> Feedback:
    """Whether `test` is standardised with the means and deviations of `train`, within 1%.

    Parameters
    ----------
    answer
        Standardised values (held-out cells, genes).
    train, test
        Values (cells, genes). What a gene that does not vary in `train` becomes is not looked at.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib import checks
    >>> train, test = np.random.default_rng(0).normal([[[0]], [[3]]], size=(2, 400, 5))
    >>> checks.standardised((test - train.mean(0)) / train.std(0), train, test).right
    True
    >>> checks.standardised((test - test.mean(0)) / test.std(0), train, test)
    Not yet: the held-out cells were standardised with their own means: fit on the others
    """
    known, new = array(train), array(test)
    varies = known.std(axis=0) > 0
    values = array(answer)
    if values.ndim == 2 and values.shape[1] == len(varies):
        values = values[:, varies]
    known, new = known[:, varies], new[:, varies]
    both = np.vstack([known, new])
    right = (new - known.mean(axis=0)) / known.std(axis=0)
    traps = (
        (
            (new - new.mean(axis=0)) / new.std(axis=0),
            "the held-out cells were standardised with their own means: fit on the others",
        ),
        (
            (new - both.mean(axis=0)) / both.std(axis=0),
            "the held-out cells took part in means and deviations: leave them out of both",
        ),
        (
            (known - known.mean(axis=0)) / known.std(axis=0),
            "these are the training cells: transform the held-out ones",
        ),
        (new - known.mean(axis=0), "the means are right; divide by the deviations as well"),
        (
            (new - known.mean(axis=0)) / known.var(axis=0),
            "divided by the variance: take its square root",
        ),
        ((new - known.mean()) / known.std(), "one mean for all genes: take one for each, `axis=0`"),
    )
    return judge_array(
        values,
        right,
        f"the mean of a gene lies up to {np.abs(right.mean(axis=0)).max():.1f} from 0: what is"
        " particular to the held-out cells is still there",
        "from which cells do you take the mean and the deviation of each gene?",
        traps=traps,
        atol=0.01,
    )


@check("a square map, as an array")
def observed_over_expected(answer: Any, contacts: ArrayLike) -> Feedback:
    """Whether each pixel was divided by the mean at its distance, within 1%.

    Parameters
    ----------
    answer
        Observed over expected (bins, bins).
    contacts
        Balanced map (bins, bins); masked bins are NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib import checks
    >>> contacts = np.array([[8.0, 2.0, 1.0], [2.0, 4.0, 6.0], [1.0, 6.0, 6.0]])
    >>> expected = np.array([[6.0, 4.0, 1.0], [4.0, 6.0, 4.0], [1.0, 4.0, 6.0]])
    >>> checks.observed_over_expected(contacts / expected, contacts).right
    True
    >>> checks.observed_over_expected(contacts / contacts.mean(), contacts)
    Not yet: the decay is still there: one mean for the whole map, where each distance has its own
    """
    counts = array(contacts)
    n = len(counts)
    distance = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))

    def over(summary: Any, given: np.ndarray) -> np.ndarray:
        means = np.array([summary(np.diagonal(given, s)) for s in range(n)])
        quotient: np.ndarray = counts / means[distance]
        return quotient

    right = over(np.nanmean, counts)
    rows = np.nanmean(counts, axis=1, keepdims=True)
    traps = (
        (
            counts / np.nanmean(counts),
            "the decay is still there: one mean for the whole map, where each distance has its own",
        ),
        (counts / rows, "each row is divided by its mean: go along the diagonals"),
        (over(np.nansum, counts), "divided by the sum of each diagonal: take its mean"),
        (
            over(np.mean, np.nan_to_num(counts)),
            "masked bins count as 0 in these means: leave NaN out, `np.nanmean`",
        ),
        (np.triu(right), "only one half is filled in: the map is symmetric"),
        (np.log2(right), "this is the logarithm of it: leave the quotient as it is"),
        (1 / right, "upside down: observed is divided by expected"),
    )
    return judge_array(
        answer,
        right,
        f"each diagonal has a mean of 1 now, and the map still varies by"
        f" {np.nanstd(right[distance > 1]):.0%}: compartments and domains are in what is left",
        "is each pixel divided by the mean at its own distance?",
        traps=traps,
    )


@check("one of the numbers of cells, as a whole number")
def cells_for_half(answer: Any, sums: Mapping[int, np.ndarray], reach: int) -> Feedback:
    """Whether this is the smallest number of cells that leaves less than half of the pixels empty.

    Parameters
    ----------
    answer
        A number of cells, one of the keys of `sums`.
    sums
        Pseudo-bulks (bins, bins) by the number of cells in them.
    reach
        Only pixels up to this many bins from the diagonal count.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib import checks
    >>> sums = {n: np.random.default_rng(n).poisson(n / 50, (40, 40)) for n in (1, 4, 16, 64)}
    >>> checks.cells_for_half(64, sums, 10).right
    True
    >>> checks.cells_for_half(30, sums, 10)
    Not yet: no sum has 30 cells: give one of the numbers in `sums`
    """
    n_cells = float(array(answer).reshape(()))
    if n_cells not in sums:
        return Feedback(False, f"no sum has {n_cells:g} cells: give one of the numbers in `sums`")

    def first(limit: int) -> float:
        full = [n for n in sorted(sums) if _empty(sums[n], limit) < 0.5]
        return full[0] if full else np.inf

    right = first(reach)
    if n_cells == right:
        share, wide = (_empty(sums[int(right)], limit) for limit in (reach, len(sums[int(right)])))
        return Feedback(
            True,
            f"with {right} cells {share:.0%} of these pixels are empty, and {wide:.0%} of all: how"
            " many cells are enough depends on how far apart the bins are that you ask about",
        )
    if n_cells == first(len(sums[int(n_cells)])):
        return Feedback(False, "this holds for the whole map: take the pixels near the diagonal")
    if n_cells > right:
        return Feedback(False, "a smaller sum does it too: look at all of them, in order")
    return Feedback(False, "more than half of the pixels near the diagonal are still empty here")


def _empty(counts: np.ndarray, reach: int) -> float:
    """Share of the pixels of the upper triangle, up to a distance, without a contact."""
    i, j = np.triu_indices(len(counts))
    near = j - i <= reach
    return float(np.mean(np.asarray(counts)[i[near], j[near]] == 0))


@check("a square map, as an array")
def balanced_by_hand(answer: Any, contacts: ArrayLike) -> Feedback:
    """Whether `contacts` times one weight per bin has equal row sums, within 1%.

    Parameters
    ----------
    answer
        Balanced map (bins, bins).
    contacts
        Map (bins, bins) without empty rows.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib import checks
    >>> contacts = np.array([[0.0, 2.0, 2.0], [2.0, 0.0, 1.0], [2.0, 1.0, 0.0]])
    >>> weights = np.array([0.5, 1.0, 1.0])
    >>> checks.balanced_by_hand(contacts * np.outer(weights, weights), contacts).right
    True
    >>> checks.balanced_by_hand(contacts / contacts.sum(1, keepdims=True), contacts)
    Not yet: the map is no longer symmetric: divide rows and columns
    """
    values, counts = array(answer), array(contacts)
    if values.shape != counts.shape:
        return Feedback(False, f"the shape is {values.shape}, and the map has {counts.shape}")
    if not np.isfinite(values).all():
        return Feedback(False, "some values are NaN or infinite: was a row without contacts kept?")
    if not np.allclose(values, values.T, rtol=1e-6, atol=1e-12 * np.abs(values).max()):
        return Feedback(False, "the map is no longer symmetric: divide rows and columns")
    if not np.allclose(values[counts == 0], 0):
        return Feedback(False, "an empty pixel was filled: weights only scale what is there")
    values = values * counts.sum() / values.sum()
    if np.allclose(values, counts, rtol=1e-3):
        return Feedback(False, "this is the map itself, up to one factor: its rows still differ")
    sums, real = values.sum(axis=0), counts.sum(axis=0)
    spread = sums.std() / sums.mean()
    if spread > 0.01:
        return Feedback(
            False,
            f"row sums still vary by {spread:.1%} of their mean: what was divided by changes with"
            " each step, so repeat it until nothing changes",
        )
    if not np.allclose(values, _balanced(counts), rtol=0.05, atol=1e-6 * values.max()):
        return Feedback(False, "the rows are equal, but no weights lead from the map to this one")
    return Feedback(
        True,
        f"all rows have one sum now. Without noise they varied by {real.std() / real.mean():.0%},"
        " and what was real of that is gone with the rest",
    )


def _balanced(counts: np.ndarray, n_steps: int = 1000) -> np.ndarray:
    """The map of the same sum whose rows are all equal."""
    found: np.ndarray = counts * 1.0
    for _ in range(n_steps):
        sums = found.sum(axis=0)
        if sums.std() < 1e-5 * sums.mean():
            break
        step = np.sqrt(sums.mean() / sums)
        found *= step[:, None] * step[None, :]
    found *= counts.sum() / found.sum()
    return found


@check("True or False for each training window")
def overlapping(answer: Any, train: pd.DataFrame, test: pd.DataFrame) -> Feedback:
    """Whether the training windows that share bins with a test window are marked, and only they.

    Parameters
    ----------
    answer
        True where a training window overlaps a test window (training windows,).
    train, test
        Tables of windows with the columns `chrom`, `start` and `end`, in bp; `end` is outside.

    Examples
    --------
    >>> import pandas as pd
    >>> from scstlib import checks
    >>> columns = ["chrom", "start", "end"]
    >>> train = pd.DataFrame([["a", 0, 10], ["a", 30, 40], ["b", 5, 15]], columns=columns)
    >>> test = pd.DataFrame([["a", 5, 15], ["a", 40, 50]], columns=columns)
    >>> checks.overlapping([True, False, False], train, test)
    Right: 33% of these windows share bins with the others: never train on them
    >>> checks.overlapping([True, True, False], train, test)
    Not yet: windows that only touch are marked: the bin at `end` belongs to the next one
    """
    a, b = ({c: each[c].to_numpy() for c in ("chrom", "start", "end")} for each in (train, test))
    place = np.equal.outer(a["chrom"], b["chrom"])
    before, after = np.subtract.outer(a["start"], b["end"]), np.subtract.outer(a["end"], b["start"])
    right = (place & (before < 0) & (after > 0)).any(axis=1)
    same = place & np.equal.outer(a["start"], b["start"])
    inside = place & (np.subtract.outer(a["start"], b["start"]) >= 0) & (before < 0)
    traps = (
        (
            ((before < 0) & (after > 0)).any(axis=1),
            "windows of other chromosomes are marked: places on two chromosomes never overlap",
        ),
        (
            (place & (before <= 0) & (after >= 0)).any(axis=1),
            "windows that only touch are marked: the bin at `end` belongs to the next one",
        ),
        (same.any(axis=1), "only windows at the same place are marked: others overlap in part"),
        (
            inside.any(axis=1),
            "a window may also begin before the other one: look at both sides",
        ),
        (
            place.any(axis=1),
            "whole chromosomes are marked: compare start and end as well",
        ),
        (~right, "the other way round: True is for windows that share bins"),
    )
    if array(answer).size == len(test) != len(train):
        return Feedback(False, "one value for each test window: mark the training windows")
    return judge_array(
        answer,
        right,
        f"{right.mean():.0%} of these windows share bins with the others: never train on them",
        "two windows overlap where each begins before the other ends",
        traps=traps,
    )


@check("a Series of expression, with genes as its index")
def genes_without_place(
    answer: Any, expression: pd.Series, placed: pd.Index, n_genes: int = 10
) -> Feedback:
    """Whether these are the genes with the highest expression among those without a place.

    Parameters
    ----------
    answer
        Series with genes as index, or a list of genes, in any order.
    expression
        Expression by gene.
    placed
        Genes that have a place.
    n_genes
        How many genes are asked for.

    Examples
    --------
    >>> import pandas as pd
    >>> from scstlib import checks
    >>> expression = pd.Series({"A": 5.0, "B": 4.0, "C": 3.0, "D": 1.0})
    >>> checks.genes_without_place(["B", "C"], expression, pd.Index(["A", "D"]), 2).right
    True
    >>> checks.genes_without_place(["A", "B"], expression, pd.Index(["A", "D"]), 2)
    Not yet: some of these genes have a place: keep those that are not in `placed`
    """
    if isinstance(answer, str) or not hasattr(answer, "__len__"):
        raise TypeError("genes are expected")
    chosen = list(answer.index) if hasattr(answer, "index") and hasattr(answer, "loc") else answer
    names = [str(name) for name in chosen]
    known = set(map(str, expression.index))
    if not set(names) <= known:
        return Feedback(False, "some of these are no genes of the table: give names of genes")
    if set(names) & set(map(str, placed)):
        return Feedback(
            False, "some of these genes have a place: keep those that are not in `placed`"
        )
    if len(names) != n_genes:
        return Feedback(False, f"{len(names)} genes, and {n_genes} are asked for")
    lost = expression[~expression.index.isin(placed)]
    smallest = lost.nlargest(n_genes).iloc[-1]
    if expression.loc[list(chosen)].min() < smallest:
        return Feedback(False, "others without a place have more expression: sort before you cut")
    share = lost.nlargest(n_genes).sum() / lost.sum()
    return Feedback(
        True,
        f"these {n_genes} carry {share:.0%} of what is lost. Look them up: most are old symbols of"
        " genes that were renamed, and a table of symbols brings those back",
    )
