from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from scstlib.models.temporal.baselines import (
    ConstantMean,
    CopyNearest,
    InterpolatedMean,
    MeanMovedOn,
)
from scstlib.models.temporal.transport import DisplacementInterpolation
from tests.conftest import series

ALL = [CopyNearest, ConstantMean, InterpolatedMean, MeanMovedOn, DisplacementInterpolation]


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


def test_the_mean_moves_on_as_between_the_outermost_two_times(moving):
    fitted = MeanMovedOn().fit(moving)
    mean = {t: moving[moving.obs["time"] == t].X.mean(0) for t in (0.0, 1.0, 3.0)}
    later, earlier = (fitted.sample([time], 40).X for time in (4.0, -0.5))
    assert_allclose(later.mean(0), mean[3.0] + (mean[3.0] - mean[1.0]) / 2, atol=1e-4)
    assert_allclose(earlier.mean(0), mean[0.0] - (mean[1.0] - mean[0.0]) / 2, atol=1e-4)
    inside = InterpolatedMean().fit(moving).sample([0.3, 2.0], 9)
    assert_allclose(fitted.sample([0.3, 2.0], 9).X, inside.X, rtol=1e-5)


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


def test_cells_that_keep_residuals_are_as_measured_at_measured_times_and_vary_as_they_do(moving):
    moving.X = moving.X[:, ::-1].copy()
    fitted = DisplacementInterpolation(2, residuals=True).fit(moving)
    for time in (1.0, 9.0):
        measured = moving[moving.obs["time"] == min(time, 3.0)].X
        sampled = fitted.sample([time], 20).X
        assert all((np.abs(row - measured).max(1) < 1e-5).any() for row in sampled)
    line = fitted.sample([2.0], 4000, noise=False).X.astype(np.float64)
    assert np.linalg.matrix_rank(line - line.mean(0), tol=1e-3) == 2
    cells = fitted.sample([2.0], 4000).X
    assert_allclose(cells.mean(0), line.mean(0), atol=0.02)
    expected = sum(moving[moving.obs["time"] == t].X.var(0) for t in (1.0, 3.0)) / 2
    assert_allclose(cells.var(0), expected, rtol=0.35)


def test_cells_that_keep_residuals_keep_their_zeros(moving_counts):
    moving_counts.X[:, 0] += 1
    moving_counts.X[:10, 0] = 0
    fitted = DisplacementInterpolation(2, residuals=True).fit(moving_counts)
    shares = [float((fitted.sample([t], 4000).X[:, 0] == 0).mean()) for t in (0.25, 0.75)]
    assert_allclose(shares, [0.25 * 0.75, 0.25 * 0.25], atol=0.02)


def test_residuals_in_gene_space_are_refused():
    with pytest.raises(ValueError, match="needs n_components"):
        DisplacementInterpolation(residuals=True)
    with pytest.raises(ValueError, match="growth must be a positive number, not 0"):
        DisplacementInterpolation(growth=0)


def test_growth_takes_later_cells_from_the_ancestors_that_multiply():
    """A tenth of the cells at 0 become half of those at 1; one fate moves, the other does not."""
    cells = series([0.0, 1.0], n_cells=100)
    cells.X = np.random.default_rng(0).normal(size=cells.shape).astype(np.float32) * 0.1
    late = cells.obs["time"].to_numpy() == 1
    many = np.r_[np.arange(100) < 10, np.arange(100) < 50]
    cells.X[:, 0] += np.where(many, 5, -5)
    cells.X[late & many, 1] += 2
    for growth, strangers in ((None, True), (0.1, False)):
        fitted = DisplacementInterpolation(growth=growth).fit(cells)
        sampled = fitted.sample([0.5], 2000, seed=1).X[:, 0]
        # Without growth cells change sides and stand between them on the way.
        assert ((np.abs(sampled) < 4).mean() > 0.3) == strangers
    share = (sampled > 0).mean()
    # At a constant rate the shares are as the root of the growth: 0.1 * 5**.5 to 0.9 * (5/9)**.5.
    assert share == pytest.approx(0.25, abs=0.03)
