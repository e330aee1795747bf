"""Arrays inside anything: how to walk, copy and compare them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

ANNDATA_PARTS = ("layers", "obsm", "varm", "obsp", "varp", "uns")


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """Name and array of everything inside: arrays, tensors, tables, AnnData, containers, modules.

    Of an object of another kind its attributes are walked.
    """
    yield from _leaves(value, path, frozenset())


def _leaves(value: Any, path: str, above: frozenset[int]) -> Iterator[tuple[str, np.ndarray]]:
    if id(value) in above:  # An object that contains itself.
        return
    if value is None or isinstance(value, (str, bytes, bool, int, float, complex, np.generic)):
        yield path, np.asarray(value)
    elif isinstance(value, np.ndarray):
        yield path, value
    elif is_tensor(value):
        yield path, numpy_of(value)
    elif sp.issparse(value):
        plain = sp.csr_array(value, copy=True)
        plain.sum_duplicates()
        yield from ((f"{path}.{n}", getattr(plain, n)) for n in ("data", "indices", "indptr"))
        yield f"{path}.shape", np.array(plain.shape)
    else:
        for name, part in _parts(value):
            inner = f"{path}.{name}" if path else name
            yield from _leaves(part, inner, above | {id(value)})


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Named parts of a container, a table or an object."""
    if hasattr(value, "obs_names"):
        yield from (("X", value.X), ("obs", value.obs), ("var", value.var))
        yield from ((name, dict(getattr(value, name))) for name in ANNDATA_PARTS)
    elif isinstance(value, Mapping):
        yield from ((str(name), part) for name, part in value.items())
    elif isinstance(value, (list, tuple)):
        yield from ((str(i), part) for i, part in enumerate(value))
    elif isinstance(value, (set, frozenset)):
        yield from ((f"{{{name}}}", True) for name in sorted(map(repr, value)))
    elif hasattr(value, "iloc"):
        yield "index", np.asarray(value.index)
        if value.ndim == 1:
            yield "values", np.asarray(value)
        else:
            yield from ((str(c), np.asarray(value[c])) for c in value.columns)
    elif hasattr(value, "state_dict"):
        yield from value.state_dict().items()
    elif is_dataclass(value) and not isinstance(value, type):
        yield from ((field.name, getattr(value, field.name)) for field in fields(value))
    elif hasattr(value, "__dict__") and not callable(value):
        yield from vars(value).items()


def is_tensor(value: Any) -> bool:
    """Whether a value is a torch tensor; without the import of torch where it is not."""
    return hasattr(value, "detach") and hasattr(value, "requires_grad")


def numpy_of(tensor: Any) -> np.ndarray:
    """Tensor of any layout, device and type as an array."""
    import torch

    plain = tensor.detach().cpu()
    plain = plain.to_dense() if plain.layout != torch.strided else plain
    array: np.ndarray = (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy()
    return array


def copied(value: Any) -> Any:
    """Copy that shares no memory with the value; tensors become leaves of the graph."""
    if is_tensor(value):
        return value.detach().clone().requires_grad_(value.requires_grad)
    if isinstance(value, dict):
        return {name: copied(part) for name, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)(copied(part) for part in value)
    if hasattr(value, "obs_names"):
        return value.copy()
    return deepcopy(value)


def snapshot(value: Any) -> dict[str, np.ndarray]:
    """Copies of all arrays inside, by name."""
    return {name: np.array(array) for name, array in leaves(value)}


def differences(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> dict[str, float]:
    """Largest absolute difference of each array that differs; infinite where it has none."""
    found = {}
    for name in [*first, *(set(second) - set(first))]:
        if name not in first or name not in second:
            found[name] = np.inf
        elif difference := largest_difference(first[name], second[name]):
            found[name] = difference
    return found


def largest_difference(a: np.ndarray, b: np.ndarray) -> float:
    """Largest absolute difference; NaN equals NaN, and other shapes or types differ infinitely."""
    if a.shape != b.shape or a.dtype.kind != b.dtype.kind:
        return np.inf
    if a.dtype.kind not in "fciub":
        return 0.0 if all(map(_alike, a.ravel(), b.ravel())) else np.inf
    kind = complex if a.dtype.kind == "c" else float
    with np.errstate(invalid="ignore"):
        apart = np.abs(a.astype(kind) - b.astype(kind))
    apart = np.where((a == b) | ((a != a) & (b != b)), 0.0, apart)
    return float(np.nan_to_num(apart, nan=np.inf).max(initial=0.0))


def _alike(a: Any, b: Any) -> bool:
    """Equal, or both missing; arrays in an array of objects compare as a whole."""
    return bool(np.array_equal(a, b)) or (a is not None and b is not None and a != a and b != b)


def relative_change(before: Any, after: Any) -> float:
    """Length of the change of all numbers inside, divided by their length; 0 for no change.

    NaN and infinity that stay as they were are no change; any other change of one is infinite.
    """
    old, new = snapshot(before), snapshot(after)
    if set(old) != set(new) or any(old[n].shape != new[n].shape for n in old):
        return np.inf
    numeric = [name for name in old if old[name].dtype.kind in "fiub"]
    if any(largest_difference(old[n], new[n]) for n in set(old) - set(numeric)):
        return np.inf
    change = length = 0.0
    for name in numeric:
        was, now = old[name].astype(float), new[name].astype(float)
        known = np.isfinite(was)
        if not np.array_equal(was[~known], now[~known], equal_nan=True):
            return np.inf
        if not np.isfinite(now[known]).all():
            return np.inf
        change += float(np.square(now[known] - was[known]).sum())
        length += float(np.square(was[known]).sum())
    return 0.0 if change == 0 else float(np.sqrt(change / length)) if length else np.inf


@contextmanager
def restored(*things: Any) -> Iterator[None]:
    """Give modules the buffers back that they had: running means move in training mode.

    A method of a module stands for the module.
    """
    kept = [
        (buffer, buffer.clone())
        for thing in (getattr(each, "__self__", each) for each in things)
        if hasattr(thing, "named_buffers")
        for _, buffer in thing.named_buffers()
    ]
    try:
        yield
    finally:
        for buffer, value in kept:
            buffer.copy_(value)


@contextmanager
def fixed_randomness(seed: int) -> Iterator[None]:
    """Set the global generators of Python, NumPy and torch inside, and restore them afterwards."""
    import torch

    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
