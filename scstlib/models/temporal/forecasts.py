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

from scstlib.metrics.expression import energy_distance, skill_score, wasserstein

if TYPE_CHECKING:
    from anndata import AnnData

    from scstlib.models.temporal.protocol import CellSampler


@lru_cache(maxsize=16)
def organism_series(seed: int) -> AnnData:
    """Simulate counts of 400 genes in 150 cells at each of nine times, 0 h to 96 h.

    The same object is returned for a seed each time: do not change it.

    Examples
    --------
    >>> from scstlib.models.temporal.forecasts import organism_series
    >>> organism_series(0).shape
    (1350, 400)
    """
    from scstlib.datasets.organism import simulate_organism

    organism = simulate_organism(seed, n_genes=400, n_times=9, n_cells=150, n_reference=500)
    return organism.sample(seed=seed, keep_truth=False)


def log_values(cells: AnnData) -> np.ndarray:
    """log(1 + counts per 10,000), dense; other values (``uns["value_kind"]``) as they are.

    Examples
    --------
    >>> import numpy as np
    >>> from anndata import AnnData
    >>> from scstlib.models.temporal.forecasts import log_values
    >>> log_values(AnnData(np.array([[1.0, 3.0]]))).round(2).tolist()
    [[7.82, 8.92]]
    """
    from scstlib.preprocess.expression import ShiftedLog
    from scstlib.preprocess.reduction import dense

    if cells.uns.get("value_kind", "counts") == "counts":
        cells = ShiftedLog().fit(cells).transform(cells)
    return dense(cells.X)


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
    >>> from scstlib.models.temporal.forecasts import cells_before, organism_series
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
        One population a time, (cells, genes), in the unit of :func:`log_values`.
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
    >>> from scstlib.models.temporal.forecasts import log_values, organism_series, population_skill
    >>> x = log_values(organism_series(0))
    >>> populations = [x[:75]], [x[150:300]], [x[75:150]]  # other cells of a time; the next time
    >>> 0.9 < population_skill(organism_series(0), *populations) < 1.1
    True
    """
    from sklearn.decomposition import PCA

    distance = partial(energy_distance, unbiased=True)
    if components is not None:
        see = PCA(components, random_state=0).fit(log_values(train)).transform
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
    >>> from scstlib.models.temporal.forecasts import forecast_skill, organism_series
    >>> from scstlib.splits import hold_out_times
    >>> split = hold_out_times(organism_series(0), test=48.0)
    >>> copy = CopyNearest().fit(split.train)
    >>> abs(forecast_skill(copy, split.train, split.test, [48.0])) < 0.3
    True
    """
    from scstlib.preprocess.reduction import dense

    drawn = [model.sample([time], n_cells, seed=0) for time in times]
    predicted = [dense(each.layers.get("log1p_cp10k", each.X)) for each in drawn]
    copied = [log_values(cells_before(train, time)) for time in times]
    truth = [log_values(cells_at(test, time)) for time in times]
    return population_skill(train, predicted, copied, truth, components=components)


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
    >>> from scstlib.models.temporal.forecasts import donor_cohort
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
    >>> from scstlib.models.temporal.forecasts import four_fifths, organism_series
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
    >>> from scstlib.models.temporal.forecasts import in_components, organism_series
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
