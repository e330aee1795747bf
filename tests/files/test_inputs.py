"""From files to windows: the organism's files give what its arrays give, and bad input is named."""

from __future__ import annotations

import inspect
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

import anndata
import bioframe
import cooler
import h5py
import numpy as np
import pandas as pd
import pytest

from scstlib.datasets import simulate_organism
from scstlib.files.cooler_maps import CoolerMaps, open_cooler
from scstlib.files.inputs import build_windows, read_inputs
from scstlib.files.track_files import (
    expression_by_type,
    gtf_assembly,
    read_bed,
    read_bedgraph,
    read_genes,
    read_signal,
    read_sites,
)
from scstlib.preprocess.guides import guide_tracks
from scstlib.preprocess.tracks import expression_tracks, interval_track, peak_tracks

WINDOW = 16

# Some of the maps below have one chromosome of three.
pytestmark = pytest.mark.filterwarnings("ignore:.*genes have no position:UserWarning")


@pytest.fixture(scope="module")
def organism() -> Any:
    return simulate_organism(0, "tiny")


@pytest.fixture(scope="module")
def folder(organism: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The organism's own files, and CTCF and CpG in the formats of the field."""
    path = tmp_path_factory.mktemp("organism")
    organism.write(path)
    table = organism.tracks()
    middle = table["start"] + 25_000
    sites = pd.concat(
        [
            pd.DataFrame(
                {"chrom": table["chrom"], "start": middle, "end": middle + 19, "strand": strand}
            )[table[column] > 0]
            for strand, column in (("+", "ctcf_forward"), ("-", "ctcf_reverse"))
        ]
    )
    sites.insert(3, "name", ".")
    sites.insert(4, "score", 0)
    sites.to_csv(path / "ctcf.bed", sep="\t", header=False, index=False)
    cpg = table[["chrom", "start", "end", "cpg"]]
    cpg.to_csv(path / "cpg.bedGraph", sep="\t", header=False, index=False)
    return path


@pytest.fixture
def files(folder: Path) -> dict[str, Any]:
    return {
        "bulk": f"{folder}/bulk.mcool::resolutions/50000",
        "expression": folder / "cells.h5ad",
        "ctcf": folder / "ctcf.bed",
        "cpg": folder / "cpg.bedGraph",
        "window": WINDOW,
    }


def build(files: dict[str, Any], **changes: Any) -> Any:
    given = {**files, **changes}
    return build_windows(given.pop("bulk"), given.pop("expression"), stride=8, **given)


def cool(path: Path, maps: dict[str, np.ndarray], names: Any = str, **options: Any) -> str:
    """Write a small cooler with bins of 50 kb."""
    bins = pd.concat(
        [
            pd.DataFrame({"chrom": names(c), "start": np.arange(len(m)) * 50_000})
            for c, m in maps.items()
        ],
        ignore_index=True,
    )
    bins["end"] = bins["start"] + 50_000
    weight = options.pop("weight", None)
    if weight is not None:
        bins["weight"] = weight
    offset, tables = 0, []
    for matrix in maps.values():
        i, j = np.nonzero(np.triu(matrix))
        counts = matrix[i, j]
        tables.append(pd.DataFrame({"bin1_id": i + offset, "bin2_id": j + offset, "count": counts}))
        offset += len(matrix)
    pixels = pd.concat(tables, ignore_index=True)
    options = {"dtypes": {"count": pixels["count"].dtype}, "ordered": True} | options
    cooler.create_cooler(str(path), bins, pixels, **options)
    return str(path)


def test_files_give_what_arrays_give(organism: Any, files: dict[str, Any], folder: Path) -> None:
    kinds = ["stem", "bipotent"]
    windows = build(
        files,
        cell_types=kinds,
        reference=kinds,
        bulk_expression="stem",
        bulk_cell_types=["stem"],
        targets={kind: folder / f"{kind}.cool" for kind in kinds},
    )
    cells = organism.sample()
    table = expression_by_type(cells, "cell_type")
    sums = np.asarray(cells[(cells.obs["cell_type"] == "stem").to_numpy()].X.sum(axis=0)).ravel()
    np.testing.assert_allclose(table["stem"], sums / sums.sum() * 1e4)
    bins = organism.tracks()[["chrom", "start", "end"]]
    expression = expression_tracks(table[kinds], organism.genome.genes, bins)
    shared = np.column_stack(
        [peak_tracks(read_bed(folder / "ctcf.bed"), bins), organism.tracks()["cpg"]]
    )
    expected, names = guide_tracks(
        expression,
        reference=kinds,
        bulk=expression["stem"],
        shared=shared,
        shared_names=["CTCF +", "CTCF -", "CpG"],
    )
    assert windows.track_names == names
    bulk = organism.bulk()
    for row, place in enumerate(windows.table.itertuples()):
        span = slice(place.start // 50_000, place.end // 50_000)
        on = (bins["chrom"] == place.chrom).to_numpy()
        here = bulk[place.chrom][span, span] * windows.mask[row] * windows.mask[row][:, None]
        np.testing.assert_array_equal(windows.bulk[row], here)
        np.testing.assert_allclose(
            windows.tracks[row], expected[place.cell_type][on][span], rtol=1e-5
        )
        target = organism.sample_contacts(place.cell_type, chroms=[place.chrom])[place.chrom]
        here = target[span, span] * windows.mask[row] * windows.mask[row][:, None]
        np.testing.assert_array_equal(windows.targets[row], here)
    assert windows.table["bulk_cell_types"].iloc[0] == ("stem",)
    # Only what reaches the window is read; a bin without contacts there is masked.
    assert (windows.bulk.sum(axis=2) > 0).any(axis=0).all()


def test_names_with_and_without_chr(files: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    maps = CoolerMaps(files["bulk"], reach=WINDOW)
    plain = {c: maps[c].toarray().astype(int) for c in maps}
    bulk = cool(tmp_path / "bare.cool", plain, names=lambda c: c.removeprefix("chr"))
    target = {"stem": folder / "stem.cool"}
    bare = build(files, bulk=bulk, chromosomes=["chr1"], targets=target)
    same = build(files, chromosomes=["1"], targets=target)
    assert set(bare.table["chrom"]) == {"1"}
    assert set(same.table["chrom"]) == {"chr1"}
    for one, other in ((bare.tracks, same.tracks), (bare.targets, same.targets)):
        np.testing.assert_array_equal(one, other)


def test_balancing_weights(files: dict[str, Any], tmp_path: Path) -> None:
    counts = np.random.default_rng(0).poisson(9, (64, 64)) + 1
    counts = counts + counts.T
    weight = np.linspace(0.5, 2, 64)
    weight[4] = np.nan
    bulk = cool(tmp_path / "b.cool", {"chr1": counts}, weight=weight)
    raw = build(files, bulk=bulk)
    balanced = build(files, bulk=bulk, balance=True)
    assert not raw.mask[0, 4]
    np.testing.assert_array_equal(raw.mask, balanced.mask)
    expected = np.nan_to_num(counts * np.outer(weight, weight))[:16, :16]
    np.testing.assert_allclose(balanced.bulk[0], expected, rtol=1e-6)
    assert raw.bulk[0, 0, 1] == counts[0, 1]
    by_hand = cooler.Cooler(bulk).matrix(balance=True).fetch("chr1")
    np.testing.assert_allclose(np.nan_to_num(by_hand)[:16, :16], balanced.bulk[0], rtol=1e-6)
    # Weights of the .hic format divide, and others whose writer says so.
    with cooler.Cooler(bulk).open("r+") as group:
        for name in ("KR", "GW_SCALE", "own", "VC"):
            group["bins"].create_dataset(name, data=weight if name == "VC" else 1 / weight)
        group["bins/own"].attrs["divisive_weights"] = True
        group["bins/VC"].attrs["divisive_weights"] = False
    for name in ("KR", "GW_SCALE", "own", "VC"):
        found = build(files, bulk=bulk, balance=name).bulk
        np.testing.assert_allclose(found, balanced.bulk, rtol=1e-6)
    with pytest.raises(ValueError, match=r"no balancing weights 'weight' among .*cooler balance"):
        build(files, balance=True)


def test_pixels_between_chromosomes_are_left_out(tmp_path: Path) -> None:
    bins = pd.DataFrame({"chrom": ["a"] * 3 + ["b"] * 3, "start": [0, 10, 20] * 2})
    bins["end"] = bins["start"] + 10
    pixels = pd.DataFrame({"bin1_id": [0, 0, 2, 4], "bin2_id": [1, 3, 4, 5], "count": [1, 5, 7, 2]})
    path = str(tmp_path / "t.cool")
    cooler.create_cooler(path, bins, pixels, ordered=True)
    maps = CoolerMaps(path, reach=3)
    assert maps["a"].toarray().tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]
    assert maps["b"].toarray().tolist() == [[0, 0, 0], [0, 0, 2], [0, 2, 0]]


def test_short_and_empty_chromosomes_are_left_out_or_refused(
    files: dict[str, Any], tmp_path: Path
) -> None:
    full = np.ones((64, 64), dtype=int)
    maps = {"chr1": full, "chr2": np.zeros((64, 64), dtype=int), "chrM": np.ones((1, 1), dtype=int)}
    bulk = cool(tmp_path / "some.cool", maps)
    with pytest.warns(UserWarning, match=r"chr2 has no contact.*chrM has 1 bins"):
        windows = build(files, bulk=bulk)
    assert set(windows.table["chrom"]) == {"chr1"}
    with pytest.raises(ValueError, match=r"some.cool: chrM has 1 bins of 50,000 bp.*leave it out"):
        build(files, bulk=bulk, chromosomes=["chr1", "chrM"])
    with pytest.raises(ValueError, match=r"some.cool: chr2 has no contact"):
        build(files, bulk=bulk, chromosomes=["chr2"])
    empty = cool(tmp_path / "zero.cool", {"chr1": np.zeros((64, 64), dtype=int)})
    with pytest.raises(ValueError, match=r"zero.cool: chr1 has no contact"):
        build(files, bulk=empty)
    lost = cool(tmp_path / "nan.cool", {"chr1": full}, weight=np.full(64, np.nan))
    for balance in (False, True):
        with pytest.raises(ValueError, match=r"nan.cool: all balancing weights of chr1 are NaN"):
            build(files, bulk=lost, balance=balance)


def test_a_map_of_an_old_version_that_does_not_name_its_format(tmp_path: Path) -> None:
    counts = np.arange(64 * 64).reshape(64, 64) % 7
    path = cool(tmp_path / "old.cool", {"chr1": counts + counts.T})
    with h5py.File(path, "r+") as file:
        for name in ("format", "storage-mode"):
            file.attrs.pop(name, None)
    assert open_cooler(path).binsize == 50_000
    with h5py.File(path, "r+") as file:
        del file["pixels"]
    with pytest.raises(ValueError, match="no map"):
        open_cooler(path)


def test_bad_maps(files: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"resolutions/N with N of \[50000, 100000, 200000\]"):
        build(files, bulk=f"{folder}/bulk.mcool::resolutions/25000")
    with pytest.raises(ValueError, match=r"resolutions/N with N of \[50000"):
        build(files, bulk=folder / "bulk.mcool")
    with pytest.raises(ValueError, match="bins of 50000 bp, not of 10000"):
        open_cooler(folder / "stem.cool", 10_000)
    assert open_cooler(folder / "bulk.mcool", 100_000).binsize == 100_000
    with pytest.raises(FileNotFoundError, match="there is no contact map"):
        build(files, bulk=folder / "none.cool")
    hic = tmp_path / "maps.hic"
    hic.write_bytes(b"HIC")
    with pytest.raises(ValueError, match="hictk convert"):
        build(files, bulk=hic)
    short = tmp_path / "short.cool"
    short.write_bytes((folder / "stem.cool").read_bytes()[:5000])
    with pytest.raises(ValueError, match="cut short"):
        build(files, bulk=short)
    counts = np.ones((64, 64), dtype=int)
    counts[3, 5] = counts[5, 3] = -2
    with pytest.raises(ValueError, match=r"minus.cool: chr1 holds counts .* such as -2"):
        build(files, bulk=cool(tmp_path / "minus.cool", {"chr1": counts}))
    wrong = counts.astype(float)
    wrong[3, 5] = np.nan
    with pytest.raises(ValueError, match="such as nan"):
        build(files, bulk=cool(tmp_path / "nan.cool", {"chr1": wrong}))
    wrong = np.ones((64, 64))
    wrong[3, 5] = np.inf
    with pytest.raises(ValueError, match="such as inf"):
        build(files, bulk=cool(tmp_path / "inf.cool", {"chr1": wrong}))
    square = cool(
        tmp_path / "s.cool", {"chr1": np.ones((64, 64))}, symmetric_upper=False, triucheck=False
    )
    with pytest.raises(ValueError, match="both triangles"):
        build(files, bulk=square)
    with pytest.raises(ValueError, match=r"has no chromosomes \['chr9'\]"):
        build(files, chromosomes=["chr1", "chr9"])


def test_another_assembly(files: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    counts = np.ones((64, 64), dtype=int)
    bulk = cool(tmp_path / "b.cool", {"chr1": counts}, assembly="GRCm38")
    build(files, bulk=bulk, assembly="mm10", ctcf=None)
    with pytest.raises(ValueError, match=r"assembly GRCm38, .* of mm9: lift"):
        build(files, bulk=bulk, assembly="mm9")
    assert build(files, bulk=bulk).table["assembly"].iloc[0] == "GRCm38"
    short = cool(tmp_path / "short.cool", {"chr1": counts[:20, :20]})
    with pytest.raises(
        ValueError, match=r"cells.h5ad does not fit .*beyond the end of chr1, 1,000"
    ):
        build(files, bulk=short)
    other = cool(tmp_path / "other.cool", {"chrIV": counts})
    with pytest.raises(ValueError, match=r"does not fit .*another assembly or species"):
        build(files, bulk=other)
    target = {"stem": cool(tmp_path / "t.cool", {"chr1": counts}, assembly="mm9")}
    with pytest.raises(ValueError, match=r"assembly GRCm38, .*t.cool of mm9"):
        build(files, bulk=bulk, targets=target)
    target = {"stem": cool(tmp_path / "u.cool", {"chr1": counts[:40, :40]})}
    with pytest.raises(ValueError, match=r"u.cool: chr1 has 2000000 bp"):
        build(files, bulk=bulk, targets=target)


def test_bad_cells(files: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    cells = anndata.read_h5ad(folder / "cells.h5ad")

    def written(adata: Any) -> Path:
        adata.write_h5ad(tmp_path / "bad.h5ad")
        return tmp_path / "bad.h5ad"

    with pytest.raises(ValueError, match=r"cells.h5ad: obs has no column 'kind'; it has \['time'"):
        build(files, cell_type_key="kind")
    with pytest.raises(ValueError, match=r"bad.h5ad: there are 0 cells"):
        build(files, expression=written(cells[:0].copy()))
    minus = cells.copy()
    minus.X = minus.X.toarray().astype(float)
    minus.X[3, 2] = -1
    with pytest.raises(ValueError, match=r"bad.h5ad: counts are negative"):
        build(files, expression=written(minus))
    gaps = cells.copy()
    gaps.obs["cell_type"] = gaps.obs["cell_type"].astype(object)
    gaps.obs.iloc[:2, gaps.obs.columns.get_loc("cell_type")] = np.nan
    with pytest.raises(ValueError, match="missing in 2 cells"):
        build(files, expression=gaps)
    nowhere = cells.copy()
    del nowhere.var["strand"]
    with pytest.raises(ValueError, match=r"no column 'strand' .*GTF"):
        build(files, expression=nowhere)
    with pytest.raises(ValueError, match="no layer 'counts'"):
        build(files, layer="counts")
    logs = cells.copy()
    logs.X = np.log1p(logs.X)
    expected = r"bad.h5ad: X holds fractions, such as .*, as logarithms do.*\['true_mean'\]"
    with pytest.warns(UserWarning, match=expected) as caught:
        build(files, expression=written(logs))
    assert {warning.filename for warning in caught} == {__file__}
    scaled = cells.copy()
    scaled.raw = cells
    scaled.X = scaled.X.multiply(1e4 / scaled.X.sum(axis=1)).tocsr()
    expected = r"as values scaled to a common depth do.* give adata.raw.to_adata\(\)"
    with pytest.warns(UserWarning, match=expected):
        build(files, expression=scaled)
    # Expected counts that a model predicted are what is wanted, at a time that was not measured.
    scaled.layers["log1p_cp10k"] = logs.X
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build(files, expression=scaled)
    with pytest.raises(ValueError, match="X is None"):
        build(files, expression=anndata.AnnData(None, obs=cells.obs, var=cells.var))
    with pytest.raises(ValueError, match="is no h5ad file"):
        build(files, expression=folder / "genes.bed")
    with pytest.raises(FileNotFoundError):
        build(files, expression=folder / "none.h5ad")
    with pytest.raises(ValueError, match=r"no expression of \['alpha'\]"):
        build(files, reference=["alpha"])
    with pytest.raises(ValueError, match=r"no targets of \['stem'\]"):
        build(files, cell_types=["stem"], targets={"bipotent": folder / "bipotent.cool"})
    with pytest.raises(ValueError, match=r"targets of \['bipotnet'\], but no expression"):
        build(files, targets={"bipotnet": folder / "bipotent.cool"})


def test_expression_is_cells_or_files(files: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="cells are an AnnData, not a DataFrame"):
        build(files, expression=pd.DataFrame({"INS": [1.0]}))


def test_genes_from_bed_and_gtf(
    organism: Any, files: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    expected = build(files)
    cells = anndata.read_h5ad(folder / "cells.h5ad")
    cells.var = cells.var[[]]
    by_bed = build(files, expression=cells, genes=folder / "genes.bed")
    np.testing.assert_array_equal(by_bed.tracks, expected.tracks)
    gtf = tmp_path / "genes.gtf"
    lines = ["#!genome-build toy"]
    for k, gene in enumerate(organism.genome.genes.itertuples()):
        place = f"{gene.chrom}\ttoy\t%s\t{gene.start + 1}\t{gene.end}\t.\t{gene.strand}\t.\t"
        about = f'gene_id "ID{k:05}.2"; gene_name "{gene.Index}";'
        lines += [(place % "gene") + about, (place % "exon") + about]
    gtf.write_text("\n".join(lines) + "\n")
    by_gtf = build(files, expression=cells, genes=gtf)
    np.testing.assert_array_equal(by_gtf.tracks, expected.tracks)
    cells.var_names = [f"ID{k:05}.7" for k in range(cells.n_vars)]
    np.testing.assert_array_equal(build(files, expression=cells, genes=gtf).tracks, by_gtf.tracks)
    cells.var_names = [f"other{k}" for k in range(cells.n_vars)]
    with pytest.raises(ValueError, match=r"genes.gtf: none of the genes \['other0'"):
        build(files, expression=cells, genes=gtf)
    for text, message in (("", "is empty"), ("chr1\t5\n", "no columns chrom"), ("a b", "no col")):
        (tmp_path / "x.bed").write_text(text)
        with pytest.raises(ValueError, match=message):
            read_genes(tmp_path / "x.bed")
    (tmp_path / "x.bed").write_text("chr1\t0\t9\tA\n")
    with pytest.raises(ValueError, match="no column 'strand'"):
        read_genes(tmp_path / "x.bed")


def test_genes_without_a_place_are_left_out(files: dict[str, Any], folder: Path) -> None:
    cells = anndata.read_h5ad(folder / "cells.h5ad")
    cells.var["chrom"] = cells.var["chrom"].astype(object)
    cells.var.loc[cells.var_names[0], ["chrom", "start", "end", "strand"]] = np.nan
    with pytest.warns(UserWarning, match="1 of .* genes have no position"):
        windows = build(files, expression=cells)
    assert np.isfinite(windows.tracks).all()


def test_genes_from_gff3(tmp_path: Path) -> None:
    path = tmp_path / "genes.gff3"
    line = "chr1\ttoy\tgene\t%d\t%d\t.\t+\t.\tID=gene:%s;ref_gene_id=R;%s\n"
    path.write_text(
        line % (1, 50, "E1", "gene_id=E1.2;gene_name=A") + line % (60, 90, "E2", "gene_id=E2")
    )
    genes = read_genes(path)
    assert genes.index.tolist() == ["A", "E2"]
    assert genes["gene_id"].tolist() == ["E1", "E2"]
    path.write_text((line % (1, 50, "E1", "Name=A")).replace("ref_gene_id=R;", ""))
    with pytest.raises(ValueError, match="has no gene_id"):
        read_genes(path)


def test_headers_of_bed(tmp_path: Path) -> None:
    path = tmp_path / "peaks.bed"
    # The columns of the UCSC table browser; a comment that names no columns.
    path.write_text("#chrom\tchromStart\tchromEnd\tname\tstrand\nchr1\t1\t5\tx\t-\n")
    assert read_bed(path).loc[0, ["start", "end", "strand"]].tolist() == [1, 5, "-"]
    path.write_text("# peaks\tof a caller\nchr1\t1\t5\tx\t0\t-\n")
    assert read_bed(path).loc[0, ["start", "end", "strand"]].tolist() == [1, 5, "-"]
    path.write_text("# nothing\n")
    with pytest.raises(ValueError, match="holds no intervals"):
        read_bed(path)
    path = path.rename(tmp_path / "peaks.bed.gz")
    with pytest.raises(ValueError, match=r"peaks.bed.gz is no tab-separated file"):
        read_bed(path)


def test_expression_from_bedgraph_and_bed(files: dict[str, Any], tmp_path: Path) -> None:
    plus, minus, bed = (tmp_path / name for name in ("a.plus.bg", "a.minus.bg", "b.bed"))
    plus.write_text("track type=bedGraph\nchr1\t0\t50000\t4\nchr1\t75000\t100000\t2\n")
    minus.write_text("chr1\t50000\t100000\t3\n")
    bed.write_text("chr1\t10\t60000\tg\t7\t-\n")
    windows = build(files, expression={"a": (plus, minus), "b": bed}, ctcf=None, cpg=None)
    first = windows.tracks[(windows.table["start"] == 0).to_numpy()]
    place = windows.table[windows.table["start"] == 0].reset_index(drop=True)
    a = first[place.index[(place["cell_type"] == "a") & (place["chrom"] == "chr1")][0]]
    b = first[place.index[(place["cell_type"] == "b") & (place["chrom"] == "chr1")][0]]
    # Averaged over what is covered; the gene of the - strand starts in the second bin.
    assert a[:2, :2].tolist() == [[4, 0], [2, 3]]
    assert b[:2, :2].tolist() == [[0, 0], [0, 7]]
    assert windows.track_names[2:] == ("reference expression +", "reference expression -")
    np.testing.assert_allclose(a[:, 2:], (a[:, :2] + b[:, :2]) / 2)
    for given in (plus, [bed, bed, bed], []):
        with pytest.raises(ValueError, match="no strands: give 'a' two files"):
            build(files, expression={"a": given})
    below = tmp_path / "below.bg"
    below.write_text("chr1\t50000\t100000\t-3\n")
    with pytest.raises(ValueError, match=r"below.bg goes down to -3: .*on the - strand too"):
        build(files, expression={"a": (plus, below)}, ctcf=None, cpg=None)
    bed.write_text("chr1\t10\t60000\tg\t.\t-\n")
    with pytest.raises(ValueError, match=r"b.bed: the score of 'g' is no number"):
        build(files, expression={"b": bed})
    bed.write_text("#chrom\tstart\tend\tname\tstrand\nchr1\t10\t60000\tg\t-\n")
    with pytest.raises(ValueError, match=r"b.bed has no column 'score'"):
        build(files, expression={"b": bed})


def test_bedgraph_without_numbers(tmp_path: Path) -> None:
    (tmp_path / "x.bedGraph").write_text("chr1\t0\t5\tx\n")
    with pytest.raises(ValueError, match="no numbers in its fourth column"):
        read_bedgraph(tmp_path / "x.bedGraph")
    (tmp_path / "y.bedGraph").write_text("chr1\t0\t5\n")
    with pytest.raises(ValueError, match="no numbers in its fourth column"):
        read_bedgraph(tmp_path / "y.bedGraph")


def write_bigwig(path: Path, lengths: dict[str, int], rows: list[Any]) -> Path:
    pybigtools = pytest.importorskip("pybigtools")  # it has no wheel for Python 3.14
    pybigtools.open(str(path), "w").write(lengths, iter(rows))
    return path


def test_bigwig_is_averaged_in_bins_as_bedgraph_is(tmp_path: Path) -> None:
    starts = np.arange(0, 95, 4)  # gaps, values across the borders of bins, and a short last bin
    rows = [("1", int(s), int(s) + 3, float(s % 7)) for s in starts if not 20 <= s < 40]
    lengths, more = {"1": 95, "unplaced": 9}, [("unplaced", 0, 9, 5.0)]
    path = write_bigwig(tmp_path / "x.bigWig", lengths, rows + more)
    bins = bioframe.binnify(pd.Series({"chr1": 95, "chr2": 10}), 10)
    table = pd.DataFrame(rows, columns=["chrom", "start", "end", "value"])
    found = interval_track(read_signal(path, bins), bins, fill=-1)
    np.testing.assert_allclose(found, interval_track(table, bins, fill=-1), rtol=1e-6)
    assert (found[2:4] == -1).all()
    table.to_csv(tmp_path / "x.bedGraph", sep="\t", header=False, index=False)
    assert read_signal(tmp_path / "x.bedGraph", bins).equals(table)


def test_bigwig_gives_the_tracks_that_bedgraph_gives(files: dict[str, Any], folder: Path) -> None:
    table = read_bedgraph(folder / "cpg.bedGraph")
    sizes = CoolerMaps(files["bulk"]).chromsizes
    files["cpg"] = write_bigwig(folder / "cpg.bw", sizes, list(table.itertuples(index=False)))
    np.testing.assert_allclose(
        build(files).tracks, build({**files, "cpg": folder / "cpg.bedGraph"}).tracks, rtol=1e-6
    )


def test_bigwig_of_another_assembly_is_refused(tmp_path: Path) -> None:
    bins = bioframe.binnify(pd.Series({"chr1": 95}), 10)
    path = write_bigwig(tmp_path / "x.bw", {"1": 96}, [("1", 0, 3, 1.0)])
    with pytest.raises(ValueError, match=r"x.bw: 1 has 96 bp, in the bulk map 95; is it another"):
        read_signal(path, bins)
    path = write_bigwig(tmp_path / "z.bw", {"1": 95}, [("1", 0, 3, float("nan"))])
    with pytest.raises(ValueError, match=r"z.bw holds no values on the chromosomes"):
        read_signal(path, bins)
    path = write_bigwig(tmp_path / "y.bw", {"plasmid": 96}, [("plasmid", 0, 3, 1.0)])
    with pytest.raises(ValueError, match=r"y.bw: chromosomes \['plasmid'\] are none of"):
        read_signal(path, bins)


def test_bigwig_damaged(tmp_path: Path) -> None:
    bins = bioframe.binnify(pd.Series({"chr1": 95}), 10)
    path = write_bigwig(tmp_path / "x.bw", {"chr1": 95}, [("chr1", 0, 3, 1.0)])
    whole, rng, right = path.read_bytes(), np.random.default_rng(0), read_signal(path, bins)
    for damage in range(60):
        content = bytearray(whole)
        if damage % 2:
            del content[int(rng.integers(len(whole))) :]
        else:
            content[int(rng.integers(len(whole)))] ^= 255
        path.write_bytes(content)
        said = ""
        try:
            found = read_signal(path, bins)
        except ValueError as error:
            found, said = right, str(error)
        assert said.startswith(str(path)) or not said
        assert damage % 2 == 0 or found.equals(right)  # what was cut off was not needed


def test_bigwig_without_its_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, bins = tmp_path / "x.bw", bioframe.binnify(pd.Series({"chr1": 95}), 10)
    path.write_bytes(b"\x26\xfc\x8f\x88")
    monkeypatch.setitem(sys.modules, "pybigtools", None)
    with pytest.raises(ValueError, match=r"x.bw .*'pip install pybigtools', or .* x.bedGraph'"):
        read_signal(path, bins)


FIMO = [
    "motif_id motif_alt_id sequence_name start stop strand score p-value q-value matched_sequence",
    "MA0139.2 CTCF 1 50001 50015 + 20.1 1e-08  CCAGCAGGGGGCGCT",
    "MA0139.2 CTCF 1 99996 100010 - 18.2 4e-08  CCACTAGGGGGCAGT",
    "MA0139.2 CTCF X 5 19 - 18.0 5e-08  CCACTAGGGGGCAGC",
    "",
    "# FIMO (Find Individual Motif Occurrences): Version 5.5.7 compiled on Jun 19 2024",
]


def test_sites_from_the_table_of_fimo(files: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "fimo.tsv"
    text = "\n".join(row if row.startswith("#") else row.replace(" ", "\t") for row in FIMO)
    path.write_text(text)
    sites = read_sites(path)
    # It counts from 1, with the last position included.
    assert sites["start"].tolist() == [50_000, 99_995, 4]
    assert sites["end"].tolist() == [50_015, 100_010, 19]
    windows = build(files, ctcf=path, chromosomes=["chr1"])
    sign = [windows.track_names.index(f"CTCF {strand}") for strand in "+-"]
    # The second lies across a border, with its middle in the third bin.
    assert windows.tracks[0][:4, sign].tolist() == [[0, 0], [1, 0], [0, 1], [0, 0]]
    path.write_text(text.replace("\t1\t", "\tchr1:1-90000\t"))
    with pytest.raises(ValueError, match=r"pieces such as chr1:1-90000: .*--parse-genomic-coord"):
        read_sites(path)
    path.write_text(text.splitlines()[0])
    with pytest.raises(ValueError, match=r"fimo.tsv holds no intervals"):
        read_sites(path)


def test_genes_of_another_assembly_are_refused(files: dict[str, Any], folder: Path) -> None:
    genes = pd.read_csv(folder / "genes.bed", sep="\t")
    lines = [
        f"{row['#chrom']}\ttoy\tgene\t{row['start'] + 1}\t{row['end']}\t.\t{row['strand']}\t."
        f'\tgene_id "{row["name"]}";\n'
        for _, row in genes.iterrows()
    ]
    cells, path = anndata.read_h5ad(folder / "cells.h5ad"), folder / "genes.gtf"

    def read(**options: Any) -> Any:
        return read_inputs(files["bulk"], cells, genes=path, window=WINDOW, **options)

    for head, name in (
        ("##description: annotation of the mouse genome (GRCm39), version M36\n", "GRCm39"),
        ("#!genome-build GRCh38.p14\n#!genome-version GRCh38\n", "GRCh38"),
    ):
        path.write_text(head + "".join(lines))
        assert gtf_assembly(path) == name
        with pytest.raises(ValueError, match=rf"of assembly mm10, .*genes.gtf of {name}: lift"):
            read(assembly="mm10")
    assert read(assembly="hg38").assembly == "hg38"
    read(assembly="mine")  # nothing is known of it
    path.write_text("#!genome-build BDGP6.46\n" + "".join(lines))
    assert gtf_assembly(path) is None
    read(assembly="mm10")
    cells.uns["assembly"] = "hg38"
    with pytest.raises(ValueError, match=r"of assembly mm10, expression of hg38"):
        read(assembly="mm10")


def test_genes_that_stand_twice_are_named(folder: Path, files: dict[str, Any]) -> None:
    cells = anndata.read_h5ad(folder / "cells.h5ad")
    cells.var_names = [cells.var_names[1], *cells.var_names[1:]]
    with pytest.raises(ValueError, match=r"^expression: 1 gene names .*var_names_make_unique\(\)"):
        read_inputs(files["bulk"], cells, window=WINDOW)


def test_accessible_peaks_in_place_of_expression(files: dict[str, Any], folder: Path) -> None:
    """Peaks that are said to lie on the + strand are summed in bins, as counts per 10,000."""
    cells = anndata.read_h5ad(folder / "cells.h5ad")
    names = [f"chr1:{start}-{start + 500}" for start in (10, 40_000, 60_000)]
    counts = np.random.default_rng(0).poisson(1.0, (cells.n_obs, 3))
    peaks = anndata.AnnData(
        counts.astype(float), cells.obs[["cell_type"]], pd.DataFrame(index=names)
    )
    place = peaks.var_names.str.extract(r"^(?P<chrom>.+)[:-](?P<start>\d+)-(?P<end>\d+)$")
    peaks.var[list(place)] = place.astype({"start": int, "end": int}).to_numpy()
    peaks.var["strand"] = "+"
    windows = build(files, expression=peaks, ctcf=None, cpg=None, chromosomes=["chr1"])
    kind = windows.table["cell_type"].iloc[0]
    summed = counts[(cells.obs["cell_type"] == kind).to_numpy()].sum(0)
    per_10k = 1e4 * summed / summed.sum()
    assert windows.table["start"].iloc[0] == 0
    np.testing.assert_allclose(
        windows.tracks[0][:3, 0], [per_10k[0] + per_10k[1], per_10k[2], 0], rtol=1e-6
    )
    assert not windows.tracks[:, :, 1].any()


def test_inputs_say_what_was_read(files: dict[str, Any], folder: Path) -> None:
    given = dict(files)
    inputs = read_inputs(given.pop("bulk"), given.pop("expression"), **given)
    assert inputs.files == {
        "bulk": [files["bulk"]],
        "expression": [str(folder / "cells.h5ad")],
        "ctcf": [str(folder / "ctcf.bed")],
        "cpg": [str(folder / "cpg.bedGraph")],
    }
    assert inputs.bulk.n_bins("chr2") == 64
    copied = shutil.copy(folder / "ctcf.bed", folder / "empty.bed")
    Path(copied).write_text("")
    with pytest.raises(ValueError, match=r"empty.bed is empty"):
        build(files, ctcf=copied)


def test_windows_take_every_argument_of_the_inputs() -> None:
    ours, theirs = (inspect.signature(each).parameters for each in (build_windows, read_inputs))
    own = {name: each for name, each in ours.items() if name not in ("stride", "max_masked")}
    assert own == dict(theirs)
