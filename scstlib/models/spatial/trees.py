"""Gradient boosted trees on the features of single pixels: the baseline that is hard to beat."""

from __future__ import annotations

from typing import Self

import numpy as np

from scstlib.leakage import record_fit
from scstlib.models.settings import all_or_nothing, explain_arguments
from scstlib.models.spatial.pixels import Smoothing, sample_pixels, scale_smoothed
from scstlib.models.spatial.protocol import check_fitted, check_prediction, check_training
from scstlib.preprocess.windows import Windows


class ContactTrees:
    """Smoothed bulk times a factor that boosted trees predict from the features of a pixel.

    The trees maximise the Poisson likelihood of the counts, with the smoothed bulk at the depth
    of the targets as offset; a pixel's weight stops growing where ``spread`` exceeds its counting
    noise. Features: :func:`scstlib.models.spatial.pixels.pixel_features`.

    Parameters
    ----------
    n_pixels : int
        Training pixels, drawn at random.
    spread : float
        Variance of the factor that is not counting noise.
    max_iter, max_leaf_nodes, min_samples_leaf : int
    learning_rate, l2_regularization : float
        Of scikit-learn's ``HistGradientBoostingRegressor``.
    seed : int
        Draws the pixels.
    """

    @explain_arguments
    def __init__(
        self,
        n_pixels: int = 300_000,
        spread: float = 0.05,
        max_iter: int = 200,
        learning_rate: float = 0.08,
        max_leaf_nodes: int = 31,
        min_samples_leaf: int = 200,
        l2_regularization: float = 1.0,
        seed: int = 0,
    ) -> None:
        self.n_pixels, self.spread, self.seed = n_pixels, spread, seed
        self.max_iter, self.learning_rate = max_iter, learning_rate
        self.max_leaf_nodes, self.min_samples_leaf = max_leaf_nodes, min_samples_leaf
        self.l2_regularization = l2_regularization

    @all_or_nothing
    def fit(self, windows: Windows) -> Self:
        """Learn the trees on windows with targets."""
        from sklearn.ensemble import HistGradientBoostingRegressor

        check_training(windows)
        self.smoothing_ = Smoothing.chosen(windows)
        self.track_names_, self.bin_size_ = windows.track_names, windows.bin_size
        pixels = sample_pixels(windows, self.smoothing_, self.n_pixels, self.seed, self.spread)
        self.trees_ = HistGradientBoostingRegressor(
            loss="poisson",
            max_iter=self.max_iter,
            learning_rate=self.learning_rate,
            max_leaf_nodes=self.max_leaf_nodes,
            min_samples_leaf=self.min_samples_leaf,
            l2_regularization=self.l2_regularization,
            early_stopping=False,
            random_state=self.seed,
        ).fit(pixels.features, pixels.ratio, sample_weight=pixels.weight)
        record_fit(self, windows)
        return self

    def predict(self, windows: Windows, depth: float = 1.0) -> np.ndarray:
        """Return expected contacts (n, bins, bins), float32, symmetric; masked bins are 0."""
        check_fitted(self, "trees_")
        check_prediction(windows, depth, bin_size=self.bin_size_, track_names=self.track_names_)
        return scale_smoothed(windows, self.smoothing_, self.trees_.predict, depth)
