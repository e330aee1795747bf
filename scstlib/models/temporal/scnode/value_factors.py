"""A latent space of values that are no counts: principal components, and residuals as noise.

How many components are kept, and their axes, serve the factors of counts too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from scstlib.preprocess.reduction import parallel_analysis

MAX_RESIDUALS = 2000
MOST_CELLS, CELLS_FOR_RANK = 2500, 1000
# Some hundred cells of 15,000 genes show more components than a flow can be learned in from them.
CELLS_OF_A_DIMENSION = 25


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

    def shapes(self) -> dict[str, tuple[Tensor, str]]:
        """Return each array with its dimensions, for :func:`scstlib.models.files.check_shapes`."""
        return {
            "axes": (self.axes, "rank genes"),
            "mean": (self.mean, "genes"),
            "residuals": (self.residuals, "residuals genes"),
            "residual_points": (self.residual_points, "residuals rank"),
        }

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


def chosen_rank(centred: Tensor, rank: int | None, smallest: int, seed: int) -> int:
    """Return the number of latent dimensions for centred values (n, genes) of cells.

    Parameters
    ----------
    rank : int or None
        None: by parallel analysis, at most one for 25 cells, at least ``smallest``.

    Raises
    ------
    ValueError
        If the rank is not below the number of cells and genes.
    """
    largest = min(centred.shape) - 1
    if largest < 1:
        raise ValueError(
            f"a latent space needs at least 2 genes and 2 cells, not {centred.shape[1]} genes of"
            f" {len(centred)} cells."
        )
    if rank is None:
        some = _some_rows(centred, CELLS_FOR_RANK).cpu().numpy()
        found = parallel_analysis(some, n_permutations=3, max_rank=30, seed=seed)
        rank = min(max(min(found, len(centred) // CELLS_OF_A_DIMENSION), smallest), largest)
    if not 1 <= rank <= largest:
        raise ValueError(
            f"latent_dim must be 1 to {largest} for {len(centred)} cells of {centred.shape[1]}"
            f" genes, not {rank}."
        )
    return rank


def principal_axes(centred: Tensor, rank: int) -> Tensor:
    """Return the first principal axes, (rank, genes), orthonormal, of centred values (n, genes).

    From at most ``MOST_CELLS`` cells where there are more of them and of genes: the cost grows
    with the cube of the smaller number.
    """
    if min(centred.shape) > MOST_CELLS:
        centred = _some_rows(centred, MOST_CELLS)
    if len(centred) < centred.shape[1]:
        axes = _leading_eigenvectors(centred @ centred.mT, rank).mT @ centred
        axes = axes / axes.norm(dim=1, keepdim=True)
    else:
        axes = _leading_eigenvectors(centred.mT @ centred, rank).mT
    # The sign of an eigenvector is not determined; its largest entry is made positive.
    largest = axes.gather(1, axes.abs().argmax(1, keepdim=True))
    return (axes * largest.sign()).contiguous()


def _leading_eigenvectors(gram: Tensor, k: int) -> Tensor:
    """The eigenvectors (n, k) of the largest eigenvalues, the largest first."""
    from scipy.linalg import eigh

    n = len(gram)
    # torch computes all eigenvectors, at four times the cost.
    _, vectors = eigh(gram.double().cpu().numpy(), subset_by_index=(n - k, n - 1))
    return torch.as_tensor(vectors[:, ::-1].copy()).to(gram)


def _some_rows(values: Tensor, n: int) -> Tensor:
    """At most n rows, evenly spaced: cells are ordered by experiment and often by time."""
    rows = torch.linspace(0, len(values) - 1, min(n, len(values)), device=values.device)
    return values[rows.round().long()]
