"""Settings of the simulated organism and their presets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scstlib.datasets.organism.network import REGULATORS

PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {"n_genes": 120, "n_chromosomes": 3, "n_bins": 64, "n_times": 5, "n_cells": 40,
             "n_reference": 300, "depth": 300.0, "contacts_per_cell": 2_000.0},
    "small": {"n_genes": 1_200, "n_chromosomes": 13, "n_bins": 640, "n_times": 12, "n_cells": 400,
              "n_reference": 4_000, "depth": 550.0, "contacts_per_cell": 30_000.0},
    "large": {"n_genes": 6_000, "n_chromosomes": 20, "n_bins": 2_000, "n_times": 12,
              "n_cells": 2_000, "n_reference": 4_000, "depth": 6_000.0,
              "contacts_per_cell": 150_000.0},
}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """All that an organism is made from: two with equal settings are equal.

    ``depth`` is the median total count of a cell, ``depth_spread`` the standard deviation of its
    log; ``contacts_per_cell`` the mean number of contacts; ``growth`` scales how fates differ in
    net growth; ``expression_weight`` and ``private_weight`` scale what chromatin owes to
    transcription and to itself; ``duration`` is in hours; ``n_reference`` is the number of cells
    that truth is a mean over; ``perturbations`` are (regulator, factor, from this hour on).
    """

    seed: int
    preset: str
    n_genes: int
    n_chromosomes: int
    n_bins: int
    n_times: int
    n_cells: int
    n_reference: int
    depth: float
    contacts_per_cell: float
    depth_spread: float = 0.45
    bin_size: int = 50_000
    duration: float = 96.0
    growth: float = 1.0
    expression_weight: float = 1.0
    private_weight: float = 1.0
    perturbations: tuple[tuple[str, float, float], ...] = ()


def make_settings(
    seed: int,
    preset: str,
    changes: dict[str, Any],
    perturbations: tuple[tuple[str, float, float], ...] = (),
) -> Settings:
    """Return the preset with ``changes``; raise ValueError for what is unknown or out of range."""
    if preset not in PRESETS:
        raise ValueError(f"unknown preset {preset!r}; choose one of {', '.join(PRESETS)}")
    known = set(Settings.__dataclass_fields__) - {"seed", "preset", "perturbations"}
    if unknown := sorted(set(changes) - known):
        raise ValueError(f"unknown settings {unknown}; choose from {sorted(known)}")
    values = {**PRESETS[preset], **changes}
    made = Settings(seed=whole("seed", seed), preset=preset, perturbations=perturbations, **values)
    for regulator, factor, time in perturbations:
        if regulator not in REGULATORS:
            raise ValueError(
                f"{regulator!r} is not a regulator; choose one of {', '.join(REGULATORS)}"
            )
        positive("factor", factor, zero=True)
        check_times(time, made.duration)
    least = {"n_genes": 2 * len(REGULATORS), "n_chromosomes": 1, "n_bins": 32, "n_times": 2,
             "n_cells": 1, "n_reference": 100, "bin_size": 1}  # fmt: skip
    for name, value in least.items():
        whole(name, getattr(made, name), value)
    for name in ("depth", "contacts_per_cell", "duration"):
        positive(name, getattr(made, name))
    for name in ("depth_spread", "growth", "expression_weight", "private_weight"):
        positive(name, getattr(made, name), zero=True)
    return made


def whole(name: str, value: Any, least: int = 0) -> int:
    """Return ``value`` as an int; raise ValueError if it is not whole or below ``least``."""
    if not isinstance(value, int | float | np.integer | np.floating) or value % 1 != 0:
        raise ValueError(f"{name} is {value!r}; it must be a whole number")
    if value < least:
        raise ValueError(f"{name} is {value}; it must be at least {least}")
    return int(value)


def positive(name: str, value: float, zero: bool = False) -> float:
    """Return ``value``; raise ValueError if it is not finite and positive (or zero, if allowed)."""
    if not np.isfinite(value) or value < 0 or (value == 0 and not zero):
        raise ValueError(f"{name} is {value}; it must be {'0 or more' if zero else 'positive'}")
    return value


def check_times(times: float | Sequence[float] | np.ndarray, duration: float) -> np.ndarray:
    """Return times (n,) as numbers; raise ValueError if they repeat or are out of range."""
    out = np.atleast_1d(np.asarray(times, dtype=np.float64)) + 0.0
    if out.ndim != 1 or len(out) == 0:
        raise ValueError(f"times has shape {out.shape}; give one or more numbers")
    latest = 5 * duration
    if not np.isfinite(out).all() or out.min() < 0 or out.max() > latest:
        raise ValueError(f"times {out.tolist()} must be from 0 to {latest:g} hours")
    if len(np.unique(out)) < len(out):
        raise ValueError(f"times {out.tolist()} repeat; ask for more cells with n_cells")
    return out


def time_words(time: float) -> list[int]:
    """Return the bits of a time as whole numbers, which seed what is drawn at that time."""
    return [int(word) for word in np.array([time + 0.0]).view(np.uint32)]
