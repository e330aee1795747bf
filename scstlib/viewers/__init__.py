"""Figures to look around in: contact maps to zoom and compare, populations on a slider over time.

Each is a still picture with data beside it. Where scripts run, in a notebook or on a page of the
book, it becomes interactive; in print, and where they do not run, the picture stays. Everything
that it needs is in the output of the cell: no server, no package, no request to another host.
"""

from __future__ import annotations

import base64
import html
import io
import json
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from scstlib.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, YELLOW, contact_map

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Viewer", "map_viewer", "population_viewer"]

LEVELS = 63  # of the values of a map: steps too small to see, and half the bytes of 255
TRACK_LEVELS = 255
COLORS = (GREY, RED, BLUE, GREEN, ORANGE, PURPLE, SKY, YELLOW)  # of populations, in their order


@dataclass(frozen=True, repr=False)
class Viewer:
    """An interactive figure, for display as the last line of a cell.

    Parameters
    ----------
    kind
        Which viewer.
    data
        What it shows, ready for JSON.
    picture
        The still picture, as WebP with two pixels a point of the screen.
    width
        Of the picture on the screen, in points.
    """

    kind: Literal["maps", "populations"]
    data: dict[str, Any]
    picture: bytes
    width: int

    def __repr__(self) -> str:
        return f"<Viewer of {self.kind}>"

    def _repr_html_(self) -> str:
        folder = resources.files("scstlib.viewers")
        names = ("common.js", f"{self.kind}.js")
        script = "\n".join(folder.joinpath(name).read_text(encoding="utf-8") for name in names)
        data = json.dumps(self.data, ensure_ascii=False, separators=(",", ":"))
        data = data.replace("</", r"<\/")  # nothing in it ends the script
        source = f"data:image/webp;base64,{base64.b64encode(self.picture).decode()}"
        return "\n".join([
            f'<div class="scst-viewer" data-kind="{html.escape(self.kind)}">',
            f'<img class="scst-still" alt="" width="{self.width}" src="{source}">',
            f'<script type="application/json">{data}</script>',
            f"<script>(() => {{\n{script}}})();</script>",
            "</div>",
        ])  # fmt: skip


def map_viewer(
    maps: Mapping[str, np.ndarray],
    *,
    start: float,
    end: float,
    label: str = "contacts",
    log: bool = True,
    limits: tuple[float, float] | None = None,
    genes: pd.DataFrame | None = None,
    tracks: Mapping[str, np.ndarray] | None = None,
    figure: Figure | None = None,
) -> Viewer:
    """Contact maps of one region to zoom and to compare, two at a time.

    The two maps stand side by side or one wipes over the other; genes and tracks lie below.

    Parameters
    ----------
    maps : mapping of str to numpy.ndarray, shape (bins, bins)
        Name → symmetric map. The first two are shown first.
    start, end : float
        Where the maps begin and end on the chromosome, in bp.
    label, log, limits
        As in :func:`scstlib.plots.contact_map`; the limits are the same for all maps.
    genes : pandas.DataFrame, optional
        Columns ``gene``, ``start``, ``end`` in bp and, where known, ``strand``; genes elsewhere are
        left out.
    tracks : mapping of str to numpy.ndarray, shape (bins,), optional
        Name → one value a bin, with its unit in the name.
    figure : matplotlib.figure.Figure, optional
        The still picture. None: the first two maps.

    Returns
    -------
    Viewer

    Raises
    ------
    ValueError
        For no map, a map that is not symmetric, or maps and tracks of different lengths.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.viewers import map_viewer
    >>> measured = np.exp(-np.abs(np.subtract.outer(range(40), range(40))) / 9)
    >>> map_viewer({"measured": measured, "predicted": measured**2}, start=0, end=4e6)
    <Viewer of maps>
    """
    import matplotlib as mpl

    arrays = {name: np.asarray(matrix, dtype=float) for name, matrix in maps.items()}
    lines = {name: np.asarray(track, dtype=float) for name, track in (tracks or {}).items()}
    size = _common_size(arrays, lines)
    shown = {n: _logarithms(m) if log else m for n, m in arrays.items()}
    low, high = _limits(list(shown.values()), log, limits)
    colors = mpl.colormaps["magma_r" if log else "RdBu_r"](np.linspace(0, 1, LEVELS))
    ends = (10**low, 10**high) if log else (low, high)
    if figure is None:
        figure = _still_maps(arrays, {"start": start, "end": end, "label": label, "log": log}, ends)
    data = {
        "size": size,
        "start": float(start),
        "end": float(end),
        "label": label,
        "log": log,
        "low": low,
        "high": high,
        "levels": LEVELS,
        "colors": _packed(np.round(255 * colors[:, :3]).astype(np.uint8)),
        "maps": [
            {"name": name, "levels": _packed(_diagonals(_steps(matrix, low, high, LEVELS)))}
            for name, matrix in shown.items()
        ],
        "genes": [] if genes is None else _genes(genes, start, end, size),
        "tracks": [_track(name, values) for name, values in lines.items()],
    }
    return Viewer("maps", data, *_picture(figure))


def population_viewer(
    populations: Mapping[str, Mapping[float, np.ndarray]],
    *,
    labels: tuple[str, str],
    unit: str = "",
    held_out: Collection[float] = (),
    shown: Collection[str] | None = None,
    most: int = 300,
    figure: Figure | None = None,
) -> Viewer:
    """Populations of cells in two coordinates, with a slider over time.

    Parameters
    ----------
    populations : mapping of str to mapping of float to numpy.ndarray, shape (cells, 2)
        Name → time → coordinates. Times may differ between populations; the slider stops at all.
    labels : tuple of str
        Names of the two axes.
    unit : str
        Of time, such as ``"h"``.
    held_out : collection of float
        Times that are named as not trained on.
    shown : collection of str, optional
        Populations that are shown first. None: all.
    most : int
        Cells of a population that are drawn at a time, evenly chosen in their order.
    figure : matplotlib.figure.Figure, optional
        The still picture. None: up to four of the times.

    Returns
    -------
    Viewer

    Raises
    ------
    ValueError
        For no cells, an array that is not (cells, 2), more than eight populations, or a name in
        `shown` that is not there.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.viewers import population_viewer
    >>> rng = np.random.default_rng(0)
    >>> measured = {t: rng.normal(size=(50, 2)) + t for t in (0, 1, 2)}
    >>> predicted = {1: rng.normal(size=(50, 2)) + 1}
    >>> cells = {"measured": measured, "predicted": predicted}
    >>> population_viewer(cells, labels=("PC 1", "PC 2"), unit="days", held_out=[1])
    <Viewer of populations>
    """
    layers = {
        name: {float(time): _few(name, cells, most) for time, cells in frames.items()}
        for name, frames in populations.items()
    }
    if len(layers) > len(COLORS):
        raise ValueError(f"{len(layers)} populations are too many: {len(COLORS)} have a colour")
    strangers = sorted(set(shown or ()) - set(layers))
    if strangers:
        raise ValueError(f"there is no population {strangers[0]!r} to show; there are {[*layers]}")
    times = sorted({time for frames in layers.values() for time in frames})
    cells = [points for frames in layers.values() for points in frames.values()]
    if not sum(map(len, cells)):
        raise ValueError("there are no cells to draw: give coordinates of at least one time")
    corners = np.concatenate(cells)
    margin = 0.03 * np.ptp(corners, axis=0) + 1e-9
    low, high = corners.min(axis=0) - margin, corners.max(axis=0) + margin
    first = set(layers if shown is None else shown)
    colors = dict(zip(layers, COLORS, strict=False))
    if figure is None:
        figure = _still_populations(
            {name: layers[name] for name in colors if name in first}, times, unit, labels, colors
        )
    nothing = np.empty((0, 2))
    data: dict[str, Any] = {
        "times": times,
        "first": times.index(_fullest(layers, times)[-1]),
        "unit": unit,
        "labels": list(labels),
        "limits": [float(x) for x in (low[0], high[0], low[1], high[1])],
        "notes": ["not trained on" if time in held_out else "" for time in times],
        "layers": [],
    }
    for name, frames in layers.items():
        parts = [frames.get(time, nothing) for time in times]
        places = np.round(65535 * (np.concatenate(parts) - low) / (high - low)).astype("<u2")
        data["layers"].append(
            {
                "name": name,
                "color": colors[name],
                "shown": name in first,
                "counts": [len(part) for part in parts],
                "points": _packed(places),
            }
        )
    return Viewer("populations", data, *_picture(figure))


def _common_size(maps: Mapping[str, np.ndarray], tracks: Mapping[str, np.ndarray]) -> int:
    """Bins of all maps and tracks."""
    if not maps:
        raise ValueError("there is no map to view: give at least one")
    size = len(next(iter(maps.values())))
    for name, matrix in maps.items():
        if matrix.shape != (size, size):
            raise ValueError(f"the map {name!r} has the shape {matrix.shape}, not {(size, size)}")
        near = 1e-4 * np.nanmax(np.abs(matrix), initial=0.0)  # single precision
        if not np.allclose(matrix, matrix.T, atol=near, equal_nan=True):
            raise ValueError(f"the map {name!r} is not symmetric: average it with its transpose")
    for name, track in tracks.items():
        if track.shape != (size,):
            raise ValueError(f"the track {name!r} has the shape {track.shape}, not {(size,)}")
    return size


def _logarithms(matrix: np.ndarray) -> np.ndarray:
    """Decimal logarithms, NaN where a value is missing or not positive."""
    return np.log10(np.where(matrix > 0, matrix, np.nan))


def _limits(
    maps: Sequence[np.ndarray], log: bool, limits: tuple[float, float] | None
) -> tuple[float, float]:
    """Lowest and highest value of the colours; on a log scale their logarithms."""
    if limits is not None:
        low, high = np.log10(limits) if log else limits
        return float(low), float(high)
    finite = np.concatenate([m[np.isfinite(m)] for m in maps])
    if not finite.size:
        raise ValueError("the maps have no value to draw; look at another region, or set log=False")
    low, high = np.percentile(finite, [1, 99.5])
    widest = max(abs(low), abs(high))
    low, high = (low, high) if log else (-widest, widest)
    return float(low), float(max(high, low + 1e-9))


def _steps(values: np.ndarray, low: float, high: float, levels: int) -> np.ndarray:
    """Values in equal steps from 1 to `levels`; 0 where one is missing."""
    part = np.clip((values - low) / (high - low), 0, 1)
    return np.where(np.isfinite(values), 1 + np.round((levels - 1) * part), 0).astype(np.uint8)


def _diagonals(matrix: np.ndarray) -> np.ndarray:
    """The upper triangle, one diagonal after the other: near values are alike and pack well."""
    return np.concatenate([np.diagonal(matrix, distance) for distance in range(len(matrix))])


def _packed(values: np.ndarray) -> str:
    return base64.b64encode(zlib.compress(np.ascontiguousarray(values).tobytes(), 9)).decode()


def _track(name: str, values: np.ndarray) -> dict[str, Any]:
    """A track in steps between its extremes, 0 among them."""
    finite = values[np.isfinite(values)]
    low, high = (min(0.0, finite.min()), max(0.0, finite.max())) if finite.size else (0.0, 1.0)
    high = high if high > low else low + 1.0
    packed = _packed(_steps(values, low, high, TRACK_LEVELS))
    return {"name": name, "low": float(low), "high": float(high), "levels": packed}


def _genes(genes: pd.DataFrame, start: float, end: float, size: int) -> list[list[Any]]:
    """First and last bin (with fractions), name and strand of the genes that overlap the region."""
    here = genes[(genes["end"] > start) & (genes["start"] < end)].sort_values(["start", "end"])
    places = ((here[["start", "end"]] - start) * size / (end - start)).round(2)
    strands = here["strand"] if "strand" in here else [""] * len(here)
    rows = zip(places["start"], places["end"], here["gene"], strands, strict=True)
    return [[float(a), float(b), str(name), str(strand)] for a, b, name, strand in rows]


def _few(name: str, cells: np.ndarray, most: int) -> np.ndarray:
    """At most so many cells, evenly chosen."""
    points = np.asarray(cells, dtype=float)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"cells of {name!r} have the shape {points.shape}, not (cells, 2)")
    chosen: np.ndarray = points[
        np.unique(np.linspace(0, len(points) - 1, min(most, len(points))).astype(int))
    ]
    return chosen


def _still_maps(
    maps: Mapping[str, np.ndarray], options: dict[str, Any], limits: tuple[float, float]
) -> Figure:
    """The first two maps, side by side."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, min(2, len(maps)), figsize=(5.4, 3.4), squeeze=False, layout="constrained"
    )
    for ax, (name, matrix) in zip(axes.flat, maps.items(), strict=False):
        contact_map(ax, matrix, **options, limits=limits)
        ax.set_title(name)
    return figure


def _fullest(
    layers: Mapping[str, Mapping[float, np.ndarray]], times: Sequence[float]
) -> list[float]:
    """Times at which most populations have cells."""
    present = {time: sum(time in frames for frames in layers.values()) for time in times}
    return [time for time in times if present[time] == max(present.values())]


def _still_populations(
    layers: Mapping[str, Mapping[float, np.ndarray]],
    times: Sequence[float],
    unit: str,
    labels: tuple[str, str],
    colors: Mapping[str, str],
) -> Figure:
    """Up to four of the times with most populations, one a panel."""
    import matplotlib.pyplot as plt

    fullest = _fullest(layers, times)
    chosen = [fullest[i] for i in np.unique(np.linspace(0, len(fullest) - 1, 4).astype(int))]
    figure, axes = plt.subplots(
        2, 2, figsize=(5.4, 5.4), sharex=True, sharey=True, layout="constrained"
    )
    for ax, time in zip(axes.flat, chosen, strict=False):
        for name, frames in layers.items():
            cells = frames.get(time, np.empty((0, 2)))
            ax.scatter(*cells.T, s=9, color=colors[name], alpha=0.5, linewidths=0, label=name)
        ax.set(xlabel=labels[0], ylabel=labels[1], title=f"{time:.3g} {unit}".strip())
        ax.label_outer()
    for ax in axes.flat[len(chosen) :]:
        ax.remove()
    handles = axes.flat[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=2, markerscale=2)
    return figure


def _picture(figure: Figure) -> tuple[bytes, int]:
    """A figure as WebP at twice its resolution, and its width on the screen; closes the figure."""
    import matplotlib.pyplot as plt
    from PIL import Image

    file = io.BytesIO()
    options: dict[str, Any] = {"bbox_inches": "tight", "pil_kwargs": {"quality": 60, "method": 6}}
    figure.savefig(file, format="webp", dpi=2 * figure.dpi, **options)
    plt.close(figure)
    with Image.open(file) as image:
        return file.getvalue(), image.width // 2
