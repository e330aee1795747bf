from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scstlib.leakage import LeakageError, check_evaluation
from scstlib.models.spatial.baselines import BulkCopy, BulkRidge, BulkSmoothed, MeanOfTypes
from scstlib.models.spatial.comparison import contact_scores, mean_at_places
from scstlib.models.spatial.gaussian_process import ContactGaussianProcess
from scstlib.models.spatial.pixels import bin_factors, blurred
from scstlib.models.spatial.trees import ContactTrees
from scstlib.preprocess.contacts import contact_unit
from scstlib.preprocess.windows import Windows
from scstlib.splits import hold_out_chromosomes
from tests.models.spatial.spatial_data import of_known_type, spatial_windows, thinned


def small_trees() -> ContactTrees:
    return ContactTrees(n_pixels=6_000, max_iter=20, max_leaf_nodes=8, learning_rate=0.2)


def small_process() -> ContactGaussianProcess:
    return ContactGaussianProcess(n_pixels=6_000, n_inducing=150)


def small_forest() -> ContactTrees:
    return ContactTrees("forest", n_pixels=6_000, n_trees=30, min_leaf=5)


MODELS = [BulkCopy, BulkSmoothed, BulkRidge, small_trees, small_forest]


@pytest.fixture(scope="module")
def parts() -> tuple[Windows, Windows, np.ndarray]:
    """Training windows, test windows and the truth of the latter."""
    counts, true = spatial_windows()
    split = hold_out_chromosomes(counts, "chr4")
    truth = hold_out_chromosomes(true, "chr4").test.targets
    assert truth is not None
    return split.train, split.test, truth


@pytest.fixture(scope="module")
def fitted(parts) -> dict:
    return {make: make().fit(parts[0]) for make in MODELS}


def test_bulk_copy_is_the_bulk(parts) -> None:
    train, test, _ = parts
    np.testing.assert_array_equal(BulkCopy().fit(train).predict(test), test.bulk)


def relative_error(predicted: np.ndarray, truth: np.ndarray, test: Windows) -> float:
    """Of contacts in usable bins, both with one sum."""
    usable = test.mask[:, :, None] & test.mask[:, None, :]
    a, b = predicted[usable], truth[usable]
    return float(np.sqrt(np.mean((a * b.sum() / a.sum() - b) ** 2)) / b.mean())


def test_each_baseline_is_nearer_the_truth_than_the_one_before(parts, fitted) -> None:
    _, test, truth = parts
    errors = [
        relative_error(fitted[make].predict(test), truth, test)
        for make in (BulkCopy, BulkRidge, small_trees)
    ]
    assert errors[0] > errors[1] > errors[2]


def test_trees_without_expression_do_not_tell_cell_types_apart(parts, fitted) -> None:
    train, test, _ = parts

    def without(windows: Windows) -> Windows:
        return replace(windows, tracks=windows.tracks[..., 4:], track_names=("CpG",))

    predicted = small_trees().fit(without(train)).predict(without(test))
    kinds = test.table["cell_type"].to_numpy()
    np.testing.assert_array_equal(predicted[kinds == "a"], predicted[kinds == "b"])
    assert (fitted[small_trees].predict(test)[kinds == "a"] != predicted[kinds == "a"]).any()


@pytest.mark.parametrize("make", [BulkRidge, small_trees, small_forest, small_process])
def test_unequal_depths_cost_little_of_what_is_specific_to_a_cell_type(make) -> None:
    """Equal in sum, the targets of cell types are alike or 1 : 4 in depth."""
    counts, true = (of_known_type(windows) for windows in spatial_windows())
    truth = hold_out_chromosomes(true, "chr4").test
    scores = []
    for shares in ({"a": 0.5, "b": 0.5, "c": 0.5}, {"a": 0.9, "b": 0.375, "c": 0.225}):
        split = hold_out_chromosomes(thinned(counts, shares), "chr4")
        predicted = make().fit(split.train).predict(split.test)
        own, reference = (mean_at_places(maps, truth, truth) for maps in (predicted, truth.targets))
        found = contact_scores(predicted, truth, reference=reference, prediction_reference=own)
        scores.append(found["dC"].mean())
    equal, unequal = scores
    assert unequal > 0.95 * equal > 0.5, scores


@pytest.mark.parametrize("names", [("expression +",), ("expression -",), ("expression",), ()])
def test_a_single_track_of_expression_is_read_whatever_its_name(names, parts) -> None:
    train, test, _ = parts

    def single(windows: Windows) -> Windows:
        return replace(windows, tracks=windows.tracks[..., :1], track_names=names)

    predicted = small_trees().fit(single(train)).predict(single(test))
    kinds = test.table["cell_type"].to_numpy()
    assert (predicted[kinds == "a"] != predicted[kinds == "b"]).any()


@pytest.mark.parametrize("make", [BulkRidge, small_trees])
def test_negative_expression_is_refused(make, parts, fitted) -> None:
    _, test, _ = parts
    with pytest.raises(ValueError, match="expression goes down to -"):
        fitted[make].predict(replace(test, tracks=test.tracks - 3))


@pytest.mark.parametrize(
    "make", [BulkSmoothed, BulkRidge, small_trees, small_forest, small_process]
)
def test_the_unit_of_the_maps_changes_nothing_but_that_of_the_prediction(make, parts) -> None:
    def in_unit(windows: Windows, unit: float) -> Windows:
        # So few contacts that many pixels hold a single one, as balanced maps are judged by.
        bulk, targets = (unit * np.floor(maps / 16) for maps in (windows.bulk, windows.targets))
        return replace(windows, bulk=bulk, targets=targets)

    train, test, _ = parts
    counts, balanced = (
        make().fit(in_unit(train, unit)).predict(in_unit(test, unit)) for unit in (1.0, 2.0**-10)
    )
    np.testing.assert_allclose(balanced * 2**10, counts, rtol=1e-5)


def test_a_deep_map_of_which_a_pixel_was_interpolated_is_of_counts() -> None:
    deep = np.full((1, 8, 8), 40.0)
    deep[0, 0, 0] = 40.5
    assert contact_unit(deep) == 1
    assert contact_unit(deep / 1000) == pytest.approx(0.04)


def test_blurring_takes_counting_noise_away() -> None:
    smooth = np.full((1, 32, 32), 4.0)
    noisy = np.random.default_rng(0).poisson(smooth).astype(float)
    mask = np.ones((1, 32), dtype=bool)
    assert np.mean((blurred(noisy, mask, 1.0) - smooth) ** 2) < 0.2 * np.mean((noisy - smooth) ** 2)


def test_a_masked_bin_does_not_bleed_into_its_neighbours() -> None:
    maps, mask = np.ones((1, 10, 10)), np.ones((1, 10), dtype=bool)
    mask[0, 4] = False
    maps[0, 4] = maps[0, :, 4] = 0
    out = blurred(maps, mask, 1.0)
    assert not out[0, 4].any()
    np.testing.assert_allclose(np.delete(np.delete(out[0], 4, 0), 4, 1), 1.0)


def test_bin_factors_are_those_the_map_was_made_with() -> None:
    factors = np.random.default_rng(0).uniform(0.5, 2, 40)
    found = bin_factors(np.outer(factors, factors)[None], np.ones((1, 40), dtype=bool), 40)
    np.testing.assert_allclose(found[0], factors, rtol=1e-3)


def test_mean_of_types_leaves_the_own_type_out(parts) -> None:
    _, test, _ = parts
    model = MeanOfTypes().fit(test)
    kinds = test.table["cell_type"].to_numpy()
    predicted = model.predict(test)
    own = {kind: test.targets[kinds == kind] for kind in "bc"}
    # Each as deep as the bulk, so that a deep type counts for no more than a shallow one.
    others = sum(maps / maps.sum() for maps in own.values()) / 2 * test.bulk[kinds == "a"].sum()
    np.testing.assert_allclose(predicted[kinds == "a"], others, rtol=1e-4)
    with pytest.raises(LeakageError):
        check_evaluation(model, test)


def test_mean_of_types_says_where_it_knows_no_other_type(parts) -> None:
    train, test, _ = parts
    with pytest.raises(ValueError, match="no other cell type"):
        MeanOfTypes().fit(train).predict(test)
