"""Windows in which genes are switched off: their expression is taken out of the tracks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from scstlib.analysis.gene_place import start_bins
from scstlib.preprocess.guides import EXPRESSION

if TYPE_CHECKING:
    import pandas as pd

    from scstlib.preprocess.windows import Windows

#: Share of a track's value below which what is left after a gene was taken out is rounding.
ROUNDING = 1e-5


def place_in_windows(
    windows: Windows,
    expression: pd.DataFrame,
    genes: pd.DataFrame,
    names: Iterable[str] | None = None,
) -> pd.DataFrame:
    """Find each gene in the window in which it lies nearest the middle, for each cell type.

    Parameters
    ----------
    windows : Windows
        With tracks named ``expression +`` and ``expression -``.
    expression : pandas.DataFrame
        (genes, cell types), what the tracks were made from.
    genes : pandas.DataFrame
        Rows named by gene: ``chrom``, ``start``, ``end``, ``strand``.
    names : iterable of str, optional
        Genes to find; by default all that lie in the windows.

    Returns
    -------
    pandas.DataFrame
        ``gene``, ``cell_type``, ``chrom``, ``start`` (bp, of its bin), ``window`` (row), ``bin``
        (in the window), ``column`` (of the tracks), ``value`` (its expression).

    Raises
    ------
    ValueError
        If a track is missing, a gene lies in no window, or windows are of several donors.
    """
    import pandas as pd

    check_one_donor(windows)
    known = genes.loc[genes.index.intersection(expression.index)]
    if names is not None:
        known = known.loc[known.index.intersection(list(names))]
    site = start_bins(known, windows.bin_size).to_numpy() * windows.bin_size
    middle = site + windows.bin_size / 2
    found = []
    for row, window in enumerate(windows.table.to_dict("records")):
        inside = (known["chrom"].astype(str) == window["chrom"]).to_numpy()
        inside &= (site >= window["start"]) & (site < window["end"])
        here = known.index[inside]
        found.append(pd.DataFrame({
            "gene": here,
            "cell_type": window["cell_type"],
            "chrom": window["chrom"],
            "start": site[inside],
            "window": row,
            "bin": (site[inside] - window["start"]) // windows.bin_size,
            "column": [track_column(windows, f"expression {s}") for s in known["strand"][inside]],
            "value": expression.loc[here, window["cell_type"]].to_numpy(dtype=float),
            "apart": np.abs(middle[inside] - (window["start"] + window["end"]) / 2),
        }))  # fmt: skip
    table = pd.concat(found, ignore_index=True)
    missing = sorted(set(names if names is not None else ()) - set(table["gene"]))
    if len(table) == 0 or missing:
        raise ValueError(
            f"genes {missing[:3] or 'all'} lie in no window or have no expression; there are"
            f" windows on {sorted(windows.table['chrom'].unique())}."
        )
    # The first of equals: the order of windows decides, the same each time.
    nearest = table.groupby(["gene", "cell_type"], sort=False)["apart"].idxmin()
    return table.loc[np.sort(nearest)].drop(columns="apart").reset_index(drop=True)


def check_one_donor(windows: Windows) -> None:
    """Raise ValueError for windows of several donors: a gene is read once for each cell type."""
    if "donor" in windows.table and windows.table["donor"].nunique() > 1:
        donors = list(windows.table["donor"].unique())
        raise ValueError(f"windows of several donors, {donors}: give those of one.")


def switch_genes(
    windows: Windows,
    row: int,
    placed: pd.DataFrame,
    sets: Sequence[Sequence[int]],
    level: float | pd.Series = 0.0,
) -> Windows:
    """Return one window once for each set of genes, with these genes at ``level``.

    Parameters
    ----------
    row : int
        The window.
    placed : pandas.DataFrame
        Of :func:`place_in_windows`, genes of this window.
    sets : sequence of sequences of int
        Rows of ``placed``.
    level : float or pandas.Series
        Expression that replaces that of the gene: one value, or one by gene.

    Raises
    ------
    ValueError
        If a gene has no level.
    """
    steps = _steps(placed, level)
    bins, columns = placed["bin"].to_numpy(), placed["column"].to_numpy()
    changed = windows[[row] * len(sets)]
    tracks = changed.tracks.astype(float)
    for k, members in enumerate(sets):
        for m in members:
            tracks[k, bins[m], columns[m]] += steps[m]
    # The only gene of its bin leaves nothing, not the rounding of single precision below 0.
    tracks[np.abs(tracks) < ROUNDING * np.abs(changed.tracks)] = 0.0
    return replace(changed, tracks=tracks.astype(changed.tracks.dtype))


def _steps(placed: pd.DataFrame, level: float | pd.Series) -> np.ndarray:
    """Return what is added to a track (rows,) to bring each gene to its level."""
    import pandas as pd

    if isinstance(level, pd.Series):
        wanted = level.reindex(placed["gene"]).to_numpy(dtype=float)
    else:
        wanted = np.full(len(placed), float(level))
    steps = np.asarray(wanted - placed["value"].to_numpy())
    if np.isnan(steps).any():
        gene = placed["gene"].iloc[int(np.isnan(steps).argmax())]
        raise ValueError(f"no level for gene {gene!r}: give one for every gene that is switched.")
    return steps


def check_sums(
    windows: Windows, rows: Sequence[int], expression: pd.DataFrame, genes: pd.DataFrame
) -> None:
    """Raise ValueError unless the expression of the genes adds up to the tracks of the windows."""
    known = genes.loc[genes.index.intersection(expression.index)]
    site = start_bins(known, windows.bin_size).to_numpy() * windows.bin_size
    chrom, strand = known["chrom"].astype(str).to_numpy(), known["strand"].astype(str).to_numpy()
    for row in rows:
        place = windows.table.iloc[row]
        values = expression.loc[known.index, place["cell_type"]].to_numpy(dtype=float)
        for name in EXPRESSION:
            inside = (chrom == place["chrom"]) & (strand == name[-1])
            inside &= (site >= place["start"]) & (site < place["end"])
            bins = ((site[inside] - place["start"]) // windows.bin_size).astype(int)
            total = np.bincount(bins, weights=values[inside], minlength=windows.mask.shape[1])
            track = windows.tracks[row, :, track_column(windows, name)]
            if not np.allclose(total, track, rtol=1e-3, atol=1e-3 * max(np.abs(track).max(), 1e-9)):
                raise ValueError(
                    f"the expression of {place['cell_type']!r} does not add up to the track"
                    f" {name!r} in {place['chrom']}:{place['start']}-{place['end']}:"
                    f" {total.sum():g} against {track.sum():g}; give the table that the tracks were"
                    " made from."
                )


def track_column(windows: Windows, name: str) -> int:
    """Return the position of a track; raise ValueError if there is none of this name."""
    if name not in windows.track_names:
        raise ValueError(f"no track {name!r}; there are {list(windows.track_names)}.")
    return windows.track_names.index(name)
