"""What is wrong with a file, in one line that names it, whichever library stumbles over it."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

HEAP = b"GCOL\1\0\0\0"  # begins a heap of HDF5 (version 1)


@contextmanager
def reading(path: str | Path, what: str) -> Iterator[None]:
    """Say of whatever goes wrong inside that the file is damaged.

    An error that begins with the file's name says so already, and passes.

    Raises
    ------
    ValueError

    Examples
    --------
    >>> with reading("maps.cool", "cooler file"):
    ...     {}["bins"]
    Traceback (most recent call last):
        ...
    ValueError: maps.cool is no cooler file, cut short or damaged (KeyError: 'bins'): take a ...
    """
    try:
        yield
    except (FileNotFoundError, MemoryError):
        raise
    except BaseException as error:
        # A library in Rust raises what is no Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        if isinstance(error, ValueError) and str(error).startswith(str(path)):
            raise
        lines = str(error).splitlines() or [""]
        raise ValueError(
            f"{path} is no {what}, cut short or damaged ({type(error).__name__}:"
            f" {lines[0][:200]}): take a copy of it, or make it anew."
        ) from error


def refuse_links(path: str | Path) -> None:
    """Refuse an HDF5 file with parts in other files, or links that lead nowhere.

    What a prediction is made from is known by the checksum of its files, which does not reach into
    others.

    Raises
    ------
    ValueError
        Naming the file and the link.
    """
    import h5py

    check_heaps(path)
    with h5py.File(path, "r") as store:
        seen, waiting = set(), [store["/"]]
        while waiting:
            group = waiting.pop()
            place = h5py.h5o.get_info(group.id).addr
            if place in seen:  # Under another name, or a part of itself.
                continue
            seen.add(place)
            for name in group:
                link, where = group.get(name, getlink=True), f"{group.name.rstrip('/')}/{name}"
                if isinstance(link, h5py.ExternalLink):
                    raise ValueError(
                        f"{path}: {where} lies in another file, {link.filename}: copy it into this"
                        " one, as 'h5repack' or 'cooler cp' do."
                    )
                item = group.get(name)
                if item is None:
                    raise ValueError(f"{path}: {where} is a link that leads nowhere.")
                if isinstance(item, h5py.Dataset) and (item.is_virtual or item.external):
                    raise ValueError(f"{path}: the values of {where} lie in another file.")
                if isinstance(item, h5py.Group) and isinstance(link, h5py.HardLink):
                    waiting.append(item)


def check_heaps(path: str | Path) -> None:
    """Refuse an HDF5 file whose texts of any length lie in a heap that has no end.

    HDF5 walks a heap from object to object by their sizes, and never comes back from one of size 0
    (https://docs.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html, "Global Heap").

    Raises
    ------
    ValueError
        Naming the file.
    """
    with Path(path).open("rb") as stream:
        if len(stream.read(len(HEAP))) < len(HEAP):
            return
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            start = content.find(HEAP)
            while start >= 0:
                size = int.from_bytes(content[start + 8 : start + 16], "little")
                end, place = start + size, start + 16
                while end - place >= 16 and place < len(content):
                    index = int.from_bytes(content[place : place + 2], "little")
                    held = int.from_bytes(content[place + 8 : place + 16], "little")
                    # Object 0 is what is free, its own head included.
                    step = held if index == 0 else 16 + -(-held // 8) * 8
                    if not 0 < step <= end - place:
                        raise ValueError(f"{path} is damaged: take a copy of it, or make it anew.")
                    place += step
                start = content.find(HEAP, start + 8)


def check_intervals(table: Any, source: str) -> pd.DataFrame:
    """Return intervals whose start and end are int64, or refuse what is none.

    Parameters
    ----------
    table : pandas.DataFrame
        With ``chrom``, ``start`` and ``end``.
    source : str
        What to call it, such as the name of its file.

    Raises
    ------
    ValueError
        For a missing column, a row without a chromosome, and positions that are no whole numbers,
        negative, beyond int64, or whose end lies before the start; it names the first.

    Examples
    --------
    >>> check_intervals(pd.DataFrame({"chrom": ["chr1"], "start": [9], "end": [3]}), "peaks.bed")
    Traceback (most recent call last):
        ...
    ValueError: peaks.bed, row 1: chr1, 9 to 3, is no interval: give whole numbers from 0 on, ...
    """
    if missing := [column for column in ("chrom", "start", "end") if column not in table]:
        raise ValueError(f"{source} has no columns chrom, start and end: {missing[0]} is missing.")
    chrom = table["chrom"]
    start, end = (pd.to_numeric(table[side], errors="coerce") for side in ("start", "end"))
    whole = (start % 1 == 0) & (end % 1 == 0) & (end < 2**62)
    bad = ~(whole & (start >= 0) & (end >= start)) | chrom.isna() | (chrom.astype(str) == "")
    if bad.any():
        row = int(bad.to_numpy().argmax())
        shown = ", ".join(str(chrom.iloc[row]).splitlines()) or "no chromosome"
        raise ValueError(
            f"{source}, row {row + 1}: {shown}, {table['start'].iloc[row]} to"
            f" {table['end'].iloc[row]}, is no interval: give whole numbers from 0 on, the end not"
            " before the start."
        )
    checked: pd.DataFrame = table.astype({"start": np.int64, "end": np.int64})
    return checked
