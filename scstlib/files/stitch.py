"""Overlap-add: from predicted windows to one banded map a chromosome.

Windows that overlap are averaged with weights that fade to zero towards the window's corners, so
that no border shows. Along a diagonal at distance d a window of w bins has w - d pixels, and its
weight there is sin²(π (a + ½) / (w - d)) at the a-th of them. Windows that are ``stride`` apart
cover every pixel up to distance ``window - stride``: that is the band. At its outer edge only one
window is left to look at; a smaller stride makes the band wider and its edge smoother.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import scipy.sparse as sp

from scstlib.preprocess.windows import SAMPLE, Windows


class BandedMap:
    """One chromosome, to which windows are added; memory grows with bins × band.

    Parameters
    ----------
    n_bins
        Bins of the chromosome.
    window
        Bins of a window.
    max_distance
        Largest distance in bins that is kept; windows that are ``stride`` apart cover everything
        up to ``window - stride``.

    Raises
    ------
    ValueError
        If the window does not fit, or ``max_distance`` is not within it.
    """

    def __init__(self, n_bins: int, window: int, max_distance: int) -> None:
        if not 1 <= window <= n_bins:
            raise ValueError(f"a window of {window} bins does not fit into {n_bins}")
        if not 0 <= max_distance < window:
            raise ValueError(f"max_distance is {max_distance}: give 0 to {window - 1} bins")
        self.window = window
        self.weight = _taper(window, max_distance + 1)
        self._sum = np.zeros((n_bins, max_distance + 1))
        self._weights = np.zeros((n_bins, max_distance + 1))

    def add(self, maps: np.ndarray, starts: np.ndarray) -> None:
        """Add windows (n, window, window), of which the upper triangle is read.

        Parameters
        ----------
        starts
            (n,), first bin of each.

        Raises
        ------
        ValueError
            For a wrong shape, NaN, or a window that leaves the chromosome.
        """
        n_bins, depth = self._sum.shape
        if maps.shape != (len(starts), self.window, self.window):
            raise ValueError(
                f"maps have shape {maps.shape}, not {(len(starts), self.window, self.window)}"
            )
        if not np.isfinite(maps).all():
            raise ValueError("a predicted map holds NaN or infinity")
        for start, diagonals in zip(np.asarray(starts), _diagonals(maps, depth), strict=True):
            if not 0 <= start <= n_bins - self.window:
                raise ValueError(f"a window at bin {start} leaves the {n_bins} bins")
            rows = slice(start, start + self.window)
            self._sum[rows] += self.weight * diagonals
            self._weights[rows] += self.weight

    def upper(self, usable: np.ndarray | None = None) -> sp.csr_array:
        """Upper triangle (n_bins, n_bins), float32; nothing is stored where no window was added.

        Parameters
        ----------
        usable
            (n_bins,), False for bins whose rows and columns stay empty.
        """
        n_bins, depth = self._sum.shape
        seen = self._weights > 0
        if usable is not None:
            seen &= usable[:, None]
            # Column d of row i is bin i + d, which beyond the last bin no window reaches.
            partner = np.minimum(np.arange(n_bins)[:, None] + np.arange(depth), n_bins - 1)
            seen &= usable[partner]
        row, distance = np.nonzero(seen)
        values = (self._sum[seen] / self._weights[seen]).astype(np.float32)
        stored = values != 0
        entries = (values[stored], (row[stored], (row + distance)[stored]))
        return sp.csr_array(entries, shape=(n_bins, n_bins))


def _taper(window: int, depth: int) -> np.ndarray:
    """Weights (window, depth) by row and distance from the diagonal; 0 outside of the window."""
    row, distance = np.arange(window)[:, None], np.arange(depth)
    length = window - distance
    inside = row < length
    return np.where(inside, np.sin(np.pi * (row + 0.5) / length) ** 2, 0.0)


def _diagonals(maps: np.ndarray, depth: int) -> np.ndarray:
    """Rows that begin at the diagonal: (n, window, depth) with [a, d] = map[a, a + d], or 0."""
    window = maps.shape[-1]
    padded = np.pad(maps, ((0, 0), (0, 0), (0, depth)))
    by_map, by_row, by_column = padded.strides
    return np.lib.stride_tricks.as_strided(
        padded,
        (len(maps), window, depth),
        (by_map, by_row + by_column, by_column),
        writeable=False,
    )


def symmetric(upper: sp.csr_array) -> sp.csr_array:
    """Both triangles of a map of which the upper one is given; equal to the last bit."""
    return sp.csr_array(upper + sp.triu(upper, 1).T)


def stitch(
    maps: np.ndarray,
    table: pd.DataFrame,
    n_bins: Mapping[str, int],
    *,
    bin_size: int,
    max_distance: int,
) -> dict[str, sp.csr_array]:
    """Join predicted windows of one cell type to one map a chromosome.

    Parameters
    ----------
    maps
        (n, window, window), symmetric.
    table
        n rows with ``chrom`` and ``start`` (bp), such as ``windows.table``.
    n_bins
        Bins of each chromosome in the table.
    bin_size
        In bp.
    max_distance
        See :class:`BandedMap`.

    Returns
    -------
    dict
        Chromosome → upper triangle, float32; :func:`symmetric` gives both.

    Raises
    ------
    ValueError
        For several cell types or donors, a chromosome without a length, or what
        :class:`BandedMap` refuses.
    """
    for column in SAMPLE:
        if column in table and table[column].nunique() > 1:
            kinds = list(table[column].unique())
            one = column.replace("_", " ")
            raise ValueError(f"windows of {kinds} cannot be joined to one map: select one {one}")
    joined = {}
    for chrom in table["chrom"].unique():
        if chrom not in n_bins:
            raise ValueError(f"no number of bins for {chrom!r}; there are {list(n_bins)}")
        here = (table["chrom"] == chrom).to_numpy()
        band = BandedMap(n_bins[chrom], maps.shape[-1], max_distance)
        band.add(maps[here], table.loc[here, "start"].to_numpy() // bin_size)
        joined[str(chrom)] = band.upper()
    return joined


def predict_map(
    predict: Callable[[Windows], np.ndarray],
    windows: Windows,
    n_bins: int,
    *,
    max_distance: int,
    batch_size: int = 4,
) -> sp.csr_array:
    """Predict the windows of one chromosome and cell type in batches, and join them.

    Parameters
    ----------
    predict
        Windows → (n, window, window), such as the method of a fitted model.
    windows
        Of one chromosome, cell type and donor. Masked bins stay empty.
    n_bins
        Bins of the chromosome.

    Returns
    -------
    csr_array
        (n_bins, n_bins), float32, the upper triangle.

    Raises
    ------
    ValueError
        For no window, a ``batch_size`` below 1, windows of several chromosomes, cell types or
        donors, one that leaves the chromosome, or negative or non-finite predictions.
    """
    if len(windows) == 0:
        raise ValueError("there are no windows to predict.")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}.")
    for column in ("chrom", *SAMPLE):
        if column in windows.table and windows.table[column].nunique() > 1:
            raise ValueError(f"windows of several {column}: {list(windows.table[column].unique())}")
    starts = windows.table["start"].to_numpy() // windows.bin_size
    window = windows.bulk.shape[-1]
    band = BandedMap(n_bins, window, max_distance)
    for first in range(0, len(windows), batch_size):
        rows = slice(first, first + batch_size)
        maps = predict(windows[rows])
        if maps.min(initial=0.0) < 0:
            raise ValueError(f"the model predicted a negative contact, {maps.min()}")
        band.add(maps, starts[rows])
    usable = np.zeros(n_bins, dtype=bool)
    usable[starts[:, None] + np.arange(window)] = windows.mask
    return band.upper(usable)
