"""What search engines and the book's own search say of a page: its opening, never code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from docutils import nodes
from scst_book import theme

from tools import notebooks


def page(*blocks: nodes.Node) -> nodes.document:
    """A page with a title and blocks below it."""
    document = nodes.document(None, None)
    document += nodes.section("", nodes.title(text="Title"), *blocks)
    return document


def test_the_description_is_the_opening_of_the_page():
    note = nodes.note("", nodes.paragraph(text="A note."))
    opening = nodes.paragraph(text="What a map\nshows.")
    later = nodes.paragraph(text="Something else.")
    assert theme.description(page(note, opening, later)) == "What a map shows."


def test_a_long_opening_ends_with_a_whole_sentence():
    first, second = "One sentence of the page. ", "Another sentence of the page. "
    found = theme.description(page(nodes.paragraph(text=first + second * 9)))
    assert found == (first + second * 4).strip()
    assert len(found) <= theme.DESCRIPTION


def test_a_page_without_an_opening_has_no_description():
    assert theme.description(page(nodes.section("", nodes.title(text="Below")))) == ""
    assert theme.description(None) == ""


@pytest.mark.book
def test_every_page_has_a_description_of_its_own(html: Path):
    found = {}
    for name in notebooks.pages():
        head = (html / f"{name}.html").read_text(encoding="utf-8").partition("</head>")[0]
        tags = BeautifulSoup(head, "html.parser").select("meta[name=description]")
        assert len(tags) == 1, name
        found[name] = str(tags[0]["content"])
        assert 30 <= len(found[name]) <= 250, name
        assert not re.match(r"(import|from \S+ import|\W)", found[name]), name
    assert len(set(found.values())) == len(found)
