"""What unequal depths of the cell types cost the methods that are fitted in seconds.

    python -m benchmarks.spatial.depths [--seeds 0 1 2] [--output FILE]

takes three CPU minutes an organism. Windows of :mod:`.truth`. The targets of the five training
types are sums of equally many cells, or of numbers that rise from 1 to 4, with as many cells in
all; which type is shallow differs from organism to organism. Scores are against the truth, which is
the same for both. ``kept`` is the share of dC and dIns that is left where depths are unequal, the
median over organisms.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace

import numpy as np

from benchmarks.record import Score, argument_parser, provenance, write
from benchmarks.spatial.scores import SMOOTHED, TREES, scored
from benchmarks.spatial.truth import N_CELLS, TRAINING_TYPES, SpaceWorld
from benchmarks.timing import one_thread
from scstlib.models.spatial import SpatialModel
from scstlib.models.spatial.baselines import BulkRidge, BulkSmoothed
from scstlib.models.spatial.trees import ContactTrees

RIDGE = "bulk + ridge"
SHARES = 4.0 ** np.linspace(-0.5, 0.5, len(TRAINING_TYPES))
SCORES = ("SCC", "dC", "dIns")


def cells_of_types(seed: int) -> dict[str, int]:
    """Cells of each training type, 1 : 4, with ``N_CELLS`` in the mean."""
    share = np.roll(SHARES / SHARES.mean(), seed)
    return {kind: round(N_CELLS * s) for kind, s in zip(TRAINING_TYPES, share, strict=True)}


def scores_of(seed: int) -> list[Score]:
    """Scores with equal and with unequal depths, on one organism."""
    equal = SpaceWorld.of_seed(seed)
    unequal = replace(equal, n_cells=cells_of_types(seed))
    rows = []
    for depths, world in {"equal": equal, "unequal": unequal}.items():
        models: dict[str, SpatialModel] = {
            SMOOTHED: BulkSmoothed(),
            RIDGE: BulkRidge(n_pixels=100_000, seed=seed),
            TREES: ContactTrees(n_pixels=100_000, max_iter=80, seed=seed),
        }
        for model in models.values():
            model.fit(world.train)
        about = {"organism": seed, "depths": depths}
        rows += [
            about | {name: row[name] for name in ("row", "part", *SCORES)}
            for row in scored(equal, models)
        ]
    return rows


def kept(rows: list[Score]) -> dict[str, dict[str, float]]:
    """Median share of dC and dIns that is left, of each method and part."""
    found: dict[str, dict[str, float]] = {}
    values = {(r["row"], r["part"], r["organism"], r["depths"]): r for r in rows}
    for name in (RIDGE, TREES):
        for metric in ("dC", "dIns"):
            ratios = {
                key[:3]: values[*key[:3], "unequal"][metric] / row[metric]
                for key, row in values.items()
                if key[0] == name and key[3] == "equal"
            }
            for part in ("seen", "near", "far"):
                some = [ratio for key, ratio in ratios.items() if key[1] == part]
                found.setdefault(f"{name}, {metric}", {})[part] = float(np.median(some))
    return found


def run(arguments: argparse.Namespace) -> None:
    """Written after each organism, so that nothing is lost on the way."""
    rows: list[Score] = []
    about = provenance(cells={seed: cells_of_types(seed) for seed in arguments.seeds})
    for seed in arguments.seeds:
        rows += scores_of(seed)
        results = {"provenance": about, "summary": {"kept": kept(rows)}, "runs": {"scores": rows}}
        write(arguments.output, results)
    print(json.dumps(kept(rows), indent=1))


def main() -> None:
    parser = argument_parser(__file__, __doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the organism")
    with one_thread():
        run(parser.parse_args())


if __name__ == "__main__":
    main()
