"""Neighbours that two descriptions of the same cells share, by known answers."""

from __future__ import annotations

import numpy as np
import pytest

from scstlib.metrics.neighbours import shared_neighbours


def test_a_line_turned_round_shares_all_and_a_shuffled_one_what_chance_gives() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(300, 4))
    assert shared_neighbours(points, -points) == 1.0
    shuffled = shared_neighbours(points, rng.permutation(points))
    assert shuffled == pytest.approx(15 / 299, abs=0.02)


def test_the_share_by_hand() -> None:
    # On the first line 1 is nearest to 0, 0 to 1, 3 to 2 and 2 to 3; on the second 2 is nearest
    # to 0, and 3 to 1: no cell keeps its neighbour.
    first, second = np.array([[0.0], [1], [10], [11]]), np.array([[0.0], [10], [1], [11]])
    assert shared_neighbours(first, second, k=1) == 0
    assert shared_neighbours(first, first + 3, k=1) == 1
    assert shared_neighbours(first, second, k=3) == 1  # all others


def test_descriptions_that_do_not_match_are_refused() -> None:
    points = np.zeros((5, 2))
    with pytest.raises(ValueError, match="describe the same cells"):
        shared_neighbours(points, points[:4], k=2)
    for k in (0, 5):
        with pytest.raises(ValueError, match="neighbours of points"):
            shared_neighbours(points, points, k=k)
