"""Medians, targets and tables of :mod:`.run`."""

from __future__ import annotations

from typing import Any

import pandas as pd

from benchmarks.record import Runs, Score, by_run, markdown, verdict
from benchmarks.spatial.scores import DEFAULT, NO_EXPRESSION, OTHER_TYPES, SMOOTHED, TREES
from benchmarks.spatial.truth import PARTS
from scstlib.models.spatial.comparison import METRICS

#: (part, metric, against, at least): what the default is to reach, or to be above another row by.
TARGETS = (
    ("seen", "SCC", SMOOTHED, 0.035),
    ("seen", "SCC", TREES, 0.03),
    ("seen", "SCCt", SMOOTHED, 0.045),
    ("seen", "dC", None, 0.56),
    ("seen", "dC", TREES, 0.0),
    ("seen", "dIns", TREES, -0.02),
    ("seen", "GD", TREES, 0.0),
    ("near", "dC", None, 0.48),
    ("far", "dC", None, 0.50),
    ("seen", "SCC", NO_EXPRESSION, 0.02),
)
#: Simple rows that were there when the aims were set: the default is to reach their SCC.
AIMED_AT = ("bulk copied", SMOOTHED, "bulk + ridge", TREES, OTHER_TYPES)
CPU_MINUTES = 5.0


def summary(runs: Runs) -> dict[str, object]:
    """Medians over the seeds, and every target with what was reached."""
    found: dict[str, object] = {}
    if runs.get("scores"):
        scores = pd.DataFrame(runs["scores"])
        metrics = list(METRICS)
        groups = scores.groupby(["row", "part"], sort=False)
        found["scores"] = [
            {"row": row, "part": part, "runs": len(group)} | group[metrics].median().to_dict()
            for (row, part), group in groups
        ]
        found["targets"] = targets(scores)
    if runs.get("cpu"):
        seconds = pd.DataFrame(runs["cpu"]).groupby("row", sort=False)["seconds"]
        found["cpu_minutes"] = {str(row): value / 60 for row, value in seconds.median().items()}
    for kind in ("validation", "cost"):
        if kind in runs:
            found[kind] = runs[kind]
    if "cost" in runs:
        found["cost_targets"] = cost_targets(runs["cost"])
    return found


def targets(scores: pd.DataFrame) -> list[Score]:
    """What the default reached, run by run, and the median of it."""
    found = []
    rows = set(scores["row"])
    wanted = list(TARGETS)
    simple = [row for row in scores["row"].unique() if row in AIMED_AT]
    wanted += [(part, "SCC", row, 0.0) for part in ("near", "far") for row in simple]
    for part, metric, against, least in wanted:
        if DEFAULT not in rows or (against is not None and against not in rows):
            continue
        reached = differences(scores, part, metric, against)
        if len(reached):
            found.append(
                {
                    "part": part,
                    "metric": metric,
                    "against": against or "",
                    "reached": reached.median(),
                    "lowest": reached.min(),
                    "highest": reached.max(),
                    "target": least,
                    "met": bool(reached.median() >= least),
                }
            )
    if NO_EXPRESSION in rows:
        for part in PARTS:
            values = by_run(scores, NO_EXPRESSION, part, "dC")
            found.append(
                {
                    "part": part, "metric": "dC", "against": NO_EXPRESSION + ", itself",
                    "reached": values.median(), "lowest": values.min(), "highest": values.max(),
                    "target": 0.02, "met": bool(abs(values.median()) <= 0.02),
                }
            )  # fmt: skip
    return found


def differences(scores: pd.DataFrame, part: str, metric: str, against: str | None) -> pd.Series:
    """Score of the default, minus that of another row on the same organism."""
    own = by_run(scores, DEFAULT, part, metric)
    if against is None:
        return own
    theirs = by_run(scores, against, part, metric)
    if against.startswith("without"):  # Trained with the same model seed.
        return (own - theirs).dropna()
    return own.sub(theirs.groupby("organism").median(), level="organism").dropna()


def cost_targets(cost: list[Score]) -> list[Score]:
    """Ratios to the published variant, and the whole genome."""
    by_case = {str(entry["case"]): entry for entry in cost}

    def value(case: str, name: str) -> float:
        return float(by_case[case][name])

    step = value("step published fp32", "seconds")
    memory = value("memory default fp32", "megabytes") / value("memory published fp32", "megabytes")
    rows = [
        ("step, times faster, fp32", step / value("step default fp32", "seconds"), "≥", 6.0),
        ("step, times faster, bf16", step / value("step default bf16", "seconds"), "≥", 8.0),
        ("memory at batch 16, share", memory, "≤", 1 / 6),
        ("genome, CPU seconds", value("genome", "seconds"), "≤", 15.0),
        ("genome, megabytes", value("genome", "peak_megabytes"), "≤", 500.0),
    ]
    return [
        {"what": what, "reached": reached, "target": f"{sign} {bound:.3g}",
         "met": bool(reached >= bound if sign == "≥" else reached <= bound)}
        for what, reached, sign, bound in rows
    ]  # fmt: skip


def tables(found: dict[str, Any]) -> str:
    """The summary as Markdown."""
    text = []
    if "scores" in found:
        scores = pd.DataFrame(found["scores"])
        for part in PARTS:
            rows = scores[scores["part"] == part]
            shown = [
                [r["row"], str(r["runs"]), *(digits(m, r[m]) for m in METRICS)]
                for r in rows.to_dict("records")
            ]
            text.append(markdown([part, "runs", "MSE×10³", *METRICS[1:]], shown))
        columns = ["part", "metric", "against", "reached", "lowest", "highest", "target", ""]
        text.append(
            markdown(
                columns,
                (
                    [r["part"], r["metric"], r["against"], r["reached"], r["lowest"],
                     r["highest"], r["target"], verdict(r["met"])]
                    for r in found["targets"]
                ),
            )
        )  # fmt: skip
    if "cpu_minutes" in found:
        text.append(markdown(["training", "CPU-minutes"], found["cpu_minutes"].items()))
    if "cost_targets" in found:
        columns = ["cost", "reached", "target", ""]
        text.append(
            markdown(
                columns,
                (
                    [r["what"], r["reached"], r["target"], verdict(r["met"])]
                    for r in found["cost_targets"]
                ),
            )
        )
    if "validation" in found:
        text.append(
            markdown(
                ["published, step", "validation SCC"],
                ([str(r["step"]), r["SCC"]] for r in found["validation"]),
            )
        )
    return "\n".join(text)


def digits(metric: str, value: float) -> str:
    if pd.isna(value):
        return "–"
    return f"{1000 * value:.3f}" if metric == "MSE" else f"{value:.3f}"
