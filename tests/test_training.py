from __future__ import annotations

import numpy as np
import pytest
import torch

from scstlib.training import minimise, resolve_device, seeded_weights


def test_minimise_finds_the_minimum_of_a_parabola():
    x = torch.nn.Parameter(torch.tensor(5.0))
    losses = minimise(lambda _: (x - 2) ** 2, [x], n_steps=300, learning_rate=0.1)
    assert x.item() == pytest.approx(2, abs=1e-2)
    assert losses[0] == pytest.approx(9)


def test_a_loss_that_is_not_finite_stops_at_its_step():
    x = torch.nn.Parameter(torch.tensor(1.0))
    with pytest.raises(FloatingPointError, match="step 3 of 10"):
        minimise(lambda step: x * (np.nan if step == 3 else 1), [x], n_steps=10, learning_rate=0.1)


def test_devices():
    assert resolve_device("cpu").type == "cpu"
    assert resolve_device("auto").type in ("cpu", "cuda")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="cuda"):
            resolve_device("cuda")


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
