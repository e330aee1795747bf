"""Expression of the simulated organism: noise-free means of cell states, and counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse

from scstlib.datasets.organism.genome import Genome
from scstlib.datasets.organism.lineage import (
    CELL_TYPES,
    FATES,
    REGULATORS,
    UNCOMMITTED,
    cell_types,
    fate_of_type,
)
from scstlib.datasets.organism.network import CellState, Network, simulate
from scstlib.datasets.organism.settings import Settings, time_words

if TYPE_CHECKING:
    from anndata import AnnData

TOTAL = 10_000.0  # noise-free expression of a cell adds up to this
TIME_UNIT = "hours"
_FEWEST = 256  # cells of a run: with fewer, division and death leave too few ancestors
_PHASES, _PHASE_ENDS = ("G1", "S", "G2M"), (0.4, 0.7)


def log_mean(genome: Genome, lagged: np.ndarray) -> np.ndarray:
    """Return the log of each gene's mean, up to a constant per cell.

    Linear in the regulators, each seen through the half-life of the gene's messenger RNA.

    Parameters
    ----------
    lagged : array (half-lives, cells, regulators)

    Returns
    -------
    array (cells, genes), float32
    """
    n_lives, n_cells, n_regulators = lagged.shape
    weights = np.zeros((n_lives, n_regulators, len(genome.base)), dtype=np.float32)
    genes = np.arange(len(genome.base))
    weights[genome.half_life, :, genes] = genome.weights
    features = lagged.transpose(1, 0, 2).reshape(n_cells, -1).astype(np.float32, copy=False)
    out: np.ndarray = features @ weights.reshape(-1, len(genes))
    out += genome.base.astype(np.float32)
    return out


def mean_expression(genome: Genome, state: CellState) -> np.ndarray:
    """Return the noise-free expression (cells, genes), float32; each cell adds up to 10,000."""
    mean = log_mean(genome, state.lagged)
    np.exp(mean, out=mean)
    mean *= TOTAL / mean.sum(axis=1, keepdims=True)
    return mean


def draw_depths(
    cycle: np.ndarray, median: float, spread: float, rng: np.random.Generator
) -> np.ndarray:
    """Return the expected total count of each cell (cells,).

    Log-normal with standard deviation ``spread`` of the log, and up to 1.3 times as high late in
    the cell cycle.
    """
    return median * np.exp(spread * rng.standard_normal(len(cycle))) * (1.0 + 0.3 * cycle)


def sample_counts(
    mean: np.ndarray,
    depth: np.ndarray,
    dispersion: np.ndarray,
    rng: np.random.Generator,
    dropout: float = 0.0,
) -> np.ndarray:
    """Draw negative binomial counts with mean m = depth × mean / 10,000, variance m + phi m².

    Parameters
    ----------
    mean : array (cells, genes)
        Expression that adds up to 10,000 in a cell.
    depth : array (cells,)
        Expected total counts.
    dispersion : array (genes,)
        phi.
    dropout : float
        Probability, from 0 to 1, that a gene with mean near zero is lost on top of the counting
        noise; it falls as exp(-m).

    Returns
    -------
    array (cells, genes), int32
    """
    expected = mean * (depth / TOTAL)[:, None].astype(np.float32)
    shape = np.broadcast_to((1.0 / dispersion).astype(np.float32), expected.shape)
    rate = rng.standard_gamma(shape, dtype=np.float32)
    rate *= expected
    rate *= dispersion.astype(np.float32)
    counts = rng.poisson(rate).astype(np.int32)
    if dropout > 0:
        lost = rng.random(counts.shape, dtype=np.float32) < dropout * np.exp(-expected)
        counts[lost] = 0
    return counts


def batch_factors(
    n_genes: int, n_batches: int, strength: float, rng: np.random.Generator
) -> np.ndarray:
    """Return the factor (batches, genes) of each batch on each gene; log-normal, median 1."""
    return np.exp(strength * rng.standard_normal((n_batches, n_genes))).astype(np.float32)


def sample_cells(
    genome: Genome,
    network: Network,
    settings: Settings,
    times: np.ndarray,
    n_cells: int,
    seed: int,
    dropout: float,
    batches: tuple[int, float],
    keep_truth: bool,
) -> AnnData:
    """Draw ``n_cells`` at each of ``times``; see :meth:`scstlib.datasets.organism.Organism.sample`.

    ``batches`` are their number and the strength of their effects.
    """
    if not 0.0 <= dropout <= 1.0:
        raise ValueError(f"dropout is {dropout}; it must be a probability")
    factors = batch_factors(len(genome.base), *batches, np.random.default_rng([settings.seed, 4]))
    parts = []
    for time in times:
        rng = np.random.default_rng([settings.seed, 3, seed, *time_words(time)])
        state = simulate(network, np.array([time]), max(n_cells, _FEWEST), rng)[0]
        state = state.take(rng.choice(len(state.cycle), n_cells, replace=False))
        part = _measure(genome, settings, state, factors, dropout, rng)
        part.obs.insert(0, "time", time)
        part.obs["clock"] = time * state.speed
        # Cells of another draw are other cells, and the leak guard goes by their names.
        part.obs.index = [f"s{seed}-{time:.10g}h-{i}" for i in range(n_cells)]
        parts.append(part)
    return _join(parts, genome.genes, keep_truth)


@dataclass
class _Measured:
    """Cells as measured: one row a cell."""

    counts: sparse.csr_matrix
    obs: pd.DataFrame
    levels: np.ndarray
    mean: np.ndarray


def _measure(
    genome: Genome,
    settings: Settings,
    state: CellState,
    factors: np.ndarray,
    dropout: float,
    rng: np.random.Generator,
) -> _Measured:
    """Draw counts and describe the cells; ``factors`` (batches, genes) are on the means."""
    n = len(state.cycle)
    mean = mean_expression(genome, state)
    depth = draw_depths(state.cycle, settings.depth, settings.depth_spread, rng)
    batch = rng.integers(len(factors), size=n)
    seen = mean
    if len(factors) > 1:
        seen = mean * factors[batch]
        seen *= TOTAL / seen.sum(axis=1, keepdims=True)
    counts = sample_counts(seen, depth, genome.dispersion, rng, dropout)
    kind = cell_types(state.levels)
    names = np.array([fate_of_type(name) for name in CELL_TYPES], dtype=object)
    batches = np.array([f"batch_{k}" for k in range(len(factors))])
    phase = np.searchsorted(_PHASE_ENDS, state.cycle, side="right")
    obs = pd.DataFrame(
        {
            "fate": pd.Categorical(names[kind], categories=[UNCOMMITTED, *FATES]),
            "cell_type": pd.Categorical(np.array(CELL_TYPES)[kind], categories=CELL_TYPES),
            "phase": pd.Categorical(np.array(_PHASES)[phase], categories=_PHASES),
            "cycle": state.cycle,
            "depth": depth,
            "batch": pd.Categorical(batches[batch], categories=batches),
        }
    )
    return _Measured(sparse.csr_matrix(counts), obs, state.levels.astype(np.float32), mean)


def _join(parts: list[_Measured], genes: pd.DataFrame, keep_truth: bool) -> AnnData:
    """Return the cells of all parts as AnnData; ``genes`` becomes ``var``."""
    from anndata import AnnData

    obs = pd.concat([part.obs for part in parts])
    var = genes.copy()
    for column in ("chrom", "strand", "role"):
        var[column] = pd.Categorical(var[column], categories=list(dict.fromkeys(var[column])))
    adata = AnnData(sparse.vstack([part.counts for part in parts], format="csr"), obs, var)
    adata.obsm["true_state"] = np.concatenate([part.levels for part in parts])
    if keep_truth:
        adata.layers["true_mean"] = np.concatenate([part.mean for part in parts])
    adata.uns["time_unit"] = TIME_UNIT
    adata.uns["regulators"] = np.array(REGULATORS)
    return adata
