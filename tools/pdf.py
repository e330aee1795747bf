"""Print the whole book: ``python -m tools.pdf`` makes ``_build/pdf/book.pdf`` from ``_build/html``.

The articles become one document, in reading order, so that links between pages and the outline work
in the PDF; headless Chromium prints it. A single page is printed by any browser.
"""

from __future__ import annotations

import argparse
import copy
import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from tools import notebooks

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

BINARIES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")
WIDTH = 688  # of the text on A4, in CSS pixels: 210 mm less two margins of 14 mm
MARGIN = {"top": "16mm", "bottom": "16mm", "left": "14mm", "right": "14mm"}
FOOTER = (
    '<div style="font: 8px sans-serif; width: 100%; text-align: center">'
    '<span class="pageNumber"></span></div>'
)
# Whatever is wider than the paper or than its box; what is only read aloud may be.
CUT_OFF = """() => {
  const right = (node) => node.getBoundingClientRect().right;
  const paper = document.documentElement.clientWidth + 1;
  const formula = (node) => [...node.querySelectorAll("mjx-math")];
  const cut = (node) => right(node) > paper || (node.matches(".math")
    ? formula(node).some((inner) => right(inner) > right(node) + 1)
    : node.clientWidth && getComputedStyle(node).overflowX !== "visible"
      && node.scrollWidth > node.clientWidth + 1);
  return [...document.querySelectorAll("main *")]
    .filter((node) => !node.closest("mjx-container, .visually-hidden, svg") && cut(node))
    .map((node) => `${node.tagName.toLowerCase()}: ${(node.innerText || "").slice(0, 60)}`);
}"""


def browser() -> str | None:
    """Path of a Chromium of this machine."""
    return next(filter(None, map(shutil.which, BINARIES)), None)


def _anchor(name: str, fragment: str = "") -> str:
    """The id in the document of a place on a page."""
    return f"{name}--{fragment}"


def _read(path: Path) -> BeautifulSoup:
    from bs4 import BeautifulSoup

    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def _localise(article: Tag, name: str, names: list[str], html: Path, folder: Path) -> None:
    """Let ids be those of one document, links to pages of it lead there, and files be found."""
    for node in article.select("[id]"):
        node["id"] = _anchor(name, str(node["id"]))
    page = html / f"{name}.html"
    for attribute in ("href", "src"):
        for node in article.select(f"[{attribute}]"):
            address = urlsplit(str(node[attribute]))
            if address.scheme or address.netloc:
                continue
            target = (page.parent / unquote(address.path)).resolve() if address.path else page
            relative = target.relative_to(html) if target.is_relative_to(html) else Path()
            if relative.with_suffix("").as_posix() in names and target.suffix == ".html":
                place = _anchor(relative.with_suffix("").as_posix(), unquote(address.fragment))
                node[attribute] = f"#{place}"
            elif node.name == "a":  # a file of this machine
                del node[attribute]
            else:
                node[attribute] = Path(os.path.relpath(target, folder)).as_posix()


def document(names: list[str], html: Path, folder: Path) -> str:
    """All pages as one document without scripts, other than those that set the formulas.

    Parameters
    ----------
    names
        Pages, as paths below `html` without suffix, in reading order.
    html
        The rendered book.
    folder
        Where the document will lie.
    """
    made = _read(html / f"{names[0]}.html")
    head = made.head
    if head is None or made.body is None:
        raise ValueError(f"{names[0]}.html is not a page of the book: run `make book` again")
    for script in made.select("script"):
        if "mathjax" not in str(script).lower():
            script.decompose()
    for node in head.select("link[href], script[src]"):
        attribute = "href" if node.name == "link" else "src"
        path = (html / names[0]).parent / urlsplit(str(node[attribute])).path
        node[attribute] = Path(os.path.relpath(path, folder)).as_posix()
    for script in made.body.select("script"):
        head.append(script.extract())
    made.body.clear()
    main = made.new_tag("main", attrs={"class": "bd-article scst-print"})
    made.body.append(main)
    for name in names:
        article = _read(html / f"{name}.html").select_one("article")
        if article is None:
            raise ValueError(f"{name}.html has no article: run `make book` again")
        for node in article.select("script:not([type^='math']), .headerlink, iframe"):
            node.decompose()
        for node in article.select("details"):
            node["open"] = ""
        _localise(article, name, names, html.resolve(), folder)
        section = made.new_tag("section", attrs={"class": "scst-page", "id": _anchor(name)})
        section.extend([copy.copy(node) for node in article.contents])
        main.append(section)
    return str(made)


def print_pdf(source: Path, target: Path) -> list[str]:
    """Print a document on A4; returns what is wider than the paper.

    Raises
    ------
    FileNotFoundError
        Without Chromium.
    """
    from playwright.sync_api import sync_playwright

    binary = browser()
    if binary is None:
        raise FileNotFoundError(f"no Chromium to print with: install one of {', '.join(BINARIES)}")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=binary, args=list(FLAGS))
        view = running.new_page(viewport={"width": WIDTH, "height": 1000}, color_scheme="light")
        view.set_default_timeout(300_000)
        view.emulate_media(media="print")
        view.goto(source.as_uri(), wait_until="load")
        view.evaluate("window.MathJax?.startup?.promise")
        wide: list[str] = view.evaluate(CUT_OFF)
        view.pdf(
            path=target, format="A4", margin=MARGIN, outline=True, tagged=True,  # type: ignore[arg-type]
            print_background=True, display_header_footer=True, header_template="<span></span>",
            footer_template=FOOTER,
        )  # fmt: skip
        running.close()
    return wide


def main() -> int:
    """Command line; returns 1 when something is cut off."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", help="pages to print, such as book/faq; all by default")
    pages = parser.parse_args().pages
    html = notebooks.ROOT / "_build" / "html"
    if not (html / ".complete").is_file():
        print("make pdf: there is no book in _build/html; run `make book`.", file=sys.stderr)
        return 1
    started = time.monotonic()
    folder = notebooks.ROOT / "_build" / "pdf"
    folder.mkdir(exist_ok=True)
    source, target = folder / "book.html", folder / "book.pdf"
    source.write_text(document(pages or notebooks.pages(), html, folder), encoding="utf-8")
    try:
        wide = print_pdf(source, target)
    except FileNotFoundError as error:
        print(f"make pdf: {error}.", file=sys.stderr)
        return 1
    for line in wide:
        print(f"  wider than the paper: {line}", file=sys.stderr)
    print(f"make pdf: {time.monotonic() - started:.0f} s, {target.stat().st_size / 1e6:.0f} MB")
    print(target)
    return 1 if wide else 0


if __name__ == "__main__":
    sys.exit(main())
