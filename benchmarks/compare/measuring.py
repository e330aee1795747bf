"""What a fit costs, and what a method is set to."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import Any

from benchmarks.compare.jobs import FAMILIES, Profile


@dataclass(frozen=True)
class Cost:
    """Of one fit in a process of its own.

    Attributes
    ----------
    peak_mb
        The most memory that the process has held, libraries and data included, in MiB.
    parameters
        Numbers in the networks of the fitted model; None without a network.
    """

    wall_seconds: float | None = None
    cpu_seconds: float | None = None
    peak_mb: float | None = None
    parameters: int | None = None


def new_model(family: str, row: str, seed: int, size: Profile) -> Any:
    """A method that is not fitted, with the settings of the profile.

    Raises
    ------
    ValueError
        If the profile changes a setting that the method does not have.
    """
    model = FAMILIES[family]()[row](seed)
    for name, value in size.changed.get(row, {}).items():
        if not hasattr(model, name):
            raise ValueError(f"{row} has no setting {name!r}: change the profile")
        setattr(model, name, value)
    return model


def measured_fit(fit: Callable[[], object], model: object) -> Cost:
    """Fit, and say what it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    fit()
    return Cost(
        wall_seconds=time.perf_counter() - wall,
        cpu_seconds=time.process_time() - cpu,
        peak_mb=peak_mb(),
        parameters=n_parameters(model),
    )


def peak_mb() -> float:
    """The most memory that this process has held, in MiB."""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def n_parameters(model: object) -> int | None:
    """Numbers in all networks that a model holds, however deep; None if it holds none."""
    from torch.nn import Module

    seen: set[int] = set()
    networks: list[Module] = []

    def look(thing: object) -> None:
        if id(thing) in seen:
            return
        seen.add(id(thing))
        if isinstance(thing, Module):
            networks.append(thing)
        elif isinstance(thing, dict):
            for part in thing.values():
                look(part)
        elif isinstance(thing, list | tuple):
            for part in thing:
                look(part)
        elif type(thing).__module__.startswith(("scstlib.", "benchmarks.")):
            look(getattr(thing, "__dict__", {}))

    look(model)
    numbers = {id(p): p.numel() for network in networks for p in network.parameters()}
    return sum(numbers.values()) if numbers else None


def settings_of(model: object) -> dict[str, str]:
    """The arguments of ``__init__`` as they are set now, as text."""
    names = signature(type(model)).parameters
    return {name: repr(getattr(model, name)) for name in names if hasattr(model, name)}


def said(error: Exception) -> str:
    """An error in one line."""
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}".removesuffix(": ")
