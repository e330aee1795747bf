"""Stratum-adjusted correlation against the package hicrep and by hand."""

import numpy as np
import pytest
from hicrep.hicrep import sccByDiag
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import convolve
from scipy.sparse import coo_matrix

from scstlib.metrics.contacts import stratum_adjusted_correlation as scc


def counts(seed, bins=40, n=2):
    """Sparse symmetric counts, with many zeros common to both maps far from the diagonal."""
    rng = np.random.default_rng(seed)
    distance = np.abs(np.subtract.outer(np.arange(bins), np.arange(bins)))
    level = rng.gamma(3.0, 1.0, (bins, bins)) * 20 / (1 + distance)
    maps = rng.poisson(level, (n, bins, bins)).astype(float)
    return np.triu(maps) + np.triu(maps, 1).transpose(0, 2, 1)


def hicrep_package(a, b, max_distance):
    return sccByDiag(coo_matrix(np.triu(a)), coo_matrix(np.triu(b)), max_distance + 1)


@pytest.mark.parametrize("max_distance", [1, 5, 20])
def test_equals_hicrep(max_distance):
    a, b = counts(0), counts(1)
    expected = [hicrep_package(x, y, max_distance) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(scc(a, b, max_distance=max_distance), expected, rtol=1e-10)


@pytest.mark.parametrize("half_width", [1, 3])
def test_smoothing_equals_hicrep_on_maps_smoothed_by_scipy(half_width):
    a, b = counts(0), counts(1)
    kernel = np.ones((2 * half_width + 1,) * 2)
    pixels = convolve(np.ones_like(a[0]), kernel, mode="constant")
    smooth = [[convolve(m, kernel, mode="constant") / pixels for m in maps] for maps in (a, b)]
    expected = [hicrep_package(x, y, 15) for x, y in zip(*smooth, strict=True)]
    ours = scc(a, b, max_distance=15, smoothing=half_width)
    np.testing.assert_allclose(ours, expected, rtol=1e-10)


def test_weights_by_hand():
    # Three strata: 3, 2 and 1 pixels; correlation 1 at distance 1, -1 at 2, none at 3.
    a, b = np.ones((4, 4)), np.ones((4, 4))
    a[[0, 1, 2], [1, 2, 3]] = [1, 2, 3]
    b[[0, 1, 2], [1, 2, 3]] = [2, 4, 6]
    a[[0, 1], [2, 3]] = [1, 2]
    b[[0, 1], [2, 3]] = [5, 3]
    assert scc(a, b) == pytest.approx((4 - 3) / (4 + 3))
    published = np.array([8 / 27, 3 / 8])
    expected = (published[0] - published[1]) / published.sum()
    assert scc(a, b, max_distance=3, variant="published") == pytest.approx(expected)


def test_common_zeros_are_left_out_by_hicrep_alone():
    a, b = np.zeros((6, 6)), np.zeros((6, 6))
    rows = np.arange(5)
    a[rows, rows + 1] = [1, 3, 2, 0, 0]
    b[rows, rows + 1] = [3, 1, 2, 0, 0]
    assert scc(a, b, max_distance=1) == pytest.approx(-1)
    expected = np.corrcoef([1, 3, 2, 0, 0], [3, 1, 2, 0, 0])[0, 1]
    assert scc(a, b, max_distance=1, variant="published") == pytest.approx(expected)


def test_masked_bins_equal_bins_cut_out_of_each_stratum():
    a, b = counts(0, n=1)[0], counts(1, n=1)[0]
    masked = a.copy()
    masked[4] = masked[:, 4] = np.nan
    keep = np.ones(40, dtype=bool)
    keep[4] = False
    rho, weight = [], []
    for d in range(1, 11):
        valid = keep[: 40 - d] & keep[d:]
        x, y = np.diagonal(a, d)[valid], np.diagonal(b, d)[valid]
        x, y = x[(x > 0) | (y > 0)], y[(x > 0) | (y > 0)]
        rho.append(np.corrcoef(x, y)[0, 1])
        weight.append(len(x) + 1)
    expected = np.average(rho, weights=weight)
    assert scc(masked, b, max_distance=10) == pytest.approx(expected)
    assert scc(b, masked, max_distance=10) == pytest.approx(expected)


def test_smoothing_takes_the_mean_of_the_bins_that_are_not_masked():
    a, b = counts(0, n=1)[0], counts(1, n=1)[0]
    masked = a.copy()
    masked[4] = masked[:, 4] = np.nan
    valid = np.isfinite(masked).astype(float)
    kernel = np.ones((3, 3))
    ours = scc(masked, b, max_distance=8, smoothing=1)
    mean = convolve(np.nan_to_num(masked), kernel, mode="constant")
    mean = np.where(
        valid > 0, mean / np.maximum(convolve(valid, kernel, mode="constant"), 1), np.nan
    )
    other = convolve(b, kernel, mode="constant") / convolve(
        np.ones_like(b), kernel, mode="constant"
    )
    assert ours == pytest.approx(float(scc(mean, other, max_distance=8)))


@given(
    seed=st.integers(0, 1000),
    factors=st.lists(st.floats(0.01, 100.0), min_size=12, max_size=12),
    variant=st.sampled_from(["hicrep", "published"]),
)
@settings(max_examples=50, deadline=None)
def test_a_factor_per_distance_changes_nothing(seed, factors, variant):
    a, b = counts(seed, bins=12), counts(seed + 1, bins=12)
    distance = np.abs(np.subtract.outer(np.arange(12), np.arange(12)))
    scaled = a * np.asarray(factors)[distance]
    np.testing.assert_allclose(
        scc(scaled, b, variant=variant), scc(a, b, variant=variant), rtol=1e-9, atol=1e-9
    )


def test_pure_distance_decay_has_no_score():
    decay = 1 / (1 + np.abs(np.subtract.outer(np.arange(20), np.arange(20))))
    assert np.isnan(scc(decay, counts(0, bins=20, n=1)[0]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"variant": "other"}, "variant"),
        ({"smoothing": -1}, "smoothing"),
        ({"max_distance": 0}, "max"),
    ],
)
def test_arguments_out_of_range_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        scc(counts(0), counts(1), **change)


def test_published_variant_needs_more_than_six_bins():
    assert np.isnan(scc(counts(0, bins=6), counts(1, bins=6), variant="published")).all()
    assert np.isfinite(scc(counts(0, bins=7), counts(1, bins=7), variant="published")).all()
