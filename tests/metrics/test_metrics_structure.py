"""Insulation and compartments against cooltools on the same maps."""

import cooler
import cooltools
import numpy as np
import pandas as pd
import pytest
from cooltools.api.eigdecomp import cis_eig

from scstlib.metrics.compartments import cis_eigenvectors
from scstlib.metrics.contacts import (
    compartment_correlation,
    compartment_eigenvector,
    insulation_correlation,
    insulation_score,
)

BINS, BIN_SIZE = 60, 10_000
BAD = [0, 17, 18, 44]


@pytest.fixture(scope="module")
def balanced(tmp_path_factory):
    """A balanced cooler with bad bins and empty pixels, and its dense map."""
    rng = np.random.default_rng(5)
    distance = np.abs(np.subtract.outer(np.arange(BINS), np.arange(BINS)))
    compartment = np.sign(np.sin(np.arange(BINS) / 4))
    level = 300 / (1 + distance) * np.exp(0.6 * np.outer(compartment, compartment))
    counts = np.triu(rng.poisson(level))
    weight = rng.uniform(0.5, 1.5, BINS)
    weight[BAD] = np.nan
    bins = pd.DataFrame(
        {
            "chrom": "chr1",
            "start": np.arange(BINS) * BIN_SIZE,
            "end": np.arange(1, BINS + 1) * BIN_SIZE,
            "weight": weight,
        }
    )
    rows, columns = np.nonzero(counts)
    pixels = pd.DataFrame({"bin1_id": rows, "bin2_id": columns, "count": counts[rows, columns]})
    path = str(tmp_path_factory.mktemp("cool") / "map.cool")
    cooler.create_cooler(path, bins, pixels)
    clr = cooler.Cooler(path)
    return clr, clr.matrix(balance=True)[:]


@pytest.mark.parametrize("window", [2, 5, 12])
@pytest.mark.parametrize("ignore_diags", [0, 2])
def test_insulation_equals_cooltools(balanced, window, ignore_diags):
    clr, contact_map = balanced
    table = cooltools.insulation(clr, [window * BIN_SIZE], ignore_diags=ignore_diags)
    expected = table[f"log2_insulation_score_{window * BIN_SIZE}"].to_numpy()
    score = insulation_score(contact_map, window=window, ignore_diags=ignore_diags)
    np.testing.assert_allclose(score, expected, rtol=1e-10, atol=1e-12)
    assert np.isnan(contact_map[BAD]).all()


def test_insulation_by_hand():
    contact_map = np.array([[9.0, 1, 2, 0], [1, 9, 4, 8], [2, 4, 9, 1], [0, 8, 1, 9]])
    # Squares of side 2 without the diagonal: {1}, {1, 2, 4}, {4, 8, 1}, {1}; the median is 5/3.
    mean = np.array([1, 7 / 3, 13 / 3, 1])
    expected = np.log2(mean / np.median(mean))
    score = insulation_score(contact_map, window=2, ignore_diags=1)
    np.testing.assert_allclose(score, expected, rtol=1e-12)


def test_bins_without_contacts_have_no_insulation(maps):
    contact_map = maps(1, 20, 0)[0].copy()
    contact_map[:8, 8:] = 0
    contact_map[8:, :8] = 0
    contact_map[6:8, 6:8] = 0
    score = insulation_score(contact_map, window=2, ignore_diags=1)
    assert np.isnan(score[7])
    assert np.isfinite(score[10:]).all()
    assert np.isnan(insulation_score(np.zeros((2, 20, 20)), window=3)).all()


def test_insulation_is_read_from_the_upper_triangle(maps):
    contact_map = maps(1, 20, 0)
    np.testing.assert_array_equal(
        insulation_score(np.triu(contact_map), window=4), insulation_score(contact_map, window=4)
    )


def test_insulation_correlation_leaves_bins_without_score_out(maps):
    a, b = maps(1, 30, 0).copy(), maps(1, 30, 1)
    a[:, :10] = np.nan
    a[:, :, :10] = np.nan
    scores = [insulation_score(m, window=4)[0] for m in (a, b)]
    keep = np.isfinite(scores[0]) & np.isfinite(scores[1])
    expected = np.corrcoef(scores[0][keep], scores[1][keep])[0, 1]
    assert 0 < keep.sum() < 30
    assert insulation_correlation(a, b, window=4)[0] == pytest.approx(expected)


@pytest.mark.parametrize("change", [{"window": 0}, {"ignore_diags": -1}, {"ignore_diags": 9}])
def test_insulation_refuses_arguments_out_of_range(maps, change):
    with pytest.raises(ValueError, match=next(iter(change))):
        insulation_score(maps(1, 20, 0), **({"window": 4} | change))


@pytest.mark.slow
# cooltools groups the track by chromosome with a default that pandas is about to change.
@pytest.mark.filterwarnings("ignore:The default of observed=False:FutureWarning")
def test_compartments_equal_cooltools(balanced):
    clr, contact_map = balanced
    track = clr.bins()[:][["chrom", "start", "end"]].assign(gc=np.sin(np.arange(BINS) / 4))
    _, table = cooltools.eigs_cis(clr, track, n_eigs=1, ignore_diags=2)
    ours = compartment_eigenvector(contact_map, track["gc"])
    np.testing.assert_allclose(ours, table["E1"], rtol=1e-6, atol=1e-8)
    assert ours.tobytes() == compartment_eigenvector(contact_map, track["gc"]).tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("ignore_diags", [0, 1, 2, 5])
def test_eigenvectors_equal_cooltools(maps, ignore_diags):
    contacts = maps(1, 40, 3)[0]
    contacts = contacts + contacts.T
    contacts[7], contacts[:, 7] = np.nan, np.nan
    track = np.cos(np.arange(40.0))
    track[11] = np.nan
    ours = cis_eigenvectors(contacts, 3, track, ignore_diags=ignore_diags)
    theirs = cis_eig(
        contacts, 3, phasing_track=track, ignore_diags=ignore_diags, clip_percentile=99.9
    )
    for mine, expected in zip(ours, theirs, strict=False):
        np.testing.assert_allclose(mine, expected, rtol=1e-9, atol=1e-11)
    assert (ours[2] > 0).all()


def test_a_map_has_no_more_eigenvectors_than_bins():
    noise = np.random.default_rng(0).uniform(1, 2, (6, 6))
    found = cis_eigenvectors(noise + noise.T, 8, np.arange(6.0), ignore_diags=0)
    for part in found:
        assert np.isfinite(part[:6]).all()
        assert np.isnan(part[6:]).all()


def test_eigenvectors_of_a_map_that_is_not_symmetric_are_refused():
    with pytest.raises(ValueError, match="not symmetric"):
        cis_eigenvectors(np.arange(36.0).reshape(6, 6), 1, np.arange(6.0))


def test_eigenvectors_of_a_map_with_infinite_pixels_are_refused():
    contacts = np.ones((6, 6))
    contacts[2, 3] = contacts[3, 2] = np.inf
    with pytest.raises(ValueError, match="the map holds 2 infinite pixels"):
        cis_eigenvectors(contacts, 1, np.arange(6.0))


@pytest.mark.slow
def test_compartments_follow_the_phasing_track(balanced):
    _, contact_map = balanced
    track = np.sin(np.arange(BINS) / 4)
    vectors = compartment_eigenvector(np.stack([contact_map] * 2), np.stack([track, -track]))
    assert vectors.shape == (2, BINS)
    assert np.isnan(vectors[:, BAD]).all()
    np.testing.assert_allclose(vectors[0], -vectors[1], rtol=1e-6, atol=1e-9)
    valid = np.isfinite(vectors[0])
    assert np.corrcoef(vectors[0][valid], np.sign(track[valid]))[0, 1] > 0.8
    score = compartment_correlation(contact_map, contact_map * 3, track)
    assert score == pytest.approx(1, abs=1e-6)


def test_compartments_refuse_a_track_of_other_length(balanced):
    with pytest.raises(ValueError, match="phasing_track"):
        compartment_eigenvector(balanced[1], np.zeros(BINS + 1))
