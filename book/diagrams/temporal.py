"""Diagrams of scNODE: its parts as published and by default, and curves through chained cells."""

from __future__ import annotations

from itertools import pairwise

from .canvas import (
    BLUE,
    GREEN,
    GREY,
    MARGIN,
    ORANGE,
    PURPLE,
    RED,
    Drawing,
    Point,
    mixed,
)
from .spatial import legend

CLOUD = ((-12, -8), (0, -14), (12, -6), (-14, 6), (0, 0), (12, 8), (-2, 14))


def _cloud(d: Drawing, x: float, y: float, kind: str) -> None:
    """Draw a few cells, measured or predicted."""
    places = [(x + dx, y + dy) for dx, dy in CLOUD]
    if kind == "measured":
        d.cells(places, GREY, hollow=True)
    else:
        d.cells(places, RED, "triangle")


def scnode_published() -> Drawing:
    """Draw the published scNODE: autoencoder, neural ODE, transport loss."""
    d = Drawing(
        662,
        title="scNODE as published",
        caption="Only cells of the first time are moved through all times; at each time a"
        " transport loss compares them with measured cells, in latent space and in gene space.",
        alt="Three columns, for the first, second and third time. At the top the measured cells"
        " of each time, hollow circles. They go down into a box, the encoder, which gives a"
        " mean and a spread. Below it, in latent space, the encoded cells of the first time,"
        " red triangles, are moved to the second and third time by arrows: the drift, solved"
        " as an ODE. Beside them at each time lie the encoded measured cells, hollow circles,"
        " joined to the triangles by a double arrow, the transport loss. A second box, the"
        " decoder, takes the triangles to gene space, where again a double arrow compares them"
        " with measured cells. Encoder and decoder are trained by themselves first.",
    )
    columns = (92.0, 244.0, 396.0)
    for x, name in zip(columns, ("first time", "second", "third"), strict=True):
        d.text(x, 28, name, bold=True)
        _cloud(d, x, 66, "measured")
        d.arrow((x, 90), (x, 118), dashed=x != columns[0])
        d.arrow((x + 36, 160), (x + 36, 192), dashed=True)
        d.arrow((x - 34, 346), (x - 34, 374))
        d.arrow((x - 34, 416), (x - 34, 444))
    d.arrow((58, 160), (58, 192))
    d.box(MARGIN, 118, 448, 42, "encoder: mean and spread", learned=True)
    d.rect(MARGIN, 192, 448, 154, mixed(GREY, 0.13), GREY, 2)
    d.text(28, 212, "latent space", anchor="start")
    d.box(MARGIN, 374, 448, 42, "decoder", learned=True)
    d.rect(MARGIN, 444, 448, 106, mixed(GREY, 0.13), GREY, 2)
    d.text(28, 464, "gene space", anchor="start")
    for k, x in enumerate(columns):
        for y in (308, 512):
            _cloud(d, x - 34, y, "predicted")
            _cloud(d, x + 36, y, "measured")
            d.arrow((x - 17, y), (x + 19, y), colour=PURPLE, width=2.4, both=True)
        if k:
            d.bend((x - 178, 286), (x - 38, 286), 30, colour=GREEN)
            d.text(x - 108, 240, "drift")
    d.cells(((33, 574),), RED, "triangle")
    d.text(60, 574, "moved from first time", anchor="start")
    d.cells(((290, 574),), GREY, hollow=True)
    d.text(304, 574, "measured", anchor="start")
    d.arrow((MARGIN, 604), (50, 604), colour=PURPLE, width=2.4, both=True)
    d.text(60, 604, "transport loss: to be made small", anchor="start")
    legend(d, 624)
    return d


def scnode_default() -> Drawing:
    """Draw the default scNODE: factors of counts, curves, a drift, a prediction from both sides."""
    d = Drawing(
        726,
        title="scNODE, the package's default",
        caption="The drift is learned from curves through measured cells, without solving an ODE; a"
        " time in between is reached from both neighbouring times.",
        alt="A column of boxes from top to bottom. Counts of all training times go into factors"
        " of counts, which know the depth of each cell. Cells of neighbouring times are paired"
        " by optimal transport and joined by curves. The drift, position and time to velocity,"
        " is learned by flow matching. Below, a time axis with measured times 1, 2 and 3 and a"
        " new time between 2 and 3: cells of time 2 move forwards to it, cells of time 3 move"
        " backwards to it, more of the nearer time. Beyond time 3 an arrow fades. Last, an"
        " observation model draws depth and counts of the predicted cells, or leaves the noise"
        " out.",
    )
    d.box(MARGIN, 16, 448, 42, "counts of cells at all training times", colour=BLUE)
    d.arrow((240, 58), (240, 86))
    d.box(MARGIN, 86, 448, 62, "factors of counts:\nlatent points, depth taken out", learned=True)
    d.arrow((240, 148), (240, 176))
    d.box(MARGIN, 176, 448, 62, "pairs by optimal transport,\ncurves through chained cells")
    d.arrow((240, 238), (240, 266))
    d.box(
        MARGIN, 266, 448, 62, "drift by flow matching:\nposition and time → velocity", learned=True
    )
    d.arrow((240, 328), (240, 356))

    d.box(MARGIN, 356, 448, 222)
    d.text(240, 376, "prediction", bold=True)
    d.line((36, 502), (448, 502), width=2)
    for x, name in ((60, "time 1"), (148, "time 2"), (228, "new time"), (344, "time 3")):
        d.line((x, 496), (x, 508), width=2)
        d.text(x, 526, name)
        if name != "new time":
            _cloud(d, x, 468, "measured")
    d.cells([(228 + dx, 468 + dy) for dx, dy in CLOUD[::2]], RED, "triangle")
    d.bend((148, 446), (220, 448), 20, colour=GREEN)
    d.text(150, 412, "forwards")
    d.bend((344, 446), (236, 448), 20, colour=GREEN)
    d.text(292, 412, "backwards")
    d.arrow((366, 466), (398, 462), colour=GREEN, width=2.4)
    d.line((404, 461), (420, 459), colour=mixed(GREEN, 0.65), width=2.4)
    d.line((426, 458), (442, 456), colour=mixed(GREEN, 0.4), width=2.4)
    d.text(412, 438, "fades")
    d.text(240, 560, "more cells from the nearer time")

    d.arrow((240, 578), (240, 606))
    d.box(
        MARGIN,
        606,
        448,
        62,
        "observation model: draw depth\nand counts, or leave noise out",
        learned=True,
    )
    legend(d, 688)
    return d


def chained_cells() -> Drawing:
    """Draw curves through chains of cells that optimal transport pairs."""
    times = (66.0, 180.0, 320.0, 430.0)
    # In one dimension optimal transport keeps the order: the k-th is paired with the k-th.
    levels = (
        (86.0, 112.0, 166.0, 194.0, 220.0),
        (60.0, 82.0, 108.0, 176.0, 206.0),
        (76.0, 116.0, 198.0, 230.0, 256.0),
        (72.0, 100.0, 146.0, 206.0, 238.0),
    )
    chain = [(time, level[2]) for time, level in zip(times, levels, strict=True)]
    d = Drawing(
        470,
        title="Curves through chained cells",
        caption="Straight lines between pairs turn a corner at every measured time; a curve"
        " through a chain of four cells bends, and gives a position and a velocity at any time"
        " in between.",
        alt="Four measured times on a horizontal axis, at unequal distances; one latent"
        " coordinate upwards. Five cells at each time. Thin lines join each cell to its"
        " partner at the next time by optimal transport. One chain of four cells is drawn"
        " bold: dashed straight lines with corners at the cells, and a smooth curve through"
        " the same cells. A dot on the curve between the second and third time carries an"
        " arrow along the curve: its velocity. Flow matching learns from many such points.",
    )
    d.text(MARGIN, 28, "latent coordinate", anchor="start")
    for k in range(3):
        for a, b in zip(levels[k], levels[k + 1], strict=True):
            d.line((times[k], a), (times[k + 1], b), colour="#B4BBC1", width=1.6)
    d.line(*chain, dashed=True, width=2)
    curve, tangent = _hermite_chain(chain)
    d.line(*curve, colour=ORANGE, width=4)
    for k, time in enumerate(times):
        places = [(time, level) for level in levels[k]]
        d.cells(places, GREY, hollow=True)
        d.cell(*chain[k], BLUE, radius=7)
    at, towards = tangent
    d.cell(*at, RED, "square", radius=5)
    d.arrow(at, towards, colour=RED, width=3)
    d.line((MARGIN + 14, 284), (464, 284), width=2)
    for k, time in enumerate(times):
        d.line((time, 278), (time, 290), width=2)
        d.text(time, 308, f"time {k + 1}")
    rows = (
        ("pairs by optimal transport", "pairs"),
        ("straight lines: corners", "straight"),
        ("curve through four cells", "curve"),
        ("what flow matching is shown", "velocity"),
    )
    for k, (name, kind) in enumerate(rows):
        y = 346 + 32 * k
        if kind == "pairs":
            d.line((24, y), (64, y), colour="#B4BBC1", width=1.6)
        elif kind == "straight":
            d.line((24, y), (64, y), dashed=True, width=2)
        elif kind == "curve":
            d.line((24, y), (64, y), colour=ORANGE, width=4)
        else:
            d.arrow((24, y), (64, y), colour=RED, width=3)
            d.cell(26, y, RED, "square", radius=5)
        d.text(78, y, name, anchor="start")
    return d


def _hermite_chain(chain: list[Point]) -> tuple[list[Point], tuple[Point, Point]]:
    """Return the curve through a chain, and a point on it with the tip of its velocity.

    Tangents are those of scstlib.models.temporal.scnode.transport_curves: at an inner cell that of
    the parabola through it and its neighbours, at an end that of the line.
    """
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairwise(chain)]
    gaps = [b[0] - a[0] for a, b in pairwise(chain)]
    tangents = [slopes[0]]
    for k in range(1, len(chain) - 1):
        weight = gaps[k - 1] + gaps[k]
        tangents.append((gaps[k - 1] * slopes[k] + gaps[k] * slopes[k - 1]) / weight)
    tangents.append(slopes[-1])
    points: list[Point] = []
    mark = ((0.0, 0.0), (0.0, 0.0))
    for k, gap in enumerate(gaps):
        (x0, y0), (_, y1) = chain[k], chain[k + 1]
        first, last, slope = tangents[k], tangents[k + 1], slopes[k]
        for step in range(21):
            s = step / 20
            bend = (1 - s) * (first - slope) - s * (last - slope)
            points.append((x0 + s * gap, y0 + s * (y1 - y0) + gap * s * (1 - s) * bend))
            if k == 1 and step == 9:
                turn = (1 - s) * (1 - 3 * s) * (first - slope) - s * (2 - 3 * s) * (last - slope)
                here = points[-1]
                mark = (here, (here[0] + 52, here[1] + 52 * (slope + turn)))
    return points, mark
