"""What every spatial method keeps, whatever it does: the protocol, one method after the other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import numpy as np
import pytest

from scstlib.leakage import LeakageError, check_evaluation, record_fit
from scstlib.models import load
from scstlib.models.files import SavedModel
from scstlib.models.spatial.baselines import BulkRidge, BulkSmoothed
from scstlib.models.spatial.comparison import mean_scores, score_windows
from scstlib.models.spatial.ctcf import CTCFAlone
from scstlib.models.spatial.ensemble import ContactEnsemble
from scstlib.models.spatial.gaussian_process import ContactGaussianProcess
from scstlib.models.spatial.methods import REFERENCES, methods
from scstlib.models.spatial.protocol import check_fitted, check_prediction, check_training
from scstlib.models.spatial.trees import ContactTrees
from scstlib.preprocess.expected import distance_means
from scstlib.preprocess.windows import Windows
from scstlib.splits import hold_out_chromosomes
from tests.models.spatial.spatial_data import (
    of_known_type,
    spatial_windows,
    thinned,
    with_ctcf,
)


class MeanDecay:
    """The mean bulk contacts at each distance: a method of one's own, in ten lines."""

    def fit(self, windows: Windows) -> Self:
        check_training(windows)
        self.means_, self.bin_size_ = distance_means(windows.bulk, windows.mask), windows.bin_size
        record_fit(self, windows)
        return self

    def predict(self, windows: Windows, depth: float = 1.0) -> np.ndarray:
        check_fitted(self, "means_")
        check_prediction(windows, depth, bin_size=self.bin_size_)
        bins = np.arange(windows.bulk.shape[-1])
        usable = windows.mask[:, :, None] & windows.mask[:, None, :]
        return (depth * usable * self.means_[abs(bins[:, None] - bins)]).astype(np.float32)


METHODS = {**methods(), "mean decay": lambda seed: MeanDecay()}
# Settings with which a test is fast.
SMALL: dict[str, dict[str, Any]] = {
    "bulk + ridge": {"n_pixels": 6_000},
    "random forest": {"kind": "forest", "n_pixels": 6_000, "n_trees": 20},
    "gradient boosting": {"n_pixels": 6_000, "max_iter": 20, "max_leaf_nodes": 8},
    "CTCF alone": {"n_pixels": 6_000, "max_iter": 20},
    "Gaussian process on contrast": {"n_pixels": 4_000, "n_inducing": 100},
    "published scGrapHiC": {
        "width": 8, "encodings": 4, "node_blocks": 1, "attention_blocks": 1, "residual_blocks": 1,
        "epochs": 1, "batch_size": 8,
    },
    "scGrapHiC": {
        "channels": 8, "pair_channels": 8, "n_blocks": 1, "n_steps": 6, "batch_size": 4,
    },
}  # fmt: skip


def small(name: str) -> Any:
    model = METHODS[name](0)
    return type(model)(**SMALL[name]) if name in SMALL else model


@pytest.fixture(scope="module")
def windows() -> Windows:
    """Windows of three cell types on four chromosomes, the last of them to test on."""
    return with_ctcf(spatial_windows()[0])


@pytest.fixture(scope="module")
def train(windows) -> Windows:
    return hold_out_chromosomes(windows, "chr4").train


@pytest.fixture(scope="module")
def test(windows) -> Windows:
    return hold_out_chromosomes(windows, "chr4").test


def fit(name: str, windows: Windows, train: Windows) -> Any:
    """A small model; a reference is fitted on measured maps of the test places as well."""
    model = small(name)
    assert model.fit(windows if name in REFERENCES else train) is model
    return model


@pytest.fixture(scope="module")
def fitted(windows, train) -> dict[str, Any]:
    return {name: fit(name, windows, train) for name in METHODS}


@pytest.fixture(params=METHODS)
def name(request) -> str:
    return request.param


def test_the_methods_are_new_and_unfitted_each_time(name):
    first, second = METHODS[name](0), METHODS[name](0)
    assert first is not second
    assert not hasattr(first, "fitted_on_")


def test_predictions_are_symmetric_contacts(name, fitted, test):
    predicted = fitted[name].predict(test)
    assert predicted.shape == test.bulk.shape
    assert predicted.dtype == np.float32
    assert np.isfinite(predicted).all()
    assert (predicted >= 0).all()
    np.testing.assert_array_equal(predicted, np.swapaxes(predicted, 1, 2))
    assert not predicted[~test.mask].any()
    assert 0.5 < predicted.sum() / test.bulk.sum() < 2


def test_bins_that_are_masked_are_0_also_where_the_training_windows_had_contacts(
    name, fitted, test
):
    mask = test.mask.copy()
    mask[:, 7] = False
    both = mask[:, :, None] & mask[:, None, :]
    predicted = fitted[name].predict(replace(test, mask=mask, bulk=test.bulk * both))
    assert not predicted[:, 7].any()
    assert predicted[:, 8].any()


def test_maps_in_double_precision_are_predicted_in_single(name, fitted, test):
    wide = replace(test, bulk=test.bulk.astype(float))
    predicted = fitted[name].predict(wide)
    assert predicted.dtype == np.float32
    np.testing.assert_allclose(predicted, fitted[name].predict(test), rtol=1e-3, atol=1e-3)


def test_depth_is_a_factor(name, fitted, test):
    model = fitted[name]
    np.testing.assert_allclose(model.predict(test, depth=3.0), 3 * model.predict(test), rtol=1e-5)
    for depth in (0, -1.0, np.nan, np.inf, "2", True, None, 1j):
        with pytest.raises(ValueError, match=f"depth must be a positive number, not {depth!r}"):
            model.predict(test, depth=depth)
    with pytest.raises(ValueError, match=r"depth must be at most 1e\+06, not 1e\+30"):
        model.predict(test, depth=1e30)


def test_how_deep_the_target_of_a_cell_type_is_is_not_learned(name, windows):
    """Deep and shallow cell types are told apart by their tracks; all are predicted as deep."""
    known = thinned(of_known_type(windows), {"a": 1.0, "b": 0.5, "c": 0.25})
    split = hold_out_chromosomes(known, "chr4")
    predicted = fit(name, known, split.train).predict(split.test)
    kind = split.test.table["cell_type"].to_numpy()
    sums = {k: predicted[kind == k].sum() / split.test.bulk[kind == k].sum() for k in "abc"}
    assert max(sums.values()) < 1.25 * min(sums.values())


def test_targets_of_the_test_windows_change_nothing(name, fitted, test):
    model, other = fitted[name], np.full_like(test.targets, 9)
    expected = model.predict(test)
    for targets in (None, other):
        np.testing.assert_array_equal(model.predict(replace(test, targets=targets)), expected)


def test_the_same_data_and_settings_give_the_same_model(name, fitted, windows, train, test):
    again = fit(name, windows, train).predict(test)
    np.testing.assert_array_equal(again, fitted[name].predict(test))


def test_the_leak_guard_knows_what_a_method_was_fitted_on(name, fitted, windows, train, test):
    model = fitted[name]
    if name in REFERENCES:
        with pytest.raises(LeakageError):
            check_evaluation(model, test)
    else:
        check_evaluation(model, test)
    if model.fitted_on_:
        with pytest.raises(LeakageError):
            check_evaluation(model, train)


def test_what_learns_refuses_to_predict_before_it_is_fitted(name, fitted, test):
    if not fitted[name].fitted_on_:
        assert len(small(name).predict(test)) == len(test)
        return
    with pytest.raises(ValueError, match="is not fitted; call fit first"):
        small(name).predict(test)


@pytest.mark.parametrize("trained", ["published scGrapHiC", "scGrapHiC"])
@pytest.mark.parametrize("cause", [FloatingPointError, KeyboardInterrupt])
def test_a_fit_that_is_broken_off_leaves_no_model(
    trained, cause, train, test, monkeypatch, tmp_path
):
    first, refitted = small(trained), small(trained).fit(train)

    def fail(*_: Any) -> float:
        raise cause

    monkeypatch.setattr("scstlib.training.loop._gradients", fail)
    for model in (first, refitted):
        with pytest.raises(cause):
            model.fit(train)
        with pytest.raises(ValueError, match="is not fitted"):
            model.predict(test)
        with pytest.raises(ValueError, match="is not fitted"):
            model.save(tmp_path / "model")
        with pytest.raises(ValueError, match="fit it first"):
            check_evaluation(model, test)


def test_other_tracks_are_refused_or_not_read(name, fitted, test):
    model = fitted[name]
    other = replace(test, tracks=test.tracks[..., :2] + 1, track_names=("x", "y"))
    if hasattr(model, "track_names_"):
        with pytest.raises(ValueError, match=r"fitted on the tracks.*these windows have"):
            model.predict(other)
    else:
        np.testing.assert_array_equal(model.predict(other), model.predict(test))


def test_what_learns_refuses_bins_of_another_size(name, fitted, test):
    model, other = fitted[name], replace(test, bin_size=500)
    if not model.fitted_on_:
        np.testing.assert_array_equal(model.predict(other), model.predict(test))
        return
    with pytest.raises(ValueError, match="fitted on bins of 1,000 bp, these windows have 500"):
        model.predict(other)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_contacts_that_are_none_are_refused(name, value, fitted, train, test):
    def spoilt(maps: np.ndarray) -> np.ndarray:
        maps = maps.copy()
        maps[1, 3, 4] = maps[1, 4, 3] = value
        return maps

    with pytest.raises(ValueError, match=r"bulk holds .* in the window chr4:"):
        fitted[name].predict(replace(test, bulk=spoilt(test.bulk)))
    if fitted[name].fitted_on_:
        with pytest.raises(ValueError, match=r"targets holds .* in the window chr1:"):
            small(name).fit(replace(train, targets=spoilt(train.targets)))


def test_what_learns_refuses_windows_without_targets(name, fitted, train):
    if fitted[name].fitted_on_:
        with pytest.raises(ValueError, match="no targets to learn from"):
            small(name).fit(replace(train, targets=None))


def test_tracks_with_nan_are_refused(name, fitted, test):
    tracks = test.tracks.copy()
    tracks[2, 5, 0] = np.nan
    with pytest.raises(ValueError, match="tracks hold NaN"):
        fitted[name].predict(replace(test, tracks=tracks))


def test_what_is_saved_is_loaded_with_its_settings_and_what_it_was_fitted_on(
    name, fitted, train, test, tmp_path
):
    model = fitted[name]
    if not isinstance(model, SavedModel):
        pytest.skip("has no save")
    with pytest.raises(ValueError, match="not fitted"):
        small(name).save(tmp_path / "unfitted")
    model.save(tmp_path / "model.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
    for loaded in (
        load(tmp_path / "model.safetensors", device="cpu"),
        type(model).load(tmp_path / "model.safetensors", device="cpu"),
    ):
        assert type(loaded) is type(model)
        assert loaded.settings == model.settings
        assert repr(loaded) == repr(model)
        np.testing.assert_array_equal(loaded.predict(test), model.predict(test))
        check_evaluation(loaded, test)
        with pytest.raises(LeakageError, match="chromosome"):
            check_evaluation(loaded, train)
        assert list(score_windows({name: loaded}, test)["model"].unique()) == [name]


def test_all_methods_are_scored_in_one_table(fitted, test):
    models = {name: model for name, model in fitted.items() if name not in REFERENCES}
    references = {name: fitted[name] for name in REFERENCES}
    table = mean_scores(score_windows(models, test, references=references))
    assert set(table.index) == set(METHODS)
    assert np.isfinite(table.loc["mean decay", "MSE"])
    with pytest.raises(LeakageError):
        score_windows(references, test)


@pytest.mark.parametrize(
    ("kind", "given", "near"),
    [
        (BulkSmoothed, "width", "widths"),
        (BulkRidge, "n_pixel", "n_pixels"),
        (ContactTrees, "n_pixel", "n_pixels"),
        (ContactGaussianProcess, "inducing", "n_inducing"),
        (CTCFAlone, "n_pixel", "n_pixels"),
        (ContactEnsemble, "n_member", "n_members"),
    ],
)
def test_a_misspelt_setting_is_answered(kind, given, near):
    with pytest.raises(TypeError, match=f"takes no {given}; did you mean .*{near}"):
        kind(**{given: 2})
