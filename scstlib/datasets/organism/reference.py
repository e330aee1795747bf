"""Reference populations of the simulated organism: what its truth is a mean over."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scstlib.datasets.organism.expression import mean_expression
from scstlib.datasets.organism.genome import Genome
from scstlib.datasets.organism.lineage import CELL_TYPES, cell_types
from scstlib.datasets.organism.network import CellState, Network, simulate
from scstlib.datasets.organism.settings import Settings

_MOST = 500  # cells of one type whose expression is worked out for the means over all times
_POOLED_TIMES = 25


@dataclass(frozen=True)
class Group:
    """Cells of one kind: ``share`` of all cells and their means.

    ``levels`` (regulators,), ``lagged`` (half-lives, regulators), ``expression`` (genes,).
    """

    share: float
    levels: np.ndarray
    lagged: np.ndarray
    expression: np.ndarray


def reference_groups(
    genome: Genome, network: Network, settings: Settings, times: np.ndarray, pooled: bool
) -> dict[float | None, dict[str, Group]]:
    """Return the population of each cell type present at each time, from one run.

    With ``pooled``, the key None holds the populations over evenly spaced times of the whole
    duration, which all count alike. The run depends on the organism's seed only, so that a time has
    the same populations whichever times are asked for beside it.
    """
    grid = np.linspace(0.0, settings.duration, _POOLED_TIMES) if pooled else np.empty(0)
    wanted = np.union1d(times, grid)
    rng = np.random.default_rng([settings.seed, 2])
    states = dict(zip(wanted, simulate(network, wanted, settings.n_reference, rng), strict=True))
    found: dict[float | None, dict[str, Group]] = {
        float(time): _by_type(genome, states[time], settings.n_reference) for time in times
    }
    if pooled:
        found[None] = _by_type(genome, _join([states[time] for time in grid]), _MOST)
    return found


def _join(states: list[CellState]) -> CellState:
    return CellState(
        np.concatenate([s.levels for s in states]),
        np.concatenate([s.lagged for s in states], axis=1),
        np.concatenate([s.cycle for s in states]),
        np.concatenate([s.speed for s in states]),
    )


def _by_type(genome: Genome, state: CellState, most: int) -> dict[str, Group]:
    """Return the means of each cell type; expression over at most ``most`` evenly spread cells."""
    kind = cell_types(state.levels)
    out = {}
    for k, name in enumerate(CELL_TYPES):
        rows = np.flatnonzero(kind == k)
        if len(rows) == 0:
            continue
        few = rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)]
        out[name] = Group(
            len(rows) / len(kind),
            state.levels[rows].mean(axis=0),
            state.lagged[:, rows].mean(axis=1),
            mean_expression(genome, state.take(few)).mean(axis=0, dtype=np.float64),
        )
    return out


def mix(groups: dict[str, Group]) -> Group:
    """Return the mean of groups by their shares."""
    parts = list(groups.values())
    total = sum(p.share for p in parts)
    weight = [p.share / total for p in parts]
    return Group(
        total,
        np.sum([w * p.levels for w, p in zip(weight, parts, strict=True)], axis=0),
        np.sum([w * p.lagged for w, p in zip(weight, parts, strict=True)], axis=0),
        np.sum([w * p.expression for w, p in zip(weight, parts, strict=True)], axis=0),
    )
