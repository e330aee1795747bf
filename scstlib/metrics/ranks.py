"""Mean ranks of methods over tasks, how sure they are, and which methods are tied.

Scores of different tasks have different units and scales; ranks within a task have none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


def ranks(scores: pd.DataFrame, best: Literal["smallest", "largest"]) -> pd.DataFrame:
    """Rank methods within each task; 1 is the best, and equal scores share their mean rank.

    Parameters
    ----------
    scores : pandas.DataFrame, (tasks, methods)
        NaN where a method failed: it shares the last ranks.
    best
        Which scores are the best.

    Returns
    -------
    pandas.DataFrame, (tasks, methods)

    Raises
    ------
    ValueError
        If there is no task or fewer than two methods, or ``best`` is something else.

    Examples
    --------
    >>> import pandas as pd
    >>> from scstlib.metrics.ranks import ranks
    >>> errors = pd.DataFrame({"copy": [3.0, 2.0], "line": [1.0, 2.0], "net": [2.0, None]})
    >>> ranks(errors, best="smallest").to_numpy().tolist()
    [[3.0, 1.0, 2.0], [1.5, 1.5, 3.0]]
    """
    if best not in ("smallest", "largest"):
        raise ValueError(f"best is 'smallest' or 'largest', not {best!r}")
    if scores.shape[0] < 1 or scores.shape[1] < 2:
        raise ValueError(f"scores of shape {scores.shape}: give a task and two methods or more")
    return scores.rank(axis=1, ascending=best == "smallest", na_option="bottom")


def mean_ranks(
    ranked: pd.DataFrame, *, level: float = 0.95, n_draws: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Mean rank of each method, with an interval from drawing the tasks anew.

    All methods meet the same drawn tasks, so that their ranks stay paired.

    Parameters
    ----------
    ranked : pandas.DataFrame, (tasks, methods)
        As :func:`ranks` returns it.
    level : float
        Of the interval, between 0 and 1.
    n_draws : int
        Bootstrap draws of the tasks (`10.1214/aos/1176344552
        <https://doi.org/10.1214/aos/1176344552>`_).
    seed : int

    Returns
    -------
    pandas.DataFrame
        A row for each method, the best first: ``rank``, ``lower``, ``upper``.

    Examples
    --------
    >>> import pandas as pd
    >>> from scstlib.metrics.ranks import mean_ranks
    >>> ranked = pd.DataFrame({"copy": [2, 2, 2, 1], "line": [1, 1, 1, 2]})
    >>> mean_ranks(ranked)["rank"].to_dict()
    {'line': 1.25, 'copy': 1.75}
    """
    import pandas as pd

    drawn = _drawn_means(ranked, n_draws, seed)
    tail = (1 - level) / 2
    lower, upper = np.quantile(drawn, [tail, 1 - tail], axis=0)
    found = pd.DataFrame(
        {"rank": ranked.mean().to_numpy(), "lower": lower, "upper": upper}, index=ranked.columns
    )
    return found.sort_values("rank", kind="stable").rename_axis(index=None)


def tied_groups(
    ranked: pd.DataFrame, *, level: float = 0.95, n_draws: int = 2000, seed: int = 0
) -> list[list[str]]:
    """Groups of neighbours in mean rank that the tasks do not tell apart.

    Two methods are tied when the bootstrap interval of the difference of their mean ranks, over
    the same drawn tasks, holds 0. A group is a run of methods, in the order of their mean ranks, of
    which every two are tied, as long as it can be: the bars of a critical-difference diagram
    (Demšar 2006, https://www.jmlr.org/papers/v7/demsar06a.html). The intervals are not widened
    for the number of pairs: a difference that is shown is a weaker statement than it looks.

    Parameters
    ----------
    ranked, level, n_draws, seed
        As in :func:`mean_ranks`.

    Returns
    -------
    list of list of str
        Names, the best first; a method that is tied with no other stands in no group.

    Examples
    --------
    >>> import pandas as pd
    >>> from scstlib.metrics.ranks import tied_groups
    >>> ranked = pd.DataFrame({"a": [1, 2, 1, 2], "b": [2, 1, 2, 1], "c": [3, 3, 3, 3]})
    >>> tied_groups(ranked)
    [['a', 'b']]
    """
    order = ranked.mean().sort_values(kind="stable").index
    drawn = _drawn_means(ranked[order], n_draws, seed)
    difference = drawn[:, :, None] - drawn[:, None, :]
    tail = (1 - level) / 2
    lower, upper = np.quantile(difference, [tail, 1 - tail], axis=0)
    tied = (lower <= 0) & (upper >= 0)
    groups: list[tuple[int, int]] = []
    for first in range(len(order)):
        last = first
        while last + 1 < len(order) and tied[first : last + 2, last + 1].all():
            last += 1
        if last > first and (not groups or last > groups[-1][1]):
            groups.append((first, last))
    return [[str(name) for name in order[first : last + 1]] for first, last in groups]


def _drawn_means(ranked: pd.DataFrame, n_draws: int, seed: int) -> np.ndarray:
    """Mean ranks (n_draws, methods) over tasks that are drawn with replacement."""
    values = ranked.to_numpy(dtype=float)
    if not np.isfinite(values).all():
        raise ValueError("ranks hold NaN: make them with scstlib.metrics.ranks.ranks")
    tasks = np.random.default_rng(seed).integers(len(values), size=(n_draws, len(values)))
    means: np.ndarray = values[tasks].mean(axis=1)
    return means
