from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from numpy.testing import assert_allclose, assert_array_equal

from scstlib.leakage import LeakageError, check_evaluation
from scstlib.models import ScNODE
from scstlib.models.files import write_model
from scstlib.models.temporal.baselines import CopyNearest
from scstlib.models.temporal.scnode.transport_curves import couple_times, draw_curves
from scstlib.training import loop

SHORT = {"matching_steps": 300, "latent_dim": 3, "drift_hidden": (24, 24)}
SHORTER = {**SHORT, "matching_steps": 60}  # two processes wait for each other at every step
TIMES = [0.0, 1.0, 2.0, 4.0]


def branching(times: list[float], n_cells: int = 120, seed: int = 0) -> AnnData:
    """Counts of cells that move along one axis and split in two along another, one third up."""
    rng = np.random.default_rng(seed)
    time = np.repeat(times, n_cells)
    up = np.tile(np.arange(n_cells) % 3 == 0, len(times))
    side = np.where(up, 1.0, -1.0) * np.maximum(time - 1, 0) + 0.1 * rng.standard_normal(len(time))
    axes = np.random.default_rng(99).normal(0, 0.5, (2, 40))
    share = np.exp(np.c_[time, side] @ axes)
    share /= share.sum(1, keepdims=True)
    counts = rng.poisson(share * 2000)
    obs = pd.DataFrame({"time": time, "up": up}, index=[f"s{seed}c{i}" for i in range(len(time))])
    return AnnData(counts.astype(np.float32), obs=obs, layers={"share": share})


@pytest.fixture(scope="module")
def cells() -> AnnData:
    return branching(TIMES)


@pytest.fixture(scope="module")
def fitted(cells) -> ScNODE:
    return ScNODE(seed=1, **SHORT).fit(cells, device="cpu")


def test_counts_in_counts_out(cells, fitted):
    measured = fitted.sample([1.5, 3.0], 50, seed=3)
    assert measured.shape == (100, 40)
    assert measured.obs["time"].value_counts().to_dict() == {1.5: 50, 3.0: 50}
    assert list(measured.var_names) == list(cells.var_names)
    assert_array_equal(measured.X, np.rint(measured.X))
    assert_allclose(np.median(measured.X.sum(1)), 2000, rtol=0.05)
    logs = np.log1p(measured.X / measured.X.sum(1, keepdims=True) * 1e4)
    assert_allclose(measured.layers["log1p_cp10k"], logs, atol=1e-4)
    expected = fitted.sample([1.5], 50, seed=3, noise=False)
    assert_allclose(expected.X.sum(1), 2000, rtol=0.05)
    assert expected.uns["value_kind"] == "expected counts"


def test_the_population_between_times_is_right(fitted):
    truth = branching([3.0], n_cells=300, seed=5)
    predicted = fitted.sample([3.0], 300, seed=0, noise=False)
    share = predicted.X / predicted.X.sum(1, keepdims=True)
    true = truth.layers["share"]
    away = np.abs(np.log(share.mean(0)) - np.log(true.mean(0)))
    assert np.median(away) < 0.05
    # A third goes up: the branches differ most in this gene.
    gene = np.argmax(np.abs(np.log(true[truth.obs["up"]]).mean(0) - np.log(true).mean(0)))
    cut = np.log(true[:, gene]).mean()
    sign = np.sign(np.log(true[truth.obs["up"]][:, gene]).mean() - cut)
    assert_allclose(np.mean(sign * (np.log(share[:, gene]) - cut) > 0), 1 / 3, atol=0.05)


def test_measured_cells_have_the_spread_of_measured_cells(fitted):
    truth = branching([3.0], n_cells=1000, seed=5).X
    drawn = fitted.sample([3.0], 1000, seed=0).X
    ratio = drawn.var(0) / truth.var(0)
    assert np.mean((ratio > 0.8) & (ratio < 1.25)) > 0.9
    assert abs(np.mean(drawn == 0) - np.mean(truth == 0)) < 0.01


def test_depth_noise_lies_between_no_noise_and_all(fitted):
    spread = [
        fitted.sample([2.0], 200, seed=0, noise=noise).X.var(0).sum()
        for noise in (False, "depth", True)
    ]
    assert spread[0] <= spread[1] < spread[2]


def test_a_seed_decides_everything(cells, fitted):
    again = ScNODE(seed=1, **SHORT).fit(cells, device="cpu")
    other = ScNODE(seed=2, **SHORT).fit(cells, device="cpu")
    first = fitted.sample([3.0], 20, seed=0).X
    assert_array_equal(again.sample([3.0], 20, seed=0).X, first)
    assert np.any(first != other.sample([3.0], 20, seed=0, noise=False).X)
    assert np.any(first != fitted.sample([3.0], 20, seed=1).X)


def test_the_path_does_not_depend_on_the_times_asked_for(cells, fitted):
    start = fitted.encode(cells[cells.obs["time"] == 0.0])
    alone = fitted.flow(start, 0.0, [5.0])[0]
    many = fitted.flow(start, 0.0, [5.0, 0.3, 3.9, 4.0, 0.0, 1.1])
    assert_allclose(many[0], alone, atol=1e-4)
    assert_array_equal(many[4], start)
    assert_allclose(fitted.flow(alone, 5.0, [0.0])[0], start, atol=1e-2)


def test_the_solver_converges(cells, fitted):
    start = fitted.encode(cells[cells.obs["time"] == 0.0])
    field = fitted.field_

    def end(step: float) -> np.ndarray:
        return type(field)(field.drift, field.clock, step, field.damping).flow(start, 0.0, [4.0])[0]

    exact = end(0.01)
    coarse, fine = (np.abs(end(step) - exact).max() for step in (0.25, 0.125))
    assert fine < coarse / 6  # Fourth order would be 16, less single precision.
    assert coarse < 0.02 * np.abs(exact - start).max()


def test_velocity_is_the_derivative_of_the_path(cells, fitted):
    points = fitted.encode(cells[cells.obs["time"] == 1.0])
    for time in (1.5, 5.0):  # The second lies where the drift fades.
        ahead, back = fitted.flow(points, time, [time + 0.01, time - 0.01])
        assert_allclose((ahead - back) / 0.02, fitted.velocity(points, time), atol=0.05)


def test_damping_stops_the_drift(cells):
    still = ScNODE(seed=1, damping=0.0, **SHORT).fit(cells)
    last = still.cells_.at(4.0)
    assert_allclose(still.flow(last, 4.0, [6.0])[0], last)
    free = ScNODE(seed=1, damping=None, **SHORT).fit(cells)
    faded = ScNODE(seed=1, damping=0.5, **SHORT).fit(cells)
    moved = [np.linalg.norm(m.flow(last, 4.0, [6.0])[0] - last) for m in (faded, free)]
    assert 0 < moved[0] < moved[1]


def test_a_drift_at_rest_predicts_the_cells_that_copying_does(cells):
    still = ScNODE(seed=1, damping=0.0, **SHORT).fit(cells)
    with pytest.warns(UserWarning, match="beyond the last training time"):
        predicted = still.sample([6.0], 50, seed=3, noise=False)
    copied = CopyNearest().fit(cells).sample([6.0], 50, seed=3)
    assert_allclose(still.encode(copied), predicted.obsm["latent"], atol=0.01)


@pytest.mark.filterwarnings("ignore:.* lie outside the range measured")
def test_all_may_start_at_the_first_time(cells):
    model = ScNODE(seed=1, start_times="first", **SHORT).fit(cells)
    first = model.cells_.at(0.0)
    latent = model.sample([4.0], len(first), seed=0, noise=False).obsm["latent"]
    reached = model.flow(first, 0.0, [4.0])[0]
    assert_allclose(np.sort(latent[:, 0]), np.sort(reached[:, 0]), atol=1e-4)


@pytest.mark.filterwarnings("ignore:.* lie outside the range measured")
def test_extrapolation_warns_with_the_distance_and_the_past_is_refused(fitted):
    with pytest.warns(UserWarning, match="lies 6 beyond the last training time 4"):
        fitted.sample([10.0], 5)
    with pytest.raises(ValueError, match="before the first training time"):
        fitted.sample([-1.0], 5)


def test_one_cell_can_be_asked_for(fitted):
    assert fitted.sample([3.0], 1).n_obs == 1
    with pytest.raises(ValueError, match="n_cells"):
        fitted.sample([3.0], 0)


def test_training_times_cannot_be_used_to_evaluate(cells, fitted):
    with pytest.raises(LeakageError):
        check_evaluation(fitted, branching([2.0], seed=7), by="time")
    check_evaluation(fitted, branching([3.0], seed=7), by="time")


def test_values_stay_values(cells):
    logs = AnnData(np.log1p(cells.X), obs=cells.obs[["time"]], var=cells.var)
    model = ScNODE(seed=0, **SHORT).fit(logs)
    predicted = model.sample([3.0], 200)
    assert "log1p_cp10k" not in predicted.layers
    assert predicted.X.min() >= 0
    near = np.log1p(branching([3.0], 200, seed=5).X)
    assert np.abs(predicted.X.mean(0) - near.mean(0)).mean() < 0.1
    with pytest.raises(ValueError, match="fitted on values"):
        model.encode(cells)


def test_a_saved_model_predicts_the_same(cells, fitted, tmp_path):
    fitted.save(tmp_path / "model.safetensors")
    loaded = ScNODE.load(tmp_path / "model.safetensors", device="cpu")
    assert_array_equal(loaded.sample([3.0], 30).X, fitted.sample([3.0], 30).X)
    assert_allclose(loaded.encode(cells), fitted.encode(cells), atol=1e-4)
    assert loaded.settings == fitted.settings


def test_predicted_cells_are_encoded_where_they_came_from(fitted):
    predicted = fitted.sample([2.5], 50, seed=0, noise=False)
    # The prior draws cells of few counts to the origin.
    off = np.abs(fitted.encode(predicted) - predicted.obsm["latent"])
    assert np.quantile(off, 0.95) < 0.5


@pytest.mark.parametrize(
    "name", ["cells.points", "cells.time", "factors.totals", "start.time", "start.indices"]
)
def test_arrays_of_a_file_that_do_not_belong_together_are_named(fitted, tmp_path, name):
    path = tmp_path / "model.safetensors"
    learned, tensors = fitted._learned()
    wrong = torch.full((3, 2), 99) if name in ("factors.totals", "start.indices") else tensors[name]
    write_model(path, "ScNODE", fitted.settings, learned, {**tensors, name: wrong[:-1]})
    with pytest.raises(ValueError, match=f"model.safetensors does not hold a ScNODE.*{name[-4:]}"):
        ScNODE.load(path, "cpu")


@pytest.mark.parametrize("transport_steps", [0, 20])
def test_a_broken_run_goes_on(cells, tmp_path, monkeypatch, transport_steps):
    settings = {**SHORT, "matching_steps": 220, "transport_steps": transport_steps, "seed": 3}
    whole = ScNODE(**settings).fit(cells)
    gradients, calls = loop._gradients, 0

    def break_off(*arguments):
        nonlocal calls
        calls += 1
        if calls == 150:
            raise KeyboardInterrupt
        return gradients(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "_gradients", break_off)
        with pytest.raises(KeyboardInterrupt):
            ScNODE(**settings).fit(cells, checkpoint=tmp_path / "run")
    resumed = ScNODE(**settings).fit(cells, checkpoint=tmp_path / "run")
    assert_array_equal(resumed.losses_["matching"], whole.losses_["matching"])
    assert_array_equal(resumed.sample([3.0], 20).X, whole.sample([3.0], 20).X)


def test_training_stops_where_the_validation_time_gets_no_better(cells):
    model = ScNODE(seed=0, validate_every=20, patience=2, latent_dim=3, matching_steps=3000)
    model.fit(cells, validation_time=2.0)
    assert model.times_.tolist() == [0.0, 1.0, 4.0]
    assert len(model.losses_["matching"]) < 3000
    with pytest.raises(ValueError, match="validation_time"):
        ScNODE(**SHORT).fit(cells, validation_time=0.5)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"damping": "some"}, "damping"),
        ({"damping": -1.0}, "damping"),
        ({"start_times": "last"}, "start_times"),
        ({"time": "hours"}, "time"),
        ({"matching_steps": 0}, "matching_steps"),
        ({"latent_dim": 40}, "latent_dim must be 1 to 39"),
    ],
)
def test_settings_out_of_range_are_named(cells, setting, words):
    with pytest.raises(ValueError, match=words):
        ScNODE(**setting).fit(cells)


def test_index_time_is_another_clock(cells):
    model = ScNODE(time="index", seed=1, **SHORT).fit(cells)
    points = model.cells_.at(2.0)
    assert model.field_.clock.rate(3.0) == 0.5  # One index in two units of time.
    ahead = model.flow(points, 2.0, [2.02])[0] - points
    assert_allclose(ahead / 0.02, model.velocity(points, 2.01), atol=0.1)


def test_growth_gives_mass_to_what_grows():
    rng = np.random.default_rng(0)
    left, right = rng.normal(-5, 0.3, (50, 2)), rng.normal(5, 0.3, (50, 2))
    later = np.concatenate([left[:20], rng.normal(5, 0.3, (80, 2))])
    start = np.concatenate([left, right])
    crossing = []
    for growth in (None, 0.3):
        coupled = couple_times([start, later], growth, np.random.default_rng(0))
        plan, (before, after) = coupled.plans[0], coupled.cells
        assert_allclose(plan.sum(0), 0.01)  # No late cell is left out.
        crossing.append(plan[before[:, 0] < 0][:, after[:, 0] > 0].sum())
    assert crossing[0] == pytest.approx(0.3)
    assert crossing[1] < 0.1


def test_curves_bend_through_the_cells():
    """Single cells on a parabola: a Hermite curve of four points is that parabola."""
    times = np.array([0.0, 1.0, 3.0, 4.0])
    populations = [np.array([[t, t**2]]) for t in times]
    rng = np.random.default_rng(0)
    curves = draw_curves(couple_times(populations, None, rng), times, rng)
    inner = (curves.time > 1) & (curves.time < 3)
    assert_allclose(curves.position[inner][:, 1], curves.time[inner] ** 2, atol=1e-9)
    assert_allclose(curves.velocity[inner][:, 1], 2 * curves.time[inner], atol=1e-9)
    assert_allclose(curves.velocity[:, 0], 1.0, atol=1e-9)


@pytest.mark.parametrize(
    "counts",
    [
        np.ones((60, 6)),
        np.random.default_rng(0).poisson(5, (60, 2)),
        np.random.default_rng(0).poisson(5e5, (60, 8)),
        np.c_[np.random.default_rng(0).poisson(5, (60, 5)), np.zeros(60)],
    ],
    ids=["identical cells", "two genes", "deep cells", "an empty gene"],
)
@pytest.mark.parametrize("growth", [None, 0.3])
def test_poor_counts_give_finite_cells(counts, growth):
    obs = pd.DataFrame({"time": np.repeat([0, 1, 2], 20)}, index=[f"c{i}" for i in range(60)])
    cells = AnnData(counts.astype(np.float32), obs=obs)
    model = ScNODE(matching_steps=20, growth=growth).fit(cells)
    predicted = model.sample([0.5], 10)
    assert np.isfinite(predicted.X).all()
    assert_allclose(predicted.X.sum(1).mean(), counts.sum(1).mean(), rtol=0.5)


def test_too_little_to_learn_from_is_named(cells):
    one_gene = cells[:, :1][cells.X[:, 0] > 0].copy()
    with pytest.raises(ValueError, match="2 genes"):
        ScNODE().fit(one_gene)
    with pytest.raises(ValueError, match="max_cells_in_memory is 5"):
        ScNODE().fit(cells, max_cells_in_memory=5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_learns_what_a_cpu_does(cells, fitted):
    on_gpu = ScNODE(seed=1, **SHORT).fit(cells, device="cuda")
    expected = fitted.sample([3.0], 200, noise=False).X.mean(0)
    assert_allclose(on_gpu.sample([3.0], 200, noise=False).X.mean(0), expected, rtol=0.1)
