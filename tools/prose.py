"""House style of the prose: ``python -m tools.prose``, a part of ``make check``.

Prose is Markdown, and in Python the comments (the pages with code are comments for the most part),
docstrings and all other strings of several words, such as captions, claims and messages. Code in
backticks or fences, formulas, doctests and the targets of links are left out. Spelling is
codespell's part, see ``pyproject.toml``.
"""

from __future__ import annotations

import io
import re
import sys
import tokenize
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATHS = ("README.md", "book", "notebooks", "scstlib", "benchmarks", "tools")
SUFFIXES = {".md", ".py"}
# A rule: what is wrong with what it finds.
RULES = {
    "a word twice": re.compile(r"(?<![\w’'-])([A-Za-z]{2,}) \1(?![\w’'-])", re.IGNORECASE),
    "verb and subject swapped": re.compile(
        r"(?:^|[.:?] )(?:Predicted|Wanted|Asked|Needed|Honest|Measured|Shown|Refused|Left out)"
        r" (?:is|are|was|were)\b",
        re.MULTILINE,
    ),
    "ends with 'there is not'": re.compile(r"\bthere (?:is|are|was|were) not(?=[.,;:!?)])"),
    "a word that says nothing": re.compile(
        r"\b(?:(?<!the )(?<!those )very|just(?! (?:above|below|before|after))|obviously|simply"
        r"|basically|trivially|of course|needless to say)\b",
        re.IGNORECASE,
    ),
    "praise": re.compile(
        r"\b(?:state[- ]of[- ]the[- ]art|cutting[- ]edge|seamless(?:ly)?|novel|powerful)\b",
        re.IGNORECASE,
    ),
    "a blank before a percent sign": re.compile(r"\d[ \N{NO-BREAK SPACE}]%(?!\w)"),
    "a curly quotation mark: the book makes them": re.compile("“[^”\n]*”?|”|‘"),
}
CODE = re.compile(
    r"^```.*?^```|^ *>>> .*$|^ *\.\.\. .*$|``[^`]+``|`[^`]+`|\$\$.+?\$\$|\$[^$\n]+\$"
    r"|\]\([^)\s]*\)|<[^>\n]+>|https?://\S+",
    flags=re.MULTILINE | re.DOTALL,
)
VALUE = re.compile(r"\{[^{}]*\}")  # of an f-string
MARKS = re.compile(r"^\s*(?:(?:#+|>)(?= |$) ?)*")
ITEM = re.compile(r"[-*|] |\d+\. |%%|-+$")
SEVERAL_WORDS = re.compile(r"(?![rR]).* .*\w", flags=re.DOTALL)  # and no pattern


@dataclass(frozen=True)
class Passage:
    """A piece of prose and the line of its file on which it begins."""

    line: int
    text: str


def passages(path: Path) -> Iterator[Passage]:
    """The prose of a file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        yield Passage(1, text)
    else:
        yield from _python(text)


def findings(passage: Passage) -> Iterator[tuple[int, str, str]]:
    """Line, rule and words of whatever breaks a rule."""
    flat, starts = one_line(CODE.sub(_hidden, passage.text))
    for rule, pattern in RULES.items():
        for match in pattern.finditer(flat):
            line = passage.line + bisect_right(starts, match.start()) - 1
            yield line, rule, match[0].strip(" .:?")


def one_line(text: str) -> tuple[str, list[int]]:
    """Prose without marks of comments and quotes, and where in it each line of the text begins.

    Lines of a paragraph are joined by a blank. What is apart from the text before it, such as a
    new paragraph, an item of a list or an indented block, comes after a line break.
    """
    flat, starts, before = "", [], 0
    for line in text.split("\n"):
        content = MARKS.sub("", line)
        words, item = " ".join(content.split()), ITEM.match(content.lstrip())
        margin = len(line) - len(content.lstrip()) + (len(item[0]) if item else 0)
        apart = not words or item or margin > before or flat.endswith("\n")
        flat += ("\n" if apart else " ") if flat else ""
        starts.append(len(flat))
        flat, before = flat + words, margin
    return flat, starts


def _hidden(code: re.Match[str]) -> str:
    """A mark in place of code; line breaks stay, so that lines can be counted."""
    return "·" + "\n" * code[0].count("\n")


def _python(text: str) -> Iterator[Passage]:
    """Blocks of comments, and strings of several words."""
    block: list[str] = []
    start = last = 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        line = token.start[0]
        if token.type == tokenize.COMMENT:
            if block and line > last + 1:
                yield Passage(start, "\n".join(block))
                block = []
            start = start if block else line
            block.append(token.string)
            last = line
        elif token.type in STRINGS and SEVERAL_WORDS.match(token.string):
            yield Passage(line, VALUE.sub("0", token.string))
    if block:
        yield Passage(start, "\n".join(block))


STRINGS = {
    tokenize.STRING,
    getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING),  # from Python 3.12 on
}


def files(root: Path) -> list[Path]:
    """The files whose prose is checked."""
    found = [path for name in PATHS for path in [root / name, *(root / name).rglob("*")]]
    return sorted(path for path in found if path.is_file() and path.suffix in SUFFIXES)


def main() -> int:
    """Print what breaks a rule; returns 1 if anything does."""
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {rule}: {words}"
        for path in files(ROOT)
        for passage in passages(path)
        for line, rule, words in findings(passage)
    ]
    print("\n".join(wrong) if wrong else "house style: nothing found")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
