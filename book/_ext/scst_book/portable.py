"""Turn the portable Markdown of the pages into MyST.

The pages are read on Colab, in JupyterLab and on GitHub too, so their source holds no roles and no
directives; ``notebooks/README.md`` lists the plain forms. Text inside code is left as it is.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from posixpath import dirname, join, normpath, splitext

from scst_book import contents

ADMONITIONS = {
    "Note": "note",
    "Tip": "tip",
    "Warning": "warning",
    "Important": "important",
    "Learning goals": "admonition",
    "Exercise": "admonition",
}
QUOTE = re.compile(r"^> ?\*\*(" + "|".join(ADMONITIONS) + r")( [\d.]*\d)?[.:]?\*\*[.:]? *(.*)$")
FENCE = r"^ {0,3}(?P<fence>`{3,}|~{3,}).*?^ {0,3}(?P=fence)[`~]*[ \t]*$"
SPAN = r"(?<!`)(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`)"
CODE = re.compile(f"{FENCE}|{SPAN}", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\[\]]*\])+)\]\(([^()\s]+(?:\([^()\s]*\)[^()\s]*)*)\)")
DIAGRAM = re.compile(r"^!\[([^\]\n]+)\]\((\S+\.svg)\)\n\n\*([^*\n]+)\*$", re.MULTILINE)
FIGURE = r":::{figure} \2\n:alt: \1\n\n\3\n:::"
NAME = re.compile(r"`([A-Za-z_][\w.]*)(\(\))?`")
HEADING = re.compile(r" {0,3}#{1,6} ")
YEAR = re.compile(r"\b(?:19|20)\d\d[a-z]?\)?$")


def slug(title: str) -> str:
    """Anchor of a heading as GitHub and MyST make it."""
    return re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")


def citation_keys(bibliography: str) -> dict[str, str]:
    """DOI or arXiv address, in lower case, to entry key, from the text of a BibTeX file."""
    keys = {}
    for entry in re.split(r"^@", bibliography, flags=re.MULTILINE)[1:]:
        head = re.match(r"\w+\s*\{\s*([^,\s]+)", entry)
        if head is None:
            continue
        for kind, value in re.findall(r"\b(doi|eprint)\s*=\s*[{\"]([^}\"]+)[}\"]", entry, re.I):
            address = "https://doi.org/" if kind.lower() == "doi" else "https://arxiv.org/abs/"
            keys[(address + value.strip()).lower()] = head[1]
    return keys


def terms(glossary: str) -> dict[str, str]:
    """Anchor to term, for the ``## Term`` headings of the glossary."""
    headings = re.findall(r"^## +(.+?) *$", glossary, flags=re.MULTILINE)
    return {slug(heading): heading for heading in headings}


def one_line(text: str) -> str:
    """A link's text without the line breaks, and quote marks, that fall into it."""
    return re.sub(r" *\n(?:> ?)? *", " ", text)


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """Apply ``change`` to the text between code spans and code fences."""
    parts, end = [], 0
    for code in CODE.finditer(text):
        parts += [change(text[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*parts, change(text[end:])])


def imported_names(code: str) -> dict[str, str]:
    """Name on a page → full name, of what its code imports from the package."""
    try:
        tree = ast.parse(re.sub(r"^\s*[%!].*$", "", code, flags=re.MULTILINE))
    except SyntaxError:
        return {}
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "scstlib":
            names = {each.asname or each.name: each.name for each in node.names}
            found |= {name: f"{node.module}.{own}" for name, own in names.items()}
        elif isinstance(node, ast.Import):
            found |= {a.asname: a.name for a in node.names if a.asname and "scstlib" in a.name}
    return found


def link_names(text: str, imports: dict[str, str], find: Callable[[str], str | None]) -> str:
    """Turn code spans that name what the API pages describe into links to the entries.

    Spans in headings and in the text of links stay as they are. ``find`` returns the name in the
    API pages of what can be imported under a full name.
    """

    inside_links = [link.span() for link in LINK.finditer(text)]

    def link(code: re.Match[str]) -> str:
        name, start = NAME.fullmatch(code[0]), code.start()
        line = text[text.rfind("\n", 0, start) + 1 :]
        is_role = text[:start].endswith("}")
        if name is None or is_role or HEADING.match(line):
            return code[0]
        if any(first <= start < last for first, last in inside_links):
            return code[0]
        head, dot, rest = name[1].partition(".")
        entry = find(f"{imports.get(head, head)}{dot}{rest}")
        return f"{{py:obj}}`{name[1]}{name[2] or ''} <{entry}>`" if entry else code[0]

    return CODE.sub(link, text)


@dataclass
class Rules:
    """The rules for one page.

    ``docname`` is its path without suffix, ``pages`` are all pages by path.
    """

    docname: str = ""
    citations: dict[str, str] = field(default_factory=dict)
    terms: dict[str, str] = field(default_factory=dict)
    pages: dict[str, contents.Page] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)

    @classmethod
    def of(cls, root: Path, docname: str) -> Rules:
        """The rules of page ``docname`` in the book at ``root``."""
        bibliography, glossary = root / "book/references.bib", root / "book/glossary.md"
        files = (bibliography, glossary, root / "book/_toc.yml")
        return cls(
            docname=docname,
            citations=citation_keys(_text(bibliography)),
            terms=terms(_text(glossary)),
            pages={page.name: page for page in contents.read(root)},
            files=[path for path in files if path.is_file()],
        )

    @property
    def number(self) -> int:
        """Number of the page, or 0."""
        return self.pages[self.docname].number if self.docname in self.pages else 0

    @property
    def is_glossary(self) -> bool:
        return self.docname == "book/glossary"

    def apply(self, text: str) -> str:
        """The MyST form of one Markdown text."""
        text = outside_code(text, lambda part: LINK.sub(self._link, DIAGRAM.sub(FIGURE, part)))
        if self.number and text.startswith("# "):
            text = f"# {self.number} {text[2:]}"
        if self.is_glossary:
            text = glossary_directive(text)
        return self._quotes(text)

    def _link(self, match: re.Match[str]) -> str:
        text, address = match.groups()
        key = self.citations.get(address.lower())
        if key is not None:
            return f"{{cite:t}}`{key}`" if YEAR.search(text) else f"{text} {{cite:p}}`{key}`"
        page, _, anchor = address.partition("#")
        if anchor and (page.split("/")[-1] == "glossary.md" or (not page and self.is_glossary)):
            term = self.terms.get(anchor, anchor)  # an unknown term is a warning of Sphinx's
            return f"{{term}}`{text} <{term}>`"
        named = self.pages.get(splitext(normpath(join(dirname(self.docname), page)))[0])
        if named is not None and named.number and one_line(text) == named.title:
            return f"[{named.number}\N{NO-BREAK SPACE}{text}]({address})"
        return match[0]

    def _quotes(self, text: str) -> str:
        """Turn quotes that begin with one of the known words into admonitions."""
        lines, done, fenced = text.split("\n"), [], False
        while lines:
            line = lines.pop(0)
            fenced ^= bool(re.match(r" {0,3}(```|~~~)", line))
            head = None if fenced else QUOTE.match(line)
            if head is None:
                done.append(line)
                continue
            body = [head[3]] if head[3] else []
            while lines and lines[0].startswith(">"):
                body.append(re.sub(r"^> ?", "", lines.pop(0)))
            done += _admonition(head[1], head[2] or "", body)
        return "\n".join(done)


def _admonition(word: str, number: str, body: list[str]) -> list[str]:
    colons = ":" * (3 + max([0, *(len(m[0]) for m in re.finditer(r":{3,}", "\n".join(body)))]))
    if ADMONITIONS[word] != "admonition":
        return [f"{colons}{{{ADMONITIONS[word]}}}", *body, colons]
    return [f"{colons}{{admonition}} {word}{number}", f":class: {slug(word)}", *body, colons]


def glossary_directive(text: str) -> str:
    """Turn ``## Term`` headings and their text into Sphinx's glossary of linked terms."""
    head, *entries = re.split(r"^## +", text, flags=re.MULTILINE)
    if not entries:
        return text
    lines = []
    for entry in entries:
        term, _, body = entry.partition("\n")
        lines += [term.strip(), *(f"    {line}".rstrip() for line in body.strip().split("\n")), ""]
    return head + "\n".join(["::::{glossary}", *lines, "::::", ""])


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
