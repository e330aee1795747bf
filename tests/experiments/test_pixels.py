"""The small task on pixels: its truth and features by hand, and what its models record."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.tree import DecisionTreeRegressor

from scstlib.experiments.pixels import (
    FEATURES,
    PixelChanges,
    PixelNetwork,
    PixelTrees,
    change_skill,
    organism_parts,
    organism_windows,
    pixel_changes,
)
from scstlib.leakage import LeakageError, assert_disjoint, check_evaluation
from scstlib.preprocess.windows import Windows
from scstlib.splits import hold_out_chromosomes


@pytest.fixture(scope="module")
def windows() -> Windows:
    return organism_windows(0)


@pytest.fixture(scope="module")
def pixels(windows: Windows) -> PixelChanges:
    return pixel_changes(windows)


def test_a_map_that_is_the_bulk_at_another_depth_has_not_changed(windows: Windows) -> None:
    few = windows[:4]
    same = replace(few, targets=3 * few.bulk)
    np.testing.assert_allclose(pixel_changes(same).change, 0, atol=1e-6)
    # One pixel doubled; the depth of the others falls by what it has gained.
    more = few.bulk.copy()
    more[0, 2, 7] = more[0, 7, 2] = 2 * more[0, 2, 7] + 100
    place = np.flatnonzero((np.triu_indices(32, 1)[0] == 2) & (np.triu_indices(32, 1)[1] == 7))
    depth = few.bulk.sum() / more.sum()
    expected = np.log((depth * more[0, 2, 7] + 5) / (few.bulk[0, 2, 7] + 5))
    found = pixel_changes(replace(few, targets=more)).change
    assert found[0, place].item() == pytest.approx(expected, rel=1e-5)


def test_features_of_one_pixel_by_hand(windows: Windows, pixels: PixelChanges) -> None:
    row, column = np.triu_indices(32, 1)
    k = int(np.flatnonzero((row == 3) & (column == 9))[0])
    tracks, bulk = windows.tracks[5].astype(float), float(windows.bulk[5, 3, 9])
    gained = tracks[:, :2].sum(1) - tracks[:, 4:6].sum(1)
    special = tracks[:, :2].sum(1) - tracks[:, 2:4].sum(1)
    sites = tracks[:, 6] + tracks[:, 7]
    expected = [np.log1p(bulk), np.log(6), gained[3] + gained[9], gained[3] * gained[9]]
    expected += [gained[3:10].mean(), special[3:10].mean(), special[3] + special[9]]
    expected += [tracks[3, 6] + tracks[9, 7], sites[3:10].mean(), tracks[3, 8] + tracks[9, 8]]
    np.testing.assert_allclose(pixels.features[5, k], expected, rtol=1e-4, atol=1e-4)
    assert len(FEATURES) == pixels.features.shape[-1]


def test_windows_without_targets_or_tracks_are_refused(windows: Windows) -> None:
    with pytest.raises(ValueError, match="no targets"):
        pixel_changes(replace(windows, targets=None))
    with pytest.raises(ValueError, match="tracks are"):
        pixel_changes(replace(windows, track_names=windows.track_names[::-1]))


def test_parts_keep_windows_with_their_pixels(pixels: PixelChanges) -> None:
    one = pixels.on(["chr3"])
    assert one.chromosomes == ["chr3"]
    inside = (pixels.table["chrom"] == "chr3").to_numpy()
    np.testing.assert_array_equal(one.change, pixels.change[inside])
    split = hold_out_chromosomes(pixels, test="chr3")
    assert (len(split.test), len(split.train)) == (len(one), len(pixels) - len(one))


def test_parts_of_an_organism_share_no_chromosome() -> None:
    parts = organism_parts(0, 8)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert_disjoint(parts[one], parts[other])
    assert organism_parts(0)[0].chromosomes == parts[0].chromosomes[:2]


class Known:
    """Predicts a given multiple of the truth."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def predict(self, pixels: PixelChanges) -> np.ndarray:
        return self.factor * pixels.change


@pytest.mark.parametrize(("factor", "skill"), [(0, 0), (1, 1), (0.5, 0.75), (-1, -3)])
def test_skill_of_known_predictions(pixels: PixelChanges, factor: float, skill: float) -> None:
    assert change_skill(Known(factor), pixels) == pytest.approx(skill)


def test_a_network_keeps_its_best_step_and_says_what_it_has_learned_from(
    pixels: PixelChanges,
) -> None:
    names = pixels.chromosomes
    train, validation, test = pixels.on(names[:2]), pixels.on(names[2:4]), pixels.on(names[4:6])
    model = PixelNetwork(0, n_steps=200).fit(train, validation, watch=[train])
    assert model.curves.shape == (8, 2)
    assert change_skill(model, validation) == pytest.approx(model.curves[:, 0].max(), abs=1e-6)
    assert model.curves[-1, 1] > 0.1
    check_evaluation(model, test)
    for part in (train, validation):
        with pytest.raises(LeakageError):
            check_evaluation(model, part)
    again = PixelNetwork(0, n_steps=200).fit(train, validation)
    np.testing.assert_array_equal(again.predict(test), model.predict(test))
    other = PixelNetwork(1, n_steps=200).fit(train, validation)
    assert not np.allclose(other.predict(test), model.predict(test))


def test_decay_makes_weights_small(pixels: PixelChanges) -> None:
    train = pixels.on(pixels.chromosomes[:1])
    free, bound = (PixelNetwork(0, decay=d, n_steps=100).fit(train) for d in (0.0, 0.1))
    size = [
        sum(float(w.detach().square().sum()) for w in m.network_.parameters())
        for m in (free, bound)
    ]
    assert size[1] < 0.5 * size[0]


def test_trees_learn_what_they_are_given(pixels: PixelChanges) -> None:
    train = pixels.on(pixels.chromosomes[:1])
    model = PixelTrees(DecisionTreeRegressor(random_state=0)).fit(train)
    assert change_skill(model, train) > 0.95
    with pytest.raises(LeakageError, match="chromosome"):
        check_evaluation(model, train)
