"""Contact maps: published values, known answers, and the empty, all-zero and NaN cases."""

from pathlib import Path

import cooler
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import laplacian

from scstlib.leakage import LeakageError, check_evaluation
from scstlib.preprocess import contacts
from scstlib.preprocess.windows import Windows


@pytest.fixture(scope="module")
def published():
    with np.load(Path(__file__).with_name("published_contacts.npz"), allow_pickle=False) as arrays:
        return dict(arrays)


def windows(targets, chrom="chr1", mask=None):
    n, bins = targets.shape[:2]
    table = pd.DataFrame(
        {"chrom": [chrom] * n, "start": np.arange(n), "end": np.arange(n) + bins, "cell_type": "A"}
    )
    mask = np.ones((n, bins), dtype=bool) if mask is None else mask
    return Windows(targets * 2, np.zeros((n, bins, 1)), targets, table, 1, mask)


class TestPseudoBulk:
    def test_sums_by_label(self):
        maps = [sp.csr_matrix(np.full((2, 2), i)) for i in range(4)]
        summed = contacts.pseudo_bulk(maps, ["a", "b", "a", "b"])
        np.testing.assert_array_equal(summed["a"].toarray(), np.full((2, 2), 2))
        np.testing.assert_array_equal(summed["b"].toarray(), np.full((2, 2), 4))
        np.testing.assert_array_equal(maps[0].toarray(), 0)
        dense = contacts.pseudo_bulk([np.eye(2)] * 3, [6, 6, 12])
        np.testing.assert_array_equal(dense[6], 2 * np.eye(2))

    def test_small_groups_are_left_out_loudly(self):
        with pytest.warns(UserWarning, match=r"fewer than 2 cells, left out: \['b'\]"):
            summed = contacts.pseudo_bulk([np.eye(2)] * 3, ["a", "a", "b"], min_cells=2)
        assert list(summed) == ["a"]

    def test_refused(self):
        with pytest.raises(ValueError, match="1 maps but 2 labels"):
            contacts.pseudo_bulk([np.eye(2)], ["a", "b"])
        with pytest.raises(ValueError, match="shapes"):
            contacts.pseudo_bulk([np.eye(2), np.eye(3)], ["a", "a"])
        with pytest.raises(ValueError, match="a label is missing"):
            contacts.pseudo_bulk([np.eye(2)], [np.nan])


class TestDepth:
    def test_published(self, published):
        normalised = contacts.normalise_depth(published["counts"])
        np.testing.assert_allclose(normalised, published["library_normalised"], atol=1e-6)

    def test_each_map_by_itself_and_depth_free(self, published):
        counts = published["counts"]
        np.testing.assert_allclose(
            contacts.normalise_depth(counts * np.array([1, 10, 100])[:, None, None]),
            contacts.normalise_depth(counts),
        )
        np.testing.assert_array_equal(
            contacts.normalise_depth(counts)[1], contacts.normalise_depth(counts[1])
        )

    def test_zero_one_bin_and_nan(self):
        np.testing.assert_array_equal(contacts.normalise_depth(np.zeros((2, 3, 3))), 0)
        np.testing.assert_array_equal(contacts.normalise_depth(np.array([[7.0]])), [[1.0]])
        counts = np.array([[1.0, np.nan], [np.nan, 3.0]])
        np.testing.assert_allclose(
            contacts.normalise_depth(counts, reads=4),
            [[np.log(2) / np.log(4), np.nan], [np.nan, 1.0]],
        )
        with pytest.raises(ValueError, match="counts go down to -1"):
            contacts.normalise_depth(np.array([[-1.0]]))
        with pytest.raises(ValueError, match="1 counts are infinite"):
            contacts.normalise_depth(np.array([[np.inf]]))


class TestSmoothing:
    def test_published(self, published):
        smoothed = contacts.smooth_eigenvalues(published["library_normalised"])
        np.testing.assert_allclose(smoothed, published["smoothed"], atol=1e-6)

    def test_by_hand(self):
        np.testing.assert_allclose(
            contacts.smooth_eigenvalues(np.diag([1.0, 0.2, -0.5])), np.diag([0.75, 0, -0.25])
        )
        np.testing.assert_array_equal(contacts.smooth_eigenvalues(np.zeros((3, 3))), 0)

    def test_refused(self):
        with pytest.raises(ValueError, match="NaN or infinity: set masked bins to 0"):
            contacts.smooth_eigenvalues(np.full((2, 2), np.nan))
        with pytest.raises(ValueError, match="not symmetric"):
            contacts.smooth_eigenvalues(np.array([[0.0, 1.0], [0.0, 0.0]]))


class TestLaplacianEncodings:
    def test_published_up_to_sign(self, published):
        ours = contacts.laplacian_encodings(published["library_normalised"], 4)
        theirs = published["laplacian_encodings"]
        same = np.abs(ours - theirs).max(axis=1)
        flipped = np.abs(1 - ours - theirs).max(axis=1)
        assert np.minimum(same, flipped).max() < 1e-5

    def test_eigenvectors_of_scipys_laplacian(self):
        m = np.random.default_rng(0).gamma(1.0, size=(7, 7))
        m = m + m.T
        np.fill_diagonal(m, 0)
        reference = laplacian(m, normed=True)
        for v in (2 * contacts.laplacian_encodings(m, 6) - 1).T:
            ratio = v @ reference @ v / (v @ v)
            np.testing.assert_allclose(reference @ v, ratio * v, atol=1e-10)
            assert ratio > 0.01
            assert v[np.abs(v).argmax()] == pytest.approx(1.0)

    def test_empty_bins_get_no_place_and_do_not_disturb(self):
        m = np.random.default_rng(1).gamma(1.0, size=(6, 6))
        m = m + m.T
        wide = np.zeros((8, 8))
        keep = [0, 1, 3, 4, 5, 7]
        wide[np.ix_(keep, keep)] = m
        encodings = contacts.laplacian_encodings(wide, 7)
        np.testing.assert_allclose(
            encodings[keep, :5], contacts.laplacian_encodings(m, 5), atol=1e-9
        )
        np.testing.assert_allclose(encodings[[2, 6]], 0.5)
        np.testing.assert_array_equal(encodings[:, 5:], 0.5)

    def test_zero_and_one_bin_maps(self):
        np.testing.assert_array_equal(contacts.laplacian_encodings(np.zeros((2, 3, 3)), 4), 0.5)
        np.testing.assert_array_equal(
            contacts.laplacian_encodings(np.ones((1, 1)), 2), [[0.5, 0.5]]
        )
        assert contacts.laplacian_encodings(np.ones((4, 4)), 0).shape == (4, 0)
        with pytest.raises(ValueError, match="contacts >= 0"):
            contacts.laplacian_encodings(-np.ones((2, 2)), 1)


class TestDistanceMeans:
    def test_observed_over_expected(self):
        distance = np.abs(np.subtract.outer(np.arange(6), np.arange(6)))
        decay = 1.0 / (1 + distance)
        train = windows(np.stack([decay, 3 * decay]))
        means = contacts.DistanceMeans().fit(train)
        np.testing.assert_allclose(means.means_, 2.0 / (1 + np.arange(6)))
        np.testing.assert_allclose(means.transform(train).targets[1], 1.5)
        np.testing.assert_array_equal(means.transform(train).bulk, train.bulk)
        np.testing.assert_allclose(means.expected(3), 2 * decay[:3, :3])

    def test_masked_nan_and_empty_distances(self):
        m = np.arange(16.0).reshape(1, 4, 4)
        m = m + m.transpose(0, 2, 1)
        m[0, 0, 1] = m[0, 1, 0] = np.nan
        mask = np.array([[True, True, True, False]])
        means = contacts.distance_means(m, mask)
        np.testing.assert_allclose(means, [(0 + 10 + 20) / 3, 15, 10, np.nan])
        fitted = contacts.DistanceMeans().fit(windows(m, mask=mask))
        assert fitted.transform(windows(m)).targets[0, 0, 3] == 0
        zero = windows(np.zeros((1, 4, 4)))
        np.testing.assert_array_equal(contacts.DistanceMeans().fit(zero).transform(zero).targets, 0)

    def test_guarded(self):
        means = contacts.DistanceMeans(of="bulk").fit(windows(np.ones((2, 3, 3))))
        held_out = windows(np.ones((1, 3, 3)), chrom="chr2")
        means.transform(held_out)
        check_evaluation(means, held_out)
        with pytest.raises(LeakageError, match=r"DistanceMeans was fitted .* \['1'\]"):
            check_evaluation(means, windows(np.ones((1, 3, 3))))


class TestDownsample:
    @settings(deadline=None, max_examples=40)
    @given(
        bins=st.integers(1, 6),
        mean=st.floats(0, 30),
        share=st.floats(0, 1),
        seed=st.integers(0, 99),
    )
    def test_thins(self, bins, mean, share, seed):
        m = np.triu(np.random.default_rng(seed).poisson(mean, (bins, bins)))
        m = m + np.triu(m, 1).T
        total = int(np.triu(m).sum())
        exact = contacts.downsample(m, n_contacts=int(share * total), seed=seed)
        by_chance = contacts.downsample(m, fraction=share, seed=seed)
        assert np.triu(exact).sum() == int(share * total)
        for thinned in (exact, by_chance):
            assert (thinned <= m).all()
            np.testing.assert_array_equal(thinned, thinned.T)
        np.testing.assert_array_equal(by_chance, contacts.downsample(m, fraction=share, seed=seed))

    def test_mean_and_variance_are_binomial(self):
        m = np.full((100, 100), 20)
        kept = contacts.downsample(m, fraction=0.25, seed=0)[np.triu_indices(100)]
        assert kept.mean() == pytest.approx(5.0, abs=0.1)
        assert kept.var() == pytest.approx(3.75, abs=0.25)
        assert contacts.downsample(m, fraction=1.0, seed=0).sum() == m.sum()

    def test_refused(self):
        for m, kwargs, message in (
            (np.eye(2) / 2, {"fraction": 0.5}, "must be whole"),
            (np.eye(2), {}, "give either"),
            (np.eye(2), {"n_contacts": 3}, "3 contacts asked for, the map has 2"),
            (np.eye(2), {"fraction": 1.5}, "fraction is 1.5"),
        ):
            with pytest.raises(ValueError, match=message):
                contacts.downsample(m, seed=0, **kwargs)


class TestBalancing:
    @pytest.fixture
    def path(self, tmp_path):
        """chrA has an empty bin and a visibility bias, chrB is empty, chrC has one bin."""
        bins = pd.DataFrame(
            {
                "chrom": ["A"] * 40 + ["B"] * 3 + ["C"],
                "start": [*range(40), *range(3), 0],
                "end": [*range(1, 41), *range(1, 4), 1],
            }
        )
        bias = np.random.default_rng(0).uniform(0.5, 2, 40)
        i, j = np.triu_indices(40)
        keep = (i != 7) & (j != 7)
        count = (1000 * bias[i] * bias[j] / (1 + np.abs(i - j))).astype(int)
        pixels = pd.DataFrame({"bin1_id": i, "bin2_id": j, "count": count})[keep]
        path = str(tmp_path / "x.cool")
        cooler.create_cooler(path, bins, pixels)
        return path

    def test_rows_sum_to_the_same(self, path):
        result = contacts.balance_matrix(path, min_nnz=2)
        assert result.converged == {"A": True, "B": True, "C": True}
        assert not result.mask[[7, 40, 41, 42, 43]].any()
        assert result.mask.sum() == 39
        counts = cooler.Cooler(path).matrix(balance=False).fetch("A").astype(float)
        balanced = counts * np.outer(result.weights[:40], result.weights[:40])
        near = np.abs(np.subtract.outer(np.arange(40), np.arange(40))) < 2
        sums = np.nansum(np.where(near, 0, balanced), axis=1)[result.mask[:40]]
        np.testing.assert_allclose(sums, sums[0], rtol=0.02)
        assert "weight" not in cooler.Cooler(path).bins().columns

    def test_says_when_it_does_not_converge(self, path):
        with pytest.warns(UserWarning, match=r"did not converge on \['A'\]: filter more bins"):
            result = contacts.balance_matrix(cooler.Cooler(path), min_nnz=2, max_iters=1)
        assert result.converged["A"] is False
        with pytest.warns(UserWarning, match=r"\['genome'\]"):
            contacts.balance_matrix(path, cis_only=False, min_nnz=2, max_iters=1)

    def test_missing_file(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            contacts.balance_matrix(tmp_path / "none.cool")


def test_the_diagonal_is_replaced_by_its_neighbours_and_the_input_is_not() -> None:
    counts = np.array([[90, 4, 1], [4, 80, 6], [1, 6, 70]])
    filled = contacts.without_diagonal(counts)
    np.testing.assert_array_equal(filled, [[2, 4, 1], [4, 5, 6], [1, 6, 3]])
    assert counts[0, 0] == 90
    with pytest.raises(ValueError, match="not square"):
        contacts.without_diagonal(counts[:2])
