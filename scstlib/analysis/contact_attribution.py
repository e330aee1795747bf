"""Which genes' expression a predicted contact map owes its form to: genes are switched off.

The expression of a gene stands in the track of its strand, in the bin where its transcription
starts. Taking it out there (or setting it to what it is in other cells) and predicting again shows
what the *model* makes of it. Whether it is so in cells is another question: a model learns what
goes together.

A change is taken in observed over expected: (off - on) / mean of ``on`` at the same distance.
Effects of single genes need not add up: :func:`region_effect` says by how much they do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from scstlib.analysis.chromosome_maps import mask_empty, on_diagonals
from scstlib.analysis.compartment_changes import compartment_score
from scstlib.analysis.gene_switching import (
    check_one_donor,
    check_sums,
    place_in_windows,
    switch_genes,
    track_column,
)
from scstlib.metrics.contacts import expected_by_distance
from scstlib.metrics.insulation import insulation_score

if TYPE_CHECKING:
    import pandas as pd

    from scstlib.preprocess.windows import Windows


class PredictsMaps(Protocol):
    """Any fitted model that turns windows into contact maps (n, bins, bins)."""

    def predict(self, windows: Windows) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class GeneEffects:
    """What follows when genes are switched off one at a time.

    Attributes
    ----------
    table
        One row a gene and cell type: ``gene``, ``cell_type``, ``chrom``, ``start`` (bp, of its
        bin), ``window`` (row of the windows it is read in, where it lies nearest the middle),
        ``bin`` (in the window), ``map_change`` (root mean square of ``changes`` within ``radius``
        bins), ``insulation_change`` (log2) and ``compartment_change`` (score) at the gene's bin;
        NaN where the bin is masked.
    changes
        (rows, bins, bins), float32: off - on, over the expected of ``on``; NaN in masked bins.
    """

    table: pd.DataFrame
    changes: np.ndarray


@dataclass(frozen=True, eq=False)
class RegionEffect:
    """All genes of a region off together, and one by one, in one window.

    Attributes
    ----------
    genes
        Names of the genes.
    joint
        (bins, bins), change with all of them off.
    singles
        (genes, bins, bins), changes with one off.
    remainder
        Size of joint - sum of singles, as a share of the size of joint (root mean squares): 0 if
        effects add up, 1 or more if the sum says nothing. NaN if nothing changes.
    """

    genes: tuple[str, ...]
    joint: np.ndarray
    singles: np.ndarray
    remainder: float


def gene_effects(
    model: PredictsMaps,
    windows: Windows,
    expression: pd.DataFrame,
    genes: pd.DataFrame,
    *,
    names: Iterable[str] | None = None,
    level: float | pd.Series = 0.0,
    phasing: str | None = "CpG",
    radius: int = 10,
    insulation_window: int = 10,
    batch: int = 32,
) -> GeneEffects:
    """Switch genes off one at a time and read what changes around them.

    Parameters
    ----------
    model : fitted model with ``predict(windows)``
    windows : Windows
        With tracks named ``expression +`` and ``expression -``.
    expression : pandas.DataFrame
        (genes, cell types), what the tracks were made from with ``expression_tracks``.
    genes : pandas.DataFrame
        Rows named by gene: ``chrom``, ``start``, ``end``, ``strand``.
    names : iterable of str, optional
        Genes to switch off; by default all that lie in the windows.
    level : float or pandas.Series
        What expression is set to: 0, or a value by gene, such as the column of another cell type,
        which asks for the part of a gene in the difference between the two.
    phasing : str, optional
        Track that goes with compartments; None leaves compartments out.
    radius : int
        Of ``map_change``, in bins.
    insulation_window : int
        In bins.
    batch : int
        Windows predicted at a time.

    Raises
    ------
    ValueError
        If a track is missing, the expression does not add up to the tracks, a gene lies in no
        window, or windows are of several donors.
    """
    import pandas as pd

    placed = place_in_windows(windows, expression, genes, names)
    rows = sorted(placed["window"].unique())
    check_sums(windows, rows, expression, genes)
    tables, changes = [], []
    for row in rows:
        here = placed[placed["window"] == row].reset_index(drop=True)
        on = _masked(model.predict(windows[[row]]), windows.mask[[row]])[0]
        singles = [[k] for k in range(len(here))]
        off = _predicted_off(model, windows, row, here, singles, level, batch)
        changes.append(relative_change(off, on))
        bins = here["bin"].to_numpy()
        here["map_change"] = _size_around(changes[-1], bins, radius)
        each = np.arange(len(here))
        scores = insulation_score(np.concatenate([on[None], off]), window=insulation_window)
        here["insulation_change"] = scores[1:][each, bins] - scores[0, bins]
        here["compartment_change"] = np.nan
        if phasing is not None:
            track = windows.tracks[row, :, track_column(windows, phasing)]
            here["compartment_change"] = _compartment_changes(on, off, track)[each, bins]
        tables.append(here.drop(columns=["column", "value"]))
    return GeneEffects(pd.concat(tables, ignore_index=True), np.concatenate(changes))


def region_effect(
    model: PredictsMaps,
    windows: Windows,
    expression: pd.DataFrame,
    genes: pd.DataFrame,
    region: tuple[str, int, int],
    cell_type: str,
    *,
    level: float | pd.Series = 0.0,
    batch: int = 32,
) -> RegionEffect:
    """Switch off all genes that start in a region, together and one by one.

    Parameters
    ----------
    region : tuple of str, int and int
        Chromosome, start and end (bp), within one window; it is read where it lies nearest the
        middle.
    cell_type : str
        One of the windows' cell types.
    model, windows, expression, genes, level, batch
        See :func:`gene_effects`.

    Raises
    ------
    ValueError
        If no window holds the region, no gene starts in it, or as :func:`gene_effects`.
    """
    check_one_donor(windows)
    chrom, start, end = region
    table = windows.table
    inside = (
        (table["chrom"] == chrom)
        & (table["start"] <= start)
        & (table["end"] >= end)
        & (table["cell_type"] == cell_type)
    ).to_numpy()
    if not inside.any():
        raise ValueError(f"no window of {cell_type!r} holds {chrom}:{start}-{end} as a whole.")
    middle = (table["start"] + table["end"]).to_numpy() / 2
    row = int(np.where(inside, np.abs(middle - (start + end) / 2), np.inf).argmin())
    placed = place_in_windows(windows[[row]], expression, genes, None)
    at = placed["start"] + windows.bin_size / 2
    placed = placed[(at >= start) & (at < end)].reset_index(drop=True)
    if len(placed) == 0:
        raise ValueError(f"no gene starts in {chrom}:{start}-{end}.")
    check_sums(windows, [row], expression, genes)
    on = _masked(model.predict(windows[[row]]), windows.mask[[row]])[0]
    each = list(range(len(placed)))
    off = _predicted_off(model, windows, row, placed, [each, *([k] for k in each)], level, batch)
    changes = relative_change(off, on)
    joint, singles = changes[0], changes[1:]
    size = _root_mean_square(joint)
    rest = _root_mean_square(joint - singles.sum(axis=0)) / size if size > 0 else np.nan
    return RegionEffect(tuple(placed["gene"]), joint, singles, rest)


def relative_change(off: np.ndarray, on: np.ndarray) -> np.ndarray:
    """Return (off - on) / mean of ``on`` at the same distance, float32; NaN where that is 0.

    ``off`` is (n, bins, bins), ``on`` (bins, bins); NaN in masked bins.
    """
    expected = on_diagonals(expected_by_distance(on))
    missing = np.full(off.shape, np.nan)
    change: np.ndarray = np.divide(off - on, expected, out=missing, where=expected > 0)
    return change.astype(np.float32)


def _predicted_off(
    model: PredictsMaps,
    windows: Windows,
    row: int,
    placed: pd.DataFrame,
    sets: Sequence[Sequence[int]],
    level: float | pd.Series,
    batch: int,
) -> np.ndarray:
    """Return the map (sets, bins, bins) of one window with each set of genes off."""
    out = []
    for first in range(0, len(sets), batch):
        changed = switch_genes(windows, row, placed, sets[first : first + batch], level)
        out.append(_masked(model.predict(changed), changed.mask))
    return np.concatenate(out)


def _masked(maps: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return maps (n, bins, bins), float64, with NaN in masked and in empty bins."""
    masked = np.array(maps, dtype=float)
    masked[~mask] = np.nan
    masked.transpose(0, 2, 1)[~mask] = np.nan
    return mask_empty(masked)


def _compartment_changes(on: np.ndarray, off: np.ndarray, track: np.ndarray) -> np.ndarray:
    """Return the change (n, bins) of the eigenvector that is most like that of ``on``."""
    score = compartment_score(on, track)
    if np.isnan(score).all():
        return np.full(off.shape[:2], np.nan)
    return np.stack([compartment_score(contacts, score) - score for contacts in off])


def _size_around(changes: np.ndarray, bins: np.ndarray, radius: int) -> np.ndarray:
    """Return the root mean square (n,) of each change within ``radius`` bins of its bin."""
    return np.array([
        _root_mean_square(change[(square := slice(max(b - radius, 0), b + radius + 1)), square])
        for change, b in zip(changes, bins, strict=True)
    ])  # fmt: skip


def _root_mean_square(values: np.ndarray) -> float:
    known = np.asarray(values, dtype=float)[~np.isnan(values)]
    return float(np.sqrt(np.mean(known**2))) if len(known) else np.nan
