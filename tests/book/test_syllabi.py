"""Courses name pages that are there, and give each the time that it takes."""

from __future__ import annotations

import re

import pytest
from scst_book import contents, syllabi, tables

from tools import notebooks

ROOT = notebooks.ROOT


def minutes(names: tuple[str, ...]) -> int:
    pages = {page.name.removeprefix(contents.CODE): page for page in contents.read(ROOT)}
    return sum(sum(pages[name].minutes) for name in names)


def test_a_session_of_the_day_holds_its_page_and_an_exercise() -> None:
    for session in syllabi.DAY:
        if session.pages:
            needed = minutes(session.pages) + syllabi.EXERCISE_MINUTES
            assert session.minutes >= needed, session.what
    rows = syllabi.day(ROOT).splitlines()[2:]
    assert rows[0].startswith("| 09:00 | 20 |")
    assert re.match(r"\| 1[67]:\d\d \|", rows[-1])
    assert sum(session.minutes for session in syllabi.DAY) < 8 * 60


@pytest.mark.parametrize(("course", "most"), [(syllabi.WEEK, 60), (syllabi.TERM, 45)])
def test_reading_fits_the_day_or_week_and_no_page_stands_twice(course: tuple, most: int) -> None:
    for topic, names in course:
        assert minutes(names) <= most, topic
    named = [name for _, names in course for name in names]
    assert len(named) == len(set(named))


def test_the_guide_shows_the_courses_with_links_to_pages() -> None:
    guide = (ROOT / "book" / "teaching.md").read_text(encoding="utf-8")
    for name in ("day", "week", "term"):
        assert f"<!-- table: {name} -->" in guide
        shown = tables.TABLES[name](ROOT)
        assert "](../notebooks/foundations/counts_of_single_cells.ipynb)" in shown


def test_the_guide_states_the_size_of_the_data() -> None:
    from scstlib.datasets.manifests import list_datasets, read_manifest

    sizes = {name: read_manifest(name).size / 1e6 for name in list_datasets()}
    guide = (ROOT / "book" / "teaching.md").read_text(encoding="utf-8")
    stated = re.search(r"all of them are (\d+) MB, of which `lee2019` is (\d+) MB", guide)
    assert stated is not None
    assert int(stated[1]) == round(sum(sizes.values()))
    assert int(stated[2]) == round(sizes["lee2019"])
