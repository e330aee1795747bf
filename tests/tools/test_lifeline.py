"""What a build starts ends with it, and what killed processes left is cleared away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools import lifeline

HOLDS = """
import sys, time
from pathlib import Path
from tools import lifeline
with lifeline.of_build(Path(sys.argv[1])):
    print("holds", flush=True)
    time.sleep(60)
"""
WAITS = """
import time
from tools import lifeline
lifeline.end_with_build()
print("runs", flush=True)
time.sleep(60)
"""


def child(code: str, *words: str) -> subprocess.Popen[str]:
    """A process that has said that it is there."""
    started = subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, text=True
    )
    assert started.stdout is not None
    assert started.stdout.readline() in ("holds\n", "runs\n")
    started.stdout.close()
    return started


def test_what_a_build_started_ends_when_it_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = child(HOLDS, str(tmp_path))
    (held,) = lifeline.running(tmp_path).iterdir()
    monkeypatch.setenv(lifeline.NAMED_IN, str(held))
    pages = [child(WAITS), child(WAITS)]
    time.sleep(0.2)
    assert [page.poll() for page in pages] == [None, None]
    lifeline.clear(tmp_path)  # A second build keeps off what is held.
    assert held.exists()
    build.kill()
    build.wait()
    assert [page.wait(5) for page in pages] == [-signal.SIGKILL] * 2
    late = subprocess.run([sys.executable, "-c", WAITS], capture_output=True, check=False)
    assert late.returncode == -signal.SIGKILL  # Begun by what outlived the build.
    lifeline.clear(tmp_path)
    assert list(lifeline.running(tmp_path).iterdir()) == []


def test_what_killed_processes_left_is_cleared(tmp_path: Path) -> None:
    running = lifeline.running(tmp_path)
    for name in ("page-one", "page-two"):
        (running / name).mkdir()
        (running / name / "notebook.ipynb").touch()
    held = lifeline.hold(running / "page-two")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    names = [f"a.json.{dead.pid}.tmp", f"b.json.{os.getpid()}.tmp", "mine.tmp"]
    for name in names:
        (tmp_path / "_build" / name).touch()
    lifeline.clear(tmp_path)
    assert [path.name for path in running.iterdir()] == ["page-two"]
    assert sorted(path.name for path in (tmp_path / "_build").glob("*.tmp")) == names[1:]
    os.close(held)
    lifeline.clear(tmp_path)
    assert list(running.iterdir()) == []


def test_a_build_names_itself_to_what_it_starts_and_leaves_nothing(tmp_path: Path) -> None:
    with lifeline.of_build(tmp_path):
        assert Path(os.environ[lifeline.NAMED_IN]).parent == lifeline.running(tmp_path)
    assert lifeline.NAMED_IN not in os.environ
    assert list(lifeline.running(tmp_path).iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent")
def test_a_process_whose_parent_ended_before_it_asked_ends_at_once() -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    ends = {}
    for ancestor in (dead.pid, os.getpid()):
        code = f"from tools import lifeline; lifeline.end_with_parent({ancestor})"
        ends[ancestor] = subprocess.run([sys.executable, "-c", code], check=False).returncode
    assert ends == {dead.pid: -signal.SIGKILL, os.getpid(): 0}
