"""Markdown tables."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

NUMBER = re.compile(r"−?\d[\d,]*(\.\d+)?")
NOTHING = ("", "–")


def markdown(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; cells are escaped where they would end one, numbers stand on the right."""
    written = [[cell(value) for value in row] for row in rows]
    columns = zip(*written, strict=True) if written else [[] for _ in head]
    marks = ["--:" if _of_numbers(column) else "---" for column in columns]
    return "\n".join("| " + " | ".join(line) + " |" for line in [list(head), marks, *written])


def plain(value: object) -> str:
    """Text that others wrote, on one line and with none of its HTML in force."""
    return html.escape(" ".join(str(value).split()), quote=False)


def cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def _of_numbers(column: Sequence[str]) -> bool:
    """Whether a column holds numbers, and nothing else but gaps."""
    filled = [value for value in column if value not in NOTHING]
    return bool(filled) and all(NUMBER.fullmatch(value) for value in filled)
