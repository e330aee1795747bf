"""What holds for every metric on contact maps, and the single ones against independent code."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import pearsonr
from skimage.metrics import structural_similarity

from scstlib.metrics import contacts

# Computed with the public code of https://doi.org/10.1093/bioinformatics/btae223, commit 8019e1f.
PUBLISHED = Path(__file__).with_name("published_contacts.npz")
BINS = 24

PAIR_METRICS = {
    "mse": contacts.mse,
    "ssim": partial(contacts.ssim, data_range=1.0),
    "scc": contacts.stratum_adjusted_correlation,
    "scc_smoothed": partial(contacts.stratum_adjusted_correlation, smoothing=1),
    "scc_published": partial(contacts.stratum_adjusted_correlation, variant="published"),
    "genome_disco": contacts.genome_disco,
    "insulation": partial(contacts.insulation_correlation, window=3),
    "contrast": partial(contacts.contrast_correlation, reference=np.ones((BINS, BINS))),
    "insulation_contrast": partial(
        contacts.insulation_contrast_correlation,
        reference=1 / np.add.outer(np.arange(1, BINS + 1), np.arange(BINS)),
        window=3,
    ),
    "compartments": partial(contacts.compartment_correlation, phasing_track=np.arange(BINS) % 7),
}
# cooltools compiles its functions on first use.
SLOW = {"compartments": [pytest.mark.slow]}


def each(names):
    return pytest.mark.parametrize("name", [pytest.param(n, marks=SLOW.get(n, [])) for n in names])


all_pair_metrics = each(PAIR_METRICS)


@all_pair_metrics
def test_each_map_is_scored_on_its_own(name, maps):
    metric = PAIR_METRICS[name]
    n = 3 if name == "compartments" else 300  # more than one block
    a, b = maps(n, BINS, 0), maps(n, BINS, 1)
    scores = metric(a, b)
    assert scores.shape == (n,)
    assert np.isfinite(scores).all()
    for i in (0, n - 1):
        alone = metric(a[i], b[i])
        assert np.shape(alone) == ()
        assert alone == pytest.approx(scores[i], rel=1e-12)


@all_pair_metrics
def test_no_maps_give_no_scores(name):
    empty = np.empty((0, BINS, BINS))
    assert PAIR_METRICS[name](empty, empty).shape == (0,)


@all_pair_metrics
def test_inputs_are_left_as_they_were(name, maps):
    a, b = maps(2, BINS, 0, masked=[3]), maps(2, BINS, 1)
    assert not a.flags.writeable  # numpy refuses to write into these
    assert not b.flags.writeable
    first = PAIR_METRICS[name](a, b)
    np.testing.assert_allclose(PAIR_METRICS[name](a, b), first, rtol=1e-9)


@all_pair_metrics
def test_equal_maps_score_best(name, maps):
    a = maps(3, BINS, 0)
    expected = 0.0 if name == "mse" else 1.0
    np.testing.assert_allclose(PAIR_METRICS[name](a, a.copy()), expected, atol=1e-12)


@all_pair_metrics
def test_swapping_the_maps_changes_nothing(name, maps):
    a, b = maps(3, BINS, 0), maps(3, BINS, 1)
    np.testing.assert_allclose(PAIR_METRICS[name](a, b), PAIR_METRICS[name](b, a), rtol=1e-10)


@all_pair_metrics
def test_order_of_the_maps_is_kept(name, maps):
    a, b = maps(4, BINS, 0), maps(4, BINS, 1)
    order = [2, 0, 3, 1]
    np.testing.assert_allclose(
        PAIR_METRICS[name](a[order], b[order]), PAIR_METRICS[name](a, b)[order], rtol=1e-12
    )


@all_pair_metrics
def test_masked_bins_do_not_spoil_the_score(name, maps):
    a, b = maps(2, BINS, 0, masked=[0, 7]), maps(2, BINS, 1, masked=[7])
    assert np.isfinite(PAIR_METRICS[name](a, b)).all()


@all_pair_metrics
def test_maps_of_nothing_but_nan_have_no_score(name):
    nothing = np.full((2, BINS, BINS), np.nan)
    assert np.isnan(PAIR_METRICS[name](nothing, nothing)).all()


CORRELATIONS = set(PAIR_METRICS) - {"mse", "ssim", "genome_disco", "insulation_contrast"}


@each(sorted(CORRELATIONS))
def test_constant_maps_have_no_correlation(name, maps):
    constant = np.full((2, BINS, BINS), 0.1)  # 0.1 leaves a variance by rounding
    assert np.isnan(PAIR_METRICS[name](maps(2, BINS, 0), constant)).all()


@all_pair_metrics
@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_an_infinite_pixel_is_refused(name, maps, value):
    """One such pixel once moved scores by little, so that nothing showed."""
    right, wrong = maps(2, BINS, 0), maps(2, BINS, 0).copy()
    wrong[1, 3, 5] = wrong[1, 5, 3] = value
    with pytest.raises(ValueError, match="prediction holds 2 infinite pixels"):
        PAIR_METRICS[name](wrong, right)
    with pytest.raises(ValueError, match="target holds 2 infinite pixels"):
        PAIR_METRICS[name](right, wrong)


@all_pair_metrics
def test_mismatched_shapes_are_refused(name, maps):
    with pytest.raises(ValueError, match="one shape"):
        PAIR_METRICS[name](maps(2, BINS, 0), maps(3, BINS, 0))
    with pytest.raises(ValueError, match="bins, bins"):
        PAIR_METRICS[name](np.zeros((BINS, BINS - 1)), np.zeros((BINS, BINS - 1)))


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (contacts.mse, 4.0),
        (contacts.stratum_adjusted_correlation, np.nan),
        (contacts.genome_disco, np.nan),
        (partial(contacts.insulation_correlation, window=2), np.nan),
        (partial(contacts.contrast_correlation, reference=[[0.0]]), np.nan),
        pytest.param(
            partial(contacts.compartment_correlation, phasing_track=[1.0]),
            np.nan,
            marks=pytest.mark.slow,
        ),
    ],
)
def test_maps_of_one_bin(metric, expected):
    np.testing.assert_equal(metric([[1.0]], [[3.0]]), expected)


def test_equals_published_values():
    published = np.load(PUBLISHED)
    a, b = published["metric_a"], published["metric_b"]
    np.testing.assert_allclose(contacts.mse(a, b), published["metric_mse"], rtol=1e-12)
    np.testing.assert_allclose(
        contacts.ssim(a, b, data_range=2), published["metric_ssim_range2"], rtol=1e-12
    )
    np.testing.assert_allclose(
        contacts.stratum_adjusted_correlation(a, b, variant="published"),
        published["metric_scc_published"],
        rtol=1e-10,
    )
    np.testing.assert_allclose(
        contacts.genome_disco(a, b), published["metric_genome_disco"], rtol=1e-12
    )


@pytest.mark.parametrize("window", [3, 7, 11])
@pytest.mark.parametrize("data_range", [1.0, 2.0, 25.0])
def test_ssim_equals_scikit_image(maps, window, data_range):
    a, b = maps(3, BINS, 0), maps(3, BINS, 1)
    expected = [
        structural_similarity(x, y, win_size=window, data_range=data_range)
        for x, y in zip(a, b, strict=True)
    ]
    ours = contacts.ssim(a, b, data_range=data_range, window=window)
    np.testing.assert_allclose(ours, expected, rtol=1e-10)


def test_ssim_leaves_windows_with_nan_out(maps):
    a, b = maps(1, 12, 0), maps(1, 12, 1)
    masked = a.copy()
    masked[:, :5] = np.nan
    expected = structural_similarity(a[0, 5:], b[0, 5:], win_size=3, data_range=1.0)
    assert contacts.ssim(masked, b, data_range=1.0, window=3)[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    "change", [{"data_range": 0}, {"window": 4}, {"window": 25}, {"window": 1}]
)
def test_ssim_refuses_arguments_out_of_range(maps, change):
    with pytest.raises(ValueError, match=next(iter(change))):
        contacts.ssim(maps(1, BINS, 0), maps(1, BINS, 1), **({"data_range": 1.0} | change))


def test_mse_leaves_nan_pixels_out():
    assert contacts.mse([[1.0, np.nan], [2.0, 5.0]], [[3.0, 1.0], [2.0, np.nan]]) == 2.0


def test_expected_by_distance_by_hand():
    contact_map = np.array([[4.0, 1.0, 0.0], [1.0, 6.0, 3.0], [0.0, 3.0, np.nan]])
    np.testing.assert_array_equal(contacts.expected_by_distance(contact_map), [5.0, 2.0, 0.0])
    contact_map[0, 2] = np.nan
    np.testing.assert_array_equal(contacts.expected_by_distance(contact_map), [5.0, 2.0, np.nan])


def test_expected_by_distance_equals_trace_means(maps):
    stack = maps(2, BINS, 0)
    expected = [[np.diagonal(m, d).mean() for d in range(BINS)] for m in stack]
    np.testing.assert_allclose(contacts.expected_by_distance(stack), expected, rtol=1e-12)


def test_contrast_equals_scipy(maps):
    a, b, reference = maps(2, BINS, 0), maps(2, BINS, 1), maps(1, BINS, 2)[0]
    upper = np.triu_indices(BINS, 1)
    expected = [
        pearsonr((x - reference)[upper], (y - reference)[upper])[0]
        for x, y in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(contacts.contrast_correlation(a, b, reference), expected, rtol=1e-10)


def test_contrast_of_the_copied_training_mean_is_zero(maps):
    target, reference = maps(2, BINS, 0), maps(2, BINS, 1)
    for copied in (reference, reference + 0.3, reference.astype(np.float32)):
        np.testing.assert_array_equal(
            contacts.contrast_correlation(copied, target, reference), [0.0, 0.0]
        )
        np.testing.assert_array_equal(
            contacts.insulation_contrast_correlation(reference, target, reference, window=3),
            [0.0, 0.0],
        )


def test_contrast_of_a_copied_bulk_is_zero_against_its_own_predictions(maps):
    target, reference, bulk = maps(2, BINS, 0), maps(2, BINS, 1), maps(2, BINS, 2)
    assert (contacts.contrast_correlation(bulk, target, reference) > 0.1).all()
    for metric in (
        contacts.contrast_correlation,
        partial(contacts.insulation_contrast_correlation, window=3),
    ):
        score = metric(bulk, target, reference, prediction_reference=bulk)
        np.testing.assert_array_equal(score, [0.0, 0.0])


def test_contrast_without_a_target_contrast_is_undefined(maps):
    prediction, reference = maps(2, BINS, 0), maps(2, BINS, 1)
    for metric in (
        contacts.contrast_correlation,
        partial(contacts.insulation_contrast_correlation, window=3),
    ):
        assert np.isnan(metric(prediction, reference, reference)).all()


def test_contrast_refuses_a_reference_of_another_shape(maps):
    with pytest.raises(ValueError, match="reference must be"):
        contacts.contrast_correlation(maps(2, BINS, 0), maps(2, BINS, 1), maps(3, BINS, 2))


def test_genome_disco_by_hand():
    # One step from bin 0 goes to bin 1 in the first map and to bin 2 in the second.
    first = np.array([[9.0, 1, 0], [1, 0, 0], [0, 0, 0]])
    second = np.array([[0.0, 0, 1], [0, 5, 0], [1, 0, 0]])
    # Rows: bin 0 differs by 2; bins 1 and 2 each have contacts in one map alone, and differ by 1.
    assert contacts.genome_disco(first, second, steps=1) == pytest.approx(1 - 4 / 2)
    assert contacts.genome_disco(first, 7 * first) == 1.0


def test_genome_disco_of_empty_maps(maps):
    empty, full = np.zeros((1, BINS, BINS)), maps(1, BINS, 0)
    assert contacts.genome_disco(empty, full)[0] == -1.0
    assert np.isnan(contacts.genome_disco(empty, empty))[0]
    assert np.isnan(contacts.genome_disco(np.eye(BINS), np.eye(BINS)))


def test_genome_disco_refuses_negative_contacts(maps):
    with pytest.raises(ValueError, match="target holds negative contacts"):
        contacts.genome_disco(maps(1, BINS, 0), -maps(1, BINS, 1))
    with pytest.raises(ValueError, match="steps"):
        contacts.genome_disco(maps(1, BINS, 0), maps(1, BINS, 1), steps=0)


sparse_maps = arrays(
    np.float64, (2, 9, 9), elements=st.one_of(st.just(0.0), st.floats(0.001, 100.0))
).map(lambda m: m + m.transpose(0, 2, 1))


@given(a=sparse_maps, b=sparse_maps)
@settings(max_examples=60, deadline=None)
def test_scores_stay_in_their_range_whatever_the_maps(a, b):
    for name in ("scc", "scc_smoothed", "genome_disco", "insulation"):
        scores = PAIR_METRICS[name](a, b)
        assert (np.isnan(scores) | (np.abs(scores) <= 1)).all(), name
        np.testing.assert_allclose(scores, PAIR_METRICS[name](b, a), atol=1e-9)
        same = PAIR_METRICS[name](a, a.copy())
        assert (np.isnan(same) | np.isclose(same, 1)).all(), name
    assert (contacts.mse(a, b) >= 0).all()
    assert (contacts.ssim(a, b, data_range=100.0) <= 1 + 1e-12).all()
