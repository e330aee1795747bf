"""A latent space of counts: factors of a negative binomial, fitted by alternating Newton steps.

A cell with total s and latent point z has counts of gene g with mean ``s * exp(a_g + b_g z)``, up
to a constant of the cell, and variance ``m + phi_g m**2``. Sequencing depth enters as a known
factor and takes no latent dimension, as it does in components of log-normalised counts. The model
is that of GLM-PCA (Townes et al. 2019, https://doi.org/10.1186/s13059-019-1861-6) with a normal
prior on z. It starts from components of Pearson residuals (Lause et al. 2021,
https://doi.org/10.1186/s13059-021-02451-7).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from scstlib.models.temporal.scnode.value_factors import chosen_rank, principal_axes
from scstlib.preprocess.cells import COUNTS_PER_CELL

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 10
BLOCK = 500  # Cells; a block of more does not stay in the cache of a CPU.
ENCODING_STEPS = 6
LOADING_PENALTY = 3.0  # Pseudo-observations that pull a loading to 0: genes with few counts.
LARGEST_RESIDUAL = 8.0  # As the square root of the number of cells in Lause et al., but fixed.
LOG_MEANS = (-20.0, 25.0)  # Of a count; beyond them single precision overflows or loses all.
LARGEST_STEP = 2.0  # Of a latent point in a Newton step, in standard deviations.
# Of a loading, in units of a log: longer steps overshoot on deep counts and do not come back.
LARGEST_LOADING_STEP = 0.5
LOWEST_LOG_RATE, HIGHEST_LOG_RATE, KNOTS = math.log(1e-7), 0.0, 48


@dataclass
class CountFactors:
    """Factors of counts.

    Attributes
    ----------
    intercept : Tensor, shape (genes,)
        a: log of each gene's share of the counts where z = 0, up to a constant.
    loadings : Tensor, shape (rank, genes)
        b: rows are orthogonal, the longest first.
    dispersion : Tensor, shape (genes,)
        phi.
    totals : Tensor, shape (n,)
        Total counts of training cells, from which depths are drawn.
    """

    intercept: Tensor
    loadings: Tensor
    dispersion: Tensor
    totals: Tensor

    @property
    def scale(self) -> Tensor:
        """Length of the loadings, (rank,).

        Latent coordinates are multiples of it, so that a distance between latent points is the
        Euclidean distance between their log rates.
        """
        length: Tensor = self.loadings.norm(dim=1).clamp(min=1e-6)
        return length

    def encode(self, counts: Tensor) -> Tensor:
        """Return the posterior mode of the latent points, (n, rank), of counts (n, genes)."""
        offset = counts.sum(1, keepdim=True).log()
        points = counts.new_zeros(len(counts), len(self.loadings))
        for _ in range(ENCODING_STEPS):
            points, _ = _newton_points(self, counts, offset, points)
        return points * self.scale

    def log_share(self, points: Tensor) -> Tensor:
        """Return the log of each gene's share of the counts, (n, genes), at latent points."""
        return torch.log_softmax(self.intercept + (points / self.scale) @ self.loadings, dim=1)

    def expected_values(self, points: Tensor, totals: Tensor | None = None) -> Tensor:
        """Return the mean of log1p of counts per 10,000 of cells at latent points, (n, genes).

        With ``totals`` (n,) it is the mean for cells of those totals, without over all depths.
        """
        knots = _knots()
        share = self.log_share(points).clamp(min=LOWEST_LOG_RATE)
        place = ((share - LOWEST_LOG_RATE) / float(knots[1] - knots[0])).clamp(max=KNOTS - 1.001)
        left = place.long()
        weight = place - left

        def read(table: Tensor) -> Tensor:
            return torch.lerp(table.gather(0, left), table.gather(0, left + 1), weight)

        depths, tables = self._tables
        if totals is None:
            return read(tables.mean(0).to(share))
        nearest = torch.searchsorted((depths[1:] * depths[:-1]).sqrt(), totals.to(depths))
        values = torch.empty_like(share)
        for index, table in enumerate(tables):
            rows = nearest == index
            left_rows = left[rows]
            low, high = (table.to(share).gather(0, left_rows + step) for step in (0, 1))
            values[rows] = torch.lerp(low, high, weight[rows])
        return values

    @cached_property
    def _tables(self) -> tuple[Tensor, Tensor]:
        """Depths (8,), and at each the expected log values at the knots (8, knots, genes)."""
        depths = _quantiles(self.totals, 8)
        knots = _knots()
        tables = [_expected_log(knots, self.dispersion, float(depth)) for depth in depths]
        return depths, torch.stack(tables)

    def draw_totals(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw total counts of n cells, (n,), from those of the training cells."""
        index = torch.randint(
            len(self.totals), (n,), generator=generator, device=self.totals.device
        )
        return self.totals[index]

    def draw(self, points: Tensor, totals: Tensor, generator: torch.Generator) -> Tensor:
        """Draw negative binomial counts (n, genes) of cells at latent points."""
        mean = self.log_share(points).exp() * totals[:, None]
        shape = (1 / self.dispersion).expand_as(mean)
        # torch draws gamma variates from no generator of one's own; numpy does.
        seed = torch.randint(2**62, (1,), generator=generator, device=generator.device)
        rng = np.random.default_rng(int(seed))
        gamma = rng.standard_gamma(shape.cpu().numpy()) * self.dispersion.cpu().numpy()
        counts = rng.poisson(gamma * mean.cpu().numpy())
        return torch.as_tensor(counts, dtype=points.dtype, device=points.device)


def fit_count_factors(
    counts: Tensor, rank: int | None, smallest_rank: int, totals: np.ndarray, seed: int
) -> CountFactors:
    """Fit factors to the counts (n, genes) of some cells.

    Parameters
    ----------
    rank : int or None
        None: by parallel analysis of the Pearson residuals, at least ``smallest_rank``.
    totals : numpy.ndarray
        Total counts of all cells.

    Raises
    ------
    ValueError
        If the rank is not below the number of cells and genes.
    """
    size = counts.sum(1, keepdim=True)
    share = (counts.sum(0) / counts.sum()).clamp(min=1e-8)
    residual = _pearson_residuals(counts, size * share)
    rank = chosen_rank(residual, rank, smallest_rank, seed)
    scores = residual @ principal_axes(residual, rank).mT
    points = scores / scores.std(0).clamp(min=1e-6)
    offset = size.log()
    factors = CountFactors(
        share.log(),
        counts.new_zeros(rank, counts.shape[1]),
        counts.new_full((counts.shape[1],), 0.5),
        torch.as_tensor(np.sort(totals), dtype=counts.dtype, device=counts.device),
    )
    for round_ in range(ROUNDS):
        for _ in range(2 if round_ == 0 else 1):
            _newton_loadings(factors, counts, offset, points)
        if round_ % 3 == 0:
            factors.dispersion = _dispersion(factors, counts, offset, points)
        points, covariance = _newton_points(factors, counts, offset, points)
        points = _to_unit_prior(factors, points, covariance)
    return factors


def _pearson_residuals(counts: Tensor, mean: Tensor) -> Tensor:
    """Residuals of a model without structure, with the dispersion 0.5 that factors start with."""
    residual = (counts - mean) / (mean + 0.5 * mean.square()).sqrt()
    residual.clamp_(-LARGEST_RESIDUAL, LARGEST_RESIDUAL)
    return residual - residual.mean(0)


def _weights(
    factors: CountFactors, counts: Tensor, offset: Tensor, points: Tensor
) -> tuple[Tensor, Tensor]:
    """Fisher weights and gradients of the log-likelihood by log mean, both (n, genes)."""
    mean = (offset + factors.intercept + points @ factors.loadings).clamp_(*LOG_MEANS).exp_()
    damp = (1 + factors.dispersion * mean).reciprocal_()
    return mean * damp, (counts - mean).mul_(damp)


def _outer(rows: Tensor) -> Tensor:
    """Products of all pairs of entries of each row, (n, k * k)."""
    return (rows[:, :, None] * rows[:, None, :]).flatten(1)


def _blocks(n: int) -> Iterator[slice]:
    """Rows in blocks: what is computed for cells times genes is held for one block only."""
    for start in range(0, n, BLOCK):
        yield slice(start, start + BLOCK)


def _newton_points(
    factors: CountFactors, counts: Tensor, offset: Tensor, points: Tensor
) -> tuple[Tensor, Tensor]:
    """One Fisher scoring step on the latent points, prior N(0, 1): points and covariances."""
    rank = len(factors.loadings)
    squares = _outer(factors.loadings.mT)
    prior = torch.eye(rank, dtype=points.dtype, device=points.device)
    moved, covariances = torch.empty_like(points), points.new_empty(len(points), rank, rank)
    for rows in _blocks(len(counts)):
        weight, gradient = _weights(factors, counts[rows], offset[rows], points[rows])
        covariance = torch.linalg.inv((weight @ squares).view(-1, rank, rank) + prior)
        slope = gradient @ factors.loadings.mT - points[rows]
        step = (covariance @ slope[:, :, None])[:, :, 0].clamp(-LARGEST_STEP, LARGEST_STEP)
        moved[rows], covariances[rows] = points[rows] + step, covariance
    return moved, covariances


def _newton_loadings(factors: CountFactors, counts: Tensor, offset: Tensor, points: Tensor) -> None:
    """One Fisher scoring step on intercepts and loadings, in place."""
    n_genes, rank = counts.shape[1], points.shape[1]
    penalty = points.new_full((rank + 1,), LOADING_PENALTY)
    penalty[0] = 1e-3
    values = torch.cat([factors.intercept[None], factors.loadings]).mT
    hessian = penalty.diag().repeat(n_genes, 1, 1)
    slope = -values * torch.where(torch.arange(rank + 1, device=points.device) > 0, penalty, 0)
    for rows in _blocks(len(counts)):
        design = torch.cat([points.new_ones(len(points[rows]), 1), points[rows]], dim=1)
        weight, gradient = _weights(factors, counts[rows], offset[rows], points[rows])
        hessian += (weight.mT @ _outer(design)).view(n_genes, rank + 1, rank + 1)
        slope += gradient.mT @ design
    step = torch.linalg.solve(hessian, slope[:, :, None])[:, :, 0]
    values = values + step.clamp(-LARGEST_LOADING_STEP, LARGEST_LOADING_STEP)
    factors.intercept, factors.loadings = values[:, 0].contiguous(), values[:, 1:].mT.contiguous()


def _dispersion(factors: CountFactors, counts: Tensor, offset: Tensor, points: Tensor) -> Tensor:
    """Moment estimate of phi, (genes,), drawn to the common one where a gene has few counts."""
    phi = factors.dispersion
    for _ in range(2):
        above, norm = torch.zeros_like(phi), torch.zeros_like(phi)
        for rows in _blocks(len(counts)):
            mean = offset[rows] + factors.intercept + points[rows] @ factors.loadings
            mean = mean.clamp_(*LOG_MEANS).exp_()
            weight = (1 + phi * mean).square_().reciprocal_()
            above += (((counts[rows] - mean).square_() - mean) * weight).sum(0)
            norm += (mean.square() * weight).sum(0)
        prior = norm.median() / 2
        phi = ((above + prior * above.sum() / norm.sum()) / (norm + prior)).clamp_(1e-3, 10.0)
    return phi


def _to_unit_prior(factors: CountFactors, points: Tensor, covariance: Tensor) -> Tensor:
    """Change coordinates so that the latent points have mean 0 and second moment 1.

    The second moment counts the uncertainty of each point; the rates stay the same.
    """
    mean = points.mean(0)
    points = points - mean
    factors.intercept = factors.intercept + mean @ factors.loadings
    root = torch.linalg.cholesky(points.mT @ points / len(points) + covariance.mean(0))
    axes, lengths, directions = torch.linalg.svd(root.mT @ factors.loadings, full_matrices=False)
    # Files keep no memory order, and sums in another order differ in their last digit.
    factors.loadings = (lengths[:, None] * directions).contiguous()
    changed: Tensor = torch.linalg.solve_triangular(root, points.mT, upper=False).mT @ axes
    return changed


def _quantiles(totals: Tensor, n: int) -> Tensor:
    at = (torch.arange(n, dtype=torch.float64, device=totals.device) + 0.5) / n
    return totals[(at * len(totals)).long()].double()  # Totals are sorted.


def _knots() -> Tensor:
    """Logs of shares between which expected log values are read, (knots,), float64."""
    return torch.linspace(LOWEST_LOG_RATE, HIGHEST_LOG_RATE, KNOTS, dtype=torch.float64)


def _expected_log(log_share: Tensor, dispersion: Tensor, total: float) -> Tensor:
    """Mean of log1p(c * 10,000 / total) for negative binomial counts c; (knots, genes), float64.

    From ``log(1 + x) = integral over u > 0 of (1 - exp(-x u)) exp(-u) / u``, in which the mean
    of ``exp(-x u)`` has a closed form.
    """
    mean = (log_share.exp() * total)[:, None]
    phi = dispersion.double().cpu()
    log_u = torch.linspace(math.log(1e-8), math.log(40.0), 80, dtype=torch.float64)
    step = float(log_u[1] - log_u[0])
    found = torch.zeros(len(log_share), len(phi), dtype=torch.float64)
    for u in log_u.exp().tolist():
        lost = -math.expm1(-u * COUNTS_PER_CELL / total)
        found += -torch.expm1(-torch.log1p(phi * mean * lost) / phi) * (math.exp(-u) * step)
    return found.to(dispersion.device)
