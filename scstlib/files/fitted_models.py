"""Models of files: the classes, and the model that a file or folder holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any


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
    from scstlib.models import load

    path = find_model(model) if isinstance(model, str | Path) else None
    fitted = model if path is None else load(path, device)
    if not hasattr(fitted, method):
        what = {"predict": "contact maps", "sample": "cells at a time"}[method]
        raise ValueError(
            f"{path or 'the model'} holds {type(fitted).__name__}, not a model of {what}."
        )
    return fitted, path
