"""The check of the house style finds what it is for, spares what it is not, and names the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import check, prose


def rules(text: str) -> list[str]:
    """The rules that a text breaks."""
    return [rule for _, rule, _ in prose.findings(prose.Passage(1, text))]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("It is the the map.", "a word twice"),
        ("It is the\nthe map.", "a word twice"),
        ("> It is the\n> the map.", "a word twice"),
        ("# It is the\n# the map.", "a word twice"),
        ("Predicted is the mean.", "verb and subject swapped"),
        ("It falls. Left out are two times.", "verb and subject swapped"),
        ("A choice that there is not.", "ends with 'there is not'"),
        ("The map is very sparse.", "a word that says nothing"),
        ("Simply fit it.", "a word that says nothing"),
        ("Just fit it.", "a word that says nothing"),
        ("A novel model.", "praise"),
        ("It holds 95 % of them.", "a blank before a percent sign"),
        ("The word “map” is used.", "a curly quotation mark: the book makes them"),
    ],
)
def test_each_rule_finds_its_fault(text: str, rule: str):
    assert rules(text) == [rule]


@pytest.mark.parametrize(
    "text",
    [
        "## Depth\n\nDepth is a total.",
        "- the map\n- map by map\n- is it? It is.",
        "x : bool, default False\n    False leaves it out.",
        "What is predicted is the mean; there is not one cell but many.",
        "The very same cells, just above the threshold.",
        "`the the` and ``very``, $x x$ in [text](very-simple.md).",
        "```console\n$ echo very very\n```",
        ">>> just(1)\n... very",
        "It holds 95% of them.",
        "He said that \"x\" isn't 'y'.",
    ],
)
def test_what_is_right_is_spared(text: str):
    assert rules(text) == []


def test_a_finding_names_its_line():
    text = "# Title\n\nOne line,\nand `code`\non several.\n\n- It is very\n  sparse.\n"
    assert list(prose.findings(prose.Passage(10, text))) == [
        (16, "a word that says nothing", "very")
    ]


def test_prose_of_python_is_comments_docstrings_captions_and_messages(tmp_path: Path):
    path = tmp_path / "page.py"
    path.write_text(
        '"""A very short module."""\n'
        "# %% [markdown]\n"
        "# A page that is\n"
        "# is here.\n"
        '# %% caption="A very nice figure."\n'
        "very = simply = 'very'\n"
        'claim(f"It holds {100 * very:.0f} % of all cells.", True)\n'
        'PATTERN = r"this is very raw"\n'
    )
    found = [
        (line, words)
        for passage in prose.passages(path)
        for line, _, words in prose.findings(passage)
    ]
    assert sorted(found) == [(1, "very"), (3, "is is"), (5, "very"), (7, "0 %")]


def test_the_files_of_the_repository_are_found():
    found = {path.relative_to(prose.ROOT).as_posix() for path in prose.files(prose.ROOT)}
    assert {"README.md", "book/faq.md", "scstlib/pages.py"} <= found
    assert any(name.startswith("notebooks/") for name in found)


def test_it_is_a_part_of_make_check():
    assert {("tools.prose",), ("codespell_lib",)} <= set(check.CHECKS)
