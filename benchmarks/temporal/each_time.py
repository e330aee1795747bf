"""Each time but the first of six real series held out, predicted by temporal methods.

    python -m benchmarks.temporal.each_time [--sets NAME...] [--methods NAME...] [--output FILE]

Each measured time but the first is held out in turn: inner ones, and the last. Methods of
``scstlib.models.temporal.methods()`` are fitted to the other times with their defaults, one seed;
nothing is chosen by these scores. Cells of a held-out time are split in random halves, three times,
and medians taken, as in :mod:`.real_series`. Place is exact W2**2 of de-noised cells to measured
ones in at most 20 principal components of the training cells, likeness the energy distance of cells
with noise over genes. Series of more genes are cut to the 2,000 that vary most in the training
cells.

The table holds, for each series, the geometric mean over its times of the ratio to the best of four
simple methods at that time (nearest time copied, its mean moved, OT displacement in genes and in 6
components). Choosing the best one after the fact favours it: a method at 1 is as good as an oracle.
"""

from __future__ import annotations

import time
import warnings
from itertools import product

import numpy as np
import pandas as pd
from anndata import AnnData

from benchmarks.results import Score, argument_parser, markdown, provenance, write
from benchmarks.temporal.real_series import MOST_GENES, metrics_of, with_counts
from benchmarks.timing import one_thread
from scstlib.datasets import load
from scstlib.models.temporal import methods, score_held_out_times
from scstlib.preprocess.expression import SelectVariableGenes
from scstlib.splits import hold_out_times

SETS = ("semrau2017", "guo2010", "bargaje2017", "ipsc_cardiomyocyte", "kouno2013", "klein2015")
SIMPLE = (
    "nearest time copied",
    "nearest time, mean moved",
    "OT displacement",
    "OT displacement, 6 components",
)
COMPARED = (*SIMPLE, "mean profile", "OT displacement, own residuals", "scNODE")


def score(name: str, adata: AnnData, held_out: float, compared: list[str]) -> list[Score]:
    """Place, likeness and CPU seconds of fitting of each method at one held-out time."""
    split = hold_out_times(adata, test=held_out)
    training, test = split.train, split.test
    if adata.n_vars > MOST_GENES:
        chosen = SelectVariableGenes(MOST_GENES, flavor="pearson_residuals").fit(training)
        training, test = chosen.transform(training), chosen.transform(test)
    training, test = with_counts(training), with_counts(test)
    fitted, seconds = {}, {}
    new = methods()
    for method in compared:
        start = time.process_time()
        fitted[method] = new[method](0).fit(training, "time")
        seconds[method] = time.process_time() - start
    metrics = metrics_of(training)
    found = {}
    for score_, metric, noise in (
        ("place", "W2**2", "depth"),
        ("likeness", "energy", True),
    ):
        scores = score_held_out_times(fitted, test, {score_: metrics[metric]}, noise=noise)
        found[score_] = scores.groupby("model", sort=False)["value"].median()
    kind = "outer" if held_out == adata.obs["time"].max() else "inner"
    about = {"set": name, "time": held_out, "kind": kind}
    table = pd.DataFrame(found).assign(cpu_seconds=pd.Series(seconds))
    return [about | {"row": row} | values.to_dict() for row, values in table.iterrows()]


def table(rows: list[Score]) -> str:
    """Markdown: ratios to the best simple method, a geometric mean over the times of a series."""
    frame = pd.DataFrame(rows)
    order = list(dict.fromkeys(frame["row"]))
    text = []
    for metric, kind in product(("place", "likeness"), ("inner", "outer")):
        values = frame[frame["kind"] == kind].pivot(
            index=["set", "time"], columns="row", values=metric
        )[order]
        ratio = np.log(values.div(values[list(SIMPLE)].min(axis=1), axis=0))
        means = np.exp(ratio.groupby(level="set", sort=False).mean()).T
        means["all"] = np.exp(np.log(means).mean(axis=1))
        means["tasks at most 1"] = (ratio <= 1e-9).sum()
        shown = [[row, *values] for row, values in means.iterrows()]
        text.append(markdown([f"{metric}, {kind}", *means.columns], shown))
    seconds = frame.groupby(["row", "set"], sort=False)["cpu_seconds"].mean().unstack("set")
    shown = [[row, *values] for row, values in seconds.dropna().iterrows()]
    text.append(markdown(["CPU seconds of a fit", *seconds.columns], shown))
    return "\n".join(text)


def main() -> None:
    parser = argument_parser(__file__, __doc__)
    parser.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
    parser.add_argument("--methods", nargs="+", default=COMPARED, choices=list(methods()))
    arguments = parser.parse_args()
    about = provenance("numpy", "scipy", "torch", "scikit-learn", "POT", sets=list(arguments.sets))
    rows: list[Score] = []
    with one_thread(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "time .* lies .* beyond the last training time")
        for name in arguments.sets:
            adata = load(name)
            for held_out in np.unique(adata.obs["time"])[1:]:
                rows += score(name, adata, float(held_out), list(arguments.methods))
            write(arguments.output, {"provenance": about, "scores": rows})
            print(f"{name}: done", flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
