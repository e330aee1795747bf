"""The data that chose a model are no test of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from scstlib.leakage import LeakageError, check_evaluation, choose, record_fit


class Constant:
    """Predicts one number."""

    def __init__(self, value: float) -> None:
        self.value = value

    def fit(self, table: pd.DataFrame) -> Constant:
        record_fit(self, table)
        return self


def closeness(model: Any, part: pd.DataFrame) -> float:
    return -abs(model.value - float(part["y"].mean()))


def chromosome(name: str, y: float) -> pd.DataFrame:
    return pd.DataFrame({"chrom": [name], "start": [0], "end": [10], "y": [y]})


def test_the_best_is_chosen_and_may_not_be_scored_where_it_was_chosen() -> None:
    train, validation, test = (chromosome(f"chr{i}", y) for i, y in ((1, 0.0), (2, 3.1), (3, 3.0)))
    candidates = {f"{v}": Constant(v).fit(train) for v in (1.0, 3.0, 9.0)}
    name, winner = choose(candidates, closeness, validation)
    assert name == "3.0"
    assert winner is candidates["3.0"]
    check_evaluation(winner, test)
    with pytest.raises(LeakageError, match="chromosome \\['2'\\]"):
        check_evaluation(winner, validation)
    with pytest.raises(LeakageError, match="chromosome \\['1'\\]"):
        check_evaluation(winner, train)
    check_evaluation(candidates["1.0"], validation)  # was not chosen there


def test_a_default_scnode_can_be_chosen() -> None:
    from anndata import AnnData

    from scstlib.models import ScNODE
    from scstlib.splits import hold_out_times

    rng = np.random.default_rng(0)
    obs = pd.DataFrame({"time": np.repeat([0.0, 1.0, 2.0], 30)}, index=[str(i) for i in range(90)])
    cells = AnnData(rng.normal(size=(90, 5)), obs=obs, uns={"value_kind": "values"})
    split = hold_out_times(cells, test=1.0)
    models = {"a": ScNODE(latent_dim=2, matching_steps=2, damping=0.0).fit(split.train)}
    _, winner = choose(models, lambda model, part: 0.0, split.test)
    with pytest.raises(LeakageError, match="observations"):
        check_evaluation(winner, split.test)


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        ({}, "no candidate"),
        ({"a": Constant(1.0)}, "'a' does not say"),
        ({"a": Constant(np.nan).fit(chromosome("chr1", 0.0))}, "nan"),
    ],
)
def test_what_cannot_be_chosen_from_is_refused(candidates: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        choose(candidates, closeness, chromosome("chr2", 0.0))
