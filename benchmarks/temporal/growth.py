"""Whether growth pays where fates grow at different rates, and whether left-out times show it.

    python -m benchmarks.temporal.growth [--seeds N...]

Fates of the simulated organism differ in net growth; here by nothing, as by default, and twice as
much. The default is fitted to eight times from 0 to 96 h, without growth and with two values of
``growth``, and asked for times between. Scores are means over the times: ``place`` is exact W2**2
of expected cells (``noise=False``) to noise-free true ones in 15 principal components of these,
``likeness`` the energy distance of cells with noise to fresh measured ones over genes, without the
bias of small samples, and ``shares`` the largest error of a fate's share among the cells with
noise, whose fates a logistic regression on the latent training cells assigns. ``gain`` is what
growth takes off the energy distance to left-out training cells, without the bias of small samples:
the median over these times of the mean of cells that stay and of coupled pairs, whose shares follow
growth; ``chosen`` is 1 where it is more than chance. The summary holds means over organisms.
A run that was stopped goes on where it was.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.record import Score, already, argument_parser, markdown, provenance, write
from benchmarks.temporal.irregular import ASKED, N_CELLS
from benchmarks.temporal.irregular import TIMES as SERIES
from benchmarks.temporal.truth import TRUTH_COMPONENTS, log_values
from benchmarks.timing import one_thread
from scstlib.datasets import simulate_organism
from scstlib.metrics.expression import energy_distance, wasserstein
from scstlib.models import ScNODE
from scstlib.models.temporal.scnode.pool import more_than_chance

TRUE, SETTINGS = (0.0, 1.0, 2.0), (None, 1.0, 0.3)
WAYS = ("energy, cells as measured", "energy, coupled pairs")


def energies(model: ScNODE) -> np.ndarray:
    """Energy distance at each left-out time, mean over the ways that follow growth."""
    assert model.pool_ is not None
    found: np.ndarray = pd.DataFrame(model.pool_.left_out)[list(WAYS)].to_numpy().mean(axis=1)
    return found


def score(seed: int, growth: float) -> list[Score]:
    """Scores of one organism with each setting."""
    organism = simulate_organism(seed=seed, preset="small", n_genes=400, growth=growth)
    fresh = organism.sample(ASKED, N_CELLS, seed=2)
    true = log_values(fresh.layers["true_mean"])
    space = PCA(TRUTH_COMPONENTS, random_state=0).fit(true)
    cells = organism.sample(SERIES["regular"], N_CELLS, seed=1, keep_truth=False)
    rows: list[Score] = []
    without = np.empty(0)
    for setting in SETTINGS:
        model = ScNODE(growth=setting, seed=seed).fit(cells, "time")
        if setting is None:
            without = energies(model)
        gain = without - energies(model)
        found = {"place": [], "likeness": [], "shares": []}  # type: dict[str, list[float]]
        expected = log_values(model.sample(ASKED, N_CELLS, seed=0, noise=False).X)
        drawn = model.sample(ASKED, N_CELLS, seed=0)
        fates = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        fates.fit(model.encode(cells), cells.obs["fate"].astype(str))
        assigned = fates.predict(drawn.obsm["latent"])
        for number, time in enumerate(ASKED):
            part = slice(number * N_CELLS, (number + 1) * N_CELLS)
            points = space.transform(expected[part]), space.transform(true[part])
            found["place"].append(wasserstein(*points, squared=True))
            values = drawn.layers["log1p_cp10k"][part], log_values(fresh.X[part])
            found["likeness"].append(energy_distance(*values, unbiased=True))
            right = organism.fate_shares(time)
            shares = pd.Series(assigned[part]).value_counts(normalize=True)
            found["shares"].append(
                float((shares.reindex(right.index).fillna(0) - right).abs().max())
            )
        rows.append(
            {"organism": seed, "true_growth": growth, "growth": setting}
            | {name: float(np.mean(values)) for name, values in found.items()}
            | {"gain": float(np.median(gain)), "chosen": int(more_than_chance(gain))}
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
