"""A latent space of values that are no counts: principal components, and residuals as noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from scstlib.models.temporal.scnode.principal_axes import chosen_rank, principal_axes

MAX_RESIDUALS = 2000


@dataclass
class ValueFactors:
    """Factors of values.

    Attributes
    ----------
    mean : Tensor, shape (genes,)
    axes : Tensor, shape (rank, genes)
        Principal axes, orthonormal.
    residuals : Tensor, shape (m, genes)
        What the components leave of some training cells.
    residual_points : Tensor, shape (m, rank)
        Where these cells lie.
    smallest : float
        Smallest value of the training cells; what is drawn is not below it.
    """

    mean: Tensor
    axes: Tensor
    residuals: Tensor
    residual_points: Tensor
    smallest: float

    def encode(self, values: Tensor) -> Tensor:
        """Return the scores (n, rank) of values (n, genes)."""
        return (values - self.mean) @ self.axes.mT

    def expected_values(self, points: Tensor) -> Tensor:
        """Return the values (n, genes) at latent points."""
        return points @ self.axes + self.mean

    def draw(self, points: Tensor, generator: torch.Generator) -> Tensor:
        """Return values with the residual of one of the five nearest training cells added."""
        n_near = min(5, len(self.residuals))
        near = torch.cdist(points, self.residual_points).topk(n_near, largest=False).indices
        choice = torch.randint(n_near, (len(points), 1), generator=generator, device=points.device)
        drawn = self.expected_values(points) + self.residuals[near.gather(1, choice)[:, 0]]
        return drawn.clamp(min=self.smallest)


def fit_value_factors(
    values: Tensor, rank: int | None, smallest_rank: int, seed: int
) -> ValueFactors:
    """Fit factors to the values (n, genes) of some cells.

    Parameters
    ----------
    rank : int or None
        None: by parallel analysis, at least ``smallest_rank``.

    Raises
    ------
    ValueError
        If the rank is not below the number of cells and genes.
    """
    mean = values.mean(0)
    centred = values - mean
    axes = principal_axes(centred, chosen_rank(centred, rank, smallest_rank, seed))
    kept = np.random.default_rng(seed).permutation(len(values))[:MAX_RESIDUALS]
    rows = torch.as_tensor(np.sort(kept), device=values.device)
    points = centred @ axes.mT
    return ValueFactors(
        mean,
        axes,
        (centred - points @ axes)[rows],
        points[rows],
        float(values.min()),
    )
