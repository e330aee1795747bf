"""Diagrams are whole, readable on a telephone, and what pages show is what the code draws."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from book import diagrams
from book.diagrams.canvas import BLUE, GREEN, GREY, INK, ORANGE, PANEL, Drawing, mixed

ROOT = Path(__file__).parents[2]
FILES = ROOT / "book/_static/diagrams"
SVG = "{http://www.w3.org/2000/svg}"
COLUMN, SMALLEST = 342, 12  # px: a figure on a telephone of 390 px, and 9 points
USE = re.compile(r"!\[[^\]]*\]\((\S*_static/diagrams)/(\w+)\.svg\)\n\n\*[^*\n]*\*")

every = pytest.mark.parametrize("name", diagrams.DIAGRAMS)


def parsed(name: str) -> ElementTree.Element:
    return ElementTree.fromstring((FILES / f"{name}.svg").read_text(encoding="utf-8"))


def frame(text: ElementTree.Element, size: float) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a label, by its number of characters."""
    wide = 0.55 + 0.05 * (text.get("font-weight") == "bold")
    width = wide * size * len(text.text or "")
    x, base = float(text.get("x", "nan")), float(text.get("y", "nan"))
    left = x - {"start": 0.0, "middle": 0.5, "end": 1.0}[text.get("text-anchor", "start")] * width
    return left, base - 0.72 * size, left + width, base + 0.2 * size


def along(points: str) -> list[tuple[float, float]]:
    """Points every two units or so along a line."""
    corners = [tuple(map(float, pair.split(","))) for pair in points.split()]
    found = []
    for (x0, y0), (x1, y1) in pairwise(corners):
        n = int(max(abs(x1 - x0), abs(y1 - y0)) // 2) + 1
        found += [(x0 + (x1 - x0) * k / n, y0 + (y1 - y0) * k / n) for k in range(n + 1)]
    return found


def inside(point: tuple[float, float], box: tuple[float, float, float, float]) -> bool:
    return box[0] < point[0] < box[2] and box[1] < point[1] < box[3]


@every
def test_the_committed_file_is_what_the_code_draws(name: str) -> None:
    assert (FILES / f"{name}.svg").read_text(encoding="utf-8") == diagrams.DIAGRAMS[name]().svg(), (
        "run `python -m book.diagrams`"
    )


def test_no_file_is_left_over() -> None:
    assert {path.stem for path in FILES.iterdir()} == set(diagrams.DIAGRAMS)


@every
def test_says_what_it_shows_and_asks_for_nothing_else(name: str) -> None:
    root = parsed(name)
    drawing = diagrams.DIAGRAMS[name]()
    for tag, least in (("title", 10), ("desc", 150)):
        assert len(root.findtext(f"{SVG}{tag}", "")) >= least
    assert drawing.caption.endswith(".")
    assert not set(drawing.caption + drawing.alt) & set("[]*\n")  # would end the Markdown
    for element in root.iter():
        assert element.tag.removeprefix(SVG) not in {"script", "style", "image", "use", "a"}
        assert not [key for key in element.attrib if "href" in key or key.startswith("on")]
        assert "url(" not in " ".join(element.attrib.values())


@every
def test_labels_are_large_and_apart(name: str) -> None:
    root = parsed(name)
    _, _, width, height = map(float, root.get("viewBox", "").split())
    size = float(root.get("font-size", "0"))
    assert size * COLUMN / width >= SMALLEST
    assert not [e for e in root.iter() if e is not root and "font-size" in e.attrib]
    labels: list[tuple[str, tuple[float, float, float, float]]] = []
    lines: list[tuple[float, float]] = []
    for element in root:
        if element.tag == f"{SVG}rect" and element.get("fill") != "none":
            x, y, w, h = (float(element.get(key, "0")) for key in ("x", "y", "width", "height"))
            lines = [point for point in lines if not inside(point, (x, y, x + w, y + h))]
        elif element.tag == f"{SVG}polyline":
            found = along(element.get("points", ""))
            assert not [label for label, box in labels for p in found if inside(p, box)]
            lines += found
        elif element.tag == f"{SVG}text":
            box = frame(element, size)
            assert box[0] >= 8, element.text
            assert box[1] >= 8, element.text
            assert box[2] <= width - 8, element.text
            assert box[3] <= height - 8, element.text
            assert not [p for p in lines if inside(p, box)], f"a line runs through {element.text!r}"
            for other, (left, top, right, bottom) in labels:
                apart = box[2] <= left or right <= box[0] or box[3] <= top or bottom <= box[1]
                assert apart, f"{element.text!r} lies on {other!r}"
            labels.append((element.text or "", box))
    assert labels


def test_text_can_be_read_on_every_ground() -> None:
    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for ground in (PANEL, *(mixed(colour, 0.13) for colour in (BLUE, ORANGE, GREEN, GREY))):
        assert (luminance(ground) + 0.05) / (luminance(INK) + 0.05) >= 7


def test_a_label_wider_than_its_box_is_refused() -> None:
    drawing = Drawing(100, title="", caption="", alt="")
    with pytest.raises(ValueError, match="use fewer words or a larger box"):
        drawing.box(0, 0, 60, 40, "much too long")


def wrong(page: str) -> list[str]:
    """Names of the diagrams of a page whose description or caption is not that of the drawing."""
    return [
        use[2]
        for use in USE.finditer(page)
        if use[2] not in diagrams.DIAGRAMS or use[0] != diagrams.markdown(use[2], use[1])
    ]


@pytest.mark.parametrize(
    "path", [*ROOT.glob("notebooks/*/*.py"), *ROOT.glob("book/*.md")], ids=lambda path: path.stem
)
def test_pages_describe_diagrams_as_the_drawing_does(path: Path) -> None:
    text = re.sub(r"^# ?", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert wrong(text) == []
    assert text.count("_static/diagrams/") == len(USE.findall(text)), "image, blank line, *caption*"


def test_every_diagram_is_on_some_page() -> None:
    sources = [*ROOT.glob("notebooks/*/*.py"), *ROOT.glob("book/*.md")]
    text = "".join(path.read_text(encoding="utf-8") for path in sources)
    assert set(re.findall(r"_static/diagrams/(\w+)\.svg", text)) == set(diagrams.DIAGRAMS)


def test_another_description_is_found() -> None:
    page = f"Text.\n\n{diagrams.markdown('windows')}\n\nText."
    assert wrong(page) == []
    assert wrong(page.replace("Windows overlap", "Windows meet")) == ["windows"]
