"""Model files: weights and JSON settings in one safetensors file, no code and no pickles.

A file says which model it holds, with which settings, what it was fitted on, and the digest of all
that, which is compared before anything is built.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from inspect import signature
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from scstlib.leakage import Fingerprint, fingerprints_from_json, fingerprints_to_json
from scstlib.writing import whole_file

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

FILE_VERSION = 2
FITTED_ON, LOSSES = "fitted_on", "losses"
LARGEST_RECORD = 1 << 30  # bytes that the record of the training data may unpack to
MAKING_ONE = 1_000  # numbers that could be filled while an array is made


class SavedModel(ABC):
    """``save`` and ``load`` of a model whose settings are the arguments of its ``__init__``.

    A subclass keeps each argument in an attribute of the same name and implements
    :meth:`_learned` and :meth:`_restore`.
    """

    fitted_on_: tuple[Fingerprint, ...]
    losses_: dict[str, np.ndarray]

    @property
    def settings(self) -> dict[str, Any]:
        """Name and value of every setting, as given to the class."""
        return {name: getattr(self, name) for name in signature(type(self)).parameters}

    def __repr__(self) -> str:
        """The class with the settings that are not its defaults."""
        known = signature(type(self)).parameters
        given = {n: v for n, v in self.settings.items() if v != known[n].default}
        return f"{type(self).__name__}({', '.join(f'{n}={v!r}' for n, v in given.items())})"

    def save(self, path: str | Path, *, overwrite: bool = True) -> None:
        """Write the fitted model to one file, all or nothing.

        Parameters
        ----------
        path : str or Path
            In a folder that exists.
        overwrite : bool
            Whether a file of that name is replaced.

        Raises
        ------
        ValueError
            If the model is not fitted, or the path is a folder, a device or the like.
        FileNotFoundError, FileExistsError, OSError
            If there is no such folder, a file is there and not to be replaced, or the disk is full
            or read-only.
        """
        import torch

        learned, tensors = self._learned()
        losses = getattr(self, "losses_", {})
        tensors = {**tensors, **{f"{LOSSES}.{n}": torch.as_tensor(v) for n, v in losses.items()}}
        if getattr(self, "fitted_on_", None) is not None:
            tensors = {**tensors, FITTED_ON: _packed(self.fitted_on_)}
        name = type(self).__name__
        write_model(path, name, self.settings, learned, tensors, overwrite=overwrite)

    @classmethod
    def load(cls, path: str | Path, device: str = "auto") -> Self:
        """Read a model that :meth:`save` wrote.

        Parameters
        ----------
        path : str or Path
        device : str
            "auto", "cpu", "cuda", "cuda:1", "mps".

        Raises
        ------
        FileNotFoundError, ValueError
            As :func:`read_model` says, and if the file holds another model.
        """
        return cls.restore(path, read_model(path), device)

    @classmethod
    def restore(cls, path: str | Path, file: ModelFile, device: str = "auto") -> Self:
        """Return the model of a file that was read.

        Raises
        ------
        ValueError
            If the file holds another model, or not all of this one; it says what differs.
        """
        from scstlib.training import resolve_device

        resolve_device(device)
        if file.model != cls.__name__:
            raise ValueError(
                f"{path} holds {file.model}, not {cls.__name__}; scstlib.models.load reads any."
            )
        known = set(signature(cls).parameters)
        if unknown := sorted(set(file.settings) - known):
            raise ValueError(f"{path} has settings that {cls.__name__} does not know: {unknown}.")
        tensors = dict(file.tensors)
        record = tensors.pop(FITTED_ON, None)
        losses = under(LOSSES, tensors)
        try:
            model = cls(**file.settings)
            with _as_large_as(tensors):
                model._restore(file.learned, tensors, device)
            if losses:
                model.losses_ = {name: values.numpy() for name, values in losses.items()}
            if record is not None:
                model.fitted_on_ = _unpacked(record)
        except LookupError as error:
            raise _not_whole(path, cls.__name__, f"it lacks {error}") from error
        except (AttributeError, MemoryError, RuntimeError, TypeError, ValueError) as error:
            raise _not_whole(path, cls.__name__, str(error)) from error
        return model

    @abstractmethod
    def _learned(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """What was learned: numbers and texts that JSON holds, and tensors by name.

        Raises ValueError if the model is not fitted.
        """

    @abstractmethod
    def _restore(self, learned: dict[str, Any], tensors: dict[str, Tensor], device: str) -> None:
        """Take what :meth:`_learned` returned."""


class ModelFile(NamedTuple):
    """What a model file holds.

    Attributes
    ----------
    model : str
        Name of the class.
    settings : dict
        Arguments of the class.
    learned : dict
        Numbers and texts that it learned.
    tensors : dict of str to Tensor
    """

    model: str
    settings: dict[str, Any]
    learned: dict[str, Any]
    tensors: dict[str, Tensor]


def write_model(
    path: str | Path,
    model: str,
    settings: Mapping[str, Any],
    learned: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    *,
    overwrite: bool = True,
) -> None:
    """Write a model file, all or nothing.

    Parameters
    ----------
    model : str
        Name of the model class.
    settings, learned : mapping
        Anything that JSON holds.
    tensors : mapping of str to Tensor
    overwrite : bool
        Whether a file of that name is replaced.

    Raises
    ------
    FileNotFoundError, FileExistsError, ValueError, OSError
        As :func:`scstlib.writing.whole_file` says.
    """
    from safetensors.torch import save

    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header: dict[str, Any] = {"file_version": FILE_VERSION, "model": model}
    header |= {"settings": dict(settings), "learned": dict(learned)}
    header = json.loads(json.dumps(header, default=_plain))
    header["digest"] = _digest(header, held)
    _check_finite(model, held)
    # Written by Python, which says of a full disk what it is.
    content = save(held, metadata={"scstlib": json.dumps(header)})
    with whole_file(Path(path), overwrite=overwrite) as temporary:
        temporary.write_bytes(content)


def read_model(path: str | Path) -> ModelFile:
    """Return what is in a file that :func:`write_model` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is cut short or changed, holds no model or was written by a newer version.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no model file {path}.")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("scstlib", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is cut short or not a model file: {error}") from error
    if not isinstance(header, dict) or not isinstance(header.get("model"), str):
        raise ValueError(f"{path} holds no scstlib model.")
    version = header.get("file_version")
    if type(version) is int and version > FILE_VERSION:
        raise ValueError(
            f"{path} was written by a newer scstlib (file version {version}, this one reads"
            f" {FILE_VERSION}); update scstlib."
        )
    parts = ("settings",) if version == 1 else ("settings", "learned")
    if type(version) is not int or not all(isinstance(header.get(part), dict) for part in parts):
        raise ValueError(
            f"{path} says it holds {header['model']} but not how: its header is incomplete."
        )
    if version < 1:
        raise ValueError(f"{path} is of file version {version}; the first one is 1.")
    if version == 1:
        _check_finite(path, tensors)
        return _first_version(path, header, tensors)
    if header.get("digest") != _digest(header, tensors):
        raise ValueError(f"{path} is damaged: its digest is another; take a copy of it.")
    _check_finite(path, tensors)
    return ModelFile(header["model"], header["settings"], header["learned"], tensors)


def _first_version(path: Path, header: dict[str, Any], tensors: dict[str, Tensor]) -> ModelFile:
    """A file whose classes had variants; it does not know what the model was fitted on."""
    learned = dict(header["settings"])
    prefix = "Published" if learned.pop("variant", "default") == "published" else ""
    settings = learned.pop("model", {})
    if not isinstance(settings, dict):
        raise _not_whole(path, prefix + header["model"], f"its settings are {settings!r}")
    return ModelFile(prefix + header["model"], settings, learned, tensors)


def _not_whole(path: str | Path, model: str, difference: str) -> ValueError:
    """The error of a file that says it holds a model, and does not hold all of it."""
    said = " ".join(difference.split())[:500]
    return ValueError(f"{path} does not hold a {model} as this scstlib builds it: {said}")


def _check_finite(whose: object, tensors: Mapping[str, Tensor]) -> None:
    """Refuse NaN and infinity in what a model learned; a loss may be either."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not name.startswith(f"{LOSSES}."):
            wrong = int((~tensor.isfinite()).sum())
            if wrong:
                raise ValueError(f"{whose} holds {wrong} NaN or infinite numbers in {name}.")


def _digest(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of the header, but for the digest itself, and of all tensors."""
    about = {name: value for name, value in header.items() if name != "digest"}
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> bytes:
    """The values in order, whatever the strides; by way of uint8, as numpy has no bfloat16."""
    import torch

    values = torch.empty(tensor.numel(), dtype=tensor.dtype).copy_(tensor.reshape(-1))
    return values.view(torch.uint8).numpy().tobytes()


def _plain(value: Any) -> Any:
    """A number of numpy's, such as a seed, as one of Python's."""
    if not hasattr(value, "item"):
        raise TypeError(f"a model file cannot hold {value!r} of type {type(value).__name__}.")
    return value.item()


def _packed(fitted_on: tuple[Fingerprint, ...]) -> Tensor:
    """What a model was fitted on as bytes: names of cells fill megabytes."""
    import numpy as np
    import torch

    text = json.dumps(fingerprints_to_json(fitted_on)).encode()
    return torch.from_numpy(np.frombuffer(zlib.compress(text), dtype=np.uint8).copy())


def _unpacked(record: Tensor) -> tuple[Fingerprint, ...]:
    unpack = zlib.decompressobj()
    try:
        text = unpack.decompress(record.numpy().tobytes(), LARGEST_RECORD)
    except zlib.error as error:
        raise ValueError(f"the record of what the model was fitted on: {error}") from error
    if not unpack.eof:
        raise ValueError("the record of what the model was fitted on is cut short or too large.")
    return fingerprints_from_json(json.loads(text))


def _as_large_as(tensors: Mapping[str, Tensor]) -> AbstractContextManager[object]:
    """Refuse to make networks that are much larger than what a file holds.

    Settings say how large a network is, and a file may say anything: without this a model of a
    few kilobytes takes all memory, or makes layers for ever, before shapes are compared.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    # Of each array its numbers, and what it costs to make one; twice, as some are made anew.
    left = 2 * (sum(each.numel() for each in tensors.values()) + MAKING_ONE * (len(tensors) + 10))

    class Counted(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            nonlocal left
            if func in (torch.empty, torch.zeros, torch.ones):
                sizes = args if args and isinstance(args[0], int) else (args or ((),))[0]
                left -= prod(sizes) + MAKING_ONE
                if left < 0:
                    raise ValueError(
                        f"its settings ask for more than it holds: an array of {tuple(sizes)}"
                    )
            return func(*args, **(kwargs or {}))

    return Counted()


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
        Naming the keys that are missing or not known, or the shapes or types that do not fit.
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
        if given[name].is_floating_point() != value.is_floating_point():
            raise ValueError(
                f"{name} is {given[name].dtype} in the state dict, {value.dtype} here."
            )
    network.load_state_dict(given)


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names begin with ``prefix.``, without it.

    Examples
    --------
    >>> under("network", {"network.bias": 1, "scale": 2})
    {'bias': 1}
    """
    start = f"{prefix}."
    return {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}


def check_shapes(arrays: Mapping[str, tuple[Any, str]]) -> None:
    """Refuse arrays whose shapes do not belong together.

    Parameters
    ----------
    arrays : mapping of str to (array, str)
        By name, with the dimensions in words: the same word is the same size.

    Raises
    ------
    ValueError
        Naming the array and the two sizes.

    Examples
    --------
    >>> import numpy as np
    >>> points, time = np.zeros((5, 2)), np.zeros(4)
    >>> check_shapes({"points": (points, "cells rank"), "time": (time, "cells")})
    Traceback (most recent call last):
        ...
    ValueError: time is of 4 cells, and points is of 5
    """
    sizes: dict[str, tuple[int, str]] = {}
    for name, (array, words) in arrays.items():
        dimensions = words.split()
        if len(array.shape) != len(dimensions):
            raise ValueError(f"{name} is {tuple(array.shape)}, not ({', '.join(dimensions)})")
        for dimension, size in zip(dimensions, array.shape, strict=True):
            known, first = sizes.setdefault(dimension, (int(size), name))
            if size != known:
                raise ValueError(f"{name} is of {size} {dimension}, and {first} is of {known}")
