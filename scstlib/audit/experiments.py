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


def over_seeds(
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
    >>> from scstlib.audit.experiments import over_seeds
    >>> over_seeds(lambda seed, slope: {"y": slope * seed}, [1, 2], slope=3).to_dict("list")
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
        """Medians over seeds, and the mean difference within a seed with its 95 % interval."""
        columns = ["quantity", "made", "avoided", "added (95 % interval)"]
        table = pd.DataFrame.from_dict(self._rows, orient="index", columns=columns)
        return table.rename_axis(index="mistake")


def verdict(check: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    """Say whether a check accepts: "accepted", or "refused: " and its message.

    Examples
    --------
    >>> from scstlib.audit.experiments import verdict
    >>> verdict(int, "12"), verdict(int, "a")[:8]
    ('accepted', 'refused:')
    """
    try:
        check(*arguments, **options)
    except ValueError as error:
        return f"refused: {error}"
    return "accepted"


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


def _distinct(seeds: Iterable[int]) -> list[int]:
    chosen = list(seeds)
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"seeds {chosen} repeat: a repeated seed is not a second measurement")
    return chosen
