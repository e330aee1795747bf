"""What benchmarks share: how they are called, where their numbers come from, how these are kept.

Each benchmark is a module that is run from the root of the repository, such as
``python -m benchmarks.speed.metrics``, and writes ``benchmarks/results/<its name>.json``, a
family's ``run`` the file of the family: ``benchmarks.spatial.run`` writes ``spatial.json``.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import subprocess
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
PACKAGES = ("numpy", "scipy", "scikit-learn", "torch")
RUN = ["organism", "model_seed"]
#: What tells two measurements of one kind apart, as far as they have it.
IDENTITY = (*RUN, "row", "part", "split", "index", "step", "gene", "factor", "switch", "case")

Score = dict[Any, Any]  # Keys are names, which pandas gives as Hashable.
Runs = dict[str, list[Score]]
"""Rows of each kind of measurement."""


def argument_parser(file: str, doc: str | None, output: bool = True) -> argparse.ArgumentParser:
    """Parser of the module at ``file``: its docstring is the help, ``--output`` where it writes."""
    module = ".".join(Path(file).resolve().relative_to(ROOT).with_suffix("").parts)
    parser = argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if output:
        name = module.removesuffix(".run").rpartition(".")[2]
        parser.add_argument("--output", type=Path, default=RESULTS / f"{name}.json")
    return parser


def add_runs(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a benchmark that runs over organisms and models, in several calls."""
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the organism")
    parser.add_argument("--model-seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--summarise", type=Path, nargs="+", help="results of several calls")


def provenance(*packages: str, **more: object) -> dict[str, object]:
    """What the numbers were computed with; ``packages`` are those beside the usual four."""
    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), cpu)
    return {
        "commit": git("rev-parse", "HEAD"),
        "uncommitted_changes": uncommitted_changes(),
        "cpu": cpu,
        "threads": 1,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in (*PACKAGES, *packages)},
        "clock": "process CPU time",
        **more,
    }


def uncommitted_changes(root: Path = ROOT) -> bool:
    """Whether the package or a benchmark differs from the commit; results may."""
    sources = ("scstlib", ":(glob)benchmarks/**/*.py")
    return bool(git("status", "--porcelain", "--untracked-files=all", "--", *sources, root=root))


def git(*arguments: str, root: Path = ROOT) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True, cwd=root)
    return done.stdout.strip()


def rounded(value: object) -> object:
    """Floats of five significant digits."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: rounded(entry) for key, entry in value.items()}
    return [rounded(entry) for entry in value] if isinstance(value, list) else value


def already(path: Path, about: dict[str, object]) -> list[Score]:
    """Scores that a run which was stopped left in a file, if it was made as ``about`` says."""
    held = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    # Other settings, versions, or code that no commit holds: all is measured again.
    same = held.get("provenance") == rounded(about) and not about["uncommitted_changes"]
    rows: list[Score] = held["scores"] if same else []
    return rows


def write(path: Path, results: Mapping[str, object]) -> None:
    """Write JSON with one row of a table in each line."""
    text = json.dumps(rounded(results), indent=1)
    flat = re.compile(r"([\[{])\s+([^\[\]{}]*?)\s+([\]}])")
    text = flat.sub(lambda m: m[1] + re.sub(r"\n\s*", " ", m[2]) + m[3], text)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")


def merged(paths: list[Path], summary: Callable[[Runs], dict[str, Any]]) -> dict[str, Any]:
    """The results of several calls as one, with the provenance of the last and what differed."""
    read = [json.loads(path.read_text()) for path in paths]
    runs: Runs = {}
    for results in read:
        for kind, rows in results["runs"].items():
            runs.setdefault(kind, []).extend(rows)
    runs = {kind: each_once(kind, rows) for kind, rows in runs.items()}
    calls = [results["provenance"] for results in read]
    about = calls[-1] | {"calls": len(calls)}
    others = [call for i, call in enumerate(calls) if call not in calls[:i] and call != calls[-1]]
    if others:
        about["other_calls"] = others
    return {"provenance": about, "summary": summary(runs), "runs": runs}


def each_once(kind: str, rows: list[Score]) -> list[Score]:
    """Rows without copies, which two calls make of what does not depend on what they were asked.

    Raises
    ------
    ValueError
        For a measurement that was made twice with different results: a median would count it
        double.
    """
    kept: dict[tuple[object, ...], Score] = {}
    for row in rows:
        identity = tuple((name, row[name]) for name in IDENTITY if name in row)
        # As text, in which NaN equals NaN.
        if json.dumps(kept.setdefault(identity, row), sort_keys=True) != json.dumps(
            row, sort_keys=True
        ):
            said = ", ".join(f"{name} {value}" for name, value in identity)
            raise ValueError(f"{kind} of {said} was measured twice: leave one of the files out")
    return list(kept.values())


def by_run(scores: pd.DataFrame, row: str, part: str, metric: str) -> pd.Series[float]:
    """Scores of a row in a part, by the seeds of organism and model."""
    chosen = scores[(scores["row"] == row) & (scores["part"] == part)]
    return chosen.set_index(RUN)[metric].astype(float).dropna()


def markdown(columns: list[str], rows: Iterable[Iterable[object]]) -> str:
    """A table; numbers to three digits."""

    def line(cells: Iterable[object]) -> str:
        shown = (f"{c:.3g}" if isinstance(c, float) else str(c) for c in cells)
        return "| " + " | ".join(shown) + " |"

    return "\n".join([line(columns), "|" + "---|" * len(columns), *map(line, rows)]) + "\n"


def verdict(met: bool) -> str:
    return "met" if met else "not met"
