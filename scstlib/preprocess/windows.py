"""Windows on the diagonal of contact maps: what spatial models are fitted on and predict for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from scstlib.splits.parts import listed

SAMPLE = ("cell_type", "donor")  # columns that say whose map a window is


@dataclass(frozen=True, eq=False, repr=False)
class Windows:
    """Square windows on the diagonal, with their features, targets and place on the genome.

    ``windows[rows]`` (slice, integers or booleans) is a new object with copies of those windows.

    Attributes
    ----------
    bulk
        (n, bins, bins), symmetric, the map that is known in every cell type; 0 where masked.
    tracks
        (n, bins, tracks), along the genome: expression, CTCF, CpG.
    targets
        (n, bins, bins), symmetric, the map of ``cell_type``; None when it is to be predicted.
    table
        n rows: ``chrom``, ``start``, ``end`` (half-open, bp), ``cell_type``; whose maps are in
        ``bulk``, as tuples for the leak guard: ``bulk_cell_types``, ``bulk_donors``; optionally
        ``donor``, ``assembly``.
    bin_size
        Width of a bin in bp.
    mask
        (n, bins), True for bins that can be used: not empty and not filtered in the bulk map.
    track_names
        One name a track.
    """

    bulk: np.ndarray
    tracks: np.ndarray
    targets: np.ndarray | None
    table: pd.DataFrame
    bin_size: int
    mask: np.ndarray
    track_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n, bins = len(self.table), self.bulk.shape[-1]
        shapes: dict[str, tuple[int, ...]] = {
            "bulk": (n, bins, bins),
            "tracks": (n, bins, self.tracks.shape[-1]),
            "targets": (n, bins, bins),
            "mask": (n, bins),
        }
        for name, shape in shapes.items():
            array = getattr(self, name)
            if array is not None and array.shape != shape:
                raise ValueError(f"{name} has shape {array.shape}, not {shape}")
        missing = [c for c in ("chrom", "start", "end", "cell_type") if c not in self.table]
        if missing:
            raise ValueError(f"the table of windows has no column {missing[0]!r}")
        if self.track_names and len(self.track_names) != self.tracks.shape[-1]:
            raise ValueError(f"{len(self.track_names)} names for {self.tracks.shape[-1]} tracks")

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        """One line: the arrays would fill pages."""
        types = ", ".join(map(str, pd.unique(self.table["cell_type"])[:4]))
        return (
            f"<Windows: {len(self)} of {self.bulk.shape[-1]} bins of {self.bin_size:,} bp,"
            f" {self.tracks.shape[-1]} tracks, {'no' if self.targets is None else 'with'} targets,"
            f" cell types {types}>"
        )

    def __getitem__(self, rows: Any) -> Windows:
        rows = np.atleast_1d(np.arange(len(self))[rows])
        return replace(
            self,
            bulk=self.bulk[rows],
            tracks=self.tracks[rows],
            targets=None if self.targets is None else self.targets[rows],
            mask=self.mask[rows],
            table=self.table.iloc[rows].reset_index(drop=True),
        )


def window_starts(
    n_bins: int, window: int, stride: int, *, first_bin: int = 0, to_end: bool = False
) -> np.ndarray:
    """First bin of every full window: ``first_bin``, ``first_bin + stride``, ...

    The last full window is among them: 128 bins hold one window of 128. With ``to_end``, one that
    ends at the last bin is added where they leave a rest, so that all bins are covered.

    Raises
    ------
    ValueError
        If the window or the stride is not positive, or ``first_bin`` negative.

    Examples
    --------
    >>> from scstlib.preprocess.windows import window_starts
    >>> window_starts(300, window=128, stride=64).tolist()
    [0, 64, 128]
    >>> window_starts(300, window=128, stride=64, to_end=True).tolist()
    [0, 64, 128, 172]
    """
    if window < 1 or stride < 1 or first_bin < 0:
        raise ValueError(
            f"window {window} and stride {stride} must be at least 1, "
            f"first_bin {first_bin} at least 0"
        )
    starts = np.arange(first_bin, n_bins - window + 1, stride)
    if to_end and len(starts) and starts[-1] < n_bins - window:
        starts = np.append(starts, n_bins - window)
    return starts


def make_windows(
    bulk: Mapping[str, Any] | Any,
    tracks: Mapping[str, Mapping[str, np.ndarray]],
    targets: Mapping[str, Mapping[str, Any] | Any] | None,
    *,
    bin_size: int,
    bulk_cell_types: str | Iterable[str],
    window: int = 128,
    stride: int = 32,
    chromosomes: Iterable[str] | None = None,
    first_bin: int = 0,
    to_end: bool = False,
    max_masked: float = 1.0,
    balance: bool | str = False,
    track_names: Iterable[str] = (),
    **columns: Any,
) -> Windows:
    """Cut windows from the maps of whole chromosomes, for every cell type.

    A map is a mapping from chromosome to a symmetric (n_bins, n_bins) array or scipy sparse
    matrix, or a ``cooler.Cooler``. Windows never cross chromosomes; a chromosome shorter than a
    window gives none. A bin is masked when its row of the bulk map is empty or all NaN (filtered
    by balancing); masked bins and NaN are 0 in ``bulk`` and ``targets``. Arrays are float32.

    Parameters
    ----------
    bulk
        One map, known in every cell type.
    tracks
        Cell type → chromosome → (n_bins, tracks).
    targets
        Cell type → map, of the cell types of ``tracks``; None to predict.
    bin_size
        Width of a bin in bp.
    bulk_cell_types
        Names of the cell types whose contacts are in ``bulk``, for the leak guard; ``()`` if it
        comes from cells of another kind.
    window, stride, first_bin, to_end
        In bins; ``first_bin`` leaves out the beginning of each chromosome, ``to_end`` covers its
        end as well: see :func:`window_starts`.
    chromosomes
        Default: those of the first cell type in ``tracks``.
    max_masked
        Windows with a larger share of masked bins are left out.
    balance
        Of coolers: False for raw counts, True or a column's name for balanced values.
    columns
        More columns of the table, the same in all rows, such as ``donor``, ``assembly`` or
        ``bulk_donors``.

    Raises
    ------
    ValueError
        If a chromosome or cell type is missing, a map is not square and symmetric, lengths differ,
        or there is no full window.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.preprocess.windows import make_windows
    >>> bulk = {"chr1": np.ones((10, 10))}
    >>> tracks = {"T": {"chr1": np.zeros((10, 2))}, "B": {"chr1": np.ones((10, 2))}}
    >>> windows = make_windows(
    ...     bulk, tracks, None, bin_size=50_000, bulk_cell_types=("T", "B"), window=4, stride=2
    ... )
    >>> len(windows), windows.bulk.shape, windows.tracks.shape
    (8, (8, 4, 4), (8, 4, 2))
    >>> windows.table[["start", "end", "cell_type"]].values[:2].tolist()
    [[0, 200000, 'T'], [100000, 300000, 'T']]
    """
    if not tracks:
        raise ValueError("tracks name the cell types, and there are none")
    if targets is not None and set(targets) != set(tracks):
        raise ValueError(f"targets of {sorted(targets)} but tracks of {sorted(tracks)}")
    first = next(iter(tracks.values()))
    chroms = list(chromosomes) if chromosomes is not None else list(first)
    # A single name is one cell type, not its letters.
    columns["bulk_cell_types"] = tuple(listed(bulk_cell_types))
    parts: list[Windows] = []
    for chrom in chroms:
        bulk_map = chromosome_map(bulk, chrom, balance)
        usable = usable_bins(bulk_map)
        starts = window_starts(
            bulk_map.shape[0], window, stride, first_bin=first_bin, to_end=to_end
        )
        inside = starts[:, None] + np.arange(window)
        starts = starts[(~usable[inside]).mean(axis=1) <= max_masked]
        if not len(starts):
            continue
        mask = usable[starts[:, None] + np.arange(window)]
        bulk_windows = _cut(bulk_map, starts, window, mask)
        for cell_type, by_chrom in tracks.items():
            target_windows = None
            if targets is not None:
                target = chromosome_map(targets[cell_type], chrom, balance)
                _check_length(target, bulk_map.shape[0], f"target of {cell_type}", chrom)
                target_windows = _cut(target, starts, window, mask)
            if chrom not in by_chrom:
                raise ValueError(
                    f"no tracks of {cell_type!r} on {chrom!r}; there are {list(by_chrom)}"
                )
            track = np.asarray(by_chrom[chrom], dtype=np.float32)
            _check_length(track, bulk_map.shape[0], f"tracks of {cell_type}", chrom)
            parts.append(
                Windows(
                    bulk=bulk_windows,
                    tracks=track[starts[:, None] + np.arange(window)],
                    targets=target_windows,
                    table=_place(chrom, starts, window, bin_size, cell_type, columns),
                    bin_size=bin_size,
                    mask=mask,
                )
            )
    if not parts:
        raise ValueError(
            f"no full window of {window} bins on {chroms} with a share of masked bins up to"
            f" {max_masked}: use a shorter window, or let more be masked"
        )
    return replace(join_windows(parts), track_names=tuple(track_names))


def chromosome_map(maps: Any, chrom: str, balance: bool | str = False) -> Any:
    """Map of one chromosome as a dense array or a CSR matrix, checked to be symmetric.

    Raises
    ------
    ValueError
        If there is no such chromosome, or the map is not square and symmetric.
    """
    if hasattr(maps, "chromnames"):
        if chrom not in maps.chromnames:
            raise ValueError(f"no chromosome {chrom!r}; there are {maps.chromnames}")
        # A whole chromosome, sparse: memory grows with the contacts, not with bins squared.
        return maps.matrix(balance=balance, sparse=True).fetch(chrom).tocsr()
    if chrom not in maps:
        raise ValueError(f"no chromosome {chrom!r}; there are {list(maps)}")
    matrix = maps[chrom]
    matrix = sp.csr_array(matrix) if sp.issparse(matrix) else np.asarray(matrix, dtype=float)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"the map of {chrom!r} has shape {matrix.shape}, not (n_bins, n_bins)")
    if not _is_symmetric(matrix):
        raise ValueError(
            f"the map of {chrom!r} is not symmetric: if it holds one triangle, add the transpose"
        )
    return matrix


def _is_symmetric(matrix: Any) -> bool:
    """As ``np.allclose`` has it, NaN equal to NaN, of a dense array or a CSR matrix."""
    if not sp.issparse(matrix):
        # Nearly all maps are exactly so, which is seen in a tenth of the time.
        return np.array_equal(matrix, matrix.T) or np.allclose(matrix, matrix.T, equal_nan=True)
    known, missing = matrix.copy(), matrix.copy()
    known.data, missing.data = np.nan_to_num(matrix.data), np.isnan(matrix.data).astype(float)
    apart = abs(known - known.T) - 1e-5 * abs(known.T)
    return bool((apart.data <= 1e-8).all()) and (missing - missing.T).count_nonzero() == 0


def usable_bins(matrix: Any) -> np.ndarray:
    """(n_bins,), True where a row of a map has any contact that is neither 0 nor NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.preprocess.windows import usable_bins
    >>> usable_bins(np.array([[1.0, 0.0, np.nan], [0.0, 0.0, np.nan], [np.nan] * 3])).tolist()
    [True, False, False]
    """
    if sp.issparse(matrix):
        kept = sp.csr_array(matrix, copy=True)
        kept.data = np.nan_to_num(kept.data)
        return np.asarray(abs(kept).sum(axis=1)).ravel() > 0
    usable: np.ndarray = np.abs(np.nan_to_num(matrix)).sum(axis=1) > 0
    return usable


def _cut(matrix: Any, starts: np.ndarray, window: int, mask: np.ndarray) -> np.ndarray:
    out = np.empty((len(starts), window, window), dtype=np.float32)
    for i, start in enumerate(starts):
        piece = matrix[start : start + window, start : start + window]
        out[i] = piece.toarray() if sp.issparse(piece) else piece
    out = np.nan_to_num(out, copy=False)
    out *= mask[:, :, None]
    out *= mask[:, None, :]
    return out


def _check_length(array: Any, n_bins: int, what: str, chrom: str) -> None:
    if array.ndim != 2 or array.shape[0] != n_bins:
        raise ValueError(
            f"{what} on {chrom!r}: shape {array.shape}, but the bulk has {n_bins} bins: give two"
            " axes, a row a bin"
        )


def _place(
    chrom: str,
    starts: np.ndarray,
    window: int,
    bin_size: int,
    cell_type: str,
    columns: dict[str, Any],
) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "chrom": chrom,
            "start": starts * bin_size,
            "end": (starts + window) * bin_size,
            "cell_type": cell_type,
        }
    )
    for name, value in columns.items():
        table[name] = [value] * len(table)
    return table


def join_windows(parts: Sequence[Windows]) -> Windows:
    """Put windows of one shape, bin size and set of tracks together, in their order.

    Raises
    ------
    ValueError
        If they differ in one of these, or some have targets and others not.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.preprocess.windows import join_windows, make_windows
    >>> bulk, tracks = {"chr1": np.ones((6, 6))}, {"T": {"chr1": np.zeros((6, 1))}}
    >>> options = {"bin_size": 100, "bulk_cell_types": "T", "window": 4, "stride": 2}
    >>> windows = make_windows(bulk, tracks, None, **options)
    >>> len(windows), len(join_windows([windows, windows[:1]]))
    (2, 3)
    """
    for name in ("bin_size", "track_names"):
        found = list(dict.fromkeys(getattr(part, name) for part in parts))
        if len(found) > 1:
            raise ValueError(f"windows of {name} {found[0]} and {found[1]} cannot be joined")
    targets = [part.targets for part in parts if part.targets is not None]
    if len(targets) not in (0, len(parts)):
        raise ValueError("windows with targets and without cannot be joined")
    return replace(
        parts[0],
        bulk=np.concatenate([part.bulk for part in parts]),
        tracks=np.concatenate([part.tracks for part in parts]),
        targets=np.concatenate(targets) if targets else None,
        mask=np.concatenate([part.mask for part in parts]),
        table=pd.concat([part.table for part in parts], ignore_index=True),
    )
