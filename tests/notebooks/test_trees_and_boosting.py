"""Numbers of benchmarks that the page on trees quotes are those of the stored results."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tools import notebooks

PARTS = ("seen", "near", "far")


def results(name: str) -> Any:
    path = notebooks.ROOT / "benchmarks" / "results" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))["summary"]


@pytest.fixture(scope="module")
def text() -> str:
    path = notebooks.ROOT / "notebooks" / "alternatives" / "trees_and_boosting.py"
    return path.read_text(encoding="utf-8")


def scores(row: str, metric: str) -> list[float]:
    found = {(each["row"], each["part"]): each for each in results("spatial")["scores"]}
    return [found[row, part][metric] for part in PARTS]


@pytest.mark.parametrize(
    ("label", "row"),
    [
        ("bulk smoothed", "bulk smoothed"),
        ("bulk + ridge", "bulk + ridge"),
        ("gradient boosting", "gradient boosting"),
        ("scGrapHiC", "default"),
    ],
)
def test_rows_of_the_table_are_those_of_the_benchmark(label: str, row: str, text: str) -> None:
    cells = [f"{value:.3f}" for metric in ("SCC", "dC") for value in scores(row, metric)]
    assert f"# | {label} | {' | '.join(cells)} |\n" in text


def test_leads_and_costs_are_those_of_the_benchmark(text: str) -> None:
    ahead = {
        m: np.subtract(scores("default", m), scores("gradient boosting", m)) for m in ("SCC", "dC")
    }
    low, high = ahead["dC"].min(), ahead["dC"].max()
    within = np.ceil(1000 * np.abs(ahead["SCC"]).max()) / 1000
    assert (
        f"In dC the network is ahead by {low:.2f} to {high:.2f}; in SCC the two are within"
        f" {within:.3f} of each other." in text
    )
    minutes = results("spatial")["cpu_minutes"]
    trees = minutes["gradient boosting"]
    assert (
        f"The network takes {minutes['default'] / trees:.1f} times the CPU time of boosting, and"
        f" boosting takes {trees / minutes['bulk + ridge']:.1f} times that of ridge regression"
        in text
    )


def test_what_trees_win_is_that_of_the_benchmark(text: str) -> None:
    trees, ridge = (scores(row, "dC")[0] for row in ("gradient boosting", "bulk + ridge"))
    assert f"if there are enough rows: dC {trees:.2f} against {ridge:.2f} in the benchmark" in text


def test_the_networks_distance_at_inner_times_is_that_of_the_benchmark(text: str) -> None:
    found = [
        each["ratio"]
        for each in results("temporal")["ratios"]
        if each["metric"] == "wt" and each["against"] == "OT displacement, rank of the default"
        if each["part"] in ("easy", "hard inner")
    ]
    assert len(found) == 2
    assert (
        f"have {min(found):.2f} to {max(found):.2f} of the squared Wasserstein distance to the"
        " noise-free truth that OT displacement has" in text
    )


def test_what_is_kept_at_unequal_depths_is_that_of_the_benchmark(text: str) -> None:
    kept = results("depths")["kept"]["gradient boosting, dC"]
    seen, near, far = (f"{100 * kept[part]:.0f}%" for part in PARTS)
    assert f"keeps {seen} of its dC in seen types, {near} in near and {far} in far ones" in text
