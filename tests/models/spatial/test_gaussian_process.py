"""The projected process is the exact one where it can be, and says how far it is off."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scstlib.models.spatial import gaussian_process
from scstlib.models.spatial.baselines import BulkSmoothed
from scstlib.models.spatial.gaussian_process import ContactGaussianProcess
from scstlib.models.spatial.pixels import sample_pixels
from scstlib.preprocess.windows import Windows
from scstlib.splits import Split, hold_out_chromosomes
from tests.models.spatial.spatial_data import spatial_windows


@pytest.fixture(scope="module")
def parts() -> tuple[Split[Windows], np.ndarray]:
    counts, true = spatial_windows()
    truth = hold_out_chromosomes(true, "chr4").test.targets
    assert truth is not None
    return hold_out_chromosomes(counts, "chr4"), truth


@pytest.fixture(scope="module")
def model(parts) -> ContactGaussianProcess:
    return ContactGaussianProcess(n_pixels=6_000, n_inducing=150).fit(parts[0].train)


def test_with_all_pixels_as_inducing_ones_it_is_scikit_learns_exact_process(parts) -> None:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel

    train = parts[0].train
    model = ContactGaussianProcess(n_pixels=300, n_inducing=10**6).fit(train)
    pixels = sample_pixels(train, model.smoothing_, 300, 0, 0.0)
    x = (pixels.features - model.mean_) / model.scale_
    kernel = ConstantKernel(model.variance_) * RBF(model.length_scale_)
    noise = 1 / pixels.weight + model.nugget_
    exact = GaussianProcessRegressor(kernel, alpha=noise, optimizer=None).fit(x, pixels.ratio - 1)
    new = sample_pixels(train, model.smoothing_, 200, 1, 0.0).features
    mean, deviation = exact.predict((new - model.mean_) / model.scale_, return_std=True)
    np.testing.assert_allclose(model._factor(new), 1 + mean, atol=2e-3)
    found = model._variance((new - model.mean_) / model.scale_)
    np.testing.assert_allclose(np.sqrt(found), deviation, atol=2e-3)


def test_errors_are_as_large_as_it_says(model, parts) -> None:
    split, truth = parts
    predicted, deviation = model.predict(split.test), model.predict_std(split.test)
    truth = truth * predicted.sum() / truth.sum()
    usable = deviation > 0
    off = np.abs(predicted - truth)[usable] / deviation[usable]
    assert 0.7 < np.sqrt(np.mean(off**2)) < 1.4
    assert 0.75 < (off < 1.645).mean() < 0.98
    assert (usable == (split.test.mask[:, :, None] & split.test.mask[:, None, :])).all()
    np.testing.assert_array_equal(deviation, deviation.swapaxes(1, 2))
    np.testing.assert_allclose(model.predict_std(split.test, depth=2.0), 2 * deviation, rtol=1e-5)


def test_far_from_all_training_pixels_it_is_the_smoothed_bulk_and_as_unsure_as_before(
    model, parts
) -> None:
    split = parts[0]
    strange = replace(split.test, tracks=split.test.tracks + 1e12)
    smoothed = BulkSmoothed().fit(split.train).predict(split.test)
    np.testing.assert_allclose(model.predict(strange), smoothed, rtol=1e-5)
    usable = smoothed > 0
    least = np.sqrt(model.variance_) * smoothed[usable]
    assert (model.predict_std(strange)[usable] > 0.999 * least).all()
    assert model.predict_std(strange)[usable].sum() > 2 * model.predict_std(split.test).sum()


def test_what_no_feature_tells_is_found_at_each_distance(parts) -> None:
    """Contacts that vary by a factor of variance 0.04, and only beyond five bins."""
    train, rng = parts[0].train, np.random.default_rng(0)
    distance = np.abs(np.subtract.outer(np.arange(32), np.arange(32)))
    shape = 1 / 0.04
    factor = np.where(distance > 5, rng.gamma(shape, 1 / shape, train.bulk.shape), 1)
    smooth = 40 * BulkSmoothed().fit(train).predict(train)
    counts = np.triu(rng.poisson(smooth * factor)).astype(np.float32)
    targets = counts + np.triu(counts, 1).swapaxes(1, 2)
    model = ContactGaussianProcess(8_000, 100).fit(replace(train, targets=targets))
    assert (model.unexplained_[:4] < 0.01).all()
    assert np.mean(model.unexplained_[8:24]) == pytest.approx(0.04, rel=0.25)


def test_pixels_are_read_in_parts(model, parts, monkeypatch) -> None:
    expected = model.predict_std(parts[0].test)
    monkeypatch.setattr(gaussian_process, "AT_ONCE", 100)
    np.testing.assert_allclose(model.predict_std(parts[0].test), expected, rtol=1e-4)
