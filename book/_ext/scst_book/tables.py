"""The generated tables: ``<!-- table: NAME -->`` on a page of prose is replaced by the table."""

from __future__ import annotations

import re
from collections.abc import Callable

from sphinx.application import Sphinx

MARK = re.compile(r"^<!-- table: (\w+) -->$", flags=re.MULTILINE)
TABLES: dict[str, Callable[[], str]] = {}


def fill(app: Sphinx, docname: str, text: str) -> str:
    """Replace the marks of a page by their tables."""
    return MARK.sub(lambda mark: TABLES[mark[1]](), text)
