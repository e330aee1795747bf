"""scGrapHiC, default and published, on a GPU: the values of the CPU, and runs that repeat."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from scstlib.models import PublishedScGrapHiC, ScGrapHiC
from tests.models.spatial.spatial_data import spatial_windows

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
MODELS = {
    ScGrapHiC: {"n_steps": 5, "dropout": 0.0, "seed": 1},
    PublishedScGrapHiC: {
        "epochs": 2, "batch_size": 4, "dropout": 0.0, "head_init": "mended", "seed": 1,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def windows():
    return spatial_windows()[0]


def fitted(model: type, windows, device: str = "cuda", **how: object):
    return model(**MODELS[model]).fit(windows, device=device, progress=False, **how)


@pytest.mark.parametrize(("kind", "rtol"), [(ScGrapHiC, 1e-3), (PublishedScGrapHiC, 0.02)])
def test_a_gpu_learns_what_a_cpu_does(kind, rtol, windows):
    on_gpu, on_cpu = (fitted(kind, windows, device) for device in ("cuda", "cpu"))
    assert_allclose(on_gpu.losses_["train"], on_cpu.losses_["train"], rtol=rtol)
    expected = on_cpu.predict(windows)
    away = np.abs(on_gpu.predict(windows) - expected).mean()
    assert away < rtol * expected.mean()


@pytest.mark.parametrize("kind", MODELS)
def test_a_model_of_a_gpu_is_read_on_a_cpu(kind, windows, tmp_path):
    model = fitted(kind, windows)
    model.save(tmp_path / "model.safetensors")
    loaded = kind.load(tmp_path / "model.safetensors", device="cpu")
    expected = model.predict(windows)
    assert_allclose(loaded.predict(windows), expected, rtol=1e-3, atol=1e-4 * expected.max())


@pytest.mark.parametrize("kind", MODELS)
def test_a_run_on_a_gpu_repeats(kind, windows):
    first, second = (fitted(kind, windows) for _ in range(2))
    assert_allclose(first.losses_["train"], second.losses_["train"], rtol=1e-5)
    expected = first.predict(windows)
    assert_allclose(second.predict(windows), expected, rtol=1e-3, atol=1e-4 * expected.max())


def test_maps_of_a_gpu_are_symmetric_to_the_last_bit(windows):
    maps = fitted(ScGrapHiC, windows).predict(windows)
    assert np.isfinite(maps).all()
    assert_array_equal(maps, maps.swapaxes(1, 2))


def test_half_precision_on_a_gpu_is_near_single(windows):
    half, single = (
        fitted(ScGrapHiC, windows, precision=precision).losses_["train"]
        for precision in ("bf16-mixed", "32-true")
    )
    assert_allclose(half, single, rtol=0.02)


def test_a_run_broken_off_on_a_gpu_goes_on(windows, tmp_path, monkeypatch):
    from scstlib.models.spatial.scgraphic import default as scgraphic_default

    monkeypatch.setattr(scgraphic_default, "CHECKPOINT_EVERY", 1)
    whole = fitted(ScGrapHiC, windows)
    original, calls = torch.nn.utils.clip_grad_norm_, []

    def break_off(*arguments: object, **more: object) -> object:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return original(*arguments, **more)

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", break_off)
    with pytest.raises(KeyboardInterrupt):
        fitted(ScGrapHiC, windows, checkpoint=tmp_path / "run.pt")
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", original)
    resumed = fitted(ScGrapHiC, windows, checkpoint=tmp_path / "run.pt")
    assert_allclose(resumed.losses_["train"], whole.losses_["train"], rtol=1e-4)
