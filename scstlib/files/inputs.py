"""From files to windows: a bulk map, expression, CTCF, CpG, genes and targets.

Chromosomes are those of the bulk map; other files may name them with or without ``chr``. Errors
name the file, the chromosome and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scstlib.caller import warn_caller
from scstlib.files.cooler_maps import CoolerMaps
from scstlib.files.track_inputs import Table, expression_inputs, shared_inputs
from scstlib.models.spatial.protocol import REFERENCE
from scstlib.preprocess.guides import guide_tracks
from scstlib.preprocess.tracks import by_chromosome, match_chromosomes
from scstlib.preprocess.windows import Windows, make_windows
from scstlib.splits.parts import listed

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True, eq=False)
class GenomeInputs:
    """What windows are cut from, opened and checked; maps are read when windows are cut.

    Attributes
    ----------
    bulk : CoolerMaps
    chromosomes : tuple of str
        Those that windows can be cut from.
    tracks : dict
        Cell type → chromosome → (bins, tracks).
    track_names : tuple of str
    targets : dict or None
        Cell type → CoolerMaps.
    bulk_cell_types : tuple of str
    files : dict
        What it is → paths that were read.
    window : int
        In bins.
    reference : tuple of str
        Cell types whose mean expression is the reference.
    bulk_expression : str or None
        Cell type whose expression is that of the cells in the bulk map.
    balance : bool or str
        Whether values are balanced, or by which column.
    assembly : str or None
        As the bulk map names it, else as it was given.
    """

    bulk: CoolerMaps
    chromosomes: tuple[str, ...]
    tracks: dict[str, dict[str, np.ndarray]]
    track_names: tuple[str, ...]
    targets: dict[str, CoolerMaps] | None
    bulk_cell_types: tuple[str, ...]
    files: dict[str, list[str]]
    window: int
    reference: tuple[str, ...]
    bulk_expression: str | None
    balance: bool | str
    assembly: str | None

    def windows(
        self,
        stride: int,
        *,
        chromosomes: Sequence[str] | None = None,
        cell_types: Sequence[str] | None = None,
        to_end: bool = False,
        max_masked: float = 1.0,
    ) -> Windows:
        """Cut windows: see :func:`scstlib.preprocess.windows.make_windows`."""
        kinds = list(self.tracks) if cell_types is None else cell_types
        columns: dict[str, Any] = {"assembly": self.bulk.assembly} if self.bulk.assembly else {}
        columns[REFERENCE] = self.reference
        return make_windows(
            self.bulk,
            {kind: self.tracks[kind] for kind in kinds},
            None if self.targets is None else {kind: self.targets[kind] for kind in kinds},
            bin_size=self.bulk.bin_size,
            bulk_cell_types=self.bulk_cell_types,
            window=self.window,
            stride=stride,
            chromosomes=self.chromosomes if chromosomes is None else chromosomes,
            to_end=to_end,
            max_masked=max_masked,
            track_names=self.track_names,
            **columns,
        )


def read_inputs(
    bulk: str | Path,
    expression: AnnData | str | Path | Mapping[str, Any],
    *,
    cell_type_key: str = "cell_type",
    layer: str | None = None,
    genes: Table | None = None,
    ctcf: Table | None = None,
    cpg: Table | None = None,
    targets: Mapping[str, str | Path] | None = None,
    cell_types: Sequence[str] | None = None,
    reference: Sequence[str] | None = None,
    bulk_expression: str | None = None,
    bulk_cell_types: str | Sequence[str] = (),
    resolution: int | None = None,
    assembly: str | None = None,
    chromosomes: Sequence[str] | None = None,
    balance: bool | str = False,
    window: int = 128,
) -> GenomeInputs:
    """Open and check the files that windows are cut from.

    Maps are read later, when windows are cut.

    Parameters
    ----------
    bulk
        Cooler file; of an ``.mcool`` file ``bulk.mcool::resolutions/50000``, or ``resolution``.
    expression
        AnnData with counts (or an ``.h5ad`` file), summed by ``cell_type_key`` and scaled to
        10,000; the places of its genes are in ``var`` (chrom, start, end, strand) or in ``genes``.
        Or cell type → files, see :func:`~scstlib.files.track_files.expression_from_files`.
    cell_type_key, layer
        Of AnnData: column of ``obs``; where the counts are, if not in X.
    genes
        GTF or BED file, or a table indexed by gene.
    ctcf
        Sites as a BED file, FIMO's ``fimo.tsv`` or a table: ``CTCF +`` and ``CTCF -``, or ``CTCF``
        if they have no strands.
    cpg
        bedGraph or bigWig file, or a table with ``value``, averaged in bins. A bigWig file is read
        with pybigtools, and its chromosomes must be as long as those of the bulk map.
    targets
        Cell type → cooler file, to learn from.
    cell_types
        Those that windows are cut for; default: all, or those with targets.
    reference
        Cell types whose mean expression is the reference: those that the model is trained on,
        the same when it predicts. Default: all, which is right only if no cell type is held out.
    bulk_expression
        Cell type whose expression is that of the cells in the bulk map.
    bulk_cell_types
        Whose contacts are in the bulk map, for the leak guard.
    resolution, window
        Bin size in bp; width of a window in bins.
    assembly
        Refused if the bulk map names another. Where it names none, the assemblies that other files
        name are compared with this one.
    chromosomes
        Default: all; those shorter than a window or without contacts are left out with a warning.
        Named ones are refused instead.
    balance
        False for raw counts; True or a column's name for balanced values. Bins that balancing
        filtered are masked either way.

    Returns
    -------
    GenomeInputs

    Raises
    ------
    FileNotFoundError, ValueError
        For a missing or damaged file, a missing resolution, column or cell type, another assembly
        or species, no usable chromosome, or counts that are negative or not finite.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from scstlib.datasets import simulate_organism
    >>> from scstlib.files import read_inputs
    >>> with TemporaryDirectory() as folder:
    ...     simulate_organism(0, "tiny").write(folder)
    ...     inputs = read_inputs(
    ...         f"{folder}/bulk.mcool::resolutions/50000", f"{folder}/cells.h5ad", window=32
    ...     )
    >>> inputs.chromosomes
    ('chr1', 'chr2', 'chr3')
    >>> inputs.track_names[:2]
    ('expression +', 'expression -')
    """
    maps = CoolerMaps(bulk, resolution, reach=window, balance=balance)
    maps.check_assembly(assembly, "what was given")
    maps.assembly = maps.assembly or assembly  # the other files are compared with it
    chosen = usable_chromosomes(maps, chromosomes)
    files = {"bulk": [str(bulk)]}
    by_type, read = expression_inputs(maps, expression, cell_type_key, layer, genes)
    files |= read
    if reference is None and len(by_type) == 1:
        warn_caller(
            f"the reference is the mean of all cell types, here of {next(iter(by_type))} alone:"
            " give the cells of those that the model was trained on as well, and name these in"
            " reference"
        )
    reference = list(by_type) if reference is None else list(reference)
    shared, names, read = shared_inputs(maps, ctcf, cpg, chosen)
    files |= read
    known = [*reference, *(cell_types or ()), *([bulk_expression] if bulk_expression else ())]
    unknown = [name for name in known if name not in by_type]
    if unknown:
        raise ValueError(
            f"there is no expression of {unknown}; there are {list(by_type)}. Cells of the"
            " reference are given with the others, under the names of their types."
        )
    tracks, track_names = guide_tracks(
        by_type,
        reference=reference,
        bulk=by_type[bulk_expression] if bulk_expression else None,
        shared=shared,
        shared_names=names,
    )
    kinds = list(by_type) if cell_types is None else list(cell_types)
    measured = None
    if targets is not None:
        missing = [kind for kind in kinds if kind not in targets]
        if missing and cell_types is not None:
            raise ValueError(f"there are no targets of {missing}; there are {list(targets)}.")
        kinds = [kind for kind in kinds if kind in targets]
        if unknown := [kind for kind in targets if kind not in by_type]:
            raise ValueError(
                f"there are targets of {unknown}, but no expression; there is that of"
                f" {list(by_type)}."
            )
        options = {"reach": window, "balance": balance}
        measured = {k: target_maps(targets[k], maps, resolution, chosen, options) for k in kinds}
        files["targets"] = [str(targets[kind]) for kind in kinds]
    return GenomeInputs(
        maps,
        chosen,
        {kind: by_chromosome(tracks[kind], maps.bins) for kind in kinds},
        track_names,
        measured,
        tuple(listed(bulk_cell_types)),
        files,
        window,
        tuple(reference),
        bulk_expression,
        balance,
        maps.assembly,
    )


def build_windows(
    bulk: str | Path,
    expression: AnnData | str | Path | Mapping[str, Any],
    *,
    cell_type_key: str = "cell_type",
    layer: str | None = None,
    genes: Table | None = None,
    ctcf: Table | None = None,
    cpg: Table | None = None,
    targets: Mapping[str, str | Path] | None = None,
    cell_types: Sequence[str] | None = None,
    reference: Sequence[str] | None = None,
    bulk_expression: str | None = None,
    bulk_cell_types: str | Sequence[str] = (),
    resolution: int | None = None,
    assembly: str | None = None,
    chromosomes: Sequence[str] | None = None,
    balance: bool | str = False,
    window: int = 128,
    stride: int = 32,
    max_masked: float = 1.0,
) -> Windows:
    """Cut windows with guide tracks, and targets if given, from files.

    Parameters
    ----------
    bulk
        Cooler file; of an ``.mcool`` file ``bulk.mcool::resolutions/50000``, or ``resolution``.
    expression
        AnnData with counts or an ``.h5ad`` file, with the places of genes in ``var`` or ``genes``;
        or cell type → files.
    cell_type_key, layer
        Of AnnData: column of ``obs``; where the counts are, if not in X.
    genes
        GTF or BED file, or a table indexed by gene.
    ctcf, cpg
        BED file, FIMO's table or a table of sites; bedGraph or bigWig file or table with ``value``.
    targets
        Cell type → cooler file, to learn from.
    cell_types
        Those that windows are cut for; default: all, or those with targets.
    reference
        Cell types whose mean expression is the reference: those that the model is trained on.
    bulk_expression, bulk_cell_types
        Cell type whose expression is that of the cells in the bulk map; whose contacts are in it.
    resolution, window
        Bin size in bp; width of a window in bins.
    assembly
        Refused if the bulk map names another.
    chromosomes
        Default: all that windows can be cut from.
    balance
        False for raw counts; True or a column's name for balanced values.
    stride
        Distance between windows in bins.
    max_masked
        Windows with a larger share of masked bins are left out.

    Returns
    -------
    Windows

    Raises
    ------
    FileNotFoundError, ValueError
        As :func:`read_inputs`, which says more of the arguments.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from scstlib.datasets import simulate_organism
    >>> from scstlib.files import build_windows
    >>> with TemporaryDirectory() as folder:
    ...     simulate_organism(0, "tiny").write(folder)
    ...     windows = build_windows(
    ...         f"{folder}/bulk.mcool::resolutions/50000", f"{folder}/cells.h5ad",
    ...         targets={"stem": f"{folder}/stem.cool"}, window=32, stride=16,
    ...     )
    >>> windows.bulk.shape, windows.targets.shape
    ((9, 32, 32), (9, 32, 32))
    """
    inputs = read_inputs(
        bulk, expression, cell_type_key=cell_type_key, layer=layer, genes=genes, ctcf=ctcf,
        cpg=cpg, targets=targets, cell_types=cell_types, reference=reference,
        bulk_expression=bulk_expression, bulk_cell_types=bulk_cell_types, resolution=resolution,
        assembly=assembly, chromosomes=chromosomes, balance=balance, window=window,
    )  # fmt: skip
    return inputs.windows(stride, max_masked=max_masked)


def usable_chromosomes(maps: CoolerMaps, asked: Sequence[str] | None) -> tuple[str, ...]:
    """Chromosomes that windows can be cut from; refused by name if asked for, else left out."""
    if asked is not None:
        table = pd.DataFrame({"chrom": list(asked)})
        try:
            found = match_chromosomes(table, maps)["chrom"]
        except ValueError as error:
            raise ValueError(f"{maps.uri}: {error}") from None
        if len(found) < len(table):
            unknown = [str(c) for c in table["chrom"].drop(found.index)]
            raise ValueError(f"{maps.uri} has no chromosomes {unknown}; it has {list(maps)}.")
        names = list(dict.fromkeys(found))
    else:
        names = list(maps)
    problems = {name: problem for name in names if (problem := maps.problem(name))}
    usable = tuple(name for name in names if name not in problems)
    if problems and (asked is not None or not usable):
        raise ValueError(next(iter(problems.values())) + ".")
    if problems:
        warn_caller(f"left out: {'; '.join(problems.values())}")
    return usable


def target_maps(
    uri: str | Path,
    bulk: CoolerMaps,
    resolution: int | None,
    chromosomes: Sequence[str],
    options: Mapping[str, Any],
) -> CoolerMaps:
    """A target's maps under the bulk's chromosome names, with the same bins."""
    target = CoolerMaps(uri, resolution, **options)
    bulk.check_assembly(target.assembly, str(uri))
    if target.bin_size != bulk.bin_size:
        raise ValueError(
            f"{uri} has bins of {target.bin_size:,} bp, {bulk.uri} of {bulk.bin_size:,}: choose"
            " one resolution."
        )
    target.rename(bulk)
    for chrom in chromosomes:
        if target.chromsizes.get(chrom) != bulk.chromsizes[chrom]:
            raise ValueError(
                f"{uri}: {chrom} has {target.chromsizes.get(chrom, 'no')} bp, in {bulk.uri}"
                f" {bulk.chromsizes[chrom]}; is it another assembly?"
            )
    return target
