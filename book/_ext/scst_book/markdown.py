"""Markdown tables."""

from __future__ import annotations

import html
from collections.abc import Sequence


def markdown(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; cells are escaped where they would end one."""
    lines = [list(head), ["---"] * len(head), *[[cell(value) for value in row] for row in rows]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def plain(value: object) -> str:
    """Text that others wrote, on one line and with none of its HTML in force."""
    return html.escape(" ".join(str(value).split()), quote=False)


def cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
