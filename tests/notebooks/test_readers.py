"""Each reader that *Your own time course* names gives the counts, cells in rows."""

from __future__ import annotations

import gzip
import importlib.util
import re
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy.io import mmwrite
from scipy.sparse import csc_matrix

from tools import notebooks

PAGE = notebooks.ROOT / "notebooks" / "practice" / "your_time_course.py"
NAMED = re.findall(r"`(sc\.read_(\w+)\(path\)[.T]*)`", PAGE.read_text(encoding="utf-8"))
COUNTS = np.array([[1, 0, 2], [0, 3, 0]], dtype=np.float32)  # two cells, three genes
GENES, CELLS = ["Sox2", "Gata4", "Actb"], ["AAC-1", "AAG-1"]


def written(kind: str, folder: Path) -> Path:
    """A file, or folder, of one kind with the counts."""
    path = folder / f"cells.{kind}"
    if kind == "h5ad":
        ad.AnnData(COUNTS, pd.DataFrame(index=CELLS), pd.DataFrame(index=GENES)).write_h5ad(path)
    elif kind == "csv":
        pd.DataFrame(COUNTS.T, GENES, CELLS).to_csv(path)
    elif kind == "loom":
        import loompy

        loompy.create(str(path), COUNTS.T, {"Gene": np.array(GENES)}, {"CellID": np.array(CELLS)})
    elif kind == "10x_mtx":
        path.mkdir()
        with gzip.open(path / "matrix.mtx.gz", "wb") as file:
            mmwrite(file, csc_matrix(COUNTS.T.astype(int)))
        features = "".join(f"ENS{i}\t{name}\tGene Expression\n" for i, name in enumerate(GENES))
        for name, text in (("features", features), ("barcodes", "\n".join(CELLS) + "\n")):
            with gzip.open(path / f"{name}.tsv.gz", "wt") as file:
                file.write(text)
    elif kind == "10x_h5":
        genes_by_cells = csc_matrix(COUNTS.T.astype(np.int32))
        with h5py.File(path, "w") as file:
            matrix = file.create_group("matrix")
            for part in ("data", "indices", "indptr"):
                matrix[part] = getattr(genes_by_cells, part)
            matrix["shape"] = np.array(genes_by_cells.shape)
            matrix["barcodes"] = np.array(CELLS, dtype="S")
            columns = {"id": GENES, "name": GENES, "feature_type": ["Gene Expression"] * 3}
            for name, values in (columns | {"genome": ["mm10"] * 3}).items():
                matrix[f"features/{name}"] = np.array(values, dtype="S")
    return path


def test_the_kinds_of_files_are_those_that_people_have() -> None:
    assert {kind for _, kind in NAMED} == {"h5ad", "10x_h5", "10x_mtx", "loom", "csv"}


@pytest.mark.parametrize(("code", "kind"), NAMED)
def test_each_reader_gives_cells_in_rows(code: str, kind: str, tmp_path: Path) -> None:
    if kind == "loom" and importlib.util.find_spec("loompy") is None:
        pytest.skip("loompy is not installed")
    cells = eval(code, {"sc": sc, "path": written(kind, tmp_path)})
    assert np.array_equal(cells.to_df().to_numpy(), COUNTS)
    assert (list(cells.obs_names), list(cells.var_names)) == (CELLS, GENES)
