"""The training loop that every model here uses: seeded weights, a device, finite losses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def resolve_device(device: str) -> torch.device:
    """Return the torch device of a name; ``"auto"`` is CUDA where there is one, else the CPU.

    Raises
    ------
    ValueError
        If a CUDA device is asked for and there is none.
    """
    import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(
            f"device {device!r} was asked for but no CUDA device is visible; use 'cpu'."
        )
    return torch.device(device)


@contextmanager
def seeded_weights(seed: int) -> Iterator[None]:
    """Draw initial weights from ``seed`` and leave torch's global generator as it was.

    ``torch.nn`` modules take no generator for their initial weights, so the global one is
    set inside and restored afterwards.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def minimise(
    loss_of_step: Callable[[int], torch.Tensor],
    parameters: Iterable[torch.nn.Parameter],
    *,
    n_steps: int,
    learning_rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
) -> np.ndarray:
    """Minimise a loss with Adam, one step for each call of ``loss_of_step(step)``.

    Returns
    -------
    numpy.ndarray, shape (n_steps,)
        The loss before each step.

    Raises
    ------
    FloatingPointError
        At the first step whose loss is not finite.
    """
    import torch

    optimizer = torch.optim.Adam(list(parameters), lr=learning_rate, betas=betas)
    losses = np.empty(n_steps)
    for step in range(n_steps):
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of_step(step)
        losses[step] = loss.item()
        if not np.isfinite(losses[step]):
            raise FloatingPointError(
                f"the loss is {losses[step]} at step {step} of {n_steps}: check the input for"
                " extreme values, or lower the learning rate."
            )
        loss.backward()
        optimizer.step()
    return losses
