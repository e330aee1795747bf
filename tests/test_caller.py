"""Warnings name the user's line, and come once."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest

from scstlib import caller, splits
from scstlib.models.temporal import ConstantMean, Ensemble, ScNODE, score_held_out_times
from scstlib.preprocess.expression import PearsonResiduals
from tests.conftest import series


@pytest.fixture(scope="module")
def model() -> ScNODE:
    return new(0).fit(series([0.0, 1.0, 3.0]))


def new(seed: int) -> ScNODE:
    return ScNODE(matching_steps=2, latent_dim=2, damping=0.0, seed=seed)


@pytest.fixture
def heard() -> Iterator[list[warnings.WarningMessage]]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        yield found


def line_of(found: warnings.WarningMessage) -> str:
    with open(found.filename, encoding="utf-8") as file:
        return file.readlines()[found.lineno - 1].strip()


def test_a_warning_points_at_the_line_outside_the_package(model, heard):
    model.sample([9.0], 2)
    assert [line_of(each) for each in heard] == ["model.sample([9.0], 2)"]


def test_steps_before_a_model_point_there_too(heard):
    cells = series([0.0, 1.0, 3.0], counts=True)
    cells.X = cells.X + 0.5
    cells.obsm["X_pca"] = cells.X[:, :2]
    PearsonResiduals().fit(cells)
    splits.hold_out_times(cells, test=1.0)
    lines = ["PearsonRes", "splits.hol"]
    assert [line_of(each)[:10] for each in heard] == lines


def test_an_ensemble_says_once_what_all_members_say(heard):
    ensemble = Ensemble(new, 3).fit(series([0.0, 1.0, 3.0]))
    ensemble.sample([9.0], 12)
    ensemble.interval([9.0], lambda cells: float(cells.X.mean()))
    assert [line_of(each)[:9] for each in heard] == ["ensemble."] * 2


def test_an_ensemble_says_once_what_all_fits_say(heard):
    cells = series([0.0, 1.0, 3.0], counts=True)
    cells.uns["value_kind"] = "counts"
    cells.X = cells.X + 0.5
    Ensemble(lambda _: ConstantMean(), 4).fit(cells)
    assert ["holds fractions" in str(each.message) for each in heard] == [True]


def test_a_comparison_says_once_what_all_models_say(model, heard):
    test = series([9.0])
    test.obs_names = [f"new{i}" for i in range(test.n_obs)]
    fitted = {"a": [model, model], "b": [model]}
    score_held_out_times(fitted, test, {"gap": lambda x, y: float(x.mean() - y.mean())})
    assert [line_of(each)[:20] for each in heard] == ["score_held_out_times"]


def test_a_loop_is_warned_once_though_libraries_change_the_filters(monkeypatch):
    monkeypatch.setattr(caller, "_SAID", set())
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("default")
        for _ in range(5):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)
            caller.warn_caller("far")
    assert len(heard) == 1


def test_a_filter_that_asks_for_every_warning_gets_it(heard):
    for _ in range(3):
        caller.warn_caller("near")
    assert len(heard) == 3


def test_an_ignored_warning_stays_ignored_through_an_ensemble():
    ensemble = Ensemble(new, 2).fit(series([0.0, 1.0, 3.0]))
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", message="time 9 lies")
        ensemble.sample([9.0], 4)
    assert heard == []
