from __future__ import annotations

import numpy as np
import pytest

from scstlib.analysis.checkpoints import (
    Stretching,
    find_checkpoints,
    find_episodes,
    mean_jacobian,
    stretching,
    two_groups,
)

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
    assert row["two_groups"] > 0.75  # as if spread evenly, or more
    assert row["genes"] == "gene0, gene1"
    np.testing.assert_allclose(np.abs(found.obsm["direction"][0]), [1, 0], atol=1e-3)
    np.testing.assert_allclose(found.X[0, 1] / found.X[0, 0], 0.05, rtol=1e-3)


def test_two_bifurcations_are_told_apart_by_time_and_by_genes(make_flow):
    model = make_flow(pitchforks(4.0, 13.0), np.eye(3))
    start = population(3) * [3, 10, 1]
    found = find_checkpoints(model, model.series(start, TIMES), n_genes=1)
    np.testing.assert_allclose(found.obs["time"], [4.0, 13.0], atol=0.6)
    assert found.obs["genes"].tolist() == ["gene0", "gene1"]


def test_the_rate_that_was_looked_at_is_kept(make_flow):
    model = make_flow(pitchforks(4.0, 13.0), np.eye(3))
    cells = model.series(population(3), TIMES)
    found = find_checkpoints(model, cells, times=[2.0, 6.0, 5.0])
    again = stretching(model, cells, [2.0, 5.0, 6.0])
    np.testing.assert_array_equal(found.uns["times"], again.times)
    np.testing.assert_array_equal(found.uns["rate"], again.rate)


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
    np.testing.assert_allclose(flow.along(np.array([0.0, 1.0])), -1.0)
    np.testing.assert_allclose(flow.along(flow.directions[1]), flow.rate)
    np.testing.assert_allclose(
        mean_jacobian(model, population(2), 0.0), [[0.3, 0.0], [0.4, -1.0]], atol=1e-9
    )


def strained(*along: list[float]) -> Stretching:
    """Coordinate k stretches at the rates ``along[k]``, at the times 0, 1, 2 and so on."""
    rates = np.array(along).T
    return Stretching(np.arange(float(len(rates))), rates[:, :, None] * np.eye(len(along)))


def test_an_episode_begins_and_ends_at_half_its_peak():
    (first, second) = find_episodes(strained([0.0, 0, 2, 4, 2, 0, 0, 1, 2]))
    assert (first.start, first.peak, first.end, first.rate) == (2.0, 3.0, 4.0, 4.0)
    assert first.fold == pytest.approx(np.exp(6.0))
    assert (second.start, second.peak, second.end) == (7.0, 8.0, 8.0)


def test_a_direction_is_followed_while_another_stretches_more():
    """The valley between the two peaks is high, and each has an onset of its own."""
    flow = strained([0.0, 1, 4, 4.2, 3, 2, 0, 0], [0.0, 0, 0, 1, 3, 3.5, 4, 1])
    first, second = find_episodes(flow)
    np.testing.assert_allclose(np.abs(first.direction), [1, 0])
    np.testing.assert_allclose(np.abs(second.direction), [0, 1])
    assert first.start == pytest.approx(1 + 1.1 / 3)
    assert (second.start, second.peak) == (3.5, 6.0)


def test_a_ripple_is_no_episode_and_contraction_is_none():
    assert len(find_episodes(strained([0.0, 3.9, 3.7, 4, 3.9, 2, 0]))) == 1
    assert len(find_episodes(strained([0.0, 3.9, 2.5, 4, 3.9, 2, 0]))) == 1  # still above half
    assert len(find_episodes(strained([0.0, 3.9, 1.5, 4, 3.9, 2, 0]))) == 2
    assert find_episodes(strained([-1.0] * 7)) == []


def test_two_groups_are_told_from_one():
    rng = np.random.default_rng(0)
    normal = rng.standard_normal(20_000)
    assert two_groups(normal) == pytest.approx(2 / np.pi, abs=0.01)
    assert two_groups(np.array([0.0, 0, 5, 5, 5])) == pytest.approx(1.0)
    assert two_groups(normal + 10 * (normal > 1)) > 0.9
    assert two_groups(np.ones(4)) == 0.0
