"""Readers of tracks and annotation: tables with chrom, start, end, as bioframe expects.

Every reader takes the manifest and a function that returns the files (path in the manifest → file
on disk). Positions count from 0 and intervals leave their end out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from scstlib.datasets.manifests import Manifest

Files = Callable[[], Mapping[str, Path]]


def cpg_tracks(manifest: Manifest, files: Files) -> pd.DataFrame:
    """CpG content of bins: hg19 at 1 Mb and 100 kb, mm10 at 100 kb.

    Bins are centred on multiples of the bin size: they are half a bin off the grid on which
    coolers lie, and a bin of that grid takes the mean of the two that it overlaps.

    Returns
    -------
    pandas.DataFrame
        chrom, start, end; cpg: share of the dinucleotides that are CpG, 0 to 1; assembly;
        bin_size in base pairs. Chromosomes 1 to 22 (19 in mouse), X and Y; contigs are left out.
    """
    paths = files()
    tables = []
    sources = [("hg19.cpg.1m.txt", 1_000_000), ("hg19.cpg.100k.txt", 100_000)]
    for name, bin_size in [*sources, ("mm10.cpg.100k.txt", 100_000)]:
        table = pd.read_csv(
            paths[name],
            sep="\t",
            header=None,
            names=["chrom", "position", "cpg"],
            dtype={"chrom": str},
        )
        number = table["chrom"].str.removeprefix("chr")
        known = number.str.fullmatch(r"\d{1,2}|X|Y")
        position = table.pop("position")
        table["chrom"] = "chr" + number
        table.insert(1, "start", position - bin_size // 2)
        table.insert(2, "end", position + bin_size // 2)
        table["assembly"] = name.split(".")[0]
        table["bin_size"] = bin_size
        tables.append(table[known])
    return pd.concat(tables, ignore_index=True)


def ctcf_gm12878_hg19(manifest: Manifest, files: Files) -> pd.DataFrame:
    """CTCF peaks of the lymphoblastoid line GM12878, hg19 (ENCODE broadPeak, GSM733752).

    Returns
    -------
    pandas.DataFrame
        chrom, start, end; score (0 to 1000), signal (mean enrichment) and log10_p (-log10 p).
    """
    (path,) = files().values()
    columns = ["chrom", "start", "end", "name", "score", "strand", "signal", "log10_p", "log10_q"]
    table = pd.read_csv(path, sep="\t", header=None, names=columns)
    return table[["chrom", "start", "end", "score", "signal", "log10_p"]]


def annotation_hg19(manifest: Manifest, files: Files) -> pd.DataFrame:
    """Genes of hg19, one interval a gene.

    Returns
    -------
    pandas.DataFrame
        chrom, start, end, gene (symbol), strand, tss (transcription start: start on +, end on -),
        ensembl_id, gene_type. ``attrs["chromsizes"]`` maps chromosome to length.
    """
    paths = files()
    genes = pd.read_csv(paths["CollapsedGeneBounds.hg19.bed"], sep="\t")
    genes = genes.rename(columns={"#chr": "chrom", "name": "gene", "Ensembl_ID": "ensembl_id"})
    genes["tss"] = genes["start"].where(genes["strand"] == "+", genes["end"])
    sizes = pd.read_csv(paths["hg19.chrom.sizes"], sep="\t", header=None, index_col=0)
    columns = ["chrom", "start", "end", "gene", "strand", "tss", "ensembl_id", "gene_type"]
    genes = genes[columns]
    genes.attrs["chromsizes"] = {str(chrom): int(size) for chrom, size in sizes[1].items()}
    return genes
