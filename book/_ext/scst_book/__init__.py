"""The book's Sphinx extension: outputs into notebooks, plain Markdown into rich, tables, mends.

``outputs`` puts the outputs of ``_build/executed/NAME.ipynb`` into the committed notebook's cells,
``contents`` reads the pages' order, numbers and titles, ``reading`` works out how long they take
to read, ``portable`` turns portable Markdown into MyST, ``tables`` writes the generated tables,
``api`` the API pages and the links to them, and ``theme`` mends what the theme lacks for readers
with assistive technology and for reading offline.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util import logging

from . import api, outputs, portable, reading, tables, theme

LOGGER = logging.getLogger(__name__)


def source_read(app: Sphinx, docname: str, source: list[str]) -> None:
    """Rewrite the text of a page, in memory only, before it is parsed."""
    rules = portable.Rules.of(Path(app.srcdir), docname)
    find = api.index(Path(app.srcdir)).find
    for path in rules.files:
        app.env.note_dependency(str(path))
    if not app.env.doc2path(docname).endswith(".ipynb"):
        text = portable.link_names(rules.apply(tables.fill(app, source[0])), {}, find)
        source[0] = api.fill(app, text)
        if not re.sub(r"^#.*$", "", source[0], flags=re.MULTILINE).strip():
            LOGGER.warning("this page is empty", location=docname)
        return
    notebook: dict[str, Any] = json.loads(source[0])
    if wrong := reading.misstated(notebook):
        LOGGER.warning(wrong, location=docname)
    outputs.take_over(app, docname, notebook)
    cells = outputs.code_cells(notebook)
    imports = portable.imported_names("\n".join("".join(cell["source"]) for cell in cells))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            text = rules.apply("".join(cell["source"]))
            cell["source"] = portable.link_names(text, imports, find)
    source[0] = json.dumps(notebook)


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to Sphinx."""
    app.connect("source-read", source_read)
    api.setup(app)
    theme.setup(app)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
