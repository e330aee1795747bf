"""Experiments on shallow contact maps, where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from scstlib.datasets import Organism, simulate_organism
from scstlib.experiments import maps as lab


@pytest.fixture(scope="module")
def organism() -> Organism:
    return simulate_organism(seed=0, preset="small")


def test_over_expected_and_far_by_hand() -> None:
    contacts = np.array([[8.0, 2, 0], [2, 4, 6], [0, 6, 6]])
    np.testing.assert_allclose(
        lab.over_expected(contacts),
        [[8 / 6, 0.5, np.nan], [0.5, 4 / 6, 1.5], [np.nan, 1.5, 1]],
    )
    assert lab.far(contacts, mb=1.0).tolist() == [2, 0, 6]
    assert lab.far(contacts, mb=0.5).tolist() == [0]
    assert lab.far(contacts, mb=11.0).tolist() == []


def test_correlation_leaves_unknown_values_out() -> None:
    a, b = np.array([1.0, 2, 3, np.nan]), np.array([2.0, 4, 6, 1])
    assert lab.correlation(a, b) == pytest.approx(1)


def test_wider_bins_and_more_cells_agree_better(organism: Organism) -> None:
    few, many = (
        lab.agreement_by_bins(0, organism, n, {"narrow": 1, "wide": 10}) for n in (10, 300)
    )
    assert few["narrow"] < few["wide"] < many["wide"]
    assert few["narrow"] < many["narrow"]


def test_the_plain_map_knows_distance_and_visibility_alone(organism: Organism) -> None:
    plain, truth = lab.plain_map(organism), lab.true_map(organism)
    assert plain.sum() == pytest.approx(truth.sum(), rel=0.05)
    flat = np.diagonal(lab.plain_map(organism, biased=False), 30)
    assert flat.std() < 1e-6 * flat.mean()
    seen = organism.genome.chromosomes[0].visibility
    np.testing.assert_allclose(np.diagonal(plain, 30), flat * seen[30:] * seen[:-30])


def test_holes_make_noise_agree_in_deep_maps(organism: Organism) -> None:
    shallow, deep = (lab.holes(0, organism, n) for n in (10, 3000))
    assert abs(deep["NaN left out"]) < 0.05 < deep["NaN as 0"]
    assert abs(shallow["NaN as 0"]) < 0.05


def test_smoothing_lifts_every_score(organism: Organism) -> None:
    raw, wide = (lab.smoothing(0, organism, width, n_pairs=8) for width in (1, 9))
    assert wide["r, stem cells"] > raw["r, replicate"]
    assert wide["r, replicate"] > wide["r, stem cells"]
    assert wide["noise called related (%)"] >= raw["noise called related (%)"] > 0


@pytest.mark.slow
def test_the_score_of_a_model_rises_more_with_the_targets_than_the_model(
    organism: Organism,
) -> None:
    found = lab.spatial_model(0, organism, (10, 300), lab.window_maker(organism))
    growth = {name: found[300, name] / found[10, name] for _, name in found}
    assert growth["model, against targets"] > 1.3 * growth["model, against truth"]
    for n in (10, 300):
        assert found[n, "model, against targets"] < found[n, "truth, against targets"]


def test_the_contrast_of_the_truth_with_itself_is_one(organism: Organism) -> None:
    chrom = list(organism.chromosomes[:2])
    maps = {
        kind: {c: organism.expected_contacts(c, kind, biased=True) for c in chrom}
        for kind in lab.TYPES
    }
    test = lab.window_maker(organism)(maps).test
    assert lab.contrast(test.targets, test.targets, test) == pytest.approx(1)
