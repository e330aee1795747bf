from __future__ import annotations

import tracemalloc
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csc_matrix, csr_matrix, random

from scstlib.models.temporal.cells import check_genes, measured_cells
from scstlib.preprocess.cells import CellReader


def stored(adata: AnnData, path: Path) -> AnnData:
    adata.write_h5ad(path)
    return anndata.read_h5ad(path, backed="r")


def together(chunks) -> np.ndarray:
    return np.concatenate([chunk for _, chunk in chunks])


@pytest.mark.parametrize("layout", [np.asarray, csr_matrix])
@pytest.mark.parametrize("backed", [False, True])
def test_chunks_put_together_are_the_log_counts(moving_counts, tmp_path, layout, backed):
    counts = np.asarray(moving_counts.X)
    adata = moving_counts.copy()
    adata.X = layout(counts)
    if backed:
        adata = stored(adata, tmp_path / "cells.h5ad")
    reader = CellReader(adata, "time", max_cells_in_memory=50)
    chunks = list(reader.chunks())
    assert [(rows.start, rows.stop) for rows, _ in chunks] == [(0, 50), (50, 100), (100, 120)]
    assert {chunk.dtype for _, chunk in chunks} == {np.dtype(np.float32)}
    expected = np.log1p(counts / counts.sum(1, keepdims=True) * 1e4)
    assert_allclose(together(chunks), expected, rtol=1e-5)
    assert_array_equal(together(reader.count_chunks()), counts)
    assert_array_equal(reader.totals, counts.sum(1))
    assert reader.depth == np.median(counts.sum(1))
    assert_array_equal(reader.time, moving_counts.obs["time"])
    rows = np.array([119, 3, 3, 60])
    assert_allclose(reader.values_of(rows), expected[rows], rtol=1e-5)


def test_a_view_of_a_backed_file_is_read(moving_counts, tmp_path):
    adata = stored(moving_counts, tmp_path / "cells.h5ad")
    late = adata[adata.obs["time"] > 0, ["gene4", "gene1"]]
    reader = CellReader(late, "time", max_cells_in_memory=32)
    assert reader.genes == ("gene4", "gene1")
    assert_array_equal(together(reader.count_chunks()), moving_counts.X[40:, [4, 1]])


def test_input_is_left_as_it_was(moving_counts):
    moving_counts.X = csr_matrix(moving_counts.X)
    before = moving_counts.X.copy()
    list(CellReader(moving_counts).chunks())
    assert (before != moving_counts.X).nnz == 0


def test_values_have_no_counts_to_give(moving):
    reader = CellReader(moving)
    assert reader.depth is None
    assert_array_equal(together(reader.chunks()), moving.X)
    with pytest.raises(ValueError, match="no counts"):
        next(reader.count_chunks())


def test_memory_does_not_grow_with_the_number_of_cells(tmp_path):
    def peak(n_cells: int) -> int:
        X = random(n_cells, 500, 0.1, "csr", dtype=np.float32, random_state=0)
        X.data = np.ceil(X.data * 5)
        obs = pd.DataFrame({"time": np.arange(n_cells) % 5}, index=np.arange(n_cells).astype(str))
        adata = stored(AnnData(X, obs=obs), tmp_path / f"{n_cells}.h5ad")
        tracemalloc.start()
        reader = CellReader(adata, max_cells_in_memory=5000)
        n_read = sum(len(chunk) for _, chunk in reader.chunks())
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert n_read == n_cells
        return most

    assert peak(40_000) <= 1.1 * peak(10_000)


def break_cell(adata):
    adata.X[70, 1] = np.inf


def break_empty(adata):
    adata.X[70] = 0


def break_negative(adata):
    adata.uns["value_kind"] = "counts"
    adata.X[119, 0] = -3


def break_lonely(adata):
    adata.obs.loc["cell7", "time"] = 0.25


def break_text_of_numbers(adata):
    adata.obs["time"] = adata.obs["time"].astype(str)


@pytest.mark.parametrize(
    ("damage", "names"),
    [
        (break_cell, "'cell70'.*inf.*'gene1'"),
        (break_empty, "1 cells have no counts.*'cell70'"),
        (break_negative, "negative.*-3"),
        (break_lonely, "only one cell.*0.25"),
        (break_text_of_numbers, r"'0.0'.*\.astype\(float\)\.$"),
    ],
)
def test_bad_input_of_a_later_chunk_is_named(moving_counts, damage, names):
    damage(moving_counts)
    with pytest.raises(ValueError, match=names):
        CellReader(moving_counts, max_cells_in_memory=50)
    with pytest.raises(ValueError, match=names):
        measured_cells(moving_counts, "time")


def test_what_cannot_be_read_by_cells_is_refused(moving_counts, tmp_path):
    with pytest.raises(ValueError, match="0 cells"):
        CellReader(moving_counts[:0])
    with pytest.raises(ValueError, match="X is None"):
        CellReader(AnnData(obs=moving_counts.obs, var=moving_counts.var))
    with pytest.raises(ValueError, match="max_cells_in_memory"):
        CellReader(moving_counts, max_cells_in_memory=0)
    moving_counts.X = csc_matrix(moving_counts.X)
    assert len(CellReader(moving_counts)) == 120
    with pytest.raises(ValueError, match=r"csc.*tocsr"):
        CellReader(stored(moving_counts, tmp_path / "by_gene.h5ad"))


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda genes: genes[1:], r"lacks \['gene0'\]"),
        (lambda genes: [*genes, "other"], r"has besides \['other'\]"),
        (lambda genes: ["x", *genes[1:]], r"lacks \['gene0'\] and has besides \['x'\]"),
        (lambda genes: [genes[0], *genes[:0:-1]], "another order, from 'gene5' on"),
    ],
)
def test_genes_that_differ_are_named(moving, change, names):
    fitted = list(moving.var_names)
    check_genes(moving, fitted)
    genes = change(fitted)
    with pytest.raises(ValueError, match=names):
        check_genes(AnnData(np.zeros((2, len(genes))), var=pd.DataFrame(index=genes)), fitted)
