"""From fitted models to files, in Python and by ``scstlib predict-contacts``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import cooler
import numpy as np
import pandas as pd
import pytest

from scstlib import __version__
from scstlib.__main__ import main
from scstlib.datasets import simulate_organism
from scstlib.files import predict_contacts, predict_expression, read_inputs
from scstlib.files.prediction import output_paths
from scstlib.models import ScGrapHiC, ScNODE
from scstlib.models.spatial.protocol import check_windows
from scstlib.models.temporal.baselines import CopyNearest

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
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "maps.mcool"


def predict(folder: Path, out: Path, *, overwrite: bool = False, **options: Any) -> dict[str, Path]:
    """Maps of the organism's files, by a model that copies the bulk map."""
    own = ("stride", "depth", "batch_size")
    given = {name: options.pop(name) for name in own if name in options}
    inputs = read_inputs(
        f"{folder}/bulk.mcool::resolutions/50000", folder / "cells.h5ad", window=16, **options
    )
    return predict_contacts(BulkCopy(), inputs, out, **{"stride": 8} | given, overwrite=overwrite)


def run(folder: Path, out: Path, **changes: Any) -> int:
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
    return main(["predict-contacts", *words])


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
    written = predict(folder, out, cell_types=kinds, cpg=folder / "cpg.bedGraph")
    assert written == {kind: out.with_name(f"maps.{kind}.mcool") for kind in kinds}
    assert sorted(out.parent.iterdir()) == sorted(written.values())
    bulk = cooler.Cooler(f"{folder}/bulk.mcool::resolutions/50000")
    clr = cooler.Cooler(f"{written['stem']}::resolutions/50000")
    distance = np.abs(np.subtract.outer(np.arange(64), np.arange(64)))
    for chrom in bulk.chromnames:
        counts = bulk.matrix(balance=False).fetch(chrom)
        shown = clr.matrix(balance=False).fetch(chrom)
        # The bulk's contacts up to window - stride bins, except those of masked bins.
        np.testing.assert_array_equal(shown, np.where(distance <= 8, counts, 0))
    about = clr.info["metadata"]
    assert about["predicted"] is True
    assert (about["model"], about["model_settings"]) == ("BulkCopy", "{}")
    assert about["cell_type"] == "stem"
    assert about["settings"]["window"] == 16
    assert len(about["settings"]["reference"]) == 8
    assert about["inputs"]["cpg"][0]["name"] == "cpg.bedGraph"
    assert str(folder) not in str(about)


def test_the_command_writes_what_python_writes(folder: Path, out: Path, tmp_path: Path) -> None:
    bulk, options = f"{folder}/bulk.mcool::resolutions/50000", {"bulk_expression": "stem"}
    inputs = read_inputs(
        bulk, folder / "cells.h5ad", targets={"stem": folder / "stem.cool"}, window=16, **options
    )
    file = tmp_path / "trained.safetensors"
    model = ScGrapHiC(n_steps=1).fit(inputs.windows(32))
    model.save(file)
    new = read_inputs(
        bulk, folder / "cells.h5ad", cell_types=["bipotent"], chromosomes=["chr2"], window=16,
        **options,
    )  # fmt: skip
    one = predict_contacts(model, new, out, stride=8)["bipotent"]
    words = {"cell-types": "bipotent", "chromosomes": "chr2", "bulk-expression": "stem"}
    assert run(folder, tmp_path / "again.mcool", model=file, **words) == 0
    two = tmp_path / "again.bipotent.mcool"
    ours, theirs = (cooler.Cooler(f"{p}::resolutions/50000").pixels()[:] for p in (one, two))
    assert len(ours) > 100
    pd.testing.assert_frame_equal(ours, theirs)


def test_depth_overwriting_and_chromosomes_in_any_order(folder: Path, out: Path) -> None:
    one = {"cell_types": ["stem"], "chromosomes": ["chr2", "1", "chr1"]}
    predict(folder, out, **one)
    with pytest.raises(FileExistsError, match=r"maps.stem.mcool exists already"):
        predict(folder, out, **one)
    (path,) = predict(folder, out, **one, depth=3, overwrite=True).values()
    bulk = cooler.Cooler(f"{folder}/bulk.mcool::resolutions/50000")
    clr = cooler.Cooler(f"{path}::resolutions/50000")
    for chrom in ("chr1", "chr2"):
        one_pixel = bulk.matrix(balance=False).fetch(chrom)[5, 6]
        assert clr.matrix(balance=False).fetch(chrom)[5, 6] == 3 * one_pixel
    assert (clr.matrix(balance=False).fetch("chr3") == 0).all()


def test_refused_outputs_strides_and_models(folder: Path, out: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stride is 17: give 1 to 16"):
        predict(folder, out, stride=17)
    with pytest.raises(ValueError, match="model holds CopyNearest, not a model of contact maps"):
        predict_contacts(CopyNearest(), object(), out)  # type: ignore[arg-type]
    for size in (0, -1, 2.5, True, "4"):
        with pytest.raises(ValueError, match=f"batch_size must be a whole .*not {size!r}"):
            predict(folder, out, batch_size=size)
    assert list(out.parent.iterdir()) == []
    bulk = tmp_path / "bulk.stem.cool"
    small(bulk, np.ones((64, 64), dtype=int))
    inputs = read_inputs(bulk, folder / "cells.h5ad", cell_types=["stem"], window=16)
    before = bulk.read_bytes()
    with pytest.raises(ValueError, match=r"bulk.stem.cool is read, so it cannot be written"):
        predict_contacts(BulkCopy(), inputs, tmp_path / "bulk.cool", stride=8, overwrite=True)
    assert bulk.read_bytes() == before


def test_a_cell_type_by_itself_has_no_reference(folder: Path) -> None:
    cells = anndata.read_h5ad(folder / "cells.h5ad")
    stem = cells[cells.obs["cell_type"] == "stem"].copy()
    with pytest.warns(UserWarning, match="here of stem alone") as caught:
        read_inputs(f"{folder}/bulk.mcool::resolutions/50000", stem, window=16)
    assert [warning.filename for warning in caught] == [__file__]


def test_names_of_outputs() -> None:
    paths = output_paths(Path("x/maps.cool"), ["L2/3 IT", "Sst"])
    assert [str(path) for path in paths.values()] == ["x/maps.L2_3_IT.cool", "x/maps.Sst.cool"]
    with pytest.raises(ValueError, match="would share a file"):
        output_paths(Path("maps.cool"), ["a b", "a/b"])


def test_cells_at_unmeasured_times(folder: Path, tmp_path: Path) -> None:
    source = folder / "cells.h5ad"
    model = CopyNearest().fit(anndata.read_h5ad(source), "time")
    path = tmp_path / "predicted.h5ad"
    given = predict_expression(model, [30.0, 60.0], 7, path, seed=3, fitted_on=source)
    assert list(tmp_path.iterdir()) == [path]
    read = anndata.read_h5ad(path)
    np.testing.assert_array_equal(read.X, given.X)
    np.testing.assert_array_equal(given.X, model.sample([30.0, 60.0], 7, seed=3).X)
    assert read.obs["time"].value_counts().to_dict() == {30.0: 7, 60.0: 7}
    about = read.uns["provenance"]
    assert (about["model"], about["scstlib"]) == ("CopyNearest", __version__)
    assert about["inputs"]["cells"]["name"] == "cells.h5ad"
    assert len(about["inputs"]["cells"]["sha256"]) == 64
    assert list(about["training_times"]) == [0.0, 24.0, 48.0, 72.0, 96.0]
    assert about["settings"]["n_cells"] == 7
    assert str(folder) not in str(about)


def test_a_time_that_chose_the_model_is_named(folder: Path) -> None:
    cells = anndata.read_h5ad(folder / "cells.h5ad")
    cells = cells[cells.obs["time"] != 48].copy()
    model = ScNODE(matching_steps=2, latent_dim=2).fit(cells, validation_time=72.0)
    about = predict_expression(model, [48.0], 5).uns["provenance"]
    assert list(about["training_times"]) == [0.0, 24.0, 72.0, 96.0]


def test_cells_are_written_whole_or_not_at_all(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "cells.h5ad"
    source.write_bytes((folder / "cells.h5ad").read_bytes())
    model = CopyNearest().fit(anndata.read_h5ad(source), "time")
    with pytest.raises(ValueError, match=r"cells.h5ad is read, so it cannot be written"):
        predict_expression(model, [30.0], 5, source, fitted_on=source, overwrite=True)
    with pytest.raises(FileExistsError, match="exists already"):
        predict_expression(model, [30.0], 5, source)
    with pytest.raises(ValueError, match=r"does not end with .h5ad"):
        predict_expression(model, [30.0], 5, tmp_path / "cells.loom")
    with pytest.raises(FileNotFoundError, match="make it first"):
        predict_expression(model, [30.0], 5, tmp_path / "none" / "cells.h5ad")
    with pytest.raises(ValueError, match="model holds BulkCopy, not a model of cells"):
        predict_expression(BulkCopy(), [30.0], 5)  # type: ignore[arg-type]

    def full(self: Any, path: Path, **_: Any) -> None:
        path.write_bytes(b"half of it")
        raise OSError("no space left on device")

    monkeypatch.setattr(anndata.AnnData, "write_h5ad", full)
    before = source.read_bytes()
    with pytest.raises(OSError, match="no space left"):
        predict_expression(model, [30.0], 5, source, overwrite=True)
    assert source.read_bytes() == before
    assert list(tmp_path.iterdir()) == [source]


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
    if case == "missing key":
        return {"cell-type-key": "kind"}, ["cells.h5ad", "'kind'", "cell_type"]
    if case == "empty h5ad":
        cells[:0].copy().write_h5ad(tmp / "empty.h5ad")
        return {"expression": tmp / "empty.h5ad"}, ["empty.h5ad", "0 cells"]
    if case == "no folder":
        return {"out": tmp / "missing" / "maps.mcool"}, ["missing", "make it first"]
    if case == "unknown cell type":
        return {"cell-types": "beta"}, ["'beta'", "beta_mature"]
    if case == "no model":
        return {"model": folder / "none"}, ["there is no model"]
    raise AssertionError(case)


@pytest.mark.parametrize(
    "case",
    [
        "resolution missing", "other assembly", "gene beyond the end", "NaN weights", "one bin",
        "no overlap", "all zero", "missing key", "empty h5ad", "no folder",
        "unknown cell type", "no model",
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
