from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from scstlib.training import (
    launch,
    minimise,
    parameter_dtype,
    resolve_device,
    run_state,
    seeded_weights,
)


class Broken(RuntimeError):
    pass


def noisy_run(breaks_at: int | None = None, **settings) -> tuple[torch.Tensor, np.ndarray]:
    """Fit a line to points that are drawn anew at each step."""
    generator = torch.Generator().manual_seed(3)
    line = torch.nn.Parameter(torch.zeros(2))

    def loss_of_step(step: int) -> torch.Tensor:
        if step == breaks_at:
            raise Broken
        x = torch.randn(8, generator=generator)
        y = 2 * x + 1 + 0.1 * torch.randn(8, generator=generator)
        return (line[0] * x + line[1] - y).square().mean()

    settings = {"n_steps": 60, "learning_rate": 0.1, "generators": [generator], **settings}
    history = minimise(loss_of_step, [line], **settings)
    return line.detach(), history.losses


def test_minimise_finds_the_minimum_of_a_parabola():
    x = torch.nn.Parameter(torch.tensor(5.0))
    losses = minimise(lambda _: (x - 2) ** 2, [x], n_steps=300, learning_rate=0.1).losses
    assert x.item() == pytest.approx(2, abs=1e-2)
    assert losses[0] == pytest.approx(9)
    assert len(losses) == 300


def test_a_learning_rate_that_falls_to_zero_makes_smaller_steps():
    """With a constant gradient Adam moves by the learning rate: half a cosine sums to half."""
    x = torch.nn.Parameter(torch.tensor(0.0, dtype=torch.float64))
    minimise(lambda _: -x, [x], n_steps=100, learning_rate=0.1, learning_rate_end=0.0)
    assert x.item() == pytest.approx(0.1 * 50.5, rel=1e-6)


def test_weight_decay_takes_a_share_of_each_parameter_off():
    """Without a gradient of its own a parameter shrinks by learning rate times decay a step."""
    x = torch.nn.Parameter(torch.tensor(1.0, dtype=torch.float64))
    minimise(lambda _: 0 * x, [x], n_steps=10, learning_rate=0.1, weight_decay=0.5)
    assert x.item() == pytest.approx(0.95**10)


def test_long_gradients_are_shortened_and_short_ones_left():
    """Adam passes over a constant factor, so the gradients themselves are looked at."""
    x = torch.nn.Parameter(torch.zeros(2))
    for scale, norm in ((30.0, 0.1), (0.01, 0.05)):
        slope = scale * torch.tensor([3.0, 4.0])
        minimise(
            lambda _, slope=slope: (slope * x).sum(),
            [x], n_steps=1, learning_rate=0.1, max_gradient_norm=0.1,
        )  # fmt: skip
        assert x.grad.norm().item() == pytest.approx(norm, rel=1e-4)
        assert_allclose(x.grad / x.grad.norm(), [0.6, 0.8], rtol=1e-5)


def test_a_loss_that_is_not_finite_stops_at_its_step():
    x = torch.nn.Parameter(torch.tensor(1.0))
    with pytest.raises(FloatingPointError, match="step 3 of 10"):
        minimise(lambda step: x * (np.nan if step == 3 else 1), [x], n_steps=10, learning_rate=0.1)


@pytest.mark.parametrize("breaks_at", [5, 37])
def test_a_resumed_run_equals_an_unbroken_one_bit_for_bit(tmp_path, breaks_at):
    path = tmp_path / "run.ckpt"
    whole, whole_losses = noisy_run(learning_rate_end=0.01)
    settings = {"checkpoint": path, "checkpoint_every": 10, "learning_rate_end": 0.01}
    with pytest.raises(Broken):
        noisy_run(breaks_at, **settings)
    assert path.exists() == (breaks_at > 10)
    line, losses = noisy_run(**settings)
    assert_array_equal(line, whole)
    assert_array_equal(losses, whole_losses)
    assert [p.name for p in tmp_path.iterdir()] == ["run.ckpt"]
    again, _ = noisy_run(breaks_at=0, **settings)
    assert_array_equal(again, whole, err_msg="a finished run is read, not made again")


def test_checkpoints_of_another_run_or_cut_short_are_refused(tmp_path):
    path = tmp_path / "run.ckpt"
    noisy_run(checkpoint=path, run="zebrafish")
    for other in ({"run": "drosophila"}, {"run": "zebrafish", "n_steps": 70}):
        with pytest.raises(ValueError, match=r"another run.*zebrafish"):
            noisy_run(checkpoint=path, **other)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match="cut short"):
        noisy_run(checkpoint=path, run="zebrafish")


def test_every_flipped_bit_and_every_cut_of_a_checkpoint_is_refused(tmp_path):
    path = tmp_path / "run.ckpt"
    noisy_run(checkpoint=path, n_steps=5)
    right = path.read_bytes()
    rng = np.random.default_rng(0)
    wrong = [right[:size] for size in rng.integers(0, len(right) - 90, 40)]
    for place in rng.integers(0, len(right), 150):
        changed = bytearray(right)
        changed[place] ^= 1 << int(rng.integers(8))
        wrong.append(bytes(changed))
    for content in wrong:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=str(path)):
            noisy_run(checkpoint=path, n_steps=5)
        assert path.read_bytes() == content, "what is no checkpoint is not overwritten"
    path.write_bytes(right.rpartition(run_state.MARK)[0])  # As files were before.
    noisy_run(checkpoint=path, n_steps=5)


CONTENTS = {
    "text": (b"step 3 of 10\n", "cut short or no checkpoint"),
    "nothing": (b"", "cut short or no checkpoint"),
    "a list": ([1, 2], "is no checkpoint of a training run"),
    "an empty one": ({}, "is no checkpoint of a training run"),
    "no losses": ({"losses": None}, "is no checkpoint of a training run"),
    "weights that are texts": ({"weights": ["x"]}, "weights that are no tensors"),
    "weights of another run": ({"weights": [torch.zeros(3)]}, "of another run"),
    "another number of generators": ({"generators": []}, "is damaged"),
    "a generator that is none": ({"generators": [torch.zeros(2)]}, "is damaged"),
    "no optimizer": ({"optimizer": {}}, "is damaged"),
}


@pytest.mark.parametrize("case", CONTENTS)
def test_what_is_no_checkpoint_is_named_and_kept(case, tmp_path):
    path = tmp_path / "run.ckpt"
    noisy_run(checkpoint=path, n_steps=5)
    content, said = CONTENTS[case]
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        held = torch.load(path, weights_only=True)
        torch.save(held | content if isinstance(content, dict) and content else content, path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"{path} .*{said}"):
        noisy_run(checkpoint=path, n_steps=5)
    assert path.read_bytes() == before


def test_two_runs_do_not_write_one_checkpoint(tmp_path):
    """The one that finds a file which it neither read nor wrote stops."""
    path = tmp_path / "run.ckpt"
    line = torch.nn.Parameter(torch.zeros(2))

    def loss_of_step(step: int) -> torch.Tensor:
        if step == 15:
            noisy_run(checkpoint=path.with_name("other"), n_steps=5)
            path.with_name("other").replace(path)
        return line.square().sum()

    with pytest.raises(ValueError, match="written by another run meanwhile"):
        minimise(
            loss_of_step, [line], n_steps=30, learning_rate=0.1, checkpoint=path,
            checkpoint_every=10,
        )  # fmt: skip
    noisy_run(checkpoint=path, n_steps=5)


def test_early_stopping_returns_to_the_best_parameters(tmp_path):
    """Every step moves x by 0.1; the validation is best at 1, after 10 steps."""

    def run(breaks_at: int | None = None) -> tuple[float, np.ndarray]:
        x = torch.nn.Parameter(torch.tensor(0.0, dtype=torch.float64))

        def loss_of_step(step: int) -> torch.Tensor:
            if step == breaks_at:
                raise Broken
            return -x

        history = minimise(
            loss_of_step, [x], n_steps=1000, learning_rate=0.1, patience=3, validate_every=5,
            validate=lambda: abs(x.item() - 1), checkpoint=tmp_path / "run", checkpoint_every=4,
        )  # fmt: skip
        return x.item(), history.validation_steps

    with pytest.raises(Broken):
        run(breaks_at=18)
    best, steps = run()
    assert best == pytest.approx(1, abs=1e-6)
    assert_array_equal(steps, [5, 10, 15, 20, 25])


def test_progress_is_shown_when_asked_for_and_not_in_a_pipe(capsys):
    noisy_run(label="counting")
    assert capsys.readouterr().err == ""
    noisy_run(label="counting", progress=True)
    assert "counting: 100%" in capsys.readouterr().err


def test_the_log_says_how_long_a_run_will_take(caplog, capsys, monkeypatch):
    """A step takes 2 s: told after 10 s, then once a minute, and at the end."""
    now = itertools.count(step=2.0)
    monkeypatch.setattr("scstlib.training.loop.time", SimpleNamespace(monotonic=lambda: next(now)))
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0))
    x = torch.nn.Parameter(torch.tensor(1.0))
    with caplog.at_level("INFO", logger="scstlib"):
        minimise(lambda _: x**2, [x], n_steps=80, learning_rate=0.0, label="counting")
    assert caplog.messages == [
        "counting: step 5 of 80, loss 1, about 3 min left",
        "counting: step 35 of 80, loss 1, about 90 s left",
        "counting: step 65 of 80, loss 1, about 30 s left",
        "counting: step 80 of 80, loss 1, done",
    ]
    assert capsys.readouterr() == ("", "")


def test_the_log_is_silent_on_a_run_of_less_than_ten_seconds(caplog):
    with caplog.at_level("INFO", logger="scstlib"):
        noisy_run()
    assert caplog.messages == []


@pytest.mark.parametrize(("threads", "load", "said"), [(2, 9.0, 1), (2, 1.0, 0), (1, 9.0, 0)])
def test_the_log_says_once_that_threads_wait_for_busy_cores(
    caplog, monkeypatch, threads, load, said
):
    monkeypatch.setattr("scstlib.training.loop.FIRST_NOTE", 0.0)
    monkeypatch.setattr("scstlib.training.loop.NOTE_EVERY", 0.0)
    monkeypatch.setattr("torch.get_num_threads", lambda: threads)
    monkeypatch.setattr("os.getloadavg", lambda: (load, load, load))
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    with caplog.at_level("INFO", logger="scstlib"):
        noisy_run()
    assert sum("OMP_NUM_THREADS=1" in message for message in caplog.messages) == said


def test_devices_and_precisions():
    assert resolve_device("cpu").type == "cpu"
    assert resolve_device("auto").type in ("cpu", "cuda")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="cuda"):
            resolve_device("cuda")
    for name in ("gpu", "gpu9", "cuda:", "cuda:-1", "meta", ""):
        with pytest.raises(ValueError, match=f"device must be 'auto', 'cpu', .*not '{name}'"):
            launch(name)
    with pytest.raises(ValueError, match="'cuda:99' was asked for"):
        resolve_device("cuda:99")
    assert parameter_dtype(launch("cpu", "64-true")) == torch.float64
    assert parameter_dtype(launch("cpu", "bf16-mixed")) == torch.float32
    with pytest.raises(ValueError, match="half"):
        launch("cpu", "half")


def test_one_process_takes_no_notice_of_slurm(tmp_path, monkeypatch):
    """Where ``srun`` is on the path Fabric would warn, which is an error here, or ask for tasks."""
    (tmp_path / "srun").write_text("#!/bin/sh\n")
    (tmp_path / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("SLURM_NTASKS", "4")
    monkeypatch.setenv("SLURM_JOB_NAME", "sweep")
    assert launch("cpu").world_size == 1


def test_mixed_precision_multiplies_in_bfloat16():
    weight, seen = torch.nn.Parameter(torch.eye(2)), []

    def loss_of_step(_: int) -> torch.Tensor:
        seen.append(torch.ones(1, 2) @ weight)
        return seen[-1].float().sum()

    fabric = launch("cpu", "bf16-mixed")
    minimise(loss_of_step, [weight], n_steps=1, learning_rate=0.1, fabric=fabric)
    assert seen[0].dtype == torch.bfloat16
    assert weight.dtype == torch.float32


def test_seeded_weights_are_equal_and_local():
    torch.manual_seed(5)
    expected = torch.rand(1).item()
    torch.manual_seed(5)
    with seeded_weights(0):
        first = torch.nn.Linear(3, 3)
    assert torch.rand(1).item() == expected
    with seeded_weights(0):
        second = torch.nn.Linear(3, 3)
    assert torch.equal(first.weight, second.weight)
