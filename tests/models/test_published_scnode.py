"""scNODE equals the authors' code, value for value (fixtures computed with commit ba55e8d)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from scstlib.models.scnode_networks import ScNODENetwork, joint_loss
from scstlib.ot import sinkhorn_divergence

SIZES = {
    "deep": {"encoder_hidden": [10], "decoder_hidden": [12]},
    "zebrafish": {"encoder_hidden": [], "decoder_hidden": []},
}


@pytest.fixture(scope="module")
def published() -> dict[str, np.ndarray]:
    with np.load(Path(__file__).with_name("published_scnode.npz")) as file:
        return {name: file[name] for name in file.files}


def network_of(published: dict[str, np.ndarray], part: str, sizes: dict) -> ScNODENetwork:
    network = ScNODENetwork(20, 6, [8, 8], **sizes)
    prefix = f"{part}/state/"
    weights = {k.removeprefix(prefix): v for k, v in published.items() if k.startswith(prefix)}
    network.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    return network


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
    batch = {
        name: torch.from_numpy(published[f"step/{name}"])
        for name in ("times", "start", "eps", "target", "encoded", "eps_encoded")
    }
    in_genes, in_latent = joint_loss(
        network,
        batch["times"],
        batch["start"],
        batch["eps"],
        batch["target"],
        batch["encoded"],
        batch["eps_encoded"],
    )
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
    names = ("times", "start", "eps", "target", "encoded", "eps_encoded")
    batch = [torch.from_numpy(published[f"step/{name}"]) for name in names]
    values, gradients = [], []
    for constant_terms in (True, False):
        network.zero_grad()
        loss = sum(joint_loss(network, *batch, constant_terms=constant_terms))
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
