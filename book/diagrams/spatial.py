"""Diagrams of scGrapHiC: its parts as published and by default, pairs of bins, windows."""

from __future__ import annotations

from math import exp, pi, sin
from random import Random

from .canvas import (
    BLUE,
    DARK,
    GREEN,
    GREY,
    MARGIN,
    ORANGE,
    PANEL,
    PURPLE,
    RED,
    Drawing,
    contacts,
)


def legend(d: Drawing, y: float) -> None:
    """Say what the shapes of boxes stand for."""
    d.box(MARGIN, y, 34, 22, learned=True)
    d.text(60, y + 11, "learned", anchor="start")
    d.box(150, y, 34, 22)
    d.text(194, y + 11, "given or computed", anchor="start")


def scgraphic_published() -> Drawing:
    """Draw the published scGrapHiC, part by part."""
    d = Drawing(
        716,
        title="scGrapHiC as published",
        caption="Expression and the bulk map's encodings become features of bins, pairs of bins"
        " become pixels; the graph convolution is computed, but its result is not used.",
        alt="A column of boxes from top to bottom. Tracks of the cell type (expression, CTCF,"
        " CpG) go into a convolution along the genome with four attention blocks and a"
        " sigmoid. Its features are joined with encodings. A graph convolution over the bulk"
        " map follows, whose outgoing arrow is crossed out: as published, its result is not"
        " used; a line leads around it. Then four attention blocks, the products of all pairs"
        " of bins, and seven residual blocks of convolutions with a last 7 by 7 convolution"
        " and a sigmoid, which give the predicted map. On the right the bulk map: it gives 16"
        " positional encodings, which enter the first box and the joint, and a dashed arrow to"
        " the graph convolution as its edges.",
    )
    right = 304.0
    d.box(
        MARGIN,
        16,
        right - MARGIN,
        56,
        "tracks of the cell type:\nexpression, CTCF, CpG",
        colour=BLUE,
    )
    d.text(394, 28, "bulk map")
    d.matrix(355, 42, 78, contacts(12, (3, 7)))
    d.arrow((394, 121), (394, 148))
    d.box(333, 148, 124, 56, "16 encodings\nof each bin", colour=ORANGE)

    d.arrow((160, 72), (160, 102))
    d.box(
        MARGIN,
        102,
        right - MARGIN,
        76,
        "convolution along genome,\n4 attention blocks,\nsigmoid",
        learned=True,
    )
    d.arrow((333, 166), (right, 166))
    d.arrow((160, 178), (160, 222))
    d.box(
        MARGIN,
        222,
        right - MARGIN,
        56,
        "features of bins, joined\nwith the encodings",
        learned=True,
    )
    d.arrow((394, 204), (394, 250), (right, 250))

    d.arrow((184, 278), (184, 308))
    d.box(
        64, 308, right - 64, 56, "graph convolution\nover the bulk map", learned=True, dashed=True
    )
    d.arrow((433, 81), (468, 81), (468, 336), (right, 336), dashed=True)
    d.text(392, 322, "edges")
    d.line((184, 364), (184, 402))
    d.cross(184, 386)
    d.text(204, 386, "result is not used", anchor="start")
    d.arrow((38, 278), (38, 412))

    d.box(MARGIN, 412, right - MARGIN, 38, "4 attention blocks", learned=True)
    d.arrow((160, 450), (160, 480))
    d.box(MARGIN, 480, right - MARGIN, 56, "products of all pairs\nof bins", learned=True)
    d.arrow((160, 536), (160, 566))
    d.box(
        MARGIN,
        566,
        right - MARGIN,
        76,
        "7 residual blocks,\n7 × 7 convolution,\nsigmoid",
        learned=True,
    )
    d.text(394, 536, "predicted\nmap")
    d.matrix(355, 564, 78, contacts(12, (5, 9)))
    d.arrow((right, 604), (355, 604))
    legend(d, 676)
    return d


def scgraphic_default() -> Drawing:
    """Draw the default scGrapHiC: base, shift, residual."""
    d = Drawing(
        700,
        title="scGrapHiC, the package's default",
        caption="The prediction starts from the bulk map without its noise; the network adds only"
        " what the guide of the cell type says beyond that of the bulk's cells.",
        alt="Three blocks of logarithms, added up. Base: the bulk map equals the contacts"
        " expected from distance and visibility, times the rest, a speckled map, which is"
        " smoothed. Shift: two falling curves of contacts by distance, a solid one of the"
        " training maps and a dashed one of the bulk; the gap between them is one number a"
        " distance. Residual: one network with the bulk map is read twice, with the guide of"
        " the cell type and with the guide of the bulk's cells; the difference of the two is"
        " what the cell type adds, zero where both agree; a common part is added for all"
        " types. At the bottom: depth times the exponential of the sum gives the expected"
        " contacts, a symmetric map.",
    )
    rng = Random(5)  # noqa: S311
    clean = [[0.15 + 0.6 * ((i < 5) == (j < 5)) for j in range(12)] for i in range(12)]
    noisy = [row[:] for row in clean]
    for i in range(12):
        for j in range(i, 12):
            noisy[i][j] = noisy[j][i] = max(0.0, clean[i][j] + rng.uniform(-0.45, 0.45))
    expected = contacts(12)
    bulk = [
        [e * n * 1.3 for e, n in zip(*rows, strict=True)]
        for rows in zip(expected, noisy, strict=True)
    ]

    d.text(MARGIN, 28, "base: the bulk without noise", anchor="start", bold=True)
    for x, values, name in (
        (16, bulk, "bulk map"), (132, expected, "expected"), (248, noisy, "the rest"),
        (384, clean, "smoothed"),
    ):  # fmt: skip
        d.matrix(x, 46, 76, values)
        d.text(x + 38, 138, name)
    d.text(112, 84, "=", bold=True)
    d.text(228, 84, "×", bold=True)
    d.arrow((330, 84), (378, 84))
    d.line((MARGIN, 162), (464, 162), colour="#C9CED2")

    d.text(MARGIN, 186, "+ shift: one number a distance", anchor="start", bold=True)
    d.line((40, 206), (40, 284), (210, 284))
    curves = [[(40 + 10 * k, 280 - 72 * exp(-k / rate)) for k in range(17)] for rate in (7.5, 4.2)]
    d.line(*curves[0], colour=ORANGE, width=3.2)
    d.line(*curves[1], colour=DARK, width=2.4, dashed=True)
    for above, below in list(zip(*curves, strict=True))[2:]:
        d.line(above, below, colour=GREY, width=1)
    d.text(125, 300, "distance")
    d.line((236, 226), (266, 226), colour=ORANGE, width=3.2)
    d.text(276, 226, "training maps", anchor="start")
    d.line((236, 254), (266, 254), colour=DARK, width=2.4, dashed=True)
    d.text(276, 254, "bulk map", anchor="start")
    d.line((MARGIN, 320), (464, 320), colour="#C9CED2")

    d.text(MARGIN, 344, "+ residual: what the type adds", anchor="start", bold=True)
    d.box(MARGIN, 366, 122, 60, "guide of the\ncell type", colour=BLUE)
    d.box(MARGIN, 446, 122, 60, "guide of the\nbulk's cells", colour=BLUE, dashed=True)
    d.box(166, 366, 130, 140, "one network,\nread twice,\nwith the\nbulk map", learned=True)
    d.arrow((138, 396), (166, 396))
    d.arrow((138, 476), (166, 476), dashed=True)
    d.box(336, 366, 128, 60, "difference of\nthe two", colour=ORANGE)
    d.box(336, 446, 128, 60, "part common\nto all types", colour=ORANGE, dashed=True)
    d.arrow((296, 388), (336, 388))
    d.line((296, 462), (314, 462), (314, 408), dashed=True)
    d.arrow((314, 408), (336, 408))
    d.arrow((296, 484), (336, 484), dashed=True)
    d.text(240, 530, "difference is 0 where both guides agree")
    d.line((MARGIN, 552), (464, 552), colour="#C9CED2")

    d.text(MARGIN, 600, "expected contacts =", anchor="start", bold=True)
    d.text(MARGIN, 630, "depth × exp(base + shift\n+ residual)", anchor="start")
    d.arrow((276, 614), (336, 614))
    d.matrix(356, 570, 92, contacts(12, (3, 8)))
    return d


def pair_features() -> Drawing:
    """Draw what a pair of bins is given, and the two ways in which it is read."""
    d = Drawing(
        628,
        title="Pairs of bins, read twice",
        caption="A pair is described by what its bins are and what lies between them; a U-Net sees"
        " what lies around it, and a second reading looks at each pair by itself.",
        alt="At the top a genome with bins; two of them, i and j, are joined by an arc. Between"
        " them small bars, the steps, one of them tall: a boundary. Four boxes name the"
        " features of the pair: product of i and j, sum of steps between, distance, bulk map"
        " at the pair. Arrows lead to two readings. Left, a U-Net: squares of pairs at half, a"
        " quarter and an eighth of the resolution going down, and up again, with dashed arrows"
        " across at equal size, where both are added. Right, a box: each pair by itself, at"
        " full resolution. Both answers are added up and are zero before training.",
    )
    n, left, step = 22, 30.0, 19.0
    i, j = 4, 16
    for k in range(n):
        colour = BLUE if k in (i, j) else "#FFFFFF"
        d.rect(left + k * step, 104, step - 3, 16, colour, DARK, 2)
    x_i, x_j = left + i * step + 8, left + j * step + 8
    arc = [(x_i + (x_j - x_i) * k / 24, 98 - 62 * sin(pi * k / 24)) for k in range(25)]
    d.line(*arc, colour=ORANGE, width=3)
    d.text(x_i, 134, "i", bold=True)
    d.text(x_j, 134, "j", bold=True)
    for k in range(i + 1, j):
        high = 26.0 if k == 10 else 7.0
        d.rect(left + k * step + 3, 98 - high, step - 9, high, GREEN)
    d.text(240, 22, "pair of bins")
    d.text(240, 136, "steps between")

    names = ("product of i and j", "steps from i to j", "distance of i and j", "bulk map at i, j")
    for k, (name, colour) in enumerate(zip(names, (BLUE, GREEN, GREY, ORANGE), strict=True)):
        d.box(MARGIN + 228 * (k % 2), 160 + 50 * (k // 2), 220, 42, name, colour=colour)
    d.arrow((160, 252), (160, 284))
    d.arrow((392, 252), (392, 284))

    d.box(MARGIN, 284, 296, 226, learned=True)
    d.text(164, 304, "U-Net: what lies around", bold=True)
    down = ((94, 318, 62), (124, 394, 46), (172, 456, 34))
    up = ((250, 318, 62), (220, 394, 46))
    for x, y, side in (*down, *up):
        d.matrix(x - side / 2, y, side, contacts(6, (3,)), GREEN)
    for (x, y, side), name in zip(down, ("1/2", "1/4", "1/8"), strict=True):
        d.text(x - side / 2 - 6, y + side / 2, name, anchor="end")
    for (x, y, side), (x_up, _, _) in zip(down, up, strict=False):
        d.arrow((x + side / 2, y + side / 2), (x_up - side / 2, y + side / 2), dashed=True)
    d.arrow((104, 380), (114, 394), width=1.6)
    d.arrow((138, 440), (158, 456), width=1.6)
    d.arrow((186, 456), (206, 440), width=1.6)
    d.arrow((230, 394), (240, 380), width=1.6)
    d.box(328, 284, 136, 226, learned=True)
    d.text(396, 304, "by itself", bold=True)
    d.matrix(
        346,
        326,
        100,
        [[float((r, c) in ((3, 8), (8, 3))) for c in range(12)] for r in range(12)],
        GREEN,
    )
    d.text(396, 462, "each pair,\nfull\nresolution")

    d.arrow((164, 510), (164, 548))
    d.arrow((396, 510), (396, 548))
    d.box(
        MARGIN,
        548,
        448,
        62,
        "added: log of a factor on the\nbulk map, 0 before training",
        colour=ORANGE,
    )
    return d


def windows() -> Drawing:
    """Draw windows on the diagonal, and how overlapping predictions are joined."""
    d = Drawing(
        598,
        title="Windows along the diagonal",
        caption="Windows overlap, and a predicted pixel is the weighted mean of those over it;"
        " between the dashed lines no pixel is left out.",
        alt="A square contact map of a chromosome, darkest on the diagonal. Four equal squares,"
        " numbered 1 to 4, lie along the diagonal, each shifted by half its width, so that"
        " neighbours overlap. Dashed lines on both sides of the diagonal mark the band that is"
        " complete. The corners far from the diagonal are outside all windows: too far apart,"
        " not predicted. Below, the weights of the four windows along the diagonal: four bumps"
        " that overlap by half, each rising from 0 at one end of its window to 1 and back to"
        " 0.",
    )
    x0, y0, side, width = 84.0, 16.0, 312.0, 124.8
    stride = width / 2
    d.matrix(x0, y0, side, contacts(30, (7, 13, 22)))
    d.line((x0 + stride, y0), (x0 + side, y0 + side - stride), dashed=True, width=1.6)
    d.line((x0, y0 + stride), (x0 + side - stride, y0 + side), dashed=True, width=1.6)
    colours = (BLUE, RED, GREEN, PURPLE)
    for k, colour in enumerate(colours):
        x, y = x0 + k * stride, y0 + k * stride
        d.rect(x, y, width, width, "none", colour, 0)
        d.rect(x + 2, y + 2, width - 4, width - 4, "none", colour, 0)
        d.rect(x + 3, y + width - 25, 20, 22, PANEL)
        d.text(x + 13, y + width - 14, str(k + 1), bold=True)
    d.text(x0 + 232, y0 + 32, "too far apart:\nnot predicted")

    d.text(240, 352, "weights along the diagonal", bold=True)
    d.line((x0, 470), (x0 + side, 470))
    for k, colour in enumerate(colours):
        start = x0 + k * stride
        bump = [(start + width * t / 40, 470 - 72 * sin(pi * t / 40) ** 2) for t in range(41)]
        d.line(*bump, colour=colour, width=3)
        d.text(start + width / 2, 384, str(k + 1), bold=True)
    d.text(x0 - 10, 398, "1", anchor="end")
    d.text(x0 - 10, 470, "0", anchor="end")
    d.box(
        MARGIN,
        500,
        448,
        82,
        "predicted pixel: the mean of the\nwindows over it, with weights that\n"
        "fade to 0 at a window's ends",
        colour=ORANGE,
    )
    return d
