"""Fixtures of the tests on the rendered book."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tools import notebooks

HTML = notebooks.ROOT / "_build" / "html"


@pytest.fixture(scope="session")
def html() -> Path:
    """Folder of the rendered book."""
    if not (HTML / ".complete").is_file():
        if os.environ.get("CI"):
            pytest.fail("no book in _build/html: run `make test`")
        pytest.skip("no book in _build/html: run `make book`")
    return HTML
