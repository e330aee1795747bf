"""The processes, the spread of times and the decoder of a latent Gaussian process."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from scstlib.models.temporal.gaussian_process import Process

FIRST_LAG = 0.1  # Standard deviation of the times of cells before training, in mean intervals.
RIDGE = 0.01  # Added to the variance of each component, in mean variances.


class LatentNetwork(nn.Module):
    """Generates points of cells at any time.

    Parameters
    ----------
    n_times, n_components : int
    hidden : sequence of int

    Attributes
    ----------
    values : Parameter (n_times, n_components * (1 + n_components))
        Of mean and factor at the training times, whitened: standard normal under the prior.
    """

    times: Tensor  # (n_times,) training times in mean intervals from the first.
    clock: Tensor  # (2,) the first training time and the mean interval.
    kernel: Tensor  # (2,) variance and length scale.
    whitening: Tensor  # (n_times, n_times) from whitened values to weights of the kernel.
    centre: Tensor  # (n_components * (1 + n_components),) average of mean and factor over times.
    scale: Tensor  # The same, how far they vary over times.
    spread: Tensor  # Standard deviation of the points.

    def __init__(self, n_times: int, n_components: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.n_components = n_components
        self.values = nn.Parameter(torch.zeros(n_times, n_components * (1 + n_components)))
        self.log_lag = nn.Parameter(torch.tensor(float(np.log(FIRST_LAG))))
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise([n_components, *hidden, n_components]):
            layers += [nn.Linear(n_in, n_out), nn.SiLU()]
        self.decoder = nn.Sequential(*layers[:-1])
        last = self.decoder[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        for name, shape in {
            "times": (n_times,), "clock": (2,), "kernel": (2,), "whitening": (n_times, n_times),
            "centre": self.values.shape[1:], "scale": self.values.shape[1:], "spread": (),
        }.items():  # fmt: skip
            self.register_buffer(name, torch.ones(shape))

    def start(self, process: Process, points: Sequence[np.ndarray]) -> None:
        """Begin at Gaussian populations with mean and covariance of the measured ones, smoothed.

        Parameters
        ----------
        process : Process
            Fitted to the means of the points, (n_times, n_components).
        points : sequence of numpy.ndarray, shapes (n, n_components)
            Of the cells of each training time.
        """
        means, factors = np.array([own.mean(0) for own in points]), gaussian_paths(points)
        both = np.concatenate([means, factors.reshape(len(means), -1)], axis=1)
        spread = float(np.concatenate(points).std(0).mean()) or 1.0
        learned, times = process.kernel.get_params(), process.unit_.X_train_
        kernel = np.array([learned["k1__constant_value"], learned["k2__length_scale"]])
        centre, scale = both.mean(0), np.maximum(both.std(0), 0.01 * spread)
        covariance = process.kernel(times) + process.noise * np.eye(len(means))
        root = np.linalg.cholesky(covariance)
        found = {
            "times": times[:, 0], "clock": np.array([process.first, process.interval]),
            "kernel": kernel, "whitening": np.linalg.inv(root).T, "centre": centre,
            "scale": scale, "spread": np.array(spread),
        }  # fmt: skip
        with torch.no_grad():
            for name, value in found.items():
                getattr(self, name).copy_(torch.as_tensor(value))
            self.values.copy_(torch.as_tensor(np.linalg.solve(root, (both - centre) / scale)))

    def forward(self, times: Tensor, lag: Tensor, own: Tensor) -> Tensor:
        """Return points (..., n_components) of cells.

        Parameters
        ----------
        times : tensor (...)
            Of the data; float64.
        lag, own : tensors (...) and (..., n_components)
            Standard normal.
        """
        since = ((times - self.clock[0]) / self.clock[1]).float() + self.log_lag.exp() * lag
        apart = (since[..., None] - self.times) / self.kernel[1]
        weights = self.kernel[0] * torch.exp(-0.5 * apart**2) @ self.whitening
        both = weights @ self.values * self.scale + self.centre
        mean, factor = both.tensor_split([self.n_components], dim=-1)
        factor = factor.unflatten(-1, (self.n_components, self.n_components))
        latent = mean + (factor @ own[..., None])[..., 0]
        decoded: Tensor = latent + self.spread * self.decoder(latent / self.spread)
        return decoded


def gaussian_paths(points: Sequence[np.ndarray]) -> np.ndarray:
    """Return factors A (n_times, d, d) of the covariances of points, A A' = covariance.

    For a fixed vector e the vectors A e follow optimal transport between Gaussian populations
    (Gelbrich 1990, https://doi.org/10.1002/mana.19901470121) from each time to the next.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> wide, narrow = rng.normal(size=(500, 2)) * [4, 1], rng.normal(size=(500, 2)) * [2, 3]
    >>> gaussian_paths([wide, narrow]).diagonal(axis1=1, axis2=2).round(0).tolist()
    [[4.0, 1.0], [2.0, 3.0]]
    """
    covariances = [np.cov(own.T, bias=True).reshape(own.shape[1], -1) for own in points]
    typical = float(np.mean([np.trace(each) for each in covariances])) / len(covariances[0]) or 1.0
    covariances = [each + RIDGE * typical * np.eye(len(each)) for each in covariances]
    factors = [_root(covariances[0])]
    for before, after in pairwise(covariances):
        root = _root(before)
        inverse = np.linalg.inv(root)
        factors.append(inverse @ _root(root @ after @ root) @ inverse @ factors[-1])
    return np.array(factors)


def _root(matrix: np.ndarray) -> np.ndarray:
    """Symmetric square root of a positive definite matrix."""
    values, vectors = np.linalg.eigh(matrix)
    root: np.ndarray = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    return root
