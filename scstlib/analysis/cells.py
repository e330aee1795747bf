"""Cells of a fitted model: measured cells at any time in its latent space, and back as AnnData."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scstlib.models.protocol import measured_time

if TYPE_CHECKING:
    from anndata import AnnData

    from scstlib.models.latent_flow import LatentFlow


def cells_by_time(model: LatentFlow, adata: AnnData) -> Iterator[tuple[float, np.ndarray]]:
    """Yield each measured time of ``adata`` with the rows of its cells, in order of time.

    Raises
    ------
    KeyError, ValueError
        If the column of times is missing or does not hold numbers.
    """
    time = measured_time(adata, model.time_key_, min_times=1)
    for value in np.unique(time):
        yield float(value), np.flatnonzero(time == value)


def latent_at(
    model: LatentFlow, adata: AnnData, time: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return cells as they are at ``time``: measured then, or flown there from the time before.

    Returns
    -------
    latent : numpy.ndarray, shape (n, latent)
    names : numpy.ndarray, shape (n,)
        Names of the measured cells.
    rows : numpy.ndarray, shape (n,)
        Their rows in ``adata``.

    Raises
    ------
    ValueError
        If all cells are measured after ``time``.
    """
    measured = dict(cells_by_time(model, adata))
    before = [value for value in measured if value <= time]
    if not before:
        raise ValueError(
            f"no cell is measured at or before time {time:g}; the earliest are from"
            f" {min(measured):g}."
        )
    rows = measured[max(before)]
    latent = model.encode(adata[rows])
    if max(before) < time:
        latent = model.flow(latent, max(before), [time])[0]
    return latent, adata.obs_names[rows].to_numpy(), rows


def decoded(
    model: LatentFlow,
    latent: np.ndarray,
    obs: Mapping[str, Any],
    names: Sequence[str] | np.ndarray | None = None,
) -> AnnData:
    """Return positions in latent space (n, latent) as AnnData.

    ``X`` holds the decoded values (n, genes), float32; ``obsm["latent"]`` the positions.
    """
    import pandas as pd
    from anndata import AnnData

    index = np.arange(len(latent)).astype(str) if names is None else np.asarray(names, dtype=str)
    return AnnData(
        model.decode(latent).astype(np.float32),
        obs=pd.DataFrame(dict(obs), index=index),
        var=pd.DataFrame(index=list(model.genes)),
        obsm={"latent": np.asarray(latent)},
    )


def gene_direction(
    model: LatentFlow, latent: np.ndarray, direction: np.ndarray, step: float
) -> np.ndarray:
    """Return the change of each gene along a direction in latent space, by central differences.

    Parameters
    ----------
    latent : numpy.ndarray, shape (n, latent)
        Where.
    direction : numpy.ndarray, shape (latent,) or (n, latent)
        Which way.
    step : float
        Multiple of ``direction`` that is gone to either side.

    Returns
    -------
    numpy.ndarray, shape (n, genes)
        Values per unit of ``direction``.
    """
    ahead = model.decode(latent + step * direction)
    behind = model.decode(latent - step * direction)
    return np.asarray((ahead - behind) / (2.0 * step))


def top_genes(genes: Sequence[str], change: np.ndarray, n_genes: int) -> list[str]:
    """Return the ``n_genes`` genes of largest absolute ``change`` (genes,), the largest first."""
    order = np.argsort(-np.abs(change), kind="stable")[:n_genes]
    return [genes[k] for k in order]


def latent_scale(latent: np.ndarray) -> float:
    """Return the root mean square distance of ``latent`` (n, latent) from its mean, per axis."""
    scale = float(np.sqrt(np.mean((latent - latent.mean(axis=0)) ** 2)))
    return scale if scale > 0 else 1.0
