"""Decision trees that learn displacements along optimal transport."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from scstlib.models.settings import check_choices, check_positive, check_whole, explain_arguments
from scstlib.models.temporal.cells import MeasuredCells
from scstlib.models.temporal.moved_cells import MovedCells
from scstlib.models.temporal.transport import coupling, draw_pairs

PAIRS = 1000  # Drawn per interval, forwards and backwards.
MOST_TREES = 10_000  # A file holds no trees: they are grown again when it is read.


class DisplacementTrees(MovedCells):
    """Trees that predict where a cell goes, from where it is, when, and how far ahead.

    The exact couplings of neighbouring times give pairs of cells. Of each pair the trees see the
    earlier cell in principal components, its time, and a time in between, and learn the
    displacement on the straight line to the other cell at that time; and the same from the later
    cell backwards. A predicted cell moves by the displacement of the trees, as
    :class:`scstlib.models.temporal.moved_cells.MovedCells` describes, and with noise keeps what
    the trees leave of it, in the components and beyond. Trees average what they have seen and do
    not extrapolate: outside the range the outermost time is repeated.

    A file holds the cells and the settings, and reading it grows the trees again, the same ones
    in the same version of scikit-learn.

    Parameters
    ----------
    kind : "forest" or "boosting"
        Random forest (Breiman 2001, https://doi.org/10.1023/A:1010933404324), or gradient
        boosting on histograms, a model for each component (Friedman 2001,
        https://doi.org/10.1214/aos/1013203451); both of scikit-learn.
    n_components : int
        Principal components of the training cells.
    n_trees : int
        In the forest, or rounds of boosting for each component.
    min_leaf : int
        Displacements in a leaf, at least.
    learning_rate : float
        Of boosting; the forest has none.
    max_cells : int
        At most so many cells of a time enter a coupling.
    seed : int
        Draws cells, pairs and trees.

    Raises
    ------
    ValueError
        For an unknown choice, or a number out of range.

    Examples
    --------
    >>> DisplacementTrees("boosting", n_trees=50)
    DisplacementTrees(kind='boosting', n_trees=50)
    """

    @explain_arguments
    def __init__(
        self,
        kind: str = "forest",
        n_components: int = 6,
        n_trees: int = 100,
        min_leaf: int = 20,
        learning_rate: float = 0.1,
        max_cells: int = 1000,
        seed: int = 0,
    ) -> None:
        check_choices({"kind": kind}, {"kind": ("forest", "boosting")})
        numbers = {"n_components": n_components, "n_trees": n_trees, "min_leaf": min_leaf}
        numbers["max_cells"] = max_cells
        check_whole(numbers, *numbers)
        check_whole(numbers, "n_trees", most=MOST_TREES)
        check_positive({"learning_rate": learning_rate}, "learning_rate")
        self.kind = kind
        self.n_components = n_components
        self.n_trees = n_trees
        self.min_leaf = min_leaf
        self.learning_rate = learning_rate
        self.max_cells = max_cells
        self.seed = seed

    def _learn_moves(self, cells: MeasuredCells) -> None:
        rng = np.random.default_rng(self.seed)
        seen, wanted = [], []
        for (t0, start), (t1, end) in pairwise(self.points_.items()):
            plan = coupling(start, end)
            from_row, to_row = draw_pairs(plan, PAIRS, rng)
            early, late = start[from_row], end[to_row]
            share = rng.random((PAIRS, 1))
            for here, there, time, gap in ((early, late, t0, t1 - t0), (late, early, t1, t0 - t1)):
                seen.append(_features(here, time, gap * share[:, 0]))
                wanted.append(share * (there - here))
        self.trees_ = self._grown(np.concatenate(seen), np.concatenate(wanted))

    def _grown(self, seen: np.ndarray, wanted: np.ndarray) -> list[Any]:
        """The forest, or a boosted model for each component."""
        from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor

        if self.kind == "forest":
            forest = RandomForestRegressor(
                self.n_trees,
                min_samples_leaf=self.min_leaf,
                max_features=0.5,
                random_state=self.seed,
            )
            return [forest.fit(seen, wanted)]
        return [
            HistGradientBoostingRegressor(
                learning_rate=self.learning_rate,
                max_iter=self.n_trees,
                min_samples_leaf=self.min_leaf,
                early_stopping=False,
                random_state=self.seed,
            ).fit(seen, component)
            for component in wanted.T
        ]

    def _moved(
        self, start: float, time: float, rows: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        points = self.points_[start][rows]
        times = list(self.points_)
        elapsed = min(max(time, times[0]), times[-1]) - start
        if elapsed == 0:
            return points, points
        features = _features(points, start, np.full(len(points), elapsed))
        moved = np.column_stack([trees.predict(features) for trees in self.trees_])
        return points, points + moved


def _features(points: np.ndarray, time: float, elapsed: np.ndarray) -> np.ndarray:
    """What the trees see, (n, n_components + 2): place, time, and time ahead."""
    return np.column_stack([points, np.full(len(points), time), elapsed])
