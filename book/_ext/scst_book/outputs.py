"""Show the outputs of the executed copies on the pages of the committed notebooks.

The committed notebook stays the document, so that its links to Colab, to the download and to the
edit page are right; its outputs are taken over cell by cell, by position among the code cells. A
missing or stale copy is a warning, which fails the strict build.
"""

from __future__ import annotations

import ast
import html
import json
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util import logging

LOGGER = logging.getLogger(__name__)
FIGURE = ("caption", "name")
MARKS = re.compile(r"^(# @title Solution|### (BEGIN|END) SOLUTION)\n", flags=re.MULTILINE)
VIEWER = '<div class="scst-viewer"'  # how the output of scstlib.viewers begins
BOX = """:::{{admonition}} Data not available
:class: warning
This page needs the data set `{dataset}`, which this build could not have. What follows from here is
shown without its results.

```text
{message}
```
:::"""


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    """The code cells in order."""
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def box(missing: dict[str, Any]) -> dict[str, Any]:
    """The Markdown cell that stands in place of the output of the cell without data."""
    text = BOX.format(dataset=missing["dataset"], message=missing["message"].strip())
    return {"cell_type": "markdown", "metadata": {}, "source": text, "id": "data-not-available"}


def take_over(app: Sphinx, docname: str, notebook: dict[str, Any]) -> None:
    """Put outputs, figure texts and the missing-data box into a notebook, or warn."""
    for cell in code_cells(notebook):
        _figure(cell)
        _fold(cell)
    path = Path(app.srcdir) / "_build" / "executed" / f"{docname.removeprefix('notebooks/')}.ipynb"
    app.env.note_dependency(str(path))
    if not path.is_file():
        LOGGER.warning("no executed copy of this page: run `make book`", location=docname)
        return
    executed = json.loads(path.read_text(encoding="utf-8"))
    pairs = list(zip(code_cells(notebook), code_cells(executed), strict=False))
    same = len(code_cells(notebook)) == len(code_cells(executed)) and all(
        "".join(cell["source"]) == "".join(copy["source"]) for cell, copy in pairs
    )
    if not same:
        LOGGER.warning("the executed copy of this page is stale: run `make book`", location=docname)
        return
    for cell, copy in pairs:
        cell["outputs"] = copy["outputs"]
        cell["execution_count"] = copy["execution_count"]
        _describe(cell)
        if "solution" in cell["metadata"]["tags"]:
            cell["source"] = MARKS.sub("", "".join(cell["source"]))
    missing = executed["metadata"].get("scst", {}).get("missing")
    if not missing and not any(cell["outputs"] for cell, _ in pairs):
        LOGGER.warning("this page is empty: no cell has an output", location=docname)
    if missing:
        failing = code_cells(notebook)[missing["cell"]]
        at = next(i for i, cell in enumerate(notebook["cells"]) if cell is failing)
        notebook["cells"].insert(at + 1, box(missing))


def _fold(cell: dict[str, Any]) -> None:
    """Leave out what only Colab needs, and fold what is not the idea of the page."""
    metadata = cell["metadata"]
    tags = metadata.setdefault("tags", [])
    if "colab" in tags:
        tags.append("remove-cell")
    elif "parameters" in tags:
        tags.append("hide-input")
        metadata["mystnb"]["code_prompt_show"] = "Settings: profile and seed"
    elif "solution" in tags:
        tags.append("hide-cell")
        metadata["mystnb"] |= {"code_prompt_show": "Solution", "code_prompt_hide": "Solution"}
    elif only_imports("".join(cell["source"])):
        tags.append("hide-input")
        metadata["mystnb"]["code_prompt_show"] = "Imports"


def only_imports(source: str) -> bool:
    """Whether code imports, and does nothing more than to set the look, seeds, claims and costs."""
    try:
        statements = ast.parse(source).body
    except SyntaxError:  # a cell with a shell command
        return False
    imports = (ast.Import, ast.ImportFrom)
    return any(isinstance(s, imports) for s in statements) and all(
        isinstance(s, (*imports, ast.With, ast.Expr))
        or (isinstance(s, ast.Assign) and _is_setting(s))
        for s in statements
    )


def _is_setting(statement: ast.Assign) -> bool:
    """Whether a statement sets an attribute, or a name to something that is known at once."""
    if all(isinstance(target, ast.Attribute) for target in statement.targets):
        return True
    calls = [node for node in ast.walk(statement.value) if isinstance(node, ast.Call)]
    return {ast.unparse(call.func) for call in calls} <= {"Claims", "Costs", "range"}


def _figure(cell: dict[str, Any]) -> None:
    """Turn the plain keys ``caption``, ``alt`` and ``name`` into MyST-NB's."""
    metadata = cell["metadata"]
    render = metadata.setdefault("mystnb", {})
    figure = {key: metadata[key] for key in FIGURE if metadata.get(key)}
    if figure:
        render["figure"] = figure
    if metadata.get("alt"):
        render["image"] = {"alt": metadata["alt"]}


def _describe(cell: dict[str, Any]) -> None:
    """Put the alt text of a cell into the still picture of its viewer."""
    for output in cell["outputs"]:
        shown = "".join(output.get("data", {}).get("text/html", ""))
        if shown.startswith(VIEWER):
            alt = html.escape(cell["metadata"].get("alt", ""))
            output["data"]["text/html"] = shown.replace('alt=""', f'alt="{alt}"', 1)
