"""The set-up: when it is made anew, which torch it takes, what it says about an old Python."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tools import setup


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a list of versions and no environment."""
    (tmp_path / "constraints.txt").write_text("numpy==1\ntorch==2\n")
    (tmp_path / "pyproject.toml").write_text("")
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    monkeypatch.setattr(setup, "VENV", tmp_path / ".venv")
    monkeypatch.delenv("TORCH", raising=False)
    return tmp_path


@pytest.fixture
def pip(root: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Calls of pip; its plan for torch names a CUDA package."""
    calls: list[tuple[str, ...]] = []

    def note(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        calls.append(arguments)
        if "--report" in arguments:
            planned = [{"metadata": {"name": name}} for name in ("torch", "nvidia-cublas-cu12")]
            report = Path(arguments[arguments.index("--report") + 1])
            report.write_text(json.dumps({"install": planned}))
        return subprocess.CompletedProcess([], 0)

    monkeypatch.setattr(setup, "pip", note)
    return calls


def without_gpu(name: str) -> str | None:
    return None


def with_gpu(name: str) -> str | None:
    return "/usr/bin/nvidia-smi"


@pytest.mark.parametrize(
    ("choice", "which", "cpu_build"),
    [("auto", without_gpu, True), ("auto", with_gpu, False), ("cpu", with_gpu, True)]
    + [("gpu", without_gpu, False)],
)
def test_cuda_comes_only_with_a_gpu_or_when_asked_for(
    pip: list[tuple[str, ...]],
    monkeypatch: pytest.MonkeyPatch,
    choice: str,
    which: Any,
    cpu_build: bool,
) -> None:
    monkeypatch.setattr(setup.shutil, "which", which)
    monkeypatch.setattr(setup.sys, "platform", "linux")
    setup.install_torch(choice, "torch==2")
    assert (setup.CPU_INDEX in pip[-1]) is cpu_build
    assert pip[-1][-1] == "torch==2"


def test_another_platform_takes_what_pip_plans_for_it_with_hashes(
    root: Path, pip: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "constraints.txt").write_text("numpy==1\nLinux_only==1\ntorch==2\n")
    (root / "tools").mkdir()
    entries = [f"{name}==1 \\\n    --hash=sha256:{name}\n" for name in ("numpy", "linux-only")]
    (root / "tools/hashes.txt").write_text("".join(entries))
    taken: list[str] = []
    monkeypatch.setattr(setup, "LISTED_FOR", ("Plan 9", "mips", "3.11"))
    monkeypatch.setattr(setup, "install_torch", lambda *_: taken.append("torch"))
    monkeypatch.setattr(setup, "install_listed", taken.extend)
    monkeypatch.setattr(setup, "planned", lambda *_: {"numpy", "plan9-only"})
    monkeypatch.setattr(setup.subprocess, "run", lambda *_, **__: None)
    (root / ".venv/lib/python3/site-packages").mkdir(parents=True)
    setup.install("cpu")
    assert taken == [entries[0], "torch"]
    assert pip == [("install", "-qq", "-c", "constraints.txt", "--editable", ".[book,test]")]
    (root / "constraints.txt").write_text("numpy==2\nLinux_only==1\ntorch==2\n")
    with pytest.raises(SystemExit, match="numpy: pinned is 2, hashes are of 1: run `make hashes`"):
        setup.install("cpu")


def test_a_finished_environment_is_left_alone(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(setup.subprocess, "run", lambda *a, **k: made.append("venv"))
    monkeypatch.setattr(setup, "install", lambda choice: setup.VENV.mkdir(exist_ok=True))
    assert setup.main() == 0
    assert setup.main() == 0
    assert made == ["venv"]
    (root / "constraints.txt").write_text("numpy==2\ntorch==2\n")
    assert setup.main() == 0
    assert made == ["venv", "venv"]


def test_each_stage_is_said_before_it_starts(
    root: Path, pip: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    heard: list[tuple[str, str]] = []

    def note(what: str) -> None:
        heard.append((what, capfd.readouterr().out))

    (root / "tools").mkdir()
    (root / "tools/hashes.txt").write_text("numpy==1 \\\n    --hash=sha256:numpy\n")
    (root / ".venv/lib/python3.11/site-packages").mkdir(parents=True)
    monkeypatch.setattr(setup, "LISTED_FOR", None)
    monkeypatch.setattr(setup, "planned", lambda *_: {"numpy"})
    monkeypatch.setattr(setup.subprocess, "run", lambda command, **k: note(command[2]))
    monkeypatch.setattr(setup, "install_listed", lambda entries: note("list"))
    monkeypatch.setattr(setup, "install_torch", lambda choice, requirement: note(requirement))
    assert setup.main() == 0
    assert [what for what, _ in heard] == ["venv", "list", "torch==2", "compileall"]
    said = [text for _, text in heard]
    assert "1 of 4: an empty environment" in said[0]
    assert said[1].startswith("make setup: 2 of 4: 1 exact versions; ")
    assert said[2].startswith("make setup: 3 of 4: torch 2: ")
    assert said[3].startswith("make setup: 4 of 4: compiling")


def test_an_interrupted_setup_is_made_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup.subprocess, "run", lambda *a, **k: None)

    def interrupted(choice: str) -> None:
        setup.VENV.mkdir(exist_ok=True)
        raise KeyboardInterrupt

    monkeypatch.setattr(setup, "install", interrupted)
    with pytest.raises(KeyboardInterrupt):
        setup.main()
    assert not (setup.VENV / ".stamp").exists()


def test_an_old_python_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(setup.sys, "version_info", (3, 10, 0, "final", 0))
    assert setup.main() == 1
    assert "PYTHON=" in capsys.readouterr().err


def test_an_unknown_build_of_torch_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TORCH", "tpu")
    assert setup.main() == 1
    assert "TORCH=cpu" in capsys.readouterr().err


def test_the_list_has_an_exact_version_for_every_direct_requirement() -> None:
    import tomllib

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    root = Path(setup.__file__).resolve().parent.parent
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    exact = {canonicalize_name(name): version for name, version in (r.split("==") for r in lines)}
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]  # of which the set-up leaves out the peers
    for row in [*project["dependencies"], *extras["book"], *extras["test"]]:
        requirement = Requirement(row)
        assert requirement.specifier.contains(exact[canonicalize_name(requirement.name)])
