"""How many measured numbers the intervals of an ensemble hold, at held-out times.

    python -m benchmarks.temporal.coverage [--sets NAME...] [--members N]

Every second time of six real series from the third on, and the last sixth, are held out (the
pattern ``hard`` of ``hold_out_times``; of four times only the last) and an ensemble of scNODE is
fitted to the others, each of its three members with another seed and on cells drawn anew. Intervals
of 80% are as the members' spread gives them, and calibrated on training times that are left out in
turn (``calibrate=True``). They are for the mean of each gene, of expected cells
(``noise="depth"``), and for the share of cells (with noise) in each of four clusters, found by
k-means in at most 20 principal components of the training cells: fates by one rule for every
series, labelled or not. ``held`` is the share of numbers whose measured value lies in its interval,
at inner times and beyond the last training time.

Values are log1p of counts per 10,000, of qPCR the numbers as they are. Series of more genes are cut
to the 500 that vary most in the training cells. A run that was stopped goes on where it was.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from itertools import product
from typing import Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from benchmarks.record import Score, already, argument_parser, markdown, provenance, write
from benchmarks.temporal.each_time import SETS
from benchmarks.temporal.real_series import MOST_COMPONENTS, scored_parts
from benchmarks.timing import one_thread
from scstlib.datasets import load
from scstlib.models import ScNODE
from scstlib.models.temporal import Ensemble
from scstlib.models.temporal.cells import measured_cells
from scstlib.models.temporal.left_out import values_of
from scstlib.splits import hold_out_times

LEVEL, MOST_GENES, MEMBERS, N_CELLS, CLUSTERS = 0.8, 500, 3, 300, 4
MEANS, SHARES = "gene means", "cluster shares"


def means(cells: AnnData) -> pd.Series[float]:
    """Mean value of each gene of predicted cells."""
    return pd.Series(values_of(cells).mean(0), index=list(cells.var_names))


def shares_of_clusters(training: AnnData) -> Callable[[AnnData], pd.Series[float]]:
    """Return a summary of cells: the share in each cluster of the training cells."""
    values = measured_cells(training, "time").values.astype(np.float64)
    space = PCA(min(MOST_COMPONENTS, *values.shape), svd_solver="full").fit(values)
    clusters = KMeans(CLUSTERS, n_init=10, random_state=0).fit(space.transform(values))

    def shares(cells: AnnData) -> pd.Series[float]:
        nearest = clusters.predict(space.transform(values_of(cells).astype(np.float64)))
        return pd.Series(np.bincount(nearest, minlength=CLUSTERS) / len(nearest))

    return shares


def score(name: str, adata: AnnData, members: int) -> list[Score]:
    """Share of numbers held and half widths, one row a held-out time and kind of interval."""
    if adata.obs["time"].nunique() < 5:  # Calibration takes three training times.
        split = hold_out_times(adata, test=float(adata.obs["time"].max()))
    else:
        split = hold_out_times(adata, pattern="hard")
    training, test = scored_parts(split, MOST_GENES)
    start = time.process_time()
    ensemble = Ensemble(lambda n: ScNODE(seed=n), members, calibrate=True).fit(training)
    seconds = time.process_time() - start
    measured, last = measured_cells(test, "time", min_times=1), training.obs["time"].max()
    times = [float(t) for t in measured.times]
    asked: list[tuple[str, Callable[[AnnData], pd.Series[float]], bool | Literal["depth"]]] = [
        (MEANS, means, "depth"),
        (SHARES, shares_of_clusters(training), True),
    ]
    rows: list[Score] = []
    for calibrated, (quantity, summarise, noise) in product((False, True), asked):
        ensemble.calibrate = calibrated
        found = ensemble.interval(times, summarise, level=LEVEL, n_cells=N_CELLS, noise=noise)
        for held_out in times:
            band = found[found["time"] == held_out]
            cells = measured.at(held_out)
            true = summarise(measured.as_anndata([cells], [held_out]))
            true = true.loc[band["name"]].to_numpy()
            inside = (true >= band["lower"]) & (true <= band["upper"])
            half = (band["upper"] - band["lower"]) / 2
            rows.append(
                {
                    "set": name,
                    "time": held_out,
                    "kind": "outer" if held_out > last else "inner",
                    "quantity": quantity,
                    "calibrated": calibrated,
                    "held": float(inside.mean()),
                    "half_width": float(half.median()),
                    "error": float(np.median(np.abs(true - band["mean"]))),
                    "numbers": len(band),
                    "cpu_seconds": seconds,
                }
            )
    return rows


def summary(rows: list[Score]) -> list[Score]:
    """Mean over the times of a set, then over sets; and how many sets lie in 70 to 90%."""
    keys = ["quantity", "calibrated", "kind"]
    by_set = pd.DataFrame(rows).groupby([*keys, "set"], sort=False)["held"].mean()
    return [
        {"quantity": quantity, "calibrated": bool(calibrated), "kind": kind,
         "held": float(held.mean()), "lowest": float(held.min()), "highest": float(held.max()),
         "sets": len(held), "sets_in_70_to_90": int(held.between(0.7, 0.9).sum())}
        for (quantity, calibrated, kind), held in by_set.groupby(level=keys, sort=False)
    ]  # fmt: skip


def main() -> None:
    parser = argument_parser(__file__, __doc__)
    parser.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
    parser.add_argument("--members", type=int, default=MEMBERS)
    arguments = parser.parse_args()
    about = provenance(
        "numpy", "scipy", "torch", "scikit-learn", "POT", level=LEVEL, members=arguments.members
    )
    rows = already(arguments.output, about)
    with one_thread(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "time .* lies .* beyond the last training time")
        for name in arguments.sets:
            if not any(row["set"] == name for row in rows):
                rows += score(name, load(name), arguments.members)
            write(arguments.output, {"provenance": about, "summary": summary(rows), "scores": rows})
            print(f"{name}: done", flush=True)
    frame = pd.DataFrame(summary(rows))
    print(markdown(list(frame.columns), frame.to_numpy()))


if __name__ == "__main__":
    main()
