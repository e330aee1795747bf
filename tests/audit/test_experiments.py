"""Size and interval of an illusion, by known answers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_rel

from scstlib.audit.experiments import (
    Costs,
    illusion,
    mean_interval,
    over_seeds,
    verdict,
    with_and_without,
)


def test_every_seed_is_scored_both_ways() -> None:
    table = with_and_without(lambda seed, mistake: seed + 0.5 * mistake, [3, 4])
    assert table.to_dict("list") == {
        "seed": [3, 3, 4, 4],
        "mistake": [False, True, False, True],
        "score": [3.0, 3.5, 4.0, 4.5],
    }


def test_the_interval_is_that_of_the_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(5, 2)) + [0.0, 1.0]
    table = with_and_without(lambda seed, mistake: scores[seed, int(mistake)], range(5))
    found = illusion(table, level=0.9)
    expected = ttest_rel(scores[:, 1], scores[:, 0]).confidence_interval(0.9)
    np.testing.assert_allclose([found["lower"], found["upper"]], [expected.low, expected.high])
    np.testing.assert_allclose(found[["honest", "mistake"]].astype(float), scores.mean(axis=0))
    assert found["illusion"] == pytest.approx(found["mistake"] - found["honest"])
    assert found["seeds"] == 5


def test_differences_within_a_seed_count_not_those_between_seeds() -> None:
    found = illusion(with_and_without(lambda seed, mistake: 100.0 * seed + mistake, range(4)))
    assert (found["lower"], found["upper"]) == pytest.approx((1.0, 1.0))


def test_bad_experiments_are_refused() -> None:
    with pytest.raises(ValueError, match="repeat"):
        with_and_without(lambda seed, mistake: 0.0, [1, 1])
    with pytest.raises(ValueError, match="seed 1 is nan"):
        with_and_without(lambda seed, mistake: np.nan if seed else 0.0, [0, 1])
    one = with_and_without(lambda seed, mistake: 0.0, [1])
    with pytest.raises(ValueError, match="two seeds"):
        illusion(one)
    with pytest.raises(ValueError, match="two seeds"):
        illusion(pd.concat([one.assign(seed=2), one.iloc[:1]]))
    with pytest.raises(ValueError, match="level"):
        illusion(with_and_without(lambda seed, mistake: 0.0, [0, 1]), level=95)


def test_the_interval_of_a_mean_by_hand() -> None:
    # Mean 2, standard error 1/sqrt(3), Student's 97.5 % point with two degrees of freedom 4.3027.
    found = mean_interval([1.0, 2.0, 3.0])
    assert found == pytest.approx((2.0, 2 - 4.30265 / 3**0.5, 2 + 4.30265 / 3**0.5), abs=1e-4)
    assert mean_interval([5.0, 5.0]) == (5.0, 5.0, 5.0)


@pytest.mark.parametrize("values", [[1.0], [], [1.0, np.nan]])
def test_values_without_an_interval_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="two finite values"):
        mean_interval(values)


def test_an_experiment_is_repeated_on_every_seed_with_its_settings() -> None:
    table = over_seeds(lambda seed, step: {"a": seed * step, "b": 1}, [2, 5], step=3)
    assert table.index.tolist() == [2, 5]
    assert table.to_dict("list") == {"a": [6, 15], "b": [1, 1]}
    levels = over_seeds(lambda seed: {(0.1, "a"): seed, (1, "a"): 2 * seed}, [1, 2])
    assert levels[1].to_dict("list") == {"a": [2, 4]}
    with pytest.raises(ValueError, match="repeat"):
        over_seeds(lambda seed: {"a": seed}, [1, 1])


def test_costs_are_medians_and_the_interval_of_the_differences() -> None:
    costs = Costs()
    costs.add("one", "r", [3.0, 4.0, 9.0], [2.0, 2.0, 6.0])
    costs.add("two", "r", [0.0, 0.0], [1.0, 1.0])
    table = costs.table()
    mean, low, high = mean_interval([1.0, 2.0, 3.0])
    assert table.loc["one"].tolist() == ["r", "4", "2", f"{mean:.3g} (−{-low:.3g} to {high:.3g})"]
    assert table.loc["two", "added (95 % interval)"] == "−1 (−1 to −1)"
    with pytest.raises(ValueError, match="3 seeds with 'x', 2 without"):
        costs.add("x", "r", [1, 2, 3], [1, 2])


def test_a_verdict_is_the_message_of_the_check_and_other_errors_are_errors() -> None:
    assert verdict(float, "1") == "accepted"
    assert verdict(float, "one").startswith("refused: could not convert")
    with pytest.raises(TypeError):
        verdict(float, None)
