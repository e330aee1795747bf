"""``scstlib data``: what it prints and its exit status."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scstlib.__main__ import main as command

ROOT = Path(__file__).resolve().parents[2]
Toy = Callable[[dict[str, bytes]], None]
FILES = {"one.txt": b"1" * 500, "two.txt": b"2"}


def main(words: list[str]) -> int:
    return command(["data", *words])


def test_list_shows_every_set(capsys: pytest.CaptureFixture[str]) -> None:
    from scstlib.datasets import list_datasets

    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list_datasets()
    assert any("by hand" in line for line in lines)


def test_a_manifest_that_is_damaged_does_not_hide_the_others(
    manifest_folder: Path, toy: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    toy({"one.txt": b"1"})
    (manifest_folder / "bad.yml").write_text("name: [")
    (manifest_folder / "lost.yml").symlink_to(manifest_folder / "nowhere")
    assert main(["list"]) == 1
    shown = capsys.readouterr()
    assert shown.out.startswith("toy ")
    assert [line.split()[:2] for line in shown.err.splitlines()] == [
        ["error:", "bad.yml"], ["error:", "lost.yml"],
    ]  # fmt: skip


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


def test_all_sets_are_copied_into_a_folder_that_serves_as_a_mirror(
    toy: Toy,
    server: Any,
    manifest_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    toy({"deep/one.txt": b"1" * 500, "two.txt": b"2"})
    shutil.copy(ROOT / "data_manifests" / "scNODE.yml", manifest_folder)
    stick = tmp_path / "stick"
    assert main(["fetch", "--all", "--to", str(stick)]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith("scNODE: left out")
    assert shown[-1] == f"elsewhere, let SCST_MIRROR name {stick} or a copy of it"
    assert sorted(p.relative_to(stick).as_posix() for p in stick.rglob("*") if p.is_file()) == [
        "toy/deep/one.txt", "toy/two.txt",
    ]  # fmt: skip
    (stick / "toy" / "two.txt").write_bytes(b"")  # a copy that was cut short is made again
    assert main(["fetch", "toy", "--to", str(stick)]) == 0
    assert (stick / "toy" / "two.txt").read_bytes() == b"2"
    server.content.clear()
    monkeypatch.setenv("SCST_DATA", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("SCST_OFFLINE", "1")
    assert main(["fetch", "toy"]) == 1
    monkeypatch.setenv("SCST_MIRROR", str(stick))
    assert main(["fetch", "toy"]) == 0


@pytest.mark.parametrize("words", [["fetch"], ["fetch", "toy", "--all"]])
def test_fetch_wants_names_or_all(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert "give names, or --all" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_named(
    toy: Toy, server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toy({"one.txt": b"1"})
    (tmp_path / "file").write_text("in the way")
    assert main(["fetch", "toy", "--to", str(tmp_path / "file")]) == 1
    shown = capsys.readouterr()
    assert str(tmp_path / "file") in shown.err
    assert "toy: 1" not in shown.out


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
    assert main(["fetch", "scNODE", "--to", str(cache / "stick")]) == 1
    assert "not copied" in capsys.readouterr().err


def test_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "semrau"]) == 2
    assert "nearest: semrau2017" in capsys.readouterr().err


def test_describe_says_what_a_set_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "semrau2017"]) == 0
    shown = capsys.readouterr().out
    for words in ("Semrau et al. 2017", "GSE79578", "https://doi.org/10.1038", "known traps:\n- "):
        assert words in shown
    assert max(map(len, shown.splitlines())) <= 100
    assert main(["describe", "nothing"]) == 2


def test_examples_of_the_help(
    toy: Toy, manifest_folder: Path, examples: Callable[[list[str]], list[list[str]]]
) -> None:
    """Each command's example runs, on a small data set of the name that it uses."""
    toy(FILES)
    text = (manifest_folder / "toy.yml").read_text().replace("name: toy", "name: semrau2017")
    (manifest_folder / "semrau2017.yml").write_text(text)
    for name in ("list", "fetch", "verify", "where", "describe"):
        (words,) = examples(["data", name])
        assert words[:2] == ["data", name]
        assert command(words) == 0
