"""The pieces of the two pages on scNODE equal the package's, whatever the sizes and weights."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from scstlib.models.temporal.scnode.count_factors import fit_count_factors
from scstlib.models.temporal.scnode.published_network import ScNODENetwork
from scstlib.models.temporal.scnode.published_training import Batch, Comparison, joint_loss
from scstlib.ot import sinkhorn_divergence
from tests.notebooks.pieces import functions_of_page

GENES, LATENT, HIDDEN = 11, 4, 7


@pytest.fixture
def page() -> SimpleNamespace:
    torch.manual_seed(3)
    layers = {
        "features": nn.Linear(GENES, LATENT),
        "mean": nn.Linear(LATENT, LATENT),
        "spread": nn.Linear(LATENT, LATENT),
        "drift": nn.Sequential(
            nn.Linear(LATENT, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, LATENT), nn.ReLU()
        ),
        "decode": nn.Linear(LATENT, GENES),
    }
    by_hand = nn.ModuleList(layers.values()).double()
    clock = torch.tensor([0.0, 1.0, 3.0, 3.5], dtype=torch.float64)
    return functions_of_page(
        "temporal/scnode_by_hand",
        {**layers, "by_hand": by_hand, "clock": clock, "pairwise": pairwise},
    )


@pytest.fixture
def network(page: SimpleNamespace) -> ScNODENetwork:
    network = ScNODENetwork(GENES, LATENT, [HIDDEN], [], []).double()
    vector_to_parameters(parameters_to_vector(page.by_hand.parameters()), network.parameters())
    return network


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def test_cells_are_encoded_and_moved_as_by_the_package(
    page: SimpleNamespace, network: ScNODENetwork
) -> None:
    points = page.encode(normal(9, GENES), normal(9, LATENT, seed=1))
    expected = network.encode(normal(9, GENES), normal(9, LATENT, seed=1))
    torch.testing.assert_close(points, expected)
    path = page.euler(points, page.clock)
    assert float((path[-1] - path[0]).detach().abs().max()) > 0.01
    torch.testing.assert_close(path, network.integrate(points, page.clock))


@pytest.mark.parametrize("sizes", [(5, 8), (8, 5), (1, 6)])
def test_the_divergence_and_its_gradient_are_the_package_s(
    page: SimpleNamespace, sizes: tuple[int, int]
) -> None:
    clouds = normal(sizes[0], 3).requires_grad_(), normal(sizes[1], 3, seed=1) + 0.5
    ours, theirs = page.divergence(*clouds), sinkhorn_divergence(*clouds)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    gradients = [torch.autograd.grad(value, clouds[0])[0] for value in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-12)


def test_a_training_step_is_the_package_s(page: SimpleNamespace, network: ScNODENetwork) -> None:
    n_times = len(page.clock)
    batch = Batch(
        start=normal(5, GENES),
        start_eps=normal(5, LATENT, seed=1),
        target=normal(n_times, 8, GENES, seed=2),
        encoded=normal(n_times, 5, GENES, seed=3),
        encoded_eps=normal(n_times, 5, LATENT, seed=4),
    )
    in_genes, in_latent = joint_loss(network, page.clock, batch, Comparison())
    ours, theirs = page.loss_of(batch), in_genes + in_latent
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=0)
    ours.backward()
    theirs.backward()
    for mine, other in zip(page.by_hand.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-7, atol=1e-10)


def test_encoded_counts_are_a_mode_of_the_posterior_of_the_page() -> None:
    rng = np.random.default_rng(0)
    rates = np.exp(rng.standard_normal((60, 2)) @ rng.standard_normal((2, 30)))
    counts = torch.as_tensor(rng.poisson(20 * rates), dtype=torch.float32)
    factors = fit_count_factors(counts, 2, 2, counts.sum(1).numpy(), seed=0)
    page = functions_of_page("temporal/scnode_package", {"factors": factors})
    mode = (factors.encode(counts) / factors.scale).requires_grad_()
    (slope,) = torch.autograd.grad(page.log_posterior(mode, counts).sum(), mode)
    away = mode.detach() + 0.2
    (steep,) = torch.autograd.grad(page.log_posterior(away.requires_grad_(), counts).sum(), away)
    assert float(slope.norm(dim=1).max()) < 0.05 * float(steep.norm(dim=1).median())
