"""What stands in the book, in order: read from ``book/_toc.yml`` and from the pages themselves.

The pages with code are numbered through the book, parts or no parts. Titles, summaries and minutes
are taken from the first cell of a page, so that no list of pages is kept by hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml

from scst_book.markdown import markdown

CODE = "notebooks/"
TITLE = re.compile(r"^# +(.+?) *$", flags=re.MULTILINE)
MINUTES = re.compile(r"(\d+) min to read, (\d+) min to run")


@dataclass(frozen=True)
class Page:
    """A page: its path without suffix, its part and what it says of itself.

    ``number`` and ``minutes`` (to read, to run) are those of a page with code, and 0 without.
    ``part`` is empty for a page below another page.
    """

    name: str
    suffix: str
    part: str
    number: int
    title: str
    summary: str
    minutes: tuple[int, int] = (0, 0)

    @property
    def link(self) -> str:
        """Link from a page in ``book/``, with the title as its text."""
        inside = self.name.startswith("book/")
        path = self.name.removeprefix("book/") if inside else f"../{self.name}"
        return f"[{self.title}]({path}{self.suffix})"


def read(root: Path) -> list[Page]:
    """The pages of the book at ``root`` in reading order, its front page left out."""
    toc = root / "book" / "_toc.yml"
    found: list[Page] = []
    number = 0
    for name, part in _entries(yaml.safe_load(toc.read_text(encoding="utf-8"))):
        number += name.startswith(CODE)
        found.append(_page(root, name, part, number if name.startswith(CODE) else 0))
    return found


def summary(first: str) -> str:
    """The paragraph between the title and the learning box of a page, as one line."""
    between = TITLE.sub("", first, count=1).strip().split("\n\n")[0]
    return "" if between.startswith(">") else between.replace("\n", " ")


def _entries(toc: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Path and part of every entry."""
    for part in toc.get("parts") or [toc]:
        for entry in part.get("chapters") or []:
            yield entry["file"], part.get("caption", "Pages")
            yield from ((name, "") for name in _below(entry))


def _below(entry: dict[str, Any]) -> Iterator[str]:
    """Paths of the pages below a page."""
    for below in entry.get("sections") or []:
        yield below["file"]
        yield from _below(below)


def _page(root: Path, name: str, part: str, number: int) -> Page:
    suffix = ".ipynb" if (root / f"{name}.ipynb").is_file() else ".md"
    path = root / f"{name}{suffix}"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    if suffix == ".ipynb":
        text = "".join(json.loads(text)["cells"][0]["source"])
    title, minutes = TITLE.search(text), MINUTES.search(text)
    return Page(
        name,
        suffix,
        part,
        number,
        title[1] if title else name,
        summary(text) if number else "",
        (int(minutes[1]), int(minutes[2])) if minutes else (0, 0),
    )


def contents(root: Path) -> str:
    """All pages by part: those with code one a line with their summaries, the others in a row."""
    parts = []
    for part, group in groupby([p for p in read(root) if p.part], key=lambda page: page.part):
        pages = list(group)
        lines = [f"- {p.link}: {p.summary}" for p in pages if p.number]
        rest = [p.link for p in pages if not p.number]
        lines += ["- " + " · ".join(rest)] if rest else []
        parts.append("\n".join([f"**{part}**", "", *lines]))
    return "\n\n".join(parts)


def sessions(root: Path) -> str:
    """The pages with code as a plan of sessions: what it takes to read and to run each."""
    pages = [page for page in read(root) if page.number]
    rows = [[page.link, *page.minutes] for page in pages]
    return markdown(["page", "min to read", "min to run"], rows)


TABLES = {"contents": contents, "sessions": sessions}
