"""scNODE equals the authors' code, value for value (fixtures computed with commit ba55e8d)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from numpy.testing import assert_allclose

from scstlib.leakage import LeakageError, check_evaluation
from scstlib.models import PublishedScNODE, load
from scstlib.models.files import load_weights
from scstlib.models.temporal.comparison import score_held_out_times
from scstlib.models.temporal.scnode.published_network import ScNODENetwork
from scstlib.models.temporal.scnode.published_training import Batch, Comparison, joint_loss
from scstlib.ot import sinkhorn_divergence

SIZES = {
    "deep": {"encoder_hidden": [10], "decoder_hidden": [12]},
    "zebrafish": {"encoder_hidden": [], "decoder_hidden": []},
}


@pytest.fixture(scope="module")
def published() -> dict[str, np.ndarray]:
    with np.load(Path(__file__).with_name("published_scnode.npz")) as file:
        return {name: file[name] for name in file.files}


def weights_of(published: dict[str, np.ndarray], part: str) -> dict[str, np.ndarray]:
    prefix = f"{part}/state/"
    return {k.removeprefix(prefix): v for k, v in published.items() if k.startswith(prefix)}


def network_of(published: dict[str, np.ndarray], part: str, sizes: dict) -> ScNODENetwork:
    network = ScNODENetwork(20, 6, [8, 8], **sizes)
    load_weights(network, weights_of(published, part), "nothing")
    return network


def batch_of(published: dict[str, np.ndarray]) -> tuple[torch.Tensor, Batch]:
    names = ("times", "start", "eps", "target", "encoded", "eps_encoded")
    times, *batch = (torch.from_numpy(published[f"step/{name}"]) for name in names)
    return times, Batch(*batch)


@pytest.mark.parametrize("part", SIZES)
def test_networks_equal_the_published_values(published, part):
    network = network_of(published, part, SIZES[part])
    given = {
        name: torch.from_numpy(published[f"{part}/{name}"])
        for name in ("x", "eps", "mu", "sigma", "z", "drift", "times", "latent_path", "decoded")
    }
    with torch.no_grad():
        mu, sigma = network.latent_encoder(given["x"])
        latent = network.encode(given["x"], given["eps"])
        drift = network.diffeq_decoder(given["times"][0], given["z"])
        path = network.integrate(given["z"], given["times"]).transpose(0, 1)
        decoded = network.obs_decoder(given["latent_path"])
    values = {
        "mu": mu, "sigma": sigma, "z": latent, "drift": drift, "latent_path": path,
        "decoded": decoded,
    }  # fmt: skip
    for name, value in values.items():
        assert_allclose(value.numpy(), given[name].numpy(), rtol=1e-5, atol=1e-5, err_msg=name)


def test_first_training_step_equals_the_published_loss_and_gradient(published):
    network = network_of(published, "step", SIZES["deep"])
    in_genes, in_latent = joint_loss(network, *batch_of(published), Comparison())
    assert_allclose(in_genes.item(), published["step/ot"], rtol=1e-6)
    assert_allclose(in_latent.item(), published["step/dynamic"], rtol=1e-6)
    assert_allclose((in_genes + in_latent).item(), published["step/loss"], rtol=1e-6)
    (in_genes + in_latent).backward()
    for name, parameter in network.named_parameters():
        expected = published[f"step/gradient/{name}"]
        # Gradients are float32 on both sides: sums in another order differ in the fifth digit.
        assert_allclose(parameter.grad.numpy(), expected, rtol=1e-3, atol=5e-5, err_msg=name)


def test_constant_terms_change_the_value_and_not_the_gradient(published):
    network = network_of(published, "step", SIZES["deep"])
    values, gradients = [], []
    for constant_terms in (True, False):
        network.zero_grad()
        loss = sum(
            joint_loss(network, *batch_of(published), Comparison(), constant_terms=constant_terms)
        )
        loss.backward()
        values.append(loss.item())
        gradients.append(network.obs_decoder.net[0].weight.grad.clone())
    assert abs(values[0] - values[1]) > 1e-3
    assert_allclose(gradients[0].numpy(), gradients[1].numpy(), atol=1e-6)


def test_divergence_equals_the_published_evaluation(published):
    estimated = torch.from_numpy(published["sinkhorn/estimated"]).requires_grad_()
    true = torch.stack([torch.from_numpy(published[f"sinkhorn/true_{i}"]) for i in range(3)])
    value = sinkhorn_divergence(estimated.transpose(0, 1), true, blur=0.05, scaling=0.5).mean()
    assert_allclose(value.item(), published["sinkhorn/value"], rtol=1e-9)
    value.backward()
    assert_allclose(estimated.grad.numpy(), published["sinkhorn/gradient"], atol=1e-7)


def cells_of(published: dict[str, np.ndarray]) -> AnnData:
    """The seven cells of the fixture, as values, the first four of them at the first time."""
    obs = pd.DataFrame({"time": [0.0] * 4 + [2.0] * 3}, index=[f"cell{i}" for i in range(7)])
    var = pd.DataFrame(index=[f"gene{i}" for i in range(20)])
    return AnnData(published["deep/x"], obs=obs, var=var, uns={"value_kind": "log1p"})


DEEP = {"latent_dim": 6, "drift_hidden": [8, 8], **SIZES["deep"]}


@pytest.mark.parametrize("as_given", [torch.from_numpy, np.asarray])
def test_weights_of_the_authors_give_their_values(published, as_given):
    """Through the public class: encoded, moved along the times of the fixture, decoded."""
    weights = {name: as_given(value) for name, value in weights_of(published, "deep").items()}
    cells = cells_of(published)
    times = [0.0, 1.0, 2.0, 4.0]
    model = PublishedScNODE(time_points=[0, 1, 2, 3, 4], **DEEP)
    with pytest.raises(ValueError, match="device must be"):
        model.load_published(weights, cells, device="gpu")
    model.load_published(weights, cells, device="cpu")
    assert_allclose(model.encode(cells), published["deep/mu"], rtol=1e-5, atol=1e-5)
    path = model.flow(published["deep/z"], 0.0, times)
    assert_allclose(path.swapaxes(0, 1), published["deep/latent_path"], rtol=1e-5, atol=1e-5)
    assert_allclose(model.velocity(published["deep/z"], 1.0), published["deep/drift"], atol=1e-5)
    decoded = model.decode(published["deep/latent_path"])
    assert_allclose(decoded, published["deep/decoded"], rtol=1e-5, atol=1e-5)
    assert model.sample([1.0], 5).shape == (5, 20)


def test_weights_that_do_not_fit_are_named(published):
    weights, cells = weights_of(published, "deep"), cells_of(published)
    model = PublishedScNODE(**DEEP)
    lacking = dict(weights)
    lacking["obs_decoder.other"] = lacking.pop("obs_decoder.net.0.bias")
    with pytest.raises(ValueError, match=r"lacks.*obs_decoder\.net\.0\.bias.*has.*other"):
        model.load_published(lacking, cells)
    wide = PublishedScNODE(**{**DEEP, "drift_hidden": [9, 8]})
    with pytest.raises(ValueError, match=r"\(8, 6\).*\(9, 6\).*drift_hidden"):
        wide.load_published(weights, cells)


def test_weights_are_read_without_cells_which_only_a_prediction_needs(published, tmp_path):
    model = PublishedScNODE(**DEEP).load_published(weights_of(published, "deep"))
    cells, times = cells_of(published), [0.0, 1.0, 2.0, 4.0]
    for given in (published["deep/x"], cells):
        assert_allclose(model.encode(given), published["deep/mu"], rtol=1e-5, atol=1e-5)
    path = model.flow(published["deep/z"], 0.0, times)  # In the time that the network sees.
    steps = model.flow(published["deep/z"], 0.0, [1.0])[0] - published["deep/z"]
    assert_allclose(steps, published["deep/drift"], rtol=1e-4, atol=1e-4)
    assert path.shape == (4, 7, 6)
    assert_allclose(model.velocity(published["deep/z"], 1.0), published["deep/drift"], atol=1e-5)
    assert model.decode(path[-1]).shape == (7, 20)
    with pytest.raises(ValueError, match=r"cells are needed to predict.*start_from\(adata"):
        model.sample([1.0], 5)
    with pytest.raises(ValueError, match=r"20 genes, not an array \(7, 19\)"):
        model.encode(published["deep/x"][:, 1:])
    model.save(tmp_path / "model")
    loaded = load(tmp_path / "model", device="cpu")
    assert_allclose(loaded.encode(cells), model.encode(cells))
    with pytest.raises(ValueError, match="20 genes, and adata has 19"):
        loaded.start_from(cells[:, 1:])
    given_at_once = PublishedScNODE(**DEEP).load_published(weights_of(published, "deep"), cells)
    assert_allclose(loaded.start_from(cells).sample([1.0], 5).X, given_at_once.sample([1.0], 5).X)


def test_loaded_weights_can_be_scored_under_the_leak_guard(published):
    model = PublishedScNODE(**DEEP).load_published(weights_of(published, "deep"))
    cells = cells_of(published)
    check_evaluation(model, cells)  # What the authors trained on is not known.
    model.start_from(cells)
    with pytest.raises(LeakageError, match="7 observations"):
        check_evaluation(model, cells)
    later = cells.copy()
    later.obs_names, later.obs["time"] = [f"later{i}" for i in range(7)], 1.0
    scores = score_held_out_times(
        {"published": model}, later, {"gap": lambda x, y: float(x.mean() - y.mean())}
    )
    assert np.isfinite(scores["value"]).all()


def test_a_fitted_model_takes_weights_and_keeps_its_cells(published):
    weights, cells = weights_of(published, "deep"), cells_of(published)
    model = PublishedScNODE(**DEEP, pretrain_steps=0, joint_steps=0).fit(cells)
    at_once = PublishedScNODE(**DEEP).load_published(weights, cells).sample([1.0], 5)
    assert_allclose(model.load_published(weights).sample([1.0], 5).X, at_once.X)
    with pytest.raises(LeakageError):
        check_evaluation(model, cells)
    other = PublishedScNODE(**DEEP, pretrain_steps=0, joint_steps=0).fit(cells[:, 1:])
    with pytest.raises(ValueError, match="of 20 genes, and the model was fitted on 19"):
        other.load_published(weights)
