"""Checked exercises: the check exists, the stub is not right yet, the executed solution is."""

from __future__ import annotations

import ast
import functools
import inspect
import json
from typing import Any
from unittest.mock import MagicMock

import pytest

from scstlib import checks
from tools import notebooks, pair, solutions

SOURCES = pair.sources(notebooks.ROOT / "notebooks")
NAMES = [f"{path.parent.name}/{path.stem}" for path in SOURCES]


def solved(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    """The cells of a notebook with solutions."""
    cells = notebooks.code_cells(notebook)
    return [cell for cell in cells if solutions.TAG in cell["metadata"].get("tags", [])]


@functools.cache
def derived(name: str) -> dict[str, Any]:
    """The notebook of a page, every cell's source as one string."""
    found: dict[str, Any] = json.loads(pair.derive(notebooks.ROOT / "notebooks" / f"{name}.py"))
    for cell in found["cells"]:
        cell["source"] = "".join(cell["source"])
    return found


def last_call(source: str) -> ast.Call:
    """The call of a check that ends a cell."""
    (*_, last) = ast.parse(source).body
    assert isinstance(last, ast.Expr), source
    assert isinstance(last.value, ast.Call), source
    return last.value


def judged_by(call: ast.Call) -> Any:
    """The check that a cell calls."""
    func, first = call.func, call.args[0]
    assert isinstance(func, ast.Attribute), "checks.NAME(answer, ...) ends the cell"
    assert ast.unparse(func.value) == "checks"
    assert func.attr in checks.__all__
    assert ast.unparse(first) == "answer"
    return getattr(checks, func.attr)


def of_stub(source: str) -> checks.Feedback:
    """What the check says to a stub, with stand-ins for all that the page has computed."""
    call = last_call(solutions.stub(source))
    names = {node.id for node in ast.walk(call) if isinstance(node, ast.Name)}
    page = {name: MagicMock() for name in names} | {"checks": checks, "answer": ...}
    found = eval(compile(ast.Expression(call), "stub", "eval"), page)
    assert isinstance(found, checks.Feedback)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_solutions_end_in_a_check_and_stubs_are_not_right_yet(name: str) -> None:
    notebook = derived(name)
    cells = solved(notebook)
    code = "\n".join(cell["source"] for cell in notebooks.code_cells(notebook))
    assert ("from scstlib import checks" in code) == bool(cells)
    for cell in cells:
        source = cell["source"]
        assert len(solutions.REGION.findall(source)) == 1
        assert "answer = ...\nchecks." in solutions.stub(source)
        call = last_call(source)
        check = judged_by(call)
        keywords = {each.arg: each.value for each in call.keywords if each.arg}
        inspect.signature(check).bind(*call.args, **keywords)
        feedback = of_stub(source)
        assert not feedback.right
        assert "nothing filled in yet" in feedback.message
        assert cell["metadata"]["cellView"] == "form"


def test_each_check_serves_an_exercise() -> None:
    used = {judged_by(last_call(c["source"])).__name__ for n in NAMES for c in solved(derived(n))}
    assert used == set(checks.__all__) - {"Feedback"}


@pytest.mark.parametrize("name", notebooks.names())
def test_executed_solutions_are_right(name: str) -> None:
    path = notebooks.executed_path(name)
    if not path.is_file():
        pytest.skip("this page was not run: run `make book`")
    page = notebooks.read(path)
    missing = page["metadata"].get("scst", {}).get("missing")
    cells = notebooks.code_cells(page)[: missing["cell"] if missing else None]
    for cell in solved({"cells": cells}):
        shown = [o["data"]["text/plain"] for o in cell["outputs"] if "data" in o]
        assert shown, cell["source"]
        assert "".join(shown[-1]).startswith("Right: "), "".join(shown[-1])


def test_a_stub_has_one_line_in_place_of_the_region() -> None:
    source = "a = 1\n### BEGIN SOLUTION\nanswer = a\n### END SOLUTION\nchecks.f(answer, a)"
    assert solutions.stub(source) == "a = 1\nanswer = ...\nchecks.f(answer, a)"
    cell = {"source": source, "metadata": {}}
    solutions.fold_on_colab(cell)
    assert str(cell["source"]).startswith("# @title Solution\na = 1\n")
    assert cell["metadata"] == {"cellView": "form"}
    assert solutions.stub(str(cell["source"])) == solutions.stub(source)
