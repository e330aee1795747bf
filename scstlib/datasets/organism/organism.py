"""The simulated organism: one regulatory network seen as expression and as contact maps.

Every model of this project is measured on it first, because here the truth is known: noise-free
expression at any time, expected contacts of any cell type, fates, and when cells commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scstlib.datasets.organism import chromatin, lineage
from scstlib.datasets.organism.genome import Chromosome
from scstlib.datasets.organism.population import CellPopulation
from scstlib.datasets.organism.reference import Group
from scstlib.datasets.organism.settings import make_settings, positive, time_words, whole
from scstlib.datasets.organism.writing import read_settings, write_organism

#: Expected maps that an organism keeps.
MAPS_KEPT = 4


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
        Any field of :class:`~scstlib.datasets.organism.settings.Settings`, in place of the
        preset's value.

    Returns
    -------
    Organism
        Its parts are drawn when they are asked for.

    Raises
    ------
    ValueError
        If the preset or a setting is unknown, or a number is out of range.

    Examples
    --------
    >>> from scstlib.datasets import simulate_organism
    >>> organism = simulate_organism(seed=0, preset="tiny")
    >>> organism.times.tolist()
    [0.0, 24.0, 48.0, 72.0, 96.0]
    >>> organism.sample().shape, organism.bulk()["chr1"].shape
    ((200, 120), (64, 64))
    """
    return Organism(make_settings(seed, preset, settings))


@dataclass(frozen=True)
class Organism(CellPopulation):
    """A population that differentiates, with genes on chromosomes; see :func:`simulate_organism`.

    Truth is a mean over a reference population of ``settings.n_reference`` cells that is simulated
    apart from all samples. ``fate`` in the methods is a cell type, a fate, or ``uncommitted``;
    ``time`` is in hours; without a time, all times count alike.
    """

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
        # The same map is often drawn from several times in a row; the last ones are kept.
        kept: dict[Any, np.ndarray] = self._cache.setdefault("maps", {})
        key = chrom, fate, time, biased
        if key not in kept:
            made = self._expected_contacts(*key)
            while len(kept) >= MAPS_KEPT:
                del kept[next(iter(kept))]
            kept[key] = made
        return kept[key].copy()

    def _expected_contacts(
        self, chrom: str, fate: str | None, time: float | None, biased: bool
    ) -> np.ndarray:
        c = self._chromosome(chrom)
        members = self._members(fate, time)
        total = sum(p.share for p in members.values())
        out = np.zeros((c.n_bins, c.n_bins), dtype=np.float32)
        for group in members.values():
            out += np.float32(group.share / total) * self._map(c, group)
        if biased:
            out = chromatin.see(out, c.visibility)
        return out * np.float32(self.settings.contacts_per_cell / self.settings.n_chromosomes)

    def _map(self, c: Chromosome, group: Group) -> np.ndarray:
        s = self.settings
        state = chromatin.chromatin_state(
            self.genome,
            c,
            group.levels,
            group.lagged,
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

        Raises ValueError if a chromosome or the fate is unknown or without cells, or ``n_cells`` is
        below 1.
        """
        return self._draw(5, whole("n_cells", n_cells, 1), fate, time, seed, chroms)

    def _draw(
        self,
        use: int,
        cells: float,
        fate: str | None,
        time: float | None,
        seed: int,
        chroms: Sequence[str] | None = None,
    ) -> dict[str, np.ndarray]:
        out = {}
        for chrom in self.chromosomes if chroms is None else chroms:
            expected = self.expected_contacts(chrom, fate, time, biased=True)
            rng = self._rng(use, seed, fate, time, chrom)
            out[chrom] = chromatin.sample_map(np.float32(cells) * expected, rng)
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
        names = (None, *lineage.CELL_TYPES, *lineage.FATES, lineage.UNCOMMITTED)
        place = 0 if chrom is None else 1 + self.chromosomes.index(chrom)
        at = time_words(-1.0 if time is None else float(time))
        key = [self.settings.seed, use, whole("seed", seed), names.index(fate), place, *at]
        return np.random.default_rng(key)

    def bulk(
        self,
        kind: str = "stem",
        depth: float | None = None,
        seed: int = 0,
        *,
        chroms: Sequence[str] | None = None,
    ) -> dict[str, np.ndarray]:
        """Draw a bulk experiment: a map (bins, bins), int32, by chromosome.

        Parameters
        ----------
        kind : str
            ``stem``, the progenitors alone, or ``mixture``, all cells of all times.
        depth : float, optional
            Number of contacts in the whole genome; by default those of 2,000 cells.
        chroms : sequence of str, optional
            Chromosomes; by default all.

        Raises
        ------
        ValueError
            If the kind is unknown or the depth is not positive.
        """
        if kind not in ("stem", "mixture"):
            raise ValueError(f"unknown kind {kind!r} of bulk; choose stem or mixture")
        cells = 2_000.0
        if depth is not None:
            cells = positive("depth", depth) / self.settings.contacts_per_cell
        return self._draw(7, cells, "stem" if kind == "stem" else None, None, seed, chroms)

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
        """Write settings, cells, contact maps and tracks to a folder that is made if need be.

        :func:`read_organism` returns the organism of such a folder; the formats are those of
        :mod:`scstlib.datasets.organism.writing`.
        """
        shares = self.cell_type_shares()
        write_organism(
            Path(folder),
            self.settings,
            cells=self.sample(),
            genes=self.genome.genes,
            tracks=self.tracks(),
            bulk=self.bulk(),
            pseudo_bulks=((name, self.sample_contacts(name)) for name in shares.index[shares > 0]),
            single_cells=self.sample_cell_contacts(n_cells=n_single_cells),
        )


def read_organism(folder: str | Path) -> Organism:
    """Return the organism that :meth:`Organism.write` wrote to ``folder``; the two are equal.

    Raises
    ------
    FileNotFoundError
        If the folder has no settings.
    ValueError
        If the settings are damaged, or of a later version.
    """
    return Organism(read_settings(folder))
