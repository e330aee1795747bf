"""The training loop that every model here uses, alone or in several processes by Lightning Fabric.

Several processes: start the script with ``torchrun --nproc-per-node 2 script.py`` and call ``fit``
as ever. Every process holds the same parameters and draws the same random numbers; each computes
its own terms of the loss (:func:`terms_of`), and the gradients are averaged.
"""

from __future__ import annotations

import logging
import math
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from scstlib.training.adam import AdamW
from scstlib.training.run_state import RunState

if TYPE_CHECKING:
    from typing import TypeAlias

    import torch
    from lightning_fabric import Fabric

    Processes: TypeAlias = "Fabric | OneProcess"

logger = logging.getLogger(__name__)

# Seconds until the log tells of a run, and between two times.
FIRST_NOTE, NOTE_EVERY = 10.0, 60.0
# Half precision with a scaled loss ("16-mixed") is left out: bfloat16 needs no scaling.
PRECISIONS = ("32-true", "64-true", "bf16-mixed")


class History(NamedTuple):
    """What a run of :func:`minimise` measured.

    Attributes
    ----------
    losses : numpy.ndarray, shape (n_steps,)
        The loss before each step that was made.
    validation_steps, validation_losses : numpy.ndarray, shape (n_validations,)
        Number of steps made before each validation, and its value.
    """

    losses: np.ndarray
    validation_steps: np.ndarray
    validation_losses: np.ndarray


@dataclass(frozen=True)
class OneProcess:
    """One process in single precision, with what this module asks of Fabric.

    Importing Fabric imports torch's compiler, which takes two seconds.
    """

    device: torch.device
    world_size: int = 1
    global_rank: int = 0
    is_global_zero: bool = True

    def autocast(self) -> AbstractContextManager[None]:
        """Return a context that changes nothing."""
        return nullcontext()

    def init_tensor(self) -> AbstractContextManager[None]:
        """Return a context that changes nothing."""
        return nullcontext()

    def all_reduce(self, tensor: torch.Tensor, reduce_op: str = "mean") -> torch.Tensor:
        """Return the mean over one process."""
        return tensor


def resolve_device(device: str) -> torch.device:
    """Return the torch device of a name; ``"auto"`` is CUDA where there is one, else the CPU.

    Parameters
    ----------
    device : str
        "auto", "cpu", "cuda", one CUDA device such as "cuda:1", or "mps".

    Raises
    ------
    ValueError
        For another name, or a device that this machine does not have.

    Examples
    --------
    >>> resolve_device("cpu")
    device(type='cpu')
    """
    import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", str(device)):
        raise ValueError(
            "device must be 'auto', 'cpu', 'cuda', a CUDA device such as 'cuda:1', or 'mps', not"
            f" {device!r}."
        )
    where = torch.device(device)
    if where.type == "cuda" and (where.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device {device!r} was asked for, but {torch.cuda.device_count()} CUDA devices are"
            " visible; use 'auto' or 'cpu'."
        )
    if where.type == "mps" and not torch.backends.mps.is_available():
        raise ValueError("device 'mps' was asked for, but this machine has none; use 'cpu'.")
    return where


def checked_place(device: str, precision: str) -> torch.device:
    """Return the torch device of a name; for what can be refused before the data are read.

    Raises
    ------
    ValueError
        For an unknown precision or device, or a device that this machine does not have.

    Examples
    --------
    >>> from scstlib.training import checked_place
    >>> checked_place("cpu", "32-true")
    device(type='cpu')
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {PRECISIONS}, not {precision!r}.")
    return resolve_device(device)


def launch(device: str = "auto", precision: str = "32-true") -> Processes:
    """Return Fabric on a device, joined with the other processes if torchrun started some.

    One process in single precision needs no Fabric and gets :class:`OneProcess`.

    Parameters
    ----------
    device : str
        As for :func:`resolve_device`.
    precision : str
        "32-true"; "64-true"; "bf16-mixed": float32 weights, bfloat16 matrix products.

    Raises
    ------
    ValueError
        For an unknown precision or device, or a device that this machine does not have.
    """
    where = checked_place(device, precision)
    here = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    nodes = int(os.environ.get("WORLD_SIZE", 1)) // here
    if here * nodes == 1 and precision == "32-true":
        return OneProcess(_numbered(where))
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments import LightningEnvironment

    # One process needs no cluster. Left to guess, Fabric warns wherever Slurm is installed.
    alone = LightningEnvironment() if here * nodes == 1 else None
    fabric = Fabric(
        accelerator=where.type,
        devices=here if where.index is None else [where.index],
        num_nodes=nodes,
        strategy="ddp" if here * nodes > 1 else "auto",
        # Fabric's type is a literal of all names that it knows; PRECISIONS are some of them.
        precision=precision,  # type: ignore[arg-type]
        plugins=alone,
    )
    fabric.launch()
    return fabric


def _numbered(device: torch.device) -> torch.device:
    """The device with its number, as its tensors name it."""
    import torch

    if device.type != "cuda" or device.index is not None:
        return device
    return torch.device("cuda", torch.cuda.current_device())


def parameter_dtype(fabric: Processes) -> torch.dtype:
    """Return the type of parameters and data that the precision of ``fabric`` asks for."""
    import torch

    with fabric.init_tensor():
        return torch.zeros(()).dtype


def terms_of(fabric: Processes | None, n_terms: int) -> slice:
    """Return which of ``n_terms`` terms of a mean this process computes.

    A process whose loss is ``world_size / n_terms`` times the sum of its terms has done its part:
    :func:`minimise` averages over processes.
    """
    if fabric is None:
        return slice(0, n_terms)
    return slice(fabric.global_rank, n_terms, fabric.world_size)


@contextmanager
def seeded_weights(seed: int) -> Iterator[None]:
    """Draw initial weights from ``seed`` and leave torch's global generator as it was.

    ``torch.nn`` modules take no generator for their initial weights, so the global one is
    set inside and restored afterwards.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def minimise(
    loss_of_step: Callable[[int], torch.Tensor],
    parameters: Iterable[torch.nn.Parameter],
    *,
    n_steps: int,
    learning_rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
    learning_rate_end: float | None = None,
    weight_decay: float = 0.0,
    max_gradient_norm: float | None = None,
    fabric: Processes | None = None,
    generators: Sequence[torch.Generator] = (),
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 100,
    run: str = "",
    validate: Callable[[], float] | None = None,
    validate_every: int = 50,
    patience: int = 10,
    progress: bool | None = None,
    label: str = "training",
) -> History:
    """Minimise a loss with AdamW, one step for each call of ``loss_of_step(step)``.

    Parameters
    ----------
    loss_of_step : function
        Takes the number of the step, from 0, and returns a scalar. With several processes each
        returns its own part; the mean over processes is the loss.
    parameters : iterable of Parameter
        Changed in place; equal in every process.
    learning_rate_end : float, optional
        The learning rate falls to this along half a cosine. None: it stays.
    weight_decay : float
        Share of each parameter that is taken off in a step, per unit of learning rate; with 0
        this is Adam.
    max_gradient_norm : float, optional
        Gradients longer than this, all parameters together, are shortened to it.
    fabric : Fabric, optional
        From :func:`launch`: precision and processes. None: as it stands, one process.
    generators : sequence of torch.Generator
        What ``loss_of_step`` draws from; their states are part of a checkpoint. What it draws
        from elsewhere is not repeated by a run that was resumed.
    checkpoint : path, optional
        File that holds the run. Where it exists the run goes on from it, and gives what a run
        without a break gives; a finished one is not made again.
    checkpoint_every : int
        Steps between two writings.
    run : str
        What the run is of (data, settings); a checkpoint of another run is refused.
    validate : function, optional
        Returns a number that is lower for better parameters. The run stops after ``patience``
        validations in a row that are no better than the best, whose parameters are kept.
    validate_every : int
        Steps between two validations.
    progress : bool, optional
        Show a bar. None: only if stderr is a terminal; a notebook shows it if True. With or without
        a bar, the log says once a minute, and first after ten seconds, how far the run is and how
        long it will take; ``logging.basicConfig(level="INFO")`` shows it.
    label : str
        Name of the run in the bar, in the log and in errors.

    Returns
    -------
    History

    Raises
    ------
    FloatingPointError
        At the first step whose loss is not finite.
    ValueError
        If the checkpoint is of another run or cut short.
    """
    import torch

    fabric = fabric or launch("cpu")
    weights = list(parameters)
    optimizer = AdamW(weights, betas, weight_decay)
    state = RunState(weights, optimizer, generators, f"{label}, {n_steps} steps, {run}".strip(", "))
    path = None if checkpoint is None else Path(checkpoint)
    writes_to = path if fabric.is_global_zero else None
    if path is not None and path.exists():
        state.read(path)
        logger.info("%s: goes on from step %d of %s", label, state.step, path)
    clock = _Clock(label, n_steps, state.step)
    with _bar(label, n_steps, state.step, progress if fabric.is_global_zero else False) as bar:
        while state.step < n_steps and not state.stopped:
            rate = _cosine(learning_rate, learning_rate_end, state.step / n_steps)
            value = _gradients(fabric, weights, loss_of_step, state.step)
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"the loss of {label} is {value} at step {state.step} of {n_steps}: check the"
                    " input for extreme values, or lower the learning rate."
                )
            if max_gradient_norm is not None:
                torch.nn.utils.clip_grad_norm_(weights, max_gradient_norm)
            optimizer.step(rate)
            state.losses.append(value)
            if not bar.disable:
                bar.set_postfix(loss=f"{value:.4g}", refresh=False)
                bar.update()
            if fabric.is_global_zero:
                clock.note(state.step, value)
            if validate is not None and state.step % validate_every == 0:
                # The mean is the same number in every process, so all stop together.
                found: Any = fabric.all_reduce(torch.tensor(validate(), device=fabric.device))
                state.note_validation(float(found), patience)
            if writes_to is not None and state.step % checkpoint_every == 0:
                state.write(writes_to)
    if not state.finished:
        state.finish()
        if writes_to is not None:
            state.write(writes_to)
    return History(np.array(state.losses), *state.validation_curve())


def _gradients(
    fabric: Processes,
    weights: list[torch.nn.Parameter],
    loss_of_step: Callable[[int], torch.Tensor],
    step: int,
) -> float:
    """Compute the gradients of one step and return its loss, both averaged over processes."""
    for weight in weights:
        weight.grad = None
    with fabric.autocast():
        loss = loss_of_step(step)
    if loss.requires_grad:  # A process may have no term of this loss.
        loss.backward()  # type: ignore[no-untyped-call]
    return _average(fabric, weights, loss.detach())


def _cosine(start: float, end: float | None, done: float) -> float:
    if end is None:
        return start
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2


def _average(fabric: Processes, weights: list[torch.nn.Parameter], loss: torch.Tensor) -> float:
    """Average the gradients over processes, in one message, and return the average loss."""
    import torch

    if fabric.world_size == 1:
        return float(loss)
    parts = [torch.zeros_like(w) if w.grad is None else w.grad for w in weights]
    # A parameter without a gradient in any process stays without one: Adam passes over it.
    has = torch.tensor([w.grad is not None for w in weights], device=loss.device)
    message = torch.cat(
        [p.flatten() for p in parts] + [has.to(parts[0]), loss.reshape(1).to(parts[0])]
    )
    # Fabric's return type allows for collections of tensors; one tensor gives one.
    mean: torch.Tensor = fabric.all_reduce(message, reduce_op="mean")  # type: ignore[assignment]
    sizes = [p.numel() for p in parts]
    *gradients, has, loss = mean.split([*sizes, len(parts), 1])
    for weight, gradient, present in zip(weights, gradients, has.tolist(), strict=True):
        weight.grad = gradient.view_as(weight) if present else None
    return float(loss)


class _Clock:
    """Tells the log how far a run is and how long it will take: after 10 s, then once a minute.

    Of a run that took less it tells nothing.
    """

    def __init__(self, label: str, n_steps: int, done: int) -> None:
        self.label, self.n_steps = label, n_steps
        self.due = self.told_from = time.monotonic() + FIRST_NOTE
        # The first step also loads and compiles: the clock starts after it.
        self.first, self.started = done + 1, math.nan
        self.advice = _threads_advice()

    def note(self, step: int, loss: float) -> None:
        """Tell of a step that was made, if it is time."""
        now = time.monotonic()
        if step == self.first:
            self.started = now
        elif now >= self.due or (step == self.n_steps and now >= self.told_from):
            left = (self.n_steps - step) * (now - self.started) / (step - self.first)
            after = f"about {_duration(left)} left" if left else "done"
            logger.info(
                "%s: step %d of %d, loss %.4g, %s", self.label, step, self.n_steps, loss, after
            )
            if left and self.advice:
                logger.info("%s: %s", self.label, self.advice)
                self.advice = ""
            self.due = now + NOTE_EVERY


def _threads_advice() -> str:
    """What to say where torch's threads wait for cores that other programs use; empty elsewhere.

    The threads of one small matrix product wait for each other, so that a step can take more than
    ten times as long as with one thread. The number is not changed here: it may change last digits.
    """
    import torch

    threads, cores = torch.get_num_threads(), os.cpu_count() or 1
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if threads == 1 or busy <= 1.25 * cores:
        return ""
    return (
        f"{threads} threads on {cores} cores that other programs use too; one thread may be much"
        " faster: set OMP_NUM_THREADS=1 before Python starts"
    )


def _duration(seconds: float) -> str:
    """A duration in the unit that suits it: "38 s", "3 min", "2.5 h"."""
    if seconds < 120:
        return f"{math.ceil(seconds)} s"
    return f"{math.ceil(seconds / 60)} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _bar(label: str, n_steps: int, done: int, progress: bool | None) -> Any:
    """A tqdm bar; with None it shows on a terminal only."""
    import tqdm

    bar: Any = tqdm.tqdm
    if progress:  # Looking for a notebook may warn of missing widgets.
        import tqdm.auto

        bar = tqdm.auto.tqdm
    hidden = None if progress is None else not progress
    return bar(desc=label, total=n_steps, initial=done, disable=hidden)
