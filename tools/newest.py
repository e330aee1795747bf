"""Try the package as a user without a clone gets it: ``make newest``.

A wheel is built from the tree and installed into an empty environment with the newest versions that
its bounds allow; there the examples of README.md and of the commands' help run. Then the extras
``book`` and ``test`` come, and the fast tests run in the tree; warnings of deprecation, errors
elsewhere, are listed at their end. What it takes is downloaded: some minutes. ``TORCH=cpu`` takes
torch from the index of its CPU builds.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from tools.setup import CPU_INDEX, ROOT

FOLDER = ROOT / "_build" / "newest"
VENV = FOLDER / "venv"
# The examples, and what pytest needs to find them; outside the tree, so that the wheel is imported.
COPIED = ("README.md", "tests/conftest.py", "tests/test_readme.py", "tests/commands/test_main.py")
EXAMPLES = "test_readme or test_every_example_of_the_help_runs"
LISTED = ("DeprecationWarning", "PendingDeprecationWarning", "FutureWarning")


def run(*command: object, folder: Path = FOLDER) -> None:
    """Run a command in a folder; raises an error if it fails."""
    subprocess.run(list(map(str, command)), cwd=folder, check=True)


def install() -> Path:
    """Make the environment, torch first, then the wheel with what it needs; returns the wheel."""
    run(sys.executable, "-m", "venv", "--clear", VENV)
    pip = (VENV / "bin" / "python", "-m", "pip")
    cpu = ("--index-url", CPU_INDEX) if os.environ.get("TORCH") == "cpu" else ()
    run(*pip, "install", "-qq", "--no-compile", *cpu, "torch")
    run(*pip, "wheel", "-qq", "--no-deps", "--wheel-dir", FOLDER, ROOT)
    (wheel,) = FOLDER.glob("scstlib-*.whl")
    run(*pip, "install", "-qq", "--no-compile", wheel, "pytest", "hypothesis")
    run(*pip, "check")
    return wheel


def main() -> int:
    """Command line; prints the versions of what the package asks for."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    for name in COPIED:
        (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, FOLDER / name)
    wheel = install()
    python = VENV / "bin" / "python"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [requirement.partition(">=")[0] for requirement in project["dependencies"]]
    versions = "import sys; from importlib.metadata import version as v; print(sys.version)"
    run(python, "-c", f"{versions}; print(*(f'{{n}} {{v(n)}}' for n in {named}), sep='\\n')")
    run(python, "-P", "-m", "pytest", "-q", "--import-mode=importlib", "-k", EXAMPLES, "tests")
    run(python, "-m", "pip", "install", "-qq", "--no-compile", f"{wheel}[book,test]")
    warned = [word for name in LISTED for word in ("-W", f"default::{name}")]
    tests = ("pytest", "-q", "-n", "2", "-p", "no:cacheprovider", "-m", "not slow and not book")
    run(python, "-m", *tests, *warned, folder=ROOT)
    shutil.rmtree(VENV)  # gigabytes, where torch comes with CUDA
    return 0


if __name__ == "__main__":
    sys.exit(main())
