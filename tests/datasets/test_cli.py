"""The command line: what it prints and its exit status."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scstlib.datasets.__main__ import main

Toy = Callable[[dict[str, bytes]], None]
FILES = {"one.txt": b"1" * 500, "two.txt": b"2"}


def test_list_shows_every_set(capsys: pytest.CaptureFixture[str]) -> None:
    from scstlib.datasets import list_datasets

    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list_datasets()
    assert any("by hand" in line for line in lines)


def test_fetch_verify_where(
    toy: Toy, server: Any, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toy(FILES)
    assert main(["verify"]) == 0
    assert main(["verify", "toy"]) == 1
    assert main(["fetch", "toy"]) == 0
    assert "toy: 2 files" in capsys.readouterr().out
    assert main(["list"]) == 0
    assert "here" in capsys.readouterr().out
    assert main(["verify", "toy"]) == 0
    assert "2 of 2 files as expected" in capsys.readouterr().out
    assert main(["where", "toy"]) == 0
    assert str(cache / "toy" / "one.txt") in capsys.readouterr().out
    (cache / "toy" / "one.txt").write_bytes(b"1" * 499)
    (cache / "toy" / "two.txt").unlink()
    assert main(["verify"]) == 1
    shown = capsys.readouterr()
    assert "expected 500 bytes, found 499" in shown.err
    assert "0 of 2 files as expected, 1 not fetched" in shown.out
    assert main(["where", "toy"]) == 0
    assert "two.txt: not here" in capsys.readouterr().out
    assert main(["fetch", "toy"]) == 1
    assert "cut short" in capsys.readouterr().err


def test_where_shows_the_folders(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCST_MIRROR", str(tmp_path))
    assert main(["where"]) == 0
    assert capsys.readouterr().out == f"cache: {cache}\nmirror: {tmp_path}\n"


def test_offline_fetch_says_what_to_do(
    toy: Toy, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    toy(FILES)
    monkeypatch.setenv("SCST_OFFLINE", "1")
    assert main(["fetch", "toy"]) == 1
    assert "2 of 2 files are not here" in capsys.readouterr().err


def test_set_fetched_by_hand(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "scNODE"]) == 1
    assert "figshare" in capsys.readouterr().out
    assert main(["verify", "scNODE"]) == 0
    assert "nothing to compare" in capsys.readouterr().out
    assert main(["verify"]) == 0
    (cache / "scNODE").mkdir(parents=True)
    (cache / "scNODE" / "drosophila").mkdir()
    assert main(["fetch", "scNODE"]) == 0


def test_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "semrau"]) == 2
    assert "nearest: semrau2017" in capsys.readouterr().err


def test_command_runs_as_a_module() -> None:
    shown = subprocess.run(
        [sys.executable, "-W", "error", "-m", "scstlib.datasets", "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for word in ("list", "fetch", "verify", "where", "SCST_MIRROR", "exit status"):
        assert word in shown
    wrong = subprocess.run(
        [sys.executable, "-m", "scstlib.datasets", "dance"], capture_output=True, check=False
    )
    assert wrong.returncode == 2
