from __future__ import annotations

import shlex
import sys
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import settings

# The same examples in every run, however busy the machine.
settings.register_profile("tests", deadline=None, derandomize=True)
settings.load_profile("tests")


def series(
    times: list[float], n_cells: int = 40, n_genes: int = 6, counts: bool = False
) -> AnnData:
    """Cells whose mean moves along a straight line with time."""
    rng = np.random.default_rng(0)
    time = np.repeat(times, n_cells)
    direction = np.linspace(0.2, 1.0, n_genes)
    values = 2 + time[:, None] * direction + 0.1 * rng.standard_normal((len(time), n_genes))
    if counts:
        values = rng.poisson(np.exp(values / 2))
    obs = pd.DataFrame({"time": time}, index=[f"cell{i}" for i in range(len(time))])
    var = pd.DataFrame(index=[f"gene{i}" for i in range(n_genes)])
    return AnnData(values.astype(np.float32), obs=obs, var=var)


@pytest.fixture(autouse=True)
def same_weights() -> None:
    """Let networks that a test makes without a seed be the same in any order of the tests."""
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


@pytest.fixture
def moving() -> AnnData:
    return series([0.0, 1.0, 3.0])


@pytest.fixture
def moving_counts() -> AnnData:
    return series([0.0, 1.0, 3.0], counts=True)


@pytest.fixture
def examples(capsys: pytest.CaptureFixture[str]) -> Callable[[list[str]], list[list[str]]]:
    """The words of each example in the help of a command of ``scstlib``, without ``scstlib``."""
    from scstlib.__main__ import main

    def found(command: list[str]) -> list[list[str]]:
        with pytest.raises(SystemExit):
            main([*command, "--help"])
        _, mark, text = capsys.readouterr().out.partition("\nexample:\n")
        assert mark, f"the help of {command} has no example"
        lines = text.replace("\\\n", " ").splitlines()
        return [shlex.split(line)[2:] for line in lines if line.startswith("  $ scstlib ")]

    return found
