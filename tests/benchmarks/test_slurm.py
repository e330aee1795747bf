"""The sweep of the comparison on a real Slurm of one node, where there is one to start."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.compare import one_node_slurm, run
from benchmarks.compare.jobs import batches, jobs

REASON = one_node_slurm.why_not()


@pytest.mark.slow
@pytest.mark.skipif(bool(REASON), reason=REASON)
def test_a_sweep_of_two_batches_runs_on_one_node(tmp_path: Path) -> None:
    assert len(batches("two_batches")) == 2
    with one_node_slurm.one_node(tmp_path):
        one_node_slurm.sweep("two_batches", tmp_path, tmp_path / "table.csv")
        assert len(list((tmp_path / "logs").rglob("*.log"))) == 2, "each batch was a job of its own"
    assert one_node_slurm.why_not() == ""
    table = pd.read_csv(tmp_path / "table.csv")
    assert tuple(table.columns) == run.COLUMNS
    assert table["error"].isna().all()
    assert set(table["row"]) >= {job.row for job in jobs("two_batches").values()} - {"bounds"}


def test_what_is_lacking_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert one_node_slurm.why_not() == "munged is not installed: apt-get install slurm-wlm munge"
    with pytest.raises(RuntimeError, match="apt-get install"), one_node_slurm.one_node(tmp_path):
        pass


def test_a_machine_with_a_slurm_of_its_own_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "slurm.conf"
    own.write_text("ClusterName=theirs\n")
    monkeypatch.setattr(one_node_slurm, "PROGRAMS", ())
    monkeypatch.setattr(one_node_slurm, "CONFIGURATION", own)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "has a Slurm of its own" in one_node_slurm.why_not()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert one_node_slurm.why_not() == "only root can start the daemons of Slurm"


def test_the_configuration_names_this_machine_and_writes_nowhere_else(tmp_path: Path) -> None:
    settings = dict(
        line.split("=", 1) for line in one_node_slurm.configuration(tmp_path).splitlines()
    )
    assert settings["StateSaveLocation"] == f"{tmp_path}/state"
    assert settings["NodeName"].startswith(settings["SlurmctldHost"] + " ")
    paths = [value for value in settings.values() if value.startswith("/")]
    assert all(path.startswith(str(tmp_path)) for path in paths)
