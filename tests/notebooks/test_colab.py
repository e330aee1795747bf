"""The Colab set-up cell: does nothing elsewhere; on Colab it keeps numpy, pandas and torch."""

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
IMAGE = dict(
    line.split("==")
    for line in (ROOT / "tools" / "colab_versions.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
)
ON_COLAB = {name: IMAGE[name] for name in ("numpy", "pandas", "torch")}
ON_COLAB["torch"] += "+cu128"  # with a GPU
FAKE = "import sys, types\nsys.modules['google.colab'] = types.ModuleType('google.colab')\n"
STUBS = """
sys.modules['numpy'] = types.ModuleType('numpy')
sys.modules['torch'] = types.ModuleType('torch')
sys.modules['torch'].cuda = types.SimpleNamespace(is_available=lambda: False)
"""
READ = ("*.cff", "*.md", "*.toml", "*.yml", "book/*.md", "notebooks/*/*.py", "notebooks/*/*.ipynb")
READ += ("scstlib/**/*.py", "tools/*.py", ".github/**/*.*", ".devcontainer/*", ".zenodo.json")
ADDRESS = re.compile(r"github(?:usercontent)?\.com/([\w.-]+/scstlib)\b")


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


def test_every_address_of_the_repository_is_the_one_of_the_settings() -> None:
    settings = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]
    name = settings["url"].removeprefix("https://github.com/")
    files = {path for pattern in READ for path in ROOT.glob(pattern) if path.is_file()}
    named = {path: set(ADDRESS.findall(path.read_text(encoding="utf-8"))) for path in files}
    assert sum(bool(names) for names in named.values()) > 80  # each page's cell, in both forms
    assert [str(path) for path, names in named.items() if names - {name}] == []


def test_it_pins_what_is_installed_and_says_what_it_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[list[str]] = []
    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    monkeypatch.setattr("importlib.metadata.version", lambda name: ON_COLAB[name])
    monkeypatch.setattr(subprocess, "run", lambda command, check: calls.append(command))
    monkeypatch.setattr("scstlib.pages.runtime", lambda: "no GPU")
    exec(CELL, {})
    (command,) = calls
    assert {f"{name}=={version}" for name, version in ON_COLAB.items()} <= set(command)
    assert "--upgrade" not in command
    assert capsys.readouterr().out == "no GPU\n"


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
    cell = FAKE + STUBS + CELL.replace(SOURCE[1], f"scstlib @ {wheel.as_uri()}")
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
