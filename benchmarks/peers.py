"""Packages that a user would take in place of ours, as temporal models of one protocol.

``pip install .[peers]`` installs them: moscot, torchcfm and MIOFlow as on PyPI. They are no
dependency of the package, and the benchmarks run without them. Each is fitted to ``N_COMPONENTS``
principal components of the training cells, of which the values of genes are read, so none draws the
noise of single cells. What a package leaves to its user is set as its own examples do, or said
here:

moscot
    ``TemporalProblem`` with its defaults (entropic, epsilon 0.001, balanced). Cells stand on the
    line between pairs drawn from the plan; outside the range the last time is repeated.
torchcfm
    ``ExactOptimalTransportConditionalFlowMatcher(sigma=0.1)`` and its ``MLP``, as in its example of
    single cells, but 1,000 steps of 64 cells for each pair of times (there 10,000 of 256) at a rate
    of 0.001. Cells of the time before follow the flow, also beyond the last time.
MIOFlow
    ``MIOFlow`` with its defaults but ``sample_size=100``, in the components, without its
    autoencoder. Cells of the time before follow its equation, also beyond the last time.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from scstlib.models.temporal.cells import MeasuredCells
from scstlib.models.temporal.moved_cells import Components, partners
from scstlib.models.temporal.protocol import CellKeepingModel

N_COMPONENTS = 20
LARGEST_STEP = 0.1  # Of the solver, in intervals of the training times.


@contextmanager
def silent() -> Iterator[None]:
    """Leave out the warnings and the logs of the packages."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


class Peer(CellKeepingModel):
    """A package fitted to principal components; times are 0, 1, 2, ... at the training times."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def _learn(self, cells: MeasuredCells) -> None:
        most = min(N_COMPONENTS, *cells.values.shape)
        self.space_ = Components.fit(cells.values, most, self.seed)
        self.points_ = [self.space_.project(cells.at(float(time))) for time in cells.times]
        with silent():
            self._train()

    def _population(
        self, cells: MeasuredCells, time: float, n_cells: int, rng: np.random.Generator
    ) -> np.ndarray:
        times = cells.times
        index = float(np.interp(time, times, np.arange(len(times))))
        if time > times[-1]:
            index += (time - times[-1]) * (len(times) - 1) / (times[-1] - times[0])
        with silent():
            return self.space_.values(self._points(index, n_cells, rng))

    def _start(
        self, index: float, n_cells: int, rng: np.random.Generator
    ) -> tuple[int, np.ndarray]:
        """The training time before, and cells of it."""
        k = min(int(index), len(self.points_) - 1)
        own = self.points_[k]
        return k, own[rng.choice(len(own), n_cells, replace=n_cells > len(own))]

    @abstractmethod
    def _train(self) -> None:
        """Fit the package to ``points_``."""

    @abstractmethod
    def _points(self, index: float, n_cells: int, rng: np.random.Generator) -> np.ndarray:
        """Predicted points (n_cells, n_components) at a time."""


class Moscot(Peer):
    """Pairs by entropic transport."""

    def _train(self) -> None:
        from moscot.problems.time import TemporalProblem

        time = np.repeat(np.arange(len(self.points_)), [len(own) for own in self.points_])
        points = np.concatenate(self.points_).astype(np.float32)
        obs = pd.DataFrame({"time": time.astype(float)}).rename(index=str)
        cells = AnnData(points, obs=obs, obsm={"X_pca": points})
        cells.obs["time"] = cells.obs["time"].astype("category")
        problem = TemporalProblem(cells).prepare(time_key="time", joint_attr="X_pca").solve()
        pairs = pairwise(np.arange(len(self.points_), dtype=float))
        self.plans_ = [np.asarray(problem[pair].solution.transport_matrix) for pair in pairs]

    def _points(self, index: float, n_cells: int, rng: np.random.Generator) -> np.ndarray:
        k, share = int(index), index % 1
        if share == 0 or k >= len(self.plans_):
            return self._start(index, n_cells, rng)[1]
        plan = self.plans_[k].astype(np.float64)
        mass = plan.sum(axis=1)
        rows = rng.choice(len(plan), n_cells, p=mass / mass.sum())
        ends = self.points_[k + 1][partners(plan, rows, rng)]
        return (1 - share) * self.points_[k][rows] + share * ends


class Follower(Peer):
    """Cells of the time before follow a velocity."""

    scale: tuple[np.ndarray, np.ndarray] | None = None

    def _points(self, index: float, n_cells: int, rng: np.random.Generator) -> np.ndarray:
        import torch
        from torchdiffeq import odeint

        k, start = self._start(index, n_cells, rng)
        if index == k:
            return start
        mean, std = self.scale or (np.zeros(start.shape[1]), np.ones(start.shape[1]))
        begin = torch.as_tensor((start - mean) / std, dtype=torch.float32)
        grid = torch.tensor([float(k), index])
        with torch.no_grad():
            options = {"step_size": LARGEST_STEP}
            end = odeint(self._velocity, begin, grid, method="rk4", options=options)[-1]
        return end.numpy().astype(np.float64) * std + mean

    @abstractmethod
    def _velocity(self, time: Any, points: Any) -> Any:
        """Velocity of points (n, n_components) at a time, as tensors."""


class TorchCFM(Follower):
    """Flow matching with minibatch OT."""

    def _train(self) -> None:
        import torch
        from torchcfm.conditional_flow_matching import ExactOptimalTransportConditionalFlowMatcher
        from torchcfm.models.models import MLP

        torch.manual_seed(self.seed)
        np.random.seed(self.seed)  # noqa: NPY002 its sampler draws from there
        clouds = [torch.as_tensor(own, dtype=torch.float32) for own in self.points_]
        self.net_ = MLP(dim=clouds[0].shape[1], time_varying=True, w=64)
        matcher = ExactOptimalTransportConditionalFlowMatcher(sigma=0.1)
        optimizer = torch.optim.AdamW(self.net_.parameters(), lr=1e-3)
        for _ in range(1000):
            parts = []
            for k, pair in enumerate(pairwise(clouds)):
                x, y = (own[torch.randint(len(own), (64,))] for own in pair)
                time, place, velocity = matcher.sample_location_and_conditional_flow(x, y)
                parts.append((torch.cat([place, (time + k)[:, None]], dim=1), velocity))
            inputs, wanted = (torch.cat(part) for part in zip(*parts, strict=True))
            loss = (self.net_(inputs) - wanted).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    def _velocity(self, time: Any, points: Any) -> Any:
        import torch

        return self.net_(torch.cat([points, time.expand(len(points), 1)], dim=1))


class Mioflow(Follower):
    """A neural ODE trained on optimal transport between populations."""

    def _train(self) -> None:
        import torch
        from mioflow import MIOFlow

        torch.manual_seed(self.seed)
        time = np.repeat(np.arange(len(self.points_)), [len(own) for own in self.points_])
        points = np.concatenate(self.points_).astype(np.float32)
        obs = pd.DataFrame({"time_bin": time}).rename(index=str)
        cells = AnnData(points, obs=obs, obsm={"X_pca": points})
        with tempfile.TemporaryDirectory() as folder:
            model = MIOFlow(
                cells, use_cuda=False, sample_size=100, exp_dir=folder, debug_level="error"
            )
            model.fit()
        self.net_, self.scale = model.ode_model.eval(), (model.mean_vals, model.std_vals)

    def _velocity(self, time: Any, points: Any) -> Any:
        return self.net_(time, points)


#: Name of the row → package on PyPI, and the method of a seed.
PEERS: dict[str, tuple[str, Callable[[int], Peer]]] = {
    "moscot": ("moscot", Moscot),
    "torchcfm": ("torchcfm", TorchCFM),
    "MIOFlow": ("mioflow", Mioflow),
}
#: Row → why it is run only if it is asked for.
LEFT_OUT = {"MIOFlow": "left out: about 60 CPU s for 40 cells at each of 4 times"}


def version_of(package: str) -> str:
    """The installed version; empty if there is none."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
