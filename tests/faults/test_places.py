"""Places that take no file: no folder, a full disk, no home, no network; one line says it."""

from __future__ import annotations

import contextlib
import os
import pwd
import resource
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from scstlib.__main__ import main
from scstlib.datasets import simulate_organism
from scstlib.datasets.cache import cache_folder
from scstlib.models import ScNODE, load
from scstlib.training.run_state import RunState

BULK = "--bulk bulk.mcool::resolutions/50000 --window 32"
# What writes where, and what is said of it.
COMMANDS = {
    "train expression --cells cells.h5ad --set matching_steps=1 --device cpu --out {}.safetensors",
    "predict-expression --model m.safetensors --times 36 --n-cells 5 --device cpu --out {}.h5ad",
    f"predict-contacts {BULK} --expression cells.h5ad --model m.safetensors --out {{}}.mcool",
    f"score contacts {BULK} --predicted stem.cool --measured bipotent.cool --out {{}}.csv",
}
PLACES = {
    "nowhere/x": "there is no folder nowhere",
    "cells.h5ad/x": "there is no folder cells.h5ad",
    "/proc/self/x": "cannot be written to|there is no folder",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    organism = simulate_organism(0, "tiny")
    organism.write(folder)
    model = ScNODE(matching_steps=1, latent_dim=2)
    model.fit(organism.sample(), device="cpu", progress=False).save(folder / "m.safetensors")
    return folder


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_place_that_takes_no_file_is_one_line(
    command: str,
    place: str,
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if "predict-contacts" in command and place.startswith("/proc"):
        pytest.skip("the model of this test predicts no maps")
    monkeypatch.chdir(files)
    before = sorted(files.iterdir())
    assert main(command.format(place).split()) == 2
    (line,) = [row for row in capsys.readouterr().err.splitlines() if row.startswith("error: ")]
    assert any(said in line for said in PLACES[place].split("|")), line
    assert sorted(files.iterdir()) == before


@contextlib.contextmanager
def files_of(n_bytes: int) -> Iterator[None]:
    """Let the operating system refuse what is longer, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def write_checkpoint(path: Path) -> None:
    weights = [torch.nn.Parameter(torch.zeros(2000))]
    RunState(weights, torch.optim.AdamW(weights), [], "a run").write(path)


def fetch_toy(path: Path) -> None:
    from scstlib.datasets.cache import writing

    with writing(path) as temporary, temporary.open("wb") as stream:
        stream.write(bytes(9000))


@pytest.mark.parametrize("what", ["model", "checkpoint", "download"])
def test_a_file_that_the_system_cuts_off_is_none(what: str, files: Path, tmp_path: Path) -> None:
    model: Any = load(files / "m.safetensors", "cpu")
    write = {"model": model.save, "checkpoint": write_checkpoint, "download": fetch_toy}[what]
    with files_of(4096), pytest.raises(OSError, match=f"is full.*{tmp_path}"):
        write(tmp_path / "x.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: int) -> None:
        raise KeyError("uid not found")

    for name in ("HOME", "SCST_DATA", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    if Path(os.path.expanduser("~")).is_absolute():
        pytest.skip("this system knows the home in another way")
    with pytest.raises(ValueError, match=r"home folder is not known.*let SCST_DATA name a folder"):
        cache_folder()


def test_no_network_is_said_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_name(*_: object, **__: object) -> None:
        raise socket.gaierror("Temporary failure in name resolution")

    monkeypatch.setenv("SCST_DATA", str(tmp_path))
    for name in ("SCST_MIRROR", "SCST_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", no_name)
    assert main(["data", "fetch", "guo2010"]) == 1
    said = capsys.readouterr().err
    assert "could not be reached" in said
    assert "By hand: put the files into" in said
    assert "Traceback" not in said
    shutil.rmtree(tmp_path / ".locks")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
