"""Checks of the exercises in the part *Time*."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from scstlib.checks.feedback import (
    Feedback,
    array,
    check,
    judge_array,
    judge_names,
    judge_number,
)

if TYPE_CHECKING:
    from torch import Tensor


@check("a list with one number for each step")
def euler_of_decay(answer: Any, steps: ArrayLike, end: float) -> Feedback:
    """Whether these are Euler's answers for decay from 1 to time `end`, within 1% or 0.001.

    Parameters
    ----------
    answer
        The amount at the end, one for each step.
    steps
        Lengths of steps, in lifetimes; as many are taken as fit best into `end`.
    end
        Time of the end, in lifetimes.

    Examples
    --------
    >>> from scstlib import checks
    >>> checks.euler_of_decay([0.0, -1.0, 129.746], [0.5, 2.0, 2.5], 30)
    Right: each step multiplies by 1 minus its length, so that steps over two lifetimes grow
    >>> checks.euler_of_decay([0.0, 0.0, 0.0], [0.5, 2.0, 2.5], 30)
    Not yet: this is the exact solution: the question is where Euler's straight steps lead instead
    """
    h = array(steps)
    n = np.rint(end / h)
    traps = (
        (
            np.exp(-end) + 0 * h,
            "this is the exact solution: the question is where Euler's straight steps lead instead",
        ),
        (1 - h, f"this is the amount after one step: go on to time {end:g}"),
        ((1 + h) ** n, "these grow from the first step on: did the velocity lose its minus sign?"),
        (
            np.abs(1 - h) ** n,
            "these are absolute values: keep the sign, which tells whether a step went past 0",
        ),
    )
    return judge_array(
        answer,
        (1 - h) ** n,
        "each step multiplies by 1 minus its length, so that steps over two lifetimes grow",
        "work out two steps by hand: what does a step of this length make of an amount of 1, and"
        " the next step of that?",
        traps=traps,
        atol=1e-3,
    )


@check("a list of names of `moves`")
def flows_on_a_line(answer: Any, start: ArrayLike, moves: Mapping[str, ArrayLike]) -> Feedback:
    """Whether these are the movements that a flow on a line can make.

    Parameters
    ----------
    answer
        Names of movements, in any order.
    start
        Places before, in rising order (points,).
    moves
        Places after (points,), by name.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib import checks
    >>> x = np.linspace(-1, 1, 5)
    >>> moves = {"shift": x + 1, "mirror": -x}
    >>> checks.flows_on_a_line(["shift"], x, moves)
    Right: points keep their order, because two paths never meet, whatever the network
    >>> checks.flows_on_a_line(["shift", "mirror"], x, moves)
    Not yet: 1 of these does not belong here: do two points meet or change places?
    """
    order = np.argsort(array(start))
    right = [name for name, end in moves.items() if (np.diff(array(end)[order]) > 0).all()]
    return judge_names(
        answer,
        right,
        moves,
        "points keep their order, because two paths never meet, whatever the network",
        missing="a flow may bring points together or push them apart",
        extra="do two points meet or change places?",
    )


@check("a tensor, one derivative for each value of the cells")
def gradient_of(answer: Any, cells: Tensor, loss: Tensor) -> Feedback:
    """Whether this is the derivative of a loss with respect to cells, within 1%.

    Parameters
    ----------
    answer
        Derivative (cells, genes).
    cells
        Cells (cells, genes) that `loss` was computed from, with `requires_grad`.
    loss
        One number, whose graph is kept.

    Examples
    --------
    >>> import torch
    >>> from scstlib import checks
    >>> x = torch.tensor([[1.0], [2.0]], requires_grad=True)
    >>> loss = x.square().sum() + 5
    >>> checks.gradient_of(2 * x, x, loss)
    Right: the gradient is that of the whole loss: what does not depend on the cells adds nothing
    >>> checks.gradient_of(x, x, loss)
    Not yet: these are the cells: take the derivative with respect to them
    """
    import torch

    (right,) = torch.autograd.grad(loss, cells, retain_graph=True)
    return judge_array(
        answer,
        array(right),
        "the gradient is that of the whole loss: what does not depend on the cells adds nothing",
        "which terms depend on the cells? Each counts with its sign and its factor",
        traps=((array(cells), "these are the cells: take the derivative with respect to them"),),
        atol=1e-6 * float(right.abs().max()),
    )


@check("one share for each column of scores")
def share_of_the_way(
    answer: Any, scores: pd.DataFrame, method: str, start: str, goal: str
) -> Feedback:
    """Whether this is how far a method comes from one row of scores to another, within 1%.

    Parameters
    ----------
    answer
        Shares, one for each column; 1 where `method` is as good as `goal`.
    scores
        Table of scores (methods, columns).
    method, start, goal
        Names of rows.

    Examples
    --------
    >>> import pandas as pd
    >>> from scstlib import checks
    >>> scores = pd.DataFrame({"error": [8.0, 4.0, 3.0]}, index=["copy", "ours", "floor"])
    >>> checks.share_of_the_way([0.8], scores, "ours", "copy", "floor")
    Right: ours comes 80% of the way from 'copy' to 'floor': such a number can be read
    >>> checks.share_of_the_way([0.2], scores, "ours", "copy", "floor")
    Not yet: this is the part of the way that is left: measure from the other end
    """
    ours, first, last = (scores.loc[name].to_numpy(float) for name in (method, start, goal))
    right = (first - ours) / (first - last)
    traps = (
        (1 - right, "this is the part of the way that is left: measure from the other end"),
        (-right, "the signs do not fit: both differences go the same way"),
        (100 * right, "a hundred times too large: give a share between 0 and 1, not a percentage"),
        (
            (first - ours) / first,
            f"this is the way to 0, where no method gets: the way ends at {goal!r}",
        ),
        (ours / first, f"this is what is left of {start!r}: where does {goal!r} come in?"),
        (1 / right, "upside down: what is divided by what?"),
    )
    told = " and ".join(f"{share:.0%}".replace("-", "−") for share in right)
    worse = f"; below 0% it is worse than {start!r}" if (right < 0).any() else ""
    return judge_array(
        answer,
        right,
        f"{method} comes {told} of the way from {start!r} to {goal!r}{worse}: such a number can be"
        " read",
        f"divide what {method} gains on {start!r} by what there is to gain",
        traps=traps,
        atol=0.005,
    )


@check("a list of names of methods")
def not_beaten(answer: Any, scores: pd.DataFrame, best: Literal["min", "max"] = "min") -> Feedback:
    """Whether these are the methods than which no other is better in all scores.

    Parameters
    ----------
    answer
        Names of methods, in any order.
    scores
        Table of scores (methods, columns).
    best
        Whether the smallest or the largest score is the best.

    Examples
    --------
    >>> import pandas as pd
    >>> from scstlib import checks
    >>> scores = pd.DataFrame({"place": [1, 2, 3], "likeness": [3, 2, 4]}, index=["a", "b", "c"])
    >>> checks.not_beaten(["a", "b"], scores)
    Right: for each of these 2 of 3 there is a question to which it is the answer
    >>> checks.not_beaten(["a"], scores)
    Not yet: 1 is missing: a method stays if no other is better in every column
    """
    values: np.ndarray = scores.to_numpy(float) * (1 if best == "min" else -1)
    better = np.all(values[None] < values[:, None], axis=2)  # column's method than row's
    names = [str(name) for name in scores.index]
    right = [name for name, others in zip(names, better, strict=True) if not others.any()]
    return judge_names(
        answer,
        right,
        names,
        f"for each of these {len(right)} of {len(scores)} there is a question to which it is the"
        " answer",
        missing="a method stays if no other is better in every column",
        extra="look for another that is better in every column",
    )


@check("one number")
def factor_to_hold(answer: Any, measured: pd.Series, band: pd.DataFrame, level: float) -> Feedback:
    """Whether intervals widened by this factor hold the promised share of what was measured.

    Within 2%.

    Parameters
    ----------
    answer
        Factor.
    measured
        Measured values by name.
    band
        Intervals in the columns `lower`, `mean` and `upper`, by the same names.
    level
        Share that they promise to hold.

    Examples
    --------
    >>> import pandas as pd
    >>> from scstlib import checks
    >>> measured = pd.Series([1.0, 2.0, 3.0, 4.0])
    >>> band = pd.DataFrame({"lower": [-1.0] * 4, "mean": [0.0] * 4, "upper": [1.0] * 4})
    >>> checks.factor_to_hold(3.7, measured, band, 0.9)
    Right: these intervals must be 3.7 times as wide to hold 90%: the members err alike
    >>> checks.factor_to_hold(1.85, measured, band, 0.9)
    Not yet: this is in whole widths: a value lies outside once it is half a width away
    """
    half = (band["upper"] - band["lower"]) / 2
    ratio = (measured - band["mean"]).abs() / half
    right = float(ratio.quantile(level))
    traps = (
        (right / 2, "this is in whole widths: a value lies outside once it is half a width away"),
        (2 * right, "twice too large: half a width is half of upper minus lower"),
        (float(ratio.mean()), "this is the mean: which factor holds the promised share of genes?"),
        (float(ratio.median()), "this holds half of the genes: the promise is more"),
        (float(ratio.max()), "this holds all genes: the promise is less"),
        (float((ratio <= 1).mean()), "this is the share that is held: which factor mends it?"),
    )
    return judge_number(
        answer,
        right,
        f"these intervals must be {right:.1f} times as wide to hold {level:.0%}: the members err"
        " alike",
        "how many half widths is each gene away, and within how many are most of them?",
        traps=traps,
        rtol=0.02,
    )


@check("one number, per hour")
def extra_growth(answer: Any, first: float, last: float, hours: float) -> Feedback:
    """Whether cells that divide faster by this rate alone rise from one share to another.

    Within 2%.

    Parameters
    ----------
    answer
        Growth rate minus that of all other cells, per hour.
    first, last
        Shares of the cells at the beginning and at the end, between 0 and 1.
    hours
        Between the two.

    Examples
    --------
    >>> from scstlib import checks
    >>> checks.extra_growth(0.0549, 0.25, 0.5, 20)
    Right: one more division in 13 hours explains the rise, without any cell changing its fate
    >>> checks.extra_growth(0.0125, 0.25, 0.5, 20)
    Not yet: this is the rise of the share per hour: growth multiplies, and the others grow too
    """
    odds = np.array([first / (1 - first), last / (1 - last)])
    right = float(np.log(odds[1] / odds[0]) / hours)
    traps = (
        (
            (last - first) / hours,
            "this is the rise of the share per hour: growth multiplies, and the others grow too",
        ),
        (
            np.log(last / first) / hours,
            "this is the logarithm of the share; the others' share falls meanwhile: take the odds",
        ),
        (right * hours, "this is the growth over all hours: give it per hour"),
        (right / np.log(2), "this counts doublings: take the natural logarithm"),
        (right / np.log(10), "this is in powers of ten: take the natural logarithm"),
    )
    doubling = np.log(2) / abs(right) if right else np.inf
    return judge_number(
        answer,
        right,
        f"one more division in {doubling:.0f} hours explains the rise, without any cell changing"
        " its fate",
        "how do the odds, share / (1 - share), change when one kind grows faster?",
        traps=traps,
        rtol=0.02,
    )


@check("a list of names of genes")
def misjudged(answer: Any, changes: pd.DataFrame, limit: float) -> Feedback:
    """Whether these are the genes whose effect on some fate the model misses by more than a limit.

    Parameters
    ----------
    answer
        Names as in the column `gene`, in any order.
    changes
        Table with the columns `gene`, `fate`, `model` and `truth`, changes of shares.
    limit
        Largest difference that passes.

    Examples
    --------
    >>> import pandas as pd
    >>> from scstlib import checks
    >>> changes = pd.DataFrame({"gene": ["a", "a", "b"], "fate": ["x", "y", "x"],
    ...     "model": [0.1, -0.5, 0.2], "truth": [0.1, -0.1, 0.25]})
    >>> checks.misjudged(["a"], changes, 0.1)
    Right: 1 of 2 genes; a model that only saw snapshots cannot know which of them
    >>> checks.misjudged(["a", "b"], changes, 0.1)
    Not yet: 1 of these does not belong here: is the model off by more than the limit?
    """
    off = (changes["model"] - changes["truth"]).abs().groupby(changes["gene"]).max()
    right = [str(gene) for gene in off.index[off > limit]]
    signed = (changes["model"] - changes["truth"]).groupby(changes["gene"]).max()
    if set(_names(answer)) == set(signed.index[signed > limit]) != set(right):
        return Feedback(False, "changes that are too small count as well: take absolute values")
    return judge_names(
        answer,
        right,
        map(str, off.index),
        f"{len(right)} of {len(off)} genes; a model that only saw snapshots cannot know which of"
        " them",
        missing="look at every fate, not at one",
        extra="is the model off by more than the limit?",
    )


@check("one share, between 0 and 1")
def quarter_turn(answer: Any, cells: ArrayLike) -> Feedback:
    """Whether this share of the cells that start on the right ends there after a quarter turn.

    Within 0.01.

    Parameters
    ----------
    answer
        Share.
    cells
        Places (cells, 2) at the start; the right is where the first coordinate is positive.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib import checks
    >>> cells = np.random.default_rng(0).normal(size=(2000, 2))
    >>> share = np.mean(cells[cells[:, 0] > 0, 1] < 0)
    >>> checks.quarter_turn(share, cells).right
    True
    >>> checks.quarter_turn(0.25, cells)
    Not yet: this is a share of all cells: divide by those that start on the right
    """
    places = array(cells)
    begin = places[:, 0] > 0
    shares = [float(np.mean(side[begin])) for side in (places[:, 1] < 0, places[:, 1] > 0)]
    reason = (
        "about half, as if chance decided: the second coordinate does, and whoever cannot see it"
        " calls it chance"
    )
    hints = (
        (1.0, "this is the world that stays: a quarter turn moves every cell"),
        (0.0, "this is half a turn: a quarter is `np.pi / 2`"),
        (
            begin.mean() / 2,
            "this is a share of all cells: divide by those that start on the right",
        ),
    )
    look = "turn each place by a quarter, and look at the sign of its first coordinate"
    either = [
        judge_number(answer, right, reason, look, traps=hints, rtol=0, atol=0.01)
        for right in shares  # to the left or to the right
    ]
    return either[0] if either[0].right else either[1]


@check("two numbers, in hours and in intervals")
def heights_of_curves(answer: Any, hours: ArrayLike, chain: ArrayLike) -> Feedback:
    """Whether curves through a chain of four cells rise so high between its inner two, within 1%.

    At an inner cell a curve has the direction of the parabola through it and both its neighbours.

    Parameters
    ----------
    answer
        Largest value, if the curve is drawn in hours and if it is drawn in intervals.
    hours
        When the cells were measured (4,).
    chain
        Their values (4,).

    Examples
    --------
    >>> from scstlib import checks
    >>> checks.heights_of_curves([1.0, 1.0], [0, 1, 2, 3], [0, 1, 1, 0])
    Not yet: straight lines never leave the range of the cells: how high do curves rise?
    >>> checks.heights_of_curves([1.125, 1.125], [0, 1, 2, 3], [0, 1, 1, 0])
    Right: an error within a short interval is a slope, which the curve follows for the long one
    """
    values = array(chain)
    clocks = array(hours), np.arange(4.0)
    right = np.array([_height(clock, values) for clock in clocks])
    traps = (
        (
            0 * right + values[1:3].max(),
            "straight lines never leave the range of the cells: how high do curves rise?",
        ),
        (right[::-1], "in hours first, then in intervals"),
        (0 * right + right[0], "in intervals the cells stand at 0, 1, 2 and 3"),
        (0 * right + right[1], "in hours the cells stand where they were measured"),
    )
    return judge_array(
        answer,
        right,
        "an error within a short interval is a slope, which the curve follows for the long one",
        "draw the curve at many times between the inner two cells, on each clock; where is it"
        " highest?",
        traps=traps,
        rtol=0.01,
    )


def _names(answer: Any) -> list[str]:
    return [answer] if isinstance(answer, str) else [str(name) for name in answer]


def _height(times: np.ndarray, values: np.ndarray) -> float:
    """Largest value of the curve between the inner two of four cells."""
    from scipy.interpolate import CubicHermiteSpline

    width, slope = np.diff(times), np.diff(values) / np.diff(times)
    tangents = (width[1:] * slope[:-1] + width[:-1] * slope[1:]) / (width[1:] + width[:-1])
    curve = CubicHermiteSpline(times[1:3], values[1:3], tangents)
    return float(curve(np.linspace(times[1], times[2], 1001)).max())
