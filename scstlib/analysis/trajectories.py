"""Where cells go: the same cells at many times, and the fates that they reach.

A flow without noise takes each cell to one end. What makes fates *probabilities* here is the
classifier, which knows that places in latent space are shared by cells of several labels, and, when
it is asked for, a small spread of the starts. Tables of several models (an ensemble over seeds) are
averaged as they are: ``sum(tables) / len(tables)`` adds up to 1 again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scstlib.analysis.cells import cells_by_time, decoded

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from scstlib.models.temporal.protocol import LatentFlow


def simulate_trajectories(model: LatentFlow, adata: AnnData, times: Sequence[float]) -> AnnData:
    """Follow the same cells through many times.

    Parameters
    ----------
    model : LatentFlow
    adata : AnnData
        Cells to start from, each at its own measured time.
    times : sequence of float
        When to look, before or after the start, in any order.

    Returns
    -------
    AnnData
        One row for each time and cell, times in the order given. ``X``: decoded values;
        ``obsm["latent"]``; ``obs``: the time, ``cell`` (name of the start cell) and ``start_time``.

    Raises
    ------
    ValueError
        If ``times`` is empty or not finite, or genes are not the fitted ones.
    """
    wanted = np.atleast_1d(np.asarray(times, dtype=float))
    if wanted.size == 0 or not np.isfinite(wanted).all():
        raise ValueError(f"times must be one or more finite numbers, not {times!r}.")
    latent = model.encode(adata)
    paths = np.empty((len(wanted), *latent.shape))
    start = np.empty(len(latent))
    for time, rows in cells_by_time(model, adata):
        paths[:, rows] = model.flow(latent[rows], time, wanted.tolist())
        start[rows] = time
    cell = np.tile(adata.obs_names.to_numpy(), len(wanted))
    at = np.repeat(wanted, len(latent))
    return decoded(
        model,
        paths.reshape(len(at), -1),
        {model.time_key_: at, "cell": cell, "start_time": np.tile(start, len(wanted))},
        [f"{name}@{t:g}" for name, t in zip(cell, at, strict=True)],
    )


@dataclass(frozen=True)
class FateClassifier:
    """Reads fates off places in the latent space of one model; see :func:`fit_fate_classifier`.

    ``fates`` are its classes, in the order of the columns of :meth:`probabilities`.
    """

    fates: tuple[str, ...]
    neighbors: Any

    def probabilities(self, latent: np.ndarray) -> np.ndarray:
        """Return the share (n, fates) of each fate among the nearest labelled cells."""
        return np.asarray(self.neighbors.predict_proba(latent))


def fit_fate_classifier(
    model: LatentFlow, adata: AnnData, label: str, *, n_neighbors: int = 30
) -> FateClassifier:
    """Learn to tell fates from labelled cells: k nearest neighbours in latent space.

    Parameters
    ----------
    adata : AnnData
        Training cells. Cells whose label is missing are left out.
    label : str
        Column of ``adata.obs``.
    n_neighbors : int
        Never more than there are labelled cells.

    Raises
    ------
    KeyError
        If there is no column ``label``.
    ValueError
        If fewer than two labels occur.
    """
    from sklearn.neighbors import KNeighborsClassifier

    if label not in adata.obs:
        raise KeyError(f"adata.obs has no column {label!r}; it has {list(adata.obs.columns)}.")
    known = adata.obs[label].notna().to_numpy()
    labels = adata.obs[label].to_numpy()[known].astype(str)
    if len(np.unique(labels)) < 2:
        raise ValueError(
            f"adata.obs[{label!r}] holds the labels {np.unique(labels).tolist()}; a classifier"
            " needs two or more."
        )
    nearest = KNeighborsClassifier(min(n_neighbors, len(labels)))
    nearest.fit(model.encode(adata[known]), labels)
    return FateClassifier(tuple(str(name) for name in nearest.classes_), nearest)


def fate_probabilities(
    model: LatentFlow,
    adata: AnnData,
    classifier: FateClassifier,
    until: float,
    *,
    n_draws: int = 1,
    jitter: float = 0.0,
    seed: int = 0,
) -> pd.DataFrame:
    """Fly each cell from its own time to ``until`` and read its fate there.

    Parameters
    ----------
    until : float
        When the fate is read.
    n_draws : int
        Starts per cell, over which probabilities are averaged.
    jitter : float
        Standard deviation of the starts about the cell, along each latent axis in units of the
        standard deviation of the cells of that time. It stands for what was measured inexactly and
        for the noise that the flow leaves out.

    Returns
    -------
    pandas.DataFrame, shape (n_cells, n_fates)
        Each row adds up to 1.

    Raises
    ------
    ValueError
        If ``n_draws`` is below 1 or ``jitter`` is negative.
    """
    import pandas as pd

    if n_draws < 1 or jitter < 0:
        raise ValueError(
            f"n_draws is {n_draws} and jitter {jitter}; give at least 1 and at least 0."
        )
    rng = np.random.default_rng(seed)
    latent = model.encode(adata)
    out = np.zeros((len(latent), len(classifier.fates)))
    for time, rows in cells_by_time(model, adata):
        width = jitter * latent[rows].std(axis=0)
        for _ in range(n_draws):
            start = latent[rows] + width * rng.standard_normal(latent[rows].shape)
            end = model.flow(start, time, [until])[0]
            out[rows] += classifier.probabilities(end) / n_draws
    return pd.DataFrame(out, index=adata.obs_names, columns=list(classifier.fates))


def fate_shares(model: LatentFlow, adata: AnnData, classifier: FateClassifier) -> pd.DataFrame:
    """Return the share of each fate among the cells of each time (times × fates).

    ``adata`` holds measured cells, or cells of ``model.sample``. Shares of classes that the
    classifier confuses are drawn towards one another; rows add up to 1.
    """
    import pandas as pd

    latent = model.encode(adata)
    rows = {
        time: classifier.probabilities(latent[cells]).mean(axis=0)
        for time, cells in cells_by_time(model, adata)
    }
    table = pd.DataFrame.from_dict(rows, orient="index", columns=list(classifier.fates))
    return table.rename_axis(index=model.time_key_)
