"""Whether what changes over time can be told from what changed in the measurement."""

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


def variance_explained(values: np.ndarray, groups: np.ndarray | pd.Series) -> float:
    """Return the share of the variance of ``values`` (cells,) that lies between groups.

    Of the logarithm of depth and time: how far the two are confounded. 0 if all values are equal.

    Raises
    ------
    ValueError
        If lengths differ, or a value is not finite.
    """
    values = np.asarray(values, dtype=float)
    if len(values) != len(groups) or not np.isfinite(values).all():
        raise ValueError(f"{len(values)} values, all to be finite, for {len(groups)} groups.")
    codes, _ = pd.factorize(np.asarray(groups))
    means = np.bincount(codes, weights=values) / np.bincount(codes)
    total = values.var()
    return float(((means[codes] - values.mean()) ** 2).mean() / total) if total > 0 else 0.0
