"""The simulated organism: one regulatory network seen as expression and as contact maps.

Every model of this project is measured on it first, because here the truth is known: noise-free
expression at any time, expected contacts of any cell type, fates, and when cells commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scstlib.datasets import organism_chromatin as chromatin
from scstlib.datasets import organism_expression as expression
from scstlib.datasets import organism_network as net
from scstlib.datasets.organism_genome import Chromosome, Genome, make_genome
from scstlib.datasets.organism_reference import Population, mix, reference_populations
from scstlib.datasets.organism_settings import Settings, make_settings, positive, whole

if TYPE_CHECKING:
    from anndata import AnnData

TIME_UNIT = "hour"
_FEWEST = 256  # cells of a run: with fewer, division and death leave too few ancestors


def simulate_organism(seed: int = 0, preset: str = "small", **settings: Any) -> Organism:
    """Make a simulated organism.

    Parameters
    ----------
    seed : int
        Same seed and settings, same organism.
    preset : str
        ``tiny`` for tests, ``small`` for the book (1,200 genes, 13 chromosomes × 640 bins of
        50 kb), ``large``.
    **settings
        Any field of :class:`~scstlib.datasets.organism_settings.Settings`, in place of the
        preset's value.

    Raises
    ------
    ValueError
        If the preset or a setting is unknown, or a number is out of range.
    """
    return Organism(make_settings(seed, preset, settings))


@dataclass(frozen=True)
class Organism:
    """A population that differentiates, with genes on chromosomes; see :func:`simulate_organism`.

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
    def network(self) -> net.Network:
        """The regulatory network, with the perturbations of this organism."""
        return net.Network(growth=self.settings.growth, perturbations=self.settings.perturbations)

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
        return net.FATES

    @property
    def cell_types(self) -> tuple[str, ...]:
        """Names of the cell types: progenitor, intermediate and terminal ones."""
        return net.CELL_TYPES

    @property
    def lineage(self) -> dict[str, str | None]:
        """The cell type that each cell type comes from; None for the root."""
        return dict(net.LINEAGE)

    @property
    def commitment_times(self) -> dict[str, float]:
        """Hour at which the first and the second switch turn bistable; ``inf`` if never."""
        return net.commitment_times(self.network, self.settings.duration)

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
        n = whole("n_cells", self.settings.n_cells if n_cells is None else n_cells, 1)
        if not 0.0 <= dropout <= 1.0:
            raise ValueError(f"dropout is {dropout}; it must be a probability")
        batches = expression.batch_factors(
            len(self.genome.base),
            whole("n_batches", n_batches, 1),
            positive("batch_strength", batch_strength, zero=True),
            np.random.default_rng([self.settings.seed, 4]),
        )
        parts = []
        for time in self._times(self.times if times is None else times):
            rng = np.random.default_rng([self.settings.seed, 3, whole("seed", seed), *_bits(time)])
            state = net.simulate(self.network, np.array([time]), max(n, _FEWEST), rng)[0]
            state = state.take(rng.choice(len(state.cycle), n, replace=False))
            parts.append(
                expression.measure(self.genome, self.settings, state, batches, dropout, rng)
            )
            parts[-1].obs.insert(0, "time", time)
        return expression.join(parts, self.genome.genes, TIME_UNIT, keep_truth)

    def _times(self, times: float | Sequence[float] | np.ndarray) -> np.ndarray:
        """Return times as an array; raise ValueError naming what is wrong."""
        out = np.atleast_1d(np.asarray(times, dtype=np.float64)) + 0.0
        if out.ndim != 1 or len(out) == 0:
            raise ValueError(f"times has shape {out.shape}; give one or more numbers")
        latest = 5 * self.settings.duration
        if not np.isfinite(out).all() or out.min() < 0 or out.max() > latest:
            raise ValueError(f"times {out.tolist()} must be from 0 to {latest:g} hours")
        if len(np.unique(out)) < len(out):
            raise ValueError(f"times {out.tolist()} repeat; ask for more cells with n_cells")
        return out

    def _populations(self, time: float | None) -> dict[str, Population]:
        """Return the reference population of each cell type present, at a time or at all."""
        if time is not None:
            time = float(self._times(time)[0])
        if time not in self._cache:
            at = self.times if time is None or time in self.times else np.array([time])
            self._cache.update(
                reference_populations(self.genome, self.network, self.settings, at, time is None)
            )
        found: dict[str, Population] = self._cache[time]
        return found

    def _members(self, fate: str | None, time: float | None) -> dict[str, Population]:
        """Return the populations of the cell types that ``fate`` stands for."""
        members = self._populations(time)
        if fate is None:
            return members
        if fate in net.CELL_TYPES:
            wanted = {fate}
        elif fate in (*net.FATES, net.UNCOMMITTED):
            wanted = {name for name in net.CELL_TYPES if net.fate_of_type(name) == fate}
        else:
            names = (*net.CELL_TYPES, *net.FATES, net.UNCOMMITTED)
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
        order = (net.UNCOMMITTED, *net.FATES)
        return shares.groupby(net.fate_of_type).sum().reindex(order).rename("share")

    def cell_type_shares(self, time: float | None = None) -> pd.Series:
        """Return the share of each cell type; they add up to 1."""
        shares = {name: p.share for name, p in self._populations(time).items()}
        return pd.Series(shares, name="share").reindex(net.CELL_TYPES, fill_value=0.0)

    def perturb(self, regulator: str, factor: float, time: float = 0.0) -> Organism:
        """Return the organism whose ``regulator`` is made ``factor`` times as fast from ``time`` on.

        0 is a knock-out, 2 an over-expression. Everything else stays as it is, so that shares of
        fates, expression and contacts under the perturbation are known.

        Raises ValueError if there is no such regulator or the factor is negative.
        """
        if regulator not in net.REGULATORS:
            raise ValueError(
                f"{regulator!r} is not a regulator; choose one of {', '.join(net.REGULATORS)}"
            )
        self._times(time)
        change = (regulator, float(positive("factor", factor, zero=True)), float(time))
        changed = replace(self.settings, perturbations=(*self.settings.perturbations, change))
        kept = {key: self._cache[key] for key in ("genome",) if key in self._cache}
        return Organism(changed, kept)

    def expected_contacts(
        self,
        chrom: str,
        fate: str | None = None,
        time: float | None = None,
        *,
        biased: bool = False,
    ) -> np.ndarray:
        """Return the contacts that one cell is expected to show (bins, bins), float32, symmetric.

        Each chromosome has the same share of ``settings.contacts_per_cell``; the main diagonal
        counts once. With ``biased``, bins are seen with their visibility, as in all samples.

        Raises ValueError if the chromosome or the fate is unknown or without cells.
        """
        c = self._chromosome(chrom)
        members = self._members(fate, time)
        total = sum(p.share for p in members.values())
        out = np.zeros((c.n_bins, c.n_bins), dtype=np.float32)
        for population in members.values():
            out += np.float32(population.share / total) * self._map(c, population)
        if biased:
            out = chromatin.see(out, c.visibility)
        return out * np.float32(self.settings.contacts_per_cell / self.settings.n_chromosomes)

    def _map(self, c: Chromosome, population: Population) -> np.ndarray:
        s = self.settings
        state = chromatin.chromatin_state(
            self.genome,
            c,
            population.levels,
            population.lagged,
            s.expression_weight,
            s.private_weight,
        )
        return chromatin.contact_map(c, state, s.bin_size)

    def _chromosome(self, chrom: str) -> Chromosome:
        for c in self.genome.chromosomes:
            if c.name == chrom:
                return c
        raise ValueError(f"unknown chromosome {chrom!r}; choose one of {self.chromosomes}")

    def sample_contacts(
        self,
        fate: str | None = None,
        time: float | None = None,
        n_cells: int = 200,
        seed: int = 0,
        *,
        chroms: Sequence[str] | None = None,
    ) -> dict[str, np.ndarray]:
        """Draw the summed contacts of ``n_cells`` cells: a map (bins, bins), int32, by chromosome.

        Poisson counts about ``n_cells`` × the biased expected contacts; symmetric.
        """
        n = whole("n_cells", n_cells, 1)
        out = {}
        for chrom in self.chromosomes if chroms is None else chroms:
            expected = self.expected_contacts(chrom, fate, time, biased=True)
            out[chrom] = chromatin.sample_map(n * expected, self._rng(5, seed, fate, time, chrom))
        return out

    def sample_cell_contacts(
        self,
        fate: str | None = None,
        time: float | None = None,
        n_cells: int = 10,
        seed: int = 0,
        *,
        chroms: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Draw contacts of single cells: chrom, cell, bin1 <= bin2 (within the chromosome), count.

        The number of contacts of a cell is log-normal with standard deviation
        ``settings.depth_spread`` of the log.
        """
        n = whole("n_cells", n_cells, 1)
        s = self.settings
        spread = self._rng(6, seed, fate, time, None).standard_normal(n) * s.depth_spread
        mean = s.contacts_per_cell / s.n_chromosomes * np.exp(spread - s.depth_spread**2 / 2)
        tables = []
        for chrom in self.chromosomes if chroms is None else chroms:
            rng = self._rng(6, seed, fate, time, chrom)
            expected = self.expected_contacts(chrom, fate, time, biased=True)
            share = float(np.triu(expected).sum()) / (s.contacts_per_cell / s.n_chromosomes)
            table = chromatin.sample_cells(expected, rng.poisson(mean * share), rng)
            table.insert(0, "chrom", chrom)
            tables.append(table)
        return pd.concat(tables, ignore_index=True)

    def _rng(
        self, use: int, seed: int, fate: str | None, time: float | None, chrom: str | None
    ) -> np.random.Generator:
        """Return a generator of its own for each use, seed, population and chromosome."""
        names = (None, *net.CELL_TYPES, *net.FATES, net.UNCOMMITTED)
        place = 0 if chrom is None else 1 + self.chromosomes.index(chrom)
        at = _bits(-1.0 if time is None else float(time))
        key = [self.settings.seed, use, whole("seed", seed), names.index(fate), place, *at]
        return np.random.default_rng(key)

    def bulk(
        self, kind: str = "stem", depth: float | None = None, seed: int = 0
    ) -> dict[str, np.ndarray]:
        """Draw a bulk experiment: a map (bins, bins), int32, by chromosome.

        Parameters
        ----------
        kind : str
            ``stem``, the progenitors alone, or ``mixture``, all cells of all times.
        depth : float, optional
            Number of contacts; by default those of 2,000 cells.
        """
        if kind not in ("stem", "mixture"):
            raise ValueError(f"unknown kind {kind!r} of bulk; choose stem or mixture")
        cells = 2_000.0
        if depth is not None:
            cells = positive("depth", depth) / self.settings.contacts_per_cell
        fate = "stem" if kind == "stem" else None
        out = {}
        for chrom in self.chromosomes:
            expected = self.expected_contacts(chrom, fate, biased=True)
            rng = self._rng(7, seed, fate, None, chrom)
            out[chrom] = chromatin.sample_map(np.float32(cells) * expected, rng)
        return out

    def tracks(self, fate: str | None = None, time: float | None = None) -> pd.DataFrame:
        """Return one row a bin: chrom, start, end, ctcf_forward, ctcf_reverse, cpg.

        With a fate or a time also expression_forward and expression_reverse: the noise-free means
        of the genes that start in the bin, by strand.
        """
        mean = None
        if fate is not None or time is not None:
            mean = self.mean_expression(time, fate).to_numpy()
        return chromatin.track_table(self.genome, mean)

    def write(self, folder: str | Path, n_single_cells: int = 5) -> None:
        """Write settings, cells, contact maps and tracks; see ``organism_io.write_organism``."""
        from scstlib.datasets.organism_io import write_organism

        write_organism(self, Path(folder), n_single_cells)


def _bits(time: float) -> list[int]:
    """Return the bits of a time as whole numbers, for a seed."""
    return [int(word) for word in np.array([time + 0.0]).view(np.uint32)]
