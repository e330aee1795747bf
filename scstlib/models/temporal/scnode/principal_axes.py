"""Principal axes of cells by genes, and how many of them to keep."""

from __future__ import annotations

import torch
from torch import Tensor

from scstlib.preprocess.reduction import parallel_analysis

MOST_CELLS, CELLS_FOR_RANK = 2500, 1000
# Some hundred cells of 15,000 genes show more components than a flow can be learned in from them.
CELLS_OF_A_DIMENSION = 25


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
