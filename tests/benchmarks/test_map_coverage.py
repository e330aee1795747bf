"""Intervals for maps of new cell types: what is counted, and what was measured."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.record import RESULTS, rounded
from benchmarks.spatial import map_coverage


def test_a_share_is_of_the_true_numbers_that_are_known() -> None:
    true = np.array([[1.0, 2.0, np.nan, 4.0]])
    band = SimpleNamespace(lower=np.zeros((1, 4)), upper=np.array([[1.0, 1.0, 9.0, 9.0]]))
    ensemble = SimpleNamespace(interval=lambda windows, summary, level: band)
    assert map_coverage.share_held(ensemble, None, true, None) == pytest.approx(2 / 3)
    assert map_coverage.share_held(ensemble, None, true, lambda maps, windows: 0 * maps) == 1.0


def test_the_stored_summary_is_that_of_the_stored_scores() -> None:
    stored = json.loads((RESULTS / "map_coverage.json").read_text())
    found = rounded(map_coverage.summary(stored["scores"]))
    for new, old in zip(found, stored["summary"], strict=True):
        assert new == {k: pytest.approx(v, rel=1e-3) if k == "held" else v for k, v in old.items()}
    assert {row["runs"] for row in found} == {6}
