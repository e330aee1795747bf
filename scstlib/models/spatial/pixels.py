"""The smoothed bulk map, and features of its pixels for regressions that know nothing of maps.

A contact map is smoothed over neighbouring pixels without smearing what belongs to a bin.

Features of a pixel (i, j), i <= j: its bulk contacts and those around it, its distance, and every
track at i, at j and in between, as it is and smoothed along the genome. Expression comes as own,
own minus reference and own minus bulk, in logarithms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Self

import numpy as np

from scstlib.models.spatial.protocol import depths_of, in_contacts
from scstlib.preprocess.contacts import contact_unit, normalise_depth
from scstlib.preprocess.expected import distance_means
from scstlib.preprocess.guides import bin_features
from scstlib.preprocess.windows import Windows

# Beyond this distance, in bins, counts are low and the wider of two Gaussians takes over.
FAR = 40.0
WIDER = 2.2
PSEUDOCOUNT = 1.0
MOST_WINDOWS = 60
MAP_WIDTHS = (1.0, 2.5, 6.0)
TRACK_WIDTHS = (0.0, 1.0, 3.0, 6.0)


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
        return self.of_log(log, base, windows.mask)

    def of_log(self, log: np.ndarray, base: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Return the smoothed maps in contacts, from what :meth:`log_over_expected` returns."""
        bins = log.shape[-1]
        distance = np.abs(np.subtract.outer(np.arange(bins), np.arange(bins)))
        near = 1 / (1 + (distance / FAR) ** 2)
        narrow = blurred(log, mask, self.width)
        wide = blurred(log, mask, WIDER * self.width)
        contacts: np.ndarray = np.exp(near * narrow + (1 - near) * wide) * base
        return contacts

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
    out: np.ndarray = np.divide(total, weight, out=np.zeros(maps.shape), where=usable > 0)
    return out


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


@dataclass(frozen=True)
class Pixels:
    """Training pixels.

    Attributes
    ----------
    features
        (pixels, features).
    ratio
        (pixels,), target over smoothed bulk at the depth of the target's sample.
    weight
        (pixels,), one over the variance of the ratio.
    """

    features: np.ndarray
    ratio: np.ndarray
    weight: np.ndarray


def upper(bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the upper triangle with the diagonal."""
    return np.triu_indices(bins)


@dataclass(frozen=True)
class SmoothedBulk:
    """What is made of the bulk map of a window, once for all that need it.

    Attributes
    ----------
    base
        (bins, bins), as :meth:`Smoothing.log_over_expected` returns it.
    contacts
        (bins, bins), the smoothed bulk in contacts.
    logs
        Maps (bins, bins): log of bulk over base, as it is and at three widths.
    """

    base: np.ndarray
    contacts: np.ndarray
    logs: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, window: Windows, smoothing: Smoothing) -> Self:
        """Smooth the bulk map of one window."""
        log, base = smoothing.log_over_expected(window)
        contacts = smoothing.of_log(log, base, window.mask)
        logs = [log, *(blurred(log, window.mask, width) for width in MAP_WIDTHS)]
        return cls(base[0], contacts[0], tuple(each[0] for each in logs))


def pixel_features(
    signals: np.ndarray, smoothed: SmoothedBulk, chosen: np.ndarray | None = None
) -> np.ndarray:
    """Features (pixels, features), float32, of the upper triangle of one window.

    Parameters
    ----------
    signals
        (bins, signals), as :func:`bin_signals` returns them.
    chosen
        Which pixels of the upper triangle; default all.
    """
    rows, columns = upper(len(smoothed.base))
    if chosen is not None:
        rows, columns = rows[chosen], columns[chosen]
    distance = (columns - rows).astype(float)
    base, smooth = smoothed.base[rows, columns], smoothed.contacts[rows, columns]
    found = [distance, np.log(base + 1e-3), np.log(smooth + 1)]
    found += [each[rows, columns] for each in smoothed.logs]
    sums = np.concatenate([np.zeros((1, signals.shape[1])), np.cumsum(signals, axis=0)])
    between = sums[columns + 1] - sums[rows]
    at_ends = signals[rows], signals[columns]
    mean = between / (distance + 1)[:, None]
    parts = [np.stack(found, axis=1), *at_ends, at_ends[0] + at_ends[1], mean, between]
    return np.concatenate(parts, axis=1).astype(np.float32)


def rows_of_one_bulk(windows: Windows) -> list[list[int]]:
    """Windows with the same bulk map and mask: the cell types of a place."""
    found: dict[bytes, list[int]] = {}
    for i, (bulk, mask) in enumerate(zip(windows.bulk, windows.mask, strict=True)):
        found.setdefault(blake2b(bulk.tobytes() + mask.tobytes()).digest(), []).append(i)
    return list(found.values())


def bin_signals(windows: Windows, rows: list[int]) -> np.ndarray:
    """Features of the bins of some windows at several widths, (rows, bins, signals)."""
    from scipy.ndimage import gaussian_filter1d

    tracks = windows.tracks[rows].astype(float)
    features, _ = bin_features(tracks, windows.track_names, floor=1.0)
    return np.concatenate(
        [
            gaussian_filter1d(features, width, axis=1, mode="nearest") if width else features
            for width in TRACK_WIDTHS
        ],
        axis=2,
    )


def sample_pixels(
    windows: Windows, smoothing: Smoothing, n_pixels: int, seed: int, spread: float
) -> Pixels:
    """Draw pixels of usable bins, as many from each window; all if there are fewer.

    The bulk is brought to the depth of each target's sample before the two are compared: shallow
    cell types have no smaller ratios than deep ones. The ratio of a Poisson count to its
    expectation S varies by 1 / S; ``spread`` is the variance of the true ratio.
    """
    rng = np.random.default_rng(seed)
    rows, columns = upper(windows.bulk.shape[-1])
    counts, depth = in_contacts(windows.targets), depths_of(windows)
    each = -(-n_pixels // len(windows))
    features, ratios, weights = [], [], []
    for alike in rows_of_one_bulk(windows):
        smoothed = SmoothedBulk.of(windows[alike[0]], smoothing)
        smooth, mask = smoothed.contacts[rows, columns], windows.mask[alike[0]]
        usable = np.flatnonzero(mask[rows] & mask[columns] & (smooth > 0))
        for i, signals in zip(alike, bin_signals(windows, alike), strict=True):
            chosen = rng.choice(usable, min(each, len(usable)), replace=False)
            expected = smooth[chosen] * depth[i]
            features.append(pixel_features(signals, smoothed, chosen))
            ratios.append(counts[i, rows[chosen], columns[chosen]] / expected)
            weights.append(1 / (1 / expected + spread))
    return Pixels(np.concatenate(features), np.concatenate(ratios), np.concatenate(weights))


def scale_smoothed(
    windows: Windows,
    smoothing: Smoothing,
    factor: Callable[[np.ndarray], np.ndarray],
    depth: float,
) -> np.ndarray:
    """Return the smoothed bulk times a factor of each pixel's features, and ``depth``.

    Parameters
    ----------
    factor : function
        Takes features (pixels, features) and returns (pixels,).

    Returns
    -------
    numpy.ndarray, shape (n, bins, bins), float32
        Symmetric; masked bins are 0.
    """
    out = np.zeros(windows.bulk.shape, dtype=np.float32)
    rows, columns = upper(windows.bulk.shape[-1])
    for alike in rows_of_one_bulk(windows):
        smoothed = SmoothedBulk.of(windows[alike[0]], smoothing)
        smooth = (smoothed.contacts * smoothing.unit)[rows, columns]
        for i, signals in zip(alike, bin_signals(windows, alike), strict=True):
            scaled = smooth * factor(pixel_features(signals, smoothed)) * depth
            out[i, rows, columns] = out[i, columns, rows] = scaled
    return out
