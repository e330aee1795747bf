"""The containers hold what README.md asks for, and run its commands."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

from tools import setup

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".devcontainer"
CONTAINERFILE = (FOLDER / "Containerfile").read_text(encoding="utf-8")
LINES = re.sub(r"^#.*\n", "", CONTAINERFILE, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
DEV = json.loads((FOLDER / "devcontainer.json").read_text(encoding="utf-8"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON_OF_DEBIAN = {"12": "3.11", "13": "3.13"}


def instructions(name: str) -> list[str]:
    """What follows an instruction of the Containerfile, each time it stands there."""
    return [line.partition(" ")[2] for line in LINES if line.startswith(f"{name} ")]


def make_targets(commands: str) -> list[str]:
    """Targets of make among the commands of a line."""
    found = [shlex.split(command) for command in commands.split("&&")]
    return [words[1] for words in found if words[0] == "make"]


def test_it_has_what_the_readme_asks_for() -> None:
    assert "You need Linux or macOS with Python 3.11 or newer, git, make and a C compiler" in README
    assert "`apt-get install chromium`" in README
    (install,) = [line for line in instructions("RUN") if "apt-get install" in line]
    needed = {"python3", "python3-venv", "python3-dev", "git", "make", "gcc", "chromium"}
    assert needed <= set(shlex.split(install))


def test_its_python_is_the_one_of_the_exact_versions() -> None:
    (release,) = re.findall(r"/debian:(\d+) AS system", "\n".join(instructions("FROM")))
    assert PYTHON_OF_DEBIAN[release] == setup.LISTED_FOR[2]


def test_its_commands_are_those_of_the_readme() -> None:
    (command,) = instructions("CMD")
    shown = re.findall(r"^\$ (make \w+)", README, flags=re.MULTILINE)
    assert shown == ["make book", "make test"]
    assert " ".join(json.loads(command)) == shown[0]
    assert f"podman run --rm scstlib {shown[1]}\n" in CONTAINERFILE
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    named = [
        t for line in [*instructions("RUN"), DEV["postCreateCommand"]] for t in make_targets(line)
    ]
    assert named == ["setup", "setup"]
    assert set(named) <= set(targets)


def test_the_dev_container_is_the_first_stage_with_an_environment_in_the_work_tree() -> None:
    assert (FOLDER / DEV["build"]["dockerfile"]).is_file()
    assert (FOLDER / DEV["build"]["context"]).resolve() == ROOT
    assert f"AS {DEV['build']['target']}" in instructions("FROM")[0]
    python = DEV["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"]
    here = setup.VENV.relative_to(setup.ROOT) / "bin" / "python"
    assert python == f"${{containerWorkspaceFolder}}/{here}"
