"""The published scGrapHiC: its switches one at a time, training, files."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from scstlib.leakage import LeakageError, check_evaluation
from scstlib.models import PublishedScGrapHiC
from scstlib.models.spatial.scgraphic.published_inputs import Batches, read_inputs
from scstlib.models.spatial.scgraphic.published_network import ScGrapHiCNetwork
from scstlib.preprocess.contacts import normalise_depth, smooth_eigenvalues
from scstlib.preprocess.windows import Windows

TRACKS = (
    "expression +", "expression -", "reference expression +", "reference expression -",
    "bulk expression +", "bulk expression -", "CTCF +", "CTCF -", "CpG",
)  # fmt: skip
SIZES = {
    "width": 8, "encodings": 4, "node_blocks": 1, "attention_blocks": 1, "residual_blocks": 1,
    "conv_kernel": 4, "last_kernel": 3,
}  # fmt: skip
SHORT = {**SIZES, "epochs": 2, "batch_size": 4}


def windows_of(chrom: str, seed: int = 0, bins: int = 16) -> Windows:
    """Two places, two cell types; expression strengthens a block of a cell type's map."""
    rng = np.random.default_rng(seed)
    distance = np.abs(np.subtract.outer(np.arange(bins), np.arange(bins)))
    bulk = rng.poisson(60 / (1 + distance), (2, bins, bins))
    bulk = np.triu(bulk) + np.triu(bulk, 1).swapaxes(1, 2)
    bulk = np.repeat(bulk, 2, axis=0).astype(np.float32)
    tracks = rng.gamma(1.0, size=(4, bins, len(TRACKS))).astype(np.float32)
    active = tracks[..., 0] + tracks[..., 1]
    targets = np.round(bulk * (1 + 0.2 * (active[:, :, None] + active[:, None, :])))
    table = pd.DataFrame(
        {
            "chrom": chrom,
            "start": np.repeat([0, bins], 2) * 1000,
            "end": np.repeat([bins, 2 * bins], 2) * 1000,
            "cell_type": ["A", "B"] * 2,
        }
    )
    return Windows(bulk, tracks, targets, table, 1000, np.ones((4, bins), bool), TRACKS)


@pytest.fixture(scope="module")
def train() -> Windows:
    return windows_of("chr1")


@pytest.fixture(scope="module")
def test() -> Windows:
    return windows_of("chr2", seed=5)


def fit(windows: Windows, **settings) -> PublishedScGrapHiC:
    return PublishedScGrapHiC(**{**SHORT, **settings}).fit(windows, device="cpu")


def network_and_inputs(windows: Windows, **settings):
    torch.manual_seed(0)
    network = ScGrapHiCNetwork(5, **SIZES, **settings).eval()
    read = read_inputs(windows, None, SIZES["encodings"])
    tensors = (torch.as_tensor(a, dtype=torch.float32) for a in read[:3])
    return network, read._replace(**dict(zip(read._fields, tensors, strict=False)))


@pytest.mark.parametrize("fix", [False, True])
def test_graph_fix_alone_decides_whether_the_convolution_is_used(train, fix):
    network, inputs = network_and_inputs(train, graph_fix=fix)
    features, encodings, bulk = inputs.of(slice(None))
    maps = network(features, encodings, bulk)
    maps.sum().backward()
    block = network.graph_encoder.convs[0]
    gradients = [w.grad for w in (*block.conv.parameters(), *block.linear.parameters())]
    assert all((g is not None) == fix for g in gradients)
    assert all(w.grad is not None for w in block.bn.parameters())
    other = torch.rand(bulk.shape, generator=torch.Generator().manual_seed(1))
    moved = network(features, encodings, other + other.transpose(1, 2))
    assert torch.equal(maps, moved) != fix
    assert torch.equal(maps, network(features, encodings, torch.zeros_like(bulk))) != fix


def test_symmetrize_alone_makes_the_network_symmetric(train):
    plain, inputs = network_and_inputs(train)
    symmetric, _ = network_and_inputs(train, symmetrize=True)
    with torch.no_grad():
        maps, mean = (network(*inputs.of(slice(None))) for network in (plain, symmetric))
    assert (maps - maps.transpose(1, 2)).abs().max() > 1e-3
    assert torch.equal(mean, mean.transpose(1, 2))
    assert_allclose(mean, (maps + maps.transpose(1, 2)) / 2, atol=1e-6)


def test_the_mended_head_starts_at_the_mean_of_the_targets(train):
    starts = {kind: fit(train, head_init=kind, epochs=0) for kind in ("published", "mended")}
    raw = {kind: model.raw_output(train) for kind, model in starts.items()}
    assert np.ptp(raw["mended"]) < 1e-6
    targets = smooth_eigenvalues(normalise_depth(train.targets))
    assert raw["mended"].mean() == pytest.approx(targets.mean(), rel=1e-4)
    assert np.ptp(raw["published"]) > 0.01
    same = [model.network_.chipseq_processor for model in starts.values()]
    for one, other in zip(*(part.parameters() for part in same), strict=True):
        assert torch.equal(one, other)


def test_global_scaling_keeps_the_level_of_expression(train):
    """Twice the expression is the same to scaling by window, and is seen with global scaling."""
    more = train.tracks.copy()
    more[..., :2] *= 2
    louder = replace(train, tracks=more)
    for kind, sees in (("window", False), ("global", True)):
        model = fit(train, feature_scaling=kind)
        moved = np.abs(model.raw_output(louder) - model.raw_output(train)).max()
        assert (moved > 1e-4) == sees, kind


def test_tracks_of_the_bulk_and_of_the_reference_are_not_read(train, test):
    model = fit(train)
    other = test.tracks.copy()
    other[..., 2:6] = 7
    assert_array_equal(model.predict(replace(test, tracks=other)), model.predict(test))
    with pytest.raises(ValueError, match="none of the tracks"):
        PublishedScGrapHiC().fit(replace(train, track_names=("bulk x",) * 9))


def test_predictions_are_contacts(train, test):
    model = fit(train)
    mask = test.mask.copy()
    mask[1, 3] = False
    holed = replace(
        test,
        mask=mask,
        bulk=(test.bulk * mask[:, :, None] * mask[:, None, :]).astype(np.float32),
    )
    maps = model.predict(holed)
    assert maps.shape == test.bulk.shape
    assert maps.dtype == np.float32
    assert_array_equal(maps, maps.swapaxes(1, 2))
    assert (maps[1, 3] == 0).all()
    assert (maps[1, 4] > 0).any()
    assert_allclose(model.predict(holed, depth=2.5), 2.5 * maps, rtol=1e-5)
    with pytest.raises(ValueError, match="depth"):
        model.predict(test, depth=0)


def test_a_network_that_returned_its_bulk_map_would_predict_it(train, monkeypatch):
    """What is normalised comes back as it was: contacts, not a scale."""
    model = fit(train)
    monkeypatch.setattr(type(model), "_run", lambda _, inputs: inputs.bulk[inputs.map_of].numpy())
    assert_allclose(model.predict(train), train.bulk, rtol=1e-4, atol=1e-4)


def test_cell_types_share_the_encodings_of_a_bulk_map(train):
    read = read_inputs(train, None, 4)
    assert read.encodings.shape == (2, 16, 4)
    assert read.bulk.shape == (2, 16, 16)
    assert_array_equal(read.map_of, [0, 0, 1, 1])


def test_every_epoch_goes_through_all_windows():
    batches = Batches(10, 4, seed=0)
    steps = [batches(step) for step in range(6)]
    assert [len(rows) for rows in steps] == [4, 4, 2] * 2
    first, second = np.concatenate(steps[:3]), np.concatenate(steps[3:])
    assert_array_equal(np.sort(first), np.arange(10))
    assert_array_equal(np.sort(second), np.arange(10))
    assert (first != second).any()


def test_training_lowers_the_loss_and_validation_keeps_the_best(train, test):
    long = {**SHORT, "epochs": 60, "validate_every": 2, "patience": 5, "head_init": "mended"}
    model = PublishedScGrapHiC(**long).fit(train, validation=test, device="cpu")
    losses, validation = model.losses_["train"], model.losses_["validation"]
    assert np.median(losses[-5:]) < 0.7 * losses[0]
    assert len(validation) == 30 or np.argmin(validation) == len(validation) - 6
    again = model._validation(test)()
    assert again == pytest.approx(validation.min(), abs=1e-5)
    with pytest.raises(LeakageError):
        check_evaluation(model, test)


def test_seeds_decide_the_model_and_leave_the_global_generator_alone(train):
    torch.manual_seed(11)
    expected = torch.rand(1).item()
    torch.manual_seed(11)
    one = fit(train, seed=2)
    assert torch.rand(1).item() == expected
    two, other = fit(train, seed=2), fit(train, seed=3)
    assert_array_equal(one.predict(train), two.predict(train))
    assert np.abs(one.predict(train) - other.predict(train)).max() > 1e-3


def test_a_run_that_goes_on_equals_an_unbroken_one(train, test, tmp_path, monkeypatch):
    whole = fit(train, epochs=6)
    calls = Batches.__call__

    def breaks(self, step):
        if step == 4:
            raise KeyboardInterrupt
        return calls(self, step)

    monkeypatch.setattr("scstlib.models.spatial.scgraphic.published.CHECKPOINT_EVERY", 1)
    monkeypatch.setattr(Batches, "__call__", breaks)
    settings = {**SHORT, "epochs": 6}
    with pytest.raises(KeyboardInterrupt):
        PublishedScGrapHiC(**settings).fit(train, device="cpu", checkpoint=tmp_path / "run")
    monkeypatch.setattr(Batches, "__call__", calls)
    model = PublishedScGrapHiC(**settings)
    model.fit(train, device="cpu", checkpoint=tmp_path / "run")
    assert_array_equal(model.predict(test), whole.predict(test))
    for name, value in whole.network_.state_dict().items():  # Counters of batches, too.
        assert_array_equal(model.network_.state_dict()[name], value, err_msg=name)
    with pytest.raises(ValueError, match="another run"):
        PublishedScGrapHiC(**settings).fit(test, device="cpu", checkpoint=tmp_path / "run")


def test_other_window_sizes_can_be_predicted(train):
    assert fit(train).predict(windows_of("chr2", bins=23)).shape == (4, 23, 23)


def test_bad_input_is_named(train, test):
    model = PublishedScGrapHiC(**SHORT)
    with pytest.raises(ValueError, match="not fitted"):
        model.predict(test)
    with pytest.raises(ValueError, match="not fitted"):
        model.save("nowhere")
    with pytest.raises(ValueError, match="no targets"):
        model.fit(replace(train, targets=None))
    fitted = fit(train)
    with pytest.raises(ValueError, match="fitted on the tracks"):
        fitted.predict(replace(test, track_names=TRACKS[::-1]))
    with pytest.raises(ValueError, match="bins of 1,000 bp"):
        fitted.predict(replace(test, bin_size=500))
    for settings in (
        {"head_init": "x"}, {"encodings": 40}, {"last_kernel": 4}, {"batch_size": 0},
        {"validate_every": 0}, {"dropout": 1.5}, {"learning_rate": -0.1}, {"epochs": -1},
    ):  # fmt: skip
        with pytest.raises(ValueError, match=str(next(iter(settings.values())))):
            PublishedScGrapHiC(**settings)
