"""Files that are damaged or say what is not so: one error that names the file, on the command line
one line, and nothing written; or the right result.
"""

from __future__ import annotations

import gzip
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from scstlib.__main__ import main
from scstlib.datasets import simulate_organism
from scstlib.files.cooler_maps import CoolerMaps
from scstlib.files.damage import HEAP, refuse_links
from scstlib.files.inputs import read_inputs
from scstlib.files.track_files import read_bed, read_bedgraph
from scstlib.files.track_inputs import read_cells

WINDOW = 16
pytestmark = pytest.mark.filterwarnings("ignore:.*genes have no position:UserWarning")


@pytest.fixture(scope="module")
def organism(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("organism")
    simulate_organism(0, "tiny").write(folder)
    return folder


def change(column: str, place: Any, value: Any) -> Callable[[h5py.File], None]:
    def changed(store: h5py.File) -> None:
        store[column][place] = value

    return changed


def delete(name: str) -> Callable[[h5py.File], None]:
    def deleted(store: h5py.File) -> None:
        del store[name]

    return deleted


def link(name: str, to: Any) -> Callable[[h5py.File], None]:
    def linked(store: h5py.File) -> None:
        if name in store:
            del store[name]
        store[name] = to

    return linked


def shorten(column: str) -> Callable[[h5py.File], None]:
    def shortened(store: h5py.File) -> None:
        values = store[column][:-3]
        del store[column]
        store[column] = values

    return shortened


def outside(store: h5py.File) -> None:
    """Values in another file, which HDF5 reads as if they were here."""
    del store["pixels/count"]
    store["pixels"].create_dataset("count", (9,), "i4", external=[("counts.raw", 0, 36)])


def several(*changes: Callable[[h5py.File], None]) -> Callable[[h5py.File], None]:
    def changed(store: h5py.File) -> None:
        for each in changes:
            each(store)

    return changed


MAPS: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    **{
        f"without {name}": (delete(name), "damaged|is no cooler file|several bin sizes or no map")
        for name in (
            "chroms", "chroms/name", "chroms/length", "bins", "bins/chrom", "bins/start",
            "bins/end", "pixels", "pixels/bin1_id", "pixels/bin2_id", "pixels/count", "indexes",
            "indexes/bin1_offset", "indexes/chrom_offset",
        )
    },
    "false bin size": (
        lambda store: store.attrs.modify("bin-size", 20_000), "bins are not those of 20000 bp"
    ),
    "a bin size of one": (
        lambda store: store.attrs.modify("bin-size", 1), "bins are not those of 1 bp"
    ),
    "a bin size of nothing": (
        lambda store: store.attrs.modify("bin-size", 0), "bins are not those|bin size"
    ),
    "a bin size that is text": (
        lambda store: store.attrs.create("bin-size", "wide"), "damaged|has no bin size"
    ),
    "both triangles": (
        lambda store: store.attrs.modify("storage-mode", "square"), "stores both triangles"
    ),
    "an unknown format": (lambda store: store.attrs.modify("format", "maps"), "no map"),
    "zeroed starts": (change("bins/start", ..., 0), "bins are not those"),
    "zeroed ends": (change("bins/end", ..., 0), "bins are not those"),
    "zeroed lengths": (change("chroms/length", ..., 0), "without length"),
    "other lengths": (change("chroms/length", 0, 10**6), "bins are not those"),
    "a chromosome without a name": (change("chroms/name", 0, b""), "chromosomes|damaged"),
    "a chromosome twice": (change("chroms/name", 1, b"chr1"), "repeated|damaged"),
    "bins of other chromosomes": (change("bins/chrom", slice(3, 9), 1), "bins are not those"),
    "bins of no chromosome": (change("bins/chrom", 3, 77), "damaged|bins are not those"),
    "zeroed index": (change("indexes/bin1_offset", ..., 0), "index of pixels"),
    "index beyond the end": (change("indexes/bin1_offset", -1, 10**9), "index of pixels"),
    "index that falls": (change("indexes/bin1_offset", 5, 0), "index of pixels"),
    "negative index": (change("indexes/bin1_offset", 0, -5), "index of pixels|outside"),
    "zeroed chromosome index": (change("indexes/chrom_offset", ..., 0), "bins are not those"),
    "fewer counts": (shorten("pixels/count"), "index of pixels"),
    "fewer bins": (shorten("bins/end"), "damaged|bins are not those"),
    "pixels outside": (change("pixels/bin2_id", 4, 10**6), "outside"),
    "pixels below the diagonal": (change("pixels/bin2_id", -1, 0), "outside"),
    "pixels of another chromosome": (change("pixels/bin1_id", 4, 150), "outside"),
    "negative pixels": (change("pixels/bin1_id", 0, -1), "outside"),
    "negative counts": (change("pixels/count", 3, -2), "negative or not finite"),
    "counts in another file": (
        link("pixels/count", h5py.ExternalLink("other.cool", "/pixels/count")), "in another file"
    ),
    "bins in another file": (link("bins", h5py.ExternalLink("x.cool", "/bins")), "another file"),
    "values in another file": (outside, "in another file"),
    "a link to nowhere": (link("pixels/count", h5py.SoftLink("/nowhere")), "leads nowhere"),
    "a link to itself": (link("pixels", h5py.SoftLink("/pixels")), "leads nowhere|damaged"),
}  # fmt: skip


@pytest.mark.parametrize("case", MAPS)
def test_a_map_that_lies_is_named(
    case: str, organism: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage, said = MAPS[case]
    path = tmp_path / "lies.cool"
    shutil.copy(organism / "stem.cool", path)
    with h5py.File(path, "r+") as store:
        damage(store)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"^{path}.*({said})"):
        every_map(path)
    words = ["--predicted", str(path), "--measured", str(organism / "stem.cool")]
    words += ["--bulk", str(organism / "bipotent.cool"), "--window", str(WINDOW)]
    assert main(["score", "contacts", *words, "--out", str(tmp_path / "scores.csv")]) == 2
    assert_one_line(capsys.readouterr().err, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def every_map(path: Path, **options: Any) -> dict[str, np.ndarray]:
    maps = CoolerMaps(path, reach=WINDOW, **options)
    return {chrom: maps[chrom].toarray() for chrom in maps}


def assert_one_line(shown: str, path: Path) -> None:
    lines = shown.splitlines()
    assert len(lines) == 1, shown
    assert lines[0].startswith(f"error: {path}"), shown


@pytest.mark.parametrize("value", [-1.0, np.inf])
def test_balancing_weights_are_positive(value: float, organism: Path, tmp_path: Path) -> None:
    path = tmp_path / "lies.cool"
    shutil.copy(organism / "stem.cool", path)
    with h5py.File(path, "r+") as store:
        store["bins/weight"] = np.r_[value, np.ones(len(store["bins/start"]) - 1)]
    with pytest.raises(ValueError, match=f"{path}.*'weight' are negative or infinite in 1 bins"):
        every_map(path, balance=True)


CELLS: dict[str, Callable[[h5py.File], None]] = {
    "no X": delete("X"),
    "no obs": delete("obs"),
    "no var": delete("var"),
    "X in another file": link("X", h5py.ExternalLink("other.h5ad", "/X")),
    "layers to nowhere": link("layers", h5py.SoftLink("/nowhere")),
    "X a text": link("X", "counts"),
    "obs an array": link("obs", np.zeros(3)),
    "genes without an index": delete("var/_index"),
    "an unknown encoding": lambda store: store["obs"].attrs.modify("encoding-type", "scroll"),
}


@pytest.mark.parametrize("case", CELLS)
def test_cells_that_lie_are_named(
    case: str, organism: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "lies.h5ad"
    shutil.copy(organism / "cells.h5ad", path)
    with h5py.File(path, "r+") as store:
        if case == "genes without an index":
            del store["var"][store["var"].attrs["_index"]]
        else:
            CELLS[case](store)
    words = ["--cells", str(path), "--out", str(tmp_path / "m.safetensors")]
    assert main(["train", "expression", *words]) == 2
    shown = capsys.readouterr().err
    assert len(shown.splitlines()) == 1, shown
    assert shown.startswith("error: ")
    assert "lies.h5ad" in shown or "adata.X is None" in shown
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "read"),
    [("stem.cool", every_map), ("cells.h5ad", read_cells)],
)
def test_bytes_that_flip_and_files_that_are_cut_raise_one_kind_of_error(
    name: str, read: Callable[[Path], Any], organism: Path, tmp_path: Path
) -> None:
    """A bit in the values cannot be seen; whatever is seen is one error that begins with the name.

    HDF5 keeps what it allocated of a file that it could not read: flips are few.
    """
    right, path = (organism / name).read_bytes(), tmp_path / name
    rng = np.random.default_rng(0)
    wrong = [right[: int(size)] for size in rng.integers(0, len(right), 10)]
    for place in np.r_[rng.integers(0, 4000, 30), rng.integers(0, len(right), 20)]:
        flipped = bytearray(right)
        flipped[place] ^= 1 << int(rng.integers(8))
        wrong.append(bytes(flipped))
    for content in wrong:
        path.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                read(path)
            except ValueError as error:
                assert str(error).startswith(str(path))  # noqa: PT017


@pytest.mark.parametrize("name", ["stem.cool", "cells.h5ad"])
def test_a_heap_that_has_no_end_is_refused(name: str, organism: Path, tmp_path: Path) -> None:
    """HDF5 would walk it for ever, and no signal would stop it."""
    right, path = (organism / name).read_bytes(), tmp_path / name
    start = right.find(HEAP)
    assert start > 0, "this file has no heap: take one with texts of any length"
    path.write_bytes(right[: start + 32] + bytes(480) + right[start + 512 :])
    with pytest.raises(ValueError, match=f"^{path} is damaged"):
        refuse_links(path)
    path.write_bytes(right)
    refuse_links(path)


GOOD = "chr1\t0\t100\t0.5\nchr1\t100\t200\t0.25\n"
# What is in the file, and what is said of it.
TRACKS = {
    "nothing": (b"", "is empty"),
    "no columns": (b"chr1\nchr2\n", "no columns chrom, start and end"),
    "text in a start": (b"chr1\tx\t100\t1\n", "row 1: chr1, x to 100, is no interval"),
    "a fraction": (b"chr1\t0.5\t100\t1\n", "row 1: chr1, 0.5 to 100"),
    "a negative start": (b"chr1\t0\t9\t1\nchr1\t-5\t100\t1\n", "row 2: chr1, -5 to 100"),
    "an end before the start": (b"chr1\t100\t50\t1\n", "row 1: chr1, 100 to 50"),
    "beyond int64": (b"chr1\t0\t99999999999999999999\t1\n", "row 1: chr1, 0 to 9999"),
    "no chromosome": (b"\t0\t100\t1\n", "row 1: nan, 0 to 100"),
    "no end": (b"chr1\t5\t\t1\n", "row 1: chr1, 5 to nan"),
    "rows of unequal length": (b"chr1\t0\t9\n" + b"chr1\t0\t9\t1\t2\n", "is no tab-separated"),
    "not UTF-8": (GOOD.encode("utf-16"), "is no tab-separated"),
    "bytes": (bytes(range(256)) * 4, "is no tab-separated|no columns|is no interval"),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzipped"])
@pytest.mark.parametrize("case", TRACKS)
def test_tracks_that_lie_are_named(case: str, packed: bool, tmp_path: Path) -> None:
    content, said = TRACKS[case]
    path = tmp_path / ("x.bed.gz" if packed else "x.bed")
    path.write_bytes(gzip.compress(content) if packed else content)
    for read in (read_bed, read_bedgraph):
        with pytest.raises(ValueError, match=f"^{path}.*({said})"):
            read(path)


def test_gzip_that_is_cut_short_is_named(tmp_path: Path) -> None:
    whole = gzip.compress((GOOD * 500).encode())
    path = tmp_path / "x.bed.gz"
    for wrong in (whole[:-9], whole[:20], whole[:5], b"not gzip", whole[:30] + b"\xff" * 9):
        path.write_bytes(wrong)
        with pytest.raises(ValueError, match=f"^{path} is no tab-separated file of intervals"):
            read_bed(path)


def test_values_that_are_no_numbers_are_counted_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "cpg.bedGraph"
    path.write_text(GOOD + "chr1\t200\t300\tmany\nchr1\t300\t400\tNaN\n")
    with pytest.warns(UserWarning, match=r"cpg.bedGraph: 2 values are no numbers"):
        assert read_bedgraph(path)["value"].notna().sum() == 2
    path.write_text(GOOD + "chr1\t200\t300\tinf\n")
    with pytest.raises(ValueError, match=r"cpg.bedGraph: 1 values are infinite"):
        read_bedgraph(path)


def test_a_track_without_a_chromosome_that_is_used_is_a_warning(
    organism: Path, tmp_path: Path
) -> None:
    path = tmp_path / "cpg.bedGraph"
    path.write_text(GOOD)
    with pytest.warns(UserWarning, match=r"cpg.bedGraph has nothing on 2 of 3 .*such as chr2"):
        read_inputs(
            f"{organism}/bulk.mcool::resolutions/50000", organism / "cells.h5ad", cpg=path,
            window=WINDOW,
        )  # fmt: skip
