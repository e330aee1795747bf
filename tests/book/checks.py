"""What is looked at in the rendered pages; used on the book and on doctored pages alike."""

from __future__ import annotations

import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("img[src]", "script[src]", "iframe[src]", "source[src]", "link[rel=stylesheet]")
SOURCES += ("link[rel=preload]", "link[rel=icon]", "video[src]", "audio[src]")


def read(path: Path) -> BeautifulSoup:
    """One page, parsed."""
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def repository() -> str:
    """Address of the repository on the branch that the book is made from."""
    settings = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]
    return str(settings["url"])


def images(page: BeautifulSoup) -> list[str]:
    """Images of the article without a text that describes them."""
    wrong = []
    for image in page.select("article img"):
        alt = str(image.get("alt", "")).strip()
        if not alt or re.search(r"\.(png|svg|jpe?g)$", alt):
            wrong.append(f"image without alt text: {image.get('src')}")
    return wrong


def figures(page: BeautifulSoup) -> list[str]:
    """Images among a cell's outputs without a caption."""
    return [
        f"figure without a caption: {image.get('src')}"
        for image in page.select(".cell_output img")
        if (figure := image.find_parent("figure")) is None or figure.find("figcaption") is None
    ]


def foreign(page: BeautifulSoup) -> list[str]:
    """Whatever a browser would load from another host."""
    addresses = [node.get("src") or node.get("href") for node in page.select(", ".join(SOURCES))]
    addresses += re.findall(r"@import[^;]*|url\([^)]*\)", " ".join(map(str, page.select("style"))))
    # Data that lie in the page are no request, and base64 may hold two slashes.
    asked = [str(a) for a in addresses if not str(a).startswith("data:")]
    return [f"request to another host: {a}" for a in asked if re.search(r"(https?:)?//", a)]


class Anchors(HTMLParser):
    """The addresses that a page links to, and its ids: all of a page that links need."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.hrefs: list[str] = []
        self.ids: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the id of a node, and the address of a link."""
        for name, value in attrs:
            if name == "id":
                self.ids.add(value or "")
            elif name == "href" and tag == "a":
                self.hrefs.append(value or "")


def links(path: Path, folder: Path, pages: dict[Path, Anchors]) -> list[str]:
    """Internal links of a page that lead nowhere; ``pages`` is filled with each page, read once."""

    def anchors(page: Path) -> Anchors:
        if page not in pages:
            pages[page] = Anchors(page)
        return pages[page]

    wrong = []
    for href in anchors(path.resolve()).hrefs:
        address = urlsplit(href)
        if address.scheme or address.netloc:
            continue
        target = (path.parent / unquote(address.path)).resolve() if address.path else path.resolve()
        if not target.is_relative_to(folder.resolve()) or not target.is_file():
            wrong.append(f"link to nothing: {href}")
            continue
        fragment = unquote(address.fragment) if target.suffix == ".html" else ""
        if fragment and fragment not in anchors(target).ids:
            wrong.append(f"link to no anchor: {href}")
    return wrong


def committed() -> set[str]:
    """Paths of the files that git keeps; all files where there is no git."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode == 0:
        return set(listed.stdout.decode().splitlines())
    return {path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*") if path.is_file()}


def source_links(page: BeautifulSoup, name: str, files: set[str]) -> list[str]:
    """What is wrong with the Colab and edit links of a page; ``name`` is its path, no suffix."""
    notebook = name.startswith("notebooks/")
    address = f"{repository()}/edit/"
    found = {"edit": [], "colab": []}  # type: dict[str, list[str]]
    for node in page.select("a[href]"):
        href = str(node["href"])
        if href.startswith(address):
            found["edit"].append(href.removeprefix(address).partition("/")[2])
        if href.startswith("https://colab.research.google.com/github/"):
            found["colab"].append(href.partition("/blob/")[2].partition("/")[2])
    wrong = [f"{k} link: {f} is not committed" for k in found for f in found[k] if f not in files]
    if set(found["edit"]) != {f"{name}.py" if notebook else f"{name}.md"}:
        wrong.append(f"edit link: {found['edit']}")
    if notebook and set(found["colab"]) != {f"{name}.ipynb"}:
        wrong.append(f"Colab link: {found['colab']}")
    return wrong


def content(page: BeautifulSoup, notebook: bool) -> list[str]:
    """Whether a page has one title, text and, with code, outputs or the missing-data box."""
    article = page.select_one("article")
    if article is None:
        return ["no article"]
    wrong = []
    if len(article.select("h1")) != 1:
        wrong.append(f"{len(article.select('h1'))} titles")
    if len(article.get_text(" ", strip=True)) < 50:
        wrong.append("empty page")
    box = any("Data not available" in t.get_text() for t in article.select(".admonition-title"))
    if notebook and not box and not article.select(".cell_output"):
        wrong.append("page without outputs")
    return wrong
