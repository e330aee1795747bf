"""Boosted trees or a forest on the features of single pixels: the baseline that is hard to beat."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from scstlib.leakage import record_fit
from scstlib.models.settings import (
    all_or_nothing,
    check_choices,
    check_not_negative,
    check_positive,
    check_whole,
    explain_arguments,
)
from scstlib.models.spatial.pixels import Smoothing, sample_pixels, scale_smoothed
from scstlib.models.spatial.protocol import check_fitted, check_prediction, check_training
from scstlib.preprocess.windows import Windows

#: Classes into which scikit-learn's trees sort the values of a feature.
MOST_CLASSES = 255
#: From more samples than this, scikit-learn draws some for its classes, quickly enough.
MOST_WEIGHTED = 200_000


class ContactTrees:
    """Smoothed bulk times a factor that trees predict from the features of a pixel.

    The factor is the count of the target over the smoothed bulk at the depth of the target's
    sample, so that deep and shallow cell types have the same factors; a pixel's weight stops
    growing where ``spread`` exceeds its counting noise. Features:
    :func:`scstlib.models.spatial.pixels.pixel_features`.

    Boosting adds one small tree after the other, each fitted to what the others leave, and
    maximises the Poisson likelihood of the counts (Friedman 2001,
    https://doi.org/10.1214/aos/1013203451). A forest is the mean of deep trees, each grown on a
    random draw of the pixels with a random tenth of the features at each branch, by squared error
    (Breiman 2001, https://doi.org/10.1023/A:1010933404324). For features beyond those of training
    both predict what they do at the outermost one.

    Parameters
    ----------
    kind : "boosting" or "forest"
    n_pixels : int
        Training pixels, drawn at random.
    spread : float
        Variance of the factor that is not counting noise.
    max_iter, max_leaf_nodes, min_samples_leaf : int
    learning_rate, l2_regularization : float
        Of boosting alone, by scikit-learn's ``HistGradientBoostingRegressor``.
    n_trees, min_leaf, n_drawn : int
        Of the forest alone: trees, pixels in a leaf, at least, and pixels drawn for each tree (all
        where there are no more).
    seed : int
        Draws the pixels and the trees.

    Raises
    ------
    ValueError
        For an unknown kind, or a number out of range.

    Examples
    --------
    >>> from scstlib.models.spatial import ContactTrees
    >>> ContactTrees("forest", n_trees=20).kind
    'forest'
    """

    @explain_arguments
    def __init__(
        self,
        kind: str = "boosting",
        n_pixels: int = 300_000,
        spread: float = 0.05,
        max_iter: int = 200,
        learning_rate: float = 0.08,
        max_leaf_nodes: int = 31,
        min_samples_leaf: int = 200,
        l2_regularization: float = 1.0,
        n_trees: int = 100,
        min_leaf: int = 50,
        n_drawn: int = 20_000,
        seed: int = 0,
    ) -> None:
        check_choices({"kind": kind}, {"kind": ("boosting", "forest")})
        self.kind = kind
        self.n_pixels, self.spread, self.seed = n_pixels, spread, seed
        self.max_iter, self.learning_rate = max_iter, learning_rate
        self.max_leaf_nodes, self.min_samples_leaf = max_leaf_nodes, min_samples_leaf
        self.l2_regularization = l2_regularization
        self.n_trees, self.min_leaf, self.n_drawn = n_trees, min_leaf, n_drawn
        given = vars(self)
        check_whole(given, "n_pixels", "max_iter", "min_samples_leaf")
        check_whole(given, "n_trees", "min_leaf", "n_drawn")
        check_whole(given, "max_leaf_nodes", least=2)
        check_positive(given, "learning_rate")
        check_not_negative(given, "spread", "l2_regularization")

    @all_or_nothing
    def fit(self, windows: Windows) -> Self:
        """Learn the trees on windows with targets."""
        check_training(windows)
        self.smoothing_ = Smoothing.chosen(windows)
        self.track_names_, self.bin_size_ = windows.track_names, windows.bin_size
        pixels = sample_pixels(windows, self.smoothing_, self.n_pixels, self.seed, self.spread)
        by_value = self.kind == "forest" or len(pixels.ratio) > MOST_WEIGHTED
        self.cuts_ = None if by_value else weighted_cuts(pixels.features, pixels.weight)
        self.trees_ = self._unfitted(len(pixels.ratio)).fit(
            self._in_classes(pixels.features), pixels.ratio, sample_weight=pixels.weight
        )
        record_fit(self, windows)
        return self

    def _unfitted(self, n_pixels: int) -> Any:
        """Trees of scikit-learn, to be grown on so many pixels."""
        from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor

        if self.kind == "forest":
            return RandomForestRegressor(
                self.n_trees,
                min_samples_leaf=self.min_leaf,
                max_features=0.1,
                max_samples=min(self.n_drawn, n_pixels),
                random_state=self.seed,
            )
        return HistGradientBoostingRegressor(
            loss="poisson",
            max_iter=self.max_iter,
            learning_rate=self.learning_rate,
            max_leaf_nodes=self.max_leaf_nodes,
            min_samples_leaf=self.min_samples_leaf,
            l2_regularization=self.l2_regularization,
            early_stopping=False,
            random_state=self.seed,
        )

    def predict(self, windows: Windows, depth: float = 1.0) -> np.ndarray:
        """Return expected contacts (n, bins, bins), float32, symmetric; masked bins are 0."""
        check_fitted(self, "trees_")
        check_prediction(windows, depth, bin_size=self.bin_size_, track_names=self.track_names_)
        return scale_smoothed(windows, self.smoothing_, self._factor, depth)

    def _factor(self, features: np.ndarray) -> np.ndarray:
        factor: np.ndarray = self.trees_.predict(self._in_classes(features))
        return factor

    def _in_classes(self, features: np.ndarray) -> np.ndarray:
        return features if self.cuts_ is None else value_classes(features, self.cuts_)


def weighted_cuts(
    features: np.ndarray, weight: np.ndarray, n_classes: int = MOST_CLASSES
) -> list[np.ndarray]:
    """Values that cut each feature into classes of equal weight.

    They are those that ``HistGradientBoostingRegressor`` of scikit-learn 1.9 finds, which sorts
    each feature anew for each of its 254 weighted quantiles: six times the cost of growing fifty
    trees. Here each feature is sorted once.

    Parameters
    ----------
    features
        (samples, features), finite.
    weight
        (samples,), positive.
    n_classes
        At most so many; with no more different values than that, each is a class.

    Returns
    -------
    list of numpy.ndarray
        For each feature its cuts, float64, increasing, at most ``n_classes`` - 1; none for a
        constant. The class of a value is the number of cuts below it.

    Raises
    ------
    ValueError
        If `weight` has another length or is not positive, or a feature is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.models.spatial.trees import weighted_cuts
    >>> weighted_cuts(np.array([[1.0], [2.0], [4.0]]), np.ones(3))
    [array([1.5, 3. ])]
    """
    if len(weight) != len(features) or not (weight > 0).all():
        raise ValueError(f"{len(features)} samples need as many positive weights")
    if not np.isfinite(features).all():
        raise ValueError("a feature is not finite")
    return [_cuts(values, weight, n_classes) for values in features.T.astype(float)]


def _cuts(values: np.ndarray, weight: np.ndarray, n_classes: int) -> np.ndarray:
    """Of one feature: halfway between the values if they are few, else at weighted quantiles."""
    order = np.argsort(values, kind="stable")
    values = values[order]
    different = np.unique(values)
    if len(different) <= n_classes:
        halfway: np.ndarray = (different[1:] + different[:-1]) / 2
        return halfway
    below = np.cumsum(weight[order])
    ranks = np.linspace(0, 100, n_classes + 1)[1:-1] / 100 * below[-1]
    at = np.minimum(np.searchsorted(below, ranks), len(values) - 1)
    after = np.minimum(at + 1, len(values) - 1)
    between = below[at] - ranks <= np.finfo(float).eps
    return np.unique(np.where(between, (values[at] + values[after]) / 2, values[at]))


def value_classes(features: np.ndarray, cuts: list[np.ndarray]) -> np.ndarray:
    """Class of each value, (samples, features), float64: the number of cuts below it.

    Parameters
    ----------
    features
        (samples, features).
    cuts
        For each feature, as :func:`weighted_cuts` returns them.
    """
    found = np.empty(features.shape)
    for column, values in enumerate(cuts):
        found[:, column] = np.searchsorted(values, features[:, column].astype(float))
    return found
