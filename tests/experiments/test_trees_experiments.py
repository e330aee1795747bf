"""What trees are tried on by hand: known answers for scores, shuffling, thinning and drawing."""

from __future__ import annotations

import numpy as np
import pytest

from scstlib.datasets import simulate_organism
from scstlib.experiments import trees as lab
from scstlib.experiments.forecasts import organism_series
from scstlib.models.spatial.protocol import depths_of
from scstlib.models.temporal import SPLIT_HALF, CopyNearest, DisplacementTrees
from scstlib.splits import hold_out_times


@pytest.fixture(scope="module")
def maps() -> lab.HeldOutMaps:
    return lab.HeldOutMaps.of(simulate_organism(preset="tiny"), seed=0, window=32)


class Known:
    """Trees that return a column."""

    def __init__(self, column: int) -> None:
        self.column = column

    def predict(self, rows: np.ndarray) -> np.ndarray:
        found: np.ndarray = rows[:, self.column]
        return found


def true_rows(maps: lab.HeldOutMaps) -> np.ndarray:
    """The true factor of each pixel, and a column of ones."""
    i, j = np.triu_indices(32)
    smoothed = maps.smoothed[:, i, j]
    factor = np.divide(
        maps.truth[:, i, j], smoothed, out=np.zeros(smoothed.shape), where=smoothed > 0
    )
    return np.stack([factor, np.ones(factor.shape)], axis=2)


def test_the_truth_scores_1_and_one_map_for_all_types_has_no_contrast(maps) -> None:
    assert maps.score(maps.truth) == pytest.approx((1, 1))
    scc, contrast = maps.score(maps.smoothed)
    assert 0 < scc < 1
    assert contrast == pytest.approx(0, abs=1e-9)


def test_factors_of_pixels_become_symmetric_maps(maps) -> None:
    rows = true_rows(maps)
    np.testing.assert_allclose(maps.predict(Known(0), rows), maps.truth, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(maps.predict(Known(1), rows), maps.smoothed)


def test_shuffling_what_is_not_used_changes_nothing_and_what_is_used_takes_the_contrast(
    maps,
) -> None:
    rows = true_rows(maps)
    assert maps.shuffled(Known(0), rows, [1], seed=0) == pytest.approx((1, 1))
    whole, specific = maps.shuffled(Known(0), rows, [0], seed=0)
    assert whole < 0.9
    assert specific == pytest.approx(0, abs=0.2)


def test_thinning_brings_targets_to_the_depths_that_were_asked_for(maps) -> None:
    shares = dict(zip(lab.TYPES, (0.25, 0.5, 0.5, 0.75, 1), strict=True))
    rare = lab.thinned(maps.train, shares, seed=0)
    kept = depths_of(rare) / depths_of(maps.train)
    wanted = maps.train.table["cell_type"].map(shares).to_numpy()
    np.testing.assert_allclose(kept, wanted, rtol=0.05)
    np.testing.assert_array_equal(rare.targets, rare.targets.swapaxes(1, 2))
    assert (rare.targets <= maps.train.targets).all()
    with pytest.raises(ValueError, match=r"no share of the contacts of \['stem'\]"):
        lab.thinned(maps.train, {k: 1.0 for k in lab.TYPES if k != "stem"}, seed=0)


def test_pixels_are_drawn_in_proportion_to_what_counts_tell() -> None:
    usual = np.array([[0.0, 1.0], [20.0, 1e9]])
    drawn = np.bincount(lab.informative_pixels(usual, 100_000, seed=0), minlength=4)
    assert drawn[0] == 0
    # One over 1 / usual + 0.05: 0.952, 10 and 20.
    np.testing.assert_allclose(drawn[2:] / drawn[1], [10.5, 21], rtol=0.05)


def test_levels_are_blurred_and_the_bulk_differs_from_itself_by_nothing(maps) -> None:
    level, change = lab.levels(maps.test, 0)
    blurred, _ = lab.levels(maps.test, 3.0)
    stem = (maps.test.table["cell_type"] == "stem").to_numpy()
    assert not change[stem].any()
    assert change[~stem].any()
    assert blurred.std() < level.std()
    np.testing.assert_allclose(blurred.mean(), level.mean(), rtol=0.1)


def test_what_is_measured_twice_is_the_column_with_noise_of_its_own() -> None:
    rows = np.random.default_rng(0).normal(size=(10, 200, 3))
    found = lab.measured_twice(rows, 1, noise=0.1, seed=0)
    np.testing.assert_array_equal(found[..., [0, 2]], rows[..., [0, 2]])
    apart = found[..., [1, 3]] - rows[..., [1]]
    assert apart.std() == pytest.approx(0.1 * rows[..., 1].std(), rel=0.05)
    assert abs(np.corrcoef(apart[..., 0].ravel(), apart[..., 1].ravel())[0, 1]) < 0.1


def test_scores_in_time_tell_inner_from_outer_times_and_a_copy_from_the_floor() -> None:
    split = hold_out_times(organism_series(0), pattern="hard")
    models = {"copy": CopyNearest(), "trees": DisplacementTrees("forest", n_trees=5)}
    fitted = {name: model.fit(split.train) for name, model in models.items()}
    found = lab.place_and_likeness(fitted, split.train, split.test, seed=0)
    assert list(found.index) == [SPLIT_HALF, "copy", "trees"]
    assert list(found) == ["place, inner", "likeness, inner", "place, outer", "likeness, outer"]
    assert found.loc[SPLIT_HALF, "place, inner"] < found.loc["copy", "place, inner"]
    assert found.loc["trees", "likeness, outer"] == pytest.approx(
        found.loc["copy", "likeness, outer"]
    )
