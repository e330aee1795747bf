"""One temporal method on one series: place, likeness and the published metric.

Inner times, every second one from the third on without the last, and the outer one, the last, are
two fits. Cells of a held-out time are split in halves, three times; a method draws as many cells as
the first half has and is scored against the second. A score is the median over halves, then the
mean over times; smaller is better.

place
    Exact W2**2 of de-noised cells (``noise="depth"``) in at most 20 principal components of the
    training cells.
likeness
    Energy distance of cells with noise (``noise=True``), over genes.
published
    The Sinkhorn divergence of Zhang et al. 2024 of de-noised cells, over genes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from anndata import AnnData

from benchmarks.compare.jobs import BOUNDS, IRREGULAR, REGULAR, Profile
from benchmarks.compare.measuring import Cost, measured_fit, new_model, said
from benchmarks.record import Score
from benchmarks.temporal.real_series import held_out, metrics_of, scored_parts
from benchmarks.temporal.truth import ExpectedLog, log_values
from scstlib.datasets import Organism, load, simulate_organism
from scstlib.leakage import record_fit
from scstlib.models.temporal import SPLIT_HALF, TemporalModel, score_held_out_times
from scstlib.splits import hold_out_times

Row = tuple[str, str, Score, Cost]
METRICS = {"place": "W2**2", "likeness": "energy", "published": "W"}
TRUE_CELLS = "fresh true cells"
#: Shares of the duration of the organism, and where the same number of times lies irregularly.
IRREGULAR_SHARES = (0, 0.04, 0.1, 0.25, 0.3, 0.4, 0.6, 0.85, 1)


@dataclass(frozen=True)
class Series:
    """Training and test cells by split, and the organism if they are simulated."""

    parts: dict[str, tuple[AnnData, AnnData]]
    organism: Organism | None = None


class TrueCells:
    """Fresh cells of the organism: no prediction can be expected to be nearer."""

    def __init__(self, organism: Organism, seed: int) -> None:
        self.organism, self.seed = organism, seed

    def fit(self, adata: AnnData, time_key: str = "time") -> Self:
        """Say what is held out; only depths are learned."""
        depth = np.asarray(adata.X.sum(1)).ravel()
        self.expected_ = ExpectedLog(self.organism.genome.dispersion, depth)
        record_fit(self, adata)
        return self

    def sample(
        self,
        times: list[float],
        n_cells: int,
        seed: int = 0,
        noise: bool | Literal["depth"] = True,
    ) -> AnnData:
        """Draw other cells than any draw of the comparison."""
        drawn = self.organism.sample(times, n_cells, seed=1000 + 10 * self.seed + seed)
        if noise is True:
            drawn.layers["log1p_cp10k"] = log_values(drawn.X)
        else:
            depth = drawn.obs["depth"].to_numpy() if noise == "depth" else None
            drawn.layers["log1p_cp10k"] = self.expected_(drawn.layers["true_mean"], depth)
        return drawn


def task_of(data: str, seed: int, size: Profile) -> Series:
    """Read a series, or simulate it, and split it."""
    if data not in (REGULAR, IRREGULAR):
        return Series(parts_of(data, load(data)))
    organism = simulate_organism(seed, **size.cells)
    times = organism.times
    if data == IRREGULAR:
        times = np.round(organism.settings.duration * np.array(IRREGULAR_SHARES), 2)
    cells = organism.sample(times, seed=seed + 1, keep_truth=False)
    cells.uns["value_kind"] = "counts"
    return Series(parts_of(data, cells), organism)


def parts_of(data: str, cells: AnnData) -> dict[str, tuple[AnnData, AnnData]]:
    """Training cells and test cells of each split."""
    times = np.unique(cells.obs["time"])
    return {
        name: scored_parts(hold_out_times(cells, test=own))
        for name, own in held_out(data, times).items()
    }


def scores_of(train: AnnData, test: AnnData, models: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Scores of fitted models, and of the split half, by name."""
    metrics = metrics_of(train)
    found: dict[str, dict[str, float]] = {}
    drawn: dict[bool | Literal["depth"], tuple[str, ...]] = {
        True: ("likeness",),
        "depth": ("place", "published"),
    }
    for noise, names in drawn.items():
        asked = {name: metrics[METRICS[name]] for name in names}
        table = score_held_out_times(models, test, asked, noise=noise)
        medians = table.groupby(["model", "metric", "time"], sort=False)["value"].median()
        means = medians.groupby(level=["model", "metric"], sort=False).mean()
        for (model, metric), value in means.items():
            found.setdefault(str(model), {})[str(metric)] = float(value)
    return found


def rows(
    task: Series, row: str, seed: int, size: Profile
) -> Iterator[tuple[str, str, Score, Cost]]:
    """Split, name, scores and cost of each row of a job."""
    for split, (train, test) in task.parts.items():
        if row == BOUNDS:
            models: dict[str, Any] = {}
            if task.organism is not None:
                models[TRUE_CELLS] = TrueCells(task.organism, seed).fit(train)
            for name, scores in scores_of(train, test, models).items():
                yield split, name, scores, Cost()
            continue
        model: TemporalModel = new_model("temporal", row, seed, size)
        cost = Cost()
        own: Score
        try:
            cost = measured_fit(lambda model=model, train=train: model.fit(train, "time"), model)
            own = scores_of(train, test, {row: model})[row]
        except TimeoutError:
            raise
        except Exception as error:  # Of this split; the other may do.
            own = {"error": said(error)}
        yield split, row, own, cost


def splits(data: str) -> tuple[str, ...]:
    """Names of the splits of a data set."""
    return ("inner", "outer")


def roles() -> dict[str, str]:
    """Rows that are no candidates."""
    return {SPLIT_HALF: "floor", TRUE_CELLS: "ceiling", "mean profile": "constant"}
