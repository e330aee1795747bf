"""Readers of the contact sets: text or R files → one ``.scool`` file, written once.

Every reader takes the manifest and a function that returns the files (path in the manifest → file
on disk) and returns :class:`~scstlib.datasets.contact_maps.ContactMaps`. The converted file is
kept in the cache under a key of the sources' checksums and of this code, so that a change of
either makes a new one; the sources are not needed again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from scstlib.datasets import contact_files
from scstlib.datasets.contact_files import converted, digest, upper_pixels, write_scool
from scstlib.datasets.contact_maps import ContactMaps
from scstlib.datasets.manifests import Manifest
from scstlib.datasets.r_trees import pairs

Files = Callable[[], Mapping[str, Path]]


@cache
def _code() -> str:
    """This module's and the writer's source text, as part of the key of a converted file."""
    modules = (Path(__file__), Path(contact_files.__file__))
    return digest(*(path.read_text(encoding="utf-8") for path in modules))


def _convert(manifest: Manifest, write: Callable[[Path], None]) -> ContactMaps:
    """The set's converted file, written by ``write`` if it is not there."""
    sources = sorted((file.path, file.sha256) for file in manifest.files)
    return ContactMaps.open(converted(manifest.name, digest(_code(), sources), write))


def _chromsizes(assembly: str, chroms: list[str]) -> pd.Series:
    """Lengths of some chromosomes, from the table that bioframe carries."""
    import bioframe

    sizes: pd.Series[int] = bioframe.assembly_info(assembly).chromsizes.loc[chroms]
    return sizes


def _bins(chromsizes: Mapping[str, int] | pd.Series, bin_size: int) -> pd.DataFrame:
    """Table of all bins; the last one of a chromosome is shorter."""
    import bioframe

    bins: pd.DataFrame = bioframe.binnify(pd.Series(chromsizes), bin_size)
    return bins


def _offsets(bins: pd.DataFrame) -> dict[str, int]:
    """First bin of each chromosome."""
    first = bins.reset_index().groupby("chrom", sort=False, observed=True)["index"].first()
    return {str(chrom): int(index) for chrom, index in first.items()}


def _meta(manifest: Manifest, **more: str) -> dict[str, str]:
    """What the written file says about itself."""
    return {"dataset": manifest.name, **more}


def lee2019(manifest: Manifest, files: Files) -> ContactMaps:
    """Single-cell Hi-C of human cortex: 400 cells, 1 Mb bins of chr1–22 and X, raw counts, hg19.

    ``obs``: cell_type (Astro, ODC, MG, Sst), donor (21yr, 29yr), batch, and depth and sparsity as
    the host states them. DOI 10.1038/s41592-019-0547-z.
    """

    def write(target: Path) -> None:
        paths = files()
        obs = pd.read_csv(paths["demoData_summary.txt"], sep="\t")
        obs["donor"] = obs["batch"].str.split("_").str[1]
        obs.index = pd.Index(obs.pop("name").str.removesuffix(".txt"), name=None)
        obs = obs[["cell_type", "donor", "batch", "depth", "sparsity"]]
        chroms = [f"chr{number}" for number in range(1, 23)] + ["chrX"]
        bins = _bins(_chromsizes("hg19", chroms), 1_000_000)
        first = _offsets(bins)
        pixels = {}
        for cell in obs.index:
            # Both ends lie on one chromosome, which column 2 repeats.
            table = pd.read_csv(
                paths[f"cells/{cell}.txt"],
                sep="\t",
                header=None,
                usecols=[0, 1, 3, 4],
                dtype={0: "category"},
            )
            offset = table[0].map(first).astype(int)
            pixels[cell] = upper_pixels(
                offset + table[1] // 1_000_000, offset + table[3] // 1_000_000, table[4]
            )
        write_scool(target, bins, pixels, obs, "hg19", _meta(manifest))

    return _convert(manifest, write)


def bonev2017_chr19(manifest: Manifest, files: Files) -> ContactMaps:
    """Hi-C of mouse neural differentiation: ES, NPC and CN, chr19 at 100 kb, raw counts.

    Bins start at 0, so that the first 30 and the last one are empty; the 584 between them are
    those of the files. ``obs``: cell_type, order. DOI 10.1016/j.cell.2017.09.043.
    """

    def write(target: Path) -> None:
        paths = files()
        listed = pd.read_csv(
            paths["chr19_100kb.bed"], sep="\t", header=None, names=["chrom", "start", "end", "bin"]
        )
        bins = _bins(_chromsizes("mm10", ["chr19"]), 100_000)
        position = pd.Series(listed["start"].to_numpy() // 100_000, index=listed["bin"])
        samples = ["ES", "NPC", "CN"]
        pixels = {}
        for sample in samples:
            table = pd.read_csv(paths[f"{sample}_chr19_100kb.txt"], sep="\t", header=None)
            row, column = (position.loc[table[i]].to_numpy() for i in (0, 1))
            pixels[sample] = upper_pixels(row, column, table[2])
        obs = pd.DataFrame({"cell_type": samples, "order": range(3)}, index=samples)
        write_scool(target, bins, pixels, obs, manifest.assembly, _meta(manifest))

    return _convert(manifest, write)


def rao2014_gm12878_replicates(manifest: Manifest, files: Files) -> ContactMaps:
    """Hi-C of GM12878 in two replicates: chr21 and chr22 at 50 kb, raw counts, hg19.

    Pairs are listed in both orders with different counts; the two are summed.
    DOI 10.1016/j.cell.2014.11.021.
    """

    def write(target: Path) -> None:
        paths = files()
        bins = _bins(_chromsizes("hg19", ["chr21", "chr22"]), 50_000)
        first = _offsets(bins)
        samples = ["HIC001", "HIC002"]
        pixels = {}
        for sample in samples:
            table = pd.read_csv(paths[f"{sample}.res50000.gz"], sep="\t", header=None)
            row, column = (
                ("chr" + table[i].astype(str)).map(first) + table[i + 1] // 50_000 for i in (0, 2)
            )
            pixels[sample] = upper_pixels(row, column, table[4])
        obs = pd.DataFrame({"cell_type": "GM12878", "replicate": [1, 2]}, index=samples)
        write_scool(target, bins, pixels, obs, "hg19", _meta(manifest))

    return _convert(manifest, write)


def rao2017_cohesin_loss(manifest: Manifest, files: Files) -> ContactMaps:
    """Hi-C of HCT-116 after auxin and its removal: chr22 at 50 kb, four times, raw counts, hg19.

    ``obs["time"]`` in minutes: 20, 40, 60, 180, in the order of the file.
    DOI 10.1016/j.cell.2017.09.026.
    """

    def write(target: Path) -> None:
        bins = _bins(_chromsizes("hg19", ["chr22"]), 50_000)
        minutes = [20.0, 40.0, 60.0, 180.0]
        samples = [f"{time:.0f}min" for time in minutes]
        tables = _r_tables(files()["time_mats.rda"], "time_mats")
        pixels = {
            sample: upper_pixels(table[0] // 50_000, table[1] // 50_000, table[2])
            for sample, table in zip(samples, tables, strict=True)
        }
        obs = pd.DataFrame({"time": minutes}, index=samples)
        write_scool(target, bins, pixels, obs, "hg19", _meta(manifest, time_unit="minutes"))

    return _convert(manifest, write)


def _r_tables(path: Path, name: str) -> list[np.ndarray]:
    """Tables (columns × rows, whole numbers) in the list ``name`` of an R data file.

    They are read from the parsed tree: the tables' class and the reader's notes on it, which the
    conversion to pandas does not know, say nothing that is needed.
    """
    import rdata

    objects = pairs(rdata.parser.parse_file(path).object)
    if name not in objects:
        raise ValueError(f"{path} holds {list(objects)}, expected {name!r}")
    return [
        np.array([column.value for column in table.value], dtype=np.int64)
        for table in objects[name].value
    ]


def stadhouders2018_sox2(manifest: Manifest, files: Files) -> ContactMaps:
    """Hi-C of the Sox2 locus in B cell reprogramming: seven stages, 300 bins of 5 kb, raw counts.

    Positions are counted from the start of the locus (chromosome ``Sox2_locus``, 1.5 Mb): the
    files give no others. ``obs``: stage, order (0 to 6), and time in days, NaN for the stages
    that are not days (B, Ba, PSC). Bins have the column ``masked``, which differs between stages:
    ``cooler(name).bins()``. DOI 10.1038/s41588-017-0030-7.
    """

    def write(target: Path) -> None:
        paths = files()
        stages = ["B", "Ba", "D2", "D4", "D6", "D8", "PSC"]
        grid = _bins({"Sox2_locus": 1_500_000}, 5_000)
        bins, pixels = {}, {}
        for stage in stages:
            path = paths[f"raw_Sox2_{stage}.txt"]
            with path.open(encoding="utf-8") as stream:
                masked = [int(word) for word in stream.readline().split()[2:]]
            counts = np.loadtxt(path).astype(np.int64)
            row, column = np.triu_indices(len(counts))
            pixels[stage] = upper_pixels(row, column, counts[row, column])
            bins[stage] = grid.assign(masked=grid.index.isin(masked).astype(np.int8))
        days = [float(stage[1:]) if stage.startswith("D") else np.nan for stage in stages]
        obs = pd.DataFrame({"stage": stages, "order": range(7), "time": days}, index=stages)
        write_scool(target, bins, pixels, obs, None, _meta(manifest, time_unit="days"))

    return _convert(manifest, write)


def cooler_examples(manifest: Manifest, files: Files) -> dict[str, ContactMaps]:
    """Two coolers as they are: ``yeast_10kb`` (with balancing weights) and ``gm12878_2mb`` (raw).

    DOI 10.1093/bioinformatics/btz540.
    """
    paths = files()
    sets = {
        "yeast_10kb": ("yeast.10kb.cool", None),
        "gm12878_2mb": ("hg19.GM12878-MboI.matrix.2000kb.cool", "hg19"),
    }
    maps = {}
    for name, (file, assembly) in sets.items():
        opened = ContactMaps.open(paths[file])
        maps[name] = ContactMaps(opened.path, opened.obs, assembly, _meta(manifest))
    return maps
