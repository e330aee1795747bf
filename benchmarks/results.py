"""Where numbers come from, and how they are written and shown."""

from __future__ import annotations

import json
import platform
import re
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "torchdiffeq", "geomloss", "POT")


def provenance(packages: Iterable[str] = PACKAGES) -> dict[str, object]:
    """What the numbers were computed with."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parent,
        ).stdout.strip()

    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), cpu)
    return {
        "commit": git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(
            git("status", "--porcelain", "--", "scstlib", "benchmarks/*.py")
        ),
        "cpu": cpu,
        "threads": 1,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
        "clock": "process CPU time",
    }


def rounded(value: object) -> object:
    """Floats of five significant digits."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: rounded(entry) for key, entry in value.items()}
    return [rounded(entry) for entry in value] if isinstance(value, list) else value


def write(path: Path, results: dict[str, object]) -> None:
    """Write JSON with one row of a table in each line."""
    text = json.dumps(rounded(results), indent=1)
    flat = re.compile(r"([\[{])\s+([^\[\]{}]*?)\s+([\]}])")
    text = flat.sub(lambda m: m[1] + re.sub(r"\n\s*", " ", m[2]) + m[3], text)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")


def markdown(columns: list[str], rows: Iterable[Iterable[object]]) -> str:
    """A table; numbers to three digits."""

    def line(cells: Iterable[object]) -> str:
        shown = (f"{c:.3g}" if isinstance(c, float) else str(c) for c in cells)
        return "| " + " | ".join(shown) + " |"

    return "\n".join([line(columns), "|" + "---|" * len(columns), *map(line, rows)]) + "\n"
