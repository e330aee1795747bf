"""The sweep of the comparison: same scores each time, no holes, and it goes on after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.compare import jobs as listed
from benchmarks.compare import measuring, run, spatial, stacked
from benchmarks.compare.jobs import BOUNDS, FAMILIES, PROFILES, Job, batches, jobs
from benchmarks.record import RESULTS
from scstlib.datasets import simulate_organism
from scstlib.leakage import LeakageError, check_evaluation
from scstlib.models.spatial import BulkSmoothed
from scstlib.models.spatial.methods import REFERENCES
from scstlib.models.temporal import ConstantMean

ROOT = Path(__file__).parents[2]
MEASURED = list(run.MEASURED)


def start(folder: Path) -> subprocess.Popen[bytes]:
    """Start, or go on with, a tiny sweep whose files lie in ``folder``."""
    command = [
        sys.executable, "-m", "snakemake", "-s", str(ROOT / "benchmarks" / "compare" / "Snakefile"),
        "--cores", "1", "--rerun-incomplete", "--nolock", "--quiet", "all", "--config",
        "profile=tiny", "folder=rows", "output=table.csv",
    ]  # fmt: skip
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)


def written(folder: Path) -> dict[str, int]:
    """Files of the jobs that are done, and when each was written."""
    files = (folder / "rows").rglob("[!.]*.json")
    return {path.stem: path.stat().st_mtime_ns for path in files}


@pytest.mark.slow
def test_two_sweeps_are_equal_and_one_that_was_killed_goes_on(tmp_path: Path) -> None:
    """One sweep is killed at its first file and goes on; the other runs here without a stop."""
    process = start(tmp_path)
    deadline = time.monotonic() + 120
    while not written(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = written(tmp_path)
    assert 0 < len(before) < len(jobs("tiny")), (tmp_path / "log").read_text()
    assert not (tmp_path / "table.csv").exists()
    assert start(tmp_path).wait(300) == 0, (tmp_path / "log").read_text()
    assert before.items() <= written(tmp_path).items(), "what was done is not done again"

    whole = tmp_path / "whole"
    for key, job in jobs("tiny").items():
        task = run.scoring(job.family).task_of(job.data, job.seed, PROFILES["tiny"])
        run.write(job, "tiny", task, whole / f"{key}.json")
    run.atomically(tmp_path / "whole.csv", run.as_csv(run.gather("tiny", whole)))
    found, other = (pd.read_csv(tmp_path / name) for name in ("table.csv", "whole.csv"))
    pd.testing.assert_frame_equal(
        found.drop(columns=MEASURED), other.drop(columns=MEASURED), check_exact=True
    )
    assert found["error"].isna().all()
    assert set(found["role"]) == {"method", "floor", "ceiling"}
    assert found[["place", "likeness", "published"]].notna().all(axis=None)
    about = json.loads((tmp_path / "table.json").read_text())
    assert about["provenance"]["profile"] == "tiny"
    assert about["settings"]["temporal: Gaussian process of OT paths"]["seed"] == "0"


def test_every_method_is_run_or_left_out_with_a_reason() -> None:
    for name in ("fast", "full"):
        size = PROFILES[name]
        found = jobs(name)
        run_ = {(job.family, job.row) for job in found.values()}
        for family, methods in FAMILIES.items():
            assert {row for f, row in run_ if f == family} | set(size.left_out) >= set(methods())
        expected = sum(
            len(seeds) * (1 + sum(row not in size.left_out for row in FAMILIES[family]()))
            for family, sets in size.data.items()
            for seeds in sets.values()
        )
        assert len(found) == expected, "two jobs have one key"
        assert sorted(key for keys in batches(name).values() for key in keys) == sorted(found)
        assert {row["row"] for row in run.left_out(name)} == set(size.left_out)


def test_a_line_in_methods_is_a_row_of_the_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each data set, with a job that makes the method."""

    class Toy(ConstantMean):
        pass

    known = FAMILIES["temporal"]()
    monkeypatch.setitem(FAMILIES, "temporal", lambda: {**known, "toy": lambda seed: Toy()})
    for name in ("fast", "full"):
        data = {job.data for job in jobs(name).values() if job.row == "toy"}
        assert data == set(PROFILES[name].data["temporal"])
    assert isinstance(measuring.new_model("temporal", "toy", 0, PROFILES["full"]), Toy)


def test_slow_methods_are_started_by_themselves() -> None:
    alone = [keys for keys in batches("full").values() if len(keys) == 1]
    assert len(alone) == sum(job.row in listed.SLOW for job in jobs("full").values())


@pytest.fixture(scope="module")
def maps() -> spatial.Task:
    size = replace(PROFILES["tiny"], data={"spatial": {listed.UNEQUAL: (0,)}})
    return spatial.task_of(listed.UNEQUAL, 0, size)


def test_bounds_of_maps_lie_where_they_must(maps: spatial.Task) -> None:
    found = run.rows_of_job(Job("spatial", listed.UNEQUAL, BOUNDS, 0), "tiny", maps)
    table = pd.DataFrame(found).set_index(["split", "row"])
    for split in ("seen", "near", "far"):
        part = table.loc[split]
        assert part.loc[spatial.TRUTH, ["SCCt", "dC", "dIns"]].to_numpy() == pytest.approx(1)
        assert part.loc[spatial.DECAY, "dC"] == pytest.approx(0, abs=1e-6)
        assert 0.2 < part.loc[spatial.REPLICATE, "dC"] < 1
        assert part.loc[spatial.TRUTH, "SCC"] > part.loc[spatial.REPLICATE, "SCC"]


def test_a_method_and_a_reference_are_scored_on_all_splits(maps: spatial.Task) -> None:
    for row in ("bulk copied", *REFERENCES):
        found = run.rows_of_job(Job("spatial", listed.UNEQUAL, row, 0), "tiny", maps)
        assert [each["split"] for each in found] == ["seen", "near", "far"]
        assert not any(each.get("error") for each in found)
    assert spatial.roles()["mean of the training types"] == "reference"


def test_a_failure_is_a_row_of_each_split_that_it_cost(maps: spatial.Task) -> None:
    found = run.rows_of_job(Job("spatial", listed.UNEQUAL, "no such method", 0), "tiny", maps)
    assert [(row["split"], row["error"]) for row in found] == [
        (split, "KeyError: 'no such method'") for split in ("seen", "near", "far")
    ]


def test_a_process_that_dies_is_a_row_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = next(iter(jobs("tiny")))
    monkeypatch.setattr("benchmarks.compare.temporal.task_of", lambda *_: None)
    monkeypatch.setattr(run, "write", lambda *_: os._exit(3))
    run.run([key], "tiny", tmp_path)
    rows = json.loads((tmp_path / f"{key}.json").read_text())
    assert [row["split"] for row in rows] == ["inner", "outer"]
    assert {row["error"] for row in rows} == {"the process ended with 3"}


def test_data_that_cannot_be_had_are_rows_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def task_of(*_: object) -> None:
        raise FileNotFoundError("no such series")

    keys = list(jobs("tiny"))[:2]
    monkeypatch.setattr("benchmarks.compare.temporal.task_of", task_of)
    run.run(keys, "tiny", tmp_path)
    rows = [row for key in keys for row in json.loads((tmp_path / f"{key}.json").read_text())]
    assert [row["error"] for row in rows] == ["FileNotFoundError: no such series"] * 4


def test_a_job_is_stopped_in_time() -> None:
    with pytest.raises(TimeoutError, match="stopped after 1 s"), run.at_most(1):
        time.sleep(5)


def test_the_table_is_not_made_of_half_a_sweep(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="run the sweep to its end first"):
        run.gather("tiny", tmp_path)
    key = next(iter(jobs("tiny")))
    row = {"family": "temporal", "data": listed.REGULAR, "split": "inner", "row": "b", "seed": 0}
    run.atomically(tmp_path / f"{key}.json", json.dumps([row | {"place": 1.0}]))
    table = run.gather("tiny", tmp_path, "not run: no time")
    assert table["error"].isna().tolist() == [True] + [False] * (len(jobs("tiny")) - 1)
    assert table["error"].dropna().unique().tolist() == ["not run: no time"]
    assert table.loc[1:, "row"].tolist() == [job.row for job in jobs("tiny").values()][1:]


def test_a_sweep_goes_on_from_its_table(tmp_path: Path) -> None:
    before = run.read_table(RESULTS / "compare_full.csv")
    taken = run.take_up(before, "full", tmp_path)
    assert run.take_up(before, "full", tmp_path) == [], "files that are there are left alone"
    assert len(taken) == len(list(tmp_path.rglob("*.json")))
    run.atomically(tmp_path / "again.csv", run.as_csv(run.gather("full", tmp_path, "not run")))
    again = run.read_table(tmp_path / "again.csv")
    ran, known = (each[each["split"].notna()].reset_index(drop=True) for each in (again, before))
    pd.testing.assert_frame_equal(ran, known, check_exact=True)


def test_a_commit_that_looks_like_a_number_stays_text(tmp_path: Path) -> None:
    rows = pd.DataFrame({"row": ["a", "b"], "commit": ["562e077", "1234567"]})
    run.atomically(tmp_path / "table.csv", run.as_csv(rows))
    assert run.read_table(tmp_path / "table.csv")["commit"].tolist() == ["562e077", "1234567"]


def test_weights_of_a_stack_of_maps_are_chosen_on_training_chromosomes(maps: spatial.Task) -> None:
    """Of windows whose targets are the smoothed bulk itself, it takes that alone."""
    smoothed = BulkSmoothed().fit(maps.train)
    train = replace(maps.train, targets=1000 * smoothed.predict(maps.train))
    names = ("CTCF alone", "bulk smoothed")
    stack = stacked.StackedMaps(names).fit(train)
    assert stack.weights_.sum() == pytest.approx(1)
    assert stack.weights_[1] > 0.7
    held = maps.held["seen"].windows
    members = [member.predict(held) for member in stack.members_]
    mean = np.tensordot(stack.weights_, members, 1)
    np.testing.assert_allclose(stack.predict(held), mean, rtol=1e-4)
    with pytest.raises(LeakageError):
        check_evaluation([stack], train)


def test_a_stack_of_cells_leaves_training_times_out() -> None:
    cells = simulate_organism(preset="tiny").sample()
    stack = stacked.StackedCells(("nearest time copied", "mean profile"), seed=3).fit(cells)
    assert [part.time for part in stack.left_out_] == np.unique(cells.obs["time"])[1:].tolist()
    assert stack.weights_["inner"][0] > 0.6, "one mean profile is no likely cell"


def test_a_file_is_written_at_once_or_not_at_all(tmp_path: Path) -> None:
    run.atomically(tmp_path / "new" / "rows.json", "[]\n")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["rows.json"]


def test_parameters_are_counted_once_however_deep() -> None:
    class Model:
        pass

    Model.__module__ = "scstlib.models.temporal.model"
    linear = torch.nn.Linear(3, 2)
    inner, outer = Model(), Model()
    inner.net = linear  # type: ignore[attr-defined]
    outer.parts = [inner, {"again": linear}]  # type: ignore[attr-defined]
    outer.self = outer  # type: ignore[attr-defined]
    assert measuring.n_parameters(outer) == 8
    assert measuring.n_parameters(Model()) is None


def test_a_profile_changes_only_settings_that_there_are() -> None:
    size = replace(PROFILES["tiny"], changed={"scGrapHiC": {"n_steps": 7, "steps": 1}})
    with pytest.raises(ValueError, match="has no setting 'steps'"):
        measuring.new_model("spatial", "scGrapHiC", 0, size)
    size = replace(size, changed={"scGrapHiC": {"n_steps": 7}})
    model = measuring.new_model("spatial", "scGrapHiC", 3, size)
    assert measuring.settings_of(model)["n_steps"] == "7"


def test_the_committed_table_has_no_holes() -> None:
    table = pd.read_csv(RESULTS / "compare.csv")
    assert tuple(table.columns) == run.COLUMNS
    assert (RESULTS / "compare.csv").stat().st_size < 300_000
    ran = table[table["data"].notna()]
    assert table.loc[table["data"].isna(), "error"].notna().all()
    assert not ran.duplicated(["family", "data", "split", "row", "seed"]).any()
    for family, needed in (("temporal", ["place", "likeness", "published"]), ("spatial", ["dC"])):
        rows = ran[ran["family"] == family]
        assert (rows[needed].notna().all(axis=1) | rows["error"].notna()).all()
        candidates = rows[rows["role"].isin(["method", "constant", "reference"])]
        candidates = candidates[candidates["row"] != spatial.DECAY]
        counted = candidates.groupby(["data", "split", "seed"])["row"].nunique()
        assert counted.nunique() == 1, "a method is missing somewhere"


def test_the_fits_of_the_fast_sweep_take_less_than_twelve_minutes_of_two_cores() -> None:
    table = pd.read_csv(RESULTS / "compare.csv")
    # A method in space is fitted once for all splits.
    once = table.drop_duplicates(["family", "data", "row", "seed", "cpu_seconds"])
    assert once["cpu_seconds"].sum() / 2 < 12 * 60


def test_the_table_of_the_full_sweep_says_of_each_job_what_became_of_it() -> None:
    table = pd.read_csv(RESULTS / "compare_full.csv")
    assert tuple(table.columns) == run.COLUMNS
    assert (RESULTS / "compare_full.csv").stat().st_size < 300_000
    there = set(zip(table["family"], table["data"], table["row"], table["seed"], strict=True))
    assert {
        (j.family, j.data, j.row, j.seed) for j in jobs("full").values() if j.row != BOUNDS
    } <= there
    ran = table[table["error"].isna()]
    assert not ran.duplicated(["family", "data", "split", "row", "seed"]).any()
    scores = ran["place"].where(ran["family"] == "temporal", ran["SCC"])
    assert (scores.notna() | ran["role"].isin(["constant"])).all()
    # What is a job of both sweeps has the same scores in both.
    keys = ["family", "data", "split", "row", "seed"]
    fast = pd.read_csv(RESULTS / "compare.csv")
    both = fast[fast["data"].isin(listed.SERIES)].merge(ran, on=keys)
    assert len(both) > 100
    assert both["place_x"].tolist() == both["place_y"].tolist()
