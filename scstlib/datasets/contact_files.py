"""Write contact maps with cooler: pixels, a file of several samples, its place in the cache."""

from __future__ import annotations

import atexit
import hashlib
import json
import secrets
import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scstlib.caller import warn_caller
from scstlib.datasets.cache import cached_path, one_at_a_time, writing
from scstlib.writing import FULL, NOT_WRITABLE, check_room, temporary_folder

# Where a file of this package keeps the table of samples, beside cooler's own groups.
SAMPLES = "scstlib"


def upper_pixels(bin1: Any, bin2: Any, count: Any) -> pd.DataFrame:
    """Pixels with bin1_id ≤ bin2_id, sorted; a pair that is listed again, in either order, adds up.

    Parameters
    ----------
    bin1, bin2 : array_like of int
        Bins of each entry, in either order.
    count : array_like
        Contacts; pairs without a contact are left out.

    Returns
    -------
    pandas.DataFrame
        bin1_id, bin2_id (int64), count (int32).
    """
    bin1, bin2, count = (np.asarray(column, dtype=np.int64) for column in (bin1, bin2, count))
    # One number a pair, so that sorting and adding up need one pass; bins are far below 2^31.
    pairs, which = np.unique(
        (np.minimum(bin1, bin2) << 32) | np.maximum(bin1, bin2), return_inverse=True
    )
    total = np.zeros(len(pairs), dtype=np.int64)
    np.add.at(total, which, count)
    table = pd.DataFrame({"bin1_id": pairs >> 32, "bin2_id": pairs & 0xFFFFFFFF, "count": total})
    kept: pd.DataFrame = table[total != 0].astype({"count": np.int32})
    return kept


def write_scool(
    path: Path,
    bins: pd.DataFrame | Mapping[str, pd.DataFrame],
    pixels: Mapping[str, pd.DataFrame],
    obs: pd.DataFrame,
    assembly: str | None,
    meta: Mapping[str, Any],
) -> None:
    """Write samples into one ``.scool`` file with cooler, and their table beside them.

    Parameters
    ----------
    path : pathlib.Path
        File to write.
    bins : pandas.DataFrame, or mapping of str to pandas.DataFrame
        chrom, start, end of all bins; one table a sample where they have tracks of their own.
    pixels : mapping of str to pandas.DataFrame
        Sample → bin1_id ≤ bin2_id, count; sorted, each pair once.
    obs : pandas.DataFrame
        One row a sample, in the order of the samples.
    assembly : str or None
        Genome assembly.
    meta : mapping
        What holds for all samples; written as JSON.

    Raises
    ------
    OSError
        If the folder has less room than the pixels take unpacked.
    """
    import cooler
    import h5py

    check_room(path.parent, sum(int(table.memory_usage().sum()) for table in pixels.values()))
    cooler.create_scool(
        str(path),
        bins=dict(bins) if isinstance(bins, Mapping) else bins,
        cell_name_pixels_dict=dict(pixels),
        ordered=True,
        symmetric_upper=True,
        assembly=assembly,
        mode="w",
    )
    record = {"obs": _plain(obs), "assembly": assembly, "meta": dict(meta)}
    with h5py.File(path, "r+") as store:
        store[SAMPLES] = json.dumps(record)


def _plain(table: pd.DataFrame) -> dict[str, Any]:
    """A table as plain lists that ``pandas.DataFrame(**record)`` turns back."""
    return table.astype(object).to_dict("split")


def digest(*parts: Any) -> str:
    """Short key of values that JSON can write."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def is_whole(path: Path) -> bool:
    """Whether a converted file is there and as it was written, by the digest beside it."""
    mark = path.with_suffix(".sha256")
    if not (path.is_file() and mark.is_file()):
        return False
    return mark.read_text(encoding="utf-8", errors="replace") == _sha256(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def converted(name: str, key: str, write: Callable[[Path], None]) -> Path:
    """The file ``derived/name-key.scool`` of the cache, written if it is missing or damaged.

    The file appears whole or not at all; two processes that write it at once write the same. It is
    written to a temporary folder of this process and copied, as HDF5 does not survive a disk that
    fills up; where the cache cannot take the copy, it is used where it is.
    """
    target = cached_path("derived", f"{name}-{key}.scool")
    if is_whole(target):
        return target
    with one_at_a_time(target.stem), temporary_folder(Path(tempfile.gettempdir())) as folder:
        # Another process may have written it while this one waited.
        if is_whole(target):
            return target
        kept = _folder_of_process() / target.name
        if kept.is_file():
            return kept
        written = folder / target.name
        write(written)
        try:
            with writing(target) as temporary:
                shutil.copyfile(written, temporary)
            with writing(target.with_suffix(".sha256")) as temporary:
                temporary.write_text(_sha256(written), encoding="utf-8")
        except OSError as error:
            if error.errno not in NOT_WRITABLE | FULL:
                raise
            warn_caller(
                f"{target.parent} cannot take the converted maps: they are kept in a temporary "
                "file and made again by the next process; SCST_DATA names another folder"
            )
            kept.parent.mkdir(mode=0o700, exist_ok=True)
            return Path(shutil.move(written, kept))
    return target


@cache
def _folder_of_process() -> Path:
    """Where this process keeps files that the cache could not take; removed when it ends."""
    folder = Path(tempfile.gettempdir()) / f"scstlib-{secrets.token_hex(8)}"
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
