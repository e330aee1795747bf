"""Checks of the exercises in the part *Pitfalls*."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

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


@check("a list of four numbers")
def shifted_cloud(answer: Any, shift: ArrayLike) -> Feedback:
    """Whether these are the distances between a cloud and the same cloud moved, within 2%.

    Parameters
    ----------
    answer
        The Wasserstein distances W1 and W2, W2 squared, and the Sinkhorn divergence.
    shift
        By how much every cell moves (coordinates,).

    Examples
    --------
    >>> from scstlib import checks
    >>> checks.shifted_cloud([5, 5, 25, 12.5], [3, 4])
    Right: one shift shows which of the four a function computes
    >>> checks.shifted_cloud([5, 5, 25, 25], [3, 4])
    Not yet: the divergence is half of a squared distance, as the page shows
    """
    d = float(np.linalg.norm(array(shift)))
    by_sum = float(np.abs(array(shift)).sum())
    traps = (
        ([d, d, d**2, d**2], "the divergence is half of a squared distance, as the page shows"),
        ([d, d**2, d**2, d**2 / 2], "the square belongs to the third: the second is its root"),
        (
            [by_sum, by_sum, by_sum**2, by_sum**2 / 2],
            "the coordinates are added: how far apart are two ends of a diagonal?",
        ),
        (
            [by_sum, d, d**2, d**2 / 2],
            "the first adds coordinates: it is the mean of distances, not of their squares, and"
            " distances are straight lines",
        ),
    )
    return judge_array(
        answer,
        [d, d, d**2, d**2 / 2],
        "one shift shows which of the four a function computes",
        "every cell moves by the same straight line: how long is it?",
        traps=traps,
        rtol=0.02,
    )


@check("a function of one map")
def pure(answer: Any, faulty: Callable[[np.ndarray], Any], contacts: ArrayLike) -> Feedback:
    """Whether a function returns what a faulty one does, and leaves its input alone.

    Parameters
    ----------
    answer
        Function of a map.
    faulty
        Function of a map that changes the map.
    contacts
        Map (bins, bins) to try them on; it is copied.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib import checks
    >>> def doubled(a):
    ...     a *= 2
    ...     return a.sum()
    >>> checks.pure(lambda a: 2 * a.sum(), doubled, np.ones((2, 2)))
    Right: the same result, and the input is as it was: the next score sees the same map
    >>> checks.pure(doubled, doubled, np.ones((2, 2)))
    Not yet: the result is right, and the input has changed: work on a copy, or only read
    """
    if not callable(answer):
        raise TypeError("a function is expected")
    given = array(contacts)
    goal = array(faulty(given.copy()))
    seen = given.copy()
    found = array(answer(seen))
    if found.shape != goal.shape or not np.allclose(found, goal, equal_nan=True):
        return Feedback(False, "the result is another one: compare both on a small map")
    if not np.array_equal(seen, given, equal_nan=True):
        return Feedback(
            False, "the result is right, and the input has changed: work on a copy, or only read"
        )
    return Feedback(
        True, "the same result, and the input is as it was: the next score sees the same map"
    )


@check("one number")
def best_of(answer: Any, spread: float, n_tries: int) -> Feedback:
    """Whether this is the mean of the largest of `n_tries` equally good tries, within 3%.

    Parameters
    ----------
    answer
        Mean of the largest, above the mean of all.
    spread
        Standard deviation of the scores of tries, a bell curve.
    n_tries
        How many tries there are.

    Examples
    --------
    >>> from scstlib import checks
    >>> checks.best_of(1.54, 1.0, 10)
    Right: 10 tries of one quality give 1.54 for nothing, and ten times as many only 2.51
    >>> checks.best_of(2.15, 1.0, 10)
    Not yet: this is the limit for endless tries, and too large for so few: draw and see
    """

    def largest(n: int) -> float:
        """Mean of the largest of n numbers of a normal distribution."""
        from scipy.stats import norm

        grid, step = np.linspace(-8, 8, 4001, retstep=True)
        return float(spread * step * (1 - norm.cdf(grid) ** n - (grid < 0)).sum())

    right, more = largest(n_tries), largest(10 * n_tries)
    traps = (
        (
            spread * np.sqrt(2 * np.log(n_tries)),
            "this is the limit for endless tries, and too large for so few: draw and see",
        ),
        (spread, "this is the spread of one try: take the largest of many"),
        (spread / np.sqrt(n_tries), "this is the error of a mean: the best try is reported"),
        (0.0, "this is the mean of all tries: the best one is reported"),
    )
    return judge_number(
        answer,
        right,
        f"{n_tries} tries of one quality give {right:.3g} for nothing, and ten times as many only"
        f" {more:.3g}",
        "draw many rows of tries, take the largest of each row, and then the mean",
        traps=traps,
        rtol=0.03,
        atol=1e-9,
    )


@check("the number of a fold for each cell")
def folds_by_donor(answer: Any, donor: ArrayLike, ill: ArrayLike) -> Feedback:
    """Whether no donor is in two folds, and each fold holds healthy and ill donors.

    Parameters
    ----------
    answer
        Fold of each cell (cells,).
    donor
        Donor of each cell (cells,).
    ill
        Whether each cell is of an ill donor (cells,).

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib import checks
    >>> donor = np.repeat([0, 1, 2, 3], 5)
    >>> checks.folds_by_donor(donor // 2, donor, donor % 2)
    Right: each of the 2 folds tests on donors that were not seen, healthy and ill ones
    >>> checks.folds_by_donor(np.arange(20) % 2, donor, donor % 2)
    Not yet: cells of one donor are in several folds: the model knows the donor before the test
    """
    folds, people = array(answer), np.asarray(donor)
    if folds.shape != people.shape:
        return Feedback(False, f"one number for each of the {people.size} cells is expected")
    if np.isnan(folds).any():
        return Feedback(False, "some cells have no fold: NaN is no number of a fold")
    names = np.unique(folds)
    if len(names) < 2:
        return Feedback(False, "there is one fold only: which cells are left to train on?")
    if any(len(np.unique(folds[people == one])) > 1 for one in np.unique(people)):
        return Feedback(
            False,
            "cells of one donor are in several folds: the model knows the donor before the test",
        )
    sick = np.asarray(ill).astype(bool)
    if any(sick[folds == name].all() or not sick[folds == name].any() for name in names):
        return Feedback(
            False, "a fold holds only healthy or only ill donors: put some of both into each"
        )
    return Feedback(
        True,
        f"each of the {len(names)} folds tests on donors that were not seen, healthy and ill ones",
    )


@check("one number")
def skill_of_relatives(answer: Any, change: ArrayLike, kinds: ArrayLike, new: str) -> Feedback:
    """Whether this is the skill of the mean change of other cell types at the same place.

    Skill is 1 minus the mean squared error over the mean square. Within 1%.

    Parameters
    ----------
    answer
        Skill.
    change
        Changes (windows, pixels); windows of each type come in one order of places.
    kinds
        Cell type of each window (windows,).
    new
        Type to predict.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib import checks
    >>> change = np.array([[1.0, 2.0], [3.0, 2.0], [2.0, 1.0]])
    >>> checks.skill_of_relatives(0.8, change, np.array(["a", "b", "new"]), "new").right
    True
    >>> checks.skill_of_relatives(0.2, change, np.array(["a", "b", "new"]), "new")
    Not yet: this is the error over the mean square: skill is 1 where the error is 0
    """
    values, types = array(change), np.asarray(kinds)
    goal = values[types == new]
    others = [values[types == kind] for kind in np.unique(types) if kind != new]

    def skill(predicted: np.ndarray) -> float:
        return 1 - float(((predicted - goal) ** 2).mean() / (goal**2).mean())

    mean = np.mean(others, axis=0)
    right = skill(mean)
    traps = (
        (1 - right, "this is the error over the mean square: skill is 1 where the error is 0"),
        (
            1 - float(((mean - goal) ** 2).mean() / goal.var()),
            "divided by the variance: skill compares with no change, not with the mean change",
        ),
        (
            skill(np.mean([*others, goal], axis=0)),
            "the new type takes part in its own prediction: leave it out of the mean",
        ),
        *((skill(other), "this is one type: take the mean of all the others") for other in others),
        (1.0, "this is the type itself: predict it from the others"),
    )
    return judge_number(
        answer,
        right,
        f"no model at all, and a skill of {right:.2f}, from maps of the places that are tested:"
        " hold these places out of all types",
        "is each window compared with the windows of the same place?",
        traps=traps,
    )


@check("one number")
def bias_of_logarithm(answer: Any, mean: float, fraction: float) -> Feedback:
    """Whether the mean logarithm of thinned and scaled counts differs by this from unthinned ones.

    Counts are Poisson; the logarithm is log(1 + x). Within 0.01.

    Parameters
    ----------
    answer
        Mean logarithm of thinned counts, divided by `fraction`, minus that of the others.
    mean
        Mean count before thinning.
    fraction
        Share of the molecules that thinning keeps.

    Examples
    --------
    >>> from scstlib import checks
    >>> checks.bias_of_logarithm(-0.154, 1.0, 1 / 3)
    Right: −0.15, though nothing differs: with enough cells any test finds it
    >>> checks.bias_of_logarithm(0.0, 1.0, 1 / 3)
    Not yet: the means of the counts are equal; take the logarithm of each count first
    """
    from scipy.stats import poisson

    counts = np.arange(int(mean + 20 * np.sqrt(mean) + 30))

    def mean_log(kept: float, scale: float) -> float:
        return float(np.log1p(counts / scale) @ poisson.pmf(counts, mean * kept))

    right = mean_log(fraction, fraction) - mean_log(1.0, 1.0)
    told = f"{right:.2f}".replace("-", "−")
    traps = (
        (0.0, "the means of the counts are equal; take the logarithm of each count first"),
        (
            mean_log(fraction, 1.0) - mean_log(1.0, 1.0),
            "the thinned counts are not scaled: divide them by `fraction`",
        ),
        (mean_log(fraction, fraction), "this is one of the two means: subtract the other"),
        (-right, "the size fits: subtract the unthinned from the thinned"),
    )
    return judge_number(
        answer,
        right,
        f"{told}, though nothing differs: with enough cells any test finds it",
        "draw both samples, scale the thinned one, and compare the means of log(1 + x)",
        traps=traps,
        rtol=0.0,
        atol=0.01,
    )


@check("one number")
def double_dip(answer: Any, noise: ArrayLike) -> Feedback:
    """Whether this is the difference between two halves of noise, cut at its median.

    In standard deviations of the noise, within 2%.

    Parameters
    ----------
    answer
        Mean above the median minus mean below it.
    noise
        Values (cells,).

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib import checks
    >>> checks.double_dip(2.0, np.array([-1.0, -1.0, 1.0, 1.0]))
    Right: 2.0 deviations apart, and nothing differs: the cut made the difference it is tested for
    >>> checks.double_dip(0.0, np.array([-1.0, -1.0, 1.0, 1.0]))
    Not yet: nothing differs in truth, but these two groups were made by the values themselves
    """
    values = array(noise)
    above = values > np.median(values)
    gap = float(values[above].mean() - values[~above].mean())
    right = gap / float(values.std())
    variances = [float(part.var()) / len(part) for part in (values[above], values[~above])]
    error = float(np.sqrt(sum(variances)))
    traps = [
        (0.0, "nothing differs in truth, but these two groups were made by the values themselves"),
        (right / 2, "this is one half against the median: take one half against the other"),
        (gap / float(values.var()), "divided by the variance: take its square root"),
    ]
    if error:
        traps.append((gap / error, "this is the t statistic: divide by the spread of all values"))
    return judge_number(
        answer,
        right,
        f"{right:.1f} deviations apart, and nothing differs: the cut made the difference it is"
        " tested for",
        "subtract the means of the two halves, and divide by the deviation of all values",
        traps=tuple(traps),
        rtol=0.02,
        atol=1e-9,
    )


@check("one factor for each column of `curves`")
def more_cells(answer: Any, curves: pd.DataFrame, low: float, high: float) -> Feedback:
    """Whether it takes so many times the cells to get from one correlation to another.

    Within 2%.

    Parameters
    ----------
    answer
        Factors, one for each column.
    curves
        Correlations (numbers of cells, columns), interpolated over the logarithm of the number.
    low, high
        The two correlations.

    Examples
    --------
    >>> import pandas as pd
    >>> from scstlib import checks
    >>> curves = pd.DataFrame({"1 Mb": [0.7, 0.8, 0.9]}, index=[10, 100, 1000])
    >>> checks.more_cells([10.0], curves, 0.8, 0.9)
    Right: 10 times the cells, whatever the bins: the last part of the way costs most
    >>> checks.more_cells([900], curves, 0.8, 0.9)
    Not yet: this is how many cells more: how many *times* as many are needed?
    """
    logs = np.log10(array(curves.index))

    def cells(goal: float, scale: np.ndarray) -> np.ndarray:
        return np.array([np.interp(goal, curves[name], scale) for name in curves])

    at = {goal: 10 ** cells(goal, logs) for goal in (low, high)}
    straight = cells(high, 10**logs) / cells(low, 10**logs)
    right = at[high] / at[low]
    traps = (
        (at[high] - at[low], "this is how many cells more: how many *times* as many are needed?"),
        (at[low] / at[high], "upside down: the higher correlation takes more cells"),
        (np.log10(right), "this is the logarithm of the factor"),
        (at[high], "this is the number for the higher one: divide by that for the lower one"),
        (straight, "interpolated over the number itself: over its logarithm the curves are smooth"),
    )
    told = f"{right.min():.2g}" if len(right) == 1 else f"{right.min():.1f} to {right.max():.1f}"
    return judge_array(
        answer,
        right,
        f"{told} times the cells, whatever the bins: the last part of the way costs most",
        "where does each curve reach the two correlations?",
        traps=traps,
        rtol=0.02,
    )


@check("the positions of coordinates")
def never_moving(answer: Any, speed: ArrayLike) -> Feedback:
    """Whether these are the coordinates whose velocity is 0 in every cell.

    Parameters
    ----------
    answer
        Positions, counted from 0, in any order.
    speed
        Velocities (cells, coordinates).

    Examples
    --------
    >>> from scstlib import checks
    >>> checks.never_moving([1], [[2.0, 0.0, 0.0], [1.0, 0.0, 3.0]])
    Right: 1 of 3 coordinates, and no cell can be taken along them, however long it is trained
    >>> checks.never_moving([1, 2], [[2.0, 0.0, 0.0], [1.0, 0.0, 3.0]])
    Not yet: 1 of these moves in some cells: a coordinate counts if it is still in all of them
    """
    values = array(speed)
    still = (values == 0).all(axis=0)
    given = array(answer).ravel()
    if given.size == len(still) and set(given) <= {0.0, 1.0}:
        given = np.flatnonzero(given).astype(float)  # True and False, one for each
    positions = set(given.tolist())
    if not positions <= set(range(len(still))):
        n_still = int(still.sum())
        if positions == {float(n_still)}:
            return Feedback(False, "this is how many there are: give their positions")
        return Feedback(False, f"positions are whole numbers from 0 to {len(still) - 1}")
    if positions == {float(still.sum())} and not still[int(still.sum())]:
        return Feedback(False, "this is how many there are: give their positions")
    right = set(np.flatnonzero(still).tolist())
    if positions == {i for i in range(len(still)) if i not in right}:
        return Feedback(False, "the other way round: these are the ones that move")
    if wrong := positions - right:
        return Feedback(
            False,
            f"{len(wrong)} of these {'moves' if len(wrong) == 1 else 'move'} in some cells: a"
            " coordinate counts if it is still in all of them",
        )
    if right - positions:
        return Feedback(False, "some are missing: look at every coordinate, along all cells")
    return Feedback(
        True,
        f"{len(right)} of {len(still)} coordinates, and no cell can be taken along them, however"
        " long it is trained",
    )


@check("the chromosomes in a list or set")
def shared_parts(answer: Any, record: Mapping[str, Iterable[int]]) -> Feedback:
    """Whether these are what more than one part of a split holds.

    Parameters
    ----------
    answer
        Chromosomes, in any order.
    record
        Chromosomes of each part, by its name.

    Examples
    --------
    >>> from scstlib import checks
    >>> record = {"training": [1, 2, 3], "validation": [3], "test": [4]}
    >>> checks.shared_parts([3], record)
    Right: what is in validation and training measures nothing: it was learned by heart
    >>> checks.shared_parts([3, 4], record)
    Not yet: 1 of these does not belong here: it must stand in two parts
    """
    values = [answer] if isinstance(answer, str | int | np.integer) else list(answer)
    parts = {name: {str(each) for each in part} for name, part in record.items()}
    everything = [each for part in parts.values() for each in part]
    twice = {each for each in everything if everything.count(each) > 1}
    where = sorted({name for name, part in parts.items() if part & twice}, reverse=True)
    return judge_names(
        [str(value) for value in values],
        twice,
        everything,
        f"what is in {' and '.join(where)} measures nothing: it was learned by heart",
        missing="compare every part with every other",
        extra="it must stand in two parts",
    )
