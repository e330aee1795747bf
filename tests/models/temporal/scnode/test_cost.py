"""What a fit costs beside the published model's, in one run and one thread."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import torch

from scstlib.models import PublishedScNODE, ScNODE
from tests.conftest import series

JOINT_STEPS = 1000  # Of the published settings; pre-training comes on top.
TIMED = 10


def cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


@pytest.mark.slow
def test_a_plain_fit_costs_less_than_an_eighth_of_the_published_models():
    cells = series([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], 200, 60, True)
    plain = ScNODE(latent_dim=10, damping=0.0, combine=False)
    published = {n: PublishedScNODE(pretrain_steps=1, joint_steps=n) for n in (1, 1 + TIMED)}
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        ScNODE(latent_dim=10, matching_steps=1, combine=False).fit(cells)  # Imports, once.
        ours = cpu_seconds(lambda: plain.fit(cells))
        first, last = (cpu_seconds(lambda m=m: m.fit(cells)) for m in published.values())
    finally:
        torch.set_num_threads(before)
    assert ours < (last - first) / TIMED * JOINT_STEPS / 8
