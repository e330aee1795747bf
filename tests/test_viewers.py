"""Viewers: what they draw is what they were given, and the same output at every call."""

from __future__ import annotations

import base64
import json
import re
import zlib
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scst_book import outputs

from scstlib.viewers import LEVELS, Viewer, map_viewer, population_viewer

SIZE = 12
POSITIONS = np.arange(SIZE)
MAP = 100.0 / (1 + np.abs(np.subtract.outer(POSITIONS, POSITIONS)))
GENES = pd.DataFrame({
    "gene": ["a</script>", "b", "elsewhere"],
    "start": [1_000_000, 0, 50_000_000],
    "end": [1_500_000, 100_000, 50_000_001],
    "strand": ["+", "-", "+"],
})  # fmt: skip


def unpacked(text: str, dtype: str) -> np.ndarray:
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype=dtype)


def embedded(viewer: Viewer) -> dict[str, Any]:
    """The data as a browser reads them."""
    found = re.search(r'application/json">(.*?)</script>', viewer._repr_html_(), flags=re.DOTALL)
    assert found
    made: dict[str, Any] = json.loads(found[1])
    return made


def decoded(levels: str, low: float, high: float) -> np.ndarray:
    """A map from its diagonals; NaN where there is no value."""
    steps = iter(unpacked(levels, "u1"))
    matrix = np.full((SIZE, SIZE), np.nan)
    for distance in range(SIZE):
        for i in range(SIZE - distance):
            step = next(steps)
            value = low + (int(step) - 1) / (LEVELS - 1) * (high - low) if step else np.nan
            matrix[i, i + distance] = matrix[i + distance, i] = value
    return matrix


def test_a_map_is_what_was_given_up_to_a_step() -> None:
    holes = MAP.copy()
    holes[3], holes[:, 3] = np.nan, np.nan
    data = embedded(map_viewer({"whole": MAP, "holes": holes}, start=0, end=12e6))
    step = (data["high"] - data["low"]) / (LEVELS - 1)
    shown = {
        each["name"]: decoded(each["levels"], data["low"], data["high"]) for each in data["maps"]
    }
    given = np.clip(np.log10(MAP), data["low"], data["high"])
    np.testing.assert_allclose(shown["whole"], given, atol=0.51 * step)
    assert np.isnan(shown["holes"][3]).all()
    assert np.isnan(shown["holes"]).sum() == 2 * SIZE - 1


def test_linear_limits_are_kept_and_values_beyond_them_end_there() -> None:
    options = {"start": 0, "end": 12e6, "log": False, "limits": (-20.0, 20.0)}
    data = embedded(map_viewer({"one": MAP}, **options))  # type: ignore[arg-type]
    assert (data["low"], data["high"], data["log"]) == (-20, 20, False)
    assert decoded(data["maps"][0]["levels"], -20, 20)[0, 0] == 20


def test_genes_of_the_region_are_placed_in_bins_and_cannot_end_the_script() -> None:
    viewer = map_viewer({"one": MAP}, start=0, end=12e6, genes=GENES)
    assert embedded(viewer)["genes"] == [[0.0, 0.1, "b", "-"], [1.0, 1.5, "a</script>", "+"]]
    assert viewer._repr_html_().count("</script>") == 2


def test_a_track_spans_from_its_lowest_to_its_highest_and_zero() -> None:
    track = np.linspace(-1, 3, SIZE)
    track[0] = np.nan
    data = embedded(map_viewer({"one": MAP}, start=0, end=12e6, tracks={"score": track}))
    (found,) = data["tracks"]
    assert found["high"] == 3
    assert found["low"] == pytest.approx(track[1])
    levels = unpacked(found["levels"], "u1")
    assert (levels[0], levels[1], levels[-1]) == (0, 1, 255)


def test_cells_are_where_they_were_given_and_times_are_joined() -> None:
    rng = np.random.default_rng(0)
    measured = {0: rng.normal(size=(5, 2)), 2: rng.normal(size=(500, 2))}
    cells = {"measured": measured, "predicted": {1: rng.normal(size=(7, 2))}}
    viewer = population_viewer(cells, labels=("PC 1", "PC 2"), held_out=[1], shown=["measured"])
    data = embedded(viewer)
    assert data["times"] == [0, 1, 2]
    assert data["notes"] == ["", "not trained on", ""]
    assert [layer["counts"] for layer in data["layers"]] == [[5, 0, 300], [0, 7, 0]]
    assert [layer["shown"] for layer in data["layers"]] == [True, False]
    x0, x1, y0, y1 = data["limits"]
    points = unpacked(data["layers"][0]["points"], "<u2").reshape(-1, 2)[:5] / 65535
    np.testing.assert_allclose(points * [x1 - x0, y1 - y0] + [x0, y0], measured[0], atol=1e-3)


def test_an_output_is_the_same_at_every_call_and_asks_no_host() -> None:
    cells = {"measured": {0: MAP[:, :2]}}
    for make in (
        lambda: map_viewer({"one": MAP, "two": MAP**2}, start=0, end=12e6, genes=GENES),
        lambda: population_viewer(cells, labels=("x", "y")),
    ):
        first = make()
        assert first._repr_html_() == make()._repr_html_()
        assert not re.search(r"(src|href)=.?(https?:)?//", first._repr_html_())
        assert len(first._repr_html_()) < 100_000


def test_a_given_figure_is_the_still_picture_and_is_closed() -> None:
    import matplotlib.pyplot as plt

    figure, _ = plt.subplots(figsize=(2, 1), dpi=100, layout="none")
    viewer = map_viewer({"one": MAP}, start=0, end=12e6, figure=figure)
    assert not plt.fignum_exists(figure.number)
    assert viewer.picture[8:12] == b"WEBP"
    assert viewer.width == pytest.approx(200, abs=40)


def test_the_book_puts_the_alt_text_of_the_cell_into_the_picture() -> None:
    shown = map_viewer({"one": MAP}, start=0, end=12e6)._repr_html_()
    cell = {"metadata": {"alt": 'a "map"'}, "outputs": [{"data": {"text/html": [shown]}}]}
    outputs._describe(cell)
    assert 'alt="a &quot;map&quot;"' in cell["outputs"][0]["data"]["text/html"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("maps", "tracks", "message"),
    [
        ({}, None, "no map"),
        ({"flat": MAP[0]}, None, "shape"),
        ({"one": MAP, "other": MAP[:5, :5]}, None, "'other' has the shape"),
        ({"tilted": np.triu(MAP)}, None, "'tilted' is not symmetric"),
        ({"empty": np.zeros((4, 4))}, None, "no value to draw"),
        ({"one": MAP}, {"short": np.ones(3)}, "track 'short'"),
    ],
)
def test_wrong_maps_are_named(maps: Any, tracks: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        map_viewer(maps, start=0, end=12e6, tracks=tracks)


@pytest.mark.parametrize(
    ("populations", "shown", "message"),
    [
        ({"a": {0: np.ones((3, 3))}}, None, "'a' have the shape"),
        ({"a": {0: np.empty((0, 2))}}, None, "no cells"),
        ({"a": {0: np.ones((3, 2))}}, ["b"], "no population 'b'"),
        ({str(k): {0: np.ones((3, 2))} for k in range(9)}, None, "9 populations are too many"),
    ],
)
def test_wrong_populations_are_named(populations: Any, shown: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        population_viewer(populations, labels=("x", "y"), shown=shown)
