"""Perturbations and commitment times that are read off the default, against the organism's own.

Four master regulators, of the two toggle switches, and the two niche factors that tilt them are
made 0, 0.2 and 2 times as fast from the last sampling time before their switch turns bistable. A
case is a perturbation that changes the share of a fate by at least 0.05 at the last time; it is
right if the model changes the share of the most changed fate in the true direction, by more than
0.005. A commitment time is found if a checkpoint begins within one sampling interval of it.
"""

from __future__ import annotations

import numpy as np

from benchmarks.record import Runs, Score
from benchmarks.temporal.truth import World
from scstlib.analysis.checkpoints import find_checkpoints
from scstlib.analysis.perturbation import perturb
from scstlib.analysis.trajectories import fit_fate_classifier
from scstlib.models import ScNODE

MASTERS = {"TF_alpha": "first", "TF_bipotent": "first", "TF_beta": "second", "TF_gamma": "second"}
NICHES = {"TF_niche_first": "first", "TF_niche_second": "second"}
FACTORS = (0.0, 0.2, 2.0)
LEAST_TRUE, LEAST_FOUND = 0.05, 0.005


def reading_scores(world: World, model_seed: int) -> Runs:
    """Cases and commitment times of the default, fitted on all times."""
    model = ScNODE(seed=model_seed).fit(world.cells, "time")
    return {
        "perturbations": perturbations(world, model, model_seed),
        "commitment": commitments(world, model, model_seed),
    }


def perturbations(world: World, model: ScNODE, model_seed: int) -> list[Score]:
    organism, until = world.organism, float(world.times[-1])
    classifier = fit_fate_classifier(model, world.cells, "fate")
    unperturbed, found = organism.fate_shares(until), []
    for gene, switch in (MASTERS | NICHES).items():
        start = float(world.times[world.times < organism.commitment_times[switch]].max())
        for factor in FACTORS:
            true = organism.perturb(gene, factor, start).fate_shares(until) - unperturbed
            fate = str(true.abs().idxmax())
            if abs(true[fate]) < LEAST_TRUE:
                continue
            change = perturb(model, world.cells, {gene: factor}, start, until, classifier)
            got = float(change.shares.loc["change"].to_dict().get(fate, 0.0))
            right = np.sign(got) == np.sign(true[fate]) and abs(got) > LEAST_FOUND
            kind = "master" if gene in MASTERS else "niche"
            about = {"model_seed": model_seed, "kind": kind, "gene": gene, "factor": factor}
            truth = {"fate": fate, "true": float(true[fate])}
            found.append(about | truth | {"found": got, "right": bool(right)})
    return found


def commitments(world: World, model: ScNODE, model_seed: int) -> list[Score]:
    onsets = find_checkpoints(model, world.cells).obs["time"].to_numpy(dtype=float)
    interval = float(np.diff(world.times).max())
    found = []
    for switch, true in world.organism.commitment_times.items():
        error = float(np.abs(onsets - true).min(initial=np.inf))
        about = {"model_seed": model_seed, "switch": switch, "true": float(true)}
        near = {"error": min(error, float(world.times[-1])), "right": bool(error <= interval)}
        found.append(about | near | {"checkpoints": len(onsets)})
    return found
