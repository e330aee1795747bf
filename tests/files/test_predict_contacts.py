"""``python -m scstlib predict-contacts``: its files, and one line for everything that is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import anndata
import cooler
import numpy as np
import pandas as pd
import pytest

from scstlib import __main__ as command
from scstlib.datasets import simulate_organism
from scstlib.models.spatial.protocol import check_windows

pytestmark = pytest.mark.filterwarnings("ignore:.*genes have no position:UserWarning")


class BulkCopy:
    """The bulk map for every cell type, with its depth; knows the tracks that it was fitted on."""

    def predict(self, windows: Any, depth: float = 1.0) -> np.ndarray:
        check_windows(windows)
        return depth * windows.bulk


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("organism")
    organism = simulate_organism(0, "tiny")
    organism.write(path)
    (path / "model.safetensors").write_bytes(b"stub")
    cpg = organism.tracks()[["chrom", "start", "end", "cpg"]]
    cpg.to_csv(path / "cpg.bedGraph", sep="\t", header=False, index=False)
    return path


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(command, "_load", lambda path: BulkCopy())
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "maps.mcool"


def run(folder: Path, out: Path, *more: str, **changes: Any) -> int:
    """Run the command on the organism's files; ``changes`` replace options."""
    given = {
        "bulk": f"{folder}/bulk.mcool::resolutions/50000",
        "expression": folder / "cells.h5ad",
        "model": folder / "model.safetensors",
        "window": 16,
        "stride": 8,
        "out": out,
    } | changes
    words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    return command.main(["predict-contacts", *words, *more])


def small(path: Path, counts: np.ndarray, chrom: str = "chr1", **options: Any) -> str:
    """A cooler of one chromosome."""
    start = np.arange(len(counts)) * 50_000
    bins = pd.DataFrame({"chrom": chrom, "start": start, "end": start + 50_000})
    bins = bins.assign(**options.pop("columns", {}))
    i, j = np.nonzero(np.triu(counts))
    pixels = pd.DataFrame({"bin1_id": i, "bin2_id": j, "count": counts[i, j]})
    cooler.create_cooler(str(path), bins, pixels, ordered=True, **options)
    return str(path)


def test_one_file_a_cell_type(folder: Path, out: Path) -> None:
    kinds = ["stem", "beta_mature"]
    assert run(folder, out, "--cell-types", *kinds, "--cpg", f"{folder}/cpg.bedGraph") == 0
    names = sorted(path.name for path in out.parent.iterdir())
    assert names == ["maps.beta_mature.mcool", "maps.stem.mcool"]
    bulk = cooler.Cooler(f"{folder}/bulk.mcool::resolutions/50000")
    clr = cooler.Cooler(f"{out.parent}/maps.stem.mcool::resolutions/50000")
    distance = np.abs(np.subtract.outer(np.arange(64), np.arange(64)))
    for chrom in bulk.chromnames:
        counts = bulk.matrix(balance=False).fetch(chrom)
        shown = clr.matrix(balance=False).fetch(chrom)
        # The bulk's contacts up to window - stride bins, except those of masked bins.
        np.testing.assert_array_equal(shown, np.where(distance <= 8, counts, 0))
    about = clr.info["metadata"]
    assert about["predicted"] is True
    assert about["model"] == "BulkCopy"
    assert about["cell_type"] == "stem"
    assert about["settings"]["window"] == 16
    assert about["inputs"]["cpg"][0]["name"] == "cpg.bedGraph"
    assert about["model_file"]["name"] == "model.safetensors"
    assert str(folder) not in str(about)


def test_model_folder_depth_and_overwriting(
    folder: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = ["--cell-types", "stem", "--chromosomes", "chr1"]
    assert run(folder, out, *one, model=folder) == 0
    assert run(folder, out, *one) == 2
    assert "maps.stem.mcool exists already" in capsys.readouterr().err
    assert run(folder, out, *one, "--overwrite", depth=3) == 0
    bulk = cooler.Cooler(f"{folder}/bulk.mcool::resolutions/50000")
    clr = cooler.Cooler(f"{out.parent}/maps.stem.mcool::resolutions/50000")
    one_pixel = bulk.matrix(balance=False).fetch("chr1")[5, 6]
    assert clr.matrix(balance=False).fetch("chr1")[5, 6] == 3 * one_pixel
    assert (clr.matrix(balance=False).fetch("chr2") == 0).all()


def test_chromosomes_may_be_asked_for_in_any_order(folder: Path, out: Path) -> None:
    one = ["--cell-types", "stem", "--chromosomes"]
    assert run(folder, out, *one, "chr2", "1", "chr1") == 0
    clr = cooler.Cooler(f"{out.parent}/maps.stem.mcool::resolutions/50000")
    for chrom in ("chr1", "chr2"):
        assert clr.matrix(balance=False).fetch(chrom).any()


def test_a_cell_type_by_itself_has_no_reference(
    folder: Path, out: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cells = anndata.read_h5ad(folder / "cells.h5ad")
    stem = cells[cells.obs["cell_type"] == "stem"].copy()
    stem.write_h5ad(tmp_path / "stem.h5ad")
    assert run(folder, out, expression=tmp_path / "stem.h5ad") == 0
    assert "here of stem alone" in caplog.text


def test_names_of_outputs() -> None:
    paths = command.output_paths(Path("x/maps.cool"), ["L2/3 IT", "Sst"])
    assert [str(path) for path in paths.values()] == ["x/maps.L2_3_IT.cool", "x/maps.Sst.cool"]
    with pytest.raises(ValueError, match="would share a file"):
        command.output_paths(Path("maps.cool"), ["a b", "a/b"])


def bad_input(case: str, folder: Path, tmp: Path) -> tuple[dict[str, Any], list[str]]:
    """Options with one thing wrong, and words that the error must hold."""
    ones, path = np.ones((64, 64), dtype=int), tmp / "bad.cool"
    cells = anndata.read_h5ad(folder / "cells.h5ad")
    if case == "resolution missing":
        return {"bulk": f"{folder}/bulk.mcool::resolutions/5000"}, ["bulk.mcool", "100000"]
    if case == "other assembly":
        bulk = small(path, ones, assembly="mm9")
        return {"bulk": bulk, "assembly": "mm10"}, ["bad.cool", "mm9", "mm10", "lift"]
    if case == "gene beyond the end":
        return {"bulk": small(path, ones[:30, :30])}, ["cells.h5ad", "chr1", "Lift"]
    if case == "NaN weights":
        bulk = small(path, ones, columns={"weight": np.nan})
        return {"bulk": bulk}, ["bad.cool", "chr1", "weights", "balance again"]
    if case == "one bin":
        bins = pd.DataFrame({"chrom": ["chr1"] * 64 + ["chrM"], "start": [*range(64), 0]})
        bins = bins.assign(start=bins["start"] * 50_000, end=(bins["start"] + 1) * 50_000)
        pixels = pd.DataFrame({"bin1_id": [0, 64], "bin2_id": [1, 64], "count": 1})
        cooler.create_cooler(str(path), bins, pixels)
        words = ["bad.cool", "chrM has 1 bins", "leave it out"]
        return {"bulk": path, "chromosomes": "chrM"}, words
    if case == "no overlap":
        return {"bulk": small(path, ones, "chrIV")}, ["cells.h5ad", "bad.cool", "chrIV", "species"]
    if case == "all zero":
        return {"bulk": small(path, 0 * ones)}, ["bad.cool", "chr1", "no contact"]
    if case == "negative counts":
        return {"bulk": small(path, ones - 3 * np.eye(64, dtype=int))}, ["bad.cool", "chr1", "-2"]
    if case == "missing key":
        return {"cell-type-key": "kind"}, ["cells.h5ad", "'kind'", "cell_type"]
    if case == "empty h5ad":
        cells[:0].copy().write_h5ad(tmp / "empty.h5ad")
        return {"expression": tmp / "empty.h5ad"}, ["empty.h5ad", "0 cells"]
    if case == "no folder":
        return {"out": tmp / "missing" / "maps.mcool"}, ["missing", "make it first"]
    if case == "unknown cell type":
        return {"cell-types": "beta"}, ["'beta'", "beta_mature"]
    if case == "stride":
        return {"stride": 17}, ["stride is 17", "1 to 16"]
    if case == "no model":
        return {"model": folder / "none"}, ["there is no model"]
    raise AssertionError(case)


@pytest.mark.parametrize(
    "case",
    [
        "resolution missing", "other assembly", "gene beyond the end", "NaN weights", "one bin",
        "no overlap", "all zero", "negative counts", "missing key", "empty h5ad", "no folder",
        "unknown cell type", "stride", "no model",
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_leaves_nothing(
    case: str, folder: Path, out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes, words = bad_input(case, folder, tmp_path)
    assert run(folder, changes.pop("out", out), **changes) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert [word for word in words if word not in lines[0]] == []
    assert list(out.parent.iterdir()) == []


def test_a_model_file_that_is_none(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, tmp_path / "maps.mcool") == 2
    assert "model.safetensors is cut short or not a model file" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_command_runs_as_a_module() -> None:
    shown = subprocess.run(
        [sys.executable, "-W", "error", "-m", "scstlib", "predict-contacts", "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for word in ("hictk convert", "HiGlass", "--cell-type-key", "exit status"):
        assert word in shown
    wrong = subprocess.run(
        [sys.executable, "-m", "scstlib", "dance"], capture_output=True, check=False
    )
    assert wrong.returncode == 2
