"""Write the simulated organism to the field's file formats, and read it back.

A folder holds ``settings.json``, ``cells.h5ad`` (the default sample), ``tracks.bed`` and
``genes.bed`` (tab separated, a ``#`` before the names of columns), ``bulk.mcool`` (the stem bulk at
three bin sizes), ``<cell type>.cool`` (pseudo-bulks) and ``cells.scool`` (single cells).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scstlib.datasets.organism_settings import Settings, make_settings

if TYPE_CHECKING:
    from scstlib.datasets.organism import Organism

FORMAT = 1  # of the folder; a later one is refused


def write_organism(organism: Organism, folder: Path, n_single_cells: int) -> None:
    """Write settings, default sample, tracks, bulk, pseudo-bulks and single cells to ``folder``.

    The folder is made if need be; files of the same names are replaced. ``settings.json`` is
    written last, so that a folder which has it is complete.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "settings.json"
    settings.unlink(missing_ok=True)
    organism.sample().write_h5ad(folder / "cells.h5ad", compression="gzip")
    _write_bed(organism.tracks(), folder / "tracks.bed")
    genes = organism.genome.genes.rename_axis("name").reset_index().assign(score=0)
    _write_bed(
        genes[["chrom", "start", "end", "name", "score", "strand", "role"]], folder / "genes.bed"
    )
    _write_contacts(organism, folder, n_single_cells)
    text = json.dumps({"format": FORMAT, **asdict(organism.settings)}, indent=2)
    settings.write_text(text + "\n", encoding="utf-8")


def _write_bed(table: pd.DataFrame, path: Path) -> None:
    table.rename(columns={"chrom": "#chrom"}).to_csv(path, sep="\t", index=False)


def _write_contacts(organism: Organism, folder: Path, n_single_cells: int) -> None:
    import cooler

    bins = organism.tracks()[["chrom", "start", "end"]]
    kept = {"ordered": True, "symmetric_upper": True}
    size = organism.settings.bin_size
    with TemporaryDirectory() as scratch:
        fine = str(Path(scratch) / "fine.cool")
        cooler.create_cooler(fine, bins, map_pixels(organism.bulk()), **kept)
        cooler.zoomify_cooler(
            [fine], str(folder / "bulk.mcool"), [size, 2 * size, 4 * size], chunksize=10_000_000
        )
    present = organism.cell_type_shares()
    for name in present.index[present > 0]:
        pixels = map_pixels(organism.sample_contacts(name))
        cooler.create_cooler(str(folder / f"{name}.cool"), bins, pixels, **kept)
    single = organism.sample_cell_contacts(n_cells=n_single_cells)
    offset = {c: k * organism.settings.n_bins for k, c in enumerate(organism.chromosomes)}
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
        for k in range(n_single_cells)
    }
    cooler.create_scool(str(folder / "cells.scool"), bins, cells, **kept)


def map_pixels(maps: dict[str, np.ndarray]) -> pd.DataFrame:
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


def read_organism(folder: str | Path) -> Organism:
    """Return the organism that was written to ``folder``; it equals the one that wrote it.

    Raises
    ------
    FileNotFoundError
        If the folder has no settings.
    ValueError
        If the settings are damaged, or of a later version.
    """
    from scstlib.datasets.organism import Organism

    path = Path(folder) / "settings.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; write it with organism.write({folder})")
    return Organism(_read_settings(path))


def _read_settings(path: Path) -> Settings:
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
