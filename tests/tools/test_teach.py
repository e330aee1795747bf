"""What ``make teach`` writes: notebooks, slides, and a page that lists them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from scst_book import contents

from tools import notebooks, slides, teach

FIRST = """# Maps

What maps show.

> **Learning goals**
> - read a map;
> - doubt it.
>
> **Before**: nothing.
>
> **Time**: 3 min to read, 1 min to run."""
IDEA = "A map counts contacts, see [the term](../../book/glossary.md#contact) and $x_i$.\n\n## Look"
DIAGRAM = "![A box.](../../book/_static/diagrams/box.svg)\n\n*A box is a bin.*"
LAST = """## Check yourself

<details><summary>Is it true?</summary>

Folded answer.

</details>

## Key points

- Doubt it.

```console
## no heading
```

## Exercises

> **Exercise** Explain
> it.

<details><summary>Solution</summary>

A secret.

</details>

> **Exercise** Compute it."""
SOLUTION = (
    "# @title Solution\nx = 2\n### BEGIN SOLUTION\nanswer = x + 40\n### END SOLUTION\n"
    "checks.right(answer)"
)
PNG = base64.b64encode(b"png").decode()


def cell(kind: str, source: str, **metadata: Any) -> dict[str, Any]:
    own = {"outputs": [], "execution_count": None} if kind == "code" else {}
    return {
        "cell_type": kind,
        "id": f"c{len(source)}",
        "metadata": metadata,
        "source": source,
    } | own


@pytest.fixture
def page() -> dict[str, Any]:
    """A page with what pages have."""
    cells = [
        cell("markdown", FIRST),
        cell("code", "import sys", tags=["colab"]),
        cell("markdown", IDEA),
        cell("markdown", DIAGRAM),
        cell("code", "plot()", caption="A *map*.", alt="Dots.", name="fig-a"),
        cell("markdown", LAST),
        cell("code", SOLUTION, tags=["solution"], cellView="form"),
        cell("markdown", "## Further reading\n\n- [Maps](maps.ipynb)"),
    ]
    return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


@pytest.fixture
def executed(page: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(page))
    output = {"output_type": "display_data", "data": {"image/png": PNG}, "metadata": {}}
    made["cells"][4].update(outputs=[output], execution_count=1)
    return made


@pytest.fixture
def root(tmp_path: Path, page: dict[str, Any], executed: dict[str, Any]) -> Path:
    """A book of two pages, of which the first was run."""
    (tmp_path / "book/_static/diagrams").mkdir(parents=True)
    (tmp_path / "book/_static/diagrams/box.svg").write_text("<svg/>")
    (tmp_path / "_config.yml").write_text("repository:\n  url: https://example.org/book\n")
    parts = "".join(
        f"  - caption: {part}\n    chapters:\n      - file: notebooks/{name}\n"
        for part, name in (("Contact maps", "space/maps"), ("Time", "time/odes"))
    )
    (tmp_path / "book/_toc.yml").write_text(f"root: book/index\nparts:\n{parts}")
    for path, notebook in (
        ("notebooks/space/maps", page),
        ("notebooks/time/odes", page),
        ("_build/executed/space/maps", executed),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{path}.ipynb").write_text(json.dumps(notebook))
    return tmp_path


def sources(notebook: dict[str, Any]) -> str:
    return "\n\n".join(cell["source"] for cell in notebook["cells"])


def test_students_get_no_solutions_and_folded_answers(page: dict[str, Any], root: Path) -> None:
    before = json.dumps(page)
    made = teach.student(page, root)
    text = sources(made)
    assert json.dumps(page) == before
    assert "secret" not in text
    assert "x + 40" not in text
    assert "x = 2\nanswer = ...\nchecks.right(answer)" in text
    assert "<details><summary>Is it true?</summary>\n\nFolded answer." in text
    assert [c["metadata"] for c in made["cells"] if "answer" in c["source"]][-1] == {
        "tags": ["exercise"]
    }


def test_instructors_get_solutions_minutes_and_outputs(
    page: dict[str, Any], executed: dict[str, Any], root: Path
) -> None:
    made = teach.instructor(page, executed, root)
    text = sources(made)
    assert "<details>" not in text
    assert "**Is it true?**\n\nFolded answer." in text
    assert "**Solution**\n\nA secret." in text
    assert "answer = x + 40" in text
    assert f"## Exercises\n\n*{2 * teach.EXERCISE} min*\n" in text
    assert "| Look | 1 |" in made["cells"][1]["source"]
    assert "no heading |" not in text
    assert notebooks.code_cells(made)[1]["outputs"]
    assert not any(c["outputs"] for c in notebooks.code_cells(teach.instructor(page, None, root)))


@pytest.mark.parametrize("kind", ["student", "instructor"])
def test_a_notebook_stands_alone_and_is_valid(kind: str, page: dict[str, Any], root: Path) -> None:
    import nbformat

    made = getattr(teach, kind)(page, root=root)
    nbformat.validate(nbformat.reads(teach.text_of(made), as_version=4))
    text = sources(made)
    assert "../" not in text
    assert "(https://example.org/book/blob/main/book/glossary.md#contact)" in text
    (diagram,) = [c for c in made["cells"] if "attachments" in c]
    encoded = diagram["attachments"]["box.svg"]["image/svg+xml"]
    assert base64.b64decode(encoded) == b"<svg/>"
    view = slides.view(made, "Maps", "../../")
    assert f"data:image/svg+xml;base64,{encoded}" in view
    assert 'href="maps.html"' in view


def test_slides_show_question_idea_figures_points_and_exercises(
    page: dict[str, Any], executed: dict[str, Any], root: Path
) -> None:
    about = contents.Page("notebooks/space/maps", ".ipynb", "Space", 3, "Maps", "A map?", (3, 1))
    first, idea, diagram, figure, points, one, two = slides.of_page(about, executed, root)
    assert "<p>A map?</p>" in first
    assert "<li>doubt it.</li>" in first
    assert "A map counts contacts, see the term and <span" in idea
    assert "\\(x_i\\)" in idea
    assert 'alt="A box."><figcaption><p>A box is a bin.</p>' in diagram
    assert f'src="data:image/png;base64,{PNG}" alt="Dots."' in figure
    assert "<em>map</em>" in figure
    assert "<li>Doubt it.</li>" in points
    assert "Exercise 3.1</h2>" in one
    assert "<p>Explain\nit.</p>" in one
    assert "Compute it." in two
    assert len(slides.of_page(about, page, root)) == 6  # without outputs, no figure
    assert "secret" not in slides.deck("Space", [(about, executed)], root)


def test_the_intuition_ends_before_it_is_long(page: dict[str, Any]) -> None:
    page["cells"][2]["source"] = "One idea.\n\n" + "word " * slides.WORDS
    assert slides.intuition(page) == "One idea."
    page["cells"][2]["source"] = "One idea.\n\nMore.\n\n| a |\n\nafter"
    assert slides.intuition(page) == "One idea.\n\nMore."


def test_everything_is_made_alike_each_time(root: Path) -> None:
    assert teach.make(root) == (2, 1)
    folder = root / "_build" / "teach"
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")}
    assert sorted(files) == [
        "index.html",
        *(f"instructor/{n}.{s}" for n in ("space/maps", "time/odes") for s in ("html", "ipynb")),
        "mathjax/tex-svg.js",
        "slides/contact-maps.html",
        "slides/time.html",
        *(f"student/{n}.{s}" for n in ("space/maps", "time/odes") for s in ("html", "ipynb")),
    ]
    assert PNG.encode() in files["slides/contact-maps.html"]
    assert PNG.encode() not in files["slides/time.html"]
    (folder / "stale.html").touch()
    teach.make(root)
    assert files == {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")}


def test_outputs_of_other_code_are_not_taken(page: dict[str, Any], root: Path) -> None:
    assert teach.executed_copy("space/maps", page, root) is not None
    page["cells"][4]["source"] = "plot(2)"
    assert teach.executed_copy("space/maps", page, root) is None
    assert teach.executed_copy("time/odes", page, root) is None


@pytest.mark.parametrize("name", notebooks.names())
def test_every_page_has_slides_and_no_solution_reaches_students(name: str) -> None:
    source = notebooks.read(notebooks.ROOT / "notebooks" / f"{name}.ipynb")
    assert len(slides.intuition(source).split()) > 15
    assert slides.key_points(source).startswith("- ")
    assert slides.exercises(source)
    made = sources(teach.student(source))
    assert "<summary>Solution" not in made
    assert "BEGIN SOLUTION" not in made
    assert "](../../" not in made
