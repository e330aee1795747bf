"""Features of single pixels, for regressions that know nothing of maps.

Of a pixel (i, j), i <= j: its bulk contacts and those around it, its distance, and every track at
i, at j and in between, as it is and smoothed along the genome. Expression comes as own, own minus
reference and own minus bulk, in logarithms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scstlib.models.spatial.smoothing import Smoothing, blurred
from scstlib.preprocess.contacts import contact_unit
from scstlib.preprocess.guides import bin_features
from scstlib.preprocess.windows import Windows

MAP_WIDTHS = (1.0, 2.5, 6.0)
TRACK_WIDTHS = (0.0, 1.0, 3.0, 6.0)


@dataclass(frozen=True)
class Pixels:
    """Training pixels.

    Attributes
    ----------
    features
        (pixels, features).
    ratio
        (pixels,), target over smoothed bulk, both at the target's depth.
    weight
        (pixels,), one over the variance of the ratio.
    """

    features: np.ndarray
    ratio: np.ndarray
    weight: np.ndarray


def upper(bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the upper triangle with the diagonal."""
    return np.triu_indices(bins)


def pixel_features(
    window: Windows, smoothing: Smoothing, chosen: np.ndarray | None = None
) -> np.ndarray:
    """Features (pixels, features), float32, of the upper triangle of one window.

    Parameters
    ----------
    chosen
        Which pixels of the upper triangle; default all.
    """
    bins = window.bulk.shape[-1]
    rows, columns = upper(bins)
    if chosen is not None:
        rows, columns = rows[chosen], columns[chosen]
    distance = (columns - rows).astype(float)
    log, base = smoothing.log_over_expected(window)
    smooth = smoothing.contacts(window)[0]
    found = [distance, np.log(base[0, rows, columns] + 1e-3), np.log(smooth[rows, columns] + 1)]
    maps = [log, *(blurred(log, window.mask, width) for width in MAP_WIDTHS)]
    found += [each[0, rows, columns] for each in maps]
    signals = bin_signals(window)
    sums = np.concatenate([np.zeros((1, signals.shape[1])), np.cumsum(signals, axis=0)])
    between = sums[columns + 1] - sums[rows]
    at_ends = signals[rows], signals[columns]
    mean = between / (distance + 1)[:, None]
    parts = [np.stack(found, axis=1), *at_ends, at_ends[0] + at_ends[1], mean, between]
    return np.concatenate(parts, axis=1).astype(np.float32)


def bin_signals(window: Windows) -> np.ndarray:
    """Features of the bins of one window at several widths, (bins, signals)."""
    from scipy.ndimage import gaussian_filter1d

    features, _ = bin_features(window.tracks[0].astype(float), window.track_names, floor=1.0)
    return np.concatenate(
        [
            gaussian_filter1d(features, width, axis=0, mode="nearest") if width else features
            for width in TRACK_WIDTHS
        ],
        axis=1,
    )


def bulk_depth_ratio(windows: Windows) -> float:
    """Contacts of the targets over those of their bulk maps."""
    assert windows.targets is not None
    return float(windows.targets.sum(dtype=float) / windows.bulk.sum(dtype=float))


def sample_pixels(
    windows: Windows, smoothing: Smoothing, n_pixels: int, seed: int, spread: float
) -> Pixels:
    """Draw pixels of usable bins, as many from each window; all if there are fewer.

    The ratio of a Poisson count to its expectation S varies by 1 / S, whatever the unit of the
    maps; ``spread`` is the variance of the true ratio.
    """
    assert windows.targets is not None
    rng = np.random.default_rng(seed)
    rows, columns = upper(windows.bulk.shape[-1])
    share, unit = bulk_depth_ratio(windows), contact_unit(windows.targets)
    each = -(-n_pixels // len(windows))
    features, ratios, weights = [], [], []
    for i in range(len(windows)):
        one = windows[i]
        expected = smoothing(one)[0, rows, columns] * share
        usable = np.flatnonzero(one.mask[0, rows] & one.mask[0, columns] & (expected > 0))
        chosen = rng.choice(usable, min(each, len(usable)), replace=False)
        assert one.targets is not None
        features.append(pixel_features(one, smoothing, chosen))
        ratios.append(one.targets[0, rows[chosen], columns[chosen]] / expected[chosen])
        weights.append(1 / (unit / expected[chosen] + spread))
    return Pixels(np.concatenate(features), np.concatenate(ratios), np.concatenate(weights))
