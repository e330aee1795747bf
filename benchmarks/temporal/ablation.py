"""What each part of flow matching is worth: one part exchanged at a time.

    python -m benchmarks.temporal.ablation [--data NAME...] [--output FILE]

The backbone is :class:`scstlib.models.temporal.FlowMatching` with its defaults, but ``STEPS`` steps
of training: straight paths between cells that minibatches pair by optimal transport, equal masses,
an ODE, six components, and cells that keep their own residuals. Each variant exchanges one part:

pairs
    By the exact coupling of all cells of two times (at most 1,000 each), or at random.
paths
    Cubic curves through chains of cells of all times, in place of straight lines.
mass
    Unbalanced, ``growth=1.0``.
dynamics
    A stochastic equation: Brownian bridges between the pairs, whose forward and whose backward
    drift are learned (Shi et al. 2023, https://arxiv.org/abs/2303.16852, without iterations), with
    standard deviation ``BRIDGE`` of that of the points in each interval.
rank
    Three components, or as many as parallel analysis finds, at least 2.
residuals
    Each cell gets the residual of another cell of the nearest time.
none
    Another seed: how large a difference is that means nothing.

Data are two organisms and six real series; a middle inner time and the last time are held out, each
for a fit of its own. Scores are *place* and *likeness* of :mod:`benchmarks.compare.temporal`. The
effect of a variant is the ratio of its score to the backbone's, below 1 better: the geometric mean
over data sets, with a 95% interval from data sets drawn anew; two organisms are one data set. A
run that was stopped goes on where it was.
"""

from __future__ import annotations

import time as clock
import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import numpy as np
import pandas as pd
from anndata import AnnData

from benchmarks.compare.jobs import PROFILES, REGULAR
from benchmarks.record import Score, already, argument_parser, markdown, provenance, write
from benchmarks.temporal.each_time import SETS
from benchmarks.temporal.real_series import metrics_of, scored_parts
from benchmarks.timing import one_thread
from scstlib.datasets import load, simulate_organism
from scstlib.models.temporal import FlowMatching, score_held_out_times
from scstlib.models.temporal.cells import MeasuredCells, measured_cells
from scstlib.models.temporal.flow_matching import MAX_STEP
from scstlib.models.temporal.scnode.model_time import ModelTime
from scstlib.models.temporal.scnode.transport_curves import hermite
from scstlib.models.temporal.transport import coupling, draw_pairs
from scstlib.preprocess.expression import parallel_analysis
from scstlib.splits import hold_out_times

# Name of a score, its metric, and the noise that predicted cells are drawn with.
SCORES: tuple[tuple[str, str, bool | Literal["depth"]], ...] = (
    ("place", "W2**2", "depth"),
    ("likeness", "energy", True),
)
Batch = tuple[np.ndarray, np.ndarray, np.ndarray]
ORGANISMS = {f"{REGULAR}, seed {seed}": seed for seed in (0, 1)}
STEPS = 250  # Half as many as by default: all takes minutes.
BRIDGE = 0.25
EDGE = 0.05  # Bridges are not drawn so near to their ends, where their drift has no bound.
N_DRAWS = 2000


class Backbone(FlowMatching):
    """Flow matching with one part exchanged; with its defaults it is the package's."""

    def __init__(
        self,
        seed: int = 0,
        *,
        pairs: Literal["minibatch", "exact", "random"] = "minibatch",
        curved: bool = False,
        bridge: bool = False,
        redrawn: bool = False,
        growth: float | None = None,
        n_components: int = 6,
    ) -> None:
        super().__init__(n_components, growth, matching_steps=STEPS, seed=seed)
        self.pairs, self.curved, self.bridge, self.redrawn = pairs, curved, bridge, redrawn
        self.forwards = True

    def _learn_moves(self, cells: MeasuredCells) -> None:
        points = list(self.points_.values())
        if self.pairs == "exact":
            self.plans_ = [coupling(start, end) for start, end in pairwise(points)]
        super()._learn_moves(cells)
        if self.bridge:
            there, self.forwards = self.drift_, False
            super()._learn_moves(cells)
            self.back_, self.drift_ = self.drift_, there

    def _batch(self, rng: np.random.Generator) -> Batch:
        if self.pairs == "minibatch" and not (self.curved or self.bridge):
            return super()._batch(rng)
        points, n = list(self.points_.values()), self.batch_size
        chain = [points[0][rng.choice(len(points[0]), n)]]
        parts = []
        for k, (start, end) in enumerate(pairwise(points)):
            if self.pairs == "exact":
                rows = draw_pairs(self.plans_[k], n, rng)
                early, late = start[rows[0]], end[rows[1]]
            elif self.pairs == "random":
                early, late = start[rng.choice(len(start), n)], end[rng.choice(len(end), n)]
            else:
                early, late = chain[-1], end[rng.choice(len(end), n)]
                late = late[coupling(early, late).argmax(axis=1)]
            chain.append(late)
            share = rng.random((n, 1))
            place, velocity = early + share * (late - early), late - early
            if self.bridge:
                place, velocity, share = self._on_bridge(early, late, rng)
            parts.append((k + share, place, velocity))
        if self.curved:
            parts = [self._on_curve(chain, k, rng) for k in range(len(points) - 1)]
        time, place, velocity = (np.concatenate(part) for part in zip(*parts, strict=True))
        return time, place, velocity

    def _on_curve(self, chain: list[np.ndarray], k: int, rng: np.random.Generator) -> Batch:
        """Points of an interval on the curves through a chain of paired cells."""
        before = chain[k - 1] if k > 0 else None
        after = chain[k + 2] if k + 2 < len(chain) else None
        time = rng.uniform(k, k + 1, len(chain[k]))
        around = (max(k - 1.0, 0.0), float(k), k + 1.0, k + 2.0)
        return time[:, None], *hermite(time, around, before, chain[k], chain[k + 1], after)

    def _on_bridge(self, early: np.ndarray, late: np.ndarray, rng: np.random.Generator) -> Batch:
        """Place, drift and share of the way; the drift leads to the end that is moved to."""
        share = rng.uniform(EDGE, 1 - EDGE, (len(early), 1))
        spread = self._noise() * np.sqrt(share * (1 - share))
        place = early + share * (late - early) + spread * rng.standard_normal(early.shape)
        drift = (late - place) / (1 - share) if self.forwards else (place - early) / share
        return place, drift, share

    def _noise(self) -> float:
        return BRIDGE * float(self.drift_.position_scale)

    def _moved(
        self, start: float, time: float, rows: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        if not self.bridge or time == start:
            return super()._moved(start, time, rows, rng)
        import torch

        begin = self.points_[start][rows]
        at, end = ModelTime(list(self.points_), "index")(np.array([start, time]))
        drift, last = (self.drift_ if end > at else self.back_), len(self.points_) - 1
        n_steps = int(np.ceil(abs(end - at) / MAX_STEP))
        step, moved = (end - at) / n_steps, begin
        for k in range(n_steps):
            now = torch.tensor(min(at + k * step, float(last)), dtype=torch.float64)
            with torch.no_grad():
                velocity = drift(now, torch.as_tensor(moved, dtype=torch.float32)).numpy()
            noise = self._noise() * np.sqrt(abs(step)) * rng.standard_normal(moved.shape)
            moved = moved + velocity * step + noise
        return begin, moved

    def _draw(
        self,
        cells: MeasuredCells,
        time: float,
        n_cells: int,
        rng: np.random.Generator,
        noise: bool,
    ) -> np.ndarray:
        if not (self.redrawn and noise):
            return super()._draw(cells, time, n_cells, rng, noise)
        line = super()._draw(cells, time, n_cells, rng, False)
        nearest = cells.nearest(time)
        left = self.measured_[nearest] - self.space_.values(self.points_[nearest])
        drawn = line + left[rng.integers(len(left), size=n_cells)]
        return drawn if cells.values.min() < 0 else np.maximum(drawn, 0)


def automatic(values: np.ndarray) -> int:
    """How many components stand out of the training cells (n, n_genes)."""
    found = parallel_analysis(values, n_permutations=3, max_rank=30, max_cells=1000)
    return min(max(found, 2), *values.shape)


BACKBONE = ("backbone", "")
#: Factor and level → the method, of the values of the training cells.
VARIANTS: dict[tuple[str, str], Callable[[np.ndarray], Backbone]] = {
    BACKBONE: lambda values: Backbone(),
    ("pairs", "exact OT"): lambda values: Backbone(pairs="exact"),
    ("pairs", "at random"): lambda values: Backbone(pairs="random"),
    ("paths", "curved"): lambda values: Backbone(curved=True),
    ("mass", "unbalanced"): lambda values: Backbone(growth=1.0),
    ("dynamics", "stochastic"): lambda values: Backbone(bridge=True),
    ("rank", "3"): lambda values: Backbone(n_components=3),
    ("rank", "automatic"): lambda values: Backbone(n_components=automatic(values)),
    ("residuals", "redrawn"): lambda values: Backbone(redrawn=True),
    ("none", "another seed"): lambda values: Backbone(seed=1),
}


def cells_of(data: str) -> AnnData:
    """The cells of a series, or of an organism of the size of the ``fast`` comparison."""
    if data not in ORGANISMS:
        return load(data)
    seed = ORGANISMS[data]
    organism = simulate_organism(seed, **PROFILES["fast"].cells)
    cells = organism.sample(seed=seed + 1, keep_truth=False)
    cells.uns["value_kind"] = "counts"
    return cells


def score(data: str) -> list[Score]:
    """Place, likeness and CPU seconds of all variants on both tasks of a data set."""
    cells, found = cells_of(data), []
    times = np.unique(cells.obs["time"]).astype(float)
    for kind, held_out in (("inner", times[len(times) // 2]), ("last", times[-1])):
        train, test = scored_parts(hold_out_times(cells, test=float(held_out)))
        values = measured_cells(train, "time").values
        metrics = metrics_of(train)
        for (factor, level), new in VARIANTS.items():
            start = clock.process_time()
            model = new(values).fit(train, "time")
            about = {"data": data, "kind": kind, "time": held_out, "factor": factor, "level": level}
            about["n_components"] = model.n_components
            about["cpu_seconds"] = clock.process_time() - start
            for name, metric, noise in SCORES:
                scores = score_held_out_times(
                    {"it": model}, test, {name: metrics[metric]}, noise=noise
                )
                about[name] = float(scores.loc[scores["model"] == "it", "value"].median())
            found.append(about)
    return found


def effects(rows: list[Score]) -> list[Score]:
    """Ratio to the backbone of each variant, with its interval, by kind of time and score."""
    frame = pd.DataFrame(rows)
    frame["group"] = np.where(frame["data"].isin(list(ORGANISMS)), REGULAR, frame["data"])
    found: list[Score] = []
    for kind, part in frame.groupby("kind", sort=False):
        for metric in ("place", "likeness"):
            wide = part.pivot(
                index=["group", "data"], columns=["factor", "level"], values=metric
            ).transform(np.log)
            ratio = wide.sub(wide[BACKBONE], axis=0).groupby(level="group", sort=False).mean()
            for factor, level in VARIANTS:
                if (factor, level) == BACKBONE:
                    continue
                own = ratio[factor, level].to_numpy()
                rng = np.random.default_rng(0)
                means = own[rng.integers(len(own), size=(N_DRAWS, len(own)))].mean(axis=1)
                lower, upper = np.exp(np.quantile(means, [0.025, 0.975]))
                found.append({
                    "kind": kind, "metric": metric, "factor": factor, "level": level,
                    "ratio": float(np.exp(own.mean())),
                    "lower": float(lower), "upper": float(upper),
                    "better": int((own < 0).sum()), "data_sets": len(own),
                })  # fmt: skip
    return found


def table(found: list[Score]) -> str:
    """Markdown: ratio and interval of each variant."""
    frame = pd.DataFrame(found)
    numbers = frame[["ratio", "lower", "upper"]].to_numpy()
    frame["shown"] = [
        f"{ratio:.2f} ({lower:.2f} to {upper:.2f})" for ratio, lower, upper in numbers
    ]
    frame["score"] = frame["metric"] + ", " + frame["kind"]
    wide = frame.pivot(index=["factor", "level"], columns="score", values="shown")
    rows = [[f"{factor}: {level}", *own] for (factor, level), own in wide.iterrows()]
    return markdown(["ratio to the backbone", *wide.columns], rows)


def main() -> None:
    parser = argument_parser(__file__, __doc__)
    everything = [*ORGANISMS, *SETS]
    parser.add_argument("--data", nargs="+", default=everything, choices=everything)
    arguments = parser.parse_args()
    about = provenance("POT", "torchdiffeq", matching_steps=STEPS, bridge=BRIDGE, draws=N_DRAWS)
    rows = already(arguments.output, about)
    done = {row["data"] for row in rows}
    with one_thread(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "time .* lies .* beyond the last training time")
        for name in arguments.data:
            if name in done:
                continue
            start = clock.process_time()
            rows += score(name)
            results = {"provenance": about, "effects": effects(rows), "scores": rows}
            write(arguments.output, results)
            print(f"{name}: {clock.process_time() - start:.0f} CPU s", flush=True)
    print(table(effects(rows)))


if __name__ == "__main__":
    main()
