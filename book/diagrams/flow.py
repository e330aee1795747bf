"""Diagrams of flows: how one is learned, what of a path was measured, a knock-out in a model."""

from __future__ import annotations

from .canvas import BLUE, DARK, GREEN, GREY, MARGIN, ORANGE, RED, Drawing, mixed
from .temporal import CLOUD


def neural_ode() -> Drawing:
    """Draw how a drift is learned through a solver."""
    d = Drawing(
        346,
        title="How a neural ODE learns",
        caption="The network says how fast and where to; the solver takes the steps; the derivative"
        " of the error goes back through both to the weights.",
        alt="Three boxes in a row, joined by arrows. Cells now, filled circles, go into a rounded"
        " box, the drift: a network from place to velocity. A loop of two arrows joins it with a"
        " box below, the solver: many small steps. From the solver an arrow leads to the cells"
        " predicted for later, triangles. Beside them lie the measured cells of later, hollow"
        " circles, joined by a double arrow, the error. A dashed arrow leads from the error"
        " back to the drift: its derivative changes the weights.",
    )
    d.text(72, 28, "cells now", bold=True)
    d.cells([(72 + dx, 72 + dy) for dx, dy in CLOUD], BLUE)
    d.arrow((100, 72), (146, 72), width=2.4)
    d.box(146, 40, 318, 64, "drift: a network,\nplace → velocity", learned=True)
    d.arrow((250, 104), (250, 138))
    d.arrow((360, 138), (360, 104))
    d.text(238, 121, "velocity", anchor="end")
    d.text(372, 121, "next place", anchor="start")
    d.box(146, 138, 318, 42, "solver: many small steps")
    d.arrow((400, 180), (400, 218), width=2.4)
    d.cells([(400 + dx, 240 + dy) for dx, dy in CLOUD], RED, "triangle")
    d.text(400, 282, "predicted", bold=True)
    d.arrow((376, 240), (288, 240), both=True)
    d.text(332, 222, "error")
    d.cells([(264 + dx, 240 + dy) for dx, dy in CLOUD], GREY, hollow=True)
    d.text(248, 282, "measured later", bold=True)
    d.arrow((332, 252), (332, 316), (72, 316), (72, 204), (156, 204), (156, 106), dashed=True)
    d.text(84, 300, "derivative", anchor="start")
    return d


def path_of_a_cell() -> Drawing:
    """Draw what of the path of one cell was measured."""
    times = (70.0, 190.0, 310.0, 420.0)
    heights = ((118.0,), (112.0,), (88.0, 160.0), (70.0, 176.0))
    d = Drawing(
        316,
        title="What of a path was measured",
        caption="A path begins at a measured cell. At later times other cells were measured, and"
        " the path through them is the model's.",
        alt="Four measured times on a horizontal axis, expression upwards. At each time a cloud of"
        " hollow circles, the measured cells; the cloud splits in two between the second and the"
        " third time. At the first time one cell is filled in blue. From it a dashed red line"
        " runs through the clouds of the other times and ends in the upper branch.",
    )
    d.text(MARGIN, 28, "expression", anchor="start")
    for x, centres in zip(times, heights, strict=True):
        for y in centres:
            d.cells([(x + dx, y + dy) for dx, dy in CLOUD], GREY, hollow=True)
    path = [(70.0, 118.0), (130.0, 116.0), (190.0, 108.0), (250.0, 98.0), (310.0, 84.0)]
    d.arrow(*path, (366.0, 74.0), (424.0, 68.0), colour=RED, width=3, dashed=True)
    d.cell(70, 118, BLUE, radius=7)
    d.line((30, 214), (464, 214), width=2)
    for k, x in enumerate(times):
        d.line((x, 208), (x, 220), width=2)
        d.text(x, 238, f"time {k + 1}")
    d.cell(34, 272, BLUE, radius=7)
    d.text(56, 272, "a measured cell", anchor="start")
    d.cell(250, 272, GREY, radius=4.5, hollow=True)
    d.text(270, 272, "other measured cells", anchor="start")
    d.arrow((22, 298), (50, 298), colour=RED, width=3, dashed=True)
    d.text(56, 298, "its path, said by the model", anchor="start")
    return d


def perturbation() -> Drawing:
    """Draw a knock-out in a model: regression, smallest step, flow."""
    d = Drawing(
        420,
        title="A knock-out in a model",
        caption="Cells are moved to where the gene is off, as if it were the cause of all that"
        " varies with it; from there the flow carries them to their fates.",
        alt="A plane of two latent coordinates with parallel dashed lines: places of equal level"
        " of the gene, from low on the left to high on the right. A cloud of hollow circles on"
        " the right, the cells; an orange arrow leads from it straight across the dashed"
        " lines to a cloud of orange triangles on the line where the gene is off. From the"
        " circles a green arrow, the flow, leads up to a box, fate 1; from the triangles another"
        " leads up to a box, fate 2.",
    )
    d.box(36, 16, 130, 42, "fate 2", colour=ORANGE)
    d.box(314, 16, 130, 42, "fate 1", colour=BLUE)
    d.arrow((100, 196), (100, 62), colour=GREEN, width=3)
    d.arrow((356, 196), (376, 62), colour=GREEN, width=3)
    d.text(232, 112, "3. the flow does\nthe rest")
    for x in (100, 190, 280, 370):
        d.line((x, 176), (x, 292), colour=mixed(DARK, 0.5), width=1.6, dashed=True)
    d.cells([(352 + dx, 234 + dy) for dx, dy in CLOUD], GREY, hollow=True)
    d.cells([(100 + dx, 234 + dy) for dx, dy in CLOUD], ORANGE, "triangle")
    d.arrow((326, 234), (128, 234), colour=ORANGE, width=3)
    d.text(100, 310, "gene off")
    d.text(370, 310, "gene high")
    d.text(240, 346, "1. lines of equal level, by regression")
    d.text(240, 380, "2. the smallest step to the line of gene off")
    return d
