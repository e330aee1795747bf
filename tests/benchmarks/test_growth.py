"""What growth does to predictions, from known scores and as it was measured."""

from __future__ import annotations

import json

import pytest

from benchmarks.record import RESULTS
from benchmarks.temporal import growth


def test_the_summary_is_a_mean_over_organisms_of_each_setting() -> None:
    rows = [
        {"organism": organism, "true_growth": true, "growth": setting, "shares": organism + true}
        for organism in (0, 1)
        for true in (0.0, 1.0)
        for setting in (None, 1.0)
    ]
    found = {(row["true_growth"], row["growth"]): row["shares"] for row in growth.summary(rows)}
    assert found == {(0.0, 0.0): 0.5, (0.0, 1.0): 0.5, (1.0, 0.0): 1.5, (1.0, 1.0): 1.5}


def test_left_out_times_seldom_ask_for_growth() -> None:
    stored = json.loads((RESULTS / "growth.json").read_text(encoding="utf-8"))
    assert stored["summary"] == [
        {name: pytest.approx(value, rel=1e-3, abs=1e-6) for name, value in row.items()}
        for row in growth.summary(stored["scores"])
    ]
    tried = [row for row in stored["scores"] if row["growth"] is not None]
    assert len(tried) == 18
    assert sum(row["chosen"] for row in tried) <= 2
