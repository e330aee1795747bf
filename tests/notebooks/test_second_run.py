"""A second run of every page gives the same text and the same images."""

from __future__ import annotations

import os

import pytest

from tools import notebooks
from tools.second_run import second_run

pytestmark = [pytest.mark.book, pytest.mark.slow]


@pytest.mark.parametrize("name", notebooks.names())
def test_second_run_gives_the_same_outputs(name: str) -> None:
    path = notebooks.executed_path(name)
    if not path.is_file() and not os.environ.get("CI"):
        pytest.skip("this page was not run: run `make book`")
    missing = notebooks.record(name).get("missing")
    if missing:
        pytest.skip(f"this page went without {missing['dataset']}")
    assert second_run(path, notebooks.ROOT) == ""
