"""Medians, targets and tables of :mod:`.run`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from benchmarks.record import RUN, Runs, Score, by_run, markdown, verdict
from benchmarks.temporal.scores import (
    DEFAULT,
    NEAREST,
    PUBLISHED,
    TRANSPORT_OWN,
    TRUE_AT_DEPTH,
    TRUE_MEAN,
    TRUE_MEASURED,
)
from benchmarks.temporal.truth import PARTS

PLAIN, AT_DEPTH = f"{DEFAULT}, noise=False", f'{DEFAULT}, noise="depth"'
METRICS = ("wt", "wt_rate", "pca", "W")
#: Largest ratio of the default to the published variant: easy, medium, hard inner, hard outer.
TARGETS = {
    "wt": (PLAIN, (0.50, 0.68, 0.52, 0.68)),
    "pca": (AT_DEPTH, (0.58, 0.42, 0.68, 0.40)),
    "W": (AT_DEPTH, (0.98, 0.93, 0.985, 0.92)),
}
#: Largest ratio of ``wt`` to what moves along straight lines inside and stands still outside.
SIMPLE_TARGETS = {
    "easy": {TRANSPORT_OWN: 1.00},
    "hard inner": {TRANSPORT_OWN: 1.00},
    "medium": {TRANSPORT_OWN: 0.88, NEAREST: 0.88},
    "hard outer": {TRANSPORT_OWN: 0.88, NEAREST: 0.88},
}
NOISE_TARGETS = {
    "energy_distance": ("at most", 0.25),
    "variance_right": ("at least", 0.90),
    "variance_right_seen": ("at least", 0.90),
    "zero_fraction_error": ("at most", 0.03),
}
FATE_TARGET, CPU_TARGET = 0.07, 12.0
BELOW = ", target below the floor"


def summary(runs: Runs) -> dict[str, object]:
    """Medians over the seeds, and every target with what was reached."""
    place = by_part(runs["place"])
    found: dict[str, object] = {
        "place": [
            {"row": row, "part": part} | group[list(METRICS)].median().dropna().to_dict()
            for (row, part), group in place.groupby(["row", "part"], sort=False)
        ],
        "ratios": list(ratios(place)),
        "fates": fates(runs["fates"]),
        "cpu": costs(runs["cpu"]),
    }
    if runs["noise"]:
        found["noise"] = likenesses(runs["noise"])
    for kind, by in (("perturbations", "kind"), ("commitment", "switch")):
        if kind in runs:
            found[kind] = right_answers(runs[kind], by)
    return found


def right_answers(rows: list[Score], by: str) -> list[Score]:
    groups = pd.DataFrame(rows).groupby(by, sort=False)["right"]
    return [
        {by: name, "right": int(of.sum()), "cases": len(of), "share": float(of.mean())}
        for name, of in groups
    ]


def by_part(rows: list[Score]) -> pd.DataFrame:
    """Mean over the times of each part, for each row, organism and model seed."""
    table = pd.DataFrame(rows)
    parts = [
        table[(table["split"] == split) & table["index"].isin(indices)].assign(part=part)
        for part, (split, indices) in PARTS.items()
    ]
    keys = ["row", "part", *RUN]
    whole = pd.concat(parts)
    return whole.groupby(keys, sort=False)[list(METRICS)].mean().reset_index()


def ratios(place: pd.DataFrame) -> Iterable[Score]:
    """Ratios of the default to the published variant and to the simple methods, with targets."""
    parts = list(dict.fromkeys(place["part"]))
    for metric, (row, targets) in TARGETS.items():
        for part, target in zip(PARTS, targets, strict=True):
            if part in parts:
                yield ratio(place, part, metric, row, PUBLISHED, target)
    for part, against in SIMPLE_TARGETS.items():
        for other, target in against.items():
            if part in parts:
                yield ratio(place, part, "wt", PLAIN, other, target)


def ratio(
    place: pd.DataFrame, part: str, metric: str, row: str, other: str, target: float
) -> Score:
    own, theirs = (by_run(place, name, part, metric) for name in (row, other))
    paired = own.div(theirs.groupby(level="organism").median(), level="organism")
    floors = (TRUE_MEASURED, TRUE_MEAN, TRUE_AT_DEPTH)
    floor = min(by_run(place, name, part, metric).median() for name in floors)
    wanted = target * theirs.median()
    return {
        "metric": metric,
        "part": part,
        "row": row,
        "against": other,
        "ratio": paired.median(),
        "lowest": paired.min(),
        "highest": paired.max(),
        "ratio_of_medians": own.median() / theirs.median(),
        "target": target,
        "met": bool(paired.median() <= target),
        "floor_ratio": floor / theirs.median(),
        "target_below_floor": bool(wanted < floor),
    }


def likenesses(rows: list[Score]) -> list[Score]:
    table = pd.DataFrame(rows)
    found = []
    for row, group in table.groupby("row", sort=False):
        medians = group.groupby(RUN)[list(NOISE_TARGETS)].mean().median()
        met = {
            name: bool(medians[name] <= bound if kind == "at most" else medians[name] >= bound)
            for name, (kind, bound) in NOISE_TARGETS.items()
        }
        found.append({"row": row} | medians.to_dict() | ({"met": met} if row == DEFAULT else {}))
    return found


def fates(rows: list[Score]) -> list[Score]:
    """Median over the seeds of the error at each held-out time."""
    table = pd.DataFrame(rows)
    medians = table.groupby(["row", "split", "index"], sort=False)["error"].median()
    return [
        {
            "row": row,
            "split": split,
            "errors": {str(index): value for (_, _, index), value in group.items()},
            "largest": group.max(),
            "met": bool(group.max() <= FATE_TARGET),
        }
        for (row, split), group in medians.groupby(level=["row", "split"], sort=False)
    ]


def costs(rows: list[Score]) -> list[Score]:
    table = pd.DataFrame(rows)
    found = []
    for split, group in table.groupby("split", sort=False):
        seconds = group.groupby("row")["seconds"].median()
        own = seconds[DEFAULT]
        times_less = {
            row: seconds[row] / own for row in (PUBLISHED, "published, plain") if row in seconds
        }
        found.append({"split": split, "seconds": seconds.to_dict(), "times_less": times_less})
    return found


def tables(found: dict[str, Any]) -> str:
    """The summary as Markdown."""
    place = pd.DataFrame(found["place"])
    parts = list(dict.fromkeys(place["part"]))
    shown = []
    for row, group in place.groupby("row", sort=False):
        cells = group.set_index("part").reindex(parts)
        shown.append([row, *(" / ".join(number(cells.at[p, m]) for m in METRICS) for p in parts)])
    text = ["Median " + " / ".join(METRICS), markdown(["row", *parts], shown)]
    columns = ["metric", "part", "against", "ratio", "lowest", "highest", "target", "floor", ""]
    text.append(
        markdown(
            columns,
            (
                [r["metric"], r["part"], r["against"], r["ratio"], r["lowest"], r["highest"],
                 r["target"], r["floor_ratio"], verdict(r["met"]) + BELOW * r["target_below_floor"]]
                for r in found["ratios"]
            ),
        )
    )  # fmt: skip
    if "noise" in found:
        names = list(NOISE_TARGETS)
        rows = [[r["row"], *(r[name] for name in names)] for r in found["noise"]]
        rows.append(["target", *(f"{kind} {bound}" for kind, bound in NOISE_TARGETS.values())])
        text.append(markdown(["easy, noise=True", *names], rows))
    columns = ["fate shares", "split", "error by time", "largest", f"target {FATE_TARGET}"]
    text.append(
        markdown(
            columns,
            (
                [r["row"], r["split"], ", ".join(f"{k}: {v:.3f}" for k, v in r["errors"].items()),
                 r["largest"], verdict(r["met"])]
                for r in found["fates"]
            ),
        )
    )  # fmt: skip
    columns = [
        "CPU seconds",
        DEFAULT,
        PUBLISHED,
        "published, plain",
        f"ratios, target {CPU_TARGET}",
    ]
    text.append(
        markdown(
            columns,
            (
                [r["split"], *(r["seconds"].get(name, "") for name in columns[1:4]),
                 ", ".join(f"{value:.1f}" for value in r["times_less"].values())]
                for r in found["cpu"]
            ),
        )
    )  # fmt: skip
    for kind, by in (("perturbations", "kind"), ("commitment", "switch")):
        if kind in found:
            rows = [[r[by], r["right"], r["cases"], r["share"]] for r in found[kind]]
            text.append(markdown([kind, "right", "cases", "share"], rows))
    return "\n".join(text)


def number(value: Any) -> str:
    return "" if pd.isna(value) else f"{value:.3g}"
