"""Standard deviations of an ensemble of spatial models: right size on chromosomes not seen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scstlib.models.spatial.ensemble import ContactEnsemble
from scstlib.preprocess.windows import Windows


def truth_of(bins: int = 24) -> np.ndarray:
    distance = np.abs(np.subtract.outer(np.arange(bins), np.arange(bins)))
    return 400.0 / (1 + distance)


def windows_of(chrom: str, n: int = 30, seed: int = 0) -> Windows:
    rng = np.random.default_rng(seed)
    truth = truth_of()
    upper = np.triu(rng.poisson(truth, (n, *truth.shape)))
    counts = (upper + np.swapaxes(np.triu(upper, 1), 1, 2)).astype(np.float32)
    bins = len(truth)
    start = np.arange(n) * bins * 1000
    table = pd.DataFrame({"chrom": chrom, "start": start, "end": start + bins * 1000})
    table["cell_type"] = "a"
    tracks = np.full((n, bins, 1), seed, dtype=np.float32)
    return Windows(counts, tracks, counts, table, 1000, np.ones((n, bins), dtype=bool), ("x",))


class Wrong:
    """The truth times an error that all members share and one of its own."""

    def __init__(self, number: int) -> None:
        self.number = number

    def fit(self, windows: Windows) -> Wrong:
        return self

    def predict(self, windows: Windows, depth: float = 1.0) -> np.ndarray:
        place = int(windows.tracks[0, 0, 0])
        out = []
        for seed in ([9, place], [self.number, place]):
            noise = np.random.default_rng(seed).standard_normal(windows.bulk.shape)
            out.append((noise + np.swapaxes(noise, 1, 2)) / 2**0.5)
        return (depth * truth_of() * np.exp(0.2 * out[0] + 0.1 * out[1])).astype(np.float32)


@pytest.fixture(scope="module")
def ensemble() -> ContactEnsemble:
    return ContactEnsemble(Wrong, 5).fit(windows_of("chr1"), windows_of("chr2", seed=1))


def test_intervals_cover_the_truth_as_often_as_they_say(ensemble):
    test = windows_of("chr3", seed=2)
    mean, std = ensemble.predict(test), ensemble.predict_std(test)
    off = np.abs(mean - truth_of()) / std
    upper = np.triu_indices(24, 1)
    assert np.mean(off[:, *upper] < 1.96) == pytest.approx(0.95, abs=0.05)
    # As the members spread, before calibration, they hold the truth far less often.
    raw = std / ensemble.factor_[np.abs(np.subtract.outer(np.arange(24), np.arange(24)))]
    assert np.mean((np.abs(mean - truth_of()) / raw)[:, *upper] < 1.96) < 0.75


def test_depth_scales_both(ensemble):
    test = windows_of("chr3", seed=2)
    assert np.allclose(ensemble.predict(test, 3.0), 3 * ensemble.predict(test), rtol=1e-5)
    assert np.allclose(ensemble.predict_std(test, 3.0), 3 * ensemble.predict_std(test), rtol=1e-4)


def test_what_it_refuses():
    with pytest.raises(ValueError, match="at least 2"):
        ContactEnsemble(Wrong, 1)
    with pytest.raises(ValueError, match="not fitted"):
        ContactEnsemble(Wrong, 2).predict(windows_of("chr1"))
    with pytest.raises(ValueError, match="training chromosomes"):
        ContactEnsemble(Wrong, 2).fit(windows_of("chr1"), windows_of("chr1", seed=1))
