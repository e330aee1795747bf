"""Windows of the simulated organism: what is measured, what is true, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from scstlib.datasets import simulate_organism
from scstlib.preprocess.organism_windows import organism_windows


@pytest.fixture(scope="module")
def organism():
    return simulate_organism(seed=1, preset="tiny")


def test_targets_are_draws_about_the_truth(organism):
    chrom = organism.chromosomes[1]
    windows, truth = organism_windows(organism, ["stem", "beta_mature"], [chrom], window=32)
    assert truth.shape == windows.targets.shape
    both = windows.mask[:, :, None] & windows.mask[:, None, :]
    assert not truth[~both].any()
    row = int(np.flatnonzero(windows.table["cell_type"] == "beta_mature")[0])
    first = windows.table["start"][row] // windows.bin_size
    whole = 200 * organism.expected_contacts(chrom, "beta_mature", biased=True)
    part = whole[first : first + 32, first : first + 32] * both[row]
    np.testing.assert_allclose(truth[row], part, rtol=1e-5)
    i, j = np.triu_indices(32)
    excess = (windows.targets - truth)[:, i, j] / np.sqrt(truth[:, i, j] + 1e-9)
    assert abs(excess[truth[:, i, j] > 1].std() - 1) < 0.1  # Poisson


def test_tracks_of_a_held_out_type_do_not_enter_the_reference(organism):
    kinds, chrom = ["stem", "beta_mature"], organism.chromosomes[:1]
    alone, _ = organism_windows(organism, ["stem"], chrom, window=32)
    with_other, _ = organism_windows(organism, kinds, chrom, window=32, reference=["stem"])
    both, _ = organism_windows(organism, kinds, chrom, window=32)
    stem = (both.table["cell_type"] == "stem").to_numpy()
    np.testing.assert_array_equal(alone.tracks, with_other.tracks[stem])
    assert not np.array_equal(alone.tracks, both.tracks[stem])


def test_unknown_cell_types_are_refused(organism):
    with pytest.raises(ValueError, match="unknown cell types \\['liver'\\]"):
        organism_windows(organism, ["stem"], organism.chromosomes, reference=["liver"])
