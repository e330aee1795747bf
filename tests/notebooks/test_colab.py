"""The Colab set-up cell: does nothing elsewhere; on Colab it keeps installed torch and numpy."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from packaging.requirements import Requirement

from tools import notebooks

ROOT = notebooks.ROOT
CELL = (ROOT / "tools" / "colab_cell.py").read_text(encoding="utf-8")
SOURCE = re.search(r'"(scstlib @ git\+(\S+?)@(\w+))"', CELL)
ON_COLAB = {"numpy": "2.1.3", "pandas": "2.2.2", "torch": "2.11.0+cu128"}  # its image of Aug 2026
FAKE = "import sys, types\nsys.modules['google.colab'] = types.ModuleType('google.colab')\n"


def test_it_does_nothing_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "google.colab", raising=False)
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: pytest.fail("pip was called"))
    exec(CELL, {})


def test_it_names_the_repository_of_the_book() -> None:
    settings = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]
    assert SOURCE is not None
    assert (SOURCE[2], SOURCE[3]) == (settings["url"], settings["branch"])
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["repository-code"] == settings["url"]


def test_it_pins_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []
    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    monkeypatch.setattr("importlib.metadata.version", lambda name: ON_COLAB[name])
    monkeypatch.setattr(subprocess, "run", lambda command, check: calls.append(command))
    exec(CELL, {})
    (command,) = calls
    assert {"numpy==2.1.3", "torch==2.11.0+cu128"} <= set(command)
    assert "--upgrade" not in command


def test_colab_s_versions_meet_the_lower_bounds_and_no_bound_is_an_upper_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for row in map(Requirement, project["dependencies"]):
        assert {s.operator for s in row.specifier} == {">="}, str(row)
        if row.name in ON_COLAB:
            assert row.specifier.contains(ON_COLAB[row.name]), str(row)


@pytest.mark.slow
def test_it_installs_the_package_in_a_fresh_environment(tmp_path: Path) -> None:
    built = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*built, "--wheel-dir", str(tmp_path), str(ROOT)], check=True)
    (wheel,) = tmp_path.glob("scstlib-*.whl")
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    site = next((tmp_path / "venv").glob("lib/python*/site-packages"))
    for name, version in ON_COLAB.items():  # stand-ins: installed as far as pip can tell
        about = site / f"{name}-{version}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        (about / "RECORD").write_text("")
        (about / "INSTALLER").write_text("image\n")
    assert SOURCE is not None
    cell = FAKE + CELL.replace(SOURCE[1], f"scstlib @ {wheel.as_uri()}")
    # The other packages are left out: what matters is that these three stay and ours comes.
    settings = {"PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PYTHONPATH": ""}
    subprocess.run([python, "-c", cell], env={**os.environ, **settings}, check=True)
    shown = (
        "from importlib.metadata import version; from importlib.util import find_spec;"
        "print(version('numpy'), version('torch'), version('scstlib'));"
        "assert (__import__('pathlib').Path(find_spec('scstlib').origin).parent"
        " / 'data_manifests').is_dir()"
    )
    done = subprocess.run(
        [python, "-c", shown],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert done.stdout.split() == [ON_COLAB["numpy"], ON_COLAB["torch"], version]
