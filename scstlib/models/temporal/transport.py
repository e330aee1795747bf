"""Optimal-transport displacement between neighbouring measured times."""

from __future__ import annotations

import numpy as np

from scstlib.models.settings import check_positive, check_whole, explain_arguments
from scstlib.models.temporal.cells import MeasuredCells
from scstlib.models.temporal.moved_cells import Components, at_most
from scstlib.models.temporal.protocol import KeptCellsModel

# Of two times: rows, rows of the later time, mass of each pair, and how many times its earlier
# cell becomes more.
Pairs = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


class DisplacementInterpolation(KeptCellsModel):
    """McCann's displacement interpolation; the outermost time is repeated outside the range.

    The exact coupling between the two measured times around a requested time is computed with
    squared Euclidean cost. Pairs are drawn from it, and each predicted cell stands on the
    straight line between its pair (McCann 1997, https://doi.org/10.1006/aima.1997.1634). In
    principal components the cells are de-noised, in gene space they are not, whatever ``noise``
    says, unless they keep residuals.

    Parameters
    ----------
    n_components : int or None
        Number of principal components, of the training cells, in which cells are coupled and
        moved. None: in gene space.
    max_cells : int
        At most so many cells of a time enter a coupling, whose cost grows with their product.
    seed : int
        Draws the cells where a time has more than ``max_cells``.
    residuals : bool
        With noise, each predicted cell is one of its pair, the nearer one in time with the larger
        chance, moved to the line, and keeps what the components leave of it
        (``Components.carry`` of ``moved_cells``). Without noise, it is the
        point on the line.
    growth : float, optional
        None: every cell keeps its mass between two times. A number: cells of the earlier time
        have the masses of unbalanced transport (entropic, penalty on the Kullback-Leibler
        divergence from equal masses; POT), the freer the smaller the number is. A pair's mass
        changes at a constant rate in between.

    Raises
    ------
    ValueError
        For residuals in gene space, where there are none, or a number out of range.

    Examples
    --------
    >>> DisplacementInterpolation(n_components=6)
    DisplacementInterpolation(n_components=6)
    >>> DisplacementInterpolation(6, residuals=True, growth=1.0).settings["growth"]
    1.0
    """

    @explain_arguments
    def __init__(
        self,
        n_components: int | None = None,
        max_cells: int = 2000,
        seed: int = 0,
        *,
        residuals: bool = False,
        growth: float | None = None,
    ) -> None:
        check_whole({"max_cells": max_cells}, "max_cells")
        if n_components is not None:
            check_whole({"n_components": n_components}, "n_components")
        if growth is not None:
            check_positive({"growth": growth}, "growth")
        if residuals and n_components is None:
            raise ValueError(
                "residuals=True needs n_components, such as 6: in gene space nothing is left of a"
                " cell"
            )
        self.n_components = n_components
        self.max_cells = max_cells
        self.seed = seed
        self.residuals = residuals
        self.growth = growth

    def _learn(self, cells: MeasuredCells) -> None:
        rng = np.random.default_rng(self.seed)
        self.space_ = (
            None
            if self.n_components is None
            else Components.fit(cells.values, self.n_components, self.seed)
        )
        times = [float(time) for time in cells.times]
        self.measured_ = {time: at_most(cells.at(time), self.max_cells, rng) for time in times}
        self.points_ = {time: self._project(own) for time, own in self.measured_.items()}
        self.pairs_: dict[tuple[float, float], Pairs] = {}

    def _draw(
        self,
        cells: MeasuredCells,
        time: float,
        n_cells: int,
        rng: np.random.Generator,
        noise: bool,
    ) -> np.ndarray:
        left, right, weight = cells.between(time)
        start, end = self.points_[left], self.points_[right]
        if left == right:
            n = len(start)
            from_row = to_row = rng.choice(n, n_cells, replace=n < n_cells)
        else:
            from_row, to_row, mass, grown = self._pairs(left, right)
            mass = mass * grown ** (weight - 1)
            pair = rng.choice(len(mass), n_cells, p=mass / mass.sum())
            from_row, to_row = from_row[pair], to_row[pair]
        points = (1 - weight) * start[from_row] + weight * end[to_row]
        if self.space_ is None:
            return points
        if not (self.residuals and noise):
            return self.space_.values(points)
        later = (rng.random(n_cells) < weight)[:, None]
        own = np.where(later, self.measured_[right][to_row], self.measured_[left][from_row])
        before = np.where(later, end[to_row], start[from_row])
        return self.space_.carry(own, before, points, signed=bool(cells.values.min() < 0))

    def _pairs(self, left: float, right: float) -> Pairs:
        """The coupled pairs of two neighbouring times, kept once they were asked for."""
        if (left, right) not in self.pairs_:
            start, end = self.points_[left], self.points_[right]
            grown = np.ones(len(start)) if self.growth is None else grow(start, end, self.growth)
            plan = coupling(start, end, grown)
            from_row, to_row = plan.nonzero()
            self.pairs_[left, right] = from_row, to_row, plan[from_row, to_row], grown[from_row]
        return self.pairs_[left, right]

    def _project(self, values: np.ndarray) -> np.ndarray:
        return values.astype(np.float64) if self.space_ is None else self.space_.project(values)


def grow(start: np.ndarray, end: np.ndarray, growth: float) -> np.ndarray:
    """Return how many times more each cell becomes between two times, on average once.

    Unbalanced transport, entropic, whose end is held and whose start is not: the masses at the
    start cost ``growth`` times their Kullback-Leibler divergence from equal ones (Chizat et al.
    2018, https://doi.org/10.1090/mcom/3303; POT).

    Parameters
    ----------
    start, end : numpy.ndarray, shapes (n, n_dimensions) and (m, n_dimensions)
    growth : float
        In units of ten times the mean squared distance from a cell to the nearest of the other
        time.

    Returns
    -------
    numpy.ndarray, shape (n,)

    Examples
    --------
    >>> start, end = np.array([[0.0], [9.0]]), np.array([[0.0], [8.9], [9.1], [9.2]])
    >>> grow(start, end, growth=0.1).round(1).tolist()
    [0.5, 1.5]
    """
    import ot

    cost = ot.dist(start, end, metric="sqeuclidean")
    typical = max(float(cost.min(axis).mean()) for axis in (0, 1)) or 1.0
    # So far no mass is moved; without the bound the kernel of POT underflows.
    relative = np.minimum(cost / typical, 100.0)
    relaxed = ot.unbalanced.sinkhorn_unbalanced(
        ot.unif(len(start)),
        ot.unif(len(end)),
        relative,
        reg=0.5,
        reg_m=(10 * growth, float("inf")),
        numItermax=300,
    )
    grown: np.ndarray = relaxed.sum(axis=1)
    # A cell without descendants keeps a trace of mass: the rate of its pairs is a logarithm.
    grown = np.maximum(grown, 1e-9 * grown.sum() / len(start))
    relative_growth: np.ndarray = grown * (len(start) / grown.sum())
    return relative_growth


def coupling(start: np.ndarray, end: np.ndarray, mass: np.ndarray | None = None) -> np.ndarray:
    """Return the exact coupling (n, m) of two populations, cost squared distance.

    Parameters
    ----------
    start, end : numpy.ndarray, shapes (n, n_dimensions) and (m, n_dimensions)
    mass : numpy.ndarray, shape (n,), optional
        Of the cells at the start, in any unit; None: equal, as it is at the end.
    """
    import ot

    masses = ot.unif(len(start)) if mass is None else mass / mass.sum()
    cost = ot.dist(start, end, metric="sqeuclidean")
    plan: np.ndarray = ot.emd(masses, ot.unif(len(end)), cost, numItermax=2_000_000)
    return plan


def draw_pairs(plan: np.ndarray, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw n pairs of a coupling (n_start, n_end) by their mass: rows of the start and of the end.

    Examples
    --------
    >>> plan = np.array([[0.0, 1.0], [0.0, 4.0]])
    >>> rows, columns = draw_pairs(plan, 2000, np.random.default_rng(0))
    >>> round(float(rows.mean()), 1), set(columns.tolist())
    (0.8, {1})
    """
    drawn = rng.choice(plan.size, n, p=plan.ravel() / plan.sum())
    rows, columns = np.unravel_index(drawn, plan.shape)
    return rows, columns
