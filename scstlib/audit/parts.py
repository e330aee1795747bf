"""Do the parts of a split share anything?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from scstlib.audit._values import fixed_randomness, is_tensor, numpy_of
from scstlib.audit.findings import Audit, Finding, counted
from scstlib.leakage import (
    LeakageError,
    assert_disjoint,
    bare_chromosome,
    is_anndata,
    table_of,
)

#: Rows are compared in blocks, so that memory does not grow with rows squared.
BLOCK = 256


def split_overlap(
    parts: Mapping[str, Any],
    by: str | Sequence[str] = (),
    *,
    content: bool = True,
    tolerance: float = 1e-6,
) -> Audit:
    """Find what the parts of a split share: names, units, intervals, and rows under other names.

    Parameters
    ----------
    parts : mapping
        Name of the part ("train", "validation", "test") → AnnData, a table with ``chrom``,
        ``start``, ``end``, windows, an array (n, features), a data set or loader of torch, or a
        list of names such as chromosomes, for a split of which only the record is known. Of the
        samples of torch that are tuples the first member is compared, the input; of those that
        are dictionaries all that is in them.
    by : str or sequence of str
        Columns whose values may not be in two parts: "time", "donor", "cell_type", "chrom".
        Whatever it is, cells may not share names, nor what :mod:`scstlib.leakage` reads from the
        record of the split; genomic parts may not share chromosomes unless they were split by
        region.
    content : bool
        Compare rows by content: ``X`` of AnnData, targets (else tracks) of windows, arrays. NaN
        counts as 0, and rows of zeros are left out. Rows of few features can be equal by chance.
    tolerance : float
        Rows that are closer than this, relative to their length, are duplicates.

    Returns
    -------
    Audit
        One row for each pair of parts and each property. The evidence is the share of the second
        part's rows that are shared, or of its names.

    Raises
    ------
    ValueError
        For fewer than two parts, or parts that cannot be compared.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.audit import split_overlap
    >>> cells = np.random.default_rng(0).random((6, 20))
    >>> found = split_overlap({"train": cells[:4], "test": cells[3:]})
    >>> [(row.where, round(row.evidence, 2)) for row in found.findings]
    [('train and test', 0.33)]
    """
    if len(parts) < 2:
        raise ValueError(f"an overlap needs two parts, not {list(parts)}")
    parts = {name: _inputs_of_torch(part) for name, part in parts.items()}
    columns = [by] if isinstance(by, str) else list(by)
    rows: list[Finding] = []
    for (name, first), (other, second) in combinations(parts.items(), 2):
        where = f"{name} and {other}"
        if _is_list(first) != _is_list(second):
            raise ValueError(f"{where}: a list of names cannot be compared with data")
        if _is_list(first):
            rows.append(_shared(where, "names", _plain(first), _plain(second)))
            continue
        rows += _shared_units(where, first, second, columns)
        if content:
            rows += _shared_content(where, first, second, tolerance)
    return Audit("split overlap", counted(len(parts), "part"), tuple(rows))


def _inputs_of_torch(part: Any) -> Any:
    """Array (n, features) of the inputs of a data set or loader of torch; the rest as it is."""
    is_loader = hasattr(part, "dataset") and hasattr(part, "collate_fn")
    if not is_loader and not _is_data_set(part):
        return part
    with fixed_randomness(0):  # A loader that shuffles draws from the global generator.
        samples = list(part) if is_loader else [part[i] for i in range(len(part))]
    inputs = [_input_of(sample) for sample in samples]
    if not is_loader:
        inputs = [[x[None] for x in arrays] for arrays in inputs]
    return np.concatenate([np.hstack([x.reshape(len(x), -1) for x in each]) for each in inputs])


def _is_data_set(part: Any) -> bool:
    known = _is_list(part) or _is_array(part) or hasattr(part, "iloc") or hasattr(part, "table")
    return not known and not is_anndata(part) and hasattr(part, "__getitem__")


def _input_of(sample: Any) -> list[np.ndarray]:
    """Arrays of a sample that are compared."""
    if isinstance(sample, Mapping):
        values = list(sample.values())
    else:
        values = [sample[0] if isinstance(sample, (list, tuple)) else sample]
    return [numpy_of(x) if is_tensor(x) else np.asarray(x) for x in values]


def _is_list(part: Any) -> bool:
    return isinstance(part, (list, tuple, set, frozenset, range, pd.Index, pd.Series))


def _plain(values: Any) -> pd.Series:
    """Names as text; chr1 and 1 are one chromosome, 2 and 2.0 one time."""
    return pd.Series([_name(value) for value in values], dtype=object)


def _name(value: Any) -> str:
    if isinstance(value, (int, float, np.number)) and not isinstance(value, bool):
        return f"{float(value):.9g}"
    return bare_chromosome(str(value))


def _shared(where: str, what: str, first: pd.Series, second: pd.Series) -> Finding:
    common = second.isin(set(first))
    if not common.any():
        return Finding(where, f"no {what} in both", 0.0, "holds")
    names = sorted(set(second[common]))
    some = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return Finding(where, f"{what} in both: {some}; share of the second", float(common.mean()))


def _shared_units(where: str, first: Any, second: Any, columns: list[str]) -> list[Finding]:
    if _is_array(first):
        if columns:
            raise ValueError(f"{where}: arrays have no columns {columns}")
        return []
    tables = table_of(first), table_of(second)
    rows = []
    if is_anndata(first):
        rows.append(_shared(where, "cells", _plain(first.obs_names), _plain(second.obs_names)))
    for column in columns:
        for table in tables:
            if column not in table:
                raise ValueError(f"{where}: no column {column!r} in {sorted(map(str, table))}")
        rows.append(_shared(where, column, *(_plain(table[column]) for table in tables)))
    if all(row.verdict == "holds" for row in rows):
        try:
            assert_disjoint(first, second)
            rows.append(Finding(where, "pass the leak guard", 0.0, "holds"))
        except LeakageError as error:
            shared = str(error).removeprefix("the parts share ")
            rows.append(Finding(where, f"refused by the leak guard: {shared}", 1.0))
    return rows


def _is_array(part: Any) -> bool:
    return isinstance(part, np.ndarray) or is_tensor(part) or sp.issparse(part)


def _shared_content(where: str, first: Any, second: Any, tolerance: float) -> list[Finding]:
    a, b = _content(first), _content(second)
    if a is None or b is None:
        return []
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"{where}: rows of {a.shape[1]} and of {b.shape[1]} features")
    share = _share_of_copies(a, b, tolerance)
    what = "rows alike in content; share of the second"
    return [Finding(where, what, share, "finding" if share else "holds")]


def _content(part: Any) -> np.ndarray | None:
    """Rows (n, features) that are compared; None for a table, which has no content."""
    if is_anndata(part):
        part = part.X
    elif hasattr(part, "targets"):
        part = part.tracks if part.targets is None else part.targets
    elif not _is_array(part):
        return None
    part = numpy_of(part) if is_tensor(part) else part
    part = part.toarray() if sp.issparse(part) else np.asarray(part)
    # A part may have no rows, of which reshape cannot tell the features.
    rows = part.reshape(len(part), math.prod(part.shape[1:])).astype(float)
    return np.where(np.isnan(rows), 0.0, rows)


def _share_of_copies(a: np.ndarray, b: np.ndarray, tolerance: float) -> float:
    """Share of the rows of b that have a row of a closer than tolerance times their length."""
    length = np.linalg.norm(b, axis=1)
    a = a[np.linalg.norm(a, axis=1) > 0]
    copies = 0
    # The expanded square loses half of the digits; candidates are compared again as they are.
    squares = np.square(a).sum(1)
    for start in range(0, len(b), BLOCK):
        block, size = b[start : start + BLOCK], length[start : start + BLOCK]
        near = squares[None] - 2 * block @ a.T + np.square(size)[:, None]
        reach = (tolerance**2 + 1e-9) * np.square(size)[:, None]
        for i in np.flatnonzero((near <= reach).any(1) & (size > 0)):
            exact = np.linalg.norm(a[near[i] <= reach[i]] - block[i], axis=1)
            copies += bool((exact <= tolerance * size[i]).any())
    return copies / len(b) if len(b) else 0.0
