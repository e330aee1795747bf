"""How long a page takes to read, and what of the reading rules can be seen in its source.

Works on notebooks as JSON: the derived ones, whose cells are those of the ``.py`` files. Code that
the build folds (see :mod:`scst_book.outputs`) is not read, and neither are solutions and answers.
"""

from __future__ import annotations

import ast
import re
from typing import Any

from scst_book.contents import MINUTES
from scst_book.outputs import code_cells, only_imports

WORDS_A_MINUTE = 200
SECONDS_A_LINE = 12
SECONDS_A_FIGURE = 30
FOLDED = {"colab", "parameters", "solution"}
FOLDED |= {"hide-input", "hide-cell", "remove-input", "remove-cell"}
ANSWER = re.compile(r"(<summary>.*?</summary>).*?</details>", flags=re.DOTALL)
NOT_PROSE = re.compile(
    r"!\[[^\]]*\]\([^)]*\)|\]\([^)]*\)|<[^>]*>|^\|[-:| ]+\|$", flags=re.MULTILINE
)
WORD = re.compile(r"\w")
DIAGRAM = re.compile(r"^!\[[^\]\n]+\]\(\S+\.svg\)", flags=re.MULTILINE)


def visible_code(notebook: dict[str, Any]) -> list[str]:
    """The lines of code that a reader of the built page sees unfolded, without empty ones."""
    sources = [
        "".join(cell["source"])
        for cell in code_cells(notebook)
        if not FOLDED & set(cell["metadata"].get("tags", []))
    ]
    shown = [source for source in sources if not only_imports(source)]
    return [line for source in shown for line in source.splitlines() if line.strip()]


def prose(notebook: dict[str, Any]) -> str:
    """The text that is read: Markdown without folded answers, and the sentences of claims."""
    texts = [ANSWER.sub(r"\1", text) for text in _markdown(notebook)]
    claims = [claimed("".join(cell["source"])) for cell in code_cells(notebook)]
    return NOT_PROSE.sub(" ", "\n".join([*texts, *claims]))


def claimed(code: str) -> str:
    """The sentences that a cell passes to ``claim``, each number one word."""
    try:
        calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    except SyntaxError:  # a cell with a shell command
        return ""
    sentences = [
        call.args[0]
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "claim" and call.args
    ]
    return "\n".join(_text(sentence) for sentence in sentences)


def figures(notebook: dict[str, Any]) -> int:
    """How many figures and diagrams a page has."""
    drawn = sum(bool(cell["metadata"].get("caption")) for cell in code_cells(notebook))
    return drawn + sum(len(DIAGRAM.findall(text)) for text in _markdown(notebook))


def minutes(notebook: dict[str, Any]) -> float:
    """Minutes to read a page: its words, its visible lines of code and its figures."""
    words = sum(bool(WORD.search(word)) for word in prose(notebook).split())
    code = len(visible_code(notebook)) * SECONDS_A_LINE
    return words / WORDS_A_MINUTE + (code + figures(notebook) * SECONDS_A_FIGURE) / 60


def misstated(notebook: dict[str, Any]) -> str:
    """What is wrong with the minutes in the learning box; empty if they are right.

    They are right within a fifth of the computed ones and one minute more.
    """
    stated = MINUTES.search("".join(notebook["cells"][0]["source"]) if notebook["cells"] else "")
    if stated is None:
        return ""
    found = minutes(notebook)
    if abs(int(stated[1]) - found) <= 0.2 * found + 1:
        return ""
    return f"the learning box says {stated[1]} min to read, and it takes {found:.0f}"


def _markdown(notebook: dict[str, Any]) -> list[str]:
    return ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "markdown"]


def _text(sentence: ast.expr) -> str:
    """The words of a string or f-string; a filled-in value stands as one word."""
    if isinstance(sentence, ast.Constant):
        return str(sentence.value)
    if isinstance(sentence, ast.JoinedStr):
        return "".join(_text(part) for part in sentence.values)
    return "value" if isinstance(sentence, ast.FormattedValue) else ""
