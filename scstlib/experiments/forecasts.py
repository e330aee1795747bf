"""A small task on populations in time, for experiments on how models are tested.

The cells of some times are predicted. Populations are compared by their energy distance over all
genes, without the part that grows where cells are few, so that test parts of different sizes can be
compared; or, where predicted cells come without noise, by the squared Wasserstein distance in
principal components of the training cells. The score of a model is its skill: the share of the
error of copying the last training time before that it takes away.

No leak guard is asked here, because the experiments make leaks on purpose. To score a model, use
:func:`scstlib.models.temporal.comparison.score_held_out_times`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from scstlib.experiments.counts import log_counts, thinned
from scstlib.metrics.expression import energy_distance, skill_score, wasserstein

if TYPE_CHECKING:
    from anndata import AnnData

    from scstlib.datasets import Organism
    from scstlib.models.temporal.protocol import CellSampler


@lru_cache(maxsize=16)
def organism_series(seed: int) -> AnnData:
    """Simulate counts of 400 genes in 150 cells at each of nine times, 0 h to 96 h.

    The same object is returned for a seed each time: do not change it.

    Examples
    --------
    >>> from scstlib.experiments.forecasts import organism_series
    >>> organism_series(0).shape
    (1350, 400)
    """
    from scstlib.datasets.organism import simulate_organism

    organism = simulate_organism(seed, n_genes=400, n_times=9, n_cells=150, n_reference=500)
    return organism.sample(seed=seed, keep_truth=False)


def values_of(cells: AnnData) -> np.ndarray:
    """Log values of counts, (cells, genes), dense; of another ``uns["value_kind"]`` X as it is.

    Examples
    --------
    >>> import numpy as np
    >>> from anndata import AnnData
    >>> from scstlib.experiments.forecasts import values_of
    >>> values_of(AnnData(np.array([[1.0, 3.0]]))).round(2).tolist()
    [[7.82, 8.92]]
    """
    from scstlib.preprocess.reduction import dense

    counts = cells.uns.get("value_kind", "counts") == "counts"
    return log_counts(cells.X) if counts else dense(cells.X)


def cells_at(cells: AnnData, time: float) -> AnnData:
    """Return the cells of one time (``obs["time"]``), copied."""
    return cells[(cells.obs["time"] == time).to_numpy()].copy()


def cells_before(cells: AnnData, time: float) -> AnnData:
    """Return the cells of the last time before this one, copied.

    Raises
    ------
    ValueError
        If there is none.

    Examples
    --------
    >>> from scstlib.experiments.forecasts import cells_before, organism_series
    >>> cells_before(organism_series(0), 40.0).obs["time"].unique().tolist()
    [36.0]
    """
    times = cells.obs["time"].to_numpy(dtype=float)
    if not (times < time).any():
        raise ValueError(f"no cells before {time:g}: the first time is {times.min():g}")
    return cells_at(cells, times[times < time].max())


def population_skill(
    train: AnnData,
    predicted: Sequence[np.ndarray],
    copied: Sequence[np.ndarray],
    truth: Sequence[np.ndarray],
    *,
    components: int | None = None,
) -> float:
    """Share of the error of a copy that predicted populations take away.

    Parameters
    ----------
    train
        Cells whose principal components are used.
    predicted, copied, truth
        One population a time, (cells, genes), in the unit of :func:`values_of`.
    components
        None: unbiased energy distance over all genes. A number: squared Wasserstein distance in
        that many components.

    Returns
    -------
    float
        1 for no error, 0 for that of the copy, below 0 for a larger one. Errors are added up over
        the times. An unbiased error can lie a little below 0.

    Examples
    --------
    >>> from scstlib.experiments.forecasts import organism_series, population_skill, values_of
    >>> x = values_of(organism_series(0))
    >>> populations = [x[:75]], [x[150:300]], [x[75:150]]  # other cells of a time; the next time
    >>> 0.9 < population_skill(organism_series(0), *populations) < 1.1
    True
    """
    from sklearn.decomposition import PCA

    distance = partial(energy_distance, unbiased=True)
    if components is not None:
        see = PCA(components, random_state=0).fit(values_of(train)).transform
        predicted, copied, truth = ([see(x) for x in part] for part in (predicted, copied, truth))
        distance = partial(wasserstein, squared=True)
    errors = [
        [distance(x, y) for x, y in zip(part, truth, strict=True)] for part in (predicted, copied)
    ]
    return float(skill_score(*np.asarray(errors)))


def forecast_skill(
    model: CellSampler,
    train: AnnData,
    test: AnnData,
    times: Sequence[float],
    *,
    n_cells: int = 150,
    components: int | None = None,
) -> float:
    """Skill of a fitted model at times of the test cells.

    Parameters
    ----------
    model
        Fitted; its ``sample`` is asked for each time.
    train
        Its training cells: the copy is taken from them, from the last time before.
    test
        Cells of these times, counts or values as in training.
    times
        Which times are predicted.
    n_cells
        Predicted cells a time.
    components
        As in :func:`population_skill`.

    Examples
    --------
    >>> from scstlib.models.temporal import CopyNearest
    >>> from scstlib.experiments.forecasts import forecast_skill, organism_series
    >>> from scstlib.splits import hold_out_times
    >>> split = hold_out_times(organism_series(0), test=48.0)
    >>> copy = CopyNearest().fit(split.train)
    >>> abs(forecast_skill(copy, split.train, split.test, [48.0])) < 0.3
    True
    """
    from scstlib.preprocess.reduction import dense

    drawn = [model.sample([time], n_cells, seed=0) for time in times]
    predicted = [dense(each.layers.get("log1p_cp10k", each.X)) for each in drawn]
    copied = [values_of(cells_before(train, time)) for time in times]
    truth = [values_of(cells_at(test, time)) for time in times]
    return population_skill(train, predicted, copied, truth, components=components)


def time_model_at_depths(
    seed: int, organism: Organism, shares: Sequence[float], n_cells: int = 40
) -> dict[tuple[float, str], float]:
    """Return the errors of a time model fitted and scored on cells at shares of their depth.

    One inner time is held out. Errors are energy distances of log counts.

    Parameters
    ----------
    seed : int
        Of cells and model.
    organism : Organism
        The seventh of its times is held out.
    shares : sequence of float
        Of the molecules that are kept, in training and test cells.
    n_cells : int
        Training cells at each time.

    Returns
    -------
    dict
        By share and name. To the held-out cells, at that depth: ``scNODE``, ``nearest time``
        (copied) and ``fresh cells``; and ``scNODE, to the truth``, of its noise-free cells to the
        true expression.
    """
    from scstlib.models import ScNODE
    from scstlib.models.temporal import CopyNearest
    from scstlib.splits import hold_out_times

    inner, n = float(organism.times[6]), 150
    deep = hold_out_times(organism.sample(n_cells=n_cells, seed=seed), test=[inner]).train
    fresh = organism.sample(inner, 2 * n, seed=1000 + seed)
    truth = np.log1p(np.asarray(fresh[:n].layers["true_mean"]))
    errors: dict[tuple[float, str], float] = {}
    for share in shares:
        train, test = thinned(deep, seed, share), thinned(fresh[:n], seed, share)
        # Damping, for times beyond the last, takes more fits to choose.
        model = ScNODE(seed=seed, combine=False, damping=0.0).fit(train)
        sampled = {
            "scNODE": model.sample([inner], n),
            "nearest time": CopyNearest().fit(train).sample([inner], n_cells=n),
            "fresh cells": thinned(fresh[n:], seed + 1, share),
        }
        measured = log_counts(test.X)
        for name, cells in sampled.items():
            errors[share, name] = energy_distance(log_counts(cells.X), measured)
        quiet = log_counts(model.sample([inner], n, noise=False).X)
        errors[share, "scNODE, to the truth"] = energy_distance(quiet, truth)
    return errors


@lru_cache(maxsize=16)
def donor_cohort(seed: int, strength: float = 0.5) -> AnnData:
    """Simulate 320 cells of one time from eight donors, ``obs["donor"]`` (text, 0 to 7).

    Donors differ by effects of their own on every gene, and in nothing else. The same object is
    returned each time: do not change it.

    Parameters
    ----------
    seed
        Of the organism, its donors and its cells.
    strength
        Of the donors' effects: ``batch_strength`` of the organism's ``sample``.

    Examples
    --------
    >>> from scstlib.experiments.forecasts import donor_cohort
    >>> sorted(donor_cohort(0).obs["donor"].unique())
    ['0', '1', '2', '3', '4', '5', '6', '7']
    """
    from scstlib.datasets.organism import simulate_organism

    organism = simulate_organism(seed, n_genes=400, n_reference=500)
    cells = organism.sample(
        [48.0], 320, seed=seed, n_batches=8, batch_strength=strength, keep_truth=False
    )
    cells.obs["donor"] = cells.obs["batch"].astype("category").cat.codes.astype(str)
    return cells


def four_fifths(cells: AnnData, seed: int) -> AnnData:
    """Draw about four fifths of the cells, copied.

    Examples
    --------
    >>> from scstlib.experiments.forecasts import four_fifths, organism_series
    >>> 1000 < four_fifths(organism_series(0), seed=1).n_obs < 1150
    True
    """
    return cells[np.random.default_rng(seed).random(cells.n_obs) < 0.8].copy()


def in_components(
    source: AnnData, *parts: AnnData, n_genes: int = 60, n_components: int = 8
) -> tuple[list[Any], list[AnnData]]:
    """Learn genes, scaling and principal components on some cells, and apply them to others.

    Parameters
    ----------
    source
        Counts of the cells that the steps are fitted on.
    *parts
        Counts of the cells that are transformed.
    n_genes, n_components
        Variable genes that are kept, and components.

    Returns
    -------
    list, list of AnnData
        The fitted steps, each of which says what it was fitted on, and the parts with their
        components as X.

    Examples
    --------
    >>> from scstlib.experiments.forecasts import in_components, organism_series
    >>> steps, (cells,) = in_components(organism_series(0), organism_series(0))
    >>> len(steps), cells.shape
    (3, (1350, 8))
    """
    from anndata import AnnData

    from scstlib.preprocess.expression import ShiftedLog
    from scstlib.preprocess.reduction import PCA, Scale, SelectVariableGenes

    steps: list[Any] = [SelectVariableGenes(n_genes), Scale(), PCA(n_components)]
    logs = [ShiftedLog().fit(cells).transform(cells) for cells in (source, *parts)]
    for step in steps:
        step.fit(logs[0])
        logs = [step.transform(part) for part in logs]
    kind = {"value_kind": "components"}
    return steps, [AnnData(p.obsm["X_pca"], obs=p.obs, uns=kind) for p in logs[1:]]
