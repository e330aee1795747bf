"""Make what a lecturer hands out and shows: ``python -m tools.teach``, called by ``make teach``.

From the committed notebooks, in ``_build/teach``: for each page a student notebook without
solutions and an instructor notebook with solutions, minutes and outputs, both also as HTML to read
without Jupyter; slides for each part (:mod:`tools.slides`); the projects as assignments of
otter-grader (:mod:`tools.otter`); and ``index.html``, which lists them. Outputs and figures come
from the executed copies that ``make book`` made.
"""

from __future__ import annotations

import argparse
import base64
import copy
import html
import json
import re
import shutil
import sys
import time
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml
from scst_book import contents, reading
from scst_book.markdown import markdown as markdown_table
from scst_book.portable import CODE, LINK
from scst_book.syllabi import EXERCISE_MINUTES

from tools import execute, notebooks, otter, slides, solutions

ROOT = notebooks.ROOT
FOLDED = re.compile(
    r"<details>\s*<summary>(?P<head>.*?)</summary>(?P<text>.*?)</details>\n*", flags=re.DOTALL
)
IMAGE = re.compile(r"!\[([^\]\n]*)\]\((\S+/)?([\w.-]+\.svg)\)")
PROJECTS = "projects/"


def sections(text: str) -> list[str]:
    """Markdown, cut before each heading of the second level that stands outside code."""
    fences = [code.span() for code in CODE.finditer(text)]
    cuts = [
        heading.start()
        for heading in re.finditer(r"^## ", text, flags=re.MULTILINE)
        if not any(start <= heading.start() < end for start, end in fences)
    ]
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def heading(text: str) -> str:
    """Title of a section; empty for what stands before the first heading."""
    return text.partition("\n")[0].removeprefix("## ") if text.startswith("## ") else ""


def minutes(notebook: dict[str, Any]) -> dict[str, int]:
    """Minutes of each section of a page by its title; the first one has an empty title.

    Reading as :mod:`scst_book.reading` estimates it, and `EXERCISE_MINUTES` for each exercise.
    """
    cells: dict[str, list[dict[str, Any]]] = {"": []}
    for cell in notebook["cells"]:
        prose = cell["cell_type"] == "markdown"
        for part in sections(cell["source"]) if prose else [cell["source"]]:
            title = (heading(part) if prose else "") or list(cells)[-1]
            cells.setdefault(title, []).append({**cell, "source": part})
    found = {}
    for title, parts in cells.items():
        tasks = sum(part["source"].count("> **Exercise") for part in parts)
        read = max(1, round(reading.minutes({"cells": parts})))
        found[title] = read + EXERCISE_MINUTES * tasks
    return found


def with_own_links(cell: dict[str, Any], root: Path = ROOT) -> None:
    """Let a Markdown cell be read anywhere: diagrams inside it, addresses for pages of prose."""

    def inside(image: re.Match[str]) -> str:
        path = root / "book" / "_static" / "diagrams" / image[3]
        encoded = base64.b64encode(path.read_bytes()).decode()
        cell.setdefault("attachments", {})[image[3]] = {"image/svg+xml": encoded}
        return f"![{image[1]}](attachment:{image[3]})"

    def address(link: re.Match[str]) -> str:
        path, mark, anchor = link[2].partition("#")
        if not path.startswith("../../"):
            return link[0]
        target = path.removeprefix("../../")
        return f"[{link[1]}]({files_address(root)}/{target}{mark}{anchor})"

    cell["source"] = LINK.sub(address, IMAGE.sub(inside, cell["source"]))


@cache
def files_address(root: Path = ROOT) -> str:
    """Address below which the files of the repository are shown."""
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))["repository"]
    return f"{config['url']}/blob/{config['branch']}"


def student(notebook: dict[str, Any], root: Path = ROOT, *, stubs: bool = True) -> dict[str, Any]:
    """A page to work on: no solutions, stubs in their place; answers to questions stay folded.

    Parameters
    ----------
    notebook
        The committed notebook, as :func:`tools.notebooks.read` gives it.
    root
        Of the repository.
    stubs
        Whether code is left out too; otherwise only Markdown is without solutions.
    """
    made = copy.deepcopy(notebook)
    for cell in made["cells"]:
        if cell["cell_type"] == "markdown":
            text = FOLDED.sub(lambda m: "" if m["head"] == "Solution" else m[0], cell["source"])
            cell["source"] = text.rstrip()
            with_own_links(cell, root)
        elif stubs and solutions.TAG in cell["metadata"].get("tags", []):
            cell["source"] = solutions.stub(cell["source"])
            cell["metadata"] = {"tags": ["exercise"]}
    return made


def instructor(
    notebook: dict[str, Any],
    executed: dict[str, Any] | None = None,
    root: Path = ROOT,
) -> dict[str, Any]:
    """A page to teach from: solutions and answers unfolded, minutes, outputs.

    Parameters
    ----------
    notebook, root
        As in :func:`student`.
    executed
        The executed copy, whose outputs are expected; None if there is none.
    """
    made = copy.deepcopy(notebook)
    plan = minutes(notebook)
    for cell in made["cells"]:
        if cell["cell_type"] == "markdown":
            parts = [_timed(part, plan) for part in sections(cell["source"])]
            cell["source"] = FOLDED.sub(_unfolded, "".join(parts)).rstrip()
            with_own_links(cell, root)
        elif solutions.TAG in cell["metadata"].get("tags", []):
            cell["metadata"] = {"tags": [solutions.TAG]}
            cell["source"] = cell["source"].removeprefix(f"{solutions.TITLE}\n")
    rows = [[title or "before the first heading", time] for title, time in plan.items()]
    rows.append(["**together**", f"**{sum(plan.values())}**"])
    text = f"**Plan of the session**\n\n{markdown_table(['section', 'min'], rows)}"
    cell = {"cell_type": "markdown", "id": "plan-of-session", "metadata": {}, "source": text}
    take_outputs(made, executed)
    made["cells"].insert(1, cell)
    return made


def _timed(text: str, plan: dict[str, int]) -> str:
    title = heading(text)
    if not title:
        return text
    first, _, rest = text.partition("\n")
    return f"{first}\n\n*{plan[title]} min*\n{rest}"


def _unfolded(folded: re.Match[str]) -> str:
    text = re.sub(r"^<p>(.*)</p>$", r"\1", folded["text"].strip(), flags=re.DOTALL)
    return f"**{folded['head'].strip()}**\n\n{text}\n\n"


def take_outputs(notebook: dict[str, Any], executed: dict[str, Any] | None) -> None:
    """Put the outputs of the executed copy into a notebook of the same code; else none."""
    own = notebooks.code_cells(notebook)
    done = notebooks.code_cells(executed) if executed else []
    if len(own) == len(done):
        for cell, copied in zip(own, done, strict=True):
            cell["outputs"] = copied["outputs"]
            cell["execution_count"] = copied["execution_count"]


def executed_copy(name: str, notebook: dict[str, Any], root: Path = ROOT) -> dict[str, Any] | None:
    """The executed copy of a page, unless there is none or it was made from other code."""
    path = notebooks.executed_path(name, root)
    if not path.is_file():
        return None
    found = notebooks.read(path)
    sources = [[cell["source"] for cell in notebooks.code_cells(n)] for n in (notebook, found)]
    return found if sources[0] == sources[1] else None


def text_of(notebook: dict[str, Any]) -> str:
    """A notebook as the text of its file."""
    made = copy.deepcopy(notebook)
    for cell in made["cells"]:
        cell["source"] = cell["source"].splitlines(keepends=True)
    return json.dumps(made, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def index(pages: list[contents.Page], parts: list[str], missing: list[str]) -> str:
    """The page that lists what was made; ``missing`` are pages without outputs."""
    rows = []
    for page in pages:
        name = page.name.removeprefix(contents.CODE)
        links = [
            f'<a href="{kind}/{name}.ipynb">notebook</a>, <a href="{kind}/{name}.html">to read</a>'
            for kind in ("student", "instructor")
        ]
        cells = [
            html.escape(f"{page.number} {page.title}") + (" (not run)" if name in missing else ""),
            page.minutes[0],
            page.minutes[1],
            *links,
        ]
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    decks = "".join(
        f'<li><a href="slides/{slides.file(part)}">{html.escape(part)}</a></li>' for part in parts
    )
    graded = "".join(
        f'<li><a href="otter/{Path(page.name).name}.ipynb">{html.escape(page.title)}</a></li>'
        for page in pages
        if page.name.startswith(contents.CODE + PROJECTS)
    )
    head = ("page", "min to read", "min to run", "student", "instructor")
    table = "".join(f'<th scope="col">{word}</th>' for word in head)
    return slides.document(
        "Teaching material",
        "<main><h1>Teaching material</h1><p>Made by <code>make teach</code>, which makes it anew"
        " each time: copy what you want to change. Arrow keys turn the slides; printed, they are"
        " one a page. Pages marked <em>not run</em> have neither figures nor outputs here:"
        " <code>make book</code> runs them.</p>"
        f"<h2>Slides</h2><ul>{decks}</ul><h2>Notebooks</h2><table><thead><tr>{table}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table><h2>Projects for otter-grader</h2>"
        f"<ul>{graded}</ul></main>",
    )


def make(root: Path = ROOT) -> tuple[int, int]:
    """Write everything; returns how many pages there are, and how many without an executed copy."""
    folder = root / "_build" / "teach"
    shutil.rmtree(folder, ignore_errors=True)
    pages = [page for page in contents.read(root) if page.number]
    decks: dict[str, str] = {}
    missing: list[str] = []
    for part, group in groupby(pages, key=lambda page: page.part):
        shown = []
        for page in group:
            name = page.name.removeprefix(contents.CODE)
            source = notebooks.read(root / "notebooks" / f"{name}.ipynb")
            executed = executed_copy(name, source, root)
            missing += [name] if executed is None else []
            for kind, made in (
                ("student", student(source, root)),
                ("instructor", instructor(source, executed, root)),
            ):
                path = folder / kind / f"{name}.ipynb"
                notebooks.write_if_changed(path, text_of(made))
                view = slides.view(made, f"{page.title} ({kind})", "../../")
                notebooks.write_if_changed(path.with_suffix(".html"), view)
            if name.startswith(PROJECTS):
                made = otter.assignment(student(source, root, stubs=False), Path(name).name)
                notebooks.write_if_changed(
                    folder / "otter" / f"{Path(name).name}.ipynb", text_of(made)
                )
            shown.append((page, with_outputs(source, executed)))
        decks[part] = slides.deck(part, shown, root)
    for part, text in decks.items():
        notebooks.write_if_changed(folder / "slides" / slides.file(part), text)
    notebooks.write_if_changed(folder / "index.html", index(pages, list(decks), missing))
    slides.copy_mathjax(folder)
    return len(pages), len(missing)


def with_outputs(notebook: dict[str, Any], executed: dict[str, Any] | None) -> dict[str, Any]:
    """A page with the outputs of its executed copy."""
    made = copy.deepcopy(notebook)
    take_outputs(made, executed)
    return made


def run(names: list[str], root: Path = ROOT) -> list[str]:
    """Run those of these pages that are not up to date; returns those that failed."""
    stale = notebooks.refresh_keys(root)
    failed = []
    for name in names:
        if name in stale and execute.run(name, root):
            failed.append(name)
    return failed


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "pages", nargs="*", help="run these first, such as temporal/neural_odes, for their figures"
    )
    pages = parser.parse_args().pages
    strangers = [name for name in pages if name not in notebooks.names()]
    if strangers:
        print(f"make teach: there is no page {strangers[0]}: say part/name.", file=sys.stderr)
        return 2
    started = time.monotonic()
    if pages and run(pages):
        return 1
    n_pages, missing = make()
    if missing:
        print(
            f"make teach: {missing} of {n_pages} pages were not run, and their figures are missing;"
            " `make book` runs all pages, `make teach PAGES=part/name` one."
        )
    print(f"make teach: {n_pages} pages, {time.monotonic() - started:.0f} s")
    print(ROOT / "_build" / "teach" / "index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
