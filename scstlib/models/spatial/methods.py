"""Every spatial method by name, with its defaults; the tests of the protocol go through them.

A new method is a file with a class that meets :mod:`scstlib.models.spatial.protocol`, and a line in
:func:`methods`.
"""

from __future__ import annotations

from collections.abc import Callable

from scstlib.models import spatial  # Each class is loaded when its method is made.

#: Methods that must be fitted on measured maps at the places where they predict: rows of a table
#: that say what knowing these is worth, which the leak guard refuses to score as models. They are
#: the ``references`` of :func:`scstlib.models.spatial.comparison.score_windows`.
REFERENCES = frozenset({"mean of the training types"})


def methods() -> dict[str, Callable[[int], spatial.SpatialModel]]:
    """Return name → function of a seed that makes an unfitted model, from simple to involved.

    A method with ``save`` also has a line in ``MODULES`` of :mod:`scstlib.models.loading`, so that
    ``load`` finds its class.

    Examples
    --------
    >>> list(methods())[:2]
    ['bulk copied', 'bulk smoothed']
    >>> methods()["scGrapHiC"](3)
    ScGrapHiC(seed=3)
    """
    return {
        "bulk copied": lambda seed: spatial.BulkCopy(),
        "bulk smoothed": lambda seed: spatial.BulkSmoothed(),
        "mean of the training types": lambda seed: spatial.MeanOfTypes(),
        "CTCF alone": lambda seed: spatial.CTCFAlone(seed=seed),
        "bulk + ridge": lambda seed: spatial.BulkRidge(seed=seed),
        "random forest": lambda seed: spatial.ContactTrees("forest", seed=seed),
        "gradient boosting": lambda seed: spatial.ContactTrees(seed=seed),
        "Gaussian process on contrast": lambda seed: spatial.ContactGaussianProcess(seed=seed),
        "published scGrapHiC": lambda seed: spatial.PublishedScGrapHiC(seed=seed),
        "scGrapHiC": lambda seed: spatial.ScGrapHiC(seed=seed),
    }
