"""Windows: where they lie, what is masked, what is refused, and how splits cut them."""

import os
from dataclasses import replace
from pathlib import Path

import cooler
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from scstlib import splits
from scstlib.leakage import LeakageError
from scstlib.preprocess.contacts import make_windows, usable_bins, window_starts
from scstlib.preprocess.windows import chromosome_map, join_windows

SIZES = {"chr1": 20, "chr2": 12, "chr3": 8, "chr4": 1}


def maps(seed):
    rng = np.random.default_rng(seed)
    out = {}
    for chrom, n in SIZES.items():
        m = rng.poisson(5.0, (n, n)) + 1.0
        out[chrom] = m + m.T
    return out


def tracks(types="AB"):
    return {
        t: {c: np.full((n, 2), i) + np.arange(n)[:, None] for c, n in SIZES.items()}
        for i, t in enumerate(types)
    }


def windows(bulk=None, targets="AB", **kwargs):
    defaults = {"bin_size": 50, "bulk_cell_types": ("stem",), "window": 8, "stride": 4}
    targets = {t: maps(i + 1) for i, t in enumerate(targets)}
    return make_windows(bulk or maps(0), tracks(), targets, **(defaults | kwargs))


class TestStarts:
    def test_last_full_window_is_included(self):
        assert window_starts(8, 8, 4).tolist() == [0]
        assert window_starts(12, 8, 4).tolist() == [0, 4]
        assert window_starts(11, 8, 4).tolist() == [0]
        assert window_starts(7, 8, 4).tolist() == []
        assert window_starts(12, 8, 4, first_bin=4).tolist() == [4]

    @given(n=st.integers(0, 300), window=st.integers(1, 64), stride=st.integers(1, 64))
    def test_all_that_fit_and_no_other(self, n, window, stride):
        expected = [s for s in range(0, n, stride) if s + window <= n]
        assert window_starts(n, window, stride).tolist() == expected

    def test_refused(self):
        with pytest.raises(ValueError, match="window 0 and stride 1"):
            window_starts(10, 0, 1)


class TestMakeWindows:
    def test_content_and_place(self):
        w = windows()
        # 4 windows on chr1, 2 on chr2, 1 on chr3, none on the one-bin chr4; two cell types each
        assert len(w) == 14
        assert w.bulk.shape == w.targets.shape == (14, 8, 8)
        assert w.tracks.shape == (14, 8, 2)
        row = w.table.query("chrom == 'chr1' and start == 600 and cell_type == 'B'").index[0]
        assert w.table.loc[row, "end"] == 1000
        np.testing.assert_array_equal(w.bulk[row], maps(0)["chr1"][12:20, 12:20])
        np.testing.assert_array_equal(w.targets[row], maps(2)["chr1"][12:20, 12:20])
        np.testing.assert_array_equal(w.tracks[row, :, 0], 1 + np.arange(12, 20))
        assert w.table["bulk_cell_types"].iloc[0] == ("stem",)

    def test_joined_in_their_order(self):
        one, other = windows(donor="d1"), windows(maps(9), donor="d2")
        both = join_windows([one, other])
        assert len(both) == 28
        np.testing.assert_array_equal(both.bulk[14:], other.bulk)
        np.testing.assert_array_equal(both.targets[:14], one.targets)
        assert both.table["donor"].tolist() == ["d1"] * 14 + ["d2"] * 14
        assert both.table.index.tolist() == list(range(28))

    def test_sparse_and_cooler_equal_dense(self, tmp_path):
        dense = maps(0)
        sparse = {c: sp.coo_matrix(m) for c, m in dense.items()}
        np.testing.assert_array_equal(windows(sparse).bulk, windows(dense).bulk)
        bins = pd.concat(
            pd.DataFrame({"chrom": c, "start": np.arange(n) * 50, "end": np.arange(n) * 50 + 50})
            for c, n in SIZES.items()
        ).reset_index(drop=True)
        rows, offset = [], 0
        for chrom, n in SIZES.items():
            i, j = np.triu_indices(n)
            count = dense[chrom][i, j]
            rows.append(
                pd.DataFrame({"bin1_id": i, "bin2_id": j, "count": count}) + [offset, offset, 0]
            )
            offset += n
        path = str(tmp_path / "x.cool")
        pixels = pd.concat(rows).astype({"bin1_id": int, "bin2_id": int})
        cooler.create_cooler(path, bins, pixels, dtypes={"count": float})
        np.testing.assert_array_equal(windows(cooler.Cooler(path)).bulk, windows(dense).bulk)

    @pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
    def test_empty_and_nan_bins_are_masked(self, form):
        bulk = maps(0)
        bulk["chr1"][2, :] = bulk["chr1"][:, 2] = 0
        bulk["chr1"][5, :] = bulk["chr1"][:, 5] = np.nan
        w = windows({c: form(m) for c, m in bulk.items()})
        first = w[0]
        assert first.mask[0].tolist() == [True, True, False, True, True, False, True, True]
        assert np.isfinite(w.bulk).all()
        assert not first.bulk[0][5].any()
        assert not first.targets[0][:, 2].any()
        assert usable_bins(form(bulk["chr1"])).sum() == 18

    def test_windows_with_too_few_usable_bins_are_left_out(self):
        bulk = maps(0)
        bulk["chr1"][:6] = 0
        bulk["chr1"][:, :6] = 0
        kept = windows(bulk, max_masked=0.5, chromosomes=["chr1"])
        assert kept.table["start"].unique().tolist() == [200, 400, 600]
        assert len(windows(bulk, chromosomes=["chr1"])) == 8
        bulk["chr1"][:] = 0
        assert not windows(bulk, chromosomes=["chr1"]).mask.any()

    def test_prediction_without_targets(self):
        w = make_windows(
            maps(0), tracks(), None, bin_size=50, bulk_cell_types=(), window=8, donor="d1"
        )
        assert w.targets is None
        assert w[:2].targets is None
        assert set(w.table["donor"]) == {"d1"}

    def test_slices_are_copies(self):
        w = windows()
        for rows in (3, slice(2, 5), np.arange(len(w)) < 3, [4, 1]):
            part = w[rows]
            assert len(part) == len(part.bulk) == len(part.table)
            part.bulk[:] = -1
        assert (w.bulk >= 0).all()
        assert w[[4, 1]].table["start"].tolist() == w.table["start"].iloc[[4, 1]].tolist()
        assert len(w[[]]) == 0

    def test_refused(self):
        triangle = {c: np.triu(m) for c, m in maps(0).items()}
        with pytest.raises(ValueError, match="not symmetric: if it holds one triangle"):
            windows(triangle)
        # NaN is equal to NaN alone, in a sparse map too.
        lost = {c: sp.csr_array(m) for c, m in maps(0).items()}
        lost["chr1"][0, 1] = np.nan
        with pytest.raises(ValueError, match="not symmetric"):
            windows(lost)
        with pytest.raises(ValueError, match=r"no chromosome 'chrX'; there are \['chr1'"):
            windows(chromosomes=["chrX"])
        with pytest.raises(ValueError, match="no full window of 30 bins"):
            windows(window=30)
        with pytest.raises(ValueError, match=r"targets of \['A'\] but tracks of \['A', 'B'\]"):
            windows(targets="A")
        with pytest.raises(ValueError, match="tracks name the cell types"):
            make_windows(maps(0), {}, None, bin_size=50, bulk_cell_types=())
        short = tracks()
        short["B"]["chr1"] = short["B"]["chr1"][:-1]
        with pytest.raises(ValueError, match=r"tracks of B on 'chr1': shape .19, 2., but the bulk"):
            make_windows(maps(0), short, None, bin_size=50, bulk_cell_types=(), window=8)
        flat = {kind: {c: t[:, 0] for c, t in by.items()} for kind, by in tracks().items()}
        with pytest.raises(ValueError, match="give two axes"):
            make_windows(maps(0), flat, None, bin_size=50, bulk_cell_types=(), window=8)

    def test_a_single_name_is_one_cell_type(self):
        assert windows(bulk_cell_types="stem").table["bulk_cell_types"].iloc[0] == ("stem",)

    def test_windows_that_are_all_masked_are_named_as_such(self):
        empty = {c: 0 * m for c, m in maps(0).items()}
        with pytest.raises(ValueError, match=r"share of masked bins up to 0\.5"):
            windows(empty, max_masked=0.5)

    def test_rounding_does_not_make_a_sparse_map_asymmetric(self):
        large = np.full((9, 9), 1e6)
        large[0, 1] += 1e-2
        assert chromosome_map({"chr1": sp.csr_array(large)}, "chr1").shape == (9, 9)
        assert chromosome_map({"chr1": large}, "chr1").shape == (9, 9)

    def test_what_cannot_be_joined_is_refused(self):
        w = windows()
        for other, message in [
            (replace(w, bin_size=10), "bin_size 50 and 10"),
            (replace(w, track_names=("a", "b")), "track_names"),
            (replace(w, targets=None), "targets and without"),
        ]:
            with pytest.raises(ValueError, match=message):
                join_windows([w, other])


class TestSplitsOfWindows:
    def test_chromosomes(self):
        w = windows()
        split = splits.hold_out_chromosomes(w, "chr3", "chr2")
        assert w.table.attrs == {}
        assert set(split.train.table["chrom"]) == {"chr1"}
        assert len(split.train) + len(split.validation) + len(split.test) == 14
        np.testing.assert_array_equal(split.test.bulk[0], maps(0)["chr3"])
        assert split.test.table.attrs["split"]["part"] == "test"

    def test_cell_types_on_held_out_chromosomes(self):
        split = splits.hold_out_cell_types(windows(), "B", test_chromosomes="chr3")
        assert split.test.table[["chrom", "cell_type"]].to_numpy().tolist() == [["chr3", "B"]]
        with pytest.raises(LeakageError, match="whose map is in the bulk"):
            splits.hold_out_cell_types(
                windows(bulk_cell_types=["A", "B"]), "B", test_chromosomes="chr3"
            )

    def test_regions_in_bins(self):
        split = splits.hold_out_regions(
            windows(chromosomes=["chr1"], stride=1), (12, 20), gap=4, unit="bins"
        )
        assert split.train.table["end"].max() <= 8 * 50
        assert split.test.table["start"].unique().tolist() == [600]


@pytest.mark.skipif("SCST_MIRROR" not in os.environ, reason="real data are not at hand")
def test_windows_of_a_real_cooler():
    path = Path(os.environ["SCST_MIRROR"]) / "cooler_examples"
    clr = cooler.Cooler(str(path / "hg19.GM12878-MboI.matrix.2000kb.cool"))
    lengths = {c: len(clr.bins().fetch(c)) for c in ("chr1", "chr21")}
    tracks = {"GM12878": {c: np.zeros((n, 1)) for c, n in lengths.items()}}
    w = make_windows(
        clr, tracks, {"GM12878": clr}, bin_size=clr.binsize, bulk_cell_types=(), window=16, stride=8
    )
    # 125 bins hold 14 windows of 16 at stride 8, 25 bins hold 2
    assert (lengths["chr1"], lengths["chr21"]) == (125, 25)
    assert w.table["chrom"].value_counts().to_dict() == {"chr1": 14, "chr21": 2}
    np.testing.assert_array_equal(w.targets[0], clr.matrix(balance=False).fetch("chr1")[:16, :16])
    # the centromere of chromosome 1 has no contacts
    assert not w.mask.all()
    split = splits.hold_out_chromosomes(w, "chr21")
    assert len(split.train) == 14


def test_windows_are_shown_in_one_line():
    from tests.models.spatial.spatial_data import spatial_windows

    windows, _ = spatial_windows(("chr1",))
    text = "<Windows: 15 of 32 bins of 1,000 bp, 5 tracks, with targets, cell types a, b, c>"
    assert repr(windows) == text
