from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scstlib.analysis.chromosome_maps import apply_weights
from scstlib.analysis.compartment_changes import (
    compartment_profile,
    compartment_score,
    compartment_switches,
)
from scstlib.datasets import simulate_organism
from scstlib.preprocess.contacts import downsample

BINS, SIZE = 60, 50_000
SIGNS = np.where((np.arange(BINS) // 6) % 2 == 0, 1.0, -1.0)


def plaid(pattern: np.ndarray, drift: float = 0.0) -> np.ndarray:
    """A map of compartments with power-law decay; ``drift`` is a slow pattern along it."""
    slow = np.linspace(-1, 1, len(pattern))
    apart = np.abs(np.subtract.outer(np.arange(len(pattern)), np.arange(len(pattern))))
    return (
        1000 / (1 + apart) * (1 + 0.1 * np.outer(pattern, pattern) + drift * np.outer(slow, slow))
    )


def profile(score: list[float], error: float = np.nan) -> pd.DataFrame:
    start = np.arange(len(score)) * SIZE
    return pd.DataFrame(
        {"chrom": "chr1", "start": start, "end": start + SIZE, "score": score, "error": error}
    )


def test_the_sign_is_that_of_the_track():
    for sign in (1.0, -1.0):
        score = compartment_score(plaid(SIGNS), sign * SIGNS)
        assert (np.sign(score) == sign * SIGNS).all()


def test_compartments_that_are_the_second_eigenvector_are_found():
    contacts = plaid(SIGNS, drift=0.85)
    first = compartment_score(contacts, SIGNS, n_eigenvectors=1)
    found = compartment_score(contacts, SIGNS)
    assert abs(np.corrcoef(first, SIGNS)[0, 1]) < 0.5
    assert np.corrcoef(found, SIGNS)[0, 1] > 0.8


def test_a_score_is_the_same_each_time():
    rng = np.random.default_rng(0)
    noisy = plaid(SIGNS, drift=0.5) * rng.uniform(0.5, 1.5, (BINS, BINS))
    for contacts in (plaid(SIGNS, drift=0.85), noisy + noisy.T):
        for n in (1, 3):
            scores = {
                compartment_score(contacts, SIGNS, n_eigenvectors=n).tobytes() for _ in range(5)
            }
            assert len(scores) == 1


@pytest.mark.parametrize("value", [0.0, 2.0])
def test_an_empty_or_flat_map_has_no_score(value):
    assert np.isnan(compartment_score(np.full((BINS, BINS), value), SIGNS)).all()


@pytest.mark.parametrize("track", [np.ones(BINS), np.ones(BINS - 1), np.full(BINS, np.nan)])
def test_a_track_that_tells_nothing_is_refused(track):
    with pytest.raises(ValueError, match="track"):
        compartment_score(plaid(SIGNS), track)


def test_switched_blocks_are_found_and_named():
    other = SIGNS.copy()
    other[12:18] *= -1  # A to B
    other[30:36] *= -1  # B to A
    before, after = (
        compartment_profile({"chr1": plaid(s)}, {"chr1": SIGNS}, bin_size=SIZE)
        for s in (SIGNS, other)
    )
    found = compartment_switches(before, after)
    assert found["start"].tolist() == [12 * SIZE, 30 * SIZE]
    assert found["end"].tolist() == [18 * SIZE, 36 * SIZE]
    assert found["from"].tolist() == ["A", "B"]
    assert found["to"].tolist() == ["B", "A"]
    assert (np.sign(found["change"]) == [-1, 1]).all()
    back = compartment_switches(after, before)
    np.testing.assert_allclose(back["change"], -found["change"])
    assert compartment_switches(before, before).empty


def test_a_switch_must_be_larger_than_its_error():
    before, after = profile([1.0, 0.1, -1.0, -1.0], 0.1), profile([-1.0, -0.1, 1.0, -1.0], 0.1)
    found = compartment_switches(before, after)
    assert found[["start", "end", "bins"]].to_numpy().tolist() == [
        [0, SIZE, 1], [2 * SIZE, 3 * SIZE, 1]
    ]  # fmt: skip
    assert found["error"].iloc[0] == pytest.approx(np.hypot(0.1, 0.1))
    assert len(compartment_switches(before, after, min_change=3.0)) == 0
    assert compartment_switches(before, after, errors=0.1)["bins"].tolist() == [2, 1]


def test_chromosomes_do_not_run_into_each_other():
    two = [pd.concat([p, p.assign(chrom="chr2")], ignore_index=True)
           for p in (profile([1.0, 1.0]), profile([-1.0, -1.0]))]  # fmt: skip
    assert compartment_switches(*two)[["chrom", "bins"]].to_numpy().tolist() == [
        ["chr1", 2], ["chr2", 2]
    ]  # fmt: skip


def test_profiles_of_other_bins_are_refused():
    with pytest.raises(ValueError, match="same chromosomes"):
        compartment_switches(profile([1.0]), profile([1.0, 1.0]))


def test_empty_bins_have_no_score_and_replicates_an_error():
    contacts = plaid(SIGNS)
    contacts[5], contacts[:, 5] = 0, 0
    table = compartment_profile({"chr1": contacts}, {"chr1": SIGNS}, bin_size=SIZE)
    assert np.flatnonzero(table["score"].isna()).tolist() == [5]
    assert table["error"].isna().all()
    stack = np.stack([contacts, contacts])
    same = compartment_profile({"chr1": stack}, {"chr1": SIGNS}, bin_size=SIZE)
    np.testing.assert_allclose(same["error"], 0, atol=1e-12)


@pytest.fixture(scope="module")
def organism():
    return simulate_organism(seed=20, preset="small", n_chromosomes=1, n_reference=800)


def halves(counts: np.ndarray, seed: int) -> np.ndarray:
    half = downsample(counts, fraction=0.5, seed=seed)
    return np.stack([half, counts - half])


def test_the_organism_switches_where_its_truth_does(organism):
    """Called from 2,000 cells each: mostly right, and hardly anything between equal cell types."""
    chrom = organism.chromosomes[0]
    track = {chrom: organism.tracks("stem")["cpg"].to_numpy()}

    visibility = organism.genome.chromosomes[0].visibility
    weights = np.divide(1, visibility, out=np.full(len(visibility), np.nan), where=visibility > 0)

    def of(kind: str, seed: int) -> pd.DataFrame:
        drawn = organism.sample_contacts(kind, n_cells=2000, seed=seed)[chrom].astype(float)
        maps = {chrom: apply_weights(halves(drawn, seed), weights)}
        return compartment_profile(maps, track, bin_size=SIZE)

    stem, again, beta = of("stem", 0), of("stem", 1), of("beta_mature", 0)
    truth = [
        compartment_profile({chrom: organism.expected_contacts(chrom, kind)}, track, bin_size=SIZE)[
            "score"
        ].to_numpy()
        for kind in ("stem", "beta_mature")
    ]
    called = compartment_switches(stem, beta)
    spans = zip(called["start"], called["end"], strict=True)
    bins = np.concatenate([np.arange(start, end, SIZE) // SIZE for start, end in spans])
    switched = truth[0] * truth[1] < 0
    assert switched[bins].mean() > 0.8
    assert len(bins) > 0.3 * switched.sum() > 0
    assert compartment_switches(stem, again)["bins"].sum() < 0.1 * len(bins)


def test_an_empty_chromosome_with_replicates_has_no_score_and_no_error():
    table = compartment_profile({"chr1": np.zeros((2, BINS, BINS))}, {"chr1": SIGNS}, bin_size=SIZE)
    assert table[["score", "error"]].isna().all(axis=None)
