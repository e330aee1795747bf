"""Sinkhorn divergence between point clouds: batched, log-domain, cheap gradients.

The algorithm is the symmetric Sinkhorn loop with epsilon-scaling of geomloss, so that a value here
is the value that papers report with it. What differs is the cost: one pass over the whole batch,
one cost matrix for both directions, an explicit gradient, and no term that nobody asked for.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# log of a zero weight: exp(-100000) is 0, and unlike -inf it never turns into NaN.
_LOG_ZERO = -100000.0


def sinkhorn_divergence(
    x: Tensor,
    y: Tensor,
    x_weights: Tensor | None = None,
    y_weights: Tensor | None = None,
    *,
    blur: float = 0.05,
    scaling: float = 0.5,
    debias: bool = True,
    diameter: float | None = None,
    constant_term: bool = True,
) -> Tensor:
    """Sinkhorn divergence ``OT(x, y) - OT(x, x)/2 - OT(y, y)/2``, cost ``|x - y|^2 / 2``.

    The value is about half of the squared Wasserstein distance, ``W2**2 / 2``, in squared units of
    the coordinates; it is not ``W2``. Each element of the batch has its own epsilon schedule, from
    its own diameter to ``blur**2``, as if geomloss were called on it alone. The gradient is that of
    the last half step at fixed potentials (envelope theorem); it cannot be differentiated again.

    Parameters
    ----------
    x : tensor (B, N, D) or (N, D)
        Points of the first cloud, float32 or float64, on any device.
    y : tensor (B, M, D) or (M, D)
        Points of the second cloud, same dtype and device.
    x_weights, y_weights : tensor (B, N) or (N,); (B, M) or (M,); optional
        Non-negative weights that sum to 1 in each cloud. Default: uniform. Clouds of different
        sizes fit in one batch when the smaller are filled up with copies of weight 0.
    blur : float
        Length at which the finest step works, in units of the coordinates; epsilon = blur**2.
    scaling : float in (0, 1)
        Ratio of two successive lengths. Close to 1 is slow and close to convergence; 0.5, the
        default of geomloss and of published models, stops well before it.
    debias : bool
        ``False`` gives the entropic cost OT(x, y) alone.
    diameter : float, optional
        First length of the schedule for all elements. Default: the diagonal of the bounding box of
        both clouds, per element.
    constant_term : bool
        ``False`` leaves out OT(y, y)/2, which has no gradient in x and costs the most when y is
        the larger cloud: same gradient, a value shifted by a constant of y. Refused when y or
        ``y_weights`` ask for a gradient. Without effect if ``debias`` is ``False``.

    Returns
    -------
    tensor (B,), or a scalar for (N, D) input
        Differentiable in x, y and the weights.

    Raises
    ------
    ValueError
        If shapes, dtypes or devices do not match, a cloud is empty, a value is not finite, weights
        are negative or do not sum to 1, or ``blur``, ``scaling``, ``diameter`` are out of range.

    Notes
    -----
    Memory is O(B (NM + N^2 + M^2)). Equation numbers and proofs: J. Feydy, "Geometric data
    analysis, beyond convolutions" (2020), section 3.3.

    Examples
    --------
    >>> import torch
    >>> from scstlib.ot import sinkhorn_divergence
    >>> x = torch.tensor([[0.0, 0.0], [1.0, 0.0]], requires_grad=True)
    >>> y = torch.tensor([[0.0, 2.0], [1.0, 2.0]])
    >>> value = sinkhorn_divergence(x, y)
    >>> round(value.item(), 3)  # every point moves by 2: half of the mean squared distance
    2.0
    >>> value.backward()
    >>> x.grad.round(decimals=3).tolist()  # downhill is up, for both points
    [[0.0, -1.0], [0.0, -1.0]]
    """
    single = x.ndim == 2
    if x.ndim not in (2, 3) or y.ndim != x.ndim:
        raise ValueError(
            f"x and y must both be (N, D) or (B, N, D), got {tuple(x.shape)} and {tuple(y.shape)}"
        )
    if single:
        x, y = x.unsqueeze(0), y.unsqueeze(0)
    _check_clouds(x, y)
    if not blur > 0:
        raise ValueError(f"blur must be positive, got {blur}")
    if not 0 < scaling < 1:
        raise ValueError(f"scaling must lie between 0 and 1, got {scaling}")
    if diameter is not None and not (diameter > 0 and math.isfinite(diameter)):
        raise ValueError(f"diameter must be positive and finite, got {diameter}")
    a = _weights(x, x_weights, "x_weights")
    b = _weights(y, y_weights, "y_weights")
    if not constant_term and (y.requires_grad or b.requires_grad):
        raise ValueError(
            "constant_term=False drops the gradient with respect to y, which requires one: "
            "detach y and y_weights, or set constant_term=True"
        )
    schedule = torch.from_numpy(_epsilon_schedules(_diameters(x, y, diameter), blur, scaling))
    # Distances divided by epsilon do not survive the half precision of a surrounding autocast.
    with torch.autocast(x.device.type, enabled=False):
        value: Tensor = _SinkhornDivergence.apply(
            x, y, a, b, schedule, blur, debias, debias and constant_term
        )
    return value[0] if single else value


def _check_clouds(x: Tensor, y: Tensor) -> None:
    allowed = (torch.float32, torch.float64)
    if x.dtype not in allowed or x.dtype != y.dtype or x.device != y.device:
        raise ValueError(
            "x and y must be both float32 or both float64, on one device, got "
            f"{x.dtype} on {x.device} and {y.dtype} on {y.device}"
        )
    if x.shape[0] != y.shape[0] or x.shape[2] != y.shape[2]:
        raise ValueError(
            f"x and y must agree in batch size and dimension, got {tuple(x.shape)} "
            f"and {tuple(y.shape)}"
        )
    if 0 in x.shape or 0 in y.shape:
        raise ValueError(
            f"each cloud needs at least one point and one dimension, got {tuple(x.shape)} "
            f"and {tuple(y.shape)}"
        )


def _weights(points: Tensor, weights: Tensor | None, name: str) -> Tensor:
    """Checked weights (B, N) in the dtype of the points; uniform if none are given."""
    shape = points.shape[:2]
    if weights is None:
        return points.new_full(shape, 1.0 / shape[1])
    weights = weights.to(points)
    if weights.ndim == 1:
        weights = weights.expand(shape[0], -1)
    if weights.shape != shape:
        raise ValueError(f"{name} must be {tuple(shape)}, got {tuple(weights.shape)}")
    total = weights.detach().sum(1)
    if bool((weights < 0).any()) or not bool(((total - 1).abs() < 1e-4).all()):
        raise ValueError(f"{name} must be non-negative and sum to 1 in each cloud")
    return weights


def _diameters(x: Tensor, y: Tensor, diameter: float | None) -> np.ndarray:
    """Diagonal of the common bounding box of each pair of clouds, (B,), in float64 on the CPU."""
    x, y = x.detach(), y.detach()
    low = torch.minimum(x.amin(1), y.amin(1))
    high = torch.maximum(x.amax(1), y.amax(1))
    diagonal: np.ndarray = (high - low).norm(dim=1).cpu().double().numpy()
    if not np.isfinite(diagonal).all():
        raise ValueError("x or y holds a value that is not finite; remove or replace it first")
    return diagonal if diameter is None else np.full_like(diagonal, diameter)


def _epsilon_schedules(diameters: np.ndarray, blur: float, scaling: float) -> np.ndarray:
    """Temperatures of each element, (steps, B) float64; what ends early is filled up with 0.

    Two clouds that are one and the same point (diameter 0) need the last step only.
    """
    schedules = [
        np.array(
            [d**2]
            + np.exp(np.arange(2 * np.log(d), 2 * np.log(blur), 2 * np.log(scaling))).tolist()
            + [blur**2]
            if d > 0
            else [blur**2]
        )
        for d in diameters.tolist()
    ]
    padded = np.zeros((max(map(len, schedules)), len(schedules)))
    for column, schedule in enumerate(schedules):
        padded[: len(schedule), column] = schedule
    return padded


class _Cloud(NamedTuple):
    points: Tensor  # (B, N, D)
    half_norms: Tensor  # (B, N, 1), |x_i|^2 / 2
    logs: Tensor  # (B, N), log weights


def _cloud(points: Tensor, weights: Tensor) -> _Cloud:
    # In pieces that stay in the cache: the squares of a whole batch cost ten times their sum.
    n = max(1, 2**18 // points[0].numel())
    squares = [part.square().sum(2, keepdim=True) for part in points.split(n)]
    half_norms = torch.cat(squares).div_(2)
    return _Cloud(points, half_norms, weights.log().masked_fill_(weights <= 0, _LOG_ZERO))


def _soft_assignment(cost: Tensor, h: Tensor, epsilon: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """exp(h_j - cost_ij / eps - top_i) (B, N, M), its row sums (B, N) and log-sum-exp (B, N)."""
    exponent = torch.addcmul(h.unsqueeze(1), cost, epsilon.reciprocal().unsqueeze(2), value=-1)
    top = exponent.amax(2, keepdim=True)
    # Below the floor nothing changes in a sum that is at least 1, but exp of what underflows is
    # tens of times slower on a CPU, and most of the kernel underflows at small epsilon.
    floor = -80.0 if cost.dtype == torch.float32 else -700.0
    kernel = exponent.sub_(top).clamp_(min=floor).exp_()
    total = kernel.sum(2)
    return kernel, total, total.log().add_(top.squeeze(2))


def _softmin(cost: Tensor, h: Tensor, epsilon: Tensor) -> Tensor:
    """-eps log sum_j exp(h_j - cost_ij / eps), (B, N), with eps (B, 1)."""
    return _soft_assignment(cost, h, epsilon)[2].mul_(epsilon).neg_()


def _anneal(
    cost: Tensor,
    log_a: Tensor,
    log_b: Tensor,
    schedule: Tensor,
    running: list[int],
    *,
    symmetric: bool,
) -> tuple[Tensor, Tensor]:
    """Potentials f (B, N) and g (B, M) at the end of the schedule, before the last half step.

    Elements are sorted by the length of their schedule, longest first, so that the ``k`` which
    still run at a step are the first. ``symmetric`` is for a cloud against itself: f is g.
    """
    cost_t = cost if symmetric else cost.mT.contiguous()
    first = schedule[0].unsqueeze(1)
    f = _softmin(cost, log_b, first)
    g = f if symmetric else _softmin(cost_t, log_a, first)
    for k, step in zip(running, schedule, strict=True):
        epsilon = step[:k].unsqueeze(1)
        f_new = _softmin(cost[:k], log_b[:k] + g[:k] / epsilon, epsilon)
        if not symmetric:
            g_new = _softmin(cost_t[:k], log_a[:k] + f[:k] / epsilon, epsilon)
            g[:k].add_(g_new).mul_(0.5)
        f[:k].add_(f_new).mul_(0.5)
    return f, g


def _last_half_step(
    cost: Tensor, log_b: Tensor, g: Tensor, epsilon: Tensor, want_plan: bool
) -> tuple[Tensor, Tensor | None]:
    """Potential (B, N) from the other side's, and the row-normalised plan (B, N, M) if wanted."""
    kernel, total, log_total = _soft_assignment(cost, log_b + g / epsilon, epsilon)
    plan = kernel.div_(total.unsqueeze(2)) if want_plan else None
    return log_total.mul_(-epsilon), plan


class _SinkhornDivergence(torch.autograd.Function):
    """Value of the divergence, with the gradient of its last half step."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        y: Tensor,
        a: Tensor,
        b: Tensor,
        schedule: Tensor,
        blur: float,
        debias: bool,
        constant_term: bool,
    ) -> Tensor:
        # The long schedules first; the small cost matrices are reordered, not the points.
        steps = (schedule > 0).sum(0)
        order = None
        if bool((steps != steps[0]).any()):
            order = torch.argsort(steps, descending=True, stable=True)
            schedule = schedule[:, order]
            order = order.to(x.device)
        running = (schedule > 0).sum(1).tolist()
        schedule = schedule.to(x)
        epsilon = x.new_full((1, 1), blur**2)
        alpha, beta = _cloud(x, a), _cloud(y, b)
        wants_x, wants_y = ctx.needs_input_grad[0], ctx.needs_input_grad[1]

        def solve(u: _Cloud, v: _Cloud) -> tuple[Tensor, Tensor, Tensor]:
            """Cost |u_i - v_j|^2 / 2 and potentials of both sides, in the order of the input."""
            cost = torch.baddbmm(v.half_norms.mT, u.points, v.points.mT, alpha=-1)
            cost.add_(u.half_norms)
            same = u is v
            if order is None:
                return cost, *_anneal(cost, u.logs, v.logs, schedule, running, symmetric=same)
            inputs = cost[order], u.logs[order], v.logs[order]
            f, g = _anneal(*inputs, schedule, running, symmetric=same)
            back = torch.argsort(order)
            return cost, f[back], g[back]

        cost, f, g = solve(alpha, beta)
        f_xy, plan_xy = _last_half_step(cost, beta.logs, g, epsilon, wants_x)
        g_xy, plan_yx = _last_half_step(cost.mT, alpha.logs, f, epsilon, wants_y)
        plan_xx = plan_yy = None
        if debias:
            cost, f, _ = solve(alpha, alpha)
            f_xx, plan_xx = _last_half_step(cost, alpha.logs, f, epsilon, wants_x)
            f_xy = f_xy - f_xx
        if constant_term:
            cost, g, _ = solve(beta, beta)
            g_yy, plan_yy = _last_half_step(cost, beta.logs, g, epsilon, wants_y)
            g_xy = g_xy - g_yy
        ctx.save_for_backward(x, y, a, b, f_xy, g_xy, plan_xy, plan_yx, plan_xx, plan_yy)
        return (a * f_xy).sum(1) + (b * g_xy).sum(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, y, a, b, f, g, plan_xy, plan_yx, plan_xx, plan_yy = ctx.saved_tensors
        grad = grad.unsqueeze(1)
        grad_x = grad_y = None
        if ctx.needs_input_grad[0]:
            grad_x = _barycentric_pull(x, y, plan_xy, plan_xx) * (grad * a).unsqueeze(2)
        if ctx.needs_input_grad[1]:
            grad_y = _barycentric_pull(y, x, plan_yx, plan_yy) * (grad * b).unsqueeze(2)
        grad_a = grad * f if ctx.needs_input_grad[2] else None
        grad_b = grad * g if ctx.needs_input_grad[3] else None
        return grad_x, grad_y, grad_a, grad_b, None, None, None, None


def _barycentric_pull(x: Tensor, y: Tensor, cross: Tensor, own: Tensor | None) -> Tensor:
    """sum_j cross_ij (x_i - y_j) - sum_k own_ik (x_i - x_k), where x_i cancels as rows sum to 1."""
    with torch.autocast(x.device.type, enabled=False):
        start = x if own is None else torch.bmm(own, x)
        return torch.baddbmm(start, cross, y, alpha=-1)
