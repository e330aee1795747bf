"""Checks of the steps of the projects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from scstlib.checks.feedback import Feedback, array, check, judge_array, judge_number

LEAKING = {3, 4}


@check("one number between 0 and 1")
def weight_on_line(answer: Any, before: float, time: float, after: float) -> Feedback:
    """Whether this is the weight of the later time in a straight line between two times.

    Parameters
    ----------
    answer
        Weight of `after`.
    before, time, after
        The measured time before, the hidden time, and the measured time after it.

    Examples
    --------
    >>> from scstlib import checks
    >>> checks.weight_on_line(0.25, 0.0, 6.0, 24.0)
    Right: the closer measured time weighs more, and the two weights add up to 1
    >>> checks.weight_on_line(0.5, 0.0, 6.0, 24.0)
    Not yet: that is the middle: the hidden time is closer to one end
    """
    weight = (time - before) / (after - before)
    return judge_number(
        answer,
        weight,
        "the closer measured time weighs more, and the two weights add up to 1",
        "which part of the way from the time before to the time after has passed?",
        traps=(
            (1 - weight, "that is the weight of the earlier time"),
            (0.5, "that is the middle: the hidden time is closer to one end"),
            (time - before, "those are units of time: divide by the whole way"),
        ),
    )


@check("one value for each gene")
def mean_on_line(
    answer: Any, early: ArrayLike, late: ArrayLike, times: tuple[float, float, float]
) -> Feedback:
    """Whether these are the means of genes on the straight line between two populations.

    Parameters
    ----------
    answer
        Means (genes,).
    early, late
        Cells (cells, genes) of the time before and of the time after.
    times
        The time before, the hidden time and the time after.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib import checks
    >>> early, late = np.zeros((4, 2)), np.array([[1.0, 2.0], [3.0, 2.0]])
    >>> checks.mean_on_line([0.5, 0.5], early, late, (0.0, 6.0, 24.0))
    Right: each gene moves by the same share of its way; no cell is there yet, only a mean
    >>> checks.mean_on_line([1.5, 1.5], early, late, (0.0, 6.0, 24.0))
    Not yet: the weights are exchanged: which is closer?
    """
    before, time, after = times
    weight = (time - before) / (after - before)
    first, last = (np.asarray(cells, dtype=float) for cells in (early, late))
    start, end = first.mean(axis=0), last.mean(axis=0)
    pooled = np.vstack([first, last]).mean(axis=0)
    return judge_array(
        answer,
        (1 - weight) * start + weight * end,
        "each gene moves by the same share of its way; no cell is there yet, only a mean",
        "start from the mean of the earlier time, and go a share of the way to that of the later",
        traps=(
            (weight * start + (1 - weight) * end, "the weights are exchanged: which is closer?"),
            ((start + end) / 2, "that is the middle of the two means"),
            (pooled, "all cells in one heap: a time with more cells then weighs more"),
            (start, "nothing has moved: this is the mean of the earlier time"),
        ),
    )


@check("an array of cells by genes")
def cells_predicted(
    answer: Any,
    copied: ArrayLike,
    hidden: ArrayLike,
    distance: Callable[[np.ndarray, np.ndarray], float],
) -> Feedback:
    """Whether these cells are more like the hidden ones than the copied ones are.

    Parameters
    ----------
    answer
        Predicted cells (n, genes), at least 30.
    copied
        Cells (m, genes) of the closest measured time.
    hidden
        Cells (k, genes) of the hidden time.
    distance
        Of two populations, such as `scstlib.metrics.expression.energy_distance`.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib import checks
    >>> from scstlib.metrics.expression import energy_distance
    >>> rng = np.random.default_rng(0)
    >>> copied, hidden = rng.normal(0, 1, (60, 5)), rng.normal(1, 1, (60, 5))
    >>> checks.cells_predicted(copied + 0.5, copied, hidden, energy_distance)
    Right: the distance to the hidden cells is 68% smaller than that of the copy
    >>> checks.cells_predicted(hidden, copied, hidden, energy_distance)
    Not yet: some of these cells are cells of the hidden time: predict them without looking
    """
    cells, copy, truth = array(answer), array(copied), array(hidden)
    if cells.ndim != 2 or cells.shape[1] != truth.shape[1]:
        wanted = f"(cells, {truth.shape[1]})"
        return Feedback(False, f"the shape is {cells.shape}, and {wanted} is expected")
    if not np.isfinite(cells).all():
        return Feedback(False, "some values are NaN or infinite: which step made them?")
    if len(cells) < 30:
        return Feedback(False, f"{len(cells)} cells are no population: predict at least 30")
    rows = {row.tobytes() for row in truth}
    if any(row.tobytes() in rows for row in cells):
        return Feedback(
            False, "some of these cells are cells of the hidden time: predict them without looking"
        )
    if np.allclose(cells, cells[0]):
        return Feedback(False, "one profile, many times over: real cells differ from each other")
    ours, theirs = distance(cells, truth), distance(copy, truth)
    if ours >= theirs:
        return Feedback(
            False,
            "the copy of the closest time is at least as close: cells have to move, and to stay"
            " as different from each other as measured ones",
        )
    gain = f"{1 - ours / theirs:.0%}"
    return Feedback(
        True, f"the distance to the hidden cells is {gain} smaller than that of the copy"
    )


@check("an array of the shape of `maps`")
def specific_to_each(answer: Any, maps: ArrayLike) -> Feedback:
    """Whether this is observed over expected of each map, less the mean of all maps.

    Parameters
    ----------
    answer
        Of the shape of `maps`.
    maps
        Contacts (maps, chromosomes, bins, bins), more than 0 at each distance.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib import checks
    >>> near = np.array([[4.0, 1.0, 1.0], [1.0, 2.0, 1.0], [1.0, 1.0, 6.0]])
    >>> flat = np.ones((3, 3))
    >>> over = np.array([near / np.array([[4, 1, 1], [1, 4, 1], [1, 1, 4]]), flat])[:, None]
    >>> checks.specific_to_each(over - over.mean(axis=0), np.array([near, flat])[:, None])
    Right: distance and what all maps share are gone; what is left is specific to a map, and noise
    >>> checks.specific_to_each(over, np.array([near, flat])[:, None])
    Not yet: distance is gone; now take away what the maps share, at each pixel
    """
    counts = array(maps)
    over = counts / _expected(counts)
    return judge_array(
        answer,
        over - over.mean(axis=0),
        "distance and what all maps share are gone; what is left is specific to a map, and noise",
        "first divide by the mean at each distance, then subtract the mean over maps",
        traps=(
            (over, "distance is gone; now take away what the maps share, at each pixel"),
            (counts - counts.mean(axis=0), "counts fall with distance: divide that out first"),
            (
                over - over.mean(),
                "one number is subtracted: take the mean over maps, pixel by pixel",
            ),
            (over / over.mean(axis=0), "a ratio: here the mean over maps is subtracted"),
        ),
    )


def _expected(counts: np.ndarray) -> np.ndarray:
    """Mean of each map (..., bins, bins) at the distance of each pixel."""
    expected = np.empty_like(counts)
    rows, columns = np.indices(counts.shape[-2:])
    for distance in range(counts.shape[-1]):
        there = np.abs(rows - columns) == distance
        expected[..., there] = counts[..., there].mean(axis=-1, keepdims=True)
    return expected


@check("a list with the name of a cell type for each map")
def owners(answer: Any, key: Sequence[str]) -> Feedback:
    """Whether each map has the name of its cell type.

    Parameters
    ----------
    answer
        Names in the order of the maps.
    key
        The right ones.

    Examples
    --------
    >>> from scstlib import checks
    >>> checks.owners(["stem", "beta"], ["stem", "beta"])
    Right: all 2 maps have found their cell type
    >>> checks.owners(["beta", "stem"], ["stem", "beta"])
    Not yet: 0 of 2 maps are right: what is specific to a map is to agree with what is to a type
    """
    if isinstance(answer, str):
        raise TypeError("a list is expected, not one text")
    names, right = [str(name) for name in answer], [str(name) for name in key]
    if len(names) != len(right):
        return Feedback(False, f"{len(names)} names for {len(right)} maps")
    strangers = sorted(set(names) - set(right))
    if strangers:
        return Feedback(False, f"`{strangers[0]}` is none of the cell types: look at their names")
    if len(set(names)) < len(names):
        return Feedback(False, "a cell type has two maps: each has one")
    n_right = sum(a == b for a, b in zip(names, right, strict=True))
    if n_right == len(right):
        return Feedback(True, f"all {n_right} maps have found their cell type")
    return Feedback(
        False,
        f"{n_right} of {len(right)} maps are right: what is specific to a map is to agree with what"
        " is to a type",
    )


@check("one number between 0 and 1")
def honest_accuracy(answer: Any) -> Feedback:
    """Whether this is the accuracy that labels dealt at random allow, for groups of equal size.

    Parameters
    ----------
    answer
        An accuracy.

    Examples
    --------
    >>> from scstlib import checks
    >>> checks.honest_accuracy(1 / 2)
    Right: nothing can be learned, and a guess is right half of the time
    >>> checks.honest_accuracy(0)
    Not yet: always wrong would be as good as always right: one would answer the opposite
    """
    return judge_number(
        answer,
        0.5,
        "nothing can be learned, and a guess is right half of the time",
        "how often is a guess right, with two groups of equal size?",
        atol=0.02,
        traps=(
            (0, "always wrong would be as good as always right: one would answer the opposite"),
            (1, "always right: from what, if labels were dealt at random?"),
            (1 / 8, "there are eight donors, but only two answers"),
        ),
    )


@check("one number between 0 and 1")
def mended_accuracy(answer: Any, found: float) -> Feedback:
    """Whether this is an accuracy without leaks, for labels that were dealt at random.

    Parameters
    ----------
    answer
        The accuracy after mending, a mean over cohorts.
    found
        The accuracy before.

    Examples
    --------
    >>> from scstlib import checks
    >>> checks.mended_accuracy(0.47, 0.9)
    Right: nothing is left of the illusion; that is what the classifier knows of a new donor
    >>> checks.mended_accuracy(0.8, 0.9)
    Not yet: 75% of the illusion is left: what else has seen a label or a donor of the test part?
    """
    if isinstance(answer, bool | np.bool_):
        raise TypeError("a number is expected, not True or False")
    values = array(answer)
    if values.size != 1:
        return Feedback(False, f"one number is expected, not {values.size}: take the mean")
    value = float(values.reshape(()))
    if not 0 <= value <= 1:
        return Feedback(False, "an accuracy lies between 0 and 1")
    left = (value - 0.5) / (found - 0.5)
    if left > 0.97:
        return Feedback(False, "it is as high as before: what you changed was no leak")
    if left > 0.25:
        return Feedback(
            False,
            f"{left:.0%} of the illusion is left: what else has seen a label or a donor of the"
            " test part?",
        )
    if value < 0.2:
        return Feedback(False, "far below a guess: are labels and cells still in the same order?")
    return Feedback(
        True, "nothing is left of the illusion; that is what the classifier knows of a new donor"
    )


@check("a set of numbers of steps")
def leaking_steps(answer: Any) -> Feedback:
    """Whether these are the steps of the page *Find the leak* that raise the accuracy.

    Parameters
    ----------
    answer
        Numbers of steps, 1 to 5.

    Examples
    --------
    >>> from scstlib import checks
    >>> checks.leaking_steps({1})
    Not yet: step 1 needs no other cell than its own: nothing can leak
    >>> checks.leaking_steps(sorted({4, 3}))
    Right: one step saw the labels of the test part, the other let its donors into training
    """
    listed = list(answer) if isinstance(answer, set | frozenset | tuple) else answer
    steps = {int(step) for step in array(listed).ravel()}
    if not steps <= {1, 2, 3, 4, 5}:
        return Feedback(False, "steps are numbered from 1 to 5")
    if 1 in steps:
        return Feedback(False, "step 1 needs no other cell than its own: nothing can leak")
    if 5 in steps:
        return Feedback(False, "step 5 is fitted to the training part alone")
    if 2 in steps:
        return Feedback(
            False, "step 2 breaks the rule, but does it raise the accuracy? Mend it alone and look"
        )
    if steps != LEAKING:
        return Feedback(False, "mend what you have named: is the accuracy that of a guess then?")
    return Feedback(
        True, "one step saw the labels of the test part, the other let its donors into training"
    )
