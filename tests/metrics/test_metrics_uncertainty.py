"""Scores of samples against closed forms, explicit double sums and known coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import norm

from scstlib.metrics.uncertainty import (
    calibration_error,
    crps,
    energy_score,
    interval_coverage,
)


def gaussian_crps(mean, sd, y):
    """Closed form of the normal distribution, https://doi.org/10.1198/016214506000001437."""
    z = (y - mean) / sd
    return sd * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))


def test_crps_of_a_large_ensemble_is_the_closed_form():
    observed = np.array([-2.0, 0.3, 1.0, 4.0])
    levels = (np.arange(200_000) + 0.5) / 200_000
    samples = norm.ppf(levels, loc=1.0, scale=2.0)[:, None]
    expected = gaussian_crps(1.0, 2.0, observed)
    for fair in (True, False):
        score = crps(np.broadcast_to(samples, (200_000, 4)), observed, fair=fair)
        np.testing.assert_allclose(score, expected, rtol=1e-4)


def test_fair_crps_of_small_ensembles_is_the_closed_form_on_average():
    rng = np.random.default_rng(0)
    samples, observed = rng.normal(size=(4, 200_000)), np.full(200_000, 0.7)
    expected = gaussian_crps(0.0, 1.0, 0.7)
    fair, plain = crps(samples, observed), crps(samples, observed, fair=False)
    assert fair.mean() == pytest.approx(expected, abs=5 * fair.std() / np.sqrt(200_000))
    # E|X - X'| = 2 / sqrt(pi), of which the plain score misses 1 / (2 n).
    assert plain.mean() - expected == pytest.approx(1 / (4 * np.sqrt(np.pi)), rel=0.02)


@given(
    samples=arrays(np.float64, (5, 3), elements=st.floats(-1e3, 1e3)),
    observed=arrays(np.float64, 3, elements=st.floats(-1e3, 1e3)),
    fair=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_scores_equal_their_double_sums(samples, observed, fair):
    pairs = 5 * 4 if fair else 25
    spread = np.abs(samples[:, None] - samples[None]).sum((0, 1)) / (2 * pairs)
    expected = np.abs(samples - observed).mean(0) - spread
    np.testing.assert_allclose(crps(samples, observed, fair=fair), expected, atol=1e-9)
    np.testing.assert_allclose(
        energy_score(samples[..., None], observed[:, None], fair=fair), expected, atol=1e-9
    )
    distance = np.linalg.norm(samples[:, None] - samples[None], axis=-1).sum() / (2 * pairs)
    expected = np.linalg.norm(samples - observed, axis=-1).mean() - distance
    value = energy_score(samples, observed, fair=fair)
    assert value == pytest.approx(expected, abs=1e-9)
    assert energy_score(samples[::-1], observed, fair=fair) == pytest.approx(value, abs=1e-9)
    if not fair:
        assert value >= -1e-9


@pytest.mark.parametrize("score", [crps, energy_score])
def test_a_sure_and_right_prediction_scores_zero(score):
    observed = np.arange(6.0).reshape(2, 3)
    samples = np.broadcast_to(observed, (4, 2, 3))
    np.testing.assert_allclose(score(samples, observed), 0.0, atol=1e-12)


def test_truth_scores_better_than_the_mean_and_a_shifted_prediction():
    rng = np.random.default_rng(0)
    observed = rng.normal(size=(4000, 2))
    samples = rng.normal(size=(20, 4000, 2))
    for score in (crps, energy_score):
        truth = score(samples, observed).mean()
        assert truth < score(np.zeros((20, 4000, 2)), observed).mean()
        assert truth < score(samples + 0.5, observed).mean()
        assert truth < score(2 * samples, observed).mean()


def test_shapes_follow_the_observations():
    samples, observed = np.zeros((7, 2, 3, 4)), np.zeros((2, 3, 4))
    assert crps(samples, observed).shape == (2, 3, 4)
    assert energy_score(samples, observed).shape == (2, 3)
    assert crps([1.0, 3.0], 2.0, fair=False) == pytest.approx(0.5)
    assert crps(np.zeros((7, 0)), np.zeros(0)).shape == (0,)


@pytest.mark.parametrize("score", [crps, energy_score])
def test_one_sample(score):
    samples, observed = np.full((1, 2, 1), 5.0), np.array([[3.0], [9.0]])
    assert np.isnan(score(samples, observed)).all()
    np.testing.assert_array_equal(np.ravel(score(samples, observed, fair=False)), [2.0, 4.0])


def test_nan_stays_where_it_is():
    samples, observed = np.random.default_rng(0).normal(size=(6, 4)), np.zeros(4)
    samples[2, 1] = np.nan
    observed[3] = np.nan
    np.testing.assert_array_equal(np.isnan(crps(samples, observed)), [False, True, False, True])
    assert np.isnan(energy_score(samples, observed))
    rest = interval_coverage(samples[:, [0, 2]], observed[[0, 2]], 0.5)
    assert interval_coverage(samples, observed, 0.5) == rest
    assert np.isnan(interval_coverage(samples[:, :0], observed[:0]))
    assert np.isnan(calibration_error(samples[:, [1]], observed[[1]]))


def test_coverage_by_hand():
    samples = np.arange(11.0)[:, None] * np.ones(4)
    observed = np.array([-0.1, 0.5, 5.0, 10.0])
    # Level 0.8 goes from 1 to 9; level 1 from 0 to 10, ends included; level 0 is the median.
    np.testing.assert_array_equal(
        interval_coverage(samples, observed, [0.8, 1.0, 0.0]), [0.25, 0.75, 0.25]
    )
    assert interval_coverage(samples, observed, 0.8) == 0.25


def test_coverage_of_the_truth_is_the_level_up_to_the_number_of_samples():
    rng = np.random.default_rng(0)
    levels = np.array([0.2, 0.5, 0.9])
    for n in (9, 199):
        samples, observed = rng.uniform(size=(n, 20_000)), rng.uniform(size=20_000)
        expected = levels * (n - 1) / (n + 1)
        np.testing.assert_allclose(
            interval_coverage(samples, observed, levels), expected, atol=0.015
        )


def test_calibration_error_finds_too_narrow_and_too_wide():
    rng = np.random.default_rng(0)
    samples, observed = rng.normal(size=(200, 5000)), rng.normal(size=5000)
    assert calibration_error(samples, observed) < 0.02
    narrow, wide = (
        calibration_error(samples / 3, observed),
        calibration_error(samples * 3, observed),
    )
    assert narrow > 0.2
    assert wide > 0.2
    assert calibration_error(samples / 3, observed, signed=True) == pytest.approx(narrow)
    assert calibration_error(samples * 3, observed, signed=True) == pytest.approx(-wide)
    one = calibration_error(samples, observed, [0.5])
    assert one == pytest.approx(abs(0.5 - interval_coverage(samples, observed, 0.5)))


@pytest.mark.parametrize(
    "metric", [crps, energy_score, interval_coverage, calibration_error], ids=lambda f: f.__name__
)
def test_inputs_are_left_as_they_were_and_checked(metric):
    rng = np.random.default_rng(0)
    samples, observed = rng.normal(size=(5, 3)), rng.normal(size=3)
    samples.flags.writeable = observed.flags.writeable = False
    first = metric(samples, observed)
    np.testing.assert_array_equal(metric(samples, observed), first)
    for wrong in (samples[:, :2], samples[:0], 1.0):
        with pytest.raises(ValueError, match="n_samples"):
            metric(wrong, observed)


def test_arguments_out_of_range_are_refused():
    samples, observed = np.zeros((5, 3)), np.zeros(3)
    for call in (interval_coverage, calibration_error):
        with pytest.raises(ValueError, match="between 0 and 1"):
            call(samples, observed, [0.5, 1.1])
    with pytest.raises(ValueError, match="use crps"):
        energy_score([1.0, 2.0], 1.5)
