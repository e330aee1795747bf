"""What Gaussian processes, trees and flow matching predict where the answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from anndata import AnnData
from numpy.testing import assert_allclose

from scstlib.models.temporal import (
    DisplacementTrees,
    FlowMatching,
    GeneGaussianProcess,
    LatentGaussianProcess,
    PathGaussianProcess,
)
from scstlib.models.temporal.transport import coupling
from tests.conftest import series

TIMES = [0.0, 1.0, 2.0, 3.0, 4.0]
LEARNED = {
    "paths": lambda: PathGaussianProcess(2),
    "forest": lambda: DisplacementTrees("forest", 2, n_trees=20),
    "boosting": lambda: DisplacementTrees("boosting", 2, n_trees=20),
    "flow": lambda: FlowMatching(2, matching_steps=150),
}


@pytest.fixture
def parting() -> AnnData:
    """Two fates, at plus and minus 5 in gene 0, that go up and down in gene 1."""
    cells = series(TIMES, n_cells=40)
    rng = np.random.default_rng(0)
    fate = np.tile([1.0, -1.0], cells.n_obs // 2)
    cells.X = 0.3 * rng.standard_normal(cells.shape).astype(np.float32)
    cells.X[:, 0] += 5 * fate
    cells.X[:, 1] += fate * cells.obs["time"].to_numpy()
    return cells


@pytest.mark.parametrize("name", LEARNED)
def test_fates_go_their_own_ways_and_cells_keep_their_residuals(name: str, parting: AnnData):
    held_out = parting.obs["time"] == 2.0
    fitted = LEARNED[name]().fit(parting[~held_out].copy())
    cells, line = (fitted.sample([2.0], 400, noise=noise).X for noise in (True, False))
    for X, fate in ((cells, 1), (cells, -1), (line, 1), (line, -1)):
        own = X[X[:, 0] * fate > 0]
        assert len(own) > 100
        assert_allclose(own[:, :2].mean(0), [5.0 * fate, 2.0 * fate], atol=0.5)
    assert_allclose(cells.std(0)[2:], 0.3, rtol=0.25)
    assert line.std(0)[2:].max() < 0.1


@pytest.mark.parametrize("name", ["forest", "boosting"])
def test_trees_repeat_the_outermost_time_outside(name: str, parting: AnnData):
    fitted = LEARNED[name]().fit(parting)
    for asked, edge in ((9.0, 4.0), (-3.0, 0.0)):
        measured = parting[parting.obs["time"] == edge].X
        sampled = fitted.sample([asked], 20).X
        assert all((np.abs(row - measured).max(1) < 1e-5).any() for row in sampled)


def test_a_flow_goes_on_beyond_the_last_time(parting: AnnData):
    later = LEARNED["flow"]().fit(parting).sample([5.0], 200).X
    assert later[later[:, 0] > 0, 1].mean() > 4.5


def test_a_saved_flow_is_read_without_training(parting: AnnData, tmp_path: Path, monkeypatch):
    fitted = LEARNED["flow"]().fit(parting)
    fitted.save(tmp_path / "flow")
    monkeypatch.setattr(FlowMatching, "_learn_moves", None)
    again = FlowMatching.load(tmp_path / "flow", device="cpu")
    assert_allclose(again.sample([1.5], 9).X, fitted.sample([1.5], 9).X)
    assert_allclose(again.losses_["matching"], fitted.losses_["matching"])


def test_growth_of_a_flow_follows_the_fate_that_multiplies():
    cells = series([0.0, 1.0], n_cells=100)
    cells.X = np.random.default_rng(0).normal(size=cells.shape).astype(np.float32) * 0.1
    many = np.r_[np.arange(100) < 10, np.arange(100) < 50]
    cells.X[:, 0] += np.where(many, 5, -5)
    cells.X[100:150, 1] += 2
    shares = []
    for growth in (None, 0.1):
        fitted = FlowMatching(2, growth=growth, matching_steps=150).fit(cells)
        x = fitted.sample([0.5], 2000).X[:, 0]
        shares.append(float((np.abs(x) < 3).mean()))
    # Without growth cells change sides and stand between them on the way.
    assert shares[1] < 0.03 < 0.15 < shares[0]
    # Forwards 0.1 * 5**.5 of 0.1 * 5**.5 + 0.9 * (5/9)**.5; backwards the same from 0.5.
    assert (x > 0).mean() == pytest.approx(0.25, abs=0.04)


@pytest.mark.parametrize(("pseudotime", "least"), [(None, -1.0), (1.0, 0.6)])
def test_pairs_keep_their_order_on_a_path_that_turns_back(pseudotime, least):
    """Where a path comes back near to itself, place alone pairs late cells with early ones."""
    cells = series([0.0, 1.0, 2.0], n_cells=80)
    along = np.tile(np.linspace(0, 2, 80), 3) + cells.obs["time"].to_numpy()
    cells.X = np.random.default_rng(0).normal(size=cells.shape).astype(np.float32) * 0.01
    cells.X[:, 0] += np.where(along < 2, along, 4 - along)
    cells.X[:, 1] += np.where(along < 2, 0.0, 0.5)
    fitted = FlowMatching(2, matching_steps=1, pseudotime=pseudotime).fit(cells)
    later = coupling(*fitted.paired_by_[:2]).argmax(axis=1)
    order = np.corrcoef(along[:80], along[80:160][later])[0, 1]
    assert order > least
    assert pseudotime or order < 0.2


def test_a_latent_process_learns_a_population_in_between(tmp_path: Path, monkeypatch):
    """A ring that widens: no Gaussian population, and none that was measured."""
    cells = series([0.0, 1.0, 2.0, 3.0, 4.0], n_cells=150)
    rng = np.random.default_rng(0)
    angle, radius = rng.uniform(0, 2 * np.pi, 750), 2 + cells.obs["time"].to_numpy() / 2
    cells.X = 0.1 * rng.standard_normal(cells.shape).astype(np.float32)
    cells.X[:, :2] += np.column_stack([np.cos(angle), np.sin(angle)]) * radius[:, None]
    train = cells[cells.obs["time"] != 2.0].copy()
    inside = {}
    for steps in (1, 300):
        fitted = LatentGaussianProcess(2, alignment_steps=steps).fit(train)
        found = np.linalg.norm(fitted.sample([2.0], 500, noise=False).X[:, :2], axis=1)
        inside[steps] = (found < 2).mean()
        assert np.sqrt((found**2).mean()) == pytest.approx(3, rel=0.1)
    assert inside[300] < 0.22 < 0.3 < inside[1]  # 0.36 of a Gaussian population
    assert_allclose(fitted.sample([2.0], 500).X.std(0)[2:], 0.1, rtol=0.25)
    far = fitted.sample([60.0, -50.0], 500, noise=False).X[:, :2]
    assert np.sqrt((far**2).sum(1).mean()) == pytest.approx(3, rel=0.25)
    fitted.save(tmp_path / "model")
    monkeypatch.setattr(LatentGaussianProcess, "_learn_moves", None)  # Read without training.
    again = LatentGaussianProcess.load(tmp_path / "model", device="cpu")
    assert_allclose(again.sample([2.5], 9).X, fitted.sample([2.5], 9).X)


def test_a_gene_process_follows_means_and_spreads():
    times = np.arange(9.0)
    cells = series(list(times), n_cells=60)
    time = cells.obs["time"].to_numpy()
    noise = np.random.default_rng(0).standard_normal(cells.shape)
    noise -= np.array([noise[time == t].mean(0) for t in times])[time.astype(int)]
    cells.X = (np.sin(time / 2)[:, None] + noise * (0.2 + 0.1 * time)[:, None]).astype(np.float32)
    fitted = GeneGaussianProcess().fit(cells[time != 4.0].copy())
    sampled = fitted.sample([4.0], 60).X
    assert_allclose(sampled.mean(0), np.sin(2.0), atol=0.1)
    assert_allclose(sampled.std(0), 0.6, rtol=0.4)
    mean, deviation = fitted.gene_means([4.0, 40.0])
    assert_allclose(mean[1], cells.X[time != 4.0].mean(0), atol=0.1)
    assert (deviation[1] > 4 * deviation[0]).all()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: DisplacementTrees("trees"), "kind must be one of"),
        (lambda: DisplacementTrees(n_trees=0), "n_trees"),
        (lambda: FlowMatching(growth=-1), "growth"),
        (lambda: FlowMatching(pseudotime=0), "pseudotime"),
        (lambda: LatentGaussianProcess(prior=-1), "prior"),
        (lambda: FlowMatching(hidden="64"), "hidden must be a list"),
        (lambda: PathGaussianProcess(99).fit(series(TIMES)), "n_components must be 1 to 6 here"),
    ],
)
def test_settings_out_of_range_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
