"""Every page in headless Chromium: wide and narrow, light and dark, with axe-core."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tools import notebooks

if TYPE_CHECKING:
    from playwright.sync_api import Browser

WIDTHS = (1280, 390)
SCHEMES = ("light", "dark")
BINARIES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
]
AXE = "axe.run({rules: {'label-content-name-mismatch': {enabled: true}}})"
CUT_OFF = """[...document.querySelectorAll('div.highlight pre, .cell_output pre')]
    .filter(pre => pre.scrollWidth > pre.clientWidth + 1).map(pre => pre.innerText.slice(0, 80))"""
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
STILL = "*, *::before, *::after { transition: none !important; animation: none !important; }"
pytestmark = [pytest.mark.book, pytest.mark.slow]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def address(html: Path) -> Iterator[str]:
    """The book, served on this machine."""
    handler = functools.partial(_Quiet, directory=str(html))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium of the system."""
    from playwright.sync_api import sync_playwright

    binary = next(filter(None, map(shutil.which, BINARIES)), None)
    if binary is None:
        problem = "no Chromium on this machine: install the package chromium (see .ci/run)"
        if os.environ.get("CI"):
            pytest.fail(problem)
        pytest.skip(problem)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=binary, args=list(FLAGS))
        yield running
        running.close()


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
        view.evaluate(axe_source())
        for scheme in SCHEMES:
            view.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            for rule in view.evaluate(AXE)["violations"]:
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


def test_search_finds_text_and_shows_it(browser: Browser, address: str) -> None:
    view = browser.new_page()
    view.goto(f"{address}/search.html?q=reproducibility")
    view.wait_for_selector("#search-results p.context")
    summaries = view.locator("#search-results p.context").all_inner_texts()
    view.close()
    assert summaries
    assert not any("Repository" in text or "Suggest edit" in text for text in summaries)


@pytest.mark.parametrize(
    ("markup", "finding"),
    [
        ("<script>nothing()</script>", "error:"),
        ("<div style='width:3000px'>wide</div>", "wider than the window"),
        ("<img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>", "axe image-alt"),
        ("<script src='http://127.0.0.2:9/a.js'></script>", "127.0.0.2"),
    ],
)
def test_the_look_finds_faults(browser: Browser, tmp_path: Path, markup: str, finding: str) -> None:
    page = f"<html lang='en'><title>A</title><main><h1>A</h1>{markup}</main></html>"
    (tmp_path / "a.html").write_text(page)
    handler = functools.partial(_Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found = look(browser, f"http://127.0.0.1:{server.server_port}", "a.html", 390)
        server.shutdown()
    assert any(finding in text for text in found)
