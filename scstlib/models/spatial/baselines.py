"""What every spatial model is compared with: the bulk map, smoothed, and the mean of other types.

All of them meet the protocol of :mod:`scstlib.models.spatial.protocol`.
"""

from __future__ import annotations

from typing import Self

import numpy as np

from scstlib.leakage import record_fit
from scstlib.models.settings import (
    all_or_nothing,
    check_not_negative,
    check_whole,
    explain_arguments,
)
from scstlib.models.spatial.pixels import (
    Smoothing,
    sample_pixels,
    scale_smoothed,
)
from scstlib.models.spatial.protocol import (
    check_fitted,
    check_prediction,
    check_training,
    check_windows,
    depths_of,
    in_contacts,
)
from scstlib.preprocess.contacts import contact_unit
from scstlib.preprocess.windows import Windows


class BulkCopy:
    """The bulk map as it is, for every cell type. Learns nothing, so ``fit`` may be left out."""

    def fit(self, windows: Windows) -> Self:
        """Only check the windows."""
        check_windows(windows)
        record_fit(self)
        return self

    def predict(self, windows: Windows, depth: float = 1.0) -> np.ndarray:
        """Return the bulk maps times ``depth``, (n, bins, bins), float32."""
        check_prediction(windows, depth)
        return (windows.bulk * np.float32(depth)).astype(np.float32, copy=False)


class BulkSmoothed:
    """The bulk map, smoothed over neighbouring pixels by a width that suits the training targets.

    Parameters
    ----------
    widths : tuple of float
        Candidates in bins; that with the smallest squared error on the training targets is taken.
    """

    @explain_arguments
    def __init__(self, widths: tuple[float, ...] = (0.3, 0.4, 0.5, 0.6, 0.8)) -> None:
        self.widths = widths

    def fit(self, windows: Windows) -> Self:
        """Choose the width on windows with targets."""
        check_training(windows)
        self.smoothing_ = Smoothing.chosen(windows, self.widths)
        self.bin_size_ = windows.bin_size
        record_fit(self, windows)
        return self

    def predict(self, windows: Windows, depth: float = 1.0) -> np.ndarray:
        """Return the smoothed bulk maps times ``depth``, (n, bins, bins), float32."""
        check_fitted(self, "smoothing_")
        check_prediction(windows, depth, bin_size=self.bin_size_)
        return (self.smoothing_(windows) * depth).astype(np.float32)


class MeanOfTypes:
    """The mean target of the other cell types at the same place.

    It needs their maps where it predicts, which no model of this protocol may see: a row of a
    table that says what knowing them is worth, not a competitor. ``fit`` takes windows with
    targets of at least two cell types that cover the places of ``predict``; a cell type's own
    targets are left out of its mean. The leak guard refuses to evaluate it, and
    :func:`scstlib.models.spatial.comparison.score_windows` takes it among ``references``.
    """

    @all_or_nothing
    def fit(self, windows: Windows) -> Self:
        """Keep the targets of these windows, each sample scaled to the depth of its bulk maps."""
        check_training(windows)
        unit = contact_unit(windows.bulk)
        scale = (unit / depths_of(windows)).astype(np.float32)
        self.targets_ = in_contacts(windows.targets) * scale[:, None, None]
        self.bin_size_ = windows.bin_size
        self._places = _places(windows)
        self._types = windows.table["cell_type"].to_numpy()
        record_fit(self, windows)
        return self

    def predict(self, windows: Windows, depth: float = 1.0) -> np.ndarray:
        """Return the mean over the fitted cell types other than that of each window.

        Raises
        ------
        ValueError
            If a window lies where no other cell type was given to ``fit``.
        """
        check_fitted(self, "targets_")
        check_prediction(windows, depth, bin_size=self.bin_size_)
        out = np.empty(windows.bulk.shape, dtype=np.float32)
        types = windows.table["cell_type"].to_numpy()
        for i, (place, kind) in enumerate(zip(_places(windows), types, strict=True)):
            others = [
                row
                for row, known in enumerate(self._places)
                if known == place and self._types[row] != kind
            ]
            if not others:
                raise ValueError(
                    f"no other cell type than {kind} was fitted at {place[0]}:{place[1]}: fit on"
                    " windows with targets at the places that are predicted."
                )
            out[i] = self.targets_[others].mean(axis=0) * depth
        out *= windows.mask[:, :, None] & windows.mask[:, None, :]
        return out


class BulkRidge:
    """Smoothed bulk times a factor that is linear in the features of a pixel.

    Weighted ridge regression of observed over smoothed bulk contacts, the bulk brought to the depth
    of each target's sample; the weight of a pixel is one
    over the variance of a Poisson count with ``spread`` beside it.

    Parameters
    ----------
    strength : float
        Of the penalty, for standardised features and mean weight 1.
    n_pixels : int
        Training pixels, drawn at random.
    spread : float
        Variance of the factor that is not counting noise.
    seed : int
        Draws the pixels.
    """

    @explain_arguments
    def __init__(
        self, strength: float = 1e-3, n_pixels: int = 200_000, spread: float = 0.05, seed: int = 0
    ) -> None:
        given = {"strength": strength, "n_pixels": n_pixels, "spread": spread}
        check_whole(given, "n_pixels")
        check_not_negative(given, "strength", "spread")
        self.strength, self.n_pixels, self.spread, self.seed = strength, n_pixels, spread, seed

    @all_or_nothing
    def fit(self, windows: Windows) -> Self:
        """Learn the coefficients on windows with targets."""
        check_training(windows)
        self.smoothing_ = Smoothing.chosen(windows)
        self.track_names_, self.bin_size_ = windows.track_names, windows.bin_size
        pixels = sample_pixels(windows, self.smoothing_, self.n_pixels, self.seed, self.spread)
        self.mean_ = pixels.features.mean(axis=0)
        scale = pixels.features.std(axis=0)
        self.scale_ = np.where(scale > 0, scale, 1.0)
        x = self._standardised(pixels.features)
        weight = (pixels.weight / pixels.weight.mean())[:, None]
        gram = x.T @ (weight * x) / len(x) + self.strength * np.eye(x.shape[1])
        self.coefficients_ = np.linalg.solve(gram, x.T @ (weight[:, 0] * pixels.ratio) / len(x))
        record_fit(self, windows)
        return self

    def predict(self, windows: Windows, depth: float = 1.0) -> np.ndarray:
        """Return expected contacts (n, bins, bins), float32, symmetric; masked bins are 0."""
        check_fitted(self, "coefficients_")
        check_prediction(windows, depth, bin_size=self.bin_size_, track_names=self.track_names_)
        return scale_smoothed(windows, self.smoothing_, self._factor, depth)

    def _factor(self, features: np.ndarray) -> np.ndarray:
        ratio: np.ndarray = np.clip(self._standardised(features) @ self.coefficients_, 0.1, 10.0)
        return ratio

    def _standardised(self, features: np.ndarray) -> np.ndarray:
        scaled = (features - self.mean_) / self.scale_
        return np.concatenate([np.ones((len(scaled), 1)), scaled], axis=1)


def _places(windows: Windows) -> list[tuple[str, int]]:
    return list(zip(windows.table["chrom"], windows.table["start"], strict=True))
