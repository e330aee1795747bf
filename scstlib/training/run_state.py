"""The state of a training run in one file: tensors and numbers, no code."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scstlib.writing import whole_file

if TYPE_CHECKING:
    import torch

# Ends a file, with the SHA-256 of all before it; files of before have none.
MARK = b"\nscstlib checkpoint, sha256 "
PARTS: dict[str, type | tuple[type, ...]] = {
    "run": str,
    "weights": list,
    "optimizer": dict,
    "generators": list,
    "losses": list,
    "validation": list,
    "best": (list, type(None)),
    "stopped": bool,
    "finished": bool,
}


class RunState:
    """All that a run needs to go on as if it had not been broken off.

    Parameters
    ----------
    weights : list of Parameter
    optimizer : torch.optim.Optimizer
    generators : sequence of torch.Generator
    run : str
        What the run is of; a file of another run is refused.
    """

    def __init__(
        self,
        weights: list[torch.nn.Parameter],
        optimizer: torch.optim.Optimizer,
        generators: Sequence[torch.Generator],
        run: str,
    ) -> None:
        self._weights, self._optimizer, self._generators = weights, optimizer, generators
        self.run = run
        self.losses: list[float] = []
        self.validation: list[tuple[int, float]] = []
        self.best: list[torch.Tensor] | None = None
        self.stopped = self.finished = False
        self._written: tuple[int, int] | None = None  # Which file, and when.

    @property
    def step(self) -> int:
        """Number of steps made."""
        return len(self.losses)

    def note_validation(self, value: float, patience: int) -> None:
        """Keep the parameters if they are the best so far; stop where none was for too long."""
        self.validation.append((self.step, value))
        values = [value for _, value in self.validation]
        best = int(np.argmin(values))
        if best == len(values) - 1:
            self.best = [weight.detach().clone() for weight in self._weights]
        self.stopped = len(values) - 1 - best >= patience

    def validation_curve(self) -> tuple[np.ndarray, np.ndarray]:
        """Return steps and values of the validations."""
        steps = np.array([step for step, _ in self.validation], dtype=int)
        return steps, np.array([value for _, value in self.validation], dtype=float)

    def finish(self) -> None:
        """Return to the best parameters."""
        self.finished = True
        if self.best is not None:
            self._set_weights(self.best)
            self.best = None

    def write(self, path: Path) -> None:
        """Write the file, all or nothing.

        Raises
        ------
        ValueError
            If there is a file that this run neither read nor wrote, or no regular file.
        OSError
            If the disk is full or read-only.
        """
        import torch

        content = io.BytesIO()
        torch.save(
            {
                "run": self.run,
                "weights": [weight.detach() for weight in self._weights],
                "optimizer": self._optimizer.state_dict(),
                "generators": [generator.get_state() for generator in self._generators],
                "losses": self.losses,
                "validation": self.validation,
                "best": self.best,
                "stopped": self.stopped,
                "finished": self.finished,
            },
            content,
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        # Written by Python, which says of a full disk what it is.
        with whole_file(path) as temporary:
            content.write(MARK + hashlib.sha256(content.getbuffer()).hexdigest().encode())
            temporary.write_bytes(content.getbuffer())
            if _state_of(path) not in (None, self._written):
                raise ValueError(
                    f"{path} was written by another run meanwhile, and is not replaced; give each"
                    " run a checkpoint of its own."
                )
            self._written = _state_of(temporary)

    def read(self, path: Path) -> None:
        """Return to the state of the file.

        Raises
        ------
        ValueError
            If the file is cut short, no checkpoint, or of another run.
        """
        state, held = _state_of(path), _load(path)
        shapes = [tuple(weight.shape) for weight in held["weights"]]
        if held["run"] != self.run or shapes != [tuple(w.shape) for w in self._weights]:
            raise ValueError(
                f"{path} is the checkpoint of another run ({held['run']}), not of this one"
                f" ({self.run}); give another path, or delete the file to start anew."
            )
        try:
            self._set_weights(held["weights"])
            self._optimizer.load_state_dict(held["optimizer"])
            for generator, drawn in zip(self._generators, held["generators"], strict=True):
                generator.set_state(drawn)
        except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is damaged, delete it to start anew: {error}") from error
        for name in ("losses", "validation", "best", "stopped", "finished"):
            setattr(self, name, held[name])
        self._written = state

    def _set_weights(self, values: Sequence[torch.Tensor]) -> None:
        import torch

        with torch.no_grad():
            for weight, value in zip(self._weights, values, strict=True):
                weight.copy_(value)


def _state_of(path: Path) -> tuple[int, int] | None:
    """Which file lies at a path and when it was written; None if none does."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def _load(path: Path) -> dict[str, Any]:
    import torch

    remedy = "give another path, or delete the file to start anew"
    content, mark, digest = path.read_bytes().rpartition(MARK)
    if mark and hashlib.sha256(content).hexdigest().encode() != digest:
        raise ValueError(f"{path} is cut short or damaged; {remedy}.")
    try:
        held = torch.load(
            io.BytesIO(content if mark else digest), map_location="cpu", weights_only=True
        )
    except Exception as error:
        # What is no checkpoint is read as a pickle, which can go wrong in any way.
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{path} is cut short or no checkpoint; {remedy}: {reason}") from error
    if not isinstance(held, dict) or not all(
        isinstance(held.get(name, ...), kind) for name, kind in PARTS.items()
    ):
        raise ValueError(f"{path} is no checkpoint of a training run; {remedy}.")
    if not all(isinstance(weight, torch.Tensor) for weight in held["weights"]):
        raise ValueError(f"{path} holds weights that are no tensors; {remedy}.")
    return held
