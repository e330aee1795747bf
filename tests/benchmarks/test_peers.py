"""Packages of others stand in the comparison by one protocol; those that are not there are rows."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.compare import peers
from benchmarks.peers import LEFT_OUT, PEERS, Follower, version_of
from tests.conftest import series


class Straight(Follower):
    """All cells move by 2 an interval in the first component."""

    def _train(self) -> None:
        pass

    def _velocity(self, time: Any, points: Any) -> Any:
        import torch

        return torch.eye(points.shape[1])[0].expand_as(points) * 2


def test_cells_of_the_time_before_follow_the_velocity() -> None:
    cells = series([0.0, 2.0, 4.0])
    model = Straight().fit(cells)
    for time, start, way in ((2.0, 2.0, 0.0), (1.0, 0.0, 1.0), (3.5, 2.0, 1.5), (7.0, 4.0, 3.0)):
        moved = model.sample([time], 40).X.mean(0) - cells.X[cells.obs["time"] == start].mean(0)
        assert moved == pytest.approx(way * model.space_.axes[0], abs=1e-4)


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.filterwarnings("ignore")
def test_a_peer_predicts_the_line_on_which_cells_move(name: str) -> None:
    package, new = PEERS[name]
    if not version_of(package) or name in LEFT_OUT:
        pytest.skip(f"{package} is not installed, or slow: pip install .[peers]")
    found = new(0).fit(series([0.0, 1.0, 2.0, 3.0])).sample([1.5], 200).X.mean(0)
    assert found == pytest.approx(2 + 1.5 * np.linspace(0.2, 1.0, 6), abs=0.3)


def test_a_peer_that_is_not_installed_is_a_row_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PEERS, "moscot", ("no-such-package", Straight))
    path = tmp_path / "peers.json"
    monkeypatch.setattr(
        sys, "argv", ["peers", "--peers", "moscot", "--data", "guo2010", "--output", str(path)]
    )
    monkeypatch.setattr(peers, "rows_of", lambda data, there: [])
    peers.main()
    found = json.loads(path.read_text())
    reasons = {row["row"]: row["error"] for row in found["rows"]}
    assert reasons["moscot"].startswith("left out: not installed")
    assert reasons["torchcfm"] == "left out: not asked"
    assert reasons["MIOFlow"] == LEFT_OUT["MIOFlow"]
    assert found["provenance"]["peers"]["moscot"] == ""


def test_the_committed_rows_name_what_they_are_of() -> None:
    from benchmarks.record import RESULTS

    found = json.loads((RESULTS / "peers.json").read_text())
    rows = found["rows"]
    assert {row["row"] for row in rows} == set(PEERS) == set(found["provenance"]["peers"])
    assert all(("place" in row) != ("error" in row) for row in rows)
    assert all(row["commit"] for row in rows if "data" in row)
