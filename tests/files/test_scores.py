"""Predictions in files against measurements in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import cooler
import numpy as np
import pytest

from scstlib.datasets import simulate_organism
from scstlib.files import predict_contacts, read_inputs, score_contacts, score_expression
from scstlib.models.spatial import BulkRidge
from scstlib.models.temporal.comparison import SPLIT_HALF


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("organism")
    simulate_organism(0, "tiny").write(path)
    return path


@pytest.fixture
def cells(folder: Path) -> Any:
    return anndata.read_h5ad(folder / "cells.h5ad")


def medians(scores: Any) -> Any:
    return scores.groupby(["metric", "model"])["value"].median().unstack("model")


def test_measured_cells_reach_the_floor_and_another_time_does_not(cells: Any) -> None:
    same = medians(score_expression(cells, cells, times=[48.0]))
    other = cells[cells.obs["time"] == 0].copy()
    other.obs["time"] = 48.0
    moved = medians(score_expression(other, cells, times=[48.0]))
    for metric in ("energy distance", "Sinkhorn", "mean error"):
        assert same.at[metric, "prediction"] < moved.at[metric, "prediction"]
        assert moved.at[metric, SPLIT_HALF] < moved.at[metric, "prediction"]
        # The floor is of the measured cells alone.
        assert moved.at[metric, SPLIT_HALF] == same.at[metric, SPLIT_HALF]


def test_genes_in_any_order_and_times_that_both_have(cells: Any) -> None:
    expected = score_expression(cells, cells, times=[24.0, 48.0])
    names = list(reversed(cells.var_names))
    predicted = cells[cells.obs["time"].isin([24.0, 48.0]), names].copy()
    found = score_expression(predicted, cells)
    assert sorted(found["time"].unique()) == [24.0, 48.0]
    np.testing.assert_allclose(
        found.loc[found["model"] == SPLIT_HALF, "value"],
        expected.loc[expected["model"] == SPLIT_HALF, "value"],
        rtol=1e-4,
    )


def test_cells_that_cannot_be_compared(cells: Any) -> None:
    with pytest.raises(ValueError, match=r"lack 1 genes, such as \['Gene00000'\]"):
        score_expression(cells, cells[:, 1:].copy())
    with pytest.raises(ValueError, match=r"no cells of \[1.0\] in both: predicted are \[0.0"):
        score_expression(cells, cells, times=[1.0])
    logs = cells.copy()
    logs.X = np.log1p(logs.X)
    with pytest.raises(ValueError, match="predicted cells hold values such as log counts"):
        score_expression(logs, cells)
    with pytest.raises(ValueError, match="no column 'day'"):
        score_expression(cells, cells, "day")


def test_times_that_were_trained_on_are_named(cells: Any) -> None:
    cells.uns["provenance"] = {"training_times": np.array([0.0, 24.0])}
    with pytest.warns(UserWarning, match=r"fitted on cells of the times \[24.0\]") as caught:
        score_expression(cells, cells, times=[24.0, 48.0])
    assert [warning.filename for warning in caught] == [__file__]


class BulkCopy:
    def predict(self, windows: Any, depth: float = 1.0) -> np.ndarray:
        return depth * windows.bulk


@pytest.mark.filterwarnings("ignore:.*genes have no position:UserWarning")
def test_a_copy_of_the_bulk_scores_as_the_bulk(folder: Path, tmp_path: Path) -> None:
    bulk = f"{folder}/bulk.mcool::resolutions/50000"
    inputs = read_inputs(bulk, folder / "cells.h5ad", cell_types=["stem"], window=64)
    (path,) = predict_contacts(BulkCopy(), inputs, tmp_path / "maps.mcool", stride=32).values()
    with pytest.raises(ValueError, match="reaches 32 bins: give a window of at most 33 bins"):
        score_contacts(path, folder / "stem.cool", bulk, window=40)
    scores = score_contacts(path, folder / "stem.cool", bulk)
    assert set(scores["end"] - scores["start"]) == {33 * 50_000}
    rows = {name: part.drop(columns="model").reset_index(drop=True)
            for name, part in scores.groupby("model")}  # fmt: skip
    numbers = ["SCC", "SSIM", "GD", "MSE", "ins"]
    np.testing.assert_allclose(rows["prediction"][numbers], rows["bulk"][numbers], rtol=1e-5)


@pytest.mark.filterwarnings("ignore:.*genes have no position:UserWarning")
def test_chromosomes_that_were_trained_on_are_named(folder: Path, tmp_path: Path) -> None:
    bulk, targets = f"{folder}/bulk.mcool::resolutions/50000", {"stem": folder / "stem.cool"}
    inputs = read_inputs(bulk, folder / "cells.h5ad", targets=targets, window=64)
    model = BulkRidge().fit(inputs.windows(32, chromosomes=["chr1", "chr2"]))
    (path,) = predict_contacts(model, inputs, tmp_path / "maps.mcool", stride=32).values()
    files = (path, folder / "stem.cool", bulk)
    with pytest.warns(UserWarning, match=r"fitted on the chromosomes \['chr1', 'chr2'\]") as heard:
        score_contacts(*files)
    assert [warning.filename for warning in heard] == [__file__]
    score_contacts(*files, chromosomes=["3"])  # silent


def test_the_other_half_of_the_contacts_is_what_is_compared_with(folder: Path) -> None:
    bulk = f"{folder}/bulk.mcool::resolutions/50000"
    scores = score_contacts(
        folder / "stem.cool", folder / "stem.cool", bulk, window=32, chromosomes=["chr1"], seed=1
    )
    mean = scores.groupby("model")["SCC"].mean()
    # A map that has the very contacts that it is compared with beats an independent half.
    assert mean["split half of the measured contacts"] < mean["prediction"] < 1
    again = score_contacts(
        folder / "stem.cool", folder / "stem.cool", bulk, window=32, chromosomes=["1"], seed=1
    )
    np.testing.assert_array_equal(again["SCC"], scores["SCC"])


def test_a_map_too_sparse_for_its_halves_to_agree_is_named(folder: Path, tmp_path: Path) -> None:
    stem, bulk = cooler.Cooler(f"{folder}/stem.cool"), f"{folder}/bulk.mcool::resolutions/50000"
    bins, pixels = stem.bins()[["chrom", "start", "end"]][:], stem.pixels()[:]
    pixels["count"] = np.random.default_rng(0).binomial(pixels["count"], 0.01)
    cooler.create_cooler(f"{tmp_path}/few.cool", bins, pixels[pixels["count"] > 0])
    with pytest.warns(UserWarning, match=r"hardly agree \(SCC .*too few contacts"):
        score_contacts(folder / "stem.cool", tmp_path / "few.cool", bulk, window=32)


def test_fewer_predicted_cells_than_half_of_the_measured_are_named(cells: Any) -> None:
    one_time = cells[cells.obs["time"] == 48.0]
    with pytest.warns(UserWarning, match=r"times \[48.0\] fewer cells are predicted"):
        score_expression(one_time[:5].copy(), one_time.copy(), n_repeats=1)
