"""Cells of a fitted model: measured cells at any time in its latent space, and back as AnnData."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scstlib.preprocess.cells import measured_time

if TYPE_CHECKING:
    from anndata import AnnData

    from scstlib.models.temporal.protocol import LatentFlow


def cells_by_time(model: LatentFlow, adata: AnnData) -> Iterator[tuple[float, np.ndarray]]:
    """Yield each measured time of ``adata`` with the rows of its cells, in order of time.

    Raises
    ------
    ValueError
        If the column of times is missing or does not hold numbers.
    """
    time = measured_time(adata, model.time_key_, min_times=1)
    for value in np.unique(time):
        yield float(value), np.flatnonzero(time == value)


class Populations:
    """Measured cells in latent space, which can be seen at any time from the first measured one on.

    Parameters
    ----------
    model : LatentFlow
    adata : AnnData
        Cells with the fitted genes and a time each.
    max_cells : int, optional
        Most cells of a time that are kept, evenly spread over its rows.

    Attributes
    ----------
    times : list of float
        Measured times, ascending.
    latent : numpy.ndarray, shape (n_cells, latent)
        All cells of ``adata``, those above ``max_cells`` too.
    """

    def __init__(self, model: LatentFlow, adata: AnnData, max_cells: int | None = None) -> None:
        self.latent = latent = model.encode(adata)
        self._model = model
        self._measured: dict[float, tuple[np.ndarray, np.ndarray]] = {}
        for time, rows in cells_by_time(model, adata):
            if max_cells is not None and len(rows) > max_cells:
                rows = rows[np.linspace(0, len(rows) - 1, max_cells).astype(int)]
            self._measured[time] = latent[rows], adata.obs_names[rows].to_numpy()
        self.times = list(self._measured)

    def at(self, time: float) -> np.ndarray:
        """Return cells (n, latent) at ``time``: measured then, or flown there from the time before.

        Raises
        ------
        ValueError
            If all cells are measured after ``time``.
        """
        before = self._before(time)
        latent = self._measured[before][0]
        return latent if before == time else self._model.flow(latent, before, [time])[0]

    def names_at(self, time: float) -> np.ndarray:
        """Return the names of the cells of :meth:`at`, shape (n,)."""
        return self._measured[self._before(time)][1]

    def _before(self, time: float) -> float:
        before = [measured for measured in self.times if measured <= time]
        if not before:
            raise ValueError(
                f"no cell is measured at or before time {time:g}; the earliest are from"
                f" {self.times[0]:g}."
            )
        return before[-1]


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
