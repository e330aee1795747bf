"""A stacked ensemble of each family: one method of each quick kind, weighted by what it left out.

Of each kind the most involved one is a member, with its own defaults: none was chosen by a score.
Weights are chosen on parts of the training data that the members have not seen; then the members
are fitted to all of it.
"""

from __future__ import annotations

from typing import Self

import numpy as np

from scstlib.leakage import record_fit
from scstlib.models.spatial import ContactEnsemble, SpatialModel
from scstlib.models.spatial.methods import methods as spatial_methods
from scstlib.models.temporal import Ensemble
from scstlib.models.temporal.methods import methods as temporal_methods
from scstlib.preprocess.windows import Windows

OF_CELLS = (
    "nearest time copied", "nearest time, mean moved on", "OT displacement, growth",
    "Gaussian process of OT paths", "gradient boosting on OT pairs",
)  # fmt: skip
OF_MAPS = ("bulk smoothed", "bulk + ridge", "gradient boosting", "Gaussian process on contrast")
EVERY = 4  # Of the training chromosomes, every fourth from the last on chooses the weights of maps.


class StackedCells(Ensemble):
    """A linear pool of temporal methods; training times that are left out choose the weights."""

    def __init__(self, methods: tuple[str, ...] = OF_CELLS, seed: int = 0) -> None:
        known = temporal_methods()
        new = [lambda number, make=known[name]: make(seed) for name in methods]
        super().__init__(new, resample=False, stack=True, seed=seed)
        self.methods = methods


class StackedMaps:
    """A weighted mean of spatial methods; training chromosomes that are left out choose weights."""

    def __init__(self, methods: tuple[str, ...] = OF_MAPS, seed: int = 0) -> None:
        self.methods, self.seed = methods, seed

    def fit(self, windows: Windows) -> Self:
        """Choose the weights, then fit the members to all windows."""
        known = spatial_methods()
        new = [lambda number, make=known[name]: make(self.seed) for name in self.methods]
        chroms = windows.table["chrom"].astype(str)
        left_out = chroms.isin(list(dict.fromkeys(chroms))[::-EVERY]).to_numpy()
        chosen = ContactEnsemble(new, stack=True).fit(windows[~left_out], windows[left_out])
        self.weights_ = chosen.weights_
        self.members_: list[SpatialModel] = [make(0).fit(windows) for make in new]
        record_fit(self, windows)
        return self

    def predict(self, windows: Windows, depth: float = 1.0) -> np.ndarray:
        """Return the weighted mean of the members' expected contacts (n, bins, bins)."""
        predictions = np.stack([member.predict(windows, depth) for member in self.members_])
        mean: np.ndarray = np.tensordot(self.weights_.astype(np.float32), predictions, 1)
        return mean
