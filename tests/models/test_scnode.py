from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from safetensors.torch import save_file

from scstlib.models.scnode import ScNODE

SMALL = {
    "latent_dim": 4,
    "drift_hidden": (8,),
    "pretrain_steps": 60,
    "joint_steps": 60,
    "batch_size": 16,
    "target_size": 24,
    "device": "cpu",
}


@pytest.fixture
def fitted(moving) -> ScNODE:
    return ScNODE(time="real", seed=1, **SMALL).fit(moving)


def test_training_lowers_both_losses(fitted):
    pretrain, joint = (fitted.losses_[part] for part in ("pretrain", "joint"))
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
    one = ScNODE(seed=2, **SMALL).fit(moving)
    assert torch.rand(1).item() == expected
    two, other = (ScNODE(seed=s, **SMALL).fit(moving) for s in (2, 3))
    assert_allclose(one.losses_["joint"], two.losses_["joint"])
    assert np.abs(one.losses_["joint"] - other.losses_["joint"]).max() > 1e-3


def test_start_cells_repeat_as_blocks(moving, fitted):
    """As in the published code: 90 cells from 40 starts are blocks of 3, and 10 are left out."""
    fitted.network_.latent_encoder.var_layer.weight.data.zero_()
    fitted.network_.latent_encoder.var_layer.bias.data.zero_()
    sampled = fitted.sample([0.0], 90).X
    blocks = sampled.reshape(30, 3, 6)
    assert_allclose(blocks, np.repeat(blocks[:, :1], 3, axis=1), atol=1e-6)
    assert len(np.unique(sampled.round(4), axis=0)) == 30


def test_index_time_counts_the_points_and_real_time_keeps_their_ratio(moving):
    times = np.array([0.0, 1.0, 3.0, 6.0])
    index = ScNODE(time="index", time_points=[0, 1, 2, 3], **SMALL).fit(moving)
    assert_allclose(index._model_time(times), [0, 1, 3, 6])
    real = ScNODE(time="real", **SMALL).fit(moving)
    assert_allclose(real._model_time(times), times / 1.5, rtol=1e-6)


def test_a_saved_model_predicts_the_same(fitted, tmp_path):
    fitted.save(tmp_path / "model.safetensors")
    loaded = ScNODE.load(tmp_path / "model.safetensors", device="cpu")
    assert_allclose(loaded.sample([2.0], 30).X, fitted.sample([2.0], 30).X)
    assert loaded.time == "real"
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_damaged_and_foreign_files_are_refused(fitted, tmp_path):
    path = tmp_path / "model.safetensors"
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors"):
        ScNODE.load(path)
    fitted.save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="cut short"):
        ScNODE.load(path)
    for header, names in [
        ({"model": "Other", "file_version": 1}, "Other"),
        ({"model": "ScNODE", "file_version": 99, "settings": {}}, "newer"),
        ({"model": "ScNODE"}, "incomplete"),
    ]:
        save_file({"x": torch.zeros(1)}, path, metadata={"scstlib": json.dumps(header)})
        with pytest.raises(ValueError, match=names):
            ScNODE.load(path)


@pytest.mark.parametrize("setting", [{"variant": "better"}, {"time": "hours"}])
def test_unknown_settings_are_named(setting):
    with pytest.raises(ValueError, match=next(iter(setting.values()))):
        ScNODE(**setting)


def test_requests_that_cannot_be_met_are_refused(fitted):
    with pytest.raises(ValueError, match="before the first"):
        fitted.sample([-1.0], 5)
    with pytest.raises(ValueError, match="fit"):
        ScNODE(**SMALL).sample([1.0], 5)
    with pytest.raises(ValueError, match="n_cells"):
        fitted.sample([1.0], 0)
