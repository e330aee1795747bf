from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.sparse import csr_matrix

from scstlib.leakage import LeakageError
from scstlib.models import ScNODE
from scstlib.models.temporal.baselines import ConstantMean, CopyNearest
from scstlib.models.temporal.comparison import SPLIT_HALF, median_table, score_held_out_times
from scstlib.splits import hold_out_times


def mean_gap(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.abs(x.mean(0) - y.mean(0)).max())


def spread_gap(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.abs(x.std(0) - y.std(0)).max())


def test_floor_and_models_stand_in_one_table(moving: AnnData):
    test = moving[moving.obs["time"] == 1.0]
    train = moving[moving.obs["time"] != 1.0]
    models = {"constant": [ConstantMean().fit(train)], "copy": [CopyNearest().fit(train)] * 2}
    scores = score_held_out_times(models, test, {"mean": mean_gap, "spread": spread_gap})
    table = median_table(scores)
    assert list(table.index) == [SPLIT_HALF, "constant", "copy"]
    # Means move on a straight line, so the constant has the right mean and no spread at all.
    assert table.loc["constant", ("mean", 1.0)] < 0.1 < table.loc["copy", ("mean", 1.0)]
    assert table.loc[SPLIT_HALF, ("spread", 1.0)] < table.loc["constant", ("spread", 1.0)]
    assert (scores.groupby("model").size() == [6, 12, 6]).all()


def test_counts_are_compared_as_log_counts_per_10k(moving_counts: AnnData):
    test = moving_counts[moving_counts.obs["time"] == 1.0]
    model = CopyNearest().fit(moving_counts[moving_counts.obs["time"] != 1.0])
    scores = score_held_out_times({"same": [model]}, test, {"mean": mean_gap}, n_repeats=1)
    assert scores["value"].max() < 2.0


def test_cells_and_de_noised_populations_are_scored_against_the_same_halves(moving: AnnData):
    def rank(x: np.ndarray, y: np.ndarray) -> float:
        return float(np.linalg.matrix_rank(x - x.mean(0), tol=1e-2) + y[0, 0])

    split = hold_out_times(moving, test=[1.0])
    settings = {"latent_dim": 2, "matching_steps": 5, "damping": None, "combine": False}
    models = {"scNODE": [ScNODE(**settings).fit(split.train)]}
    noisy, denoised = (
        score_held_out_times(models, split.test, {"rank": rank}, noise=noise)
        for noise in (True, False)
    )
    floor = noisy["model"] == SPLIT_HALF
    assert (noisy["value"] == denoised["value"])[floor].all()
    # Cells fill all six genes; the de-noised population has two dimensions.
    assert ((noisy["value"] - denoised["value"])[~floor].round(6) == 4).all()


def test_a_model_that_saw_the_test_cells_is_refused(moving: AnnData):
    split = hold_out_times(moving, test=[1.0])
    leaky = CopyNearest().fit(moving)
    with pytest.raises(LeakageError, match="CopyNearest"):
        score_held_out_times({"leaky": [leaky]}, split.test, {"mean": mean_gap})


def test_the_reference_says_which_quantity_is_compared():
    """Half of the measurements of a cell give 0, half 200: its expression is 100."""
    rng = np.random.default_rng(0)
    genes = np.array([[0.0, 10_000.0, 0.0], [200.0, 9_800.0, 0.0]])
    obs = pd.DataFrame({"time": np.repeat([0.0, 1.0, 2.0], 200)})
    obs.index = "cell" + obs.index.astype(str)
    cells = AnnData(genes[rng.integers(2, size=600)].astype(np.float32), obs=obs)
    split = hold_out_times(cells, test=1.0)
    truth = split.test.copy()
    truth.X = np.full_like(truth.X, [100.0, 9_900.0, 0.0])
    truth.uns["value_kind"] = "expected counts"
    asked = {}

    class Knows:
        """Returns the right expected counts and the right mean log values, or cells."""

        fitted_on_ = CopyNearest().fit(split.train).fitted_on_

        def sample(self, times, n_cells, seed=0, noise=True) -> AnnData:
            asked["noise"] = noise
            obs = pd.DataFrame({"time": np.repeat(times, n_cells)}).rename(index=str)
            x = np.tile([100.0, 9_900.0, -2.0], (n_cells, 1))  # Values may fall below 0.
            layer = np.tile(np.log1p(genes).mean(0), (n_cells, 1))
            return AnnData(x, obs=obs, layers={"log1p_cp10k": layer})

    def off(x: np.ndarray, y: np.ndarray) -> float:
        return float(np.abs(x.mean(0) - y.mean(0)).max())

    def score(test: AnnData, **how: object) -> float:
        found = score_held_out_times({"it": Knows()}, test, {"off": off}, **how)
        return float(median_table(found).loc["it"].iloc[0])

    assert score(truth) == pytest.approx(0, abs=1e-5)
    assert asked["noise"] is False
    assert score(split.test, noise=False) < 0.5  # The halves have chance numbers of zeros.
    assert np.log(101) - np.log1p(genes[:, 0]).mean() > 1.9  # What the wrong one is off by.
    score(split.test)
    assert asked["noise"] is True
    del truth.uns["value_kind"]
    assert score(truth) > 1.9


class Returns:
    """A model that returns cells as they are changed by a function."""

    def __init__(self, model: CopyNearest, change: Callable[[AnnData], AnnData]) -> None:
        self.model, self.change, self.fitted_on_ = model, change, model.fitted_on_

    def sample(self, times, n_cells, seed=0, noise=True) -> AnnData:
        return self.change(self.model.sample(times, n_cells, seed, noise))


def sparse(cells: AnnData) -> AnnData:
    cells.X = csr_matrix(cells.X)
    cells.layers["log1p_cp10k"] = csr_matrix(cells.layers["log1p_cp10k"])
    return cells


def without_logs(cells: AnnData) -> AnnData:
    del cells.layers["log1p_cp10k"]
    return cells


@pytest.mark.parametrize("change", [lambda cells: cells[:, ::-1], sparse])
def test_order_of_genes_and_storage_make_no_difference(moving_counts: AnnData, change):
    split = hold_out_times(moving_counts, test=[1.0])
    model = CopyNearest().fit(split.train)
    models = {"plain": model, "changed": Returns(model, change)}
    scores = score_held_out_times(models, split.test, {"mean": mean_gap})
    table = median_table(scores)
    assert table.loc["plain"].tolist() == table.loc["changed"].tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda cells: cells[:3], "mine returned 3 cells, asked for 20"),
        (lambda cells: cells[:, 1:], "mine was not fitted on the 6 genes"),
        (without_logs, "mine returned no layers"),
    ],
)
def test_what_cannot_be_compared_is_named(moving_counts: AnnData, change, message):
    split = hold_out_times(moving_counts, test=[1.0])
    mine = Returns(CopyNearest().fit(split.train), change)
    with pytest.raises(ValueError, match=message):
        score_held_out_times({"mine": mine}, split.test, {"mean": mean_gap})


def test_names_without_functions_are_answered_with_an_example(moving_counts: AnnData):
    split = hold_out_times(moving_counts, test=[1.0])
    model = CopyNearest().fit(split.train)
    with pytest.raises(
        TypeError, match=r"metrics is a mapping .*energy_distance.*not \['energy'\]"
    ):
        score_held_out_times({"copy": model}, split.test, ["energy"])
    with pytest.raises(TypeError, match="models is a mapping of names"):
        score_held_out_times(model, split.test, {"mean": mean_gap})
