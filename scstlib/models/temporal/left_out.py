"""Training times left out one after the other: what an ensemble learns of its errors."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from scstlib.leakage import check_evaluation
from scstlib.models.shares import TINY, Distances, distances, shares_of_cells
from scstlib.models.temporal.cells import draw, measured_cells
from scstlib.models.temporal.protocol import TemporalModel
from scstlib.preprocess.cells import measured_time

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

MOST_LEFT_OUT = 6
MOST_CELLS = 200  # Of a time, in the distances between populations.
KINDS = INNER, OUTER = ("inner", "outer")
# What all numbers are off together counts as so many left-out times, for each of them: few times
# tell little of one number. Developed on three real series and the organism.
SHARED = 4


@dataclass(frozen=True)
class LeftOut:
    """A training time, and members that were fitted without it.

    Attributes
    ----------
    time : float
    kind : "inner" or "outer"
        Whether other training times lie on both sides of it.
    members : list of fitted models
    cells : AnnData
        Measured cells of the time, in the form in which models predict them.
    """

    time: float
    kind: str
    members: list[TemporalModel]
    cells: AnnData


@dataclass(frozen=True)
class Settings:
    """What members are asked for when they predict cells: as for ``sample``."""

    n_cells: int
    seed: int
    noise: bool | Literal["depth"]


def kind_of(time: float, measured: np.ndarray) -> str:
    """Return "inner" for a time within the range of the measured ones, else "outer"."""
    return INNER if measured.min() <= time <= measured.max() else OUTER


def leave_times_out(
    fit: Callable[[AnnData], list[TemporalModel]], adata: AnnData, time_key: str
) -> list[LeftOut]:
    """Fit members without each of at most six inner training times, and without the last.

    Parameters
    ----------
    fit : function
        Takes cells and returns fitted members.

    Raises
    ------
    ValueError
        With fewer than three training times.
    LeakageError
        If a member was fitted on the time that is left out.
    """
    time = measured_time(adata, time_key)
    times = np.unique(time)
    if len(times) < 3:
        raise ValueError(
            f"to leave a time out takes at least 3 training times, and there are {times.tolist()}:"
            " set stack=False and calibrate=False."
        )
    inner = times[1:-1]
    chosen = np.unique(np.linspace(0, len(inner) - 1, min(len(inner), MOST_LEFT_OUT)).astype(int))
    found = []
    for left in [*inner[chosen], times[-1]]:
        members, part = fit(adata[time != left].copy()), adata[time == left]
        check_evaluation(members, part, by=time_key)
        own = measured_cells(part, time_key, min_times=1)
        cells = own.as_anndata([own.values], [float(left)])
        kind = OUTER if left == times[-1] else INNER
        found.append(LeftOut(float(left), kind, members, cells))
    return found


def shares_of_members(parts: Sequence[LeftOut], seed: int) -> dict[str, np.ndarray]:
    """Return by kind the shares of members (n_members,) whose pool is nearest to left-out cells.

    They are those of :func:`scstlib.models.shares.shares_of_cells`, drawn to equal shares.
    """
    rng = np.random.default_rng(seed)
    found: dict[str, list[Distances]] = {kind: [] for kind in KINDS}
    for part in parts:
        measured = values_of(part.cells)
        measured = draw(measured, min(len(measured), MOST_CELLS), rng)
        predicted = [
            values_of(member.sample([part.time], len(measured), seed + number, noise=True))
            for number, member in enumerate(part.members)
        ]
        found[part.kind].append(distances(predicted, measured))
    n_members = len(parts[0].members)
    equal = np.full(n_members, 1 / n_members)
    return {kind: shares_of_cells(own, equal) for kind, own in found.items()}


def summarised(
    members: Sequence[TemporalModel],
    weights: np.ndarray,
    time: float,
    summary: Callable[[AnnData], Any],
    settings: Settings,
) -> pd.DataFrame:
    """Return mean (weighted) and spread (not weighted) over members of a summary at a time.

    One row a number, by its name. The spread is about the weighted mean, so that a member which
    weighs nothing still counts as another opinion.
    """
    import pandas as pd

    values = pd.concat(
        [
            _named(summary(member.sample([time], settings.n_cells, seed, settings.noise)))
            for seed, member in enumerate(members, settings.seed)
        ],
        axis=1,
    )
    mean = values @ weights
    spread = np.sqrt(values.sub(mean, axis=0).pow(2).sum(axis=1) / (len(members) - 1))
    return pd.DataFrame({"mean": mean, "spread": spread})


def unknown(time: float, times: np.ndarray) -> float:
    """Return how far a population may have gone from what its neighbouring times say.

    It is the standard deviation of a random walk that passes through the measured times, a step
    from each to the next: none at a measured time, most halfway between two, and beyond the last
    the root of the elapsed time in mean intervals.

    Parameters
    ----------
    time : float
    times : numpy.ndarray, shape (n_times,)
        Measured times, ascending.

    Examples
    --------
    >>> import numpy as np
    >>> hours = np.array([0.0, 12.0, 24.0])
    >>> [unknown(time, hours) for time in (12.0, 18.0, 36.0)]
    [0.0, 0.5, 1.0]
    """
    after = int(np.searchsorted(times, time))
    if 0 < after < len(times):
        way = (times[after] - time) / (times[after] - times[after - 1])
        return float(np.sqrt(way * (1 - way)))
    interval = (times[-1] - times[0]) / (len(times) - 1)
    return float(np.sqrt(max(times[0] - time, time - times[-1], 0.0) / interval))


UNKNOWN = {INNER: float(np.sqrt(0.5)), OUTER: 1.0}  # Of a measured time that is left out.


@dataclass(frozen=True)
class Errors:
    """How far numbers of left-out times lay from the means that members predicted.

    Attributes
    ----------
    typical : pandas.Series
        Root mean squared error of each number, by its name, drawn to that of all.
    multiple : float
        How many scales hold as many errors as asked for, divided by what was unknown of a left-out
        time: halfway between two others that are two steps apart, or a step beyond the last.
    """

    typical: pd.Series
    multiple: float

    def half_widths(self, spread: pd.Series, unknown: float) -> pd.Series:
        """Return how far intervals reach where members differ by ``spread``."""
        typical = self.typical.reindex(spread.index).fillna(self.typical.mean())
        return self.multiple * unknown * _scale(typical, spread)


def _scale(typical: pd.Series, spread: pd.Series) -> pd.Series:
    """What a number may be off: as at left-out times, and as members differ.

    Two or three members agree on a number now and then by chance; such a spread alone as the scale
    would make all intervals wide.
    """
    return (typical**2 + spread**2) ** 0.5


def errors(
    parts: Sequence[LeftOut],
    weights: Mapping[str, np.ndarray],
    summary: Callable[[AnnData], Any],
    level: float,
    settings: Settings,
) -> dict[str, Errors]:
    """Return by kind how far numbers of left-out cells lie from their predicted means.

    The multiple is the quantile at ``level`` of all errors, each in units of its scale: the root
    of the squared typical error of its number at the other times and of the members' variance.
    Numbers of a summary are taken to be of one unit.
    """
    import pandas as pd

    found = {}
    for kind in KINDS:
        own = [part for part in parts if part.kind == kind]
        tables = [summarised(part.members, weights[kind], part.time, summary, settings)
                  for part in own]  # fmt: skip
        off = [(_named(summary(part.cells)) - table["mean"]).abs()
               for part, table in zip(own, tables, strict=True)]  # fmt: skip
        squared = pd.concat(off, axis=1) ** 2
        together = SHARED * float(np.nanmean(squared))
        total, n = squared.sum(axis=1) + together, squared.count(axis=1) + SHARED
        scaled = []
        for error, table in zip(off, tables, strict=True):
            # A gene that nobody saw says nothing.
            told = error.notna() & ((error > 0) | (table["spread"] > 0))
            # Without its own error, which would make it seem smaller than one of a new time.
            others = ((total - (error**2).fillna(0)) / (n - error.notna())) ** 0.5
            scale = _scale(others, table["spread"]).clip(lower=TINY)
            scaled.append((error / scale)[told].to_numpy())
        multiple = _quantile(np.concatenate(scaled), level) / UNKNOWN[kind]
        found[kind] = Errors((total / n) ** 0.5, multiple)
    return found


def _quantile(values: np.ndarray, level: float) -> float:
    """The value that a further one stays below with a chance of ``level``; at most the largest."""
    if not len(values):
        return 0.0
    share = min(1.0, level * (1 + 1 / len(values)))
    return float(np.quantile(values, share, method="higher"))


def _named(numbers: Any) -> pd.Series:
    """Numbers of a summary with their names."""
    import pandas as pd

    return numbers if isinstance(numbers, pd.Series) else pd.Series(np.atleast_1d(numbers))


def values_of(cells: AnnData) -> np.ndarray:
    """Values (n_cells, n_genes) of predicted cells: of counts, log1p of counts per 10,000."""
    from scipy.sparse import issparse

    values: Any = cells.layers.get("log1p_cp10k", cells.X)
    return np.asarray(values.toarray() if issparse(values) else values)


def resampled(adata: AnnData, time_key: str, rng: np.random.Generator) -> AnnData:
    """Return cells drawn with replacement within each time, as many as there are."""
    time = measured_time(adata, time_key)
    rows = [np.flatnonzero(time == value) for value in np.unique(time)]
    rows = [rng.choice(own, len(own)) for own in rows]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Observation names are not unique")
        cells = adata[np.concatenate(rows)].copy()
    cells.obs_names_make_unique()
    return cells
