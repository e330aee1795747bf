"""Tracks along the genome: expression, CTCF and CpG in bins, and their scaling.

``bins`` is a table with ``chrom``, ``start``, ``end`` (half-open, bp), such as ``bioframe.binnify``
or ``cooler.Cooler.bins`` give; every track has one row a bin, in the order of that table.
Intervals are handled by bioframe. Chromosome names may or may not begin with ``chr``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.base import BaseEstimator, TransformerMixin

from scstlib.caller import warn_caller
from scstlib.leakage import INTERVAL, bare_chromosome, record_fit
from scstlib.preprocess.windows import Windows


def match_chromosomes(table: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """Rename the chromosomes of a table to given names: ``1`` and ``chr1``, ``MT`` and ``chrM``.

    Rows on other chromosomes are left out; the index is kept.

    Raises
    ------
    ValueError
        If no chromosome of the table is among the names.

    Examples
    --------
    >>> import pandas as pd
    >>> from scstlib.preprocess.tracks import match_chromosomes
    >>> peaks = pd.DataFrame({"chrom": ["1", "MT", "unplaced"], "start": 0, "end": 10})
    >>> match_chromosomes(peaks, ["chr1", "chrM"])["chrom"].tolist()
    ['chr1', 'chrM']
    """
    if "chrom" not in table:
        raise ValueError(f"no column 'chrom'; columns are {list(table.columns)}")
    wanted = list(dict.fromkeys(map(str, names)))
    known = {bare_chromosome(name): name for name in wanted}
    chrom = table["chrom"].astype(str)
    renamed = chrom.map(lambda name: name if name in wanted else known.get(bare_chromosome(name)))
    if not renamed.notna().any():
        raise ValueError(
            f"chromosomes {sorted(chrom.unique())[:5]} are none of {wanted[:5]}: "
            "is it another assembly or species?"
        )
    return table.assign(chrom=renamed)[renamed.notna()]


def expression_tracks(
    expression: pd.DataFrame, genes: pd.DataFrame, bins: pd.DataFrame, *, position: str = "tss"
) -> dict[str, np.ndarray]:
    """Expression of every cell type as two tracks: genes of the + and of the − strand.

    Parameters
    ----------
    expression
        (genes, cell types): mean or summed expression, rows named by gene.
    genes
        Rows named by gene: ``chrom``, ``start``, ``end``, ``strand`` (``+`` or ``-``). ``var`` of
        an AnnData serves.
    bins
        See the module.
    position
        ``"tss"``: all in the bin of the transcription start; ``"body"``: spread over the gene's
        bins by overlap. Both keep the sum.

    Returns
    -------
    dict
        Cell type → (bins, 2): + strand, − strand.

    Raises
    ------
    ValueError
        If gene names are not unique, no gene has a position, or a strand or value is missing.

    Examples
    --------
    >>> import pandas as pd
    >>> from scstlib.preprocess.tracks import expression_tracks
    >>> bins = pd.DataFrame({"chrom": "chr1", "start": [0, 100], "end": [100, 200]})
    >>> genes = pd.DataFrame(
    ...     {"chrom": "chr1", "start": [10, 20], "end": [60, 150], "strand": ["+", "-"]},
    ...     index=["INS", "GCG"],
    ... )
    >>> expression = pd.DataFrame({"beta": [5.0, 1.0]}, index=["INS", "GCG"])
    >>> expression_tracks(expression, genes, bins)["beta"].tolist()  # columns: + and - strand
    [[5.0, 0.0], [0.0, 1.0]]
    """
    if position not in ("tss", "body"):
        raise ValueError(f"unknown position {position!r}: choose 'tss' or 'body'")
    for table, what in ((expression, "expression"), (genes, "genes")):
        if not table.index.is_unique:
            twice = table.index[table.index.duplicated()][0]
            raise ValueError(f"gene {twice!r} occurs twice in {what}: sum or drop the copies first")
    if expression.isna().to_numpy().any():
        raise ValueError("expression holds NaN: fill or drop those genes first")
    placed = genes.loc[genes.index.intersection(expression.index)]
    placed = match_chromosomes(placed, bins["chrom"]) if len(placed) else placed
    # A gene without a place makes the positions of all fractions.
    placed = placed.dropna(subset=["start", "end"]).astype({"start": np.int64, "end": np.int64})
    if not len(placed):
        raise ValueError(
            f"no gene has a position: expression names {list(expression.index[:3])}, "
            f"genes {list(genes.index[:3])}"
        )
    if len(placed) < len(expression):
        lost = len(expression) - len(placed)
        warn_caller(
            f"{lost} of {len(expression)} genes have no position on these chromosomes "
            "and are left out"
        )
    plus = _is_plus(placed)
    spans = placed[INTERVAL].copy()
    if position == "tss":
        spans["start"] = np.where(plus, placed["start"], placed["end"] - 1)
        spans["end"] = spans["start"] + 1
    bin_of, gene_of, length = _overlaps(bins, spans)
    share = length / (spans["end"] - spans["start"]).to_numpy()[gene_of]
    shape = (len(bins), len(placed))
    weights = [
        sp.csr_array((share * (plus[gene_of] == strand), (bin_of, gene_of)), shape=shape)
        for strand in (True, False)
    ]
    values = expression.loc[placed.index].to_numpy(dtype=float)
    both = np.stack([w @ values for w in weights], axis=1)
    return {str(name): both[:, :, i] for i, name in enumerate(expression.columns)}


def peak_tracks(peaks: pd.DataFrame, bins: pd.DataFrame, *, value: str | None = None) -> np.ndarray:
    """Peaks or motifs, such as CTCF, counted in the bin of their midpoint.

    Parameters
    ----------
    peaks
        ``chrom``, ``start``, ``end``; with a column ``strand`` of ``+`` and ``-`` there are two
        tracks. Without the column, or with ``.`` in every row, there is one.
    bins
        See the module.
    value
        Column that is summed instead of counting.

    Returns
    -------
    array
        (bins, 2): + and − strand; or (bins, 1). Bins without a peak are 0.

    Raises
    ------
    ValueError
        If only some peaks have a strand, a value is NaN or the chromosomes do not match.

    Examples
    --------
    >>> import pandas as pd
    >>> from scstlib.preprocess.tracks import peak_tracks
    >>> bins = pd.DataFrame({"chrom": "chr1", "start": [0, 100], "end": [100, 200]})
    >>> peaks = pd.DataFrame({"chrom": "chr1", "start": [90, 150], "end": [130, 160]})
    >>> peak_tracks(peaks, bins).tolist()  # both midpoints lie in the second bin
    [[0.0], [2.0]]
    """
    peaks = match_chromosomes(peaks, bins["chrom"])
    values = np.ones(len(peaks)) if value is None else peaks[value].to_numpy(dtype=float)
    if np.isnan(values).any():
        raise ValueError(
            f"{value!r} is NaN in {int(np.isnan(values).sum())} peaks: drop them first"
        )
    middle = peaks[INTERVAL].copy()
    middle["start"] = (peaks["start"] + peaks["end"]) // 2
    middle["end"] = middle["start"] + 1
    bin_of, peak_of, _ = _overlaps(bins, middle)
    stranded = "strand" in peaks and not (peaks["strand"] == ".").all()
    column = np.where(_is_plus(peaks), 0, 1) if stranded else np.zeros(len(peaks), dtype=int)
    tracks = np.zeros((len(bins), 2 if stranded else 1))
    np.add.at(tracks, (bin_of, column[peak_of]), values[peak_of])
    return tracks


def interval_track(
    intervals: pd.DataFrame, bins: pd.DataFrame, *, value: str = "value", fill: float = 0.0
) -> np.ndarray:
    """A value on intervals, such as CpG density, averaged in bins by the length of overlap.

    A file that gives positions must first say what they mean: a position at the centre of a bin
    of ``w`` bp is the interval from ``position - w // 2`` to ``position + w // 2``.

    Parameters
    ----------
    intervals
        ``chrom``, ``start``, ``end`` and the column ``value``; rows with NaN are left out.
    bins
        See the module.
    fill
        Value of bins that no interval covers.

    Returns
    -------
    array
        (bins, 1), in the unit of the value.

    Raises
    ------
    ValueError
        If the chromosomes do not match.

    Examples
    --------
    >>> import pandas as pd
    >>> from scstlib.preprocess.tracks import interval_track
    >>> bins = pd.DataFrame({"chrom": "chr1", "start": [0, 100], "end": [100, 200]})
    >>> density = pd.DataFrame({"chrom": "chr1", "start": [0, 50], "end": [50, 150]})
    >>> interval_track(density.assign(value=[1.0, 3.0]), bins).tolist()
    [[2.0], [3.0]]
    """
    intervals = match_chromosomes(intervals, bins["chrom"])
    intervals = intervals[intervals[value].notna()]
    values = intervals[value].to_numpy(dtype=float)
    bin_of, interval_of, length = _overlaps(bins, intervals[INTERVAL])
    total = np.bincount(bin_of, length * values[interval_of], minlength=len(bins))
    covered = np.bincount(bin_of, length, minlength=len(bins))
    track = np.full(len(bins), float(fill))
    np.divide(total, covered, out=track, where=covered > 0)
    return track[:, None]


def by_chromosome(track: np.ndarray, bins: pd.DataFrame) -> dict[str, np.ndarray]:
    """Cut a track (bins, ...) into chromosome → (its bins, ...), as ``make_windows`` takes it.

    Raises
    ------
    ValueError
        If the number of rows differs from the number of bins.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from scstlib.preprocess.tracks import by_chromosome
    >>> bins = pd.DataFrame({"chrom": ["chr1", "chr1", "chr2"], "start": [0, 50, 0]})
    >>> by_chrom = by_chromosome(np.zeros((3, 2)), bins.assign(end=bins["start"] + 50))
    >>> {chrom: track.shape for chrom, track in by_chrom.items()}
    {'chr1': (2, 2), 'chr2': (1, 2)}
    """
    if len(track) != len(bins):
        raise ValueError(f"the track has {len(track)} rows for {len(bins)} bins")
    chrom = bins["chrom"].astype(str).to_numpy()
    return {name: track[chrom == name] for name in dict.fromkeys(chrom)}


class TrackScaler(TransformerMixin, BaseEstimator):
    """Scale tracks by what the training windows hold, the same everywhere on the genome.

    Scaling each window by itself (:func:`scale_per_window`) throws away the level, which is much of
    what tells cell types apart.

    Parameters
    ----------
    method
        ``"standard"``: mean 0, standard deviation 1; ``"minmax"``: training range to [0, 1].
    log
        log1p first, for values that are not negative.

    Attributes
    ----------
    offset_, scale_
        (tracks,); the scale of a constant track is 1.
    """

    def __init__(self, method: str = "standard", log: bool = False) -> None:
        self.method = method
        self.log = log

    def fit(self, windows: Windows, y: None = None) -> TrackScaler:
        """Learn from usable bins; NaN is left out.

        Raises
        ------
        ValueError
            If a track has no usable value, or the method is unknown.
        """
        values = self._values(windows.tracks)[windows.mask]
        if not (~np.isnan(values)).any(axis=0).all():
            raise ValueError("a track has no usable value in training: leave it out")
        if self.method == "standard":
            self.offset_, scale = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
        elif self.method == "minmax":
            self.offset_ = np.nanmin(values, axis=0)
            scale = np.nanmax(values, axis=0) - self.offset_
        else:
            raise ValueError(f"unknown method {self.method!r}: choose 'standard' or 'minmax'")
        self.scale_ = np.where(scale > 0, scale, 1.0)
        record_fit(self, windows)
        return self

    def transform(self, windows: Windows) -> Windows:
        """Windows with scaled tracks; NaN becomes 0, and other chromosomes may leave the range."""
        scaled = (self._values(windows.tracks) - self.offset_) / self.scale_
        return replace(windows, tracks=np.nan_to_num(scaled).astype(windows.tracks.dtype))

    def _values(self, tracks: np.ndarray) -> np.ndarray:
        values = np.asarray(tracks, dtype=float)
        if not self.log:
            return values
        if (values < 0).any():
            raise ValueError(f"log1p of {np.nanmin(values)}: use log=False")
        logs: np.ndarray = np.log1p(values)
        return logs


def scale_per_window(tracks: np.ndarray) -> np.ndarray:
    """Scale every track to [0, 1] in each window by itself, as published.

    10.1093/bioinformatics/btae223. A constant track becomes 0, and so does NaN.

    Parameters
    ----------
    tracks
        (n, bins, tracks).

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.preprocess.tracks import scale_per_window
    >>> scale_per_window(np.array([[[2.0], [4.0], [6.0]]]))[0, :, 0].tolist()
    [0.0, 0.5, 1.0]
    """
    tracks = np.asarray(tracks, dtype=float)
    missing = np.isnan(tracks)
    low = np.where(missing, np.inf, tracks).min(axis=1, keepdims=True, initial=np.inf)
    high = np.where(missing, -np.inf, tracks).max(axis=1, keepdims=True, initial=-np.inf)
    spread = np.where(high > low, high - low, 1.0)
    return np.where(missing, 0.0, (tracks - np.where(np.isfinite(low), low, 0.0)) / spread)


def _is_plus(table: pd.DataFrame) -> np.ndarray:
    if "strand" not in table or not table["strand"].isin(["+", "-"]).all():
        found = sorted(map(str, table["strand"].unique())) if "strand" in table else "no column"
        raise ValueError(f"strand must be '+' or '-' in every row, found {found}")
    return (table["strand"] == "+").to_numpy()


def _overlaps(
    bins: pd.DataFrame, intervals: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions of overlapping bins and intervals, and the length of each overlap in bp."""
    import bioframe

    left, right = (
        table[INTERVAL].reset_index(drop=True).astype({"chrom": str}) for table in (bins, intervals)
    )
    pairs = bioframe.overlap(
        left, right, how="inner", return_input=False, return_index=True, return_overlap=True
    )
    length = pairs["overlap_end"] - pairs["overlap_start"]
    columns = (pairs["index"], pairs["index_"], length)
    bin_of, interval_of, length = (column.to_numpy(dtype=np.int64) for column in columns)
    return bin_of, interval_of, length
