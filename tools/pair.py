"""Derive each committed ``.ipynb`` from the ``.py`` beside it, byte for byte the same each time.

``python -m tools.pair`` writes those that differ; ``python -m tools.pair --check`` lists them and
fails. Contents are compared, never file times. Exercises get their numbers here, and the book, the
slides and what students are given read them from the notebooks.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from itertools import count
from pathlib import Path

from tools import notebooks, solutions

ROOT = Path(__file__).resolve().parent.parent
EXERCISE = re.compile(r"^> \*\*Exercise(?=\*\*)", flags=re.MULTILINE)
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def sources(folder: Path) -> list[Path]:
    """The edited pages below ``folder``, ``part/name.py``, in order of their names."""
    return sorted(_visible(folder, "*.py"))


def _visible(folder: Path, pattern: str) -> list[Path]:
    """Files below a folder that match, without those in hidden folders (Jupyter's checkpoints)."""
    found = folder.rglob(pattern)
    return [f for f in found if not any(p[0] == "." for p in f.relative_to(folder).parts)]


def derive(source: Path, number: int = 0) -> str:
    """Text of the notebook that ``source`` stands for: ids made from contents, no outputs.

    ``number`` is that of the page, which comes before that of an exercise; 0 if it has none.
    """
    import jupytext  # half a second: not paid by those that only list pages

    notebook = jupytext.read(source, fmt="py:percent")
    seen: dict[str, int] = {}
    cells = []
    chapter, exercise = f" {number}." if number else " ", count(1)
    for cell in notebook.cells:
        if solutions.TAG in cell.metadata.get("tags", []):
            solutions.fold_on_colab(cell)
        content = f"{cell.cell_type}\n{cell.source}"
        seen[content] = seen.get(content, 0) + 1
        digest = hashlib.sha256(f"{seen[content]}\n{content}".encode()).hexdigest()
        plain = {"cell_type": cell.cell_type, "id": digest[:12], "metadata": dict(cell.metadata)}
        if cell.cell_type == "code":
            plain |= {"execution_count": None, "outputs": []}
        else:
            cell.source = EXERCISE.sub(lambda m: f"{m[0]}{chapter}{next(exercise)}", cell.source)
        plain["source"] = cell.source.splitlines(keepends=True)
        cells.append(plain)
    document = {"cells": cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def drifted(folder: Path) -> dict[Path, str | None]:
    """Notebooks that differ from their source, each with its right text.

    None stands for a notebook whose source is gone: it is to be deleted.
    """
    numbers = notebooks.numbers(folder.parent)
    right = {
        source.with_suffix(".ipynb"): derive(
            source, numbers.get(f"{source.parent.name}/{source.stem}", 0)
        )
        for source in sources(folder)
    }
    wrong: dict[Path, str | None] = {
        path: text
        for path, text in right.items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    }
    wrong |= {path: None for path in _visible(folder, "*.ipynb") if path not in right}
    return wrong


def pair(folder: Path) -> list[Path]:
    """Write the notebooks that differ from their source; returns their paths.

    A notebook without a source is left alone: it may be someone's only copy.
    """
    changed = [(path, text) for path, text in drifted(folder).items() if text is not None]
    for path, text in changed:
        path.write_text(text, encoding="utf-8")
    return [path for path, _ in changed]


def main() -> int:
    """Command line: write, or with ``--check`` only report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail on a difference")
    arguments = parser.parse_args()
    folder = ROOT / "notebooks"
    if not arguments.check:
        for path in pair(folder):
            print(f"paired {path.relative_to(ROOT)}")
        return 0
    wrong = drifted(folder)
    for path, text in wrong.items():
        problem = "has no .py source" if text is None else "differs from its .py source"
        print(f"{path.relative_to(ROOT)} {problem}: run `make pairs` and commit", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
