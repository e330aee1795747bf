from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from scstlib.leakage import LeakageError, check_evaluation
from scstlib.models.temporal.baselines import ConstantMean, CopyNearest
from scstlib.models.temporal.ensemble import Ensemble
from scstlib.models.temporal.scnode.default import ScNODE


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
    with pytest.raises(ValueError, match="2 members"):
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
