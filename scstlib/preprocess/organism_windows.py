"""Windows of the simulated organism with their truth: what the book's spatial models learn from."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scstlib.datasets.organism import Organism
from scstlib.preprocess.guides import guide_tracks
from scstlib.preprocess.tracks import by_chromosome, expression_tracks
from scstlib.preprocess.windows import Windows, make_windows

if TYPE_CHECKING:
    from anndata import AnnData

BULK_TYPE = "stem"
SHARED = {"CTCF +": "ctcf_forward", "CTCF -": "ctcf_reverse", "CpG": "cpg"}


def organism_windows(
    organism: Organism,
    cell_types: Sequence[str],
    chromosomes: Sequence[str],
    *,
    reference: Sequence[str] | None = None,
    n_cells: int = 200,
    window: int = 128,
    stride: int = 32,
    seed: int = 0,
) -> tuple[Windows, np.ndarray]:
    """Measure an organism and cut windows; return them and the contacts that were to be expected.

    The bulk map is of stem cells. Targets are pseudo-bulks of ``n_cells`` cells. Tracks are
    those of :func:`scstlib.preprocess.guides.guide_tracks`: expression from one sample of cells, in
    counts per 10,000, with that of the reference and of the bulk's cells; CTCF sites; CpG.

    Parameters
    ----------
    organism : Organism
    cell_types, chromosomes : sequence of str
        Of the windows.
    reference : sequence of str, optional
        Cell types whose mean expression is the reference: those that a model is trained on. By
        default all ``cell_types``; leave out those that are held out.
    n_cells : int
        In each target.
    window, stride : int
        In bins.
    seed : int
        Of all measurements.

    Returns
    -------
    Windows, numpy.ndarray
        Windows with targets, and their truth (n, bins, bins): noise-free contacts of ``n_cells``
        cells, 0 in masked bins.

    Raises
    ------
    ValueError
        For a cell type or a chromosome that the organism does not have.

    Examples
    --------
    >>> from scstlib.datasets import simulate_organism
    >>> from scstlib.preprocess.organism_windows import organism_windows
    >>> organism = simulate_organism(preset="tiny")
    >>> windows, truth = organism_windows(organism, ["stem", "beta_mature"], ["chr1"], window=32)
    >>> windows
    <Windows: 4 of 32 bins of 50,000 bp, 9 tracks, with targets, cell types stem, beta_mature>
    >>> truth.shape
    (4, 32, 32)
    """
    if strangers := sorted({*cell_types, *(reference or ())} - set(organism.cell_types)):
        raise ValueError(f"unknown cell types {strangers}; choose from {organism.cell_types}")
    table = organism.tracks()
    bins = table[["chrom", "start", "end"]]
    kinds = list(dict.fromkeys([*cell_types, *(reference or ()), BULK_TYPE]))
    cells = organism.sample(seed=seed, keep_truth=False)
    expression = expression_tracks(mean_expression(cells, kinds), organism.genome.genes, bins)
    tracks, names = guide_tracks(
        expression,
        reference=reference or cell_types,
        bulk=expression[BULK_TYPE],
        shared=table[list(SHARED.values())].to_numpy(),
        shared_names=tuple(SHARED),
    )
    guides = {kind: by_chromosome(tracks[kind], bins) for kind in cell_types}
    bulk = organism.bulk(BULK_TYPE, seed=seed, chroms=chromosomes)
    measured: dict[str, dict[str, np.ndarray]] = {kind: {} for kind in cell_types}
    expected: dict[str, dict[str, np.ndarray]] = {kind: {} for kind in cell_types}
    for kind, c in product(cell_types, chromosomes):
        # One after the other: the organism keeps the map that it draws from.
        drawn = organism.sample_contacts(kind, n_cells=n_cells, seed=seed, chroms=[c])
        measured[kind] |= drawn
        expected[kind][c] = n_cells * organism.expected_contacts(c, kind, biased=True)
    found, true = (
        make_windows(
            bulk,
            guides,
            targets,
            bin_size=organism.settings.bin_size,
            bulk_cell_types=[BULK_TYPE],
            window=window,
            stride=stride,
            chromosomes=chromosomes,
            track_names=names,
        )
        for targets in (measured, expected)
    )
    assert true.targets is not None
    return found, true.targets


def mean_expression(cells: AnnData, kinds: Sequence[str]) -> pd.DataFrame:
    """Return counts per 10,000 of the summed cells of each type, (genes, cell types).

    Parameters
    ----------
    cells : AnnData
        Counts; types in ``obs["cell_type"]``.
    kinds : sequence of str
        Types that are summed.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from anndata import AnnData
    >>> from scstlib.preprocess.organism_windows import mean_expression
    >>> obs = pd.DataFrame({"cell_type": ["a", "a", "b"]}, index=["1", "2", "3"])
    >>> cells = AnnData(np.array([[1.0, 0.0], [0.0, 3.0], [2.0, 2.0]]), obs=obs)
    >>> mean_expression(cells, ["a", "b"]).to_numpy().tolist()
    [[2500.0, 5000.0], [7500.0, 5000.0]]
    """
    labels = cells.obs["cell_type"].to_numpy()
    sums = {kind: np.asarray(cells.X[labels == kind].sum(axis=0)).ravel() for kind in kinds}
    table = pd.DataFrame(sums, index=cells.var_names)
    return table / table.sum() * 1e4
