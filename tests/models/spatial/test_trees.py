"""The two kinds of trees; and the classes of feature values, which are scikit-learn's."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np
import pytest

from scstlib.models.spatial.baselines import BulkSmoothed
from scstlib.models.spatial.trees import ContactTrees, value_classes, weighted_cuts
from scstlib.preprocess.windows import Windows
from scstlib.splits import hold_out_chromosomes
from tests.models.spatial.spatial_data import spatial_windows


@pytest.fixture(scope="module")
def windows() -> tuple[Windows, Windows]:
    """For training and for tests."""
    split = hold_out_chromosomes(spatial_windows()[0], "chr4")
    return split.train, split.test


def forest(**settings: int) -> ContactTrees:
    return ContactTrees("forest", **{"n_pixels": 6_000, "n_trees": 10} | settings)


def factors(model: ContactTrees, train: Windows, test: Windows) -> np.ndarray:
    """What a fitted model multiplies the smoothed bulk by, NaN in masked bins."""
    smoothed = BulkSmoothed((model.smoothing_.width,)).fit(train).predict(test)
    usable = test.mask[:, :, None] & test.mask[:, None, :]
    return np.where(usable, model.predict(test) / np.where(usable, smoothed, 1), np.nan)


def test_boosting_is_what_comes_without_a_kind(windows: tuple[Windows, Windows]) -> None:
    train, test = windows
    settings: dict[str, Any] = {"n_pixels": 3_000, "max_iter": 5}
    for other in (ContactTrees("boosting", **settings), ContactTrees(**settings, n_trees=7)):
        np.testing.assert_array_equal(
            other.fit(train).predict(test), ContactTrees(**settings).fit(train).predict(test)
        )


def test_a_forest_whose_leaves_hold_all_pixels_predicts_one_factor(
    windows: tuple[Windows, Windows],
) -> None:
    """The weighted mean of the factors: 1, as the smoothed bulk has the depth of the targets."""
    found = factors(forest(min_leaf=6_000, n_drawn=6_000).fit(windows[0]), *windows)
    assert np.nanmax(found) - np.nanmin(found) < 1e-5
    assert np.nanmedian(found) == pytest.approx(1, abs=0.05)


def test_a_forest_with_expression_beyond_that_of_training_stays_within_what_it_saw(
    windows: tuple[Windows, Windows],
) -> None:
    train, test = windows
    model = forest(min_leaf=5).fit(train)
    seen = factors(model, train, train)
    beyond = factors(model, train, replace(test, tracks=100 * test.tracks))
    assert 0 < np.nanmin(beyond) < np.nanmax(beyond) < 1.5 * np.nanmax(seen)


def test_another_seed_grows_another_forest(windows: tuple[Windows, Windows]) -> None:
    train, test = windows
    first, second = (forest(seed=seed).fit(train).predict(test) for seed in (0, 1))
    assert (first != second).any()
    np.testing.assert_allclose(first.sum(), second.sum(), rtol=0.05)


@pytest.mark.parametrize("setting", ["n_trees", "min_leaf", "n_drawn"])
def test_numbers_of_the_forest_that_are_none_are_refused(setting: str) -> None:
    with pytest.raises(ValueError, match=f"{setting} must be"):
        forest(**{setting: 0})


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="kind"):
        ContactTrees("bagging")


@pytest.fixture
def samples() -> tuple[np.ndarray, np.ndarray]:
    """Features that are continuous, of few values, tied at one value, and constant; weights."""
    rng = np.random.default_rng(0)
    n = 3000
    columns = [
        rng.normal(size=n), rng.integers(9, size=n), np.maximum(rng.normal(size=n), 0), np.ones(n)
    ]  # fmt: skip
    return np.stack(columns, axis=1).astype(np.float32), rng.gamma(2.0, size=n)


def test_trees_on_classes_predict_what_they_do_on_values(
    samples: tuple[np.ndarray, np.ndarray],
) -> None:
    if tuple(int(part) for part in version("scikit-learn").split(".")[:2]) < (1, 9):
        pytest.skip("an older scikit-learn weighs its classes in another way")
    from sklearn.ensemble import HistGradientBoostingRegressor

    features, weight = samples
    rng = np.random.default_rng(1)
    rates = np.exp(0.5 * features[:, 0] + 0.1 * features[:, 1] + features[:, 2])
    counts = rng.poisson(rates).astype(float)
    cuts = weighted_cuts(features, weight)
    new = features[:500] + np.float32(0.01)
    settings = {"loss": "poisson", "max_iter": 10, "early_stopping": False, "random_state": 0}
    theirs = HistGradientBoostingRegressor(**settings).fit(features, counts, weight)
    ours = HistGradientBoostingRegressor(**settings)
    ours.fit(value_classes(features, cuts), counts, weight)
    np.testing.assert_array_equal(ours.predict(value_classes(new, cuts)), theirs.predict(new))


def test_classes_weigh_the_same(samples: tuple[np.ndarray, np.ndarray]) -> None:
    features, weight = samples
    (cuts,) = weighted_cuts(features[:, :1], weight, n_classes=20)
    found = value_classes(features[:, :1], [cuts])[:, 0].astype(int)
    shares = np.bincount(found, weights=weight) / weight.sum()
    assert len(shares) == 20
    np.testing.assert_allclose(shares, 1 / 20, atol=weight.max() / weight.sum())


def test_few_values_are_a_class_each_and_a_constant_is_one(
    samples: tuple[np.ndarray, np.ndarray],
) -> None:
    features, weight = samples
    few, constant = weighted_cuts(features[:, [1, 3]], weight)
    np.testing.assert_array_equal(few, np.arange(8) + 0.5)
    assert len(constant) == 0


@pytest.mark.parametrize("weight", [np.ones(2), np.array([1.0, 0.0, 1.0])])
def test_weights_that_do_not_fit_are_refused(weight: np.ndarray) -> None:
    with pytest.raises(ValueError, match="3 samples need as many positive weights"):
        weighted_cuts(np.ones((3, 1)), weight)


def test_a_feature_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        weighted_cuts(np.array([[1.0], [np.nan]]), np.ones(2))
