"""Contact maps of cell types against the truth of the simulated organism.

    python -m benchmarks.spatial.run [--seeds 0 1 2] [--stages ...] [--output FILE]

or several such calls, whose results become one with

    python -m benchmarks.spatial.run --summarise FILE... [--output FILE]

Organism seeds 0, 1, 2; settings of the models were chosen on the validation chromosome of the
organism seeds 20, 21, 22. What is trained on, and what is near and far, is in :mod:`.truth`:
850 training windows of 128 bins, 5 cell types on 10 chromosomes; test windows lie on two other
chromosomes, of the same cell types (seen) and of two that were never trained on (near, far). A
score is the mean over the windows of a part; what is reported is the median over organism and
model seeds, and the median of differences that are taken within one organism and model seed.

Scores (``scstlib.models.spatial.comparison``)
    MSE, SSIM, GD, SCC against the noisy targets; SCCt, dC, ins, dIns against the truth. SCC is over
    1 to 39 bins. dC and dIns: correlation over pixels, or of insulation over bins, of what is
    specific to a cell type: map minus the mean of the training types, for the prediction that of
    its own predictions for them.
Rows
    truth: the ceiling that noise in the targets leaves. informed by expression: the organism's own
    equations and the exact state of the bulk's cells, with only the change of transcription read
    from measured expression (:mod:`.informed`); no model can be asked for more. mean of the
    training types: of the others at the same place, from their targets there, which no model sees.
    The trees get the tracks that the default gets, the bulk type's expression included.
Without an input
    The default trained anew without some tracks, or with the bulk map replaced by its mean at each
    distance.
published
    The variant with its head mended (as published the head saturates in the first steps), batches
    of 8, validated every epoch on the validation chromosome by its own score; it stops after
    ``--patience`` epochs without a better one. A GPU (``--device cuda``) makes that affordable.
Cost
    One thread. CPU seconds of a training step at batch 8; megabytes that training at batch 16 adds,
    and those of a mouse-sized genome in all, each in a process of its own:
    :mod:`benchmarks.speed.scgraphic`.
"""

from __future__ import annotations

import argparse
import json
import time

import torch

from benchmarks.record import Runs, add_runs, argument_parser, merged, provenance, write
from benchmarks.spatial.scores import (
    BASELINES,
    NO_BULK,
    NO_EXPRESSION,
    WITHOUT,
    ablation,
    baselines,
    default,
    informed,
)
from benchmarks.spatial.scores import published as published_scores
from benchmarks.spatial.summary import summary, tables
from benchmarks.spatial.truth import SpaceWorld
from benchmarks.speed.scgraphic import costs
from benchmarks.timing import one_thread

ABLATIONS = (NO_EXPRESSION, *list(WITHOUT)[1:], NO_BULK)
STAGES = ("baselines", "informed", "default", *ABLATIONS, "published", "cost")


def one_stage(
    world: SpaceWorld, stage: str, model_seed: int, arguments: argparse.Namespace
) -> Runs:
    """Scores and CPU seconds of a stage on one organism."""
    if stage == "published":
        checkpoint = arguments.output.with_suffix(f".{world.organism.settings.seed}.pt")
        options = {"epochs": arguments.epochs, "patience": arguments.patience}
        scores, curve = published_scores(world, model_seed, arguments.device, checkpoint, **options)
        return {"scores": scores, "validation": curve}
    settings = json.loads(arguments.settings)
    if stage == "baselines":
        scores, cpu = baselines(world, arguments.methods)
    elif stage == "informed":
        scores, cpu = informed(world), []
    elif stage == "default":
        scores, cpu = default(world, model_seed, arguments.device, **settings)
    else:
        scores, cpu = ablation(world, stage, model_seed, arguments.device, **settings)
    return {"scores": scores, "cpu": cpu if arguments.device == "cpu" else []}


def run(arguments: argparse.Namespace) -> None:
    """All that was asked for; written after each stage, so that nothing is lost on the way."""
    runs: Runs = {}
    about = provenance(settings_chosen_on="organism seeds 20, 21, 22")
    if arguments.device != "cpu":
        about["device"] = torch.cuda.get_device_name(arguments.device)
    stages = [stage for stage in arguments.stages if stage != "cost"]
    for seed in arguments.seeds if stages else []:
        world = SpaceWorld.of_seed(seed)
        for stage in stages:
            once = stage in ("baselines", "informed", "published")
            for model_seed in arguments.model_seeds[:1] if once else arguments.model_seeds:
                start = time.monotonic()
                where = {"organism": seed, "model_seed": model_seed}
                for kind, rows in one_stage(world, stage, model_seed, arguments).items():
                    runs.setdefault(kind, []).extend(where | row for row in rows)
                taken = time.monotonic() - start
                print(f"organism {seed} {stage} model {model_seed}: {taken:.0f} s", flush=True)
                write(arguments.output, {"provenance": about, "runs": runs})
    if "cost" in arguments.stages:
        runs["cost"] = costs()
        write(arguments.output, {"provenance": about, "runs": runs})


def main() -> None:
    parser = argument_parser(__file__, __doc__)
    add_runs(parser)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument(
        "--methods", nargs="+", default=[], choices=list(BASELINES), help="of the baselines"
    )
    parser.add_argument("--epochs", type=int, default=4, help="of the published variant")
    parser.add_argument("--patience", type=int, default=10, help="epochs without a better one")
    parser.add_argument("--device", default="cpu", help="where models are trained")
    parser.add_argument("--settings", default="{}", help="JSON: settings of the default")
    arguments = parser.parse_args()
    if not arguments.summarise:
        with one_thread():
            run(arguments)
    results = merged(arguments.summarise or [arguments.output], summary)
    write(arguments.output, results)
    print(tables(results["summary"]))


if __name__ == "__main__":
    main()
