"""Checkpoints: when the flow pulls neighbouring cells apart, and along which genes.

At each time the velocity about the cells is linear to first order, dv = J dz. The largest
eigenvalue of the symmetric part of J, averaged over the cells, is the rate at which the population
stretches along the direction that stretches most. Where a resting state turns unstable and cells
begin to part, the rate rises to a peak; where they have parted, each branch pulls its cells
together again and the rate falls. Each such *episode* is a checkpoint, dated by its onset: the time
when the rate has come half the way to its peak. The peak itself is later, when cells part fastest.

Averaging J before its eigenvalue is taken leaves what the cells have in common: the stretching
along one direction that a population shows when it splits. A population that is merely sheared
stretches too, for a while; ``fold`` says how much, and ``spread`` whether cells did part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from scstlib.analysis.cells import Populations, gene_direction, latent_scale, top_genes

if TYPE_CHECKING:
    from anndata import AnnData

    from scstlib.models.protocol import LatentFlow

#: Share of the peak at which an episode begins and ends.
ONSET = 0.5
#: Least depth of the valley between two peaks, as a share of the lower one's height.
PROMINENCE = 0.3
#: Share of the spread of the cells by which they are moved to see how the velocity changes.
STEP = 0.1
POINTS = 97
#: Of each measured time; a mean Jacobian needs no more.
MAX_CELLS = 1000


@dataclass(frozen=True)
class Stretching:
    """How fast the flow stretches the population.

    Attributes
    ----------
    times : numpy.ndarray, shape (n_times,)
    rate : numpy.ndarray, shape (n_times,)
        Per unit of time: distances along ``directions`` grow as exp(rate × time).
    directions : numpy.ndarray, shape (n_times, latent)
        Unit vectors; the sign is kept from each time to the next.
    spread : numpy.ndarray, shape (n_times,)
        Standard deviation of the cells along the direction.
    """

    times: np.ndarray
    rate: np.ndarray
    directions: np.ndarray
    spread: np.ndarray


def stretching(
    model: LatentFlow, adata: AnnData, times: Sequence[float] | None = None
) -> Stretching:
    """Measure how fast the flow stretches the population, and where to.

    Parameters
    ----------
    model : LatentFlow
    adata : AnnData
        Measured cells. At a time without any, those of the time before are flown there.
    times : sequence of float, optional
        By default 97 times from the first to the last measured one.
    """
    return _stretching(model, Populations(model, adata, MAX_CELLS), times)


def _stretching(model: LatentFlow, cells: Populations, times: Sequence[float] | None) -> Stretching:
    if times is None:
        times = np.linspace(cells.times[0], cells.times[-1], POINTS).tolist()
    grid = np.sort(np.asarray(times, dtype=float))
    rates, spreads = [], []
    directions: list[np.ndarray] = []
    for time in grid:
        latent = cells.at(float(time))
        jacobian = mean_jacobian(model, latent, float(time))
        values, vectors = np.linalg.eigh((jacobian + jacobian.T) / 2)
        direction = vectors[:, -1]
        if directions and direction @ directions[-1] < 0:
            direction = -direction
        rates.append(values[-1])
        directions.append(direction)
        spreads.append((latent @ direction).std())
    return Stretching(grid, np.array(rates), np.stack(directions), np.array(spreads))


def mean_jacobian(model: LatentFlow, latent: np.ndarray, time: float) -> np.ndarray:
    """Return the mean over cells of dv/dz (latent, latent), by central differences."""
    step = STEP * latent_scale(latent)
    columns = [
        (model.velocity(latent + move, time) - model.velocity(latent - move, time)).mean(axis=0)
        for move in step * np.eye(latent.shape[1])
    ]
    return np.stack(columns, axis=1) / (2 * step)


def find_checkpoints(
    model: LatentFlow,
    adata: AnnData,
    *,
    times: Sequence[float] | None = None,
    min_fold: float = 1.4,
    n_genes: int = 10,
) -> AnnData:
    """Find the times at which the flow begins to pull cells apart.

    Parameters
    ----------
    model : LatentFlow
    adata : AnnData
        Measured cells of several times.
    times : sequence of float, optional
        Where to look; see :func:`stretching`.
    min_fold : float
        Least factor by which an episode stretches the population.
    n_genes : int
        Genes to name for each checkpoint.

    Returns
    -------
    AnnData
        One row for each checkpoint, in order of time; none if there are none. ``obs``: ``time``
        (onset), ``peak`` and ``end`` (when the rate has fallen to half again), ``rate`` at the peak
        per unit of time, ``fold`` (factor by which distances grow from onset to end), ``spread``
        (factor by which the standard deviation of the cells along the direction grows meanwhile)
        and ``genes``, those that change most along the direction. ``obsm["direction"]`` (latent):
        the unit vector along which cells part at the peak; ``X`` (genes): the change of the decoded
        values per standard deviation of the cells.

    Notes
    -----
    Onsets are as exact as the model: a fitted flow is smooth in time, so that a bifurcation is seen
    within about one interval between measured times.
    """
    import pandas as pd
    from anndata import AnnData

    cells = Populations(model, adata, MAX_CELLS)
    flow = _stretching(model, cells, times)
    rows, directions, changes = [], [], []
    for first, peak, last in episodes(flow.times, flow.rate):
        fold = float(np.exp(_integral(flow.times, flow.rate, first, last)))
        if fold < min_fold:
            continue
        direction = flow.directions[peak]
        latent = cells.at(float(flow.times[peak]))
        along = gene_direction(model, latent, direction, STEP * latent_scale(latent)).mean(axis=0)
        start, end = cells.at(first), cells.at(last)
        spread = (end @ direction).std() / max((start @ direction).std(), np.finfo(float).tiny)
        changes.append(along * (latent @ direction).std())
        directions.append(direction)
        rows.append(
            {
                "time": first,
                "peak": flow.times[peak],
                "end": last,
                "rate": flow.rate[peak],
                "fold": fold,
                "spread": spread,
                "genes": ", ".join(top_genes(model.genes, along, n_genes)),
            }
        )
    columns = ["time", "peak", "end", "rate", "fold", "spread", "genes"]
    obs = pd.DataFrame(rows, columns=columns, index=[f"checkpoint{k}" for k in range(len(rows))])
    shape = (len(rows), len(model.genes))
    return AnnData(
        np.reshape(changes, shape).astype(np.float32),
        obs=obs,
        var=pd.DataFrame(index=list(model.genes)),
        obsm={"direction": np.reshape(directions, (len(rows), flow.directions.shape[1]))},
    )


def episodes(times: np.ndarray, rate: np.ndarray) -> list[tuple[float, int, float]]:
    """Return onset, index of the peak and end of each time the rate rises to a peak and falls.

    A peak is positive and stands out by ``PROMINENCE`` of its height from what lies between it and
    a higher one. Onset and end are where the rate crosses half the peak; where it does not fall
    so far before the next peak, half the way from the valley; and where it does not fall at all,
    the first or last time. Between times the rate is a straight line.
    """
    from scipy.signal import find_peaks, peak_prominences

    # What lies before the first and after the last time counts as low.
    low = min(float(rate.min()), 0.0) - 1.0
    padded = np.concatenate([[low], rate, [low]])
    tops, _ = find_peaks(padded)
    height = padded[tops]
    # Depth from the peak to the valley, but no further down than to 0.
    depth = np.minimum(peak_prominences(padded, tops)[0], height)
    peaks = tops[(height > 0) & (depth >= PROMINENCE * height)] - 1
    if len(peaks) == 0:
        return []
    edges = [i + int(rate[i : j + 1].argmin()) for i, j in pairwise(peaks)]
    found = []
    bounds = zip([0, *edges], peaks, [*edges, len(rate) - 1], strict=True)
    for left, peak, right in bounds:
        first = _descent(times[left : peak + 1][::-1], rate[left : peak + 1][::-1], left > 0)
        last = _descent(times[peak : right + 1], rate[peak : right + 1], right < len(rate) - 1)
        found.append((first, int(peak), last))
    return found


def _descent(times: np.ndarray, rate: np.ndarray, valley: bool) -> float:
    """Return when the rate, seen from its peak at the first entry, has fallen far enough."""
    level = ONSET * rate[0]
    if valley and rate[-1] > level:
        level = rate[-1] + ONSET * (rate[0] - rate[-1])
    below = np.flatnonzero(rate < level)
    if len(below) == 0:
        return float(times[-1])
    k = below[0]
    share = (rate[k - 1] - level) / (rate[k - 1] - rate[k])
    return float(times[k - 1] + share * (times[k] - times[k - 1]))


def _integral(times: np.ndarray, rate: np.ndarray, first: float, last: float) -> float:
    """Return the integral of the rate from ``first`` to ``last`` by trapezoids."""
    from scipy.integrate import trapezoid

    inside = times[(times > first) & (times < last)]
    at = np.concatenate([[first], inside, [last]])
    return float(trapezoid(np.interp(at, times, rate), at))
