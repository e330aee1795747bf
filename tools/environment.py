"""Render ``environment.yml`` from ``pyproject.toml``; ``--check`` only compares."""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# conda installs Python and pip, and pip the rest: both ways of setting up take the same packages.
HEAD = """# Rendered from pyproject.toml by `make pairs`: do not edit.
# conda env create -f environment.yml && conda activate scstlib
name: scstlib
channels:
  - conda-forge
dependencies:
  - python {python}
  - pip
  - pip:
"""


def render(pyproject: str) -> str:
    """Text of ``environment.yml`` for the text of a ``pyproject.toml``."""
    project = tomllib.loads(pyproject)["project"]
    extras = project["optional-dependencies"]
    requirements = [*project["dependencies"], *extras["book"], *extras["test"]]
    rows = sorted({re.sub(r"\s+", "", row) for row in requirements}, key=str.lower)
    lines = [f'      - "{row}"\n' for row in rows]
    return HEAD.format(python=project["requires-python"]) + "".join(
        [*lines, "      - --editable .\n"]
    )


def main() -> int:
    """Command line: write, or with ``--check`` fail on a difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail on a difference")
    target = ROOT / "environment.yml"
    text = render((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    if not parser.parse_args().check:
        target.write_text(text, encoding="utf-8")
        return 0
    if target.is_file() and target.read_text(encoding="utf-8") == text:
        return 0
    print(
        "environment.yml differs from pyproject.toml: run `make pairs` and commit", file=sys.stderr
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
