"""Each time but the first of six real series held out, predicted by temporal methods.

    python -m benchmarks.temporal.each_time [--sets NAME...] [--methods NAME...] [--seeds N...]

Each measured time but the first is held out in turn: inner ones, and the last. Methods of
``scstlib.models.temporal.methods()`` are fitted to the other times with their defaults; nothing is
chosen by these scores. scNODE is fitted once for each seed, all others once. ``scNODE as
published`` is told all measured times, as in its authors' code. With ``clock="auto"`` scNODE says
whether a clock of displacement pays, with ``growth=1.0`` whether growth does. moscot and torchcfm
(:mod:`benchmarks.peers`) are compared where they are installed.

Cells of a held-out time are split in random halves, five times, and medians taken over halves and
seeds, as in :mod:`.real_series`. Place is exact W2**2 to measured cells in at most 20 principal
components of the training cells: of de-noised cells, or *drawn* with noise. The others are of cells
with noise. Likeness is the energy distance over genes. Series of more genes are cut to the 2,000
that vary most in the training cells. Of few cells the energy distance is too large by chance, by
about as much for every method, so that ratios are nearer 1 than they should be; *likeness,
unbiased* leaves a cell's distance to itself out. *Correlations* is one minus the correlation, over
pairs of the 100 genes that vary most in the training cells, of their predicted with their measured
correlations: 1 for cells whose genes do not vary together.

The summary holds, for each method, the ratio to the best of four simple methods at the same time
(nearest time copied, its mean moved, OT displacement in genes and in 6 components): median over
tasks with a bootstrap interval of 95%, and how many are at most 1 and above 1.1. Choosing the best
one after the fact favours it: a method at 1 is as good as an oracle.

A run that was stopped goes on where it was; with other settings or code all is measured again.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Literal

import numpy as np
import pandas as pd
from anndata import AnnData

from benchmarks.peers import LEFT_OUT, PEERS, version_of
from benchmarks.record import Score, already, argument_parser, markdown, provenance, write
from benchmarks.temporal.real_series import metrics_of, scored_parts
from benchmarks.timing import one_thread
from scstlib.datasets import load
from scstlib.metrics.expression import energy_distance
from scstlib.models import PublishedScNODE, ScNODE
from scstlib.models.temporal import methods, score_held_out_times
from scstlib.models.temporal.cells import measured_cells
from scstlib.splits import hold_out_times

SETS = ("semrau2017", "guo2010", "bargaje2017", "ipsc_cardiomyocyte", "kouno2013", "klein2015")
SIMPLE = (
    "nearest time copied",
    "nearest time, mean moved",
    "OT displacement",
    "OT displacement, 6 components",
)
PUBLISHED, CLOCKED = "scNODE as published", "scNODE, clock chosen"
GROWN = "scNODE, growth 1"
QUICK_PEERS = [name for name in PEERS if name not in LEFT_OUT]
COMPARED = (
    *SIMPLE, "mean profile", "OT displacement, own residuals",
    "scNODE", CLOCKED, GROWN, PUBLISHED, *QUICK_PEERS,
)  # fmt: skip
SEEDED = ("scNODE",)
REPEATS, BOOTSTRAPS, MOST_CORRELATED = 5, 2000, 100
UNBIASED, CORRELATIONS = "likeness, unbiased", "correlations"
SCORES = ("place", "place, drawn", "likeness", UNBIASED, CORRELATIONS)
Metrics = dict[str, Callable[[np.ndarray, np.ndarray], float]]


def correlation_error(training: AnnData) -> Callable[[np.ndarray, np.ndarray], float]:
    """One minus the correlation of correlations; a constant gene correlates with none."""
    spread = measured_cells(training, "time").values.std(axis=0)
    genes = np.argsort(-spread, kind="stable")[:MOST_CORRELATED]
    above = np.triu_indices(len(genes), 1)

    def correlations(values: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return np.nan_to_num(np.corrcoef(values[:, genes].T)[above])

    def error(x: np.ndarray, y: np.ndarray) -> float:
        both = correlations(x), correlations(y)
        return 1.0 - float(np.corrcoef(*both)[0, 1]) if min(b.std() for b in both) > 0 else 1.0

    return error


def scores_of(training: AnnData) -> dict[bool | Literal["depth"], Metrics]:
    """Scores by the noise that predicted cells are drawn with."""
    known = metrics_of(training)
    return {
        "depth": {"place": known["W2**2"]},
        True: {
            "place, drawn": known["W2**2"],
            "likeness": known["energy"],
            UNBIASED: partial(energy_distance, unbiased=True),
            CORRELATIONS: correlation_error(training),
        },
    }


def score(
    name: str, adata: AnnData, held_out: float, compared: list[str], seeds: list[int]
) -> list[Score]:
    """Scores and CPU seconds of fitting of each method at one held-out time."""
    training, test = scored_parts(hold_out_times(adata, test=held_out))
    series, new = np.unique(adata.obs["time"]), methods()
    new[PUBLISHED] = lambda seed: PublishedScNODE(time_points=series.tolist(), seed=seed)
    new[CLOCKED] = lambda seed: ScNODE(clock="auto", seed=seed)
    new[GROWN] = lambda seed: ScNODE(growth=1.0, seed=seed)
    new |= {peer: PEERS[peer][1] for peer in QUICK_PEERS}
    fitted, seconds = {}, {}
    for method in compared:
        own = seeds if method in SEEDED else seeds[:1]
        start = time.process_time()
        fitted[method] = [new[method](seed).fit(training, "time") for seed in own]
        seconds[method] = (time.process_time() - start) / len(own)
    found: dict[str, pd.Series[float]] = {}
    for noise, asked in scores_of(training).items():
        scores = score_held_out_times(fitted, test, asked, n_repeats=REPEATS, noise=noise)
        medians = scores.groupby(["metric", "model"], sort=False)["value"].median()
        found |= {name: medians[name] for name in asked}
    kind = "outer" if held_out == series[-1] else "inner"
    about = {"set": name, "time": held_out, "kind": kind}
    table = pd.DataFrame(found).assign(cpu_seconds=pd.Series(seconds))
    return [about | {"row": row} | values.to_dict() for row, values in table.iterrows()]


def ratios(frame: pd.DataFrame, metric: str, kind: str) -> pd.DataFrame:
    """Score over that of the best simple method; a row for each set and time, a column a method."""
    own = frame[frame["kind"] == kind]
    order = list(dict.fromkeys(own["row"]))
    values = own.pivot(index=["set", "time"], columns="row", values=metric)[order]
    return values.div(values[list(SIMPLE)].min(axis=1), axis=0)


def summary(rows: list[Score]) -> list[Score]:
    """Medians of the ratios over tasks, with bootstrap intervals."""
    frame, found = pd.DataFrame(rows), []
    rng = np.random.default_rng(0)
    for metric, kind in product(SCORES, frame["kind"].unique()):
        for row, column in ratios(frame, metric, kind).items():
            ratio = column.dropna().to_numpy()
            drawn = np.median(rng.choice(ratio, (BOOTSTRAPS, len(ratio))), axis=1)
            low, high = np.quantile(drawn, [0.025, 0.975])
            found.append(
                {
                    "metric": metric, "kind": kind, "row": row, "tasks": len(ratio),
                    "median": float(np.median(ratio)), "low": float(low), "high": float(high),
                    "at_most_1": int((ratio <= 1 + 1e-9).sum()),
                    "above_1.1": int((ratio > 1.1).sum()),
                }
            )  # fmt: skip
    return found


def table(rows: list[Score]) -> str:
    """Markdown: the summary, and a geometric mean of the ratios over the times of a series."""
    frame = pd.DataFrame(rows)
    kept = pd.DataFrame(summary(rows))
    text = [markdown(list(kept.columns), kept.to_numpy())]
    for metric, kind in product(("place", "likeness"), frame["kind"].unique()):
        ratio = ratios(frame, metric, kind).transform(np.log)
        means = ratio.groupby(level="set", sort=False).mean().transform(np.exp).T
        shown = [[row, *values] for row, values in means.iterrows()]
        text.append(markdown([f"{metric}, {kind}", *means.columns], shown))
    seconds = frame.groupby(["row", "set"], sort=False)["cpu_seconds"].mean().unstack("set")
    shown = [[row, *values] for row, values in seconds.dropna().iterrows()]
    text.append(markdown(["CPU seconds of a fit", *seconds.columns], shown))
    return "\n".join(text)


def main() -> None:
    parser = argument_parser(__file__, __doc__)
    parser.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
    known = [*methods(), CLOCKED, GROWN, *QUICK_PEERS]
    parser.add_argument("--methods", nargs="+", choices=known)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="of scNODE")
    arguments = parser.parse_args()
    versions = {peer: version_of(PEERS[peer][0]) for peer in QUICK_PEERS}
    absent = [name for name, version in versions.items() if not version]
    if set(absent) & set(arguments.methods or ()):
        parser.error(f"not installed: {', '.join(absent)}; pip install .[peers]")
    compared = arguments.methods or [name for name in COMPARED if name not in absent]
    about = provenance(
        "numpy", "scipy", "torch", "scikit-learn", "POT",
        repeats=REPEATS, seeds=arguments.seeds, peers=versions,
    )  # fmt: skip
    rows = already(arguments.output, about)
    done = {(row["set"], row["time"]) for row in rows}
    with one_thread(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "time .* lies .* beyond the last training time")
        for name in arguments.sets:
            adata = load(name)
            for held_out in np.unique(adata.obs["time"])[1:].astype(float):
                if (name, held_out) not in done:
                    rows += score(name, adata, held_out, compared, arguments.seeds)
                    found = {"provenance": about, "summary": summary(rows), "scores": rows}
                    write(arguments.output, found)
            print(f"{name}: done", flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
