"""Tables of the benchmarks on the page on reproducibility."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scst_book import results
from scst_book.markdown import markdown


@pytest.fixture
def root(tmp_path: Path) -> Path:
    def score(row: str, part: str, dc: float) -> dict[str, object]:
        metrics = {"SCC": 0.7, "SCCt": 0.8, "GD": 0.9, "dC": dc, "dIns": float("nan")}
        return {"row": row, "part": part, "runs": 9} | metrics

    def aim(against: str, reached: float, target: float, met: bool) -> dict[str, object]:
        return {
            "part": "seen", "metric": "dC", "against": against, "reached": reached,
            "lowest": 0.4, "highest": 0.6, "target": target, "met": met,
        }  # fmt: skip

    summary = {
        "scores": [score("default", part, 0.5) for part in ("seen", "near", "far")],
        "targets": [
            aim("", 0.51, 0.56, False),
            aim("gradient boosting", -0.0002, -0.02, True),
            aim("without expression, itself", 0.001, 0.02, True),
        ],
        "cost_targets": [
            {"what": "genome, CPU seconds", "reached": 14.2, "target": "≤ 15", "met": True}
        ],
        "validation": [{"row": "published", "step": 107, "SCC": 0.25}],
    }
    path = tmp_path / "benchmarks" / "results" / "spatial.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"summary": summary}), encoding="utf-8")
    return tmp_path


def test_a_score_that_a_row_does_not_have_is_a_dash(root):
    assert results.space_seen(root).splitlines()[-1] == (
        "| default | 9 | 0.700 | 0.800 | 0.900 | 0.500 | – |"
    )


def test_near_and_far_stand_side_by_side(root):
    head, marks, row = results.space_unseen(root).splitlines()
    assert head == "| row | SCC, near | dC, near | SCC, far | dC, far |"
    assert marks == "| --- | --: | --: | --: | --: |"
    assert row == "| default | 0.700 | 0.500 | 0.700 | 0.500 |"


def test_an_aim_that_is_not_reached_is_shown(root):
    rows = results.space_aims(root).replace("\N{NO-BREAK SPACE}", " ").splitlines()[2:]
    assert rows == [
        "| dC, seen | 0.510 | 0.400 | 0.600 | ≥ 0.56 | no |",
        "| dC, seen, minus gradient boosting | −0.000 | 0.400 | 0.600 | ≥ −0.02 | yes |",
        "| dC, seen, of the model without expression | 0.001 | 0.400 | 0.600 | 0 ± 0.02 | yes |",
    ]


def test_costs_have_a_table_of_their_own_with_units(root):
    rows = results.space_costs(root).replace("\N{NO-BREAK SPACE}", " ").splitlines()[1:]
    assert rows == [
        "| --- | --: | --- | --- |",
        "| prediction of a genome: CPU time (s) | 14.2 | ≤ 15 | yes |",
    ]


def test_every_cost_of_the_benchmark_has_a_name():
    costs = results.read(Path(__file__).parents[2])["cost_targets"]
    assert {cost["what"] for cost in costs} == set(results.COSTS)


@pytest.mark.parametrize(
    ("column", "mark"),
    [
        (["1", "−2.50", "–", ""], "--:"),
        (["1,200"], "--:"),
        (["3.11.7"], "---"),
        (["1", "by hand"], "---"),
        (["–"], "---"),
    ],
)
def test_only_numbers_stand_on_the_right(column, mark):
    assert markdown(["what"], [[value] for value in column]).splitlines()[1] == f"| {mark} |"


def test_the_training_of_the_published_variant(root):
    assert results.space_published(root).splitlines()[-1] == "| 107 | 0.250 |"


def test_the_committed_results_can_be_read():
    root = Path(__file__).parents[2]
    for table in results.TABLES.values():
        assert table(root).count("\n") > 2
