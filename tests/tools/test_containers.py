"""The containers hold what README.md asks for, and run its commands."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

from tools import notebooks, setup

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
    built = notebooks.ROOT / "_build" / "html"
    (workdir,) = instructions("WORKDIR")
    assert f"podman cp book:{workdir}/{built.relative_to(ROOT)} html" in CONTAINERFILE
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    named = [
        t for line in [*instructions("RUN"), DEV["postCreateCommand"]] for t in make_targets(line)
    ]
    assert named == ["setup", "setup"]
    assert set(named) <= set(targets)


def test_every_target_that_readers_are_told_of_is_in_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    targets = re.findall(r"^(\w+):(?! *=)", makefile, re.MULTILINE)
    assert sorted(phony.split()) == sorted(targets)
    told = {
        (path.name, target)
        for path in [ROOT / "README.md", *(ROOT / "book").glob("*.md"), *ROOT.glob(".github/*.md")]
        for target in re.findall(r"(?:`|^\$ )make (\w+)", path.read_text("utf-8"), re.MULTILINE)
    }
    assert len(told) > 10
    assert {(name, target) for name, target in told if target not in targets} == set()


def test_another_machines_environment_stays_outside() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()[1:]
    assert ignored == [setup.VENV.name, "_build"]


def test_jupyterlab_does_not_move_the_exact_versions() -> None:
    assert "pip install -c constraints.txt jupyterlab" in DEV["postCreateCommand"]


def test_the_dev_container_is_the_first_stage_with_an_environment_in_the_work_tree() -> None:
    assert (FOLDER / DEV["build"]["dockerfile"]).is_file()
    assert (FOLDER / DEV["build"]["context"]).resolve() == ROOT
    assert f"AS {DEV['build']['target']}" in instructions("FROM")[0]
    python = DEV["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"]
    here = setup.VENV.relative_to(setup.ROOT) / "bin" / "python"
    assert python == f"${{containerWorkspaceFolder}}/{here}"
