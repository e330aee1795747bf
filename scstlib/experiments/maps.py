"""What shallow contact maps pretend: experiments, and the steps that they are made of.

An experiment returns numbers by name, with a mistake and without it, for one seed;
:func:`scstlib.audit.experiments.by_seed` repeats it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from scstlib.datasets.organism.chromatin import sample_map
from scstlib.datasets.organism.realism import balance, coarsen
from scstlib.metrics.contacts import contrast_correlation, expected_by_distance
from scstlib.preprocess.contacts import make_windows, normalise_depth

if TYPE_CHECKING:
    from scstlib.datasets import Organism
    from scstlib.preprocess.windows import Windows
    from scstlib.splits import Split

    Cut = Callable[[Mapping[str, Mapping[str, np.ndarray]]], Split[Windows]]

NEAREST, FURTHEST = 1.0, 10.0  # Mb
SIDE = 128  # bins of a window
TYPES = ("stem", "bipotent", "beta_mature", "gamma_mature")


def over_expected(contacts: np.ndarray) -> np.ndarray:
    """Return a map (bins, bins) over its mean at each distance; NaN where that is 0."""
    expected = expected_by_distance(contacts)[_apart(len(contacts))]
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio: np.ndarray = np.where(expected > 0, contacts / expected, np.nan)
    return ratio


def far(contacts: np.ndarray, mb: float) -> np.ndarray:
    """Return the pixels of a map that lie 1 to 10 Mb apart, one row of numbers.

    Parameters
    ----------
    contacts : array (bins, bins)
        Contacts, or what was made of them.
    mb : float
        Width of a bin in Mb.
    """
    distance = np.triu(_apart(len(contacts))) * mb
    return contacts[(distance >= NEAREST) & (distance <= FURTHEST)]


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return Pearson's correlation of the values that are known in both."""
    both = np.isfinite(a) & np.isfinite(b)
    return float(np.corrcoef(a[both], b[both])[0, 1])


def pseudo_bulk(
    seed: int, organism: Organism, n_cells: int, cell_type: str = "beta_mature"
) -> np.ndarray:
    """Return the counts (bins, bins) of ``n_cells`` cells on the first chromosome."""
    chrom = organism.chromosomes[0]
    return organism.sample_contacts(cell_type, n_cells=n_cells, seed=seed, chroms=[chrom])[chrom]


def true_map(organism: Organism, cell_type: str = "beta_mature") -> np.ndarray:
    """Return what one cell is expected to show on the first chromosome, through visibility."""
    chrom = organism.chromosomes[0]
    return organism.expected_contacts(chrom, cell_type, biased=True).astype(float)


def agreement_by_bins(
    seed: int, organism: Organism, n_cells: int, factors: dict[str, int]
) -> dict[str, float]:
    """Return how well a pseudo-bulk agrees with the truth, by the width of its bins.

    Parameters
    ----------
    seed : int
        Of the cells.
    organism : Organism
    n_cells : int
        Cells that are summed.
    factors : dict
        Names of widths, and how many bins of the organism each takes together.

    Returns
    -------
    dict
        Correlation of observed over expected, 1 to 10 Mb apart, by name.
    """
    counts, truth = pseudo_bulk(seed, organism, n_cells), true_map(organism)
    found = {}
    for name, factor in factors.items():
        a, b = (ratios(m, organism, factor) for m in (counts, truth))
        found[name] = correlation(a, b)
    return found


def ratios(contacts: np.ndarray, organism: Organism, factor: int = 1) -> np.ndarray:
    """Return observed over expected 1 to 10 Mb apart, in bins ``factor`` times as wide."""
    mb = organism.settings.bin_size / 1e6
    return far(over_expected(coarsen(contacts, factor).astype(float)), factor * mb)


def plain_map(organism: Organism, biased: bool = True) -> np.ndarray:
    """Return a map of one cell that knows distance and, if biased, visibility, and nothing else."""
    true = organism.expected_contacts(organism.chromosomes[0], "beta_mature")
    decay = expected_by_distance(true)[_apart(len(true))]
    seen = organism.genome.chromosomes[0].visibility
    plain: np.ndarray = decay * (np.outer(seen, seen) if biased else 1)
    return plain


def balanced_pair(seed: int, organism: Organism, n_cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Return observed over expected of a balanced pseudo-bulk and of balanced noise; NaN masked."""
    noise = sample_map(n_cells * plain_map(organism), np.random.default_rng(seed))
    maps = pseudo_bulk(seed, organism, n_cells), noise
    first, second = (ratios(balance(m), organism) for m in maps)
    return first, second


def holes(seed: int, organism: Organism, n_cells: int) -> dict[str, float]:
    """Return how a pseudo-bulk correlates with pure noise, with masked bins left out and as 0.

    Parameters
    ----------
    seed : int
        Of cells and noise.
    organism : Organism
    n_cells : int
        Depth of both.

    Returns
    -------
    dict
        ``NaN left out`` and ``NaN as 0``; the right answer is 0.
    """
    pair = balanced_pair(seed, organism, n_cells)
    filled = (np.nan_to_num(m) for m in pair)
    return {"NaN left out": correlation(*pair), "NaN as 0": correlation(*filled)}


def smoothing(
    seed: int, organism: Organism, width: int, n_cells: int = 100, n_pairs: int = 20
) -> dict[str, float]:
    """Return what smoothing does to noise, to a replicate and to another cell type.

    Windows of 128 bins are taken, each pixel becomes the mean of a square around it, and pixels at
    least 1 Mb apart are compared.

    Parameters
    ----------
    seed : int
        Of cells and noise.
    organism : Organism
    width : int
        Of the square in pixels; 1 does not smooth.
    n_cells : int
        Depth of all maps.
    n_pairs : int
        Pairs of pure noise.

    Returns
    -------
    dict
        ``noise called related (%)``: pairs of noise, of equal visibility, whose correlation has
        p < 0.05 if pixels, each over its standard error, are taken for independent; ``r,
        replicate`` and ``r, stem cells``: of a pseudo-bulk of beta cells with another one, and
        with one of stem cells.
    """
    from scipy.ndimage import uniform_filter
    from scipy.stats import pearsonr

    plain, rng = n_cells * plain_map(organism, biased=False), np.random.default_rng(seed)
    middle = len(plain) // 2
    window = slice(max(0, middle - SIDE), middle), slice(max(0, middle - SIDE), middle)
    plain, mb = plain[window], organism.settings.bin_size / 1e6
    spread = far(1 / np.sqrt(plain), mb)  # of the noise of a ratio, by distance

    def smoothed(window: np.ndarray) -> np.ndarray:
        return far(over_expected(uniform_filter(window.astype(float), width)), mb)

    called = []
    for _ in range(n_pairs):
        a, b = ((smoothed(sample_map(plain, rng)) - 1) / spread for _ in range(2))
        both = np.isfinite(a) & np.isfinite(b)
        called.append(pearsonr(a[both], b[both]).pvalue < 0.05)
    one, same = (smoothed(pseudo_bulk(2 * seed + i, organism, n_cells)[window]) for i in (0, 1))
    other = smoothed(pseudo_bulk(seed, organism, n_cells, "stem")[window])
    return {
        "noise called related (%)": 100 * float(np.mean(called)),
        "r, replicate": correlation(one, same),
        "r, stem cells": correlation(one, other),
    }


def spatial_model(
    seed: int, organism: Organism, numbers: Sequence[int], cut: Cut
) -> dict[tuple[int, str], float]:
    """Return how a ridge scores that was trained and is scored on pseudo-bulks of some cells.

    It learns four cell types on the first chromosome from the stem bulk, expression and shared
    tracks; the second is the test. Scores are contrast correlations.

    Parameters
    ----------
    seed : int
        Of targets and model.
    organism : Organism
    numbers : sequence of int
        Cells of each target, in training and test.
    cut : function
        :func:`window_maker` of the organism, made once for all seeds.

    Returns
    -------
    dict
        By number of cells and name: ``model, against targets``; ``truth, against targets``, the
        ceiling; ``model, against truth``.
    """
    from scstlib.models.spatial import BulkRidge

    chroms = list(organism.chromosomes[:2])
    expected = {
        kind: {c: organism.expected_contacts(c, kind, biased=True) for c in chroms}
        for kind in TYPES
    }
    truth = cut(expected).test.targets
    found = {}
    for n in numbers:
        counts = {
            kind: organism.sample_contacts(kind, n_cells=n, seed=seed, chroms=chroms)
            for kind in TYPES
        }
        split = cut(counts)
        targets = split.test.targets
        assert truth is not None
        assert targets is not None
        predicted = BulkRidge(n_pixels=30_000, seed=seed).fit(split.train).predict(split.test)
        found[n, "model, against targets"] = contrast(predicted, targets, split.test)
        found[n, "truth, against targets"] = contrast(truth, targets, split.test)
        found[n, "model, against truth"] = contrast(predicted, truth, split.test)
    return found


def contrast(maps: np.ndarray, other: np.ndarray, windows: Windows) -> float:
    """Return the mean contrast correlation of two stacks of maps (n, bins, bins) at windows."""
    from scstlib.models.spatial.comparison import mean_at_places

    a, b = normalise_depth(maps), normalise_depth(other)
    own, reference = (mean_at_places(m, windows, windows) for m in (a, b))
    return float(np.nanmean(contrast_correlation(a, b, reference, prediction_reference=own)))


def window_maker(organism: Organism) -> Cut:
    """Return what cuts the targets of the first two chromosomes into windows to train and test.

    Targets are maps (bins, bins) by cell type and chromosome; the second chromosome is the test.
    """
    import pandas as pd

    from scstlib.preprocess.guides import guide_tracks
    from scstlib.preprocess.tracks import by_chromosome, expression_tracks
    from scstlib.splits import hold_out_chromosomes

    seed, bins = organism.settings.seed, organism.tracks()
    cells = organism.sample(n_cells=100, seed=seed, keep_truth=False)
    sums = {
        kind: np.asarray(cells.X[(cells.obs["cell_type"] == kind).to_numpy()].sum(0)).ravel()
        for kind in TYPES
    }
    totals = pd.DataFrame(sums, index=cells.var_names)
    expression = expression_tracks(
        totals / totals.sum() * 1e4, organism.genome.genes, bins[["chrom", "start", "end"]]
    )
    shared = ["ctcf_forward", "ctcf_reverse", "cpg"]
    guides, names = guide_tracks(
        expression,
        reference=list(TYPES),
        bulk=expression["stem"],
        shared=bins[shared].to_numpy(),
        shared_names=shared,
    )
    chromosomes = list(organism.chromosomes[:2])
    bulk = organism.bulk("stem", seed=seed, chroms=chromosomes)
    tracks = {kind: by_chromosome(values, bins) for kind, values in guides.items()}

    def cut(targets: Mapping[str, Mapping[str, np.ndarray]]) -> Split[Windows]:
        windows = make_windows(
            bulk,
            tracks,
            targets,
            bin_size=organism.settings.bin_size,
            bulk_cell_types=["stem"],
            chromosomes=chromosomes,
            window=SIDE,
            stride=SIDE,
            track_names=names,
        )
        return hold_out_chromosomes(windows, test=chromosomes[-1])

    return cut


def _apart(n: int) -> np.ndarray:
    """Distance of each pair of n bins."""
    return np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
