"""Tracks: sums kept, strands apart, names reconciled, scaling learned from training windows."""

import os
from pathlib import Path

import bioframe
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scstlib.leakage import LeakageError, check_evaluation
from scstlib.preprocess import tracks as tr
from scstlib.preprocess.windows import Windows

BINS = bioframe.binnify(pd.Series({"chr1": 95, "chr2": 30, "chrM": 5}), 10)


def genes(rows):
    columns = ["name", "chrom", "start", "end", "strand"]
    return pd.DataFrame(rows, columns=columns).set_index("name")


GENES = genes(
    [
        ("a", "chr1", 5, 25, "+"),
        ("b", "chr1", 5, 25, "-"),
        ("c", "chr2", 0, 10, "+"),
        ("d", "chrM", 0, 5, "-"),
    ]
)
EXPRESSION = pd.DataFrame(
    {"A": [4.0, 8.0, 1.0, 0.5], "B": [0.0, 1.0, 0.0, 0.0]}, index=list("abcd")
)


class TestChromosomes:
    @pytest.mark.parametrize("names", [["chr1", "chr2", "chrM"], ["1", "2", "MT"]])
    def test_either_way(self, names):
        table = pd.DataFrame({"chrom": ["1", "chr2", "MT", "chrUn_1"], "x": range(4)})
        matched = tr.match_chromosomes(table, names)
        assert matched["chrom"].tolist() == names
        assert matched["x"].tolist() == [0, 1, 2]

    def test_nothing_in_common(self):
        table = pd.DataFrame({"chrom": ["chrI", "chrII"]})
        with pytest.raises(ValueError, match=r"\['chrI', 'chrII'\] are none of \['chr1'\]"):
            tr.match_chromosomes(table, ["chr1"])
        with pytest.raises(ValueError, match="no column 'chrom'"):
            tr.match_chromosomes(table.rename(columns={"chrom": "chr"}), ["chr1"])


class TestExpressionTracks:
    def test_start_sites(self):
        tracks = tr.expression_tracks(EXPRESSION, GENES, BINS)
        assert tracks["A"].shape == (14, 2)
        assert tracks["A"][0].tolist() == [4.0, 0.0]
        # the − strand starts at its end: position 24 lies in the third bin
        assert tracks["A"][2].tolist() == [0.0, 8.0]
        assert tracks["A"][10].tolist() == [1.0, 0.0]
        assert tracks["A"][13].tolist() == [0.0, 0.5]
        assert tracks["B"].sum() == 1.0
        categorical = GENES.astype({"chrom": "category", "strand": "category"})
        bins = BINS.astype({"chrom": "category"})
        again = tr.expression_tracks(EXPRESSION, categorical, bins)
        np.testing.assert_array_equal(again["A"], tracks["A"])

    def test_bodies(self):
        track = tr.expression_tracks(EXPRESSION, GENES, BINS, position="body")["A"]
        assert track[:4].tolist() == [[1.0, 2.0], [2.0, 4.0], [1.0, 2.0], [0.0, 0.0]]

    @settings(deadline=None, max_examples=25)
    @given(seed=st.integers(0, 1000), position=st.sampled_from(["tss", "body"]))
    def test_sum_and_order_of_bins(self, seed, position):
        rng = np.random.default_rng(seed)
        start = rng.integers(0, 80, 12)
        table = pd.DataFrame(
            {
                "chrom": "1",
                "start": start,
                "end": start + rng.integers(1, 15, 12),
                "strand": rng.choice(["+", "-"], 12),
            },
            index=[f"g{i}" for i in range(12)],
        )
        values = pd.DataFrame({"A": rng.gamma(1.0, size=12)}, index=table.index)
        track = tr.expression_tracks(values, table, BINS, position=position)["A"]
        for column, strand in enumerate("+-"):
            expected = values["A"][table["strand"] == strand].sum()
            assert track[:, column].sum() == pytest.approx(expected)
        order = rng.permutation(len(BINS))
        shuffled = tr.expression_tracks(values, table, BINS.iloc[order], position=position)["A"]
        np.testing.assert_allclose(shuffled, track[order])

    def test_genes_without_a_place(self):
        with pytest.warns(UserWarning, match="3 of 4 genes have no position"):
            track = tr.expression_tracks(EXPRESSION, GENES.loc[["c"]], BINS)["A"]
        assert track.sum() == 1.0
        with pytest.raises(ValueError, match=r"no gene has a position: expression names \['a'"):
            tr.expression_tracks(EXPRESSION, GENES.rename(index=str.upper), BINS)

    def test_refused(self):
        with pytest.raises(ValueError, match="'a' occurs twice in genes"):
            tr.expression_tracks(EXPRESSION, pd.concat([GENES, GENES]), BINS)
        with pytest.raises(ValueError, match="holds NaN"):
            tr.expression_tracks(EXPRESSION * np.nan, GENES, BINS)
        with pytest.raises(ValueError, match=r"strand must be .* found \['\.'\]"):
            tr.expression_tracks(EXPRESSION, GENES.assign(strand="."), BINS)
        with pytest.raises(ValueError, match="unknown position 'gene'"):
            tr.expression_tracks(EXPRESSION, GENES, BINS, position="gene")


class TestPeaks:
    PEAKS = pd.DataFrame(
        {
            "chrom": ["1", "1", "1", "2", "X"],
            "start": [0, 8, 9, 20, 0],
            "end": [4, 12, 15, 30, 5],
            "strand": ["+", "-", "+", "+", "+"],
            "score": [1.0, 10.0, 100.0, 1000.0, 5.0],
        }
    )

    def test_strands(self):
        track = tr.peak_tracks(self.PEAKS, BINS)
        assert track.shape == (14, 2)
        # midpoints 2, 10 and 12: a peak counts once, where its middle lies
        assert track[:3].tolist() == [[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]
        assert track.sum() == 4
        assert tr.peak_tracks(self.PEAKS, BINS, value="score")[1].tolist() == [100.0, 10.0]

    @pytest.mark.parametrize("peaks", [PEAKS.assign(strand="."), PEAKS.drop(columns="strand")])
    def test_without_strands(self, peaks):
        assert tr.peak_tracks(peaks, BINS)[:3].tolist() == [[1.0], [2.0], [0.0]]

    def test_refused(self):
        mixed = self.PEAKS.assign(strand=["+", ".", "-", "+", "+"])
        with pytest.raises(ValueError, match=r"found \['\+', '-', '\.'\]"):
            tr.peak_tracks(mixed, BINS)
        with pytest.raises(ValueError, match="'score' is NaN in 4 peaks"):
            tr.peak_tracks(self.PEAKS.assign(score=np.nan), BINS, value="score")


class TestIntervalTrack:
    def test_average_by_overlap(self):
        table = pd.DataFrame(
            {"chrom": "1", "start": [5, 12, 30], "end": [12, 20, 40], "value": [1.0, 6.0, np.nan]}
        )
        track = tr.interval_track(table, BINS, fill=-1)[:, 0]
        assert track[:5].tolist() == [1.0, (2 * 1 + 8 * 6) / 10, -1.0, -1.0, -1.0]
        assert tr.interval_track(table, BINS)[3, 0] == 0

    def test_by_chromosome(self):
        cut = tr.by_chromosome(np.arange(14.0)[:, None], BINS)
        assert {name: len(track) for name, track in cut.items()} == {
            "chr1": 10,
            "chr2": 3,
            "chrM": 1,
        }
        assert cut["chr2"][:, 0].tolist() == [10.0, 11.0, 12.0]
        with pytest.raises(ValueError, match="13 rows for 14 bins"):
            tr.by_chromosome(np.zeros((13, 1)), BINS)


def windows(tracks, chrom="chr1", mask=None):
    n, bins = tracks.shape[:2]
    table = pd.DataFrame({"chrom": [chrom] * n, "start": 0, "end": bins, "cell_type": "A"})
    mask = np.ones((n, bins), dtype=bool) if mask is None else mask
    return Windows(np.zeros((n, bins, bins)), tracks, None, table, 1, mask)


class TestScaling:
    def test_learned_from_training(self):
        train = windows(np.array([[[1.0, 5.0], [3.0, 5.0]]]))
        test = windows(np.array([[[5.0, 6.0], [np.nan, 5.0]]]), "chr2")
        standard = tr.TrackScaler().fit(train)
        np.testing.assert_array_equal(standard.transform(test).tracks, [[[3.0, 1.0], [0.0, 0.0]]])
        minmax = tr.TrackScaler("minmax").fit(train)
        np.testing.assert_array_equal(minmax.transform(test).tracks, [[[2.0, 1.0], [0.0, 0.0]]])
        logged = tr.TrackScaler("minmax", log=True).fit(train)
        assert logged.transform(test).tracks[0, 0, 0] == pytest.approx(np.log(3) / np.log(2))

    def test_masked_bins_teach_nothing(self):
        values = np.array([[[1.0], [3.0], [1e6]]])
        fitted = tr.TrackScaler().fit(windows(values, mask=np.array([[True, True, False]])))
        assert fitted.offset_.tolist() == [2.0]

    def test_guarded(self):
        train = windows(np.arange(4.0).reshape(1, 4, 1))
        fitted = tr.TrackScaler().fit(train)
        check_evaluation(fitted, windows(np.ones((1, 4, 1)), "chr2"))
        with pytest.raises(LeakageError, match="TrackScaler was fitted on"):
            check_evaluation(fitted, train)

    def test_refused(self):
        with pytest.raises(ValueError, match="no usable value"):
            tr.TrackScaler().fit(windows(np.full((1, 4, 1), np.nan)))
        with pytest.raises(ValueError, match="unknown method 'max'"):
            tr.TrackScaler("max").fit(windows(np.ones((1, 4, 1))))
        with pytest.raises(ValueError, match="log1p of -1"):
            tr.TrackScaler(log=True).fit(windows(-np.ones((1, 4, 1))))

    def test_per_window(self):
        tracks = np.array(
            [[[1.0, 7.0], [3.0, 7.0], [2.0, np.nan]], [[10.0, 0], [30.0, 0], [20.0, 2]]]
        )
        scaled = tr.scale_per_window(tracks)
        # the level is gone: both windows read the same in the first track
        assert scaled[0, :, 0].tolist() == scaled[1, :, 0].tolist() == [0.0, 1.0, 0.5]
        assert scaled[0, :, 1].tolist() == [0.0, 0.0, 0.0]
        assert scaled[1, :, 1].tolist() == [0.0, 0.0, 1.0]
        np.testing.assert_array_equal(tr.scale_per_window(np.full((1, 2, 1), np.nan)), 0)


@pytest.mark.skipif("SCST_MIRROR" not in os.environ, reason="real data are not at hand")
def test_real_tracks_of_hg19():
    mirror = Path(os.environ["SCST_MIRROR"])
    sizes = pd.read_csv(
        mirror / "annotation_hg19/hg19.chrom.sizes", sep="\t", header=None, index_col=0
    )[1]
    bins = bioframe.binnify(sizes[["chr21", "chr22"]], 1_000_000)
    peaks = pd.read_csv(
        mirror / "ctcf_gm12878_hg19/GSM733752_hg19_ctcf_GM12878.broadPeak",
        sep="\t",
        header=None,
        names=["chrom", "start", "end", "name", "score", "strand", "signal", "p", "q"],
    )
    on_these = peaks["chrom"].isin(["chr21", "chr22"]).sum()
    track = tr.peak_tracks(peaks, bins)
    assert track.shape == (len(bins), 1)
    assert track.sum() == on_these > 1000
    cpg = pd.read_csv(
        mirror / "cpg_tracks/hg19.cpg.1m.txt",
        sep="\t",
        header=None,
        names=["chrom", "end", "value"],
    )
    cpg["start"] = cpg["end"] - 500_000
    cpg["end"] += 500_000
    assert cpg["chrom"].astype(str).iloc[0] == "1"
    density = tr.interval_track(cpg, bins)
    # CTCF sites lie in CpG-rich sequence
    assert np.corrcoef(track[:, 0], density[:, 0])[0, 1] > 0.5
