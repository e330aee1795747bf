"""Tables of what ``benchmarks.spatial.run`` measured, from ``benchmarks/results/spatial.json``."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scst_book.markdown import markdown

SEEN = ("SCC", "SCCt", "GD", "dC", "dIns")
UNSEEN = ("SCC", "dC")


def read(root: Path) -> dict[str, Any]:
    """Summary of the medians over organisms and models."""
    path = root / "benchmarks" / "results" / "spatial.json"
    summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["summary"]
    return summary


def space_seen(root: Path) -> str:
    """Scores of seen cell types on new chromosomes, with the number of runs."""
    rows = [
        [row["row"], row["runs"], *_digits(row, SEEN)]
        for row in read(root)["scores"]
        if row["part"] == "seen"
    ]
    return markdown(["", "runs", *SEEN], rows)


def space_unseen(root: Path) -> str:
    """Scores of cell types that were never trained on, on new chromosomes."""
    parts: dict[str, dict[str, Any]] = {"near": {}, "far": {}}
    for row in read(root)["scores"]:
        if row["part"] in parts:
            parts[row["part"]][row["row"]] = row
    rows = [
        [name, *_digits(near, UNSEEN), *_digits(parts["far"][name], UNSEEN)]
        for name, near in parts["near"].items()
    ]
    heads = [f"{metric}, {part}" for part in parts for metric in UNSEEN]
    return markdown(["", *heads], rows)


def space_aims(root: Path) -> str:
    """What was aimed at before the measurement, and what was reached."""
    summary = read(root)
    rows = [
        [
            _name(aim),
            f"{aim['reached']:.4f}",
            f"{aim['lowest']:.4f} to {aim['highest']:.4f}",
            _unbroken(f"{'0 ±' if _of_another(aim) else '≥'} {aim['target']:g}"),
            _yes(aim),
        ]
        for aim in summary["targets"]
    ]
    rows += [
        [aim["what"], f"{aim['reached']:.3g}", "", _unbroken(aim["target"]), _yes(aim)]
        for aim in summary["cost_targets"]
    ]
    return markdown(["of the default", "median", "from run to run", "aim", "reached"], rows)


def space_published(root: Path) -> str:
    """Validation score of the published variant while it is trained."""
    rows = [[row["step"], f"{row['SCC']:.3f}"] for row in read(root)["validation"]]
    return markdown(["step", "validation SCC"], rows)


def _unbroken(text: str) -> str:
    """Text that stays on one line of a narrow table."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def _yes(aim: dict[str, Any]) -> str:
    return "yes" if aim["met"] else "no"


def _of_another(aim: dict[str, Any]) -> bool:
    """Whether an aim is for another row than the default."""
    return str(aim["against"]).endswith("itself")


def _name(aim: dict[str, Any]) -> str:
    score = f"{aim['metric']}, {aim['part']}"
    if _of_another(aim):
        return f"{score}, of {aim['against'].split(',')[0]}"
    return f"{score}, minus {aim['against']}" if aim["against"] else score


def _digits(row: dict[str, Any], metrics: Sequence[str]) -> list[str]:
    """Three digits of each score; a dash for one that a row does not have."""
    return ["–" if math.isnan(row[metric]) else f"{row[metric]:.3f}" for metric in metrics]


TABLES = {
    "space_seen": space_seen,
    "space_unseen": space_unseen,
    "space_aims": space_aims,
    "space_published": space_published,
}
