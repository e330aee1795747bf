"""Contact maps and cells that the tests of the metrics share. No array may be written to."""

import numpy as np
import pytest


def frozen(array):
    array.flags.writeable = False
    return array


def make_maps(n, bins, seed, masked=()):
    """Symmetric maps with distance decay and noise, (n, bins, bins); masked bins are NaN."""
    rng = np.random.default_rng(seed)
    distance = np.abs(np.subtract.outer(np.arange(bins), np.arange(bins)))
    maps = rng.gamma(2.0, 0.5, (n, bins, bins)) / (1 + distance)
    maps += maps.transpose(0, 2, 1)
    maps[:, list(masked)] = np.nan
    maps[:, :, list(masked)] = np.nan
    return frozen(maps)


@pytest.fixture
def maps():
    return make_maps


@pytest.fixture
def cells():
    """Two populations of different size and place."""
    rng = np.random.default_rng(1)
    return frozen(rng.normal(size=(40, 6))), frozen(rng.normal(0.5, 1.3, size=(25, 6)))
