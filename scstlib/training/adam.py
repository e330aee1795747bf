"""AdamW by torch's own fused step, without the classes of ``torch.optim``.

The first of these that is used imports torch's compiler, which takes two seconds and compiles
nothing here. The step is the same to the last digit, and so is the state in a checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter, https://arxiv.org/abs/1711.05101).

    Parameters
    ----------
    weights : sequence of Parameter
        Changed in place by their ``grad``; one without it is passed over.
    betas : tuple of float
        Decay of both running means.
    weight_decay : float
        Share of each weight that a step takes off, per unit of learning rate.

    Examples
    --------
    >>> import torch
    >>> from scstlib.training.adam import AdamW
    >>> weight = torch.nn.Parameter(torch.ones(1))
    >>> weight.grad = torch.full((1,), 5.0)
    >>> AdamW([weight]).step(0.25)
    >>> round(weight.item(), 3)  # a first step is as long as the learning rate
    0.75
    """

    def __init__(
        self,
        weights: Sequence[torch.nn.Parameter],
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
    ) -> None:
        self.weights, self.betas, self.weight_decay = list(weights), betas, weight_decay
        self.state: dict[int, dict[str, torch.Tensor]] = {}

    def step(self, learning_rate: float) -> None:
        """Make one step, at a learning rate that may differ from step to step."""
        import torch
        from torch.optim.adamw import adamw

        moved = [i for i, weight in enumerate(self.weights) if weight.grad is not None]
        for i in moved:
            if i not in self.state:
                self.state[i] = _at_rest(self.weights[i])
        states = [self.state[i] for i in moved]
        with torch.no_grad():
            adamw(
                [self.weights[i] for i in moved],
                [self.weights[i].grad for i in moved],
                [state["exp_avg"] for state in states],
                [state["exp_avg_sq"] for state in states],
                [],
                [state["step"] for state in states],
                fused=True,
                amsgrad=False,
                beta1=self.betas[0],
                beta2=self.betas[1],
                lr=learning_rate,
                weight_decay=self.weight_decay,
                eps=1e-8,
                maximize=False,
            )

    def state_dict(self) -> dict[str, Any]:
        """Return the number of steps and both running means of each weight."""
        return {"state": self.state}

    def load_state_dict(self, held: dict[str, Any]) -> None:
        """Return to a state; those that ``torch.optim.AdamW`` wrote will do.

        Raises
        ------
        KeyError, ValueError
            If it is no such state, or one of other weights.
        """
        state = {}
        for i, weight in enumerate(self.weights):
            if i not in held["state"]:  # It had no gradient yet.
                continue
            kept = held["state"][i]
            if kept["exp_avg"].shape != weight.shape or kept["exp_avg_sq"].shape != weight.shape:
                raise ValueError(f"the optimizer's state is that of another weight {i}")
            state[i] = {
                "step": kept["step"].to(weight.device, copy=True),
                "exp_avg": kept["exp_avg"].to(weight, copy=True),
                "exp_avg_sq": kept["exp_avg_sq"].to(weight, copy=True),
            }
        self.state = state


def _at_rest(weight: torch.nn.Parameter) -> dict[str, torch.Tensor]:
    """The state of a weight before its first step."""
    import torch

    return {
        "step": torch.zeros((), dtype=torch.float32, device=weight.device),
        "exp_avg": torch.zeros_like(weight, memory_format=torch.preserve_format),
        "exp_avg_sq": torch.zeros_like(weight, memory_format=torch.preserve_format),
    }
