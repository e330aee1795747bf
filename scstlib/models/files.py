"""Model files: weights and JSON settings in one safetensors file, no code and no pickles."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

FILE_VERSION = 1


def write_model(
    path: str | Path, model: str, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> None:
    """Write a model file, all or nothing.

    Parameters
    ----------
    model : str
        Name of the model class, checked on reading.
    settings : mapping
        Anything that JSON holds.
    tensors : mapping of str to Tensor

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    """
    from safetensors.torch import save_file

    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent}: make it first.")
    header = {"file_version": FILE_VERSION, "model": model, "settings": dict(settings)}
    # A name of its own: two processes may save to one path, and the last one wins whole.
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        save_file(
            {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
            part,
            metadata={"scstlib": json.dumps(header)},
        )
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read_model(path: str | Path, model: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the settings and tensors of a file that :func:`write_model` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is cut short, holds another model or was written by a newer version.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no model file {path}.")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("scstlib", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is cut short or not a model file: {error}") from error
    if header.get("model") != model:
        raise ValueError(f"{path} holds {header.get('model') or 'no scstlib model'}, not {model}.")
    version = header.get("file_version")
    if not isinstance(version, int) or "settings" not in header:
        raise ValueError(f"{path} says it holds {model} but not how: its header is incomplete.")
    if version > FILE_VERSION:
        raise ValueError(
            f"{path} was written by a newer scstlib (file version {version}, this one reads"
            f" {FILE_VERSION}); update scstlib."
        )
    return header["settings"], tensors


def load_weights(
    network: torch.nn.Module, state_dict: Mapping[str, Tensor | np.ndarray], settings: str
) -> None:
    """Copy weights, tensors or arrays, into a network by their names.

    Parameters
    ----------
    settings : str
        Names of the arguments that the shapes come from, for the message.

    Raises
    ------
    ValueError
        Naming the keys that are missing or not known, or the shapes that do not fit.
    """
    import torch

    given = {name: torch.as_tensor(value) for name, value in state_dict.items()}
    expected = network.state_dict()
    missing, unknown = sorted(set(expected) - set(given)), sorted(set(given) - set(expected))
    if missing or unknown:
        raise ValueError(
            f"the state dict lacks {missing} and has {unknown} besides; the sizes of the networks"
            f" are set by {settings}."
        )
    for name, value in expected.items():
        if given[name].shape != value.shape:
            raise ValueError(
                f"{name} is {tuple(given[name].shape)} in the state dict and {tuple(value.shape)}"
                f" here; the sizes of the networks are set by {settings}."
            )
    network.load_state_dict(given)
