"""Contact sets and the ContactMaps that they become, against cooler and counts made by hand."""

from __future__ import annotations

import errno
import gzip
import os
from collections import Counter
from pathlib import Path

import cooler
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scstlib.__main__ import main
from scstlib.datasets import ContactMaps, contact_files, contact_sets, fetch, load, read_manifest
from scstlib.datasets.contact_files import converted, upper_pixels, write_scool
from scstlib.datasets.contact_sets import _bins


def read(name: str, folder: Path) -> ContactMaps:
    """Run the reader of a set on files that a test has written."""
    files = {str(p.relative_to(folder)): p for p in folder.rglob("*") if p.is_file()}
    return getattr(contact_sets, name)(read_manifest(name), lambda: files)


PIXELS = {
    "a": upper_pixels([0, 1, 0, 3], [0, 0, 4, 4], [5, 2, 1, 7]),
    "b": upper_pixels([0, 2], [1, 2], [10, 3]),
    "c": upper_pixels([3], [3], [1]),
}


@pytest.fixture
def maps(tmp_path: Path) -> ContactMaps:
    """Three samples, two chromosomes of 3 and 2 bins, one contact between the chromosomes."""
    bins = _bins({"chr1": 250, "chr2": 200}, 100)
    obs = pd.DataFrame(
        {"cell_type": ["x", "y", "x"], "time": [0.0, np.nan, 2.0], "n": [1, 2, 3]},
        index=list("abc"),
    )
    path = tmp_path / "maps.scool"
    write_scool(path, bins, PIXELS, obs, "toy1", {"dataset": "toy", "time_unit": "h"})
    return ContactMaps.open(path)


def test_what_is_written_is_read(maps: ContactMaps) -> None:
    assert maps.names == ["a", "b", "c"]
    assert maps.assembly == "toy1"
    assert maps.meta == {"dataset": "toy", "time_unit": "h"}
    assert maps.bin_size == 100
    assert maps.chromsizes.to_dict() == {"chr1": 250, "chr2": 200}
    assert maps.bins["start"].tolist() == [0, 100, 200, 0, 100]
    assert maps.obs["cell_type"].tolist() == ["x", "y", "x"]
    np.testing.assert_array_equal(maps.obs["time"], [0, np.nan, 2])
    assert maps.obs["n"].dtype.kind == "i"
    pd.testing.assert_frame_equal(maps.pixels("b"), PIXELS["b"].reset_index(drop=True))


def test_matrix_is_symmetric_and_within_one_chromosome(maps: ContactMaps) -> None:
    np.testing.assert_array_equal(maps.matrix("a", "chr1"), [[5, 2, 0], [2, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(maps.matrix("a", "chr2"), [[0, 7], [7, 0]])
    both = maps.matrix(["a", "b"], "chr1")
    np.testing.assert_array_equal(both, [[5, 12, 0], [12, 0, 0], [0, 0, 3]])


def test_any_cooler_tool_opens_a_sample(maps: ContactMaps) -> None:
    for name in maps.names:
        for chrom in maps.chromsizes.index:
            expected = cooler.Cooler(maps.uri(name)).matrix(balance=False).fetch(chrom)
            np.testing.assert_array_equal(maps.matrix(name, chrom), expected)
    assert cooler.fileops.is_scool_file(str(maps.path))
    assert cooler.fileops.list_scool_cells(str(maps.path)) == ["/cells/a", "/cells/b", "/cells/c"]


def test_balanced_matrix(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    row, column = np.triu_indices(40)
    pixels = upper_pixels(row, column, generator.poisson(50, len(row)))
    path = tmp_path / "one.cool"
    cooler.create_cooler(str(path), _bins({"chr1": 4000}, 100), pixels)
    maps = ContactMaps.open(path)
    with pytest.raises(ValueError, match="no balancing weights"):
        maps.matrix("one", "chr1", balance=True)
    cooler.balance_cooler(cooler.Cooler(str(path)), store=True, ignore_diags=0, mad_max=0)
    balanced = maps.matrix("one", "chr1", balance=True)
    np.testing.assert_allclose(balanced.sum(1), balanced.sum(1).mean(), rtol=1e-2)
    assert "weight" in maps.bins
    with pytest.raises(ValueError, match="not summed"):
        maps.matrix(["one", "one"], "chr1", balance=True)


def test_files_of_other_tools_open(maps: ContactMaps, tmp_path: Path) -> None:
    path = tmp_path / "other.scool"
    cooler.create_scool(str(path), _bins({"chr1": 250, "chr2": 200}, 100), PIXELS)
    other = ContactMaps.open(path)
    assert other.names == ["a", "b", "c"]
    assert other.obs.shape == (3, 0)
    np.testing.assert_array_equal(other.matrix("a", "chr1"), maps.matrix("a", "chr1"))
    with pytest.raises(FileNotFoundError, match="absent"):
        ContactMaps.open(tmp_path / "absent.cool")


def test_wrong_names_are_value_errors(maps: ContactMaps) -> None:
    with pytest.raises(ValueError, match="no sample 'z'"):
        maps.matrix("z", "chr1")
    with pytest.raises(ValueError, match="no chromosome 'chr9'"):
        maps.matrix("a", "chr9")
    with pytest.raises(ValueError, match="no sample is named"):
        maps.matrix([], "chr1")
    with pytest.raises(ValueError, match="no column 'mood'"):
        maps.pseudobulk("mood")
    with pytest.raises(ValueError, match="no sample 'z'"):
        maps.pseudobulk({"new": ["a", "z"]})


def test_pseudobulk_sums_its_samples(maps: ContactMaps, tmp_path: Path, cache: Path) -> None:
    bulk = maps.pseudobulk("cell_type")
    assert bulk.names == ["x", "y"]
    assert bulk.obs["n_samples"].tolist() == [2, 1]
    assert bulk.path.parent == cache / "derived"
    assert bulk.assembly == "toy1"
    for chrom in ("chr1", "chr2"):
        expected = maps.matrix("a", chrom) + maps.matrix("c", chrom)
        np.testing.assert_array_equal(bulk.matrix("x", chrom), expected)
    state = bulk.path.stat().st_mtime_ns
    assert maps.pseudobulk("cell_type").path.stat().st_mtime_ns == state
    own = maps.pseudobulk({"all": ["a", "b", "c"]}, path=tmp_path / "all.scool")
    assert own.path == tmp_path / "all.scool"
    np.testing.assert_array_equal(own.matrix("all", "chr1"), maps.matrix(maps.names, "chr1"))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 3)), max_size=20))
def test_upper_pixels_keep_every_contact(entries: list[tuple[int, int, int]]) -> None:
    rows = np.array(entries, dtype=int).reshape(-1, 3)
    pixels = upper_pixels(*rows.T)
    expected: Counter[tuple[int, int]] = Counter()
    for i, j, count in entries:
        expected[(min(i, j), max(i, j))] += count
    found = {(int(i), int(j)): int(n) for i, j, n in pixels.itertuples(index=False)}
    assert found == {pair: n for pair, n in expected.items() if n}
    assert list(found) == sorted(found)


def test_conversion_is_kept_and_keyed(cache: Path, tmp_path: Path) -> None:
    written = []

    def write(path: Path) -> None:
        written.append(path)
        path.write_text("x")

    first = converted("set", "key1", write)
    assert first == cache / "derived" / "set-key1.scool"
    assert converted("set", "key1", write) == first
    assert len(written) == 1
    assert converted("set", "key2", write) != first
    assert len(written) == 2


def test_a_converted_file_that_was_damaged_is_made_again(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = converted("set", "key", lambda target: target.write_text("maps"))
    mark = path.with_suffix(".sha256")
    for damage in (
        lambda: path.write_text("mapz"),
        lambda: path.write_text("ma"),
        lambda: mark.write_bytes(b"\xff"),
        mark.unlink,
    ):
        assert main(["data", "verify"]) == 0
        damage()
        assert main(["data", "verify"]) == 1
        assert f"{path} is damaged" in capsys.readouterr().out
        assert converted("set", "key", lambda target: target.write_text("maps")) == path
        assert path.read_text() == "maps"


def test_failed_conversion_leaves_nothing(cache: Path) -> None:
    def fail(path: Path) -> None:
        path.write_text("half")
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        converted("set", "key", fail)
    assert not [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_conversion_in_a_read_only_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mkdir = Path.mkdir

    def refuse(path: Path, *args: object, **kwargs: object) -> None:
        if path.is_relative_to(cache):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        mkdir(path, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.warns(UserWarning, match="cannot take the converted maps"):
        # A name of its own: this process keeps the file for later tests.
        path = converted("kept", "elsewhere", lambda target: target.touch())
    assert path.is_file()
    assert not path.is_relative_to(cache)

    def broken(target: Path) -> None:
        raise OSError(errno.EIO, "broken disk")

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(OSError, match="broken disk"):
        converted("set", "other", broken)


def test_key_follows_the_code_and_the_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = []
    monkeypatch.setattr(contact_sets, "converted", lambda name, key, write: keys.append(key))
    monkeypatch.setattr(ContactMaps, "open", lambda path: None)
    sets = [read_manifest("rao2017_cohesin_loss"), read_manifest("rao2014_gm12878_replicates")]
    for manifest in [sets[0], *sets]:
        contact_sets._convert(manifest, lambda path: None)
    monkeypatch.setattr(contact_sets, "_code", lambda: "changed")
    contact_sets._convert(sets[0], lambda path: None)
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3
    assert contact_files.__file__


def test_lee2019_small(tmp_path: Path) -> None:
    (tmp_path / "demoData_summary.txt").write_text(
        "name\tbatch\tcell_type\tdepth\tsparsity\n"
        "c2.txt\t190315_29yr\tSst\t4\t1\nc1.txt\t181218_21yr\tMG\t31\t3\n"
    )
    (tmp_path / "cells").mkdir()
    (tmp_path / "cells" / "c1.txt").write_text(
        "chr1\t0\tchr1\t0\t24\nchr1\t1000000\tchr1\t3000000\t2\nchrX\t155000000\tchrX\t155000000\t5\n"
    )
    (tmp_path / "cells" / "c2.txt").write_text("chr2\t0\tchr2\t1000000\t4\n")
    maps = read("lee2019", tmp_path)
    assert maps.names == ["c2", "c1"]
    assert maps.obs["donor"].tolist() == ["29yr", "21yr"]
    assert maps.obs["cell_type"].tolist() == ["Sst", "MG"]
    assert maps.matrix("c1", "chr1")[[0, 1, 3], [0, 3, 1]].tolist() == [24, 2, 2]
    assert maps.matrix("c1", "chrX")[155, 155] == 5
    assert maps.matrix("c2", "chr2")[1, 0] == 4
    assert maps.matrix("c2", "chr1").sum() == 0


def test_bonev2017_small(tmp_path: Path) -> None:
    (tmp_path / "chr19_100kb.bed").write_text("19\t3000000\t3100000\t0\n19\t3100000\t3200000\t1\n")
    for count, sample in enumerate(("ES", "NPC", "CN"), start=1):
        text = f"0\t0\t{count}\n0\t1\t7\n"
        (tmp_path / f"{sample}_chr19_100kb.txt").write_text(text)
    maps = read("bonev2017_chr19", tmp_path)
    assert maps.names == ["ES", "NPC", "CN"]
    matrix = maps.matrix("NPC", "chr19")
    assert matrix[30, 30] == 2
    assert matrix[30, 31] == matrix[31, 30] == 7
    assert matrix.sum() == 16


def test_rao2014_small(tmp_path: Path) -> None:
    lines = "21\t50000\t21\t100000\t3\n21\t100000\t21\t50000\t4\n22\t50000\t22\t50000\t9\n"
    for sample in ("HIC001", "HIC002"):
        (tmp_path / f"{sample}.res50000.gz").write_bytes(gzip.compress(lines.encode()))
    maps = read("rao2014_gm12878_replicates", tmp_path)
    # Both orders of a pair add up; the diagonal is counted once.
    assert maps.matrix("HIC001", "chr21")[1, 2] == 7
    assert maps.matrix("HIC002", "chr22")[1, 1] == 9
    assert maps.matrix("HIC001", "chr21").sum() == 14


def test_rao2017_small(tmp_path: Path) -> None:
    import rdata

    tables = [
        pd.DataFrame({"X1": [50_000.0, 100_000.0], "X2": [50_000.0, 200_000.0], "X3": [n, 5.0]})
        for n in (1.0, 2.0, 3.0, 4.0)
    ]
    rdata.write_rda(tmp_path / "time_mats.rda", {"time_mats": tables})
    maps = read("rao2017_cohesin_loss", tmp_path)
    assert maps.obs["time"].tolist() == [20, 40, 60, 180]
    assert maps.meta["time_unit"] == "minutes"
    assert maps.matrix("60min", "chr22")[1, 1] == 3
    assert maps.matrix("180min", "chr22")[4, 2] == 5
    rdata.write_rda(tmp_path / "time_mats.rda", {"other": tables})
    with pytest.raises(ValueError, match="other"):
        contact_sets._r_tables(tmp_path / "time_mats.rda", "time_mats")


def test_stadhouders2018_small(tmp_path: Path) -> None:
    matrix = np.zeros((300, 300), dtype=int)
    matrix[0, 5] = matrix[5, 0] = 8
    for stage in ("B", "Ba", "D2", "D4", "D6", "D8", "PSC"):
        with (tmp_path / f"raw_Sox2_{stage}.txt").open("w") as stream:
            stream.write("# MASKED 6 9\n" if stage == "PSC" else "# MASKED 6 296 9\n")
            np.savetxt(stream, matrix, fmt="%d")
    maps = read("stadhouders2018_sox2", tmp_path)
    np.testing.assert_array_equal(maps.obs["time"], [np.nan, np.nan, 2, 4, 6, 8, np.nan])
    assert maps.obs["order"].tolist() == list(range(7))
    np.testing.assert_array_equal(maps.matrix("D4", "Sox2_locus"), matrix)
    masked = {name: maps.cooler(name).bins()[:]["masked"].to_numpy() for name in ("B", "PSC")}
    assert np.flatnonzero(masked["B"]).tolist() == [6, 9, 296]
    assert np.flatnonzero(masked["PSC"]).tolist() == [6, 9]
    assert "masked" in maps.bins


def test_cooler_examples_small(tmp_path: Path) -> None:
    for file in read_manifest("cooler_examples").files:
        cooler.create_cooler(str(tmp_path / file.path), _bins({"chr1": 500}, 100), PIXELS["a"])
    maps = read("cooler_examples", tmp_path)
    assert set(maps) == {"yeast_10kb", "gm12878_2mb"}  # type: ignore[arg-type]
    yeast = maps["yeast_10kb"]  # type: ignore[index]
    assert yeast.matrix(yeast.names[0], "chr1")[3, 4] == 7


def test_bonev2017_real(real_data: Path) -> None:
    maps = load("bonev2017_chr19")
    totals = [int(maps.pixels(name)["count"].sum()) for name in maps.names]
    assert [round(total / 1e6) for total in totals] == [76, 83, 82]
    assert maps.bin_size == 100_000
    # 584 bins are listed, from 3.0 to 61.4 Mb; the one at 6.7 Mb is empty in all samples.
    for name in maps.names:
        filled = np.flatnonzero(maps.matrix(name, "chr19").sum(0))
        assert set(range(30, 614)) - set(filled) == {67}
        assert len(filled) == 583
    # The grid of mm10 has one more bin, which the files leave out.
    assert len(maps.bins) == 615


def test_rao2014_real(real_data: Path) -> None:
    maps = load("rao2014_gm12878_replicates")
    path = fetch("rao2014_gm12878_replicates")["HIC001.res50000.gz"]
    raw = pd.read_csv(path, sep="\t", header=None)
    assert maps.pixels("HIC001")["count"].sum() == raw[4].sum() == 2_095_424
    ends = raw[1].isin([30_000_000, 30_050_000]) & raw[3].isin([30_000_000, 30_050_000])
    pair = raw[(raw[0] == 21) & ends & (raw[1] != raw[3])]
    assert sorted(pair[4]) == [31, 93]
    assert maps.matrix("HIC001", "chr21")[600, 601] == 31 + 93


def test_rao2017_real(real_data: Path) -> None:
    maps = load("rao2017_cohesin_loss")
    totals = [int(maps.pixels(name)["count"].sum()) for name in maps.names]
    assert totals == [1_592_966, 1_097_341, 1_102_699, 1_116_786]
    pixels = maps.pixels("20min")
    assert (pixels["bin1_id"].min(), pixels["bin2_id"].max()) == (321, 1024)

    # Contacts at loop scale against longer ones rise along the series, as the manifest says.
    def share(name: str) -> float:
        distance = (pixels := maps.pixels(name))["bin2_id"] - pixels["bin1_id"]
        near, far = distance.between(2, 10), distance.between(40, 160)
        return float(pixels.loc[near, "count"].sum() / pixels.loc[far, "count"].sum())

    shares = [share(name) for name in maps.names]
    assert shares == sorted(shares)


def test_stadhouders2018_real(real_data: Path) -> None:
    maps = load("stadhouders2018_sox2")
    assert maps.names == ["B", "Ba", "D2", "D4", "D6", "D8", "PSC"]
    for name, masked in zip(maps.names, [8, 8, 8, 8, 8, 7, 5], strict=True):
        bins = maps.cooler(name).bins()[:]
        matrix = maps.matrix(name, "Sox2_locus")
        assert matrix.shape == (300, 300)
        assert bins["masked"].sum() == masked
        np.testing.assert_array_equal(matrix.sum(0) == 0, bins["masked"] == 1)


def test_cooler_examples_real(real_data: Path) -> None:
    maps = load("cooler_examples")
    yeast, human = maps["yeast_10kb"], maps["gm12878_2mb"]
    assert (yeast.bin_size, human.bin_size) == (10_000, 2_000_000)
    assert "weight" in yeast.bins
    assert "weight" not in human.bins
    balanced = yeast.matrix(yeast.names[0], "chrII", balance=True)
    assert np.isfinite(balanced).any()


@pytest.mark.slow
def test_lee2019_real(real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every tenth cell: to convert all takes half a minute."""
    files, summary = fetch("lee2019"), tmp_path / "demoData_summary.txt"
    assert len(files) == 401
    cells = pd.read_csv(files["demoData_summary.txt"], sep="\t")
    kinds = dict.fromkeys(("Astro", "ODC", "MG", "Sst"), 100)
    assert cells["cell_type"].value_counts().to_dict() == kinds
    cells[::10].to_csv(summary, sep="\t", index=False)
    some = files | {"demoData_summary.txt": summary}
    monkeypatch.setenv("SCST_DATA", str(tmp_path))  # no other test is to find so few cells
    maps = contact_sets.lee2019(read_manifest("lee2019"), lambda: some)
    assert len(maps.names) == 40
    assert set(maps.obs["donor"]) == {"21yr", "29yr"}
    assert maps.bin_size == 1_000_000
    assert list(maps.chromsizes.index) == [f"chr{i}" for i in range(1, 23)] + ["chrX"]
    diagonal = total = 0
    for name in maps.names:
        pixels = maps.pixels(name)
        # The host's depth counts the contacts of a cell, its sparsity the pixels.
        assert pixels["count"].sum() == maps.obs.loc[name, "depth"]
        diagonal += pixels.loc[pixels["bin1_id"] == pixels["bin2_id"], "count"].sum()
        total += pixels["count"].sum()
    assert 0.82 < diagonal / total < 0.92
