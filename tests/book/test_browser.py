"""Every page in headless Chromium: wide and narrow, light and dark, axe-core, reading rules."""

from __future__ import annotations

import functools
import http.server
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.book import checks, reading_rules
from tests.book.conftest import Quiet
from tools import notebooks

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CODE = "notebooks/"
WIDTHS = (1280, 390)
# The schemes differ in colours alone: all rules in one, those of colours in the other.
AXE = {
    "light": "axe.run({rules: {'label-content-name-mismatch': {enabled: true}}})",
    "dark": "axe.run({runOnly: ['color-contrast', 'link-in-text-block']})",
}
CUT_OFF = """[...document.querySelectorAll('div.highlight pre, .cell_output pre')]
    .filter(pre => pre.scrollWidth > pre.clientWidth + 1).map(pre => pre.innerText.slice(0, 80))"""
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
STILL = "*, *::before, *::after { transition: none !important; animation: none !important; }"
pytestmark = [pytest.mark.book, pytest.mark.slow]


def axe_source() -> str:
    """The script of axe-core."""
    import axe_core_python

    return (Path(axe_core_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


def look(browser: Browser, address: str, page: str, width: int) -> list[str]:
    """What is wrong with one page at one width, in both colour schemes."""
    wrong = []
    view = browser.new_page(viewport={"width": width, "height": 900})
    try:
        view.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        view.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
        view.on(
            "request",
            lambda r: None if r.url.startswith((address, "data:")) else wrong.append(r.url),
        )
        view.goto(f"{address}/{page}", wait_until="load")
        view.add_style_tag(content=STILL)
        view.evaluate("window.MathJax?.startup?.promise")
        if view.evaluate(OVERFLOW) > 0:
            wrong.append(f"wider than the window by {view.evaluate(OVERFLOW)} px")
        wrong += [f"cut off: {code}" for code in view.evaluate(CUT_OFF)]
        if page.startswith(CODE):
            known = reading_rules.KNOWN.get(page.removeprefix(CODE).removesuffix(".html"), {})
            wrong += reading_rules.judge(reading_rules.in_browser(view, width), known)
        view.evaluate(axe_source())
        for scheme, run in AXE.items():
            view.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            for rule in view.evaluate(run)["violations"]:
                first = rule["nodes"][0]
                about = f"{first['html'][:200]} {first['failureSummary'][:200]}"
                wrong.append(f"{scheme}: axe {rule['id']} ({len(rule['nodes'])}): {about}")
    finally:
        view.close()
    return wrong


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("page", [*(f"{name}.html" for name in notebooks.pages()), "search.html"])
def test_page_in_the_browser(browser: Browser, address: str, page: str, width: int) -> None:
    assert look(browser, address, page, width) == []


@pytest.mark.parametrize("query", ["reproducibility", "import numpy", "insulation"])
def test_search_says_what_the_pages_are_about(
    browser: Browser, address: str, html: Path, query: str
) -> None:
    view = browser.new_page()
    view.goto(f"{address}/search.html?q={query}")
    view.wait_for_selector("#search-results p.context")
    results = view.locator("#search-results li:has(p.context)").evaluate_all(
        "all => all.map(li => [li.querySelector('a').getAttribute('href'), li.innerText])"
    )
    view.close()
    assert results
    for link, text in results:
        assert not re.search(r"Repository|Suggest edit|^(import|from \S+ import) ", text, re.M)
        if ".html#" not in link:
            about = checks.read(html / link.partition("?")[0]).select_one("meta[name=description]")
            assert about["content"] in " ".join(text.split())


@pytest.mark.parametrize(
    ("markup", "finding"),
    [
        ("<script>nothing()</script>", "error:"),
        ("<div style='width:3000px'>wide</div>", "wider than the window"),
        ("<img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>", "axe image-alt"),
        ("<script src='http://127.0.0.2:9/a.js'></script>", "127.0.0.2"),
        ("<p>this is **bold</p>", "raw markup at 390 px"),
    ],
)
def test_the_look_finds_faults(browser: Browser, tmp_path: Path, markup: str, finding: str) -> None:
    page = f"<html lang='en'><title>A</title><main><h1>A</h1>{markup}</main></html>"
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "a.html").write_text(page)
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        found = look(browser, address, f"{CODE}a.html", 390)
        server.shutdown()
    assert any(finding in text for text in found)
