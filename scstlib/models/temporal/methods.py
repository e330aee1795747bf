"""Every temporal method with its defaults, to fit and compare them all."""

from __future__ import annotations

from collections.abc import Callable

from scstlib.models import temporal  # Each class is loaded when its method is made.


def methods() -> dict[str, Callable[[int], temporal.TemporalModel]]:
    """Return the name of each method and a function that takes a seed and returns it unfitted.

    A new method is one file and one line here, which imports its class or takes it from the
    package, once its name stands in the stub. A method with ``save`` also has a line in ``MODULES``
    of :mod:`scstlib.models.loading`, so that ``load`` finds its class.

    Examples
    --------
    >>> new = methods()
    >>> list(new)[:3]
    ['nearest time copied', 'mean profile', 'nearest time, mean moved']
    >>> new["scNODE"](3)
    ScNODE(seed=3)
    """
    return {
        "nearest time copied": lambda seed: temporal.CopyNearest(),
        "mean profile": lambda seed: temporal.ConstantMean(),
        "nearest time, mean moved": lambda seed: temporal.InterpolatedMean(),
        "nearest time, mean moved on": lambda seed: temporal.MeanMovedOn(),
        "OT displacement": lambda seed: temporal.DisplacementInterpolation(seed=seed),
        "OT displacement, 6 components": lambda seed: temporal.DisplacementInterpolation(
            6, seed=seed
        ),
        "OT displacement, own residuals": lambda seed: temporal.DisplacementInterpolation(
            6, seed=seed, residuals=True
        ),
        "OT displacement, growth": lambda seed: temporal.DisplacementInterpolation(
            6, seed=seed, residuals=True, growth=1.0
        ),
        "Gaussian process per gene": lambda seed: temporal.GeneGaussianProcess(),
        "Gaussian process of OT paths": lambda seed: temporal.PathGaussianProcess(seed=seed),
        "latent Gaussian process": lambda seed: temporal.LatentGaussianProcess(seed=seed),
        "random forest on OT pairs": lambda seed: temporal.DisplacementTrees("forest", seed=seed),
        "gradient boosting on OT pairs": lambda seed: temporal.DisplacementTrees(
            "boosting", seed=seed
        ),
        "flow matching, minibatch OT": lambda seed: temporal.FlowMatching(seed=seed),
        "flow matching, growth": lambda seed: temporal.FlowMatching(growth=1.0, seed=seed),
        "flow matching, pseudotime": lambda seed: temporal.FlowMatching(pseudotime=1.0, seed=seed),
        "scNODE as published": lambda seed: temporal.PublishedScNODE(seed=seed),
        "scNODE": lambda seed: temporal.ScNODE(seed=seed),
    }
