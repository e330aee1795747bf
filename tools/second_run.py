"""Run an executed copy again with nbval and compare all outputs, images included."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tools import execute

SANITIZE = "tests/notebooks/sanitize.cfg"


def pytest_collectstart(collector: Any) -> None:
    """Let nbval compare images: without nbdime it leaves them out."""
    if hasattr(collector, "skip_compare"):
        images = ("image/png", "image/jpeg")
        collector.skip_compare = tuple(k for k in collector.skip_compare if k not in images)


def second_run(path: Path, root: Path) -> str:
    """What differs between an executed copy and a second run of it; empty when nothing does."""
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", str(path)]
    command += ["-p", "nbval.plugin", "-p", "tools.second_run", "-p", "no:cacheprovider", "-q"]
    command += ["-c", os.devnull, "--rootdir", str(root)]
    sanitize = root / SANITIZE
    command += ["--nbval-sanitize-with", str(sanitize)] if sanitize.is_file() else []
    environment = {**os.environ, **execute.kernel_environment(root / "_build")}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # importing them all takes 2 s a page
    repository = str(Path(__file__).resolve().parent.parent)
    environment["PYTHONPATH"] = os.pathsep.join([repository, os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr
