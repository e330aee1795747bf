from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from scstlib.preprocess.confounding import (
    check_confounding,
    check_depths,
    variance_explained,
)
from scstlib.preprocess.counts import (
    count_split,
    expected_zeros,
    thin_counts,
    thin_to_one_depth,
)


def cells(counts: np.ndarray, sparse: bool = False) -> AnnData:
    return AnnData(sp.csr_matrix(counts) if sparse else counts.astype(float))


def poisson_cells(n: int = 2000, seed: int = 0, dispersion: float = 0.0) -> AnnData:
    rng = np.random.default_rng(seed)
    mean = np.geomspace(0.2, 8, 6) * np.exp(0.4 * rng.standard_normal((n, 1)))
    if dispersion:
        mean = mean * rng.gamma(1 / dispersion, dispersion, mean.shape)
    return cells(rng.poisson(mean))


@pytest.mark.parametrize("sparse", [False, True])
def test_thinning_keeps_the_share_that_was_asked_for(sparse):
    deep = cells(np.full((300, 4), 50), sparse)
    before = deep.copy()
    thinned = thin_counts(deep, seed=0, fraction=0.2)
    assert sp.issparse(thinned.X) == sparse
    x = np.asarray(thinned.X.todense()) if sparse else thinned.X
    # Binomial: mean 10, variance 8.
    assert abs(x.mean() - 10) < 0.3
    assert abs(x.var() - 8) < 1
    assert abs(before.X - deep.X).sum() == 0
    again = thin_counts(deep, seed=0, fraction=0.2)
    assert abs(again.X - thinned.X).sum() == 0


def test_thinning_to_one_total_makes_depths_equal():
    rng = np.random.default_rng(1)
    adata = cells(rng.poisson(np.array([[5.0], [20.0], [80.0]]) * np.ones((3, 400))))
    thinned = thin_counts(adata, seed=0, total=1500)
    np.testing.assert_allclose(thinned.X.sum(axis=1), 1500, rtol=0.05)
    with pytest.raises(ValueError, match="1 cells have fewer"):
        thin_counts(adata, seed=0, total=4000)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "either"),
        ({"fraction": 1.5}, "probabilities"),
        ({"fraction": 0.5, "total": 1}, "eithe"),
    ],
)
def test_what_cannot_be_thinned_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        thin_counts(cells(np.ones((2, 2))), seed=0, **settings)
    with pytest.raises(ValueError, match="not counts"):
        thin_counts(cells(np.full((2, 2), 0.5)), seed=0, fraction=0.5)


@pytest.mark.parametrize("sparse", [False, True])
def test_the_two_parts_add_up(sparse):
    adata = cells(np.random.default_rng(0).poisson(3.0, (50, 7)), sparse)
    first, second = count_split(adata, seed=0, fraction=0.3)
    assert abs(first.X + second.X - adata.X).sum() == 0
    assert abs(first.X.sum() / adata.X.sum() - 0.3) < 0.05
    for fraction in (0.0, 1.0):
        with pytest.raises(ValueError, match="between 0 and 1"):
            count_split(adata, seed=0, fraction=fraction)


def correlations(adata: AnnData) -> np.ndarray:
    """Between the two parts, of each gene given the depth."""
    first, second = (part.X / adata.X.sum(axis=1, keepdims=True)
                     for part in count_split(adata, seed=1))  # fmt: skip
    return np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(first.T, second.T, strict=True)])


def test_parts_of_poisson_counts_are_independent_and_of_overdispersed_ones_not():
    rng = np.random.default_rng(0)
    fixed = cells(rng.poisson(np.geomspace(0.5, 5, 200), (2000, 200)))
    assert np.abs(correlations(fixed)).mean() < 0.03
    loose = cells(rng.poisson(np.geomspace(0.5, 5, 200) * rng.gamma(1, 1, (2000, 200))))
    assert correlations(loose)[-20:].mean() > 0.5


def test_zeros_of_counting_alone_are_expected():
    table = expected_zeros(poisson_cells())
    np.testing.assert_allclose(table["zeros"], table["poisson"], atol=0.03)
    assert table["dispersion"].max() < 0.1


def test_zeros_of_dispersed_counts_need_the_negative_binomial():
    table = expected_zeros(poisson_cells(4000, dispersion=0.8))
    assert (table["zeros"] - table["poisson"]).iloc[2:].min() > 0.04
    np.testing.assert_allclose(table["zeros"], table["negative_binomial"], atol=0.04)


def test_groups_explain_the_zeros_of_cell_types():
    rng = np.random.default_rng(0)
    kind = np.repeat([0, 1], 1000)
    # Many steady genes, so that the depth of a cell says little about the three.
    steady = [2.0] * 40
    mean = np.where(kind[:, None] == 0, [4.0, 0.1, *steady], [0.1, 4.0, *steady])
    adata = cells(rng.poisson(mean))
    together, apart = expected_zeros(adata), expected_zeros(adata, kind)
    assert (together["zeros"] - together["poisson"])[:2].min() > 0.2
    np.testing.assert_allclose(apart["zeros"], apart["poisson"], atol=0.03)


def test_empty_cells_do_not_count_and_no_counts_are_refused():
    adata = poisson_cells(200)
    with_empty = cells(np.vstack([adata.X, np.zeros((100, 6))]))
    pd.testing.assert_frame_equal(expected_zeros(adata), expected_zeros(with_empty))
    with pytest.raises(ValueError, match="no counts"):
        expected_zeros(cells(np.zeros((3, 3))))


def obs(pairs: list[tuple[float, str]]) -> pd.DataFrame:
    return pd.DataFrame(pairs, columns=["time", "batch"])


@pytest.mark.parametrize(
    "pairs",
    [
        [(0, "a"), (1, "a"), (2, "a")],
        [(0, "a"), (0, "b"), (1, "a"), (1, "b")],
        [(0, "a"), (1, "a"), (1, "b"), (2, "b")],  # linked through time 1
    ],
)
def test_times_that_share_batches_are_accepted(pairs):
    table = check_confounding(obs(pairs), "time", "batch")
    assert table.to_numpy().sum() == len(pairs)


@pytest.mark.parametrize(
    "pairs", [[(0, "a"), (1, "b")], [(0, "a"), (1, "a"), (2, "b"), (3, "b"), (3, "c")]]
)
def test_a_batch_of_its_own_for_each_time_is_refused(pairs):
    with pytest.raises(ValueError, match=r"\[0.*share no batch"):
        check_confounding(obs(pairs), "time", "batch")
    with pytest.raises(KeyError, match="donor"):
        check_confounding(obs(pairs), "time", "donor")


def test_variance_explained_by_hand():
    # Means 1 and 4: between 2.25; total 2.25 + within 1/2... of (0, 2) 1 and of (4, 4) 0.
    assert variance_explained(np.array([0, 2, 4, 4]), np.array(["a", "a", "b", "b"])) == (
        pytest.approx(2.25 / 2.75)
    )
    assert variance_explained(np.ones(3), np.arange(3)) == 0
    with pytest.raises(ValueError, match="finite"):
        variance_explained(np.array([1.0, np.nan]), np.array([0, 1]))


def test_groups_of_unequal_depth_are_refused_by_name():
    depths, groups = np.array([100.0, 110, 90, 120, 130, 110]), np.repeat(["a", "b"], 3)
    assert check_depths(depths, groups).to_dict() == {"a": 100, "b": 120}
    with pytest.raises(ValueError, match=r"'b' is 1\.2 times as deep as 'a'"):
        check_depths(depths, groups, factor=1.19)
    check_depths(depths, pd.Series(groups), factor=1.2)
    with pytest.raises(ValueError, match=r"^2 is 1\.2 times as deep as 1 "):
        check_depths(depths, np.where(groups == "a", 1, 2), factor=1.1)
    with pytest.raises(ValueError, match="positive"):
        check_depths(np.array([1.0, 0]), np.array(["a", "b"]))
    with pytest.raises(ValueError, match="at least 1"):
        check_depths(depths, groups, factor=0.9)


@pytest.mark.parametrize("check", [check_depths, variance_explained])
def test_values_without_a_group_are_refused(check):
    with pytest.raises(ValueError, match="group of 1 is missing"):
        check(np.ones(3), pd.Series(["a", None, "b"]))
    with pytest.raises(ValueError, match=r"0 (depths|values)"):
        check(np.array([]), np.array([]))


def test_samples_are_thinned_to_the_total_of_the_shallowest_cell() -> None:
    rng = np.random.default_rng(0)
    deep, shallow = (AnnData(rng.poisson(mean, (50, 400)).astype(float)) for mean in (6.0, 2.0))
    parts = thin_to_one_depth([deep, shallow], seed=1)
    total = shallow.X.sum(axis=1).min()
    for part, given in zip(parts, (deep, shallow), strict=True):
        assert (part.X <= given.X).all()
        assert part.X.sum(axis=1).mean() == pytest.approx(total, rel=0.03)
    with pytest.raises(ValueError, match="no sample"):
        thin_to_one_depth([], seed=1)
