"""Whether what differs between groups can be told from what differs in the measurement."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components


def check_confounding(obs: pd.DataFrame, time_key: str, batch_key: str) -> pd.DataFrame:
    """Refuse a design in which time and batch cannot be told apart.

    Differences between times can be estimated beside those between batches if, and only if, any
    two times are linked through batches that hold cells of both (an additive model is then
    identifiable). One batch is no confounder.

    Parameters
    ----------
    obs : pandas.DataFrame
        One row a cell.
    time_key, batch_key : str
        Columns.

    Returns
    -------
    pandas.DataFrame
        Number of cells (times × batches).

    Raises
    ------
    KeyError
        If a column is missing.
    ValueError
        If the times fall into sets that share no batch; it names them.

    Examples
    --------
    >>> import pandas as pd
    >>> from scstlib.preprocess.confounding import check_confounding
    >>> cells = pd.DataFrame({"time": [0, 0, 1, 1], "batch": ["a", "b", "b", "b"]})
    >>> check_confounding(cells, "time", "batch").values.tolist()
    [[1, 1], [0, 2]]
    """
    for key in (time_key, batch_key):
        if key not in obs:
            raise KeyError(f"obs has no column {key!r}; it has {list(obs.columns)}.")
    table: pd.DataFrame = pd.crosstab(obs[time_key], obs[batch_key].astype(str))
    cells = table.to_numpy()
    parts, label = connected_components(csr_array(cells @ cells.T > 0), directed=False)
    if parts > 1:
        sets = [table.index[label == part].tolist() for part in range(parts)]
        raise ValueError(
            f"the times {sets[0]} share no batch with {sets[1]}: what differs between them may be"
            f" {batch_key!r}, and no correction can tell. Measure some cells of both in one batch."
        )
    return table


def check_depths(
    depths: np.ndarray | pd.Series, groups: np.ndarray | pd.Series, *, factor: float = 1.2
) -> pd.Series:
    """Refuse to compare groups of unequal depth.

    Parameters
    ----------
    depths : array, shape (n,)
        Total counts of each cell, or contacts of each map.
    groups : array, shape (n,)
        What is compared: conditions, times, cell types, data sets.
    factor : float
        Largest ratio of the median depths of two groups that is let pass.

    Returns
    -------
    pandas.Series
        Median depth of each group.

    Raises
    ------
    ValueError
        If two groups differ by more, naming them; for no depth, lengths that differ, a depth that
        is not positive, a missing group, or a factor below 1.

    Examples
    --------
    >>> from scstlib.preprocess.confounding import check_depths
    >>> check_depths([100, 110, 300, 310], ["day 0", "day 0", "day 1", "day 1"])
    Traceback (most recent call last):
        ...
    ValueError: 'day 1' is 2.9 times as deep as 'day 0' (medians 305 and 105)...
    """
    values = np.asarray(depths, dtype=float)
    _refuse_missing(groups)
    if not 0 < len(values) == len(groups) or not (np.isfinite(values) & (values > 0)).all():
        raise ValueError(f"{len(values)} depths, all to be positive, for {len(groups)} groups.")
    if factor < 1:
        raise ValueError(f"factor is {factor}; a ratio of depths is at least 1.")
    medians: pd.Series = pd.Series(values).groupby(np.asarray(groups)).median()
    ordered = medians.sort_values()
    names = ordered.index.tolist()  # plain Python values, which the message names
    low, high = names[0], names[-1]
    least, most = float(ordered.iloc[0]), float(ordered.iloc[-1])
    if most > factor * least:
        raise ValueError(
            f"{high!r} is {most / least:.1f} times as deep as {low!r} (medians {most:,.0f} and"
            f" {least:,.0f}): thin to one depth, or use a model that knows the depth."
        )
    return medians


def variance_explained(values: np.ndarray, groups: np.ndarray | pd.Series) -> float:
    """Return the share of the variance of ``values`` (cells,) that lies between groups.

    Of the logarithm of depth and time: how far the two are confounded. 0 if all values are equal.

    Raises
    ------
    ValueError
        If there is no value, lengths differ, a value is not finite, or a group is missing.

    Examples
    --------
    >>> from scstlib.preprocess.confounding import variance_explained
    >>> variance_explained([1.0, 1.0, 3.0, 3.0], ["a", "a", "b", "b"])
    1.0
    >>> variance_explained([1.0, 3.0, 1.0, 3.0], ["a", "a", "b", "b"])
    0.0
    """
    values = np.asarray(values, dtype=float)
    _refuse_missing(groups)
    if not 0 < len(values) == len(groups) or not np.isfinite(values).all():
        raise ValueError(f"{len(values)} values, all to be finite, for {len(groups)} groups.")
    codes, _ = pd.factorize(np.asarray(groups))
    means = np.bincount(codes, weights=values) / np.bincount(codes)
    total = values.var()
    return float(((means[codes] - values.mean()) ** 2).mean() / total) if total > 0 else 0.0


def _refuse_missing(groups: np.ndarray | pd.Series) -> None:
    if missing := int(pd.isna(np.asarray(groups)).sum()):
        raise ValueError(f"the group of {missing} is missing: leave them out.")
