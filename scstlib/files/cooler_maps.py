"""Contact maps of cooler files, read one chromosome at a time up to the reach of a window."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from scstlib.files.damage import reading, refuse_links
from scstlib.preprocess.tracks import match_chromosomes

WHAT = "cooler file"
CHUNK = 2_000_000  # pixels that are read at once
# Weights of .hic files divide the counts; converters keep their names.
DIVISIVE = {
    scope + name for scope in ("", "INTER_", "GW_") for name in ("KR", "SCALE", "VC", "VC_SQRT")
}
# Two names of the same sequence.
SAME = {"grch37": "hg19", "grch38": "hg38", "grcm38": "mm10", "grcm39": "mm39"}


def open_cooler(uri: str | Path, resolution: int | None = None) -> Any:
    """Open a ``.cool`` file, or one bin size of an ``.mcool`` file.

    Parameters
    ----------
    uri
        Path, or path and group: ``bulk.mcool::resolutions/50000``.
    resolution
        Bin size in bp, where ``uri`` does not name it.

    Returns
    -------
    cooler.Cooler

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no cooler file or damaged, has parts in other files, no such resolution or none
        was chosen, stores both triangles, or its bins are not of one size; the message lists the
        resolutions that are there.
    """
    import cooler

    path, _, group = str(uri).partition("::")
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no contact map {path}.")
    if path.endswith(".hic"):
        raise ValueError(
            f"{path} is a .hic file: convert it first, with 'hictk convert {path} maps.mcool' or"
            f" 'hic2cool convert {path} maps.mcool -r 0'."
        )
    with reading(path, WHAT):
        refuse_links(path)
        groups = _groups_with_maps(path)
    names = [name.removeprefix("/resolutions/") for name in groups]
    sizes = sorted(int(name) for name in names if name.isdecimal())
    if resolution is not None and not group and sizes:
        group = f"resolutions/{resolution}"
    group = "/" + group.strip("/")
    if group not in groups:
        asked = f"no group {group!r}" if group != "/" else "several bin sizes or no map"
        there = (
            f"choose {path}::resolutions/N with N of {sizes}" if sizes else f"there are {groups}"
        )
        raise ValueError(f"{path} has {asked}: {there}.")
    with reading(path, WHAT):
        return _checked(cooler.Cooler(f"{path}::{group}"), f"{path}::{group}", resolution)


def _groups_with_maps(path: str) -> list[str]:
    """Groups of a file that hold a map; files of cooler before 0.7 do not name their format."""
    import cooler
    import h5py

    named: list[str] = cooler.fileops.list_coolers(path)
    with h5py.File(path) as file:
        whole = {"chroms", "bins", "pixels", "indexes"} <= set(file)
        old = ["/"] if whole and "format" not in file.attrs else []
    return named or old


def _checked(opened: Any, uri: str, resolution: int | None) -> Any:
    """A cooler whose tables say the same of its bins, chromosomes and pixels."""
    if opened.binsize is None:
        raise ValueError(f"{uri} has no bin size: its bins are unequal, or a single one.")
    if opened.storage_mode != "symmetric-upper":
        raise ValueError(f"{uri} stores both triangles: make it anew without --no-symmetric-upper.")
    if resolution is not None and opened.binsize != resolution:
        raise ValueError(f"{uri} has bins of {opened.binsize} bp, not of {resolution}.")
    names, size = list(opened.chromnames), opened.binsize
    lengths = opened.chromsizes.to_numpy()
    if not names or len(set(names)) < len(names) or "" in names or not (lengths > 0).all():
        raise ValueError(
            f"{uri}: its chromosomes {names[:5]} are none, repeated or without length."
        )
    other_bins = f"{uri}: its bins are not those of {size} bp on its chromosomes."
    bins = opened.bins()[["chrom", "start", "end"]][:]
    n_bins = -(-lengths.astype(np.int64) // size) if size > 0 else lengths
    expected = np.r_[0, np.cumsum(n_bins)]
    if len(bins) != expected[-1]:  # Before as many are made as the file says.
        raise ValueError(other_bins)
    start = (np.arange(expected[-1]) - np.repeat(expected[:-1], n_bins)) * size
    with opened.open("r") as group:
        chrom_offset, offset = (group[f"indexes/{n}_offset"][:] for n in ("chrom", "bin1"))
        n_pixels = {len(group["pixels"][column]) for column in ("bin1_id", "bin2_id", "count")}
    if (
        not np.array_equal(chrom_offset, expected)
        or not np.array_equal(bins["chrom"].astype(str), np.repeat(names, n_bins))
        or not np.array_equal(bins["start"], start)
        or not np.array_equal(bins["end"], np.minimum(start + size, np.repeat(lengths, n_bins)))
    ):
        raise ValueError(other_bins)
    if (
        len(offset) != len(start) + 1
        or offset[0] != 0
        or (np.diff(offset) < 0).any()
        or n_pixels != {int(offset[-1])}
    ):
        raise ValueError(f"{uri}: its index of pixels is not that of its bins.")
    return opened


def plain_name(assembly: str | None) -> str | None:
    """An assembly by its short name where it has two: ``GRCh38.p14`` is ``hg38``."""
    return SAME.get(assembly.lower().split(".")[0], assembly.lower()) if assembly else None


class CoolerMaps:
    """The maps of a cooler's chromosomes near the diagonal, as ``make_windows`` takes them.

    ``maps[chrom]`` reads a symmetric CSR matrix of the pixels up to ``reach`` bins apart. Bins that
    balancing filtered (NaN in the column of weights) are empty in it, balanced or not.

    Parameters
    ----------
    uri, resolution
        See :func:`open_cooler`.
    reach
        Largest distance in bins, the width of a window.
    balance
        False for raw counts; True or the name of a column of bins for balanced values.

    Attributes
    ----------
    bins : pandas.DataFrame
        chrom, start, end.
    chromsizes : dict
        Chromosome → length in bp.
    bin_size : int
    assembly : str or None
        As the file names it.
    metadata : dict
        What the file says of its origin.

    Raises
    ------
    ValueError
        As :func:`open_cooler`, or if the weights that are asked for are not there.
    """

    def __init__(
        self,
        uri: str | Path,
        resolution: int | None = None,
        *,
        reach: int = 128,
        balance: bool | str = False,
    ) -> None:
        self.uri = str(uri)
        self._cooler = open_cooler(uri, resolution)
        self._reach = reach
        self._stored: dict[str, str] = {}
        self.bin_size = int(self._cooler.binsize)
        self.chromsizes = {str(c): int(n) for c, n in self._cooler.chromsizes.items()}
        self.bins: pd.DataFrame = self._cooler.bins()[["chrom", "start", "end"]][:]
        assembly = self._cooler.info.get("genome-assembly")
        self.assembly = None if assembly in (None, "", "unknown") else str(assembly)
        self.metadata: dict[str, Any] = self._cooler.info.get("metadata") or {}
        self._balance = balance is not False
        self._weights = self._read_weights("weight" if isinstance(balance, bool) else balance)

    def __contains__(self, chrom: str) -> bool:
        return chrom in self.chromsizes

    def __iter__(self) -> Iterator[str]:
        return iter(self.chromsizes)

    def check_assembly(self, other: str | None, whose: str) -> None:
        """Refuse another assembly; nothing is refused where one of the two is not known.

        Raises
        ------
        ValueError
            Naming both.
        """
        ours, given = plain_name(self.assembly), plain_name(other)
        if ours and given and ours != given:
            raise ValueError(
                f"{self.uri} is of assembly {self.assembly}, {whose} of {other}: lift one of them"
                " over first."
            )

    def rename(self, names: Iterable[str]) -> None:
        """Go by the chromosome names of another file: ``1`` and ``chr1``."""
        table = pd.DataFrame({"chrom": list(self.chromsizes)})
        found = match_chromosomes(table, names)["chrom"]
        own = [str(c) for c in table["chrom"].loc[found.index]]
        self._stored = dict(zip(map(str, found), own, strict=True))
        self.chromsizes = {new: self.chromsizes[old] for new, old in self._stored.items()}

    def _extent(self, chrom: str) -> tuple[int, int]:
        first, last = self._cooler.extent(self._stored.get(chrom, chrom))
        return int(first), int(last)

    def n_bins(self, chrom: str) -> int:
        """Number of bins of a chromosome."""
        first, last = self._extent(chrom)
        return last - first

    def problem(self, chrom: str) -> str:
        """Why windows of a chromosome cannot be cut, in words; empty if they can."""
        if self.n_bins(chrom) < self._reach:
            return (
                f"{self.uri}: {chrom} has {self.n_bins(chrom)} bins of {self.bin_size:,} bp, fewer"
                f" than a window of {self._reach}; leave it out, or use smaller bins or windows"
            )
        first, last = self._extent(chrom)
        if self._weights is not None and np.isnan(self._weights[first:last]).all():
            return (
                f"{self.uri}: all balancing weights of {chrom} are NaN; leave it out, or balance"
                " again with weaker filters (cooler balance --force)"
            )
        if not any(part["count"].any() for part in self._pixels(chrom)):
            return (
                f"{self.uri}: {chrom} has no contact up to {self._reach} bins apart; leave it out"
                " or check how the file was made"
            )
        return ""

    def __getitem__(self, chrom: str) -> sp.csr_array:
        parts = list(self._pixels(chrom))
        i, j, count = (
            np.concatenate([part[name].to_numpy() for part in parts]) if parts else np.empty(0)
            for name in ("bin1_id", "bin2_id", "count")
        )
        wrong = ~np.isfinite(count) | (count < 0)
        if wrong.any():
            raise ValueError(
                f"{self.uri}: {chrom} holds counts that are negative or not finite, such as"
                f" {count[wrong][0]}; give counts as they were measured."
            )
        first, last = self._extent(chrom)
        i, j = i.astype(np.int64), j.astype(np.int64)
        values = count.astype(np.float32)
        if self._weights is not None:
            weight = self._weights[first:last]
            both = weight[i] * weight[j]
            values = np.where(np.isnan(both), 0, values * both if self._balance else values)
        n_bins = last - first
        upper = sp.csr_array((values.astype(np.float32), (i, j)), shape=(n_bins, n_bins))
        upper.eliminate_zeros()
        return sp.csr_array(upper + sp.triu(upper, 1).T)

    def _pixels(self, chrom: str) -> Iterator[pd.DataFrame]:
        """Pixels up to ``reach`` apart, with bins counted on the chromosome, in chunks."""
        first, last = self._extent(chrom)
        n_bins = len(self.bins)
        with reading(self.uri, WHAT), self._cooler.open("r") as group:
            low, high = group["indexes/bin1_offset"][first], group["indexes/bin1_offset"][last]
            for start in range(low, high, CHUNK):
                part = slice(start, min(start + CHUNK, high))
                i, j = (group["pixels"][side][part] for side in ("bin1_id", "bin2_id"))
                if (i < first).any() or (i >= last).any() or (j < i).any() or (j >= n_bins).any():
                    raise ValueError(f"{self.uri}: pixels of {chrom} lie outside of its bins.")
                near = (j < last) & (j - i < self._reach)
                count = group["pixels/count"][part][near]
                yield pd.DataFrame(
                    {"bin1_id": i[near] - first, "bin2_id": j[near] - first, "count": count}
                )

    def _read_weights(self, column: str) -> np.ndarray | None:
        """Multiplicative weights of all bins; None where there are none and none are needed."""
        columns = list(self._cooler.bins().columns)
        if column not in columns:
            if self._balance:
                raise ValueError(
                    f"{self.uri} has no balancing weights {column!r} among {columns[3:]}: run"
                    f" 'cooler balance {self.uri}', or use the raw counts."
                )
            return None
        weights: np.ndarray = self._cooler.bins()[column][:].to_numpy(dtype=float)
        with self._cooler.open("r") as group:
            divisive = group["bins"][column].attrs.get("divisive_weights", column in DIVISIVE)
        if divisive:
            weights = np.divide(1, weights, out=np.full(len(weights), np.nan), where=weights > 0)
        if (weights < 0).any() or np.isinf(weights).any():
            raise ValueError(
                f"{self.uri}: balancing weights {column!r} are negative or infinite in"
                f" {int(((weights < 0) | np.isinf(weights)).sum())} bins: balance again."
            )
        return weights
