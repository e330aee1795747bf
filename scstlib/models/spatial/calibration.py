"""What windows with targets tell an ensemble that has not seen them: weights, and true errors.

Targets are counts, so that their own noise is known and is taken out of the errors: of a pixel it
is its expected count; of any other summary it shows between two random halves of the counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from scstlib.models.shares import TINY, best_shares
from scstlib.models.spatial.protocol import SpatialModel, groups_of
from scstlib.preprocess.expected import distance_means
from scstlib.preprocess.windows import Windows, join_windows

#: Takes contacts (n, bins, bins), NaN in masked bins, and their windows; returns numbers (n, ...).
Summary = Callable[[np.ndarray, Windows], Any]

FEW = 100  # Pixels, too few for a quantile.
SPREAD = 0.05  # Variance of a factor that is not counting noise, as regressions on pixels have it.


@dataclass(frozen=True)
class Validation:
    """Windows that no member has seen, and what the members predict there.

    Attributes
    ----------
    windows : Windows
        With targets, counts.
    predictions : numpy.ndarray, shape (members, n, bins, bins)
        At depth 1.
    """

    windows: Windows
    predictions: np.ndarray

    @classmethod
    def by_type(
        cls, fit: Callable[[Windows], list[SpatialModel]], windows: Windows, validation: Windows
    ) -> Validation:
        """Each cell type predicted by members that ``fit`` returns for windows of the others.

        A type whose maps alone are the bulk is left aside: its map is known.

        Raises
        ------
        ValueError
            If there are no two training types, or none is left to validate.
        """
        learned, table = windows.table["cell_type"], validation.table
        alone = pd.Series([(kind,) for kind in table["cell_type"]], index=table.index)
        new = alone != table.get("bulk_cell_types", "")
        if learned.nunique() < 2:
            raise ValueError(
                "to leave a cell type out takes two training types, not"
                f" {learned.unique().tolist()}: set leave_types_out=False"
            )
        if not new.any():
            raise ValueError(
                "validation windows hold only the type of the bulk,"
                f" {table['cell_type'].unique().tolist()}: add windows of other training types"
            )
        parts = []
        for kind in table["cell_type"][new].unique():
            own = validation[(table["cell_type"] == kind).to_numpy()]
            members = fit(windows[(learned != kind).to_numpy()])
            parts.append(cls(own, predictions_of(members, own)))
        together = np.concatenate([part.predictions for part in parts], axis=1)
        return cls(join_windows([part.windows for part in parts]), together)

    @property
    def counts(self) -> np.ndarray:
        """Targets (n, bins, bins)."""
        assert self.windows.targets is not None
        return self.windows.targets

    def share(self, mean: np.ndarray) -> np.ndarray:
        """How deep the targets are beside a prediction, sample by sample, (n, 1, 1)."""
        group = groups_of(self.windows)
        seen, expected = (np.bincount(group, m.sum(axis=(1, 2))) for m in (self.counts, mean))
        found: np.ndarray = (seen / expected)[group, None, None]
        return found

    def weights(self) -> np.ndarray:
        """Weights (members,) with the smallest error of their mean, drawn to equal ones.

        A pixel counts as one over the variance that a count has, with ``SPREAD`` beside it.
        """
        n_members = len(self.predictions)
        mean = np.mean(self.predictions, axis=0)
        share, usable = self.share(mean), usable_pixels(self.windows)
        expected = np.where(usable, share * mean, 0)
        usable &= expected > 0
        weight = np.sqrt(1 / (expected + SPREAD * expected**2)[usable])
        off = [(share * each - self.counts)[usable] * weight for each in self.predictions]
        errors = np.array([[a @ b for b in off] for a in off])
        noise = (weight**2) @ expected[usable]  # The same in all entries, as weights sum to 1.
        best = max(float(np.diag(errors).min() - noise), 0.02 * float(np.diag(errors).mean()), TINY)
        equal = np.full(n_members, 1 / n_members)
        return best_shares(np.zeros(n_members), (noise - errors) / best, equal)

    def errors_by_distance(
        self, mean: np.ndarray, spread: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what the spread of pixels is too small by, and their relative error, both (bins,).

        Both are by distance; the relative error is the root mean square over pixels.
        """
        # As deep as the targets, sample by sample: their depth is not what is uncertain.
        share = self.share(mean)
        excess = (self.counts - share * mean) ** 2 - share * mean
        # Relative to the mean, so that no place counts for more than another.
        scale = np.where(mean > 0, share * mean, 1) ** 2
        usable, mask = usable_pixels(self.windows), self.windows.mask
        excess, squared = (
            distance_means(np.where(usable, m / scale, np.nan), mask)
            for m in (excess, (share * spread) ** 2)
        )
        pooled = [
            (np.nansum(excess[near]), np.nansum(squared[near]))
            for near in (slice(max(0, d - 1 - d // 5), d + 2 + d // 5) for d in range(len(excess)))
        ]
        factor = np.array([np.sqrt(max(e, 0) / s) if s > 0 else 1.0 for e, s in pooled])
        return factor, factor * np.sqrt(np.nan_to_num(squared))

    def reach_of_pixels(self, mean: np.ndarray, deviation: np.ndarray, level: float) -> float:
        """Return how many deviations an interval of a pixel reaches to either side.

        It is the quantile of errors where these exceed counting noise, whose shape is another; with
        fewer than ``FEW`` such pixels, that of a normal distribution.
        """
        from scipy.stats import norm

        share = self.share(mean)
        error, noise = (share * deviation) ** 2, share * mean
        clear = usable_pixels(self.windows) & (error > noise) & (mean > 0)
        if clear.sum() < FEW:
            return float(norm.ppf((1 + level) / 2))
        off = np.abs(self.counts - share * mean)[clear] / np.sqrt(error + noise)[clear]
        return float(np.quantile(off, level))

    def deviation_of(
        self, summary: Summary, mean: np.ndarray, centre: np.ndarray, spread: np.ndarray
    ) -> Deviation:
        """Return how errors of a summary grow with the spread of the members.

        Parameters
        ----------
        summary : function
        mean : numpy.ndarray, shape (n, bins, bins)
            Predicted contacts.
        centre, spread : numpy.ndarray, shapes (n, ...)
            Of the summary, as predicted.
        """
        from scipy.optimize import nnls

        share = self.share(mean)
        half = _half(self.counts, np.random.default_rng(0))
        measured, first, second = (
            summarise(summary, m / share, self.windows)
            for m in (self.counts, 2 * half, 2 * (self.counts - half))
        )
        # The summaries of two halves of independent counts differ by twice the noise of the whole.
        off, noise, squared = (measured - centre) ** 2, (first - second) ** 2 / 4, spread**2
        known = np.isfinite(off + noise + squared)
        off, noise, squared = off[known], noise[known].mean(), squared[known]
        scale = squared.mean() or 1.0
        shown = np.stack([np.ones(len(off)), squared / scale], axis=1)
        constant, slope = nnls(shown, off - noise)[0]
        return Deviation(
            constant, slope / scale, np.sqrt(off / (shown @ (constant, slope) + noise))
        )


@dataclass(frozen=True)
class Deviation:
    """Errors of a summary: their variance is ``constant + slope * spread**2``.

    Attributes
    ----------
    constant, slope : float
    errors : numpy.ndarray, shape (n,)
        In units of the root of that variance and of the noise of the targets, without sign.
    """

    constant: float
    slope: float
    errors: np.ndarray

    def half_width(self, spread: np.ndarray, level: float) -> np.ndarray:
        """Half of an interval that holds the truth with a chance of ``level``."""
        reach = np.quantile(self.errors, level)
        half: np.ndarray = reach * np.sqrt(self.constant + self.slope * spread**2)
        return half


def predictions_of(
    members: Sequence[SpatialModel], windows: Windows, depth: float = 1.0
) -> np.ndarray:
    """Return the predictions of fitted models, (members, n, bins, bins)."""
    return np.stack([member.predict(windows, depth) for member in members])


def summarise(summary: Summary, contacts: np.ndarray, windows: Windows) -> np.ndarray:
    """Return the summary of contacts, NaN in masked bins."""
    shown = np.where(usable_pixels(windows), contacts, np.nan).astype(float)
    found = np.asarray(summary(shown, windows), dtype=float)
    if found.ndim == 0 or len(found) != len(windows):
        raise ValueError(
            f"a summary returns one row a window, here {len(windows)}, not an array of shape"
            f" {found.shape}"
        )
    return found


def spread_about(centre: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the root mean square difference (...) of values (members, ...) from a centre (...)."""
    spread: np.ndarray = np.sqrt(((values - centre) ** 2).sum(axis=0) / (len(values) - 1))
    return spread


def by_distance(values: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Return values (distances,) at the pixels of maps, (bins, bins); beyond the last, the last."""
    bins = maps.shape[-1]
    distance = np.abs(np.subtract.outer(np.arange(bins), np.arange(bins)))
    placed: np.ndarray = values[np.minimum(distance, len(values) - 1)]
    return placed


def usable_pixels(windows: Windows) -> np.ndarray:
    """Pixels (n, bins, bins) of which no bin is masked."""
    usable: np.ndarray = windows.mask[:, :, None] & windows.mask[:, None, :]
    return usable


def _half(counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each count of symmetric maps (n, bins, bins) with a chance of one half."""
    upper = np.triu(rng.binomial(np.rint(counts).astype(np.int64), 0.5))
    half: np.ndarray = upper + np.swapaxes(np.triu(upper, 1), 1, 2)
    return half
