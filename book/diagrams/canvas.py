"""A page to draw on: boxes, arrows, cells, contact maps and labels, written as SVG text.

Every diagram is 480 units wide and lies on a light panel of its own, so that it reads the same on
a light page, a dark one and in print. At 342 px, a figure on a telephone of 390 px, its text is 9
points high. A label that does not fit its box raises an error, so that no diagram has cut words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from math import hypot

WIDTH = 480.0
MARGIN = 16.0
SIZE = 17.0  # of all text: over 12 px, or 9 pt, where 480 units are 342 px
LINE = 20.0  # from one line of text to the next
FONT = "Arial, Helvetica, 'Liberation Sans', 'DejaVu Sans', sans-serif"

# The palette of scstlib.plots.
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, GREY = "#CC79A7", "#56B4E9", "#7F7F7F"
INK, PANEL, BORDER, DARK = "#1B242C", "#FBFBF9", "#C9CED2", "#4A555E"

_NARROW, _WIDE = set("fijlrtI.,:;'|!()[] "), set("mwMW%@")

Point = tuple[float, float]


def text_width(label: str, bold: bool = False) -> float:
    """Return the width of one line, by the widest of the fonts that may be used."""
    ems = sum(
        0.36 if c in _NARROW else 0.95 if c in _WIDE else 0.71 if c.isupper() else 0.62
        for c in label
    )
    return ems * SIZE * (1.09 if bold else 1.0)


def mixed(colour: str, share: float) -> str:
    """Return ``share`` of a colour, the rest white."""
    parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(255 + (part - 255) * share):02x}" for part in parts)


def number(value: float) -> str:
    """Return a coordinate with at most one decimal."""
    return f"{round(value, 1) + 0.0:g}"  # + 0.0: no -0


def _path(points: Iterable[Point]) -> str:
    return " ".join(f"{number(x)},{number(y)}" for x, y in points)


class Drawing:
    """One diagram.

    Parameters
    ----------
    height : float
        In units of the canvas.
    title, caption, alt : str
        A few words; one sentence on what to see; what is drawn, for readers who cannot see it.
    """

    def __init__(self, height: float, *, title: str, caption: str, alt: str) -> None:
        self.height, self.title, self.caption, self.alt = height, title, caption, alt
        self._parts: list[str] = []

    def svg(self) -> str:
        """Return the text of the SVG file."""
        size = f'width="{number(WIDTH)}" height="{number(self.height)}"'
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {number(WIDTH)}'
            f' {number(self.height)}" {size} role="img" font-family="{FONT}"'
            f' font-size="{number(SIZE)}" fill="{INK}">'
        )
        panel = (
            f'<rect x="0.5" y="0.5" width="{number(WIDTH - 1)}" height="{number(self.height - 1)}"'
            f' rx="10" fill="{PANEL}" stroke="{BORDER}"/>'
        )
        about = [f"<title>{escape(self.title)}</title>", f"<desc>{escape(self.alt)}</desc>"]
        return "\n".join([head, *about, panel, *self._parts, "</svg>", ""])

    def text(
        self, x: float, y: float, label: str, *, anchor: str = "middle", bold: bool = False
    ) -> None:
        """Write lines of which the middle is at ``y``; ``anchor`` is start, middle or end."""
        lines = label.split("\n")
        weight = ' font-weight="bold"' if bold else ""
        for i, line in enumerate(lines):
            base = y + (i - (len(lines) - 1) / 2) * LINE + 0.35 * SIZE
            self._parts.append(
                f'<text x="{number(x)}" y="{number(base)}" text-anchor="{anchor}"{weight}>'
                f"{escape(line)}</text>"
            )

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        label: str = "",
        *,
        colour: str = GREY,
        learned: bool = False,
        dashed: bool = False,
        bold: bool = False,
    ) -> None:
        """Draw a box with its label; what is learned has round corners and is green.

        Raises
        ------
        ValueError
            If the label does not fit.
        """
        lines = label.split("\n")
        widest, high = max(text_width(line, bold) for line in lines), LINE * len(lines)
        if widest > width - 6 or (label and high > height):
            raise ValueError(
                f"the label {label!r} needs {widest:.0f} × {high:.0f} in a box of {width:.0f} ×"
                f" {height:.0f}: use fewer words or a larger box."
            )
        colour = GREEN if learned else colour
        self.rect(
            x, y, width, height, mixed(colour, 0.13), colour, 14 if learned else 2, dashed=dashed
        )
        if label:
            self.text(x + width / 2, y + height / 2, label, bold=bold)

    def rect(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        fill: str,
        stroke: str = "none",
        radius: float = 0,
        *,
        dashed: bool = False,
    ) -> None:
        """Draw a rectangle."""
        dash = ' stroke-dasharray="6 4"' if dashed else ""
        self._parts.append(
            f'<rect x="{number(x)}" y="{number(y)}" width="{number(width)}"'
            f' height="{number(height)}" rx="{number(radius)}" fill="{fill}" stroke="{stroke}"'
            f' stroke-width="1.6"{dash}/>'
        )

    def line(
        self, *points: Point, colour: str = DARK, width: float = 1.8, dashed: bool = False
    ) -> None:
        """Draw a line through points."""
        dash = ' stroke-dasharray="6 4"' if dashed else ""
        self._parts.append(
            f'<polyline points="{_path(points)}" fill="none" stroke="{colour}"'
            f' stroke-width="{number(width)}" stroke-linejoin="round"{dash}/>'
        )

    def arrow(
        self,
        *points: Point,
        colour: str = DARK,
        width: float = 2.0,
        dashed: bool = False,
        both: bool = False,
    ) -> None:
        """Draw an arrow along points, with a head at its end, or at both ends."""
        path = list(points)
        path[-1] = self._head(path[-2], path[-1], colour, width)
        if both:
            path[0] = self._head(path[1], path[0], colour, width)
        self.line(*path, colour=colour, width=width, dashed=dashed)

    def bend(self, start: Point, end: Point, rise: float, *, colour: str = DARK) -> None:
        """Draw an arrow that bends upwards by ``rise`` on its way."""
        points = []
        for k in range(9):
            s = k / 8
            x, y = (a + s * (b - a) for a, b in zip(start, end, strict=True))
            points.append((x, y - 4 * rise * s * (1 - s)))
        self.arrow(*points, colour=colour, width=2.4)

    def _head(self, start: Point, tip: Point, colour: str, width: float) -> Point:
        """Draw the head of an arrow; return where its line ends."""
        length = hypot(tip[0] - start[0], tip[1] - start[1])
        along = ((tip[0] - start[0]) / length, (tip[1] - start[1]) / length)
        long, wide = 6.0 + 2.0 * width, 2.5 + 1.3 * width
        back = (tip[0] - long * along[0], tip[1] - long * along[1])
        side = (-along[1] * wide, along[0] * wide)
        corners = [
            tip,
            (back[0] + side[0], back[1] + side[1]),
            (back[0] - side[0], back[1] - side[1]),
        ]
        self._parts.append(f'<polygon points="{_path(corners)}" fill="{colour}"/>')
        return (tip[0] - 0.8 * long * along[0], tip[1] - 0.8 * long * along[1])

    def cross(self, x: float, y: float, size: float = 8, colour: str = RED) -> None:
        """Draw a cross: this does not happen, or must not."""
        for sign in (-1, 1):
            self.line(
                (x - size, y - sign * size), (x + size, y + sign * size), colour=colour, width=4
            )

    def cell(
        self,
        x: float,
        y: float,
        colour: str,
        shape: str = "circle",
        *,
        radius: float = 6,
        hollow: bool = False,
    ) -> None:
        """Draw a cell: a circle, square or triangle."""
        fill = PANEL if hollow else colour
        stroke = f'fill="{fill}" stroke="{colour}" stroke-width="2"'
        if shape == "circle":
            self._parts.append(
                f'<circle cx="{number(x)}" cy="{number(y)}" r="{number(radius)}" {stroke}/>'
            )
            return
        r = radius
        corners = {
            "square": [(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)],
            "triangle": [
                (x, y - 1.2 * r),
                (x + 1.15 * r, y + 0.8 * r),
                (x - 1.15 * r, y + 0.8 * r),
            ],
        }[shape]
        self._parts.append(f'<polygon points="{_path(corners)}" {stroke}/>')

    def cells(
        self, places: Iterable[Point], colour: str, shape: str = "circle", *, hollow: bool = False
    ) -> None:
        """Draw small cells at places."""
        for x, y in places:
            self.cell(x, y, colour, shape, radius=4.5, hollow=hollow)

    def matrix(
        self,
        x: float,
        y: float,
        width: float,
        values: Sequence[Sequence[float]],
        colour: str = ORANGE,
    ) -> None:
        """Draw values from 0 to 1 as squares from white to a colour."""
        rows, columns, levels = len(values), len(values[0]), 8
        side = width / columns
        edge = side + 0.4  # over the next square's, so that no gap shines through
        squares: dict[int, list[str]] = {}
        for i, row in enumerate(values):
            for j, value in enumerate(row):
                level = round(min(max(value, 0.0), 1.0) * levels)
                corner = f"M{number(x + j * side)},{number(y + i * side)}"
                squares.setdefault(level, []).append(
                    f"{corner}h{number(edge)}v{number(edge)}h{number(-edge)}z"
                )
        self.rect(x, y, width, rows * side, "#ffffff")
        for level in sorted(squares.keys() - {0}):
            fill = mixed(colour, level / levels)
            self._parts.append(f'<path d="{"".join(squares[level])}" fill="{fill}"/>')
        self.rect(x, y, width, rows * side, "none", DARK)

    def bars(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        values: Sequence[float],
        colour: str = BLUE,
    ) -> None:
        """Draw values from 0 to 1 as bars along a line at the bottom of ``height``: a track."""
        step = width / len(values)
        for i, value in enumerate(values):
            if value > 0:
                self.rect(
                    x + (i + 0.15) * step,
                    y + height * (1 - value),
                    0.7 * step,
                    height * value,
                    colour,
                )
        self.line((x, y + height), (x + width, y + height), width=1.6)

    def hatched(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        """Draw a rectangle with stripes: the test part."""
        self.rect(x, y, width, height, mixed(colour, 0.25), colour)
        step, offset = 8.0, 8.0
        while offset < width + height:
            start = (x + min(offset, width), y + max(0.0, offset - width))
            end = (x + max(0.0, offset - height), y + min(offset, height))
            self.line(start, end, colour=colour, width=1.6)
            offset += step


def contacts(
    n: int, borders: Sequence[int] = (), *, inside: float = 1.0, outside: float = 0.35
) -> list[list[float]]:
    """Return a contact map (n, n) from 0 to 1: it fades with distance, and across borders."""
    domain = [sum(border <= i for border in borders) for i in range(n)]
    return [
        [
            (inside if domain[i] == domain[j] else outside) / (1 + 0.35 * abs(i - j))
            for j in range(n)
        ]
        for i in range(n)
    ]
