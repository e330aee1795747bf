from __future__ import annotations

import numpy as np
import pytest

from scstlib.analysis.action import least_action_path, path_action


def test_without_flow_the_way_is_straight_and_costs_distance_squared_over_time(make_flow):
    model = make_flow(lambda z, t: 0 * z, np.array([[1.0, 0.0, -2.0], [0.0, 0.0, 1.0]]))
    out = least_action_path(model, np.zeros(2), np.array([3.0, 4.0]), 0.0, 5.0, n_steps=10)
    assert out.action == pytest.approx(5.0)
    np.testing.assert_allclose(out.path.obsm["latent"][5], [1.5, 2.0], atol=1e-3)
    assert out.path.obs["action"].iloc[-1] == pytest.approx(out.action)
    np.testing.assert_allclose(out.path.obs["time"], np.linspace(0, 5, 11))
    np.testing.assert_allclose(out.path.var["change"], [3, 0, -2], atol=1e-5)


def test_with_the_flow_the_way_is_free(rotation):
    start = np.array([1.0, 0.0])
    end = rotation.flow(start[None], 0.0, [1.0])[0]
    out = least_action_path(rotation, start, end, 0.0, 1.0, n_steps=60)
    straight = path_action(rotation, np.linspace(start, end[0], 61), np.linspace(0, 1, 61))[0].sum()
    assert straight > 0.1
    assert out.action < 1e-4
    # gene0 is the first coordinate: it only falls, from 1 to 0.
    np.testing.assert_allclose(out.path.var["travel"].iloc[0], 1.0, atol=0.01)


def test_the_climb_out_of_a_well_costs_what_theory_says(make_flow):
    """From the bottom of z' = -z to a in time T: 2 a² / (1 - exp(-2T))."""
    model = make_flow(lambda z, t: -z, np.eye(1))
    out = least_action_path(model, np.zeros(1), np.array([1.5]), 0.0, 2.0, n_steps=80)
    assert out.action == pytest.approx(2 * 1.5**2 / (1 - np.exp(-4.0)), rel=2e-3)
    time = out.path.obs["time"].to_numpy()
    expected = 1.5 * np.sinh(time) / np.sinh(2.0)
    np.testing.assert_allclose(out.path.obsm["latent"][:, 0], expected, atol=0.01)


def test_the_best_action_seen_is_returned_whatever_the_optimiser_ends_on(make_flow):
    model = make_flow(lambda z, t: 0 * z, np.eye(1))

    def wander(evaluate, guess):
        for offset in (3.0, 0.5, 0.0, 7.0, 2.0):
            evaluate(guess + offset)
        return guess + 2.0

    out = least_action_path(model, np.zeros(1), np.ones(1), 0.0, 1.0, n_steps=4, optimiser=wander)
    assert len(out.trace) == 10
    assert (np.diff(out.trace) > 0).any()
    assert out.trace[-1] > out.action
    assert out.action == out.trace.min() == pytest.approx(1.0)
    np.testing.assert_allclose(out.path.obsm["latent"][:, 0], np.linspace(0, 1, 5), atol=1e-9)


def test_the_gradient_is_the_derivative_of_the_action(make_flow):
    rng = np.random.default_rng(0)
    model = make_flow(lambda z, t: np.sin(z[:, ::-1]) * (1 + t), np.eye(2))
    path, times = rng.standard_normal((5, 2)), np.array([0.0, 0.2, 0.7, 0.8, 1.5])
    gradient = path_action(model, path, times, 1e-5)[1]
    for k in np.ndindex(path.shape):
        move = np.zeros_like(path)
        move[k] = 1e-6
        ahead, behind = (path_action(model, path + s * move, times)[0].sum() for s in (1, -1))
        assert gradient[k] == pytest.approx((ahead - behind) / 2e-6, rel=1e-4, abs=1e-4)


def test_populations_stand_for_their_means(make_flow):
    model = make_flow(lambda z, t: 0 * z, np.eye(2))
    cells = np.array([[0.0, 0.0], [2.0, 0.0]])
    out = least_action_path(model, cells, cells + 1, 0.0, 1.0, n_steps=2)
    np.testing.assert_allclose(out.path.obsm["latent"][[0, -1]], [[1, 0], [2, 1]])


@pytest.mark.parametrize(
    ("end", "end_time", "n_steps", "message"),
    [
        (np.zeros(2), 1.0, 5, "dimensions"),
        (np.zeros(1), 0.0, 5, "not after"),
        (np.zeros(1), 1.0, 1, "at least 2"),
    ],
)
def test_impossible_paths_are_refused(make_flow, end, end_time, n_steps, message):
    model = make_flow(lambda z, t: z, np.eye(1))
    with pytest.raises(ValueError, match=message):
        least_action_path(model, np.zeros(1), end, 0.0, end_time, n_steps=n_steps)
