"""Ranks of methods over tasks, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scstlib.metrics.ranks import mean_ranks, ranks, tied_groups


def table(**columns: list[float]) -> pd.DataFrame:
    return pd.DataFrame({name: np.asarray(values, float) for name, values in columns.items()})


def test_ranks_by_hand_with_ties_and_a_failure() -> None:
    scores = table(a=[3, 5, 1], b=[1, 5, np.nan], c=[2, 1, np.nan])
    found = ranks(scores, best="smallest").to_numpy()
    np.testing.assert_allclose(found, [[3, 1, 2], [2.5, 2.5, 1], [1, 2.5, 2.5]])
    found = ranks(scores, best="largest").to_numpy()
    np.testing.assert_allclose(found, [[1, 3, 2], [1.5, 1.5, 3], [1, 2.5, 2.5]])


def test_ranks_know_no_units() -> None:
    scores = table(a=[3, 5], b=[1, 9])
    scaled = scores.mul([1000.0, 0.01], axis=0)
    pd.testing.assert_frame_equal(ranks(scores, "smallest"), ranks(scaled, "smallest"))


def test_intervals_of_mean_ranks_by_hand() -> None:
    # Of two tasks a draw has means 1 (1/4), 1.5 (1/2) or 2 (1/4): an 80% interval is all of them.
    ranked = table(a=[1, 2], b=[2, 1])
    found = mean_ranks(ranked, level=0.8)
    assert found.loc["a"].tolist() == [1.5, 1.0, 2.0]
    assert mean_ranks(ranked, level=0.2).loc["b"].tolist() == [1.5, 1.5, 1.5]


def test_a_method_that_always_wins_is_tied_with_none() -> None:
    ranked = table(b=[2, 3] * 4, a=[1] * 8, c=[3, 2] * 4)
    assert mean_ranks(ranked).index.tolist() == ["a", "b", "c"]
    assert mean_ranks(ranked).loc["a"].tolist() == [1, 1, 1]
    assert tied_groups(ranked) == [["b", "c"]]


def test_groups_overlap_where_ties_are_no_equivalence() -> None:
    # a against b and b against c each win some and lose some; a is before c in every task.
    ranked = table(a=[1, 2, 1, 2, 1, 2], b=[2, 1, 3, 1, 3, 3], c=[3, 3, 2, 3, 2, 1.5])
    ranked.loc[5] = [1, 3, 2]
    found = tied_groups(ranked)
    assert ["a", "b"] in found
    assert ["b", "c"] in found
    assert all(len(group) == 2 for group in found)


def test_methods_with_equal_scores_are_tied() -> None:
    scores = table(a=[1, 2, 3], b=[1, 2, 3], c=[9, 9, 9])
    assert tied_groups(ranks(scores, "smallest")) == [["a", "b"]]


def test_the_same_seed_gives_the_same_interval() -> None:
    ranked = ranks(
        pd.DataFrame(np.random.default_rng(0).random((9, 4)), columns=list("abcd")), "largest"
    )
    pd.testing.assert_frame_equal(mean_ranks(ranked, seed=3), mean_ranks(ranked, seed=3))


@pytest.mark.parametrize(
    ("scores", "best", "said"),
    [
        (table(a=[1], b=[2]), "best", "not 'best'"),
        (table(a=[1]), "largest", "two methods or more"),
        (table(a=[], b=[]), "largest", "give a task"),
    ],
)
def test_what_cannot_be_ranked_is_refused(scores: pd.DataFrame, best: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ranks(scores, best)  # type: ignore[arg-type]


def test_scores_in_place_of_ranks_are_refused_where_they_show() -> None:
    with pytest.raises(ValueError, match="make them with"):
        mean_ranks(table(a=[1, np.nan], b=[2, 1]))
