"""The rendered pages: whole, linked rightly, readable without images and without a network."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from scst_book import contents, theme

from tests.book import checks
from tools import notebooks

PAGES = notebooks.pages()
TITLES = {
    page.name: f"{page.number} {page.title}".replace("'", "’")
    for page in contents.read(notebooks.ROOT)
    if page.number
}
pytestmark = pytest.mark.book


@pytest.mark.parametrize("page", PAGES)
def test_page_is_whole_and_reachable(html: Path, page: str) -> None:
    parsed = checks.read(html / f"{page}.html")
    wrong = checks.content(parsed, page.startswith("notebooks/"))
    wrong += checks.images(parsed) + checks.figures(parsed) + checks.foreign(parsed)
    wrong += checks.source_links(parsed, page, checks.committed())
    assert wrong == []
    assert parsed.select_one("article h1").get_text().startswith(TITLES.get(page, ""))
    assert parsed.title.get_text(strip=True).startswith(TITLES.get(page, ""))


def test_no_link_leads_nowhere(html: Path) -> None:
    pages: dict[Path, checks.Anchors] = {}
    wrong = {
        str(path.relative_to(html)): found
        for path in sorted(html.rglob("*.html"))
        if (found := checks.links(path, html, pages))
    }
    assert wrong == {}


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("notebooks/")])
def test_interactive_figures_load_fast(html: Path, page: str) -> None:
    if 'class="scst-viewer"' not in (html / f"{page}.html").read_text(encoding="utf-8"):
        return
    sizes = [len(str(node)) for node in checks.read(html / f"{page}.html").select(".scst-viewer")]
    assert sizes
    assert max(sizes) < 300_000, "wider bins, fewer maps or a shorter region make it smaller"


def test_style_sheets_ask_no_other_host(html: Path) -> None:
    sheets = list((html / "_static").rglob("*.css"))
    assert sheets
    pattern = r"(url\(|@import)\s*['\"]?(https?:)?//"
    assert [s.name for s in sheets if re.search(pattern, s.read_text(encoding="utf-8"))] == []


def test_root_leads_to_the_first_page(html: Path) -> None:
    assert f"url={PAGES[0]}.html" in (html / "index.html").read_text(encoding="utf-8")


def test_numbers_of_the_pages_show_in_the_sidebar(html: Path) -> None:
    titles = list(TITLES.values())
    numbers = [int(title.partition(" ")[0]) for title in titles]
    assert numbers == list(range(1, len(notebooks.names()) + 1))
    links = checks.read(html / f"{PAGES[0]}.html").select(".bd-sidebar-primary .bd-links a")
    assert [t for link in links if (t := link.get_text(" ", strip=True))[0].isdigit()] == titles


def test_downloaded_notebook_is_the_committed_one(html: Path) -> None:
    for name in notebooks.names():
        served = (html / "_sources" / "notebooks" / f"{name}.ipynb").read_bytes()
        assert served == (notebooks.ROOT / "notebooks" / f"{name}.ipynb").read_bytes()


def test_solutions_with_code_are_folded_with_their_output(html: Path) -> None:
    n_cells = 0
    whole = [name for name in notebooks.names() if not notebooks.record(name).get("missing")]
    for name in whole:
        for cell in checks.read(html / f"notebooks/{name}.html").select("article .tag_solution"):
            n_cells += 1
            assert [part.name for part in cell.find_all(recursive=False)] == ["details"], name
            assert not cell.details.has_attr("open")
            assert {p.get_text() for p in cell.select("summary p")} == {"Solution"}
            assert "Right: " in cell.details.select_one(".cell_output").get_text()
            code = cell.details.select_one(".cell_input").get_text()
            assert "answer" in code.partition("checks.")[0], name
            assert "SOLUTION" not in code
    assert n_cells >= len(whole) / 2


@pytest.mark.parametrize(
    ("body", "finding"),
    [
        ("<h1>A</h1>", "empty page"),
        ("<h1>A</h1>" + "text " * 30, "page without outputs"),
        ("text " * 30 + "<div class='cell_output'></div>", "0 titles"),
    ],
)
def test_checks_find_pages_that_are_not_whole(body: str, finding: str) -> None:
    page = BeautifulSoup(f"<article>{body}</article>", "html.parser")
    assert finding in checks.content(page, notebook=True)


def test_checks_find_bad_images_links_and_requests(tmp_path: Path) -> None:
    text = (
        "<article id='here'><div class='cell_output'><img src='a.png' alt='a.png'></div>"
        "<a href='#here'>1</a><a href='#there'>2</a><a href='gone.html'>3</a></article>"
        "<script src='https://example.org/a.js'></script><style>@import '//example.org'</style>"
    )
    (tmp_path / "a.html").write_text(text)
    page = checks.read(tmp_path / "a.html")
    assert len(checks.images(page)) == len(checks.figures(page)) == 1
    assert len(checks.foreign(page)) == 2
    assert checks.links(tmp_path / "a.html", tmp_path, {}) == [
        "link to no anchor: #there",
        "link to nothing: gone.html",
    ]
    assert checks.source_links(page, "notebooks/part/a", set()) != []


def test_names_in_tables_break_between_their_parts() -> None:
    name = '<code><span class="pre">tests/test_x.py</span></code>'
    assert theme.breakable(f"<p>{name}</p>") == f"<p>{name}</p>"
    found = theme.breakable(f"<td><p>of 1.5 {name}</p></td>")
    assert found == f"<td><p>of 1.5 {name}</p></td>".replace(
        "tests/test_x.py", "tests/<wbr>test_<wbr>x.<wbr>py"
    )
