"""Tracks and annotation: small files of the same form, and facts of the real ones."""

from __future__ import annotations

from pathlib import Path

import bioframe
import numpy as np
import pandas as pd

from scstlib.datasets import load, read_manifest, tracks


def read(name: str, folder: Path) -> pd.DataFrame:
    """Run the reader of a set on files that a test has written."""
    files = {path.name: path for path in folder.iterdir()}
    return getattr(tracks, name)(read_manifest(name), lambda: files)


def test_cpg_bins_are_centred(tmp_path: Path) -> None:
    (tmp_path / "hg19.cpg.1m.txt").write_text("1\t1000000\t0.03\n")
    (tmp_path / "hg19.cpg.100k.txt").write_text("X\t200000\t0.01\nGL000221.1\t100000\t0.02\n")
    (tmp_path / "mm10.cpg.100k.txt").write_text("chr19\t3000000\t0.02\nJH584293.1\t100000\t0.02\n")
    table = read("cpg_tracks", tmp_path)
    assert table["chrom"].tolist() == ["chr1", "chrX", "chr19"]
    assert table["start"].tolist() == [500_000, 150_000, 2_950_000]
    assert table["end"].tolist() == [1_500_000, 250_000, 3_050_000]
    assert table["assembly"].tolist() == ["hg19", "hg19", "mm10"]
    assert table["bin_size"].tolist() == [1_000_000, 100_000, 100_000]
    assert table["cpg"].tolist() == [0.03, 0.01, 0.02]


def test_ctcf_small(tmp_path: Path) -> None:
    line = "chr22\t16846634\t16869580\t.\t293\t.\t3.31\t12.9\t-1\n"
    (tmp_path / "peaks.broadPeak").write_text(line)
    table = read("ctcf_gm12878_hg19", tmp_path)
    assert table.loc[0].tolist() == ["chr22", 16846634, 16869580, 293, 3.31, 12.9]


def test_annotation_small(tmp_path: Path) -> None:
    (tmp_path / "CollapsedGeneBounds.hg19.bed").write_text(
        "#chr\tstart\tend\tname\tscore\tstrand\tEnsembl_ID\tgene_type\n"
        "chr1\t10\t20\tA\t0\t+\tE1\tlincRNA\nchr1\t30\t40\tB\t0\t-\tE2\tprotein_coding\n"
    )
    (tmp_path / "hg19.chrom.sizes").write_text("chr1\t100\n")
    table = read("annotation_hg19", tmp_path)
    assert table["tss"].tolist() == [10, 40]
    assert table["gene"].tolist() == ["A", "B"]
    assert table.attrs["chromsizes"] == {"chr1": 100}


def test_tracks_real(real_data: Path) -> None:
    genes = load("annotation_hg19")
    cpg = load("cpg_tracks")
    ctcf = load("ctcf_gm12878_hg19")
    sizes = bioframe.assembly_info("hg19").chromsizes
    for table in (genes, ctcf, cpg):
        assert bioframe.is_bedframe(table)
    assert all(sizes[chrom] == size for chrom, size in genes.attrs["chromsizes"].items())
    assert len(genes) == 20_629
    assert genes["gene"].is_unique
    assert len(ctcf) == 61_525
    assert (ctcf["end"] <= ctcf["chrom"].map(sizes)).all()
    assert cpg.groupby(["assembly", "bin_size"]).size().to_dict() == {
        ("hg19", 1_000_000): 2698,
        ("hg19", 100_000): 28_742,
        ("mm10", 100_000): 26_605,
    }
    human = cpg[(cpg["assembly"] == "hg19") & (cpg["bin_size"] == 100_000)]
    assert (human["end"] <= human["chrom"].map(sizes)).all()

    # CpG islands sit at transcription starts: the true placement of the bins correlates best.
    coding = genes[genes["gene_type"] == "protein_coding"]

    def correlation(shift: int) -> float:
        starts = []
        for chrom, bins in human.groupby("chrom", sort=False):
            tss = np.sort(coding.loc[coding["chrom"] == chrom, "tss"])
            first, last = (np.searchsorted(tss, bins[edge] + shift) for edge in ("start", "end"))
            starts.append(last - first)
        return float(np.corrcoef(np.concatenate(starts), human["cpg"])[0, 1])

    assert correlation(0) > max(correlation(-50_000), correlation(50_000)) + 0.02
