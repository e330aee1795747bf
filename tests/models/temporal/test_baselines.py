from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from scstlib.models.temporal.baselines import ConstantMean, CopyNearest, InterpolatedMean
from scstlib.models.temporal.transport import DisplacementInterpolation

ALL = [CopyNearest, ConstantMean, InterpolatedMean, DisplacementInterpolation]


@pytest.mark.parametrize("model", ALL)
def test_protocol(model, moving_counts):
    fitted = model().fit(moving_counts, "time")
    sampled = fitted.sample([0.5, 2.0], 7, seed=3)
    assert sampled.shape == (14, moving_counts.n_vars)
    assert list(sampled.obs["time"]) == [0.5] * 7 + [2.0] * 7
    assert (sampled.X >= 0).all()
    again = fitted.sample([0.5, 2.0], 7, seed=3)
    assert_allclose(sampled.X, again.X)
    assert np.isfinite(sampled.layers["log1p_cp10k"]).all()


@pytest.mark.parametrize("model", ALL)
def test_sampling_before_fitting_is_an_error(model):
    with pytest.raises(ValueError, match="fit"):
        model().sample([1.0], 3)


def test_copies_are_measured_cells_of_the_nearest_time(moving):
    sampled = CopyNearest().fit(moving).sample([2.2], 10)
    measured = moving[moving.obs["time"] == 3.0].X
    assert all((row == measured).all(1).any() for row in sampled.X)


def test_constant_is_the_mean_on_the_straight_line(moving):
    sampled = ConstantMean().fit(moving).sample([2.0], 5).X
    mean = {t: moving[moving.obs["time"] == t].X.mean(0) for t in (1.0, 3.0)}
    assert_allclose(sampled, np.tile((mean[1.0] + mean[3.0]) / 2, (5, 1)), rtol=1e-5)


def test_interpolated_mean_keeps_the_spread(moving):
    sampled = InterpolatedMean().fit(moving).sample([2.0], 40).X
    constant = ConstantMean().fit(moving).sample([2.0], 1).X[0]
    nearest = moving[moving.obs["time"] == 1.0].X
    assert_allclose(sampled.mean(0), constant, atol=1e-4)
    assert_allclose(sampled.std(0), nearest.std(0), rtol=1e-3)


def test_displacement_meets_the_line_between_means(moving):
    sampled = DisplacementInterpolation().fit(moving).sample([2.0], 4000).X
    constant = ConstantMean().fit(moving).sample([2.0], 1).X[0]
    assert_allclose(sampled.mean(0), constant, atol=0.02)


def test_displacement_repeats_the_last_time_outside(moving):
    sampled = DisplacementInterpolation().fit(moving).sample([9.0], 20).X
    last = moving[moving.obs["time"] == 3.0].X
    assert all((np.abs(row - last).max(1) < 1e-6).any() for row in sampled)


def test_displacement_pairs_neighbours_not_strangers(moving):
    """Two clusters that move in parallel: no cell may appear between the clusters."""
    moving.X[::2, 0] += 100
    sampled = DisplacementInterpolation(max_cells=30).fit(moving).sample([2.0], 300).X[:, 0]
    assert ((sampled < 10) | (sampled > 90)).all()
    assert (sampled < 10).any()
    assert (sampled > 90).any()


def test_displacement_in_components_stays_in_their_plane(moving):
    fitted = DisplacementInterpolation(n_components=2).fit(moving)
    sampled = fitted.sample([2.0], 50).X.astype(np.float64)
    assert np.linalg.matrix_rank(sampled - sampled.mean(0), tol=1e-3) == 2
    with pytest.raises(ValueError, match="n_components"):
        DisplacementInterpolation(n_components=99).fit(moving)
