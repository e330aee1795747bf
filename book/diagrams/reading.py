"""The book as a map: what to read before what."""

from __future__ import annotations

from .canvas import BLUE, GREY, MARGIN, ORANGE, RED, Drawing

WIDE, HIGH, RIGHT = 212.0, 64.0, 252.0


def book_map() -> Drawing:
    """Draw the parts of the book by prerequisite."""
    d = Drawing(
        564,
        title="The book by prerequisite",
        caption="Read along the arrows; a dashed arrow leads from what helps but can wait. Time and"
        " space can each be read without the other.",
        alt="Eight boxes joined by arrows, from top to bottom. At the top left expression, at the"
        " top right contact maps, with an arrow from the first to the second. Below them, in the"
        " middle, what a score rewards, reached from both. Below it time on the left, which is"
        " also reached from expression, and space on the right, which is also reached from contact"
        " maps. Dashed arrows lead from scores to both. Below these pitfalls on the"
        " left and alternatives on the right, each reached from time and from space. At the bottom"
        " your own data, with dashed arrows from both.",
    )
    middle, left, right = 240.0, MARGIN + 30, RIGHT + WIDE - 30
    d.box(MARGIN, 16, WIDE, HIGH, "Expression\ncounts, zeros, depth", colour=BLUE)
    d.box(RIGHT, 16, WIDE, HIGH, "Contact maps\nbalancing, windows", colour=ORANGE)
    d.box(middle - 130, 132, 260, HIGH, "What a score rewards\nfloors and constants", colour=GREY)
    d.box(MARGIN, 248, WIDE, HIGH, "Time\nneural ODEs, scNODE", colour=BLUE)
    d.box(RIGHT, 248, WIDE, HIGH, "Space\nscGrapHiC, real maps", colour=ORANGE)
    d.box(MARGIN, 364, WIDE, HIGH, "Pitfalls\nleaks, sparsity, audits", colour=RED)
    d.box(RIGHT, 364, WIDE, HIGH, "Alternatives\ncurves, trees, transport", colour=GREY)
    d.box(middle - 130, 480, 260, HIGH, "Your own data\nfrom files to files", colour=BLUE)
    d.arrow((MARGIN + WIDE, 48), (RIGHT, 48))
    for edge, inner in ((left, middle - 60), (right, middle + 60)):
        d.arrow((edge, 80), (edge, 248))
        d.arrow((inner, 80), (inner, 132))
        d.arrow((inner, 196), (inner, 248), dashed=True)
        d.arrow((edge, 312), (edge, 364))
        d.arrow((inner, 428), (inner, 480), dashed=True)
    d.arrow((middle - 60, 312), (middle + 60, 364))
    d.arrow((middle + 60, 312), (middle - 60, 364))
    return d
