"""The reading rules on the sources, and that the checks of them can fail."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from scst_book import reading

from tests.book import reading_rules as rules
from tools import notebooks

if TYPE_CHECKING:
    from playwright.sync_api import Browser

BOX = "> **Time**: {} min to read, 1 min to run."
TINY = """# %% [markdown]
# # A page
#
# > **Time**: 1 min to read, 1 min to run.

# %%
print(1)
"""


def page(*cells: tuple[str, str, dict[str, Any]]) -> dict[str, Any]:
    """A notebook of cells: kind, source, metadata."""
    return {
        "cells": [
            {"cell_type": kind, "source": source, "metadata": metadata}
            for kind, source, metadata in cells
        ]
    }


@pytest.mark.book
@pytest.mark.parametrize("name", notebooks.names())
def test_page_keeps_the_reading_rules_in_its_source(name: str) -> None:
    found = rules.in_source(rules.sources()[name])
    assert rules.judge(found, rules.KNOWN.get(name, {})) == []


@pytest.mark.book
def test_exceptions_are_of_pages_and_rules_that_there_are() -> None:
    assert set(rules.KNOWN) <= set(notebooks.names())
    named = {rule.partition(" at ")[0] for known in rules.KNOWN.values() for rule in known}
    assert named <= set(rules.LIMITS)


def test_minutes_are_those_of_words_visible_code_and_figures() -> None:
    text = "one two " * 100 + "\n\n![a long description of it](x.svg)\n\n*caption*"
    solved = "<details><summary>Question?</summary>\n\n" + "no " * 500 + "\n\n</details>"
    written = page(
        ("markdown", text, {}),
        ("markdown", solved, {}),
        ("code", "a = 1\n\nb = 2", {"caption": "A figure."}),
        ("code", "c = 3", {"tags": ["hide-input"]}),
        ("code", "import numpy\n\nclaim = Claims(profile, seed)", {}),
        ("code", 'claim(f"It is {c:.2f} or more.", c > 1)', {"tags": ["hide-input"]}),
    )
    assert reading.visible_code(written) == ["a = 1", "b = 2"]
    assert reading.figures(written) == 2
    # 200 words, "caption", "Question?" and the 5 words of the claim; 2 lines; 2 figures
    assert reading.minutes(written) == pytest.approx(207 / 200 + 24 / 60 + 1)


@pytest.mark.parametrize(("stated", "right"), [(10, False), (11, True), (19, True), (20, False)])
def test_stated_minutes_are_within_a_fifth_and_a_minute(stated: int, right: bool) -> None:
    box = BOX.format(stated)
    words = "word " * (15 * reading.WORDS_A_MINUTE - len(box.split()) + 1)
    written = page(("markdown", box, {}), ("markdown", words, {}))
    assert reading.minutes(written) == pytest.approx(15)
    assert (reading.misstated(written) == "") == right
    assert reading.misstated(page(("markdown", "no box", {}))) == ""


def test_the_source_is_measured(tmp_path: Path) -> None:
    source = tmp_path / "a.py"
    source.write_text(TINY)
    assert rules.judge(rules.in_source(source), {}) == []
    line = f"\nb = {'x' * 80!r}"
    source.write_text(TINY.rstrip() + line + "\nprint(2)" * 350)
    wrong = " ".join(rules.judge(rules.in_source(source), {}))
    for rule in ("lines of source: 358", "over 76", "minutes to read: 70", "learning box: 1"):
        assert rule in wrong


def test_exceptions_may_not_grow_and_go_when_they_are_not_needed() -> None:
    found = {"minutes to read": rules.Found(30, [])}
    assert rules.judge(found, {"minutes to read": 30}) == []
    assert "allowed 29" in rules.judge(found, {"minutes to read": 29})[0]
    assert "allowed 25" in rules.judge(found, {})[0]
    found = {"minutes to read": rules.Found(25, [])}
    assert "not needed" in rules.judge(found, {"minutes to read": 30})[0]
    at_width = {"raw markup at 390 px": rules.Found(2, ["$a$"])}
    assert rules.judge(at_width, {"raw markup at 390 px": 2}) == []
    assert "'$a$'" in rules.judge(at_width, {"raw markup at 1280 px": 2})[0]


GIF = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="  # 1 px
TALL = "<p style='height:900px'></p>"
CODE = "<div class='cell_input' style='height:600px'>a = 1</div>"
WIDE = "<table><tr>" + "<td>1</td>" * 9 + "</tr></table>"
GOOD = (
    f"<details><summary>s</summary>{CODE}</details><code>**</code> 5 $ <img src='{GIF}' alt='a'"
    " width='1'><img src='data:image/svg+xml,<svg/>' alt='b' width='90' height='9'>"
    + WIDE.replace("<td>1</td>", "", 1)
)


@pytest.mark.book
@pytest.mark.slow
@pytest.mark.parametrize(
    ("markup", "rule"),
    [
        (GOOD, None),
        (CODE, "% of the height is code"),
        ("<td>$\\sigma$</td>", "raw markup"),
        ("<p>the plane of <a>x</a> Figure , and</p>", "raw markup"),
        ("see [Figure](#fig-a)", "raw markup"),
        ("this is **bold", "raw markup"),
        ("<p>| a | b | | :-- | --: | | 1 | 2 |</p>", "raw markup"),
        (f"<img src='{GIF}' width='1'>", "images without text"),
        (f"<img src='{GIF}' alt='a' width='9' height='9'>", "figures of too few pixels"),
        (f"<img src='{GIF}' alt='a' width='1' height='2'>", "figures out of shape"),
        (WIDE, "tables of more than 7 columns"),
    ],
)
def test_the_page_is_measured(
    browser: Browser, tmp_path: Path, markup: str, rule: str | None
) -> None:
    source = tmp_path / "a.html"
    source.write_text(f"<!doctype html><article>{TALL}{markup}</article>")
    view = browser.new_page(viewport={"width": 390, "height": 900})
    view.goto(source.as_uri())
    wrong = rules.judge(rules.in_browser(view, 390), {})
    view.close()
    assert len(wrong) == (rule is not None), wrong
    assert rule is None or wrong[0].startswith(f"{rule} at 390 px")
