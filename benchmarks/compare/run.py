"""Every method on every data set: some jobs, and the table of all jobs.

    python -m benchmarks.compare.run PROFILE JOB... --folder FOLDER
    python -m benchmarks.compare.run PROFILE --gather FILE --folder FOLDER [--unfinished REASON]
    python -m benchmarks.compare.run PROFILE --take-up FILE --folder FOLDER

The first runs jobs, such as ``temporal/guo2010/scnode-0``, and writes the rows of each as JSON; the
second joins the files of the folder into one table, CSV, with a JSON file beside it that holds
versions, machine and settings. Snakemake calls both, on two cores or on a cluster:

    snakemake -s benchmarks/compare/Snakefile --cores 2 --rerun-incomplete [--config profile=full]

A sweep that was stopped goes on where it was, at the next job. A job that has its file is not run
again, whatever has changed since, and not if it failed: remove the file, or ``_build/compare`` for
a new sweep. Each row says of which commit it is.
``fast`` is for a laptop, ``full`` for a cluster. ``--unfinished`` makes a table of a sweep that did
not come to its end: each job that was not run is a row with the reason. ``--take-up`` makes the
files of jobs from such a table, so that another machine goes on with the sweep. What is scored is
in :mod:`.temporal` and :mod:`.spatial`.

Each job is a process of its own, forked when libraries and data are loaded, and computes in one
thread. Whatever goes wrong in it becomes a row with its error: an exception, too long a run, or a
process that the system ended.
"""

from __future__ import annotations

import json
import os
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib import import_module
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType

import pandas as pd

from benchmarks.compare.jobs import BOUNDS, FAMILIES, PROFILES, Job, jobs, rows_of
from benchmarks.compare.measuring import new_model, said, settings_of
from benchmarks.record import Score, argument_parser, git, provenance, rounded
from benchmarks.timing import one_thread

COLUMNS = (
    "family", "data", "split", "row", "role", "seed", "place", "likeness", "published", "SCC",
    "SCCt", "dC", "dIns", "wall_seconds", "cpu_seconds", "peak_mb", "parameters", "changed",
    "commit", "error",
)  # fmt: skip
#: What two sweeps need not agree in.
MEASURED = ("wall_seconds", "cpu_seconds", "peak_mb", "commit")


def scoring(family: str) -> ModuleType:
    """How a family is scored; imported when it is asked for, since a job needs only one."""
    return import_module(f"benchmarks.compare.{family}")


def run(keys: list[str], profile: str, folder: Path) -> None:
    """Run jobs that have no file yet; those of one data set and seed share what is loaded."""
    known = jobs(profile)
    wanted = [known[key] for key in keys if not (folder / f"{key}.json").exists()]
    for (family, data, seed), same in groupby(wanted, lambda job: (job.family, job.data, job.seed)):
        kind = scoring(family)
        failure, task = "", None
        try:
            task = kind.task_of(data, seed, PROFILES[profile])
        except Exception as error:  # Such as data that cannot be had.
            failure = said(error)
        for job in same:
            path = folder / f"{job.key}.json"
            if not failure:
                child = get_context("fork").Process(target=write, args=(job, profile, task, path))
                child.start()
                child.join()
            if not path.exists():
                ended = failure or f"the process ended with {child.exitcode}"
                atomically(path, as_text(failed(job, profile, ended, kind.splits(data))))


def write(job: Job, profile: str, task: object, path: Path) -> None:
    atomically(path, as_text(rows_of_job(job, profile, task)))


def rows_of_job(job: Job, profile: str, task: object) -> list[Score]:
    """Rows of a job; a failure is a row as well."""
    size, kind = PROFILES[profile], scoring(job.family)
    found: list[Score] = []
    try:
        with one_thread(), warnings.catch_warnings(), at_most(size.seconds):
            warnings.simplefilter("ignore")
            for split, row, scores, cost in kind.rows(task, job.row, job.seed, size):
                about = {"split": split, "row": row} | scores | asdict(cost)
                found.append(about_job(job, profile) | about)
    except Exception as error:  # Whatever a method does wrong belongs in the table.
        done = {row["split"] for row in found}
        rest = tuple(split for split in kind.splits(job.data) if split not in done)
        found += failed(job, profile, said(error), rest)
    return found


def failed(job: Job, profile: str, error: str, splits: tuple[str, ...]) -> list[Score]:
    about = about_job(job, profile) | {"row": job.row, "error": error}
    return [about | {"split": split} for split in splits]


def about_job(job: Job, profile: str) -> Score:
    """What all rows of a job share."""
    found = {"family": job.family, "data": job.data, "seed": job.seed}
    found["changed"] = changed(profile, job.row)
    return found | {"commit": git("rev-parse", "--short", "HEAD")}


def as_text(rows: list[Score]) -> str:
    return json.dumps(rounded(rows), indent=1) + "\n"


def changed(profile: str, row: str) -> str:
    """Settings of a method that the profile changes."""
    return ", ".join(f"{k}={v}" for k, v in PROFILES[profile].changed.get(row, {}).items())


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Raise ``TimeoutError`` after so many seconds."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"stopped after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def left_out(profile: str) -> list[Score]:
    """A row for each method that the profile does not run."""
    size = PROFILES[profile]
    return [
        {"family": family, "row": row, "error": size.left_out[row]}
        for family in FAMILIES
        for row in rows_of(size, family)
        if row in size.left_out
    ]


def gather(profile: str, folder: Path, unfinished: str = "") -> pd.DataFrame:
    """The rows of all jobs as one table, in the order of the jobs.

    Parameters
    ----------
    unfinished
        Why jobs have not been run: each is a row with this as its error.

    Raises
    ------
    FileNotFoundError
        If a job has not been run, and no reason is given.
    """
    found: list[Score] = []
    for key, job in jobs(profile).items():
        path = folder / f"{key}.json"
        if path.exists():
            found += json.loads(path.read_text())
        elif unfinished:
            found.append(about_job(job, profile) | {"row": job.row, "error": unfinished})
        else:
            raise FileNotFoundError(f"there is no {path}: run the sweep to its end first")
    table = pd.DataFrame([*found, *left_out(profile)]).reindex(columns=list(COLUMNS))
    roles = scoring("temporal").roles() | scoring("spatial").roles()
    table["role"] = table["row"].map(roles).fillna("method")
    for name in ("seed", "parameters"):
        table[name] = table[name].astype("Int64")
    return table


def take_up(table: pd.DataFrame, profile: str, folder: Path) -> list[str]:
    """Write a file for each job whose rows a table holds, unless it has one; return their keys.

    A row that says that its job was not run has no split.
    """
    methods = {(job.family, job.row) for job in jobs(profile).values()}
    known = pd.MultiIndex.from_frame(table[["family", "row"]]).isin(list(methods))
    known |= (table["role"] == "method").to_numpy()  # One that is gone is of no job.
    ran = table.assign(job=table["row"].where(known, BOUNDS)).dropna(subset="split")
    found = []
    for key, job in jobs(profile).items():
        same = (ran["family"] == job.family) & (ran["data"] == job.data)
        rows = ran[same & (ran["job"] == job.row) & (ran["seed"] == job.seed)]
        if len(rows) and not (folder / f"{key}.json").exists():
            cells = rows.drop(columns=["role", "job"]).to_dict("records")
            own = [{name: v for name, v in row.items() if pd.notna(v)} for row in cells]
            for row in own:
                row["seed"] = job.seed
            atomically(folder / f"{key}.json", as_text(own))
            found.append(key)
    return found


def read_table(path: Path) -> pd.DataFrame:
    """A table of jobs. Commits are text: 562e077 would be read as a number."""
    return pd.read_csv(path, dtype={"commit": str})


def as_csv(table: pd.DataFrame) -> str:
    """The text of a table, with numbers to five digits."""
    return table.to_csv(index=False, float_format="%.5g")


def atomically(path: Path, text: str) -> None:
    """Write a file at once or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(text)
    unfinished.replace(path)


def about(profile: str) -> dict[str, object]:
    """Versions, machine, and the settings of every method."""
    size = PROFILES[profile]
    settings = {
        f"{family}: {row}": settings_of(new_model(family, row, 0, size))
        for family in FAMILIES
        for row in rows_of(size, family)
        if row not in size.left_out
    }
    packages = ("POT", "torchdiffeq", "anndata", "pandas", "snakemake")
    sizes = {"cells": dict(size.cells), "maps": dict(size.maps), "window": size.window}
    made = provenance(*packages, profile=profile, **sizes, seconds=size.seconds)
    return {"provenance": made, "settings": settings}


def main() -> None:
    parser = argument_parser(__file__, __doc__, output=False)
    parser.add_argument("profile", choices=list(PROFILES))
    parser.add_argument("jobs", nargs="*", metavar="JOB", help="keys of jobs")
    parser.add_argument("--folder", type=Path, required=True, help="of the files of the jobs")
    parser.add_argument("--gather", type=Path, metavar="FILE", help="table of all jobs, CSV")
    parser.add_argument("--unfinished", default="", metavar="REASON", help="why jobs were not run")
    parser.add_argument("--take-up", type=Path, metavar="FILE", help="go on from this table, CSV")
    arguments = parser.parse_args()
    if arguments.take_up:
        take_up(read_table(arguments.take_up), arguments.profile, arguments.folder)
    if strangers := sorted(set(arguments.jobs) - set(jobs(arguments.profile))):
        parser.error(
            f"{strangers[0]} is no job of {arguments.profile}; see benchmarks.compare.jobs"
        )
    run(arguments.jobs, arguments.profile, arguments.folder)
    if arguments.gather:
        table = gather(arguments.profile, arguments.folder, arguments.unfinished)
        atomically(arguments.gather, as_csv(table))
        text = json.dumps(about(arguments.profile), indent=1, default=str)
        atomically(arguments.gather.with_suffix(".json"), text + "\n")


if __name__ == "__main__":
    main()
