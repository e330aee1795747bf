from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from scstlib.models.temporal.scnode.count_factors import fit_count_factors
from scstlib.models.temporal.scnode.value_factors import fit_value_factors

N_CELLS, N_GENES, DISPERSION = 800, 60, 0.4


@pytest.fixture(scope="module")
def simulated():
    """Counts of two factors, with depths that differ tenfold and a known dispersion."""
    rng = np.random.default_rng(0)
    points = rng.standard_normal((N_CELLS, 2))
    log_rate = rng.normal(0, 1, N_GENES) + points @ rng.normal(0, 0.4, (2, N_GENES))
    share = np.exp(log_rate)
    share /= share.sum(1, keepdims=True)
    depth = np.exp(rng.uniform(np.log(100), np.log(3000), N_CELLS))
    counts = rng.poisson(
        share * depth[:, None] * rng.gamma(1 / DISPERSION, DISPERSION, share.shape)
    )
    return counts.astype(np.float32), share, depth


@pytest.fixture(scope="module")
def factors(simulated):
    counts = simulated[0]
    return fit_count_factors(torch.as_tensor(counts), 2, 2, counts.sum(1), seed=0)


def test_rates_and_dispersion_are_recovered(simulated, factors):
    counts, share, depth = simulated
    found = factors.log_share(factors.encode(torch.as_tensor(counts))).numpy()
    centre = np.log(share) - np.log(share).mean(0)
    error = found - found.mean(0) - centre
    assert error[depth > 1000].std() < 0.35 * centre.std()
    assert_allclose(np.median(factors.dispersion), DISPERSION, rtol=0.15)


def test_depth_is_no_factor(simulated, factors):
    counts, _, depth = simulated
    points = factors.encode(torch.as_tensor(counts)).numpy()
    logs = np.log1p(counts / counts.sum(1, keepdims=True) * 1e4)
    centred = logs - logs.mean(0)
    components = centred @ np.linalg.svd(centred, full_matrices=False)[2][:3].T

    def largest(coordinates):
        return max(abs(np.corrcoef(c, np.log(depth))[0, 1]) for c in coordinates.T)

    assert largest(points) < 0.1 < 0.5 < largest(components)


def test_expected_values_are_the_mean_of_drawn_ones(factors):
    generator = torch.Generator().manual_seed(0)
    points = torch.tensor([[0.5, -0.5]]) * factors.scale
    many = points.repeat(20_000, 1)
    totals = factors.draw_totals(len(many), generator)
    # Normalised by the depth that was drawn, as the definition says.
    values = torch.log1p(factors.draw(many, totals, generator) * (1e4 / totals[:, None]))
    assert_allclose(factors.expected_values(points)[0], values.mean(0), atol=0.05)
    at = torch.full_like(totals, 500.0)
    values = torch.log1p(factors.draw(many, at, generator) * (1e4 / 500))
    near = factors.expected_values(points, torch.tensor([500.0]))[0]
    assert_allclose(near, values.mean(0), atol=0.2)


def test_drawn_counts_have_the_variance_of_the_model(factors):
    generator = torch.Generator().manual_seed(1)
    many = torch.zeros(20_000, 2)
    totals = torch.full((len(many),), 1000.0)
    counts = factors.draw(many, totals, generator).double()
    mean = factors.log_share(many[:1]).exp()[0].double() * 1000
    common = mean > 1
    expected = mean + factors.dispersion * mean.square()
    assert_allclose(counts.mean(0)[common], mean[common], rtol=0.1)
    assert_allclose(counts.var(0)[common], expected[common], rtol=0.15)


def test_factors_lie_in_memory_as_a_file_gives_them_back(factors):
    """Else a loaded model computes other last digits, and draws other cells now and then."""
    assert factors.loadings.is_contiguous()


def test_a_distance_is_one_of_log_rates(factors):
    a, b = torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 0.0]])
    rates = [factors.intercept + (p / factors.scale) @ factors.loadings for p in (a, b)]
    assert_allclose((rates[1] - rates[0]).norm(), 3.0, rtol=1e-4)


def test_the_rank_is_found_and_has_a_floor(simulated):
    counts = torch.as_tensor(simulated[0])
    totals = simulated[0].sum(1)
    assert len(fit_count_factors(counts, None, 1, totals, 0).loadings) in (2, 3)
    assert len(fit_count_factors(counts, None, 6, totals, 0).loadings) == 6
    with pytest.raises(ValueError, match="latent_dim must be 1 to 59"):
        fit_count_factors(counts, 60, 6, totals, 0)


def test_few_cells_get_few_dimensions():
    """Twelve kinds of cells span eleven components, which ten cells a kind do not support."""
    rng = np.random.default_rng(0)
    kinds = rng.normal(0, 2, (12, 400))[np.repeat(np.arange(12), 10)]
    values = torch.as_tensor(kinds + rng.normal(0, 0.5, kinds.shape), dtype=torch.float32)
    assert len(fit_value_factors(values, None, 2, seed=0).axes) == 120 // 25
    more = values.repeat(5, 1)
    assert len(fit_value_factors(more, None, 2, seed=0).axes) == 11


def test_a_gene_without_counts_does_no_harm(simulated):
    counts = simulated[0].copy()
    counts[:, 7] = 0
    found = fit_count_factors(torch.as_tensor(counts), 2, 2, counts.sum(1), 0)
    values = found.expected_values(found.encode(torch.as_tensor(counts)))
    assert torch.isfinite(values).all()
    assert values[:, 7].max() < 0.05


def test_value_factors_are_principal_components(simulated):
    values = torch.as_tensor(np.log1p(simulated[0]))
    found = fit_value_factors(values, 3, 1, seed=0)
    centred = values - values.mean(0)
    _, lengths, axes = torch.linalg.svd(centred, full_matrices=False)
    assert_allclose((found.axes @ axes[:3].mT).abs().diagonal(), np.ones(3), atol=1e-4)
    assert_allclose(found.encode(values).norm(dim=0), lengths[:3], rtol=1e-4)
    drawn = found.draw(found.encode(values), torch.Generator().manual_seed(0))
    assert drawn.min() >= values.min()
    assert_allclose(drawn.var(0).mean(), values.var(0).mean(), rtol=0.1)


@pytest.mark.parametrize("seed", [1, 2])
def test_loadings_of_deep_counts_do_not_overshoot(seed):
    """Few cells, a million reads each, variance far above the mean: long steps never come back."""
    rng = np.random.default_rng(seed)
    loadings = rng.standard_normal((3, 400))
    log_rate = rng.normal(0, 2, 400) + rng.standard_normal((60, 3)) @ loadings
    share = np.exp(log_rate)
    mean = share / share.sum(1, keepdims=True) * 1e6
    counts = rng.poisson(mean * rng.gamma(1 / 4, 4, mean.shape)).astype(np.float32)
    counts = counts[:, counts.sum(0) > 0]
    found = fit_count_factors(torch.as_tensor(counts), 10, 10, counts.sum(1), seed=0)
    assert found.loadings.abs().max() < 1.5 * np.abs(loadings).max()
