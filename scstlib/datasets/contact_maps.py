"""Contact maps of several samples in one ``.cool`` or ``.scool`` file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scstlib.datasets.contact_files import SAMPLES, converted, digest, upper_pixels, write_scool
from scstlib.writing import whole_hdf5


@dataclass
class ContactMaps:
    """Samples (cells or bulk maps) × chromosomes over one file that cooler reads.

    ``matrix`` gives arrays; ``uri`` gives the name by which any cooler-based tool opens one
    sample: ``cooler.Cooler(maps.uri(name))``.

    Attributes
    ----------
    path : pathlib.Path
        The ``.cool`` (one sample) or ``.scool`` (several) file.
    obs : pandas.DataFrame
        One row a sample, indexed by its name: cell type, donor, time and the like.
    assembly : str or None
        Genome assembly.
    meta : dict
        ``dataset``, ``time_unit`` and the like, where they apply.
    """

    path: Path
    obs: pd.DataFrame
    assembly: str | None = None
    meta: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def open(cls, path: str | Path) -> ContactMaps:
        """Open a ``.scool`` file of this package, or any ``.cool`` or ``.scool`` file.

        A file without a table of samples gets an ``obs`` without columns; a ``.cool`` file has one
        sample, named by the stem of the file.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        """
        import cooler
        import h5py

        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"there is no contact-map file {path}")
        with h5py.File(path, "r") as store:
            if SAMPLES in store:
                record = json.loads(store[SAMPLES][()].decode())
                obs = pd.DataFrame(**record["obs"])
                return cls(path, obs, record["assembly"], record["meta"])
        if cooler.fileops.is_scool_file(str(path)):
            groups = cooler.fileops.list_scool_cells(str(path))
            names = [group.removeprefix("/cells/") for group in groups]
        else:
            names = [path.stem]
        return cls(path, pd.DataFrame(index=names))

    @property
    def names(self) -> list[str]:
        """Names of the samples."""
        return list(self.obs.index)

    def uri(self, name: str) -> str:
        """Name by which cooler opens one sample.

        Raises
        ------
        ValueError
            If there is no such sample.
        """
        if name not in self.obs.index:
            raise ValueError(f"there is no sample {name!r}; the first are {self.names[:5]}")
        return f"{self.path}::/cells/{name}" if self.path.suffix == ".scool" else str(self.path)

    def cooler(self, name: str) -> Any:
        """One sample as a ``cooler.Cooler``."""
        import cooler

        return cooler.Cooler(self.uri(name))

    @property
    def bins(self) -> pd.DataFrame:
        """Bins of the first sample: chrom, start, end and any track or weight.

        Tracks of one sample (masked bins, balancing weights) are ``cooler(name).bins()``.
        """
        bins: pd.DataFrame = self.cooler(self.names[0]).bins()[:]
        return bins

    @property
    def chromsizes(self) -> pd.Series:
        """Length of each chromosome in base pairs."""
        sizes: pd.Series[int] = self.cooler(self.names[0]).chromsizes
        return sizes

    @property
    def bin_size(self) -> int:
        """Size of a bin in base pairs."""
        return int(self.cooler(self.names[0]).binsize)

    def matrix(self, name: str | Iterable[str], chrom: str, balance: bool = False) -> np.ndarray:
        """Symmetric map of one chromosome, of one sample or summed over several.

        Parameters
        ----------
        name : str or iterable of str
            One sample, or several whose counts are summed.
        chrom : str
            Chromosome.
        balance : bool
            Multiply by the stored balancing weights (one sample only); needs the bin column
            ``weight``, which ``cooler.balance_cooler`` makes.

        Returns
        -------
        numpy.ndarray
            (bins of the chromosome, the same): counts, or balanced values with NaN in masked bins.

        Raises
        ------
        ValueError
            If a sample, the chromosome or the weights are not there.
        """
        names = [name] if isinstance(name, str) else list(name)
        if not names:
            raise ValueError("no sample is named")
        sources = [self.cooler(one) for one in names]  # each reads its header once
        if chrom not in sources[0].chromnames:
            raise ValueError(f"there is no chromosome {chrom!r} in {sources[0].chromnames}")
        if not balance:
            first, last = sources[0].extent(chrom)
            total = sum(_block(source, first, last) for source in sources)
            return total + np.triu(total, 1).T
        if len(names) > 1:
            raise ValueError("balanced maps are not summed: sum counts and balance the sum")
        if "weight" not in sources[0].bins().columns:
            raise ValueError(
                f"{names[0]!r} has no balancing weights: cooler.balance_cooler makes them"
            )
        balanced: np.ndarray = sources[0].matrix(balance=True).fetch(chrom)
        return balanced

    def pixels(self, name: str) -> pd.DataFrame:
        """Upper-triangle pixels of one sample: bin1_id, bin2_id, count."""
        pixels: pd.DataFrame = self.cooler(name).pixels()[:]
        return pixels

    def pseudobulk(
        self, groups: str | Mapping[str, Sequence[str]], path: str | Path | None = None
    ) -> ContactMaps:
        """Sum the counts of groups of samples, as maps of their own.

        Parameters
        ----------
        groups : str or mapping of str to sequence of str
            A column of ``obs`` (one map for each of its values), or new name → samples.
        path : path, optional
            The ``.scool`` file to write; by default one in the cache, reused for the same groups.

        Returns
        -------
        ContactMaps
            One sample a group; ``obs["n_samples"]`` counts what was summed.

        Raises
        ------
        ValueError
            If a column or sample does not exist.
        """
        if isinstance(groups, str):
            if groups not in self.obs:
                raise ValueError(f"obs has no column {groups!r}; it has {list(self.obs.columns)}")
            by = self.obs.groupby(groups, sort=True, observed=True)
            groups = {str(value): list(rows.index) for value, rows in by}
        members = {name: list(samples) for name, samples in groups.items()}
        for samples in members.values():
            for name in samples:
                self.uri(name)

        def write(target: Path) -> None:
            obs = pd.DataFrame({"n_samples": {name: len(s) for name, s in members.items()}})
            pixels = {name: self._summed(samples) for name, samples in members.items()}
            bins = self.bins[["chrom", "start", "end"]]
            write_scool(target, bins, pixels, obs, self.assembly, self.meta)

        if path is not None:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            with whole_hdf5(Path(path)) as temporary:
                write(temporary)
            return ContactMaps.open(path)
        state = self.path.stat()
        key = digest(str(self.path), state.st_size, state.st_mtime_ns, members)
        name = self.path.stem.split("-")[0] + "-pseudobulk"
        return ContactMaps.open(converted(name, key, write))

    def _summed(self, names: Sequence[str]) -> pd.DataFrame:
        """Pixels summed over samples, sorted."""
        tables = [self.pixels(name) for name in names]
        columns = (np.concatenate([t[c] for t in tables]) for c in ("bin1_id", "bin2_id", "count"))
        return upper_pixels(*columns)


def _block(source: Any, first: int, last: int) -> np.ndarray:
    """Upper triangle of the bins first to last - 1 of one cooler."""
    with source.open("r") as group:
        low, high = group["indexes/bin1_offset"][first], group["indexes/bin1_offset"][last]
        row, column = (group["pixels"][side][low:high] for side in ("bin1_id", "bin2_id"))
        # Pixels of these rows may lie on other chromosomes.
        inside = column < last
        counts = group["pixels/count"][low:high][inside]
    block = np.zeros((last - first, last - first), counts.dtype)
    block[row[inside] - first, column[inside] - first] = counts
    return block
