"""Standard deviations of an ensemble of spatial models: right size on chromosomes not seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from scstlib.leakage import LeakageError, check_evaluation, record_fit
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


class Tilted:
    """The truth times a factor of each pixel, the same in all windows."""

    def __init__(self, log_factor: np.ndarray) -> None:
        self.factor = np.exp(log_factor)

    def fit(self, windows: Windows) -> Tilted:
        record_fit(self, windows)
        return self

    def predict(self, windows: Windows, depth: float = 1.0) -> np.ndarray:
        maps = np.broadcast_to(depth * truth_of() * self.factor, windows.bulk.shape)
        return maps.astype(np.float32)


def errors(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal((24, 24))
    return (noise + noise.T) / 2**0.5


@pytest.fixture(scope="module")
def stacked() -> ContactEnsemble:
    """Two members whose errors are opposite, and one of large errors."""
    logs = (0.2 * errors(0), -0.2 * errors(0), 0.6 * errors(1))
    members = [lambda _, log=log: Tilted(log) for log in logs]
    return ContactEnsemble(members, stack=True).fit(windows_of("chr1"), windows_of("chr2", seed=1))


def test_weights_let_errors_cancel(stacked):
    assert stacked.weights_ == pytest.approx([0.5, 0.5, 0.0], abs=0.05)
    test = windows_of("chr3", seed=2)
    assert stacked.predict(test) == pytest.approx(
        np.tensordot(stacked.weights_, [m.predict(test) for m in stacked.members_], 1), rel=1e-5
    )


def test_the_guard_shows_that_weights_saw_only_training_and_validation(stacked):
    check_evaluation(stacked, windows_of("chr3", seed=2))
    for seen in (windows_of("chr1"), windows_of("chr2", seed=1)):
        with pytest.raises(LeakageError, match="chromosome"):
            check_evaluation(stacked, seen)
    # A member has not seen the validation windows: what weighs it is no memory.
    check_evaluation(stacked.members_, windows_of("chr2", seed=1))


def row_sums(maps: np.ndarray, windows: Windows) -> np.ndarray:
    """A summary of each bin."""
    return np.log(np.nanmean(maps, axis=2))


@pytest.mark.parametrize("summary", [None, row_sums])
def test_intervals_of_any_summary_hold_the_truth_as_often_as_they_say(ensemble, summary):
    test = windows_of("chr3", seed=2)
    truth = np.broadcast_to(truth_of(), test.bulk.shape)
    truth = truth if summary is None else summary(truth, test)
    found = ensemble.interval(test, summary, level=0.8)
    assert found.mean.shape == truth.shape
    held = np.mean((found.lower <= truth) & (truth <= found.upper))
    assert held == pytest.approx(0.8, abs=0.06)


def test_chromosomes_are_drawn_anew():
    seen = []

    class Watching(Tilted):
        def fit(self, windows: Windows) -> Watching:
            seen.append(sorted(windows.table["chrom"]))
            return self

    train = windows_of("chr1", 4), windows_of("chr5", 4, seed=3)
    table = pd.concat([each.table for each in train], ignore_index=True)
    arrays = {
        name: np.concatenate([getattr(each, name) for each in train])
        for name in ("bulk", "tracks", "targets", "mask")
    }
    both = Windows(**arrays, table=table, bin_size=1000, track_names=("x",))
    new = ContactEnsemble(lambda n: Watching(0.1 * errors(n)), 8, resample=True)
    new.fit(both, windows_of("chr2", seed=1))
    assert {len(each) for each in seen} == {8}
    assert {tuple(dict.fromkeys(each)) for each in seen} > {("chr1", "chr5")}
    with pytest.raises(ValueError, match="there is one, chr1"):
        new.fit(windows_of("chr1"), windows_of("chr2", seed=1))


def test_what_interval_refuses(ensemble):
    test = windows_of("chr3", seed=2)
    with pytest.raises(ValueError, match="level"):
        ensemble.interval(test, level=0.0)
    with pytest.raises(ValueError, match="one row a window"):
        ensemble.interval(test, lambda maps, windows: maps.sum())


def of_types(windows: Windows, *kinds: str, bulk: str = "a") -> Windows:
    """Windows of cell types in turn, all beside a bulk map of one of them."""
    table = windows.table.assign(bulk_cell_types=[(bulk,)] * len(windows))
    table["cell_type"] = np.resize(kinds, len(windows))
    return replace(windows, table=table)


class KnownTypes:
    """Twice the truth, for windows of types that it was not fitted on; else the truth."""

    def __init__(self, number: int) -> None:
        self.number = number

    def fit(self, windows: Windows) -> KnownTypes:
        self.kinds = set(windows.table["cell_type"])
        return self

    def predict(self, windows: Windows, depth: float = 1.0) -> np.ndarray:
        known = windows.table["cell_type"].isin(self.kinds).to_numpy()
        factor = np.where(known, 1, 1.5 + 0.1 * self.number)[:, None, None]
        near = np.abs(np.subtract.outer(np.arange(24), np.arange(24))) < 5
        return (depth * truth_of() * np.where(near, factor, 1)).astype(np.float32)


def test_types_are_left_out_in_turn_but_for_that_of_the_bulk():
    train, other = (of_types(windows_of(f"chr{i}", seed=i), "a", "b", "c") for i in (1, 2))
    usual = ContactEnsemble(KnownTypes, 2).fit(train, other)
    ensemble = ContactEnsemble(KnownTypes, 2, leave_types_out=True).fit(train, other)
    assert [m.kinds for m in ensemble.members_] == [{"a", "b", "c"}] * 2
    assert set(ensemble.validation_.windows.table["cell_type"]) == {"b", "c"}
    assert np.allclose(ensemble.validation_.predictions[0, :, 0, 0], 1.5 * 400)
    assert ensemble.error_[1] > 5 * usual.error_[1]
    with pytest.raises(ValueError, match=r"two training types, not \['b'\]"):
        ensemble.fit(of_types(train, "b"), other)
