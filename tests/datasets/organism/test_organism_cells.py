"""Cells of the simulated organism: samples, truth, fates, growth and perturbation."""

from __future__ import annotations

import numpy as np
import pytest

from scstlib.datasets.organism import Organism, simulate_organism
from scstlib.datasets.organism.expression import sample_counts
from scstlib.datasets.organism.lineage import REGULATORS
from scstlib.datasets.organism.network import Network, control_parameter, simulate


@pytest.fixture(scope="module")
def organism() -> Organism:
    return simulate_organism(seed=0, preset="tiny")


def test_same_seed_gives_the_same_cells_and_another_seed_others(organism: Organism) -> None:
    first = organism.sample([0.0, 40.0], 20, seed=1)
    again = simulate_organism(seed=0, preset="tiny").sample([0.0, 40.0], 20, seed=1)
    assert (first.X != again.X).nnz == 0
    assert first.obs.equals(again.obs)
    for other in (
        organism.sample([0.0, 40.0], 20, seed=2),
        simulate_organism(seed=1, preset="tiny").sample([0.0, 40.0], 20, seed=1),
    ):
        assert (first.X != other.X).nnz > 0


def test_another_organism_has_other_genes_and_domains(organism: Organism) -> None:
    other = simulate_organism(seed=1, preset="tiny")
    assert organism != other
    assert not np.array_equal(organism.genome.base, other.genome.base)
    assert not organism.tracks().equals(other.tracks())


def test_a_time_alone_has_the_cells_it_has_in_a_list(organism: Organism) -> None:
    both = organism.sample([12.25, 60.0], 15)
    alone = organism.sample(60.0, 15)
    assert (both[15:].X != alone.X).nnz == 0
    np.testing.assert_array_equal(both.obsm["true_state"][15:], alone.obsm["true_state"])


def test_measuring_destroys_cells(organism: Organism) -> None:
    states = organism.sample([47.9, 48.0, 48.1, 48.5], 60).obsm["true_state"]
    assert len(np.unique(states, axis=0)) == len(states)
    other = organism.sample([47.0, 49.0], 60).obsm["true_state"]
    assert len(np.unique(np.concatenate([states, other]), axis=0)) == len(states) + len(other)


def test_sample_holds_what_it_promises(organism: Organism) -> None:
    adata = organism.sample([24.0, 96.0], 30, n_batches=2)
    assert adata.shape == (60, 120)
    assert adata.X.format == "csr"
    assert np.issubdtype(adata.X.dtype, np.integer)
    assert adata.X.min() >= 0
    assert adata.obs["time"].tolist() == [24.0] * 30 + [96.0] * 30
    assert set(adata.obs["fate"].cat.categories) == {"uncommitted", *organism.fates}
    assert set(adata.obs["batch"]) == {"batch_0", "batch_1"}
    assert {"chrom", "start", "end", "strand", "role"} <= set(adata.var)
    assert (adata.var["start"] < adata.var["end"]).all()
    assert (adata.var["end"] <= 64 * 50_000).all()
    assert set(REGULATORS) == set(adata.var_names[adata.var["role"] == "regulator"])
    assert adata.uns["time_unit"] == "hours"
    np.testing.assert_allclose(adata.layers["true_mean"].sum(axis=1), 10_000, rtol=1e-4)
    assert "true_mean" not in organism.sample(0.0, 5, keep_truth=False).layers


def test_counts_have_the_mean_and_variance_of_the_negative_binomial() -> None:
    rng = np.random.default_rng(0)
    mean, depth = np.array([[100.0, 900.0, 9_000.0]]), np.array([500.0])
    dispersion = np.array([0.5, 0.2, 0.1])
    n = 40_000
    counts = sample_counts(np.repeat(mean, n, 0), np.repeat(depth, n), dispersion, rng)
    m = mean[0] * depth[0] / 10_000
    np.testing.assert_allclose(counts.mean(axis=0), m, rtol=0.02)
    np.testing.assert_allclose(counts.var(axis=0), m + dispersion * m**2, rtol=0.05)


def test_counts_follow_depth_times_true_mean(organism: Organism) -> None:
    adata = organism.sample(30.0, 2_000)
    expected = adata.layers["true_mean"] * adata.obs["depth"].to_numpy()[:, None] / 10_000
    seen, wanted = np.asarray(adata.X.mean(axis=0)).ravel(), expected.mean(axis=0)
    high = wanted > 1
    assert high.sum() > 20
    np.testing.assert_allclose(seen[high], wanted[high], rtol=0.12)


def test_mean_log_values_are_those_of_measured_cells_and_not_the_log_of_the_mean(
    organism: Organism,
) -> None:
    cells = organism.sample(30.0, 2_000)
    counts = cells.X.toarray()
    measured = np.log1p(counts * (1e4 / counts.sum(axis=1, keepdims=True))).mean(axis=0)
    expected = organism.mean_log_values(cells, n_draws=3)
    np.testing.assert_allclose(expected.mean(axis=0), measured, atol=0.15)
    assert np.abs(np.log1p(cells.layers["true_mean"]).mean(axis=0) - measured).max() > 1
    np.testing.assert_array_equal(expected, organism.mean_log_values(cells, n_draws=3))
    assert (expected != organism.mean_log_values(cells, n_draws=3, seed=1)).any()


def test_mean_log_values_need_true_means_and_a_draw(organism: Organism) -> None:
    with pytest.raises(ValueError, match="keep_truth=True"):
        organism.mean_log_values(organism.sample(0.0, 5, keep_truth=False))
    with pytest.raises(ValueError, match="n_draws is 0"):
        organism.mean_log_values(organism.sample(0.0, 5), n_draws=0)


def test_mean_expression_is_the_mean_of_cells_without_noise() -> None:
    organism = simulate_organism(preset="tiny", n_reference=4_000)
    adata = organism.sample(80.0, 2_000, seed=1)
    for fate in (None, "beta"):
        cells = adata if fate is None else adata[adata.obs["fate"] == fate]
        truth = organism.mean_expression(80.0, fate)
        assert truth.sum() == pytest.approx(10_000, rel=1e-3)
        np.testing.assert_allclose(cells.layers["true_mean"].mean(axis=0), truth, rtol=0.15)
    shares = adata.obs["fate"].value_counts(normalize=True)
    for fate, share in organism.fate_shares(80.0).items():
        assert shares[fate] == pytest.approx(share, abs=0.05)


def test_truth_of_a_time_does_not_depend_on_what_was_asked_before() -> None:
    one = simulate_organism(preset="tiny")
    one.mean_expression(33.3)
    one.mean_expression()
    direct = simulate_organism(preset="tiny").mean_expression(33.4)
    np.testing.assert_array_equal(one.mean_expression(33.4), direct)


def test_a_run_to_a_later_time_begins_with_the_run_to_an_earlier_one() -> None:
    early = simulate(Network(), np.array([10.2]), 50, np.random.default_rng(0))[0]
    times = np.array([3.3, 10.2, 20.0])
    within = simulate(Network(), times, 50, np.random.default_rng(0))[1]
    np.testing.assert_array_equal(early.levels, within.levels)


def test_cells_commit_at_the_bifurcations(organism: Organism) -> None:
    first, second = organism.commitment_times["first"], organism.commitment_times["second"]
    assert 20 < first < second < 70
    assert organism.fate_shares(0.0)["uncommitted"] == 1.0
    assert organism.fate_shares(first - 5)["uncommitted"] > 0.99
    assert organism.fate_shares(second)["alpha"] > 0.2
    assert organism.fate_shares(second - 8)[["beta", "gamma"]].sum() < 0.02
    late = organism.fate_shares(96.0)
    assert late.sum() == pytest.approx(1.0)
    assert late["uncommitted"] < 0.02
    assert (late[["alpha", "beta", "gamma"]] > 0.1).all()
    assert set(organism.lineage) == set(organism.cell_types)
    assert len(organism.cell_types) == 8


def test_gain_of_a_switch_is_critical_at_its_split() -> None:
    # d' = tanh(gain d) - d loses the stability of d = 0 at gain 1.
    assert control_parameter(np.array([28.0]), 28.0)[0] == pytest.approx(1.0, abs=1e-3)


def test_fates_are_apart_late_and_not_there_early(organism: Organism) -> None:
    adata = organism.sample([0.0, 96.0], 200)
    levels = adata.obsm["true_state"]
    alpha = REGULATORS.index("TF_alpha")
    early = levels[:200, alpha]
    late = {f: levels[200:][adata.obs["fate"][200:] == f, alpha] for f in organism.fates}
    assert early.std() < 0.15
    assert late["alpha"].min() > late["beta"].max() + 0.3


def test_growth_changes_shares() -> None:
    grown = simulate_organism(preset="tiny").fate_shares(96.0)
    still = simulate_organism(preset="tiny", growth=0.0).fate_shares(96.0)
    assert grown["alpha"] < still["alpha"] - 0.05
    assert grown["beta"] > still["beta"] + 0.05


@pytest.mark.parametrize(("regulator", "fate"), [("TF_alpha", "alpha"), ("TF_gamma", "gamma")])
def test_knock_down_lowers_and_over_expression_raises_a_fate(
    organism: Organism, regulator: str, fate: str
) -> None:
    before = organism.fate_shares(96.0)[fate]
    assert organism.perturb(regulator, 0.5).fate_shares(96.0)[fate] < 0.5 * before
    assert organism.perturb(regulator, 1.3).fate_shares(96.0)[fate] > 1.2 * before


def test_a_perturbation_acts_from_its_time_on(organism: Organism) -> None:
    changed = organism.perturb("TF_alpha", 0.0, time=40.0)
    assert changed != organism
    np.testing.assert_array_equal(changed.mean_expression(36.0), organism.mean_expression(36.0))
    assert (changed.sample(36.0, 20).X != organism.sample(36.0, 20).X).nnz == 0
    assert (
        changed.mean_expression(60.0)["TF_alpha"] < 0.7 * organism.mean_expression(60.0)["TF_alpha"]
    )
    assert organism.perturb("TF_alpha", 0.0).commitment_times["first"] == np.inf


def test_housekeeping_is_steady_and_half_lives_delay(organism: Organism) -> None:
    genes = organism.genome.genes
    change = np.abs(np.log(organism.mean_expression(96.0) / organism.mean_expression(0.0)))
    steady, target = genes["role"] == "housekeeping", genes["role"] == "target"
    # Shares of a total: what all housekeeping genes have in common comes from the other genes.
    assert change[steady].std() < 1e-2
    assert change[target].std() > 0.3
    state = simulate(Network(), np.array([44.0]), 500, np.random.default_rng(0))[0]
    stem = state.lagged[:, :, 0].mean(axis=1)
    assert (np.diff(stem) > 0).all()  # falling: the longer the half-life, the higher still


def test_dropout_adds_zeros_and_batches_shift_genes(organism: Organism) -> None:
    plain, lost = organism.sample(20.0, 300), organism.sample(20.0, 300, dropout=0.5)
    assert lost.X.nnz < 0.9 * plain.X.nnz
    adata = organism.sample(20.0, 600, n_batches=2, batch_strength=1.0)
    totals = [adata[adata.obs["batch"] == f"batch_{k}"].X.mean(axis=0) for k in range(2)]
    assert np.abs(np.log((totals[0] + 0.05) / (totals[1] + 0.05))).mean() > 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"times": [np.nan]}, "times"),
        ({"times": [-1.0]}, "from 0"),
        ({"times": [1e9]}, "from 0"),
        ({"times": [3.0, 3.0]}, "repeat"),
        ({"times": []}, "one or more"),
        ({"n_cells": -5}, "n_cells is -5"),
        ({"n_cells": 2.5}, "whole number"),
        ({"dropout": 1.5}, "probability"),
        ({"n_batches": 0}, "n_batches"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_samples_are_refused(organism: Organism, arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        organism.sample(**arguments)


def test_bad_settings_and_names_are_refused(organism: Organism) -> None:
    with pytest.raises(ValueError, match="unknown preset 'huge'"):
        simulate_organism(preset="huge")
    with pytest.raises(ValueError, match=r"unknown settings \['colour'\]"):
        simulate_organism(colour=1)
    with pytest.raises(ValueError, match="n_genes is 3"):
        simulate_organism(n_genes=3)
    with pytest.raises(ValueError, match="depth is nan"):
        simulate_organism(depth=float("nan"))
    with pytest.raises(ValueError, match="unknown fate 'delta'"):
        organism.mean_expression(50.0, "delta")
    with pytest.raises(ValueError, match="no beta cells at hour 0"):
        organism.mean_expression(0.0, "beta")
    with pytest.raises(ValueError, match="'Gene00001' is not a regulator"):
        organism.perturb("Gene00001", 0.5)
    with pytest.raises(ValueError, match="factor is -1"):
        organism.perturb("TF_beta", -1.0)


def test_identical_cells_differ_by_noise_and_depth_alone(organism: Organism) -> None:
    cells = organism.identical_cells(3000, seed=1, depth=4000.0, depth_spread=0.0)
    counts = cells.X.astype(float)
    assert counts.sum(axis=1).mean() == pytest.approx(4000, rel=0.03)
    expected = organism.mean_expression(0.0).to_numpy() * 0.4
    seen = expected > 5
    np.testing.assert_allclose(counts.mean(axis=0)[seen], expected[seen], rtol=0.15)
    dispersion = (counts.var(axis=0) - counts.mean(axis=0)) / counts.mean(axis=0) ** 2
    true = organism.genome.dispersion
    assert np.median(dispersion[seen] / true[seen]) == pytest.approx(1, abs=0.15)
    poisson = organism.identical_cells(
        3000, seed=1, depth=4000.0, depth_spread=0.0, overdispersed=False
    ).X.astype(float)
    ratio = poisson.var(axis=0)[seen] / poisson.mean(axis=0)[seen]
    np.testing.assert_allclose(ratio, 1, atol=0.15)


def test_identical_cells_have_a_depth_and_a_seed(organism: Organism) -> None:
    first, again = (organism.identical_cells(500, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.X, again.X)
    assert not np.array_equal(first.X, organism.identical_cells(500, seed=4).X)
    log_depth = np.log(first.obs["depth"])
    assert log_depth.std() == pytest.approx(organism.settings.depth_spread, rel=0.15)
    for bad in ({"depth": -1.0}, {"depth_spread": -0.1}, {"seed": 0.5}):
        with pytest.raises(ValueError, match="must be"):
            organism.identical_cells(5, **bad)
    with pytest.raises(ValueError, match="at least 1"):
        organism.identical_cells(0)
