"""How real the simulated organism looks: the same measures on it and on real sets.

The real values are stored in ``realism.tsv``, one row a quantity and set;
:func:`scstlib.datasets.organism.realism_sets.measure_real_sets` works them out again from the
files.
"""

from __future__ import annotations

from importlib.resources import files
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.linalg import eigh

if TYPE_CHECKING:
    from scstlib.datasets.organism import Organism

BIN_SIZE = 100_000  # bp; the widest bin of the real maps that are compared
# Contacts per bp of chromosome: mean of the bonev2017 maps, and of the rao2014 replicates.
DEEP, SHALLOW = 1.4, 0.03
# What limits a comparison.
REASONS = {
    "zero fraction": "two whole transcriptomes and a panel of 41 genes; depth sets it",
    "overdispersion": "the high end is a set of read counts without molecular barcodes",
    "stratum correlation, cell types": "one chromosome of three mouse cell types",
    "stratum correlation, replicates": "at 0.03 contacts per bp; three of five are thinned maps",
}
_LEAST_COVERED = 0.1  # bins below this share of the median coverage are left out


def _moments(counts: np.ndarray | sparse.spmatrix) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return total per cell, and mean and variance per gene of counts scaled to equal totals."""
    matrix = sparse.csr_matrix(counts, dtype=np.float64)
    total = np.asarray(matrix.sum(axis=1)).ravel()
    matrix = matrix[total > 0]
    total = total[total > 0]
    scaled = sparse.diags(total.mean() / total) @ matrix
    mean = np.asarray(scaled.mean(axis=0)).ravel()
    square = np.asarray(scaled.multiply(scaled).mean(axis=0)).ravel()
    n = matrix.shape[0]
    return total, mean, (square - mean**2) * n / (n - 1)


def zero_fraction(counts: np.ndarray | sparse.spmatrix) -> float:
    """Return the share of zeros of counts (cells, genes) among genes seen in 1% of the cells."""
    matrix = sparse.csr_matrix(counts)
    seen = matrix.getnnz(axis=0) / matrix.shape[0]
    return float(1.0 - seen[seen >= 0.01].mean())


def depth_spread(counts: np.ndarray | sparse.spmatrix) -> float:
    """Return the standard deviation of the log of the total counts of cells (cells, genes)."""
    return float(np.log(_moments(counts)[0]).std())


def mean_variance_exponent(counts: np.ndarray | sparse.spmatrix) -> float:
    """Return the slope of log variance on log mean over genes: 1 for Poisson, 2 for constant CV.

    Of counts (cells, genes) scaled to equal totals, genes with a mean of at least 0.05.
    """
    _, mean, variance = _moments(counts)
    use = (mean >= 0.05) & (variance > 0)
    return float(np.polyfit(np.log(mean[use]), np.log(variance[use]), 1)[0])


def overdispersion(counts: np.ndarray | sparse.spmatrix) -> float:
    """Return the median over genes of (variance - mean) / mean², genes with a mean of 0.5 or more.

    Of counts (cells, genes) scaled to equal totals; 0 for Poisson counts.
    """
    _, mean, variance = _moments(counts)
    use = mean >= 0.5
    return float(np.median((variance[use] - mean[use]) / mean[use] ** 2))


def coarsen(contacts: np.ndarray, factor: int) -> np.ndarray:
    """Return contacts (bins, bins) summed over blocks of ``factor`` bins; the rest is cut off."""
    n = len(contacts) // factor
    cut = contacts[: n * factor, : n * factor]
    sums: np.ndarray = cut.reshape(n, factor, n, factor).sum(axis=(1, 3))
    return sums


def balance(contacts: np.ndarray, iterations: int = 100) -> np.ndarray:
    """Return the map (bins, bins) with equal sums of its covered bins and NaN in the others.

    In memory and without the first two diagonals, as in Imakaev et al. 2012
    (10.1038/nmeth.2148); files are balanced with cooler.
    """
    out = contacts.astype(np.float64)
    off = np.triu(np.ones(out.shape, dtype=bool), 2)
    off |= off.T
    cover = (out * off).sum(axis=1)
    good = cover > _LEAST_COVERED * np.median(cover[cover > 0])
    use = off & good[:, None] & good[None, :]
    for _ in range(iterations):
        cover = np.where(use, out, 0.0).sum(axis=1)
        scale = np.where(good, np.sqrt(cover / cover[good].mean()), 1.0)
        out /= scale[:, None] * scale[None, :]
    out[~good] = np.nan
    out[:, ~good] = np.nan
    return out


def _strata(contacts: np.ndarray) -> np.ndarray:
    """Return the mean of each diagonal (bins,), NaN where there is nothing."""
    n = len(contacts)
    i, j = np.triu_indices(n)
    value = contacts[i, j]
    use = np.isfinite(value)
    total = np.bincount((j - i)[use], weights=value[use], minlength=n)
    count = np.bincount((j - i)[use], minlength=n)
    means: np.ndarray = np.divide(total, count, out=np.full(n, np.nan), where=count > 0)
    return means


def distance_exponent(balanced: np.ndarray, bin_size: int) -> float:
    """Return the slope of log contacts on log distance from 0.1 to 10 Mb, even in log distance."""
    mean = _strata(balanced)
    distance = np.arange(len(mean)) * bin_size
    use = (distance >= 1e5) & (distance <= 1e7) & (mean > 0)
    at = np.geomspace(distance[use][0], distance[use][-1], 40)
    value = np.interp(np.log(at), np.log(distance[use]), np.log(mean[use]))
    return float(np.polyfit(np.log(at), value, 1)[0])


def _observed_over_expected(balanced: np.ndarray) -> np.ndarray:
    n = len(balanced)
    mean = _strata(balanced)
    expected = mean[np.abs(np.subtract.outer(np.arange(n), np.arange(n)))]
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio: np.ndarray = balanced / expected
    return ratio


def compartment_strength(balanced: np.ndarray, bin_size: int) -> float:
    """Return (AA + BB) / (AB + BA) of observed over expected contacts, beyond 2 Mb.

    A and B are the upper and lower fifth of the bins by the first eigenvector.
    """
    ratio = _observed_over_expected(balanced)
    good = np.isfinite(ratio).any(axis=1)
    ratio = ratio[np.ix_(good, good)]
    place = np.flatnonzero(good)
    centred = np.nan_to_num(np.clip(ratio, 0, np.nanpercentile(ratio, 99)) - 1.0)
    near = np.abs(np.subtract.outer(place, place)) * bin_size < 2_000_000
    centred[near & (np.abs(np.subtract.outer(place, place)) < 2)] = 0.0
    n = len(centred)
    vector = eigh(centred, subset_by_index=[n - 1, n - 1])[1][:, 0]
    low, high = vector <= np.quantile(vector, 0.2), vector >= np.quantile(vector, 0.8)
    ratio = np.where(near, np.nan, ratio)

    def block(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.nanmean(ratio[np.ix_(a, b)]))

    return (block(high, high) + block(low, low)) / (2.0 * block(high, low))


def insulation_spread(balanced: np.ndarray, bin_size: int, window: int = 500_000) -> float:
    """Return the standard deviation of the log2 insulation score (10.1038/nature14450).

    The score is the mean contact between the ``window`` bp before and after a bin.
    """
    n, w = len(balanced), window // bin_size
    score = np.full(n, np.nan)
    for i in range(w, n - w):
        square = balanced[i - w + 1 : i + 1, i : i + w].copy()
        square[-1, 0] = square[-2, 0] = square[-1, 1] = np.nan
        if np.isfinite(square).mean() > 0.5:
            score[i] = np.nanmean(square)
    log = np.log2(score[score > 0])
    return float(log.std())


def stratum_correlation(a: np.ndarray, b: np.ndarray, bin_size: int) -> float:
    """Return the stratum-adjusted correlation of two balanced maps over 0.2 to 5 Mb.

    Yang et al. 2017 (10.1101/gr.220640.117), without smoothing: correlations of diagonals,
    weighted by length and rank variance.
    """
    value, weight = [], []
    for k in range(200_000 // bin_size, 5_000_000 // bin_size + 1):
        x, y = np.diag(a, k), np.diag(b, k)
        use = np.isfinite(x) & np.isfinite(y)
        x, y = x[use], y[use]
        if len(x) < 10 or x.std() == 0 or y.std() == 0:
            continue
        value.append(np.corrcoef(x, y)[0, 1])
        weight.append(len(x) * (1.0 - 1.0 / len(x) ** 2) / 12.0)
    return float(np.average(value, weights=weight))


def measure_counts(counts: np.ndarray | sparse.spmatrix) -> dict[str, float]:
    """Return the quantities of expression of counts (cells, genes)."""
    return {
        "zero fraction": zero_fraction(counts),
        "depth spread": depth_spread(counts),
        "mean-variance exponent": mean_variance_exponent(counts),
        "overdispersion": overdispersion(counts),
    }


def measure_map(contacts: np.ndarray) -> dict[str, float]:
    """Return the quantities of one raw map (bins, bins) of ``BIN_SIZE``."""
    return _measure_balanced(balance(contacts))


def _measure_balanced(balanced: np.ndarray) -> dict[str, float]:
    return {
        "distance exponent": distance_exponent(balanced, BIN_SIZE),
        "compartment strength": compartment_strength(balanced, BIN_SIZE),
        "insulation spread": insulation_spread(balanced, BIN_SIZE),
    }


def real_values() -> pd.DataFrame:
    """Return the stored values of real sets: quantity, set, value, one row each."""
    with files("scstlib.datasets.organism").joinpath("realism.tsv").open("rb") as stored:
        return pd.read_csv(stored, sep="\t")


def real_ranges() -> pd.DataFrame:
    """Return the range over real sets, indexed by quantity: real low, real high, sets."""
    values = real_values()
    grouped = values.groupby("quantity", sort=False)
    return pd.DataFrame(
        {
            "real low": grouped["value"].min(),
            "real high": grouped["value"].max(),
            "sets": grouped["set"].agg(lambda s: ", ".join(sorted({x.split()[0] for x in s}))),
        }
    )


def measure_organism(organism: Organism, n_chromosomes: int = 3, seed: int = 0) -> pd.Series:
    """Return the quantities of an organism by name; of maps, the median over chromosomes.

    Maps are drawn with the contacts per base pair of the real sets: ``DEEP`` where cell types are
    compared, ``SHALLOW`` for replicates.
    """
    s = organism.settings
    factor, rest = divmod(BIN_SIZE, s.bin_size)
    if rest:
        raise ValueError(
            f"bins of {s.bin_size} bp do not make up {BIN_SIZE} bp: simulate with bin_size=50_000"
        )
    found: dict[str, list[float]] = {}
    for quantity, value in measure_counts(organism.sample(seed=seed, keep_truth=False).X).items():
        found[quantity] = [value]
    per_cell = s.contacts_per_cell / (s.n_chromosomes * s.n_bins * s.bin_size)
    cells = {depth: max(round(depth / per_cell), 1) for depth in (DEEP, SHALLOW)}

    def draw(chrom: str, fate: str, depth: float, seed: int) -> np.ndarray:
        contacts = organism.sample_contacts(fate, n_cells=cells[depth], seed=seed, chroms=[chrom])
        return coarsen(contacts[chrom], factor)

    kinds = ("stem", *(f"{fate}_mature" for fate in organism.fates))
    for chrom in organism.chromosomes[:n_chromosomes]:
        balanced = {kind: balance(draw(chrom, kind, DEEP, seed)) for kind in kinds}
        for contacts in balanced.values():
            for quantity, value in _measure_balanced(contacts).items():
                found.setdefault(quantity, []).append(value)
        for a, b in combinations(kinds, 2):
            value = stratum_correlation(balanced[a], balanced[b], BIN_SIZE)
            found.setdefault("stratum correlation, cell types", []).append(value)
        first, second = (balance(draw(chrom, "stem", SHALLOW, seed + k)) for k in (1, 2))
        value = stratum_correlation(first, second, BIN_SIZE)
        found.setdefault("stratum correlation, replicates", []).append(value)
    return pd.Series({quantity: float(np.median(v)) for quantity, v in found.items()})


def realism_table(organism: Organism, n_chromosomes: int = 3, seed: int = 0) -> pd.DataFrame:
    """Compare an organism with the real sets.

    Parameters
    ----------
    organism : Organism
        With bins of which a whole number makes ``BIN_SIZE``, such as the preset ``small``.
    n_chromosomes : int
        Chromosomes whose maps are measured, the first ones.
    seed : int
        Draws the cells and the maps.

    Returns
    -------
    DataFrame
        quantity, organism, real low, real high, inside, reason: what limits the comparison.
        Quantities are without unit, but for the insulation spread (log2 units).

    Raises
    ------
    ValueError
        If bins do not make up ``BIN_SIZE``.
    """
    table = real_ranges()
    table.insert(0, "organism", measure_organism(organism, n_chromosomes, seed))
    table["inside"] = table["organism"].between(table["real low"], table["real high"])
    table["reason"] = pd.Series(REASONS).reindex(table.index, fill_value="")
    return table.drop(columns="sets").rename_axis("quantity").reset_index()
