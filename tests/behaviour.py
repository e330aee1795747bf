"""What models, metrics and the organism compute on small inputs, as arrays by name.

``tests/test_behaviour.py`` compares them with the values that were stored when they were last
meant to change; ``python -m tests.behaviour`` stores them anew.
"""

from __future__ import annotations

import hashlib
import json
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from anndata import AnnData

from tests.conftest import series
from tests.models.spatial.spatial_data import spatial_windows

STORED = Path(__file__).with_name("behaviour.json")
N_PROJECTIONS = 8


def models() -> dict[str, Any]:
    """The public classes by name."""
    from scstlib.models import PublishedScGrapHiC, PublishedScNODE, ScGrapHiC, ScNODE
    from scstlib.models.spatial import baselines as spatial
    from scstlib.models.spatial.ensemble import ContactEnsemble
    from scstlib.models.spatial.trees import ContactTrees
    from scstlib.models.temporal import baselines as temporal
    from scstlib.models.temporal.ensemble import Ensemble
    from scstlib.models.temporal.transport import DisplacementInterpolation

    classes = (
        ScNODE, PublishedScNODE, ScGrapHiC, PublishedScGrapHiC, ContactEnsemble, ContactTrees,
        Ensemble, DisplacementInterpolation, temporal.CopyNearest, temporal.ConstantMean,
        temporal.InterpolatedMean, spatial.BulkCopy, spatial.BulkSmoothed, spatial.MeanOfTypes,
        spatial.BulkRidge,
    )  # fmt: skip
    return {each.__name__: each for each in classes}


def temporal_values(new: dict[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    """Predictions of every temporal model, and the latent flow of both scNODE."""
    inputs = {
        "values": series([0.0, 1.0, 3.0, 4.0]),
        "counts": series([0.0, 1.0, 3.0, 4.0], 40, 12, True),
    }
    default = {
        "matching_steps": 60, "latent_dim": 3, "drift_hidden": (8, 8), "seed": 1, "time": "real",
        "combine": False,
    }  # fmt: skip
    from_start = {**default, "start_times": "first", "time": "index"}
    short = {
        "pretrain_steps": 5,
        "joint_steps": 5,
        "latent_dim": 4,
        "drift_hidden": (6,),
        "seed": 1,
    }
    makers: dict[str, Callable[[], Any]] = {
        "CopyNearest": new["CopyNearest"],
        "ConstantMean": new["ConstantMean"],
        "InterpolatedMean": new["InterpolatedMean"],
        "displacement": new["DisplacementInterpolation"],
        "displacement in components": lambda: new["DisplacementInterpolation"](2),
        "ScNODE": lambda: new["ScNODE"](**default),
        "ScNODE with growth": lambda: new["ScNODE"](**default, growth=1.0, transport_steps=5),
        "ScNODE from the first time": lambda: new["ScNODE"](**from_start),
        "PublishedScNODE": lambda: new["PublishedScNODE"](**short),
        "PublishedScNODE mended": lambda: new["PublishedScNODE"](
            **short, drift_activation="silu", solver_grid="fixed", start_times="all",
            transport_space="components", n_components=3, time="real",
        ),
        "ensemble": lambda: new["Ensemble"](lambda i: new["ScNODE"](**{**default, "seed": i}), 2),
    }  # fmt: skip
    for kind, cells in inputs.items():
        for name, make in makers.items():
            how = {"device": "cpu", "progress": False} if "ScNODE" in name else {}
            model = make().fit(cells, "time", **how)
            for noise in (True, False):
                yield f"{name}, {kind}, noise {noise}", sampled(model, noise)
            if name in ("ScNODE", "PublishedScNODE"):
                latent = model.encode(cells)
                yield f"{name}, {kind}, flow", model.flow(latent, 1.0, [0.5, 2.0])
                yield f"{name}, {kind}, velocity", model.velocity(latent, 2.0)
                yield f"{name}, {kind}, decoded", model.decode(latent)


def sampled(model: Any, noise: bool) -> np.ndarray:
    predicted: AnnData = model.sample([0.5, 2.0, 4.5], 20, seed=3, noise=noise)
    return np.asarray(predicted.X)


def spatial_values(new: dict[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    """Predictions of every spatial model."""
    train, _ = spatial_windows(("chr1", "chr2"))
    test, _ = spatial_windows(("chr3",))
    default = {"channels": 8, "pair_channels": 8, "n_blocks": 1, "n_steps": 6, "batch_size": 4}
    short = {
        "width": 8, "encodings": 4, "node_blocks": 1, "attention_blocks": 1, "residual_blocks": 1,
        "epochs": 1, "batch_size": 8,
    }  # fmt: skip
    cpu = {"device": "cpu", "progress": False}
    makers: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
        "BulkCopy": (new["BulkCopy"], {}),
        "BulkSmoothed": (new["BulkSmoothed"], {}),
        "BulkRidge": (new["BulkRidge"], {}),
        "ContactTrees": (lambda: new["ContactTrees"](n_pixels=6_000, max_iter=5), {}),
        "ScGrapHiC": (lambda: new["ScGrapHiC"](**default), cpu),
        "PublishedScGrapHiC": (lambda: new["PublishedScGrapHiC"](**short), cpu),
        "PublishedScGrapHiC mended": (
            lambda: new["PublishedScGrapHiC"](
                **short,
                graph_fix=True,
                head_init="mended",
                symmetrize=True,
                feature_scaling="global",
            ),
            cpu,
        ),
    }
    for name, (make, how) in makers.items():
        yield name, make().fit(train, **how).predict(test, depth=0.5)
    ensemble = new["ContactEnsemble"](lambda i: new["ScGrapHiC"](**default, seed=i), 2)
    ensemble.fit(train, spatial_windows(("chr4",))[0], **cpu)
    yield "ContactEnsemble, spread", ensemble.predict_std(test)


def metric_values(_: dict[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    """Every metric on random maps and cells."""
    from scstlib.metrics import (
        compartments,
        contacts,
        distribution,
        expression,
        genome_disco,
        insulation,
        stratum,
        uncertainty,
    )

    rng = np.random.default_rng(0)
    x, y = rng.gamma(2.0, 1.0, (40, 7)), rng.gamma(2.2, 1.0, (35, 7))
    for function in (
        distribution.sinkhorn, distribution.wasserstein, distribution.energy_distance,
        distribution.mmd, distribution.mean_pairwise_distance, expression.mean_error,
        expression.variance_ratio, expression.zero_fraction_error,
    ):  # fmt: skip
        yield function.__name__, np.asarray(function(x, y))
    a, b, c = (
        true + np.swapaxes(true, 1, 2) for true in rng.poisson(30, (3, 3, 48, 48)).astype(float)
    )
    yield "mse", contacts.mse(a, b)
    yield "ssim", contacts.ssim(a, b, data_range=60.0)
    yield "expected_by_distance", contacts.expected_by_distance(a)
    yield "contrast_correlation", contacts.contrast_correlation(a, b, c)
    yield "genome_disco", genome_disco.genome_disco(a, b)
    yield "insulation_score", insulation.insulation_score(a, window=5)
    yield "stratum_adjusted_correlation", stratum.stratum_adjusted_correlation(a, b)
    yield "insulation_correlation", insulation.insulation_correlation(a, b, window=5)
    yield "crps", uncertainty.crps(rng.normal(size=(6, 30)), rng.normal(size=30))
    yield "energy_score", uncertainty.energy_score(rng.normal(size=(6, 30)), rng.normal(size=30))
    banded, kind = map_with_compartments()
    yield "compartment_eigenvector", compartments.compartment_eigenvector(banded, kind)


def map_with_compartments() -> tuple[np.ndarray, np.ndarray]:
    """Contact map of 24 bins in four domains of two kinds, and the kind of each bin."""
    noise = np.random.default_rng(1).uniform(0.9, 1.1, (24, 24))
    kind = np.repeat([1.0, -1.0, 1.0, -1.0], 6)
    distance = np.abs(np.subtract.outer(np.arange(24), np.arange(24)))
    return (1 + 0.3 * np.outer(kind, kind)) / (1 + distance) * (noise + noise.T), kind


def preprocess_values(_: dict[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    """Which genes are chosen, as numbers, of cells in which many are equally variable."""
    from scstlib.preprocess.expression import SelectVariableGenes

    means = np.repeat(np.geomspace(0.2, 40.0, 20), 2)
    counts = np.random.default_rng(3).poisson(means, (30, 40)).astype(float)
    selected = SelectVariableGenes(10).fit(AnnData(np.log1p(counts)))
    yield "SelectVariableGenes", selected.genes_.to_numpy().astype(float)


def organism_values(_: dict[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    """Cells, truth, contacts and tracks of a small organism."""
    from scstlib.datasets import simulate_organism

    organism = simulate_organism(3, "tiny")
    chrom, times = organism.chromosomes[0], organism.times
    cells = organism.sample([times[1]], 30, seed=1, dropout=0.1, n_batches=2)
    yield "cells", np.asarray(cells.X.todense())
    yield "true means", np.asarray(cells.layers["true_mean"])
    yield "truth", organism.mean_expression(times[1]).to_numpy()
    fate = organism.fates[0]
    yield "contacts", organism.sample_contacts(fate, n_cells=20, chroms=[chrom])[chrom]
    yield "expected contacts", organism.expected_contacts(chrom, fate)
    yield "tracks", organism.tracks(fate).iloc[:, 3:].to_numpy(float)


PARTS = {
    "temporal": temporal_values,
    "spatial": spatial_values,
    "metrics": metric_values,
    "preprocess": preprocess_values,
    "organism": organism_values,
}


def summary(array: np.ndarray) -> dict[str, Any]:
    """A digest that is equal for equal bytes, and numbers that are close for close arrays."""
    array = np.ascontiguousarray(array)
    values = np.nan_to_num(array.astype(np.float64).ravel(), nan=-1.0)
    weights = np.random.default_rng(len(values)).standard_normal((N_PROJECTIONS, len(values)))
    return {
        "sha256": hashlib.sha256(array.tobytes()).hexdigest(),
        "shape": list(array.shape),
        "scale": float(np.sqrt((values**2).sum())),
        "projections": [float(f"{value:.10g}") for value in weights @ values],
    }


def measure(new: dict[str, Any], part: str) -> dict[str, dict[str, Any]]:
    """Summaries of all arrays of a part, by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {name: summary(array) for name, array in PARTS[part](new)}


def main() -> int:
    """Store the values."""
    import torch

    torch.set_num_threads(1)
    found = {part: measure(models(), part) for part in PARTS}
    STORED.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
