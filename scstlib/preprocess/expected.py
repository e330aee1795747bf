"""Expected contacts at each distance, learned on training windows, and observed over expected.

For whole chromosomes of a cooler use ``cooltools.expected_cis``.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from scstlib.leakage import record_fit
from scstlib.preprocess.windows import Windows


def distance_means(maps: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Mean contact at each distance over all maps, (bins,); NaN where no pixel can be used.

    Parameters
    ----------
    maps
        (n, bins, bins); NaN pixels are left out.
    mask
        (n, bins), True for usable bins; default all.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.preprocess.contacts import distance_means
    >>> distance_means(np.array([[[4.0, 1.0], [1.0, 2.0]]])).tolist()
    [3.0, 1.0]
    """
    n, bins = maps.shape[0], maps.shape[-1]
    mask = np.ones((n, bins), dtype=bool) if mask is None else mask
    sums, pixels = np.zeros(bins), np.zeros(bins)
    for d in range(bins):
        diagonal = np.diagonal(maps, d, axis1=-2, axis2=-1)
        usable = mask[:, : bins - d] & mask[:, d:] & ~np.isnan(diagonal)
        sums[d] = diagonal[usable].sum(dtype=float)
        pixels[d] = usable.sum()
    means: np.ndarray = np.divide(sums, pixels, out=np.full(bins, np.nan), where=pixels > 0)
    return means


class DistanceMeans(TransformerMixin, BaseEstimator):
    """Observed over expected, with the means per distance learned on training windows only.

    Parameters
    ----------
    of
        ``"bulk"`` or ``"targets"``: the maps that are learned from and divided.

    Attributes
    ----------
    means_
        (bins,), mean contact at each distance in bins; NaN where training had none.
    fitted_on_
        What the means were learned from, for the leak guard.
    """

    def __init__(self, of: str = "targets") -> None:
        self.of = of

    def fit(self, windows: Windows, y: None = None) -> DistanceMeans:
        """Learn the means; masked bins are left out.

        Raises
        ------
        ValueError
            If ``of`` is another word, or the windows have no targets.
        """
        self.means_ = distance_means(self._maps(windows), windows.mask)
        record_fit(self, windows)
        return self

    def expected(self, bins: int | None = None) -> np.ndarray:
        """(bins, bins) map of the learned means; 0 where unknown.

        Raises
        ------
        ValueError
            If more bins are asked for than the training windows had.
        """
        bins = len(self.means_) if bins is None else bins
        if bins > len(self.means_):
            raise ValueError(
                f"learned on windows of {len(self.means_)} bins, asked for {bins}: fit on windows"
                " at least as wide"
            )
        distance = np.abs(np.subtract.outer(np.arange(bins), np.arange(bins)))
        expected: np.ndarray = np.nan_to_num(self.means_)[distance]
        return expected

    def transform(self, windows: Windows) -> Windows:
        """Windows whose maps are divided by the means; 0 where the mean is 0 or unknown."""
        maps = self._maps(windows)
        expected = self.expected(maps.shape[-1])
        ratio = np.divide(maps, expected, out=np.zeros(maps.shape), where=expected > 0)
        return replace(windows, **{self.of: ratio.astype(maps.dtype)})

    def _maps(self, windows: Windows) -> np.ndarray:
        if self.of not in ("bulk", "targets"):
            raise ValueError(f"unknown maps {self.of!r}: choose 'bulk' or 'targets'")
        maps: np.ndarray | None = getattr(windows, self.of)
        if maps is None:
            raise ValueError("these windows have no targets: use of='bulk'")
        return maps
