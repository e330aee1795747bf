"""Honest splits: hold out time points, chromosomes, cell types, regions or donors.

Every function returns a :class:`Split` whose parts are data of the type that was given: AnnData for
cells, a table with ``chrom``, ``start`` and ``end`` (half-open, bp) for bins or regions, or a
windows object (``scstlib.preprocess.contacts.Windows``). Parts are copies: changing one changes
neither the input nor another part. Rows that belong to no part (a gap, or a held-out cell type on a
training chromosome) are in ``dropped``.

Genomic data are split by chromosome first and cut into windows afterwards; a new cell type or donor
is held out on held-out chromosomes too, because neighbouring and homologous bins are alike in all
cell types (pitfalls: Whalen et al. 2022, 10.1038/s41576-021-00434-9).

Each part carries the unit it was split by (``uns["split"]`` of AnnData, ``attrs["split"]`` of a
table), which :mod:`scstlib.leakage` reads when a fitted object is evaluated.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import pandas as pd

Data = TypeVar("Data")

TRAIN, VALIDATION, TEST, DROPPED = range(4)

#: 0-based held-out times of the published series (10.1093/bioinformatics/btae393), by number of
#: times: 12 zebrafish, 11 drosophila, 19 reprogramming.
PUBLISHED_PATTERNS: dict[int, dict[str, tuple[int, ...]]] = {
    12: {"easy": (4, 6, 8), "medium": (10, 11), "hard": (2, 4, 6, 8, 10, 11)},
    11: {"easy": (4, 6, 8), "medium": (8, 9, 10), "hard": (2, 4, 6, 8, 9, 10)},
    19: {"easy": (5, 10, 15), "medium": (16, 17, 18), "hard": (5, 7, 9, 11, 15, 16, 17, 18)},
}

#: What scanpy writes when it is run before the split: learned from the held-out cells too.
_LEARNED_BEFORE = {
    "obsm": ("X_pca", "X_umap", "X_tsne", "X_diffmap"),
    "varm": ("PCs",),
    "var": ("highly_variable",),
}


@dataclass(frozen=True)
class Split(Generic[Data]):
    """Disjoint parts of one data set; ``validation`` and ``dropped`` may have no rows."""

    train: Data
    validation: Data
    test: Data
    dropped: Data


def time_pattern(n_times: int, pattern: str) -> tuple[int, ...]:
    """Indices (0-based, sorted) of the times that a named pattern holds out.

    For 12, 11 and 19 times these are the published sets (10.1093/bioinformatics/btae393). For any
    other number ``n >= 5``, with ``m = max(1, round(n / 6))`` late times:

    - ``"easy"`` (interpolation): ``k = min(3, (n - 1) // 3)`` times at ``(n - 1) i / (k + 1)``,
      rounded; never two neighbours, never among the first two or last two.
    - ``"medium"`` (extrapolation): the last ``m``.
    - ``"hard"`` (both): 2, 4, 6, ... below ``n - m - 1``, and the last ``m``.

    Raises
    ------
    ValueError
        If the pattern is unknown or there are fewer than 5 times.
    """
    if pattern not in ("easy", "medium", "hard"):
        raise ValueError(f"unknown pattern {pattern!r}: choose 'easy', 'medium' or 'hard'")
    if n_times in PUBLISHED_PATTERNS:
        return PUBLISHED_PATTERNS[n_times][pattern]
    if n_times < 5:
        raise ValueError(
            f"a named pattern needs at least 5 times, not {n_times}: give the times in `test`"
        )
    n_late = max(1, round(n_times / 6))
    late = tuple(range(n_times - n_late, n_times))
    if pattern == "medium":
        return late
    if pattern == "hard":
        return tuple(range(2, n_times - n_late - 1, 2)) + late
    n_inner = min(3, (n_times - 1) // 3)
    step = (n_times - 1) / (n_inner + 1)
    return tuple(round(step * i) for i in range(1, n_inner + 1))


def hold_out_times(
    adata: Data,
    test: float | Iterable[float] | None = None,
    validation: float | Iterable[float] = (),
    *,
    pattern: str | None = None,
    time_key: str = "time",
) -> Split[Data]:
    """Hold out all cells of some measured times.

    Parameters
    ----------
    adata
        AnnData with numbers in ``obs[time_key]``, in any unit.
    test, validation
        Values of ``obs[time_key]`` to hold out (not indices).
    pattern
        ``"easy"``, ``"medium"`` or ``"hard"`` instead of ``test``: see :func:`time_pattern`.

    Raises
    ------
    ValueError
        For a missing column, times that are not numbers or NaN, times that were not measured,
        the same time in two parts, no time left to train on, or duplicated observation names.
    """
    if not _is_anndata(adata):
        raise ValueError(f"hold_out_times needs AnnData, not {type(adata).__name__}")
    if (test is None) == (pattern is None):
        raise ValueError("give either the held-out times in `test` or the name of a `pattern`")
    times = _times(adata, time_key)
    measured = np.unique(times)
    if pattern is not None:
        test = measured[list(time_pattern(len(measured), pattern))]
    test_times = _match_times(test, measured, time_key)
    validation_times = _match_times(validation, measured, time_key)
    labels = _labels(times, test_times.tolist(), validation_times.tolist(), time_key)
    return _split(adata, labels, {"by": time_key})


def _times(adata: Any, time_key: str) -> np.ndarray:
    column = _column(adata, time_key)
    try:
        times = np.asarray(column, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(
            f"obs[{time_key!r}] holds {column.iloc[0]!r}, which is not a number: "
            "write the times as numbers in one unit first"
        ) from None
    if not np.isfinite(times).all():
        raise ValueError(
            f"obs[{time_key!r}] of {int((~np.isfinite(times)).sum())} cells is NaN or infinite: "
            "leave those cells out first"
        )
    return times


def _match_times(wanted: Any, measured: np.ndarray, time_key: str) -> np.ndarray:
    """Measured values equal to the wanted ones up to rounding (0.1 + 0.2 finds 0.3)."""
    values = np.atleast_1d(np.asarray(wanted if np.ndim(wanted) else [wanted], dtype=float))
    if values.size == 0:
        return values
    distance = np.abs(values[:, None] - measured[None, :])
    nearest = distance.argmin(axis=1)
    scale = max(float(np.abs(measured).max()), np.finfo(float).tiny)
    unknown = ~(distance.min(axis=1) <= 1e-9 * scale)
    if unknown.any():
        raise ValueError(
            f"{time_key} {values[unknown].tolist()} was not measured; "
            f"measured are {measured.tolist()}"
        )
    return measured[nearest]


def _labels(values: Any, test: Sequence[Any], validation: Sequence[Any], what: str) -> np.ndarray:
    """Part of every row, from the values that are held out; the values were seen to exist."""
    both = sorted(set(test) & set(validation))
    if both:
        raise ValueError(f"{what} {both} asked for in both test and validation")
    labels = np.full(len(values), TRAIN)
    labels[np.isin(values, list(validation))] = VALIDATION
    labels[np.isin(values, list(test))] = TEST
    return labels


def _split(data: Data, labels: np.ndarray, record: dict[str, Any]) -> Split[Data]:
    """Cut data into the four parts and mark each with what it was split by."""
    _check_names(data)
    _warn_of_learned(data)
    for label, name in ((TRAIN, "train"), (TEST, "test")):
        if not (labels == label).any():
            raise ValueError(f"no row is left for the {name} part: hold out less, or other values")
    parts = []
    for label, name in enumerate(("train", "validation", "test", "dropped")):
        part = _take(data, np.flatnonzero(labels == label))
        _attributes(part)["split"] = {**record, "part": name}
        parts.append(part)
    return Split(*parts)


def _is_anndata(data: Any) -> bool:
    # By attribute, so that a table does not cost the import of anndata.
    return hasattr(data, "obs_names")


def _table(data: Any) -> pd.DataFrame:
    """One row for each thing that is split: cells, bins, regions or windows."""
    if isinstance(data, pd.DataFrame):
        return data
    return data.obs if _is_anndata(data) else data.table


def _attributes(data: Any) -> Any:
    return data.uns if _is_anndata(data) else _table(data).attrs


def _column(data: Any, key: str) -> pd.Series:
    table = _table(data)
    if key not in table:
        raise ValueError(f"no column {key!r}; columns are {list(table.columns)}")
    return table[key]


def _take(data: Any, rows: np.ndarray) -> Any:
    if isinstance(data, pd.DataFrame):
        return data.iloc[rows].copy()
    if not _is_anndata(data):
        return data[rows]
    view = data[rows]
    return view.to_memory() if data.isbacked else view.copy()


def _check_names(data: Any) -> None:
    if _is_anndata(data) and not data.obs_names.is_unique:
        twice = data.obs_names[data.obs_names.duplicated()][0]
        raise ValueError(
            f"observation name {twice!r} occurs twice, so parts cannot be told apart: "
            "call adata.obs_names_make_unique() first"
        )


def _warn_of_learned(data: Any) -> None:
    if not _is_anndata(data):
        return
    found = [
        f"{slot}[{key!r}]"
        for slot, keys in _LEARNED_BEFORE.items()
        for key in keys
        if key in getattr(data, slot)
    ]
    if found:
        warnings.warn(
            f"{', '.join(found)} was computed before the split, from held-out cells too: "
            "delete it and fit it on the training part",
            stacklevel=4,
        )
