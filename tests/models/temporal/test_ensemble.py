from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from numpy.testing import assert_allclose

from scstlib.leakage import LeakageError, check_evaluation
from scstlib.models.temporal.baselines import ConstantMean, CopyNearest, InterpolatedMean
from scstlib.models.temporal.ensemble import Ensemble
from scstlib.models.temporal.left_out import KINDS, LeftOut, Settings, errors, unknown
from scstlib.models.temporal.scnode.default import ScNODE
from scstlib.splits import hold_out_times
from tests.conftest import series


@pytest.fixture
def constants(moving) -> Ensemble:
    return Ensemble(lambda _: ConstantMean(), 8, seed=1).fit(moving)


def mean_of_first_gene(cells) -> float:
    return float(np.mean(cells.X[:, 0]))


def test_the_interval_of_a_mean_is_that_of_its_standard_error(moving, constants):
    """Resampled means differ by the standard error of the mean."""
    table = constants.interval([1.0], mean_of_first_gene, level=0.9)
    own = moving.X[moving.obs["time"] == 1.0, 0]
    standard_error = own.std(ddof=1) / np.sqrt(len(own))
    half = float((table["upper"] - table["lower"])[0]) / 2
    assert_allclose(table["mean"], own.mean(), atol=4 * standard_error)
    assert 0.5 < half / (1.895 * standard_error) < 1.8  # t with 7 degrees of freedom.


def test_without_resampling_members_that_draw_nothing_agree(moving):
    same = Ensemble(lambda _: ConstantMean(), 3, resample=False).fit(moving)
    table = same.interval([1.0], mean_of_first_gene)
    assert_allclose(table["upper"], table["lower"], atol=1e-6)


def test_a_series_keeps_its_names(constants, moving):
    table = constants.interval([0.0, 2.0], lambda cells: cells.to_df().mean())
    assert table["name"].tolist() == 2 * list(moving.var_names)
    assert table["time"].tolist() == [0.0] * 6 + [2.0] * 6
    assert (table["lower"] <= table["mean"]).all()


def test_members_share_the_cells(moving):
    ensemble = Ensemble(lambda _: CopyNearest(), 3).fit(moving)
    cells = ensemble.sample([1.0, 3.0], 10, seed=0)
    assert cells.obs.groupby("time").size().tolist() == [10, 10]
    assert sorted(cells.obs.groupby("member").size()) == [6, 6, 8]
    assert cells.obs_names.is_unique


def test_the_leak_guard_sees_the_cells_of_all_members(moving, constants):
    with pytest.raises(LeakageError):
        check_evaluation(constants, moving)


def test_what_cannot_be_is_refused(constants):
    with pytest.raises(ValueError, match="n_members must be a whole number, at least 2, not 1"):
        Ensemble(lambda _: ConstantMean(), 1)
    with pytest.raises(ValueError, match="level"):
        constants.interval([1.0], mean_of_first_gene, level=1.0)
    with pytest.raises(ValueError, match="fit"):
        Ensemble(lambda _: ConstantMean()).sample([1.0], 5)


def test_a_member_that_fails_leaves_no_ensemble(moving, constants):
    with pytest.raises(ValueError, match="time"):
        constants.fit(moving, "hour")
    with pytest.raises(ValueError, match="not fitted"):
        constants.sample([1.0], 8)


def test_what_is_given_to_fit_is_handed_to_the_members(moving):
    settings = {"latent_dim": 2, "matching_steps": 2, "damping": None}
    ensemble = Ensemble(lambda number: ScNODE(seed=number, **settings), 2)
    with pytest.raises(ValueError, match="precision must be one of"):
        ensemble.fit(moving, precision="half")
    ensemble.fit(moving, device="cpu", progress=False)
    assert [len(member.losses_["matching"]) for member in ensemble.members_] == [2, 2]
    with pytest.raises(TypeError, match="device"):
        Ensemble(lambda _: ConstantMean(), 2).fit(moving, device="cpu")


METHODS = [lambda _: CopyNearest(), lambda _: InterpolatedMean(), lambda _: ConstantMean()]


@pytest.fixture(scope="module")
def parts():
    """Training and test cells of a population that moves along a line."""
    return hold_out_times(series([0.0, 1.0, 2.0, 3.0, 4.0, 6.0]), test=[3.0])


@pytest.fixture(scope="module")
def stacked(parts) -> Ensemble:
    return Ensemble(METHODS, stack=True).fit(parts.train)


def test_several_methods_take_turns(moving):
    assert len(Ensemble(METHODS).fit(moving).members_) == 3
    members = Ensemble(METHODS, 5).fit(moving).members_
    kinds = ["CopyNearest", "InterpolatedMean", "ConstantMean", "CopyNearest", "InterpolatedMean"]
    assert [type(each).__name__ for each in members] == kinds
    with pytest.raises(ValueError, match="n_members must be a whole number, at least 2, not 1"):
        Ensemble(METHODS[:1])


def test_weights_go_to_the_method_that_predicts_left_out_times(stacked, parts):
    assert stacked.weights_["inner"][1] > 0.9
    # Beyond the last time the mean stays, and no method is ahead of a copy.
    assert stacked.weights_["outer"][2] < 0.4
    cells = stacked.sample([3.0], 200)
    assert np.bincount(cells.obs["member"])[1] > 180
    error = abs(cells.X.mean(0) - parts.test.X.mean(0)).max()
    average = Ensemble(METHODS).fit(parts.train).sample([3.0], 200)
    assert error < abs(average.X.mean(0) - parts.test.X.mean(0)).max()


def test_the_guard_shows_that_weights_saw_neither_test_nor_left_out_cells(stacked, parts):
    check_evaluation(stacked, parts.test)
    assert [each.time for each in stacked.left_out_] == [1.0, 2.0, 4.0, 6.0]
    for each in stacked.left_out_:
        own = parts.train[parts.train.obs["time"] == each.time]
        check_evaluation(each.members, own, by="time")
        with pytest.raises(LeakageError):
            check_evaluation(stacked, own)


def test_a_member_that_saw_the_left_out_time_is_refused(parts):
    class Cheat(CopyNearest):
        def fit(self, adata, time_key="time"):
            return super().fit(parts.train, time_key)

    with pytest.raises(LeakageError, match="Cheat was fitted on what it is evaluated on"):
        Ensemble([*METHODS, lambda _: Cheat()], stack=True, resample=False).fit(parts.train)


class Shifted(InterpolatedMean):
    """Every predicted gene is too high, whoever predicts, the more the farther times are apart."""

    def _population(self, cells, time, n_cells, rng):
        left, right, _ = cells.between(time)
        shift = 0.05 * (right - left or 2.0)
        return super()._population(cells, time, n_cells, rng) + shift


def test_calibrated_intervals_hold_what_all_members_get_wrong(parts):
    def mean(cells):
        return cells.to_df().mean()

    held = {}
    for calibrate in (False, True):
        ensemble = Ensemble(lambda _: Shifted(), calibrate=calibrate).fit(parts.train)
        band = ensemble.interval([3.0], mean, level=0.8).set_index("name")
        held[calibrate] = mean(parts.test).between(band["lower"], band["upper"]).mean()
    assert held[False] < 0.4
    assert held[True] > 0.6


class Off:
    """Too high or too low by half; on three of 20 genes two of them agree by chance."""

    def __init__(self, sign: float) -> None:
        self.sign = sign

    def sample(self, times, n_cells, seed, noise):
        return AnnData(1 + self.sign * np.repeat([0.0, 0.5], [3, 17])[None])


def test_chance_agreement_of_members_does_not_widen_intervals():
    parts = [LeftOut(1.0, kind, [Off(-1), Off(1)], AnnData(np.zeros((1, 20)))) for kind in KINDS]
    equal = dict.fromkeys(KINDS, np.full(2, 0.5))
    found = errors(parts, equal, lambda cells: cells.X.mean(0), 0.9, Settings(1, 0, False))["outer"]
    spread = pd.Series(np.repeat([0.0, 0.5**0.5], [3, 17]))
    # All are off by 1; the widest is as far off, and its members differ.
    assert found.half_widths(spread, 1.0).max() == pytest.approx(1.5**0.5)


def test_calibrated_intervals_widen_with_the_distance_to_measured_times(parts):
    ensemble = Ensemble(lambda _: Shifted(), calibrate=True).fit(parts.train)
    times = [2.0, 2.2, 3.0, 7.0, 9.0]  # 2, 4 and 6 are measured.
    band = ensemble.interval(times, mean_of_first_gene, level=0.8)
    half = ((band["upper"] - band["lower"]) / 2).to_numpy()
    ensemble.calibrate = False
    raw = ensemble.interval(times, mean_of_first_gene, level=0.8)
    assert half[0] == pytest.approx(((raw["upper"] - raw["lower"]) / 2).iloc[0])
    assert half[0] < half[1] < half[2]
    assert half[4] > 1.2 * half[3]
    assert unknown(3.0, np.array([2.0, 4.0])) == 0.5
    assert unknown(9.0, np.array([0.0, 1.0, 6.0])) == 1.0


def test_two_times_leave_none_out():
    with pytest.raises(ValueError, match="at least 3 training times"):
        Ensemble(METHODS, stack=True).fit(series([0.0, 1.0]))
