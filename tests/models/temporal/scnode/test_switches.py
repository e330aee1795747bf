from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from safetensors.torch import save_file

from scstlib.leakage import LeakageError, check_evaluation
from scstlib.models import PublishedScNODE
from scstlib.models.temporal.scnode.model_time import ModelTime
from scstlib.models.temporal.scnode.published_network import Drift, ScNODENetwork
from scstlib.models.temporal.scnode.published_training import Batch, Comparison, joint_loss
from scstlib.training import seeded_weights

SMALL = {
    "latent_dim": 4,
    "drift_hidden": (8,),
    "pretrain_steps": 60,
    "joint_steps": 60,
    "batch_size": 16,
    "target_size": 24,
}
SHORT = {**SMALL, "pretrain_steps": 4, "joint_steps": 4}


@pytest.fixture
def fitted(moving) -> PublishedScNODE:
    return PublishedScNODE(time="real", seed=1, **SHORT).fit(moving, device="cpu")


def weights_of(model: PublishedScNODE) -> np.ndarray:
    parameters = model.network_.parameters()
    return torch.cat([weight.detach().flatten() for weight in parameters]).numpy()


def test_training_lowers_both_losses(moving):
    model = PublishedScNODE(time="real", seed=1, **SMALL).fit(moving)
    pretrain, joint = (model.losses_[part] for part in ("pretrain", "joint"))
    assert pretrain.shape == (60,)
    assert joint.shape == (6,)
    assert np.median(pretrain[-10:]) < 0.8 * np.median(pretrain[:10])
    assert joint[-1] < 0.8 * joint[0]
    assert (joint > 0).all()


def test_samples_have_the_asked_for_shape_and_are_reproducible(fitted):
    first, second = (fitted.sample([0.0, 2.0, 3.5], 50, seed=4) for _ in range(2))
    assert first.shape == (150, 6)
    assert_allclose(first.X, second.X)
    assert np.abs(first.X - fitted.sample([0.0, 2.0, 3.5], 50, seed=5).X).max() > 0


def test_seeds_decide_the_model_and_leave_the_global_generator_alone(moving):
    torch.manual_seed(11)
    expected = torch.rand(1).item()
    torch.manual_seed(11)
    one = PublishedScNODE(seed=2, **SHORT).fit(moving)
    assert torch.rand(1).item() == expected
    two, other = (PublishedScNODE(seed=s, **SHORT).fit(moving) for s in (2, 3))
    assert_array_equal(weights_of(one), weights_of(two))
    assert np.abs(weights_of(one) - weights_of(other)).max() > 1e-3


def test_start_cells_repeat_as_blocks(moving, fitted):
    """As in the published code: 90 cells from 40 starts are blocks of 3, and 10 are left out."""
    fitted.network_.latent_encoder.var_layer.weight.data.zero_()
    fitted.network_.latent_encoder.var_layer.bias.data.zero_()
    sampled = fitted.sample([0.0], 90).X
    blocks = sampled.reshape(30, 3, 6)
    assert_allclose(blocks, np.repeat(blocks[:, :1], 3, axis=1), atol=1e-6)
    assert len(np.unique(sampled.round(4), axis=0)) == 30


def test_index_time_counts_the_points_and_real_time_keeps_their_ratio():
    times = np.array([-1.0, 0.0, 1.0, 3.0, 3.5, 6.0])
    index, real = (ModelTime([0, 1, 3], kind) for kind in ("index", "real"))
    assert_allclose(index(times), [-1 / 1.5, 0, 1, 2, 2 + 0.5 / 1.5, 4])
    assert_allclose(real(times), times / 1.5)
    for kind in (index, real):
        step = 1e-6
        for time in (-1.0, 0.5, 2.0, 5.0):
            slope = (kind(np.array([time + step])) - kind(np.array([time])))[0] / step
            assert kind.rate(time) == pytest.approx(slope, rel=1e-4)


def test_a_relu_drift_never_falls_and_a_signed_one_does():
    latent = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    for activation in ("relu", "signed_relu", "silu", "tanh"):
        torch.manual_seed(0)
        velocity = Drift(4, [8], activation)(None, latent)
        assert bool((velocity < 0).any()) == (activation != "relu")


def spiral() -> ScNODENetwork:
    """A drift that turns latent points: the path is known, and Euler's error too."""
    network = ScNODENetwork(6, 2, [], [], [], "silu")
    layer = network.diffeq_decoder.net["net"][0]
    layer.weight.data = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    layer.bias.data.zero_()
    return network


@torch.no_grad()
def test_steps_of_the_fixed_grid_converge_and_do_not_depend_on_the_request():
    network, start = spiral(), torch.tensor([[1.0, 0.0]])
    end = torch.tensor([[np.cos(2), np.sin(2)]])
    errors = []
    for max_step in (0.1, 0.05, 0.025):
        path = network.integrate(start, torch.tensor([0.0, 2.0]), max_step)
        crowded = network.integrate(start, torch.tensor([0.0, 0.33, 0.4, 1.7, 2.0]), max_step)
        assert_allclose(path[-1], crowded[-1], atol=1e-6)
        errors.append(float((path[-1] - end).norm()))
    assert errors[1] / errors[0] == pytest.approx(0.5, abs=0.05)
    assert errors[2] / errors[1] == pytest.approx(0.5, abs=0.05)
    # As published, one more time that is asked for changes the others.
    coarse, finer = (
        network.integrate(start, torch.tensor(times))[-1] for times in ([0.0, 2.0], [0.0, 1.0, 2.0])
    )
    assert float((coarse - finer).norm()) > 0.5


def test_the_fixed_grid_gives_a_sample_that_other_times_do_not_move(moving):
    for grid, moves in (("requested", True), ("fixed", False)):
        model = PublishedScNODE(solver_grid=grid, drift_activation="tanh", **SMALL).fit(moving)
        alone, together = model.sample([2.0], 30).X, model.sample([1.5, 1.7, 2.0], 30).X[60:]
        assert (np.abs(alone - together).max() > 1e-4) == moves


def test_every_time_can_start_paths(moving):
    """A group of cells that is absent at the first time is predicted only from later times."""
    moving.X[moving.obs["time"] == 1.0, 0] += 50
    moving.X[moving.obs["time"] == 3.0, 0] += 50
    model = PublishedScNODE(start_times="all", **SMALL).fit(moving)
    assert model.cells_.values.shape == moving.shape
    latent = model.encode(moving[moving.obs["time"] == 1.0])
    expected = model.decode(latent.mean(0, keepdims=True))[0, 0]
    at_its_start = model.sample([1.0], 400).X[:, 0].mean()
    assert at_its_start == pytest.approx(expected, abs=3)
    assert_array_equal(model.sample([1.0], 9).X, model.sample([0.5, 1.0, 3.0], 9).X[9:18])


def test_paths_of_all_times_are_compared_with_the_next():
    """With no drift, every path ends where it started: the loss compares neighbouring times."""
    with seeded_weights(3):  # An encoder that tells these cells apart; not all that are drawn do.
        network = ScNODENetwork(6, 2, [], [], [], "silu")
    for weight in network.diffeq_decoder.parameters():
        weight.data.zero_()
    rng = torch.Generator().manual_seed(0)
    cells = torch.randn(3, 16, 6, generator=rng)
    eps = torch.zeros(3, 16, 2)
    still = torch.cat([cells[:1], cells[:2]])
    times = torch.tensor([0.0, 1.0, 2.0])
    batch = Batch(cells[:2], eps[:2], still, still, eps)
    in_latent = joint_loss(network, times, batch, Comparison())[1]
    assert in_latent.item() == pytest.approx(0, abs=1e-5)
    moved = Batch(cells[:2], eps[:2], still.flip(0), still.flip(0), eps)
    assert joint_loss(network, times, moved, Comparison())[1].item() > 0.01


def test_shares_of_the_terms_add_up_to_the_loss():
    rng = torch.Generator().manual_seed(0)
    network = ScNODENetwork(6, 2, [4], [], [], "silu")
    cells, eps = torch.randn(3, 16, 6, generator=rng), torch.randn(3, 16, 2, generator=rng)
    times, batch = torch.tensor([0.0, 1.0, 2.0]), Batch(cells[0], eps[0], cells, cells, eps)

    def loss(terms: slice) -> float:
        parts = joint_loss(network, times, batch, Comparison(), terms=terms)
        return sum(part.item() for part in parts)

    shares = [loss(slice(rank, None, 5)) for rank in range(5)]
    assert sum(shares) == pytest.approx(loss(slice(None)), rel=1e-5)
    assert shares[3:] == [0, 0]


def test_comparing_latent_points_alone_leaves_the_autoencoder_as_it_was(moving):
    before = PublishedScNODE(**{**SHORT, "joint_steps": 0}).fit(moving).network_.state_dict()
    after = PublishedScNODE(transport_space="latent", **SHORT).fit(moving).network_.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.startswith("diffeq_decoder") for name in changed)


def test_components_leave_noise_out_of_the_loss(moving):
    """One component: what is orthogonal to it may differ without any loss."""
    network = ScNODENetwork(6, 2, [4], [], [])
    rng = torch.Generator().manual_seed(0)
    cells, eps = torch.randn(2, 16, 6, generator=rng), torch.zeros(2, 16, 2)
    axis = torch.eye(6)[:, :1]
    noisy = cells + torch.randn(2, 16, 6, generator=rng) * (1 - axis.T)
    times = torch.tensor([0.0, 1.0])
    losses = [
        joint_loss(network, times, Batch(cells[0], eps[0], target, cells, eps), comparison)[0]
        for comparison in (Comparison(basis=axis), Comparison())
        for target in (cells, noisy)
    ]
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-5)
    assert abs(losses[2].item() - losses[3].item()) > 0.1
    fitted = PublishedScNODE(transport_space="components", n_components=2, **SHORT).fit(moving)
    assert np.isfinite(fitted.losses_["joint"]).all()


def test_flow_there_and_back_returns_and_follows_the_velocity(moving):
    model = PublishedScNODE(
        solver_grid="fixed",
        max_step=0.01,
        drift_activation="tanh",
        time="real",
        **SHORT,
    ).fit(moving)
    latent = model.encode(moving[:10])
    latent.flags.writeable = False
    there = model.flow(latent, 1.0, [2.5, 0.2, 1.0])
    assert there.shape == (3, 10, 4)
    assert_array_equal(there[2], latent)
    for time, moved in zip([2.5, 0.2], there, strict=False):
        assert np.abs(moved - latent).max() > 0.05
        assert_allclose(model.flow(moved, time, [1.0])[0], latent, atol=0.02)
    step = 0.003
    assert_allclose(
        (model.flow(latent, 1.0, [1.0 + step])[0] - latent) / step,
        model.velocity(latent, 1.0),
        atol=0.01,
    )


def test_encoding_reads_what_the_model_was_fitted_on(moving_counts):
    model = PublishedScNODE(**SHORT).fit(moving_counts)
    assert model.genes == tuple(moving_counts.var_names)
    assert model.time_key_ == "time"
    assert_array_equal(model.times_, [0.0, 1.0, 3.0])
    assert model.encode(moving_counts).shape == (120, 4)
    sampled = model.sample([0.0], 20)
    with_layer = model.encode(sampled)
    del sampled.layers["log1p_cp10k"]
    with pytest.raises(ValueError, match="fitted on counts"):
        model.encode(sampled)
    assert np.isfinite(with_layer).all()
    with pytest.raises(ValueError, match="gene5"):
        model.encode(moving_counts[:, ::-1])


def test_a_prediction_far_beyond_the_data_is_a_warning(fitted):
    fitted.sample([4.5], 5)
    with pytest.warns(UserWarning, match=r"time 6 lies 3 beyond.* 3, 2\.0 mean intervals"):
        fitted.sample([1.0, 6.0], 5)


def test_a_validation_time_is_not_trained_on_and_stops_the_run(moving):
    moving.X[moving.obs["time"] == 1.0, 0] = 77
    settings = {**SMALL, "joint_steps": 500, "learning_rate": 0.01}
    model = PublishedScNODE(validate_every=5, patience=3, **settings).fit(
        moving, validation_time=1.0
    )
    assert_array_equal(model.times_, [0.0, 3.0])
    curve = model.losses_["validation"]
    assert len(curve) < 100
    assert len(curve) - 1 - curve.argmin() == 3
    assert model.sample([3.0], 40).X[:, 0].mean() < 20
    with pytest.raises(LeakageError):
        check_evaluation(model, moving[moving.obs["time"] == 1.0])
    for wrong in (0.0, 2.0):
        with pytest.raises(ValueError, match=f"validation_time.*{wrong}"):
            PublishedScNODE(**SHORT).fit(moving, validation_time=wrong)


def test_a_run_that_was_broken_off_goes_on(moving, tmp_path, monkeypatch):
    whole = PublishedScNODE(**SMALL).fit(moving)
    calls = iter(range(10**6))

    def breaking(*arguments, **named):
        if next(calls) == 30:
            raise KeyboardInterrupt
        return joint_loss(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr("scstlib.models.temporal.scnode.published_training.joint_loss", breaking)
        with pytest.raises(KeyboardInterrupt):
            PublishedScNODE(**SMALL).fit(moving, checkpoint=tmp_path / "run")
    resumed = PublishedScNODE(**SMALL).fit(moving, checkpoint=tmp_path / "run")
    assert_array_equal(weights_of(resumed), weights_of(whole))
    assert_array_equal(resumed.losses_["pretrain"], whole.losses_["pretrain"])
    moving.X[0, 0] += 1
    with pytest.raises(ValueError, match="another run"):
        PublishedScNODE(**SMALL).fit(moving, checkpoint=tmp_path / "run")


def test_times_of_the_whole_series_may_be_integers_and_survive_a_file(moving, tmp_path):
    model = PublishedScNODE(time_points=np.array([0, 3, 1, 2]), **SHORT).fit(moving)
    model.save(tmp_path / "model")
    assert PublishedScNODE.load(tmp_path / "model").time_points == (0.0, 1.0, 2.0, 3.0)


def test_double_precision_is_kept_through_a_file(moving, tmp_path):
    model = PublishedScNODE(**SHORT).fit(moving, precision="64-true")
    model.save(tmp_path / "model")
    loaded = PublishedScNODE.load(tmp_path / "model", device="cpu")
    assert loaded.encode(moving).dtype == np.float64
    assert_array_equal(weights_of(loaded), weights_of(model))


def test_mixed_precision_trains(moving):
    model = PublishedScNODE(**SMALL).fit(moving, precision="bf16-mixed", device="cpu")
    assert model.losses_["joint"][-1] < model.losses_["joint"][0]
    assert model.encode(moving).dtype == np.float32


def test_a_saved_model_predicts_the_same(fitted, tmp_path):
    fitted.save(tmp_path / "model.safetensors")
    loaded = PublishedScNODE.load(tmp_path / "model.safetensors", device="cpu")
    assert_allclose(loaded.sample([2.0], 30).X, fitted.sample([2.0], 30).X)
    assert loaded.settings == fitted.settings
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_damaged_and_foreign_files_are_refused(fitted, tmp_path):
    path = tmp_path / "model.safetensors"
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors"):
        PublishedScNODE.load(path)
    fitted.save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="cut short"):
        PublishedScNODE.load(path)
    for header, names in [
        ({"model": "Other", "file_version": 1}, "Other"),
        ({"model": "PublishedScNODE", "file_version": 99, "settings": {}}, "newer"),
        ({"model": "PublishedScNODE"}, "incomplete"),
    ]:
        save_file({"x": torch.zeros(1)}, path, metadata={"scstlib": json.dumps(header)})
        with pytest.raises(ValueError, match=names):
            PublishedScNODE.load(path)


@pytest.mark.parametrize(
    "setting",
    [
        {"time": "hours"},
        {"drift_activation": "sine"},
        {"start_times": "last"},
        {"max_step": -1},
    ],
)
def test_unknown_settings_are_named(setting):
    with pytest.raises(ValueError, match=str(next(iter(setting.values())))):
        PublishedScNODE(**setting)


def test_requests_that_cannot_be_met_are_refused(moving, fitted):
    with pytest.raises(ValueError, match="before the first"):
        fitted.sample([-1.0], 5)
    with pytest.raises(ValueError, match="fit"):
        PublishedScNODE(**SMALL).sample([1.0], 5)
    with pytest.raises(ValueError, match="n_cells"):
        fitted.sample([1.0], 0)
    with pytest.raises(ValueError, match=r"120 cells.*=100"):
        PublishedScNODE(**SMALL).fit(moving, max_cells_in_memory=100)
