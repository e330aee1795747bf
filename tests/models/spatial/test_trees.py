"""The classes of feature values are those of scikit-learn's trees, found in less time."""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
import pytest

from scstlib.models.spatial.trees import value_classes, weighted_cuts


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
