"""Experiments on sparse counts, where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from anndata import AnnData

from scstlib.datasets import Organism, simulate_organism
from scstlib.experiments import counts as lab


@pytest.fixture(scope="module")
def organism() -> Organism:
    return simulate_organism(seed=0, preset="tiny", depth=2000.0)


def poisson(means: np.ndarray, seed: int = 0) -> AnnData:
    return AnnData(np.random.default_rng(seed).poisson(means).astype(float))


def test_log_counts_by_hand() -> None:
    found = lab.log_counts(np.array([[1, 3], [0, 0]]))
    np.testing.assert_allclose(found, [[np.log(2501), np.log(7501)], [0, 0]])


def test_zeros_of_two_types_are_explained_by_the_types_and_not_without() -> None:
    types = np.repeat(["a", "b"], 300)
    means = np.where(types[:, None] == np.tile(["a", "b"], 30), 1.8, 0.2)
    found = lab.zeros_beyond_models(poisson(means), types)
    assert found["beyond Poisson (%)"] > 5
    assert abs(found["with groups (%)"]) < 1
    assert abs(found["and dispersion (%)"]) < 1
    assert found["dispersion"] < 0.1


def test_less_of_the_truth_is_found_in_fewer_molecules(organism: Organism) -> None:
    found = lab.found_at_depths(0, organism, (1, 0.02))
    near = [name for share, name in found if share == 1 and not name.startswith("genes")]
    assert len(near) == 4
    assert len(found) == 12
    for name in near:
        assert 0 < found[0.02, name] < found[1, name] < 100


def test_halves_agree_less_with_fewer_molecules(organism: Organism) -> None:
    cells = organism.sample(96.0, 200, seed=1)
    full, few = (lab.neighbours_of_halves(cells, 0, share) for share in (1, 0.05))
    assert few < full < 1


def test_unequal_depth_calls_genes_by_the_logarithm_alone() -> None:
    organism = simulate_organism(seed=0, preset="tiny")
    called = lab.called_at_unequal_depth(0, organism)
    assert called["log counts"] > 20
    assert called["log counts, thinned"] <= 2
    assert called["counts, depth as exposure"] <= 2
    equal = lab.called_at_unequal_depth(0, organism, fraction=1.0)
    assert equal["log counts"] <= 2


def test_a_batch_for_each_time_calls_false_genes() -> None:
    organism = simulate_organism(seed=0, preset="small")
    own, mixed = (
        lab.called_across_batches(0, organism, confounded) for confounded in (True, False)
    )
    assert own["false"] > mixed["false"] + 3
    assert mixed["true"] > 0
    without = lab.called_across_batches(0, organism, confounded=True, strength=0.0)
    assert without["false"] < own["false"]


def test_smoothing_over_one_cell_changes_nothing_and_over_all_makes_them_equal() -> None:
    values = np.random.default_rng(0).normal(size=(40, 30))
    np.testing.assert_array_equal(lab.smooth_cells(values, 1), values)
    np.testing.assert_allclose(lab.smooth_cells(values, 40), np.tile(values.mean(0), (40, 1)))


def test_smoothing_invents_pairs_and_genes(organism: Organism) -> None:
    pairs = lab.invented_correlations(0, organism, [1, 30])
    assert pairs[1] < 1 < pairs[30]
    genes = lab.invented_genes(0, organism, [1, 15])
    assert genes[1] < 10 < genes[15]


def test_double_dipping_is_cured_by_splitting_poisson_counts() -> None:
    called = lab.called_between_clusters(poisson(np.full((300, 100), 3.0)), seed=0)
    assert called["double dipping"] > 5
    assert called["count splitting"] <= 2
    assert called["random groups"] <= 2


def test_true_groups_are_found_until_they_are_dealt_out() -> None:
    means = np.where(np.arange(300)[:, None] < 150, *np.array([[6.0] * 20 + [2.0] * 40] * 2))
    means[150:] = [2.0] * 20 + [4.0] * 40
    cells = poisson(means)
    assert lab.called_between_clusters(cells, 0)["count splitting"] > 50
    assert lab.called_between_clusters(cells, 0, deal_out=True)["count splitting"] <= 3


def test_droplets_hold_the_mean_of_all_cells_and_are_shallow() -> None:
    cells = poisson(np.tile([8.0, 4.0, 2.0, 1.0], (200, 25)))
    mixed = lab.with_empty_droplets(cells, 60, seed=0, depth=20)
    empty = mixed.obs["empty"].to_numpy()
    np.testing.assert_array_equal(mixed.X[~empty], cells.X)
    assert mixed.X[empty].sum(axis=1).mean() == pytest.approx(20, rel=0.1)
    shares = mixed.X[empty].sum(axis=0).reshape(25, 4).sum(axis=0) / mixed.X[empty].sum()
    np.testing.assert_allclose(shares, np.array([8, 4, 2, 1]) / 15, atol=0.05)
    kept = lab.deep_enough(mixed.X)
    assert not kept[empty].any()
    assert kept[~empty].mean() > 0.98


def test_droplets_spoil_clusters_and_rare_genes_the_choice(organism: Organism) -> None:
    found = lab.fates_with_droplets(0, organism)
    assert found["fates: droplets in"] < found["fates: droplets out"]
    assert found["droplets kept (%)"] == 0
    assert found["cells lost (%)"] < 3


def test_cells_without_a_count_are_left_out_of_thinned_ones() -> None:
    thin = lab.thinned(poisson(np.full((200, 4), 0.5), 3), 0, 0.3)
    assert 0 < thin.n_obs < 200
    assert thin.X.sum(axis=1).min() > 0
