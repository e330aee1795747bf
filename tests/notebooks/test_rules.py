"""The rules of the pages with code, as ``notebooks/README.md`` states them."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path
from typing import Any

import pytest
from scst_book import contents, portable

from tools import notebooks, pair

ROOT = notebooks.ROOT
FOLDER = ROOT / "notebooks"
SOURCES = pair.sources(FOLDER)
LONGEST = 15
LEARNING_BOX = ("> **Learning goals**", "> **Before**", "> **Time**")
NO_SECTIONS = {"check-yourself", "key-points", "exercises", "further-reading"}
LAST = ("## Key points", "## Exercises", "## Further reading")
ROLE = re.compile(r"\{[\w:.-]+\}`|^ {0,3}(:::|```\{)", flags=re.MULTILINE)
PLOT = re.compile(r"\b\w+_viewer\(|\bplt\.show\(|\.plot\(|\bplots\.\w+\(|\bsc\.pl\.")
SOLUTION = re.compile(
    r"<details>\s*<summary>Solution</summary>\n\n.+?\n\n</details>", flags=re.DOTALL
)


@pytest.fixture(params=SOURCES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def page(request: pytest.FixtureRequest) -> Any:
    """One page, as derived from its source."""
    return derived(request.param)


@functools.cache
def derived(source: Path) -> Any:
    """The notebook of a source, made once: tests only read it."""
    import nbformat

    found = nbformat.reads(pair.derive(source), as_version=4)
    found.metadata["source"] = str(source)
    return found


def markdown(page: Any) -> str:
    """The prose of a page, code left out."""
    cells = [cell.source for cell in page.cells if cell.cell_type == "markdown"]
    return portable.CODE.sub("", "\n\n".join(cells))


def tagged(page: Any, tag: str) -> list[Any]:
    """The cells with a tag."""
    return [cell for cell in page.cells if tag in cell.metadata.get("tags", [])]


def long_functions(source: str) -> list[str]:
    """Functions of more lines than a reader takes in at once."""
    functions = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef)]
    return [f.name for f in functions if (f.end_lineno or 0) - f.lineno + 1 > LONGEST]


def broken_links(folder: Path, text: str) -> list[str]:
    """Relative links to files that are not there."""
    found = [match[2] for match in portable.LINK.finditer(text)]
    files = [link.partition("#")[0] for link in found if not re.match(r"[a-z]+:", link)]
    return [name for name in files if name and not (folder / name).is_file()]


def misnamed_links(file: Path, text: str, pages: dict[str, contents.Page]) -> list[str]:
    """Links to pages with code whose text is not the title, or is that of another page."""
    wrong, titles = [], {page.title for page in pages.values()}
    for match in portable.LINK.finditer(text):
        address, _, anchor = match[2].partition("#")
        target = (file.parent / address).resolve().with_suffix("")
        page = pages.get(target.relative_to(ROOT).as_posix() if address else "")
        words = portable.one_line(match[1])
        named = page is not None and words == page.title
        to_code = page is not None and page.number > 0
        if not named and (words in titles or (to_code and not anchor)):
            wrong.append(match[0])
    return wrong


def unknown_dois(text: str, bibliography: str) -> list[str]:
    """DOI and arXiv links that the bibliography does not have."""
    known = portable.citation_keys(bibliography)
    found = re.findall(r"https://(?:doi\.org|arxiv\.org/abs)/[^\s)>\]]+", text)
    return [link for link in found if link.lower() not in known]


def test_title_and_learning_box_come_first(page: Any) -> None:
    first = page.cells[0]
    assert first.cell_type == "markdown"
    assert re.match(r"# \S", first.source)
    assert [part for part in LEARNING_BOX if part not in first.source] == []
    assert contents.MINUTES.search(first.source)


def unserved_goals(page: Any) -> list[str]:
    """Learning goals that name no section of the page by a link."""
    box = page.cells[0].source.partition("> **Learning goals**")[2].partition("> **Before**")[0]
    _, *goals = re.split(r"^> - ", box, flags=re.MULTILINE)
    titles = re.findall(r"^##+ (.+)$", markdown(page), flags=re.MULTILINE)
    sections = {portable.slug(title) for title in titles} - NO_SECTIONS
    linked = [re.findall(r"\]\(#([\w-]+)\)", goal) for goal in goals]
    missing = [goal for goal, found in zip(goals, linked, strict=True) if not sections & {*found}]
    return missing if goals else ["there are no goals"]


def test_each_learning_goal_names_the_section_that_serves_it(page: Any) -> None:
    assert unserved_goals(page) == []


def test_the_summary_is_one_plain_sentence(page: Any) -> None:
    summary = contents.summary(page.cells[0].source)
    assert re.fullmatch(r"[^\[\]`]{20,140}\.", summary)


def test_the_colab_cell_is_the_one_of_the_repository(page: Any) -> None:
    (cell,) = tagged(page, "colab")
    assert cell.source == (ROOT / "tools" / "colab_cell.py").read_text(encoding="utf-8").rstrip()
    assert page.cells.index(cell) == 1


def test_parameters_have_their_defaults(page: Any) -> None:
    (cell,) = tagged(page, "parameters")
    values: dict[str, Any] = {}
    exec(cell.source, values)
    assert (values["profile"], values["seed"]) == ("fast", notebooks.SEED)


def test_the_page_ends_with_key_points_exercises_and_reading(page: Any) -> None:
    headings = re.findall(r"^## .+$", markdown(page), flags=re.MULTILINE)
    assert tuple(headings[-3:]) == LAST


def without_solution(page: Any) -> list[str]:
    """Exercises that neither a folded text nor a cell with code, below them, solves."""
    found, cells = [], page.cells
    for cell, below in zip(cells, [*cells[1:], None], strict=True):
        _, *exercises = re.split(r"^(?=> \*\*Exercise)", cell.source, flags=re.MULTILINE)
        for exercise in exercises:
            by_code = below is not None and "solution" in below.metadata.get("tags", [])
            if not (
                len(SOLUTION.findall(exercise)) == 1 or (by_code and exercise is exercises[-1])
            ):
                found.append(exercise)
    return found


def test_every_exercise_has_a_hidden_solution(page: Any) -> None:
    cells = [c.source for c in page.cells if c.cell_type == "markdown"]
    assert any("> **Exercise" in source for source in cells)
    assert without_solution(page) == []
    for source in cells:
        assert source.count("<summary>Solution<") == len(SOLUTION.findall(source))


def test_every_page_asks_three_to_five_questions(page: Any) -> None:
    asked = markdown(page).partition("## Check yourself")[2].partition("## Key points")[0]
    assert 3 <= len(re.findall(r"<details><summary>.+?</summary>.+?</details>", asked, re.S)) <= 5


def test_prose_is_portable(page: Any) -> None:
    assert ROLE.findall(markdown(page)) == []


def test_no_line_of_prose_begins_with_a_percent_sign(page: Any) -> None:
    # The book takes such a line for a comment and leaves it out.
    assert re.findall(r"^ *%.*$", markdown(page), flags=re.MULTILINE) == []


def test_links_name_files_and_dois_are_in_the_bibliography(page: Any) -> None:
    text = markdown(page)
    bibliography = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    assert broken_links(Path(page.metadata["source"]).parent, text) == []
    assert unknown_dois(text, bibliography) == []


def test_code_is_short_and_raises_nothing(page: Any) -> None:
    for cell in page.cells:
        if cell.cell_type == "code":
            assert long_functions(cell.source) == []
    assert tagged(page, "raises-exception") == []


def test_cells_that_plot_have_caption_and_alt_text(page: Any) -> None:
    for cell in page.cells:
        if cell.cell_type == "code" and PLOT.search(cell.source) and "def " not in cell.source:
            assert cell.metadata.get("caption"), cell.source
            assert cell.metadata.get("alt"), cell.source


def test_a_name_of_a_figure_is_used_once_in_the_book() -> None:
    names = [n for path in SOURCES for n in re.findall(r'\bname="(fig-[\w-]+)"', path.read_text())]
    assert len(names) > 10
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("name", notebooks.names())
def test_executed_figures_have_texts_and_nothing_is_written_to_stderr(name: str) -> None:
    path = notebooks.executed_path(name)
    if not path.is_file():
        pytest.skip("this page was not run: run `make book`")
    for cell in notebooks.code_cells(notebooks.read(path)):
        for output in cell["outputs"]:
            assert output.get("name") != "stderr", "".join(output["text"])
            text = "".join(output.get("text", output.get("data", {}).get("text/plain", "")))
            assert not re.search(r"\bat 0x[0-9a-f]{6,}", text)
            if "image/png" in output.get("data", {}):
                assert cell["metadata"].get("caption"), cell["source"]
                assert cell["metadata"].get("alt"), cell["source"]


def test_every_page_is_in_the_table_of_contents_and_every_entry_is_a_page() -> None:
    assert sorted(notebooks.names()) == sorted(
        path.relative_to(FOLDER).with_suffix("").as_posix() for path in SOURCES
    )
    for name in notebooks.pages():
        assert (ROOT / f"{name}.md").is_file() or (ROOT / f"{name}.ipynb").is_file()


def test_lists_of_pages_are_made_by_the_book_and_name_every_page() -> None:
    for name, table in (("index", contents.contents), ("teaching", contents.sessions)):
        source = (ROOT / "book" / f"{name}.md").read_text(encoding="utf-8")
        assert f"<!-- table: {table.__name__} -->" in source
        made = re.findall(r"\[(.+?)\]\(\.\./notebooks/([\w/]+)\.ipynb\)", table(ROOT))
        assert [name for _, name in made] == notebooks.names()
        for title, name in made:
            source = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
            assert source.startswith(f"# %% [markdown]\n# # {title}\n")


def test_links_name_pages_by_their_titles() -> None:
    pages = {page.name: page for page in contents.read(ROOT)}
    texts = {path: markdown(derived(path)) for path in SOURCES}
    texts |= {path: path.read_text(encoding="utf-8") for path in (ROOT / "book").glob("*.md")}
    wrong = {path.name: misnamed_links(path, text, pages) for path, text in texts.items()}
    assert {name: links for name, links in wrong.items() if links} == {}


def test_no_page_is_called_by_a_number() -> None:
    numbered = re.compile(r"\b[Pp]ages?\s(?:#\s)?(?:>\s)?\d|\b[01]\d_[a-z]\w+\.(?:ipynb|py)\b")
    files = [*SOURCES, *(ROOT / "book").glob("*.md"), FOLDER / "README.md"]
    wrong = {path.name: numbered.findall(path.read_text(encoding="utf-8")) for path in files}
    assert {name: found for name, found in wrong.items() if found} == {}
    assert numbered.search("as on [page\n# 2](x.ipynb)")


def test_prose_pages_link_to_files_and_cite_what_the_bibliography_has() -> None:
    bibliography = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    for path in (ROOT / "book").glob("*.md"):
        text = portable.CODE.sub("", path.read_text(encoding="utf-8"))
        assert broken_links(path.parent, text) == [], path.name
        assert unknown_dois(text, bibliography) == [], path.name


def test_the_rules_find_what_they_forbid(tmp_path: Path) -> None:
    body = "\n".join("    a = 1" for _ in range(LONGEST))
    assert long_functions(f"def f():\n{body}") == ["f"]
    assert broken_links(tmp_path, "[a](gone.ipynb#b) [c](https://example.org)") == ["gone.ipynb"]
    pages = {
        name: contents.Page(name, ".ipynb", "Part", number, title, "")
        for number, (name, title) in enumerate([("notebooks/p/a", "A"), ("notebooks/p/b", "B")], 1)
    }
    right = (
        "[A](a.ipynb) [A](a.ipynb#x) [how](a.ipynb#x) [this](../../book/data.md) [C](https://c.org)"
    )
    assert misnamed_links(FOLDER / "p" / "b.py", right, pages) == []
    for link in ("[how](a.ipynb)", "[B](a.ipynb#x)", "[A](../../book/data.md)", "[A](#x)"):
        assert misnamed_links(FOLDER / "p" / "b.py", link, pages) == [link]
    assert unknown_dois("<https://doi.org/10.1/a>", "@article{b,\n doi = {10.1/b}}") != []
    assert ROLE.search("see {doc}`a`")
    assert ROLE.search(":::{note}")
    assert not ROLE.search("a set {1, 2} and `code`")
    import nbformat.v4 as v4

    quote, folded = (
        "> **Exercise** Do.",
        "<details><summary>Solution</summary>\n\nSo.\n\n</details>",
    )
    code = v4.new_code_cell("answer = 1", metadata={"tags": ["solution"]})
    box = (
        "# A\n\n> **Learning goals**\n> - [read](#depth), and\n>   write;\n> - {}.\n>\n> **Before**"
    )
    for second, missing in (("[b](#depth)", 0), ("b", 1), ("[b](#gone)", 1), ("[b](#a)", 1)):
        made = v4.new_notebook(cells=[v4.new_markdown_cell(f"{box.format(second)}\n\n## Depth")])
        assert len(unserved_goals(made)) == missing
    for cells, missing in (
        ([v4.new_markdown_cell(f"{quote}\n\n{folded}\n\n{quote}"), code], 0),
        ([v4.new_markdown_cell(f"{quote}\n\n{quote}\n\n{folded}"), code], 1),
        ([v4.new_markdown_cell(quote), v4.new_code_cell("answer = 1")], 1),
        ([v4.new_markdown_cell(quote)], 1),
    ):
        assert len(without_solution(v4.new_notebook(cells=cells))) == missing
