"""Every spatial method by name, with its defaults; the tests of the protocol go through them.

A new method is a file with a class that meets :mod:`scstlib.models.spatial.protocol`, and a line in
:func:`methods`.
"""

from __future__ import annotations

from collections.abc import Callable

from scstlib.models.spatial.baselines import BulkCopy, BulkRidge, BulkSmoothed, MeanOfTypes
from scstlib.models.spatial.ctcf import CTCFAlone
from scstlib.models.spatial.gaussian_process import ContactGaussianProcess
from scstlib.models.spatial.protocol import SpatialModel
from scstlib.models.spatial.scgraphic.default import ScGrapHiC
from scstlib.models.spatial.scgraphic.published import PublishedScGrapHiC
from scstlib.models.spatial.trees import ContactTrees

#: Methods that must be fitted on measured maps at the places where they predict: rows of a table
#: that say what knowing these is worth, which the leak guard refuses to score as models. They are
#: the ``references`` of :func:`scstlib.models.spatial.comparison.score_windows`.
REFERENCES = frozenset({"mean of the training types"})


def methods() -> dict[str, Callable[[int], SpatialModel]]:
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
        "bulk copied": lambda seed: BulkCopy(),
        "bulk smoothed": lambda seed: BulkSmoothed(),
        "mean of the training types": lambda seed: MeanOfTypes(),
        "CTCF alone": lambda seed: CTCFAlone(seed=seed),
        "bulk + ridge": lambda seed: BulkRidge(seed=seed),
        "random forest": lambda seed: ContactTrees("forest", seed=seed),
        "gradient boosting": lambda seed: ContactTrees(seed=seed),
        "Gaussian process on contrast": lambda seed: ContactGaussianProcess(seed=seed),
        "published scGrapHiC": lambda seed: PublishedScGrapHiC(seed=seed),
        "scGrapHiC": lambda seed: ScGrapHiC(seed=seed),
    }
