"""Render the conda environments from ``pyproject.toml``; ``--check`` only compares.

``environment.yml`` is for work on the book, ``.binder/environment.yml`` for running its pages.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
# What conda-forge has of the package's own requirements, and what it calls them. pip brings the
# others: bioframe, cooler and cooltools are on bioconda, and tools of the book change names more.
CONDA_FORGE = {
    "anndata": "anndata",
    "filelock": "filelock",
    "ipykernel": "ipykernel",
    "jsonschema": "jsonschema",
    "lazy-loader": "lazy_loader",
    "matplotlib": "matplotlib-base",
    "numpy": "numpy",
    "pandas": "pandas",
    "platformdirs": "platformdirs",
    "pooch": "pooch",
    "POT": "pot",
    "pyyaml": "pyyaml",
    "rdata": "rdata",
    "safetensors": "safetensors",
    "scanpy": "scanpy",
    "scikit-image": "scikit-image",
    "scikit-learn": "scikit-learn",
    "scipy": "scipy",
    "torch": "pytorch",
    "torch-geometric": "pytorch_geometric",
    "torchdiffeq": "torchdiffeq",
    "tqdm": "tqdm",
}
HEAD = """# Rendered from pyproject.toml by `make pairs`: do not edit.
# {use}
name: scstlib
channels:
  - conda-forge
dependencies:
  - python {python}
"""
WORK = "conda env create -f environment.yml && conda activate scstlib"
RUN = "For Binder, which then runs postBuild; it has no GPU and takes the CPU build of pytorch."
RUN_PYTHON = "=3.12"  # Binder starts from an environment of its own, with that Python


def rows(requirements: list[str]) -> tuple[list[str], list[str]]:
    """Requirements by who brings them, conda or pip, each sorted."""
    conda, pip = set(), set()
    for text in requirements:
        requirement = Requirement(text)
        by_conda = requirement.name in CONDA_FORGE
        if requirement.extras or (requirement.marker and by_conda):
            raise ValueError(f"{text!r} has extras or a marker: say here what conda takes for it")
        bounds = ",".join(sorted(map(str, requirement.specifier), reverse=True))
        marker = f"; {requirement.marker}".replace('"', "'") if requirement.marker else ""
        if by_conda:
            conda.add(f"{CONDA_FORGE[requirement.name]} {bounds}")
        else:
            pip.add(f"{requirement.name}{bounds}{marker}")
    return sorted(conda, key=str.lower), sorted(pip, key=str.lower)


def render(
    pyproject: str, extras: tuple[str, ...], last: list[str], use: str, python: str = ""
) -> str:
    """Text of an ``environment.yml``.

    Parameters
    ----------
    pyproject
        Text of a ``pyproject.toml``.
    extras
        Whose requirements it has beside those of the package.
    last
        Lines for pip after them.
    use
        What the file is for, for its second line.
    python
        Which one; those of the package without it.
    """
    project = tomllib.loads(pyproject)["project"]
    optional = [row for extra in extras for row in project["optional-dependencies"][extra]]
    conda, pip = rows([*project["dependencies"], *optional])
    lines = [f'  - "{row}"\n' for row in conda] + ["  - pip\n", "  - pip:\n"]
    lines += [f'      - "{row}"\n' for row in pip] + [f"      - {row}\n" for row in last]
    return HEAD.format(python=python or project["requires-python"], use=use) + "".join(lines)


def rendered(pyproject: str) -> dict[str, str]:
    """Text of each file, by its path in the repository."""
    return {
        "environment.yml": render(pyproject, ("book", "test"), ["--editable ."], WORK),
        ".binder/environment.yml": render(pyproject, (), [], RUN, RUN_PYTHON),
    }


def main() -> int:
    """Command line: write, or with ``--check`` fail on a difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail on a difference")
    check = parser.parse_args().check
    texts = rendered((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wrong = []
    for name, text in texts.items():
        target = ROOT / name
        if not check:
            target.write_text(text, encoding="utf-8")
        elif not target.is_file() or target.read_text(encoding="utf-8") != text:
            wrong.append(name)
    for name in wrong:
        print(f"{name} differs from pyproject.toml: run `make pairs` and commit", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
