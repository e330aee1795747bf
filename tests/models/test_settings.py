"""Arguments of models: an unknown one is answered, a wrong one is named."""

from __future__ import annotations

from inspect import signature
from math import inf, nan

import numpy as np
import pytest

from scstlib.models import PublishedScGrapHiC, PublishedScNODE, ScGrapHiC, ScNODE
from scstlib.models.settings import (
    check_choices,
    check_not_negative,
    check_positive,
    check_whole,
    explain_arguments,
    layer_widths,
)
from scstlib.models.spatial.baselines import BulkRidge
from scstlib.models.spatial.trees import ContactTrees
from scstlib.models.temporal.flow_matching import FlowMatching
from scstlib.models.temporal.gaussian_process import PathGaussianProcess
from scstlib.models.temporal.latent_process import LatentGaussianProcess
from scstlib.models.temporal.transport import DisplacementInterpolation
from scstlib.models.temporal.trees import DisplacementTrees


class Model:
    @explain_arguments
    def __init__(self, n_steps: int = 10, batch_size: int = 4) -> None:
        """Say how it is trained."""
        self.n_steps, self.batch_size = n_steps, batch_size

    @explain_arguments
    def fit(self, cells: object, *, device: str = "auto") -> Model:
        self.cells, self.device = cells, device
        return self

    @explain_arguments
    def predict(self, depth: float = 1.0) -> float:
        return depth


class Special(Model):
    pass


def test_arguments_arrive_as_without_it():
    model = Model(3, batch_size=5).fit("cells", device="cpu")
    assert (model.n_steps, model.batch_size, model.cells, model.device) == (3, 5, "cells", "cpu")
    assert model.predict(0.5) == 0.5


def test_signature_and_documentation_stay():
    assert list(signature(Model).parameters) == ["n_steps", "batch_size"]
    assert signature(Model.fit).parameters["device"].default == "auto"
    assert Model.__init__.__doc__ == "Say how it is trained."


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Model(n_step=1), "Model takes no n_step; did you mean n_steps?"),
        (lambda: Model(device="cpu"), "Model takes no device; it is an argument of Model.fit"),
        (lambda: Model(depth=2.0), "Model takes no depth; it is an argument of Model.predict"),
        (lambda: Model().fit(0, n_steps=1), "Model.fit takes no n_steps; it is an argument of Mod"),
        (lambda: Model().predict(dept=1), "Model.predict takes no dept; did you mean depth?"),
        (lambda: Model(xyz=1), "Model takes no xyz; its arguments are batch_size, n_steps"),
        (lambda: Special(device="cpu"), "Special takes no device; it is an argument of Special.fi"),
    ],
)
def test_an_unknown_argument_is_answered(call, message):
    with pytest.raises(TypeError) as error:
        call()
    assert str(error.value).startswith(message)


def test_a_missing_argument_is_python_s_own_error():
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'cells'"):
        Model().fit()


def test_a_wrong_value_is_named():
    given = {"kind": "x", "size": 0, "weight": -1.0, "share": float("nan"), "good": 2}
    check_choices({"kind": "x"}, {"kind": ("x", "y")})
    check_positive(given, "good")
    check_not_negative(given, "good", "size")
    with pytest.raises(ValueError, match=r"kind must be one of \('a', 'b'\), not 'x'"):
        check_choices(given, {"kind": ("a", "b")})
    given |= {"text": "3", "truth": True}
    for name in ("size", "weight", "share", "text", "truth"):
        with pytest.raises(
            ValueError, match=f"{name} must be a positive number, not {given[name]!r}"
        ):
            check_positive(given, "good", name)
    for name in ("weight", "share", "text", "truth"):
        with pytest.raises(ValueError, match=f"{name} must be a number that is not negative, not"):
            check_not_negative(given, "good", name)


@pytest.mark.parametrize("value", [8.5, 8.0, np.float64(8), True, np.True_, "8", None, 0])
def test_a_number_that_is_not_whole_or_too_small_is_named(value):
    check_whole({"size": 1, "seed": np.int64(8)}, "size", "seed")
    check_whole({"size": 0}, "size", least=0)
    with pytest.raises(ValueError, match="size must be a whole number, at least 1, not"):
        check_whole({"size": value}, "size")


POSITIVE = [("learning_rate", 0.0), ("learning_rate", "fast"), ("validate_every", 0)]
POSITIVE += [("patience", 2.5), ("batch_size", 8.5), ("batch_size", True), ("seed", -1)]
POSITIVE += [("seed", "0"), ("seed", 2**40), ("learning_rate", inf), ("learning_rate", nan)]
REFUSED = {
    ScNODE: [("latent_dim", 2.5), ("transport_steps", -1), ("growth", 0.0), ("growth", "free")]
    + [("damping", nan), ("damping", inf), ("max_step", nan), ("time_points", 3)],
    PublishedScNODE: [("latent_dim", 0), ("pretrain_steps", 1.5), ("joint_steps", -1)]
    + [("latent_weight", -1.0), ("n_components", 2.5), ("time_points", "0,1")],
    ScGrapHiC: [("n_blocks", 1.5), ("n_steps", 0), ("channels", 8.0), ("crop", True)],
    PublishedScGrapHiC: [("epochs", 1.5), ("width", 32.0), ("residual_blocks", -1)],
}


@pytest.mark.parametrize(
    ("model", "name", "value"),
    [(model, *each) for model, own in REFUSED.items() for each in POSITIVE + own],
)
def test_a_model_refuses_a_setting_that_it_could_not_work_with(model, name, value):
    with pytest.raises(ValueError, match=f"^{name} must be a .*not {value!r}"):
        model(**{name: value})


SIMPLER = {
    FlowMatching: [("n_components", 2.5), ("growth", nan), ("pseudotime", inf)],
    LatentGaussianProcess: [("n_components", 2.5), ("prior", nan), ("alignment_steps", 0)],
    DisplacementInterpolation: [("n_components", 0), ("max_cells", 2.5), ("growth", -1)],
    DisplacementTrees: [("n_components", "6"), ("n_trees", 0), ("n_trees", 10**9)],
    PathGaussianProcess: [("n_components", True), ("max_cells", 0)],
    BulkRidge: [("strength", nan), ("n_pixels", 0.5), ("spread", -1)],
    ContactTrees: [("n_pixels", "many"), ("max_leaf_nodes", 1), ("learning_rate", 0)],
}


@pytest.mark.parametrize(
    ("model", "name", "value"),
    [
        (model, *each)
        for model, own in SIMPLER.items()
        for each in [*own, ("seed", -1), ("seed", "x"), ("seed", 1.0)]
    ],
)
def test_a_simpler_method_refuses_what_it_could_not_work_with(model, name, value):
    with pytest.raises(ValueError, match=f"^{name} must be a .*not {value!r}"):
        model(**{name: value})


def test_settings_are_given_by_name():
    for model in REFUSED:
        with pytest.raises(TypeError, match="positional"):
            model(32)


@pytest.mark.parametrize("given", ["32,32", 32, [32, 0], [32.5], [True], None])
def test_widths_of_layers_are_a_list_of_whole_numbers(given):
    with pytest.raises(ValueError, match="drift_hidden must be a list of whole numbers"):
        layer_widths("drift_hidden", given)


def test_the_wrong_kind_of_data_is_named():
    from tests.conftest import series
    from tests.models.spatial.spatial_data import spatial_windows

    windows, _ = spatial_windows(("chr1",))
    with pytest.raises(TypeError, match="cells are an AnnData, not a Windows"):
        ScNODE().fit(windows)
    with pytest.raises(TypeError, match="cells are an AnnData, not a Windows"):
        PublishedScNODE().fit(windows)
    for model in (ScGrapHiC(), PublishedScGrapHiC()):
        with pytest.raises(TypeError, match="windows are a Windows, not a AnnData"):
            model.fit(series([0.0, 1.0]))
