"""What the comparison runs: a job is one method on one data set with one seed.

A profile says how large the data sets are, which seeds are taken, and what becomes of methods that
take minutes: they are run smaller, and the table says how, or left out, and the table says why.
Methods are all of ``methods()`` of a family, of which a new one needs no line here, and a stacked
ensemble of some of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from typing import Any

from scstlib.models.spatial.methods import methods as spatial_methods
from scstlib.models.temporal.methods import methods as temporal_methods

#: Rows that are no methods: floor and ceiling, and for maps a constant, of a data set.
BOUNDS = "bounds"
STACKED = "stacked ensemble"


def _stacked(name: str, seed: int) -> Any:
    """Of :mod:`.stacked`, which is loaded when an ensemble is made."""
    return getattr(import_module("benchmarks.compare.stacked"), name)(seed=seed)


FAMILIES: dict[str, Callable[[], Mapping[str, Callable[[int], Any]]]] = {
    "temporal": lambda: temporal_methods() | {STACKED: partial(_stacked, "StackedCells")},
    "spatial": lambda: spatial_methods() | {STACKED: partial(_stacked, "StackedMaps")},
}
REGULAR, IRREGULAR = "organism, regular times", "organism, irregular times"
EQUAL, UNEQUAL = "organism, equal depths", "organism, unequal depths"


@dataclass(frozen=True)
class Profile:
    """How large a sweep is.

    Attributes
    ----------
    data
        Family → data set → seeds: of the method, and of the organism where the data are its.
    cells, maps
        Settings of the organism whose cells, and whose maps, are predicted.
    window, stride
        Of the organism's maps, in bins.
    changed
        Method → settings that are not those of ``methods()``.
    left_out
        Method → why it is not run.
    only
        If there are any, the only methods.
    apart
        Methods that take so long that the scheduler starts each job by itself. The others of a data
        set and seed share one start: loading libraries takes longer than most fits.
    seconds
        After which a job is broken off, as a failure.
    """

    data: Mapping[str, Mapping[str, tuple[int, ...]]]
    cells: Mapping[str, Any]
    maps: Mapping[str, Any]
    window: int
    stride: int
    changed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()
    seconds: int = 3600


SLOW = ("scNODE", "scNODE as published", "scGrapHiC", "published scGrapHiC")
SERIES = ("guo2010", "bargaje2017", "kouno2013", "semrau2017", "klein2015", "ipsc_cardiomyocyte")
TWO_METHODS = (
    "nearest time copied", "Gaussian process of OT paths",  # No seed changes the first.
    "bulk copied", "bulk smoothed",
)  # fmt: skip
PROFILES = {
    "tiny": Profile(  # For tests.
        data={"temporal": {IRREGULAR: (0,)}},
        cells={"preset": "tiny", "n_chromosomes": 1, "n_bins": 32},
        maps={"preset": "tiny", "n_chromosomes": 5, "n_bins": 48},
        window=32,
        stride=16,
        only=TWO_METHODS,
    ),
    "fast": Profile(
        data={
            "temporal": dict.fromkeys((IRREGULAR, *SERIES), (0,)),
            "spatial": {UNEQUAL: (0,)},
        },
        cells={"n_genes": 300, "n_times": 9, "n_cells": 120, "n_reference": 300,
               "n_chromosomes": 3, "n_bins": 64},
        maps={"n_genes": 400, "n_chromosomes": 7, "n_bins": 160, "n_cells": 120,
              "n_reference": 1000, "contacts_per_cell": 4_500.0},
        window=64,
        stride=32,
        changed={"scGrapHiC": {"n_steps": 600}},
        left_out={"published scGrapHiC": "left out: its 300 epochs take hours of one core"},
        seconds=150,
    ),
    "full": Profile(
        data={
            "temporal": dict.fromkeys((REGULAR, IRREGULAR, *SERIES), (0, 1, 2)),
            "spatial": dict.fromkeys((EQUAL, UNEQUAL, "lee2019"), (0, 1, 2)),
        },
        cells={"preset": "small"},
        maps={"preset": "small"},
        window=128,
        stride=32,
        changed={
            "published scGrapHiC": {"head_init": "mended", "epochs": 4, "batch_size": 8},
        },
        apart=SLOW,
    ),
}  # fmt: skip
PROFILES["two_batches"] = replace(PROFILES["tiny"], apart=("Gaussian process of OT paths",))


@dataclass(frozen=True)
class Job:
    """One method, or the bounds, on one data set."""

    family: str
    data: str
    row: str
    seed: int

    @property
    def key(self) -> str:
        """The job as the path of a file, without suffix."""
        data, row = (re.sub(r"[^a-z0-9]+", "-", name.lower()) for name in (self.data, self.row))
        return f"{self.family}/{data}/{row}-{self.seed}"


def jobs(profile: str) -> dict[str, Job]:
    """All jobs of a profile by their keys; bounds first."""
    size = PROFILES[profile]
    found = [
        Job(family, data, row, seed)
        for family, sets in size.data.items()
        for data, seeds in sets.items()
        for seed in seeds
        for row in (BOUNDS, *rows_of(size, family))
        if row not in size.left_out
    ]
    return {job.key: job for job in found}


def batches(profile: str) -> dict[str, list[str]]:
    """Name of each batch, and the keys of its jobs, which are started together."""
    found: dict[str, list[str]] = {}
    for key, job in jobs(profile).items():
        alone = job.row in PROFILES[profile].apart
        folder = key.rpartition("/")[0]
        found.setdefault(key if alone else f"{folder}/quick-{job.seed}", []).append(key)
    return found


def rows_of(size: Profile, family: str) -> list[str]:
    """Names of the methods of a family that the profile takes, those left out included."""
    return [name for name in FAMILIES[family]() if not size.only or name in size.only]
