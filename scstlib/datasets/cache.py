"""Where the files of a data set lie: the cache folder, mirrors, and paths that cannot leave them.

These environment variables are read at every call, as is ``SCST_MANIFESTS`` by
:mod:`scstlib.datasets.manifests`:

``SCST_DATA``
    The cache folder; the platform's cache folder for ``scstlib`` where it is not set.
``SCST_MIRROR``
    One or more folders, separated as in ``PATH``, that hold ``dataset/file`` or
    ``dataset/file.gz``. They are only read.
``SCST_OFFLINE``
    Any value but the empty one and ``0``: never try the network.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from scstlib.datasets.manifests import Manifest, RemoteFile, is_confined
from scstlib.writing import FULL, NOT_WRITABLE, naming_the_folder, whole_file


class ChecksumError(ValueError):
    """A file is not the one that the manifest describes. Nothing is deleted."""


class DataUnavailableError(FileNotFoundError):
    """Files of a data set are not here and cannot be had now; the message says what to do.

    Attributes
    ----------
    dataset : str
        Name of the data set.
    missing : list of tuple of str
        Path in the data set's folder and url of every missing file.
    """

    def __init__(self, message: str, dataset: str, missing: list[tuple[str, str]]) -> None:
        super().__init__(message)
        self.dataset = dataset
        self.missing = missing

    def __reduce__(self) -> tuple[type, tuple[str, str, list[tuple[str, str]]]]:
        # An exception crosses process borders (parallel loaders) by its constructor's arguments.
        return type(self), (str(self), self.dataset, self.missing)


def cache_folder() -> Path:
    """Folder that holds downloaded files: ``SCST_DATA``, else the platform's cache folder.

    Raises
    ------
    ValueError
        If the home folder that it lies in is not known.
    """
    chosen = os.environ.get("SCST_DATA")
    if not chosen:
        return _usual_folder()
    try:
        return Path(chosen).expanduser().absolute()
    except RuntimeError:
        raise ValueError(
            f"SCST_DATA is {chosen!r}, and that home folder is not known: give a whole path"
        ) from None


def _usual_folder() -> Path:
    """The platform's cache folder; some containers have a user without a home."""
    import platformdirs

    try:
        usual = Path(platformdirs.user_cache_dir("scstlib", appauthor=False))
    except RuntimeError:
        usual = Path("~")
    if not usual.is_absolute():  # What older versions return then.
        raise ValueError(
            "the home folder is not known: let SCST_DATA name a folder for the data sets"
        )
    return usual


def mirror_folders() -> list[Path]:
    """Folders named by ``SCST_MIRROR``, in order."""
    parts = os.environ.get("SCST_MIRROR", "").split(os.pathsep)
    return [Path(part).expanduser().absolute() for part in parts if part]


def is_offline() -> bool:
    """Whether ``SCST_OFFLINE`` forbids the network."""
    return os.environ.get("SCST_OFFLINE", "") not in ("", "0")


def cached_path(dataset: str, relative: str) -> Path:
    """Path of a file in the cache, checked to lie inside it.

    Raises
    ------
    ValueError
        If the path is absolute, has ``..`` or a backslash, or leaves the cache through a link.
    """
    root = cache_folder()
    if not is_confined(dataset) or not is_confined(relative):
        raise ValueError(f"path {relative!r} of {dataset!r} would leave the cache folder {root}")
    path = root / dataset / relative
    if not path.resolve().is_relative_to(root.resolve()):
        raise ValueError(f"{path} leads out of the cache folder through a link: remove the link")
    return path


def mirrored_path(dataset: str, relative: str) -> Path | None:
    """First file ``dataset/relative`` or ``dataset/relative.gz`` among the mirrors."""
    if not is_confined(dataset) or not is_confined(relative):
        raise ValueError(f"path {relative!r} of {dataset!r} would leave the mirror folder")
    for folder in mirror_folders():
        path = folder / dataset / relative
        for candidate in (path, path.with_name(path.name + ".gz")):
            if candidate.is_file():
                return candidate
    return None


def check_file(path: Path, file: RemoteFile) -> None:
    """Compare size and sha256 of a file with the manifest.

    Raises
    ------
    ChecksumError
        If they differ: says what was expected and found, and where.
    """
    size = path.stat().st_size
    if size != file.bytes:
        kind = "is cut short" if size < file.bytes else "has another size"
        raise ChecksumError(
            f"{path} {kind}: expected {file.bytes} bytes, found {size}. "
            "Move or delete it and fetch the data set again."
        )
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != file.sha256:
        raise ChecksumError(
            f"{path} is not the expected file: expected sha256 {file.sha256}, found {found}. "
            "Move or delete it and fetch the data set again."
        )


@contextlib.contextmanager
def writing(target: Path) -> Iterator[Path]:
    """As :func:`scstlib.writing.whole_file`, in a folder of the cache, which is made.

    Raises
    ------
    OSError
        With its ``errno`` kept, and what to do in the message, if the folder is read-only or full,
        or there can be none.
    """
    remedy = "let SCST_DATA name another folder"
    with naming_the_folder(target.parent, remedy, "the data folder"):
        _make(target.parent)
        with whole_file(target) as temporary:
            yield temporary


def _make(folder: Path) -> None:
    """Make a folder; where a file stands in its way, or in /proc, it cannot be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, FileNotFoundError) as error:
        raise NotADirectoryError(errno.ENOTDIR, "no folder can be here", str(folder)) from error


@contextlib.contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Hold the cache's lock of this name; no lock where the cache cannot be written.

    Without it two processes would only do the work twice: every file is moved into place whole.
    The operating system frees the lock of a process that is killed.
    """
    import filelock

    lock = filelock.FileLock(cache_folder() / ".locks" / f"{name}.lock")
    try:
        _make(Path(lock.lock_file).parent)
        lock.acquire()
    except OSError as error:
        if error.errno not in NOT_WRITABLE | FULL:
            raise
    try:
        yield
    finally:
        lock.release()


def available(name: str, manifests: str | Path | None = None) -> bool:
    """Whether :func:`~scstlib.datasets.load` needs no network: all files are here, by their sizes.

    Checksums are left to ``fetch`` and ``load``; a set that is fetched by hand is available when
    its folder in the cache has something in it. ``manifests`` is a folder with manifests of your
    own, as in :func:`~scstlib.datasets.list_datasets`.
    """
    from scstlib.datasets.manifests import read_manifest

    manifest = read_manifest(name, manifests)
    if manifest.by_hand:
        folder = cached_path(name, ".keep").parent
        return folder.is_dir() and any(folder.iterdir())
    return all(_is_here(manifest, file) for file in manifest.files)


def _is_here(manifest: Manifest, file: RemoteFile) -> bool:
    """Whether a file is in the cache or a mirror, by size where the size can be read."""
    path = cached_path(manifest.name, file.path)
    if path.is_file():
        return path.stat().st_size == file.bytes
    mirrored = mirrored_path(manifest.name, file.path)
    if mirrored is None:
        return False
    return mirrored.name != path.name or mirrored.stat().st_size == file.bytes
