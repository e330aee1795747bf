"""Every temporal method with its defaults, to fit and compare them all."""

from __future__ import annotations

from collections.abc import Callable

from scstlib.models.temporal.baselines import (
    ConstantMean,
    CopyNearest,
    InterpolatedMean,
    MeanMovedOn,
)
from scstlib.models.temporal.flow_matching import FlowMatching
from scstlib.models.temporal.gaussian_process import GeneGaussianProcess, PathGaussianProcess
from scstlib.models.temporal.latent_process import LatentGaussianProcess
from scstlib.models.temporal.protocol import TemporalModel
from scstlib.models.temporal.scnode.default import ScNODE
from scstlib.models.temporal.scnode.published import PublishedScNODE
from scstlib.models.temporal.transport import DisplacementInterpolation
from scstlib.models.temporal.trees import DisplacementTrees


def methods() -> dict[str, Callable[[int], TemporalModel]]:
    """Return the name of each method and a function that takes a seed and returns it unfitted.

    A new method is one file and one line here. A method with ``save`` also has a line in
    ``MODULES`` of :mod:`scstlib.models.loading`, so that ``load`` finds its class.

    Examples
    --------
    >>> new = methods()
    >>> list(new)[:3]
    ['nearest time copied', 'mean profile', 'nearest time, mean moved']
    >>> new["scNODE"](3)
    ScNODE(seed=3)
    """
    return {
        "nearest time copied": lambda seed: CopyNearest(),
        "mean profile": lambda seed: ConstantMean(),
        "nearest time, mean moved": lambda seed: InterpolatedMean(),
        "nearest time, mean moved on": lambda seed: MeanMovedOn(),
        "OT displacement": lambda seed: DisplacementInterpolation(seed=seed),
        "OT displacement, 6 components": lambda seed: DisplacementInterpolation(6, seed=seed),
        "OT displacement, own residuals": lambda seed: DisplacementInterpolation(
            6, seed=seed, residuals=True
        ),
        "OT displacement, growth": lambda seed: DisplacementInterpolation(
            6, seed=seed, residuals=True, growth=1.0
        ),
        "Gaussian process per gene": lambda seed: GeneGaussianProcess(),
        "Gaussian process of OT paths": lambda seed: PathGaussianProcess(seed=seed),
        "latent Gaussian process": lambda seed: LatentGaussianProcess(seed=seed),
        "random forest on OT pairs": lambda seed: DisplacementTrees("forest", seed=seed),
        "gradient boosting on OT pairs": lambda seed: DisplacementTrees("boosting", seed=seed),
        "flow matching, minibatch OT": lambda seed: FlowMatching(seed=seed),
        "flow matching, growth": lambda seed: FlowMatching(growth=1.0, seed=seed),
        "flow matching, pseudotime": lambda seed: FlowMatching(pseudotime=1.0, seed=seed),
        "scNODE as published": lambda seed: PublishedScNODE(seed=seed),
        "scNODE": lambda seed: ScNODE(seed=seed),
    }
