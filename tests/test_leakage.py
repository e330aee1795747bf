"""The leak guard: overlaps are refused and named, honest parts pass."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from scstlib import splits
from scstlib.leakage import LeakageError, assert_disjoint, check_evaluation, record_fit


class Learner:
    """Stands for anything that is fitted."""

    def fit(self, *data):
        record_fit(self, *data)
        return self


def cells(times, prefix="cell"):
    obs = pd.DataFrame({"time": times}, index=[f"{prefix}{i}" for i in range(len(times))])
    return ad.AnnData(np.ones((len(times), 2)), obs=obs)


def table(chrom, start=0, end=10, **columns):
    return pd.DataFrame({"chrom": [chrom], "start": [start], "end": [end], **columns})


class TestCells:
    def test_same_cell(self):
        a, b = cells([0.0, 1.0]), cells([1.0, 2.0])[1:]
        with pytest.raises(LeakageError, match="the parts share 1 observations, such as 'cell1'"):
            assert_disjoint(a, b)

    def test_other_cells_of_a_training_time(self):
        split = splits.hold_out_times(cells([0.0, 1.0, 2.0]), test=1)
        model = Learner().fit(split.train)
        check_evaluation(model, split.test)
        check_evaluation(model, cells([1.0, 1.0], "fresh"))
        with pytest.raises(LeakageError, match=r"Learner was fitted on .*: time \[2.0\]"):
            check_evaluation(model, cells([1.0, 2.0], "fresh"))

    def test_fitted_on_everything(self):
        adata = cells([0.0, 1.0, 2.0])
        split = splits.hold_out_times(adata, test=1)
        with pytest.raises(LeakageError, match="'cell1'"):
            check_evaluation(Learner().fit(adata), split.test)

    def test_fitted_on_other_cells_of_the_test_time(self):
        split = splits.hold_out_times(cells([0.0, 1.0, 2.0]), test=1)
        with pytest.raises(LeakageError, match=r"time \[1.0\]"):
            check_evaluation(Learner().fit(cells([1.0], "fresh")), split.test)

    def test_split_within_the_training_part(self):
        adata = cells([0.0, 0.0, 1.0, 1.0])
        adata.obs["donor"] = ["x", "y", "x", "y"]
        outer = splits.hold_out_times(adata, test=1)
        inner = splits.hold_out_donors(outer.train, "y")
        model = Learner().fit(inner.train)
        check_evaluation(model, inner.test)
        check_evaluation(model, outer.test)
        with pytest.raises(LeakageError, match="donor"):
            check_evaluation(model, outer.test, by="donor")

    def test_unit_that_cannot_be_checked(self):
        split = splits.hold_out_times(cells([0.0, 1.0, 2.0]), test=1)
        other = cells([1.0], "fresh")
        del other.obs["time"]
        with pytest.raises(ValueError, match="held apart by 'time', which one of them has no"):
            check_evaluation(Learner().fit(other), split.test)

    def test_without_a_split_other_cells_pass_unless_asked(self):
        a, b = cells([1.0], "a"), cells([1.0], "b")
        assert_disjoint(a, b)
        with pytest.raises(LeakageError, match="time"):
            assert_disjoint(a, b, by="time")

    def test_times_equal_up_to_rounding(self):
        with pytest.raises(LeakageError, match="time"):
            assert_disjoint(cells([0.1 + 0.2], "a"), cells([0.3], "b"), by="time")


class TestGenome:
    def test_chromosome_in_two_parts(self):
        with pytest.raises(LeakageError, match=r"chromosome \['1'\]"):
            assert_disjoint(table("chr1", 0, 10), table("1", 500, 510))
        assert_disjoint(table("chr1"), table("chr2"))
        assert_disjoint(table("chr1"), table("chr11"))

    def test_another_cell_type_on_a_training_chromosome(self):
        with pytest.raises(LeakageError, match="chromosome"):
            assert_disjoint(table("chr1", cell_type=["A"]), table("chr1", cell_type=["B"]))

    @pytest.mark.parametrize(
        ("start", "gap", "shared"), [(9, 0, True), (10, 0, False), (14, 5, True), (15, 5, False)]
    )
    def test_regions(self, start, gap, shared):
        a, b = table("chr1", 0, 10), table("chr1", start, start + 10)
        if shared:
            with pytest.raises(LeakageError, match=f"1:{start}-{start + 10}"):
                assert_disjoint(a, b, by="region", gap=gap)
        else:
            assert_disjoint(a, b, by="region", gap=gap)

    def test_parts_of_a_region_split_remember_the_gap(self):
        bins = pd.DataFrame({"chrom": "chr1", "start": range(20), "end": range(1, 21)})
        split = splits.hold_out_regions(bins, (10, 12), gap=3)
        model = Learner().fit(split.train)
        check_evaluation(model, split.test)
        with pytest.raises(LeakageError, match="closer than 3 bp"):
            check_evaluation(Learner().fit(split.train), split.dropped)

    def test_map_of_a_held_out_type_in_the_features(self):
        a = table("chr1", cell_type=["A"], bulk_cell_types=[("A", "B")])
        b = table("chr2", cell_type=["B"], bulk_cell_types=[("A", "B")])
        with pytest.raises(LeakageError, match=r"held-out cell_type \['B'\], whose map"):
            assert_disjoint(a, b)
        assert_disjoint(a, b.assign(cell_type="A"))
        assert_disjoint(a.drop(columns="bulk_cell_types"), b.assign(bulk_cell_types=[("stem",)]))

    def test_what_cannot_be_compared(self):
        with pytest.raises(ValueError, match=r"intervals of \['hg19'\] and \['mm10'\]"):
            assert_disjoint(table("chr1", assembly=["hg19"]), table("chr2", assembly=["mm10"]))
        with pytest.raises(ValueError, match="cells cannot be compared with genomic"):
            assert_disjoint(table("chr1"), cells([0.0]))
        with pytest.raises(ValueError, match="not 'cell_type'"):
            assert_disjoint(table("chr1"), table("chr2"), by="cell_type")
        with pytest.raises(ValueError, match="no column 'end'"):
            assert_disjoint(table("chr1").drop(columns="end"), table("chr2"))


class TestFitted:
    def test_every_step_is_checked(self):
        train, test = table("chr1"), table("chr2")
        leaky, honest = Learner().fit(pd.concat([train, test])), Learner().fit(train)
        check_evaluation([honest, honest], test)
        for fitted in ([honest, leaky], Pipeline([("a", "passthrough"), ("b", leaky)])):
            with pytest.raises(LeakageError, match=r"chromosome \['2'\]"):
                check_evaluation(fitted, test)

    def test_data_that_choose_a_model_count(self):
        model = Learner().fit(table("chr1"), table("chr2"))
        with pytest.raises(LeakageError, match=r"chromosome \['2'\]"):
            check_evaluation(model, table("chr2"))
        check_evaluation(model, table("chr3"))

    def test_a_start_from_cells_of_a_held_out_time_is_refused(self):
        train, test = cells([0, 1]), cells([2, 3], "test")
        test.uns["split"] = {"by": "time"}
        model = Learner().fit(train)
        check_evaluation(model, test, given=train)
        with pytest.raises(LeakageError, match="is shown what it is evaluated on: 2 obs"):
            check_evaluation(model, test, given=test)
        with pytest.raises(LeakageError, match=r"time \[2.0\]"):  # other cells of that time
            check_evaluation(model, test, given=cells([1, 2], "other"))

    def test_nothing_learned_is_never_refused(self):
        check_evaluation(Learner().fit(), table("chr1"))

    def test_unknown_origin_is_refused(self):
        with pytest.raises(ValueError, match="Learner does not say what it was fitted on"):
            check_evaluation(Learner(), table("chr1"))
        with pytest.raises(ValueError, match="does not say which cells"):
            Learner().fit(np.zeros((2, 2)))


def test_names_of_the_mitochondrial_chromosome_are_one():
    with pytest.raises(LeakageError, match="chromosome \\['M'\\]"):
        assert_disjoint(table("chrM"), table("MT"))


def test_columns_of_lists_and_missing_names_are_no_units():
    both = pd.concat([
        table("chr1", cell_type="a", bulk_cell_types=[("b",)], files=[["x", "y"]]),
        table("chr2", cell_type="a"),
    ])  # fmt: skip
    assert_disjoint(both, table("chr3", cell_type="a"))
    with pytest.raises(LeakageError, match="held-out cell_type \\['b'\\]"):
        assert_disjoint(both, table("chr3", cell_type="b"))
