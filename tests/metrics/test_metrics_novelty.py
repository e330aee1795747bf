"""Flags of inputs far from the training data, on points by hand and on planted cases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scstlib.datasets import simulate_organism
from scstlib.metrics.novelty import novelty, time_novelty
from scstlib.preprocess.guides import guide_novelty
from scstlib.preprocess.organism_windows import organism_windows

TRAINING = ["stem", "bipotent", "beta_precursor", "beta_mature", "gamma_mature"]


@pytest.fixture(scope="module")
def organism():
    return simulate_organism(seed=0, preset="tiny", n_chromosomes=4, n_cells=100)


def test_points_by_hand():
    training = np.array([[0.0], [1.0], [3.0], [6.0]])  # 1, 1, 2 and 3 from their nearest
    found = novelty([[2.0], [12.0], [0.0]], training, quantile=1.0)
    assert found.tolist() == [1 / 3, 2.0, 0.0]
    assert novelty([[0.0], [1.0]], [[0.0], [0.0]]).tolist() == [0.0, np.inf]


def test_a_twentieth_of_what_is_like_the_training_data_is_flagged():
    rng = np.random.default_rng(0)
    training, same = rng.standard_normal((2, 2000, 3))
    assert np.mean(novelty(same, training) > 1) == pytest.approx(0.05, abs=0.015)
    assert (novelty(same + 6, training) > 1).mean() > 0.99


def test_times_are_measured_in_intervals():
    measured = [0.0, 2.0, 4.0, 12.0, 12.0]
    assert time_novelty([1.0, 8.0, 20.0, -4.0], measured).tolist() == [0.25, 1.0, 2.0, 1.0]


def test_planted_cell_types_are_flagged(organism):
    """Other cells of training types are near; types without genes in common are far."""
    cells = {seed: organism.sample(seed=seed) for seed in (0, 1)}

    def profile(seed: int, kind: str) -> np.ndarray:
        own = cells[seed].X[(cells[seed].obs["cell_type"] == kind).to_numpy()].sum(axis=0)
        return np.log1p(1e4 * np.asarray(own).ravel() / own.sum())

    training = [profile(0, kind) for kind in TRAINING]
    again = novelty([profile(1, kind) for kind in TRAINING], training)
    assert (again < 1).all()
    planted = np.random.default_rng(0).permutation(profile(0, "stem"))
    assert novelty([planted], training)[0] > 1.5


def test_planted_guides_are_flagged(organism):
    chroms = organism.chromosomes
    windows, _ = organism_windows(organism, TRAINING, chroms, window=32)
    held_out = (windows.table["chrom"] == chroms[3]).to_numpy()
    training, test = windows[~held_out], windows[held_out]
    own = np.arange(test.tracks.shape[-1]) < 2
    test = test[(test.tracks[..., own] > 1).any(axis=2).sum(axis=1) > 3]  # with genes
    assert len(test) > 3
    usual = guide_novelty(test, training)
    louder = replace(test, tracks=test.tracks * np.where(own, 30, 1))
    assert np.mean(usual > 1) < 0.3
    assert np.mean(guide_novelty(louder, training) > 1) > 0.9


def test_what_is_refused(organism):
    with pytest.raises(ValueError, match="2 training points"):
        novelty([[1.0]], [[1.0]])
    with pytest.raises(ValueError, match="quantile"):
        novelty([[1.0]], [[1.0], [2.0]], quantile=2)
    with pytest.raises(ValueError, match="different finite times"):
        time_novelty([1.0], [2.0, 2.0])
    windows, _ = organism_windows(organism, TRAINING[:2], organism.chromosomes[:2], window=32)
    one = windows[(windows.table["chrom"] == organism.chromosomes[0]).to_numpy()]
    with pytest.raises(ValueError, match="one chromosome"):
        guide_novelty(windows, one)
    with pytest.raises(ValueError, match="tracks"):
        guide_novelty(replace(windows, track_names=()), windows)
