"""What growth does to predictions, from known scores and as it was measured."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
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


def test_the_stored_summary_is_that_of_its_scores() -> None:
    stored = json.loads((RESULTS / "growth.json").read_text(encoding="utf-8"))
    assert stored["summary"] == [
        {name: pytest.approx(value, rel=1e-3, abs=1e-6) for name, value in row.items()}
        for row in growth.summary(stored["scores"])
    ]


def test_the_error_of_shares_is_the_largest_of_any_fate() -> None:
    right = pd.Series({"a": 0.5, "b": 0.3, "c": 0.2})
    assert growth.largest_error(np.array(["a", "a", "b", "b"]), right) == pytest.approx(0.2)
