"""Parts of a data set: label the rows, cut them apart, mark each part with its split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import pandas as pd

from scstlib.caller import warn_caller
from scstlib.leakage import assert_disjoint, is_anndata, table_of

Data = TypeVar("Data")

TRAIN, VALIDATION, TEST, DROPPED = range(4)

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


def listed(values: Any) -> list[Any]:
    """One value, or any iterable of values, as a list."""
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        return [values]
    return values.ravel().tolist() if isinstance(values, np.ndarray) else list(values)


def label_rows(
    values: np.ndarray, test: Sequence[Any], validation: Sequence[Any], what: str
) -> np.ndarray:
    """Part of every row, from the values that are held out; the values were seen to exist."""
    both = sorted(set(test) & set(validation))
    if both:
        raise ValueError(f"{what} {both} asked for in both test and validation")
    labels = np.full(len(values), TRAIN)
    labels[np.isin(values, list(validation))] = VALIDATION
    labels[np.isin(values, list(test))] = TEST
    return labels


def cut(data: Data, labels: np.ndarray, record: dict[str, Any], validation: bool) -> Split[Data]:
    """Cut data into the four parts and mark each with what it was split by.

    ``validation`` says whether that part was asked for and must have rows.
    """
    _check_names(data)
    _warn_of_learned(data)
    needed = {TRAIN: "train", TEST: "test"} | ({VALIDATION: "validation"} if validation else {})
    for label, name in needed.items():
        if not (labels == label).any():
            raise ValueError(f"no row is left for the {name} part: hold out less, or other values")
    parts = []
    for label, name in enumerate(("train", "validation", "test", "dropped")):
        part = _take(data, np.flatnonzero(labels == label))
        attributes = part.uns if is_anndata(part) else table_of(part).attrs
        attributes["split"] = {**record, "part": name}
        parts.append(part)
    split = Split(*parts)
    if not is_anndata(data):
        # The rule of the guard holds for its own parts, above all for maps in the features.
        assert_disjoint(split.train, split.test)
        assert_disjoint(split.train, split.validation)
        assert_disjoint(split.validation, split.test)
    return split


def column_of(data: Any, key: str) -> pd.Series:
    """Column of cells, intervals or windows."""
    table = table_of(data)
    if key not in table:
        raise ValueError(f"no column {key!r}; columns are {list(table.columns)}")
    return table[key]


def _take(data: Any, rows: np.ndarray) -> Any:
    if isinstance(data, pd.DataFrame):
        return data.iloc[rows].copy()
    if not is_anndata(data):
        return data[rows]
    view = data[rows]
    return view.to_memory() if data.isbacked else view.copy()


def _check_names(data: Any) -> None:
    if is_anndata(data) and not data.obs_names.is_unique:
        twice = data.obs_names[data.obs_names.duplicated()][0]
        raise ValueError(
            f"observation name {twice!r} occurs twice, so parts cannot be told apart: "
            "call adata.obs_names_make_unique() first"
        )


def _warn_of_learned(data: Any) -> None:
    if not is_anndata(data):
        return
    found = [
        f"{slot}[{key!r}]"
        for slot, keys in _LEARNED_BEFORE.items()
        for key in keys
        if key in getattr(data, slot)
    ]
    if found:
        warn_caller(
            f"{', '.join(found)} was computed before the split, from held-out cells too: "
            "delete it and fit it on the training part"
        )
