"""Mends of the pages: offline reading, descriptions, roles and links that the theme lacks.

Markup that the theme keeps in templates is mended in ``book/_templates``, colours in
``book/_static/book.css``; ``book/_static/book.js`` shows the descriptions in the search.
"""

from __future__ import annotations

import html
import importlib.util
import re
import shutil
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

MATHJAX = ("tex-mml-chtml.js", "output/chtml/fonts")
THEBE = re.compile(r'<script type="text/x-thebe-config">.*?</script>', flags=re.DOTALL)
DESCRIPTION = 160  # characters
SENTENCE = re.compile(r"(?<=[.?!]) (?=[A-Z])")
# Roles deprecated or on elements that do not take them; a name that hides the visible text.
WRONG = (' role="doc-biblioentry"', ' role="list"', ' aria-label="Toggle hidden content"')
CELL = re.compile(r"<td.*?</td>", flags=re.DOTALL)
CODE = re.compile(r'(?<=<span class="pre">)[^<]+')
# Sphinx lists the parameters of a long signature as definitions without a term.
PARAMETERS = re.compile(r"(\(</span>\s*)<dl>\s*((?:<dd>.*?</dd>\s*)+)</dl>", flags=re.DOTALL)


def parameters(match: re.Match[str]) -> str:
    """The parameters of a signature, one a line, as what they are: text."""
    items = re.sub("<dd>", '<span class="sig-line">', match[2]).replace("</dd>", "</span>")
    return f'{match[1]}<span class="sig-lines">{items}</span>'


def copy_mathjax(app: Sphinx, error: Exception | None) -> None:
    """Copy the one script and the fonts that the pages ask for, 1.7 MB of the package's 20."""
    if error is not None or app.builder.format != "html":
        return
    spec = importlib.util.find_spec("sphinx-mathjax-offline")
    if spec is None or spec.origin is None:
        raise ExtensionError("sphinx-mathjax-offline is not installed: run `make setup`.")
    source = Path(spec.origin).parent / "static" / "mathjax"
    for name in MATHJAX:
        target = Path(app.outdir) / "_static" / "mathjax" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (source / name).is_dir():
            shutil.copytree(source / name, target, dirs_exist_ok=True)
        else:
            shutil.copyfile(source / name, target)


def is_thebe(script: Any) -> bool:
    """Whether a script is for running cells on a remote kernel: the book does not offer that."""
    text = f"{getattr(script, 'filename', script)} {getattr(script, 'attributes', '')}"
    return "thebe" in text.lower()


def edit_source(buttons: list[dict[str, Any]], docname: str) -> None:
    """Let the edit button of a notebook name the ``.py``, which is what is edited."""
    for button in buttons:
        if "/edit/" in str(button.get("url")) and docname.startswith("notebooks/"):
            button["url"] = button["url"].removesuffix(".ipynb") + ".py"
        edit_source(button.get("buttons", []), docname)


def description(doctree: nodes.document | None) -> str:
    """The opening of a page as plain text: whole sentences, as many as search engines show.

    The opening is the first paragraph below the title; one that is in a list, a table or an
    admonition does not count. Empty without one.
    """
    section = doctree.next_node(nodes.section) if doctree is not None else None
    blocks = section.children if section is not None else []
    opening = next((block for block in blocks if isinstance(block, nodes.paragraph)), None)
    if opening is None:
        return ""
    first, *others = SENTENCE.split(" ".join(opening.astext().split()))
    for sentence in others:
        if len(first) + 1 + len(sentence) > DESCRIPTION:
            break
        first = f"{first} {sentence}"
    return first.rstrip(":")


def breakable(body: str) -> str:
    """Let long names of code in tables break after ``/``, ``.`` and ``_``, not within words."""

    def of_cell(cell: re.Match[str]) -> str:
        return CODE.sub(lambda name: re.sub(r"(?<=\w)[/._](?=\w)", r"\g<0><wbr>", name[0]), cell[0])

    return CELL.sub(of_cell, body)


def mend_page(
    app: Sphinx, docname: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    """Mend one page before it is written."""
    if about := description(doctree):
        context["metatags"] += f'<meta name="description" content="{html.escape(about)}" />\n'
    context["script_files"] = [s for s in context["script_files"] if not is_thebe(s)]
    edit_source(context.get("header_buttons", []), docname)
    body = THEBE.sub("", context.get("body", ""))
    body = PARAMETERS.sub(parameters, body)
    for attribute in WRONG:
        body = body.replace(attribute, "")
    context["body"] = breakable(body)


def setup(app: Sphinx) -> None:
    """Connect to Sphinx."""
    app.connect("html-page-context", mend_page, priority=900)  # after the theme's own
    app.connect("build-finished", copy_mathjax)
