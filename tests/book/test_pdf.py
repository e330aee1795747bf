"""The book on paper: one document, whose links lead inside it, with nothing cut off."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from tools import notebooks, pdf

PAGES = ["book/faq", "notebooks/foundations/contact_maps", "book/reproducibility"]
PAGE = """<html><head><link href="../_static/a.css" rel="stylesheet"><script>other()</script></head>
<body><article><h1 id="top">{title}</h1><details><summary>Answer</summary>Yes.</details>
<a href="b.html#top">next</a> <a href="#top">up</a> <a href="https://example.org">out</a>
<a href="../_images/x.png"><img src="../_images/x.png" alt="x"></a>{more}</article></body></html>"""


def tiny(folder: Path, more: str = "") -> Path:
    """A book of two pages."""
    html = folder / "html"
    (html / "p").mkdir(parents=True)
    for name in ("a", "b"):
        (html / "p" / f"{name}.html").write_text(PAGE.format(title=name, more=more))
    return html


def test_links_lead_inside_the_document_and_all_is_unfolded(tmp_path: Path) -> None:
    html = tiny(tmp_path)
    made = BeautifulSoup(pdf.document(["p/a", "p/b"], html, tmp_path / "pdf"), "html.parser")
    ids = [str(node["id"]) for node in made.select("[id]")]
    assert ids == ["p/a--", "p/a--top", "p/b--", "p/b--top"]
    links = [str(link["href"]) for link in made.select("section a[href]")]
    assert links == ["#p/b--top", "#p/a--top", "https://example.org"] + [
        "#p/b--top", "#p/b--top", "https://example.org",
    ]  # fmt: skip
    assert {str(image["src"]) for image in made.select("img")} == {"../html/_images/x.png"}
    assert made.select_one("link")["href"] == "../html/_static/a.css"  # type: ignore[index]
    assert not made.select("details:not([open]), script")


def test_a_page_without_an_article_is_named(tmp_path: Path) -> None:
    html = tiny(tmp_path)
    (html / "p" / "b.html").write_text("<html></html>")
    with pytest.raises(ValueError, match=r"p/b\.html has no article"):
        pdf.document(["p/a", "p/b"], html, tmp_path)


def printed(names: list[str], html: Path, folder: Path) -> tuple[bytes, list[str]]:
    """A PDF and what is wider than its paper."""
    if pdf.browser() is None:
        pytest.skip("no Chromium on this machine: install the package chromium (see .ci/run)")
    (folder / "book.html").write_text(pdf.document(names, html, folder), encoding="utf-8")
    wide = pdf.print_pdf(folder / "book.html", folder / "book.pdf")
    return (folder / "book.pdf").read_bytes(), wide


def leaves(made: bytes) -> int:
    """Pages of a PDF."""
    return len(re.findall(rb"/Type\s*/Page\b(?!s)", made))


@pytest.mark.slow
def test_what_is_wider_than_the_paper_is_found(tmp_path: Path) -> None:
    html = tiny(tmp_path, "<p style='width: 900px'>too wide</p>")
    made, wide = printed(["p/a", "p/b"], html, tmp_path)
    assert wide == ["p: too wide"] * 2
    assert leaves(made) == 1


@pytest.mark.book
@pytest.mark.slow
def test_pages_of_the_book_are_printed_with_nothing_cut_off(html: Path, tmp_path: Path) -> None:
    made, wide = printed(PAGES, html, tmp_path)
    assert wide == []
    assert leaves(made) >= 2 * len(PAGES)
    assert b"/Outlines" in made
    assert set(PAGES) <= set(notebooks.pages())
