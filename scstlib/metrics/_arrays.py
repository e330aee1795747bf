"""Checks and correlations that the metrics share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

# Values in one block of maps: 1 MB of float64, which a core keeps in its cache.
_BLOCK = 2**17
# A sample whose spread is below this share of its size is constant up to rounding.
_ROUNDING = 1e-13


def map_stack(maps: ArrayLike, name: str) -> tuple[Array, bool]:
    """Contact maps as (n, bins, bins) float64, not copied if they are, and whether n was absent."""
    array = np.asarray(maps, dtype=np.float64)
    if array.ndim not in (2, 3) or array.shape[-1] != array.shape[-2] or array.shape[-1] == 0:
        raise ValueError(
            f"{name} must be (n, bins, bins) or (bins, bins) with at least one bin, "
            f"got {array.shape}"
        )
    if np.isinf(array).any():
        raise ValueError(
            f"{name} holds {int(np.isinf(array).sum())} infinite pixels; masked bins are NaN"
        )
    return (array[None], True) if array.ndim == 2 else (array, False)


def map_pair(prediction: ArrayLike, target: ArrayLike) -> tuple[Array, Array, bool]:
    """Two stacks of contact maps of one shape."""
    a, single = map_stack(prediction, "prediction")
    b, _ = map_stack(target, "target")
    if np.shape(prediction) != np.shape(target):
        raise ValueError(
            f"prediction and target must have one shape, got {np.shape(prediction)} "
            f"and {np.shape(target)}"
        )
    return a, b, single


def unstack(values: Array, single: bool) -> Array:
    """Drop the leading axis that `map_stack` added."""
    return values[0] if single else values


def in_blocks(function: Callable[..., Array], *stacks: Array) -> Array:
    """Apply a function to a few maps at a time: the working memory stays small and in the cache."""
    n = len(stacks[0])
    step = max(1, _BLOCK // max(1, stacks[0][0].size)) if n else 1
    parts = [function(*(s[i : i + step] for s in stacks)) for i in range(0, n, step)]
    return np.concatenate(parts) if parts else function(*stacks)


def deviations(values: Array, valid: NDArray[np.bool_], axis: int) -> tuple[Array, Array]:
    """Deviations from the mean of the valid values (0 elsewhere) and their norm, 0 if constant."""
    count = np.maximum(valid.sum(axis=axis, keepdims=True), 1)
    deviation = np.where(valid, values, 0.0)
    mean = deviation.sum(axis=axis, keepdims=True) / count
    deviation -= mean
    deviation *= valid
    norm = np.sqrt(np.square(deviation).sum(axis=axis))
    size = np.abs(mean).squeeze(axis) * np.sqrt(count).squeeze(axis)
    return deviation, np.where(norm <= _ROUNDING * size, 0.0, norm)


def correlation(x: Array, y: Array, *, floor: float = 0.0) -> Array:
    """Pearson correlation over the last axis; NaN pairs are left out; NaN if either is constant.

    A standard deviation up to ``floor`` is rounding.
    """
    valid = ~(np.isnan(x) | np.isnan(y))
    dx, x_norm = deviations(x, valid, -1)
    dy, y_norm = deviations(y, valid, -1)
    least = floor * np.sqrt(valid.sum(axis=-1))
    norm = np.where((x_norm > least) & (y_norm > least), x_norm * y_norm, 0.0)
    product = np.einsum("...i,...i->...", dx, dy)
    result = np.full(product.shape, np.nan)
    np.divide(product, norm, out=result, where=norm > 0)
    return np.clip(result, -1.0, 1.0)


def box_sum(values: Array, size: int) -> Array:
    """Sums over squares of ``size`` x ``size`` in the last two axes, where they fit whole.

    By additions alone: unlike a running sum, zeros stay zero and NaN stays where it is.
    """
    for axis in (values.ndim - 2, values.ndim - 1):
        values = _run_sum(np.moveaxis(values, axis, -1), size)
        values = np.moveaxis(values, -1, axis)
    return values


def _run_sum(values: Array, size: int) -> Array:
    """Sums of ``size`` neighbours in the last axis, by doubling the width."""
    length = values.shape[-1] - size + 1
    total: Array | None = None
    width, start, rest = 1, 0, size
    while rest:
        if rest & 1:
            part = values[..., start : start + length]
            total = part if total is None else total + part
            start += width
        rest >>= 1
        if rest:
            values = values[..., :-width] + values[..., width:]
            width *= 2
    assert total is not None
    return total


def ratio(total: Array, count: NDArray[np.int_]) -> Array:
    """total / count, NaN where the count is 0."""
    quotient: Array = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return quotient


def reference_stack(reference: ArrayLike, shape: tuple[int, ...], name: str) -> Array:
    """A reference map for each map of a stack, (n, bins, bins), read-only."""
    stack, _ = map_stack(reference, name)
    if stack.shape[1:] != shape[1:] or len(stack) not in (1, shape[0]):
        raise ValueError(
            f"{name} must be (bins, bins) or one map for each of {shape}, got {np.shape(reference)}"
        )
    return np.broadcast_to(stack, shape)


def contrast(x: Array, y: Array, x_base: Array, y_base: Array, *, floor: float = 0.0) -> Array:
    """Correlation of x - x_base with y - y_base over the last axis.

    NaN if the second difference is constant, 0 if only the first is: it says nothing specific.
    A difference below a millionth of the values, or with a standard deviation up to ``floor``, is
    rounding.
    """
    dx, dy = x - x_base, y - y_base
    valid = ~(np.isnan(dx) | np.isnan(dy))
    result = correlation(dx, dy)
    result[_is_flat(dx, x, valid, floor)] = 0.0
    result[_is_flat(dy, y, valid, floor)] = np.nan
    return result


def _is_flat(
    difference: Array, values: Array, valid: NDArray[np.bool_], floor: float
) -> NDArray[np.bool_]:
    size = np.sqrt(np.square(np.where(valid, values, 0.0)).sum(-1))
    least = np.maximum(1e-6 * size, floor * np.sqrt(valid.sum(axis=-1)))
    flat: NDArray[np.bool_] = deviations(difference, valid, -1)[1] <= least
    return flat


def cells_array(x: ArrayLike, name: str) -> Array:
    """Cells as a dense, finite (cells, genes) float64 array."""
    if hasattr(x, "toarray") and not isinstance(x, np.ndarray):  # A view of AnnData has it too.
        raise ValueError(f"{name} is sparse; pass a dense array, such as {name}.toarray()")
    cells = np.asarray(x, dtype=np.float64)
    if cells.ndim != 2 or 0 in cells.shape:
        raise ValueError(
            f"{name} must be (cells, genes) with at least one of each, got {cells.shape}"
        )
    if not np.isfinite(cells).all():
        raise ValueError(f"{name} holds NaN or infinite values; remove those cells or genes first")
    return cells


def populations(x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    """Two sets of cells with the same genes."""
    a, b = cells_array(x, "x"), cells_array(y, "y")
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"x and y must have the same genes, got {a.shape[1]} and {b.shape[1]}")
    return a, b
