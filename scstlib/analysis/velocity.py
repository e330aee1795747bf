"""Velocity of cells, in latent space and gene by gene, and on a grid for a stream plot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scstlib.analysis.cells import cells_by_time, gene_direction, latent_scale

if TYPE_CHECKING:
    from anndata import AnnData

    from scstlib.models.temporal.protocol import LatentFlow

#: A cell is moved by this share of the spread of the cells to see how its genes change.
STEP = 0.01


def add_velocity(model: LatentFlow, adata: AnnData) -> AnnData:
    """Return the cells with their velocities, each at its own time.

    Parameters
    ----------
    model : LatentFlow
    adata : AnnData
        Cells with the fitted genes and a time each.

    Returns
    -------
    AnnData
        A copy of ``adata`` with ``obsm["latent"]`` and ``obsm["velocity_latent"]`` (n, latent), per
        unit of time, and ``layers["velocity"]`` (n, genes), float32: the change of the decoded
        values per unit of time, which is the derivative of the decoder in the direction of the
        latent velocity.

    Raises
    ------
    ValueError
        If times are missing or not numbers, or genes are not the fitted ones.
    """
    latent = model.encode(adata)
    velocity = np.zeros_like(latent)
    for time, rows in cells_by_time(model, adata):
        velocity[rows] = model.velocity(latent[rows], time)
    out = adata.copy()
    out.obsm["latent"], out.obsm["velocity_latent"] = latent, velocity
    out.layers["velocity"] = gene_velocity(model, latent, velocity).astype(np.float32)
    return out


def gene_velocity(model: LatentFlow, latent: np.ndarray, velocity: np.ndarray) -> np.ndarray:
    """Return d decode(z) / dt (n, genes) of cells at ``latent`` that move with ``velocity``.

    Both are (n, latent). Central differences; the length of the step is the same for fast and slow
    cells, so that rounding in the decoder is as small for both.
    """
    speed = np.linalg.norm(velocity, axis=1, keepdims=True)
    unit = np.divide(velocity, speed, out=np.zeros_like(velocity), where=speed > 0)
    velocities: np.ndarray = (
        gene_direction(model, latent, unit, STEP * latent_scale(latent)) * speed
    )
    return velocities


def principal_axes(latent: np.ndarray) -> np.ndarray:
    """Return the two directions (latent, 2) along which ``latent`` (n, latent) spreads most.

    Unit vectors; the largest entry of each is positive.

    Raises
    ------
    ValueError
        If the latent space has fewer than two dimensions.
    """
    if latent.shape[1] < 2:
        raise ValueError(f"a plane needs two latent dimensions; there is {latent.shape[1]}.")
    axes = np.linalg.svd(latent - latent.mean(axis=0), full_matrices=False)[2][:2].T
    largest = np.abs(axes).argmax(axis=0)
    return np.asarray(axes * np.sign(axes[largest, [0, 1]]))


def velocity_grid(
    latent: np.ndarray,
    velocity: np.ndarray,
    axes: np.ndarray,
    *,
    n_points: int = 25,
    bandwidth: float = 0.06,
    min_cells: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean velocity of the cells around each point of a grid in a plane.

    Parameters
    ----------
    latent, velocity : numpy.ndarray, shape (n, latent)
        As of :func:`add_velocity`. Cells of different times may lie at one place and move
        differently: the grid holds their mean.
    axes : numpy.ndarray, shape (latent, 2)
        Directions of the plane, such as :func:`principal_axes`.
    n_points : int
        Points along each side.
    bandwidth : float
        Width of the Gaussian window, as a share of each side of the grid.
    min_cells : float
        Sum of the weights of the cells below which a point is left empty.

    Returns
    -------
    positions : numpy.ndarray, shape (n_points, n_points, 2)
        ``positions[i, j]`` is the point in row i (second coordinate) and column j (first one).
    velocities : numpy.ndarray, shape (n_points, n_points, 2)
        NaN where there are too few cells.

    Raises
    ------
    ValueError
        If ``axes`` does not have two columns with one entry per latent dimension.
    """
    if axes.shape != (latent.shape[1], 2):
        raise ValueError(f"axes has shape {axes.shape}; it must be {(latent.shape[1], 2)}.")
    places, moves = latent @ axes, velocity @ axes
    low, high = places.min(axis=0), places.max(axis=0)
    side = np.where(high > low, high - low, 1.0)
    lines = [np.linspace(low[k], low[k] + side[k], n_points) for k in (0, 1)]
    positions = np.stack(np.meshgrid(*lines), axis=-1)
    apart = (positions.reshape(-1, 1, 2) - places) / (bandwidth * side)
    weight = np.exp(-0.5 * (apart**2).sum(axis=2))
    total = weight.sum(axis=1, keepdims=True)
    mean = weight @ moves / np.maximum(total, np.finfo(float).tiny)
    velocities = np.where(total >= min_cells, mean, np.nan)
    return positions, velocities.reshape(positions.shape)
