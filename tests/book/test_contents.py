"""Order and numbers of the pages come from the table of contents, what lists say from the pages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from scst_book import contents, tables

from scstlib.datasets import manifests

TOC = """format: jb-book
root: book/index
parts:
  - caption: Before you start
    chapters:
      - file: book/how
  - caption: Foundations
    chapters:
      - file: notebooks/foundations/maps
      - file: book/api
        sections:
          - file: book/api/metrics
  - caption: Time
    chapters:
      - file: notebooks/time/odes
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A book of two pages with code and three of prose."""
    (tmp_path / "book/api").mkdir(parents=True)
    (tmp_path / "book/_toc.yml").write_text(TOC)
    for name, title in (("how", "How to use"), ("api", "API"), ("api/metrics", "Metrics")):
        (tmp_path / f"book/{name}.md").write_text(f"# {title}\n\nText.\n")
    for name, title in (("foundations/maps", "Contact maps"), ("time/odes", "Neural ODEs")):
        text = f"# {title}\n\nWhat {title}\nare.\n\n> **Learning goals**\n> - see\n>\n"
        text += "> **Time**: 30 min to read, 2 min to run.\n"
        cell = {"cell_type": "markdown", "source": text.splitlines(keepends=True)}
        path = tmp_path / f"notebooks/{name}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"cells": [cell]}))
    return tmp_path


def test_pages_with_code_are_numbered_through_the_parts(root: Path) -> None:
    assert [(page.number, page.title, page.part) for page in contents.read(root)] == [
        (0, "How to use", "Before you start"),
        (1, "Contact maps", "Foundations"),
        (0, "API", "Foundations"),
        (0, "Metrics", ""),
        (2, "Neural ODEs", "Time"),
    ]
    maps = "      - file: notebooks/foundations/maps\n"
    (root / "book/_toc.yml").write_text(TOC.replace(maps, "") + maps)
    numbers = {page.title: page.number for page in contents.read(root)}
    assert (numbers["Neural ODEs"], numbers["Contact maps"]) == (1, 2)


def test_a_book_without_parts_and_a_page_that_is_not_there_can_be_read(root: Path) -> None:
    (root / "book/_toc.yml").write_text("root: book/index\nchapters:\n  - file: book/gone\n")
    (page,) = contents.read(root)
    assert (page.title, page.part, page.number) == ("book/gone", "Pages", 0)


def test_the_list_of_pages_shows_parts_titles_and_summaries(root: Path) -> None:
    assert contents.contents(root).split("\n\n") == [
        "**Before you start**",
        "- [How to use](how.md)",
        "**Foundations**",
        "- [Contact maps](../notebooks/foundations/maps.ipynb): What Contact maps are.\n"
        "- [API](api.md)",
        "**Time**",
        "- [Neural ODEs](../notebooks/time/odes.ipynb): What Neural ODEs are.",
    ]


def test_the_plan_of_sessions_shows_minutes(root: Path) -> None:
    assert contents.sessions(root).splitlines()[2:] == [
        "| [Contact maps](../notebooks/foundations/maps.ipynb) | 30 | 2 |",
        "| [Neural ODEs](../notebooks/time/odes.ipynb) | 30 | 2 |",
    ]


def test_a_page_without_a_summary_has_none() -> None:
    assert contents.summary("# Title\n\n> **Learning goals**\n> - see") == ""
    assert contents.summary("# Title") == ""


def test_run_times_are_listed_in_the_order_of_the_book(root: Path) -> None:
    missing = {"dataset": "lee2019"}
    for name, about in (("time/odes", {"seconds": 7.2, "missing": missing}), ("b/c", {})):
        path = root / f"_build/executed/{name}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"metadata": {"scst": about}}))
    assert tables.pages(root).splitlines()[2:] == [
        "| [Contact maps](../notebooks/foundations/maps.ipynb) | 0 | not run |",
        "| [Neural ODEs](../notebooks/time/odes.ipynb) | 7 | without `lee2019` |",
    ]


def test_html_in_a_manifest_is_text_in_the_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a line of its own would begin a directive."""
    attack = "x <script>alert(1)</script> <img onerror=alert(1)>\n\n```{raw} html\n<b>\n```\n| y"
    fields = {
        "name": "attack", "title": attack, "description": attack, "organism": attack,
        "assembly": attack, "modality": "Hi-C", "accession": attack,
        "citation": {"text": attack, "doi": "10.1234/<script>alert(1)</script>"},
        "licence": {"host": attack, "note": attack}, "known_traps": [attack],
        "by_hand": {"url": "https://x.org/><script>", "instructions": attack},
    }  # fmt: skip
    schema = manifests.manifest_folder() / "schema.json"
    (tmp_path / "schema.json").write_bytes(schema.read_bytes())
    (tmp_path / "attack.yml").write_text(yaml.safe_dump(fields))
    monkeypatch.setattr(manifests, "manifest_folder", lambda: tmp_path)
    for text in (tables.datasets(tmp_path), tables.dataset_list(tmp_path)):
        assert "&lt;script&gt;" in text
        for tag in ("<script", "<img", "<b>", "\n```"):
            assert tag not in text
