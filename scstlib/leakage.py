"""The leak guard: what was an object fitted on, and may it be evaluated on this part?

Everything that learns from data (gene selection, PCA, scaling, track normalisation, distance means,
models) calls :func:`record_fit` in its ``fit``. Whoever evaluates calls :func:`check_evaluation`
before a metric; metrics themselves know nothing of models. Transforming held-out data with a fitted
object is its use and always allowed; *scoring* on data that overlap what it was fitted on is not.

What counts as overlap:

- Cells (AnnData): the same observation name (so names must differ between files and draws); or the
  same value of the column that the part was held out by (``uns["split"]["by"]``, written by
  :mod:`scstlib.splits`, or ``by``): other cells of a training time are no test of a model of time.
- Genomic data (a table with ``chrom``, ``start``, ``end``, or windows): the same chromosome,
  whatever the cell type. For parts of one chromosome (``by="region"``): intervals that overlap or
  lie closer than the gap.
- A held-out cell type (or donor) whose contact map is in the features of either part: columns
  ``bulk_cell_types`` and ``bulk_donors`` of the windows' table list whose maps are in the bulk.

Leakage of these kinds is common (Kapoor & Narayanan 2023, 10.1016/j.patter.2023.100804).

Examples
--------
>>> import pandas as pd
>>> from scstlib.leakage import check_evaluation, record_fit
>>> bins = pd.DataFrame({"chrom": ["chr1", "chr2"], "start": [0, 0], "end": [50_000, 50_000]})
>>> class Mean:
...     def fit(self, table):
...         record_fit(self, table)
...         return self
>>> model = Mean().fit(bins[bins["chrom"] == "chr1"])
>>> check_evaluation(model, bins[bins["chrom"] == "chr2"])  # silent: nothing is shared
>>> check_evaluation(model, bins)
Traceback (most recent call last):
    ...
scstlib.leakage.LeakageError: Mean was fitted on what it is evaluated on: chromosome ['1']
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

INTERVAL = ["chrom", "start", "end"]

#: Column of windows that lists whose maps are in the bulk, by the column that names the unit.
MAP_COLUMNS = {"cell_type": "bulk_cell_types", "donor": "bulk_donors"}

#: A column with more distinct values than this is a measurement, not a unit to hold out.
MAX_VALUES = 1000


class LeakageError(ValueError):
    """Data that must be apart overlap; the message names the overlap."""


@dataclass(frozen=True)
class Fingerprint:
    """What identifies a piece of data: names or intervals, and the values of its units."""

    names: frozenset[str] | None
    intervals: pd.DataFrame | None
    units: dict[str, frozenset[Any]]
    maps: dict[str, frozenset[str]] = field(default_factory=dict)
    assemblies: frozenset[str] = frozenset()
    by: str | None = None
    gap: int = 0


def is_anndata(data: Any) -> bool:
    """Whether data are AnnData; by attribute, so that a table does not cost its import."""
    return hasattr(data, "obs_names")


def table_of(data: Any) -> pd.DataFrame:
    """Table with one row for each thing that is split: cells, bins, regions or windows.

    Raises
    ------
    ValueError
        If the data carry no identity, such as a bare array.
    """
    if is_anndata(data):
        obs: pd.DataFrame = data.obs
        return obs
    table = data if isinstance(data, pd.DataFrame) else getattr(data, "table", None)
    if not isinstance(table, pd.DataFrame):
        raise ValueError(
            f"{type(data).__name__} does not say which cells or intervals it holds: "
            "give AnnData, a table with chrom, start and end, or windows"
        )
    missing = [name for name in INTERVAL if name not in table]
    if missing:
        raise ValueError(f"no column {missing[0]!r}; columns are {list(table.columns)}")
    return table


def split_record(data: Any) -> dict[str, Any]:
    """What :mod:`scstlib.splits` wrote about the split that made this part; empty if nothing.

    Examples
    --------
    >>> import pandas as pd
    >>> from scstlib.leakage import split_record
    >>> from scstlib.splits import hold_out_chromosomes
    >>> bins = pd.DataFrame({"chrom": ["chr1", "chr2"], "start": [0, 0], "end": [50_000, 50_000]})
    >>> split_record(hold_out_chromosomes(bins, "chr2").train)
    {'by': 'chrom', 'part': 'train'}
    """
    return dict((data.uns if is_anndata(data) else table_of(data).attrs).get("split", {}))


def fingerprint(data: Any) -> Fingerprint:
    """Fingerprint of AnnData, a table of intervals or windows."""
    table, record = table_of(data), split_record(data)
    units = {
        str(name): frozenset(_plain(v) for v in pd.unique(table[name].dropna()))
        for name in table.columns
        if name not in (*INTERVAL, *MAP_COLUMNS.values()) and _names_units(table[name])
    }
    by = record.get("by")
    if is_anndata(data):
        return Fingerprint(frozenset(map(str, data.obs_names)), None, units, by=by)
    intervals = table[INTERVAL].drop_duplicates().reset_index(drop=True)
    intervals["chrom"] = intervals["chrom"].astype(str).map(bare_chromosome)
    maps = {
        unit: frozenset(name for names in table[column] for name in _listed(names))
        for unit, column in MAP_COLUMNS.items()
        if column in table
    }
    assemblies = units.get("assembly", frozenset())
    gap = int(record.get("gap", 0))
    return Fingerprint(None, intervals, units, maps, assemblies, by, gap)


def fingerprints_to_json(fingerprints: Iterable[Fingerprint]) -> list[dict[str, Any]]:
    """Return fingerprints as lists and numbers that JSON holds, for a model file.

    Examples
    --------
    >>> import pandas as pd
    >>> bins = pd.DataFrame({"chrom": ["chr1"], "start": [0], "end": [50_000], "cell_type": ["T"]})
    >>> stored = fingerprints_to_json([fingerprint(bins)])
    >>> fingerprints_from_json(stored)[0].units
    {'cell_type': frozenset({'T'})}
    """
    return [
        {
            "names": None if each.names is None else sorted(each.names),
            "intervals": None if each.intervals is None else each.intervals.to_dict("list"),
            "units": {name: sorted(values, key=str) for name, values in each.units.items()},
            "maps": {name: sorted(values) for name, values in each.maps.items()},
            "by": each.by,
            "gap": each.gap,
        }
        for each in fingerprints
    ]


def fingerprints_from_json(stored: Iterable[Mapping[str, Any]]) -> tuple[Fingerprint, ...]:
    """Return the fingerprints that :func:`fingerprints_to_json` turned into lists."""
    found = []
    for each in stored:
        units = {name: frozenset(values) for name, values in each["units"].items()}
        found.append(
            Fingerprint(
                None if each["names"] is None else frozenset(each["names"]),
                None if each["intervals"] is None else pd.DataFrame(each["intervals"]),
                units,
                {name: frozenset(values) for name, values in each["maps"].items()},
                units.get("assembly", frozenset()),
                each["by"],
                each["gap"],
            )
        )
    return tuple(found)


def bare_chromosome(name: str) -> str:
    """Name whatever the file that names it: chr1 and 1 are one chromosome, chrM and MT too.

    Examples
    --------
    >>> from scstlib.leakage import bare_chromosome
    >>> bare_chromosome("chr7"), bare_chromosome("7"), bare_chromosome("MT")
    ('7', '7', 'M')
    """
    bare = name.removeprefix("chr")
    return "M" if bare == "MT" else bare


def _names_units(column: pd.Series) -> bool:
    """Whether the values of a column are few, and no lists."""
    try:
        return bool(column.nunique() <= MAX_VALUES)
    except TypeError:
        return False


def _listed(names: Any) -> Iterable[str]:
    """Names of a cell of the table: one, several, or none where it is missing."""
    if isinstance(names, str):
        return [names]
    return names if isinstance(names, Iterable) else []


def _plain(value: Any) -> Any:
    """Hashable value; numbers to nine digits, so that 0.1 + 0.2 is 0.3."""
    if isinstance(value, (int, float, np.number)) and not isinstance(value, bool):
        return float(f"{float(value):.9g}")
    return str(value)


def record_fit(estimator: Any, *data: Any) -> None:
    """Set ``estimator.fitted_on_`` to the fingerprints of what it learns from.

    Call it in ``fit``. Data that only choose a model (a validation part used for early stopping)
    are learned from too: give them as well. Without data, nothing was learned and nothing is
    refused.
    """
    estimator.fitted_on_ = tuple(fingerprint(each) for each in data)


def check_evaluation(
    fitted: Any, part: Any, *, given: Any = None, by: str | None = None, gap: int = 0
) -> None:
    """Refuse to evaluate fitted objects on data that they were fitted on, or are shown.

    Parameters
    ----------
    fitted
        An object on which :func:`record_fit` was called, a scikit-learn ``Pipeline``, or a list of
        these: give every step between the raw data and the score.
    part
        The data that are scored against: AnnData, a table of intervals or windows.
    given
        Measured data that the model is shown when it predicts, such as the cells from which a
        forecast starts. Cells of a held-out time are not there when the model is used.
    by, gap
        As in :func:`assert_disjoint`.

    Raises
    ------
    LeakageError
        Naming the object and the overlap.
    ValueError
        If an object does not say what it was fitted on.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from anndata import AnnData
    >>> from scstlib.leakage import check_evaluation
    >>> from scstlib.preprocess.expression import Scale
    >>> from scstlib.splits import hold_out_times
    >>> obs = pd.DataFrame({"time": [0.0, 0.0, 1.0, 1.0]}, index=["a", "b", "c", "d"])
    >>> split = hold_out_times(AnnData(np.ones((4, 2)), obs=obs), test=1.0)
    >>> scale = Scale().fit(split.train)
    >>> check_evaluation(scale, split.test)  # silent: nothing is shared
    >>> check_evaluation(scale, split.train)
    Traceback (most recent call last):
        ...
    scstlib.leakage.LeakageError: Scale was fitted on what it is evaluated on: 2 observations...
    """
    against = fingerprint(part)
    if given is not None and (overlap := _overlap(fingerprint(given), against, by, gap)):
        raise LeakageError(f"the model is shown what it is evaluated on: {overlap}")
    for each in _steps(fitted):
        if not hasattr(each, "fitted_on_"):
            raise ValueError(
                f"{type(each).__name__} does not say what it was fitted on: fit it first; a fit of "
                "your own must call scstlib.leakage.record_fit(self, adata)"
            )
        for known in each.fitted_on_:
            overlap = _overlap(known, against, by, gap)
            if overlap:
                raise LeakageError(
                    f"{type(each).__name__} was fitted on what it is evaluated on: {overlap}"
                )


def assert_disjoint(train: Any, test: Any, *, by: str | None = None, gap: int = 0) -> None:
    """Refuse two parts that overlap: see the module's docstring for what counts.

    Parameters
    ----------
    train, test
        AnnData, tables of intervals or windows.
    by
        Cells: a column of ``obs`` whose values may not be shared (default: what the parts were
        split by). Genomic data: ``"chrom"`` (default) or ``"region"``, parts of one chromosome.
    gap
        Smallest distance between intervals, in bp, with ``by="region"``; at least what the parts
        were split with.

    Raises
    ------
    LeakageError
        Naming the overlap.
    ValueError
        If the two cannot be compared (cells with intervals, two assemblies, a missing column).

    Examples
    --------
    >>> import pandas as pd
    >>> from scstlib.leakage import assert_disjoint
    >>> bins = pd.DataFrame({"chrom": ["chr1", "chr1"], "start": [0, 90], "end": [40, 130]})
    >>> assert_disjoint(bins[:1], bins[1:], by="region", gap=50)  # silent: 50 bp apart
    >>> assert_disjoint(bins[:1], bins[1:])
    Traceback (most recent call last):
        ...
    scstlib.leakage.LeakageError: the parts share chromosome ['1']
    """
    overlap = _overlap(fingerprint(train), fingerprint(test), by, gap)
    if overlap:
        raise LeakageError(f"the parts share {overlap}")


def choose(
    candidates: Mapping[str, Any], score: Callable[[Any, Any], float], part: Any
) -> tuple[str, Any]:
    """Return the candidate with the highest score on a part of the data, and its name.

    The part is added to what the winner was fitted on, so that
    :func:`check_evaluation` refuses to score the winner there again: the highest of
    several scores is too high on the data that chose it, whether the candidates differ in a
    setting, in the step at which training stopped, or in nothing but the seed.

    Parameters
    ----------
    candidates
        Name → fitted model, on which :func:`record_fit` was called.
    score
        Takes a candidate and the part, and returns a number; high is good.
    part
        The data that choose: AnnData, a table of intervals or windows. Not the test part.

    Raises
    ------
    ValueError
        If there is no candidate, a candidate does not say what it was fitted on, or a score is
        not finite.

    Examples
    --------
    >>> import pandas as pd
    >>> from scstlib.leakage import choose, record_fit
    >>> class Constant:
    ...     def __init__(self, value, table):
    ...         self.value = value
    ...         record_fit(self, table)
    >>> bins = pd.DataFrame({"chrom": ["1", "2"], "start": 0, "end": 50, "value": [3.0, 4.0]})
    >>> train, validation = bins[:1], bins[1:]
    >>> candidates = {"low": Constant(1.0, train), "high": Constant(5.0, train)}
    >>> score = lambda model, part: -abs(part["value"] - model.value).mean()
    >>> name, model = choose(candidates, score, validation)
    >>> name, len(model.fitted_on_)  # the validation part counts as learned from
    ('high', 2)
    """
    if not candidates:
        raise ValueError("there is no candidate to choose from")
    scores = {}
    for name, candidate in candidates.items():
        if getattr(candidate, "fitted_on_", None) is None:
            raise ValueError(
                f"candidate {name!r} does not say what it was fitted on: fit it first; "
                "its fit must call record_fit"
            )
        scores[name] = float(score(candidate, part))
        if not np.isfinite(scores[name]):
            raise ValueError(f"the score of candidate {name!r} is {scores[name]}: leave it out")
    best = max(scores, key=scores.__getitem__)
    winner = candidates[best]
    winner.fitted_on_ = (*winner.fitted_on_, fingerprint(part))
    return best, winner


def _steps(fitted: Any) -> Iterator[Any]:
    if hasattr(fitted, "steps"):
        fitted = [step for _, step in fitted.steps if step not in (None, "passthrough")]
    if isinstance(fitted, (list, tuple)):
        for each in fitted:
            yield from _steps(each)
    else:
        yield fitted


def _overlap(a: Fingerprint, b: Fingerprint, by: str | None, gap: int) -> str:
    """What two fingerprints share, in words; empty if nothing."""
    if (a.names is None) != (b.names is None):
        raise ValueError("cells cannot be compared with genomic intervals: check each by itself")
    if a.names is not None and b.names is not None:
        # What the evaluated part was held out by is the claim; a split within the training part,
        # say by donor, must not hold its other units against it.
        return _shared_cells(a, b, by or b.by or a.by)
    if by is None:
        by = "region" if a.by == b.by == "region" else "chrom"
    if by not in ("chrom", "region"):
        raise ValueError(f"genomic data are kept apart by 'chrom' or 'region', not {by!r}")
    if a.assemblies and b.assemblies and a.assemblies != b.assemblies:
        raise ValueError(
            f"intervals of {_list(a.assemblies)} and {_list(b.assemblies)} cannot be compared: "
            "lift one of them over first"
        )
    return _shared_intervals(a, b, by, max(gap, a.gap, b.gap)) or _held_out_maps(a, b)


def _shared_cells(a: Fingerprint, b: Fingerprint, key: str | None) -> str:
    shared = (a.names or frozenset()) & (b.names or frozenset())
    if shared:
        return f"{len(shared)} observations, such as {min(shared)!r}"
    if key is None:
        return ""
    for side in (a, b):
        if key not in side.units:
            raise ValueError(
                f"parts are held apart by {key!r}, which one of them has no column for: "
                f"columns are {sorted(side.units)}"
            )
    both = a.units[key] & b.units[key]
    return f"{key} {_list(both)}" if both else ""


def _shared_intervals(a: Fingerprint, b: Fingerprint, by: str, gap: int) -> str:
    if a.intervals is None or b.intervals is None:
        return ""
    if by == "chrom":
        shared = set(a.intervals["chrom"]) & set(b.intervals["chrom"])
        return f"chromosome {_list(shared)}" if shared else ""
    import bioframe

    padded = bioframe.expand(a.intervals, pad=gap) if gap else a.intervals
    pairs = bioframe.overlap(padded, b.intervals, how="inner")
    if not len(pairs):
        return ""
    first = pairs.iloc[0]
    where = f"{first['chrom_']}:{first['start_']}-{first['end_']}"
    return f"{len(pairs)} pairs of intervals closer than {gap} bp or overlapping, such as {where}"


def _held_out_maps(a: Fingerprint, b: Fingerprint) -> str:
    """Held-out cell types or donors whose contact maps are in the features of either side."""
    for unit in MAP_COLUMNS:
        if not a.units.get(unit):
            continue
        held_out = b.units.get(unit, frozenset()) - a.units[unit]
        in_features = a.maps.get(unit, frozenset()) | b.maps.get(unit, frozenset())
        if held_out & in_features:
            return f"the held-out {unit} {_list(held_out & in_features)}, whose map is in the bulk"
    return ""


def _list(values: Iterable[Any]) -> str:
    shown = sorted(values, key=str)
    return f"{shown[:5]}" + (f" and {len(shown) - 5} more" if len(shown) > 5 else "")
