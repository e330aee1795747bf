from __future__ import annotations

import tracemalloc
from datetime import timedelta
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
    assert_array_equal(together(reader.stored_chunks()), counts)
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
    assert_array_equal(together(reader.stored_chunks()), moving_counts.X[40:, [4, 1]])


def test_input_is_left_as_it_was(moving_counts):
    moving_counts.X = csr_matrix(moving_counts.X)
    before = moving_counts.X.copy()
    list(CellReader(moving_counts).chunks())
    assert (before != moving_counts.X).nnz == 0


def test_values_have_no_depth(moving):
    reader = CellReader(moving)
    assert reader.depth is None
    assert_array_equal(together(reader.chunks()), moving.X)


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
        (break_text_of_numbers, r"'0.0'.*\.astype\(float\)$"),
    ],
)
def test_bad_input_of_a_later_chunk_is_named(moving_counts, damage, names):
    damage(moving_counts)
    with pytest.raises(ValueError, match=names):
        CellReader(moving_counts, max_cells_in_memory=50)
    with pytest.raises(ValueError, match=names):
        measured_cells(moving_counts, "time")


def test_all_faults_are_said_at_once_with_their_remedies(moving_counts):
    genes = ["gene1", *moving_counts.var_names[1:]]
    for damage in (break_cell, break_negative, break_lonely):
        damage(moving_counts)
    moving_counts.X[3] = 0
    moving_counts.var_names = genes
    with pytest.raises(ValueError) as refusal:
        CellReader(moving_counts, max_cells_in_memory=50)
    faults = str(refusal.value).split("; besides, ")
    for fault, words in zip(
        faults,
        [
            "time 0.25, which is no population; remove it",
            "1 gene names stand more than once, the first is 'gene1'; call adata.var_names_make",
            "'cell70' has the value inf for gene 'gene1'; remove or impute",
            "negative; the smallest is -3",
            "1 cells have no counts, the first is 'cell3'; leave them out, by sc.pp.filter_cells",
        ],
        strict=True,
    ):
        assert words in fault
    break_text_of_numbers(moving_counts)
    with pytest.raises(ValueError, match=r"convert it first.*besides, 1 gene names.*besides, "):
        CellReader(moving_counts)


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


def with_times(adata: AnnData, values: list, categorical: bool = False) -> AnnData:
    """The cells with as many of each of these times."""
    times = pd.Series(values).repeat(adata.n_obs // len(values))
    times.index = adata.obs_names
    adata.obs["time"] = times.astype("category") if categorical else times
    return adata


def advice(adata: AnnData) -> str:
    """The code that the refusal of a column of times shows."""
    with pytest.raises(ValueError, match="not numbers; convert it first") as refusal:
        CellReader(adata)
    return str(refusal.value).partition("for example ")[2]


@pytest.mark.parametrize("categorical", [False, True])
@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["d-1", "d0", "d1"], [-1, 0, 1]),
        (["E8.5", "E9", "E10.25"], [8.5, 9, 10.25]),
        (["-2 h", "0 h", "12 h"], [-2, 0, 12]),
        (["1", "2", "10"], [1, 2, 10]),
        (list(pd.to_timedelta([0, 90, 180], unit="min")), [0, 1.5, 3]),
        (list(pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-04"])), [0, 24, 72]),
        (list(pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-04"], utc=True)), [0, 24, 72]),
    ],
)
def test_the_conversion_of_times_that_is_shown_works(moving_counts, given, meant, categorical):
    adata = with_times(moving_counts, given, categorical)
    exec(advice(adata), {"adata": adata})
    assert CellReader(adata).time.tolist() == np.repeat(meant, 40).tolist()


def test_durations_of_python_are_converted_too(moving_counts):
    durations = [timedelta(hours=h) for h in (0, 1, 2) for _ in range(40)]
    moving_counts.obs["time"] = pd.Series(durations, index=moving_counts.obs_names, dtype=object)
    exec(advice(moving_counts), {"adata": moving_counts})
    assert CellReader(moving_counts).times.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "given",
    [
        ["E18.5", "P0", "P4"],  # Birth is none of the days of the embryo.
        ["day-1", "day-2", "day-3"],  # Days before, or hyphens?
        ["12h", "1d", "2d"],
        ["1h", "1.0h", "2h"],  # Two labels would become one.
        ["early", "late", "later"],
        [True, False, True],
    ],
)
def test_times_that_no_rule_orders_are_left_to_the_user(moving_counts, given):
    code = advice(with_times(moving_counts, given))
    assert ".map({" in code
    assert all(repr(label) in code for label in given)
    assert "astype" not in code


def test_booleans_are_no_times(moving_counts):
    moving_counts.obs["time"] = np.arange(120) < 60
    assert advice(moving_counts).startswith("adata.obs['time'] = adata.obs['time'].map({True:")


def test_infinite_times_are_refused(moving_counts):
    moving_counts.obs.loc["cell3", "time"] = np.inf
    with pytest.raises(ValueError, match="1 missing or infinite"):
        CellReader(moving_counts)


def unlogged(adata: AnnData) -> AnnData:
    adata.X = adata.X / adata.X.sum(1, keepdims=True) * 1e4
    return adata


def z_scores(adata: AnnData) -> AnnData:
    logs = np.log1p(adata.X)
    adata.X = (logs - logs.mean(0)) / logs.std(0)
    return adata


def logs_beside_counts(adata: AnnData) -> AnnData:
    adata.layers["counts"] = adata.X.copy()
    adata.X = np.log1p(adata.X)
    return adata


def counts_times_a_half(adata):
    adata = adata.copy()
    adata.X = np.asarray(adata.X * 0.5)
    adata.X[0, 0] = 99.5
    return adata


@pytest.mark.parametrize("layout", [np.asarray, csr_matrix])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (unlogged, "not logged.*10000.*log1p"),
        (z_scores, "z-scores.*counts or log1p"),
        (counts_times_a_half, "up to [0-9.]+, so it is neither counts nor logarithms"),
        (logs_beside_counts, r"no counts.*layers\['counts'\]"),
    ],
)
def test_values_that_are_hardly_meant_are_said(moving_counts, layout, change, words):
    changed = change(moving_counts)
    if change is not z_scores:  # Which are dense.
        changed.X = layout(changed.X)
    with pytest.warns(UserWarning, match=words) as heard:
        reader = CellReader(changed, max_cells_in_memory=50)
    assert len(heard) == 1
    assert not reader.holds_counts
    changed.uns["value_kind"] = "as I want them"
    CellReader(changed)  # The suite turns a warning into an error.


def test_z_scores_of_all_cells_are_seen_in_a_part_of_them(moving_counts):
    part = z_scores(moving_counts)[np.r_[0:110]].copy()
    with pytest.warns(UserWarning, match="z-scores"):
        CellReader(part)


def test_centred_logs_and_logs_are_not_taken_for_z_scores(moving_counts):
    logs = moving_counts.copy()
    logs.X = np.log1p(logs.X)
    CellReader(logs)
    logs.X = 3 * (logs.X - logs.X.mean(0))
    CellReader(logs)
