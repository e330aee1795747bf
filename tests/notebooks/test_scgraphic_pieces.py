"""The pieces of "scGrapHiC by hand" equal the package's; numbers of the benchmarks are theirs."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from scstlib.models.spatial.scgraphic.published_network import ScGrapHiCNetwork
from scstlib.preprocess.contacts import laplacian_encodings, normalise_depth
from tests.notebooks.pieces import functions_of_page
from tools import notebooks

BINS = 14
PAGES = notebooks.ROOT / "notebooks" / "spatial"
PAGE, TORCH = "spatial/scgraphic_by_hand", {"functional": functional}


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
    page = functions_of_page(PAGE, {"layers": dict(network.named_modules()), **TORCH})
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


def test_the_graph_convolution_by_hand_is_what_the_switch_leaves_out(maps: np.ndarray) -> None:
    network = network_of(graph_fix=True)
    page = functions_of_page(PAGE, {"layers": dict(network.named_modules()), **TORCH})
    x = torch.randn(3, BINS, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    bulk = torch.as_tensor(normalise_depth(maps))
    conv = network.graph_encoder.convs[0].conv
    with torch.no_grad():
        torch.testing.assert_close(page.gatv2(conv, x, bulk), conv(x, bulk))
        used, unused = (
            page.graph_block("graph_encoder.convs.0", x, bulk, f) for f in (True, False)
        )
    assert not torch.allclose(used, unused)


def test_encodings_by_hand_are_the_package_s_up_to_their_sign(maps: np.ndarray) -> None:
    page = functions_of_page(PAGE, TORCH)
    full = normalise_depth(maps)[
        [0, 2]
    ]  # For an empty bin the package has a convention of its own.
    ours, theirs = page.encode(full, 4), laplacian_encodings(full, 4)
    same, turned = (np.abs(each - theirs).max(axis=1) for each in (ours, 1 - ours))
    assert np.minimum(same, turned).max() < 1e-8
    assert np.isfinite(page.encode(normalise_depth(maps), 4)).all()


def test_numbers_that_the_pages_take_from_the_benchmarks_are_theirs() -> None:
    results = notebooks.ROOT / "benchmarks" / "results" / "spatial.json"
    summary = json.loads(results.read_text(encoding="utf-8"))["summary"]
    rows = {row["row"]: row for row in summary["scores"] if row["part"] == "seen"}
    cost = {row["case"]: row for row in summary["cost"]}
    text = {
        name: " ".join((PAGES / f"scgraphic_{name}.py").read_text(encoding="utf-8").split("\n# "))
        for name in ("limits", "package")
    }
    published, copied = (f"{rows[name]['SCC']:.3f}" for name in ("published", "bulk copied"))
    assert (
        f"of {published} with the measured maps. The copied bulk map has {copied}" in text["limits"]
    )
    trees, default = rows["gradient boosting"], rows["default"]
    assert (
        f"a dC of {default['dC']:.3f}, boosted trees on the same inputs {trees['dC']:.3f} and ridge"
        f" regression {rows['bulk + ridge']['dC']:.3f}; its SCC with the targets is"
        f" {default['SCC']:.3f}, that of the trees {trees['SCC']:.3f}"
    ) in text["package"]
    step, memory = (
        cost[f"{what} published fp32"][unit] / cost[f"{what} default fp32"][unit]
        for what, unit in (("step", "seconds"), ("memory", "megabytes"))
    )
    assert "takes a tenth of the published network's time" in text["package"]
    assert "an eighth of its memory" in text["package"]
    assert step == pytest.approx(10, abs=0.5)
    assert memory == pytest.approx(8, abs=1)
