"""Figures of the book: arrays in, matplotlib Axes out, one palette, units on axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

# Okabe & Ito: told apart by readers with any common colour vision.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW, GREY = PALETTE = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#7F7F7F",
)  # fmt: skip


def book_style() -> dict[str, Any]:
    """Return matplotlib settings for figures that are read at the width of a telephone too.

    Use as ``plt.rcParams.update(book_style())``.

    Examples
    --------
    >>> from scstlib.plots import book_style
    >>> book_style()["font.size"]
    11
    """
    from cycler import cycler

    return {
        "figure.figsize": (5.4, 3.4),
        "figure.dpi": 120,
        "figure.constrained_layout.use": True,
        "axes.prop_cycle": cycler(color=PALETTE),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": "medium",
        "font.size": 11,
        "figure.labelsize": "medium",
        "legend.frameon": False,
        "image.interpolation": "nearest",
        "savefig.dpi": 120,
    }


def contact_map(
    ax: Axes,
    matrix: np.ndarray,
    *,
    start: float,
    end: float,
    label: str = "contacts",
    log: bool = True,
    limits: tuple[float, float] | None = None,
    cmap: str | None = None,
) -> AxesImage:
    """Draw a contact map with its positions in Mb and a colour bar.

    Parameters
    ----------
    matrix : numpy.ndarray, shape (bins, bins)
        Contacts; NaN and, on a log scale, 0 are left white.
    start, end : float
        Where the map begins and ends on the chromosome, in bp.
    label : str
        What the colours stand for, with the unit.
    log : bool
        Logarithmic colours; otherwise linear, and red-blue unless ``cmap`` is given.
    limits : tuple of float, optional
        Lowest and highest value of the colours. None: the 1st and 99.5th percentile, on a linear
        scale the larger of the two in size, on both sides of 0.

    Returns
    -------
    matplotlib.image.AxesImage

    Raises
    ------
    ValueError
        If the map has no value to draw.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from scstlib.plots import contact_map
    >>> ax = Figure().subplots()
    >>> image = contact_map(ax, np.eye(4) + 1, start=0, end=4e6)
    >>> ax.get_xlabel(), image.get_array().shape
    ('position (Mb)', (4, 4))
    """
    from matplotlib.colors import LogNorm, Normalize

    shown = np.where(matrix > 0, matrix, np.nan) if log else np.asarray(matrix, dtype=float)
    finite = shown[np.isfinite(shown)]
    if finite.size == 0:
        raise ValueError(
            "the contact map has no value to draw: all entries are missing or, on a log scale, not"
            " positive; look at another region, or set log=False."
        )
    if limits is None:
        low, high = np.percentile(finite, [1, 99.5])
        limits = (low, high) if log else (-max(abs(low), abs(high)), max(abs(low), abs(high)))
    norm = LogNorm(*limits) if log else Normalize(*limits)
    image = ax.imshow(
        shown,
        norm=norm,
        cmap=cmap or ("magma_r" if log else "RdBu_r"),
        extent=(start / 1e6, end / 1e6, end / 1e6, start / 1e6),
    )
    ax.set(xlabel="position (Mb)", ylabel="position (Mb)")
    ax.figure.colorbar(image, ax=ax, label=label, location="bottom", shrink=0.9)
    return image


def populations(
    ax: Axes, measured: np.ndarray, predicted: np.ndarray, *, labels: tuple[str, str]
) -> None:
    """Draw predicted cells over measured ones in two coordinates.

    Parameters
    ----------
    measured, predicted : numpy.ndarray, shapes (n, 2) and (m, 2)
        The same two coordinates of cells, such as principal components.
    labels : tuple of str
        Names of the two axes, with units where there are any.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from scstlib.plots import populations
    >>> ax = Figure().subplots()
    >>> populations(ax, np.zeros((5, 2)), np.ones((5, 2)), labels=("PC 1", "PC 2"))
    >>> ax.get_legend_handles_labels()[1]
    ['measured', 'predicted']
    """
    for cells, color, name in ((measured, GREY, "measured"), (predicted, RED, "predicted")):
        ax.scatter(cells[:, 0], cells[:, 1], s=9, color=color, alpha=0.5, linewidths=0, label=name)
    ax.set(xlabel=labels[0], ylabel=labels[1])


def stream(
    ax: Axes,
    positions: np.ndarray,
    velocities: np.ndarray,
    *,
    labels: tuple[str, str],
    cells: np.ndarray | None = None,
    colors: np.ndarray | None = None,
    color_label: str = "time",
) -> None:
    """Draw a field of velocities as stream lines, over the cells it was read from.

    Parameters
    ----------
    positions, velocities : numpy.ndarray, shape (rows, columns, 2)
        A grid, evenly spaced, and the velocity at each point; NaN where there is none to draw.
        Lines are thicker where cells move faster.
    labels : tuple of str
        Names of the two axes.
    cells : numpy.ndarray, shape (n, 2), optional
        Cells in the same two coordinates.
    colors : numpy.ndarray, shape (n,), optional
        A number for each cell, such as its time, shown by its colour and named ``color_label``.

    Raises
    ------
    ValueError
        If the two arrays do not fit together, or no point has a velocity.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from scstlib.plots import stream
    >>> ax = Figure().subplots()
    >>> x, y = np.meshgrid(np.arange(4.0), np.arange(4.0))
    >>> positions = np.stack([x, y], axis=-1)
    >>> stream(ax, positions, np.ones((4, 4, 2)), labels=("PC 1", "PC 2"))
    >>> ax.get_xlabel()
    'PC 1'
    """
    if positions.shape != velocities.shape or positions.ndim != 3 or positions.shape[2] != 2:
        raise ValueError(
            f"positions have shape {positions.shape} and velocities {velocities.shape}; both must"
            " be (rows, columns, 2)."
        )
    speed = np.linalg.norm(velocities, axis=2)
    if not np.isfinite(speed).any():
        raise ValueError("no point of the grid has a velocity; use more cells or a wider window.")
    if cells is not None:
        shown = ax.scatter(
            cells[:, 0],
            cells[:, 1],
            c=GREY if colors is None else colors,
            cmap=None if colors is None else "viridis",
            s=6,
            alpha=0.4,
            linewidths=0,
        )
        if colors is not None:
            bar = ax.figure.colorbar(shown, ax=ax, label=color_label, location="bottom", shrink=0.9)
            if bar.solids is not None:
                bar.solids.set_alpha(1.0)
    fastest = max(float(np.nanmax(speed)), np.finfo(float).tiny)
    ax.streamplot(
        positions[0, :, 0],
        positions[:, 0, 1],
        np.ma.masked_invalid(velocities[..., 0]),
        np.ma.masked_invalid(velocities[..., 1]),
        color="black",
        linewidth=0.4 + 1.2 * np.nan_to_num(speed) / fastest,
        density=1.2,
        arrowsize=0.8,
    )
    ax.set(xlabel=labels[0], ylabel=labels[1])


def score_bars(
    ax: Axes, scores: pd.DataFrame, *, label: str, colors: Mapping[str, str] | None = None
) -> None:
    """Draw the median score of each model as a bar, with every single score as a dot.

    Parameters
    ----------
    scores : pandas.DataFrame
        Columns ``model`` and ``value``; models are drawn in the order in which they come.
    label : str
        Name of the score, with its unit and which direction is better.
    colors : mapping of str to str, optional
        Colour by model; the others are blue.

    Examples
    --------
    >>> import pandas as pd
    >>> from matplotlib.figure import Figure
    >>> from scstlib.plots import score_bars
    >>> ax = Figure().subplots()
    >>> scores = pd.DataFrame({"model": ["copy", "copy", "ODE"], "value": [0.4, 0.5, 0.7]})
    >>> score_bars(ax, scores, label="correlation (higher is better)")
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['copy', 'ODE']
    """
    names: Sequence[str] = list(dict.fromkeys(scores["model"]))
    for row, name in enumerate(names):
        values = scores.loc[scores["model"] == name, "value"].to_numpy()
        color = (colors or {}).get(name, BLUE)
        ax.barh(row, np.median(values), color=color, alpha=0.75)
        ax.scatter(values, np.full(len(values), row), s=10, color="black", linewidths=0, zorder=3)
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    ax.set_xlabel(label)


def interval_rows(
    ax: Axes, rows: Mapping[str, Mapping[str, float] | pd.Series], *, value: str, label: str
) -> None:
    """Draw estimates with their intervals, one under the other, beside a line at 0.

    The name of a row stands above its interval. An interval above 0 is orange, the others grey.

    Parameters
    ----------
    rows : mapping of str to mapping or Series
        Name → numbers under ``value``, ``"lower"`` and ``"upper"``; drawn from the top.
    value : str
        Under which name a row has its estimate.
    label : str
        Of the axis: what is estimated, with its unit.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from scstlib.plots import interval_rows
    >>> ax = Figure().subplots()
    >>> rows = {"a leak": {"illusion": 0.2, "lower": 0.1, "upper": 0.3}}
    >>> interval_rows(ax, rows, value="illusion", label="difference of the score")
    >>> [text.get_text() for text in ax.texts]
    ['a leak']
    """
    left = min(0.0, *(float(row["lower"]) for row in rows.values()))
    behind = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    for place, (name, row) in enumerate(rows.items()):
        color = ORANGE if row["lower"] > 0 else GREY
        ax.plot([row["lower"], row["upper"]], [place, place], color=color, lw=2)
        ax.plot(row[value], place, "o", color=color)
        ax.text(left, place - 0.2, name, va="bottom", fontsize=10, bbox=behind)
    ax.axvline(0, color="black", lw=0.8, zorder=0)
    ax.set(xlabel=label, yticks=[], ylim=(len(rows) - 0.6, -0.8))
    ax.spines["left"].set_visible(False)


def critical_difference(
    ax: Axes,
    ranks: pd.DataFrame,
    groups: Sequence[Sequence[str]],
    *,
    label: str = "mean rank (1 is the best)",
    colors: Mapping[str, str] | None = None,
) -> None:
    """Draw mean ranks with their intervals, and a bar beside each group of tied methods.

    A critical-difference diagram (Demšar 2006, https://www.jmlr.org/papers/v7/demsar06a.html) with
    one method a line. Two methods that stand beside the same bar are tied.

    Parameters
    ----------
    ranks : pandas.DataFrame
        A row for each method, the best first: ``rank``, ``lower``, ``upper``, as
        :func:`scstlib.metrics.ranks.mean_ranks` returns them.
    groups : sequence of sequence of str
        Tied methods, neighbours in ``ranks``, as :func:`scstlib.metrics.ranks.tied_groups` returns
        them.
    label : str
        Of the axis.
    colors : mapping of str to str, optional
        Colour by method; the others are blue.

    Raises
    ------
    ValueError
        If the methods of a group are no neighbours in ``ranks``.

    Examples
    --------
    >>> import pandas as pd
    >>> from matplotlib.figure import Figure
    >>> from scstlib.plots import critical_difference
    >>> ax = Figure().subplots()
    >>> ranks = pd.DataFrame({"rank": [1.5, 1.7, 2.8], "lower": 1.0, "upper": 3.0})
    >>> ranks.index = ["net", "line", "copy"]
    >>> critical_difference(ax, ranks, [["net", "line"]])
    >>> [text.get_text() for text in ax.get_yticklabels()]
    ['net', 'line', 'copy']
    """
    names = [str(name) for name in ranks.index]
    for row, name in enumerate(names):
        color = (colors or {}).get(name, BLUE)
        lower, middle, upper = (float(ranks.iloc[row][c]) for c in ("lower", "rank", "upper"))
        ax.plot([lower, upper], [row, row], color=color, lw=1.5, alpha=0.6)
        ax.plot(middle, row, "o", color=color, ms=5)
    right = float(ranks["upper"].max())
    step = 0.05 * (right - float(ranks["lower"].min()) or 1.0)
    columns: list[int] = []  # The last line of each column of bars.
    for group in groups:
        rows = [names.index(name) for name in group]
        if rows != list(range(rows[0], rows[0] + len(rows))):
            raise ValueError(f"{list(group)} are no neighbours in the ranks: sort them")
        free = [c for c, last in enumerate(columns) if last < rows[0]]
        column = free[0] if free else len(columns)
        columns[column : column + 1] = [rows[-1]]
        place = right + step * (column + 1)
        ends = [rows[0] - 0.25, rows[-1] + 0.25]
        ax.plot([place, place], ends, color="black", lw=3, solid_capstyle="butt")
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlabel(label)
