"""Predicted contact maps of whole chromosomes, and the cooler files that hold them."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scstlib import __version__
from scstlib.files.stitch import predict_map
from scstlib.models.settings import check_whole
from scstlib.writing import check_replaceable, check_room, whole_hdf5

if TYPE_CHECKING:
    import scipy.sparse as sp

    from scstlib.files.inputs import GenomeInputs
    from scstlib.models.spatial.protocol import SpatialModel

log = logging.getLogger(__name__)
TILE = 256  # bins of a HiGlass tile: the coarsest map fits into one


def predict_chromosomes(
    model: SpatialModel,
    inputs: GenomeInputs,
    cell_type: str,
    *,
    stride: int = 64,
    max_distance: int | None = None,
    depth: float = 1.0,
    batch_size: int = 4,
) -> Iterator[tuple[str, sp.csr_array]]:
    """Predict one chromosome after the other, in the order of the bulk map's bins.

    Memory holds one at a time.

    Parameters
    ----------
    inputs
        From :func:`scstlib.files.inputs.read_inputs`.
    cell_type
        One of ``inputs.tracks``.
    stride
        Distance between windows in bins.
    max_distance
        Largest distance in bins of the map; default: ``window - stride``, up to which every pixel
        is covered.
    depth
        Relative to the bulk map.

    Yields
    ------
    str, csr_array
        Chromosome and its upper triangle (bins, bins), float32.

    Raises
    ------
    ValueError
        If the stride exceeds the window or ``max_distance`` is not covered, and what the model
        refuses.
    """
    check_whole({"batch_size": batch_size}, "batch_size")
    reach = inputs.window - stride
    if stride < 1 or reach < 0:
        raise ValueError(f"stride is {stride}: give 1 to {inputs.window}, the bins of a window.")
    max_distance = reach if max_distance is None else max_distance
    if not 0 <= max_distance <= reach:
        raise ValueError(
            f"windows of {inputs.window} bins, {stride} apart, cover distances up to {reach}, not"
            f" {max_distance}: use a smaller stride."
        )
    # A cooler holds its chromosomes in the order of its bins, whatever the order asked for.
    for chrom in sorted(inputs.chromosomes, key=list(inputs.bulk).index):
        windows = inputs.windows(stride, chromosomes=[chrom], cell_types=[cell_type], to_end=True)
        log.info("%s, %s: %d windows", cell_type, chrom, len(windows))
        yield (
            chrom,
            predict_map(
                partial(model.predict, depth=depth),
                windows,
                inputs.bulk.n_bins(chrom),
                max_distance=max_distance,
                batch_size=batch_size,
            ),
        )


def check_output(
    path: str | Path,
    overwrite: bool = False,
    *,
    suffixes: Sequence[str] = (".cool", ".mcool"),
    inputs: Iterable[str | Path | None] = (),
) -> Path:
    """Refuse an output path before anything is computed.

    Parameters
    ----------
    path
    overwrite
        Whether the file may be there already.
    suffixes
        How its name may end.
    inputs
        Paths or cooler URIs that are read, none of which may be written over; None is ignored.

    Raises
    ------
    FileNotFoundError, FileExistsError, ValueError
        If the folder is missing, the file is there already, is one of the inputs or no regular
        file, or its name has another suffix.
    """
    path = Path(path)
    if path.suffix not in suffixes:
        raise ValueError(f"{path} does not end with {' or '.join(suffixes)}.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent}: make it first.")
    for file in (_file(str(read)) for read in inputs if read is not None):
        if path.exists() and file.exists() and file.samefile(path):
            raise ValueError(f"{path} is read, so it cannot be written: choose another name.")
    check_replaceable(path, overwrite)
    return path


def write_contact_map(
    path: str | Path,
    bins: pd.DataFrame,
    maps: Iterable[tuple[str, Any]],
    *,
    metadata: Mapping[str, Any],
    assembly: str | None = None,
    balance: bool = False,
    resolutions: Sequence[int] | None = None,
    overwrite: bool = False,
) -> None:
    """Write banded maps to ``.cool``, or to ``.mcool`` as HiGlass lays it out; all or nothing.

    An ``.mcool`` file holds ``resolutions/N``, each twice as wide as the one before, until the
    genome fits into 256 bins. Values are float32. In wider bins the outermost pixels of the band
    sum only what lies inside it.

    Parameters
    ----------
    bins
        chrom, start, end of the genome; all of one width.
    maps
        Chromosome and upper triangle, in the order of the bins, such as
        :func:`predict_chromosomes` yields; chromosomes may be left out.
    metadata
        What JSON holds; in every resolution's ``metadata``.
    balance
        Whether to balance each resolution by iterative correction (column ``weight``).
    resolutions
        Bin sizes of an ``.mcool`` file in bp, multiples of the bins' own.

    Raises
    ------
    FileNotFoundError, FileExistsError, ValueError
        As :func:`check_output`, also where the file appears meanwhile; for a map of another size,
        chromosomes out of order, or values that are negative or not finite.
    OSError
        If the disk is full or read-only.
    """
    import cooler

    path = check_output(path, overwrite)
    with whole_hdf5(path, overwrite=overwrite) as written:
        several = path.suffix == ".mcool"
        single = written.with_name("single.cool") if several else written
        kept: dict[str, Any] = {"metadata": dict(metadata), "assembly": assembly}
        cooler.create_cooler(
            str(single),
            bins,
            _with_room(_pixels(bins, maps), single.parent),
            dtypes={"count": np.float32},
            ordered=True,
            symmetric_upper=True,
            **kept,
        )
        uris = [str(single)]
        if several:
            sizes = list(resolutions) if resolutions else zoom_levels(bins)
            # Wider bins have at most as many pixels, most of them far fewer.
            check_room(single.parent, 3 * single.stat().st_size)
            cooler.zoomify_cooler([str(single)], str(written), sizes, chunksize=10_000_000, **kept)
            uris = [f"{written}::resolutions/{size}" for size in sizes]
        if balance:
            for uri in uris:
                _balance(uri)


def zoom_levels(bins: pd.DataFrame) -> list[int]:
    """Bin sizes in bp: that of the bins, doubled until the genome fits into one tile."""
    size = int((bins["end"] - bins["start"]).max())
    doublings = max(0, int(np.ceil(np.log2(len(bins) / TILE))))
    return [size * 2**k for k in range(doublings + 1)]


def provenance(
    model: Any,
    inputs: Mapping[str, Sequence[str]],
    *,
    model_file: str | Path | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """What a predicted map says about its origin; names of files without their folders.

    Parameters
    ----------
    model
        Fitted model.
    inputs
        What it is → paths or cooler URIs; each gets its sha256.
    settings
        More entries, such as ``cell_type`` or ``stride``.
    """
    files = {
        what: [{"name": _name(uri), "sha256": _checksum(_file(uri))} for uri in uris]
        for what, uris in inputs.items()
    }
    text = json.dumps(settings, sort_keys=True, default=str)
    record = {
        "predicted": True,
        "scstlib": __version__,
        "model": type(model).__name__,
        "model_settings": json.dumps(getattr(model, "settings", {}), default=str),
        "inputs": files,
        "settings": settings,
        "settings_sha256": hashlib.sha256(text.encode()).hexdigest(),
    }
    if model_file is not None:
        name = Path(model_file).name
        record["model_file"] = {"name": name, "sha256": _checksum(Path(model_file))}
    return record


def _pixels(bins: pd.DataFrame, maps: Iterable[tuple[str, Any]]) -> Iterator[pd.DataFrame]:
    """Pixels of one chromosome after the other, in cooler's order."""
    chroms = bins["chrom"].astype(str)
    order = list(dict.fromkeys(chroms))
    first = {chrom: int((chroms == chrom).to_numpy().argmax()) for chrom in order}
    n_bins = chroms.value_counts()
    last = -1
    for chrom, upper in maps:
        if chrom not in first or order.index(chrom) <= last:
            raise ValueError(f"map of {chrom!r}: unknown or out of order among {order}.")
        last = order.index(chrom)
        if upper.shape != (n_bins[chrom], n_bins[chrom]):
            raise ValueError(f"map of {chrom!r}: shape {upper.shape} for {n_bins[chrom]} bins.")
        entries = upper.tocsr(copy=True)
        entries.sum_duplicates()
        if not np.isfinite(entries.data).all() or (entries.data < 0).any():
            raise ValueError(f"map of {chrom!r}: values are negative or not finite.")
        entries = entries.tocoo()
        if (entries.row > entries.col).any():
            raise ValueError(f"map of {chrom!r}: give the upper triangle.")
        yield pd.DataFrame(
            {
                "bin1_id": entries.row.astype(np.int64) + first[chrom],
                "bin2_id": entries.col.astype(np.int64) + first[chrom],
                "count": entries.data.astype(np.float32),
            }
        )


def _with_room(parts: Iterable[pd.DataFrame], folder: Path) -> Iterator[pd.DataFrame]:
    """Tables for which the folder has room as they come: HDF5 does not survive a full disk."""
    for part in parts:
        check_room(folder, int(part.memory_usage().sum()))
        yield part


def _balance(uri: str) -> None:
    """Store balancing weights, with a warning where they did not converge."""
    import h5py

    from scstlib.preprocess.contacts import balance_matrix

    weights = balance_matrix(uri).weights
    path, _, group = uri.partition("::")
    with h5py.File(path, "r+") as store:
        bins = store[f"{group or '/'}/bins"]
        bins.create_dataset("weight", data=weights)


def _file(uri: str) -> Path:
    return Path(str(uri).partition("::")[0])


def _name(uri: str) -> str:
    path, mark, group = str(uri).partition("::")
    return Path(path).name + mark + group


def _checksum(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
