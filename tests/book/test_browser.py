"""Every page in headless Chromium: wide and narrow, light and dark, axe-core, reading rules."""

from __future__ import annotations

import functools
import http.server
import re
import threading
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.book import checks, reading_rules
from tests.book.conftest import Quiet
from tools import notebooks, pdf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext

CODE = "notebooks/"
WIDTHS = (1280, 390)
OF_COLOURS = ("color-contrast", "link-in-text-block")
# The schemes differ in colours alone: all rules in one, those of colours in the other.
AXE = {
    "light": "{rules: {'label-content-name-mismatch': {enabled: true}}}",
    "dark": f"{{runOnly: {list(OF_COLOURS)}}}",
}
# What only a narrow window shows, such as the buttons of its header, is the same on every page.
# These are judged by all rules, others by those that hang on where things stand.
NARROW_BY_ALL = (
    "book/index.html",
    "book/api/models.html",
    "notebooks/foundations/counts_of_single_cells.html",
    "search.html",
)
API = "book/api/"  # long pages, all of one make
NARROW_API = {"light": "{runOnly: ['scrollable-region-focusable']}"}
NARROW = {"light": "{runOnly: ['scrollable-region-focusable', 'color-contrast']}"}
# Only violations come back: describing the thousands of nodes that pass takes longest of all.
VIOLATIONS = """(options) => axe.run({resultTypes: ["violations"], ...options})
    .then(({violations}) => violations.map(({id, nodes}) => [id, nodes.length,
        `${nodes[0].html.slice(0, 200)} ${nodes[0].failureSummary.slice(0, 200)}`]))"""
# Contrast hangs on the colour, size and weight of a text, on what lies under it and, for a link, on
# the colour around it. A page has some fifty such looks among thousands of nodes: the first three
# that are seen of each are judged, and none of a look that was found good on a page before.
LOOKS = """(good) => {
    const seen = new Map(good.map((look) => [look, 3])), grounds = new Map();
    const ground = (node) => {
        if (!node) return "";
        if (!grounds.has(node)) {
            const s = getComputedStyle(node);
            const own = [s.backgroundColor, s.backgroundImage, s.opacity, s.position, s.filter,
                s.mixBlendMode, s.clip, s.clipPath].join();
            const above = ground(node.parentElement);
            const plain = own === "rgba(0, 0, 0, 0),none,1,static,none,normal,auto,none";
            grounds.set(node, plain ? above : `${above}|${own}`);
        }
        return grounds.get(node);
    };
    for (const node of document.querySelectorAll("*")) {
        let judged = node.matches("input, select, textarea");
        if ([...node.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.data.trim())) {
            const s = getComputedStyle(node);
            const around = getComputedStyle(node.parentElement || node).color;
            const look = [s.color, around, s.fontSize, s.fontWeight, s.textShadow, ground(node)]
                .join(";");
            const before = seen.get(look) || 0;
            const visible = node.checkVisibility({visibilityProperty: true, opacityProperty: true});
            judged ||= visible && before < 3;
            if (visible) seen.set(look, before + 1);
        }
        node.toggleAttribute("data-judged", judged);
    }
    return [...seen.keys()];
}"""
JUDGED = """axe.configure({rules: [
    {id: 'color-contrast', selector: '[data-judged]'},
    {id: 'link-in-text-block', selector: 'a[href]:is([data-judged], :has([data-judged]))'}]})"""
CUT_OFF = """[...document.querySelectorAll('div.highlight pre, .cell_output pre')]
    .filter(pre => pre.scrollWidth > pre.clientWidth + 1).map(pre => pre.innerText.slice(0, 80))"""
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
STILL = "*, *::before, *::after { transition: none !important; animation: none !important; }"
MANY = "<p>many alike</p>" * 50
HIDDEN = "<p style='color:#aaa;visibility:hidden'>hidden</p>" * 9
DARK = "(prefers-color-scheme: dark) { #last { color: #aaa } }"
pytestmark = [pytest.mark.book, pytest.mark.slow]
Good = defaultdict[tuple[int, str], set[str]]


def axe_source() -> str:
    """The script of axe-core."""
    import axe_core_python

    return (Path(axe_core_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


def axe_options(page: str, width: int) -> dict[str, str]:
    """By which rules axe-core judges a page, for each colour scheme."""
    if width == WIDTHS[0] or page in NARROW_BY_ALL:
        return AXE
    return NARROW_API if page.startswith(API) else NARROW


@pytest.fixture(scope="session")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """One for all pages: what they share is loaded once."""
    with browser.new_context() as shared:
        yield shared


@pytest.fixture(scope="session")
def good() -> Good:
    """Looks without a fault of colour, of each width and scheme."""
    return defaultdict(set)


def look(context: BrowserContext, address: str, page: str, width: int, good: Good) -> list[str]:
    """What is wrong with one page at one width, in both colour schemes."""
    wrong = []
    view = context.new_page()
    try:
        view.set_viewport_size({"width": width, "height": 900})
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
        view.evaluate(JUDGED)
        for scheme, options in axe_options(page, width).items():
            view.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            looks = view.evaluate(LOOKS, list(good[width, scheme]))
            violations = view.evaluate(f"({VIOLATIONS})({options})")
            wrong += [f"{scheme}: axe {rule} ({n}): {first}" for rule, n, first in violations]
            if not {rule for rule, *_ in violations} & set(OF_COLOURS):
                good[width, scheme].update(looks)
        if width == WIDTHS[0]:
            view.emulate_media(media="print")
            view.set_viewport_size({"width": pdf.WIDTH, "height": 900})
            view.evaluate("dispatchEvent(new Event('beforeprint'))")
            wrong += [f"cut off in print: {what}" for what in view.evaluate(pdf.CUT_OFF)]
    finally:
        view.close()
    return wrong


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("page", [*(f"{name}.html" for name in notebooks.pages()), "search.html"])
def test_page_in_the_browser(
    context: BrowserContext, address: str, page: str, width: int, good: Good
) -> None:
    assert look(context, address, page, width, good) == []


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


def test_maps_zoom_wipe_and_move_by_keyboard(browser: Browser, address: str) -> None:
    view = browser.new_page(viewport={"width": 1280, "height": 900})
    view.goto(f"{address}/notebooks/spatial/other_real_maps.html")
    live = view.locator(".scst-live").first
    live.wait_for()
    first, last = (live.get_by_label(name) for name in ("From", "to (Mb)"))
    whole = (float(first.input_value()), float(last.input_value()))
    live.get_by_role("button", name="Zoom in").press("Enter")
    near = (float(first.input_value()), float(last.input_value()))
    assert near[1] - near[0] == pytest.approx((whole[1] - whole[0]) / 2, rel=0.02)
    maps = live.get_by_role("img")
    assert maps.count() == 2
    maps.first.press("ArrowRight")
    assert float(first.input_value()) > near[0]
    maps.first.press("0")
    assert (float(first.input_value()), float(last.input_value())) == whole
    live.get_by_label("Compare").select_option("by wiping")
    assert maps.count() == 1
    before = maps.first.evaluate("canvas => canvas.toDataURL()")
    live.get_by_label("Border").press("Home")
    assert maps.first.evaluate("canvas => canvas.toDataURL()") != before
    maps.first.hover()
    assert re.search(r"Mb: measured .+, predicted", live.locator("p").inner_text())
    assert "measured and predicted, 0 to" in str(maps.first.get_attribute("aria-label"))
    view.emulate_media(media="print")
    assert view.locator(".scst-still").first.is_visible()
    assert not live.is_visible()
    view.close()


def test_the_slider_over_time_moves_the_cells(browser: Browser, address: str) -> None:
    view = browser.new_page(reduced_motion="reduce")
    view.goto(f"{address}/notebooks/temporal/unmeasured_times.html")
    live = view.locator(".scst-live").first
    live.wait_for()
    slider, canvas = live.get_by_role("slider"), live.get_by_role("img")
    last, drawn = slider.get_attribute("aria-valuetext"), canvas.evaluate("c => c.toDataURL()")
    slider.press("Home")
    assert slider.get_attribute("aria-valuetext") not in (last, None)
    assert live.locator("output").inner_text() == slider.get_attribute("aria-valuetext")
    assert canvas.evaluate("c => c.toDataURL()") != drawn
    box = live.get_by_role("checkbox", name="measured", exact=True)
    before = canvas.get_attribute("aria-label")
    box.press("Space")
    assert canvas.get_attribute("aria-label") != before
    assert live.get_by_role("button", name="Play").count() == 0  # nothing moves by itself
    view.close()


def test_without_scripts_a_described_picture_stands_there(browser: Browser, address: str) -> None:
    view = browser.new_page(java_script_enabled=False)
    view.goto(f"{address}/notebooks/temporal/unmeasured_times.html")
    picture = view.locator(".scst-viewer img")
    assert picture.first.is_visible()
    assert len(str(picture.first.get_attribute("alt"))) > 20
    view.close()


def test_tables_sort_by_a_column_and_back_and_are_filtered(browser: Browser, address: str) -> None:
    view = browser.new_page()
    view.goto(f"{address}/book/reproducibility.html")
    table = view.locator("table:has(th:has-text('run time'))")
    column = table.locator("tbody tr td:nth-child(2)")
    before = column.all_inner_texts()
    button = table.get_by_role("button", name="run time (s)")
    for order in ("descending", "ascending"):
        button.press("Enter")
        assert button.locator("..").get_attribute("aria-sort") == order
        times = [float(text) for text in column.all_inner_texts()]
        assert times == sorted(times, reverse=order == "descending")
    button.press("Enter")
    assert column.all_inner_texts() == before
    view.locator("label.filter:has(+ table th:has-text('run time')) input").fill("real maps")
    assert 0 < table.locator("tbody tr:visible").count() < len(before)
    view.close()


@pytest.mark.parametrize(
    ("markup", "finding"),
    [
        ("<script>nothing()</script>", "error:"),
        ("<div style='width:3000px'>wide</div>", "wider than the window"),
        ("<img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>", "axe image-alt"),
        ("<script src='http://127.0.0.2:9/a.js'></script>", "127.0.0.2"),
        ("<p>this is **bold</p>", "raw markup at 390 px"),
        (f"{MANY}<p style='color:#aaa'>pale</p>", "light: axe color-contrast (1): <p style"),
        (f"{MANY}<div style='background:#222'><p>dark</p></div>", "light: axe color-contrast (1)"),
        (f"{HIDDEN}<p style='color:#aaa'>seen</p>", "light: axe color-contrast (1)"),
        (f"<style>@media {DARK}</style>{MANY}<p id='last'>dark</p>", "dark: axe color-contrast"),
        (f"{MANY}<div style='height:9px;overflow:auto'>{MANY}</div>", "scrollable-region"),
    ],
)
def test_the_look_finds_faults(
    context: BrowserContext, tmp_path: Path, markup: str, finding: str
) -> None:
    page = f"<html lang='en'><title>A</title><main><h1>A</h1>{markup}</main></html>"
    name = next(name for name in NARROW_BY_ALL if name.startswith(CODE))
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text(page)
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        found = look(context, address, name, 390, defaultdict(set))
        server.shutdown()
    assert any(finding in text for text in found)
