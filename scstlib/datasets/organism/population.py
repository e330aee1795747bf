"""The cells of the simulated organism: samples of them, and what is true of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from scstlib.datasets.organism import expression, lineage
from scstlib.datasets.organism.commitment import commitment_times
from scstlib.datasets.organism.genome import Genome, make_genome
from scstlib.datasets.organism.network import Network
from scstlib.datasets.organism.reference import Group, mix, reference_groups
from scstlib.datasets.organism.settings import (
    Settings,
    check_times,
    make_settings,
    positive,
    time_words,
    whole,
)

if TYPE_CHECKING:
    from anndata import AnnData

_IDENTITY = ("seed", "preset", "perturbations")


@dataclass(frozen=True)
class CellPopulation:
    """A population that differentiates: the part of the organism that is seen as expression.

    Truth is a mean over a reference population of ``settings.n_reference`` cells that is simulated
    apart from all samples. ``fate`` in the methods is a cell type, a fate, or ``uncommitted``;
    ``time`` is in hours; without a time, all times count alike.
    """

    settings: Settings
    _cache: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def genome(self) -> Genome:
        """Chromosomes, genes and their regulation."""
        if "genome" not in self._cache:
            s = self.settings
            self._cache["genome"] = make_genome(
                s.seed, s.n_genes, s.n_chromosomes, s.n_bins, s.bin_size
            )
        made: Genome = self._cache["genome"]
        return made

    @property
    def network(self) -> Network:
        """The regulatory network, with the perturbations of this organism."""
        return Network(growth=self.settings.growth, perturbations=self.settings.perturbations)

    @property
    def times(self) -> np.ndarray:
        """Default sampling times (n_times,), hours."""
        return np.linspace(0.0, self.settings.duration, self.settings.n_times)

    @property
    def chromosomes(self) -> tuple[str, ...]:
        """Names of the chromosomes."""
        return tuple(c.name for c in self.genome.chromosomes)

    @property
    def fates(self) -> tuple[str, ...]:
        """Names of the terminal fates."""
        return lineage.FATES

    @property
    def cell_types(self) -> tuple[str, ...]:
        """Names of the cell types: progenitor, intermediate and terminal ones."""
        return lineage.CELL_TYPES

    @property
    def lineage(self) -> dict[str, str | None]:
        """The cell type that each cell type comes from; None for the root."""
        return dict(lineage.LINEAGE)

    @property
    def commitment_times(self) -> dict[str, float]:
        """Hour at which the first and the second switch turn bistable; ``inf`` if never."""
        return commitment_times(self.network, self.settings.duration)

    def sample(
        self,
        times: float | Sequence[float] | np.ndarray | None = None,
        n_cells: int | None = None,
        seed: int = 0,
        *,
        dropout: float = 0.0,
        n_batches: int = 1,
        batch_strength: float = 0.2,
        keep_truth: bool = True,
    ) -> AnnData:
        """Draw cells at each of ``times``; measuring destroys them, so no cell is seen twice.

        A time is sampled by its own seed: alone or in a list, its cells are the same.

        Parameters
        ----------
        times : float or sequence of float, optional
            Hours, in any order, without repeats; by default ``self.times``.
        n_cells : int, optional
            Cells at each time; by default ``settings.n_cells``.
        seed : int
            Seed of this experiment.
        dropout : float
            Probability that a gene of low mean is lost on top of the counting noise.
        n_batches, batch_strength : int, float
            Batches to which cells fall at random, and the standard deviation of their effects on
            the log of each gene's mean.
        keep_truth : bool
            Keep ``layers["true_mean"]`` (4 bytes × cells × genes).

        Returns
        -------
        AnnData
            ``X`` CSR counts (cells, genes); ``obs``: time (hours), fate, cell_type, phase,
            cycle (0 to 1), clock (hours by the cell's own clock), depth (expected total count),
            batch; ``obsm["true_state"]`` levels of the regulators; ``layers["true_mean"]``
            noise-free expression that adds up to 10,000 in a cell, without batch effects.

        Raises
        ------
        ValueError
            If times are negative, not finite or repeated, or another argument is out of range.
        """
        s = self.settings
        return expression.sample_cells(
            self.genome,
            self.network,
            s,
            check_times(self.times if times is None else times, s.duration),
            whole("n_cells", s.n_cells if n_cells is None else n_cells, 1),
            whole("seed", seed),
            dropout,
            (whole("n_batches", n_batches, 1), positive("batch_strength", batch_strength, True)),
            keep_truth,
        )

    def identical_cells(
        self,
        n_cells: int,
        seed: int = 0,
        *,
        time: float = 0.0,
        depth: float | None = None,
        depth_spread: float | None = None,
        overdispersed: bool = True,
    ) -> AnnData:
        """Draw cells of one true expression: they differ by counting, noise and depth alone.

        Whatever an analysis finds among them (clusters, genes that differ, correlations) it has
        invented. All have the mean expression of ``time``.

        Parameters
        ----------
        n_cells : int
            Cells.
        seed : int
            Seed of this draw.
        time : float
            Hour.
        depth, depth_spread : float, optional
            Median of the expected total counts, and the standard deviation of its log; by default
            those of the settings.
        overdispersed : bool
            Counts with the dispersion of each gene; otherwise they are Poisson.

        Returns
        -------
        AnnData
            ``X`` counts (cells, genes), dense; ``obs``: depth (expected total count).

        Raises
        ------
        ValueError
            If an argument is out of range.
        """
        from anndata import AnnData

        s, genes = self.settings, self.genome.genes
        rng = np.random.default_rng([s.seed, 5, whole("seed", seed), *time_words(time)])
        middle = s.depth if depth is None else positive("depth", depth)
        wide = s.depth_spread if depth_spread is None else positive("spread", depth_spread, True)
        depths = middle * np.exp(wide * rng.standard_normal(whole("n_cells", n_cells, 1)))
        mean = np.tile(self.mean_expression(time).to_numpy(np.float32), (n_cells, 1))
        if overdispersed:
            counts = expression.sample_counts(mean, depths, self.genome.dispersion, rng)
        else:
            counts = rng.poisson(mean * (depths / expression.TOTAL)[:, None])
        obs = pd.DataFrame({"depth": depths}, index=[f"cell_{i}" for i in range(n_cells)])
        return AnnData(counts.astype(np.float32), obs=obs, var=genes[[]].copy())

    def mean_log_values(self, cells: AnnData, n_draws: int = 20, seed: int = 0) -> np.ndarray:
        """Return the log values of cells in the mean over the noise of counting.

        The mean of a logarithm is not the logarithm of a mean: what a model of log values should
        predict is not ``log1p(true_mean)``. Each cell is measured ``n_draws`` times, at another
        depth each time.

        Parameters
        ----------
        cells : AnnData
            Cells that :meth:`sample` drew, with ``obs["cycle"]`` and ``layers["true_mean"]``.
        n_draws : int
            Measurements of each cell.
        seed : int
            Seed of the measurements.

        Returns
        -------
        array (cells, genes)
            Mean of log1p of counts per 10,000.

        Raises
        ------
        ValueError
            If the cells do not hold their true means, or ``n_draws`` is below 1.

        Examples
        --------
        >>> from scstlib.datasets.organism import simulate_organism
        >>> organism = simulate_organism(preset="tiny")
        >>> cells = organism.sample(24.0, n_cells=3)
        >>> organism.mean_log_values(cells).shape == cells.shape
        True
        """
        if "true_mean" not in cells.layers or "cycle" not in cells.obs:
            raise ValueError(
                "cells hold no true means: sample them with keep_truth=True, and score them before"
                " anything else is made of them"
            )
        n_draws, rng = whole("n_draws", n_draws, 1), np.random.default_rng(whole("seed", seed))
        s, cycle, total = self.settings, cells.obs["cycle"].to_numpy(), np.zeros(cells.shape)
        for _ in range(n_draws):
            depth = expression.draw_depths(cycle, s.depth, s.depth_spread, rng)
            counts = expression.sample_counts(
                cells.layers["true_mean"], depth, self.genome.dispersion, rng
            )
            total += np.log1p(counts * (1e4 / np.maximum(counts.sum(axis=1, keepdims=True), 1)))
        return total / n_draws

    def _groups(self, time: float | None) -> dict[str, Group]:
        """Return the reference population of each cell type present, at a time or at all."""
        if time is not None:
            time = float(check_times(time, self.settings.duration)[0])
        if time not in self._cache:
            at = self.times if time is None or time in self.times else np.array([time])
            self._cache.update(
                reference_groups(self.genome, self.network, self.settings, at, time is None)
            )
        found: dict[str, Group] = self._cache[time]
        return found

    def _members(self, fate: str | None, time: float | None) -> dict[str, Group]:
        """Return the populations of the cell types that ``fate`` stands for."""
        members = self._groups(time)
        if fate is None:
            return members
        if fate in lineage.CELL_TYPES:
            wanted = {fate}
        elif fate in (*lineage.FATES, lineage.UNCOMMITTED):
            wanted = {name for name in lineage.CELL_TYPES if lineage.fate_of_type(name) == fate}
        else:
            names = (*lineage.CELL_TYPES, *lineage.FATES, lineage.UNCOMMITTED)
            raise ValueError(f"unknown fate {fate!r}; choose one of {', '.join(names)}")
        members = {name: members[name] for name in members if name in wanted}
        if not members:
            raise ValueError(f"no {fate} cells at hour {time}; see fate_shares({time})")
        return members

    def mean_expression(self, time: float | None = None, fate: str | None = None) -> pd.Series:
        """Return the noise-free mean of each gene (genes,); it adds up to 10,000.

        Raises ValueError if the fate is unknown or has no cells at that time.
        """
        mean = mix(self._members(fate, time)).expression
        return pd.Series(mean, index=self.genome.genes.index, name="mean")

    def fate_shares(self, time: float | None = None) -> pd.Series:
        """Return the share of uncommitted cells and of each fate; they add up to 1."""
        shares = self.cell_type_shares(time)
        order = (lineage.UNCOMMITTED, *lineage.FATES)
        return shares.groupby(lineage.fate_of_type).sum().reindex(order).rename("share")

    def cell_type_shares(self, time: float | None = None) -> pd.Series:
        """Return the share of each cell type; they add up to 1."""
        shares = {name: p.share for name, p in self._groups(time).items()}
        return pd.Series(shares, name="share").reindex(lineage.CELL_TYPES, fill_value=0.0)

    def perturb(self, regulator: str, factor: float, time: float = 0.0) -> Self:
        """Return the organism whose ``regulator`` is made ``factor`` times as fast from ``time``.

        0 is a knock-out, 2 an over-expression. Everything else stays as it is, so that shares of
        fates, expression and contacts under the perturbation are known. The draws are the same too:
        samples of both with one seed are the same cells up to ``time``.

        Raises ValueError if there is no such regulator or the factor is negative.
        """
        known = {k: v for k, v in asdict(self.settings).items() if k not in _IDENTITY}
        change = (regulator, float(factor), float(time))
        changed = make_settings(
            self.settings.seed,
            self.settings.preset,
            known,
            (*self.settings.perturbations, change),
        )
        return type(self)(changed, {"genome": self.genome})
