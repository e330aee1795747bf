"""The state of a training run in one file: tensors and numbers, no code."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scstlib.writing import whole_file

if TYPE_CHECKING:
    import torch


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
        """Write the file, all or nothing."""
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
            temporary.write_bytes(content.getbuffer())

    def read(self, path: Path) -> None:
        """Return to the state of the file.

        Raises
        ------
        ValueError
            If the file is cut short, no checkpoint, or of another run.
        """
        held = _load(path)
        shapes = [tuple(weight.shape) for weight in held["weights"]]
        if held["run"] != self.run or shapes != [tuple(w.shape) for w in self._weights]:
            raise ValueError(
                f"{path} is the checkpoint of another run ({held['run']}), not of this one"
                f" ({self.run}); give another path, or delete the file to start anew."
            )
        self._set_weights(held["weights"])
        self._optimizer.load_state_dict(held["optimizer"])
        for generator, state in zip(self._generators, held["generators"], strict=True):
            generator.set_state(state)
        for name in ("losses", "validation", "best", "stopped", "finished"):
            setattr(self, name, held[name])

    def _set_weights(self, values: Sequence[torch.Tensor]) -> None:
        import torch

        with torch.no_grad():
            for weight, value in zip(self._weights, values, strict=True):
                weight.copy_(value)


def _load(path: Path) -> dict[str, Any]:
    import pickle

    import torch

    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path} is cut short or no checkpoint: {error}") from error
    if not isinstance(held, dict) or "run" not in held:
        raise ValueError(f"{path} is no checkpoint of a training run.")
    return held
