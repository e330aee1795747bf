"""One spatial method on one set of maps: SCC, SCC to the truth, dC and dIns; larger is better.

Organism: windows of :mod:`benchmarks.spatial.truth`; the splits are cell types that were trained on
(seen) and two that were not (near, far), all on chromosomes that were not. With equal depths every
target is of as many cells; with unequal ones the numbers rise from 1 to 4 over the training types,
and scores are against the truth of equal depth. The order changes with the seed, which is also
that of the organism.

lee2019: four cell types of human cortex at 1 Mb, every second chromosome held out. The bulk is of
one donor and the targets are of the other, which stand in for the truth. Expression is from another
study. There is no dIns: windows of 40 Mb hold too few domains.

Scores are means over windows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.compare.jobs import BOUNDS, UNEQUAL, Profile
from benchmarks.compare.measuring import Cost, measured_fit, new_model
from benchmarks.record import Score
from benchmarks.spatial.depths import cells_of_types
from benchmarks.spatial.scores import Remembering
from benchmarks.spatial.truth import PARTS, SpaceWorld
from scstlib.datasets import load, simulate_organism
from scstlib.files.track_files import expression_by_type
from scstlib.models.spatial.comparison import (
    MAX_DISTANCE,
    contact_scores,
    mean_at_places,
    score_windows,
)
from scstlib.models.spatial.methods import REFERENCES
from scstlib.preprocess.contacts import without_diagonal
from scstlib.preprocess.expected import DistanceMeans
from scstlib.preprocess.guides import guide_tracks
from scstlib.preprocess.tracks import by_chromosome, expression_tracks, interval_track
from scstlib.preprocess.windows import Windows, make_windows
from scstlib.splits import hold_out_chromosomes

Row = tuple[str, str, Score, Cost]
METRICS = ("SCC", "SCCt", "dC", "dIns")
KINDS = {"ODC": "oligo", "Astro": "astro", "MG": "microglia", "Sst": "neuro"}
BULK_DONOR, TARGET_DONOR = "21yr", "29yr"
TRUTH, REPLICATE, DECAY = "noise-free truth", "replicate", "mean at each distance"


@dataclass(frozen=True)
class Held:
    """Windows that are predicted, and what they are compared with.

    Attributes
    ----------
    windows
        With targets.
    training
        Windows of the training types at the same places.
    reference
        (n, bins, bins), mean of the training types at the same places, of the truth if there is
        one.
    replicate
        Measures once more: the targets of ``windows`` and those of ``training``.
    truth
        (n, bins, bins), if it is known.
    """

    windows: Windows
    training: Windows
    reference: np.ndarray
    replicate: Callable[[], tuple[np.ndarray, np.ndarray]]
    truth: np.ndarray | None = None
    max_distance: int = MAX_DISTANCE
    metrics: tuple[str, ...] = METRICS


@dataclass(frozen=True)
class Task:
    """Training windows, and held-out ones by split."""

    train: Windows
    held: dict[str, Held]


def task_of(data: str, seed: int, size: Profile) -> Task:
    """Read the maps, or simulate them."""
    if data == "lee2019":
        return cortex()
    organism = simulate_organism(seed, **size.maps)
    equal = SpaceWorld(organism, window=size.window, stride=size.stride)
    world = replace(equal, n_cells=cells_of_types(seed)) if data == UNEQUAL else equal
    return Task(world.train, {name: held_of(equal, name) for name in equal.parts})


def held_of(world: SpaceWorld, name: str) -> Held:
    part = world.parts[name]

    def replicate() -> tuple[np.ndarray, np.ndarray]:
        other = replace(world, draw=1).parts[name]
        return targets_of(other.windows), targets_of(other.training)

    return Held(part.windows, part.training, part.reference, replicate, part.truth)


def targets_of(windows: Windows) -> np.ndarray:
    assert windows.targets is not None
    return windows.targets


def rows(task: Task, row: str, seed: int, size: Profile) -> Iterator[Row]:
    """Split, name, scores and cost of each row of a job."""
    if row == BOUNDS:
        for split, held in task.held.items():
            for name, scores in bounds_of(task.train, held).items():
                yield split, name, scores, Cost()
        return
    model = new_model("spatial", row, seed, size)
    if row in REFERENCES:
        for split, held in task.held.items():
            cost = measured_fit(lambda held=held: model.fit(held.training), model)
            yield split, row, means(scored(held, {}, {row: model})), cost
        return
    cost = measured_fit(lambda: model.fit(task.train), model)
    same = Remembering(model)
    for split, held in task.held.items():
        yield split, row, means(scored(held, {row: same}, {})), cost


def scored(held: Held, models: dict[str, Any], references: dict[str, Any]) -> pd.DataFrame:
    """Scores of each window, of one model."""
    table = score_windows(
        models,
        held.windows,
        truth=held.truth,
        reference=held.reference,
        training=held.training if models else None,
        references=references,
        max_distance=held.max_distance,
    )
    wanted = [*models, *references]
    return table.loc[table["model"].isin(wanted), list(held.metrics)]


def means(table: pd.DataFrame) -> Score:
    return {name: float(table[name].mean()) for name in METRICS if name in table}


def bounds_of(train: Windows, held: Held) -> dict[str, Score]:
    """Scores of the truth, of a replicate, and of the mean at each distance."""
    decay = DistanceMeans("bulk").fit(train).expected().astype(np.float32)
    usable = held.windows.mask[:, :, None] & held.windows.mask[:, None, :]
    again, of_types = held.replicate()
    maps = {
        REPLICATE: (again, mean_at_places(of_types, held.training, held.windows)),
        DECAY: (decay * usable, decay * usable),
    }
    if held.truth is not None:
        maps = {TRUTH: (held.truth, held.reference), **maps}
    found = {}
    for name, (prediction, own) in maps.items():
        table = contact_scores(
            prediction,
            held.windows,
            truth=held.truth,
            reference=held.reference,
            prediction_reference=own,
            max_distance=held.max_distance,
        )
        found[name] = means(table[list(held.metrics)])
    return found


def cortex() -> Task:
    """lee2019: the bulk of one donor, the targets of the other."""
    maps = load("lee2019")
    sample = maps.obs["cell_type"].astype(str) + " " + maps.obs["donor"].astype(str)
    samples = maps.pseudobulk({k: list(rows) for k, rows in sample.groupby(sample).groups.items()})
    chroms = [f"chr{number}" for number in range(1, 23)]
    bins = maps.bins[["chrom", "start", "end"]].astype({"chrom": str})
    bins = bins[bins["chrom"].isin(chroms)].reset_index(drop=True)
    measured = {
        donor: {
            kind: {c: without_diagonal(samples.matrix(f"{kind} {donor}", c)) for c in chroms}
            for kind in KINDS
        }
        for donor in (BULK_DONOR, TARGET_DONOR)
    }
    bulk = {c: sum(measured[BULK_DONOR][kind][c] for kind in KINDS) for c in chroms}
    tracks, names = cortex_tracks(bins)

    def cut(donor: str) -> Windows:
        return make_windows(
            bulk,
            tracks,
            measured[donor],
            bin_size=1_000_000,
            bulk_cell_types=tuple(KINDS),
            bulk_donors=(BULK_DONOR,),
            donor=TARGET_DONOR,
            window=40,
            stride=20,
            to_end=True,
            track_names=names,
        )

    split = hold_out_chromosomes(cut(TARGET_DONOR), test=chroms[1::2])
    test = split.test

    def replicate() -> tuple[np.ndarray, np.ndarray]:
        again = targets_of(hold_out_chromosomes(cut(BULK_DONOR), test=chroms[1::2]).test)
        return again, again

    reference = mean_at_places(targets_of(test), test, test)
    held = Held(test, test, reference, replicate, max_distance=19, metrics=("SCC", "dC"))
    return Task(split.train, {"chromosomes": held})


def cortex_tracks(bins: pd.DataFrame) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Expression of the cell types and CpG: cell type to chromosome to tracks, and their names."""
    rna = load("darmanis2015")
    rna = rna[rna.obs["cell_type"].isin(list(KINDS.values()))].copy()
    kinds = {long: kind for kind, long in KINDS.items()}
    rna.obs["kind"] = rna.obs["cell_type"].astype(str).map(kinds)
    genes = load("annotation_hg19").drop_duplicates("gene").set_index("gene")
    cpg = load("cpg_tracks").query("assembly == 'hg19' and bin_size == 1_000_000")
    tracks, names = guide_tracks(
        expression_tracks(expression_by_type(rna, "kind"), genes, bins),
        reference=list(KINDS),
        shared=interval_track(cpg, bins, value="cpg"),
        shared_names=["CpG"],
    )
    return {kind: by_chromosome(values, bins) for kind, values in tracks.items()}, names


def splits(data: str) -> tuple[str, ...]:
    """Names of the splits of a data set."""
    return ("chromosomes",) if data == "lee2019" else PARTS


def roles() -> dict[str, str]:
    """Rows that are no candidates; the mean of the training types has seen their held-out maps."""
    known = {TRUTH: "ceiling", REPLICATE: "replicate", DECAY: "constant"}
    return known | dict.fromkeys(REFERENCES, "reference")
