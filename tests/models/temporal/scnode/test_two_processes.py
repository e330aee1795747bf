"""Two processes learn what one does, of both models: torch is imported once for the two."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from scstlib.models import PublishedScNODE, ScNODE
from tests.conftest import series
from tests.models.temporal.scnode.test_default import SHORTER, TIMES, branching
from tests.models.temporal.scnode.test_switches import SHORT, weights_of

SCRIPT = """
import os, sys
import numpy as np
from scstlib.training import launch, terms_of
from tests.models.temporal.scnode import test_two_processes as both

ours, published = both.fitted()
terms = np.arange(3)[terms_of(launch("cpu"), 3)]
np.savez(f"{sys.argv[1]}/{os.environ['RANK']}.npz", terms=terms, **both.learned(ours, published))
"""


def fitted() -> tuple[ScNODE, PublishedScNODE]:
    """Both models; the published one has three times, whose shares for two differ in size."""
    ours = ScNODE(seed=1, transport_steps=5, **SHORTER).fit(branching(TIMES), device="cpu")
    published = PublishedScNODE(**SHORT)
    published.fit(series([0.0, 1.0, 3.0]), device="cpu", precision="64-true")
    return ours, published


def learned(ours: ScNODE, published: PublishedScNODE) -> dict[str, np.ndarray]:
    return {
        "losses": ours.losses_["matching"],
        "cells": ours.sample([3.0], 20, noise=False).X,
        "weights": weights_of(published),
    }


@pytest.mark.slow
def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone",
        str(script), str(tmp_path),
    ]  # fmt: skip
    paths = {"PYTHONPATH": str(Path(__file__).parents[4])}
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **paths}
    subprocess.run(command, check=True, capture_output=True, env=environment, timeout=120)
    one = learned(*fitted())
    first, second = (np.load(tmp_path / f"{rank}.npz") for rank in range(2))
    assert [rank["terms"].tolist() for rank in (first, second)] == [[0, 2], [1]]
    for name in ("cells", "weights"):
        assert_array_equal(first[name], second[name])
    assert_allclose(first["losses"], one["losses"], rtol=1e-3)
    assert_allclose(first["cells"], one["cells"], rtol=0.02, atol=0.05)
    assert_allclose(first["weights"], one["weights"], rtol=1e-9, atol=1e-12)
