"""Rows that the table of scTimeBench has not, by the metrics of that package.

    python -m benchmarks.temporal.sctimebench_rows [--sets NAME...] [--published FILE]

Its table (Osakwe et al. 2026, https://doi.org/10.64898/2026.03.16.712069) compares learned methods.
Here its metrics, of 0.1.2 with their defaults, score what gives such numbers a scale: the floor,
copied cells, one mean profile, displacement, and a planted prediction that is wrong, copied cells
with noise of standard deviation ``SCATTER`` in each gene. ``pip install sctimebench==0.1.2``.

Series, held-out times and halves are those of :mod:`benchmarks.compare.temporal`. A score is the
median over halves, then the mean over times; small is good. Values are log1p of counts per 10,000,
of qPCR the numbers as they are; models draw cells with noise. Beside the scores stands the mean
distance of two measured cells.

``--published`` takes the table of the package's repository, ``assets/csv_results/gex_pred.csv`` at
commit ``1bbb78d``, and counts in how many of its blocks, of a data set and a split, the method with
the largest divergence has the smallest MMD.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial.distance import pdist

from benchmarks.compare.temporal import parts_of
from benchmarks.record import Score, argument_parser, markdown, provenance, write
from benchmarks.temporal.each_time import SETS
from benchmarks.timing import one_thread
from scstlib.datasets import load
from scstlib.models.temporal import methods, score_held_out_times
from scstlib.models.temporal.cells import MeasuredCells, draw, measured_cells
from scstlib.models.temporal.protocol import CellKeepingModel

METHODS = (
    "nearest time copied",
    "mean profile",
    "nearest time, mean moved",
    "OT displacement",
    "OT displacement, 6 components",
    "OT displacement, own residuals",
    "flow matching, minibatch OT",
)
SCATTER, SCATTERED = 10.0, "copied, then scattered"
METRICS = ("WassersteinOTLoss", "MMDLoss", "EnergyDistanceLoss", "HausdorffLoss")
SAME = 1e-3  # Relative difference of scores that count as equal.


class Scattered(CellKeepingModel):
    """Cells of the nearest measured time, far scattered: no cell lies where one was measured."""

    def _population(
        self, cells: MeasuredCells, time: float, n_cells: int, rng: np.random.Generator
    ) -> np.ndarray:
        copied = draw(cells.at(cells.nearest(time)), n_cells, rng)
        return copied + SCATTER * rng.standard_normal(copied.shape)


def its_metrics() -> dict[str, Callable[[np.ndarray, np.ndarray], float]]:
    """The package's metrics of populations with their defaults, of predicted and measured cells."""
    from scTimeBench.metrics.gex_prediction import ot_eval

    def function(metric: Any) -> Callable[[np.ndarray, np.ndarray], float]:
        return lambda x, y: float(metric._metric_solver_arrays(y, x, x.shape[1]))

    return {name: function(getattr(ot_eval, name)(None, None, {})) for name in METRICS}


def scores_of(name: str) -> list[Score]:
    """Rows of all methods on the inner times and on the last time of a series."""
    found: list[Score] = []
    for split, (train, test) in parts_of(name, load(name)).items():
        new = methods()
        models: dict[str, Any] = {row: new[row](0).fit(train, "time") for row in METHODS}
        models[SCATTERED] = Scattered().fit(train, "time")
        scores = score_held_out_times(models, test, its_metrics())
        medians = scores.groupby(["model", "metric", "time"], sort=False)["value"].median()
        table = medians.groupby(level=["model", "metric"], sort=False).mean().unstack("metric")
        values = measured_cells(test, "time", min_times=1)
        apart = [float(np.mean(pdist(values.at(time)))) for time in values.times]
        about = {"set": name, "split": split, "genes": test.n_vars, "apart": float(np.mean(apart))}
        found += [about | {"row": row} | own.to_dict() for row, own in table.iterrows()]
    return found


def published_order(path: Path) -> dict[str, int]:
    """How often the method that is last by divergence is first by MMD in the package's table."""
    table = pd.read_csv(path)
    means = table[table["timepoint"] == "avg"]
    wide = means.pivot_table(
        "result", ["dataset", "interpolation_type", "method"], "metric", dropna=False
    ).dropna(subset=list(METRICS[:2]))
    found = {"blocks": 0, "last_is_first": 0, "last_is_first_alone": 0}
    for _, block in wide.groupby(level=["dataset", "interpolation_type"]):
        mmd = block["MMDLoss"]
        last = block["WassersteinOTLoss"].idxmax()
        first = mmd <= mmd.min() * (1 + SAME)
        found["blocks"] += 1
        found["last_is_first"] += int(first[last])
        found["last_is_first_alone"] += int(first[last] and first.sum() == 1)
    return found


def table(rows: list[Score]) -> str:
    """Markdown: the rank of each row by each metric, a mean over tasks."""
    frame = pd.DataFrame(rows)
    ranks = frame.groupby(["set", "split"])[list(METRICS)].rank()
    shown = ranks.groupby(frame["row"], sort=False).mean()
    return markdown(["mean rank", *METRICS], [[row, *own] for row, own in shown.iterrows()])


def main() -> None:
    parser = argument_parser(__file__, __doc__)
    parser.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
    parser.add_argument("--published", type=Path, metavar="FILE", help="of its repository")
    arguments = parser.parse_args()
    results: dict[str, Any] = {
        "provenance": provenance("POT", "geomloss", "sctimebench", scatter=SCATTER)
    }
    if arguments.published:
        results["published"] = published_order(arguments.published)
    results["scores"] = []
    with one_thread(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "time .* lies .* beyond the last training time")
        for name in arguments.sets:
            results["scores"] += scores_of(name)
            write(arguments.output, results)
            print(f"{name}: done", flush=True)
    print(table(results["scores"]))


if __name__ == "__main__":
    main()
