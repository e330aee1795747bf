"""The variants of flow matching differ from the backbone in one part, and effects are ratios."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.temporal import ablation
from benchmarks.temporal.ablation import BACKBONE, ORGANISMS, VARIANTS, Backbone, effects
from scstlib.models.temporal import FlowMatching
from tests.conftest import series

TIMES = [0.0, 1.0, 2.0, 3.0]


def fitted(model: FlowMatching) -> Any:
    model.matching_steps = 60
    return model.fit(series(TIMES))


def test_the_backbone_is_the_method_of_the_package() -> None:
    ours, package = (fitted(new) for new in (Backbone(), FlowMatching()))
    assert np.array_equal(ours.sample([1.5], 9).X, package.sample([1.5], 9).X)


@pytest.mark.parametrize("variant", [v for v in VARIANTS if v != BACKBONE], ids=" ".join)
def test_every_variant_finds_the_line_on_which_cells_move(variant: tuple[str, str]) -> None:
    model = fitted(VARIANTS[variant](series(TIMES).X))
    for time in (1.5, 0.5):
        found = model.sample([time], 200).X.mean(0)
        assert found == pytest.approx(2 + time * np.linspace(0.2, 1.0, 6), abs=0.1)


def test_curves_and_bridges_go_from_cell_to_cell() -> None:
    rng = np.random.default_rng(0)
    curved = fitted(Backbone(curved=True))
    chain = [np.full((500, 2), float(t**2)) for t in TIMES]
    time, place, velocity = curved._on_curve(chain, 1, rng)
    assert place == pytest.approx(np.tile(time**2, 2))  # a parabola is found exactly
    assert velocity == pytest.approx(np.tile(2 * time, 2))
    bridge = fitted(Backbone(bridge=True))
    for way, end in ((True, 7.0), (False, 3.0)):
        bridge.forwards = way
        early, late = np.full((500, 2), 3.0), np.full((500, 2), 7.0)
        place, drift, share = bridge._on_bridge(early, late, rng)
        left = 1 - share if way else -share
        assert place + drift * left == pytest.approx(np.full((500, 2), end))
        assert place.std() > 0.5


def test_an_effect_is_a_geometric_mean_of_ratios_over_data_sets() -> None:
    of = dict(zip([*ORGANISMS, "a"], (2.0, 8.0, 1.0), strict=True))
    rows = [
        {
            "data": data, "kind": "inner", "factor": factor, "level": level,
            "place": ratio if factor == "rank" else 1.0, "likeness": 3.0,
        }
        for data, ratio in of.items()
        for factor, level in ablation.VARIANTS
    ]  # fmt: skip
    found = {(e["metric"], e["factor"], e["level"]): e for e in effects(rows)}
    rank = found["place", "rank", "3"]
    assert rank["ratio"] == pytest.approx(2.0)  # of 4 for both organisms, and 1
    assert (rank["lower"], rank["upper"]) == pytest.approx((1.0, 4.0))
    assert (rank["better"], rank["data_sets"]) == (0, 2)
    assert found["likeness", "rank", "3"]["ratio"] == pytest.approx(1.0)
