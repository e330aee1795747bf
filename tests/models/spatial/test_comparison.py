from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scstlib.leakage import LeakageError
from scstlib.models.spatial.baselines import BulkCopy, BulkSmoothed, MeanOfTypes
from scstlib.models.spatial.comparison import (
    CEILING,
    METRICS,
    contact_scores,
    contrast_by_distance,
    mean_at_places,
    mean_scores,
    score_windows,
)
from scstlib.preprocess.windows import Windows
from scstlib.splits import hold_out_chromosomes
from tests.models.spatial.spatial_data import spatial_windows


@pytest.fixture(scope="module")
def case() -> tuple[Windows, Windows, np.ndarray, np.ndarray]:
    """Training and test windows, truth of the test, mean truth of all types there."""
    counts, true = spatial_windows()
    split = hold_out_chromosomes(counts, "chr4")
    train, test = split.train, split.test
    truth = hold_out_chromosomes(true, "chr4").test.targets
    assert truth is not None
    places = test.table["start"].to_numpy()
    reference = np.stack([truth[places == place].mean(axis=0) for place in places])
    return train, test, truth, reference


class Oracle(BulkCopy):
    """Predicts what it is given, whatever the windows."""

    def __init__(self, maps: np.ndarray) -> None:
        self.maps = maps

    def predict(self, windows: Windows, depth: float = 1.0) -> np.ndarray:
        return self.maps * np.float32(depth)


def test_the_truth_at_any_depth_scores_as_the_ceiling(case) -> None:
    train, test, truth, reference = case
    models = {"oracle": Oracle(7 * truth).fit(train)}
    scores = score_windows(models, test, truth=truth, reference=reference, training=test)
    table = mean_scores(scores)
    assert list(table.index) == [CEILING, "oracle"]
    assert list(table.columns) == list(METRICS)
    np.testing.assert_allclose(table.loc["oracle"], table.loc[CEILING], atol=1e-6)
    for name in ("SCCt", "dC", "ins", "dIns"):
        assert table.loc[CEILING, name] == pytest.approx(1)
    assert table.loc[CEILING, "SCC"] < 1


def test_a_bulk_copy_has_no_contrast(case) -> None:
    train, test, truth, reference = case
    models = {"copy": BulkCopy().fit(train), "smooth": BulkSmoothed().fit(train)}
    table = mean_scores(
        score_windows(models, test, truth=truth, reference=reference, training=test)
    )
    assert (table.loc[["copy", "smooth"], ["dC", "dIns"]] == 0).all().all()
    assert (table.loc[CEILING, "SCC"] > table.loc[["copy", "smooth"], "SCC"]).all()


def test_a_model_fitted_on_the_test_chromosome_is_refused_but_a_reference_is_labelled(case) -> None:
    _, test, truth, _ = case
    known = MeanOfTypes().fit(test)
    with pytest.raises(LeakageError):
        score_windows({"mean": known}, test, truth=truth)
    with pytest.raises(ValueError, match="nothing to score"):
        score_windows({}, test)
    table = mean_scores(score_windows({}, test, references={"mean": known}))
    assert list(table.index) == ["mean"]
    assert "dC" not in table


def test_masked_bins_do_not_count(case) -> None:
    _, test, truth, _ = case
    changed = truth.copy()
    changed[~test.mask] = 1e6
    changed[np.swapaxes(np.broadcast_to(~test.mask[:, :, None], truth.shape), 1, 2)] = 1e6
    a, b = (contact_scores(maps, test, truth=truth).drop(columns="cell_type") for maps in
            (truth, changed))  # fmt: skip
    np.testing.assert_array_equal(a["SCC"], b["SCC"])
    np.testing.assert_array_equal(a["ins"], b["ins"])


def test_means_are_taken_place_by_place(case) -> None:
    _, test, truth, reference = case
    np.testing.assert_allclose(mean_at_places(truth, test, test[:1])[0], reference[0], rtol=1e-6)
    with pytest.raises(ValueError, match="no window of the training types"):
        mean_at_places(truth[:1], test[:1], test)


def test_bad_predictions_are_refused(case) -> None:
    _, test, truth, _ = case
    for bad, message in (
        (truth[:1], "shape"),
        (-truth, "negative"),
        (truth * np.nan, "non-finite"),
    ):
        with pytest.raises(ValueError, match=message):
            contact_scores(bad, test)
    with pytest.raises(ValueError, match="no targets"):
        contact_scores(truth, replace(test, targets=None))


def test_contrast_is_one_for_the_truth_and_none_for_one_map_of_all_types(
    case: tuple[Windows, Windows, np.ndarray, np.ndarray],
) -> None:
    _, test, truth, _ = case
    np.testing.assert_allclose(contrast_by_distance(3 * truth, truth, test, max_distance=9), 1)
    same = mean_at_places(truth, test, test)
    assert not contrast_by_distance(same, truth, test, max_distance=9).any()


def test_contrast_by_distance_sees_one_distance_at_a_time(
    case: tuple[Windows, Windows, np.ndarray, np.ndarray],
) -> None:
    _, test, truth, _ = case
    i, j = np.indices(truth.shape[1:])
    changed = np.where(abs(i - j) == 4, mean_at_places(truth, test, test), truth)
    found = contrast_by_distance(changed, truth, test, max_distance=9)
    assert found[3] < 0.5 < 0.9 < np.delete(found, 3).min()


def test_one_cell_type_has_no_contrast(
    case: tuple[Windows, Windows, np.ndarray, np.ndarray],
) -> None:
    _, test, truth, _ = case
    with pytest.raises(ValueError, match="one cell type at each place"):
        contrast_by_distance(truth[:1], truth[:1], test[:1])
