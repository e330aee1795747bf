"""Splits: by value, disjoint, complete, and refused when they cannot be honest."""

import os
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scstlib import leakage, splits
from scstlib.leakage import LeakageError


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

    @pytest.mark.parametrize(
        "form", [set, tuple, np.array, pd.Series, lambda x: iter(x), lambda x: (v for v in x)]
    )
    def test_any_collection(self, form):
        split = splits.hold_out_times(cells([0, 1, 2, 3, 4]), form([1, 2]), form([3]))
        assert names(split) == [{"cell0", "cell4"}, {"cell3"}, {"cell1", "cell2"}, set()]
        split = splits.hold_out_cell_types(
            bins_table(),
            form(["A"]),
            form(["B"]),
            test_chromosomes=form(["chr1"]),
            validation_chromosomes=form(["chr2"]),
        )
        assert [len(p) for p in (split.train, split.validation, split.test)] == [8, 4, 4]

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


CHROMS = ["chr1", "chr2", "chr3", "chr4"]
TYPES = ["A", "B", "C"]


def bins_table(chroms=CHROMS, types=TYPES, n_bins=4):
    rows = [(c, i * 10, i * 10 + 10, t) for c in chroms for t in types for i in range(n_bins)]
    table = pd.DataFrame(rows, columns=["chrom", "start", "end", "cell_type"])
    return table.assign(row=np.arange(len(table)))


def rows_of(split):
    return [set(p["row"]) for p in (split.train, split.validation, split.test, split.dropped)]


def draw_names(data, names):
    return data.draw(st.lists(st.sampled_from(names), unique=True, max_size=len(names)))


class TestHoldOutChromosomes:
    def test_by_name(self):
        table = bins_table()
        split = splits.hold_out_chromosomes(table, test="chr3", validation=["chr1"])
        assert set(split.train["chrom"]) == {"chr2", "chr4"}
        assert set(split.validation["chrom"]) == {"chr1"}
        assert set(split.test["chrom"]) == {"chr3"}
        split.test["start"] = -1
        assert (table["start"] >= 0).all()
        assert "split" not in table.attrs

    @settings(deadline=None)
    @given(data=st.data())
    def test_no_row_in_two_parts(self, data):
        test, validation = draw_names(data, CHROMS), draw_names(data, CHROMS)
        table = bins_table(types=["A"])
        if not test or set(test) & set(validation) or set(test + validation) == set(CHROMS):
            with pytest.raises(ValueError):
                splits.hold_out_chromosomes(table, test, validation)
            return
        parts = rows_of(splits.hold_out_chromosomes(table, test, validation))
        assert sorted(r for part in parts for r in part) == list(table["row"])
        assert not parts[3]

    def test_refused(self):
        table = bins_table()
        with pytest.raises(ValueError, match=r"no chrom \['7'\]; there are \['chr1', "):
            splits.hold_out_chromosomes(table, test="7")
        with pytest.raises(ValueError, match="no row is left for the train part"):
            splits.hold_out_chromosomes(table, test=CHROMS)
        with pytest.raises(ValueError, match="asked for in both"):
            splits.hold_out_chromosomes(table, test="chr1", validation="chr1")
        table.loc[0, "chrom"] = None
        with pytest.raises(ValueError, match="'chrom' is missing in 1 rows"):
            splits.hold_out_chromosomes(table, test="chr1")
        with pytest.raises(ValueError, match="ndarray does not say which cells or intervals"):
            splits.hold_out_chromosomes(np.zeros(3), test="chr1")


class TestHoldOutCellTypes:
    def test_types_times_chromosomes(self):
        split = splits.hold_out_cell_types(
            bins_table(), "C", test_chromosomes=["chr4"], validation_chromosomes=["chr3"]
        )
        assert set(zip(split.train["chrom"], split.train["cell_type"], strict=True)) == {
            (c, t) for c in ("chr1", "chr2") for t in "AB"
        }
        assert set(split.test["cell_type"]) == {"C"}
        assert set(split.test["chrom"]) == {"chr4"}
        # without validation types, the training types on the validation chromosomes
        assert set(split.validation["cell_type"]) == {"A", "B"}
        assert set(split.validation["chrom"]) == {"chr3"}

    @settings(deadline=None)
    @given(data=st.data(), key=st.sampled_from(["cell_type", "donor"]))
    def test_no_row_in_two_parts(self, data, key):
        test, validation = draw_names(data, TYPES), draw_names(data, TYPES)
        chroms, validation_chroms = draw_names(data, CHROMS), draw_names(data, CHROMS)
        table = bins_table().rename(columns={"cell_type": key})
        hold_out = splits.hold_out_cell_types if key == "cell_type" else splits.hold_out_donors

        def split():
            return hold_out(
                table,
                test,
                validation,
                test_chromosomes=chroms,
                validation_chromosomes=validation_chroms,
            )

        impossible = (
            not test
            or not chroms
            or set(test) & set(validation)
            or set(chroms) & set(validation_chroms)
            or set(test + validation) == set(TYPES)
            or set(chroms + validation_chroms) == set(CHROMS)
            or (validation and not validation_chroms)
        )
        if impossible:
            with pytest.raises(ValueError):
                split()
            return
        parts = split()
        rows = rows_of(parts)
        assert sorted(r for part in rows for r in part) == list(table["row"])
        assert len(rows[2]) == len(test) * len(chroms) * 4
        assert set(parts.train[key]).isdisjoint(test)
        for a, b in (("train", "test"), ("train", "validation"), ("validation", "test")):
            assert set(getattr(parts, a)["chrom"]).isdisjoint(getattr(parts, b)["chrom"])

    def test_cells(self):
        adata = cells([0, 1, 2, 3])
        adata.obs["cell_type"] = pd.Categorical(["A", "A", "B", "C"])
        adata.obs["donor"] = ["x", "y", "x", "y"]
        split = splits.hold_out_cell_types(adata, "C")
        assert names(split) == [{"cell0", "cell1", "cell2"}, set(), {"cell3"}, set()]
        assert splits.hold_out_donors(adata, ["y"]).test.n_obs == 2
        with pytest.raises(ValueError, match="cells lie on no chromosome"):
            splits.hold_out_cell_types(adata, "C", test_chromosomes="chr1")
        with pytest.raises(ValueError, match=r"no cell_type \['D'\]"):
            splits.hold_out_cell_types(adata, "D")

    def test_refused(self):
        with pytest.raises(ValueError, match="on held-out chromosomes too: name test_chromosomes"):
            splits.hold_out_cell_types(bins_table(), "C")
        table = bins_table().rename(columns={"cell_type": "type"})
        with pytest.raises(ValueError, match="must be one of"):
            splits.hold_out_cell_types(table, "C", test_chromosomes="chr1", cell_type_key="type")

    @pytest.mark.parametrize(
        ("key", "bulk"), [("cell_type", "bulk_cell_types"), ("donor", "bulk_donors")]
    )
    def test_refuses_held_out_map_in_the_features(self, key, bulk):
        hold_out = splits.hold_out_cell_types if key == "cell_type" else splits.hold_out_donors
        table = bins_table().rename(columns={"cell_type": key})
        table[bulk] = [("A", "C")] * len(table)
        with pytest.raises(
            LeakageError, match=rf"held-out {key} \['C'\], whose map is in the bulk"
        ):
            hold_out(table, "C", test_chromosomes="chr4")
        # a type that is trained on may be in the bulk
        assert len(hold_out(table, "B", test_chromosomes="chr4").test) == 4


class TestHoldOutRegions:
    def test_by_hand(self):
        table = bins_table(["chr1"], ["A"], 20)
        split = splits.hold_out_regions(table, (100, 150), (40, 60), gap=20)
        assert rows_of(split) == [
            {0, 1, 17, 18, 19},
            {4, 5},
            set(range(10, 15)),
            {2, 3, 6, 7, 8, 9, 15, 16},
        ]
        in_bins = splits.hold_out_regions(table, (10, 15), (4, 6), gap=2, unit="bins")
        assert rows_of(in_bins) == rows_of(split)

    @settings(deadline=None, max_examples=60)
    @given(
        width=st.integers(1, 4),
        region=st.tuples(st.integers(0, 30), st.integers(0, 30)),
        other=st.none() | st.tuples(st.integers(0, 30), st.integers(0, 30)),
        gap=st.integers(0, 8),
    )
    def test_parts_are_a_gap_apart(self, width, region, other, gap):
        start = np.arange(25)
        table = pd.DataFrame({"chrom": "chr1", "start": start, "end": start + width, "row": start})
        try:
            split = splits.hold_out_regions(table, region, other, gap=gap)
        except LeakageError:
            raise
        except ValueError:
            return
        rows = rows_of(split)
        assert sorted(r for part in rows for r in part) == list(table["row"])
        parts = [p for p in (split.train, split.validation, split.test) if len(p)]
        for i, a in enumerate(parts):
            for b in parts[i + 1 :]:
                apart = np.maximum(
                    np.subtract.outer(a["start"].to_numpy(), b["end"].to_numpy()),
                    -np.subtract.outer(a["end"].to_numpy(), b["start"].to_numpy()),
                )
                assert apart.min() >= gap

    def test_refused(self):
        table = bins_table(["chr1"], ["A"], 20)
        with pytest.raises(ValueError, match="no column 'chrom'"):
            splits.hold_out_regions(cells([0, 1]), (0, 10), gap=0)
        with pytest.raises(ValueError, match=r"needs one chromosome, not \['chr1', 'chr2'\]"):
            splits.hold_out_regions(bins_table(["chr1", "chr2"]), (0, 10), gap=0)
        for kwargs, message in (
            ({"test": (10, 10), "gap": 0}, "is empty"),
            ({"test": (0, 50), "validation": (40, 90), "gap": 0}, "overlap"),
            ({"test": (0, 200), "gap": 0}, "no row is left for the train part"),
            ({"test": (500, 900), "gap": 0}, "no row is left for the test part"),
            ({"test": (0, 50), "validation": (50, 60), "gap": 30}, "for the validation part"),
            ({"test": (0, 50), "gap": -1}, "gap is -1"),
            ({"test": (0, 50), "gap": 1, "unit": "kb"}, "unknown unit 'kb'"),
        ):
            with pytest.raises(ValueError, match=message):
                splits.hold_out_regions(table, **kwargs)


class TestOnDisk:
    def test_parts_can_be_written_and_still_know_their_split(self, tmp_path):
        split = splits.hold_out_times(cells([0, 1, 2]), test=1)
        split.train.write_h5ad(tmp_path / "train.h5ad")
        read = ad.read_h5ad(tmp_path / "train.h5ad")
        assert leakage.split_record(read) == {"by": "time", "part": "train"}
        leakage.assert_disjoint(read, split.test)

    def test_backed_data_are_read_into_memory(self, tmp_path):
        cells([0, 1, 1]).write_h5ad(tmp_path / "all.h5ad")
        backed = ad.read_h5ad(tmp_path / "all.h5ad", backed="r")
        split = splits.hold_out_times(backed, test=1)
        backed.file.close()
        assert not split.test.isbacked
        assert split.test.X.shape == (2, 3)


@pytest.mark.skipif("SCST_MIRROR" not in os.environ, reason="real data are not at hand")
@pytest.mark.parametrize(
    ("pattern", "test"), [("easy", {24, 48}), ("medium", {72, 96}), ("hard", {12, 36, 72, 96})]
)
def test_named_patterns_of_a_real_series(pattern, test):
    path = Path(os.environ["SCST_MIRROR"]) / "semrau2017/panel_real.txt"
    hours = np.loadtxt(path, max_rows=1, delimiter="\t")
    # the first column numbers the rows
    split = splits.hold_out_times(cells(hours[1:]), pattern=pattern)
    assert set(split.test.obs["time"]) == test
    assert split.train.n_obs + split.test.n_obs == 2449
