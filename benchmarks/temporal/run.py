"""Predictions of unmeasured times against the truth of the simulated organism.

    python -m benchmarks.temporal.run [--seeds 0 1 2] [--output FILE]

or one such call for each seed, whose results become one with

    python -m benchmarks.temporal.run --summarise FILE... [--output FILE]

``--only default`` or ``--only published`` fits that one alone.

Organism seeds 0, 1, 2 and model seeds 0, 1, 2; settings of the models were chosen on the organism
seeds 20, 21, 22. Training cells are 400 a time of one draw (counts), without those of the held-out
times: easy 4, 6, 8; medium 10, 11; hard 2, 4, 6, 8, 10, 11 of 0 to 11, where 2, 4, 6, 8 are inner
and 10, 11 outer times. Every method predicts 400 cells a time. A score of a part is the mean over
its times; what is reported is the median over organism and model seeds, and the median of ratios
of each to the median over the other's model seeds on the same organism. Floors and all other
methods of ``scstlib.models.temporal.methods()`` are scored once for each organism.

Where predicted cells lie
    wt: exact squared W2, in 15 principal components of the truth of all times, between the
    prediction with ``noise=False`` and 1,500 fresh cells without noise: the mean of log1p of
    counts per 10,000 that a measured cell has at their true state, over negative binomial counts
    with the organism's dispersion and over its depths. All methods predict in this space. The
    depth of a cell stands for the total of its counts, which the draw leaves free by few per cent.
    wt_rate: the same with log1p of the true mean per 10,000 as truth, in its own 15 components, and
    log1p of the predicted mean per 10,000. Methods that average logs of counts are far off here.
    pca: exact squared W2 to 400 fresh measured cells in 20 components of the training cells.
    W: Sinkhorn divergence to the same cells in gene space, as published (cost |x - y|**2 / 2,
    blur 0.05, scaling 0.5).
    pca and W compare with cells that differ in depth, so the default predicts expected values of
    cells that do as well (``noise="depth"``); its other two ways of sampling are rows of their own.
Floors
    True cells of another draw, as measured, without noise, and without noise but at their depths,
    scored as predictions are. They are no lower bound of W, which prefers cells that vary less
    than true ones.
Likeness, of ``noise=True`` to fresh measured cells, 1,500 on both sides
    energy_distance; share of genes with a variance ratio of 0.8 to 1.25, of all genes and of those
    with more than 0.1 counts a cell; zero_fraction_error. The floor row is another draw of cells.
Fate shares
    Largest absolute error over fates. A logistic regression on the latent training cells assigns
    1,500 predicted latent points (``noise=False``) to fates; the truth is that of the organism's
    reference population. Beside it the same classifier on 1,500 fresh measured cells, both with
    its mean probabilities instead of assignments, and the labels of 400 fresh cells: cells of a
    sample are related by division, so that its shares scatter more than those of independent cells.
Cost
    CPU seconds of whole trainings, one thread, in turns on one machine; those of the published
    schedule computed plainly, with geomloss called for each time and space, are extrapolated from
    20 steps and 10 of the pre-training.
Reading the model
    Perturbations and commitment times: :mod:`.reading`.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

from benchmarks.record import Runs, add_runs, argument_parser, merged, provenance, write
from benchmarks.speed.scnode_step import plain_schedule
from benchmarks.temporal.reading import reading_scores
from benchmarks.temporal.scores import (
    DEFAULT,
    PUBLISHED,
    PlaceScores,
    fate_errors,
    fitted_once,
    noise_scores,
)
from benchmarks.temporal.summary import summary, tables
from benchmarks.temporal.truth import SPLITS, World
from benchmarks.timing import cpu_seconds, one_thread
from scstlib.models import PublishedScNODE, ScNODE
from scstlib.models.temporal import TemporalModel
from scstlib.models.temporal.scnode.count_factors import CountFactors


def timed_fit(model: TemporalModel, world: World, split: str) -> float:
    """Fit a model and return the CPU seconds."""
    training = world.training(split)
    return cpu_seconds(lambda: model.fit(training, "time"))


def one_split(
    world: World, split: str, model_seed: int, place: PlaceScores, only: str | None = None
) -> Runs:
    """Fit and score all methods on one split."""
    make: dict[str, Callable[[], TemporalModel]] = {
        DEFAULT: lambda: ScNODE(seed=model_seed),
        PUBLISHED: lambda: PublishedScNODE(time_points=world.times.tolist(), seed=model_seed),
    }
    models = {name: build() for name, build in make.items() if only in (None, name)}
    seconds = {name: timed_fit(model, world, split) for name, model in models.items()}
    about = {"split": split, "model_seed": model_seed}
    found: Runs = {"place": [], "fates": [], "learned": [], "noise": []}
    if split == "easy":
        found["noise"] = noise_scores(world, split, models, model_seed)
    default = models.get(DEFAULT)
    if isinstance(default, ScNODE):
        assert isinstance(default.factors_, CountFactors)
        rank = default.factors_.loadings.shape[0]
        found["learned"] = [about | {"rank": rank, "damping": default.field_.damping}]
        found["fates"] = fate_errors(world, split, default, model_seed)
        if model_seed == 0:
            found["place"] = place.floors()
            models |= fitted_once(world.training(split), rank)
    if PUBLISHED in models and model_seed == 0:
        plain = plain_schedule(world.training(split), world.times, model_seed)
        seconds |= {"published, plain": plain["schedule"], "plain_step": plain["plain_step"]}
    found["cpu"] = [about | {"row": row, "seconds": value} for row, value in seconds.items()]
    for name, model in models.items():
        found["place"] += place.predictions(name, model, model_seed)
    return found


def one_organism(
    seed: int, model_seeds: list[int], splits: list[str], only: str | None = None
) -> Runs:
    """All scores of an organism, each with the seed of its model."""
    world = World.of_seed(seed)
    found: Runs = {}
    for split in splits:
        place = PlaceScores(world, split)
        for model_seed in model_seeds:
            start = time.monotonic()
            for kind, rows in one_split(world, split, model_seed, place, only).items():
                found.setdefault(kind, []).extend({"organism": seed} | row for row in rows)
            taken = time.monotonic() - start
            print(f"organism {seed} {split} model {model_seed}: {taken:.0f} s", flush=True)
    for model_seed in model_seeds if only != PUBLISHED else []:
        for kind, rows in reading_scores(world, model_seed).items():
            found.setdefault(kind, []).extend({"organism": seed} | row for row in rows)
    return found


def main() -> None:
    parser = argument_parser(__file__, __doc__)
    add_runs(parser)
    parser.add_argument("--splits", nargs="+", choices=SPLITS, default=list(SPLITS))
    parser.add_argument("--only", choices=(DEFAULT, PUBLISHED), help="fit this one alone")
    arguments = parser.parse_args()
    if not arguments.summarise:
        runs: Runs = {}
        about = provenance(
            "torchdiffeq", "geomloss", "POT", settings_chosen_on="organism seeds 20, 21, 22"
        )
        with one_thread(), warnings.catch_warnings():
            # The last time lies two intervals beyond the training times; that is the question.
            warnings.filterwarnings("ignore", "time .* lies .* beyond the last training time")
            for seed in arguments.seeds:
                for kind, rows in one_organism(
                    seed, arguments.model_seeds, arguments.splits, arguments.only
                ).items():
                    runs.setdefault(kind, []).extend(rows)
                write(arguments.output, {"provenance": about, "runs": runs})
        if arguments.only is not None:  # The summary compares the two.
            return
    results = merged(arguments.summarise or [arguments.output], summary)
    write(arguments.output, results)
    print(tables(results["summary"]))


if __name__ == "__main__":
    main()
