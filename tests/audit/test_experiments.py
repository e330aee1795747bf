"""Size and interval of an illusion, by known answers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_rel

from scstlib.audit.experiments import (
    Costs,
    by_seed,
    describe,
    illusion,
    interval_text,
    mean_interval,
    measure,
    over_seeds,
    overview,
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
    again = measure(lambda seed, mistake: scores[seed, int(mistake)], range(5))
    pd.testing.assert_series_equal(again, illusion(table))


def test_an_interval_is_written_with_true_minus_signs_in_the_form_asked_for() -> None:
    assert interval_text([1.0, 2.0, 3.0]) == "2.00 (−0.48 to 4.48)"
    assert interval_text([-1.0, -3.0], "+.0f", level=0.5) == "−2 (−3 to −1)"
    with pytest.raises(ValueError, match="two finite values"):
        interval_text([1.0])


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
    # Mean 2, standard error 1/sqrt(3), Student's 97.5% point with two degrees of freedom 4.3027.
    found = mean_interval([1.0, 2.0, 3.0])
    assert found == pytest.approx((2.0, 2 - 4.30265 / 3**0.5, 2 + 4.30265 / 3**0.5), abs=1e-4)
    assert mean_interval([5.0, 5.0]) == (5.0, 5.0, 5.0)


@pytest.mark.parametrize("values", [[1.0], [], [1.0, np.nan]])
def test_values_without_an_interval_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="two finite values"):
        mean_interval(values)


def test_every_score_of_the_draws_has_its_own_interval() -> None:
    found = over_seeds(lambda draw: {"rises": draw, "stays": 2.0}, [1.0, 2.0, 3.0], level=0.9)
    assert found.columns.tolist() == ["mean", "lower", "upper"]
    assert tuple(found.loc["rises"]) == mean_interval([1.0, 2.0, 3.0], 0.9)
    assert found.loc["stays"].tolist() == [2.0, 2.0, 2.0]


def test_draws_that_cannot_be_averaged_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\['a'\], another \['b'\]"):
        over_seeds(lambda draw: {"ab"[draw]: 1.0}, [0, 1])
    with pytest.raises(ValueError, match="two finite values"):
        over_seeds(lambda draw: {"a": 1.0}, [0])
    with pytest.raises(ValueError, match="0 draws and no score"):
        over_seeds(lambda draw: {"a": 1.0}, [])
    with pytest.raises(ValueError, match="2 draws and no score"):
        over_seeds(lambda draw: {}, [0, 1])


def test_what_an_experiment_found_is_said_with_true_minus_signs() -> None:
    row = pd.Series(
        {"honest": -0.2, "mistake": 0.5, "illusion": 0.7, "lower": -0.1, "upper": 1.5, "seeds": 3}
    )
    expected = (
        "0.50 with the mistake and −0.20 without: +0.70 (95% interval −0.10 to +1.50, 3 seeds)"
    )
    assert describe(row) == expected
    table = overview({"first": row, "second": row + 1})
    assert list(table.index) == ["first", "second"]
    assert table.loc["first", "95% interval"] == "−0.10 to +1.50"
    assert table["seeds"].tolist() == [3, 4]


def test_a_verdict_repeats_the_objection_and_hides_no_other_error() -> None:
    def positive(value: float, *, strict: bool = False) -> None:
        if value < strict:
            raise ValueError(f"{value} is too small")

    assert verdict(positive, 1.0, strict=True) == "accepted"
    assert verdict(positive, 0.5) == "accepted"
    assert verdict(positive, 0.5, strict=True) == "refused: 0.5 is too small"
    with pytest.raises(TypeError):
        verdict(positive)


def test_an_experiment_is_repeated_on_every_seed_with_its_settings() -> None:
    table = by_seed(lambda seed, step: {"a": seed * step, "b": 1}, [2, 5], step=3)
    assert table.index.tolist() == [2, 5]
    assert table.to_dict("list") == {"a": [6, 15], "b": [1, 1]}
    levels = by_seed(lambda seed: {(0.1, "a"): seed, (1, "a"): 2 * seed}, [1, 2])
    assert levels[1].to_dict("list") == {"a": [2, 4]}
    with pytest.raises(ValueError, match="repeat"):
        by_seed(lambda seed: {"a": seed}, [1, 1])


def test_costs_are_medians_and_the_interval_of_the_differences() -> None:
    costs = Costs()
    costs.add("one", "r", [3.0, 4.0, 9.0], [2.0, 2.0, 6.0])
    costs.add("two", "r", [0.0, 0.0], [1.0, 1.0])
    table = costs.table()
    mean, low, high = mean_interval([1.0, 2.0, 3.0])
    assert table.loc["one"].tolist() == ["r", "4", "2", f"{mean:.3g} (−{-low:.3g} to {high:.3g})"]
    assert table.loc["two", "added (95% interval)"] == "−1 (−1 to −1)"
    with pytest.raises(ValueError, match="3 seeds with 'x', 2 without"):
        costs.add("x", "r", [1, 2, 3], [1, 2])
