from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from scstlib.plots import (
    GREY,
    ORANGE,
    book_style,
    contact_map,
    critical_difference,
    interval_rows,
    populations,
    score_bars,
    stream,
)


@pytest.fixture(autouse=True)
def agg():
    plt.switch_backend("agg")
    with plt.rc_context(book_style()):
        yield
    plt.close("all")


def test_contact_map_shows_positions_in_mb_and_leaves_zeros_white():
    _, ax = plt.subplots()
    matrix = np.array([[4.0, 0.0], [0.0, np.nan]])
    image = contact_map(ax, matrix, start=1_000_000, end=3_000_000)
    assert image.get_extent() == [1.0, 3.0, 3.0, 1.0]
    assert image.get_array().mask.tolist() == [[False, True], [True, True]]
    assert "Mb" in ax.get_xlabel()


def test_linear_contact_map_is_centred_on_zero():
    _, ax = plt.subplots()
    image = contact_map(ax, np.array([[-1.0, 0.5], [0.5, 2.0]]), start=0, end=2, log=False)
    low, high = image.get_clim()
    assert low == -high < 0


def test_contact_map_without_values_is_refused():
    _, ax = plt.subplots()
    with pytest.raises(ValueError, match="no value"):
        contact_map(ax, np.zeros((3, 3)), start=0, end=3)


def test_populations_and_bars_show_what_they_are_given():
    _, ax = plt.subplots()
    populations(ax, np.zeros((4, 2)), np.ones((3, 2)), labels=("PC 1", "PC 2"))
    assert [len(c.get_offsets()) for c in ax.collections] == [4, 3]
    _, ax = plt.subplots()
    scores = pd.DataFrame({"model": ["b", "a", "a"], "value": [1.0, 2.0, 4.0]})
    score_bars(ax, scores, label="score")
    assert [t.get_text() for t in ax.get_yticklabels()] == ["b", "a"]
    assert [bar.get_width() for bar in ax.patches] == [1.0, 3.0]


def test_stream_runs_where_there_is_a_velocity_and_names_the_colours():
    fig, ax = plt.subplots()
    positions = np.stack(np.meshgrid(np.linspace(0, 1, 8), np.linspace(0, 2, 9)), axis=-1)
    velocities = np.ones_like(positions)
    velocities[:, :4] = np.nan
    cells = np.random.default_rng(0).random((20, 2))
    stream(
        ax,
        positions,
        velocities,
        labels=("PC 1", "PC 2"),
        cells=cells,
        colors=np.arange(20),
        color_label="time (h)",
    )
    lines = next(c for c in ax.collections if hasattr(c, "get_segments"))
    assert np.concatenate(lines.get_segments())[:, 0].min() > 0.4
    assert ax.get_xlabel() == "PC 1"
    assert "time (h)" in [a.get_xlabel() for a in fig.axes]


def test_stream_without_velocities_is_refused():
    _, ax = plt.subplots()
    grid = np.zeros((3, 3, 2))
    with pytest.raises(ValueError, match="no point"):
        stream(ax, grid, np.full_like(grid, np.nan), labels=("a", "b"))
    with pytest.raises(ValueError, match="shape"):
        stream(ax, grid, np.zeros((3, 2, 2)), labels=("a", "b"))


def test_rows_of_intervals_are_named_and_those_above_zero_stand_out():
    _, ax = plt.subplots()
    rows = {
        "leak": {"gain": 0.2, "lower": 0.1, "upper": 0.3},
        "none": {"gain": 0.1, "lower": -0.3, "upper": 0.5},
    }
    interval_rows(ax, rows, value="gain", label="illusion")
    assert [text.get_text() for text in ax.texts] == ["leak", "none"]
    assert ax.texts[0].get_position()[0] == -0.3
    bars = [line for line in ax.lines if len(set(line.get_xdata())) == 2]
    assert [list(bar.get_xdata()) for bar in bars] == [[0.1, 0.3], [-0.3, 0.5]]
    assert [bar.get_color() for bar in bars] == [ORANGE, GREY]
    assert [line.get_xdata()[0] for line in ax.lines if len(line.get_xdata()) == 1] == [0.2, 0.1]
    assert ax.yaxis_inverted()


def test_a_critical_difference_picture_by_hand() -> None:
    ranks = pd.DataFrame(
        {"rank": [1.2, 1.8, 2.0, 4.0], "lower": [1.0, 1.5, 1.5, 4.0], "upper": [1.5, 2, 3.0, 4.0]},
        index=["a", "b", "c", "d"],
    )
    ax = Figure().subplots()
    critical_difference(ax, ranks, [["a", "b"], ["b", "c"]], colors={"a": ORANGE})
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a", "b", "c", "d"]
    lines = [(list(line.get_xdata()), list(line.get_ydata())) for line in ax.lines]
    assert lines[0] == ([1.0, 1.5], [0, 0])
    assert lines[1] == ([1.2], [0])
    assert ax.lines[1].get_color() == ORANGE
    bars = [(x[0], y) for x, y in lines[8:]]
    assert [y for _, y in bars] == [[-0.25, 1.25], [0.75, 2.25]]
    assert 4.0 < bars[0][0] < bars[1][0], "bars that overlap stand side by side"
    top, bottom = ax.get_ylim()[::-1]
    assert top < bottom, "the best is on top"


def test_bars_that_do_not_overlap_share_a_column() -> None:
    ranks = pd.DataFrame({"rank": [1.0, 2, 3, 4], "lower": [1.0, 2, 3, 4], "upper": [1.0, 2, 3, 4]})
    ranks.index = list("abcd")
    ax = Figure().subplots()
    critical_difference(ax, ranks, [["a", "b"], ["c", "d"]])
    assert ax.lines[8].get_xdata()[0] == ax.lines[9].get_xdata()[0]


def test_a_group_that_is_no_run_of_neighbours_is_refused() -> None:
    ranks = pd.DataFrame({"rank": [1.0, 2, 3], "lower": 1.0, "upper": 3.0}, index=list("abc"))
    with pytest.raises(ValueError, match=r"\['a', 'c'\] are no neighbours"):
        critical_difference(Figure().subplots(), ranks, [["a", "c"]])
