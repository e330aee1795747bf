"""What README.md shows works: its Python on a small organism, its commands as they are parsed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from scstlib.__main__ import _parser
from scstlib.datasets import simulate_organism

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


TIME, SPACE = blocks("python")
LINES = "\n".join(blocks("console")).replace("\\\n", " ").splitlines()
COMMANDS = [line.removeprefix("$ ") for line in LINES if line.startswith("$ scstlib ")]


def run(code: str, small: dict[str, str]) -> dict[str, Any]:
    """Names that the code leaves behind; ``small`` replaces parts of it, each of which it has."""
    for old, new in small.items():
        assert old in code
        code = code.replace(old, new)
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)
    return names


@pytest.mark.slow
def test_the_example_in_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("scstlib.datasets.load", lambda name: simulate_organism(0, "tiny").sample())
    names = run(TIME, {"36.0, 60.0": "24.0, 48.0", "seed=0": "seed=0, matching_steps=2"})
    assert names["predicted"].n_obs == 400
    assert set(names["predicted"].obs["time"]) == {24.0, 48.0}
    assert not set(names["split"].train.obs["time"]) & {24.0, 48.0}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*genes have no position:UserWarning")
def test_the_example_in_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    simulate_organism(0, "tiny").write(tmp_path)
    monkeypatch.chdir(tmp_path)
    small = {
        "astro": "stem",
        "oligo": "bipotent",
        'genes="genes.gtf"': "window=32",  # The places of the organism's genes are with its cells.
        "seed=0": "seed=0, n_steps=2, channels=8, pair_channels=8, n_blocks=1, batch_size=4",
    }
    names = run(SPACE, small)
    assert set(names["windows"].table["cell_type"]) == {"stem", "bipotent"}
    assert (tmp_path / "model.safetensors").is_file()


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_is_understood(line: str) -> None:
    options = _parser().parse_args(shlex.split(line)[1:])
    assert callable(options.run)


def test_commands_are_found() -> None:
    assert {line.split()[1] for line in COMMANDS} == {
        "train", "predict-contacts", "predict-expression", "score", "data",
    }  # fmt: skip
