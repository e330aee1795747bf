"""The reading rules of the pages with code, measured in the source and in a browser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from scst_book import reading

from tools import notebooks, pair

if TYPE_CHECKING:
    from playwright.sync_api import Page

LIMITS = {
    "lines of source": 350,
    "lines of code over 76 characters": 0,
    "minutes to read": 25,
    "minutes in the learning box": 0,
    "% of the height is code": 25,
    "raw markup": 0,
    "images without text": 0,
    "tables of more than 7 columns": 0,
    "figures of too few pixels": 0,
    "figures out of shape": 0,
}
WIDEST = 76
# What a page may exceed, until it is rewritten. An entry goes when the page keeps the rule.
KNOWN: dict[str, dict[str, int]] = {}
MEASURE = """() => {
  const article = document.querySelector("article") || document.body;
  const all = (what) => [...article.querySelectorAll(what)];
  const open = (node) => !node.closest("details:not([open])");
  const height = (node) => node.getBoundingClientRect().height;
  const code = all(".cell_input").filter(open).map(height).reduce((a, b) => a + b, 0);
  const raw = /\\$[^$\\n]+\\$|\\*\\*|\\bFigure ,|\\[Figure\\]\\(|\\| ?:?[-–]+:? ?\\|/;
  const notProse = "code, pre, script, style, mjx-container, .math, .MathJax";
  const walker = document.createTreeWalker(article, NodeFilter.SHOW_TEXT);
  const markup = [];
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (!node.parentElement.closest(notProse)) {
      const found = node.data.match(raw);
      if (found) markup.push(found[0]);
    }
  }
  const rowsOf = (table) => [...table.rows].map((row) => [...row.cells]
    .map((cell) => cell.colSpan).reduce((a, b) => a + b, 0));
  const images = all("img").filter((image) => open(image) && height(image) > 0);
  const vector = (image) => /\\.svg($|[?#])|^data:image\\/svg/.test(image.currentSrc);
  return {
    "% of the height is code": [Math.round(100 * code / Math.max(1, height(article))), []],
    "raw markup": [markup.length, markup],
    "images without text": [0, all("img:not([alt]), img[alt='']").map((i) => i.src)],
    "tables of more than 7 columns": [0, all("table")
      .filter((table) => Math.max(0, ...rowsOf(table)) > 8).map((t) => t.innerText.slice(0, 60))],
    "figures of too few pixels": [0, images
      .filter((i) => !vector(i) && i.naturalWidth < 2 * i.clientWidth - 2)
      .map((i) => `${i.naturalWidth} px shown ${i.clientWidth} px wide: ${i.alt.slice(0, 40)}`)],
    "figures out of shape": [0, images.filter((i) => !vector(i) && i.clientHeight
      && Math.abs(i.clientWidth / i.clientHeight * i.naturalHeight / i.naturalWidth - 1) > 0.03)
      .map((i) => `${i.clientWidth} x ${i.clientHeight} px: ${i.alt.slice(0, 40)}`)],
  };
}"""


class Found(NamedTuple):
    """A number measured on a page, and what it counts."""

    value: int
    examples: list[str]


def in_source(source: Path) -> dict[str, Found]:
    """What the source of a page shows of the rules."""
    notebook: dict[str, Any] = json.loads(pair.derive(source))
    lines = source.read_text(encoding="utf-8").splitlines()
    long = [line for line in reading.visible_code(notebook) if len(line) > WIDEST]
    wrong = reading.misstated(notebook)
    return {
        "lines of source": Found(len(lines), []),
        "lines of code over 76 characters": Found(len(long), long),
        "minutes to read": Found(round(reading.minutes(notebook)), []),
        "minutes in the learning box": Found(int(bool(wrong)), [wrong] if wrong else []),
    }


def in_browser(view: Page, width: int) -> dict[str, Found]:
    """What a page that is open in a window of this width shows of the rules."""
    found = view.evaluate(MEASURE)
    return {
        f"{rule} at {width} px": Found(value or len(examples), examples)
        for rule, (value, examples) in found.items()
    }


def judge(found: dict[str, Found], known: dict[str, int]) -> list[str]:
    """What is wrong with a page: rules it breaks, and exceptions that grew or are not needed."""
    wrong = []
    for rule, (value, examples) in found.items():
        limit = LIMITS[rule.partition(" at ")[0]]
        if value > max(limit, known.get(rule, limit)):
            wrong.append(f"{rule}: {value}, allowed {known.get(rule, limit)} {examples[:3]}")
        elif rule in known and value <= limit:
            wrong.append(f"{rule}: the exception is not needed any more, take it out of KNOWN")
    return wrong


def sources() -> dict[str, Path]:
    """The source of every page by its name."""
    folder = notebooks.ROOT / "notebooks"
    return {name: folder / f"{name}.py" for name in notebooks.names()}
