"""Training cells as points of a latent space, and predicted points as cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import torch

from scstlib.caller import warn_caller
from scstlib.models.temporal.cells import CellFormat, check_validation_time
from scstlib.models.temporal.scnode.count_factors import CountFactors
from scstlib.models.temporal.scnode.drift import DriftField
from scstlib.models.temporal.scnode.value_factors import ValueFactors
from scstlib.preprocess.cells import COUNTS_PER_CELL, EXPECTED_COUNTS, CellReader

if TYPE_CHECKING:
    from anndata import AnnData
    from scipy.sparse import csr_matrix

MARGIN = 0.5  # Of the measured range, by which predictions may leave it unsaid.
MOST_OUTSIDE = 0.05  # Of the predicted cells.
# A latent point has the chance error of its cell's counts. Before the last time, a population
# without noise starts from means over so many near cells, of at most one in twenty of their time.
NEAR_STARTS, FEWEST_FOR_ONE = 5, 20


@dataclass(frozen=True)
class LatentCells(CellFormat):
    """Training cells as points of the latent space.

    Attributes
    ----------
    points : numpy.ndarray, shape (n_cells, n_latent), float32
    time : numpy.ndarray, shape (n_cells,)
    """

    points: np.ndarray
    time: np.ndarray

    def at(self, time: float) -> np.ndarray:
        """Return the points of the cells measured at ``time``, (n, n_latent)."""
        own: np.ndarray = self.points[self.time == time]
        return own


@dataclass(frozen=True)
class StartCells:
    """Measured cells that predictions start from, as they are stored, compressed by row.

    Attributes
    ----------
    points : numpy.ndarray, shape (n, n_latent), float32
    time : numpy.ndarray, shape (n,)
    data, indices, indptr : numpy.ndarray
        Entries that are not zero, the genes of each, and where each cell begins.
    """

    points: np.ndarray
    time: np.ndarray
    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    n_genes: int

    @classmethod
    def of(cls, stored: np.ndarray, points: np.ndarray, time: np.ndarray) -> Self:
        """Keep cells, ``stored`` of shape (n, genes)."""
        from scipy.sparse import csr_matrix

        kept = csr_matrix(stored)
        return cls(points, time, kept.data, kept.indices, kept.indptr, stored.shape[1])

    def stored(self, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Return cells as they are stored, (n, genes) float32."""
        found: np.ndarray = self._matrix()[rows].toarray()
        return found

    def check(self) -> None:
        """Refuse entries at places that no cell or gene has."""
        self._matrix().check_format()

    def _matrix(self) -> csr_matrix:
        from scipy.sparse import csr_matrix

        shape = (len(self.time), self.n_genes)
        return csr_matrix((self.data, self.indices, self.indptr), shape=shape)

    def at(self, time: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the cells of a time, as stored (n, genes) and in the latent space."""
        rows = np.flatnonzero(self.time == time)
        return self.stored(rows), self.points[rows]

    def at_most(self, n: int, rng: np.random.Generator) -> StartCells:
        """Return at most n cells of each time."""
        rows = some_of_each(self.time, np.ones(len(self.time), dtype=bool), n, rng)
        return StartCells.of(self.stored(rows), self.points[rows], self.time[rows])


def some_of_each(
    time: np.ndarray, chosen: np.ndarray, n: int, rng: np.random.Generator
) -> np.ndarray:
    """Return rows of at most n of the chosen cells of each time, ascending."""
    order = rng.permutation(np.flatnonzero(chosen))
    return np.sort(np.concatenate([order[time[order] == each][:n] for each in np.unique(time)]))


def training_rows(reader: CellReader, validation_time: float | None) -> np.ndarray:
    """Which cells are trained on, a mask (n_cells,).

    Raises
    ------
    ValueError
        As :func:`scstlib.models.temporal.cells.check_validation_time` says.
    """
    if validation_time is None:
        return np.ones(len(reader), dtype=bool)
    check_validation_time(validation_time, reader.times)
    mask: np.ndarray = reader.time != validation_time
    return mask


def same_share(
    time: np.ndarray, chosen: np.ndarray, n: int, rng: np.random.Generator
) -> np.ndarray:
    """Rows of at most n of the chosen cells, ascending, the same share of every time.

    Raises
    ------
    ValueError
        If n is less than three cells a time.
    """
    rows = np.flatnonzero(chosen)
    fewest = 3 * len(np.unique(time[rows]))
    if n < min(fewest, len(rows)):
        raise ValueError(
            f"max_cells_in_memory is {n}; the factors need three cells of each time, {fewest}."
        )
    if len(rows) <= n:
        return rows
    order = rng.permutation(rows)
    order = order[np.argsort(time[order], kind="stable")]
    return np.sort(order[np.linspace(0, len(order) - 1, n).astype(int)])


def draw_rows(n_rows: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw n rows, each as often as any other up to one, as copying cells draws them."""
    whole, rest = divmod(n, n_rows)
    rows: np.ndarray = np.r_[
        np.repeat(np.arange(n_rows), whole), rng.choice(n_rows, rest, replace=False)
    ]
    return rows


def population_at(
    cells: LatentCells,
    field: DriftField,
    time: float,
    n_cells: int,
    rng: np.random.Generator,
    start_times: Literal["all", "first"],
    averaged: bool = False,
) -> np.ndarray:
    """Return latent points (n_cells, n_latent) of the population at a time.

    With ``start_times="all"`` cells of both neighbouring training times are moved to it, more of
    the nearer one; from the last time on, and with "first" always, those of one time. With
    ``averaged`` those of two times start from means of cells near them (:func:`near_means`), which
    does not pay beyond the last.
    """
    times = cells.times
    if start_times == "first":
        return _moved(cells, field, times[0], time, n_cells, rng)
    after = int(np.searchsorted(times, time, side="right"))
    if after == len(times):
        return _moved(cells, field, times[-1], time, n_cells, rng)
    left, right = times[after - 1], times[after]
    # Drawing the remainder keeps the share of the later time right for any n_cells.
    n_right = int(n_cells * (time - left) / (right - left) + rng.random())
    starts = [(left, n_cells - n_right), (right, n_right)]
    return np.concatenate(
        [_moved(cells, field, start, time, n, rng, averaged) for start, n in starts if n]
    )


def _moved(
    cells: LatentCells,
    field: DriftField,
    start: float,
    time: float,
    n_cells: int,
    rng: np.random.Generator,
    averaged: bool = False,
) -> np.ndarray:
    """Cells of a training time, each as often as any other up to one, moved to ``time``."""
    points = cells.at(start)
    rows = draw_rows(len(points), n_cells, rng)
    starts = near_means(points, rows) if averaged else points[rows]
    moved: np.ndarray = field.flow(starts, start, [time])[0]
    return moved


def near_means(points: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Mean of the points nearest to each of ``rows`` of ``points`` (n, rank), itself among them."""
    from sklearn.neighbors import NearestNeighbors

    k = min(NEAR_STARTS, max(len(points) // FEWEST_FOR_ONE, 1))
    near = NearestNeighbors(n_neighbors=k).fit(points)
    means: np.ndarray = points[near.kneighbors(points[rows], return_distance=False)].mean(1)
    return means


def warn_of_cells_outside(latent: np.ndarray, cells: LatentCells, time: float) -> None:
    """Warn if predicted cells lie where nothing was measured at the times around ``time``.

    That is the case if over ``MOST_OUTSIDE`` of them lie outside the range of the measured cells,
    widened on each side by ``MARGIN`` of it, along any latent axis.

    Parameters
    ----------
    latent : numpy.ndarray, shape (n_cells, n_latent)
        Predicted cells.
    """
    after = int(np.searchsorted(cells.times, time))
    around = cells.times[max(after - 1, 0) : after + 1]
    measured = np.concatenate([cells.at(each) for each in around])
    low, high = measured.min(0), measured.max(0)
    margin = MARGIN * (high - low)
    outside = ((latent < low - margin) | (latent > high + margin)).any(axis=1).mean()
    if outside > MOST_OUTSIDE:
        warn_caller(
            f"{outside:.0%} of the cells predicted at time {time:g} lie outside the range measured"
            f" at {' and '.join(f'{each:g}' for each in around)} by more than half of it;"
            " nothing measured supports them"
        )


def expected_cells(
    factors: CountFactors | ValueFactors,
    cells: CellFormat,
    latent: np.ndarray,
    noise: bool | Literal["depth"],
    generator: torch.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return X and values (n, genes) of cells at latent points (n, n_latent).

    Parameters
    ----------
    factors : CountFactors or ValueFactors
        What the latent points stand for.
    noise : bool or "depth"
        True: drawn; False: expected, at the median depth; "depth": expected, at drawn depths.

    Returns
    -------
    tuple of numpy.ndarray
        In the unit of the input, and of counts log1p of counts per 10,000, else the same.
    """
    points = torch.as_tensor(latent, device=generator.device)
    if isinstance(factors, ValueFactors):
        drawn = noise is True
        x = factors.draw(points, generator) if drawn else factors.expected_values(points)
        return x.cpu().numpy(), x.cpu().numpy()
    assert cells.depth is not None
    if noise is True:
        x = factors.draw(points, factors.draw_totals(len(points), generator), generator)
        found = x.sum(1, keepdim=True).clamp(min=1)
        return x.cpu().numpy(), torch.log1p(x * (COUNTS_PER_CELL / found)).cpu().numpy()
    totals = factors.draw_totals(len(points), generator) if noise else None
    depth = cells.depth if totals is None else totals[:, None]
    x = factors.log_share(points).exp() * depth
    return x.cpu().numpy(), factors.expected_values(points, totals).cpu().numpy()


def as_cells(
    cells: CellFormat,
    time: np.ndarray,
    x: np.ndarray,
    values: np.ndarray,
    latent: np.ndarray,
    drawn: bool,
) -> AnnData:
    """Return predicted cells as AnnData, ``time`` (n,) in ``obs``, ``drawn`` or expected ones."""
    import pandas as pd
    from anndata import AnnData

    obs = pd.DataFrame({cells.time_key: time}, index=np.arange(len(time)).astype(str))
    frame = {"obs": obs, "var": pd.DataFrame(index=list(cells.genes)), "obsm": {"latent": latent}}
    if cells.depth is None:
        return AnnData(x, **frame)
    kind = "counts" if drawn else EXPECTED_COUNTS
    return AnnData(x, layers={"log1p_cp10k": values}, uns={"value_kind": kind}, **frame)
