"""What irregular times cost the default on simulated organisms, against regular ones.

    python -m benchmarks.temporal.irregular [--seeds N...]

Two series of eight times of one organism, of as many cells and from 0 to 96 h, differ in when they
were measured alone: at regular times, or at 0, 1, 6, 12, 24, 48, 72 and 96 h. The default is fitted
to each and asked for times that neither has. ``place`` is exact W2**2 of expected cells
(``noise=False``) to noise-free true ones in 15 principal components of these, ``likeness`` the
energy distance of cells with noise to fresh measured ones, over genes without the bias of small
samples. The summary holds the ratio irregular over regular of the means over times and organisms.
A run that was stopped goes on where it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from benchmarks.record import Score, already, argument_parser, markdown, provenance, write
from benchmarks.temporal.truth import TRUTH_COMPONENTS, log_values
from benchmarks.timing import one_thread
from scstlib.datasets import simulate_organism
from scstlib.datasets.organism import Organism
from scstlib.metrics.expression import energy_distance, wasserstein
from scstlib.models import ScNODE

TIMES = {
    "regular": np.linspace(0.0, 96.0, 8).tolist(),
    "irregular": [0.0, 1.0, 6.0, 12.0, 24.0, 48.0, 72.0, 96.0],
}
ASKED = [3.0, 9.0, 18.0, 36.0, 60.0, 84.0]
N_CELLS = 200


@dataclass(frozen=True)
class Asked:
    """What an organism would show at the asked times.

    Attributes
    ----------
    measured : numpy.ndarray, shape (times * N_CELLS, genes)
        Log values of fresh measured cells.
    true : numpy.ndarray, shape (times * N_CELLS, genes)
        The same without noise.
    space : PCA
        Of the latter.
    """

    measured: np.ndarray
    true: np.ndarray
    space: PCA

    @classmethod
    def of(cls, organism: Organism) -> Self:
        fresh = organism.sample(ASKED, N_CELLS, seed=2)
        true = log_values(fresh.layers["true_mean"])
        return cls(log_values(fresh.X), true, PCA(TRUTH_COMPONENTS, random_state=0).fit(true))

    def scores(self, model: ScNODE) -> list[Score]:
        """Place and likeness at each asked time."""
        expected = log_values(model.sample(ASKED, N_CELLS, seed=0, noise=False).X)
        drawn = model.sample(ASKED, N_CELLS, seed=0, noise=True).layers["log1p_cp10k"]
        rows: list[Score] = []
        for number, time in enumerate(ASKED):
            part = slice(number * N_CELLS, (number + 1) * N_CELLS)
            points = self.space.transform(expected[part]), self.space.transform(self.true[part])
            rows.append(
                {
                    "time": time,
                    "place": wasserstein(*points, squared=True),
                    "likeness": energy_distance(drawn[part], self.measured[part], unbiased=True),
                }
            )
        return rows


def score(seed: int) -> list[Score]:
    """Both scores at each asked time, for both series of an organism."""
    organism = simulate_organism(seed=seed, preset="small", n_genes=400)
    asked, rows = Asked.of(organism), []
    for name, times in TIMES.items():
        model = ScNODE(seed=seed).fit(organism.sample(times, N_CELLS, seed=1, keep_truth=False))
        rows += [{"organism": seed, "times": name} | row for row in asked.scores(model)]
    return rows


def summary(rows: list[Score]) -> list[Score]:
    """Means over organisms and times, and their ratio."""
    means = pd.DataFrame(rows).groupby("times")[["place", "likeness"]].mean()
    return [
        {"metric": name, **column.to_dict(), "ratio": column["irregular"] / column["regular"]}
        for name, column in means.items()
    ]


def main() -> None:
    parser = argument_parser(__file__, __doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of organisms")
    arguments = parser.parse_args()
    about = provenance("torch", "POT", seeds=arguments.seeds)
    rows = already(arguments.output, about)
    with one_thread():
        for seed in arguments.seeds:
            if not any(row["organism"] == seed for row in rows):
                rows += score(seed)
                results = {"provenance": about, "summary": summary(rows), "scores": rows}
                write(arguments.output, results)
    found = summary(rows)
    print(markdown(list(found[0]), [list(row.values()) for row in found]))


if __name__ == "__main__":
    main()
