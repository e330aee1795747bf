"""Diagrams of what is held out, and of how it leaks."""

from __future__ import annotations

from .canvas import (
    BLUE,
    DARK,
    GREEN,
    GREY,
    MARGIN,
    ORANGE,
    PANEL,
    RED,
    Drawing,
    Point,
    mixed,
)

STEPS_END, STEPS_MIDDLE, TEST_START = 232.0, 124.0, 364.0
TRAIN, VALIDATION, TEST, DROPPED = "training", "validation", "test", "not used"


def _square(d: Drawing, x: float, y: float, side: float, part: str) -> None:
    """Draw one unit of data as its part."""
    if part == TEST:
        d.hatched(x, y, side, side, ORANGE)
    elif part == DROPPED:
        d.rect(x, y, side, side, PANEL, GREY, dashed=True)
    else:
        d.rect(
            x,
            y,
            side,
            side,
            BLUE if part == TRAIN else mixed(GREEN, 0.25),
            BLUE if part == TRAIN else GREEN,
        )
        if part == VALIDATION:
            d.cell(x + side / 2, y + side / 2, GREEN, radius=side / 6)


def splits() -> Drawing:
    """Draw what each split holds out."""
    d = Drawing(
        640,
        title="What each split holds out",
        caption="Whole times, whole chromosomes and whole donors are held out; a new cell type is"
        " tested on new chromosomes only.",
        alt="Rows and grids of squares: filled for training, with a dot for validation, striped"
        " for test, empty for not used. Of twelve times, the pattern easy tests times 4, 6 and"
        " 8, counted from 0, with training times on both sides; the pattern medium tests the"
        " last two. In a grid of cell types by chromosomes, a split by chromosomes tests the"
        " last column and validates on the one before, in all cell types. A split by cell"
        " types tests only the last cell type on the last chromosome; the other squares of"
        " that row and column are not used. Of six donors, one is tested as a whole.",
    )
    d.text(MARGIN, 28, "times", anchor="start", bold=True)
    d.text(464, 28, "a square: all cells of a time", anchor="end")
    for row, (name, test) in enumerate(
        (("between (easy)", (4, 6, 8)), ("beyond (medium)", (10, 11)))
    ):
        d.text(MARGIN, 56 + 62 * row, name, anchor="start")
        for i in range(12):
            _square(d, MARGIN + 38 * i, 70 + 62 * row, 28, TEST if i in test else TRAIN)
    d.line((MARGIN, 180), (464, 180), colour="#C9CED2")

    d.text(MARGIN, 204, "chromosomes", anchor="start", bold=True)
    d.text(264, 204, "cell types", anchor="start", bold=True)
    for kind in range(5):
        for chromosome in range(6):
            by_chromosome = {5: TEST, 4: VALIDATION}.get(chromosome, TRAIN)
            held_out = kind == 4
            by_type = DROPPED if held_out != (by_chromosome == TEST) else by_chromosome
            if held_out and by_chromosome == VALIDATION:
                by_type = DROPPED
            _square(d, MARGIN + 34 * chromosome, 222 + 34 * kind, 26, by_chromosome)
            _square(d, 264 + 34 * chromosome, 222 + 34 * kind, 26, by_type)
    d.text(240, 412, "a row: a cell type; a column: a chromosome")
    d.line((MARGIN, 434), (464, 434), colour="#C9CED2")

    d.text(MARGIN, 458, "donors", anchor="start", bold=True)
    d.text(464, 458, "a box: a donor with all cells", anchor="end")
    for i in range(6):
        x = MARGIN + 76 * i
        part = TEST if i == 4 else TRAIN
        d.rect(x, 474, 66, 62, PANEL, DARK, 6)
        for k in range(4):
            _square(d, x + 8 + 27 * (k % 2), 480 + 27 * (k // 2), 22, part)
    d.line((MARGIN, 554), (464, 554), colour="#C9CED2")
    for i, part in enumerate((TRAIN, VALIDATION, TEST, DROPPED)):
        x, y = MARGIN + 224 * (i % 2), 568 + 32 * (i // 2)
        _square(d, x, y, 24, part)
        d.text(x + 34, y + 12, part, anchor="start")
    return d


def leaks_in_time() -> Drawing:
    """Draw how cells of a held-out time get into the work that they test."""
    steps = (
        ("choose genes", "on all cells"),
        ("scale", "by all cells"),
        ("train", "on cells of that time"),
        ("start the forecast", "from held-out cells"),
        ("report one run", "the best in the test"),
    )
    d = Drawing(
        560,
        title="Leaks in time",
        caption="Each crossed arrow carries something of the test part into the work that the test"
        " is meant to judge. Only the score may touch the test part.",
        alt="On the left five steps from top to bottom: choose genes, scale, train, start the"
        " forecast, report one run. On the right a tall striped box: the test part, all cells"
        " of held-out times. A red arrow leads from it to each step, with a cross: genes"
        " chosen on all cells, scaled by all cells, trained on cells of that time, started"
        " from held-out cells, the best run in the test reported. Below, one dark arrow leads"
        " from the box score the forecast to the test part: the only one allowed.",
    )
    _steps(d, steps, range(5))
    _test(d)
    _score(d, "score the forecast")
    return d


def leaks_in_space() -> Drawing:
    """Draw how held-out chromosomes and cell types get into the work that they test."""
    steps = (
        ("bulk map", "holds the test type"),
        ("scale tracks", "by all windows"),
        ("cut windows", "before the split"),
        ("train", "on held-out places"),
        ("stop training", "by validation"),
    )
    d = Drawing(
        560,
        title="Leaks in space",
        caption="Each crossed arrow carries something of a held-out part into the work that this"
        " part is to judge. So split chromosomes first; bulk, scales and windows come"
        " afterwards.",
        alt="On the left five steps from top to bottom. On the right a tall striped box: the test"
        " part, chromosomes and cell types that are held out. Red arrows with a cross lead"
        " from it to four steps: the bulk map holds the test type; tracks are scaled by all"
        " windows; windows are cut before the split, so that they overlap; the model is"
        " trained on held-out places, the same chromosome in another cell type. A small box"
        " with the validation part stands beside the fifth step, stop training: a dark arrow"
        " to that step is allowed, a red arrow to the step train is not. Below, a dark arrow"
        " leads from the box score the maps to the test part: that is allowed.",
    )
    _steps(d, steps, range(4))
    d.box(250, 400, 96, 66, "validation", colour=GREEN)
    d.arrow((250, 433), (STEPS_END, 433))
    _leak(d, (298, 400), (298, 361), (STEPS_END, 361))
    _test(d)
    _score(d, "score the maps")
    return d


def _steps(d: Drawing, steps: tuple[tuple[str, str], ...], leaking: range) -> None:
    """Draw steps, one below the other, with the leaks into some of them."""
    for i, (name, leak) in enumerate(steps):
        y = 16.0 + 96 * i
        d.box(MARGIN, y, STEPS_END - MARGIN, 66)
        d.text(STEPS_MIDDLE, y + 22, name, bold=True)
        d.text(STEPS_MIDDLE, y + 45, leak)
        d.arrow((STEPS_MIDDLE, y + 66), (STEPS_MIDDLE, y + 96))
        if i in leaking:
            _leak(d, (TEST_START, y + 26), (STEPS_END, y + 26))


def _leak(d: Drawing, *points: Point) -> None:
    """Draw what must not be: an arrow with a cross on its last part."""
    d.arrow(*points, colour=RED, width=3.2)
    (x, y), (tip, _) = points[-2:]
    d.cross((x + tip) / 2 + 6, y)


def _test(d: Drawing) -> None:
    """Draw the test part, its name on a plain ground."""
    d.hatched(TEST_START, 16, 464 - TEST_START, 528, ORANGE)
    middle = (TEST_START + 464) / 2
    d.rect(middle - 32, 232, 64, 52, PANEL, ORANGE, 4)
    d.text(middle, 258, "test\npart", bold=True)


def _score(d: Drawing, label: str) -> None:
    """Draw the one arrow that may touch the test part."""
    d.box(MARGIN, 496, STEPS_END - MARGIN, 48, label, bold=True)
    d.arrow((STEPS_END, 520), (TEST_START, 520))
