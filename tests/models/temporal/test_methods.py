"""What every temporal method keeps to, the published and the simplest ones alike."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from anndata import AnnData
from numpy.testing import assert_array_equal

from scstlib import models
from scstlib.leakage import LeakageError, check_evaluation
from scstlib.models.temporal import median_table, methods, score_held_out_times
from scstlib.models.temporal.cells import draw
from scstlib.models.temporal.protocol import CellKeepingModel
from scstlib.splits import hold_out_times
from tests.conftest import series


class AnyTime(CellKeepingModel):
    """A method of one's own: cells of all times, whatever time is asked for."""

    def _population(self, cells, time, n_cells, rng):
        return draw(cells.values, n_cells, rng)


METHODS = {**methods(), "cells of any time": lambda seed: AnyTime()}
STEPS = ("alignment_steps", "matching_steps", "pretrain_steps", "joint_steps", "n_trees")


def new(name: str, seed: int = 0) -> Any:
    """The method with its defaults, but few steps."""
    model = METHODS[name](seed)
    for setting in STEPS:
        if hasattr(model, setting):
            setattr(model, setting, 3)
    return model


@cache
def fitted_once(name: str) -> Any:
    """The method fitted to three times, for tests that ask it and change nothing."""
    return new(name).fit(series([0.0, 1.0, 3.0]))


@pytest.fixture(params=METHODS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("counts", [False, True])
def test_cells_of_the_asked_times_come_in_the_unit_of_the_input(name: str, counts: bool):
    cells = series([0.0, 1.0, 3.0], counts=counts)
    sampled = new(name).fit(cells).sample([2.0, 0.5], 7, seed=3)
    assert sampled.obs["time"].tolist() == [2.0] * 7 + [0.5] * 7
    assert sampled.var_names.tolist() == cells.var_names.tolist()
    assert sampled.obs_names.is_unique
    assert np.isfinite(sampled.X).all()
    assert ("log1p_cp10k" in sampled.layers) == counts
    if counts and name != "scNODE as published":  # Which has hardly learned in three steps.
        assert np.median(sampled.X.sum(1)) == pytest.approx(np.median(cells.X.sum(1)), rel=0.5)


def test_a_seed_decides_the_cells_and_the_order_of_times_does_not_matter(name: str):
    model = fitted_once(name)
    first, again = (model.sample([2.0], 9, seed=3).X for _ in range(2))
    assert_array_equal(first, again)
    if name != "mean profile":
        assert np.any(first != model.sample([2.0], 9, seed=4).X)
    assert set(model.sample([3.0, 0.0], 2).obs["time"]) == {0.0, 3.0}


@pytest.mark.parametrize(
    "times", [[-2.0, 0.0, 0.5, 7.0], [0.0, 1.0, 6.0, 12.0, 24.0, 48.0, 72.0, 96.0]]
)
def test_three_cells_a_time_and_irregular_times_are_enough(name: str, times: list[float]):
    cells = series(times, n_cells=3)
    asked = [times[0], times[1] + 0.2, times[-2] + 1.0, times[-1]]
    sampled = new(name).fit(cells).sample(asked, 4)
    assert sampled.shape == (16, 6)
    if name not in ("scNODE as published", "scNODE"):  # Which have hardly learned in three steps.
        reach = np.ptp(cells.X, axis=0)
        assert (np.abs(sampled.X - (cells.X.max(0) + cells.X.min(0)) / 2) < 1.5 * reach).all()


def test_every_kind_of_noise_can_be_asked_for(name: str):
    model = new(name).fit(series([0.0, 1.0, 3.0], counts=True))
    for noise in (True, False, "depth"):
        assert np.isfinite(model.sample([2.0], 5, noise=noise).layers["log1p_cp10k"]).all()


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"noise": "bogus"}, "noise must be True, False or 'depth', not 'bogus'"),
        ({"noise": None}, "noise"),
        ({"n_cells": 10.0}, "n_cells must be a whole number, at least 1, not 10.0"),
        ({"n_cells": True}, "n_cells"),
        ({"n_cells": 0}, "n_cells"),
        ({"times": []}, "times"),
        ({"times": [np.nan]}, "finite"),
        ({"times": [np.inf]}, "finite"),
        ({"times": ["1.0"]}, "finite numbers"),
        ({"times": [True]}, "finite numbers"),
        ({"times": [np.timedelta64(1, "h")]}, "finite numbers"),
        ({"times": [1j]}, "finite numbers"),
        ({"times": None}, "finite numbers"),
        ({"times": [[1.0], [1.0, 2.0]]}, "finite numbers"),
        ({"times": [1e300]}, r"time 1e\+300 lies more than 1000 mean intervals of 1.5 away"),
        ({"times": [1.0, -1e7]}, "time -1e.07 lies more than 1000 mean intervals"),
        ({"noise": np.array([1, 2])}, "noise must be True, False or 'depth'"),
        ({"seed": -1}, "seed must be a whole number, at least 0, not -1"),
        ({"seed": "x"}, "seed must be a whole number, at least 0, not 'x'"),
        ({"seed": 2.0}, "seed must be a whole number, at least 0, not 2.0"),
        ({"seed": True}, "seed must be a whole number, at least 0, not True"),
        ({"seed": None}, "seed must be a whole number"),
        ({"seed": 2**32}, "seed must be a whole number, at most 4294967295, not 4294967296"),
    ],
)
def test_a_request_that_means_nothing_is_refused(name: str, request_: Any, words: str):
    with pytest.raises(ValueError, match=words):
        fitted_once(name).sample(**{"times": [1.0], "n_cells": 5, **request_})


FLOWS = ("scNODE as published", "scNODE")
NOWHERE = (np.nan, np.inf, -np.inf, 1j, True, "0", None, [])


@pytest.mark.parametrize("flow", FLOWS)
def test_nothing_flows_from_or_to_a_time_that_is_none(flow: str):
    """Such a time once gave what happened to lie in memory."""
    model = fitted_once(flow)
    points = model.encode(series([0.0, 1.0, 3.0]))[:4]
    assert np.isfinite(model.flow(points, 0.0, [1.0, -0.5, 0.0])).all()
    for time in NOWHERE:
        with pytest.raises(ValueError, match="start must be one or more finite numbers"):
            model.flow(points, time, [1.0])
        for times in ([time], [1.0, time]) if time not in (True,) else ([time],):
            with pytest.raises(ValueError, match="times must be one or more finite numbers"):
                model.flow(points, 0.0, times)
        with pytest.raises(ValueError, match="time must be one or more finite numbers"):
            model.velocity(points, time)
    for far in (1e300, -1e300, 1e5):
        with pytest.raises(ValueError, match="lies more than 1000 mean intervals"):
            model.flow(points, 0.0, [1.0, far])
        with pytest.raises(ValueError, match="lies more than 1000 mean intervals"):
            model.flow(points, far, [1.0])


@pytest.mark.parametrize("flow", FLOWS)
def test_points_that_are_none_are_refused(flow: str):
    model = fitted_once(flow)
    with pytest.raises(TypeError, match="cells are an AnnData, not a str"):
        model.encode("cells.h5ad")
    points = model.encode(series([0.0, 1.0, 3.0]))[:4].astype(float)
    broken = points.copy()
    broken[1] = np.nan
    wrong = {
        "1 latent points are NaN or infinite": broken,
        "latent points must be numbers of shape": points[:, :-1],
        "not float64 of shape": points[0],
        "not complex128": points * 1j,
        "not bool": points > 0,
        "not <U": points.astype(str),
    }
    for said, latent in wrong.items():
        for call in (model.decode, lambda z: model.velocity(z, 0.0)):
            with pytest.raises(ValueError, match=said):
                call(latent)
        with pytest.raises(ValueError, match=said):
            model.flow(latent, 0.0, [1.0])


def test_a_model_that_is_not_fitted_says_so(name: str):
    with pytest.raises(ValueError, match=r"fit\(adata, time_key\)"):
        new(name).sample([1.0], 3)


@pytest.mark.parametrize("trained", ["scNODE as published", "scNODE"])
@pytest.mark.parametrize("cause", [FloatingPointError, KeyboardInterrupt])
def test_a_fit_that_is_broken_off_leaves_no_model(trained, cause, monkeypatch, tmp_path: Path):
    first, cells = new(trained), series([0.0, 1.0, 3.0])
    refitted = new(trained).fit(cells)
    monkeypatch.setattr("scstlib.training.loop._gradients", raiser(cause))
    for model in (first, refitted):
        with pytest.raises(cause):
            model.fit(cells)
        with pytest.raises(ValueError, match="is not fitted"):
            model.sample([1.0], 3)
        with pytest.raises(ValueError, match="is not fitted"):
            model.save(tmp_path / "model")
        with pytest.raises(ValueError, match="fit it first"):
            check_evaluation(model, cells)


def raiser(cause: type[BaseException]) -> Any:
    def fail(*_: Any) -> float:
        raise cause

    return fail


def without_time(cells: AnnData) -> None:
    del cells.obs["time"]


def one_time(cells: AnnData) -> None:
    cells.obs["time"] = 1.0


def missing_value(cells: AnnData) -> None:
    cells.X[3, 2] = np.nan


@pytest.mark.parametrize("damage", [without_time, one_time, missing_value])
def test_cells_that_cannot_be_read_are_refused(name: str, damage: Any):
    cells = series([0.0, 1.0, 3.0])
    damage(cells)
    with pytest.raises(ValueError, match=r"time|cell3"):
        new(name).fit(cells)


def test_a_misspelt_argument_is_answered(name: str):
    with pytest.raises(TypeError, match="time_ky; did you mean time_key"):
        new(name).fit(series([0.0, 1.0]), time_ky="time")


def gap(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.abs(x.mean(0) - y.mean(0)).mean())


def test_what_a_model_was_fitted_on_is_refused_also_after_a_file(name: str, tmp_path: Path):
    split = hold_out_times(series([0.0, 1.0, 3.0]), test=1.0)
    fitted = new(name).fit(split.train)
    fitted.save(tmp_path / "model")
    loaded = type(fitted).load(tmp_path / "model", device="cpu")
    if name in methods():
        assert type(models.load(tmp_path / "model")) is type(fitted)
    assert_array_equal(loaded.sample([2.0], 5, seed=1).X, fitted.sample([2.0], 5, seed=1).X)
    for model in (fitted, loaded):
        with pytest.raises(LeakageError, match=type(model).__name__):
            check_evaluation(model, split.train)
        with pytest.raises(LeakageError):
            score_held_out_times({name: model}, split.train, {"gap": gap})
        scores = score_held_out_times({name: model}, split.test, {"gap": gap}, n_repeats=1)
        assert np.isfinite(scores["value"]).all()


def test_settings_are_attributes_that_repr_shows_where_they_are_not_the_default():
    all_settings = {name: methods()[name](2).settings for name in methods()}
    assert all_settings["scNODE"]["seed"] == all_settings["scNODE as published"]["seed"] == 2
    assert repr(methods()["OT displacement, 6 components"](0)) == (
        "DisplacementInterpolation(n_components=6)"
    )


def test_all_methods_stand_in_one_table_and_one_of_ones_own_with_them():
    split = hold_out_times(series([0.0, 1.0, 3.0], counts=True), test=1.0)
    fitted = {name: [new(name, seed).fit(split.train) for seed in range(2)] for name in METHODS}
    table = median_table(score_held_out_times(fitted, split.test, {"gap": gap}, n_repeats=1))
    assert list(table.index) == ["split half of the measured cells", *METHODS]
    # Means of these cells move on a straight line, along which any time is not the right one.
    column = table["gap", 1.0]
    assert column["mean profile"] < column["cells of any time"]
