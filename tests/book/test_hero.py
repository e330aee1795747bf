"""The figure of the front page: there, described, sharp, and of what its caption names."""

from __future__ import annotations

import inspect
import re
import struct
from importlib import import_module
from pathlib import Path

import pytest

from scstlib.datasets import simulate_organism
from tools import notebooks

ROOT = notebooks.ROOT
FIGURE = re.compile(r"!\[([^\]]+)\]\((_static/hero\.png)\)\n\n\*(.+?)\*\n\n", flags=re.DOTALL)
LEAST_WIDTH = 1400  # twice the width of the text


@pytest.fixture(scope="module")
def shown() -> tuple[str, Path, str]:
    """Description, file and caption on the front page."""
    (found,) = FIGURE.findall((ROOT / "book" / "index.md").read_text(encoding="utf-8"))
    alt, name, caption = found
    return alt, ROOT / "book" / name, " ".join(caption.split())


def test_it_is_described_and_has_a_caption(shown):
    alt, _, caption = shown
    assert len(alt) > 100
    assert caption.endswith("draws this figure.")


def test_it_has_twice_the_pixels_that_are_shown(shown):
    head = shown[1].read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", head[16:])
    assert (width, height) == (1680, 1200)
    assert width >= LEAST_WIDTH


def test_the_program_that_draws_it_writes_this_file(shown):
    (module,) = re.findall(r"`python -m ([\w.]+)`", shown[2])
    hero = import_module(module)
    assert shown[1] == hero.OUTPUT
    imported = re.findall(r"^from ([\w.]+) import (.+)$", inspect.getsource(hero), re.MULTILINE)
    own = [(name, what) for name, what in imported if name.startswith(("benchmarks", "scstlib"))]
    assert own
    for name, what in own:
        source = import_module(name)
        assert Path(inspect.getfile(source)).is_relative_to(ROOT)
        assert all(hasattr(source, each.strip()) for each in what.split(","))


def test_its_times_and_its_cell_type_are_those_of_the_organism(shown):
    hero, truth = import_module("benchmarks.hero"), import_module("benchmarks.temporal.truth")
    organism = simulate_organism(seed=0, preset="small")
    assert hero.CELL_TYPE in organism.cell_types
    kind, state = hero.CELL_TYPE.split("_")
    assert f"{state} {kind} cells" in shown[2]
    hours = [f"{organism.times[index]:.0f}" for index in truth.SPLITS["easy"]]
    assert f"at {', '.join(hours[:-1])} and {hours[-1]} hours" in shown[0]
