"""scGrapHiC in files: those written now, and those of the first version of the format."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scstlib.leakage import check_evaluation
from scstlib.models import PublishedScGrapHiC, ScGrapHiC, load
from scstlib.preprocess.windows import Windows
from tests.models.spatial.spatial_data import spatial_windows

FIRST = Path(__file__).with_name("version_1_predictions.npz")
SMALL = {"channels": 4, "pair_channels": 4, "n_blocks": 1, "n_steps": 2, "batch_size": 4}
TINY = {
    "width": 4, "encodings": 2, "node_blocks": 1, "attention_blocks": 1, "residual_blocks": 1,
    "conv_kernel": 4, "last_kernel": 3, "epochs": 1, "batch_size": 8,
}  # fmt: skip


@pytest.fixture(scope="module")
def train() -> Windows:
    return spatial_windows(("chr1",))[0]


@pytest.fixture(scope="module")
def test() -> Windows:
    return spatial_windows(("chr3",))[0][::6]


@pytest.mark.parametrize(
    ("name", "kind", "settings"),
    [
        ("default", ScGrapHiC, {"channels": 4, "n_steps": 5}),
        ("published", PublishedScGrapHiC, {"width": 4, "feature_scaling": "global"}),
    ],
)
def test_a_file_of_the_first_version_predicts_what_it_predicted(name, kind, settings, test):
    model = load(FIRST.with_name(f"version_1_{name}.safetensors"), device="cpu")
    assert type(model) is kind
    assert settings.items() <= model.settings.items()
    with np.load(FIRST) as stored:
        expected = stored[name]
    np.testing.assert_allclose(model.predict(test, depth=0.5), expected, rtol=1e-4, atol=1e-4)
    # It does not know what it was fitted on, and the guard does not take it for clean.
    with pytest.raises(ValueError, match="does not say what it was fitted on"):
        check_evaluation(model, test)


def test_a_file_of_the_first_version_is_written_anew_in_this_one(test, tmp_path):
    model = load(FIRST.with_name("version_1_default.safetensors"), device="cpu")
    model.save(tmp_path / "model")
    again = load(tmp_path / "model", device="cpu")
    np.testing.assert_array_equal(again.predict(test), model.predict(test))


def test_tracks_scaled_as_in_training_are_so_in_a_loaded_model(train, test, tmp_path):
    model = PublishedScGrapHiC(**TINY, feature_scaling="global")
    model.fit(train, device="cpu", progress=False).save(tmp_path / "model")
    louder = replace(test, tracks=test.tracks * 2)
    loaded = load(tmp_path / "model", device="cpu")
    np.testing.assert_array_equal(loaded.predict(louder), model.predict(louder))
    assert (loaded.predict(louder) != loaded.predict(test)).any()


def with_reference(windows: Windows, *names: str) -> Windows:
    return replace(windows, table=windows.table.assign(reference_cell_types=[names] * len(windows)))


def test_a_loaded_model_refuses_a_reference_of_other_cell_types(train, test, tmp_path):
    model = ScGrapHiC(**SMALL).fit(with_reference(train, "a", "b"), device="cpu", progress=False)
    model.save(tmp_path / "model")
    loaded = load(tmp_path / "model", device="cpu")
    assert loaded.reference_types_ == ("a", "b")
    expected = loaded.predict(test)  # Windows that do not say are taken.
    np.testing.assert_array_equal(loaded.predict(with_reference(test, "b", "a")), expected)
    with pytest.raises(ValueError, match=r"of these windows.*\['c'\].*of the model.*\['a', 'b'\]"):
        loaded.predict(with_reference(test, "c"))


def test_a_model_that_was_not_told_its_reference_takes_any(train, test):
    model = ScGrapHiC(**SMALL).fit(train, device="cpu", progress=False)
    assert model.reference_types_ is None
    assert len(model.predict(with_reference(test, "c"))) == len(test)


def test_a_seed_of_numpy_can_be_saved(train, tmp_path):
    model = ScGrapHiC(**SMALL | {"seed": np.int64(3)}).fit(train, device="cpu", progress=False)
    model.save(tmp_path / "model")
    assert load(tmp_path / "model", device="cpu").settings["seed"] == 3


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda w: ScGrapHiC(device="cpu"), "takes no device; it is an argument of ScGrapHiC.fit"),
        (lambda w: ScGrapHiC(chanels=8), "takes no chanels; did you mean channels"),
        (
            lambda w: ScGrapHiC().fit(w, n_steps=3),
            "ScGrapHiC.fit takes no n_steps; it is an argument of ScGrapHiC",
        ),
        (
            lambda w: ScGrapHiC().predict(w, device="cpu"),
            "predict takes no device; it is an argument of ScGrapHiC.fit",
        ),
        (
            lambda w: PublishedScGrapHiC(precision="64-true"),
            "takes no precision; it is an argument of PublishedScGrapHiC.fit",
        ),
        (lambda w: PublishedScGrapHiC(graph_fixed=True), "did you mean graph_fix"),
        (
            lambda w: PublishedScGrapHiC().fit(w, epochs=3),
            "fit takes no epochs; it is an argument of PublishedScGrapHiC",
        ),
    ],
)
def test_a_misplaced_or_mistyped_argument_is_told_its_place(wrong, message, train):
    with pytest.raises(TypeError, match=message):
        wrong(train)
