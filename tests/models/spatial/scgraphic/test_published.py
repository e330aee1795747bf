"""scGrapHiC equals the authors' code, value for value (fixtures computed with commit 8019e1f)."""

from __future__ import annotations

from dataclasses import replace
from inspect import signature
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from scstlib.leakage import LeakageError, check_evaluation
from scstlib.models import PublishedScGrapHiC, load
from scstlib.models.spatial.scgraphic.published_inputs import read_inputs
from scstlib.models.spatial.scgraphic.published_network import (
    ScGrapHiCNetwork,
    convolve,
    graph_layers,
    scale,
)
from scstlib.preprocess.contacts import normalise_depth, smooth_eigenvalues
from scstlib.preprocess.windows import Windows

SIZES = {
    "width": 8, "encodings": 4, "node_blocks": 2, "attention_blocks": 2, "residual_blocks": 2,
}  # fmt: skip
TRACKS = ("expression +", "expression -", "CTCF +", "CTCF -", "CpG")


@pytest.fixture(scope="module")
def published() -> dict[str, np.ndarray]:
    with np.load(Path(__file__).with_name("published_scgraphic.npz")) as file:
        return {name: file[name] for name in file.files}


def weights_of(published: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    prefix = "state/"
    return {k.removeprefix(prefix): v for k, v in published.items() if k.startswith(prefix)}


def windows_of(published: dict[str, np.ndarray]) -> Windows:
    counts = published["counts"]
    table = pd.DataFrame(
        {"chrom": "chr1", "start": [0, 24, 48], "end": [24, 48, 72], "cell_type": "A"}
    )
    mask = np.ones(counts.shape[:2], dtype=bool)
    return Windows(counts, published["node_features"], None, table, 1, mask, TRACKS)


GEOMETRIC = pytest.param("torch_geometric", marks=pytest.mark.slow)  # Its import takes seconds.


@pytest.mark.parametrize("layers", ["dense", GEOMETRIC])
@pytest.mark.parametrize(("fix", "name"), [(False, "published"), (True, "graph_fixed")])
def test_outputs_equal_the_published_values(published, fix, name, layers):
    network = ScGrapHiCNetwork(5, graph_fix=fix, graph_layers=layers, **SIZES)
    weights = {key: torch.as_tensor(value) for key, value in weights_of(published).items()}
    network.load_state_dict(weights)
    given = ("node_features", "laplacian_encodings", "library_normalised")
    with torch.no_grad():
        maps = network.eval()(*(torch.from_numpy(published[key]).float() for key in given))
    assert_allclose(maps.numpy(), published[f"output_{name}"][:, 0], atol=1e-5)


def test_maps_are_prepared_as_published(published):
    read = read_inputs(windows_of(published), None, 4)
    assert_allclose(read.bulk, published["library_normalised"], atol=1e-6)
    theirs = published["laplacian_encodings"]
    # An eigenvector has no sign; with the other one the encoding is 1 minus this one.
    same, flipped = (
        np.abs(each - theirs).max(axis=1) for each in (read.encodings, 1 - read.encodings)
    )
    assert np.minimum(same, flipped).max() < 1e-5
    smoothed = smooth_eigenvalues(normalise_depth(published["counts"]))
    assert_allclose(smoothed, published["smoothed"], atol=1e-6)


def test_published_sizes():
    network = ScGrapHiCNetwork(5)
    assert sum(weight.numel() for weight in network.parameters()) == 196_949
    block = network.graph_encoder.convs[0]
    unused = [*block.conv.parameters(), *block.linear.parameters()]
    assert sum(weight.numel() for weight in unused) == 3264


@pytest.mark.slow
def test_dense_layers_equal_torch_geometric():
    """Also where pixels are missing, a bin has no neighbour, and the diagonal is full."""
    rng = torch.Generator().manual_seed(0)
    bulk = torch.rand(3, 12, 12, generator=rng)
    bulk = (bulk + bulk.transpose(1, 2)) * (torch.rand(3, 12, 12, generator=rng) > 0.5)
    bulk = bulk * bulk.transpose(1, 2)
    bulk[1, 4] = bulk[1, :, 4] = 0
    bulk[2] = 0
    x = torch.randn(3, 12, 6, generator=rng)
    dense, geometric = (graph_layers(6, kind) for kind in ("dense", "torch_geometric"))
    for ours, theirs, apply in zip(
        dense, geometric, (lambda layer: convolve(layer, x, bulk), lambda layer: scale(layer, x)),
        strict=True,
    ):  # fmt: skip
        for weight in theirs.parameters():
            torch.nn.init.normal_(weight, generator=rng)
        ours.load_state_dict(theirs.state_dict())
        assert_allclose(apply(ours).detach(), apply(theirs).detach(), atol=1e-5)


@pytest.mark.parametrize("as_given", [torch.from_numpy, np.asarray])
def test_weights_of_the_authors_give_their_values_without_data(published, as_given):
    """Through the public class, on the arrays of the fixture, which are not scaled by window."""
    weights = {name: as_given(value) for name, value in weights_of(published).items()}
    model = PublishedScGrapHiC(**SIZES).load_published(weights, device="cpu")
    given = ("node_features", "laplacian_encodings", "library_normalised")
    with torch.no_grad():
        maps = model.network_(*(torch.from_numpy(published[k]).float() for k in given))
    assert_allclose(maps.numpy(), published["output_published"][:, 0], atol=1e-5)


def test_loaded_weights_predict_for_windows_with_as_many_tracks(published, tmp_path):
    weights, windows = weights_of(published), windows_of(published)
    model = PublishedScGrapHiC(**SIZES).load_published(weights, device="cpu")
    raw = model.raw_output(windows)
    assert raw.shape == (3, 24, 24)
    known = PublishedScGrapHiC(**SIZES).load_published(weights, windows, device="cpu")
    assert_array_equal(known.raw_output(windows), raw)
    fewer = replace(windows, tracks=windows.tracks[..., 1:], track_names=TRACKS[1:])
    with pytest.raises(ValueError, match="reads 5 tracks, these windows have 4"):
        model.predict(fewer)
    wide = replace(windows, bin_size=2)
    model.predict(wide)
    with pytest.raises(ValueError, match="fitted on bins of 1 bp"):
        known.predict(wide)
    model.save(tmp_path / "model")
    loaded = load(tmp_path / "model", device="cpu")
    assert_array_equal(loaded.raw_output(windows), raw)


def test_the_leak_guard_knows_only_what_loaded_weights_were_said_to_be_trained_on(published):
    weights, windows = weights_of(published), windows_of(published)
    check_evaluation(PublishedScGrapHiC(**SIZES).load_published(weights), windows)
    with pytest.raises(LeakageError):
        check_evaluation(PublishedScGrapHiC(**SIZES).load_published(weights, windows), windows)


def test_tracks_scaled_by_the_training_range_need_the_training_windows(published):
    model = PublishedScGrapHiC(**SIZES, feature_scaling="global")
    with pytest.raises(ValueError, match="range of the training windows: give load_published"):
        model.load_published(weights_of(published))
    windows = windows_of(published)
    assert len(model.load_published(weights_of(published), windows).predict(windows)) == 3


def test_the_network_and_the_model_have_the_same_defaults():
    network, model = signature(ScGrapHiCNetwork).parameters, signature(PublishedScGrapHiC)
    shared = {name: p.default for name, p in network.items() if name != "n_tracks"}
    assert shared == {name: model.parameters[name].default for name in shared}


def test_weights_that_do_not_fit_are_named(published):
    weights = weights_of(published)
    lacking = dict(weights)
    lacking["decoder.other"] = lacking.pop("decoder.conv.bias")
    with pytest.raises(ValueError, match=r"lacks.*decoder\.conv\.bias.*has.*other"):
        PublishedScGrapHiC(**SIZES).load_published(lacking)
    wide = PublishedScGrapHiC(**{**SIZES, "conv_kernel": 15})
    with pytest.raises(ValueError, match=r"\(8, 9, 16\).*\(8, 9, 15\).*conv_kernel"):
        wide.load_published(weights)
