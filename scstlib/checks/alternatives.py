"""Checks of the exercises in the part *Alternatives*."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from scstlib.checks.feedback import Feedback, array, check, judge_names, judge_number


@check("one number")
def gaussian_process_mean(
    answer: Any, times: ArrayLike, values: ArrayLike, at: float, length: float, noise: float
) -> Feedback:
    """Whether this is what a Gaussian process expects at a time, within 1%.

    Its mean is 0 and its variance 1 before it sees values; the correlation of two times falls as
    exp(-(difference / length)² / 2).

    Parameters
    ----------
    answer
        Expected value.
    times, values
        Measurements (n,).
    at
        Time that is asked for.
    length
        Length scale, in the unit of times.
    noise
        Variance of the error of a measurement.

    Examples
    --------
    >>> from scstlib import checks
    >>> checks.gaussian_process_mean(1.0, [0.0], [2.0], 0.0, 1.0, 1.0)
    Right: near measurements count more, and noisy ones less
    >>> checks.gaussian_process_mean(2.0, [0.0], [2.0], 0.0, 1.0, 1.0)
    Not yet: the measurements count as exact: add `noise` to the diagonal
    """
    t, y = array(times), array(values)

    def kernel(one: np.ndarray, other: np.ndarray, width: float = length) -> np.ndarray:
        far: np.ndarray = np.subtract.outer(one, other) / width
        return np.exp(-0.5 * far**2)

    def expected(error: float, width: float = length) -> float:
        weights = np.linalg.solve(kernel(t, t, width) + error * np.eye(len(t)), y)
        return float((kernel(np.array([at]), t, width) @ weights)[0])

    traps = [
        (y.mean(), "this is the mean of the values: near times should count more"),
        (float(np.interp(at, t, y)), "this is a straight line between two values"),
        (
            float((kernel(np.array([at]), t) @ y)[0]),
            "two measurements near each other say nearly the same: solve for the weights",
        ),
        (expected(noise, length / np.sqrt(2)), "is the square of the difference halved?"),
        (expected(noise**2), "`noise` is a variance already"),
        (expected(np.sqrt(noise)), "`noise` is a variance already"),
        (expected(1e-10), "the measurements count as exact: add `noise` to the diagonal"),
    ]
    return judge_number(
        answer,
        expected(noise),
        "near measurements count more, and noisy ones less",
        "solve (kernel + noise) w = values, and multiply w by the kernel of the new time",
        traps=tuple(reversed(traps)),
    )


@check("one number, a threshold")
def first_cut(answer: Any, x: ArrayLike, y: ArrayLike) -> Feedback:
    """Whether a tree of one cut that puts it here leaves the smallest squared error.

    Any threshold between the same two neighbours is right.

    Parameters
    ----------
    answer
        Threshold on `x`.
    x, y
        Input and output (n,).

    Examples
    --------
    >>> from scstlib import checks
    >>> checks.first_cut(2.5, [1, 2, 3, 4], [0, 0, 5, 5])
    Right: one step explains 100% of the variance; every further cut adds a step
    >>> checks.first_cut(1.5, [1, 2, 3, 4], [0, 0, 5, 5])
    Not yet: another cut leaves less error: try all of them, and add the errors of both sides
    """
    cut = float(array(answer).reshape(()))
    given, goal = array(x), array(y)
    levels = np.unique(given)
    if not levels[0] < cut < levels[-1]:
        return Feedback(False, "all values lie on one side of this cut: it must part them")

    def error(threshold: float) -> float:
        left = given <= threshold
        return float(sum(((goal[s] - goal[s].mean()) ** 2).sum() for s in (left, ~left)))

    middles = (levels[1:] + levels[:-1]) / 2
    errors = np.array([error(middle) for middle in middles])
    place = int(np.clip(np.searchsorted(levels, cut, side="right") - 1, 0, len(middles) - 1))
    total = float(((goal - goal.mean()) ** 2).sum())
    if errors[place] <= errors.min() * (1 + 1e-9) + 1e-12:
        return Feedback(
            True,
            f"one step explains {1 - errors.min() / total:.0%} of the variance; every further cut"
            " adds a step",
        )
    means = np.array([abs(goal[given <= m].mean() - goal[given > m].mean()) for m in middles])
    if place == int(means.argmax()):
        return Feedback(
            False, "here the two means are farthest apart, but one side has too few values"
        )
    if np.isclose(cut, np.median(given)):
        return Feedback(False, "this is the median: a tree looks at the output to place its cut")
    return Feedback(
        False, "another cut leaves less error: try all of them, and add the errors of both sides"
    )


@check("one number")
def sorted_pairs(answer: Any, early: ArrayLike, late: ArrayLike) -> Feedback:
    """Whether this is the mean squared distance of the best pairs on a line, within 1%.

    Parameters
    ----------
    answer
        Squared Wasserstein distance of order 2.
    early, late
        Places on a line, as many of each (n,).

    Examples
    --------
    >>> from scstlib import checks
    >>> checks.sorted_pairs(1.0, [0, 1, 2], [3, 1, 2])
    Right: on a line the best pairs keep their order: sorting replaces the whole plan
    >>> checks.sorted_pairs(3.0, [0, 1, 2], [3, 1, 2])
    Not yet: these pairs are as the cells happen to be listed: which pairing is the cheapest?
    """
    a, b = array(early), array(late)
    ordered = np.sort(a) - np.sort(b)
    right = float(np.mean(ordered**2))
    traps = (
        (
            np.mean((a - b) ** 2),
            "these pairs are as the cells happen to be listed: which pairing is the cheapest?",
        ),
        (np.mean(np.abs(ordered)), "the pairs are right: square each distance"),
        (np.sqrt(right), "this is the root of it: the square is asked for"),
        (np.sum(ordered**2), "this is the sum: every pair weighs one over the number of cells"),
        (right / 2, "half of it, as in the divergence: here it is the whole"),
        ((a.mean() - b.mean()) ** 2, "these are the means alone: the spread counts as well"),
        (
            np.mean(np.subtract.outer(a, b) ** 2),
            "every cell is paired with every other: give each cell one partner",
        ),
    )
    return judge_number(
        answer,
        right,
        "on a line the best pairs keep their order: sorting replaces the whole plan",
        "find the cheapest pairs, and take the mean of their squared distances",
        traps=traps,
        atol=1e-9,
    )


@check("one number, a velocity")
def mean_velocity(answer: Any, start: ArrayLike, end: ArrayLike, s: float, at: float) -> Feedback:
    """Whether a drift that fits lines between pairs learns this velocity at a place and time.

    The velocity is a straight line in the place, as for bell curves. Within 5% or 0.02.

    Parameters
    ----------
    answer
        Velocity.
    start, end
        Places of the pairs at time 0 and at time 1 (pairs,).
    s
        Time, between 0 and 1.
    at
        Place.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib import checks
    >>> start, end = np.array([-1.0, 1.0, -1.0, 1.0]), np.array([1.0, -1.0, -1.0, 1.0])
    >>> checks.mean_velocity(-0.4, start, end, 0.25, 0.5).right
    True
    >>> checks.mean_velocity(0.1, np.array([0.0, 1.0]), np.array([0.0, 3.0]), 0.5, 0.0)
    Not yet: take the lines that pass near this place at this time, and the mean of their velocities
    """
    x, y = array(start), array(end)
    passing = x + s * (y - x)
    slope, level = np.polyfit(passing, y - x, 1)
    right = float(slope * at + level)
    other_slope, other_level = np.polyfit(x, y - x, 1)
    traps = (
        ((y - x).mean(), "this is the mean of all lines: which of them pass this place?"),
        (
            other_slope * at + other_level,
            "these lines start here: at this time they are somewhere else",
        ),
        (-right, "the size fits: a velocity leads from the start to the end"),
    )
    return judge_number(
        answer,
        right,
        f"{right:.2f}, while the mean of all lines is {(y - x).mean():.2f}: the drift is a mean"
        " over the lines that meet there, and follows none of them",
        "take the lines that pass near this place at this time, and the mean of their velocities",
        traps=traps,
        rtol=0.05,
        atol=0.02,
    )


@check("one weight")
def best_weight(answer: Any, first: ArrayLike, second: ArrayLike) -> Feedback:
    """Whether this weight of the first method gives the weighted mean the smallest squared error.

    The second has the rest of the weight, 1 minus it. Within 0.02.

    Parameters
    ----------
    answer
        Weight of the first method.
    first, second
        Errors of the two methods (n,).

    Examples
    --------
    >>> from scstlib import checks
    >>> checks.best_weight(0.8, [1.0, 1.0], [2.0, -2.0]).right
    True
    >>> checks.best_weight(0.5, [1.0, 1.0], [2.0, -2.0])
    Not yet: these are equal weights: the better method should count more
    """
    e, f = array(first).ravel(), array(second).ravel()
    aa, bb, ab = (float(np.mean(p)) for p in (e * e, f * f, e * f))
    right = (bb - ab) / (aa + bb - 2 * ab)
    error = right**2 * aa + (1 - right) ** 2 * bb + 2 * right * (1 - right) * ab
    traps = (
        (1 - right, "this is the weight of the second method"),
        (bb / (aa + bb), "this holds for errors that have nothing to do with each other"),
        (0.5, "these are equal weights: the better method should count more"),
        (1.0 if aa < bb else 0.0, "the better method alone: does the other add nothing?"),
    )
    gain = 1 - np.sqrt(error / min(aa, bb))
    return judge_number(
        answer,
        right,
        f"with it the error is {gain:.1%} below that of the better method: a bound, no method, as"
        " it was chosen on the errors that it is scored by",
        "write the squared error of the weighted mean, and look for its lowest point",
        traps=traps,
        rtol=0.0,
        atol=0.02,
    )


@check("one share, between 0 and 1")
def share_inside(
    answer: Any, lower: ArrayLike, upper: ArrayLike, truth: ArrayLike, level: float
) -> Feedback:
    """Whether this share of the known values lies in its interval, within 0.01.

    Parameters
    ----------
    answer
        Share.
    lower, upper
        Ends of the intervals.
    truth
        True values; NaN where nothing is known.
    level
        Share that the intervals promise.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib import checks
    >>> truth = np.array([0.5, 2.0, np.nan, 0.1])
    >>> checks.share_inside(2 / 3, np.zeros(4), np.ones(4), truth, 0.8)
    Right: 67% where 80% are promised; values next to each other share their errors
    >>> checks.share_inside(0.5, np.zeros(4), np.ones(4), truth, 0.8)
    Not yet: unknown values count as outside: leave NaN out of numerator and denominator
    """
    low, high, true = (array(each).ravel() for each in (lower, upper, truth))
    known = np.isfinite(true) & np.isfinite(low) & np.isfinite(high)
    inside = (low <= true) & (true <= high)
    right = float(inside[known].mean())
    traps = [
        (1 - right, "this is the share outside"),
        (float((true[known] <= high[known]).mean()), "look at both ends of an interval"),
        (float((true[known] >= low[known]).mean()), "look at both ends of an interval"),
        (level, "this is what they promise: count what they hold"),
    ]
    if not known.all():
        hint = "unknown values count as outside: leave NaN out of numerator and denominator"
        traps.insert(0, (float(inside.mean()), hint))
    return judge_number(
        answer,
        right,
        f"{right:.0%} where {level:.0%} are promised; values next to each other share their errors",
        "count the true values between both ends, among those that are known",
        traps=tuple(traps),
        rtol=0.0,
        atol=0.01,
    )


@check("the name of a task")
def deciding_task(answer: Any, scores: pd.DataFrame) -> Feedback:
    """Whether this is the task whose scores differ most, which decides a mean over tasks.

    Parameters
    ----------
    answer
        Name of a row.
    scores
        Table of scores (tasks, methods).

    Examples
    --------
    >>> import pandas as pd
    >>> from scstlib import checks
    >>> scores = pd.DataFrame({"ours": [1, 5, 90], "theirs": [9, 9, 99]}, index=["a", "b", "c"])
    >>> checks.deciding_task("c", scores)
    Right: its scores span 9, those of the median task 8: a rank has no unit, and no task decides
    >>> checks.deciding_task("b", scores)
    Not yet: 1 of these does not belong here: how far apart are its largest and its smallest score?
    """
    span = scores.max(axis=1) - scores.min(axis=1)
    right = str(span.idxmax())
    names = [answer] if isinstance(answer, str) else list(answer)
    if len(names) != 1:
        return Feedback(False, f"one task is expected, not {len(names)}")
    if names[0] == str(scores.mean(axis=1).idxmax()) != right:
        return Feedback(False, "this one has the largest mean, which all methods share")
    ratio = scores.max(axis=1) / scores.min(axis=1)
    if names[0] == str(ratio.idxmax()) != right:
        return Feedback(False, "this one has the largest *ratio*: a mean adds differences")
    return judge_names(
        names,
        [right],
        map(str, scores.index),
        f"its scores span {span.max():.3g}, those of the median task {span.median():.3g}: a rank"
        " has no unit, and no task decides",
        missing="name one task",
        extra="how far apart are its largest and its smallest score?",
    )
