"""Write the simulated organism to the field's file formats, and read it back.

A folder holds ``settings.json``, ``cells.h5ad`` (the default sample), ``tracks.bed`` and
``genes.bed`` (tab separated, a ``#`` before the names of columns), ``bulk.mcool`` (the stem bulk at
three bin sizes), ``<cell type>.cool`` (pseudo-bulks) and ``cells.scool`` (single cells).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scstlib.datasets.organism.settings import Settings, make_settings
from scstlib.writing import whole_file, whole_hdf5

if TYPE_CHECKING:
    from anndata import AnnData

FORMAT = 1  # of the folder; a later one is refused


def write_organism(
    folder: Path,
    settings: Settings,
    cells: AnnData,
    genes: pd.DataFrame,
    tracks: pd.DataFrame,
    bulk: Mapping[str, np.ndarray],
    pseudo_bulks: Iterable[tuple[str, Mapping[str, np.ndarray]]],
    single_cells: pd.DataFrame,
) -> None:
    """Write settings, default sample, tracks, bulk, pseudo-bulks and single cells to ``folder``.

    The folder is made if need be; files of the same names are replaced. Each file appears whole,
    and ``settings.json`` last, so that a folder which has it is complete.

    Parameters
    ----------
    genes : pandas.DataFrame
        One row a gene, by name: chrom, start, end, strand, role.
    bulk : mapping of str to numpy.ndarray
        A symmetric map (bins, bins) by chromosome, in genome order.
    pseudo_bulks : iterable of (cell type, maps by chromosome)
    single_cells : pandas.DataFrame
        Columns chrom, cell, bin1, bin2, count.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "settings.json"
    path.unlink(missing_ok=True)
    with whole_hdf5(folder / "cells.h5ad") as written:
        cells.write_h5ad(written, compression="gzip")
    _write_bed(tracks, folder / "tracks.bed")
    named = genes.rename_axis("name").reset_index().assign(score=0)
    columns = ["chrom", "start", "end", "name", "score", "strand", "role"]
    _write_bed(named[columns], folder / "genes.bed")
    bins = tracks[["chrom", "start", "end"]]
    _write_bulk(folder / "bulk.mcool", bins, bulk, settings.bin_size)
    _write_contacts(folder, bins, pseudo_bulks, single_cells)
    text = json.dumps({"format": FORMAT, **asdict(settings)}, indent=2)
    with whole_file(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def _write_bed(table: pd.DataFrame, path: Path) -> None:
    with whole_file(path) as temporary:
        table.rename(columns={"chrom": "#chrom"}).to_csv(temporary, sep="\t", index=False)


def _write_bulk(
    path: Path, bins: pd.DataFrame, bulk: Mapping[str, np.ndarray], bin_size: int
) -> None:
    import cooler

    sizes = [bin_size, 2 * bin_size, 4 * bin_size]
    with whole_hdf5(path) as written:
        fine = str(written.with_name("fine.cool"))
        cooler.create_cooler(fine, bins, map_pixels(bulk), ordered=True, symmetric_upper=True)
        cooler.zoomify_cooler([fine], str(written), sizes, chunksize=10_000_000)


def _write_contacts(
    folder: Path,
    bins: pd.DataFrame,
    pseudo_bulks: Iterable[tuple[str, Mapping[str, np.ndarray]]],
    single: pd.DataFrame,
) -> None:
    import cooler

    kept = {"ordered": True, "symmetric_upper": True}
    for name, maps in pseudo_bulks:
        with whole_hdf5(folder / f"{name}.cool") as written:
            cooler.create_cooler(str(written), bins, map_pixels(maps), **kept)
    offset = bins.reset_index(drop=True).reset_index().groupby("chrom", sort=False)["index"].min()
    first = single["chrom"].map(offset)
    pixels = pd.DataFrame(
        {
            "bin1_id": single["bin1"] + first,
            "bin2_id": single["bin2"] + first,
            "count": single["count"],
        }
    )
    cells = {
        f"cell{k}": pixels[single["cell"] == k].sort_values(["bin1_id", "bin2_id"])
        for k in range(int(single["cell"].max()) + 1)
    }
    with whole_hdf5(folder / "cells.scool") as written:
        cooler.create_scool(str(written), bins, cells, **kept)


def map_pixels(maps: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Return the non-zero upper pixels of symmetric maps in cooler's order.

    ``maps`` are (bins, bins) by chromosome, in genome order; columns bin1_id, bin2_id, count.
    """
    tables, offset = [], 0
    for contacts in maps.values():
        i, j = np.nonzero(np.triu(contacts))
        tables.append(
            pd.DataFrame({"bin1_id": i + offset, "bin2_id": j + offset, "count": contacts[i, j]})
        )
        offset += len(contacts)
    return pd.concat(tables, ignore_index=True)


def read_settings(folder: str | Path) -> Settings:
    """Return the settings of the organism that was written to ``folder``.

    Raises
    ------
    FileNotFoundError
        If the folder has no settings.
    ValueError
        If the settings are damaged, or of a later version.
    """
    path = Path(folder) / "settings.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; write it with organism.write({folder})")
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        version = stored.pop("format")
        perturbations = [(str(r), float(f), float(t)) for r, f, t in stored.pop("perturbations")]
        seed, preset = stored.pop("seed"), stored.pop("preset")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: {error!r}; write the organism again") from error
    if version != FORMAT:
        raise ValueError(f"{path} has format {version}, this version reads {FORMAT}")
    return make_settings(seed, preset, stored, tuple(perturbations))
