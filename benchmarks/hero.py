"""The figure of the front page: cells at times, and maps of cell types, measured and predicted.

    python -m benchmarks.hero [--output book/_static/hero.png]

Simulated organism of seed 0 and default models of seed 0, about five CPU minutes. Above: scNODE is
fitted without the times 4, 6 and 8 of twelve and predicts the cells there; the plane is that of the
first two principal components of the training cells. Below: the map of a cell type on a chromosome
that was not trained on, relative to what is usual at each distance.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA

from benchmarks.record import argument_parser
from benchmarks.spatial.truth import SpaceWorld
from benchmarks.temporal.truth import SPLITS, World, log_values
from scstlib.models import ScGrapHiC, ScNODE
from scstlib.plots import BLUE, GREY, ORANGE, book_style

OUTPUT = Path(__file__).resolve().parents[1] / "book" / "_static" / "hero.png"
CELL_TYPE, N_SHOWN = "beta_mature", 96


def planes(seed: int) -> list[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """For each held-out time: its name; training, measured and predicted cells in the plane."""
    world = World.of_seed(seed)
    training = world.training("easy")
    model = ScNODE(seed=seed).fit(training)
    space = PCA(2, random_state=seed).fit(log_values(training.X))
    shown = []
    for index in SPLITS["easy"]:
        time = float(world.times[index])
        cells = world.measured[world.measured.obs["time"] == time]
        predicted = model.sample([time], cells.n_obs, seed=seed)
        clouds = (space.transform(log_values(each.X)) for each in (training, cells, predicted))
        shown.append((f"{time:.0f} h", *clouds))
    return shown


def maps(seed: int) -> dict[str, np.ndarray]:
    """Bulk, measured and predicted map of one window, see :func:`over_distance`."""
    world = SpaceWorld.of_seed(seed)
    model = ScGrapHiC(seed=seed).fit(world.train)
    windows = world.parts["seen"].windows
    row = np.flatnonzero((windows.table["cell_type"] == CELL_TYPE).to_numpy())[:1]
    one = windows[row]
    assert one.targets is not None
    depth = float(one.targets.sum() / one.bulk.sum())
    found = {"bulk, given": one.bulk[0], "measured": one.targets[0]}
    found["predicted"] = model.predict(one, depth=depth)[0]
    return {name: over_distance(values[:N_SHOWN, :N_SHOWN]) for name, values in found.items()}


def over_distance(contacts: np.ndarray) -> np.ndarray:
    """log2 of contacts over their mean at the same distance; neighbours of a pixel are averaged."""
    padded = np.pad(contacts.astype(float), 1, mode="edge")
    n = len(contacts)
    near = np.mean([padded[i : i + n, j : j + n] for i in range(3) for j in range(3)], axis=0)
    rows, columns = np.indices(near.shape)
    distance = abs(rows - columns)
    mean = np.bincount(distance.ravel(), near.ravel()) / np.bincount(distance.ravel())
    return np.log2((near + 0.1) / (mean[distance] + 0.1))


def draw(
    times: list[tuple[str, np.ndarray, np.ndarray, np.ndarray]], contacts: dict[str, np.ndarray]
) -> Any:
    """Three planes above three maps; returns the figure."""
    style: Any = book_style() | {"font.size": 14, "axes.titlesize": 15}
    with plt.rc_context(style):
        figure, axes = plt.subplots(2, 3, figsize=(7.0, 5.0), layout="constrained")
        for ax, (name, training, measured, predicted) in zip(axes[0], times, strict=True):
            ax.scatter(*training[::2].T, s=3, color=GREY, alpha=0.25, lw=0, rasterized=True)
            ax.scatter(*measured.T, s=10, color=BLUE, alpha=0.7, lw=0, rasterized=True)
            ax.scatter(*predicted.T, s=10, color=ORANGE, alpha=0.7, lw=0, rasterized=True)
            ax.set(title=name, xticks=[], yticks=[])
        for i, (color, label) in enumerate([(BLUE, "measured"), (ORANGE, "predicted")]):
            axes[0, 0].text(
                0.03, 0.97 - 0.13 * i, label, color=color, va="top", weight="bold",
                transform=axes[0, 0].transAxes,
            )  # fmt: skip
        for ax, (name, values) in zip(axes[1], contacts.items(), strict=True):
            ax.imshow(values, cmap="RdBu_r", vmin=-1.5, vmax=1.5)
            ax.set(title=name, xticks=[], yticks=[])
    return figure


def main() -> None:
    """Command line."""
    parser = argument_parser(__file__, __doc__, output=False)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    figure = draw(planes(0), maps(0))
    figure.savefig(arguments.output, dpi=240, metadata={"Software": None})


if __name__ == "__main__":
    main()
