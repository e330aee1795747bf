"""Files of the first version are still read, and what both classes say of their settings."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from numpy.testing import assert_allclose, assert_array_equal

from scstlib.leakage import check_evaluation
from scstlib.models import PublishedScNODE, ScNODE, load

HERE = Path(__file__).parent
# File of the first version, its class, and settings that are not the default.
WRITTEN = {
    "default_counts": (ScNODE, {"latent_dim": 2, "time": "index", "time_points": (0, 1, 2, 3)}),
    "default_values": (ScNODE, {"latent_dim": 2, "time": "real", "drift_hidden": (4,)}),
    "published": (PublishedScNODE, {"latent_dim": 2, "drift_activation": "silu"}),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_file_of_the_first_version_predicts_what_it_did(name: str):
    """``first_version.npz`` holds what the models gave when they were written."""
    kind, settings = WRITTEN[name]
    model = load(HERE / f"first_version_{name}.safetensors", device="cpu")
    assert type(model) is kind
    assert settings.items() <= model.settings.items()
    with np.load(HERE / "first_version.npz") as file:
        stored = {key: file[f"{name}/{key}"] for key in
                  ("cells", "encode", "flow", "velocity", "decode", "sample")}  # fmt: skip
    cells = AnnData(stored["cells"], var=pd.DataFrame(index=[f"gene{i}" for i in range(6)]))
    latent = stored["encode"]
    found = {
        "encode": model.encode(cells),
        "flow": model.flow(latent, 0.0, [0.5, 2.0]),
        "velocity": model.velocity(latent, 1.0),
        "decode": model.decode(latent),
        "sample": model.sample([0.5, 2.0], 6, seed=3, noise=False).X,
    }
    for key, value in found.items():
        assert_allclose(value, stored[key], rtol=1e-4, atol=1e-5, err_msg=key)


def test_a_file_of_the_first_version_does_not_say_what_it_was_fitted_on():
    model = load(HERE / "first_version_published.safetensors", device="cpu")
    cells = AnnData(np.ones((2, 6)), obs=pd.DataFrame({"time": [0.0, 1.0]}, index=["a", "b"]))
    with pytest.raises(ValueError, match="does not say what it was fitted on"):
        check_evaluation(model, cells)


@pytest.mark.parametrize("kind", [ScNODE, PublishedScNODE])
def test_help_shows_every_setting_with_its_default(kind: type):
    parameters = inspect.signature(kind).parameters
    assert len(parameters) > 15
    model = kind()
    for name, parameter in parameters.items():
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
        assert getattr(model, name) == parameter.default
        assert name in str(kind.__doc__)
    assert repr(model) == f"{kind.__name__}()"


@pytest.mark.parametrize(
    ("kind", "given", "words"),
    [
        (ScNODE, {"matching_step": 3}, "takes no matching_step; did you mean matching_steps"),
        (ScNODE, {"device": "cpu"}, "takes no device; it is an argument of ScNODE.fit"),
        (PublishedScNODE, {"precision": "64-true"}, "argument of PublishedScNODE.fit"),
        (PublishedScNODE, {"noise": False}, "argument of PublishedScNODE.sample"),
        (PublishedScNODE, {"variant": "published"}, "takes no variant"),
    ],
)
def test_an_unknown_setting_is_answered(kind: type, given: dict, words: str):
    with pytest.raises(TypeError, match=words):
        kind(**given)


def test_a_setting_that_is_asked_for_in_fit_is_answered():
    with pytest.raises(TypeError, match="takes no latent_dim; it is an argument of ScNODE"):
        ScNODE().fit(AnnData(np.ones((2, 2))), latent_dim=3)


def test_losses_are_kept(moving, tmp_path):
    model = ScNODE(latent_dim=2, matching_steps=5).fit(moving, device="cpu")
    model.save(tmp_path / "model.safetensors")
    loaded = load(tmp_path / "model.safetensors")
    assert list(loaded.losses_) == list(model.losses_)
    assert_array_equal(loaded.losses_["matching"], model.losses_["matching"])
