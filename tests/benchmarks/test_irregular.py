"""What irregular times cost the default, from known scores and as it was measured."""

from __future__ import annotations

import json

import pytest

from benchmarks.record import RESULTS
from benchmarks.temporal import irregular


def test_the_ratio_is_of_means_over_times_and_organisms() -> None:
    rows = [
        {"organism": 0, "times": name, "time": time, "place": place, "likeness": 2.0}
        for name, places in {"regular": (1.0, 3.0), "irregular": (2.0, 3.0)}.items()
        for time, place in enumerate(places)
    ]
    found = {row["metric"]: row for row in irregular.summary(rows)}
    assert found["place"]["ratio"] == pytest.approx(2.5 / 2)
    assert found["likeness"]["ratio"] == 1.0


def test_irregular_times_cost_no_more_than_15_percent() -> None:
    stored = json.loads((RESULTS / "irregular.json").read_text(encoding="utf-8"))
    assert stored["summary"] == [
        {k: pytest.approx(v, rel=1e-3) if k != "metric" else v for k, v in row.items()}
        for row in irregular.summary(stored["scores"])
    ]
    assert {row["metric"]: row["ratio"] <= 1.15 for row in stored["summary"]} == {
        "place": True, "likeness": True,
    }  # fmt: skip
