"""Splits: by value, disjoint, complete, and refused when they cannot be honest."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scstlib import splits


def cells(times, seed=0):
    times = np.asarray(times, dtype=float)
    counts = np.random.default_rng(seed).poisson(2.0, (len(times), 3)).astype(float)
    obs = pd.DataFrame({"time": times}, index=[f"cell{i}" for i in range(len(times))])
    return ad.AnnData(counts, obs=obs)


def names(split):
    return [set(p.obs_names) for p in (split.train, split.validation, split.test, split.dropped)]


class TestTimePattern:
    @pytest.mark.parametrize(
        ("n", "easy", "medium", "hard"),
        [
            (12, {4, 6, 8}, {10, 11}, {2, 4, 6, 8, 10, 11}),
            (11, {4, 6, 8}, {8, 9, 10}, {2, 4, 6, 8, 9, 10}),
            (19, {5, 10, 15}, {16, 17, 18}, {5, 7, 9, 11, 15, 16, 17, 18}),
        ],
    )
    def test_published_sets(self, n, easy, medium, hard):
        assert set(splits.time_pattern(n, "easy")) == easy
        assert set(splits.time_pattern(n, "medium")) == medium
        assert set(splits.time_pattern(n, "hard")) == hard

    def test_rule_by_hand(self):
        assert splits.time_pattern(9, "easy") == (3, 5)
        assert splits.time_pattern(9, "medium") == (7, 8)
        assert splits.time_pattern(9, "hard") == (2, 4, 7, 8)
        assert splits.time_pattern(5, "hard") == (2, 4)

    @given(n=st.integers(5, 200))
    def test_rule(self, n):
        easy, medium, hard = (set(splits.time_pattern(n, p)) for p in ("easy", "medium", "hard"))
        assert {0, 1}.isdisjoint(easy | medium | hard)
        assert max(medium) == max(hard) == n - 1
        assert n - 1 not in easy
        # every easy time has a trained time on both sides: pure interpolation
        assert not any(i + 1 in easy or i - 1 in easy for i in easy)
        # hard interpolates and extrapolates
        assert any(i + 1 not in hard and i - 1 not in hard for i in hard if i < n - 1)

    def test_refused(self):
        with pytest.raises(ValueError, match="unknown pattern 'harder'"):
            splits.time_pattern(12, "harder")
        with pytest.raises(ValueError, match="at least 5 times, not 4"):
            splits.time_pattern(4, "easy")


class TestHoldOutTimes:
    def test_by_value(self):
        split = splits.hold_out_times(cells([0, 0, 6, 12, 12, 24]), test=[12], validation=6)
        assert names(split) == [{"cell0", "cell1", "cell5"}, {"cell2"}, {"cell3", "cell4"}, set()]
        assert split.test.X.shape == (2, 3)

    def test_pattern(self):
        adata = cells(np.repeat(np.arange(12) * 1.5, 2))
        split = splits.hold_out_times(adata, pattern="medium")
        assert set(split.test.obs["time"]) == {15.0, 16.5}

    def test_rounded_and_categorical_times(self):
        adata = cells([0.1, 0.2, 0.3, 0.3])
        adata.obs["time"] = adata.obs["time"].astype("category")
        assert splits.hold_out_times(adata, test=0.1 + 0.2).test.n_obs == 2

    def test_parts_are_copies(self):
        adata = cells([0, 1, 2])
        before = adata.X.copy()
        split = splits.hold_out_times(adata, test=1)
        split.train.X[:] = -1
        split.test.X[:] = -1
        np.testing.assert_array_equal(adata.X, before)
        assert "split" not in adata.uns
        assert split.test.uns["split"] == {"by": "time", "part": "test"}

    @settings(deadline=None, max_examples=60)
    @given(data=st.data())
    def test_no_row_in_two_parts(self, data):
        times = data.draw(
            st.lists(st.sampled_from([0, 0.25, 1, 7, 1e6, -3]), min_size=1, max_size=30)
        )
        measured = sorted(set(times))
        test = data.draw(st.lists(st.sampled_from(measured), max_size=4))
        validation = data.draw(st.lists(st.sampled_from(measured), max_size=4))
        adata = cells(times)
        impossible = (
            not test or set(test) & set(validation) or set(test) | set(validation) == set(measured)
        )
        if impossible:
            with pytest.raises(ValueError):
                splits.hold_out_times(adata, test, validation)
            return
        parts = names(splits.hold_out_times(adata, test, validation))
        assert sum(len(p) for p in parts) == adata.n_obs
        assert set.union(*parts) == set(adata.obs_names)
        train = splits.hold_out_times(adata, test, validation).train
        assert set(train.obs["time"]).isdisjoint({*test, *validation})

    @pytest.mark.parametrize(
        ("times", "kwargs", "message"),
        [
            ([0, 1, 2], {"test": 5}, r"time \[5.0\] was not measured; measured are \[0.0, 1.0"),
            ([0, 1, 2], {"test": np.nan}, "was not measured"),
            ([0, 1, 2], {"test": [0, 1, 2]}, "no row is left for the train part"),
            ([0, 1, 2], {"test": [1], "validation": [1]}, r"\[1.0\] asked for in both"),
            ([0, 1, 2], {"test": []}, "no row is left for the test part"),
            ([0, np.nan, 2], {"test": 2}, "of 1 cells is NaN"),
            ([0, 1, 2], {}, "give either"),
            ([0, 1, 2], {"test": 1, "pattern": "easy"}, "give either"),
            ([0, 1, 2], {"test": 1, "time_key": "day"}, "no column 'day'"),
        ],
    )
    def test_refused(self, times, kwargs, message):
        with pytest.raises(ValueError, match=message):
            splits.hold_out_times(cells(times), **kwargs)

    def test_refuses_text_times_and_duplicate_names(self):
        adata = cells([0, 1])
        adata.obs["time"] = ["D0", "D1"]
        with pytest.raises(ValueError, match="'D0', which is not a number"):
            splits.hold_out_times(adata, test=0)
        adata = cells([0, 1])
        adata.obs_names = pd.Index(["a", "a"])
        with pytest.raises(ValueError, match="'a' occurs twice"):
            splits.hold_out_times(adata, test=0)

    def test_warns_of_what_was_learned_before(self):
        adata = cells([0, 1, 2])
        adata.obsm["X_pca"] = np.zeros((3, 2))
        with pytest.warns(UserWarning, match=r"obsm\['X_pca'\] was computed before the split"):
            splits.hold_out_times(adata, test=1)
