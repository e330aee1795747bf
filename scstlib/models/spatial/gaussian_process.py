"""A Gaussian process on how the contacts of a pixel differ from its bulk, and how sure it is."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Self

import numpy as np

from scstlib.leakage import record_fit
from scstlib.models.settings import all_or_nothing, check_whole, explain_arguments
from scstlib.models.spatial.pixels import Smoothing, sample_pixels, scale_smoothed
from scstlib.models.spatial.protocol import check_fitted, check_prediction, check_training
from scstlib.preprocess.windows import Windows

if TYPE_CHECKING:
    from scstlib.models.spatial.pixels import Pixels

#: Pixels from which the kernel is learned by an exact process.
MOST_EXACT = 500
#: Pixels whose covariances are held in memory at once.
AT_ONCE = 8_192
#: A factor below this would make contacts negative, or nearly so.
LEAST_FACTOR = 0.1
#: Variance of the contrast that is taken for sure beside counting noise when pixels are weighed.
SPREAD = 0.05


class ContactGaussianProcess:
    """Smoothed bulk times one plus a Gaussian process over the features of a pixel.

    The process is zero on average: where nothing like a pixel was seen in training, the smoothed
    bulk is predicted, and the standard deviation is that of the prior. Its kernel is squared
    exponential, with one length scale for the standardised features of
    :func:`scstlib.models.spatial.pixels.pixel_features`, distance among them. The noise of a
    training pixel is known but for a constant: one over the contacts expected of it, the bulk at
    the depth of its target's sample.

    An exact process (scikit-learn's ``GaussianProcessRegressor``) of n pixels needs memory as n²
    and time as n³: its matrix takes 0.8 GB at 10,000 pixels and is factorised at each step of
    learning the kernel; a single window of 128 bins has 8,256. So only the kernel is learned that
    way, from 500 pixels, drawn the likelier, the more contacts are expected. The rest is the
    projected process of m inducing pixels (Rasmussen and Williams 2006, section 8.3.4,
    http://gaussianprocess.org/gpml/), which costs n m² once, m for the mean of a pixel and m² for
    its variance. A subset of regressors, which scikit-learn's ``Nystroem`` with ``BayesianRidge``
    amounts to, has the same mean, but its variance vanishes far from the inducing pixels.

    Parameters
    ----------
    n_pixels : int
        Training pixels, drawn at random.
    n_inducing : int
        Of these, the pixels that carry the process.
    seed : int
        Draws the pixels.

    Attributes
    ----------
    variance_, length_scale_, nugget_ : float
        Of the contrast to the bulk: its variance before anything is seen; the distance, in
        standard deviations of the features, beyond which pixels tell little of each other; its
        noise beside that of counting.
    unexplained_ : numpy.ndarray (bins,)
        Variance, at each distance, of the true contrast around the process.

    Examples
    --------
    >>> from scstlib.datasets import simulate_organism
    >>> from scstlib.preprocess.organism_windows import organism_windows
    >>> from scstlib.splits import hold_out_chromosomes
    >>> organism = simulate_organism(preset="tiny")
    >>> kinds, chromosomes = ["stem", "beta_mature"], organism.chromosomes[:2]
    >>> windows, _ = organism_windows(organism, kinds, chromosomes, window=32)
    >>> split = hold_out_chromosomes(windows, chromosomes[1])
    >>> model = ContactGaussianProcess(n_pixels=2_000, n_inducing=50).fit(split.train)
    >>> contacts, deviation = model.predict(split.test), model.predict_std(split.test)
    >>> bool((deviation[contacts > 0] > 0).all())
    True
    """

    @explain_arguments
    def __init__(self, n_pixels: int = 50_000, n_inducing: int = 400, seed: int = 0) -> None:
        check_whole({"n_pixels": n_pixels, "n_inducing": n_inducing}, "n_pixels", "n_inducing")
        self.n_pixels, self.n_inducing, self.seed = n_pixels, n_inducing, seed

    @all_or_nothing
    def fit(self, windows: Windows) -> Self:
        """Learn kernel and process on windows with targets."""
        check_training(windows)
        self.smoothing_ = Smoothing.chosen(windows)
        self.track_names_, self.bin_size_ = windows.track_names, windows.bin_size
        # With no spread, the weight of a pixel is the number of contacts expected of it.
        pixels = sample_pixels(windows, self.smoothing_, self.n_pixels, self.seed, spread=0.0)
        self.mean_, scale = pixels.features.mean(axis=0), pixels.features.std(axis=0)
        self.scale_ = np.where(scale > 0, scale, 1.0)
        x, contrast = self._standardised(pixels.features), pixels.ratio - 1
        rng = np.random.default_rng(self.seed)
        self._learn_kernel(x, contrast, pixels.weight, rng)
        self.inducing_ = x[rng.choice(len(x), min(self.n_inducing, len(x)), replace=False)]
        precision = 1 / (1 / pixels.weight + self.nugget_)
        self._learn_process(x, contrast, precision)
        self.unexplained_ = self._unexplained(x, pixels, windows.bulk.shape[-1])
        record_fit(self, windows)
        return self

    def predict(self, windows: Windows, depth: float = 1.0) -> np.ndarray:
        """Return expected contacts (n, bins, bins), float32, symmetric; masked bins are 0."""
        check_fitted(self, "unexplained_")
        check_prediction(windows, depth, bin_size=self.bin_size_, track_names=self.track_names_)
        return scale_smoothed(windows, self.smoothing_, self._factor, depth)

    def predict_std(self, windows: Windows, depth: float = 1.0) -> np.ndarray:
        """Return the standard deviation (n, bins, bins) of :meth:`predict`, in contacts.

        It is that of the expected contacts: what the process does not know, and what the features
        of a pixel do not tell. Counts vary more: add the mean for their variance.
        """
        check_fitted(self, "unexplained_")
        check_prediction(windows, depth, bin_size=self.bin_size_, track_names=self.track_names_)
        return scale_smoothed(windows, self.smoothing_, self._deviation, depth)

    def _learn_kernel(
        self, x: np.ndarray, contrast: np.ndarray, expected: np.ndarray, rng: np.random.Generator
    ) -> None:
        """Find the kernel and noise under which some pixels are most likely."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

        # A pixel with few contacts says little, and its count is far from normal.
        likely = expected / (1 + expected)
        some = rng.choice(len(x), min(MOST_EXACT, len(x)), replace=False, p=likely / likely.sum())
        typical = np.sqrt(x.shape[1])
        signal = ConstantKernel(0.1, (1e-4, 10.0)) * RBF(typical, (typical / 10, 30 * typical))
        noise = WhiteKernel(0.02, (1e-5, 1.0))
        exact = GaussianProcessRegressor(signal + noise, alpha=1 / expected[some], random_state=0)
        with warnings.catch_warnings():
            # A bound is reached where the features tell nothing, and is there for that.
            warnings.simplefilter("ignore", ConvergenceWarning)
            found = exact.fit(x[some], contrast[some]).kernel_
        self.variance_ = float(found.k1.k1.constant_value)
        self.length_scale_ = float(found.k1.k2.length_scale)
        self.nugget_ = float(found.k2.noise_level)

    def _learn_process(self, x: np.ndarray, contrast: np.ndarray, precision: np.ndarray) -> None:
        """Find the weights of the inducing pixels, and by how much they lower the variance."""
        from scipy.linalg import cho_factor, cho_solve

        prior = self._covariance(self.inducing_)
        prior[np.diag_indices_from(prior)] += 1e-6 * self.variance_
        posterior, pull = prior.copy(), np.zeros(len(prior))
        for part in _parts(len(x)):
            between = self._covariance(x[part])
            posterior += between.T @ (precision[part, None] * between)
            pull += between.T @ (precision[part] * contrast[part])
        factors = cho_factor(prior), cho_factor(posterior)
        self.weights_ = cho_solve(factors[1], pull)
        before, after = (cho_solve(factor, np.eye(len(prior))) for factor in factors)
        self.known_ = before - after

    def _unexplained(self, x: np.ndarray, pixels: Pixels, bins: int) -> np.ndarray:
        """Squared residuals at each distance, less counting noise and doubt of the process."""
        mean = np.concatenate([self._covariance(x[p]) @ self.weights_ for p in _parts(len(x))])
        excess = (pixels.ratio - 1 - mean) ** 2 - 1 / pixels.weight - self._variance(x)
        trust = 1 / (1 / pixels.weight + SPREAD) ** 2
        distance = pixels.features[:, 0].astype(int)
        total = np.bincount(distance, trust * excess, bins)
        weight = np.bincount(distance, trust, bins)
        near = (slice(max(0, d - 1 - d // 5), d + 2 + d // 5) for d in range(bins))
        pooled = [(total[each].sum(), weight[each].sum()) for each in near]
        return np.array([max(t, 0) / w if w > 0 else 0.0 for t, w in pooled])

    def _factor(self, features: np.ndarray) -> np.ndarray:
        contrast = self._covariance(self._standardised(features)) @ self.weights_
        factor: np.ndarray = np.maximum(1 + contrast, LEAST_FACTOR)
        return factor

    def _deviation(self, features: np.ndarray) -> np.ndarray:
        """Of the factor, (pixels,)."""
        rest = self.unexplained_[features[:, 0].astype(int)]
        deviation: np.ndarray = np.sqrt(self._variance(self._standardised(features)) + rest)
        return deviation

    def _variance(self, x: np.ndarray) -> np.ndarray:
        """Variance of the process itself, (pixels,)."""
        found = np.empty(len(x))
        for part in _parts(len(x)):
            between = self._covariance(x[part])
            left = self.variance_ - ((between @ self.known_) * between).sum(axis=1)
            found[part] = np.maximum(left, 0)
        return found

    def _covariance(self, x: np.ndarray) -> np.ndarray:
        """Of pixels with the inducing ones, (pixels, n_inducing)."""
        u = self.inducing_
        squared = (x**2).sum(axis=1)[:, None] + (u**2).sum(axis=1) - 2 * x @ u.T
        scaled = -np.maximum(squared, 0) / (2 * self.length_scale_**2)
        found: np.ndarray = self.variance_ * np.exp(scaled)
        return found

    def _standardised(self, features: np.ndarray) -> np.ndarray:
        standardised: np.ndarray = (features.astype(float) - self.mean_) / self.scale_
        return standardised


def _parts(n: int) -> Iterator[slice]:
    """So many samples, in parts that fit into memory."""
    return (slice(start, start + AT_ONCE) for start in range(0, n, AT_ONCE))
