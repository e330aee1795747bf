"""Expression: equal to scanpy on the training cells, and nothing learned from held-out ones."""

import warnings
from itertools import pairwise

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from scstlib.leakage import LeakageError, check_evaluation
from scstlib.preprocess import expression as ex
from scstlib.splits import hold_out_times

with warnings.catch_warnings():
    # scanpy's own imports warn of what its dependencies will deprecate.
    warnings.simplefilter("ignore")
    import scanpy as sc


def cells(n=60, genes=30, seed=0, sparse=True):
    rng = np.random.default_rng(seed)
    mean = rng.gamma(1.0, 3.0, genes) * rng.uniform(0.5, 2, n)[:, None]
    x = rng.poisson(mean).astype(float)
    obs = pd.DataFrame({"time": np.arange(n) % 3}, index=[f"c{i}" for i in range(n)])
    var = pd.DataFrame(index=[f"g{j}" for j in range(genes)])
    return ad.AnnData(sp.csr_matrix(x) if sparse else x, obs=obs, var=var)


def dense(adata):
    return adata.X.toarray() if sp.issparse(adata.X) else adata.X


LEARNERS = [
    ex.ShiftedLog("median"),
    ex.PooledSizeFactors(sizes=(5, 10)),
    ex.PearsonResiduals(),
    ex.SelectVariableGenes(10),
    ex.Scale(),
    ex.PCA(3),
]


class TestAllTransformers:
    @pytest.mark.parametrize("learner", LEARNERS, ids=lambda t: type(t).__name__)
    @pytest.mark.parametrize("sparse", [True, False])
    def test_learn_from_training_alone_and_change_nothing(self, learner, sparse):
        adata = cells(sparse=sparse)
        if isinstance(learner, ex.SelectVariableGenes):
            adata = ex.ShiftedLog().fit_transform(adata)
        split = hold_out_times(adata, test=2)
        before = dense(split.test).copy()
        fitted = clone(learner).fit(split.train)
        alone = fitted.transform(split.test)
        np.testing.assert_array_equal(dense(split.test), before)
        assert np.isfinite(dense(alone)).all()
        assert list(alone.obs_names) == list(split.test.obs_names)
        check_evaluation(fitted, split.test)
        with pytest.raises(LeakageError, match=type(learner).__name__):
            check_evaluation(fitted, split.train[:2])
        # the other held-out cells play no part, except where pools are made of them
        if not isinstance(learner, ex.PooledSizeFactors):
            one = fitted.transform(split.test[3:4].copy())
            np.testing.assert_allclose(dense(one)[0], dense(alone)[3])
            for key in alone.obsm:
                np.testing.assert_allclose(one.obsm[key][0], alone.obsm[key][3])

    @pytest.mark.parametrize("learner", LEARNERS[1:], ids=lambda t: type(t).__name__)
    def test_genes_are_matched_by_name(self, learner):
        adata = cells(sparse=False)
        adata.X[0, :] += 1
        if isinstance(learner, ex.SelectVariableGenes):
            adata = ex.ShiftedLog().fit_transform(adata)
        fitted = clone(learner).fit(adata)
        shuffled = adata[:, ::-1].copy()
        np.testing.assert_allclose(
            dense(fitted.transform(shuffled)), dense(fitted.transform(adata))
        )
        with pytest.raises(ValueError, match="genes of the fit are missing, such as 'g"):
            fitted.transform(adata[:, :3])

    def test_pipeline_is_guarded_as_a_whole(self):
        adata = cells()
        split = hold_out_times(adata, test=1)
        pipeline = Pipeline(
            [
                ("log", ex.ShiftedLog()),
                ("genes", ex.SelectVariableGenes(10)),
                ("none", "passthrough"),
                ("pca", ex.PCA(2)),
            ]
        ).fit(split.train)
        scores = pipeline.transform(split.test)
        assert scores.shape == (20, 10)
        assert scores.obsm["X_pca"].shape == (20, 2)
        check_evaluation(pipeline, split.test)
        pipeline.set_params(genes=ex.SelectVariableGenes(10).fit(pipeline[0].transform(adata)))
        with pytest.raises(LeakageError, match="SelectVariableGenes was fitted on"):
            check_evaluation(pipeline, split.test)

    @pytest.mark.parametrize("learner", LEARNERS[:3], ids=lambda t: type(t).__name__)
    def test_what_is_not_counts(self, learner):
        for value, message in ((np.nan, "NaN or infinity"), (-1.0, "goes down to -1.0")):
            adata = cells(sparse=False)
            adata.X[1, 1] = value
            with pytest.raises(ValueError, match=message):
                clone(learner).fit(adata)
        adata = cells(sparse=False)
        adata.X += 0.5
        with pytest.warns(UserWarning, match="normalised already"):
            clone(learner).fit(adata)


class TestShiftedLog:
    @pytest.mark.parametrize(("target", "scanpys"), [(1e4, 1e4), ("median", None)])
    def test_equals_scanpy(self, target, scanpys):
        adata = cells()
        reference = adata.copy()
        sc.pp.normalize_total(reference, target_sum=scanpys)
        sc.pp.log1p(reference)
        ours = ex.ShiftedLog(target).fit_transform(adata)
        assert sp.issparse(ours.X)
        np.testing.assert_allclose(dense(ours), dense(reference), rtol=1e-6)

    def test_fixed_total_learns_nothing(self):
        adata = cells()
        check_evaluation(ex.ShiftedLog().fit(adata), adata)

    def test_empty_cell_stays_zero(self):
        adata = cells(sparse=False)
        adata.X[0] = 0
        assert not dense(ex.ShiftedLog().fit_transform(adata))[0].any()
        with pytest.raises(ValueError, match="'mean': give a number or 'median'"):
            ex.ShiftedLog("mean").fit(adata)


class TestPearsonResiduals:
    @pytest.mark.parametrize(("theta", "clip"), [(100, None), (10, 2.0), (np.inf, None)])
    def test_equals_scanpy_on_training(self, theta, clip):
        adata = cells()
        # scanpy divides 0 by 0 for a gene without counts
        adata = adata[:, np.asarray(adata.X.sum(axis=0)).ravel() > 0].copy()
        reference = sc.experimental.pp.normalize_pearson_residuals(
            adata, theta=theta, clip=clip, inplace=False
        )["X"]
        ours = ex.PearsonResiduals(theta, clip).fit_transform(adata).X
        np.testing.assert_allclose(ours, reference, rtol=1e-5, atol=1e-6)

    def test_held_out_cells_by_hand(self):
        train = ad.AnnData(np.array([[1.0, 3.0, 0.0], [1.0, 3.0, 0.0]]))
        test = ad.AnnData(np.array([[4.0, 4.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 2.0]]))
        r = ex.PearsonResiduals(theta=np.inf, clip=5).fit(train).transform(test).X
        np.testing.assert_allclose(r[0], [(4 - 2) / np.sqrt(2), (4 - 6) / np.sqrt(6), 0])
        np.testing.assert_array_equal(r[1], 0)
        assert r[2, 2] == 5

    def test_refused(self):
        with pytest.raises(ValueError, match="theta is 0"):
            ex.PearsonResiduals(0).fit(cells())
        with pytest.raises(ValueError, match="no counts"):
            ex.PearsonResiduals().fit(ad.AnnData(np.zeros((2, 2))))


class TestPooledSizeFactors:
    def test_equals_least_squares_over_explicit_pools(self):
        adata = cells(12, 20, sparse=False)
        adata.X += 1
        sizes = (3, 5)
        ours = ex.PooledSizeFactors(sizes, min_mean=0).fit(adata).size_factors(adata)
        x = adata.X
        total = x.sum(axis=1)
        reference = (x / total[:, None]).mean(axis=0)
        order = list(np.argsort(total, kind="stable"))
        ring = order[::2] + order[1::2][::-1]
        rows, right = [], []
        for size in sizes:
            for k in range(12):
                pool = [ring[(k + i) % 12] for i in range(size)]
                row = np.zeros(12)
                row[pool] = 1
                pooled = (x[pool] / total[pool, None]).sum(axis=0)
                rows.append(row)
                right.append(np.median(pooled / reference))
        rows += list(1e-3 * np.eye(12))
        right += [1e-3] * 12
        factors = np.linalg.lstsq(np.array(rows), np.array(right), rcond=None)[0] * total
        np.testing.assert_allclose(ours, factors / factors.mean(), rtol=1e-6)

    def test_true_factors_where_totals_mislead(self):
        # A third of the cells express 10 % of the genes 20-fold: their totals are too large.
        rng = np.random.default_rng(3)
        truth = rng.uniform(0.5, 2, 300)
        mean = rng.gamma(2.0, 1.0, 400) * truth[:, None]
        mean[:100, :40] *= 20
        adata = ad.AnnData(rng.poisson(mean).astype(float))
        factors = ex.PooledSizeFactors().fit(adata).size_factors(adata)
        total = adata.X.sum(axis=1)

        def bias(estimate):
            ratio = np.log(estimate / truth)
            return abs(np.median(ratio[:100]) - np.median(ratio[100:]))

        assert bias(total) > 0.8
        assert bias(factors) < 0.25 * bias(total)

    def test_new_cells_on_the_scale_of_training(self):
        adata = cells(80, 50, sparse=False)
        fitted = ex.PooledSizeFactors((10, 20)).fit(adata)
        assert fitted.size_factors(adata).mean() == pytest.approx(1.0)
        deeper = adata.copy()
        deeper.X = deeper.X * 3
        np.testing.assert_allclose(
            fitted.size_factors(deeper), 3 * fitted.size_factors(adata), rtol=1e-6
        )
        out = fitted.transform(adata[:1])
        assert out.obs["size_factor"].notna().all()

    def test_refused(self):
        adata = cells(sparse=False)
        adata.X[0] = 0
        with pytest.raises(ValueError, match="1 cells have no counts"):
            ex.PooledSizeFactors().fit(adata)
        with pytest.raises(ValueError, match="no gene has a mean count of 1000"):
            ex.PooledSizeFactors(min_mean=1000).fit(cells())


class TestSelectVariableGenes:
    def test_a_gene_that_varies_in_held_out_cells_only_is_not_chosen(self):
        adata = cells(90, 40, sparse=False)
        late = (adata.obs["time"] == 2).to_numpy()
        adata.X[:, 7] = 5
        adata.X[np.flatnonzero(late)[::2], 7] = 500
        train = hold_out_times(adata, test=2).train
        select = ex.SelectVariableGenes(5, "pearson_residuals")
        assert "g7" in clone(select).fit(adata).genes_
        assert "g7" not in clone(select).fit(train).genes_

    @pytest.mark.parametrize("flavor", ["seurat", "cell_ranger", "pearson_residuals"])
    def test_flavors(self, flavor):
        adata = cells(genes=100)
        assert (adata.X.sum(axis=0) == 0).any()
        adata = adata if flavor == "pearson_residuals" else ex.ShiftedLog().fit_transform(adata)
        chosen = ex.SelectVariableGenes(12, flavor).fit_transform(adata)
        assert chosen.n_vars == 12
        assert "highly_variable" not in adata.var

    def test_as_many_genes_as_asked_for_also_where_dispersions_are_equal(self):
        """Two genes in one of scanpy's bins have one dispersion, up to rounding."""
        log = ex.ShiftedLog().fit(cells()).transform(cells())
        chosen = [set(ex.SelectVariableGenes(n).fit(log).genes_) for n in range(1, 26)]
        assert [len(genes) for genes in chosen] == list(range(1, 26))
        for fewer, more in pairwise(chosen):
            assert fewer < more

    def test_refused(self):
        with pytest.raises(ValueError, match="31 genes asked for, the data have 30"):
            ex.SelectVariableGenes(31).fit(cells())
        with pytest.raises(ValueError, match="unknown flavor 'v3'"):
            ex.SelectVariableGenes(3, "v3").fit(cells())


class TestScaleAndPCA:
    def test_scale_by_hand(self):
        train = ad.AnnData(np.array([[0.0, 5.0], [2.0, 5.0]]))
        test = ad.AnnData(np.array([[4.0, 7.0]]))
        assert ex.Scale().fit(train).transform(test).X.tolist() == [[3.0, 2.0]]
        assert ex.Scale(max_value=2.5).fit(train).transform(test).X.tolist() == [[2.5, 2.0]]

    def test_pca_equals_the_singular_vectors(self):
        adata = cells(sparse=False)
        pca = ex.PCA(4).fit(adata)
        centred = adata.X - adata.X.mean(axis=0)
        _, s, vt = np.linalg.svd(centred, full_matrices=False)
        np.testing.assert_allclose(np.abs(pca.components_ @ vt[:4].T), np.eye(4), atol=1e-8)
        np.testing.assert_allclose(pca.explained_variance_, s[:4] ** 2 / (adata.n_obs - 1))
        full = ex.PCA(30).fit(adata)
        back = full.inverse_transform(full.transform(adata).obsm["X_pca"])
        np.testing.assert_allclose(back, adata.X, atol=1e-8)

    @pytest.mark.parametrize("rank", [1, 3, 6])
    @pytest.mark.parametrize("shape", [(200, 40), (50, 120)])
    def test_parallel_analysis_finds_the_rank(self, rank, shape):
        rng = np.random.default_rng(rank)
        signal = rng.normal(size=(shape[0], rank)) @ rng.normal(size=(rank, shape[1]))
        x = signal + rng.normal(size=shape)
        assert ex.parallel_analysis(x, seed=1) == rank
        before = x.copy()
        assert ex.PCA("parallel").fit(ad.AnnData(x)).components_.shape[0] == rank
        np.testing.assert_array_equal(x, before)

    def test_noise_has_rank_one_at_most(self):
        x = np.random.default_rng(0).normal(size=(100, 20))
        assert ex.parallel_analysis(x) == 1
        assert ex.parallel_analysis(np.ones((10, 4))) == 1
        # genes that vary more are no component
        assert ex.parallel_analysis(x * np.geomspace(1, 30, 20)) == 1
        many = np.random.default_rng(1).normal(size=(4000, 20))
        assert ex.parallel_analysis(many, max_cells=200) == 1

    def test_refused(self):
        with pytest.raises(ValueError, match="200 components of 60 cells, 30 genes"):
            ex.PCA(200).fit(cells())
        with pytest.raises(ValueError, match="'auto': give a number or 'parallel'"):
            ex.PCA("auto").fit(cells())
        with pytest.raises(ValueError, match="at least 3 cells"):
            ex.parallel_analysis(np.zeros((2, 2)))


def test_qc_metrics_by_hand():
    adata = ad.AnnData(
        np.array([[1.0, 3.0, 0.0, 4.0], [0.0, 0.0, 0.0, 0.0]]),
        var=pd.DataFrame(index=["mt-Nd1", "A", "B", "MTOR"]),
        obs=pd.DataFrame(index=["x", "y"]),
    )
    table = ex.qc_metrics(adata)
    assert table.loc["x"].tolist() == [8.0, 3.0, 0.25, 0.125]
    assert table.loc["y"].tolist() == [0.0, 0.0, 1.0, 0.0]
    assert list(adata.obs.columns) == []
