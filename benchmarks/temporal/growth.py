"""Whether growth pays where fates grow at different rates, and whether left-out times show it.

    python -m benchmarks.temporal.growth [--seeds N...]

Fates of the simulated organism differ in net growth; here by nothing, as by default, and twice as
much. The default is fitted to eight times from 0 to 96 h, without growth and with three values of
``growth``, of which the largest is too stiff for any growth: it says what chance does. It predicts
times between. ``place`` and ``likeness`` are those of :mod:`.irregular`, means over the times.
``shares`` is the largest error of a fate's share among ``N_SHARES`` cells with noise, whose fates a
logistic regression on the latent training cells assigns; ``floor`` is that of true cells, as many
as were measured at each time. ``gain`` is what growth takes off the energy distance to left-out
training cells: the median over these times of the mean of cells that stay and of coupled pairs,
whose shares follow growth; ``chosen`` is 1 where it is more than chance. The summary holds means
over organisms.
A run that was stopped goes on where it was.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.record import Score, already, argument_parser, markdown, provenance, write
from benchmarks.temporal.irregular import ASKED, N_CELLS, Asked
from benchmarks.temporal.irregular import TIMES as SERIES
from benchmarks.timing import one_thread
from scstlib.datasets import simulate_organism
from scstlib.models import ScNODE
from scstlib.models.temporal.scnode.pool import more_than_chance
from scstlib.models.temporal.scnode.ways import WAYS

TRUE, NO_GROWTH = (0.0, 1.0, 2.0), 1e6
SETTINGS = (None, NO_GROWTH, 1.0, 0.3)
N_SHARES = 2000
OF_MASS = [f"energy, {WAYS[0]}", f"energy, {WAYS[2]}"]  # Whose shares follow growth.


def energies(model: ScNODE) -> np.ndarray:
    """Energy distance at each left-out time, mean over the ways whose shares follow growth."""
    assert model.pool_ is not None
    found: np.ndarray = pd.DataFrame(model.pool_.left_out)[OF_MASS].to_numpy().mean(axis=1)
    return found


def largest_error(fates: np.ndarray | pd.Series, right: pd.Series) -> float:
    """Of the shares of fates (n,)."""
    shares = pd.Series(fates).astype(str).value_counts(normalize=True)
    return float((shares.reindex(right.index).fillna(0) - right).abs().max())


def score(seed: int, growth: float) -> list[Score]:
    """Scores of one organism with each setting."""
    organism = simulate_organism(seed=seed, preset="small", n_genes=400, growth=growth)
    cells = organism.sample(SERIES["regular"], N_CELLS, seed=1, keep_truth=False)
    asked, fresh = Asked.of(organism), organism.sample(ASKED, N_CELLS, seed=2)
    right = [organism.fate_shares(time) for time in ASKED]
    true = np.split(fresh.obs["fate"].to_numpy(), len(ASKED))
    floor = np.mean([largest_error(*both) for both in zip(true, right, strict=True)])
    rows: list[Score] = []
    without = np.empty(0)
    for setting in SETTINGS:
        model = ScNODE(growth=setting, seed=seed).fit(cells, "time")
        without = energies(model) if setting is None else without
        gain = without - energies(model)
        fates = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        fates.fit(model.encode(cells), cells.obs["fate"].astype(str))
        drawn = model.sample(ASKED, N_SHARES, seed=0).obsm["latent"]
        found = np.split(fates.predict(drawn), len(ASKED))
        means = pd.DataFrame(asked.scores(model))[["place", "likeness"]].mean()
        rows.append(
            {"organism": seed, "true_growth": growth, "growth": setting, **means}
            | {"shares": np.mean([largest_error(*b) for b in zip(found, right, strict=True)])}
            | {"floor": floor, "gain": np.median(gain), "chosen": int(more_than_chance(gain))}
        )
    return rows


def summary(rows: list[Score]) -> list[Score]:
    """Means over organisms; growth None is written as 0."""
    frame = pd.DataFrame(rows).fillna({"growth": 0.0})
    means = frame.groupby(["true_growth", "growth"], sort=False).mean().drop(columns="organism")
    return [dict(row) for row in means.reset_index().to_dict("records")]


def main() -> None:
    parser = argument_parser(__file__, __doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of organisms")
    arguments = parser.parse_args()
    about = provenance("torch", "POT", "scikit-learn", seeds=arguments.seeds)
    rows = already(arguments.output, about)
    with one_thread():
        for seed in arguments.seeds:
            for growth in TRUE:
                if not any((row["organism"], row["true_growth"]) == (seed, growth) for row in rows):
                    rows += score(seed, growth)
                    results = {"provenance": about, "summary": summary(rows), "scores": rows}
                    write(arguments.output, results)
    found = summary(rows)
    print(markdown(list(found[0]), [list(row.values()) for row in found]))


if __name__ == "__main__":
    main()
