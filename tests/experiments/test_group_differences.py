"""Tests of genes between two groups, against other implementations and by known answers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2_contingency, ttest_ind

from scstlib.experiments.group_differences import called_genes, share_test, welch_test


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_welch_is_that_of_scipy_up_to_the_normal_distribution(rng: np.random.Generator) -> None:
    a, b = rng.normal(size=(400, 30)), rng.normal(0.2, 2.0, size=(300, 30))
    expected = ttest_ind(a, b, equal_var=False).pvalue
    np.testing.assert_allclose(welch_test(a, b), expected, atol=2e-3)


def test_a_gene_that_does_not_vary_is_never_called(rng: np.random.Generator) -> None:
    a, b = rng.poisson(3.0, (50, 3)).astype(float), rng.poisson(3.0, (40, 3)).astype(float)
    a[:, 1] = b[:, 1] = 0
    assert welch_test(a, b)[1] == 1
    assert share_test(a, b)[1] == 1


def test_shares_of_poisson_counts_agree_with_the_test_of_a_table(rng: np.random.Generator) -> None:
    mean = rng.uniform(0.5, 3.0, 12)
    a, b = rng.poisson(mean, (500, 12)), rng.poisson(0.4 * mean, (700, 12))
    p = share_test(a, b)
    for gene in range(12):
        sums = [[c[:, gene].sum(), c.sum() - c[:, gene].sum()] for c in (a, b)]
        assert p[gene] == pytest.approx(chi2_contingency(sums, correction=False).pvalue, abs=0.07)


def test_p_values_of_overdispersed_cells_of_unequal_depth_are_uniform(
    rng: np.random.Generator,
) -> None:
    level = rng.uniform(0.2, 2.0, 400)
    groups = [rng.poisson(depth * level * rng.gamma(2.0, 0.5, (300, 400))) for depth in (3.0, 1.0)]
    p = share_test(*groups)
    assert (p < 0.05).mean() == pytest.approx(0.05, abs=0.03)
    assert np.median(p) == pytest.approx(0.5, abs=0.08)
    a, b = (np.log1p(1e4 * c / c.sum(axis=1, keepdims=True)) for c in groups)
    assert (welch_test(a, b) < 0.05).mean() > 0.5  # what the page is about


def test_a_changed_share_is_found(rng: np.random.Generator) -> None:
    mean = np.full(40, 1.0)
    a, b = rng.poisson(mean, (200, 40)), rng.poisson(np.r_[2.0, mean[1:]], (200, 40))
    assert share_test(a, b).argmin() == 0
    assert called_genes(share_test(a, b))[0]


def test_groups_that_cannot_be_compared_are_refused(rng: np.random.Generator) -> None:
    a = rng.poisson(2.0, (20, 4)).astype(float)
    for b in (a[:, :3], a[:1], a[0]):
        with pytest.raises(ValueError, match="of the same genes"):
            welch_test(a, b)
    with pytest.raises(ValueError, match="NaN"):
        welch_test(a, np.full((5, 4), np.nan))
    for b in (-a, 0 * a):
        with pytest.raises(ValueError, match="raw counts"):
            share_test(a, b)
    with pytest.raises(ValueError, match="rate"):
        called_genes(np.array([0.5]), rate=5)
