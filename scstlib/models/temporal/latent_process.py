"""A latent Gaussian process over time whose populations are aligned by optimal transport."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scstlib.models.settings import (
    check_not_negative,
    check_positive,
    check_whole,
    explain_arguments,
    layer_widths,
)
from scstlib.models.temporal.cells import MeasuredCells
from scstlib.models.temporal.gaussian_process import Process
from scstlib.models.temporal.moved_cells import MovedCells
from scstlib.models.temporal.transport import coupling

if TYPE_CHECKING:
    from torch import Tensor

    from scstlib.models.temporal.latent_network import LatentNetwork

MOST_COUPLED = 500  # Cells that are coupled to generated ones at once.


class LatentGaussianProcess(MovedCells):
    """Cells generated from a latent Gaussian process, trained by optimal transport alone.

    A cell of time t has a time of its own, s = t + noise, and a latent point f(s) + A(s) e, where e
    is its own standard normal vector; a network decodes the point to principal components. Mean f
    and factor A, and so the spread and correlation of the latent points, are Gaussian processes
    over time (squared exponential; variance, length scale and noise as scikit-learn learns them
    from the means of the components). Their values, the noise of times and the decoder are trained
    together: the loss is the Sinkhorn divergence of generated from measured cells, mean over the
    training times, and the squared values in units of the processes' prior. No cell is paired with
    one of another time.

    A predicted cell is generated. With noise it is a measured one of a neighbouring training time,
    coupled exactly to a generated cell and moved to it
    (:class:`scstlib.models.temporal.moved_cells.MovedCells`). Some length scales outside the
    measured times the population is back at its average over times.

    In the manner of Balik and Lähdesmäki 2026 (https://arxiv.org/abs/2605.20989), after their
    description and without their code. There the processes are approximated by Hilbert-space
    methods, and cells are conditioned on their types. Here the processes are exact, as a series has
    few times; no types are needed, and cells of different fates differ in e alone; and the times of
    the cells of a population have a spread, but no cell is told its own.

    Parameters
    ----------
    n_components : int
        Principal components of the training cells, and coordinates of the latent points.
    hidden : sequence of int
        Widths of the hidden layers of the decoder, which adds to the latent point and starts at 0.
    prior : float
        Weight of the squared values; the divergence is in units of the spread of the points.
    alignment_steps, batch_size, learning_rate
        Of training; the batch is that of one time.
    max_cells : int
        Cells of a time from which batches are drawn, and which are moved.
    seed : int
        Draws cells, weights and batches.

    Attributes
    ----------
    network_ : LatentNetwork
    losses_ : dict of numpy.ndarray
        Loss of each step, ``"alignment"``.

    Raises
    ------
    ValueError
        For a number out of range.

    Examples
    --------
    >>> LatentGaussianProcess(n_components=4)
    LatentGaussianProcess(n_components=4)
    """

    @explain_arguments
    def __init__(
        self,
        n_components: int = 6,
        hidden: Sequence[int] = (64,),
        prior: float = 1e-3,
        alignment_steps: int = 300,
        batch_size: int = 64,
        learning_rate: float = 1e-2,
        max_cells: int = 1000,
        seed: int = 0,
    ) -> None:
        whole = {"n_components": n_components, "alignment_steps": alignment_steps}
        whole |= {"batch_size": batch_size, "max_cells": max_cells}
        check_whole(whole, *whole)
        check_not_negative({"prior": prior}, "prior")
        check_positive({"learning_rate": learning_rate}, "learning_rate")
        self.n_components = n_components
        self.hidden = layer_widths("hidden", hidden)
        self.prior = prior
        self.alignment_steps = alignment_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.max_cells = max_cells
        self.seed = seed

    def _learn_moves(self, cells: MeasuredCells) -> None:
        import torch

        from scstlib.ot import sinkhorn_divergence
        from scstlib.training import minimise

        rng = np.random.default_rng(self.seed)
        points = list(self.points_.values())
        self.network_ = self._new_network()
        self.network_.start(Process(cells.times, np.array([own.mean(0) for own in points])), points)
        times = torch.as_tensor(np.repeat(cells.times[:, None], self.batch_size, axis=1))

        def loss_of_step(_: int) -> Tensor:
            batch = [own[rng.choice(len(own), self.batch_size)] for own in points]
            measured = torch.as_tensor(np.array(batch) / self.network_.spread.item()).float()
            generated = self.network_(times, *self._noise(times.shape, rng)) / self.network_.spread
            apart = sinkhorn_divergence(generated, measured, blur=0.1, constant_term=False)
            loss: Tensor = apart.mean() + self.prior * self.network_.values.square().sum()
            return loss

        history = minimise(
            loss_of_step,
            self.network_.parameters(),
            n_steps=self.alignment_steps,
            learning_rate=self.learning_rate,
            learning_rate_end=0.0,
            label="alignment",
        )
        self.losses_ = {"alignment": history.losses}

    def _noise(self, shape: Sequence[int], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Standard normal numbers of cells: for the time of each, and its own vector."""
        import torch

        own = rng.standard_normal((*shape, 1 + self.n_components)).astype(np.float32)
        return torch.as_tensor(own[..., 0]), torch.as_tensor(own[..., 1:])

    def _new_network(self) -> LatentNetwork:
        from scstlib.models.temporal.latent_network import LatentNetwork
        from scstlib.training import seeded_weights

        with seeded_weights(self.seed):
            return LatentNetwork(len(self.points_), self.n_components, self.hidden)

    def _moved(
        self, start: float, time: float, rows: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        import torch

        begin = self.points_[start][rows]
        with torch.no_grad():
            times = torch.full((len(rows),), time, dtype=torch.float64)
            end = self.network_(times, *self._noise(times.shape, rng)).numpy().astype(np.float64)
        # Equally many on both sides with equal mass: the exact coupling is a permutation.
        for first in range(0, len(rows), MOST_COUPLED):
            part = slice(first, first + MOST_COUPLED)
            end[part] = end[part][coupling(begin[part], end[part]).argmax(axis=1)]
        return begin, end

    def _learned(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        learned, tensors = super()._learned()
        tensors |= {f"network.{name}": value for name, value in self.network_.state_dict().items()}
        return learned, tensors | self._space_tensors()

    def _restore(self, learned: dict[str, Any], tensors: dict[str, Tensor], device: str) -> None:
        from scstlib.models.files import load_weights, under

        self._restore_space(learned, tensors, device)
        self.network_ = self._new_network()
        load_weights(self.network_, under("network", tensors), "n_components and hidden")
