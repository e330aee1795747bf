"""Measured times and the times that an ODE sees."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def time_points_of(times: Sequence[float] | np.ndarray | None) -> tuple[float, ...] | None:
    """Return the times of a series, ascending; None stays None.

    Raises
    ------
    ValueError
        For what is no list of at least two different, finite numbers.

    Examples
    --------
    >>> time_points_of([24, 0, 12])
    (0.0, 12.0, 24.0)
    """
    if times is None:
        return None
    try:
        given = np.asarray(times)
    except ValueError:  # Lists of unequal lengths.
        given = np.array([])
    numbers = given.ndim == 1 and given.dtype.kind in "iuf" and bool(np.isfinite(given).all())
    if not numbers or len(set(given.tolist())) < 2:
        raise ValueError(
            f"time_points must be a list of two or more numbers such as [0, 12, 24], not {times!r}."
        )
    return tuple(sorted(float(time) for time in given))


class ModelTime:
    """A map from measured to model time, increasing and linear between known points.

    Parameters
    ----------
    points : sequence of float
        At least two distinct measured times.
    kind : "index" or "real"
        "index": 0, 1, 2, ... at the points, straight lines between and, outside, one for each mean
        interval. "real": measured time from the first point on, in units of the mean interval.
    """

    def __init__(self, points: Sequence[float] | np.ndarray, kind: str) -> None:
        self.points = np.unique(np.asarray(points, dtype=float))
        self.interval = (self.points[-1] - self.points[0]) / (len(self.points) - 1)
        self.kind = kind

    def __call__(self, times: np.ndarray) -> np.ndarray:
        """Return the model times, shape (n,), of measured times (n,)."""
        times = np.asarray(times, dtype=float)
        seen: np.ndarray
        if self.kind == "real":
            seen = (times - self.points[0]) / self.interval
            return seen
        outside = times - np.clip(times, self.points[0], self.points[-1])
        index = np.interp(times, self.points, np.arange(len(self.points)))
        seen = index + outside / self.interval
        return seen

    def rate(self, time: float) -> float:
        """Return model time per measured time just after ``time``."""
        after = int(np.searchsorted(self.points, time, side="right"))
        if self.kind == "real" or after in (0, len(self.points)):
            return float(1 / self.interval)
        return float(1 / (self.points[after] - self.points[after - 1]))
