"""What every temporal model shares: reading measured cells and returning predicted ones.

The temporal protocol is two methods. ``fit(adata, time_key)`` learns from cells with a measured
time and returns the model. ``sample(times, n_cells, seed, noise)`` returns an AnnData with
``n_cells`` predicted cells at each of ``times``.

Models work on *values*: for counts these are log1p of counts per 10,000, for anything else the
numbers as they were given. :class:`MeasuredCells` makes the one from the other and back.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np

if TYPE_CHECKING:
    from anndata import AnnData

COUNTS_PER_CELL = 10_000.0


class TemporalModel(Protocol):
    """A model that predicts populations of cells at any time."""

    def fit(self, adata: AnnData, time_key: str = "time") -> Self:
        """Learn from cells with a measured time in ``adata.obs[time_key]``."""
        ...

    def sample(
        self, times: Sequence[float], n_cells: int, seed: int = 0, noise: bool = True
    ) -> AnnData:
        """Predict ``n_cells`` cells at each of ``times``."""
        ...


@dataclass(frozen=True)
class MeasuredCells:
    """Measured cells as a temporal model sees them.

    Attributes
    ----------
    values : numpy.ndarray, shape (n_cells, n_genes), float32
        log1p of counts per 10,000 when the input holds counts, else the input.
    time : numpy.ndarray, shape (n_cells,), float64
        Measured time of each cell, in the unit of the data.
    times : numpy.ndarray, shape (n_times,)
        The distinct measured times, ascending.
    genes : tuple of str
    time_key : str
    depth : float or None
        Median total count of a cell; None when the input does not hold counts.
    """

    values: np.ndarray
    time: np.ndarray
    times: np.ndarray
    genes: tuple[str, ...]
    time_key: str
    depth: float | None

    def at(self, time: float) -> np.ndarray:
        """Return the values of the cells measured at ``time``, shape (n, n_genes)."""
        return self.values[self.time == time]

    def nearest(self, time: float) -> float:
        """Return the measured time nearest to ``time``; the earlier one of two equally near."""
        return float(self.times[np.argmin(np.abs(self.times - time))])

    def between(self, time: float) -> tuple[float, float, float]:
        """Return the measured times on both sides of ``time`` and its weight between them.

        Outside the measured range both are the outermost time and the weight is 0.
        """
        after = int(np.searchsorted(self.times, time))
        if after == len(self.times) or time <= self.times[0]:
            edge = float(self.times[min(after, len(self.times) - 1)])
            return edge, edge, 0.0
        left, right = float(self.times[after - 1]), float(self.times[after])
        return left, right, (time - left) / (right - left)

    def mean_at(self, time: float) -> np.ndarray:
        """Return the mean profile at ``time``, linear between measured times; (n_genes,)."""
        left, right, weight = self.between(time)
        return (1 - weight) * self.at(left).mean(0) + weight * self.at(right).mean(0)

    def as_anndata(self, populations: Sequence[np.ndarray], times: Sequence[float]) -> AnnData:
        """Return predicted values as AnnData in the unit of the input.

        Parameters
        ----------
        populations : sequence of numpy.ndarray, each of shape (n_cells, n_genes)
            Predicted values, one array for each of ``times``.
        """
        import pandas as pd
        from anndata import AnnData

        values = np.concatenate(populations).astype(np.float32)
        time = np.repeat(np.asarray(times, dtype=float), [len(p) for p in populations])
        obs = pd.DataFrame({self.time_key: time}, index=np.arange(len(time)).astype(str))
        var = pd.DataFrame(index=list(self.genes))
        if self.depth is None:
            return AnnData(values, obs=obs, var=var)
        counts = np.expm1(values) * (self.depth / COUNTS_PER_CELL)
        return AnnData(counts, obs=obs, var=var, layers={"log1p_cp10k": values})


def measured_cells(adata: AnnData, time_key: str, min_times: int = 2) -> MeasuredCells:
    """Read and check measured cells.

    ``adata.X`` holds counts if it has no negative and no fractional entry, or if
    ``adata.uns["value_kind"]`` says so.

    Raises
    ------
    KeyError
        If ``adata.obs`` has no column ``time_key``.
    ValueError
        If times are not numbers or fewer than ``min_times``, values are not finite, counts are
        negative, a gene name stands twice, or a cell has no counts at all.
    """
    from scipy.sparse import issparse

    time = measured_time(adata, time_key, min_times)
    matrix = adata.X.toarray() if issparse(adata.X) else np.asarray(adata.X)
    values = matrix.astype(np.float32)
    if not adata.var_names.is_unique:
        twice = adata.var_names[adata.var_names.duplicated()][0]
        raise ValueError(f"gene {twice!r} stands twice; call adata.var_names_make_unique() first.")
    if not np.isfinite(values).all():
        row, gene = np.argwhere(~np.isfinite(values))[0]
        raise ValueError(
            f"cell {adata.obs_names[row]!r} has the value {values[row, gene]} for gene"
            f" {adata.var_names[gene]!r}; remove or impute it before fitting."
        )
    depth = None
    if holds_counts(adata, values):
        if values.min() < 0:
            raise ValueError(f"counts must not be negative; the smallest is {values.min()}.")
        totals = values.sum(axis=1, dtype=np.float64)
        if (totals == 0).any():
            empty = adata.obs_names[totals == 0]
            raise ValueError(
                f"{len(empty)} cells have no counts, the first is {empty[0]!r}; filter them first."
            )
        depth = float(np.median(totals))
        values = np.log1p(values * (COUNTS_PER_CELL / totals)[:, None]).astype(np.float32)
    return MeasuredCells(
        values=values,
        time=time,
        times=np.unique(time),
        genes=tuple(adata.var_names),
        time_key=time_key,
        depth=depth,
    )


def measured_time(adata: AnnData, time_key: str, min_times: int = 2) -> np.ndarray:
    """Return the measured times as float64, shape (n_cells,), or say what is wrong with them."""
    import pandas as pd

    if time_key not in adata.obs:
        raise KeyError(f"adata.obs has no column {time_key!r}; it has {list(adata.obs.columns)}.")
    column = adata.obs[time_key]
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    if not pd.api.types.is_numeric_dtype(column):
        raise ValueError(
            f"adata.obs[{time_key!r}] holds {column.iloc[0]!r}, not numbers; convert it first, for"
            f" example adata.obs[{time_key!r}].str.extract(r'([0-9.]+)')[0].astype(float)."
        )
    time = column.to_numpy(dtype=np.float64)
    if not np.isfinite(time).all():
        raise ValueError(f"adata.obs[{time_key!r}] has {np.sum(~np.isfinite(time))} missing times.")
    if len(np.unique(time)) < min_times:
        raise ValueError(
            f"adata.obs[{time_key!r}] holds {len(np.unique(time))} distinct times; at least"
            f" {min_times} are needed."
        )
    return time


def holds_counts(adata: AnnData, values: np.ndarray) -> bool:
    """Say whether ``adata.X`` holds counts, by ``uns["value_kind"]`` or by its entries.

    Warns of fractions that are called counts: after scanpy's ``log1p`` the old word still stands.
    """
    kind = adata.uns.get("value_kind")
    whole = bool((values == np.rint(values)).all())
    if kind is None:
        return whole and bool((values >= 0).all())
    if kind == "counts" and not whole:
        warnings.warn(
            "uns['value_kind'] says counts, and X holds fractions: if X was normalised, set it to"
            " what X holds, such as 'log1p counts', or it is normalised again.",
            stacklevel=4,
        )
    return bool(kind == "counts")


def check_request(times: Sequence[float], n_cells: int) -> list[float]:
    """Return the requested times as floats, or raise ``ValueError`` for a request that is empty."""
    requested = [float(time) for time in np.atleast_1d(np.asarray(times, dtype=float))]
    if not requested or not np.isfinite(requested).all():
        raise ValueError(f"times must be one or more finite numbers, not {times!r}.")
    if n_cells < 1:
        raise ValueError(f"n_cells must be at least 1, not {n_cells}.")
    return requested


def draw(cells: np.ndarray, n_cells: int, rng: np.random.Generator) -> np.ndarray:
    """Return ``n_cells`` rows of ``cells``, without replacement where there are enough."""
    return cells[rng.choice(len(cells), n_cells, replace=len(cells) < n_cells)]
