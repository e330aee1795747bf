"""Checks of anything that can be called: what it uses, what it changes, what it remembers."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from scstlib.audit._values import (
    copied,
    differences,
    fixed_randomness,
    is_tensor,
    numpy_of,
    relative_change,
    restored,
    snapshot,
)
from scstlib.audit.findings import Audit, Finding, Verdict, counted, shown

CHANGES = ("shuffled", "zeroed", "random")


def input_use(
    function: Callable[..., Any],
    inputs: Mapping[str, Any] | Sequence[Any],
    seed: int = 0,
    *,
    unused: Sequence[str] = (),
    changes: Sequence[str] = CHANGES,
    tolerance: float = 1e-6,
) -> Audit:
    """Find inputs without influence: each is shuffled, zeroed and replaced by random values.

    Parameters
    ----------
    function : function
        Called as ``function(**inputs)``, or ``function(*inputs)`` for a sequence.
    inputs : mapping or sequence
        Those that are arrays or tensors are changed, one at a time.
    seed : int
        For the changes, and for the global generators at each call, so that dropout draws alike.
    unused : sequence of str
        Inputs that are not meant to be used; one that is used is a finding.
    changes : sequence of str
        Of "shuffled", "zeroed", "random"; leave one out that is no legal input.
    tolerance : float
        A change of the output smaller than this, relative to the output, is none; nor is one
        below 1.5 times the change between two calls with the same inputs.

    Returns
    -------
    Audit
        One row for each input; the evidence is the largest relative change of the output
        (Euclidean). An ignored input is a finding; one that no change alters, a constant that is 0
        say, is open.

    Raises
    ------
    ValueError
        If no input is an array, or a change or a name in ``unused`` is not known.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.audit import input_use
    >>> inputs = {"cells": np.arange(4.0), "time": np.ones(4)}
    >>> input_use(lambda cells, time: cells * 2, inputs).findings[0].where
    'time'
    """
    if unknown := sorted(set(changes) - set(CHANGES)):
        raise ValueError(f"no change {unknown}; there are {list(CHANGES)}")
    pairs = inputs.items() if isinstance(inputs, Mapping) else enumerate(inputs)
    named: dict[str | int, Any] = dict(pairs)

    def call(changed: dict[Any, Any]) -> Any:
        own = copied(changed)
        with fixed_randomness(seed), restored(function):
            return function(**own) if isinstance(inputs, Mapping) else function(*own.values())

    arrays = [name for name, value in named.items() if is_tensor(value) or _is_array(value)]
    if not arrays:
        raise ValueError("input_use changes arrays and tensors, and no input is one")
    if unknown := sorted(set(unused) - {_label(name) for name in arrays}):
        raise ValueError(f"no array input {unknown}; there are {[_label(n) for n in arrays]}")
    before = snapshot(call(named))
    floor = max(tolerance, 1.5 * relative_change(before, snapshot(call(named))))
    rng, rows = np.random.default_rng(seed), []
    for name in arrays:
        label = _label(name)
        effects = {}
        for change in changes:
            other = _changed(named[name], change, rng)
            if not np.array_equal(_array(other), _array(named[name])):
                effects[change] = relative_change(before, snapshot(call({**named, name: other})))
        rows.append(_use(label, effects, floor, declared=label in unused))
    return Audit("input use", counted(len(arrays), "input"), tuple(rows))


def _label(name: str | int) -> str:
    return name if isinstance(name, str) else f"input {name}"


def _use(label: str, effects: dict[str, float], floor: float, *, declared: bool) -> Finding:
    if not effects:
        return Finding(label, "no change altered it", 0.0, "open")
    largest = max(effects.values())
    used = largest > floor
    each = ", ".join(f"{change} {shown(effect)}" for change, effect in effects.items())
    what = ("used" if used else "ignored") + (", declared as unused" if declared else "")
    verdict: Verdict = "finding" if used == declared else "holds"
    return Finding(label, f"{what}: {each}; largest relative change", largest, verdict)


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "fiub"


def _array(value: Any) -> np.ndarray:
    return numpy_of(value) if is_tensor(value) else value


def _changed(value: Any, change: str, rng: np.random.Generator) -> Any:
    """The value with its entries permuted, all zero, or drawn anew in the same range or moments."""
    array = np.array(_array(value))
    if change == "shuffled":
        new = rng.permutation(array.ravel()).reshape(array.shape)
        if np.array_equal(new, array):  # Happens to few entries.
            new = np.roll(array.ravel(), 1).reshape(array.shape)
    elif change == "zeroed":
        new = np.zeros_like(array)
    elif array.dtype.kind == "f":
        new = rng.normal(np.nanmean(array), np.nanstd(array) or 1.0, array.shape)
    else:  # Indices and classes must stay among those that exist.
        low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
        new = rng.integers(low, high + 1, array.shape)
    new = new.astype(array.dtype)
    if is_tensor(value):
        import torch

        return torch.as_tensor(new).to(value.device, value.dtype)
    return new


def leaves_inputs(function: Callable[..., Any], *inputs: Any, **named: Any) -> Audit:
    """Find inputs that a call changes: arrays, tensors, tables, AnnData, modules, containers.

    The function gets a copy, so yours stay as they are.

    Returns
    -------
    Audit
        One row for each array inside that changed; the evidence is the largest absolute
        difference, infinite if shape, type or names changed.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.audit import leaves_inputs
    >>> print(leaves_inputs(np.sort, np.array([2.0, 1.0])))
    leaves inputs: nothing found in 1 input
    >>> print(leaves_inputs(lambda x: x.sort(), np.array([2.0, 1.0])))
    leaves inputs: 1 finding in 1 input; input 0: changed by the call (1)
    """
    own, own_named = copied(inputs), copied(named)
    labels = {f"input {i}": each for i, each in enumerate(own)} | own_named
    before = {label: snapshot(each) for label, each in labels.items()}
    with fixed_randomness(0), restored(function):
        function(*own, **own_named)
    rows = []
    for label, value in labels.items():
        changed = differences(before[label], snapshot(value))
        for path, difference in changed.items():
            where = f"{label}.{path}" if path else label
            rows.append(Finding(where, "changed by the call", difference))
        if not changed:
            rows.append(Finding(label, "unchanged; arrays inside", len(before[label]), "holds"))
    return Audit("leaves inputs", counted(len(labels), "input"), tuple(rows))


def is_idempotent(
    function: Callable[..., Any], *inputs: Any, tolerance: float = 0.0, **named: Any
) -> Audit:
    """Find functions whose second run on the same input gives another output.

    The function runs twice on one copy of the inputs, with the global generators as they come, and
    once more on a fresh copy, which tells a changed input from a memory or unseeded draws.

    Parameters
    ----------
    tolerance : float
        Relative change (Euclidean) of the output that is let pass.

    Returns
    -------
    Audit
        One row; the evidence is the relative change of the output.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.audit import is_idempotent
    >>> is_idempotent(lambda: np.random.rand()).findings[0].what
    'differs in a second run, by a memory or by draws without a seed'
    """
    with fixed_randomness(0), restored(function):
        own, own_named = copied(inputs), copied(named)
        first = snapshot(function(*own, **own_named))
        second = snapshot(function(*own, **own_named))
        fresh = snapshot(function(*copied(inputs), **copied(named)))
    again, afresh = relative_change(first, second), relative_change(first, fresh)
    if max(again, afresh) <= tolerance:
        row = Finding("output", "same in two runs; relative change", again, "holds")
    elif afresh <= tolerance:
        row = Finding("output", "differs in a second run, which finds the input changed", again)
    else:
        what = "differs in a second run, by a memory or by draws without a seed"
        row = Finding("output", what, max(again, afresh))
    return Audit("idempotence", "two runs on one input", (row,))


def isolation(
    build: Callable[[], Any],
    use: Callable[[Any], Any],
    other: Callable[[], Any] | None = None,
    *,
    tolerance: float = 0.0,
) -> Audit:
    """Find global state: seeds and settings that objects of one process share.

    Parameters
    ----------
    build : function
        Makes an object with its seed and settings.
    use : function
        Takes the object and returns what it computes: a prediction, a fit, a draw.
    other : function, optional
        Makes an object with other settings and another seed. It is made and used between making
        and using the first. Default: a second one of ``build``.
    tolerance : float
        Relative change (Euclidean) of the output that is let pass.

    Returns
    -------
    Audit
        Four rows: the same seed gives the same result; global generators do not matter to it; they
        and the global settings of NumPy and torch are left alone; a second object does not disturb
        the first.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.audit import isolation
    >>> isolation(lambda: np.random.default_rng(0), lambda rng: rng.random(3)).passed
    True
    >>> isolation(lambda: None, lambda _: np.random.rand()).passed
    False
    """
    with fixed_randomness(1):
        before = _global_state()
        alone = snapshot(use(build()))
        touched = differences(before, _global_state())
    with fixed_randomness(1):
        again = relative_change(alone, snapshot(use(build())))
    with fixed_randomness(2):
        elsewhere = relative_change(alone, snapshot(use(build())))
    with fixed_randomness(1):
        first = build()
        use((other or build)())
        beside = relative_change(alone, snapshot(use(first)))
    checked = [
        ("result", "same when repeated; relative change", again),
        ("result", "same whatever the global generators are; relative change", elsewhere),
        ("result", "same with a second object in the process; relative change", beside),
    ]
    rows = [_isolation_row(*each, tolerance) for each in checked]
    rows += [
        Finding(name, "global, changed by the call", change) for name, change in touched.items()
    ]
    if not touched:
        rows.append(Finding("global state", "left alone; values", len(before), "holds"))
    return Audit("isolation", f"4 runs, {len(before)} global values", tuple(rows))


def _isolation_row(where: str, what: str, change: float, tolerance: float) -> Finding:
    if change <= tolerance:
        return Finding(where, what, change, "holds")
    return Finding(where, f"not {what}", change)


def _global_state() -> dict[str, np.ndarray]:
    """Generators and settings that every part of a process shares."""
    import torch

    state: dict[str, Any] = {
        "generator of random": random.getstate()[1],
        "generator of numpy": str(np.random.get_state()),  # noqa: NPY002
        "generator of torch": torch.get_rng_state(),
        "torch default type": str(torch.get_default_dtype()),
        "torch gradients on": torch.is_grad_enabled(),
        "torch threads": torch.get_num_threads(),
        "torch deterministic": torch.are_deterministic_algorithms_enabled(),
        "numpy errors": str(sorted(np.geterr().items())),
    }
    return {name: np.array(_array(value)) for name, value in state.items()}
