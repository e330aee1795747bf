from __future__ import annotations

import logging
import warnings

import numpy as np
import pandas as pd
import pytest

from scstlib.analysis.boundaries import (
    boundary_changes,
    boundary_profile,
    boundary_strength,
    call_boundaries,
    strength_threshold,
)
from scstlib.datasets import simulate_organism
from scstlib.datasets.organism.writing import map_pixels

SIZE = 50_000


def domains(borders: dict[int, float], bins: int = 80) -> np.ndarray:
    """A map whose contacts across each border fall by exp(-strength)."""
    steps = np.zeros(bins)
    for place, strength in borders.items():
        steps[place] = strength
    level = np.cumsum(steps)
    apart = np.abs(np.subtract.outer(np.arange(bins), np.arange(bins)))
    # The two bins beside a border have the same square; a ripple decides between them.
    ripple = 1 + 1e-3 * np.add.outer(np.sin(np.arange(bins)), np.sin(np.arange(bins)))
    return ripple * 1000 / (1 + apart) * np.exp(-np.abs(np.subtract.outer(level, level)))


def profile_of(borders: dict[int, float]) -> pd.DataFrame:
    return boundary_profile({"chr1": domains(borders)}, bin_size=SIZE, window=5 * SIZE)


def test_prominence_by_hand():
    score = np.array([0.0, -1.0, 0.5, -2.0, -1.5, -3.0, 0.0])
    # Nothing is lower to the left of -1, so that the rise to its right counts: up to 0.5. From -2
    # the score rises to -1.5 before it falls to -3; -3 is the lowest, and 0.5 the highest.
    np.testing.assert_allclose(
        boundary_strength(score), [np.nan, 1.5, np.nan, 0.5, np.nan, 3.5, np.nan]
    )


def test_planted_boundaries_are_called_where_they_are():
    called = call_boundaries(profile_of({20: 1.0, 40: 1.0, 60: 0.5}), 0.2)
    # Bin i's square joins bins before and behind it: the border is read beside it.
    assert [abs(s // SIZE - b) <= 1 for s, b in zip(called["start"], [20, 40, 60], strict=True)]
    assert called["strength"].iloc[2] < called["strength"].iloc[1]


def test_gained_lost_and_shared():
    before = profile_of({20: 1.0, 40: 1.0, 60: 0.6})
    after = profile_of({20: 1.0, 50: 1.0, 60: 0.5})
    table = boundary_changes(before, after, min_strength=0.3)
    found = dict(zip((table["start"] / SIZE).round(-1).astype(int), table["change"], strict=True))
    assert found == {20: "shared", 40: "lost", 50: "gained", 60: "shared"}
    assert (table.loc[table["change"] == "shared", "shift"] == 0).all()
    swapped = boundary_changes(after, before, min_strength=0.3)
    assert sorted(swapped["change"]) == ["gained", "lost", "shared", "shared"]
    assert swapped["start"].tolist() == table["start"].tolist()


def test_a_minimum_about_the_threshold_is_no_change():
    before, after = profile_of({40: 0.5}), profile_of({40: 0.45})
    at = before["strength"].max() - 1e-6
    assert boundary_changes(before, after, min_strength=at)["change"].tolist() == ["shared"]
    strict = boundary_changes(before, after, min_strength=at, kept_share=1.0)
    assert strict["change"].tolist() == ["lost"]


def test_a_boundary_may_shift_by_the_tolerance():
    before, after = profile_of({40: 1.0}), profile_of({42: 1.0})
    near = boundary_changes(before, after, min_strength=0.3, tolerance=2)
    assert near["change"].tolist() == ["shared"]
    assert near["shift"].tolist() == [2 * SIZE]
    far = boundary_changes(before, after, min_strength=0.3, tolerance=1)
    assert far["change"].tolist() == ["lost", "gained"]


@pytest.mark.parametrize(("settings", "message"), [({"window": 120_000}, "multiple"),
                                                   ({"window": 0}, "multiple")])  # fmt: skip
def test_a_window_of_broken_bins_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        boundary_profile({"chr1": domains({})}, bin_size=SIZE, **settings)


def test_other_bins_and_shares_are_refused():
    with pytest.raises(ValueError, match="same chromosomes"):
        boundary_changes(profile_of({40: 1.0}), profile_of({40: 1.0}).iloc[:-1])
    with pytest.raises(ValueError, match="kept_share"):
        boundary_changes(profile_of({40: 1.0}), profile_of({40: 1.0}), kept_share=0)


def test_the_same_boundaries_as_cooltools(tmp_path):
    import cooler

    organism = simulate_organism(seed=20, preset="tiny", n_bins=200)
    chrom = organism.chromosomes[0]
    counts = organism.sample_contacts("stem", n_cells=500, chroms=[chrom])
    table = organism.tracks()
    bins = table.loc[table["chrom"] == chrom, ["chrom", "start", "end"]].reset_index(drop=True)
    # Weights of 1, and none for empty bins: what is compared is the calling.
    bins["weight"] = np.where(counts[chrom].sum(axis=0) > 0, 1.0, np.nan)
    path = str(tmp_path / "map.cool")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cooler.create_cooler(path, bins, map_pixels(counts), ordered=True, symmetric_upper=True)
        import cooltools

        logging.disable(logging.INFO)
        reference = cooltools.insulation(cooler.Cooler(path), [500_000], ignore_diags=2, nproc=1)
        logging.disable(logging.NOTSET)
    ours = boundary_profile({chrom: counts[chrom]}, bin_size=SIZE, window=500_000)
    # A bin without contacts has no row here; cooltools reads its square from the others.
    known = ours["insulation"].notna().to_numpy()
    np.testing.assert_allclose(
        ours["insulation"][known], reference["log2_insulation_score_500000"][known], atol=1e-9
    )
    np.testing.assert_allclose(ours["strength"], reference["boundary_strength_500000"], atol=1e-9)
    called = call_boundaries(ours)["start"].tolist()
    assert called == reference.loc[reference["is_boundary_500000"], "start"].tolist()
    assert strength_threshold(ours) > 0


def test_rows_are_compared_in_their_order_whatever_their_index():
    before, after = profile_of({20: 1.0, 40: 1.0}), profile_of({20: 1.0, 50: 1.0})
    expected = boundary_changes(before, after, min_strength=0.3)
    shifted = after.set_index(np.arange(len(after))[::-1])
    for one, other in [(before, shifted), (before.set_index(before.index + 7), after)]:
        pd.testing.assert_frame_equal(boundary_changes(one, other, min_strength=0.3), expected)


def test_a_profile_without_a_minimum_has_no_boundary():
    empty = boundary_profile({"chr1": np.zeros((20, 20))}, bin_size=SIZE, window=5 * SIZE)
    assert len(call_boundaries(empty)) == 0
    with pytest.raises(ValueError, match="no minimum"):
        strength_threshold(empty)
