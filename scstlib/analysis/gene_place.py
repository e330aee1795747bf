"""Where genes sit in the folded genome, by cell type or time: compartment, insulation, partners."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from scstlib.analysis.boundaries import boundary_profile, call_boundaries
from scstlib.analysis.chromosome_maps import (
    ContactMaps,
    chromosome_stack,
    observed_over_expected,
)
from scstlib.analysis.compartment_changes import compartment_profile

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


def start_bins(genes: pd.DataFrame, bin_size: int) -> pd.Series:
    """Return the bin in which the transcription of each gene starts.

    Parameters
    ----------
    genes : pandas.DataFrame
        Rows named by gene: ``chrom``, ``start``, ``end`` (half-open, bp), ``strand``.

    Raises
    ------
    ValueError
        If a strand is neither ``+`` nor ``-``.

    Examples
    --------
    >>> import pandas as pd
    >>> from scstlib.analysis.gene_place import start_bins
    >>> genes = pd.DataFrame({"start": [120, 120], "end": [380, 380], "strand": ["+", "-"]})
    >>> start_bins(genes, bin_size=100).tolist()
    [1, 3]
    """
    strand = genes["strand"].astype(str)
    if not strand.isin(["+", "-"]).all():
        raise ValueError(f"strand must be '+' or '-', found {sorted(strand.unique())}.")
    site = genes["start"].where(strand == "+", genes["end"] - 1)
    return (site // bin_size).astype(int)


def place_genes(
    maps: Mapping[Hashable, ContactMaps],
    genes: pd.DataFrame,
    tracks: Mapping[str, np.ndarray],
    *,
    bin_size: int,
    window: int,
    min_strength: float | None = None,
) -> pd.DataFrame:
    """Return where each gene sits in each population of cells.

    Parameters
    ----------
    maps : mapping
        Cell type or time → chromosome → map, in the order in which they are to be read.
    genes : pandas.DataFrame
        See :func:`start_bins`; ``var`` of an AnnData serves. Genes on other chromosomes than those
        of the maps are left out.
    tracks : mapping of str to array
        Chromosome → (bins,), high in compartment A.
    window : int
        Of the insulation score, in bp.
    min_strength : float, optional
        Least strength of a boundary; by default Li's rule, cell type by cell type.

    Returns
    -------
    pandas.DataFrame
        One row a population and gene: ``population``, ``gene``, ``chrom``, ``start`` (bp, of the
        gene's bin), ``compartment`` (score), ``insulation`` (log2), ``boundary_distance`` (bp to
        the nearest boundary, NaN if the chromosome has none).

    Raises
    ------
    ValueError
        If no gene lies on a chromosome of the maps, one lies beyond its end, or one occurs twice.
    """
    import pandas as pd

    _refuse_copies(genes, genes.index)
    parts = []
    for population, by_chrom in maps.items():
        here = genes[genes["chrom"].astype(str).isin(list(by_chrom))]
        if len(here) == 0:
            raise ValueError(f"no gene lies on the chromosomes {list(by_chrom)} of {population!r}.")
        score = compartment_profile(by_chrom, tracks, bin_size=bin_size)
        borders = boundary_profile(by_chrom, bin_size=bin_size, window=window)
        called = call_boundaries(borders, min_strength)
        start = start_bins(here, bin_size) * bin_size
        places = pd.DataFrame(
            {"population": population, "gene": here.index, "chrom": here["chrom"].astype(str),
             "start": start}
        )  # fmt: skip
        bins = score.assign(compartment=score["score"], insulation=borders["insulation"])
        columns = ["chrom", "start", "compartment", "insulation"]
        found = places.merge(bins[columns], on=["chrom", "start"], how="left", indicator=True)
        if (found["_merge"] == "left_only").any():
            lost = found.loc[found["_merge"] == "left_only"].iloc[0]
            raise ValueError(
                f"gene {lost['gene']!r} starts at {lost['chrom']}:{lost['start']}, beyond the map:"
                " is it another assembly or bin size?"
            )
        found["boundary_distance"] = _nearest(found, called)
        parts.append(found.drop(columns="_merge"))
    return pd.concat(parts, ignore_index=True)


def _refuse_copies(genes: pd.DataFrame, names: Iterable[Hashable]) -> None:
    """Raise ValueError if one of the names stands for several genes."""
    copies = genes.index[genes.index.duplicated()].intersection(list(names))
    if len(copies):
        raise ValueError(f"gene {copies[0]!r} occurs twice in genes: drop or rename the copies.")


def _nearest(places: pd.DataFrame, boundaries: pd.DataFrame) -> np.ndarray:
    """Return the distance (rows,) in bp to the nearest boundary on the same chromosome."""
    distance = np.full(len(places), np.nan)
    for chrom, starts in boundaries.groupby("chrom")["start"]:
        rows = np.flatnonzero(places["chrom"] == chrom)
        apart = np.abs(np.subtract.outer(places["start"].to_numpy()[rows], starts.to_numpy()))
        distance[rows] = apart.min(axis=1) if len(rows) else np.nan
    return distance


def gene_place(
    maps: Mapping[Hashable, ContactMaps],
    gene: str,
    genes: pd.DataFrame,
    tracks: Mapping[str, np.ndarray],
    *,
    bin_size: int,
    window: int,
    partner: str | int | None = None,
    radius: int = 1,
    min_strength: float | None = None,
) -> pd.DataFrame:
    """Return where one gene sits, one row a cell type or time, and how that changes.

    Parameters
    ----------
    gene : str
        A row of ``genes``.
    partner : str or int, optional
        Another gene, or a position in bp on the same chromosome, whose contact is read.
    radius : int
        A contact is a mean over the pixels up to this many bins around.
    maps, genes, tracks, bin_size, window, min_strength
        See :func:`place_genes`.

    Returns
    -------
    pandas.DataFrame
        Rows named by cell type or time; the columns of :func:`place_genes`, ``contact`` (observed
        over expected, if there is a partner), and ``compartment_change``, ``insulation_change``
        (and ``contact_change``, log2), all relative to the first row.

    Raises
    ------
    KeyError
        If the gene or the partner is not in ``genes``.
    ValueError
        If the partner is on another chromosome or beyond its end, a population has no map of the
        gene's chromosome, or the gene or the partner occurs twice.
    """
    for name in (gene, partner):
        if isinstance(name, str) and name not in genes.index:
            raise KeyError(f"gene {name!r} is not among the {len(genes)} given ones.")
    _refuse_copies(genes, [gene, partner])
    chrom = str(genes.loc[gene, "chrom"])
    for population, by_chrom in maps.items():
        if chrom not in by_chrom:
            raise ValueError(
                f"{gene!r} is on {chrom}, and the maps of {population!r} are of {list(by_chrom)}."
            )
    own = {population: {chrom: by_chrom[chrom]} for population, by_chrom in maps.items()}
    table = place_genes(
        own, genes.loc[[gene]], tracks, bin_size=bin_size, window=window, min_strength=min_strength
    ).set_index("population")
    for column in ("compartment", "insulation"):
        table[f"{column}_change"] = table[column] - table[column].iloc[0]
    if partner is not None:
        bins = (
            int(start_bins(genes.loc[[gene]], bin_size).iloc[0]),
            _bin_of(partner, genes, chrom, bin_size),
        )
        table["contact"] = [mean_contact(own[p][chrom], *bins, radius) for p in table.index]
        table["contact_change"] = np.log2(table["contact"] / table["contact"].iloc[0])
    return table


def _bin_of(partner: str | int, genes: pd.DataFrame, chrom: str, bin_size: int) -> int:
    if not isinstance(partner, str):
        return int(partner) // bin_size
    other = str(genes.loc[partner, "chrom"])
    if other != chrom:
        raise ValueError(
            f"{partner!r} is on {other}, not on {chrom}: maps of one"
            " chromosome hold no contact between two."
        )
    return int(start_bins(genes.loc[[partner]], bin_size).iloc[0])


def mean_contact(contacts: np.ndarray, i: int, j: int, radius: int = 1) -> float:
    """Return observed over expected of bins ``i`` and ``j``: the mean over the pixels around.

    NaN if none of them has a value.

    Raises
    ------
    ValueError
        If a bin lies outside of the map.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.analysis.gene_place import mean_contact
    >>> contacts = np.ones((6, 6))
    >>> contacts[0, 3] = contacts[3, 0] = 3.0
    >>> round(mean_contact(contacts, 0, 3, radius=0), 3)  # 3 / (5 / 3), the mean at this distance
    1.8
    """
    ratio = observed_over_expected(chromosome_stack({"map": contacts}, "map").sum(axis=0))
    if not (0 <= i < len(ratio) and 0 <= j < len(ratio)):
        raise ValueError(f"bins {i} and {j} are not both in a map of {len(ratio)} bins.")
    rows, columns = (slice(max(k - radius, 0), k + radius + 1) for k in (i, j))
    pixels = ratio[rows, columns]
    return float(np.nanmean(pixels)) if not np.isnan(pixels).all() else np.nan


def add_gene_places(adata: AnnData, places: pd.DataFrame) -> AnnData:
    """Return a copy of ``adata`` with the places of its genes in ``var``.

    Columns are named ``compartment:beta_mature`` and so on; genes without a place are NaN.

    Parameters
    ----------
    places : pandas.DataFrame
        Of :func:`place_genes`.
    """
    out = adata.copy()
    for column in ("compartment", "insulation", "boundary_distance"):
        wide = places.pivot(index="gene", columns="population", values=column)
        for population in wide:
            out.var[":".join([column, str(population)])] = (
                wide[population].reindex(out.var_names).to_numpy()
            )
    return out
