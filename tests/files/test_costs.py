"""Estimates of what a training takes: they grow with what it is made of, and read well."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from scstlib.files import Cost, contact_training_cost, expression_training_cost
from scstlib.preprocess.windows import Windows

SPACE = {"n_steps": 2000, "batch_size": 8, "crop": 64, "crop_steps": 0.85}
TIME = {"matching_steps": 800, "transport_steps": 0}


def windows(bins: int, n: int = 4) -> Windows:
    table = pd.DataFrame({"chrom": "chr1", "start": range(n), "end": range(n), "cell_type": "a"})
    maps = np.zeros((n, bins, bins), dtype=np.float32)
    mask = np.ones((n, bins), dtype=bool)
    return Windows(maps, np.zeros((n, bins, 0)), maps.copy(), table, 50_000, mask)


def cells(n: int, genes: int) -> Any:
    return AnnData(sp.csr_matrix((n, genes), dtype=np.float32))


def test_the_default_training_of_contacts() -> None:
    cost = contact_training_cost(windows(128), SPACE)
    assert 2 < cost.minutes < 6  # 4.1 in benchmarks/results/spatial.json
    longer = contact_training_cost(windows(128), SPACE | {"n_steps": 4000})
    assert longer.minutes == pytest.approx(2 * cost.minutes)
    assert longer.megabytes == cost.megabytes
    wider = contact_training_cost(windows(256), SPACE)
    assert wider.minutes > cost.minutes
    assert wider.megabytes > 2 * cost.megabytes - 600
    # What windows hold counts as well.
    assert contact_training_cost(windows(128, 400), SPACE).megabytes > cost.megabytes + 50


def test_the_default_training_of_expression() -> None:
    small = expression_training_cost(cells(3600, 1200), TIME)
    assert 3 < 60 * small.minutes < 9  # 6.1 s in benchmarks/results/temporal.json
    large = expression_training_cost(cells(100_000, 1200), TIME)
    # Factors are fitted to so many cells and no more; the others are encoded.
    assert small.minutes < large.minutes < 10 * small.minutes
    assert large.megabytes < 1000


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        (0.1, "about a minute or less"), (3.4, "about 3 minutes"), (89, "about 89 minutes"),
        (100, "about 1.7 hours"), (1200, "about 20 hours"),
    ],
)  # fmt: skip
def test_words(minutes: float, expected: str) -> None:
    shown = str(Cost(minutes, 1234.0))
    assert shown == f"{expected} on one CPU core, about 1.2 GB of memory"
