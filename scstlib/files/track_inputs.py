"""Tracks of a bulk map's bins from files or tables, checked against its chromosomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scstlib.caller import warn_caller
from scstlib.files.cooler_maps import SAME, CoolerMaps, plain_name
from scstlib.files.damage import check_intervals, reading, refuse_links
from scstlib.files.track_files import (
    expression_by_type,
    expression_from_files,
    genes_of,
    gtf_assembly,
    read_genes,
    read_signal,
    read_sites,
)
from scstlib.preprocess.cells import check_anndata
from scstlib.preprocess.tracks import (
    expression_tracks,
    interval_track,
    match_chromosomes,
    peak_tracks,
)

if TYPE_CHECKING:
    from anndata import AnnData

PLACE = ["chrom", "start", "end", "strand"]
Table = str | Path | pd.DataFrame


def expression_inputs(
    maps: CoolerMaps,
    expression: Any,
    cell_type_key: str,
    layer: str | None,
    genes: Table | None,
) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
    """Expression tracks, cell type → (bins, 2), and the files that were read, by what they are.

    The arguments are those of :func:`scstlib.files.inputs.build_windows`.

    Raises
    ------
    FileNotFoundError, ValueError
        As the readers do; for genes without a place, beyond the end of a chromosome, or of another
        assembly.
    """
    files: dict[str, list[str]] = {}
    if isinstance(expression, Mapping):
        by_type, files["expression"] = expression_from_files(expression, maps.bins)
        return by_type, files
    source = "expression"
    if isinstance(expression, str | Path):
        source = str(expression)
        expression, files["expression"] = read_cells(source), [source]
    check_anndata(expression)
    try:
        table = expression_by_type(expression, cell_type_key, layer=layer, source=source)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None
    maps.check_assembly(expression.uns.get("assembly"), source)
    if isinstance(genes, str | Path):
        files["genes"] = [str(genes)]
        source, places = str(genes), read_genes(genes)
        if plain_name(maps.assembly) in SAME.values():  # what a GTF file can be compared with
            maps.check_assembly(gtf_assembly(genes), source)
    elif genes is not None:
        source, places = "genes", genes
    else:
        missing = [column for column in PLACE if column not in expression.var]
        if missing:
            raise ValueError(
                f"{source}: var has no column {missing[0]!r} to place genes by; give genes, a GTF"
                " or BED file."
            )
        places = expression.var
    places = genes_of(places, table.index, source)
    placed = _checked(places.loc[places.index.intersection(table.index)], maps, source)
    return expression_tracks(table, placed, maps.bins), files


def read_cells(path: str | Path, *, backed: bool = False) -> AnnData:
    """Read an ``.h5ad`` file, or open it for reading in chunks (``backed``).

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, it is another kind of file or damaged, or has parts in others.
    """
    import anndata
    import h5py

    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {path}.")
    with reading(path, "h5ad file"):
        refuse_links(path)
        with h5py.File(path, "r") as store:
            if missing := [part for part in ("obs", "var") if part not in store]:
                raise ValueError(f"{path} is no h5ad file, or is damaged: it has no {missing[0]}.")
        return anndata.read_h5ad(path, backed="r" if backed else None)


def shared_inputs(
    maps: CoolerMaps, ctcf: Table | None, cpg: Table | None, chromosomes: Sequence[str] = ()
) -> tuple[np.ndarray | None, list[str], dict[str, list[str]]]:
    """Tracks that are the same in all cell types (bins, tracks), their names, and the files.

    It warns of ``chromosomes``, which are used, that a track says nothing of.

    Raises
    ------
    FileNotFoundError, ValueError
        As the readers do; for intervals on none of the chromosomes or beyond the end of one.
    """
    files: dict[str, list[str]] = {}
    parts: list[np.ndarray] = []
    names: list[str] = []
    for what, given in (("ctcf", ctcf), ("cpg", cpg)):
        if given is None:
            continue
        source, table = what, given
        if isinstance(given, str | Path):
            source, files[what] = str(given), [str(given)]
            table = read_sites(given) if what == "ctcf" else read_signal(given, maps.bins)
        table = _checked(table, maps, source, overhang=what == "cpg")
        if absent := sorted(set(chromosomes) - set(table["chrom"])):
            warn_caller(
                f"{source} has nothing on {len(absent)} of {len(chromosomes)} chromosomes,"
                f" such as {absent[0]}: its track is 0 there"
            )
        if what == "ctcf":
            part = peak_tracks(table, maps.bins)
            names += ["CTCF +", "CTCF -"] if part.shape[1] == 2 else ["CTCF"]
        else:
            part = interval_track(table, maps.bins)
            names += ["CpG"]
        parts.append(part)
    return (np.concatenate(parts, axis=1) if parts else None), names, files


def _checked(given: Any, maps: CoolerMaps, source: str, overhang: bool = False) -> pd.DataFrame:
    """A table with the map's chromosome names; refused where it does not lie on them.

    Bins of another grid may reach over the end of a chromosome (``overhang``), genes may not.
    """
    try:
        table: pd.DataFrame = match_chromosomes(given, maps)
    except ValueError as error:
        raise ValueError(f"{source} does not fit {maps.uri}: {error}") from None
    placed = table["start"].notna()  # A gene may have no place.
    table = table if not placed.any() else check_intervals(table[placed], source)
    size = table["chrom"].map(maps.chromsizes)
    beyond = table["start"] >= size if overhang else table["end"] > size
    if beyond.any():
        row = table[beyond].iloc[0]
        raise ValueError(
            f"{source} does not fit {maps.uri}: {row['chrom']}:{row['start']}-{row['end']} lies"
            f" beyond the end of {row['chrom']}, {maps.chromsizes[row['chrom']]:,} bp; is it"
            " another assembly? Lift one of them over first."
        )
    return table
