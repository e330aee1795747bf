"""Slides and readable copies of pages, as HTML that asks nothing of another host.

A deck is plain HTML: without scripts its slides stand one below the other, with ``deck/slides.js``
one is shown at a time, and printed they are one a page. Formulas are set by the MathJax that the
book ships.
"""

from __future__ import annotations

import base64
import html
import re
import shutil
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from scst_book import contents, portable

DECK = Path(__file__).parent / "deck"
MATHJAX = "sphinx-mathjax-offline/static/mathjax/tex-svg.js"  # one file, fonts included
WORDS = 90  # of the intuition, about half a minute to read
QUOTE = re.compile(r"^> \*\*(Exercise [\d.]+)\*\* ?((?:.*\n?)(?:^>.*\n?)*)", flags=re.MULTILINE)
IMAGE_DATA = re.compile(r'src="(data:image/[^"]+)"')
NO_TEXT = ("#", ">", "|", "!", "<", "*", "```")


def _any_link(url: str) -> bool:
    """Let every address pass: the pages are ours, and pictures in SVG would be refused."""
    return True


@cache
def _parser() -> Any:
    from markdown_it import MarkdownIt
    from mdit_py_plugins.anchors import anchors_plugin
    from mdit_py_plugins.dollarmath import dollarmath_plugin

    def formula(content: str, options: dict[str, Any]) -> str:
        marks = (r"\[", r"\]") if options["display_mode"] else (r"\(", r"\)")
        return marks[0] + html.escape(content) + marks[1]

    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    parser.validateLink = _any_link  # type: ignore[method-assign]
    parser.use(anchors_plugin, max_level=3, slug_func=portable.slug)
    return parser.use(dollarmath_plugin, renderer=formula, allow_space=False)


def rendered(text: str) -> str:
    """Markdown as HTML; formulas are left to MathJax."""
    made: str = _parser().render(text)
    return made


def without_links(text: str) -> str:
    """Markdown whose links are their text: a slide leads nowhere."""
    return portable.outside_code(text, lambda part: portable.LINK.sub(r"\1", part))


def file(part: str) -> str:
    """Name of the file of a deck."""
    return f"{portable.slug(part)}.html"


def document(title: str, body: str, up: str = "", script: str = "") -> str:
    """A whole page, with MathJax if it has formulas; ``up`` leads to the folder that holds it."""
    math = ""
    if r"\(" in body or r"\[" in body:
        math = "<script>MathJax = {options: {enableMenu: false}}</script>"
        math += f'<script src="{up}mathjax/tex-svg.js" defer></script>'
    style = (DECK / "slides.css").read_text(encoding="utf-8")
    run = f"<script>\n{script}</script>" if script else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>{html.escape(title)}</title>\n<style>\n{style}</style>{math}</head>\n"
        f"<body>\n{body}\n{run}</body>\n</html>\n"
    )


def view(notebook: dict[str, Any], title: str, up: str) -> str:
    """A notebook with its outputs, to read in a browser."""
    parts = []
    for cell in notebook["cells"]:
        source = cell["source"]
        if cell["cell_type"] == "markdown":
            source = re.sub(r"(\]\([\w./-]+)\.ipynb", r"\1.html", source)
            for name, data in cell.get("attachments", {}).items():
                (kind, encoded), *_ = data.items()
                source = source.replace(f"(attachment:{name})", f"(data:{kind};base64,{encoded})")
            parts.append(rendered(source))
        elif "colab" not in cell["metadata"].get("tags", []):
            parts.append(f"<pre><code>{html.escape(source)}</code></pre>")
            parts += [output(o, cell["metadata"]) for o in cell.get("outputs", [])]
    return document(title, f"<main>{''.join(parts)}</main>", up)


def output(shown: dict[str, Any], about: dict[str, Any]) -> str:
    """One output of a cell; ``about`` holds the caption and the text for who cannot see it."""
    data = {kind: "".join(value) for kind, value in shown.get("data", {}).items()}
    if "image/png" in data or "text/html" in data:
        picture = image(data, about)
        return picture if picture or "image/png" in data else data["text/html"]
    if "text/markdown" in data:
        return rendered(data["text/markdown"])
    text = "".join(shown.get("text", data.get("text/plain", "")))
    return f"<pre>{html.escape(text)}</pre>" if text else ""


def image(data: dict[str, str], about: dict[str, Any]) -> str:
    """The figure, or the still picture of a viewer, with its caption; empty if there is none."""
    if "image/png" in data:
        source = f"data:image/png;base64,{data['image/png'].strip()}"
    else:
        found = IMAGE_DATA.search(data.get("text/html", ""))
        if found is None:
            return ""
        source = found[1]
    return figure(source, str(about.get("alt", "")), str(about.get("caption", "")))


def figure(source: str, alt: str, caption: str) -> str:
    """A picture with its caption, which is Markdown."""
    text = rendered(without_links(caption))
    picture = f'<img src="{source}" alt="{html.escape(alt)}">'
    return f"<figure>{picture}<figcaption>{text}</figcaption></figure>"


def intuition(notebook: dict[str, Any]) -> str:
    """The first paragraphs of a page after its learning box, about `WORDS` words."""
    taken: list[str] = []
    for cell in notebook["cells"][1:]:
        if cell["cell_type"] != "markdown":
            continue
        for paragraph in cell["source"].split("\n\n"):
            if paragraph.startswith(NO_TEXT) and not paragraph.startswith("**"):
                if taken:
                    return "\n\n".join(taken)
                continue
            if taken and len(" ".join([*taken, paragraph]).split()) > WORDS:
                return "\n\n".join(taken)
            taken.append(paragraph)
        if taken:
            break
    return "\n\n".join(taken)


def figures(notebook: dict[str, Any], root: Path) -> list[str]:
    """Diagrams and figures of a page in order, each with its caption."""
    found = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            for alt, path, caption in portable.DIAGRAM.findall(cell["source"]):
                svg = (root / "book/_static/diagrams" / Path(path).name).read_bytes()
                source = f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
                found.append(figure(source, alt, caption))
        elif cell["metadata"].get("caption"):
            outputs = [
                {k: "".join(v) for k, v in o.get("data", {}).items()} for o in cell["outputs"]
            ]
            found += [shown for data in outputs if (shown := image(data, cell["metadata"]))][:1]
    return found


def key_points(notebook: dict[str, Any]) -> str:
    """The list below *Key points*."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            found = re.search(r"^## Key points\n+(.*?)(?=^## |\Z)", cell["source"], re.M | re.S)
            if found:
                return found[1].strip()
    return ""


def exercises(notebook: dict[str, Any]) -> dict[str, str]:
    """The exercises of a page, such as ``Exercise 4.1``, without their solutions."""
    texts = [c["source"] for c in notebook["cells"] if c["cell_type"] == "markdown"]
    found = [quote for text in texts for quote in QUOTE.findall(text)]
    return {name: re.sub(r"^> ?", "", quote, flags=re.M).strip() for name, quote in found}


def of_page(page: contents.Page, notebook: dict[str, Any], root: Path) -> list[str]:
    """The slides of a page: question, intuition, figures, key points, exercises."""
    head = f"{page.number} {page.title}"
    goals = re.search(
        r"Learning goals\*\*\n((?:>.*\n?)+?)>\n", notebook["cells"][0]["source"] + "\n"
    )
    aims = re.sub(r"^> ?", "", goals[1], flags=re.MULTILINE) if goals else ""
    made = [
        slide(
            head,
            f"{page.summary}\n\nAfterwards you can:\n\n{aims}\n\n*{page.minutes[0]} min to read*",
            kind="first",
        )
    ]
    if text := intuition(notebook):
        made.append(slide(page.title, text))
    made += [slide_of(page.title, shown) for shown in figures(notebook, root)]
    made.append(slide(f"{page.title}: key points", key_points(notebook)))
    return made + [slide(name, task) for name, task in exercises(notebook).items()]


def slide(title: str, text: str, kind: str = "") -> str:
    """A slide of Markdown."""
    return slide_of(title, f"<div class='text'>{rendered(without_links(text))}</div>", kind)


def slide_of(title: str, body: str, kind: str = "") -> str:
    """A slide of HTML."""
    return f'<section class="{kind}"><h2>{html.escape(title)}</h2>{body}</section>'


def deck(part: str, pages: list[tuple[contents.Page, dict[str, Any]]], root: Path) -> str:
    """The slides of a part.

    Parameters
    ----------
    part
        Its title.
    pages
        Its pages, each with its notebook and the outputs in it.
    root
        Of the repository, where the diagrams lie.
    """
    made: list[str] = []
    links = []
    for page, notebook in pages:
        links.append(
            f'<li><a href="#{len(made) + 2}">{page.number} {html.escape(page.title)}</a></li>'
        )
        made += of_page(page, notebook, root)
    first = slide_of(
        part, f"<div class='text'><ul class='plain'>{''.join(links)}</ul></div>", "title"
    )
    bar = (
        '<nav aria-label="Slides"><button id="back" aria-label="Previous slide">←</button>'
        '<output id="at" aria-live="polite"></output>'
        '<button id="on" aria-label="Next slide">→</button></nav>'
    )
    script = (DECK / "slides.js").read_text(encoding="utf-8")
    body = f'<main class="deck">{first}{"".join(made)}</main>{bar}'
    return document(part, body, "../", script)


def copy_mathjax(folder: Path) -> None:
    """Put MathJax beside the pages."""
    source = metadata.distribution("sphinx-mathjax-offline").locate_file(MATHJAX)
    (folder / "mathjax").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(str(source), folder / "mathjax" / "tex-svg.js")
