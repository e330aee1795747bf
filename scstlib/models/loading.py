"""Read a model of any family from its file."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from scstlib.models.files import SavedModel, read_model

# Class → module that has it: a file may name nothing else.
MODULES = {
    "ConstantMean": "scstlib.models.temporal.baselines",
    "CopyNearest": "scstlib.models.temporal.baselines",
    "DisplacementInterpolation": "scstlib.models.temporal.transport",
    "DisplacementTrees": "scstlib.models.temporal.trees",
    "FlowMatching": "scstlib.models.temporal.flow_matching",
    "GeneGaussianProcess": "scstlib.models.temporal.gaussian_process",
    "InterpolatedMean": "scstlib.models.temporal.baselines",
    "LatentGaussianProcess": "scstlib.models.temporal.latent_process",
    "MeanMovedOn": "scstlib.models.temporal.baselines",
    "PathGaussianProcess": "scstlib.models.temporal.gaussian_process",
    "PublishedScGrapHiC": "scstlib.models.spatial.scgraphic.published",
    "PublishedScNODE": "scstlib.models.temporal.scnode.published",
    "ScGrapHiC": "scstlib.models.spatial.scgraphic.default",
    "ScNODE": "scstlib.models.temporal.scnode.default",
}


def load(path: str | Path, device: str = "auto") -> SavedModel:
    """Return the model that ``save`` of any model wrote to a file.

    Parameters
    ----------
    path : str or Path
    device : str
        Where it predicts: "auto", "cpu", "cuda", "cuda:1", "mps".

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, holds no model of this package, or was written by a newer version.
    """
    file = read_model(path)
    if file.model not in MODULES:
        raise ValueError(f"{path} holds {file.model!r}; known are {', '.join(MODULES)}.")
    model: type[SavedModel] = getattr(import_module(MODULES[file.model]), file.model)
    return model.restore(path, file, device)
