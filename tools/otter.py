"""A project as an assignment that otter-grader reads.

``otter assign`` makes from it the notebook for students and the file that grades what they hand in;
see https://otter-grader.readthedocs.io. Each checked exercise is a question, ``q2`` the second
exercise of the page, with a variable of its own because all tests may run at the end, and one point
if its check says *Right*.
"""

from __future__ import annotations

import copy
import re
from typing import Any

from tools import solutions

EXERCISE = re.compile(r"^> \*\*Exercise (?:\d+\.)?(\d+)\*\*", flags=re.MULTILINE)
PROMPT = '""" # BEGIN PROMPT\n{stub}""" # END PROMPT\n'


def assignment(notebook: dict[str, Any], name: str) -> dict[str, Any]:
    """The notebook with the raw cells by which otter-grader finds questions, solutions and tests.

    Parameters
    ----------
    notebook
        A project whose Markdown holds no solutions, as :func:`tools.teach.student` leaves it, and
        whose code cells still do.
    name
        Of the assignment.

    Raises
    ------
    ValueError
        If a solution does not end in a call of a check.
    """
    made = copy.deepcopy(notebook)
    config = f"# ASSIGNMENT CONFIG\nname: {name}\nexport_cell: false\ncheck_all_cell: true"
    cells = [_raw(f"{config}\ngenerate: true")]
    for cell in made["cells"]:
        if cell["cell_type"] == "code":
            cell["metadata"].pop("cellView", None)
        if solutions.TAG not in cell["metadata"].get("tags", []):
            cells.append(cell)
            continue
        text, question, number = _apart(cells.pop())
        cells += [text] if text["source"] else []
        cells += [_raw(f"# BEGIN QUESTION\nname: q{number}\npoints: 1"), question]
        cells += _solution(cell, f"answer_{number}")
        cells.append(_raw("# END QUESTION"))
    for position, cell in enumerate(cells):
        cell["id"] = f"cell-{position}"
    return {**made, "cells": cells}


def _apart(cell: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], str]:
    """A Markdown cell without its last exercise, that exercise, and its number on the page."""
    last = list(EXERCISE.finditer(cell["source"]))[-1]
    start = last.start()
    before = {**cell, "source": cell["source"][:start].rstrip()}
    asked = {"cell_type": "markdown", "metadata": {}, "source": cell["source"][start:].rstrip()}
    return before, asked, last[1]


def _solution(cell: dict[str, Any], variable: str) -> list[dict[str, Any]]:
    """The solution between its marks, and the test: the check accepts it."""
    source = re.sub(r"\banswer\b", variable, cell["source"].removeprefix(f"{solutions.TITLE}\n"))
    *_, last = source.rstrip().split("\n")
    if not last.startswith("checks."):
        raise ValueError(f"a solution ends in a check, not in {last!r}: write checks.NAME(answer)")
    stub = solutions.STUB.replace("answer", variable)
    marked = solutions.REGION.sub(
        lambda found: (
            f"# BEGIN SOLUTION NO PROMPT\n{found['code']}# END SOLUTION\n{PROMPT.format(stub=stub)}"
        ),
        source,
    )
    return [
        _raw("# BEGIN SOLUTION"),
        _code(marked),
        _raw("# END SOLUTION"),
        _raw("# BEGIN TESTS"),
        _code(f"{last}.right", "True"),
        _raw("# END TESTS"),
    ]


def _raw(source: str) -> dict[str, Any]:
    return {"cell_type": "raw", "metadata": {}, "source": source}


def _code(source: str, shown: str = "") -> dict[str, Any]:
    """A code cell, with what it shows."""
    result = {"output_type": "execute_result", "execution_count": 1, "metadata": {}}
    outputs = [{**result, "data": {"text/plain": shown}}] if shown else []
    count = 1 if shown else None
    own: dict[str, Any] = {
        "metadata": {},
        "outputs": outputs,
        "execution_count": count,
        "source": source,
    }
    return {"cell_type": "code", **own}
