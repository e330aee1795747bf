"""Small windows on which spatial models are tested: what differs between types is known."""

from __future__ import annotations

from dataclasses import replace

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


def with_ctcf(windows: Windows, seed: int = 0) -> Windows:
    """Windows with two more tracks: CTCF sites of both strands, in one bin of six."""
    rng = np.random.default_rng(seed)
    sites = {chrom: rng.random((BINS, 2)) < 1 / 6 for chrom in sorted(set(windows.table["chrom"]))}
    rows = zip(windows.table["chrom"], windows.table["start"] // windows.bin_size, strict=True)
    cut = np.stack([sites[chrom][first : first + WINDOW] for chrom, first in rows])
    names = (*windows.track_names, "CTCF +", "CTCF -")
    return replace(windows, tracks=np.concatenate([windows.tracks, cut], 2), track_names=names)


def of_known_type(windows: Windows) -> Windows:
    """Windows whose expression is the higher, the later the cell type comes, where there is any."""
    level = 3.0 ** windows.table["cell_type"].map(list(TYPES).index).to_numpy()
    own = np.arange(windows.tracks.shape[-1]) < 2
    return replace(windows, tracks=windows.tracks * np.where(own, level[:, None, None], 1))


def thinned(windows: Windows, shares: dict[str, float], seed: int = 0) -> Windows:
    """Windows of which each contact of the targets is kept with the share of its cell type."""
    rng = np.random.default_rng(seed)
    assert windows.targets is not None
    share = windows.table["cell_type"].map(shares).to_numpy()[:, None, None]
    kept = np.triu(rng.binomial(windows.targets.astype(int), share))
    return replace(windows, targets=(kept + np.triu(kept, 1).swapaxes(1, 2)).astype(np.float32))
