"""Files that appear whole or not at all, and never in place of what they must not replace."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

# What the operating system says when a folder cannot take a file.
NOT_WRITABLE = {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR}
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
LEFT = re.compile(r"\.partial-[0-9a-f]{16}(\.\w+)?")
DAY = 86_400.0  # seconds after which a temporary file is one that a killed process left
SLACK = 1 << 20  # bytes beside the data: headers, indexes, what others write meanwhile


@contextlib.contextmanager
def whole_file(target: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Give a temporary path beside ``target``; move it there when the block ends without error.

    The temporary name is random and made for this file alone. A process that is killed leaves at
    most a file or folder ``.partial-*``, which nothing reads, and which goes with the next file
    that is written there a day later.

    Parameters
    ----------
    target : pathlib.Path
        In a folder that exists.
    overwrite : bool
        Whether a file of that name may be replaced, if it is a regular one.

    Raises
    ------
    FileNotFoundError, FileExistsError, ValueError
        If there is no such folder, ``target`` is there or appears meanwhile and may not be
        replaced, or is no regular file.
    OSError
        With its ``errno`` kept, and what to do in the message, if the folder is read-only or full.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     target = Path(folder) / "numbers.txt"
    ...     with whole_file(target) as temporary:
    ...         _ = temporary.write_text("1 2 3")
    ...         there = target.exists()
    ...     there, target.read_text()
    (False, '1 2 3')
    """
    if not target.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {target.parent}: make it first.")
    check_replaceable(target, overwrite)
    temporary = target.with_name(f".partial-{secrets.token_hex(8)}{target.suffix}")
    with naming_the_folder(target.parent, "give a path in another folder"):
        try:
            _clear(target.parent)
            _begin(temporary)
            yield temporary
            check_replaceable(target, overwrite)
            if overwrite:
                os.replace(temporary, target)
            else:
                _claim(temporary, target)
        finally:
            # What went wrong before is worth more than what goes wrong while cleaning up.
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_hdf5(target: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """As :func:`whole_file`, for what writes HDF5: the path lies in a temporary folder elsewhere.

    HDF5 ends the whole process where a disk fills up under an open file. It therefore writes where
    more room is, in the system's temporary folder or beside ``target``, and the finished file is
    copied. Its folder may be used and is removed.
    """
    with whole_file(target, overwrite=overwrite) as part:
        places = [Path(tempfile.gettempdir()), target.parent]
        place = max(places, key=lambda folder: shutil.disk_usage(folder).free)
        with temporary_folder(place) as folder:
            written = folder / f"written{target.suffix}"
            yield written
            shutil.copyfile(written, part)


@contextlib.contextmanager
def temporary_folder(place: Path) -> Iterator[Path]:
    """Make a folder ``.partial-*`` of this user alone; it is removed when the block ends."""
    _clear(place)
    folder = place / f".partial-{secrets.token_hex(8)}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_replaceable(target: Path, overwrite: bool) -> None:
    """Refuse a path that is taken, or that is no regular file.

    Raises
    ------
    FileExistsError, ValueError
        If it is there and may not be replaced, or is a folder, a device or the like.
    """
    if not os.path.lexists(target):
        return
    if target.exists() and not target.is_file():
        raise ValueError(
            f"{target} is no regular file, so it is not replaced: choose another name."
        )
    if not overwrite:
        raise FileExistsError(
            f"{target} exists already: choose another name, or say overwrite=True."
        )


def check_room(folder: Path, n_bytes: int) -> None:
    """Refuse to begin a file that the folder's disk cannot hold.

    Raises
    ------
    OSError
        With ``errno.ENOSPC``; it says how much room there is and how much may be needed.

    Examples
    --------
    >>> check_room(Path("."), 1000)
    >>> check_room(Path("."), 10**20)
    Traceback (most recent call last):
        ...
    OSError: [Errno 28] ... MB are free where 100000000000001 may be needed: ...: '.'
    """
    needed, free = n_bytes + SLACK, shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            errno.ENOSPC,
            f"{free // 10**6} MB are free where {needed // 10**6} may be needed: free some space,"
            " or let TMPDIR name another folder",
            str(folder),
        )


@contextlib.contextmanager
def naming_the_folder(folder: Path, remedy: str, what: str = "the folder") -> Iterator[None]:
    """Say of a read-only or full disk which folder it is and what to do; ``errno`` is kept."""
    try:
        yield
    except OSError as error:
        if error.errno not in NOT_WRITABLE | FULL:
            raise
        fault = "is full: free some space or" if error.errno in FULL else "cannot be written to:"
        raise OSError(error.errno, f"{what} {fault} {remedy}", str(folder)) from error


def _clear(folder: Path) -> None:
    """Remove the temporary files and folders that killed processes left."""
    for left in folder.glob(".partial-*"):
        # Another process may do the same, and in a shared folder it may be of another user.
        with contextlib.suppress(OSError):
            old = time.time() - left.lstat().st_mtime > DAY
            if old and LEFT.fullmatch(left.name):
                if left.is_dir() and not left.is_symlink():
                    shutil.rmtree(left)
                else:
                    left.unlink()


def _begin(temporary: Path) -> None:
    """Make an empty file; a folder such as /proc, which takes none, says that it is not there."""
    try:
        temporary.open("xb").close()
    except FileNotFoundError as error:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(temporary)) from error


def _claim(temporary: Path, target: Path) -> None:
    """Move a file to a name that nothing has, or raise FileExistsError."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise FileExistsError(
            f"{target} appeared while it was computed, and is not replaced: choose another name,"
            " or say overwrite=True."
        ) from None
    except OSError:  # A file system without hard links: the name is taken first.
        target.open("xb").close()
        os.replace(temporary, target)
