from __future__ import annotations

import numpy as np
import pytest

from scstlib.analysis.checkpoints import episodes, find_checkpoints, mean_jacobian, stretching

TIMES = [float(t) for t in range(0, 21, 2)]


def population(dims: int, seed: int = 0) -> np.ndarray:
    return 0.05 * np.random.default_rng(seed).standard_normal((200, dims))


def pitchforks(*critical: float):
    """Coordinate k turns unstable at its critical time, z' = r(t) z - z³; the last one rests."""

    def velocity(z: np.ndarray, t: float) -> np.ndarray:
        out = -0.2 * z
        for k, when in enumerate(critical):
            out[:, k] = 0.5 * np.tanh((t - when) / 0.5) * z[:, k] - z[:, k] ** 3
        return out

    return velocity


def test_the_bifurcation_of_a_pitchfork_is_found_when_it_happens(make_flow):
    model = make_flow(pitchforks(8.0), np.array([[2.0, 0.1, 0.0], [0.0, 0.0, 1.0]]))
    found = find_checkpoints(model, model.series(10 * population(2), TIMES), n_genes=2)
    assert found.n_obs == 1
    row = found.obs.iloc[0]
    assert row["time"] == pytest.approx(8.0, abs=0.6)
    assert row["time"] < row["peak"] < row["end"]
    assert row["spread"] > 2
    assert row["fold"] > 2
    assert row["genes"] == "gene0, gene1"
    np.testing.assert_allclose(np.abs(found.obsm["direction"][0]), [1, 0], atol=1e-3)
    np.testing.assert_allclose(found.X[0, 1] / found.X[0, 0], 0.05, rtol=1e-3)


def test_two_bifurcations_are_told_apart_by_time_and_by_genes(make_flow):
    model = make_flow(pitchforks(4.0, 13.0), np.eye(3))
    start = population(3) * [3, 10, 1]
    found = find_checkpoints(model, model.series(start, TIMES), n_genes=1)
    np.testing.assert_allclose(found.obs["time"], [4.0, 13.0], atol=0.6)
    assert found.obs["genes"].tolist() == ["gene0", "gene1"]


def test_a_flow_that_keeps_distances_has_no_checkpoint(rotation):
    found = find_checkpoints(rotation, rotation.series(population(2), TIMES))
    assert found.n_obs == 0
    assert found.var_names.tolist() == ["gene0", "gene1", "gene2"]
    assert "time" in found.obs


def test_the_rate_of_a_linear_flow_is_its_largest_stretch(make_flow):
    model = make_flow(lambda z, t: z @ np.array([[0.3, 0.4], [0.0, -1.0]]), np.eye(2))
    flow = stretching(model, model.series(population(2), [0.0, 1.0]), [0.0, 0.5, 1.0])
    strain = np.array([[0.3, 0.2], [0.2, -1.0]])
    np.testing.assert_allclose(flow.rate, np.linalg.eigvalsh(strain)[-1])
    assert (flow.directions @ flow.directions[0] > 0.999).all()
    np.testing.assert_allclose(
        mean_jacobian(model, population(2), 0.0), [[0.3, 0.0], [0.4, -1.0]], atol=1e-9
    )


def test_episodes_begin_and_end_at_half_the_peak():
    times = np.arange(9.0)
    rate = np.array([0.0, 0, 2, 4, 2, 0, 0, 1, 2])
    assert episodes(times, rate) == [(2.0, 3, 4.0), (7.0, 8, 8.0)]


def test_a_ripple_is_no_episode_and_a_high_valley_parts_two():
    times = np.arange(7.0)
    assert len(episodes(times, np.array([0.0, 3.9, 3.7, 4, 3.9, 2, 0]))) == 1
    # The valley between is above half of both peaks, so that each ends half the way down to it.
    (_, first, end), (onset, second, _) = episodes(times, np.array([0.0, 2, 4, 2.6, 4.2, 2, 0]))
    assert (first, second) == (2, 4)
    assert end == pytest.approx(2.5)
    assert onset == pytest.approx(3.5)
    assert episodes(times, np.full(7, -1.0)) == []
