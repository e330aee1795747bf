"""The pieces of "scGrapHiC by hand" equal the package's, whatever the sizes and weights."""

from __future__ import annotations

import ast
from types import SimpleNamespace
from typing import Any

import nbformat
import numpy as np
import pytest
import torch
from torch.nn import functional

from scstlib.models.spatial.scgraphic.features import view_bulk
from scstlib.models.spatial.scgraphic.loss import contrast_loss, count_loss
from scstlib.models.spatial.scgraphic.published_network import ScGrapHiCNetwork
from scstlib.preprocess.contacts import laplacian_encodings, normalise_depth, smooth_eigenvalues
from scstlib.preprocess.guides import bin_features
from scstlib.preprocess.tracks import scale_per_window
from tools import notebooks, pair

BINS = 14
NAMES = (
    "expression +", "expression -", "reference expression +", "reference expression -",
    "bulk expression +", "bulk expression -", "CTCF +", "CTCF -", "CpG",
)  # fmt: skip


def functions_of_the_page(names: dict[str, Any]) -> SimpleNamespace:
    """The functions that the page defines; ``names`` stands for what they use of the page."""
    source = notebooks.ROOT / "notebooks" / "spatial" / "scgraphic_by_hand.py"
    page = nbformat.reads(pair.derive(source), as_version=4)
    space = {"np": np, "torch": torch, "functional": functional, **names}
    for cell in page.cells:
        if cell.cell_type == "code":
            statements = ast.parse(cell.source).body
            found: list[ast.stmt] = [n for n in statements if isinstance(n, ast.FunctionDef)]
            exec(compile(ast.Module(found, []), source.stem, "exec"), space)
    return SimpleNamespace(**space)


@pytest.fixture
def maps() -> np.ndarray:
    """Counts with an empty bin and missing pixels."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(3.0, (3, BINS, BINS))
    counts = np.triu(counts) + np.triu(counts, 1).swapaxes(1, 2)
    counts[1, 4] = counts[1, :, 4] = 0
    return counts.astype(float)


def network_of(**settings: Any) -> ScGrapHiCNetwork:
    """A small network with no parameter and no running mean at its first value."""
    sizes = {"width": 8, "encodings": 3, "conv_kernel": 4, "last_kernel": 3}
    network = ScGrapHiCNetwork(5, **sizes, **settings).double().eval()
    generator = torch.Generator().manual_seed(1)
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            drawn = torch.randn(value.shape, generator=generator, dtype=torch.float64)
            value.copy_(drawn.abs() + 0.5 if "running_var" in name else 0.4 * drawn)
    return network


@pytest.mark.parametrize("fix", [False, True])
def test_the_published_network_by_hand_is_the_package_s(maps: np.ndarray, fix: bool) -> None:
    network = network_of(graph_fix=fix)
    page = functions_of_the_page({"W": dict(network.state_dict())})
    rng = torch.Generator().manual_seed(2)
    tracks = torch.rand(3, BINS, 5, generator=rng, dtype=torch.float64)
    bulk = torch.as_tensor(normalise_depth(maps))
    encodings = torch.as_tensor(laplacian_encodings(bulk.numpy(), 3))
    with torch.no_grad():
        nodes = page.node_features(tracks, encodings)
        torch.testing.assert_close(nodes, network.chipseq_processor(tracks, encodings))
        latents = page.graph_encoder(nodes, encodings, bulk, fix=fix)
        torch.testing.assert_close(latents, network.graph_encoder(nodes, encodings, bulk))
        torch.testing.assert_close(page.decode(latents), network(tracks, encodings, bulk))


def test_maps_and_tracks_are_prepared_as_by_the_package(maps: np.ndarray) -> None:
    page = functions_of_the_page({})
    on_scale = page.scaled(maps)
    np.testing.assert_allclose(on_scale, normalise_depth(maps))
    np.testing.assert_allclose(page.smoothed(on_scale), smooth_eigenvalues(on_scale), atol=1e-12)
    full = on_scale[[0, 2]]  # An empty bin has encodings of its own convention in the package.
    ours, theirs = page.encode(full, 4), laplacian_encodings(full, 4)
    same, turned = (np.abs(each - theirs).max(axis=1) for each in (ours, 1 - ours))
    assert np.minimum(same, turned).max() < 1e-8
    tracks = np.random.default_rng(1).gamma(1.0, size=(3, BINS, 4))
    tracks[:, :, 2] = 3
    np.testing.assert_allclose(page.scaled_tracks(tracks), scale_per_window(tracks))


def test_the_default_reads_the_bulk_map_and_the_guide_as_on_the_page(maps: np.ndarray) -> None:
    distance = np.abs(np.subtract.outer(np.arange(BINS), np.arange(BINS)))
    page = functions_of_the_page({"distance": distance, "names": NAMES})
    usable = maps.any(axis=2)
    log_decay = -np.log1p(np.arange(BINS))
    ours = page.by_distance_and_visibility(maps, usable, log_decay)
    given = (torch.as_tensor(maps).float(), torch.as_tensor(usable))
    view = view_bulk(*given, torch.as_tensor(log_decay).float())
    both = usable[:, :, None] & usable[:, None, :]
    np.testing.assert_allclose(np.log(ours[both]), view.maps[:, -1].numpy()[both], atol=1e-4)
    tracks = np.random.default_rng(1).gamma(1.0, size=(3, BINS, len(NAMES)))
    theirs, _ = bin_features(tracks, NAMES, 0.2)
    np.testing.assert_allclose(page.guide(tracks, 0.2), theirs, atol=1e-5)


def test_the_losses_of_the_page_have_the_gradients_of_the_package_s() -> None:
    page = functions_of_the_page({})
    generator = torch.Generator().manual_seed(0)
    counts = torch.poisson(torch.full((3, 50), 4.0, dtype=torch.float64), generator=generator)
    log_mean = torch.randn(3, 50, generator=generator, dtype=torch.float64).requires_grad_()
    every, place = torch.ones_like(counts, dtype=torch.bool), torch.zeros(3)
    pairs = {
        "counts": (
            page.loss_of_counts(counts, log_mean, 0.3),
            count_loss(counts, log_mean, every, 0.3),
        ),
        "division": (
            page.loss_of_division(counts, log_mean),
            contrast_loss(counts, log_mean, every, place, 0.0),
        ),
    }
    for name, losses in pairs.items():
        ours, theirs = (torch.autograd.grad(loss, log_mean)[0] for loss in losses)
        assert float(ours.abs().max()) > 1e-4
        torch.testing.assert_close(ours, theirs, msg=name)
