"""Does every parameter learn? Gradients over several batches, and outputs that stick."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scstlib.audit._values import fixed_randomness, restored
from scstlib.audit.findings import Audit, Finding, counted

if TYPE_CHECKING:
    import torch


def gradient_flow(
    model: torch.nn.Module,
    loss_of: Callable[[Any], torch.Tensor],
    batches: Iterable[Any],
    *,
    frozen: Sequence[str] = (),
    seed: int = 0,
) -> Audit:
    """Find parameters that the loss does not reach, or whose gradient is zero or not finite.

    A parameter counts as reached if one entry of its gradient is not zero in one batch: rows of an
    embedding that no batch asked for, or units that a ReLU switched off, are no fault.

    Parameters
    ----------
    model : torch.nn.Module
    loss_of : function
        Takes a batch and returns a scalar that is computed with ``model``, as in training.
    batches : iterable
        Several, so that a gradient that is zero by chance is not taken for a dead one.
    frozen : sequence of str
        Beginnings of the names of parameters that are not meant to learn. If one of them has a
        gradient, that is a finding.
    seed : int
        For the global generators inside, which dropout draws from.

    Returns
    -------
    Audit
        One row a parameter. The evidence of a finding is its number of entries; that of a reached
        parameter the share of entries with a gradient. Parameters with ``requires_grad`` False
        that are not declared as frozen are open.

    Raises
    ------
    ValueError
        If there is no batch, the loss has no gradient at all, or ``frozen`` names no parameter.

    Examples
    --------
    >>> import torch
    >>> from scstlib.audit import gradient_flow
    >>> model = torch.nn.ModuleDict({"used": torch.nn.Linear(2, 1), "idle": torch.nn.Linear(2, 1)})
    >>> found = gradient_flow(model, lambda x: model["used"](x).sum(), [torch.ones(3, 2)])
    >>> [row.where for row in found.findings]
    ['idle.weight', 'idle.bias']
    """
    import torch

    named = dict(model.named_parameters())
    trained = [name for name, parameter in named.items() if parameter.requires_grad]
    if unknown := [each for each in frozen if not any(_under(name, each) for name in named)]:
        raise ValueError(f"no parameter begins with {unknown}; the first are {list(named)[:5]}")
    joined = dict.fromkeys(trained, False)
    finite = dict.fromkeys(trained, True)
    alive = {name: torch.zeros_like(named[name], dtype=torch.bool) for name in trained}
    n_batches = 0
    with fixed_randomness(seed), restored(model), torch.enable_grad():
        for batch in batches:
            n_batches += 1
            loss = loss_of(batch)
            if not loss.requires_grad:
                raise ValueError("the loss has no gradient: is it computed under no_grad?")
            found = torch.autograd.grad(loss, [named[n] for n in trained], allow_unused=True)
            for name, gradient in zip(trained, found, strict=True):
                if gradient is not None:
                    joined[name] = True
                    dense = gradient.to_dense() if gradient.is_sparse else gradient
                    alive[name] |= dense != 0
                    finite[name] &= bool(dense.isfinite().all())
    if not n_batches:
        raise ValueError("gradient_flow needs at least one batch")
    rows = [_row(n, p, joined, finite, alive, frozen) for n, p in named.items()]
    n_entries = sum(parameter.numel() for parameter in named.values())
    examined = f"{len(named)} parameters ({n_entries:,} entries), {counted(n_batches, 'batch')}"
    return Audit("gradient flow", examined, tuple(rows))


def _row(
    name: str,
    parameter: torch.Tensor,
    joined: dict[str, bool],
    finite: dict[str, bool],
    alive: dict[str, torch.Tensor],
    frozen: Sequence[str],
) -> Finding:
    size = parameter.numel()
    declared = any(_under(name, each) for each in frozen)
    reached = name in alive and bool(alive[name].any())
    if declared:
        if reached:
            return Finding(name, "declared as frozen, has a gradient; entries", size)
        return Finding(name, "frozen, as declared; entries", size, "holds")
    if name not in joined:
        return Finding(name, "requires_grad is False, not declared; entries", size, "open")
    if not joined[name]:
        return Finding(name, "no path to the loss; entries", size)
    if not finite[name]:
        return Finding(name, "gradient is NaN or infinite; entries", size)
    if not reached:
        return Finding(name, "gradient exactly zero in every batch; entries", size)
    share = float(alive[name].float().mean())
    return Finding(name, "reached; share of entries with a gradient", share, "holds")


def _under(name: str, beginning: str) -> bool:
    return name == beginning or name.startswith(f"{beginning}.")


def saturation(
    model: torch.nn.Module,
    run: Callable[[Any], Any],
    batches: Iterable[Any],
    *,
    bounds: tuple[float, float] | None = None,
    tolerance: float = 1e-3,
    share: float = 0.5,
    seed: int = 0,
) -> Audit:
    """Find activations that stick: flat sigmoid and tanh outputs, ReLU units that never fire.

    Watches every activation that is a module (``Sigmoid``, ``Tanh``, ``ReLU``). A sigmoid or tanh
    saturates where its slope is below ``tolerance`` of its largest. A unit of a ReLU is an index
    of the last axis, for images (four axes) of the second; it is dead if it is 0 in every batch.

    Parameters
    ----------
    run : function
        Takes a batch and runs ``model`` on it.
    bounds : pair, optional
        Limits of what ``run`` returns, of a head that is a function and no module: values closer
        than ``tolerance`` of the width to a limit are saturated.
    share : float
        A larger share of saturated values, or of dead units, is a finding.

    Returns
    -------
    Audit
        One row an activation; the evidence is that share.
    """
    import torch
    from torch import nn

    watched = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, (nn.Sigmoid, nn.Tanh, nn.ReLU))
    }
    flat: dict[str, list[float]] = {}
    fires: dict[str, torch.Tensor] = {}

    def watch(name: str, module: nn.Module, output: torch.Tensor) -> None:
        if isinstance(module, nn.ReLU):
            units = output.movedim(1 if output.ndim == 4 else -1, -1)
            fired = (units != 0).flatten(0, -2).any(0) if units.ndim > 1 else units != 0
            fires[name] = fires.get(name, torch.zeros_like(fired)) | fired
        else:
            slope = 4 * output * (1 - output) if isinstance(module, nn.Sigmoid) else 1 - output**2
            flat.setdefault(name, []).append(float((slope < tolerance).float().mean()))

    hooks = [
        module.register_forward_hook(lambda m, _, out, name=name: watch(name, m, out))
        for name, module in watched.items()
    ]
    n_batches = 0
    try:
        with fixed_randomness(seed), restored(model), torch.no_grad():
            for batch in batches:
                n_batches += 1
                output = run(batch)
                if bounds is not None:
                    margin = tolerance * (bounds[1] - bounds[0])
                    near = (output < bounds[0] + margin) | (output > bounds[1] - margin)
                    flat.setdefault("the output", []).append(float(near.float().mean()))
    finally:
        for hook in hooks:
            hook.remove()
    if not n_batches:
        raise ValueError("saturation needs at least one batch")
    found = [(n, "share of saturated values", float(np.mean(v))) for n, v in flat.items()]
    found += [
        (n, "share of units that never fire", float((~f).float().mean())) for n, f in fires.items()
    ]
    rows = tuple(Finding(n, w, x, "finding" if x > share else "holds") for n, w, x in found)
    examined = f"{counted(len(rows), 'activation')}, {counted(n_batches, 'batch')}"
    return Audit("saturation", examined, rows)
