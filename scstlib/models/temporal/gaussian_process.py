"""Gaussian processes over time: of each gene, and of paths of cells."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np

from scstlib.models.settings import check_whole, explain_arguments
from scstlib.models.temporal.cells import MeasuredCells, draw
from scstlib.models.temporal.moved_cells import MovedCells, partners
from scstlib.models.temporal.protocol import CellKeepingModel, check_request
from scstlib.models.temporal.transport import coupling

MOST_PATHS = 200  # From which the kernel of a component is learned.


class GeneGaussianProcess(CellKeepingModel):
    """A Gaussian process over time for the mean of each gene, and one for its log variance.

    A predicted cell is one of the nearest measured time, each gene moved and scaled to the mean
    and standard deviation that the processes have at the requested time. Each gene has its own
    processes, in units of its own mean and spread over times; length scale and noise of the
    kernel (squared exponential) are those under which all genes together are most likely, as the
    few times of a series do not tell them for one gene (Rasmussen and Williams 2006,
    http://gaussianprocess.org/gpml/; scikit-learn). Some length scales beyond the measured times
    a process is back at the mean of the gene over times, and :meth:`gene_means` says how unsure
    it is.

    Values that the move makes negative become 0 where the input has no negative values.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from anndata import AnnData
    >>> day = np.repeat(np.arange(6.0), 20)
    >>> noise = np.random.default_rng(0).normal(size=(120, 2))
    >>> obs = pd.DataFrame({"day": day}, index=[f"cell{i}" for i in range(120)])
    >>> cells = AnnData((np.c_[np.sin(day), day] + noise / 10).astype(np.float32), obs=obs)
    >>> model = GeneGaussianProcess().fit(cells, "day")
    >>> mean, deviation = model.gene_means([2.5, 9.0])
    >>> bool((np.abs(mean[0] - [np.sin(2.5), 2.5]) < 0.1).all())
    True
    >>> bool((deviation[1] > 5 * deviation[0]).all())
    True
    """

    def _learn(self, cells: MeasuredCells) -> None:
        means = np.array([cells.at(time).mean(0) for time in cells.times], dtype=np.float64)
        variances = np.array([cells.at(time).var(0) for time in cells.times], dtype=np.float64)
        # A gene without spread at one time has no log variance there.
        floor = 0.01 * variances.mean(0) + 1e-12
        self.mean_ = Process(cells.times, means)
        self.log_variance_ = Process(cells.times, np.log(variances + floor))

    def gene_means(self, times: list[float]) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean of each gene at ``times`` and the standard deviation of the process.

        Returns
        -------
        numpy.ndarray, numpy.ndarray, shapes (n_times, n_genes)
            In the unit of the values. The deviation is what the process does not know of the
            mean, not how much cells differ.

        Raises
        ------
        ValueError
            If the model is not fitted, or a time is not finite.
        """
        self._fitted()
        return self.mean_.at(np.array(check_request(times, 1)))

    def _population(
        self, cells: MeasuredCells, time: float, n_cells: int, rng: np.random.Generator
    ) -> np.ndarray:
        nearest = cells.nearest(time)
        own = cells.at(nearest)
        mean = self.mean_.at(np.array([time]))[0][0]
        log_variance = self.log_variance_.at(np.array([time, nearest]))[0]
        scale = np.exp((log_variance[0] - log_variance[1]) / 2)
        moved: np.ndarray = mean + (draw(own, n_cells, rng) - own.mean(0)) * scale
        return moved if cells.values.min() < 0 else np.maximum(moved, 0)


class PathGaussianProcess(MovedCells):
    """A Gaussian process for each principal component of paths of cells along optimal transport.

    The exact couplings of neighbouring times chain measured cells to paths through all times. A
    process over time for each component (squared exponential and noise, learned from up to 200
    paths; scikit-learn) smooths them. A predicted cell moves as the process through its path
    does, as :class:`scstlib.models.temporal.moved_cells.MovedCells` describes, and with noise
    keeps what the process leaves of it too. Some length scales outside the measured times the
    paths are back at the mean of all.

    Paths come first and processes second here;
    :class:`scstlib.models.temporal.LatentGaussianProcess` pairs no cells, and aligns generated
    populations with measured ones while its processes are trained.

    Parameters
    ----------
    n_components : int
        Principal components of the training cells.
    max_cells : int
        At most so many cells of a time enter a coupling.
    seed : int
        Draws cells and paths.

    Examples
    --------
    >>> PathGaussianProcess(n_components=4)
    PathGaussianProcess(n_components=4)
    """

    @explain_arguments
    def __init__(self, n_components: int = 6, max_cells: int = 500, seed: int = 0) -> None:
        check_whole(
            {"n_components": n_components, "max_cells": max_cells}, "n_components", "max_cells"
        )
        self.n_components = n_components
        self.max_cells = max_cells
        self.seed = seed

    def _learn_moves(self, cells: MeasuredCells) -> None:
        points = list(self.points_.values())
        self.plans_ = [coupling(a, b) for a, b in pairwise(points)]
        rng = np.random.default_rng(self.seed)
        paths = np.concatenate([
            self._paths(k, rng.permutation(len(own))[: 1 + MOST_PATHS // len(points)], rng)
            for k, own in enumerate(points)
        ])  # fmt: skip
        self.centre_ = paths.mean((0, 1))
        spread = paths.std((0, 1))
        self.processes_ = [
            Process(cells.times, component, centre, scale or 1.0)
            for component, centre, scale in zip(
                paths.transpose(2, 1, 0), self.centre_, spread, strict=True
            )
        ]

    def _moved(
        self, start: float, time: float, rows: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        paths = self._paths(list(self.points_).index(start), rows, rng) - self.centre_
        weights = np.array([each.weights(np.array([start, time])) for each in self.processes_])
        begin, end = np.einsum("cst,ntc->snc", weights, paths) + self.centre_
        return begin, end

    def _paths(self, k: int, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw paths (n, n_times, n_components) through some cells of the k-th time."""
        points = list(self.points_.values())
        path, before, after = {k: rows}, rows, rows
        for j in range(k, 0, -1):
            path[j - 1] = before = partners(self.plans_[j - 1].T, before, rng)
        for j in range(k, len(points) - 1):
            path[j + 1] = after = partners(self.plans_[j], after, rng)
        return np.stack([points[j][path[j]] for j in range(len(points))], axis=1)


class Process:
    """Gaussian processes over time that share a kernel, one for each of several series.

    Parameters
    ----------
    times : numpy.ndarray, shape (n_times,)
    series : numpy.ndarray, shape (n_times, n_series)
    centre, scale : float or numpy.ndarray, optional
        What the series are measured from and in; by default mean and spread of each over times.
    """

    def __init__(
        self,
        times: np.ndarray,
        series: np.ndarray,
        centre: float | np.ndarray | None = None,
        scale: float | np.ndarray | None = None,
    ) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

        self.centre = series.mean(0) if centre is None else centre
        spread = series.std(0)
        self.scale = np.where(spread > 0, spread, 1.0) if scale is None else scale
        self.series = (series - self.centre) / self.scale
        self.first, self.interval = times[0], np.diff(times).mean()
        gaps = np.diff(times) / self.interval
        lengths = (float(gaps.min()) / 2, 4.0 * len(times))
        kernel = ConstantKernel(1.0, (0.05, 20.0)) * RBF(1.0, lengths)
        noise = WhiteKernel(0.1, (1e-3, 2.0))
        regressor = GaussianProcessRegressor(kernel + noise, random_state=0)
        with warnings.catch_warnings():
            # Few times may leave the kernel at a bound, which is there for that.
            warnings.simplefilter("ignore", ConvergenceWarning)
            kernel = regressor.fit(self._scaled(times), self.series).kernel_
        self.kernel = kernel.k1
        # The prediction is linear in the series: that of unit series are its weights.
        unit = np.eye(len(times))
        fixed = GaussianProcessRegressor(kernel, optimizer=None)
        self.unit_ = fixed.fit(self._scaled(times), unit)
        self.noise = kernel.k2.noise_level

    def weights(self, times: np.ndarray) -> np.ndarray:
        """Return the weight of each measured time for the prediction; (n, n_times)."""
        found: np.ndarray = self.unit_.predict(self._scaled(times))
        return found

    def at(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation, without noise, of each series; (n, n_series)."""
        mean = self.weights(times) @ self.series
        _, deviation = self.unit_.predict(self._scaled(times), return_std=True)
        variance = np.maximum(deviation[:, :1] ** 2 - self.noise, 0)
        return mean * self.scale + self.centre, np.sqrt(variance) * self.scale

    def _scaled(self, times: np.ndarray) -> np.ndarray:
        scaled: np.ndarray = ((times - self.first) / self.interval)[:, None]
        return scaled
