"""Models of files: the classes, and the model that a file or folder holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

# FOR THE MERGER: once ``from scstlib.models import ScGrapHiC, ScNODE, load`` works, delete
# ``_load``, ``new_contact_model``, ``new_expression_model`` and ``settings_of``, use these three
# names and ``model.settings`` in the places that call them, and keep ``find_model`` and
# ``fitted_model``.


def _load(path: Path, device: str) -> Any:
    try:
        from scstlib.models import load  # type: ignore[attr-defined,unused-ignore]
    except ImportError:
        from scstlib.models.spatial.scgraphic.model import ScGrapHiC
        from scstlib.models.temporal.scnode.model import ScNODE

        try:
            return ScGrapHiC.load(path, device)
        except ValueError as error:
            if "holds ScNODE" not in str(error):
                raise
            return ScNODE.load(path, device)
    return load(path, device)


def new_contact_model(settings: Mapping[str, Any]) -> Any:
    """An unfitted scGrapHiC."""
    try:
        from scstlib.models import ScGrapHiC  # type: ignore[attr-defined,unused-ignore]
    except ImportError:
        from scstlib.models.spatial.scgraphic.model import ScGrapHiC
    return ScGrapHiC(**settings)


def new_expression_model(settings: Mapping[str, Any]) -> Any:
    """An unfitted scNODE."""
    try:
        from scstlib.models import ScNODE  # type: ignore[attr-defined,unused-ignore]
    except ImportError:
        from scstlib.models.temporal.scnode.model import ScNODE
    return ScNODE(**settings)


def settings_of(model: Any) -> dict[str, Any]:
    """Name and value of every setting of a model; none of one that does not say."""
    settings = getattr(getattr(model, "model", model), "settings", {})
    return dict(settings if isinstance(settings, Mapping) else vars(settings))


def find_model(path: str | Path) -> Path:
    """Return the model's file: itself, or the only one in a folder.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, or the folder holds none or several.
    """
    path = Path(path)
    if not path.is_dir():
        if not path.is_file():
            raise FileNotFoundError(f"there is no model {path}.")
        return path
    files = sorted(path.glob("*.safetensors"))
    if len(files) != 1:
        raise ValueError(f"{path} holds {len(files)} .safetensors files: name the one to use.")
    return files[0]


def fitted_model(model: Any, device: str, method: str) -> tuple[Any, Path | None]:
    """Return a model that is given or read from its file, and that file.

    Raises
    ------
    FileNotFoundError, ValueError
        As :func:`find_model`; if the file is damaged, or the model has no such method.
    """
    path = find_model(model) if isinstance(model, str | Path) else None
    fitted = model if path is None else _load(path, device)
    if not hasattr(fitted, method):
        what = {"predict": "contact maps", "sample": "cells at a time"}[method]
        raise ValueError(
            f"{path or 'the model'} holds {type(fitted).__name__}, not a model of {what}."
        )
    return fitted, path
