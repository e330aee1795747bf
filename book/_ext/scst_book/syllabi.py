"""Courses of one day, one week and twelve weeks, as tables made from the pages.

A session names its pages; their titles and minutes are read from the pages, so that a course
cannot name a page that is gone, and a test keeps each session long enough for its pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scst_book import contents
from scst_book.markdown import markdown

EXERCISE_MINUTES = 8  # planned for an exercise in class
STARTS = 9 * 60  # the one-day course, in minutes after midnight


@dataclass(frozen=True)
class Session:
    """Minutes of a course, what is done in them, and with which pages."""

    minutes: int
    what: str
    pages: tuple[str, ...] = ()


DAY = (
    Session(20, "Everyone opens the first page and runs it; mend what does not run"),
    Session(35, "slides, then the page and an exercise", ("foundations/counts_of_single_cells",)),
    Session(30, "the same", ("pitfalls/what_a_score_rewards",)),
    Session(15, "Break"),
    Session(
        40, "the same; which rows of the tables would you believe?", ("temporal/unmeasured_times",)
    ),
    Session(40, "the same", ("pitfalls/leakage_in_time",)),
    Session(60, "Lunch"),
    Session(70, "in pairs, the steps that are checked", ("projects/find_the_leak",)),
    Session(15, "Break"),
    Session(40, "slides, then the page and an exercise", ("practice/your_time_course",)),
    Session(60, "in pairs; or your own data", ("projects/predict_the_missing_day",)),
    Session(25, "Three pairs show one figure each, four minutes and four of questions"),
    Session(20, "What would you do differently on Monday? Questions of *Check yourself*"),
)
WEEK = (
    ("Counts", ("foundations/counts_of_single_cells", "foundations/preprocessing_expression",
                "pitfalls/sparse_counts")),
    ("Contact maps", ("foundations/contact_maps", "foundations/balancing",
                      "foundations/pseudo_bulk")),
    ("Time", ("temporal/neural_odes", "temporal/scnode_by_hand", "temporal/unmeasured_times")),
    ("Space", ("foundations/cells_to_windows", "spatial/scgraphic_by_hand",
               "spatial/evaluating_contact_maps")),
    ("Trust", ("pitfalls/what_a_score_rewards", "pitfalls/leakage_in_time",
               "alternatives/one_comparison")),
)  # fmt: skip
PROJECTS = {
    "Time": "projects/predict_the_missing_day",
    "Space": "projects/whose_contact_map",
    "Trust": "projects/find_the_leak",
}
TERM = (
    ("Counts", ("foundations/counts_of_single_cells", "foundations/preprocessing_expression")),
    ("Contact maps", ("foundations/contact_maps", "foundations/balancing")),
    ("From cells to maps", ("foundations/pseudo_bulk", "foundations/cells_to_windows")),
    ("Scores", ("pitfalls/what_a_score_rewards", "pitfalls/what_a_map_score_rewards")),
    ("Learning a velocity", ("temporal/neural_odes", "temporal/what_flows_cannot_do")),
    ("scNODE", ("temporal/scnode_by_hand", "temporal/unmeasured_times")),
    ("What is not known", ("temporal/how_sure", "temporal/what_snapshots_cannot_tell")),
    ("scGrapHiC", ("spatial/scgraphic_by_hand", "spatial/evaluating_contact_maps")),
    ("Real maps", ("spatial/human_cortex", "pitfalls/sparse_maps")),
    ("Leakage", ("pitfalls/leakage_in_time", "pitfalls/leakage_in_space")),
    ("Alternatives", ("alternatives/trees_and_boosting", "alternatives/one_comparison")),
    ("Your own data", ("practice/your_time_course", "practice/your_contact_maps")),
)  # fmt: skip


def _pages(root: Path) -> dict[str, contents.Page]:
    return {page.name.removeprefix(contents.CODE): page for page in contents.read(root)}


def _links(names: Sequence[str], pages: dict[str, contents.Page]) -> str:
    return " · ".join(pages[name].link for name in names)


def _minutes(names: Sequence[str], pages: dict[str, contents.Page]) -> int:
    """Minutes to read and to run pages."""
    return sum(sum(pages[name].minutes) for name in names)


def day(root: Path) -> str:
    """The one-day course, minute by minute."""
    pages, now, rows = _pages(root), STARTS, []
    for session in DAY:
        clock = f"{now // 60:02}:{now % 60:02}"
        read = _minutes(session.pages, pages) if session.pages else ""
        what = ": ".join(filter(None, (_links(session.pages, pages), session.what)))
        rows.append([clock, session.minutes, read, what])
        now += session.minutes
    rows.append([f"{now // 60:02}:{now % 60:02}", "", "", "End"])
    return markdown(["from", "min", "min for the page", "what"], rows)


def week(root: Path) -> str:
    """The course of one week: three pages a day, and projects in the afternoons."""
    pages = _pages(root)
    rows = [
        [
            topic,
            _links(names, pages),
            _minutes(names, pages),
            pages[PROJECTS[topic]].link if topic in PROJECTS else "exercises",
        ]
        for topic, names in WEEK
    ]
    return markdown(["day", "pages", "min", "late afternoon"], rows)


def term(root: Path) -> str:
    """The course of twelve weeks: two pages a week."""
    pages = _pages(root)
    rows = [
        [number, topic, _links(names, pages), _minutes(names, pages)]
        for number, (topic, names) in enumerate(TERM, start=1)
    ]
    return markdown(["week", "topic", "pages", "min"], rows)


TABLES = {"day": day, "week": week, "term": term}
