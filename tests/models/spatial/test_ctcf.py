"""What distance and CTCF sites explain is found, and nothing else is read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scstlib.models.spatial.ctcf import CTCFAlone
from scstlib.preprocess.windows import Windows
from scstlib.splits import Split, hold_out_chromosomes
from tests.models.spatial.spatial_data import spatial_windows, with_ctcf


def insulated(windows: Windows) -> np.ndarray:
    """Contacts that fall with distance and by half at each site of the + strand between."""
    site = windows.tracks[..., windows.track_names.index("CTCF +")]
    passed = np.cumsum(site, axis=1)
    between = np.abs(passed[:, :, None] - passed[:, None, :])
    bins = np.arange(site.shape[1])
    usable = windows.mask[:, :, None] & windows.mask[:, None, :]
    return 400 / (1 + abs(bins[:, None] - bins)) * 0.5**between * usable


@pytest.fixture(scope="module")
def split() -> Split[Windows]:
    """Targets that CTCF sites insulate; the bulk map knows nothing of them."""
    windows = with_ctcf(spatial_windows()[0])
    targets = np.random.default_rng(0).poisson(insulated(windows))
    targets = np.triu(targets) + np.triu(targets, 1).swapaxes(1, 2)
    return hold_out_chromosomes(replace(windows, targets=targets.astype(np.float32)), "chr4")


@pytest.fixture(scope="module")
def model(split: Split[Windows]) -> CTCFAlone:
    return CTCFAlone(n_pixels=20_000, max_iter=40).fit(split.train)


def test_sites_that_insulate_are_found_on_another_chromosome(model, split) -> None:
    predicted, truth = model.predict(split.test), insulated(split.test)
    distance = np.abs(np.subtract.outer(np.arange(32), np.arange(32)))
    found, true = (
        np.log(maps[:, (distance >= 4) & (distance < 16)] + 1) for maps in (predicted, truth)
    )
    known = (true > 0) & (found > 0)
    assert np.corrcoef(found[known], true[known])[0, 1] > 0.85


def test_of_the_bulk_only_decay_and_depth_are_read_and_of_the_tracks_only_ctcf(
    model, split
) -> None:
    test, expected = split.test, model.predict(split.test)
    rng = np.random.default_rng(1)
    others = np.array(["CTCF" not in name for name in test.track_names])
    tracks = np.where(others, rng.random(test.tracks.shape), test.tracks)
    np.testing.assert_array_equal(model.predict(replace(test, tracks=tracks)), expected)
    turned = test.bulk[:, ::-1, ::-1] * (test.mask[:, :, None] & test.mask[:, None, :])
    level = (turned.sum(axis=(1, 2)) / test.bulk.sum(axis=(1, 2)))[:, None, None]
    other = model.predict(replace(test, bulk=turned))
    np.testing.assert_allclose(other, level * expected, rtol=1e-5)


def test_cell_types_have_one_map_and_each_window_as_many_contacts_as_its_bulk(model, split) -> None:
    predicted, kinds = model.predict(split.test), split.test.table["cell_type"].to_numpy()
    np.testing.assert_array_equal(predicted[kinds == "a"], predicted[kinds == "b"])
    ratio = predicted.sum(axis=(1, 2)) / split.test.bulk.sum(axis=(1, 2))
    assert ((ratio > 0.5) & (ratio < 2)).all()


def test_windows_without_ctcf_are_refused() -> None:
    with pytest.raises(ValueError, match="'CpG'\\], none of CTCF: add one whose name begins"):
        CTCFAlone().fit(spatial_windows()[0])
