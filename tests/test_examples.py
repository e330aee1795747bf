"""The examples in the docstrings run and show what they say."""

from __future__ import annotations

import doctest
import inspect
import pkgutil
from importlib import import_module
from typing import Any

import pytest

import scstlib

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
NAMES = [
    info.name
    for info in pkgutil.walk_packages(scstlib.__path__, "scstlib.")
    if not info.name.endswith("__main__")
]
FOUND = {
    test.name: test
    for name in NAMES
    for test in doctest.DocTestFinder(exclude_empty=True).find(import_module(name))
    if test.examples
}


@pytest.mark.parametrize("name", FOUND)
def test_example(name: str) -> None:
    test = FOUND[name]
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    runner.run(test, out=said.append, clear_globs=False)
    assert runner.failures == 0, "".join(said)


def documented(name: str) -> Any:
    """The function or class that a name of the finder's stands for; None for a module."""
    module = max((m for m in NAMES if name.startswith(f"{m}.")), key=len, default=None)
    return None if module is None else getattr(import_module(module), name[len(module) + 1 :], None)


def test_most_rooms_show_how_they_are_used() -> None:
    public = [n for n in FOUND if not n.rsplit(".", 1)[-1].startswith("_")]
    assert sum(inspect.isfunction(documented(name)) for name in public) >= 40
