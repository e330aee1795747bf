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
COSTS = {
    "step, times faster, fp32": "training step: times as fast as the published model's",
    "step, times faster, bf16": "the same in half precision (bf16)",
    "memory at batch 16, share": "memory of 16 windows: share of the published model's",
    "genome, CPU seconds": "prediction of a genome: CPU time (s)",
    "genome, megabytes": "prediction of a genome: memory (MB)",
}


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
    return markdown(["row", "runs", *SEEN], rows)


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
    return markdown(["row", *heads], rows)


def space_aims(root: Path) -> str:
    """What was aimed at in scores before the measurement, and what was reached."""
    rows = [
        [
            _name(aim),
            *(_score(aim[key]) for key in ("reached", "lowest", "highest")),
            _unbroken(_minus(f"{'0 ±' if _of_another(aim) else '≥'} {aim['target']:g}")),
            _yes(aim),
        ]
        for aim in read(root)["targets"]
    ]
    return markdown(["score of the default", "median", "lowest", "highest", "aim", "met"], rows)


def space_costs(root: Path) -> str:
    """What was aimed at in cost, and what was reached."""
    rows = []
    for aim in read(root)["cost_targets"]:
        what = COSTS.get(aim["what"], aim["what"])
        rows.append([what, f"{aim['reached']:.3g}", _unbroken(aim["target"]), _yes(aim)])
    return markdown(["cost of the default", "measured", "aim", "met"], rows)


def space_published(root: Path) -> str:
    """Validation score of the published variant while it is trained."""
    rows = [[row["step"], _score(row["SCC"])] for row in read(root)["validation"]]
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
        return f"{score}, of the model {aim['against'].split(',')[0]}"
    return f"{score}, minus {aim['against']}" if aim["against"] else score


def _digits(row: dict[str, Any], metrics: Sequence[str]) -> list[str]:
    """Three decimal places of each score; a dash for one that a row does not have."""
    return ["–" if math.isnan(row[metric]) else _score(row[metric]) for metric in metrics]


def _score(value: float) -> str:
    """Three decimal places; a value that rounds to zero keeps its sign."""
    return _minus(f"{value:.3f}")


def _minus(number: str) -> str:
    return number.replace("-", "−")


TABLES = {
    "space_seen": space_seen,
    "space_unseen": space_unseen,
    "space_aims": space_aims,
    "space_costs": space_costs,
    "space_published": space_published,
}
