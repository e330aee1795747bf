"""Score temporal models on held-out times, with the floor and the constant in the same table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from scstlib.caller import said_once
from scstlib.leakage import check_evaluation
from scstlib.models.temporal.cells import MeasuredCells, measured_cells
from scstlib.models.temporal.protocol import CellSampler
from scstlib.preprocess.cells import EXPECTED_COUNTS, log_values

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

Metric = Callable[[np.ndarray, np.ndarray], float]
EXAMPLES = {
    "models": '{"scNODE": model}',
    "metrics": '{"energy": energy_distance} from scstlib.metrics.expression',
}
SPLIT_HALF = "split half of the measured cells"


def score_held_out_times(
    models: Mapping[str, CellSampler | Sequence[CellSampler]],
    test: AnnData,
    metrics: Mapping[str, Metric],
    *,
    time_key: str = "time",
    n_repeats: int = 3,
    seed: int = 0,
    noise: bool | Literal["depth"] | None = None,
) -> pd.DataFrame:
    """Compare fitted models with the cells of times that they have not seen.

    The measured cells of a time are split into two random halves. Every model predicts as many
    cells as the first half has and is scored against the second; so is the first half itself,
    which is the floor that measured cells reach against measured cells. All rows of a table thus
    rest on the same number of cells, on which most of these metrics depend.

    Of counts, what is compared follows the cells of ``test``. Measured cells are compared in
    log1p of counts per 10,000, and so are predicted ones, in ``layers["log1p_cp10k"]``: without
    noise these are *mean log values*. Noise-free truth, such as ``layers["true_mean"]`` of the
    simulated organism in ``X`` under ``uns["value_kind"] = "expected counts"``, is compared in
    *log expression*, log1p of ``X`` per 10,000, of predicted cells too.

    Parameters
    ----------
    models : mapping of str to fitted models
        One, or a sequence of them: several models of one name, such as one for each seed, are
        scored one by one.
    test : AnnData
        Measured cells of the held-out times, in the unit that the models were fitted in, or their
        expected counts.
    metrics : mapping of str to function
        Each takes predicted and measured cells, arrays (n, n_genes) and (m, n_genes), and returns
        a number.
    n_repeats : int
        Number of random halves.
    seed : int
        Draws the halves, the same ones for any models, and the predicted cells.
    noise : bool or "depth", optional
        As for ``sample`` of the models; False scores the de-noised populations. None: True for
        measured cells, False for expected counts.

    Returns
    -------
    pandas.DataFrame
        Columns model, time, metric, member (which model of that name), repeat, value; one row for
        each score. The floor is the model named ``SPLIT_HALF``.

    Raises
    ------
    LeakageError
        If a model was fitted on cells, or on a held-out time, of ``test``.
    TypeError
        If `models` or `metrics` is no mapping.
    ValueError
        For test cells that :func:`scstlib.models.temporal.cells.measured_cells` refuses, or a
        model that does not say what it was fitted on.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from anndata import AnnData
    >>> from scstlib.models.temporal import CopyNearest
    >>> from scstlib.splits import hold_out_times
    >>> counts = np.random.default_rng(0).poisson(5.0, (90, 20)).astype(np.float32)
    >>> obs = pd.DataFrame({"time": np.repeat([0.0, 12.0, 24.0], 30)})
    >>> cells = AnnData(counts, obs=obs.set_index("cell" + obs.index.astype(str)))
    >>> split = hold_out_times(cells, test=12.0)
    >>> def gap(x, y):
    ...     return abs(x.mean() - y.mean())
    >>> models = {"copy": CopyNearest().fit(split.train)}
    >>> scores = score_held_out_times(models, split.test, {"gap": gap}, n_repeats=1)
    >>> scores["model"].tolist()
    ['split half of the measured cells', 'copy']
    """
    import pandas as pd

    for word, given in (("models", models), ("metrics", metrics)):
        if not isinstance(given, Mapping):
            raise TypeError(
                f"{word} is a mapping of names, such as {EXAMPLES[word]}, not {given!r}"
            )
    members = {
        name: list(given) if isinstance(given, Sequence) else [given]
        for name, given in models.items()
    }
    for fitted in members.values():
        check_evaluation(fitted, test)
    measured, of_truth = measured_cells(test, time_key, min_times=1), _holds_truth(test)
    if of_truth:
        measured = replace(measured, values=log_values(measured.values))
    if noise is None:
        noise = not of_truth
    rng = np.random.default_rng(seed)
    rows = []
    with said_once():
        for repeat in range(n_repeats):
            for time in measured.times:
                cells = rng.permutation(measured.at(time))
                half, reference = np.array_split(cells.astype(np.float64), 2)
                for name, member, predicted in _predictions(
                    members, half, measured, float(time), seed + repeat, noise, of_truth
                ):
                    for metric, function in metrics.items():
                        value = function(predicted, reference)
                        rows.append((name, float(time), metric, member, repeat, float(value)))
    return pd.DataFrame(rows, columns=["model", "time", "metric", "member", "repeat", "value"])


def _predictions(
    models: Mapping[str, Sequence[CellSampler]],
    half: np.ndarray,
    measured: MeasuredCells,
    time: float,
    seed: int,
    noise: bool | Literal["depth"],
    of_truth: bool,
) -> list[tuple[str, int, np.ndarray]]:
    found = [(SPLIT_HALF, 0, half)]
    for name, members in models.items():
        for member, model in enumerate(members):
            sampled = model.sample([time], len(half), seed=seed, noise=noise)
            found.append((name, member, _values(name, sampled, len(half), measured, of_truth)))
    return found


def _holds_truth(test: AnnData) -> bool:
    return bool(test.uns.get("value_kind") == EXPECTED_COUNTS)


def _values(
    name: str, sampled: AnnData, n_cells: int, measured: MeasuredCells, of_truth: bool
) -> np.ndarray:
    """Values of the cells that a model returned, (n_cells, n_genes), genes as measured.

    With ``of_truth`` the log of X, else of counts the layer. Raises ValueError if cells or genes
    are not those asked for, or no counts come where there are some to compare with.
    """
    from scipy.sparse import issparse

    if sampled.n_obs != n_cells:
        raise ValueError(f"{name} returned {sampled.n_obs} cells, asked for {n_cells}")
    if set(sampled.var_names) != set(measured.genes) or sampled.n_vars != len(measured.genes):
        raise ValueError(f"{name} was not fitted on the {len(measured.genes)} genes of the test")
    if (of_truth or measured.depth is not None) and "log1p_cp10k" not in sampled.layers:
        raise ValueError(
            f"the test cells are counts, and {name} returned no layers['log1p_cp10k'], log1p of"
            " counts per 10,000, in which they are compared"
        )
    ordered = sampled[:, list(measured.genes)]
    values = ordered.X if of_truth else ordered.layers.get("log1p_cp10k", ordered.X)
    dense = np.asarray(values.toarray() if issparse(values) else values, dtype=np.float64)
    # Values below 0, which models of values predict here and there, are counts below 0.
    return log_values(np.maximum(dense, 0)) if of_truth else dense


def median_table(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the median score of each model (rows) by metric and time (columns).

    Parameters
    ----------
    scores : pandas.DataFrame
        As :func:`score_held_out_times` returns it; the median is over members and repeats.

    Returns
    -------
    pandas.DataFrame, (models, metrics x times)
        In the units of the metrics; models and metrics in the order in which they come.
    """
    table = scores.pivot_table(
        index="model", columns=["metric", "time"], values="value", aggfunc="median", sort=False
    )
    return table.rename_axis(index=None)
