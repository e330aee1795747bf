"""Checkpoints: when the flow pulls neighbouring cells apart, and along which genes.

At each time the velocity about the cells is linear to first order, dv = J dz. The symmetric part of
J, averaged over the cells, is the *strain*: a direction u stretches at the rate u · strain u, and
the direction that stretches most is the eigenvector of the largest eigenvalue. Where a resting
state turns unstable and cells begin to part, that eigenvalue rises to a peak; where they have
parted, each branch pulls its cells together again and it falls. Each peak is a checkpoint, followed
along its own direction, because another direction may begin to stretch before the first has ended.
It is dated by its onset, when the rate along this direction has come half the way to its peak; at
the peak, which is later, cells part fastest.

Averaging over cells before eigenvalues are taken leaves what the cells have in common: the
stretching along one direction that a population shows when it splits. Cells that merely fall out of
step stretch the population too. Both are times at which differences arise, and ``two_groups`` helps
to tell them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scstlib.analysis.cells import Populations, gene_direction, latent_scale, top_genes

if TYPE_CHECKING:
    from anndata import AnnData

    from scstlib.models.temporal.protocol import LatentFlow

#: Share of the peak at which an episode begins and ends.
ONSET = 0.5
#: Least height of a peak, as a share of the highest, and least depth of the valley beside it, as a
#: share of its own height. A flat ripple is no peak of its own.
HEIGHT, PROMINENCE = 0.2, 0.1
#: Cosine from which two directions count as one.
SAME = 0.5
#: Share of the spread of the cells by which they are moved to see how the velocity changes.
STEP = 0.1
POINTS = 97
#: Of each measured time; a mean over cells needs no more.
MAX_CELLS = 1000


@dataclass(frozen=True)
class Stretching:
    """How the flow stretches the population.

    Attributes
    ----------
    times : numpy.ndarray, shape (n_times,)
        Ascending.
    strain : numpy.ndarray, shape (n_times, latent, latent)
        Symmetric part of the mean of dv/dz, per unit of time.
    """

    times: np.ndarray
    strain: np.ndarray

    @property
    def rate(self) -> np.ndarray:
        """Rate (n_times,) along the direction that stretches most: exp(rate × time) of growth."""
        return np.asarray(np.linalg.eigvalsh(self.strain)[:, -1])

    @property
    def directions(self) -> np.ndarray:
        """The directions (n_times, latent) that stretch most: unit vectors of arbitrary sign."""
        return np.asarray(np.linalg.eigh(self.strain)[1][:, :, -1])

    def along(self, direction: np.ndarray) -> np.ndarray:
        """Return the rate (n_times,) along one direction (latent,), a unit vector."""
        rates: np.ndarray = np.einsum("i,tij,j->t", direction, self.strain, direction)
        return rates


@dataclass(frozen=True)
class Episode:
    """A direction (latent,) that stretches from ``start`` to ``end`` and most at ``peak``.

    ``rate`` is the rate at the peak, ``fold`` the factor by which distances grow meanwhile.
    """

    start: float
    peak: float
    end: float
    rate: float
    fold: float
    direction: np.ndarray


def stretching(
    model: LatentFlow, adata: AnnData, times: Sequence[float] | None = None
) -> Stretching:
    """Measure how the flow stretches the population.

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
    grid = np.unique(np.asarray(times, dtype=float))
    mean = np.stack([mean_jacobian(model, cells.at(t), t) for t in grid.tolist()])
    return Stretching(grid, (mean + mean.transpose(0, 2, 1)) / 2)


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
    min_spread: float = 1.5,
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
    min_spread : float
        Least ``spread`` of a checkpoint.
    n_genes : int
        Genes to name for each checkpoint.

    Returns
    -------
    AnnData
        One row for each checkpoint, in order of time; none if there are none.

        ``obs["time"]``, ``"peak"``, ``"end"``
            Onset, when cells part fastest, and when the rate has fallen to half again. An onset at
            the first time, or an end at the last, may lie outside of what was looked at.
        ``obs["rate"]``
            At the peak, per unit of time.
        ``obs["fold"]``
            Factor by which the flow stretches distances from onset to end.
        ``obs["spread"]``
            Factor by which the standard deviation of the cells along the direction grows.
        ``obs["two_groups"]``
            Share of the variance along the direction, at the end, that lies between two groups of
            cells: 2/π = 0.64 for a normal distribution, up to 1 for two separate groups.
        ``obs["genes"]``
            Those that change most along the direction.
        ``obsm["direction"]`` (latent)
            Unit vector along which cells part.
        ``X`` (genes)
            Change of the decoded values per standard deviation of the cells at the peak.
        ``uns["times"]``, ``uns["rate"]``
            Where was looked, and the rate along the direction that stretches most, as
            :class:`Stretching` has it.

    Notes
    -----
    Onsets are as exact as the model: a fitted flow is smooth in time, so that a bifurcation is seen
    within about one interval between measured times.
    """
    import pandas as pd
    from anndata import AnnData

    cells = Populations(model, adata, MAX_CELLS)
    rows, directions, changes = [], [], []
    flow = _stretching(model, cells, times)
    for episode in find_episodes(flow):
        before, at_peak, after = (
            cells.at(time) for time in (episode.start, episode.peak, episode.end)
        )
        first, last = before @ episode.direction, after @ episode.direction
        spread = last.std() / max(first.std(), np.finfo(float).tiny)
        if spread < min_spread:
            continue
        step = STEP * latent_scale(at_peak)
        along = gene_direction(model, at_peak, episode.direction, step).mean(axis=0)
        changes.append(along * (at_peak @ episode.direction).std())
        directions.append(episode.direction)
        rows.append(
            {
                "time": episode.start,
                "peak": episode.peak,
                "end": episode.end,
                "rate": episode.rate,
                "fold": episode.fold,
                "spread": spread,
                "two_groups": two_groups(last),
                "genes": ", ".join(top_genes(model.genes, along, n_genes)),
            }
        )
    columns = ["time", "peak", "end", "rate", "fold", "spread", "two_groups", "genes"]
    obs = pd.DataFrame(rows, columns=columns, index=[f"checkpoint{k}" for k in range(len(rows))])
    dim = cells.at(cells.times[0]).shape[1]
    return AnnData(
        np.reshape(changes, (len(rows), len(model.genes))).astype(np.float32),
        obs=obs,
        var=pd.DataFrame(index=list(model.genes)),
        obsm={"direction": np.reshape(directions, (len(rows), dim))},
        uns={"times": flow.times, "rate": flow.rate},
    )


def find_episodes(flow: Stretching) -> list[Episode]:
    """Return the episodes in which some direction stretches, in order of their start.

    A peak within an episode that is higher and has nearly the same direction is no other one.
    """
    from scipy.integrate import trapezoid
    from scipy.signal import find_peaks, peak_prominences

    rate, directions = flow.rate, flow.directions
    # What lies before the first and after the last time counts as low.
    low = min(float(rate.min()), 0.0) - 1.0
    padded = np.concatenate([[low], rate, [low]])
    tops, _ = find_peaks(padded)
    height = padded[tops]
    # Depth from the peak to the valley, but no further down than to 0.
    depth = np.minimum(peak_prominences(padded, tops)[0], height)
    stands_out = (height > 0) & (height >= HEIGHT * rate.max()) & (depth >= PROMINENCE * height)
    peaks = tops[stands_out] - 1

    found: list[Episode] = []
    for peak in peaks[np.argsort(-rate[peaks], kind="stable")]:
        direction, when = directions[peak], float(flow.times[peak])
        if any(
            abs(direction @ known.direction) > SAME and known.start <= when <= known.end
            for known in found
        ):
            continue
        along = flow.along(direction)
        start = _descent(flow.times[: peak + 1][::-1], along[: peak + 1][::-1])
        end = _descent(flow.times[peak:], along[peak:])
        inside = flow.times[(flow.times > start) & (flow.times < end)]
        grid = np.concatenate([[start], inside, [end]])
        fold = float(np.exp(trapezoid(np.interp(grid, flow.times, along), grid)))
        found.append(Episode(start, when, end, float(rate[peak]), fold, direction))
    return sorted(found, key=lambda episode: episode.start)


def _descent(times: np.ndarray, rate: np.ndarray) -> float:
    """Return when the rate, which begins at its peak, has fallen to half; the last time if never.

    Between times the rate is a straight line.
    """
    level = ONSET * rate[0]
    below = np.flatnonzero(rate < level)
    if len(below) == 0:
        return float(times[-1])
    k = below[0]
    share = (rate[k - 1] - level) / (rate[k - 1] - rate[k])
    return float(times[k - 1] + share * (times[k] - times[k - 1]))


def two_groups(values: np.ndarray) -> float:
    """Return the share of the variance of ``values`` (n,) between the two groups of the best cut.

    0 if all values are equal.
    """
    ordered = np.sort(values - values.mean())
    n, variance = len(ordered), values.var()
    if variance == 0:
        return 0.0
    left = np.arange(1, n)
    # The sum to the right of each cut is minus that to its left.
    sums = np.cumsum(ordered)[:-1]
    return float((sums**2 / (left * (n - left))).max() / variance)
