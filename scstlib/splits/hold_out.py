"""Honest splits: hold out time points, chromosomes, cell types, regions or donors.

Every function returns a :class:`Split` whose parts are data of the type that was given: AnnData for
cells, a table with ``chrom``, ``start`` and ``end`` (half-open, bp) for bins or regions, or a
windows object (``scstlib.preprocess.windows.Windows``). Parts are copies: changing one changes
neither the input nor another part. Rows that belong to no part (a gap, or a held-out cell type on a
training chromosome) are in ``dropped``.

Genomic data are split by chromosome first and cut into windows afterwards; a new cell type or donor
is held out on held-out chromosomes too, because neighbouring and homologous bins are alike in all
cell types (pitfalls: Whalen et al. 2022, 10.1038/s41576-021-00434-9).

Each part carries the unit it was split by (``uns["split"]`` of AnnData, ``attrs["split"]`` of a
table), which :mod:`scstlib.leakage` reads when a fitted object is evaluated.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from scstlib.leakage import MAP_COLUMNS, is_anndata, table_of
from scstlib.splits.parts import (
    DROPPED,
    TEST,
    TRAIN,
    VALIDATION,
    Data,
    Split,
    column_of,
    cut,
    label_rows,
    listed,
)

__all__ = [
    "Split",
    "hold_out_cell_types",
    "hold_out_chromosomes",
    "hold_out_donors",
    "hold_out_regions",
    "hold_out_times",
    "time_pattern",
]

#: 0-based held-out times of the published series (10.1093/bioinformatics/btae393), by number of
#: times: 12 zebrafish, 11 drosophila, 19 reprogramming.
PUBLISHED_PATTERNS: dict[int, dict[str, tuple[int, ...]]] = {
    12: {"easy": (4, 6, 8), "medium": (10, 11), "hard": (2, 4, 6, 8, 10, 11)},
    11: {"easy": (4, 6, 8), "medium": (8, 9, 10), "hard": (2, 4, 6, 8, 9, 10)},
    19: {"easy": (5, 10, 15), "medium": (16, 17, 18), "hard": (5, 7, 9, 11, 15, 16, 17, 18)},
}


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

    Examples
    --------
    >>> from scstlib.splits import time_pattern
    >>> time_pattern(12, "easy"), time_pattern(12, "medium")
    ((4, 6, 8), (10, 11))
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

    Returns
    -------
    Split
        Copies of the cells in ``train``, ``validation`` and ``test``; ``dropped`` has none.

    Raises
    ------
    ValueError
        For a missing column, times that are not numbers or NaN, times that were not measured,
        the same time in two parts, no time left to train on, or duplicated observation names.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from anndata import AnnData
    >>> from scstlib.splits import hold_out_times
    >>> obs = pd.DataFrame({"time": [0.0, 12.0, 24.0, 24.0]}, index=["a", "b", "c", "d"])
    >>> split = hold_out_times(AnnData(np.ones((4, 2)), obs=obs), test=[12.0])
    >>> list(split.train.obs_names), list(split.test.obs_names)
    (['a', 'c', 'd'], ['b'])
    """
    if not is_anndata(adata):
        raise ValueError(f"hold_out_times needs AnnData, not {type(adata).__name__}")
    if (test is None) == (pattern is None):
        raise ValueError("give either the held-out times in `test` or the name of a `pattern`")
    times = _times(adata, time_key)
    measured = np.unique(times)
    if pattern is not None:
        test = measured[list(time_pattern(len(measured), pattern))]
    test_times = _match_times(test, measured, time_key)
    validation_times = _match_times(validation, measured, time_key)
    labels = label_rows(times, test_times.tolist(), validation_times.tolist(), time_key)
    return cut(adata, labels, {"by": time_key}, validation=len(validation_times) > 0)


def hold_out_chromosomes(
    data: Data, test: str | Iterable[str], validation: str | Iterable[str] = ()
) -> Split[Data]:
    """Hold out whole chromosomes of a table of intervals or of windows, in all cell types.

    Parameters
    ----------
    data
        Table with ``chrom``, ``start``, ``end`` (one row a bin, region or window), or windows.
    test, validation
        Names as they stand in ``chrom``.

    Raises
    ------
    ValueError
        For an unknown chromosome, the same one in two parts, or none left to train on.

    Examples
    --------
    >>> import pandas as pd
    >>> from scstlib.splits import hold_out_chromosomes
    >>> bins = pd.DataFrame({"chrom": ["chr1", "chr1", "chr2"], "start": [0, 50, 0]})
    >>> split = hold_out_chromosomes(bins.assign(end=bins["start"] + 50), test="chr2")
    >>> len(split.train), len(split.test)
    (2, 1)
    """
    test, validation = _names(test), _names(validation)
    labels = _label_by(data, "chrom", test, validation)
    return cut(data, labels, {"by": "chrom"}, validation=bool(validation))


def hold_out_cell_types(
    data: Data,
    test: str | Iterable[str],
    validation: str | Iterable[str] = (),
    *,
    test_chromosomes: str | Iterable[str] = (),
    validation_chromosomes: str | Iterable[str] = (),
    cell_type_key: str = "cell_type",
) -> Split[Data]:
    """Hold out cell types; of genomic data, on held-out chromosomes too.

    Genomic data: ``test`` is the test types on the test chromosomes; ``train`` the other types on
    the other chromosomes; ``validation`` the validation types (without any: the training types) on
    the validation chromosomes; everything else is dropped. For seen types on held-out chromosomes
    use :func:`hold_out_chromosomes`.

    Parameters
    ----------
    data
        AnnData (cells), a table of intervals or windows, with a column ``cell_type_key``.
    test, validation
        Values of that column.
    test_chromosomes, validation_chromosomes
        Needed for genomic data, refused for cells.

    Raises
    ------
    ValueError
        For unknown names, the same name in two parts, or an empty part.
    LeakageError
        If the map of a held-out type is in the bulk (``bulk_cell_types`` of windows).

    Examples
    --------
    >>> import pandas as pd
    >>> from scstlib.splits import hold_out_cell_types
    >>> places = pd.DataFrame({"chrom": ["chr1", "chr2"], "start": 0, "end": 50})
    >>> bins = pd.concat([places.assign(cell_type=name) for name in ("B", "T")])
    >>> split = hold_out_cell_types(bins, "T", test_chromosomes="chr2")
    >>> split.train[["chrom", "cell_type"]].values.tolist()
    [['chr1', 'B']]
    >>> split.test[["chrom", "cell_type"]].values.tolist()
    [['chr2', 'T']]
    >>> len(split.dropped)  # T on chr1, B on chr2
    2
    """
    chromosomes = (test_chromosomes, validation_chromosomes)
    return _hold_out_groups(data, cell_type_key, test, validation, *chromosomes)


def hold_out_donors(
    data: Data,
    test: str | Iterable[str],
    validation: str | Iterable[str] = (),
    *,
    test_chromosomes: str | Iterable[str] = (),
    validation_chromosomes: str | Iterable[str] = (),
    donor_key: str = "donor",
) -> Split[Data]:
    """Hold out donors: as :func:`hold_out_cell_types`, by the column ``donor_key``.

    Cells of one donor are not independent replicates (10.1038/s41467-021-25960-2).

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from anndata import AnnData
    >>> from scstlib.splits import hold_out_donors
    >>> obs = pd.DataFrame({"donor": ["d1", "d1", "d2"]}, index=["a", "b", "c"])
    >>> split = hold_out_donors(AnnData(np.ones((3, 2)), obs=obs), test="d2")
    >>> list(split.train.obs_names), list(split.test.obs_names)
    (['a', 'b'], ['c'])
    """
    chromosomes = (test_chromosomes, validation_chromosomes)
    return _hold_out_groups(data, donor_key, test, validation, *chromosomes)


def hold_out_regions(
    data: Data,
    test: tuple[int, int],
    validation: tuple[int, int] | None = None,
    *,
    gap: int,
    unit: str = "bp",
) -> Split[Data]:
    """Hold out regions of one chromosome, with a gap between the parts.

    A row belongs to a region if it lies inside it as a whole. Rows that cross its border, or lie
    closer than the gap to a held-out region, are dropped, so that any two rows of different parts
    are at least ``gap`` apart. The gap should exceed the distance over which bins are alike, at
    least the width of a window.

    Parameters
    ----------
    data
        Table with ``chrom``, ``start``, ``end``, or windows, of one chromosome.
    test, validation
        ``(start, end)``, half-open.
    gap
        Distance that is left out on both sides of a held-out region.
    unit
        Of ``test``, ``validation`` and ``gap``: ``"bp"``, or ``"bins"`` for windows (their
        ``bin_size``) and tables of equal bins.

    Raises
    ------
    ValueError
        For several chromosomes, an empty region or part, or a negative gap.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from scstlib.splits import hold_out_regions
    >>> start = np.arange(10) * 50
    >>> bins = pd.DataFrame({"chrom": "chr1", "start": start, "end": start + 50})
    >>> split = hold_out_regions(bins, test=(400, 500), gap=100)
    >>> len(split.train), len(split.test), len(split.dropped)
    (6, 2, 2)
    """
    table, chromosomes = table_of(data), column_of(data, "chrom").unique()
    if len(chromosomes) != 1:
        raise ValueError(
            f"hold_out_regions needs one chromosome, not {[str(c) for c in chromosomes]}: "
            "select one, or use hold_out_chromosomes"
        )
    if unit not in ("bp", "bins"):
        raise ValueError(f"unknown unit {unit!r}: choose 'bp' or 'bins'")
    factor = _bin_size(data) if unit == "bins" else 1
    if gap < 0:
        raise ValueError(f"gap is {gap}: give a distance of at least 0")
    regions = {VALIDATION: validation, TEST: test} if validation is not None else {TEST: test}
    for region in regions.values():
        if not region[0] < region[1]:
            raise ValueError(f"region {region} is empty: give (start, end) with start < end")
    if validation is not None and test[0] < validation[1] and validation[0] < test[1]:
        raise ValueError(f"regions {test} and {validation} overlap")
    start, end = table["start"].to_numpy() / factor, table["end"].to_numpy() / factor
    labels = np.full(len(table), TRAIN)
    # The test region comes last: near it, rows of the validation region are dropped.
    for label, (first, last) in regions.items():
        labels[(start < last + gap) & (end > first - gap)] = DROPPED
        labels[(start >= first) & (end <= last)] = label
    record = {"by": "region", "gap": int(gap * factor)}
    return cut(data, labels, record, validation=validation is not None)


def _bin_size(data: Any) -> int:
    if hasattr(data, "bin_size"):
        return int(data.bin_size)
    table = table_of(data)
    return int((table["end"] - table["start"]).max())  # the last bin of a chromosome is shorter


def _hold_out_groups(data: Data, key: str, *asked: str | Iterable[str]) -> Split[Data]:
    test, validation, test_chrom, validation_chrom = (_names(each) for each in asked)
    groups = _label_by(data, key, test, validation)
    if is_anndata(data):
        if test_chrom or validation_chrom:
            raise ValueError("cells lie on no chromosome: leave the chromosomes out")
        return cut(data, groups, {"by": key}, validation=bool(validation))
    if key not in MAP_COLUMNS:
        raise ValueError(f"of genomic data the column must be one of {list(MAP_COLUMNS)}: rename")
    if not test_chrom:
        raise ValueError(
            f"a new {key} is held out on held-out chromosomes too: name test_chromosomes"
        )
    if validation and not validation_chrom:
        raise ValueError(f"validation by {key} needs validation_chromosomes")
    chromosomes = _label_by(data, "chrom", test_chrom, validation_chrom)
    labels = np.full(len(groups), DROPPED)
    labels[(groups == TRAIN) & (chromosomes == TRAIN)] = TRAIN
    labels[(groups == TEST) & (chromosomes == TEST)] = TEST
    seen = VALIDATION if validation else TRAIN
    labels[(groups == seen) & (chromosomes == VALIDATION)] = VALIDATION
    return cut(data, labels, {"by": "chrom"}, validation=bool(validation_chrom))


def _names(values: str | Iterable[str]) -> list[str]:
    return [str(value) for value in listed(values)]


def _label_by(data: Any, key: str, test: list[str], validation: list[str]) -> np.ndarray:
    """Part of every row, from the names that are held out."""
    column = column_of(data, key)
    if column.isna().any():
        raise ValueError(f"{key!r} is missing in {int(column.isna().sum())} rows: leave them out")
    values = column.astype(str).to_numpy()
    unknown = sorted({*test, *validation} - set(values))
    if unknown:
        raise ValueError(f"no {key} {unknown}; there are {sorted(set(values))}")
    return label_rows(values, test, validation, key)


def _times(adata: Any, time_key: str) -> np.ndarray:
    column = column_of(adata, time_key)
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
    values = np.asarray(listed(wanted), dtype=float)
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
    found: np.ndarray = measured[nearest]
    return found
