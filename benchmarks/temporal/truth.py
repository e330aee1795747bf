"""What is true of the simulated organism, in the spaces in which predictions are scored.

:mod:`.run` says what each number means.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from anndata import AnnData
from sklearn.decomposition import PCA

from scstlib.datasets.organism import Organism, simulate_organism
from scstlib.preprocess.cells import log_values as of_counts

SPLITS = {"easy": (4, 6, 8), "medium": (10, 11), "hard": (2, 4, 6, 8, 10, 11)}
PARTS = {
    "easy": ("easy", (4, 6, 8)),
    "medium": ("medium", (10, 11)),
    "hard inner": ("hard", (2, 4, 6, 8)),
    "hard outer": ("hard", (10, 11)),
}
N_CELLS, N_TRUE = 400, 1500
TRAINING_DRAW, TRUTH_DRAW, MEASURED_DRAW, FLOOR_DRAW, NOISE_FLOOR_DRAW = 1, 2, 3, 4, 5
TRUTH_COMPONENTS, CELL_COMPONENTS = 15, 20
PER_CELL = 1e4


def log_values(counts: object) -> np.ndarray:
    """log1p of counts per 10,000, float64, of counts (n, genes), dense or sparse."""
    dense = np.asarray(counts.toarray() if hasattr(counts, "toarray") else counts, dtype=float)
    return of_counts(dense)


class ExpectedLog:
    """Mean of log1p(c * 10,000 / s) for negative binomial counts c of a cell of depth s.

    From ``log(1 + x) = integral over u > 0 of (1 - exp(-x u)) exp(-u) / u``, in which the mean of
    ``exp(-x u)`` has a closed form. Tabulated over the rate of a gene, for quantiles of the depth.

    Parameters
    ----------
    dispersion : array (genes,)
        Variance is m + dispersion * m**2.
    depths : array (n,)
        Depths that measured cells have.
    """

    def __init__(
        self, dispersion: np.ndarray, depths: np.ndarray, n_depths: int = 12, knots: int = 48
    ) -> None:
        self.depths = np.quantile(depths, (np.arange(n_depths) + 0.5) / n_depths)
        self.knots = np.linspace(math.log(1e-7), math.log(0.9), knots)
        self.tables = np.stack([self._table(dispersion[:, None], s) for s in self.depths])

    def _table(self, phi: np.ndarray, depth: float) -> np.ndarray:
        mean = (np.exp(self.knots) * depth)[None]
        log_u = np.linspace(math.log(1e-8), math.log(40), 96)
        step = log_u[1] - log_u[0]
        table = np.zeros((len(phi), len(self.knots)))
        for u in np.exp(log_u):
            lost = -math.expm1(-u * PER_CELL / depth)
            table += -np.expm1(-np.log1p(phi * mean * lost) / phi) * (math.exp(-u) * step)
        return table

    def __call__(self, mean: np.ndarray, depth: np.ndarray | None = None) -> np.ndarray:
        """Return the mean value (n, genes) at true means per 10,000, over all depths or at one."""
        log_share = np.log(np.maximum(mean / PER_CELL, 1e-7))
        step = self.knots[1] - self.knots[0]
        place = np.clip((log_share - self.knots[0]) / step, 0, len(self.knots) - 1.001)
        left = place.astype(int)
        weight = (place - left).astype(np.float32)
        genes = np.arange(mean.shape[1])[None]
        if depth is None:
            table = self.tables.mean(0)
            return table[genes, left] * (1 - weight) + table[genes, left + 1] * weight
        between = np.sqrt(self.depths[1:] * self.depths[:-1])
        of = np.searchsorted(between, depth)[:, None]
        low, high = self.tables[of, genes, left], self.tables[of, genes, left + 1]
        return low * (1 - weight) + high * weight


@dataclass(frozen=True)
class Space:
    """Principal components of a truth, and the true cells in them."""

    components: PCA
    points: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, n_components: int) -> Space:
        components = PCA(n_components, svd_solver="covariance_eigh").fit(values)
        return cls(components, components.transform(values))


@dataclass(frozen=True)
class World:
    """An organism, its training cells and its truth."""

    organism: Organism

    @classmethod
    def of_seed(cls, seed: int) -> World:
        return cls(simulate_organism(seed, "small"))

    @cached_property
    def times(self) -> np.ndarray:
        return self.organism.times

    @cached_property
    def cells(self) -> AnnData:
        """Measured cells of all times, from which a split takes its training cells."""
        return self.organism.sample(n_cells=N_CELLS, seed=TRAINING_DRAW)

    def training(self, split: str) -> AnnData:
        held_out = self.times[list(SPLITS[split])]
        return self.cells[~np.isin(self.cells.obs["time"], held_out)].copy()

    @cached_property
    def fresh(self) -> AnnData:
        """Cells whose states are the truth, and whose counts noisy predictions are judged by."""
        return self.organism.sample(n_cells=N_TRUE, seed=TRUTH_DRAW)

    @cached_property
    def measured(self) -> AnnData:
        """Measured cells that predictions are compared with."""
        return self.organism.sample(n_cells=N_CELLS, seed=MEASURED_DRAW)

    @cached_property
    def floor(self) -> AnnData:
        """As many cells as a method predicts, which are true."""
        return self.organism.sample(n_cells=N_CELLS, seed=FLOOR_DRAW)

    @cached_property
    def noise_floor(self) -> AnnData:
        return self.organism.sample(n_cells=N_TRUE, seed=NOISE_FLOOR_DRAW)

    @cached_property
    def expected_log(self) -> ExpectedLog:
        return ExpectedLog(self.organism.genome.dispersion, self.fresh.obs["depth"].to_numpy())

    @cached_property
    def truth(self) -> Space:
        """Expected log values of measured cells at their true states."""
        return Space.of(self.expected_log(self.fresh.layers["true_mean"]), TRUTH_COMPONENTS)

    @cached_property
    def rates(self) -> Space:
        """Logs of the true means."""
        return Space.of(np.log1p(self.fresh.layers["true_mean"]), TRUTH_COMPONENTS)

    def cell_space(self, split: str) -> PCA:
        """Principal components of the training cells."""
        values = log_values(self.training(split).X)
        return PCA(CELL_COMPONENTS, svd_solver="covariance_eigh").fit(values)

    def rows(self, adata: AnnData, index: int) -> np.ndarray:
        """Which cells are of a time, given by its place in the series."""
        return adata.obs["time"].to_numpy() == self.times[index]
