"""Predicted maps in cooler files: read back by cooler, laid out for HiGlass, all or nothing."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cooler
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from scstlib.files.outputs import provenance, write_contact_map, zoom_levels

SIZES = {"chr1": 40, "chr2": 31}


@pytest.fixture
def bins() -> pd.DataFrame:
    return pd.concat(
        [
            pd.DataFrame({"chrom": c, "start": np.arange(n) * 50, "end": np.arange(n) * 50 + 50})
            for c, n in SIZES.items()
        ],
        ignore_index=True,
    )


def upper_maps(seed: int = 0) -> dict[str, sp.csr_array]:
    rng = np.random.default_rng(seed)
    out = {}
    for chrom, n in SIZES.items():
        dense = np.triu(rng.random((n, n), dtype=np.float32))
        i, j = np.indices((n, n))
        out[chrom] = sp.csr_array(np.where(j - i <= 6, dense, 0).astype(np.float32))
    return out


def test_cool_is_read_back(bins: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "a.cool"
    about = {"predicted": True, "model": "Copy"}
    write_contact_map(path, bins, upper_maps().items(), metadata=about, assembly="mm10")
    clr = cooler.Cooler(str(path))
    assert clr.info["metadata"] == about
    assert clr.info["genome-assembly"] == "mm10"
    assert clr.pixels().dtypes["count"] == np.float32
    for chrom, upper in upper_maps().items():
        dense = upper.toarray()
        full = clr.matrix(balance=False).fetch(chrom)
        np.testing.assert_array_equal(full, dense + np.triu(dense, 1).T)
    assert (clr.matrix(balance=False).fetch("chr1", "chr2") == 0).all()
    assert list(tmp_path.iterdir()) == [path]


def test_a_pixel_given_in_parts_is_stored_once(bins: pd.DataFrame, tmp_path: Path) -> None:
    ends = np.minimum(np.arange(41).clip(1) * 2 - 2, 3)  # Two entries in row 1, one in row 2.
    upper = sp.csr_array((np.ones(3, dtype=np.float32), [3, 3, 2], ends), shape=(40, 40))
    write_contact_map(tmp_path / "a.cool", bins, [("chr1", upper)], metadata={})
    pixels = cooler.Cooler(str(tmp_path / "a.cool")).pixels()[:]
    assert pixels.to_numpy().tolist() == [[1, 3, 2], [2, 2, 1]]


def test_mcool_has_the_layout_of_higlass(bins: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "a.mcool"
    write_contact_map(
        path, bins, upper_maps().items(), metadata={"predicted": True}, resolutions=[50, 100, 200],
        assembly="mm10",
    )  # fmt: skip
    assert cooler.fileops.is_multires_file(str(path))
    with h5py.File(path) as store:
        assert store.attrs["format"] == "HDF5::MCOOL"
        assert sorted(store["resolutions"], key=int) == ["50", "100", "200"]
    for size in (50, 100, 200):
        clr = cooler.Cooler(f"{path}::resolutions/{size}")
        assert clr.binsize == size
        assert clr.info["metadata"] == {"predicted": True}
        assert clr.info["genome-assembly"] == "mm10"
        assert clr.pixels().dtypes["count"] == np.float32
    dense = upper_maps()["chr1"].toarray()
    coarse = cooler.Cooler(f"{path}::resolutions/100").matrix(balance=False).fetch("chr1")
    both = dense.reshape(20, 2, 20, 2).sum(axis=(1, 3))
    np.testing.assert_allclose(np.triu(coarse), np.triu(both), rtol=1e-5)


@pytest.mark.filterwarnings("ignore:The default of observed:FutureWarning")  # in cooltools
def test_cooltools_reads_it_with_the_commands_of_the_page(
    bins: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cooltools.cli import cli

    bins[["start", "end"]] *= 1000
    path = tmp_path / "maps.alpha_mature.mcool"
    write_contact_map(path, bins, upper_maps().items(), metadata={})
    page = Path(__file__).parents[2] / "notebooks/practice/your_contact_maps.py"
    text = page.read_text(encoding="utf-8").replace("\\\n#", "")
    commands = re.findall(r"^# \$ cooltools (.+)$", text, re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["insulation", "expected-cis"]
    monkeypatch.chdir(tmp_path)
    for command in commands:
        cli.main(shlex.split(command), standalone_mode=False)
    insulation, expected = map(pd.read_table, ("insulation.tsv", "expected.tsv"))
    assert len(insulation) == sum(SIZES.values())
    assert insulation["log2_insulation_score_250000"].notna().sum() > 60
    near = expected[expected["dist"].isin(range(2, 7))]
    assert (near["count.avg"] > 0).all()
    assert (expected["count.avg"][expected["dist"] > 6] == 0).all()


def test_zoom_levels_end_in_one_tile(bins: pd.DataFrame) -> None:
    assert zoom_levels(bins) == [50]
    many = pd.DataFrame({"chrom": "a", "start": np.arange(1000) * 10})
    assert zoom_levels(many.assign(end=many["start"] + 10)) == [10, 20, 40]


def test_balanced_output(bins: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "a.mcool"
    write_contact_map(path, bins, upper_maps().items(), metadata={}, balance=True)
    balanced = cooler.Cooler(f"{path}::resolutions/50").matrix(balance=True).fetch("chr1")
    # The two first diagonals are left out of balancing.
    kept = np.abs(np.subtract.outer(np.arange(40), np.arange(40))) >= 2
    rows = np.nansum(np.where(kept, balanced, 0), axis=1)
    rows = rows[np.isfinite(balanced).any(axis=1)]
    assert np.isfinite(rows).sum() > 20
    np.testing.assert_allclose(rows, rows.mean(), rtol=0.01)


def test_nothing_is_left_after_an_error(bins: pd.DataFrame, tmp_path: Path) -> None:
    def broken() -> Iterator[tuple[str, Any]]:
        yield "chr1", upper_maps()["chr1"]
        raise ValueError("the model stopped")

    path = tmp_path / "a.mcool"
    with pytest.raises(ValueError, match="the model stopped"):
        write_contact_map(path, bins, broken(), metadata={})
    assert list(tmp_path.iterdir()) == []
    path.write_bytes(b"kept")
    with pytest.raises(ValueError, match="the model stopped"):
        write_contact_map(path, bins, broken(), metadata={}, overwrite=True)
    assert path.read_bytes() == b"kept"


def test_nothing_is_half_written_after_a_kill(tmp_path: Path) -> None:
    code = f"""
import time, numpy as np, pandas as pd, scipy.sparse as sp
from scstlib.files.outputs import write_contact_map
start = np.tile(np.arange(9), 2)
bins = pd.DataFrame({{"chrom": ["a"] * 9 + ["b"] * 9, "start": start, "end": start + 1}})
def maps():
    yield "a", sp.csr_array(np.eye(9))
    print("half", flush=True)
    time.sleep(60)
write_contact_map({str(tmp_path / "a.cool")!r}, bins, maps(), metadata={{}})
"""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "half\n"
    time.sleep(0.1)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert not (tmp_path / "a.cool").exists()
    assert all(left.name.startswith(".partial-") for left in tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("missing/a.cool", FileNotFoundError, "no folder .*make it first"),
        ("a.h5", ValueError, "does not end with .cool or .mcool"),
        ("there.cool", FileExistsError, "exists already"),
    ],
)
def test_paths_that_are_refused(
    bins: pd.DataFrame, tmp_path: Path, name: str, error: type[Exception], message: str
) -> None:
    (tmp_path / "there.cool").write_bytes(b"")
    with pytest.raises(error, match=message):
        write_contact_map(tmp_path / name, bins, upper_maps().items(), metadata={})


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        ([("chr3", sp.csr_array((40, 40)))], "'chr3': unknown"),
        ([("chr2", sp.csr_array((31, 31))), ("chr1", sp.csr_array((40, 40)))], "out of order"),
        ([("chr1", sp.csr_array((41, 41)))], r"shape \(41, 41\) for 40 bins"),
        ([("chr1", sp.csr_array(-np.eye(40)))], "negative"),
        ([("chr1", sp.csr_array(np.tri(40)))], "upper triangle"),
    ],
)
def test_maps_that_are_refused(
    bins: pd.DataFrame, tmp_path: Path, maps: list[Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        write_contact_map(tmp_path / "a.cool", bins, maps, metadata={})
    assert list(tmp_path.iterdir()) == []


def test_provenance_names_no_folders(tmp_path: Path) -> None:
    (tmp_path / "x.bed").write_bytes(b"abc")
    record = provenance(object(), {"ctcf": [f"{tmp_path}/x.bed::g"]}, stride=64)
    # The sha256 of "abc" is the standard's own example.
    assert record["inputs"]["ctcf"] == [
        {
            "name": "x.bed::g",
            "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        }
    ]
    assert record["predicted"] is True
    assert record["settings"] == {"stride": 64}
    assert str(tmp_path) not in str(record)
