"""Training cells as points of a latent space, and predicted points as cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from scstlib.models.temporal.cells import CellFormat, check_validation_time
from scstlib.models.temporal.scnode.count_factors import CountFactors
from scstlib.models.temporal.scnode.drift import DriftField
from scstlib.models.temporal.scnode.value_factors import ValueFactors
from scstlib.preprocess.cells import COUNTS_PER_CELL, CellReader

if TYPE_CHECKING:
    from anndata import AnnData


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


def population_at(
    cells: LatentCells,
    field: DriftField,
    time: float,
    n_cells: int,
    rng: np.random.Generator,
    start_times: Literal["all", "first"],
) -> np.ndarray:
    """Return latent points (n_cells, n_latent) of the population at a time.

    With ``start_times="all"`` cells of both neighbouring training times are moved to it, more of
    the nearer one; beyond the last time, and with "first" always, those of one time.
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
    shares = [(left, n_cells - n_right), (right, n_right)]
    return np.concatenate([_moved(cells, field, start, time, n, rng) for start, n in shares if n])


def _moved(
    cells: LatentCells,
    field: DriftField,
    start: float,
    time: float,
    n_cells: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Cells of a training time, each as often as any other up to one, moved to ``time``."""
    points = cells.at(start)
    whole, rest = divmod(n_cells, len(points))
    # Drawn as copying draws them: a drift at rest predicts the cells that copying does.
    drawn = rng.choice(len(points), rest, replace=False)
    rows = np.r_[np.repeat(np.arange(len(points)), whole), drawn]
    moved: np.ndarray = field.flow(points[rows], start, [time])[0]
    return moved


def predicted_cells(
    factors: CountFactors | ValueFactors,
    cells: CellFormat,
    latent: np.ndarray,
    time: np.ndarray,
    noise: bool | Literal["depth"],
    generator: torch.Generator,
) -> AnnData:
    """Return cells at latent points (n, n_latent), as measured or as expected.

    Parameters
    ----------
    factors : CountFactors or ValueFactors
        What the latent points stand for.
    time : numpy.ndarray, shape (n,)
        What ``obs`` says of each cell.
    noise : bool or "depth"
        True: drawn; False: expected, at the median depth; "depth": expected, at drawn depths.
    """
    import pandas as pd
    from anndata import AnnData

    points = torch.as_tensor(latent, device=generator.device)
    obs = pd.DataFrame({cells.time_key: time}, index=np.arange(len(time)).astype(str))
    frame = {"obs": obs, "var": pd.DataFrame(index=list(cells.genes)), "obsm": {"latent": latent}}
    if isinstance(factors, ValueFactors):
        drawn = noise is True
        x = factors.draw(points, generator) if drawn else factors.expected_values(points)
        return AnnData(x.cpu().numpy(), **frame)
    assert cells.depth is not None
    if noise is True:
        x = factors.draw(points, factors.draw_totals(len(points), generator), generator)
        found = x.sum(1, keepdim=True).clamp(min=1)
        values, kind = torch.log1p(x * (COUNTS_PER_CELL / found)), "counts"
    else:
        totals = factors.draw_totals(len(points), generator) if noise else None
        depth = cells.depth if totals is None else totals[:, None]
        x, kind = factors.log_share(points).exp() * depth, "expected counts"
        values = factors.expected_values(points, totals)
    layers = {"log1p_cp10k": values.cpu().numpy()}
    return AnnData(x.cpu().numpy(), layers=layers, uns={"value_kind": kind}, **frame)
