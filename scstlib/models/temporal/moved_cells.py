"""Measured cells that move in a few principal components and keep what these leave of them."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from scstlib.models.temporal.cells import MeasuredCells
from scstlib.models.temporal.protocol import (
    FittedOnCells,
    KeptCellsModel,
    check_times_have_cells,
)

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Components:
    """Principal components of training cells.

    Attributes
    ----------
    mean : numpy.ndarray, shape (n_genes,)
    axes : numpy.ndarray, shape (n_components, n_genes)
        Orthonormal.
    """

    mean: np.ndarray
    axes: np.ndarray

    @classmethod
    def fit(cls, values: np.ndarray, n_components: int, seed: int) -> Self:
        """Return the components of values (n_cells, n_genes).

        Raises
        ------
        ValueError
            If there are not so many components.
        """
        from sklearn.decomposition import PCA

        largest = min(values.shape)
        if not 1 <= n_components <= largest:
            raise ValueError(f"n_components must be 1 to {largest} here, not {n_components}.")
        mean = values.mean(0)
        axes = PCA(n_components, random_state=seed).fit(values - mean).components_
        return cls(mean, axes)

    def project(self, values: np.ndarray) -> np.ndarray:
        """Return the points (n, n_components), float64, of values (n, n_genes)."""
        points: np.ndarray = ((values - self.mean) @ self.axes.T).astype(np.float64)
        return points

    def values(self, points: np.ndarray) -> np.ndarray:
        """Return the de-noised values (n, n_genes) of points."""
        values: np.ndarray = points @ self.axes + self.mean
        return values

    def carry(
        self, cells: np.ndarray, start: np.ndarray, end: np.ndarray, signed: bool
    ) -> np.ndarray:
        """Move cells as their points move, and leave the rest of them as it was measured.

        Parameters
        ----------
        cells : numpy.ndarray, shape (n, n_genes)
            Measured values.
        start, end : numpy.ndarray, shape (n, n_components)
            Points of the cells, and where they go.
        signed : bool
            Whether measured values are negative somewhere. If not, a zero stays a zero, as a gene
            that was not seen in a cell is not seen for a small change, and nothing falls below 0.

        Examples
        --------
        >>> space = Components(mean=np.zeros(2), axes=np.array([[0.6, 0.8]]))
        >>> cells, start = np.array([[1.0, 0.0]]), np.array([[0.6]])
        >>> space.carry(cells, start, start + 1, signed=False).tolist()
        [[1.6, 0.0]]
        """
        moved: np.ndarray = cells + (end - start) @ self.axes
        return moved if signed else np.where(cells > 0, np.maximum(moved, 0), 0)


def at_most(cells: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return ``n`` rows drawn without replacement, or all where there are no more."""
    return cells if len(cells) <= n else cells[rng.choice(len(cells), n, replace=False)]


def draw_by_mass(mass: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw n indices in proportion to ``mass``, each as often as it is expected, up to one.

    Systematic sampling, in random order: unlike n independent draws it does not leave out some and
    repeat others by chance.

    Examples
    --------
    >>> drawn = draw_by_mass(np.array([2.0, 0.0, 1.0, 1.0]), 8, np.random.default_rng(0))
    >>> np.bincount(drawn).tolist()
    [4, 0, 2, 2]
    """
    ends = np.cumsum(mass)
    levels = (np.arange(n) + rng.random()) * (ends[-1] / max(n, 1))
    drawn = np.searchsorted(ends, levels, side="right").clip(max=np.flatnonzero(mass)[-1])
    return rng.permutation(drawn)


def partners(plan: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw for each of ``rows`` of a coupling a column, by its mass."""
    cumulative = plan.cumsum(axis=1)
    level = rng.random(len(rows)) * cumulative[rows, -1]
    drawn: np.ndarray = (cumulative[rows] <= level[:, None]).sum(axis=1).clip(max=plan.shape[1] - 1)
    return drawn


class MovedCells(KeptCellsModel):
    """Cells of the training times on both sides of a requested time, moved to it.

    Between two training times each predicted cell starts at one of them, at the nearer one with
    the larger chance, in proportion to time, and moves forwards or backwards. Outside, all start
    at the outermost time. A cell moves in principal components. With noise it keeps its own
    residual, what the components leave of it; ``noise=False`` and ``noise="depth"`` give what the
    components hold.

    A subclass names ``n_components``, ``max_cells`` and ``seed`` among its settings and implements
    ``_learn_moves`` and ``_moved``.

    Attributes
    ----------
    space_ : Components
    measured_ : dict of float to numpy.ndarray
        By training time the values (n_cells, n_genes) of at most ``max_cells`` cells.
    points_ : dict of float to numpy.ndarray
        Their points (n_cells, n_components).
    """

    n_components: int
    max_cells: int
    seed: int

    def _learn(self, cells: MeasuredCells) -> None:
        self.space_ = Components.fit(cells.values, self.n_components, self.seed)
        self._place(cells)
        self._learn_moves(cells)

    def _place(self, cells: MeasuredCells) -> None:
        """Draw cells of each time and project them."""
        rng = np.random.default_rng(self.seed)
        times = [float(time) for time in cells.times]
        self.measured_ = {time: at_most(cells.at(time), self.max_cells, rng) for time in times}
        self.points_ = {time: self.space_.project(own) for time, own in self.measured_.items()}

    def _space_tensors(self) -> dict[str, Tensor]:
        """Components as a file keeps them, for a model whose moves are a trained network."""
        import torch

        return {
            "space.mean": torch.as_tensor(self.space_.mean),
            "space.axes": torch.as_tensor(self.space_.axes),
        }

    def _restore_space(
        self, learned: dict[str, Any], tensors: dict[str, Tensor], device: str
    ) -> None:
        """Take over cells and components of a file as they are, where a fit would learn anew."""
        from scstlib.models.files import check_shapes, under

        FittedOnCells._restore(self, learned, tensors, device)
        cells = self._fitted()
        check_times_have_cells(cells)
        space = {name: value.numpy() for name, value in under("space", tensors).items()}
        known = {"values": (cells.values, "cells genes"), "mean": (space["mean"], "genes")}
        check_shapes({**known, "axes": (space["axes"], "components genes")})
        self.space_ = Components(space["mean"], space["axes"])
        self._place(cells)

    @abstractmethod
    def _learn_moves(self, cells: MeasuredCells) -> None:
        """Learn how points move, from ``points_``."""

    @abstractmethod
    def _moved(
        self, start: float, time: float, rows: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return where points come from and go to.

        Both are (n, n_components). The difference moves cells with noise; the latter is the place
        of cells without.

        Parameters
        ----------
        start, time : float
            Training time where the cells start, and the requested time.
        rows : numpy.ndarray, shape (n,)
            Which of the cells at ``start``.
        """

    def _chances(self, start: float, time: float) -> np.ndarray | None:
        """Return the chances (n_cells,) of the cells at ``start`` to be drawn; None: equal."""
        return None

    def _draw(
        self,
        cells: MeasuredCells,
        time: float,
        n_cells: int,
        rng: np.random.Generator,
        noise: bool,
    ) -> np.ndarray:
        left, right, weight = cells.between(time)
        from_right = int(rng.binomial(n_cells, weight))
        signed = bool(cells.values.min() < 0)
        parts = []
        for start, n in ((left, n_cells - from_right), (right, from_right)):
            if n == 0:
                continue
            own = self.measured_[start]
            chances = self._chances(start, time)
            again = chances is not None or n > len(own)
            rows = rng.choice(len(own), n, replace=again, p=chances)
            begin, end = self._moved(start, time, rows, rng)
            values = self.space_.values(end)
            parts.append(self.space_.carry(own[rows], begin, end, signed) if noise else values)
        return np.concatenate(parts)[rng.permutation(n_cells)]
