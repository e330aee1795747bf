from __future__ import annotations

import numpy as np
import pytest

from scstlib.analysis.trajectories import (
    fate_probabilities,
    fate_shares,
    fit_fate_classifier,
    simulate_trajectories,
)


def labelled(fork):
    """Cells at the two ends of the fork and between, labelled by the side; two without label."""
    z = np.stack([np.linspace(-1.2, 1.2, 41), np.zeros(41)], axis=1)
    cells = fork.cells(z, 10.0)
    cells.obs["fate"] = np.where(z[:, 0] > 0, "up", "down")
    cells.obs.loc[cells.obs_names[:2], "fate"] = None
    return cells


def test_the_same_cells_are_seen_at_many_times_from_their_own_start(rotation):
    start = rotation.cells(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([0.0, 1.0]))
    out = simulate_trajectories(rotation, start, [2.0, 1.0])
    assert out.obs["cell"].tolist() == ["cell0", "cell1"] * 2
    assert out.obs["time"].tolist() == [2.0, 2.0, 1.0, 1.0]
    assert out.obs["start_time"].tolist() == [0.0, 1.0] * 2
    np.testing.assert_allclose(out.obsm["latent"], [[-1, 0], [0, 1], [0, 1], [1, 0]], atol=1e-6)
    np.testing.assert_allclose(out[:, "gene2"].X[:, 0], [-1, 1, 1, 1], atol=1e-6)
    assert out.obs_names.is_unique


def test_times_must_be_numbers(rotation):
    with pytest.raises(ValueError, match="finite"):
        simulate_trajectories(rotation, rotation.cells(np.zeros((1, 2)), 0.0), [])


def test_cells_reach_the_fate_on_their_side(fork):
    classifier = fit_fate_classifier(fork, labelled(fork), "fate", n_neighbors=5)
    cells = fork.cells(np.array([[0.05, 0.0], [-0.05, 0.0]]), np.array([0.0, 3.0]))
    now = fate_probabilities(fork, cells, classifier, 3.0)
    later = fate_probabilities(fork, cells, classifier, 12.0)
    assert later.loc["cell0"].to_dict() == {"down": 0.0, "up": 1.0}
    assert later.loc["cell1"].to_dict() == {"down": 1.0, "up": 0.0}
    assert 0 < now.loc["cell1", "up"] < 1  # it has not moved yet
    np.testing.assert_allclose(now.sum(axis=1), 1.0)


def test_jitter_leaves_cells_at_the_ridge_undecided_and_others_not(fork):
    classifier = fit_fate_classifier(fork, labelled(fork), "fate", n_neighbors=5)
    z = np.stack([np.array([0.0, 0.5, -0.5, 0.5, -0.5]), np.zeros(5)], axis=1)
    table = fate_probabilities(
        fork, fork.cells(z, 0.0), classifier, 8.0, n_draws=60, jitter=0.3, seed=1
    )
    assert abs(table.loc["cell0", "up"] - 0.5) < 0.2
    assert table.loc["cell1", "up"] > 0.95
    np.testing.assert_allclose(table.sum(axis=1), 1.0)
    again = fate_probabilities(
        fork, fork.cells(z, 0.0), classifier, 8.0, n_draws=60, jitter=0.3, seed=1
    )
    assert table.equals(again)


def test_shares_are_counted_at_each_time(fork):
    classifier = fit_fate_classifier(fork, labelled(fork), "fate", n_neighbors=3)
    z = np.stack([np.array([1.0, 1.0, 1.0, -1.0, 1.0, -1.0]), np.zeros(6)], axis=1)
    shares = fate_shares(fork, fork.cells(z, np.array([7.0, 7, 7, 7, 2, 2])), classifier)
    assert shares["up"].to_dict() == {2.0: 0.5, 7.0: 0.75}
    assert shares.index.name == "time"


def test_what_cannot_be_classified_is_refused(fork):
    cells = labelled(fork)
    with pytest.raises(KeyError, match="no column 'type'"):
        fit_fate_classifier(fork, cells, "type")
    with pytest.raises(ValueError, match="two or more"):
        fit_fate_classifier(fork, cells[cells.obs["fate"] == "up"].copy(), "fate")
    classifier = fit_fate_classifier(fork, cells, "fate")
    with pytest.raises(ValueError, match="jitter"):
        fate_probabilities(fork, cells, classifier, 12.0, jitter=-1)
