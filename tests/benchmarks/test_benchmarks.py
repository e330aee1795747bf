"""Benchmarks can be called, and their numbers are kept, merged and shown without loss."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import record, timing

ROOT = Path(__file__).parents[2]
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "benchmarks").rglob("*.py"))
]


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_imported_and_says_how_it_is_called(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    if not hasattr(module, "main"):
        return
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as end:
        module.main()
    assert end.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: python -m {name} ")
    assert f"    python -m {name}" in said.partition("\n\n")[2]  # also in the text below


def test_every_results_file_is_named_after_a_module() -> None:
    names = {name.removesuffix(".run").rpartition(".")[2] for name in MODULES}
    files = {path.stem for path in record.RESULTS.glob("*.json")}
    assert files
    # tools.colab, tests.faults.campaign, and a profile of the comparison.
    assert files <= names | {"colab", "faults", "compare_full"}


def test_output_is_named_after_the_module_or_its_family() -> None:
    def output(path: str) -> str:
        parser = record.argument_parser(str(ROOT / "benchmarks" / path), "What it measures.")
        name: str = parser.parse_args([]).output.name
        return name

    assert output("speed/metrics.py") == "metrics.json"
    assert output("spatial/run.py") == "spatial.json"


def test_uncommitted_changes_are_those_of_code_in_any_folder(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    code = tmp_path / "benchmarks" / "speed" / "metrics.py"
    numbers = tmp_path / "benchmarks" / "results" / "metrics.json"
    package = tmp_path / "scstlib" / "models" / "files.py"
    for path in (code, numbers, package):
        path.parent.mkdir(parents=True)
        path.write_text("1\n")
    git("init")
    git("add", ".")
    git("commit", "-m", "files")
    assert not record.uncommitted_changes(tmp_path)
    numbers.write_text("2\n")
    assert not record.uncommitted_changes(tmp_path)
    for path in (code, package):
        path.write_text("2\n")
        assert record.uncommitted_changes(tmp_path)
        git("checkout", str(path))
    (code.parent / "new.py").write_text("1\n")
    assert record.uncommitted_changes(tmp_path)


def test_provenance_holds_versions_and_what_else_is_said() -> None:
    about = record.provenance("geomloss", seed=3, clock="wall")
    assert {"numpy", "torch", "geomloss"} <= set(about["versions"])
    assert (about["seed"], about["clock"]) == (3, "wall")
    assert len(about["commit"]) == 40


def test_what_is_written_is_read_back_to_five_digits(tmp_path: Path) -> None:
    path = tmp_path / "new" / "results.json"
    rows = [{"row": "a [b] {c}", "value": 1.234567}, {"row": "d", "value": 0.1}]
    record.write(path, {"provenance": {"commit": "f"}, "runs": {"scores": rows}})
    assert json.loads(path.read_text())["runs"]["scores"] == [
        {"row": "a [b] {c}", "value": 1.2346},
        {"row": "d", "value": 0.1},
    ]
    assert '{"row": "d", "value": 0.1}' in path.read_text()


def call(path: Path, commit: str, seeds: list[int], scc: float = float("nan")) -> Path:
    rows = [{"row": "default", "organism": seed, "model_seed": 0, "SCC": scc} for seed in seeds]
    path.write_text(json.dumps({"provenance": {"commit": commit}, "runs": {"scores": rows}}))
    return path


def test_calls_are_merged_with_what_differed(tmp_path: Path) -> None:
    paths = [
        call(tmp_path / f"{name}.json", commit, seeds)
        for name, commit, seeds in (("a", "old", [0]), ("b", "new", [1]), ("c", "new", [2]))
    ]
    found = record.merged(paths, lambda runs: {"n": len(runs["scores"])})
    assert [row["organism"] for row in found["runs"]["scores"]] == [0, 1, 2]
    assert found["summary"] == {"n": 3}
    assert found["provenance"] == {"commit": "new", "calls": 3, "other_calls": [{"commit": "old"}]}


def test_a_run_that_was_made_twice_with_other_results_is_refused(tmp_path: Path) -> None:
    paths = [call(tmp_path / "a.json", "x", [0, 1], 0.5), call(tmp_path / "b.json", "x", [1], 0.6)]
    with pytest.raises(ValueError, match="scores of organism 1, model_seed 0, row default was"):
        record.merged(paths, lambda runs: {})


def test_copies_of_a_run_count_once(tmp_path: Path) -> None:
    paths = [call(tmp_path / "a.json", "x", [0, 1]), call(tmp_path / "b.json", "x", [1, 2])]
    found = record.merged(paths, lambda runs: {})
    assert [row["organism"] for row in found["runs"]["scores"]] == [0, 1, 2]


def test_runs_that_differ_in_a_perturbation_are_three() -> None:
    case = {"organism": 0, "model_seed": 0, "gene": "g", "right": True}
    rows = [case | {"factor": factor} for factor in (0.0, 0.2, 2.0)]
    assert record.each_once("perturbations", rows) == rows


@pytest.mark.parametrize("family", ["spatial", "temporal"])
def test_committed_summaries_are_those_of_their_runs(family: str) -> None:
    summary = importlib.import_module(f"benchmarks.{family}.summary")
    path = record.RESULTS / f"{family}.json"
    stored = json.loads(path.read_text())
    again = record.merged([path], summary.summary)
    found = json.loads(json.dumps(record.rounded(again["summary"]), default=float))

    def compare(a: object, b: object, where: str) -> None:
        if isinstance(a, dict) and isinstance(b, dict):
            assert set(a) == set(b), where
            for key in a:
                compare(a[key], b[key], f"{where}/{key}")
        elif isinstance(a, list) and isinstance(b, list):
            assert len(a) == len(b), where
            for i, (x, y) in enumerate(zip(a, b, strict=True)):
                compare(x, y, f"{where}/{i}")
        elif isinstance(a, float):
            # Ratios of numbers that were rounded to five digits.
            assert a == pytest.approx(b, rel=1e-3, abs=2e-5, nan_ok=True), where
        else:
            assert a == b, where

    compare(stored["summary"], found, family)
    assert "|" in summary.tables(stored["summary"])


def test_one_stage_alone_has_a_summary() -> None:
    """Such as the bound, which has scores and no cost."""
    summary = importlib.import_module("benchmarks.spatial.summary")
    stored = json.loads((record.RESULTS / "spatial.json").read_text())["runs"]["scores"]
    rows = [row for row in stored if row["row"] == "informed by expression"]
    found = summary.summary({"scores": rows, "cpu": []})
    assert {row["part"] for row in found["scores"]} == {"seen", "near", "far"}
    assert "informed by expression" in summary.tables(found)


def test_scores_of_a_row_by_run_leave_out_what_is_missing() -> None:
    table = pd.DataFrame(
        {
            "organism": [0, 1, 0],
            "model_seed": [0, 0, 0],
            "row": ["a", "a", "b"],
            "part": ["seen"] * 3,
            "SCC": [0.5, float("nan"), 0.7],
        }
    )
    assert record.by_run(table, "a", "seen", "SCC").to_dict() == {(0, 0): 0.5}


def test_a_table_is_markdown_of_three_digits() -> None:
    assert record.markdown(["a", "b"], [["x", 0.12345]]) == "| a | b |\n|---|---|\n| x | 0.123 |\n"


def test_medians_of_works_that_take_turns() -> None:
    order: list[str] = []
    seconds = timing.median_cpu_seconds(
        lambda: order.append("a"), lambda: order.append("b"), repeats=2
    )
    assert order == ["a", "b"] * 3  # the first round warms up
    assert len(seconds) == 2
    assert all(value >= 0 for value in seconds)


def test_one_thread_ends_with_the_block() -> None:
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    with timing.one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_unequal_depths_cost_at_most_3_percent_of_dc_as_the_book_says() -> None:
    kept = json.loads((record.RESULTS / "depths.json").read_text())["summary"]["kept"]
    for name in ("bulk + ridge", "gradient boosting"):
        assert min(kept[f"{name}, dC"].values()) > 0.97, name
