"""The small task on populations: its skill by known answers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from scstlib.datasets import simulate_organism
from scstlib.experiments.forecasts import (
    cells_at,
    cells_before,
    donor_cohort,
    forecast_skill,
    four_fifths,
    in_components,
    organism_series,
    population_skill,
    time_model_at_depths,
    values_of,
)
from scstlib.leakage import LeakageError, check_evaluation
from scstlib.splits import hold_out_times


def line(kind: str = "components") -> AnnData:
    """30 cells at each of three times; of ten values the first is the time, the others scatter."""
    rng = np.random.default_rng(0)
    time = np.repeat([0.0, 1.0, 3.0], 30)
    x = np.column_stack([time, 0.002 * rng.normal(size=(90, 9))])
    obs = pd.DataFrame({"time": time}, index=[f"c{i}" for i in range(90)])
    return AnnData(x, obs=obs, uns={"value_kind": kind})


def shifted(by: float) -> np.ndarray:
    found: np.ndarray = line().X[30:60] + by * np.eye(10)[0]
    return found


@pytest.mark.parametrize(
    ("by", "components", "skill"),
    [
        (0.0, None, 1.0),
        (1.0, None, 0.0),
        (-0.5, None, 0.5),  # energy distance grows with the distance,
        (2.0, None, -1.0),
        (0.0, 10, 1.0),
        (-0.5, 10, 0.75),  # squared transport with its square
        (2.0, 10, -3.0),
    ],
)
def test_skill_of_populations_at_a_known_distance(
    by: float, components: int | None, skill: float
) -> None:
    parts = [shifted(by)], [shifted(1.0)], [shifted(0.0)]
    found = population_skill(line(), *parts, components=components)
    assert found == pytest.approx(skill, abs=0.03)


def test_only_the_components_of_the_training_cells_count() -> None:
    away = [shifted(0.0) + 5 * np.eye(10)[9]], [shifted(1.0)], [shifted(0.0)]
    assert population_skill(line(), *away, components=1) == pytest.approx(1.0, abs=0.05)
    assert population_skill(line(), *away, components=10) < -20


def test_counts_are_made_logs_and_values_are_kept() -> None:
    counts = AnnData(np.array([[2.0, 0.0], [1.0, 3.0]]))
    expected = np.log1p([[1e4, 0], [2500, 7500]])
    np.testing.assert_allclose(values_of(counts), expected, rtol=1e-5)
    np.testing.assert_array_equal(values_of(line()), line().X)


def test_cells_before_a_time_need_no_measurement_at_it() -> None:
    assert set(cells_before(line(), 2.0).obs["time"]) == {1.0}
    assert set(cells_before(line(), 3.0).obs["time"]) == {1.0}
    assert cells_at(line(), 3.0).n_obs == 30
    with pytest.raises(ValueError, match="no cells before 0"):
        cells_before(line(), 0.0)


def test_components_are_those_of_the_source_alone() -> None:
    split = hold_out_times(organism_series(0), test=48.0)
    steps, (train, test) = in_components(split.train, split.train, split.test)
    check_evaluation(steps, split.test)
    assert (train.shape, test.shape) == ((1200, 8), (150, 8))
    np.testing.assert_allclose(train.X.mean(axis=0), 0, atol=1e-3)
    with pytest.raises(LeakageError):
        check_evaluation(in_components(organism_series(0), split.test)[0], split.test)


def test_donors_differ_and_parts_of_the_cells_are_drawn_anew() -> None:
    cells = donor_cohort(0)
    assert cells.obs["donor"].value_counts().min() > 20
    x, donor = values_of(cells), cells.obs["donor"].to_numpy()
    means = np.stack([x[donor == name].mean(axis=0) for name in "01234567"])
    within = np.mean([x[donor == name].std(axis=0) / (donor == name).sum() ** 0.5 for name in "01"])
    assert means.std(axis=0).mean() > 1.5 * within
    one, other = (set(four_fifths(cells, seed).obs_names) for seed in (0, 1))
    assert 0.7 * 320 < len(one) < 0.9 * 320
    assert one != other


class Oracle:
    """Returns the cells of a time, moved by a step."""

    def __init__(self, step: float) -> None:
        self.step = step

    def sample(self, times: list[float], n_cells: int, seed: int = 0) -> AnnData:
        drawn = cells_at(line(), times[0])[:n_cells].copy()
        drawn.X = drawn.X + self.step * np.eye(10)[0]
        return drawn


def test_a_forecast_is_compared_with_the_last_training_time() -> None:
    # The copy of time 1 is 2 away from time 3; the forecast 1.
    found = forecast_skill(Oracle(1.0), line(), line(), [3.0], n_cells=30)
    assert found == pytest.approx(0.5, abs=0.03)


@pytest.mark.slow
def test_shallow_cells_are_easy_to_match_and_far_from_the_truth() -> None:
    organism = simulate_organism(seed=0, preset="small", n_genes=100, depth=5500.0)
    errors = time_model_at_depths(0, organism, (1, 0.02), n_cells=20)
    assert len(errors) == 8
    for share in (1, 0.02):
        assert errors[share, "fresh cells"] < errors[share, "scNODE"]
    growth = {name: errors[0.02, name] / errors[1, name] for _, name in errors}
    assert growth["scNODE"] < growth["scNODE, to the truth"]
