"""The genome of the simulated organism: genes, domains, compartments, CTCF sites and CpG.

Everything is drawn once from a seed and is the same in all cells; what differs between cells
follows from the regulators (:mod:`scstlib.datasets.organism.network`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter1d

from scstlib.datasets.organism.lineage import FATES, INDEX, REGULATORS
from scstlib.datasets.organism.network import HALF_LIVES

# Regulators that target genes follow, and how often each is drawn.
_DRIVERS: dict[str, float] = {
    **{f"TF_stem_{i}": 2.0 for i in range(4)},
    **dict.fromkeys(("TF_alpha", "TF_bipotent", "TF_beta", "TF_gamma"), 1.0),
    **{f"TF_{fate}_{i}": 2.0 for fate in FATES for i in range(4)},
    **{f"TF_bipotent_{i}": 1.5 for i in range(3)},
    "TF_wave_0": 2.0,
    "TF_wave_1": 2.0,
    "TF_ageing": 3.0,
    "TF_niche_first": 0.5,
    "TF_niche_second": 0.5,
    "TF_stress": 2.0,
    "TF_metabolism": 2.0,
}


@dataclass(frozen=True)
class Chromosome:
    """Bins of one chromosome. All arrays have one value a bin, but ``loops`` and ``domain``.

    ``compartment`` (-1 to 1) and ``boundary`` (>= 0) are what all cells share; ``field_*``
    (bins, regulators) is the private answer of a bin to the regulators; ``domain`` (bins,) the
    number of a bin's domain; ``loops`` (loops, 2) the bins of the convergent pairs of CTCF sites
    with ``loop_strength`` (loops,).
    """

    name: str
    compartment: np.ndarray
    boundary: np.ndarray
    domain: np.ndarray
    ctcf_forward: np.ndarray
    ctcf_reverse: np.ndarray
    cpg: np.ndarray
    visibility: np.ndarray
    field_compartment: np.ndarray
    field_boundary: np.ndarray
    loops: np.ndarray
    loop_strength: np.ndarray

    @property
    def n_bins(self) -> int:
        """Number of bins."""
        return len(self.compartment)


@dataclass(frozen=True)
class Genome:
    """Chromosomes, genes and what each gene follows.

    ``genes`` is indexed by name with chrom, start, end, strand, role; ``weights``
    (genes, regulators) are effects on the log of the mean, ``base`` (genes,) the log of the mean
    without them, ``half_life`` (genes,) an index into ``HALF_LIVES``, ``dispersion`` (genes,) the
    coefficient phi of the variance mean + phi mean².
    """

    chromosomes: tuple[Chromosome, ...]
    genes: pd.DataFrame
    weights: np.ndarray
    base: np.ndarray
    half_life: np.ndarray
    dispersion: np.ndarray
    bin_size: int


def make_genome(seed: int, n_genes: int, n_chromosomes: int, n_bins: int, bin_size: int) -> Genome:
    """Draw a genome of ``n_chromosomes`` × ``n_bins`` bins of ``bin_size`` bp with ``n_genes``."""
    rng = np.random.default_rng([seed, 1])
    chromosomes = [_draw_bins(f"chr{k + 1}", n_bins, rng) for k in range(n_chromosomes)]
    genes, bins = _place_genes(chromosomes, n_genes, bin_size, rng)
    weights = _weights(genes, bins, chromosomes, rng)
    role = genes["role"].to_numpy()
    base = rng.normal(0.0, 1.4, n_genes)
    base[role == "housekeeping"] += 1.6
    base[role == "regulator"] -= 0.5
    half_life = rng.integers(len(HALF_LIVES), size=n_genes)
    half_life[role == "cell_cycle"] = 0
    dispersion = 0.5 * np.exp(rng.normal(0.0, 0.4, n_genes))
    with_cpg = tuple(
        _add_cpg(c, bins[genes["chrom"].to_numpy() == c.name], rng) for c in chromosomes
    )
    return Genome(with_cpg, genes, weights, base, half_life, dispersion, bin_size)


def _segments(
    n_bins: int, mean: float, spread: float, least: int, rng: np.random.Generator
) -> np.ndarray:
    """Return the first bins of consecutive segments of log-normal length."""
    lengths = np.exp(rng.normal(np.log(mean), spread, 2 * n_bins // least + 2))
    starts = np.cumsum(np.maximum(lengths.astype(int), least))
    return np.concatenate([[0], starts[starts < n_bins - least]])


def _draw_bins(name: str, n_bins: int, rng: np.random.Generator) -> Chromosome:
    """Draw domains, compartments and CTCF sites of one chromosome."""
    starts = _segments(n_bins, 12.0, 0.45, 4, rng)
    domain = np.searchsorted(starts, np.arange(n_bins), side="right") - 1
    # Compartments change sign every few domains and keep to the borders of domains.
    block = _segments(len(starts), 4.0, 0.5, 1, rng)
    sign = np.where((np.arange(len(block)) + rng.integers(2)) % 2 == 0, 1.0, -1.0)
    level = sign[np.searchsorted(block, np.arange(len(starts)), side="right") - 1]
    level = level * rng.uniform(0.35, 1.0, len(starts))
    compartment = gaussian_filter1d(level[domain], 1.0, mode="nearest")

    boundary = np.zeros(n_bins)
    boundary[starts[1:]] = rng.gamma(2.5, 1.1, len(starts) - 1)
    forward, reverse = np.zeros(n_bins), np.zeros(n_bins)
    guarded = rng.random(len(starts)) < 0.75
    strength = rng.gamma(4.0, 0.25, (2, len(starts)))
    ends = np.append(starts[1:], n_bins) - 1
    forward[starts[guarded]] = strength[0, guarded]
    reverse[ends[guarded]] = strength[1, guarded]
    # Sites that stop nothing: the track alone does not give the domains away.
    for site in (forward, reverse):
        spare = rng.choice(n_bins, max(n_bins // 25, 1), replace=False)
        site[spare] += rng.gamma(2.0, 0.2, len(spare))
    loops, loop_strength = _convergent_pairs(starts, ends, forward, reverse, rng)

    visibility = np.exp(gaussian_filter1d(rng.normal(0.0, 1.0, n_bins), 1.0) * 0.35)
    visibility[rng.choice(n_bins, n_bins // 64, replace=False)] = 0.0
    return Chromosome(
        name,
        compartment,
        boundary,
        domain,
        forward,
        reverse,
        np.zeros(n_bins),
        visibility,
        _field(domain, starts, rng),
        _field(domain, starts, rng),
        loops,
        loop_strength,
    )


def _field(domain: np.ndarray, starts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the private answer (bins, regulators) of each domain to a few regulators."""
    answer = np.zeros((len(starts), len(REGULATORS)))
    rows = np.arange(len(starts))
    columns = _choose_drivers(2 * len(starts), rng).reshape(2, -1)
    for column in columns:
        answer[rows, column] += rng.normal(0.0, 1.0, len(starts))
    of_bins: np.ndarray = answer[domain]
    return of_bins


def _convergent_pairs(
    starts: np.ndarray,
    ends: np.ndarray,
    forward: np.ndarray,
    reverse: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return pairs (forward site, reverse site to its right) around one to three domains."""
    pairs, strength = [], []
    for first, start in enumerate(starts):
        for last in range(first, min(first + 3, len(ends))):
            both = np.sqrt(forward[start] * reverse[ends[last]])
            if both > 0.3 and ends[last] - start >= 3 and rng.random() < 0.8 / (1 + last - first):
                pairs.append((start, ends[last]))
                strength.append(both)
    return np.array(pairs, dtype=np.intp).reshape(-1, 2), np.array(strength)


def _place_genes(
    chromosomes: list[Chromosome], n_genes: int, bin_size: int, rng: np.random.Generator
) -> tuple[pd.DataFrame, np.ndarray]:
    """Place genes where the compartment is active and near domain borders; sort along the genome.

    Returns the table and the bin of the start of transcription of each gene.
    """
    density = np.concatenate(
        [
            np.exp(1.3 * c.compartment + 1.2 * (c.ctcf_forward + c.ctcf_reverse > 0))
            for c in chromosomes
        ]
    )
    n_bins = chromosomes[0].n_bins
    place = np.sort(rng.choice(len(density), n_genes, p=density / density.sum()))
    bins = place % n_bins
    site = bins * bin_size + rng.integers(0, bin_size, n_genes)
    length = np.exp(rng.normal(np.log(20_000), 0.9, n_genes)).astype(int) + 500
    strand = np.where(rng.random(n_genes) < 0.5, "+", "-")
    start = np.where(strand == "+", site, np.maximum(site - length, 0))
    end = np.where(strand == "+", np.minimum(site + length, n_bins * bin_size), site + 1)
    role = rng.choice(
        ["housekeeping", "cell_cycle", "target", "steady"], n_genes, p=[0.15, 0.06, 0.6, 0.19]
    ).astype(object)
    name = np.array([f"Gene{i:05d}" for i in range(n_genes)], dtype=object)
    chosen = rng.choice(n_genes, len(REGULATORS), replace=False)
    role[chosen], name[chosen] = "regulator", np.array(REGULATORS, dtype=object)
    chrom = np.array([c.name for c in chromosomes], dtype=object)[place // n_bins]
    table = pd.DataFrame(
        {"chrom": chrom, "start": start, "end": end, "strand": strand, "role": role}, index=name
    )
    return table, bins


def _choose_drivers(n: int, rng: np.random.Generator) -> np.ndarray:
    """Return ``n`` indices of regulators drawn by ``_DRIVERS``."""
    weight = np.array(list(_DRIVERS.values()))
    columns = np.array([INDEX[name] for name in _DRIVERS])
    return rng.choice(columns, n, p=weight / weight.sum())


def _weights(
    genes: pd.DataFrame, bins: np.ndarray, chromosomes: list[Chromosome], rng: np.random.Generator
) -> np.ndarray:
    """Return effects (genes, regulators); half of the genes of a domain share a programme."""
    n = len(genes)
    role = genes["role"].to_numpy()
    weights = np.zeros((n, len(REGULATORS)))
    order = {c.name: k for k, c in enumerate(chromosomes)}
    key = np.array(
        [
            order[c] * 10_000 + chromosomes[order[c]].domain[b]
            for c, b in zip(genes["chrom"], bins, strict=True)
        ]
    )
    _, domain = np.unique(key, return_inverse=True)
    shared = np.zeros((domain.max() + 1, len(REGULATORS)))
    own = np.zeros_like(weights)
    for table in (shared, own):
        rows = np.arange(len(table))
        for size in (2.0, 1.2):
            effect = size * rng.gamma(4.0, 0.25, len(table)) * rng.choice([-1, 1, 1], len(table))
            table[rows, _choose_drivers(len(table), rng)] += effect
    target = role == "target"
    follows = rng.random(n) < 0.5
    weights[target] = np.where(follows[:, None], shared[domain], own)[target]
    steady = role == "steady"
    weights[steady] = 0.25 * own[steady]
    cycling = np.flatnonzero(role == "cell_cycle")
    phase = np.where(rng.random(len(cycling)) < 0.5, INDEX["TF_G1S"], INDEX["TF_G2M"])
    weights[cycling, phase] = rng.uniform(1.5, 3.0, len(cycling))
    regulator = np.flatnonzero(role == "regulator")
    weights[regulator, [INDEX[g] for g in genes.index[regulator]]] = 3.0
    return weights


def _add_cpg(c: Chromosome, gene_bins: np.ndarray, rng: np.random.Generator) -> Chromosome:
    """Return the chromosome with its CpG track (share of bases, per cent) and visibility."""
    genes = gaussian_filter1d(
        np.bincount(gene_bins, minlength=c.n_bins).astype(float), 0.7, mode="nearest"
    )
    sites = (c.ctcf_forward > 0) * 0.15 + (c.ctcf_reverse > 0) * 0.15
    cpg = 0.8 + 0.2 * c.compartment + 0.35 * genes + sites
    cpg = np.maximum(cpg + 0.12 * rng.standard_normal(c.n_bins), 0.2)
    visibility = c.visibility * np.exp(0.1 * (cpg - cpg.mean()) / cpg.std())
    values = {**c.__dict__, "cpg": cpg, "visibility": visibility}
    return Chromosome(**values)


def gene_bins(genome: Genome, chrom: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of the genes on ``chrom`` and the bins where their transcription starts."""
    rows = np.flatnonzero(genome.genes["chrom"].to_numpy() == chrom)
    table = genome.genes.iloc[rows]
    site = np.where(table["strand"] == "+", table["start"], table["end"] - 1)
    return rows, site // genome.bin_size
