from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.sparse import csr_matrix

from scstlib.models.temporal.cells import measured_cells
from scstlib.models.temporal.protocol import check_request
from scstlib.preprocess.cells import measured_time
from scstlib.preprocess.expression import ShiftedLog


def test_counts_become_log_counts_per_10k(moving_counts):
    cells = measured_cells(moving_counts, "time")
    counts = moving_counts.X
    expected = np.log1p(counts / counts.sum(1, keepdims=True) * 1e4)
    assert_allclose(cells.values, expected, rtol=1e-5)
    assert cells.depth == np.median(counts.sum(1))


def test_counts_return_as_counts_with_the_log_layer(moving_counts):
    cells = measured_cells(moving_counts, "time")
    returned = cells.as_anndata([cells.at(0.0)], [0.0])
    assert_allclose(returned.layers["log1p_cp10k"], cells.at(0.0))
    assert_allclose(returned.X.sum(1), cells.depth, rtol=1e-4)


def test_values_stay_as_they_are(moving):
    cells = measured_cells(moving, "time")
    assert cells.depth is None
    assert_allclose(cells.values, moving.X)
    returned = cells.as_anndata([cells.at(3.0)], [3.0])
    assert "log1p_cp10k" not in returned.layers
    assert list(returned.var_names) == list(moving.var_names)


def test_value_kind_decides_where_entries_could_mean_either(moving_counts):
    moving_counts.uns["value_kind"] = "Ct"
    assert measured_cells(moving_counts, "time").depth is None


def test_fractions_that_are_called_counts_are_a_warning(moving_counts):
    moving_counts.uns["value_kind"] = "counts"
    assert measured_cells(moving_counts, "time").depth is not None
    moving_counts.X = np.log1p(moving_counts.X)
    with pytest.warns(UserWarning, match="holds fractions"):
        measured_cells(moving_counts, "time")


def test_normalised_data_are_not_normalised_again(moving_counts):
    moving_counts.uns["value_kind"] = "counts"
    logged = ShiftedLog().fit(moving_counts).transform(moving_counts)
    cells = measured_cells(logged, "time")
    assert cells.depth is None
    assert_allclose(cells.values, measured_cells(moving_counts, "time").values, rtol=1e-5)


def test_sparse_and_dense_input_agree(moving_counts):
    sparse = moving_counts.copy()
    sparse.X = csr_matrix(moving_counts.X)
    dense_values = measured_cells(moving_counts, "time").values
    assert_allclose(measured_cells(sparse, "time").values, dense_values)


def test_times_on_both_sides_and_weights_by_hand(moving):
    cells = measured_cells(moving, "time")
    assert cells.between(2.0) == (1.0, 3.0, 0.5)
    assert cells.between(1.0) == (0.0, 1.0, 1.0)
    assert cells.between(-5.0) == (0.0, 0.0, 0.0)
    assert cells.between(0.0) == (0.0, 0.0, 0.0)
    assert cells.between(3.0)[2] in (0.0, 1.0)
    assert cells.between(9.0) == (3.0, 3.0, 0.0)
    assert cells.nearest(0.5) == 0.0


def test_a_categorical_time_of_numbers_is_read(moving):
    moving.obs["time"] = pd.Categorical(moving.obs["time"])
    assert list(measured_cells(moving, "time").times) == [0.0, 1.0, 3.0]


def break_time_key(adata):
    del adata.obs["time"]


def break_text(adata):
    adata.obs["time"] = "E8.5"


def break_missing(adata):
    adata.obs.loc["cell0", "time"] = np.nan


def break_one_time(adata):
    adata.obs["time"] = 1.0


def break_nan(adata):
    adata.X[3, 2] = np.nan


def break_duplicate(adata):
    adata.var_names = ["gene0", *list(adata.var_names[:-1])]


@pytest.mark.parametrize(
    ("damage", "names"),
    [
        (break_time_key, "no column 'time'"),
        (break_text, "E8.5.*astype"),
        (break_missing, "1 missing"),
        (break_one_time, "1 distinct"),
        (break_nan, "cell3.*gene2"),
        (break_duplicate, "gene0"),
    ],
)
@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_bad_input_is_named(moving, damage, names):
    damage(moving)
    with pytest.raises(ValueError, match=names):
        measured_cells(moving, "time")


def test_bad_counts_are_named(moving_counts):
    empty = moving_counts.copy()
    empty.X[5] = 0
    with pytest.raises(ValueError, match="cell5"):
        measured_cells(empty, "time")
    negative = moving_counts.copy()
    negative.uns["value_kind"] = "counts"
    negative.X[0, 0] = -1
    with pytest.raises(ValueError, match="negative"):
        measured_cells(negative, "time")


@pytest.mark.parametrize("kind", ["cells.h5ad", pd.DataFrame({"time": [0.0, 1.0]}), None, 3])
def test_what_is_no_anndata_is_named(kind):
    for read in (measured_cells, measured_time):
        with pytest.raises(TypeError, match=f"cells are an AnnData, not a {type(kind).__name__}"):
            read(kind, "time")


@pytest.mark.parametrize("dtype", [bool, complex, object, str])
def test_values_that_are_no_numbers_are_refused(moving_counts, dtype):
    moving_counts.X = moving_counts.X.astype(dtype)
    with pytest.raises(ValueError, match=r"adata.X holds .*, not numbers"):
        measured_cells(moving_counts, "time")


@pytest.mark.parametrize("dtype", [bool, complex])
def test_times_are_real_numbers(moving, dtype):
    moving.obs["time"] = moving.obs["time"].astype(dtype)
    with pytest.raises(ValueError, match="not numbers; convert it first"):
        measured_cells(moving, "time")


def test_a_backed_file_that_was_closed_is_named(moving, tmp_path):
    moving.write_h5ad(tmp_path / "cells.h5ad")
    backed = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    backed.file.close()
    with pytest.raises(ValueError, match=r"cells.h5ad was closed: open it again"):
        measured_cells(backed, "time")


@pytest.mark.parametrize(("times", "n_cells"), [([], 5), ([np.nan], 5), ([1.0], 0)])
def test_empty_requests_are_refused(times, n_cells):
    with pytest.raises(ValueError):
        check_request(times, n_cells)
