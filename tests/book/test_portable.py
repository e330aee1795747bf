"""Portable Markdown becomes MyST, and nothing else of a page changes."""

from __future__ import annotations

import pytest
from scst_book import contents, portable

BIBLIOGRAPHY = """@article{semrau2017,
  doi = {10.1038/s41467-017-01076-4},
}

@misc{tong2023, eprint = {2302.00482}}
"""
GLOSSARY = "# Glossary\n\n## Pseudo-bulk\n\nA sum.\n\nOf cells.\n\n## P(s)\n\nDecay.\n"
PAGES = [
    contents.Page(
        "notebooks/foundations/maps", ".ipynb", "Foundations", 3, "Contact maps", "Maps."
    ),
    contents.Page("notebooks/time/odes", ".ipynb", "Time", 8, "Neural ODEs", "Flows."),
    contents.Page("book/data", ".md", "Reference", 0, "Data", ""),
]
DOI = "https://doi.org/10.1038/s41467-017-01076-4"


@pytest.fixture
def rules() -> portable.Rules:
    """The rules of page 3."""
    return portable.Rules(
        citations=portable.citation_keys(BIBLIOGRAPHY),
        terms=portable.terms(GLOSSARY),
        docname=PAGES[0].name,
        pages={page.name: page for page in PAGES},
    )


@pytest.mark.parametrize(
    ("plain", "rich"),
    [
        (f"See [Semrau et al. 2017]({DOI}).", "See {cite:t}`semrau2017`."),
        (f"See [Semrau et al. (2017)]({DOI}).", "See {cite:t}`semrau2017`."),
        (f"[A course]({DOI.upper()})", "A course {cite:p}`semrau2017`"),
        ("[Flows](https://arxiv.org/abs/2302.00482)", "Flows {cite:p}`tong2023`"),
        ("[sums](../book/glossary.md#pseudo-bulk)", "{term}`sums <Pseudo-bulk>`"),
        ("[decay](glossary.md#ps)", "{term}`decay <P(s)>`"),
    ],
)
def test_citations_and_terms(rules: portable.Rules, plain: str, rich: str) -> None:
    assert rules.apply(plain) == rich


@pytest.mark.parametrize(
    "text",
    [
        "[Balancing](../time/odes.ipynb#balance) and [Data](../../book/data.md).",
        "[Neural ODEs](https://example.org/odes.ipynb)",
        "## A heading\n\n```\n# a comment\n```",
        "[Another paper](https://doi.org/10.1000/unknown)",
        f"`[x]({DOI})`",
        f"```\n[x]({DOI})\n> **Note** no\n```",
        f"``a ` [x]({DOI})``",
        f"![map]({DOI})",
        "[the page](../book/glossary.md)",
        "> A quote.\n> Of two lines.",
        "<details><summary>Solution</summary>\n\n`1`\n\n</details>",
        "$a[1](2)$ costs nothing",
    ],
)
def test_what_is_left_as_it_is(rules: portable.Rules, text: str) -> None:
    assert rules.apply(text) == text


def test_title_and_links_by_title_carry_the_numbers_of_their_pages(rules: portable.Rules) -> None:
    assert rules.apply("# Contact maps\n\nSee below.") == "# 3 Contact maps\n\nSee below."
    there = "(../time/odes.ipynb)"
    assert rules.apply(f"[Neural ODEs]{there}") == f"[8\N{NO-BREAK SPACE}Neural ODEs]{there}"
    broken = f"> [Neural\n> ODEs]{there}"
    assert rules.apply(broken) == f"> [8\N{NO-BREAK SPACE}Neural\n> ODEs]{there}"


def test_a_page_of_prose_has_no_number_and_its_links_find_the_pages() -> None:
    rules = portable.Rules(docname="book/data", pages={page.name: page for page in PAGES})
    assert rules.apply("# Data") == "# Data"
    link = "(../notebooks/foundations/maps.ipynb#balance)"
    assert rules.apply(f"[Contact maps]{link}") == f"[3\N{NO-BREAK SPACE}Contact maps]{link}"


def test_an_unknown_term_is_left_for_sphinx_to_warn_of(rules: portable.Rules) -> None:
    assert rules.apply("[x](glossary.md#unknown)") == "{term}`x <unknown>`"


def test_admonitions_with_text_beside_or_below(rules: portable.Rules) -> None:
    assert (
        rules.apply("> **Note** One.\n> Two.\n\nAfter.") == ":::{note}\nOne.\nTwo.\n:::\n\nAfter."
    )
    assert rules.apply("> **Warning**\n>\n> - One.") == ":::{warning}\n\n- One.\n:::"
    goals = rules.apply("> **Learning goals**\n> - see")
    assert goals == ":::{admonition} Learning goals\n:class: learning-goals\n- see\n:::"


def test_exercises_keep_the_numbers_of_the_notebook(rules: portable.Rules) -> None:
    shown = rules.apply("> **Exercise 3.1** One.")
    assert shown == ":::{admonition} Exercise 3.1\n:class: exercise\nOne.\n:::"


def test_the_glossary_page_becomes_sphinx_s_glossary() -> None:
    rules = portable.Rules(terms=portable.terms(GLOSSARY), docname="book/glossary")
    rich = rules.apply(GLOSSARY + "\n## Sum\n\nSee [P(s)](#ps).\n")
    assert rich.startswith("# Glossary\n\n::::{glossary}\nPseudo-bulk\n    A sum.\n\n    Of cells.")
    assert "{term}`P(s) <P(s)>`" in rich
    assert "## " not in rich


def test_the_glossary_as_sphinx_reads_it_has_no_headings_left() -> None:
    assert (
        portable.glossary_directive("# Glossary\n\nNothing yet.\n")
        == "# Glossary\n\nNothing yet.\n"
    )


@pytest.mark.parametrize(
    ("title", "anchor"),
    [("P(s)", "ps"), ("Pseudo-bulk", "pseudo-bulk"), ("Held-out time", "held-out-time")],
)
def test_anchors_are_those_of_github(title: str, anchor: str) -> None:
    assert portable.slug(title) == anchor


def test_diagram_with_its_caption_is_a_figure(rules: portable.Rules) -> None:
    plain = "Before.\n\n![Two boxes.](../_static/diagrams/a.svg)\n\n*What to see.*\n\nAfter."
    rich = (
        "Before.\n\n:::{figure} ../_static/diagrams/a.svg\n:alt: Two boxes.\n\n"
        "What to see.\n:::\n\nAfter."
    )
    assert rules.apply(plain) == rich
    assert rules.apply("![A plot](plot.png)\n\n*Text.*") == "![A plot](plot.png)\n\n*Text.*"


ENTRIES = {
    "scstlib.metrics.contacts": "scstlib.metrics.contacts",
    "scstlib.metrics.contacts.ssim": "scstlib.metrics.contacts.ssim",
    "scstlib.metrics.distribution.mmd": "scstlib.metrics.expression.mmd",
}
CODE = """import numpy as np
%matplotlib inline
from scstlib.metrics import contacts
from scstlib.metrics.contacts import ssim as similarity
def later():
    from scstlib.metrics.distribution import mmd
"""


@pytest.mark.parametrize(
    ("plain", "rich"),
    [
        (
            "With `scstlib.metrics.contacts.ssim`.",
            "With {py:obj}`scstlib.metrics.contacts.ssim <scstlib.metrics.contacts.ssim>`.",
        ),
        ("`contacts.ssim`", "{py:obj}`contacts.ssim <scstlib.metrics.contacts.ssim>`"),
        ("`similarity()`", "{py:obj}`similarity() <scstlib.metrics.contacts.ssim>`"),
        ("(`mmd`)", "({py:obj}`mmd <scstlib.metrics.expression.mmd>`)"),
        ("- `contacts`", "- {py:obj}`contacts <scstlib.metrics.contacts>`"),
    ],
)
def test_names_in_code_spans_lead_to_the_api_pages(plain: str, rich: str) -> None:
    imports = portable.imported_names(CODE)
    assert portable.link_names(plain, imports, ENTRIES.get) == rich


@pytest.mark.parametrize(
    "text",
    [
        "`ssim`",  # imported under another name
        "`scstlib.metrics.contacts.mse`",  # not described
        "`mmd(x, y)`",
        "``mmd``",
        "## About `mmd`",
        "[`mmd`](page.md) and [the `mmd` of cells](page.md)",
        "```python\nmmd = `mmd`\n```",
        "{cite:t}`mmd`",
        "mmd",
    ],
)
def test_other_code_spans_stay(text: str) -> None:
    assert portable.link_names(text, portable.imported_names(CODE), ENTRIES.get) == text
