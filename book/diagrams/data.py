"""Diagrams of data: the organism, bulk, splitting counts, pseudo-bulks."""

from __future__ import annotations

from math import exp
from random import Random

from .canvas import BLUE, GREEN, GREY, MARGIN, ORANGE, PURPLE, RED, Drawing, contacts

SHAPES = ("circle", "triangle", "square")
COLOURS = (BLUE, GREEN, PURPLE)
TYPES = ((3, 7), (5,), (2, 4, 8))  # borders of the domains of three cell types


def organism() -> Drawing:
    """Draw the simulated organism: one network, two modalities, what is measured of it."""
    d = Drawing(
        572,
        title="The simulated organism",
        caption="One network drives both expression and contacts of a cell; the truth of both is"
        " known, and what models see are counts drawn from it.",
        alt="At the top a box: in every cell one network of 32 regulators, with a tree that forks"
        " twice, into three fates. Arrows lead from it to two boxes of noise-free truth:"
        " expression, and contacts. A third arrow leads from expression to contacts. Below,"
        " what is measured: from expression, counts of single cells at each time, a sparse"
        " table of cells by genes; from contacts, maps of one cell, of a cell type and of the"
        " bulk, each fuller than the one before.",
    )
    d.box(MARGIN, 16, 448, 104)
    d.text(30, 40, "one network in every cell", anchor="start", bold=True)
    d.text(30, 80, "32 regulators; two switches\ndecide the fate of the cell", anchor="start")
    stem, bipotent = (330, 62), (382, 86)
    for end in ((382, 40), bipotent):
        d.line(stem, end)
    for end in ((438, 68), (438, 104)):
        d.line(bipotent, end)
    d.cell(*stem, GREY, radius=7)
    d.cell(*bipotent, GREY, radius=7)
    for place, colour, shape in zip(
        ((382, 40), (438, 68), (438, 104)), COLOURS, SHAPES, strict=True
    ):
        d.cell(*place, colour, shape, radius=7)

    d.text(240, 143, "truth", bold=True)
    d.arrow((118, 120), (118, 164))
    d.arrow((362, 120), (362, 164))
    d.box(MARGIN, 164, 204, 138, colour=BLUE)
    d.text(118, 184, "expression", bold=True)
    d.bars(40, 198, 156, 40, [0.5, 0.9, 0.15, 0.3, 1.0, 0.6, 0.1, 0.75, 0.4, 0.2, 0.85, 0.3])
    d.text(118, 270, "means of all genes,\nat any time")
    d.box(260, 164, 204, 138, colour=ORANGE)
    d.text(362, 184, "contacts", bold=True)
    d.matrix(335, 197, 54, contacts(12, TYPES[0]))
    d.text(362, 275, "partly set by the\ngenes around")
    d.arrow((220, 224), (260, 224))

    d.text(240, 325, "measured", bold=True)
    d.arrow((118, 302), (118, 346), dashed=True)
    d.arrow((362, 302), (362, 346), dashed=True)
    d.box(MARGIN, 346, 204, 210, colour=BLUE)
    d.text(118, 368, "counts of single cells")
    rng = Random(1)  # noqa: S311
    counts = [[rng.choice((0, 0, 0, 0.3, 0.5, 1)) for _ in range(9)] for _ in range(7)]
    d.matrix(45, 386, 146, counts, BLUE)
    d.text(118, 527, "a row: a cell;\na column: a gene")
    d.box(260, 346, 204, 210, colour=ORANGE)
    for i, (name, cells) in enumerate((("one cell", 1), ("a cell type", 40), ("bulk", 2000))):
        d.matrix(274, 360 + 64 * i, 54, drawn_contacts(12, TYPES[0], cells, seed=3))
        d.text(340, 387 + 64 * i, name, anchor="start")
    return d


def bulk_mixture() -> Drawing:
    """Draw bulk as the mean of cell types, weighted by their shares."""
    shares, levels = (5, 3, 2), (0, 4, 20)
    maps = [contacts(10, borders, outside=0.15) for borders in TYPES]
    mean = sum(s * level for s, level in zip(shares, levels, strict=True)) / 10
    blend = [
        [sum(s * m[i][j] for s, m in zip(shares, maps, strict=True)) / 10 for j in range(10)]
        for i in range(10)
    ]
    d = Drawing(
        476,
        title="Bulk is a mixture of cell types",
        caption="A bulk measurement is the mean over cell types, weighted by their shares: no cell"
        f" has {mean:g} counts of this gene, and no cell has this contact map.",
        alt="A table of three cell types, drawn as five circles, three triangles and two squares:"
        " 50, 30 and 20 percent of the cells. One gene has 0, 4 and 20 counts in them, drawn as"
        " bars. Their contact maps have domains with different borders. A last row, below a line,"
        f" is the bulk: all ten cells together, {mean:g} counts of the gene, and a blurred contact"
        " map in which no border is sharp.",
    )
    for x, head in ((75, "cells"), (238, "one gene"), (405, "contacts")):
        d.text(x, 30, head, bold=True)
    for row, (share, level) in enumerate(zip(shares, levels, strict=True)):
        y = 88 + 90 * row
        for i in range(share):
            d.cell(75 + 24 * (i - (share - 1) / 2), y - 12, COLOURS[row], SHAPES[row], radius=7.5)
        d.text(75, y + 16, f"{10 * share}%")
        _level(d, y, level, COLOURS[row])
        d.matrix(370, y - 36, 72, maps[row])
    d.line((MARGIN, 324), (464, 324))
    d.box(MARGIN, 338, 448, 122)
    d.text(30, 362, "bulk: the mean of all", anchor="start", bold=True)
    order = (0, 2, 1, 0, 1, 0, 2, 0, 1, 0)
    for i, kind in enumerate(order):
        place = (75 + 22 * (i % 5 - 2), 396 + 26 * (i // 5))
        d.cell(*place, COLOURS[kind], SHAPES[kind], radius=7.5)
    _level(d, 406, mean, GREY)
    d.matrix(370, 363, 72, blend)
    return d


def _level(d: Drawing, y: float, level: float, colour: str) -> None:
    """Draw the counts of one gene as a bar with its number."""
    d.line((178, y - 22), (178, y + 22), width=1.6)
    if level:
        d.rect(178, y - 12, 5.5 * level, 24, colour)
    d.text(178 + 5.5 * level + 8, y, f"{level:g}", anchor="start")


def two_donors() -> Drawing:
    """Draw whose bulk map a model is given, and whose map it is scored by."""
    d = Drawing(
        372,
        title="Whose bulk, whose target",
        caption="The bulk map comes from one donor, the target from the other: they share no count."
        " From the same donor, the target's counts would be in the bulk, noise and all.",
        alt="Two boxes at the top, donor A and donor B, each with cells of three types. From donor"
        " A an arrow leads to its bulk map, the sum of all types. From donor B an arrow leads to"
        " the target, the map of one type. The bulk map and a box for the guide, expression of"
        " that type from a third study, lead to the model, and the model to the predicted map. A"
        " double arrow joins the predicted map and the target: the score. A dashed red arrow from"
        " donor A to the target is crossed out.",
    )
    for x, donor in ((MARGIN, "donor A"), (290, "donor B")):
        d.box(x, 16, 174, 76)
        d.text(x + 87, 34, donor, bold=True)
        for i in range(12):
            kind = (0, 1, 0, 2, 0, 1, 2, 0, 1, 0, 2, 1)[i]
            place = (x + 27 + 24 * (i % 6), 56 + 22 * (i // 6))
            d.cell(*place, COLOURS[kind], SHAPES[kind], radius=7)
    d.arrow((103, 92), (103, 130))
    d.matrix(67, 132, 72, contacts(10, (3, 6), outside=0.3))
    d.text(103, 218, "bulk: all types")
    d.arrow((377, 92), (377, 130))
    d.matrix(341, 132, 72, contacts(10, (4, 7), outside=0.15))
    d.text(377, 218, "target: one type")
    d.arrow((190, 92), (330, 150), colour=RED, dashed=True)
    d.cross(258, 120)
    d.arrow((103, 230), (103, 286))
    d.box(MARGIN, 328, 174, 32, "guide: expression", colour=BLUE)
    d.arrow((103, 328), (103, 318))
    d.box(MARGIN, 286, 174, 32, "model", learned=True)
    d.arrow((190, 302), (338, 302))
    d.matrix(341, 266, 72, contacts(10, (4, 7), outside=0.25))
    d.text(377, 352, "prediction")
    d.arrow((377, 230), (377, 264), both=True)
    d.text(386, 247, "score", anchor="start")
    return d


def count_splitting() -> Drawing:
    """Draw thinning: each molecule of a cell falls into one of two parts by chance."""
    genes = {"gene A": "1112", "gene B": "", "gene C": "212", "gene D": "22121122"}
    total = sum(map(len, genes.values()))
    first = sum(falls.count("1") for falls in genes.values())
    d = Drawing(
        436,
        title="Count splitting",
        caption="A coin decides which part each molecule falls into; both parts are the same"
        " cells, and what is found in one can be tested in the other.",
        alt="A table of one cell with four genes. Its molecules are drawn as marks: "
        + ", ".join(f"{len(falls)} of {gene}" for gene, falls in genes.items())
        + ". Each is either a filled blue circle or a hollow orange square, by chance. Two columns"
        f" on the right count the circles, part 1, and the squares, part 2; {total} molecules"
        f" become {first} and {total - first}. Below, an arrow leads from part 1, find clusters, to"
        " part 2, test genes. A note says: independent if counts are Poisson.",
    )
    d.text(154, 30, "molecules of one cell", bold=True)
    for x, head in ((330, "part 1"), (418, "part 2")):
        d.text(x, 30, head, bold=True)
    d.cell(330, 54, BLUE, radius=7)
    d.cell(418, 54, ORANGE, "square", radius=6.5, hollow=True)
    for row, (gene, falls) in enumerate(genes.items()):
        y = 92 + 40 * row
        d.line((MARGIN, y - 20), (464, y - 20), colour="#C9CED2", width=1)
        d.text(MARGIN + 4, y, gene, anchor="start")
        for i, part in enumerate(falls):
            if part == "1":
                d.cell(100 + 22 * i, y, BLUE, radius=7)
            else:
                d.cell(100 + 22 * i, y, ORANGE, "square", radius=6.5, hollow=True)
        d.text(330, y, str(falls.count("1")))
        d.text(418, y, str(falls.count("2")))
    d.line((MARGIN, 232), (464, 232))
    d.text(MARGIN + 4, 252, "sum", anchor="start")
    d.text(108, 252, str(total))
    d.text(330, 252, str(first))
    d.text(374, 252, "+")
    d.text(418, 252, str(total - first))
    d.text(250, 252, "=")
    d.box(MARGIN, 290, 190, 76, "part 1:\nfind clusters", colour=BLUE)
    d.arrow((206, 328), (274, 328))
    d.box(274, 290, 190, 76, "part 2:\ntest the genes", colour=ORANGE, dashed=True)
    d.text(240, 402, "independent if counts are Poisson")
    return d


def pseudo_bulk_size() -> Drawing:
    """Draw how the sum of more cells makes a deeper map, and more types shallower ones."""
    d = Drawing(
        616,
        title="How many cells a pseudo-bulk sums",
        caption="The contacts of cells add up to depth; for a given number of cells, more cell"
        " types mean shallower maps.",
        alt="At the top three contact maps of one cell type, from 1, 20 and 200 cells: the first"
        " has a few scattered pixels, the last a clear diagonal with domains. Below, the same"
        " 600 cells are shared out in two ways: among 3 cell types with 200 cells each, three"
        " clear maps; among 12 cell types with 50 cells each, twelve speckled maps.",
    )
    d.text(240, 28, "more cells, deeper map", bold=True)
    for i, cells in enumerate((1, 20, 200)):
        x = MARGIN + 160 * i
        d.matrix(x, 48, 128, drawn_contacts(16, (5, 11), cells, seed=2))
        d.text(x + 64, 194, f"{cells} cell" + "s" * (cells > 1))
        if i:
            d.arrow((x - 28, 112), (x - 4, 112))
    d.line((MARGIN, 222), (464, 222))
    d.text(240, 246, "600 cells, shared out", bold=True)
    d.text(240, 276, "3 cell types, 200 cells each")
    borders = ((5, 11), (8,), (3, 7, 12), (6, 10))
    for i in range(3):
        d.matrix(66 + 124 * i, 294, 100, drawn_contacts(16, borders[i], 200, seed=10 + i))
    d.text(240, 424, "12 cell types, 50 cells each")
    for i in range(12):
        place = (27 + 72.4 * (i % 6), 442 + 88 * (i // 6))
        d.matrix(*place, 64, drawn_contacts(16, borders[i % 4], 50, seed=20 + i))
    return d


def drawn_contacts(
    n: int, borders: tuple[int, ...], cells: int, *, seed: int, rate: float = 0.05
) -> list[list[float]]:
    """Return Poisson contacts of a number of cells, as a share of the largest."""
    rng = Random(seed)  # noqa: S311
    expected = contacts(n, borders, outside=0.12)
    counts = [[0.0] * n for _ in range(n)]
    for i in range(n):
        for j in range(i, n):
            counts[i][j] = counts[j][i] = _poisson(rng, rate * cells * expected[i][j])
    largest = max(max(row) for row in counts)
    return [[value / largest for value in row] for row in counts]


def _poisson(rng: Random, mean: float) -> int:
    """Return a Poisson number: events before the time is over."""
    if mean > 30:
        return round(max(0.0, rng.gauss(mean, mean**0.5)))
    limit, product, n = exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        n += 1
    return n
