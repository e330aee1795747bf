"""Ratios to the best simple method, and shares of means that intervals hold, from known scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import record
from benchmarks.temporal import coverage, each_time
from benchmarks.temporal.each_time import SIMPLE, UNBIASED
from tests.conftest import series


def scores(kind: str, time: float, own: float, simple: list[float]) -> list[each_time.Score]:
    about = {"set": "one", "time": time, "kind": kind}
    values = {**dict(zip(SIMPLE, simple, strict=True)), "scNODE": own}
    return [
        about
        | dict.fromkeys(each_time.SCORES, 2 * v)
        | {"row": row, "place": v, UNBIASED: 2 * v - 1}
        for row, v in values.items()
    ]


def test_a_method_is_compared_with_the_best_simple_one_of_the_same_time() -> None:
    rows = [
        *scores("inner", 1.0, 1.0, [4.0, 2.0, 3.0, 5.0]),
        *scores("inner", 2.0, 3.0, [2.5, 6.0, 3.0, 5.0]),
        *scores("inner", 3.0, 4.0, [9.0, 6.0, 9.0, 4.0]),
        *scores("outer", 4.0, 2.0, [1.0, 1.0, 1.0, 1.0]),
    ]
    found = {(r["metric"], r["kind"], r["row"]): r for r in each_time.summary(rows)}
    own = found["place", "inner", "scNODE"]
    assert own["median"] == found["likeness", "inner", "scNODE"]["median"] == 1.0
    assert (own["tasks"], own["at_most_1"], own["above_1.1"]) == (3, 2, 1)
    assert own["low"] == pytest.approx(0.5)
    assert own["high"] == pytest.approx(1.2)
    assert found["place", "outer", "scNODE"]["median"] == 2.0
    assert found[UNBIASED, "outer", "scNODE"]["median"] == 3.0


def test_the_error_of_correlations_sees_how_genes_vary_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(each_time, "MOST_CORRELATED", 6)
    training = series([0.0, 1.0], 30, 9, False)
    training.X[:, :3] = 1.0  # Genes that do not vary do not count.
    error = each_time.correlation_error(training)
    cells = np.random.default_rng(0).normal(size=(4000, 9)) @ np.tri(9)
    assert error(cells, 3 * cells + 1) == pytest.approx(0)
    other = np.where(np.arange(9) < 3, 0, cells)
    assert error(other, cells) == pytest.approx(0)
    other = np.where(np.arange(9) == 5, -cells, cells)
    assert error(other, cells) > 0.5
    assert error(0 * cells, cells) == 1.0


def test_coverage_is_a_mean_over_times_then_over_sets() -> None:
    held = {"a": [0.8, 0.6], "b": [0.8], "c": [0.2]}
    rows = [
        {
            "set": name,
            "time": float(time),
            "kind": "inner",
            "calibrated": True,
            "held": value,
            "quantity": coverage.MEANS,
        }
        for name, values in held.items()
        for time, value in enumerate(values)
    ]
    (found,) = coverage.summary(rows)
    assert found["held"] == pytest.approx((0.7 + 0.8 + 0.2) / 3)
    assert (found["lowest"], found["sets"], found["sets_in_70_to_90"]) == (0.2, 3, 2)
    assert found["quantity"] == coverage.MEANS


def test_shares_of_clusters_add_up_and_follow_the_cells() -> None:
    cells = series([0.0, 1.0, 2.0], 30, 8, False)
    shares = coverage.shares_of_clusters(cells)
    early, late = (shares(cells[cells.obs["time"] == time].copy()) for time in (0.0, 2.0))
    assert early.sum() == pytest.approx(1)
    assert late.sum() == pytest.approx(1)
    assert (early - late).abs().sum() > 1


def test_a_stopped_run_goes_on_only_with_the_same_settings_and_code(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    about = {"commit": "a1", "uncommitted_changes": False, "level": 0.123456789}
    assert record.already(path, about) == []
    record.write(path, {"provenance": about, "scores": [{"row": "x", "W": 1.0}]})
    assert record.already(path, about) == [{"row": "x", "W": 1.0}]
    assert record.already(path, about | {"commit": "b2"}) == []
    assert record.already(path, about | {"level": 0.9}) == []
    dirty = about | {"uncommitted_changes": True}
    record.write(path, {"provenance": dirty, "scores": [{"row": "x", "W": 1.0}]})
    assert record.already(path, dirty) == []
