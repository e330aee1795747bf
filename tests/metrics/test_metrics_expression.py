"""Metrics between populations of cells against POT, scipy, geomloss and known answers."""

from functools import partial
from pathlib import Path

import numpy as np
import ot
import pytest
import scipy.sparse
import scipy.stats
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist, pdist
from sklearn.tree import DecisionTreeClassifier

from scstlib.metrics import distribution, expression

# Computed with the public code of https://doi.org/10.1093/bioinformatics/btae393, commit ba55e8d.
PUBLISHED = Path(__file__).with_name("published_expression.npz")

# Zero on equal populations, and the same when they are swapped.
DISTANCES = {
    "sinkhorn": expression.sinkhorn,
    "wasserstein_1": partial(expression.wasserstein, p=1),
    "wasserstein_2": expression.wasserstein,
    "wasserstein_2_squared": partial(expression.wasserstein, squared=True),
    "energy_distance": expression.energy_distance,
    "mmd": expression.mmd,
    "mean_error": expression.mean_error,
    "zero_fraction_error": expression.zero_fraction_error,
}
ALL = DISTANCES | {
    "variance_ratio": expression.variance_ratio,
    "mean_pairwise_distance": expression.mean_pairwise_distance,
}
every_distance = pytest.mark.parametrize("metric", DISTANCES.values(), ids=DISTANCES)
every_metric = pytest.mark.parametrize("metric", ALL.values(), ids=ALL)


@every_distance
def test_equal_populations_are_at_zero_whatever_their_order(metric, cells):
    x, _ = cells
    order = np.random.default_rng(0).permutation(len(x))
    # W2 is a square root: rounding of 1e-16 in the cost shows as 1e-8.
    assert metric(x, x[order]) == pytest.approx(0, abs=1e-7)


@every_distance
def test_swapping_changes_nothing(metric, cells):
    x, y = cells
    assert metric(x, y) == pytest.approx(metric(y, x), rel=1e-9)


@every_metric
def test_order_of_cells_and_repeats_of_all_change_nothing(metric, cells):
    x, y = cells
    expected = metric(x, y)
    np.testing.assert_allclose(metric(x[::-1], y), expected, rtol=1e-8)
    if metric is not expression.mmd and metric is not expression.variance_ratio:
        # The median heuristic and n - 1 see the copies.
        np.testing.assert_allclose(metric(np.vstack([x, x]), y), expected, rtol=1e-8)


@every_metric
def test_inputs_are_left_as_they_were(metric, cells):
    x, y = cells
    assert not x.flags.writeable
    np.testing.assert_array_equal(metric(x, y), metric(x, y))


@every_metric
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((3, 5)), "same genes"),
        (np.zeros((0, 6)), "at least one"),
        (np.zeros(6), "cells, genes"),
        (np.full((3, 6), np.nan), "NaN"),
        (scipy.sparse.csr_array(np.ones((3, 6))), "sparse"),
    ],
)
def test_unusable_cells_are_refused(metric, x, message, cells):
    with pytest.raises(ValueError, match=message):
        metric(x, cells[1])


def test_cells_of_a_part_of_a_table_are_dense(cells):
    # A part of an AnnData holds a view, which has a method "toarray" although it is dense.
    values = cells[0].astype(np.float32)
    part = AnnData(values)[:4].X
    assert hasattr(part, "toarray")
    assert expression.energy_distance(part, cells[1]) == pytest.approx(
        expression.energy_distance(values[:4], cells[1])
    )


@every_distance
def test_one_cell_each(metric):
    value = metric([[0.0, 0.0]], [[3.0, 4.0]])
    assert np.isfinite(value)
    assert value > 0


def test_equals_published_evaluation():
    published = np.load(PUBLISHED)
    true, estimated = published["sinkhorn_true_0"], published["sinkhorn_estimated"][:, 0]
    for metric, key in (("l2", "l2"), ("cosine", "cos"), ("correlation", "corr")):
        value = expression.mean_pairwise_distance(true, estimated, metric)
        assert value == pytest.approx(float(published[f"evaluation_{key}"]), rel=1e-12)
    value = expression.sinkhorn(true, estimated)
    assert value == pytest.approx(float(published["evaluation_ot"]), rel=1e-9)


def test_wasserstein_equals_pot_and_an_assignment(cells):
    x, y = cells
    for p, metric in ((1, "euclidean"), (2, "sqeuclidean")):
        expected = ot.emd2([], [], cdist(x, y, metric))
        assert expression.wasserstein(x, y, p) ** p == pytest.approx(expected)
        square = cdist(x[:25], y, metric)
        expected = square[linear_sum_assignment(square)].mean()
        assert expression.wasserstein(x[:25], y, p) ** p == pytest.approx(expected)
    squared = expression.wasserstein(x, y, squared=True)
    assert squared == pytest.approx(expression.wasserstein(x, y) ** 2)


def test_wasserstein_equals_scipy_in_one_dimension(cells):
    x, y = (c[:, :1] for c in cells)
    expected = scipy.stats.wasserstein_distance(x[:, 0], y[:, 0])
    assert expression.wasserstein(x, y, 1) == pytest.approx(expected)


def test_sinkhorn_tends_to_half_of_squared_w2(cells):
    x, y = cells
    half = expression.wasserstein(x, y, squared=True) / 2
    assert expression.sinkhorn(x, y, scaling=0.98) == pytest.approx(half, rel=0.01)
    shifted = x + np.array([3.0, 4.0, 0, 0, 0, 0])
    assert expression.wasserstein(x, shifted) == pytest.approx(5)
    assert expression.sinkhorn(x, shifted, scaling=0.9) == pytest.approx(12.5, rel=1e-3)


def test_wasserstein_refuses_what_it_cannot_do(cells):
    x, y = cells
    with pytest.raises(ValueError, match="p must be"):
        expression.wasserstein(x, y, 3)
    with pytest.raises(ValueError, match="squared"):
        expression.wasserstein(x, y, 1, squared=True)


def test_wasserstein_says_when_it_has_not_converged(cells):
    with pytest.raises(RuntimeError, match="after 3 iterations"):
        expression.wasserstein(*cells, max_iterations=3)


def test_energy_distance_equals_scipy_in_one_dimension(cells):
    x, y = (c[:, :1] for c in cells)
    expected = scipy.stats.energy_distance(x[:, 0], y[:, 0]) ** 2
    assert expression.energy_distance(x, y) == pytest.approx(expected)


@pytest.mark.parametrize("pairs", [1, 60, 10_000])
def test_energy_distance_in_pieces_equals_all_pairs(cells, monkeypatch, pairs):
    monkeypatch.setattr(distribution, "_PAIRS", pairs)
    x, y = cells
    between = 2 * cdist(x, y).mean()
    expected = between - cdist(x, x).mean() - cdist(y, y).mean()
    assert expression.energy_distance(x, y) == pytest.approx(expected)
    unbiased = between - pdist(x).mean() - pdist(y).mean()
    assert expression.energy_distance(x, y, unbiased=True) == pytest.approx(unbiased)


def test_unbiased_energy_distance_is_zero_on_average_for_one_population():
    rng = np.random.default_rng(0)
    values = [
        expression.energy_distance(
            rng.normal(size=(6, 3)), rng.normal(size=(9, 3)), unbiased=unbiased
        )
        for unbiased in (True, False)
        for _ in range(400)
    ]
    unbiased, biased = np.reshape(values, (2, 400))
    assert abs(unbiased.mean()) < 4 * unbiased.std() / 20
    assert biased.mean() > 10 * biased.std() / 20
    assert np.isnan(expression.energy_distance([[1.0]], [[2.0]], unbiased=True))


def test_mmd_equals_the_kernel_means(cells):
    x, y = cells
    sigma = np.median(pdist(np.vstack([x, y])))

    def kernel(u, v):
        return np.exp(-cdist(u, v, "sqeuclidean") / (2 * sigma**2)).mean()

    expected = kernel(x, x) + kernel(y, y) - 2 * kernel(x, y)
    assert expression.mmd(x, y) == pytest.approx(expected)
    assert expression.mmd(x, y, bandwidth=sigma) == pytest.approx(expected)
    assert expression.mmd(x, y, bandwidth=2 * sigma) != pytest.approx(expected)


def test_mmd_without_a_usable_bandwidth():
    same = np.ones((4, 2))
    assert expression.mmd(same, same) == 0.0
    mostly = np.vstack([np.ones((9, 2)), [[3.0, 3.0]]])
    with pytest.raises(ValueError, match="give a bandwidth"):
        expression.mmd(same, mostly)
    assert expression.mmd(same, mostly, bandwidth=1.0) > 0
    with pytest.raises(ValueError, match="bandwidth"):
        expression.mmd(same, mostly, bandwidth=-1.0)


def test_marginal_metrics_by_hand():
    predicted = np.array([[0.0, 2.0, 5.0], [2.0, 2.0, 5.0]])
    true = np.array([[0.0, 0.0, 5.0], [4.0, 8.0, 5.0], [0.0, 0.0, 5.0], [4.0, 0.0, 5.0]])
    assert expression.mean_error(predicted, true) == pytest.approx(np.sqrt((1 + 0 + 0) / 3))
    assert expression.zero_fraction_error(predicted, true) == pytest.approx((0 + 0.75 + 0) / 3)
    ratio = expression.variance_ratio(predicted, true)
    np.testing.assert_allclose(ratio, [2 / (16 / 3), 0.0, np.nan])


def test_variance_ratio_is_undefined_without_variance(cells):
    x, _ = cells
    assert np.isnan(expression.variance_ratio(x[:1], x)).all()
    assert np.isnan(expression.variance_ratio(x, np.full((7, 6), 0.1))).all()
    np.testing.assert_allclose(expression.variance_ratio(3 * x, x), 9.0)


def test_pairwise_distance_leaves_cells_without_direction_out(cells):
    x, y = cells
    for metric, flat in (("cosine", 0.0), ("correlation", 0.1)):
        expected = cdist(x, y, metric).mean()
        more = np.vstack([x, np.full((3, 6), flat)])
        value = expression.mean_pairwise_distance(more, y, metric)
        assert value == pytest.approx(expected)
        assert np.isnan(expression.mean_pairwise_distance(np.full((3, 6), flat), y, metric))
    with pytest.raises(ValueError, match="metric"):
        expression.mean_pairwise_distance(x, y, "umap")


populations = arrays(np.float64, (5, 2), elements=st.floats(-50, 50, width=32))


@given(x=populations, y=populations, z=populations)
@settings(max_examples=40, deadline=None)
def test_distances_are_distances(x, y, z):
    for p in (1, 2):
        sides = [expression.wasserstein(*pair, p=p) for pair in ((x, y), (y, z), (x, z))]
        assert min(sides) >= 0
        assert sides[2] <= sides[0] + sides[1] + 1e-6
    assert expression.energy_distance(x, y) >= 0
    assert 0 <= expression.mmd(x, y, bandwidth=1.0) <= 2
    assert expression.wasserstein(x, y, 1) <= expression.wasserstein(x, y, 2) + 1e-6


def fated_cells(n, seed, shares=(0.5, 0.3, 0.2)):
    rng = np.random.default_rng(seed)
    fates = rng.choice(["erythroid", "myeloid", "stem"], size=n, p=shares)
    place = {"erythroid": 0.0, "myeloid": 3.0, "stem": -3.0}
    return rng.normal(size=(n, 8)) + np.array([place[f] for f in fates])[:, None], fates


def test_fate_shares_are_found_in_new_cells():
    classifier = expression.fate_classifier(*fated_cells(300, 0))
    cells, fates = fated_cells(500, 1, shares=(0.1, 0.2, 0.7))
    shares = expression.fate_shares(cells, classifier)
    expected = [np.mean(fates == fate) for fate in shares.index]
    assert list(shares.index) == ["erythroid", "myeloid", "stem"]
    np.testing.assert_allclose(shares, expected, atol=0.02)
    assert shares.sum() == pytest.approx(1)


def test_fates_without_cells_have_share_zero():
    classifier = expression.fate_classifier(*fated_cells(300, 0))
    shares = expression.fate_shares(np.full((4, 8), 3.0), classifier)
    np.testing.assert_array_equal(shares, [0.0, 1.0, 0.0])


def test_any_fitted_classifier_will_do():
    cells, fates = fated_cells(100, 0)
    tree = DecisionTreeClassifier(random_state=0)
    with pytest.raises(ValueError, match="not fitted"):
        expression.fate_shares(cells, tree)
    shares = expression.fate_shares(cells, tree.fit(cells, fates))
    assert shares["stem"] == pytest.approx(np.mean(fates == "stem"))


def test_classifier_needs_labels_that_fit():
    cells, fates = fated_cells(20, 0)
    with pytest.raises(ValueError, match="one a cell"):
        expression.fate_classifier(cells, fates[:-1])
    with pytest.raises(ValueError, match="two different"):
        expression.fate_classifier(cells, ["stem"] * 20)


def test_skill_is_the_share_of_the_error_of_a_reference_that_is_avoided():
    assert expression.skill_score([1.0, 2.0], [4.0, 2.0]) == 0.5
    assert expression.skill_score([4.0, 2.0], [4.0, 2.0]) == 0
    assert expression.skill_score([9.0], [3.0]) == -2


@pytest.mark.parametrize(
    ("errors", "reference", "message"),
    [
        ([1.0], [1.0, 2.0], r"\(1,\) and \(2,\)"),
        ([], [], r"\(0,\)"),
        ([np.nan], [1.0], "not finite"),
        ([1.0], [0.0], "add up to 0"),
    ],
)
def test_skill_needs_errors_of_both_and_one_to_avoid(errors, reference, message):
    with pytest.raises(ValueError, match=message):
        expression.skill_score(errors, reference)
