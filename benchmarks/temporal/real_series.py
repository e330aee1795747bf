"""Predictions of unmeasured times of four real series, against their measured cells.

    python -m benchmarks.temporal.real_series [--sets NAME...] [--output FILE]

Held-out times follow a rule that looks at no score. Inner: every second measured time from the
third on, without the last. Outer: the last measured time. Each of both is a fit of its own. Only
``semrau2017`` leaves out 36 and 60 h as the book does, and keeps 12 h. ``ipsc_cardiomyocyte`` is
cut to the 2,000 genes that vary most in its training cells; the others are panels of 41 to 96.
Cells of a panel without a single count (8 of ``semrau2017``) are left out.

The cells of a held-out time are split in two random halves, three times. Every method predicts as
many cells as the first half has and is scored against the second; so is the first half itself.
W is the Sinkhorn divergence as published (cost |x - y|**2 / 2, blur 0.05, scaling 0.5) and energy
the energy distance, both over genes; W2**2 is exact, in at most 20 principal components of the
training cells. Values are log1p of counts per 10,000, of qPCR the numbers as they are. A score is
the median over halves and model seeds, then the mean over times. The default stands there as it
draws cells (``noise=True``) and as their expected values (``noise="depth"``). All other methods of
``scstlib.models.temporal.methods()`` are fitted once.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from sklearn.decomposition import PCA

from benchmarks.record import Score, argument_parser, markdown, provenance, write
from benchmarks.temporal.scores import PUBLISHED, fitted_once
from benchmarks.timing import one_thread
from scstlib.datasets import load
from scstlib.metrics.expression import energy_distance, sinkhorn, wasserstein
from scstlib.models import PublishedScNODE, ScNODE
from scstlib.models.temporal import SPLIT_HALF, score_held_out_times
from scstlib.models.temporal.cells import measured_cells
from scstlib.preprocess.expression import SelectVariableGenes
from scstlib.splits import Split, hold_out_times

SETS = ("semrau2017", "guo2010", "bargaje2017", "ipsc_cardiomyocyte")
INNER = {"semrau2017": (36.0, 60.0)}
MOST_GENES, MOST_COMPONENTS = 2000, 20
MODEL_SEEDS = (0, 1, 2)
DRAWN, EXPECTED = "default, noise=True", 'default, noise="depth"'


@dataclass
class Sampled:
    """A fitted model that samples in one way."""

    model: Any  # Of the package: it says what it was fitted on.
    noise: bool | Literal["depth"]

    @property
    def fitted_on_(self) -> Any:
        return self.model.fitted_on_

    def sample(
        self, times: list[float], n_cells: int, seed: int = 0, noise: bool | Literal["depth"] = True
    ) -> AnnData:
        """Sample in the way of its own, whatever ``noise`` is asked for."""
        return self.model.sample(times, n_cells, seed=seed, noise=self.noise)


def held_out(name: str, times: np.ndarray) -> dict[str, list[float]]:
    return {
        "inner": [float(t) for t in INNER.get(name, times[2:-1:2])],
        "outer": [float(times[-1])],
    }


def metrics_of(training: AnnData) -> dict[str, Callable[[np.ndarray, np.ndarray], float]]:
    values = measured_cells(training, "time").values.astype(np.float64)
    space = PCA(min(MOST_COMPONENTS, *values.shape), svd_solver="full").fit(values)

    def w2(x: np.ndarray, y: np.ndarray) -> float:
        return wasserstein(space.transform(x), space.transform(y), squared=True)

    return {"W": sinkhorn, "energy": energy_distance, "W2**2": w2}


def fitted(training: AnnData, series: np.ndarray) -> tuple[dict[str, list[Any]], list[int]]:
    """All fitted methods, and the ranks of the default."""
    defaults = [ScNODE(seed=seed).fit(training, "time") for seed in MODEL_SEEDS]
    published = [
        PublishedScNODE(time_points=series.tolist(), seed=seed).fit(training, "time")
        for seed in MODEL_SEEDS
    ]
    ranks = [model.cells_.points.shape[1] for model in defaults if model.cells_ is not None]
    models: dict[str, list[Any]] = {
        DRAWN: [Sampled(model, True) for model in defaults],
        EXPECTED: [Sampled(model, "depth") for model in defaults],
        PUBLISHED: published,
    }
    once = fitted_once(training, ranks[0])
    return models | {name: [model] for name, model in once.items()}, ranks


def with_counts(cells: AnnData) -> AnnData:
    """The cells without those of which nothing was counted."""
    if cells.uns["value_kind"] != "counts":
        return cells
    return cells[np.asarray(cells.X.sum(1)).ravel() > 0].copy()


def scored_parts(split: Split[AnnData], most_genes: int = MOST_GENES) -> tuple[AnnData, AnnData]:
    """Training and test cells of which something was counted, of the genes that vary most.

    They vary among the training cells; of up to ``most_genes`` all stay.
    """
    training, test = split.train, split.test
    if training.n_vars > most_genes:
        chosen = SelectVariableGenes(most_genes, flavor="pearson_residuals").fit(training)
        training, test = chosen.transform(training), chosen.transform(test)
    return with_counts(training), with_counts(test)


def score(name: str, adata: AnnData, kind: str, test_times: list[float]) -> list[Score]:
    training, test = scored_parts(hold_out_times(adata, test=test_times))
    models, ranks = fitted(training, np.unique(adata.obs["time"]))
    scores = score_held_out_times(models, test, metrics_of(training))
    medians = scores.groupby(["model", "metric", "time"], sort=False)["value"].median()
    table = medians.groupby(level=["model", "metric"], sort=False).mean().unstack("metric")
    about = {"set": name, "kind": kind, "times": test_times, "ranks": ranks}
    return [about | {"row": row} | values.to_dict() for row, values in table.iterrows()]


def table(rows: list[Score]) -> str:
    """Markdown; the best method of a column in bold, the split half and the default's place."""
    frame = pd.DataFrame(rows)
    order = list(dict.fromkeys(frame["row"]))
    order = [SPLIT_HALF, *(row for row in order if row != SPLIT_HALF)]
    text = []
    for (name, kind), group in frame.groupby(["set", "kind"], sort=False):
        values = group.set_index("row").reindex(order)
        names = ["W", "energy", "W2**2"]
        best, at = values.drop(SPLIT_HALF)[names].idxmin(), values.to_dict()
        shown = [
            [row, *(f"**{at[m][row]:.3g}**" if best[m] == row else float(at[m][row])
                    for m in names)]
            for row in order
        ]  # fmt: skip
        held = ", ".join(f"{t:g}" for t in group["times"].iloc[0])
        text.append(markdown([f"{name}, {kind}: {held}", *names], shown))
    return "\n".join(text)


def main() -> None:
    parser = argument_parser(__file__, __doc__)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    arguments = parser.parse_args()
    about, rows = provenance("torchdiffeq", "geomloss", "POT"), []
    with one_thread(), warnings.catch_warnings():
        # The last time lies more than a mean interval beyond the training times.
        warnings.filterwarnings("ignore", "time .* lies .* beyond the last training time")
        for name in arguments.sets:
            adata = load(name)
            for kind, test_times in held_out(name, np.unique(adata.obs["time"])).items():
                start = time.monotonic()
                rows += score(name, adata, kind, test_times)
                print(f"{name} {kind} {test_times}: {time.monotonic() - start:.0f} s", flush=True)
            write(arguments.output, {"provenance": about, "scores": rows})
    print(table(rows))


if __name__ == "__main__":
    main()
