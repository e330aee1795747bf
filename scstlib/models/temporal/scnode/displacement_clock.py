"""A clock learned from how far populations have moved.

Between two measured times cells are predicted in proportion to the elapsed time. Where cells move
fast at first and slowly later, half of the time is more than half of the way. The way travelled up
to each measured time says so, and a smooth curve through it says where a population is in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np

TINY = 1e-9
ENDS = 1e-3  # Of an interval: a time inside it stays inside.


@dataclass(frozen=True)
class DisplacementClock:
    """The way that a population has travelled at each measured time.

    Attributes
    ----------
    times : numpy.ndarray, shape (n_times,)
        Measured times, ascending.
    travelled : numpy.ndarray, shape (n_times,)
        The sum of distances between the means of neighbouring times, from 0.
    """

    times: np.ndarray
    travelled: np.ndarray

    @classmethod
    def of(cls, times: np.ndarray, populations: Sequence[np.ndarray]) -> Self:
        """Learn the clock from a population (n, n_latent) of each time.

        Means differ by chance too: the part of their squared distance that is expected by chance
        is taken off, and no step is shorter than that.

        Examples
        --------
        >>> import numpy as np
        >>> at = [np.array([[0.0], [0.0]]), np.array([[4.0], [4.0]]), np.array([[5.0], [5.0]])]
        >>> clock = DisplacementClock.of(np.array([0.0, 1.0, 2.0]), at)
        >>> [round(clock(time), 2) for time in (0.5, 1.0, 1.5, 3.0)]
        [0.62, 1.0, 1.7, 3.0]
        """
        steps = [0.0]
        for before, after in pairwise(populations):
            apart = float(((before.mean(0) - after.mean(0)) ** 2).sum())
            chance = float(before.var(0).sum() / len(before) + after.var(0).sum() / len(after))
            steps.append(np.sqrt(max(apart - chance, chance)) + TINY)
        return cls(times, np.cumsum(steps))

    def __call__(self, time: float) -> float:
        """Return the time at which a straight line through its interval has come as far.

        Measured times stay, and so do those outside of them.
        """
        from scipy.interpolate import PchipInterpolator

        after = int(np.searchsorted(self.times, time))
        if not 0 < after < len(self.times) or self.times[after] == time:
            return float(time)
        before = self.travelled[after - 1]
        curve = PchipInterpolator(self.times, self.travelled)  # Monotone, without overshoot.
        come = float((curve(time) - before) / (self.travelled[after] - before))
        left, right = self.times[after - 1], self.times[after]
        return float(left + (right - left) * min(max(come, ENDS), 1 - ENDS))
