"""The organism beside real sets, and how hard its tasks are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter1d

from scstlib.datasets.organism import Organism, realism, simulate_organism


@pytest.fixture(scope="module")
def small() -> Organism:
    return simulate_organism(seed=0, preset="small")


@pytest.mark.slow
def test_every_quantity_is_inside_the_range_of_real_sets(small: Organism) -> None:
    table = realism.realism_table(small, n_chromosomes=2)
    assert list(table.columns) == [
        "quantity",
        "organism",
        "real low",
        "real high",
        "inside",
        "reason",
    ]
    assert len(table) == 9
    outside = table.loc[~table["inside"], "quantity"].tolist()
    assert outside == []
    slope = table.set_index("quantity").loc["distance exponent", "organism"]
    assert -1.3 < slope < -0.8


@pytest.mark.slow
def test_stored_values_are_those_of_the_real_files(mirror_folder: Path) -> None:
    from scstlib.datasets.organism.realism_sets import measure_real_sets

    stored, found = realism.real_values(), measure_real_sets(mirror_folder)
    pd.testing.assert_frame_equal(
        stored.sort_values(["quantity", "set"], ignore_index=True),
        found.sort_values(["quantity", "set"], ignore_index=True),
        rtol=1e-3,
    )


def test_measures_of_counts_have_known_answers() -> None:
    rng = np.random.default_rng(0)
    mean = np.geomspace(0.1, 20.0, 60)
    poisson = rng.poisson(np.repeat(mean[None], 4_000, axis=0))
    assert realism.mean_variance_exponent(poisson) == pytest.approx(1.0, abs=0.05)
    assert realism.overdispersion(poisson) == pytest.approx(0.0, abs=0.02)
    assert realism.zero_fraction(poisson) == pytest.approx(np.exp(-mean).mean(), abs=0.01)
    wide = rng.poisson(mean * rng.gamma(2.0, 0.5, (4_000, 60)))
    assert realism.overdispersion(wide) == pytest.approx(0.5, abs=0.05)
    depth = np.exp(0.7 * rng.standard_normal(4_000))
    assert realism.depth_spread(np.outer(depth, mean)) == pytest.approx(0.7, abs=0.03)


def test_measures_of_maps_have_known_answers() -> None:
    n, size = 300, 100_000
    distance = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    decay = 1e4 * (distance + 1e-9) ** -1.1
    np.fill_diagonal(decay, 2e4)
    assert realism.distance_exponent(decay, size) == pytest.approx(-1.1, abs=0.01)

    # Blocks at random: were they periodic, the mean of a distance would take up the pattern.
    side = np.repeat(np.random.default_rng(3).permutation([-1.0, 1.0] * 30), 5)
    blocks = decay * np.exp(0.4 * np.outer(side, side))
    strength = realism.compartment_strength(blocks, size)
    assert strength == pytest.approx(np.exp(0.8), rel=0.08)

    v = np.random.default_rng(0).uniform(0.5, 2.0, n)
    v[40] = 0.0
    balanced = realism.balance(blocks * np.outer(v, v))
    assert np.isnan(balanced[40]).all()
    # The bias is gone: the same map without it, but for the lost bin, is balanced to the same.
    seen = (v > 0).astype(float)
    np.testing.assert_allclose(
        balanced / np.nanmean(balanced),
        (bare := realism.balance(blocks * np.outer(seen, seen))) / np.nanmean(bare),
        rtol=1e-3,
    )

    assert realism.insulation_spread(decay, size) == pytest.approx(0.0, abs=1e-9)
    domain = np.arange(n) // 20
    bordered = decay * np.where(domain[:, None] == domain[None, :], 1.0, 0.4)
    assert realism.insulation_spread(bordered, size) > 0.2

    noise = np.random.default_rng(1).normal(size=(2, n, n))
    a, b = noise + np.swapaxes(noise, 1, 2)
    assert realism.stratum_correlation(a, 3.0 * a + 1.0, size) == pytest.approx(1.0)
    assert realism.stratum_correlation(a, b, size) == pytest.approx(0.0, abs=0.05)
    np.testing.assert_array_equal(realism.coarsen(np.ones((7, 7)), 2), np.full((3, 3), 4.0))


def test_bins_that_do_not_make_up_those_of_the_real_maps_are_refused() -> None:
    with pytest.raises(ValueError, match="bin_size=50_000"):
        realism.realism_table(simulate_organism(preset="tiny", bin_size=30_000))


@pytest.mark.slow
def test_interpolating_means_is_a_decent_baseline_that_can_be_beaten(small: Organism) -> None:
    times = small.times
    truth = np.array([np.log1p(small.mean_expression(t).to_numpy()) for t in times])

    def distance(k: int, guess: np.ndarray) -> float:
        return float(np.linalg.norm(guess - truth[k]))

    for k in (4, 6, 8):
        line = distance(k, (truth[k - 1] + truth[k + 1]) / 2)
        copied = min(distance(k, truth[k - 1]), distance(k, truth[k + 1]))
        assert 0.05 * copied < line < 0.6 * copied
    # The mean goes on changing at the last times: repeating the one before them is a real error.
    assert distance(11, truth[9]) > 0.1 * distance(11, truth[0])


@pytest.mark.slow
def test_counts_tell_late_fates_apart(small: Organism) -> None:
    from sklearn.linear_model import LogisticRegression

    adata = small.sample(96.0, 600)
    adata = adata[adata.obs["fate"] != "uncommitted"]
    x = adata.X.toarray()
    x = np.log1p(1e4 * x / np.maximum(x.sum(axis=1, keepdims=True), 1))
    y = adata.obs["fate"].to_numpy()
    half = len(y) // 2
    model = LogisticRegression(C=0.01, max_iter=500).fit(x[:half], y[:half])
    assert model.score(x[half:], y[half:]) > 0.95


def _insulation(contacts: np.ndarray, width: int = 10) -> np.ndarray:
    out = np.full(len(contacts), np.nan)
    for i in range(width, len(contacts) - width):
        out[i] = np.log2(contacts[i - width + 1 : i + 1, i : i + width].mean())
    return out


@pytest.mark.slow
def test_expression_informs_on_cell_types_but_does_not_suffice(small: Organism) -> None:
    from sklearn.linear_model import Ridge

    types, features, targets, chroms = small.cell_types, [], [], []
    tracks = {t: small.tracks(t) for t in types}
    for k, chrom in enumerate(small.chromosomes):
        here = (tracks["stem"]["chrom"] == chrom).to_numpy()
        score = np.array([_insulation(small.expected_contacts(chrom, t)) for t in types])
        columns = ["expression_forward", "expression_reverse"]
        level = np.array([np.log1p(tracks[t].loc[here, columns].sum(axis=1)) for t in types])
        border = score.mean(axis=0) - np.nanmean(score)
        for own, truth in zip(level - level.mean(0), score - score.mean(0), strict=True):
            smooth = [gaussian_filter1d(own, width) for width in (0.5, 1.0, 3.0, 6.0)]
            features.append(np.array([*smooth, *(s * border for s in smooth)]).T)
            targets.append(truth)
            chroms.append(np.full(len(truth), k))
    x, y, chrom = (np.concatenate(v) for v in (features, targets, chroms))
    use = np.isfinite(y) & np.isfinite(x).all(axis=1)
    x, y, chrom = x[use], y[use], chrom[use]
    train = chrom < 9
    scale = x[train].std(axis=0)
    model = Ridge(1.0).fit(x[train] / scale, y[train])
    found = np.corrcoef(model.predict(x[~train] / scale), y[~train])[0, 1]
    assert 0.4 < found < 0.8
    # Expression of the wrong cell type says nothing, as it must.
    shifted = np.roll(np.arange(len(types)), 3)
    swapped = np.concatenate([features[8 * k + j] for k in range(13) for j in shifted])[use]
    wrong = np.corrcoef(model.predict(swapped[~train] / scale), y[~train])[0, 1]
    assert wrong < 0.25
