from __future__ import annotations

import itertools
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData

from scstlib.metrics.expression import energy_distance
from scstlib.models import ScNODE, load
from scstlib.models.shares import PULL, Distances, best_shares, shares_of_cells, yielding_pull
from scstlib.models.temporal import CopyNearest, InterpolatedMean
from scstlib.models.temporal.cells import measured_cells
from scstlib.models.temporal.scnode.displacement_clock import DisplacementClock
from scstlib.models.temporal.scnode.latent_cells import near_means
from scstlib.models.temporal.scnode.pool import (
    CLOCKS,
    DISPLACEMENT,
    MEASURED,
    PRIOR,
    better_population,
    more_than_chance,
)
from scstlib.models.temporal.scnode.value_factors import fit_value_factors
from scstlib.models.temporal.scnode.ways import (
    DRIFT,
    SMOOTHED,
    WAYS,
    Between,
    Side,
    coupled_pairs,
    mean_moved,
    stay,
    thinned_and_raised,
)
from scstlib.preprocess.cells import log_values
from tests.conftest import series

SHORT = {"matching_steps": 60, "latent_dim": 3, "drift_hidden": (8, 8), "seed": 1}
TIMES = [0.0, 1.0, 3.0, 4.0, 6.0]


@pytest.fixture(scope="module")
def counts() -> AnnData:
    return series(TIMES, 60, 12, True)


@pytest.fixture(scope="module")
def model(counts: AnnData) -> ScNODE:
    return ScNODE(**SHORT).fit(counts)


def test_the_report_says_where_cells_come_from(model: ScNODE):
    report = model.report()
    shares = report["share"]
    assert shares["noise=True"].index.tolist() == list(WAYS)
    assert shares["noise=True"].sum() == pytest.approx(1, abs=1e-6)
    for space in ("place", "genes"):
        assert sorted(shares[f"expected, {space}"]) == [0.0, 1.0]
    assert report.columns.tolist() == ["share", "without 1", "without 3", "without 4"]
    assert np.isfinite(report.to_numpy()).all()


def test_a_drift_alone_has_no_report(counts: AnnData):
    alone = ScNODE(**SHORT, combine=False).fit(counts)
    with pytest.raises(ValueError, match="the drift alone predicts"):
        alone.report()


def test_two_times_leave_none_out_and_take_the_prior():
    model = ScNODE(**SHORT).fit(series([0.0, 4.0], 60, 12, True))
    assert model.pool_.shares.tolist() == PRIOR.tolist()
    assert model.pool_.expected == SMOOTHED
    assert model.sample([1.0], 20).shape == (20, 12)


def test_drawn_counts_are_counts_and_known_by_their_seed(model: ScNODE):
    one, again, other = (model.sample([2.0, 5.0], 30, seed=s) for s in (0, 0, 1))
    assert (np.rint(one.X) == one.X).all()
    assert (one.X >= 0).all()
    assert (one.X == again.X).all()
    assert (one.X != other.X).any()


def test_a_measured_time_gives_its_measured_cells(model: ScNODE, counts: AnnData):
    found = model.sample([3.0], 60).X
    measured = np.asarray(counts[counts.obs["time"] == 3.0].X)
    assert np.array_equal(np.sort(found, axis=0), np.sort(measured, axis=0))


def test_a_saved_pool_predicts_the_same(model: ScNODE, tmp_path):
    model.save(tmp_path / "model")
    again = load(tmp_path / "model", device="cpu")
    for noise in (True, "depth", False):
        assert (
            again.sample([2.0, 6.5], 25, noise=noise).X
            == model.sample([2.0, 6.5], 25, noise=noise).X
        ).all()
    assert again.report().equals(model.report())


def test_a_pool_that_was_saved_before_the_last_way_gives_it_nothing(model: ScNODE, tmp_path):
    four = np.array([0.4, 0.3, 0.2, 0.1])
    now, model.pool_ = model.pool_, replace(model.pool_, shares=four)
    model.save(tmp_path / "model")
    model.pool_ = now
    again = load(tmp_path / "model", device="cpu")
    assert again.report()["share"]["noise=True"].tolist() == [*four, 0.0]
    assert again.sample([2.0], 25).shape == (25, 12)


@pytest.mark.parametrize("scale", [1.0, 1e3], ids=["hours", "milliseconds"])
@pytest.mark.parametrize("times", [[0, 1, 6, 12, 24, 48], [0, 1, 2, 1000], [0, 990, 1000]], ids=str)
def test_no_spacing_of_times_takes_predictions_out_of_the_data(times: list[float], scale: float):
    cells = series([scale * t for t in times], 40, 12, False)
    model = ScNODE(**SHORT).fit(cells)
    asked = [scale * (a + b) / 2 for a, b in itertools.pairwise(times)]
    low, high = np.asarray(cells.X).min(0), np.asarray(cells.X).max(0)
    margin = high - low
    for noise in (True, False):
        found = model.sample(asked, 30, noise=noise).X
        assert (found >= low - margin).all()
        assert (found <= high + margin).all()


def heavy_tails() -> AnnData:
    cells = series([0.0, 1.0, 2.0, 3.0], 40, 8, False)
    noise = np.random.default_rng(0).standard_t(1.5, cells.shape)
    cells.X = np.exp(np.asarray(cells.X) + np.clip(noise, -8, 8)).astype(np.float32)
    cells.uns["value_kind"] = "intensities"
    return cells


def one_gene_dominates() -> AnnData:
    cells = series([0.0, 1.0, 2.0, 3.0], 40, 12, True)
    x = np.asarray(cells.X)
    x[:, 0] = 5000 + 50 * x[:, 0]
    cells.X = x
    return cells


HARD_CELLS = {
    "heavy tails": heavy_tails,
    "one gene dominates": one_gene_dominates,
    "times that all but coincide": lambda: series([0.0, 1.0, 1.0 + 1e-6, 3.0], 40, 8, False),
    "three cells a time": lambda: series([0.0, 1.0, 2.0, 3.0], 3, 8, False),
    "a thousand cells a time": lambda: series([0.0, 1.0, 2.0], 1000, 8, True),
}


# Between times that all but coincide the drift goes half an interval, and the model says so.
@pytest.mark.filterwarnings("ignore:.*cells predicted at time 1 lie outside the range")
@pytest.mark.parametrize("name", HARD_CELLS)
def test_means_stay_among_the_measured_ones_whatever_the_cells(name: str):
    cells = HARD_CELLS[name]()
    model = ScNODE(**{**SHORT, "latent_dim": 2}).fit(cells)
    measured = cells.to_df().groupby(cells.obs["time"].to_numpy()).mean()
    sd, asked = cells.to_df().std(), [0.4, 1.0 + 5e-7, 2.0]
    for noise in (True, False):
        found = model.sample(asked, 150, noise=noise)
        assert np.isfinite(found.X).all()
        means = found.to_df().groupby(found.obs["time"].to_numpy()).mean()
        assert (means >= measured.min() - sd).all(axis=None)
        assert (means <= measured.max() + sd).all(axis=None)


def test_the_order_of_cells_changes_no_more_than_sampling_does():
    cells = series(TIMES, 100, 8, False)
    order = np.random.default_rng(0).permutation(cells.n_obs)
    one, other = (
        ScNODE(**SHORT).fit(each).sample([2.0], 400).X for each in (cells, cells[order].copy())
    )
    assert one.mean(0) == pytest.approx(other.mean(0), abs=0.3 * float(one.std(0).max()))


def test_predictions_that_leave_the_data_are_said():
    cells = series([0.0, 1.0, 2.0, 3.0], 60, 12, False)
    flown = ScNODE(**SHORT, combine=False, damping=None).fit(cells)
    with pytest.warns(UserWarning, match="time 60") as heard:
        flown.sample([60.0], 50)
    said = [str(w.message) for w in heard]
    assert any("cells predicted at time 60 lie outside the range measured at 3" in s for s in said)
    flown.sample([0.5, 3.0], 50)  # Warnings are errors here.


def test_a_pool_is_near_the_best_simple_method_where_cells_move():
    """They move along a line, so that the mean moved is right, and copied cells are far off."""
    cells = series(TIMES, 120, 12, False)
    held_out = cells.obs["time"] == 3.0
    truth = measured_cells(cells[held_out], "time", min_times=1).values
    training = cells[~held_out].copy()
    scores = {}
    for name, method in {
        "copy": CopyNearest(),
        "mean": InterpolatedMean(),
        "pool": ScNODE(**SHORT),
    }.items():
        predicted = method.fit(training).sample([3.0], 120).X
        scores[name] = energy_distance(predicted, truth)
    assert scores["pool"] <= scores["mean"] + 0.01 * scores["copy"]


def test_poisson_counts_that_are_thinned_or_raised_are_poisson():
    rng = np.random.default_rng(0)
    share, total = np.array([0.6, 0.3, 0.1]), 40.0
    x = rng.poisson(share * total, size=(40_000, 3)).astype(float)
    change = np.log([0.5, 2.0, 1.0])
    rate = share * total * np.exp(change)
    moved = thinned_and_raised(x, np.tile(share, (len(x), 1)), change, rng)
    assert moved.mean(0) == pytest.approx(rate, rel=0.02)
    assert moved.var(0)[[0, 2]] == pytest.approx(rate[[0, 2]], rel=0.05)
    assert (moved[:, 0] <= x[:, 0]).all()
    assert (moved[:, 2] == x[:, 2]).all()


def test_with_growth_cells_that_become_more_are_drawn_more_often():
    """Half of the cells are of a kind that becomes three quarters; none changes its kind."""
    rng = np.random.default_rng(0)
    kinds = [np.repeat([0.0, 20.0], n) for n in ((100, 100), (50, 150))]
    sides = [(k[:, None] + rng.standard_normal((200, 3))).astype(np.float32) for k in kinds]
    factors = fit_value_factors(torch.as_tensor(np.concatenate(sides)), 2, 1, seed=0)
    left, right = (Side(x, factors.encode(torch.as_tensor(x)).numpy()) for x in sides)
    late, between_kinds = {}, {}
    for growth in (None, 0.1):
        around = Between(left, right, (0.0, 2.0), time=1.0, growth=growth)
        drawn = coupled_pairs(factors, around, 2000, rng).stored.mean(1)
        between_kinds[growth] = np.mean(np.abs(drawn - 10) < 6)
        # Staying cells of the earlier time are the first half.
        late[growth] = np.mean(stay(factors, around, 2000, rng).stored[:1000].mean(1) > 10)
    assert between_kinds[None] == pytest.approx(0.25, abs=0.03)
    assert between_kinds[0.1] < 0.02
    assert late[None] == pytest.approx(0.5, abs=0.01)
    # The masses of both kinds are as the roots of a half and of three halves.
    assert late[0.1] == pytest.approx(0.634, abs=0.04)


def test_with_growth_too_stiff_to_grow_cells_stay_once_each():
    rng = np.random.default_rng(0)
    sides = [Side(np.arange(40.0)[:, None] + 40 * k, rng.normal(size=(40, 2))) for k in (0, 1)]
    around = Between(*sides, (0.0, 1.0), 0.5, growth=1e6)
    drawn = stay(None, around, 40, rng).stored[:, 0]
    times_drawn = np.bincount(drawn.astype(int), minlength=80)
    assert times_drawn.max() == 1
    assert times_drawn[:40].sum() == 20


def test_shares_go_to_the_way_that_is_right():
    """One dimension: measured cells lie at 0; one way gives them, the others lie at 5."""
    to_measured = np.array([5.0, 5.0, 5.0, 0.0, 5.0])
    among = np.abs(np.subtract.outer(to_measured, to_measured))
    assert shares_of_cells([(to_measured, among, 0.0)], PRIOR)[3] > 0.9


def test_smoothed_cells_hold_both_quantities():
    """Cells of three times, all alike in truth; the first genes have less than one count."""
    rng, share = np.random.default_rng(0), np.geomspace(1, 300, 12)
    share /= share.sum()
    cells = series([0.0, 1.0, 2.0], 150, 12, True)
    cells.X = rng.poisson(300 * share, cells.shape).astype(np.float32)
    model = ScNODE(**SHORT).fit(cells)
    model.pool_ = replace(model.pool_, expected=SMOOTHED)
    for time in (0.5, 1.0, 3.0):
        found = model.sample([time], 400, noise="depth")
        expressed = np.log1p(10_000 * found.X.mean(0) / found.X.sum(1).mean())
        assert expressed == pytest.approx(np.log1p(10_000 * share), abs=0.5)
        mean_log = found.layers["log1p_cp10k"].mean(0)
        assert mean_log == pytest.approx(log_values(cells.X).mean(0), abs=0.5)
        assert (expressed - mean_log)[:3].min() > 0.5


@pytest.mark.parametrize("kind", ["counts", "values"])
@pytest.mark.filterwarnings("ignore:.* lie outside the range measured")
def test_smoothed_cells_move_on_beyond_the_last_time_as_far_as_the_drift_does(kind: str):
    model = ScNODE(**SHORT).fit(series(TIMES, 60, 12, kind == "counts"))
    model.pool_ = replace(model.pool_, expected=SMOOTHED)
    last, points = TIMES[-1], model.cells_.at(TIMES[-1])
    found = {}
    for damping in (0.0, 2.0, None):
        model.field_ = replace(model.field_, damping=damping)
        asked = [last, last + 1.0]
        drawn = model.sample(asked, 60, noise="depth")
        x = drawn.layers["log1p_cp10k"] if kind == "counts" else drawn.X
        here, there = x[:60].mean(0), x[60:].mean(0)
        ends = model.flow(points, last, asked)
        expected = np.subtract(*(model.decode(end).mean(0) for end in ends[::-1]))
        assert there - here == pytest.approx(expected, abs=0.05)
        found[damping] = np.linalg.norm(there - here)
        if kind == "counts":  # X holds the other quantity, log expression.
            share = [model.factors_.log_share(torch.as_tensor(end)) for end in ends]
            change = (share[1] - share[0]).numpy().mean(0)
            x = np.log(drawn.X / drawn.X.sum(1, keepdims=True))
            assert x[60:].mean(0) - x[:60].mean(0) == pytest.approx(change, abs=0.05)
    assert found[0.0] == pytest.approx(0, abs=1e-5)
    assert found[None] > found[2.0] > 0.1


def test_smoothed_cells_that_leave_the_data_beyond_the_last_time_are_warned_of():
    model = ScNODE(**SHORT).fit(series(TIMES, 60, 12, False))
    model.pool_ = replace(model.pool_, expected=SMOOTHED)
    model.field_ = replace(model.field_, damping=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.sample([0.5, TIMES[-1]], 50, noise=False)
    with pytest.warns(UserWarning, match="lie outside the range measured at"):
        model.sample([TIMES[-1] + 1.0], 50, noise=False)


@pytest.mark.parametrize("kind", ["counts", "values"])
def test_counts_without_noise_are_never_smoothed_cells(kind: str):
    model = ScNODE(**SHORT).fit(series(TIMES, 60, 12, kind == "counts"))
    drawn = {}
    for expected in (DRIFT, SMOOTHED):
        model.pool_ = replace(model.pool_, expected=expected)
        drawn[expected] = [model.sample([2.0], 50, noise=noise).X for noise in (False, "depth")]
    same = [np.array_equal(*both) for both in zip(drawn[DRIFT], drawn[SMOOTHED], strict=True)]
    assert same == [kind == "counts", False]


@pytest.mark.parametrize("combine", [False, True])
@pytest.mark.parametrize(
    ("kind", "noise"), [("counts", False), ("counts", "depth"), ("values", False)]
)
def test_only_counts_without_noise_start_from_means(kind: str, noise: object, combine: bool):
    model = ScNODE(**SHORT, combine=combine).fit(series(TIMES, 60, 12, kind == "counts"))
    if combine:
        model.pool_ = replace(model.pool_, expected=DRIFT)
    averaged = (kind, noise) == ("counts", False)
    for time, means in ((1.0, averaged), (6.0, False)):  # The last time keeps its own points.
        points = model.cells_.at(time)
        expected = near_means(points, np.arange(60)) if means else points
        drawn = model.sample([time], 60, noise=noise).obsm["latent"]
        assert np.sort(drawn, axis=0) == pytest.approx(np.sort(expected, axis=0), abs=1e-5)


def test_means_of_near_points_lie_nearer_the_truth():
    """Points on a line in ten dimensions, each with an error of its own."""
    rng = np.random.default_rng(0)
    line = np.outer(np.linspace(0, 20, 400), np.eye(10)[0])
    points = line + rng.normal(0, 0.5, line.shape)
    means = near_means(points, np.arange(400))
    error, left = (np.square(found - line).sum(1).mean() for found in (points, means))
    assert left < 0.5 * error
    few = rng.normal(size=(39, 10))  # Two cells for one of 39 would be one in nineteen.
    assert np.array_equal(near_means(few, np.arange(39)), few)


def apart(*places: float) -> Distances:
    """Distances in one dimension: ways that put all cells at a place, measured cells at 0."""
    to_measured = np.abs(np.array(places))
    return to_measured, np.abs(np.subtract.outer(places, places)), 0.0


def test_the_guess_yields_where_left_out_times_agree_and_stands_where_they_do_not():
    drift_is_best = apart(5.0, 5.1, 5.2, 4.0, 5.3)
    one, agreed = [drift_is_best], [drift_is_best, apart(6.0, 6.1, 6.2, 5.0, 6.3), drift_is_best]
    split = [drift_is_best, apart(4.0, 5.1, 5.2, 5.0, 5.3), apart(5.0, 4.0, 5.2, 5.1, 5.3)]
    assert yielding_pull(one, PRIOR) == yielding_pull(split, PRIOR) == PULL
    assert yielding_pull(agreed, PRIOR) < 0.2 * PULL
    shares = {
        name: shares_of_cells(parts, PRIOR, yielding_pull(parts, PRIOR))[3]
        for name, parts in {"one": one, "agreed": agreed, "split": split}.items()
    }
    assert shares["agreed"] > 0.8 > 0.5 > max(shares["one"], shares["split"])


def test_shares_of_equal_ways_are_the_prior():
    alike = (np.ones(5), np.ones((5, 5)), 1.0)
    assert shares_of_cells([alike], PRIOR) == pytest.approx(PRIOR, abs=1e-3)


def test_shares_have_one_answer_where_chance_bends_distances_the_wrong_way():
    """Two ways move the same cells, so that they seem nearer each other than cells of one are."""
    to_measured, guess = np.array([1.0, 0.9]), np.array([0.9, 0.1])
    among = np.array([[1.0, 0.8], [0.8, 1.0]])
    shares = best_shares(2 * to_measured, among, guess, pull=0.05)
    # Taken for flat: the second has 0.2 less, so that it gains 0.2 / (4 * 0.05).
    assert shares == pytest.approx([0.0, 1.0])
    assert best_shares(2 * to_measured, among, guess, pull=1.0) == pytest.approx([0.85, 0.15])


def test_gains_count_where_they_are_more_than_chance():
    assert more_than_chance(np.array([0.05, 0.04, 0.06]))
    assert not more_than_chance(np.array([0.3, -0.3, 0.05]))
    assert not more_than_chance(np.array([0.3]))
    # One of six that is far off does not decide.
    assert more_than_chance(np.array([0.05, 0.06, 0.05, 0.07, 0.06, -0.2]))


@pytest.mark.parametrize(
    ("genes", "expected"), [([9.0, 9.1, 9.0], DRIFT), ([10.0, 9.9, 10.1], SMOOTHED)]
)
def test_genes_tell_populations_apart_that_components_do_not(genes: list[float], expected: str):
    """In components the drift is nearer once, farther once, and as near at the third time."""
    place = [7.0, 7.1, 7.05]
    rows = [
        {"place, drift": near, "place, smoothed cells": 7.05}
        | {"genes, drift": all_of_them, "genes, smoothed cells": 10.0}
        for near, all_of_them in zip(place, genes, strict=True)
    ]
    assert better_population(rows) == expected
    assert better_population(rows[:1]) == DRIFT  # Of one time, whatever is nearer.


def test_the_mean_of_each_side_moves_to_one_latent_point(model: ScNODE):
    """Cells that stay have that mean too, but lie at both ends of the way."""
    start, factors = model.start_, model.factors_
    left, right = (Side(*start.at(time)) for time in (0.0, 6.0))
    around = Between(left, right, (0.0, 6.0), time=3.0)
    way = right.points.mean(0) - left.points.mean(0)
    along = {}
    for move in (mean_moved, stay):
        cells = move(factors, around, 400, np.random.default_rng(0))
        assert (np.rint(cells.stored) == cells.stored).all()
        seen = factors.encode(torch.as_tensor(cells.stored)).detach().numpy()
        along[move] = (seen - left.points.mean(0)) @ way / (way @ way)
    assert along[mean_moved].mean() == pytest.approx(0.5, abs=0.1)
    assert along[mean_moved].std() < 0.8 * along[stay].std()


def test_a_clock_of_displacement_is_chosen_where_cells_move_ever_more_slowly():
    """Cells move along a line as the logarithm of time; measured time puts them too far back."""
    times, held_out = [0.0, 1.0, 3.0, 7.0, 15.0, 31.0, 63.0], 7.0
    rng = np.random.default_rng(0)
    moved = np.log2(1 + np.repeat(times, 60))[:, None] * np.linspace(1, 2, 8)
    values = (moved + rng.standard_normal(moved.shape)).astype(np.float32)
    obs = pd.DataFrame({"time": np.repeat(times, 60)}, index=[f"c{i}" for i in range(len(values))])
    cells = AnnData(values, obs=obs)
    model = ScNODE(**SHORT, clock="auto").fit(cells[cells.obs["time"] != held_out].copy())
    assert model.pool_.clock == DISPLACEMENT
    assert model.report()["share"]["clock"].tolist() == [0.0, 1.0]
    truth = cells[cells.obs["time"] == held_out].X.mean(0)
    off = {}
    for name in CLOCKS:
        model.pool_ = replace(model.pool_, clock=name)
        for noise in (True, False):
            found = model.sample([held_out], 400, noise=noise).X.mean(0)
            off[name, noise] = np.abs(found - truth).mean()
    for noise in (True, False):
        assert off[DISPLACEMENT, noise] < 0.7 * off[MEASURED, noise]


def test_a_clock_of_displacement_leaves_measured_times_and_steady_motion_alone():
    rng, times = np.random.default_rng(0), np.array([0.0, 1.0, 3.0, 4.0, 1000.0])
    still = DisplacementClock.of(times, [np.ones((5, 2))] * 5)
    steady = DisplacementClock.of(times, [np.full((5, 2), t) for t in times])
    noisy = DisplacementClock.of(times, [rng.standard_normal((40, 3)) for _ in times])
    asked = np.linspace(0.0, 1000.0, 400)
    for clock in (still, steady, noisy):
        assert [clock(t) for t in times] == times.tolist()
        found = np.array([clock(t) for t in asked])
        assert (np.diff(found) >= 0).all()
        assert (np.searchsorted(times, found) == np.searchsorted(times, asked)).all()
    assert [steady(t) for t in (0.3, 2.0, 500.0)] == pytest.approx([0.3, 2.0, 500.0])
    assert noisy(1200.0) == 1200.0
