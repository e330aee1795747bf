"""The Sinkhorn divergence against geomloss, a published value, and known answers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from geomloss import SamplesLoss
from hypothesis import given, settings
from hypothesis import strategies as st

from scstlib.ot import sinkhorn_divergence

# Computed with the public code of https://doi.org/10.1093/bioinformatics/btae393, commit ba55e8d.
PUBLISHED = Path(__file__).parent / "metrics" / "published_expression.npz"


def clouds(batch, n, m, dim, dtype, seed=0, spread=1.0):
    """Pairs of clouds whose scale, and so the length of the schedule, differs in the batch."""
    generator = torch.Generator().manual_seed(seed)
    scale = spread ** torch.linspace(-1, 1, batch, dtype=dtype)[:, None, None]
    x = torch.rand(batch, n, dim, generator=generator, dtype=dtype) * 2 * scale
    y = torch.rand(batch, m, dim, generator=generator, dtype=dtype) * 3 * scale + 0.5
    return x, y


def weights(batch, n, dtype, seed):
    generator = torch.Generator().manual_seed(seed)
    raw = torch.rand(batch, n, generator=generator, dtype=dtype)
    raw[:, 0] = 0
    return raw / raw.sum(1, keepdim=True)


def geomloss_loop(x, y, a=None, b=None, **settings):
    loss = SamplesLoss("sinkhorn", p=2, backend="tensorized", **settings)
    pairs = zip(x, y, strict=True)
    if a is None:
        return torch.stack([loss(u, v) for u, v in pairs])
    return torch.stack([loss(p, u, q, v) for (u, v), p, q in zip(pairs, a, b, strict=True)])


def gradients(value, *inputs):
    return torch.autograd.grad((value * torch.arange(1, len(value) + 1)).sum(), inputs)


@pytest.mark.parametrize("debias", [True, False])
@pytest.mark.parametrize("spread", [1.0, 30.0])
@pytest.mark.parametrize(("blur", "scaling"), [(0.05, 0.5), (0.3, 0.8), (0.01, 0.5)])
def test_equals_geomloss_in_float64(debias, spread, blur, scaling):
    x, y = clouds(5, 13, 17, 3, torch.float64, spread=spread)
    x.requires_grad_()
    y.requires_grad_()
    options = {"blur": blur, "scaling": scaling, "debias": debias}
    ours, theirs = sinkhorn_divergence(x, y, **options), geomloss_loop(x, y, **options)
    assert ours.shape == (5,)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    for left, right in zip(gradients(ours, x, y), gradients(theirs, x, y), strict=True):
        torch.testing.assert_close(left, right, rtol=1e-7, atol=1e-7)


def test_equals_geomloss_with_weights_and_their_gradients():
    x, y = clouds(4, 9, 6, 2, torch.float64, spread=5.0)
    a, b = weights(4, 9, torch.float64, 1), weights(4, 6, torch.float64, 2)
    inputs = [t.requires_grad_() for t in (x, y, a, b)]
    ours, theirs = sinkhorn_divergence(x, y, a, b), geomloss_loop(x, y, a, b)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    for left, right in zip(gradients(ours, *inputs), gradients(theirs, *inputs), strict=True):
        torch.testing.assert_close(left, right, rtol=1e-7, atol=1e-7)


def test_float32_is_as_close_to_float64_as_geomloss_is():
    x, y = clouds(8, 32, 60, 200, torch.float32)
    x.requires_grad_()
    ours, theirs = sinkhorn_divergence(x, y), geomloss_loop(x, y)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)
    exact_x = x.detach().double().requires_grad_()
    exact = gradients(sinkhorn_divergence(exact_x, y.double()), exact_x)[0]
    error_ours = (gradients(ours, x)[0] - exact).norm()
    error_theirs = (gradients(theirs, x)[0] - exact).norm()
    assert error_ours <= 1.5 * error_theirs


def test_equals_published_value_and_gradient():
    published = np.load(PUBLISHED)
    estimated = torch.from_numpy(published["sinkhorn_estimated"]).requires_grad_()
    true = torch.from_numpy(np.stack([published[f"sinkhorn_true_{i}"] for i in range(3)]))
    value = sinkhorn_divergence(estimated.transpose(0, 1), true).mean()
    gradient = torch.autograd.grad(value, estimated)[0].numpy()
    np.testing.assert_allclose(value.item(), published["sinkhorn_value"], rtol=1e-9)
    np.testing.assert_allclose(gradient, published["sinkhorn_gradient"], rtol=1e-7, atol=1e-9)


def test_constant_term_shifts_the_value_and_leaves_the_gradient():
    x, y = clouds(4, 12, 20, 3, torch.float64, spread=4.0)
    x.requires_grad_()
    full = sinkhorn_divergence(x, y)
    short = sinkhorn_divergence(x, y, constant_term=False)
    assert torch.equal(gradients(full, x)[0], gradients(short, x)[0])
    other, _ = clouds(4, 5, 1, 3, torch.float64, seed=9, spread=0.5)
    diameter = 50.0
    shift = [
        sinkhorn_divergence(cloud, y, diameter=diameter)
        - sinkhorn_divergence(cloud, y, diameter=diameter, constant_term=False)
        for cloud in (x.detach(), other)
    ]
    torch.testing.assert_close(*shift)


def test_constant_term_is_kept_when_its_gradient_is_wanted():
    x, y = clouds(2, 4, 5, 2, torch.float64)
    with pytest.raises(ValueError, match="constant_term=False"):
        sinkhorn_divergence(x, y.requires_grad_(), constant_term=False)


def test_two_points_are_half_their_squared_distance_apart():
    x = torch.tensor([[0.0, 0.0]], dtype=torch.float64)
    y = torch.tensor([[3.0, 4.0]], dtype=torch.float64)
    value = sinkhorn_divergence(x, y)
    assert value.shape == ()
    assert value.item() == pytest.approx(25 / 2)


def test_gradient_moves_a_cloud_by_its_offset():
    x, _ = clouds(1, 10, 1, 3, torch.float64)
    x.requires_grad_()
    sinkhorn_divergence(x, x.detach() + 2.0, scaling=0.9).sum().backward()
    torch.testing.assert_close(x.grad, torch.full_like(x, -2.0 / 10), rtol=1e-3, atol=1e-3)


def test_same_cloud_with_other_weights_is_not_zero():
    x, _ = clouds(2, 6, 1, 2, torch.float64)
    a = weights(2, 6, torch.float64, 3)
    torch.testing.assert_close(
        sinkhorn_divergence(x, x, a), geomloss_loop(x, x, a, torch.full_like(a, 1 / 6))
    )


def test_weight_zero_fills_up_a_smaller_cloud():
    x, y = clouds(1, 8, 6, 2, torch.float64)
    filled = torch.cat([y, y[:, :3]], dim=1)
    b = torch.tensor([1 / 6] * 6 + [0.0] * 3, dtype=torch.float64)
    torch.testing.assert_close(
        sinkhorn_divergence(x, filled, None, b), sinkhorn_divergence(x, y), rtol=1e-12, atol=0
    )


@given(seed=st.integers(0, 10_000), n=st.integers(1, 6), dim=st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_zero_on_equal_symmetric_and_blind_to_order(seed, n, dim):
    x, y = clouds(3, n, 5, dim, torch.float64, seed=seed, spread=3.0)
    zero = torch.zeros(3, dtype=torch.float64)
    torch.testing.assert_close(sinkhorn_divergence(x, x.clone()), zero, rtol=0, atol=1e-12)
    forward = sinkhorn_divergence(x, y)
    torch.testing.assert_close(sinkhorn_divergence(y, x), forward, rtol=1e-9, atol=1e-9)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(sinkhorn_divergence(x[:, order], y), forward, rtol=1e-9, atol=1e-9)


def test_one_repeated_point_is_at_distance_zero():
    x = torch.ones(2, 3, 4, requires_grad=True)
    value = sinkhorn_divergence(x, torch.ones(2, 5, 4))
    assert torch.equal(value, torch.zeros(2))
    assert torch.equal(torch.autograd.grad(value.sum(), x)[0], torch.zeros(2, 3, 4))


def test_autocast_does_not_lower_the_precision():
    x, y = clouds(2, 6, 7, 3, torch.float32)
    x.requires_grad_()
    expected = sinkhorn_divergence(x, y)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = sinkhorn_divergence(x, y)
        gradient = gradients(value, x)[0]
    assert torch.equal(value, expected)
    assert torch.equal(gradient, gradients(expected, x)[0])


def test_inputs_are_left_as_they_were():
    x, y = clouds(3, 4, 5, 2, torch.float64, spread=10.0)
    before = x.clone(), y.clone()
    sinkhorn_divergence(x, y)
    assert torch.equal(x, before[0])
    assert torch.equal(y, before[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.rand(2, 3)}, "must both be"),
        ({"x": torch.rand(2, 4, 9)}, "batch size and dimension"),
        ({"x": torch.rand(2, 4, 3, dtype=torch.float64)}, "both float32"),
        ({"x": torch.ones(2, 4, 3, dtype=torch.int64)}, "both float32"),
        ({"x": torch.rand(2, 0, 3)}, "at least one point"),
        ({"x": torch.full((2, 4, 3), torch.nan)}, "not finite"),
        ({"y": torch.full((2, 5, 3), torch.inf)}, "not finite"),
        ({"x_weights": torch.ones(2, 4)}, "sum to 1"),
        ({"x_weights": torch.tensor([2.0, -1.0, 0.0, 0.0])}, "non-negative"),
        ({"y_weights": torch.ones(2, 4) / 4}, "must be"),
        ({"blur": 0.0}, "blur"),
        ({"scaling": 1.0}, "scaling"),
        ({"diameter": -1.0}, "diameter"),
    ],
)
def test_wrong_input_is_named(change, message):
    arguments = {"x": torch.rand(2, 4, 3), "y": torch.rand(2, 5, 3)} | change
    with pytest.raises(ValueError, match=message):
        sinkhorn_divergence(**arguments)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("spread", [1.0, 30.0])
def test_cuda_equals_cpu(spread):
    x, y = clouds(5, 13, 17, 3, torch.float64, spread=spread)
    x.requires_grad_()
    on_device = x.detach().cuda().requires_grad_()
    ours, expected = sinkhorn_divergence(on_device, y.cuda()), sinkhorn_divergence(x, y)
    torch.testing.assert_close(ours.cpu(), expected, rtol=1e-9, atol=1e-9)
    gradient = torch.autograd.grad(ours.sum(), on_device)[0].cpu()
    torch.testing.assert_close(
        gradient, torch.autograd.grad(expected.sum(), x)[0], rtol=1e-7, atol=1e-7
    )
