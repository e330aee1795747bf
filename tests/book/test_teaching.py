"""Slides, a student and an instructor notebook in headless Chromium: no error, no other host."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from scst_book import contents

from tools import notebooks, slides, teach

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PAGE = "temporal/neural_odes"
GIF = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One page as a deck, and its notebooks to read, in the folders in which they lie."""
    folder = tmp_path_factory.mktemp("teach")
    (page,) = [p for p in contents.read(notebooks.ROOT) if p.name == f"notebooks/{PAGE}"]
    source = notebooks.read(notebooks.ROOT / "notebooks" / f"{PAGE}.ipynb")
    for cell in notebooks.code_cells(source):
        if cell["metadata"].get("caption"):
            data = {"image/png": GIF}
            cell["outputs"] = [{"output_type": "display_data", "data": data, "metadata": {}}]
    texts = {
        "slides/time.html": slides.deck("Time", [(page, source)], notebooks.ROOT),
        "student/p/page.html": slides.view(teach.student(source), "Student", "../../"),
        "instructor/p/page.html": slides.view(
            teach.instructor(source, source), "Instructor", "../../"
        ),
        "index.html": teach.index([page], ["Time"], []),
    }
    for name, text in texts.items():
        notebooks.write_if_changed(folder / name, text)
    slides.copy_mathjax(folder)
    return folder


@pytest.mark.parametrize(
    "name", ["slides/time.html", "student/p/page.html", "instructor/p/page.html", "index.html"]
)
def test_it_opens_without_error_and_without_another_host(
    browser: Browser, made: Path, name: str
) -> None:
    wrong: list[str] = []
    view = browser.new_page(viewport={"width": 1280, "height": 720})
    view.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    view.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
    view.on(
        "request",
        lambda r: None if r.url.startswith(("file:", "data:")) else wrong.append(r.url),
    )
    view.on("requestfailed", lambda r: wrong.append(f"failed: {r.url}"))
    view.goto((made / name).as_uri(), wait_until="load")
    view.evaluate("window.MathJax?.startup?.promise")
    assert view.evaluate("document.querySelectorAll('mjx-merror').length") == 0
    if name != "index.html":
        assert view.evaluate("document.querySelectorAll('mjx-container').length") > 0
        assert view.evaluate("document.images.length") > 1
    width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert view.evaluate(width) <= 0
    assert (
        view.evaluate("[...document.images].filter((i) => !i.naturalWidth || !i.alt).length") == 0
    )
    view.close()
    assert wrong == []


def test_slides_turn_by_keys_and_stand_below_each_other_without_scripts(
    browser: Browser, made: Path
) -> None:
    address = (made / "slides" / "time.html").as_uri()
    view = browser.new_page(viewport={"width": 1280, "height": 720})
    view.goto(address)
    shown = view.locator("section:visible")
    assert shown.count() == 1
    assert shown.locator("h2").inner_text() == "Time"
    view.keyboard.press("ArrowRight")
    assert "Neural ODEs" in shown.locator("h2").inner_text()
    view.get_by_role("button", name="Next slide").press(" ")
    assert view.locator("#at").inner_text().startswith("3 / ")
    view.keyboard.press("End")
    assert "Exercise" in shown.locator("h2").inner_text()
    view.keyboard.press("ArrowRight")
    view.goto(f"{address}#2")
    assert view.locator("#at").inner_text().startswith("2 / ")
    high = view.evaluate("""[...document.querySelectorAll("section")].filter((slide) => {
        slide.hidden = false;
        const cut = slide.scrollHeight > innerHeight + 1;
        slide.hidden = true;
        return cut;
    }).map((slide) => slide.innerText)""")
    assert high == []
    caption = view.locator("figcaption").first
    assert float(caption.evaluate("c => getComputedStyle(c).fontSize").removesuffix("px")) > 20
    view.close()
    plain = browser.new_page(java_script_enabled=False)
    plain.goto(address)
    assert plain.locator("section:visible").count() > 5
    plain.close()
