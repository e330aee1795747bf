"""Temporal models of this package as methods of scTimeBench (``pip install sctimebench``).

scTimeBench (Osakwe et al. 2026, https://doi.org/10.64898/2026.03.16.712069; written for 0.1.2)
starts a script for each method and data set. That of one of our models is::

    from scTimeBench.method_utils.method_runner import main

    from scstlib.interop.sctimebench import as_method
    from scstlib.models import ScNODE

    main(as_method(lambda times: ScNODE()))

The package is imported when :func:`as_method` is called.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
from anndata import AnnData

from scstlib.models.temporal.moved_cells import Components
from scstlib.models.temporal.protocol import LatentFlow, TemporalModel
from scstlib.preprocess.cells import CellReader

TIME = "scTimeBench_timepoint"  # Its column of measured times.
MOST_COMPONENTS = 50  # As in its own methods of optimal transport.


class Answers:
    """What scTimeBench asks of a method, answered by a temporal model.

    It trains on some times, and asks from the cells of each other time for as many of the next of
    those. A model of ours draws a population from what it was trained on, so that the row of a
    predicted cell says nothing of what became of the cell in that row. With ``follow`` a model
    with a latent space moves each given cell: cells of times that were held out then enter the
    prediction, as in the published table.

    Parameters
    ----------
    new : function
        Takes all times of the series, those held out too, and returns a model that is not fitted.
    noise : bool or "depth"
        As for ``sample`` of the model. A followed cell has no noise.
    follow : bool
    seed : int
        Draws the cells.

    Raises
    ------
    ValueError
        By ``train``, if cells of counts, or by a model without latent space, are to be followed.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from anndata import AnnData
    >>> from scstlib.models.temporal import CopyNearest
    >>> def cells(times):
    ...     obs = pd.DataFrame({TIME: np.repeat(times, 2)}).rename(index=str)
    ...     return AnnData(np.tile(obs[[TIME]].to_numpy(float) + 0.5, (1, 3)), obs=obs)
    >>> method = Answers(lambda times: CopyNearest())
    >>> method.train(cells([0.0, 2.0]), all_tps=[0.0, 1.5, 2.0])
    >>> method.generate_next_tp_gex(cells([0.0, 1.5]))[:, 0].tolist()
    [2.5, 2.5, nan, nan]
    """

    def __init__(
        self,
        new: Callable[[list[float]], TemporalModel],
        *,
        noise: bool | Literal["depth"] = True,
        follow: bool = False,
        seed: int = 0,
    ) -> None:
        self.new, self.noise, self.follow, self.seed = new, noise, follow, seed

    def train(self, ann_data: AnnData, all_tps: Sequence[float] | None = None) -> None:
        """Fit a new model to the training cells."""
        times = ann_data.obs[TIME] if all_tps is None else all_tps
        self.model = self.new(sorted({float(time) for time in times}))
        reader = CellReader(ann_data, TIME)
        if self.follow and not hasattr(self.model, "flow"):
            raise ValueError(f"{self.model!r} has no latent space: set follow=False")
        if self.follow and reader.holds_counts:
            raise ValueError("cells of counts cannot be followed: take LogNormPreprocessor first")
        self.model.fit(ann_data, TIME)
        if not hasattr(self.model, "encode"):
            values = np.concatenate([values for _, values in reader.chunks()])
            n_components = min(MOST_COMPONENTS, *values.shape)
            self._components = Components.fit(values, n_components, self.seed)

    def generate_next_tp_gex(self, test_ann_data: AnnData) -> np.ndarray:
        """Return cells of the next test time (n_cells, n_genes); NaN at the last time."""
        time = test_ann_data.obs[TIME].to_numpy(float)
        found = np.full(test_ann_data.shape, np.nan)
        for now, after in pairwise(np.unique(time)):
            rows = np.flatnonzero(time == now)
            found[rows] = self._predicted(test_ann_data[rows], float(now), float(after))
        return found

    def generate_embedding(self, test_ann_data: AnnData) -> np.ndarray:
        """Return latent points, or principal components of the training cells; (n_cells, n)."""
        if hasattr(self.model, "encode"):
            return cast("LatentFlow", self.model).encode(test_ann_data)
        chunks = CellReader(test_ann_data, TIME, min_times=1).chunks()
        return np.concatenate([self._components.project(values) for _, values in chunks])

    def generate_next_tp_embedding(self, test_ann_data: AnnData) -> np.ndarray:
        """Return where each cell is at the next test time (n_cells, n); NaN at the last time.

        Raises
        ------
        ValueError
            Without ``follow``: no predicted cell descends from that of its row.
        """
        if not self.follow:
            raise ValueError(
                "a drawn population does not say what becomes of a cell: set follow=True"
            )
        model = cast("LatentFlow", self.model)
        time = test_ann_data.obs[TIME].to_numpy(float)
        latent = model.encode(test_ann_data)
        found = np.full(latent.shape, np.nan)
        for now, after in pairwise(np.unique(time)):
            rows = time == now
            found[rows] = model.flow(latent[rows], float(now), [float(after)])[0]
        return found

    def generate_zero_to_end_pred_gex(
        self, first_tp_cells: AnnData, all_tps: Sequence[float]
    ) -> AnnData:
        """Return as many cells at each of all times as are given at the first, which come first."""
        first = first_tp_cells.X
        parts = [np.asarray(first.toarray() if hasattr(first, "toarray") else first)]
        start = float(all_tps[0])
        parts += [self._predicted(first_tp_cells, start, float(time)) for time in all_tps[1:]]
        obs = pd.DataFrame({TIME: np.repeat(np.asarray(all_tps), first_tp_cells.n_obs)})
        return AnnData(
            np.concatenate(parts), obs=obs.rename(index=str), var=first_tp_cells.var.copy()
        )

    def _predicted(self, cells: AnnData, now: float, after: float) -> np.ndarray:
        """As many cells at a later time as are given, in the unit of the training cells."""
        if self.follow:
            model = cast("LatentFlow", self.model)
            return model.decode(model.flow(model.encode(cells), now, [after])[0])
        drawn = self.model.sample([after], cells.n_obs, seed=self.seed, noise=self.noise)
        ordered = drawn[:, list(cells.var_names)].X
        return np.asarray(ordered.toarray() if hasattr(ordered, "toarray") else ordered)


def as_method(
    new: Callable[[list[float]], TemporalModel],
    *,
    noise: bool | Literal["depth"] = True,
    follow: bool = False,
    seed: int = 0,
    name: str = "scstlib",
) -> type[Any]:
    """Return a class of methods for scTimeBench, a subclass of its ``BaseMethod``.

    Parameters
    ----------
    new, noise, follow, seed
        As for :class:`Answers`.
    name : str
        Of the class, which scTimeBench prints.

    Returns
    -------
    type
        To hand to ``main`` of ``scTimeBench.method_utils.method_runner``.

    Raises
    ------
    ImportError
        If scTimeBench is not installed.
    """
    try:
        from scTimeBench.method_utils.method_runner import BaseMethod
    except ImportError as error:
        raise ImportError(
            "scTimeBench cannot be imported: pip install sctimebench==0.1.2"
        ) from error

    class Method(Answers, BaseMethod):
        def __init__(self, yaml_config: dict[str, Any]) -> None:
            BaseMethod.__init__(self, yaml_config)
            Answers.__init__(self, new, noise=noise, follow=follow, seed=seed)

    Method.__name__ = Method.__qualname__ = name
    return Method
