"""Small windows on which spatial models are tested: what differs between types is known."""

from __future__ import annotations

import numpy as np

from scstlib.preprocess.windows import Windows, make_windows

TYPES = ("a", "b", "c")
BINS, WINDOW = 96, 32
NAMES = ("expression +", "expression -", "reference expression +", "reference expression -", "CpG")


def true_map(level: np.ndarray) -> np.ndarray:
    """Contacts that fall with distance and rise where both bins are expressed, (bins, bins)."""
    distance = np.abs(np.subtract.outer(np.arange(len(level)), np.arange(len(level))))
    return 400 / (1 + distance) * np.exp(0.6 * np.outer(level, level))


def spatial_windows(
    chromosomes: tuple[str, ...] = ("chr1", "chr2", "chr3", "chr4"),
    types: tuple[str, ...] = TYPES,
    seed: int = 0,
) -> tuple[Windows, Windows]:
    """Windows with Poisson counts, and the same with the truth as targets.

    A bin is expressed or not; which bins are differs between types, and the bulk is of their mean.
    The second bin of each chromosome is masked.
    """
    rng = np.random.default_rng(seed)
    bulk, truth, tracks = {}, {t: {} for t in types}, {t: {} for t in types}
    for chrom in chromosomes:
        on = {t: rng.integers(0, 2, BINS) for t in TYPES}
        mean = np.mean([on[t] for t in TYPES], axis=0)
        bulk[chrom] = masked_counts(true_map(mean), rng)
        cpg = rng.random(BINS)
        for t in types:
            truth[t][chrom] = true_map(on[t])
            own, ref = 10.0 * on[t], 10.0 * mean
            tracks[t][chrom] = np.stack([own, 0 * own, ref, 0 * own, cpg], axis=1)
    counts = {t: {c: masked_counts(m, rng) for c, m in by.items()} for t, by in truth.items()}

    def cut(targets: dict[str, dict[str, np.ndarray]]) -> Windows:
        return make_windows(
            bulk, tracks, targets, bin_size=1000, bulk_cell_types=(), window=WINDOW, stride=16,
            track_names=NAMES,
        )  # fmt: skip

    return cut(counts), cut(truth)


def masked_counts(expected: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    counts = np.triu(rng.poisson(expected)).astype(float)
    counts += np.triu(counts, 1).T
    counts[1] = counts[:, 1] = 0
    return counts
