"""What ``make teach`` writes: notebooks, slides, and a page that lists them."""

from __future__ import annotations

import ast
import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from scst_book import contents

from scstlib import checks
from tests.checks.tries import projects
from tools import execute, notebooks, otter, pair, slides, teach

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

> **Exercise 3.1** Explain
> it.

<details><summary>Solution</summary>

A secret.

</details>

> **Exercise 3.2** Compute it."""
SOLUTION = (
    "# @title Solution\nx = 2\n### BEGIN SOLUTION\nanswer = x + 40\n### END SOLUTION\n"
    "checks.right(answer)"
)
NUMBERS = notebooks.numbers()
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
    return {"cells": cells, "metadata": pair.METADATA, "nbformat": 4, "nbformat_minor": 5}


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
    (tmp_path / "_config.yml").write_text(
        "repository: {url: https://example.org/book, branch: main}\n"
    )
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
    assert f"## Exercises\n\n*{1 + 2 * teach.EXERCISE_MINUTES} min*\n" in text
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
    assert '<h2 id="key-points">' in view


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
    assert "Exercise 3.2</h2>" in two
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
    assert files["index.html"].count(b"(not run)") == 1
    (folder / "stale.html").touch()
    teach.make(root)
    assert files == {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")}


def test_only_named_pages_that_are_not_up_to_date_are_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[str] = []
    monkeypatch.setattr(notebooks, "refresh_keys", lambda root: ["a/b", "c/d"])
    monkeypatch.setattr(execute, "run", lambda name, root: ran.append(name) or name == "c/d")
    assert teach.run(["a/b", "e/f"]) == []
    assert teach.run(["c/d"]) == ["c/d"]
    assert ran == ["a/b", "c/d"]
    monkeypatch.setattr("sys.argv", ["teach", "no/page"])
    assert teach.main() == 2
    assert "there is no page no/page" in capsys.readouterr().err


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
    tasks = [f"Exercise {NUMBERS[name]}.{i + 1}" for i in range(len(slides.exercises(source)))]
    assert list(slides.exercises(source)) == tasks
    made = sources(teach.student(source))
    assert [task for task in tasks if f"> **{task}** " not in made] == []
    assert "> **Exercise**" not in made
    assert "<summary>Solution" not in made
    assert "BEGIN SOLUTION" not in made
    assert "](../../" not in made


def test_a_project_becomes_questions_with_solutions_and_tests(
    page: dict[str, Any], root: Path
) -> None:
    import nbformat

    made = otter.assignment(teach.student(page, root, stubs=False), "maps")
    nbformat.validate(nbformat.reads(teach.text_of(made), as_version=4))
    raw = [c["source"].split("\n")[0] for c in made["cells"] if c["cell_type"] == "raw"]
    assert raw == [
        "# ASSIGNMENT CONFIG", "# BEGIN QUESTION", "# BEGIN SOLUTION", "# END SOLUTION",
        "# BEGIN TESTS", "# END TESTS", "# END QUESTION",
    ]  # fmt: skip
    solved, test = [c for c in notebooks.code_cells(made) if "answer" in c["source"]]
    assert "# BEGIN SOLUTION NO PROMPT\nanswer_2 = x + 40\n# END SOLUTION\n" in solved["source"]
    assert '""" # BEGIN PROMPT\nanswer_2 = ...\n""" # END PROMPT\n' in solved["source"]
    assert test["source"] == "checks.right(answer_2).right"
    assert test["outputs"][0]["data"]["text/plain"] == "True"
    asked = [c["source"] for c in made["cells"] if c["source"].startswith("> **Exercise")]
    assert asked == ["> **Exercise 3.2** Compute it."]
    assert "# BEGIN QUESTION\nname: q2\npoints: 1" in sources(made)
    page["cells"][6]["source"] = SOLUTION.replace("checks.right(answer)", "answer")
    with pytest.raises(ValueError, match=r"write checks\.NAME\(answer\)"):
        otter.assignment(page, "maps")


@pytest.mark.parametrize("name", [n for n in notebooks.names() if n.startswith("projects/")])
def test_cells_that_otter_runs_grade_right_and_wrong_answers(name: str) -> None:
    """What otter-grader does with each question, done here: answer, then run the test's cell.

    otter-grader itself does not go into the environment of the exact versions, as it asks for
    wrapt < 2; the test below runs it where it is installed, and CI does so once a week.
    """
    source = notebooks.read(notebooks.ROOT / "notebooks" / f"{name}.ipynb")
    cells = otter.assignment(teach.student(source, stubs=False), "project")["cells"]
    raw = [cell["source"] if cell["cell_type"] == "raw" else "" for cell in cells]
    tests = [cells[i + 1] for i, mark in enumerate(raw) if mark == "# BEGIN TESTS"]
    tries = {tries.check.__name__: tries for tries in projects.TRIES}
    for test in tests:
        tree: Any = ast.parse(test["source"], mode="eval")
        call = tree.body.value
        own, answer = tries.pop(call.func.attr), call.args[0].id
        names = {f"given_{i}": value for i, value in enumerate(own.given)}
        assert len(call.args) == 1 + len(names)
        call.args[1:] = [ast.Name(name, ast.Load()) for name in names]
        asked = compile(ast.fix_missing_locations(tree), "test", "eval")
        for value in own.right:
            assert eval(asked, {"checks": checks, answer: value, **names}) is True
        for value in (..., None, *own.wrong.values()):
            assert eval(asked, {"checks": checks, answer: value, **names}) is False
    assert len(tests) >= 2


def test_otter_grader_reads_a_project_and_grades_it(
    page: dict[str, Any], root: Path, tmp_path: Path
) -> None:
    """``SCST_OTTER`` names the program, in an environment of its own."""
    program = os.environ.get("SCST_OTTER") or shutil.which("otter")
    if program is None:
        pytest.skip("otter-grader is not installed: let SCST_OTTER name its program `otter`")
    right = "class checks:\n    right = lambda n: type('Feedback', (), {'right': n == 42})"
    page["cells"][1] = cell("code", right)
    page["cells"][4] = cell("code", "print(1)")
    master = tmp_path / "maps.ipynb"
    made = otter.assignment(teach.student(page, root, stubs=False), "maps")
    master.write_text(teach.text_of(made))
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}

    def run(*words: str) -> str:
        done = subprocess.run(
            [program, *words], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    run("assign", "--no-pdfs", "--no-run-tests", "maps.ipynb", "made")
    handed_out = notebooks.read(tmp_path / "made/student/maps.ipynb")
    assert "x + 40" not in sources(handed_out)
    assert "answer_2 = ...\n" in sources(handed_out)
    (grader,) = (tmp_path / "made/autograder").glob("*.zip")
    for name, folder, score in (("solved", "autograder", 1.0), ("stub", "student", 0.0)):
        shutil.copy(tmp_path / f"made/{folder}/maps.ipynb", tmp_path / f"{name}.ipynb")
        (tmp_path / name).mkdir()
        run("run", "-a", str(grader), "-o", name, f"{name}.ipynb")
        results = json.loads((tmp_path / name / "results.json").read_text())
        graded = {test["name"]: test.get("score") for test in results["tests"]}
        assert graded["q2"] == score, results
