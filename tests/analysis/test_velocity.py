from __future__ import annotations

import numpy as np
import pytest

from scstlib.analysis.velocity import add_velocity, gene_velocity, principal_axes, velocity_grid


def test_each_cell_moves_as_at_its_own_time(make_flow):
    model = make_flow(lambda z, t: np.full_like(z, t), np.array([[1.0, 0.0], [0.0, 2.0]]))
    cells = model.cells(np.zeros((3, 2)), np.array([1.0, 5.0, 1.0]))
    out = add_velocity(model, cells)
    np.testing.assert_allclose(out.obsm["velocity_latent"], [[1, 1], [5, 5], [1, 1]])
    # The second gene counts the second coordinate twice.
    np.testing.assert_allclose(out.layers["velocity"], [[1, 2], [5, 10], [1, 2]], rtol=1e-6)
    assert "velocity" not in cells.layers


def test_gene_velocity_is_the_derivative_of_the_decoder_whatever_the_speed(make_flow):
    model = make_flow(lambda z, t: z, np.ones((1, 1)))
    model.decode = lambda latent: np.exp(latent)
    z = np.array([[0.0], [1.0], [0.5]])
    speed = np.array([[1e-6], [1e4], [0.0]])
    np.testing.assert_allclose(gene_velocity(model, z, speed), np.exp(z) * speed, rtol=1e-4)


def test_other_genes_are_refused(rotation):
    cells = rotation.cells(np.zeros((2, 2)), 0.0)[:, ::-1].copy()
    with pytest.raises(ValueError, match="not the fitted ones"):
        add_velocity(rotation, cells)


def test_grid_of_a_rotation_turns_about_the_centre_and_is_empty_where_no_cells_are(rotation):
    rng = np.random.default_rng(0)
    z = rng.standard_normal((4000, 2))
    z = z[np.linalg.norm(z, axis=1) > 1.0]
    positions, velocities = velocity_grid(z, rotation.velocity(z, 0.0), np.eye(2), n_points=21)
    assert positions.shape == velocities.shape == (21, 21, 2)
    assert positions[3, 0, 1] == positions[3, 9, 1]  # a row has one second coordinate
    filled = np.isfinite(velocities[..., 0])
    assert not filled[0, 0]
    assert 100 < filled.sum() < 441
    far = filled & (np.linalg.norm(positions, axis=2) > 1.2) & (np.abs(positions) < 2).all(axis=2)
    x, v = positions[far], velocities[far]
    turn = (x[:, 0] * v[:, 1] - x[:, 1] * v[:, 0]) / (x**2).sum(axis=1)
    np.testing.assert_allclose(turn, np.pi / 2, rtol=0.25)


def test_axes_must_fit(rotation):
    z = np.zeros((3, 2))
    with pytest.raises(ValueError, match=r"\(3, 2\)"):
        velocity_grid(z, z, np.zeros((3, 2)))


def test_principal_axes_are_where_cells_spread():
    z = np.random.default_rng(0).standard_normal((500, 4)) * [0.1, 1.0, 0.1, 5.0]
    np.testing.assert_allclose(np.abs(principal_axes(z)), np.eye(4)[:, [3, 1]], atol=0.1)
    with pytest.raises(ValueError, match="two latent dimensions"):
        principal_axes(z[:, :1])
