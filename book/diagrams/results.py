"""Pictures of what benchmarks measured, from ``benchmarks/results``."""

from __future__ import annotations

import json
from collections import defaultdict
from math import log
from pathlib import Path
from statistics import median

from .canvas import BLUE, DARK, GREY, MARGIN, Drawing, mixed

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
SIMPLE = (
    "nearest time copied",
    "nearest time, mean moved",
    "OT displacement",
    "OT displacement, 6 components",
)
SERIES = {
    "semrau2017": "Semrau 2017",
    "guo2010": "Guo 2010",
    "bargaje2017": "Bargaje 2017",
    "ipsc_cardiomyocyte": "cardiomyocytes",
    "kouno2013": "Kouno 2013",
    "klein2015": "Klein 2015",
}
LEFT, RIGHT, LOW, HIGH = 170.0, 452.0, 0.6, 1.6
TICKS = (0.6, 0.8, 1.0, 1.25, 1.6)


def ratios(score: str) -> dict[tuple[str, str], list[float]]:
    """Score of scNODE over that of the best simple method, each task, by series and kind."""
    path = RESULTS / "each_time.json"
    tasks: dict[tuple[str, str, float], dict[str, float]] = defaultdict(dict)
    for row in json.loads(path.read_text(encoding="utf-8"))["scores"]:
        tasks[row["set"], row["kind"], row["time"]][row["row"]] = row[score]
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for (series, kind, _), scores in tasks.items():
        found[series, kind].append(scores["scNODE"] / min(scores[name] for name in SIMPLE))
    return found


def medians(score: str) -> dict[str, float]:
    """Median ratio over the tasks of each kind."""
    by_kind: dict[str, list[float]] = defaultdict(list)
    for (_, kind), values in ratios(score).items():
        by_kind[kind] += values
    return {kind: median(values) for kind, values in by_kind.items()}


def _at(ratio: float) -> float:
    """Horizontal place of a ratio, on a log scale; what lies outside stands at the edge."""
    share = (log(min(max(ratio, LOW), HIGH)) - log(LOW)) / (log(HIGH) - log(LOW))
    return LEFT + share * (RIGHT - LEFT)


def six_series() -> Drawing:
    """Draw scNODE against the best simple method of each task of six real series."""
    row_height, block = 30.0, 262.0
    d = Drawing(
        2 * block + 62,
        title="scNODE and the best simple method on six real series",
        caption="Left of the line, scNODE is nearer to the measured cells than the best of four"
        " simple methods for that time.",
        alt="Two blocks, place above and likeness below, with a row for each of six series. Dots"
        " are held-out times, filled where training times lie on both sides and open for the last"
        " time; a vertical line marks a ratio of 1. Most filled dots of likeness lie left of the"
        " line, those of place on both sides of it.",
    )
    for i, score in enumerate(("place", "likeness")):
        top = 40 + i * block
        d.text(MARGIN, top - 14, score, anchor="start", bold=True)
        bottom = top + len(SERIES) * row_height
        for tick in TICKS:
            x = _at(tick)
            d.line((x, top), (x, bottom), colour=DARK if tick == 1 else mixed(GREY, 0.3))
            d.text(x, bottom + 14, f"{tick:g}")
        found = ratios(score)
        for k, (name, label) in enumerate(SERIES.items()):
            y = top + (k + 0.5) * row_height
            d.text(LEFT - 12, y, label, anchor="end")
            for kind in ("inner", "outer"):
                for ratio in found[name, kind]:
                    d.cell(_at(ratio), y, BLUE, radius=5, hollow=kind == "outer")
    foot = 2 * block + 20
    d.text((LEFT + RIGHT) / 2, foot - 6, "score / best simple method")
    d.cell(MARGIN + 90, foot + 20, BLUE, radius=5)
    d.text(MARGIN + 104, foot + 20, "inner time", anchor="start")
    d.cell(MARGIN + 240, foot + 20, BLUE, radius=5, hollow=True)
    d.text(MARGIN + 254, foot + 20, "last time", anchor="start")
    return d
