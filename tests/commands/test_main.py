"""The command ``scstlib``: examples of its help, exit status, and one line for what is wrong."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import tomllib
import warnings
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import anndata
import cooler
import pandas as pd
import pytest

from scstlib import __version__
from scstlib.__main__ import _parser, main
from scstlib.commands import train
from scstlib.commands.options import in_options
from scstlib.datasets import simulate_organism

ROOT = Path(__file__).resolve().parents[2]
# In the order in which one makes what the next reads.
COMMANDS = (
    ["train", "contacts"],
    ["train", "expression"],
    ["predict-contacts"],
    ["predict-expression"],
    ["score", "contacts"],
    ["score", "expression"],
)


DATA = ("list", "fetch", "verify", "where", "describe")  # Run by the tests of data sets.


def commands_of(parser: ArgumentParser, *words: str) -> list[tuple[str, ...]]:
    """The words of each command below a parser."""
    below = [a.choices for a in parser._actions if isinstance(a.choices, dict)]
    if not below:
        return [words]
    return [c for name, each in below[0].items() for c in commands_of(each, *words, name)]


def test_no_command_is_without_an_example_that_is_run() -> None:
    run = {tuple(command) for command in COMMANDS} | {("data", name) for name in DATA}
    assert set(commands_of(_parser())) == run


@pytest.fixture(scope="module")
def organism(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("organism")
    simulate_organism(0, "tiny").write(folder)
    return folder


@pytest.fixture
def here(organism: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the examples name, to work in."""
    shutil.copytree(organism, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_every_example_of_the_help_runs(
    here: Path,
    examples: Callable[[list[str]], list[list[str]]],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    printed = ""
    for command in COMMANDS:
        shown = examples(command)
        assert shown
        for words in shown:
            assert words[: len(command)] == command
            assert main(words) == 0, words
        printed += capsys.readouterr().out
    # Training says what it reads and costs before it starts.
    text = caplog.text
    read = "4 windows of 64 bins, of the cell types stem, bipotent: about a minute or less"
    assert read in text
    assert "one cell type" not in text
    assert "160 cells, 120 genes, 4 times: about a minute or less" in text
    assert text.index("4 windows") < text.index("wrote contacts.safetensors")
    assert sorted(path.name for path in here.glob("maps*")) == [
        "maps.alpha_mature.mcool", "maps.beta_mature.mcool",
    ]  # fmt: skip
    # The model knows the size of its windows.
    map_file = cooler.Cooler("maps.alpha_mature.mcool::resolutions/50000")
    settings = map_file.info["metadata"]["settings"]
    assert (settings["window"], settings["stride"]) == (64, 32)
    cells = anndata.read_h5ad(here / "at_once.h5ad")
    assert cells.obs["time"].value_counts().to_dict() == {36.0: 50, 60.0: 50}
    assert cells.uns["provenance"]["inputs"]["cells"]["name"] == "cells.h5ad"
    tables = {name: pd.read_csv(here / f"{name}.csv") for name in ("contacts", "expression")}
    assert set(tables["contacts"]["model"]) >= {"prediction", "bulk"}
    assert set(tables["expression"]["time"]) == {48.0}
    assert "GD" in printed
    assert "energy distance" in printed


def test_the_maps_of_one_cell_type_are_said_to_be_too_few(
    here: Path, caplog: pytest.LogCaptureFixture
) -> None:
    words = "train contacts --bulk bulk.mcool::resolutions/50000 --expression cells.h5ad --targets"
    words += " stem=stem.cool --chromosomes chr1 --window 64 --set n_steps=1 --out one.safetensors"
    assert main(words.split()) == 0
    assert "maps of one cell type cannot tell what sets cell types apart" in caplog.text


def test_entry_point_and_module() -> None:
    script = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["scstlib"]
    module, _, name = script.partition(":")
    assert getattr(import_module(module), name) is main
    shown = subprocess.run(
        [sys.executable, "-W", "error", "-m", "scstlib", "--version"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert shown == f"scstlib {__version__}\n"
    wrong = subprocess.run(
        [sys.executable, "-m", "scstlib", "dance"], capture_output=True, check=False
    )
    assert wrong.returncode == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="pipes of a shell")
def test_output_that_nobody_reads_to_its_end_is_no_error() -> None:
    command = f"{shlex.quote(sys.executable)} -m scstlib data list | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_a_program_without_a_console_has_no_output_and_no_error() -> None:
    with contextlib.redirect_stdout(None):
        assert main(["data", "list"]) == 0


def test_parsing_imports_nothing_heavy() -> None:
    code = (
        "import sys; from scstlib.__main__ import main; import scstlib.files\n"
        "try: main(['train', 'contacts', '--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'scanpy', 'cooler', 'anndata', 'sklearn'} & set(sys.modules)))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert shown.splitlines()[-1] == "[]"


def test_interruption_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "fit_expression", interrupted)
    words = ["--cells", str(ROOT / "README.md"), "--out", str(tmp_path / "m.safetensors")]
    assert main(["train", "expression", *words]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_warning_is_one_line_and_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    def warned(*_: object, **__: object) -> None:
        for text in ("far\nfrom it", "near", "far\nfrom it"):
            warnings.warn(text, stacklevel=1)
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "fit_expression", warned)
    words = ["--cells", str(ROOT / "README.md"), "--out", str(tmp_path / "m.safetensors")]
    for _ in range(2):  # Each run of the command says it.
        main(["train", "expression", *words])
        assert caplog.messages == ["warning: far from it", "warning: near"]
        caplog.clear()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("predict-expression --cells c --out p.h5ad --times 3 --n-cells 10.0", "--n-cells: '10.0'"),
        ("predict-expression --cells c --out p.h5ad --times 3 --n-cells 0", "at least 1"),
        ("predict-expression --cells c --out p.h5ad --times 3 nan --n-cells 1", "--times: 'nan'"),
        ("train expression --cells c --out m.safetensors --hold-out late", "--hold-out: 'late'"),
        (
            "predict-contacts --bulk b --expression e --model m --out o.cool --depth 0",
            "--depth: '0'",
        ),
        ("score expression --predicted p --measured m --seed -1", "--seed: '-1'"),
    ],
)
def test_a_wrong_value_names_its_option_before_anything_is_read(
    words: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    assert ended.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "error: argument --" in last
    assert expected in last


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("train expression --cells none.h5ad --out m.safetensors", "no file none.h5ad"),
        ("train expression --cells cells.h5ad --out m.pt", "does not end with .safetensors"),
        (
            "train expression --cells cells.h5ad --out m.safetensors --time-key day",
            "'day' (--time-key)",
        ),
        ("train expression --cells cells.h5ad --out m.safetensors --hold-out 50", "[50.0]"),
        (
            "train expression --cells cells.h5ad --out m.safetensors --hold-out 0 24 48 72",
            "--hold-out leaves the times [96.0]",
        ),
        (
            "train expression --cells cells.h5ad --out m.safetensors --time-key batch",
            "obs['batch'] (--time-key) holds",
        ),
        (
            "train expression --cells cells.h5ad --out m.safetensors --set latent_dim=500",
            "--set: latent_dim must be 1 to 119",
        ),
        ("train expression --cells none --out m.safetensors --device gpu", "'gpu'"),
        ("train expression --cells none --out m.safetensors --precision half", "'half'"),
        ("train expression --cells cells.h5ad --out m.safetensors --set steps", "NAME=VALUE"),
        ("train expression --cells cells.h5ad --out m.safetensors --set seed=1", "set twice"),
        ("train expression --cells cells.h5ad --out m.safetensors --set stepz=1", "stepz"),
        ("train expression --cells none --out m.safetensors --set latent_dims=3", "latent_dim?"),
        ("train expression --cells none --out m.safetensors --set time-key=d", "option of its own"),
        ("train expression --cells none --out m.safetensors --set seed_=1", "did you mean seed?"),
        (
            "train expression --cells none --out m.safetensors --set latent_dim=x",
            "--set: latent_dim",
        ),
        ("train contacts --bulk n --expression n --targets a=b --out m --set n_step=1", "n_steps"),
        (
            "train expression --cells cells.h5ad --out m.safetensors"
            " --set matching-steps=1 matching_steps=2",
            "matching_steps is set twice",
        ),
        (
            "train contacts --bulk stem.cool --expression cells.h5ad --targets stem"
            " --out m.safetensors",
            "TYPE=FILE",
        ),
        (
            "train contacts --bulk stem.cool --expression cells.h5ad --targets stem=stem.cool"
            " --window 32 --validation-chromosomes chr9 --out m.safetensors",
            "chr9",
        ),
        (
            "train contacts --bulk stem.cool --expression cells.h5ad --targets stem=stem.cool"
            " --window 32 --validation-chromosomes chr3 chr9 --out m.safetensors",
            "has no chromosomes ['chr9']",
        ),
        (
            "train contacts --bulk stem.cool --expression cells.h5ad --targets stem=stem.cool"
            " --window 32 --validation-chromosomes 3 chr1 2 --out m.safetensors",
            "not all",
        ),
        (
            "train contacts --bulk stem.cool --expression cells.h5ad"
            " --targets stem=stem.cool stem=bipotent.cool --out m.safetensors",
            "names stem twice",
        ),
        (
            "predict-expression --cells cells.h5ad --times 3 --n-cells 5 --out cells.h5ad"
            " --overwrite",
            "cells.h5ad is read",
        ),
        (
            "predict-expression --model stem.cool --set seed=3 --times 3 --n-cells 5 --out p.h5ad",
            "--set goes with --cells",
        ),
        ("predict-expression --model stem.cool --times 3 --n-cells 5 --out p.h5ad", "stem.cool"),
        ("score expression --predicted cells.h5ad --measured cells.h5ad --times 1", "[1.0]"),
        (
            "score contacts --predicted stem.cool --measured stem.cool --bulk bulk.mcool",
            "choose bulk.mcool::resolutions/N",
        ),
        (
            "score contacts --predicted stem.cool --measured stem.cool --bulk bulk.mcool"
            " --resolution 50000 --window 3",
            "--window must be at least 7 bins, not 3",
        ),
        (
            "predict-expression --cells none --times 3 --n-cells 5 --out cells.h5ad",
            "say --overwrite.",
        ),
        (
            "predict-expression --cells cells.h5ad --times 36 -1 --n-cells 5 --out p.h5ad",
            "error: --times -1 lies before the first training time 0, where no path starts: ask for"
            " later times",
        ),
    ],
)
def test_wrong_use_is_one_line(
    words: str, expected: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(here.iterdir())
    assert main(words.split()) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith("error:")] == lines[-1:]
    assert expected in lines[-1]
    assert sorted(here.iterdir()) == before


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("train contacts --bulk b --expression e --targets a=b --out m --steps 5", " n_steps=5"),
        ("train contacts --bulk b --expression e --targets a=b --out m --n-steps=5", " n_steps=5"),
        ("train expression --cells c --out m --latent 8", "such as --set latent_dim=8"),
        ("train expression --cells c --out m --dance", "settings of ScNODE go with --set"),
        ("predict-expression --cells c --times 3 --n-cells 5 --out p --moves 8", "--set"),
        ("data list --steps 5", "error: --steps 5 is no option"),
    ],
)
def test_a_setting_that_is_no_option_is_shown_as_it_is_given(
    words: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(words.split())
    assert expected in capsys.readouterr().err.splitlines()[-1]


def test_all_faults_of_a_file_are_said_before_training(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = anndata.read_h5ad("cells.h5ad")
    cells.obs["time"] = "E" + cells.obs["time"].astype(str)
    cells.var_names = [cells.var_names[1], *cells.var_names[1:]]
    cells.write_h5ad("cells.h5ad")
    assert main(["train", "expression", "--cells", "cells.h5ad", "--out", "m.safetensors"]) == 2
    said = capsys.readouterr().err
    assert "convert it first" in said
    assert "1 gene names stand more than once" in said


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("n_cells must be 1", "--n-cells must be 1"),
        ("give n_cells, at least 1.", "give --n-cells, at least 1."),
        ("n_steps must be 1", "--set: n_steps must be 1"),
        ("/n_cells/n_cells.h5ad is no h5ad file", "/n_cells/n_cells.h5ad is no h5ad file"),
        ("no file n_cells.h5ad", "no file n_cells.h5ad"),
        ("https://a.org/?n_cells=3 was not served", "https://a.org/?n_cells=3 was not served"),
        ("obs has no column 'n_cells'", "obs has no column 'n_cells'"),
    ],
)
def test_messages_name_options_and_leave_files_alone(said: str, shown: str) -> None:
    assert in_options(said, Namespace(n_cells=1, settings=["n_steps=0"])) == shown
