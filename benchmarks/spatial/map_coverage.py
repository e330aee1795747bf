"""How much of the true maps of cell types the 80% intervals of an ensemble hold.

    python -m benchmarks.spatial.map_coverage [--seeds 0 1 2 3 4 5]

Smoothed bulk, ridge and boosted trees, stacked (:class:`scstlib.models.spatial.ContactEnsemble`),
learn from training types on five chromosomes of the organism and predict two other chromosomes. The
intervals, of pixels and of insulation, are calibrated on two further chromosomes: on the training
types, or on the training types left out in turn (``leave_types_out=True``). ``held`` is the share
of the true numbers that the intervals hold, in the training types and in two that are neither
learned from nor calibrated on, near and far as in :mod:`.truth`. That types are left out in turn
was chosen on the organism seeds 20 to 25. A run that was stopped goes on where it was.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from benchmarks.record import Score, already, argument_parser, markdown, provenance, write
from benchmarks.spatial.truth import TRAINING_TYPES
from benchmarks.timing import one_thread
from scstlib.datasets import simulate_organism
from scstlib.metrics.contacts import insulation_score
from scstlib.models.spatial import BulkRidge, BulkSmoothed, ContactEnsemble, ContactTrees
from scstlib.models.spatial.calibration import Summary
from scstlib.preprocess.organism_windows import organism_windows
from scstlib.preprocess.windows import Windows

LEVEL = 0.8
NEW = {"near": "gamma_precursor", "far": "alpha_mature"}
SETTINGS: dict[str, Any] = {"n_genes": 400, "n_bins": 192, "n_chromosomes": 9, "n_cells": 100,
            "n_reference": 500, "contacts_per_cell": 6000.0}  # fmt: skip
METHODS = (
    lambda n: BulkSmoothed(),
    lambda n: BulkRidge(n_pixels=20_000, seed=n),
    lambda n: ContactTrees(n_pixels=20_000, max_iter=40, seed=n),
)
CALIBRATED_ON = {"training types": False, "training types left out in turn": True}


def insulation(maps: np.ndarray, windows: Windows) -> np.ndarray:
    """Insulation score of each bin, (n, bins)."""
    return insulation_score(maps, window=8)


def scores_of(seed: int) -> list[Score]:
    """Shares held on one organism, one row a calibration, part and summary."""
    organism = simulate_organism(seed, **SETTINGS)
    windows, expected = organism_windows(
        organism, [*TRAINING_TYPES, *NEW.values()], organism.chromosomes,
        reference=TRAINING_TYPES, window=64, stride=64, seed=seed,
    )  # fmt: skip
    kind = windows.table["cell_type"].to_numpy()
    place = windows.table["chrom"].map(list(organism.chromosomes).index).to_numpy()
    for name in np.unique(kind):  # The truth, at the depth of the bulk map.
        own = kind == name
        expected[own] *= windows.bulk[own].sum() / expected[own].sum()
    usable = windows.mask[:, :, None] & windows.mask[:, None, :]
    true = np.where(usable, expected, np.nan)
    learned = np.isin(kind, TRAINING_TYPES)
    validation = windows[learned & np.isin(place, (5, 6))]
    rows: list[Score] = []
    for calibrated_on, left_out in CALIBRATED_ON.items():
        ensemble = ContactEnsemble(METHODS, stack=True, leave_types_out=left_out)
        ensemble.fit(windows[learned & (place < 5)], validation)
        parts = {"seen": learned, **{part: kind == name for part, name in NEW.items()}}
        for part, own in parts.items():
            tested = own & (place > 6)
            about = {"organism": seed, "calibrated_on": calibrated_on, "part": part}
            rows += [
                about
                | {"what": what, "held": share_held(ensemble, windows[tested], true[tested], of)}
                for what, of in {"pixels": None, "insulation": insulation}.items()
            ]
    return rows


def share_held(
    ensemble: ContactEnsemble, windows: Windows, true: np.ndarray, of: Summary | None
) -> float:
    """Share of the true pixels, or of a summary of the true maps, in the intervals."""
    band = ensemble.interval(windows, of, level=LEVEL)
    truth = true if of is None else of(true, windows)
    inside = (band.lower <= truth) & (truth <= band.upper)
    return float(inside[np.isfinite(truth)].mean())


def summary(rows: list[Score]) -> list[Score]:
    """Mean and range of the shares held, over organisms."""
    frame = pd.DataFrame(rows)
    keys = ["calibrated_on", "part", "what"]
    return [
        dict(zip(keys, key, strict=True))
        | {"held": float(held.mean()), "lowest": float(held.min()), "highest": float(held.max()),
           "runs": len(held), "runs_in_72_to_88": int(held.between(0.72, 0.88).sum())}
        for key, held in frame.groupby(keys, sort=False)["held"]
    ]  # fmt: skip


def main() -> None:
    parser = argument_parser(__file__, __doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[*range(6)], help="of the organism")
    arguments = parser.parse_args()
    about = provenance(level=LEVEL, organism=SETTINGS, settings_chosen_on="organism seeds 20 to 25")
    rows = already(arguments.output, about)
    with one_thread():
        for seed in arguments.seeds:
            if not any(row["organism"] == seed for row in rows):
                rows += scores_of(seed)
            write(arguments.output, {"provenance": about, "summary": summary(rows), "scores": rows})
            print(f"organism {seed}: done", flush=True)
    frame = pd.DataFrame(summary(rows))
    print(markdown(list(frame.columns), frame.to_numpy()))


if __name__ == "__main__":
    main()
