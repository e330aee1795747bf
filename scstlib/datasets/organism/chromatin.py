"""Contact maps of the simulated organism, from the same regulators as expression.

Expected contacts of bins i and j are the product of

- decay with the distance: a power of |i - j|, less steep below one megabase;
- compartments: exp(strength × e_i × e_j), e from -1 to 1, the strength growing with distance;
- domains: floor + (1 - floor) × exp(-sum of the boundary strengths between i and j);
- loops: an enriched corner and stripes for each convergent pair of CTCF sites.

e, the boundary strengths and the occupancies of loops add up three parts: one that all cells
share, one that follows the transcription of the genes around, and a private answer to the
regulators which leaves no trace in expression. So expression informs on the map, but not fully.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter1d

from scstlib.datasets.organism.genome import Chromosome, Genome, gene_bins

REST = 0.35  # regulator level at which transcription and private answers have no effect
COMPARTMENT_STRENGTH = 1.9
DOMAIN_FLOOR = 0.15
LOOP_STRENGTH = 1.4
STRIPE_STRENGTH = 0.25
# How strongly compartments (wide, private_e) and boundaries and loops (near, private_b) answer.
NEAR, WIDE, PRIVATE_B, PRIVATE_E = 9.0, 4.5, 1.3, 0.45
TRANSCRIPTION_BORDER = 0.8
_CORNER = np.exp(-0.5 * (np.add.outer(np.arange(-2, 3) ** 2, np.arange(-2, 3) ** 2)) / 0.8**2)


@dataclass(frozen=True)
class ChromatinState:
    """What sets a map: ``compartment`` and ``boundary`` (bins,), ``loops`` (loops,)."""

    compartment: np.ndarray
    boundary: np.ndarray
    loops: np.ndarray


def chromatin_state(
    genome: Genome,
    chromosome: Chromosome,
    levels: np.ndarray,
    lagged: np.ndarray,
    expression_weight: float = 1.0,
    private_weight: float = 1.0,
) -> ChromatinState:
    """Return compartments, boundary strengths and loop occupancies of a population of cells.

    Parameters
    ----------
    levels, lagged : arrays (regulators,), (half-lives, regulators)
        Means over the population.
    expression_weight, private_weight : float
        Factors on what follows transcription and on what does not.
    """
    rows, bins = gene_bins(genome, chromosome.name)
    change = (genome.weights[rows] * (lagged[genome.half_life[rows]] - REST)).sum(axis=1)
    activity = np.bincount(bins, weights=change, minlength=chromosome.n_bins)
    near = NEAR * gaussian_filter1d(activity, 3.0, mode="nearest")
    wide = WIDE * gaussian_filter1d(activity, 6.0, mode="nearest")
    private_e = chromosome.field_compartment @ (levels - REST)
    private_b = chromosome.field_boundary @ (levels - REST)

    compartment = np.tanh(
        chromosome.compartment
        + expression_weight * wide
        + private_weight * PRIVATE_E * gaussian_filter1d(private_e, 1.0, mode="nearest")
    )
    shift = expression_weight * near + private_weight * PRIVATE_B * private_b
    # Active genes make borders of their own.
    local = gaussian_filter1d(activity, 1.0, mode="nearest")
    boundary = chromosome.boundary * 2.0 * _sigmoid(shift)
    boundary += expression_weight * TRANSCRIPTION_BORDER * np.maximum(local, 0.0)
    i, j = chromosome.loops[:, 0], chromosome.loops[:, 1]
    occupancy = chromosome.loop_strength * _sigmoid(0.3 + 0.7 * (shift[i] + shift[j]))
    return ChromatinState(compartment, boundary, occupancy)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    share: np.ndarray = 1.0 / (1.0 + np.exp(-x))
    return share


def distance_decay(n_bins: int, bin_size: int) -> np.ndarray:
    """Return P(s) (bins,) at whole bins of distance, 1 at one megabase."""
    s = (np.arange(n_bins) + 0.35) * bin_size / 1e6
    decay: np.ndarray = s**-0.5 / (1.0 + s**2) ** 0.2 * 2.0**0.2
    return decay


def contact_map(chromosome: Chromosome, state: ChromatinState, bin_size: int) -> np.ndarray:
    """Return expected contacts (bins, bins), float32, symmetric; the upper triangle adds up to 1.

    The main diagonal counts once. Without visibility bias.
    """
    n = chromosome.n_bins
    e = state.compartment.astype(np.float32)
    distance = np.arange(n, dtype=np.float32) * np.float32(bin_size / 1e6)
    log = e[:, None] * e[None, :]
    log *= _toeplitz(np.float32(COMPARTMENT_STRENGTH) * distance / (distance + 1))
    _add_loops(log, chromosome.loops, state.loops)
    border = np.cumsum(state.boundary).astype(np.float32)
    inside = np.abs(border[:, None] - border[None, :])
    np.negative(inside, out=inside)
    np.exp(inside, out=inside)
    inside *= np.float32(1.0 - DOMAIN_FLOOR)
    inside += np.float32(DOMAIN_FLOOR)
    out = np.exp(log, out=log)
    out *= inside
    decay = distance_decay(n, bin_size).astype(np.float32)
    out *= _toeplitz(decay)
    # Loops are added above the diagonal only.
    upper = np.triu(out)
    contacts: np.ndarray = upper + np.triu(upper, 1).T
    contacts /= np.float32(upper.sum(dtype=np.float64))
    return contacts


def _toeplitz(diagonals: np.ndarray) -> np.ndarray:
    """Return the symmetric matrix with these diagonals, as a view: row i is a window on them."""
    mirrored = np.concatenate([diagonals[:0:-1], diagonals])
    return np.lib.stride_tricks.sliding_window_view(mirrored, len(diagonals))[::-1]


def _add_loops(log: np.ndarray, loops: np.ndarray, occupancy: np.ndarray) -> None:
    """Add corners and stripes of loops to the upper triangle of ``log`` in place."""
    n = len(log)
    for (i, j), value in zip(loops, occupancy, strict=True):
        log[i, i:j] += STRIPE_STRENGTH * value
        log[i + 1 : j + 1, j] += STRIPE_STRENGTH * value
        rows = slice(max(i - 2, 0), min(i + 3, n))
        columns = slice(max(j - 2, 0), min(j + 3, n))
        corner = _CORNER[rows.start - i + 2 : rows.stop - i + 2]
        log[rows, columns] += (
            LOOP_STRENGTH * value * corner[:, columns.start - j + 2 : columns.stop - j + 2]
        )


def see(contacts: np.ndarray, visibility: np.ndarray) -> np.ndarray:
    """Return contacts (bins, bins) as an experiment sees them: bin i with visibility (bins,)."""
    v = visibility.astype(contacts.dtype)
    seen: np.ndarray = contacts * v[:, None] * v[None, :]
    return seen


def sample_map(expected: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw Poisson counts (bins, bins), int32, symmetric, for ``expected`` contacts."""
    n = len(expected)
    rows, columns = np.triu_indices(n)
    counts = rng.poisson(expected[rows, columns])
    out = np.zeros((n, n), dtype=np.int32)
    out[rows, columns] = counts
    out[columns, rows] = counts
    return out


def sample_cells(
    expected: np.ndarray, totals: np.ndarray, rng: np.random.Generator
) -> pd.DataFrame:
    """Draw single-cell contacts of one chromosome.

    Parameters
    ----------
    expected : array (bins, bins)
        Symmetric; only proportions matter.
    totals : array (cells,)
        Number of contacts of each cell.

    Returns
    -------
    DataFrame with cell, bin1, bin2 (bin1 <= bin2) and count, sorted.
    """
    n = len(expected)
    rows, columns = np.triu_indices(n)
    edges = np.cumsum(expected[rows, columns], dtype=np.float64)
    drawn = np.searchsorted(edges, rng.random(int(totals.sum())) * edges[-1], side="right")
    drawn = np.minimum(drawn, len(edges) - 1)
    cell = np.repeat(np.arange(len(totals)), totals)
    key, count = np.unique(cell * len(edges) + drawn, return_counts=True)
    pixel = key % len(edges)
    return pd.DataFrame(
        {
            "cell": key // len(edges),
            "bin1": rows[pixel],
            "bin2": columns[pixel],
            "count": count.astype(np.int32),
        }
    )


def track_table(genome: Genome, expression: np.ndarray | None = None) -> pd.DataFrame:
    """Return one row a bin: chrom, start, end, ctcf_forward, ctcf_reverse, cpg.

    With ``expression`` (genes,) also its sums by the bin and strand where transcription starts.
    """
    tables = []
    for c in genome.chromosomes:
        start = np.arange(c.n_bins) * genome.bin_size
        table = pd.DataFrame(
            {
                "chrom": c.name,
                "start": start,
                "end": start + genome.bin_size,
                "ctcf_forward": c.ctcf_forward,
                "ctcf_reverse": c.ctcf_reverse,
                "cpg": c.cpg,
            }
        )
        if expression is not None:
            rows, bins = gene_bins(genome, c.name)
            forward = genome.genes["strand"].to_numpy()[rows] == "+"
            for name, chosen in (("forward", forward), ("reverse", ~forward)):
                table[f"expression_{name}"] = np.bincount(
                    bins[chosen], weights=expression[rows[chosen]], minlength=c.n_bins
                )
        tables.append(table)
    return pd.concat(tables, ignore_index=True)
