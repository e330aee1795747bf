"""GenomeDISCO: agreement of contact maps after smoothing by random walks."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from scstlib.metrics._arrays import Array, in_blocks, map_pair, unstack


def genome_disco(prediction: ArrayLike, target: ArrayLike, *, steps: int = 3) -> Array:
    """GenomeDISCO concordance: 1 minus the distance between random walks on the two maps.

    The main diagonal is left out and each row divided by its sum; the walks of ``steps`` steps are
    compared by the sum of absolute differences, divided by the mean number of bins with contacts
    in the two maps. Ursu et al. 2018, https://doi.org/10.1093/bioinformatics/bty164, with t = 3
    steps as there.

    Parameters
    ----------
    prediction, target : array (n, bins, bins) or (bins, bins)
        Symmetric contact maps, non-negative, each in any unit; NaN counts as no contact.
    steps : int
        Length t of the walk.

    Returns
    -------
    array (n,), or a scalar for a single map
        Between -1 and 1; 1 for equal maps; -1 if one map is empty; NaN if both are.

    Raises
    ------
    ValueError
        If shapes differ, a value is negative, or ``steps`` < 1.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.metrics.contacts import genome_disco
    >>> rng = np.random.default_rng(0)
    >>> target = rng.poisson(5, (20, 20))
    >>> target = target + target.T
    >>> noisy = rng.poisson(target)
    >>> noisy = noisy + noisy.T
    >>> float(genome_disco(target, target))
    1.0
    >>> round(float(genome_disco(noisy, target)), 2)
    0.95
    """
    a, b, single = map_pair(prediction, target)
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    for name, maps in (("prediction", a), ("target", b)):
        if (maps < 0).any():
            raise ValueError(
                f"{name} holds negative contacts, which have no random walk; clip them at 0 first"
            )
    return unstack(in_blocks(partial(_concordance, steps), a, b), single)


def _concordance(steps: int, a: Array, b: Array) -> Array:
    walk_a, bins_a = _transition(a)
    walk_b, bins_b = _transition(b)
    difference = np.linalg.matrix_power(walk_a, steps) - np.linalg.matrix_power(walk_b, steps)
    total = np.abs(difference).sum(axis=(1, 2))
    bins = (bins_a + bins_b) / 2
    distance = np.divide(total, bins, out=np.full(len(a), np.nan), where=bins > 0)
    score: Array = 1 - np.minimum(distance, 2.0)
    return score


def _transition(maps: Array) -> tuple[Array, Array]:
    """Rows divided by their sums, without the diagonal, and the number of rows with contacts."""
    walk = np.where(np.isnan(maps), 0.0, maps)
    diagonal = np.arange(maps.shape[1])
    walk[:, diagonal, diagonal] = 0.0
    sums = walk.sum(axis=2, keepdims=True)
    occupied = sums > 0
    walk /= np.where(occupied, sums, 1.0)
    return walk, occupied.sum(axis=(1, 2)).astype(np.float64)
