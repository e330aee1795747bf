"""A mistake as a controlled experiment: the same score with it and without it, over seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd


def with_and_without(score: Callable[[int, bool], float], seeds: Iterable[int]) -> pd.DataFrame:
    """Score every seed without the mistake and with it.

    Parameters
    ----------
    score
        Takes the seed and whether the mistake is made, and returns a number; high is good. All
        else must be the same in both calls.
    seeds
        Of data and models.

    Returns
    -------
    pandas.DataFrame
        Columns seed, mistake (bool), score; two rows a seed.

    Raises
    ------
    ValueError
        If a score is not finite or a seed occurs twice.

    Examples
    --------
    >>> from scstlib.audit.experiments import with_and_without
    >>> score = lambda seed, mistake: 0.5 + 0.01 * seed + (0.2 if mistake else 0.0)
    >>> with_and_without(score, seeds=[0, 1]).values.tolist()
    [[0, False, 0.5], [0, True, 0.7], [1, False, 0.51], [1, True, 0.71]]
    """
    chosen = _distinct(seeds)
    rows = [(s, mistake, float(score(s, mistake))) for s in chosen for mistake in (False, True)]
    table = pd.DataFrame(rows, columns=["seed", "mistake", "score"])
    bad = table[~np.isfinite(table["score"])]
    if len(bad):
        raise ValueError(f"the score of seed {bad['seed'].iloc[0]} is {bad['score'].iloc[0]}")
    return table


def mean_interval(values: Iterable[float], level: float = 0.95) -> tuple[float, float, float]:
    """Mean over seeds and the ends of Student's interval for it.

    Parameters
    ----------
    values
        One number a seed, all finite.
    level
        Coverage of the interval, between 0 and 1.

    Returns
    -------
    tuple of float
        Mean, lower end, upper end. The interval speaks of new seeds of the same experiment, not of
        other data sets.

    Raises
    ------
    ValueError
        For a level outside 0-1, fewer than two values, or one that is not finite.

    Examples
    --------
    >>> from scstlib.audit.experiments import mean_interval
    >>> [round(value, 2) for value in mean_interval([0.1, 0.2, 0.3])]
    [0.2, -0.05, 0.45]
    """
    from scipy.stats import t

    each = np.asarray(list(values), dtype=float)
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; it must lie between 0 and 1")
    if len(each) < 2 or not np.isfinite(each).all():
        raise ValueError(f"an interval needs two finite values or more, not {each.tolist()}")
    half = float(t.ppf((1 + level) / 2, len(each) - 1)) * float(each.std(ddof=1)) / len(each) ** 0.5
    mean = float(each.mean())
    return mean, mean - half, mean + half


def interval_text(values: Iterable[float], form: str = ".2f", level: float = 0.95) -> str:
    """Mean over seeds and, in brackets, its interval, as :func:`mean_interval` finds them.

    Parameters
    ----------
    values
        One number a seed, all finite.
    form
        Of each of the three numbers, as :func:`format` takes it; minus signs are true ones.
    level
        Coverage of the interval, between 0 and 1.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        As :func:`mean_interval` does.

    Examples
    --------
    >>> from scstlib.audit.experiments import interval_text
    >>> interval_text([0.1, 0.2, 0.3])
    '0.20 (−0.05 to 0.45)'
    """
    mean, low, high = (format(v, form).replace("-", "−") for v in mean_interval(values, level))
    return f"{mean} ({low} to {high})"


def over_seeds(
    score: Callable[[Any], Mapping[str, float]], draws: Iterable[Any], level: float = 0.95
) -> pd.DataFrame:
    """Score several draws of an experiment: of each score the mean and its Student's interval.

    Parameters
    ----------
    score
        Takes a draw and returns numbers by name, the same names for each draw.
    draws
        Seeds, or data that were drawn with them; two or more.
    level
        Coverage of the intervals, between 0 and 1.

    Returns
    -------
    pandas.DataFrame
        One row a score; columns mean, lower, upper, in the unit of the score.

    Raises
    ------
    ValueError
        If draws differ in their names, or as :func:`mean_interval` does.

    Examples
    --------
    >>> from scstlib.audit.experiments import over_seeds
    >>> over_seeds(lambda seed: {"score": seed / 10}, [1, 2, 3]).round(2).loc["score"].tolist()
    [0.2, -0.05, 0.45]
    """
    rows = [dict(score(draw)) for draw in draws]
    for row in rows:
        if set(row) != set(rows[0]):
            raise ValueError(f"one draw has the scores {sorted(rows[0])}, another {sorted(row)}")
    names = list(rows[0]) if rows else []
    found = {name: mean_interval((row[name] for row in rows), level) for name in names}
    if not found:
        raise ValueError(f"{len(rows)} draws and no score: there is nothing to average")
    return pd.DataFrame(found, index=["mean", "lower", "upper"]).T


def by_seed(
    experiment: Callable[..., Mapping[Any, float]], seeds: Iterable[int], **settings: Any
) -> pd.DataFrame:
    """Run an experiment on every seed: one row a seed, one column a number that it returns.

    Parameters
    ----------
    experiment
        Called as ``experiment(seed, **settings)``; returns numbers by name. Names that are tuples
        become levels of the columns.
    seeds
        Of data and models.
    settings
        Passed on.

    Raises
    ------
    ValueError
        If a seed occurs twice.

    Examples
    --------
    >>> from scstlib.audit.experiments import by_seed
    >>> by_seed(lambda seed, slope: {"y": slope * seed}, [1, 2], slope=3).to_dict("list")
    {'y': [3, 6]}
    """
    chosen = _distinct(seeds)
    table = pd.DataFrame([experiment(seed, **settings) for seed in chosen], index=chosen)
    names: list[Any] = list(table)
    if all(isinstance(name, tuple) for name in names):
        table.columns = pd.MultiIndex.from_tuples(names)
    return table


class Costs:
    """What each of several mistakes adds to a number, for one table.

    Examples
    --------
    >>> from scstlib.audit.experiments import Costs
    >>> costs = Costs()
    >>> costs.add("double dipping", "genes called", [10, 12, 14], [0, 0, 0])
    >>> costs.table().loc["double dipping"].tolist()
    ['genes called', '12', '0', '12 (7.03 to 17)']
    """

    def __init__(self) -> None:
        self._rows: dict[str, list[str]] = {}

    def add(
        self, mistake: str, quantity: str, made: Iterable[float], avoided: Iterable[float]
    ) -> None:
        """Enter a mistake.

        Parameters
        ----------
        mistake, quantity
            What was done, and what it changes, with the unit.
        made, avoided
            The quantity with the mistake and without it, in the same order of seeds.

        Raises
        ------
        ValueError
            For fewer than two seeds, unequal numbers of them, or a value that is not finite.
        """
        pair = [np.asarray(list(values), dtype=float) for values in (made, avoided)]
        if len(pair[0]) != len(pair[1]):
            raise ValueError(f"{len(pair[0])} seeds with {mistake!r}, {len(pair[1])} without")
        middle = [f"{np.median(values):.3g}" for values in pair]
        mean, low, high = (f"{end:.3g}" for end in mean_interval(pair[0] - pair[1]))
        numbers = [*middle, f"{mean} ({low} to {high})"]
        self._rows[mistake] = [quantity, *(text.replace("-", "−") for text in numbers)]

    def table(self) -> pd.DataFrame:
        """Medians over seeds, and the mean difference within a seed with its 95% interval."""
        columns = ["quantity", "made", "avoided", "added (95% interval)"]
        table = pd.DataFrame.from_dict(self._rows, orient="index", columns=columns)
        return table.rename_axis(index="mistake")


def illusion(table: pd.DataFrame, level: float = 0.95) -> pd.Series:
    """How much better the mistake makes a model look: mean over seeds, with an interval.

    The interval is Student's, of the differences within a seed. A bootstrap of five seeds would be
    too narrow. It speaks of new seeds of the same experiment, not of other data sets.

    Parameters
    ----------
    table
        As :func:`with_and_without` returns it.
    level
        Coverage of the interval, between 0 and 1.

    Returns
    -------
    pandas.Series
        ``honest`` and ``mistake``, mean scores; ``illusion``, their difference, with ``lower`` and
        ``upper``; ``seeds``, how many.

    Raises
    ------
    ValueError
        For a level outside 0-1, fewer than two seeds, or a seed without both scores.

    Examples
    --------
    >>> from scstlib.audit.experiments import illusion, with_and_without
    >>> score = lambda seed, mistake: 0.5 + 0.01 * seed + (0.2 if mistake else 0.0)
    >>> illusion(with_and_without(score, seeds=range(3))).round(2).to_dict()
    {'honest': 0.51, 'mistake': 0.71, 'illusion': 0.2, 'lower': 0.2, 'upper': 0.2, 'seeds': 3.0}
    """
    pairs = table.pivot(index="seed", columns="mistake", values="score")
    if len(pairs) < 2 or pairs.shape[1] < 2 or pairs.isna().to_numpy().any():
        raise ValueError("needs two seeds or more, each scored with the mistake and without it")
    mean, lower, upper = mean_interval(pairs[True] - pairs[False], level)
    return pd.Series(
        {
            "honest": float(pairs[False].mean()),
            "mistake": float(pairs[True].mean()),
            "illusion": mean,
            "lower": lower,
            "upper": upper,
            "seeds": len(pairs),
        }
    )


def measure(score: Callable[[int, bool], float], seeds: Iterable[int]) -> pd.Series:
    """How much better a mistake makes a model look: both steps in one.

    Parameters
    ----------
    score, seeds
        As :func:`with_and_without` takes them.

    Returns
    -------
    pandas.Series
        As :func:`illusion` returns it.

    Examples
    --------
    >>> from scstlib.audit.experiments import measure
    >>> score = lambda seed, mistake: 0.5 + 0.01 * seed + (0.2 if mistake else 0.0)
    >>> print(round(measure(score, seeds=range(3))["illusion"], 2))
    0.2
    """
    return illusion(with_and_without(score, seeds))


def describe(row: pd.Series) -> str:
    """Say what an experiment found, for a sentence.

    Parameters
    ----------
    row
        As :func:`illusion` returns it.

    Examples
    --------
    >>> from scstlib.audit.experiments import describe, illusion, with_and_without
    >>> score = lambda seed, mistake: 0.5 + 0.01 * seed + (0.2 if mistake else 0.0)
    >>> describe(illusion(with_and_without(score, seeds=range(3))))
    '0.71 with the mistake and 0.51 without: +0.20 (95% interval +0.20 to +0.20, 3 seeds)'
    """
    text = (
        f"{row['mistake']:.2f} with the mistake and {row['honest']:.2f} without:"
        f" {row['illusion']:+.2f} (95% interval {row['lower']:+.2f} to {row['upper']:+.2f},"
        f" {row['seeds']:.0f} seeds)"
    )
    return text.replace("-", "−")


def overview(found: Mapping[str, pd.Series]) -> pd.DataFrame:
    """Put several experiments into one table, a row for each.

    Parameters
    ----------
    found
        Name of the mistake → what :func:`illusion` returned.

    Returns
    -------
    pandas.DataFrame
        Columns ``honest``, ``mistake``, ``illusion``, ``95% interval`` (text), ``seeds`` (int).

    Examples
    --------
    >>> from scstlib.audit.experiments import illusion, overview, with_and_without
    >>> score = lambda seed, mistake: 0.5 + 0.01 * seed + (0.2 if mistake else 0.0)
    >>> overview({"a leak": illusion(with_and_without(score, range(3)))})["95% interval"].item()
    '+0.20 to +0.20'
    """
    table = pd.DataFrame(found).T
    ends = zip(table["lower"], table["upper"], strict=True)
    interval = [f"{low:+.2f} to {high:+.2f}".replace("-", "−") for low, high in ends]
    kept = table[["honest", "mistake", "illusion"]].astype(float)
    return kept.assign(**{"95% interval": interval}, seeds=table["seeds"].astype(int))


def verdict(check: Callable[..., object], *arguments: Any, **options: Any) -> str:
    """Say whether a check accepts its arguments, or what it objects to.

    Parameters
    ----------
    check
        A function that raises ``ValueError``, such as :func:`scstlib.leakage.check_evaluation`.
    *arguments, **options
        Handed to it.

    Examples
    --------
    >>> import pandas as pd
    >>> from scstlib.audit.experiments import verdict
    >>> from scstlib.leakage import assert_disjoint
    >>> bins = pd.DataFrame({"chrom": ["1", "2"], "start": 0, "end": 50})
    >>> verdict(assert_disjoint, bins[:1], bins[1:])
    'accepted'
    >>> verdict(assert_disjoint, bins, bins[1:])
    "refused: the parts share chromosome ['2']"
    """
    try:
        check(*arguments, **options)
    except ValueError as error:
        return f"refused: {error}"
    return "accepted"


def _distinct(seeds: Iterable[int]) -> list[int]:
    chosen = list(seeds)
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"seeds {chosen} repeat: a repeated seed is not a second measurement")
    return chosen
