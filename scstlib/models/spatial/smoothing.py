"""Smoothing a contact map over neighbouring pixels, without smearing what belongs to a bin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from scstlib.preprocess.contacts import contact_unit, normalise_depth
from scstlib.preprocess.expected import distance_means
from scstlib.preprocess.windows import Windows

# Beyond this distance, in bins, counts are low and the wider of two Gaussians takes over.
FAR = 40.0
WIDER = 2.2
PSEUDOCOUNT = 1.0
MOST_WINDOWS = 60


@dataclass(frozen=True)
class Smoothing:
    """Gaussian smoothing of log observed over expected, after a factor per bin is divided out.

    Attributes
    ----------
    width
        Standard deviation near the diagonal, in bins; 2.2 times that far from it.
    expected
        (bins,), mean bulk contacts at each distance, learned in training.
    unit
        What one contact counts in the bulk map: 1 in raw counts, less in balanced maps.
    """

    width: float
    expected: np.ndarray
    unit: float = 1.0

    @classmethod
    def chosen(
        cls, windows: Windows, widths: tuple[float, ...] = (0.3, 0.4, 0.5, 0.6, 0.8)
    ) -> Self:
        """Take the width with the smallest squared error on (at most 60) windows with targets."""
        unit = contact_unit(windows.bulk)
        expected = distance_means(windows.bulk / np.float32(unit), windows.mask)
        some = windows[:: -(-len(windows) // MOST_WINDOWS)]
        assert some.targets is not None
        targets = normalise_depth(some.targets)
        candidates = [cls(width, expected, unit) for width in widths]
        errors = [np.mean((normalise_depth(c(some)) - targets) ** 2) for c in candidates]
        return candidates[int(np.argmin(errors))]

    def __call__(self, windows: Windows) -> np.ndarray:
        """Return smoothed bulk maps (n, bins, bins), float64, symmetric; masked bins are 0."""
        return self.contacts(windows) * self.unit

    def contacts(self, windows: Windows) -> np.ndarray:
        """Return the smoothed bulk maps in contacts, whatever the unit of the maps."""
        log, base = self.log_over_expected(windows)
        bins = log.shape[-1]
        distance = np.abs(np.subtract.outer(np.arange(bins), np.arange(bins)))
        near = 1 / (1 + (distance / FAR) ** 2)
        narrow = blurred(log, windows.mask, self.width)
        wide = blurred(log, windows.mask, WIDER * self.width)
        return np.exp(near * narrow + (1 - near) * wide) * base

    def log_over_expected(self, windows: Windows) -> tuple[np.ndarray, np.ndarray]:
        """Log of bulk over base, with a pseudocount, and the base: expected times bin factors.

        Both in contacts.
        """
        bins = windows.bulk.shape[-1]
        if bins > len(self.expected):
            raise ValueError(
                f"learned on windows of {len(self.expected)} bins, asked for {bins}: fit on"
                " windows at least as wide"
            )
        distance = np.abs(np.subtract.outer(np.arange(bins), np.arange(bins)))
        expected = np.maximum(np.nan_to_num(self.expected), 1e-9)[distance]
        bulk = windows.bulk / np.float32(self.unit)
        factors = bin_factors(bulk / expected, windows.mask)
        both = factors[:, :, None] * factors[:, None, :]
        log = np.log((bulk / both + PSEUDOCOUNT) / (expected + PSEUDOCOUNT))
        usable = windows.mask[:, :, None] & windows.mask[:, None, :]
        return log * usable, expected * both * usable


def blurred(maps: np.ndarray, mask: np.ndarray, width: float) -> np.ndarray:
    """Gaussian mean over usable pixels, (n, bins, bins); 0 in masked bins."""
    from scipy.ndimage import gaussian_filter

    usable = (mask[:, :, None] & mask[:, None, :]).astype(float)
    total, weight = (
        gaussian_filter(a, (0, width, width), mode="constant") for a in (maps * usable, usable)
    )
    return np.divide(total, weight, out=np.zeros(maps.shape), where=usable > 0)


def bin_factors(over_expected: np.ndarray, mask: np.ndarray, rounds: int = 6) -> np.ndarray:
    """Factors f (n, bins) such that rows of f_i f_j add up as those of the map do; 1 if masked.

    Pixels on the first two diagonals do not count.
    """
    bins = over_expected.shape[-1]
    away = np.abs(np.subtract.outer(np.arange(bins), np.arange(bins))) >= 2
    usable = mask[:, :, None] & mask[:, None, :] & away
    sums = (over_expected * usable).sum(axis=2)
    factors = np.ones(mask.shape)
    for _ in range(rounds):
        modelled = np.einsum("nij,nj->ni", usable, factors)
        wanted = np.divide(sums, modelled, out=np.ones(sums.shape), where=modelled > 0)
        factors = np.where(mask, np.sqrt(factors * np.maximum(wanted, 1e-6)), 1.0)
    return factors
