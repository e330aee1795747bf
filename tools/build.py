"""Build the book: ``python -m tools.build``, called by ``make book``.

Pairs the notebooks, writes the keys, lets Snakemake run what is stale and sums up. One build at a
time works in a folder; a second one waits. A build that is killed takes along what it started.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tools import lifeline, notebooks, pair

ROOT = notebooks.ROOT
BOOK_INPUTS = (
    "_config.yml", "CITATION.cff", "book", "notebooks", "scstlib", "data_manifests",
    "benchmarks/results",
)  # fmt: skip
SECONDS_BOOK = 15


def expected_seconds(name: str, root: Path = ROOT) -> float:
    """Run time of a page: as measured by the last build, else as its learning box states."""
    measured = last_times(root).get(name)
    if measured is not None:
        return measured
    source = (root / "notebooks" / f"{name}.py").read_text(encoding="utf-8")
    stated = re.search(r"(\d+) min to run", source)
    return 60 * float(stated[1]) if stated else 60.0


def last_times(root: Path = ROOT) -> dict[str, float]:
    """Seconds that each page took when it ran last."""
    path = root / "_build" / "seconds.json"
    found: dict[str, float] = json.loads(path.read_text()) if path.is_file() else {}
    return found


def note_times(root: Path = ROOT) -> None:
    """Write down the seconds of the executed copies, for the next build's opening line."""
    made = {name: notebooks.record(name, root).get("seconds") for name in notebooks.names(root)}
    times = last_times(root) | {name: seconds for name, seconds in made.items() if seconds}
    notebooks.write_if_changed(root / "_build" / "seconds.json", json.dumps(times, indent=1))


def opening(stale: list[str], workers: int, root: Path = ROOT) -> str:
    """One line: what will run and how long that takes."""
    total = len(notebooks.names(root))
    times = [expected_seconds(name, root) for name in stale]
    seconds = max([sum(times) / workers, *times, 0]) + SECONDS_BOOK
    what = f"{len(stale)} of {total} notebooks to run, {workers} at a time, then the book"
    if not stale:
        what = f"all {total} notebooks are up to date; the book is rendered if it changed"
    return f"make book: {what}; about {max(1, round(seconds / 60))} min."


def book_key(root: Path = ROOT) -> str:
    """Hash of all that the rendered book is made of, other than the executed copies."""
    files = []
    for name in BOOK_INPUTS:
        found = [root / name] if (root / name).is_file() else (root / name).rglob("*")
        files += [path for path in found if path.is_file() and "__pycache__" not in path.parts]
    return notebooks.tree_hash(files, root)


def absolute_data_folders() -> None:
    """Read relative ``SCST_MIRROR`` and ``SCST_DATA`` from where ``make`` was called."""
    for name in ("SCST_MIRROR", "SCST_DATA"):
        if os.environ.get(name):
            folders = [Path(part) for part in os.environ[name].split(os.pathsep) if part]
            os.environ[name] = os.pathsep.join(str(f.expanduser().resolve()) for f in folders)


def snakemake(stale: list[str], workers: int, root: Path = ROOT) -> int:
    """Run the graph of work; returns Snakemake's exit status."""
    command = [sys.executable, "-m", "snakemake", "--cores", str(workers), "--nolock"]
    command += ["--rerun-incomplete", "--keep-going", "--quiet", "all", "--rerun-triggers", "mtime"]
    command += ["--scheduler", "greedy"]  # the other one starts a solver
    if stale:
        # The longest page first, or it runs alone at the end.
        longest = max(stale, key=lambda name: expected_seconds(name, root))
        command += ["--prioritize", f"_build/executed/{longest}.ipynb"]
    end = partial(lifeline.end_with_parent, os.getpid())
    done = subprocess.run(command, cwd=root, check=False, preexec_fn=end)
    return done.returncode


def summary(stale: list[str], seconds: dict[str, float], root: Path = ROOT) -> str:
    """Closing lines: timings, pages without their data, the path of the book."""
    records = {name: notebooks.record(name, root) for name in notebooks.names(root)}
    lines = [f"    {name}: {records[name]['seconds']:.0f} s" for name in stale if records[name]]
    parts = ", ".join(f"{part} {value:.0f} s" for part, value in seconds.items())
    lines = [f"Timings: {parts}.", *lines]
    for name, made in records.items():
        missing: dict[str, Any] = made.get("missing", {})
        if missing:
            files = ", ".join(missing["files"][:3]) or "fetched by hand"
            files += f" and {len(missing['files']) - 3} more" if len(missing["files"]) > 3 else ""
            lines.append(f"  Data missing on notebooks/{name}: {missing['dataset']} ({files}).")
    if any(made.get("missing") for made in records.values()):
        lines.append("  To fetch: `scstlib data fetch NAME`, then `make book` again.")
    lines.append(str(root / "_build" / "html" / "index.html"))
    return "\n".join(lines)


def build(workers: int, fresh: bool, setup_seconds: float, root: Path = ROOT) -> int:
    """Build the book; returns 0 when every page is in it."""
    started = time.monotonic()
    if fresh:
        for path in (root / "_build" / "executed").rglob("*.ipynb"):
            path.unlink()
        (root / "_build" / "html" / ".complete").unlink(missing_ok=True)
    for path in pair.pair(root / "notebooks"):
        print(f"  paired {path.relative_to(root)}")
    stale = notebooks.refresh_keys(root)
    notebooks.write_if_changed(root / "_build" / "keys" / "book.json", book_key(root) + "\n")
    print(opening(stale, workers, root), flush=True)
    status = snakemake(stale, workers, root)
    ended = time.monotonic()
    note_times(root)
    if status:
        print("make book: FAILED, see above.", file=sys.stderr)
        return status
    ran = 0.0
    if stale:
        last = max(notebooks.executed_path(name, root).stat().st_mtime for name in stale)
        ran = max(0.0, ended - started - (time.time() - last))
    seconds = {"set-up": setup_seconds, "notebooks": ran, "book": ended - started - ran}
    seconds["total"] = setup_seconds + ended - started
    print(summary(stale, seconds, root))
    return 0


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fresh", action="store_true", help="run every page again")
    parser.add_argument("--jobs", type=int, default=2, help="pages that run at a time")
    arguments = parser.parse_args()
    if lifeline.MAKE in os.environ:  # make is what is killed; a shell may end before its build
        lifeline.end_with_parent(int(os.environ[lifeline.MAKE]))
    absolute_data_folders()
    (ROOT / "_build").mkdir(exist_ok=True)
    lock = FileLock(ROOT / "_build" / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print("make book: another build works in this folder; waiting for it.", flush=True)
        lock.acquire()
    with lock, lifeline.of_build(ROOT):
        now = time.time()  # `make` notes when it started: what went before is the set-up
        setup_seconds = now - float(os.environ.get("SCST_STARTED") or now)
        return build(arguments.jobs, arguments.fresh, setup_seconds)


if __name__ == "__main__":
    sys.exit(main())
