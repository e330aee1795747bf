"""The opening line and the closing summary of the build."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from pathlib import Path

import pytest

from tools import build, notebooks


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with two pages that ran, one without its data."""
    (tmp_path / "book").mkdir()
    (tmp_path / "notebooks" / "part").mkdir(parents=True)
    rows = "".join(f"  - file: notebooks/{name}\n" for name in ("part/a", "part/b"))
    (tmp_path / "book" / "_toc.yml").write_text(f"root: book/index\nchapters:\n{rows}")
    for name in ("part/a", "part/b"):
        text = "# > **Time**: 20 min to read, 3 min to run.\n"
        (tmp_path / "notebooks" / f"{name}.py").write_text(text)
    (tmp_path / "_build" / "executed" / "part").mkdir(parents=True)
    missing = {"dataset": "lee2019", "files": [f"c{i}.txt" for i in range(400)]}
    for name, about in (
        ("part/a", {"seconds": 7.0}),
        ("part/b", {"seconds": 1.0, "missing": missing}),
    ):
        copy = {"cells": [], "metadata": {"scst": about}}
        notebooks.executed_path(name, tmp_path).write_text(json.dumps(copy))
    return tmp_path


def test_the_opening_line_estimates_from_what_pages_state_then_from_what_was_measured(
    root: Path,
) -> None:
    assert "2 of 2 notebooks to run" in build.opening(["part/a", "part/b"], 2, root)
    assert build.expected_seconds("part/a", root) == 180
    build.note_times(root)
    assert build.expected_seconds("part/a", root) == 7
    assert "up to date" in build.opening([], 2, root)


def test_the_summary_lists_timings_missing_data_and_ends_with_the_book(root: Path) -> None:
    lines = build.summary(["part/a"], {"set-up": 100.0, "total": 130.4}, root).splitlines()
    assert lines[0] == "Timings: set-up 100 s, total 130 s."
    assert "    part/a: 7 s" in lines
    assert (
        "  Data missing on notebooks/part/b: lee2019 (c0.txt, c1.txt, c2.txt and 397 more)."
        in lines
    )
    assert lines[-1] == str(root / "_build" / "html" / "index.html")


def test_relative_data_folders_are_read_from_the_callers_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCST_MIRROR", "data:/elsewhere")
    monkeypatch.delenv("SCST_DATA", raising=False)
    build.absolute_data_folders()
    assert build.os.environ["SCST_MIRROR"] == f"{tmp_path.resolve()}/data:/elsewhere"


def test_a_second_build_says_that_it_waits(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = os.open(root / "_build" / ".lock", os.O_CREAT | os.O_RDWR)
    fcntl.flock(first, fcntl.LOCK_EX)  # As another process holds it.
    ended = threading.Event()
    monkeypatch.setattr(build, "ROOT", root)
    monkeypatch.setattr(build, "build", lambda *_: 0 if ended.is_set() else 1)
    monkeypatch.setattr(build.sys, "argv", ["build"])
    monkeypatch.delenv("SCST_MAKE", raising=False)

    def end() -> None:
        ended.set()
        os.close(first)

    threading.Timer(0.3, end).start()
    assert build.main() == 0
    assert "another build works in this folder; waiting for it" in capsys.readouterr().out
