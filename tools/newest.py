"""Try the package as a user without a clone gets it: ``make newest``.

A wheel is built from the tree and installed into an empty environment with the newest versions that
its bounds allow; there the examples of README.md and of the commands' help run. What it takes is
downloaded: some minutes. ``TORCH=cpu`` takes torch from the index of its CPU builds.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib

from tools.setup import CPU_INDEX, ROOT

FOLDER = ROOT / "_build" / "newest"
VENV = FOLDER / "venv"
# The examples, and what pytest needs to find them; outside the tree, so that the wheel is imported.
COPIED = ("README.md", "tests/conftest.py", "tests/test_readme.py", "tests/commands/test_main.py")
EXAMPLES = "test_readme or test_every_example_of_the_help_runs"


def run(*command: object) -> None:
    """Run a command in the folder; raises an error if it fails."""
    subprocess.run(list(map(str, command)), cwd=FOLDER, check=True)


def install() -> None:
    """Make the environment: torch first, then the wheel with what it needs."""
    run(sys.executable, "-m", "venv", "--clear", VENV)
    pip = (VENV / "bin" / "python", "-m", "pip")
    cpu = ("--index-url", CPU_INDEX) if os.environ.get("TORCH") == "cpu" else ()
    run(*pip, "install", "-qq", "--no-compile", *cpu, "torch")
    run(*pip, "wheel", "-qq", "--no-deps", "--wheel-dir", FOLDER, ROOT)
    (wheel,) = FOLDER.glob("scstlib-*.whl")
    run(*pip, "install", "-qq", "--no-compile", wheel, "pytest", "hypothesis")
    run(*pip, "check")


def main() -> int:
    """Command line; prints the versions of what the package asks for."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    for name in COPIED:
        (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, FOLDER / name)
    install()
    python = VENV / "bin" / "python"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [requirement.partition(">=")[0] for requirement in project["dependencies"]]
    versions = "import sys; from importlib.metadata import version as v; print(sys.version)"
    run(python, "-c", f"{versions}; print(*(f'{{n}} {{v(n)}}' for n in {named}), sep='\\n')")
    run(python, "-P", "-m", "pytest", "-q", "--import-mode=importlib", "-k", EXAMPLES, "tests")
    shutil.rmtree(VENV)  # gigabytes, where torch comes with CUDA
    return 0


if __name__ == "__main__":
    sys.exit(main())
