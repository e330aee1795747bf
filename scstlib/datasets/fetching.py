"""Bring the files of a data set into the cache: from the cache, a mirror, or the network."""

from __future__ import annotations

import gzip
import io
import shutil
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

from scstlib.caller import warn_caller
from scstlib.datasets.cache import (
    ChecksumError,
    DataUnavailableError,
    cache_folder,
    cached_path,
    check_file,
    is_offline,
    mirrored_path,
    one_at_a_time,
    writing,
)
from scstlib.datasets.manifests import Manifest, RemoteFile, read_manifest
from scstlib.writing import FULL, NOT_WRITABLE, naming_the_folder, whole_file

PARALLEL_DOWNLOADS = 8
# Seconds to connect and to wait for the next bytes: short, so that no network is noticed soon.
TIMEOUT = (5, 30)
ATTEMPTS = 2
SHOWN_FILES = 3


class _Bounded:
    """A file that takes no more bytes than the manifest states: a server may send for ever."""

    def __init__(self, stream: BinaryIO, file: RemoteFile, source: str) -> None:
        self._stream, self._file, self._source = stream, file, source
        self._left = file.bytes

    def write(self, part: bytes) -> int:
        self._left -= len(part)
        if self._left < 0:
            raise ChecksumError(
                f"{self._source} is longer than the {self._file.bytes} bytes that were expected"
            )
        return self._stream.write(part)

    def flush(self) -> None:
        self._stream.flush()


class _NotReachedError(Exception):
    """A file that could not be downloaded; the text is the reason, for the reader."""


def fetch(name: str, manifests: str | Path | None = None) -> dict[str, Path]:
    """Bring all files of a data set here and return where they are.

    Each file is looked for in the cache, in the mirrors (``file`` or ``file.gz``) and then
    downloaded. Whatever is used has been compared with the manifest's size and sha256. Files that
    are complete stay when a fetch is interrupted, and the next one goes on from there.

    Parameters
    ----------
    name : str
        Name of a data set, see :func:`~scstlib.datasets.list_datasets`.
    manifests : str or pathlib.Path, optional
        Folder with manifests of your own, as in :func:`~scstlib.datasets.list_datasets`.

    Returns
    -------
    dict of str to pathlib.Path
        Path in the manifest → file on disk.

    Raises
    ------
    UnknownDatasetError
        If there is no such set.
    DataUnavailableError
        If files are missing and cannot be had: offline, not served, or a set fetched by hand.
    ChecksumError
        If a file in the cache, or one that was downloaded, is not the expected one.
    OSError
        If the cache is full or read-only and no usable mirror file can stand in.
    """
    manifest = read_manifest(name, manifests)
    if manifest.by_hand:
        raise DataUnavailableError(by_hand_message(manifest), name, [])
    found, missing = _in_cache(manifest)
    if not missing:
        return found
    with one_at_a_time(manifest.name):
        # Another process may have fetched the files while this one waited for the lock.
        again, missing = _in_cache(manifest, missing)
        found.update(again)
        found.update(_from_mirrors(manifest, missing))
        missing = [file for file in missing if file.path not in found]
        if missing:
            found.update(_from_network(manifest, missing))
    return {file.path: found[file.path] for file in manifest.files}


def copy_to(manifest: Manifest, paths: dict[str, Path], folder: Path) -> None:
    """Copy the fetched files of a data set to ``folder/NAME/file``, as a mirror is laid out.

    A whole file that is there already stays, so that copying goes on where it was interrupted.

    Parameters
    ----------
    manifest : Manifest
        Of the set.
    paths : dict of str to pathlib.Path
        What :func:`fetch` returned: path in the manifest → file on disk.
    folder : pathlib.Path
        It is made.

    Raises
    ------
    OSError
        If the folder cannot be written or is full.
    """
    for file in manifest.files:
        target = folder / manifest.name / file.path
        if target.is_file() and target.stat().st_size == file.bytes:
            continue
        with naming_the_folder(target.parent, "let --to name another one"):
            target.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(target) as temporary:
                shutil.copyfile(paths[file.path], temporary)


def _in_cache(
    manifest: Manifest, files: list[RemoteFile] | None = None
) -> tuple[dict[str, Path], list[RemoteFile]]:
    """Verified files in the cache, and those that are not there."""
    found, missing = {}, []
    for file in manifest.files if files is None else files:
        path = cached_path(manifest.name, file.path)
        if path.is_file():
            check_file(path, file)
            found[file.path] = path
        else:
            missing.append(file)
    return found, missing


def _from_mirrors(manifest: Manifest, files: list[RemoteFile]) -> dict[str, Path]:
    """Copies, in the cache, of the files that a mirror has."""
    found = {}
    for file in files:
        source = mirrored_path(manifest.name, file.path)
        if source is not None:
            try:
                found[file.path] = _copy(source, manifest.name, file)
            except ChecksumError as error:
                warn_caller(f"mirror file left out: {error}")
    return found


def _copy(source: Path, dataset: str, file: RemoteFile) -> Path:
    """Copy or unpack a mirror's file into the cache; use it in place where that cannot be done."""
    target = cached_path(dataset, file.path)
    packed = source.name != target.name
    if not packed:
        check_file(source, file)
    try:
        with writing(target) as temporary:
            with _open(source, packed) as reader, temporary.open("wb") as writer:
                shutil.copyfileobj(reader, _Bounded(writer, file, str(source)), 1 << 20)
            try:
                check_file(temporary, file)
            except ChecksumError as error:
                raise ChecksumError(str(error).replace(str(temporary), str(source))) from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ChecksumError(f"{source} is not a whole gzip file: {error}") from error
    except OSError as error:
        if packed or error.errno not in NOT_WRITABLE | FULL:
            raise
        return source
    return target


def _open(source: Path, packed: bool) -> io.BufferedIOBase:
    """Binary reader of a plain or gzipped file."""
    return gzip.open(source, "rb") if packed else source.open("rb")


def _from_network(manifest: Manifest, files: list[RemoteFile]) -> dict[str, Path]:
    """Download files, several at a time; whatever arrives is kept even if others fail."""
    if is_offline():
        raise _unavailable(manifest, files, "the network is switched off (SCST_OFFLINE)")
    found: dict[str, Path] = {}
    reasons: list[str] = []
    unreachable = threading.Event()

    def job(file: RemoteFile) -> None:
        if unreachable.is_set():
            return
        try:
            found[file.path] = _download(file, cached_path(manifest.name, file.path), unreachable)
        except _NotReachedError as error:
            reasons.append(str(error))
        finally:
            bar.update(file.bytes)

    from tqdm import tqdm

    with (
        tqdm(
            total=sum(file.bytes for file in files),
            desc=manifest.name,
            unit="B",
            unit_scale=True,
            disable=not sys.stderr.isatty(),
        ) as bar,
        ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool,
    ):
        jobs = [pool.submit(job, file) for file in files]
        try:
            for future in jobs:
                future.result()
        except BaseException:
            # A full disk or an interrupt: the files that wait would only fail one by one.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    missing = [file for file in files if file.path not in found]
    if missing:
        raise _unavailable(manifest, missing, sorted(reasons)[0])
    return found


def _download(file: RemoteFile, target: Path, unreachable: threading.Event) -> Path:
    """Download one file to a temporary name, check it, and move it into place."""
    import pooch
    import requests

    with writing(target) as temporary, ExitStack() as opened:

        def remember(response: requests.Response, **_: Any) -> None:
            opened.callback(response.close)  # Also of a body that is cut off.

        hooks = {"response": remember}
        downloader = pooch.HTTPDownloader(progressbar=False, timeout=TIMEOUT, hooks=hooks)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with temporary.open("wb") as stream:
                    served = f"the file served at {file.url}"
                    downloader(file.url, _Bounded(stream, file, served), None)
                break
            except requests.HTTPError as error:
                status = 0 if error.response is None else error.response.status_code
                if attempt == ATTEMPTS or status < 500:
                    raise _NotReachedError(f"the server answered {status}") from error
            except (requests.ConnectionError, requests.Timeout) as error:
                if attempt == ATTEMPTS or isinstance(error, requests.ConnectTimeout):
                    unreachable.set()
                    raise _NotReachedError("the server could not be reached") from error
            except requests.RequestException as error:
                if attempt == ATTEMPTS:
                    raise _NotReachedError("the connection broke off") from error
        try:
            check_file(temporary, file)
        except ChecksumError as error:
            raise ChecksumError(
                str(error).replace(str(temporary), f"the file served at {file.url}")
            ) from None
    return target


def _unavailable(manifest: Manifest, files: list[RemoteFile], reason: str) -> DataUnavailableError:
    """The error of a set whose files cannot be had: what is missing, from where, and to where."""
    shown = [f"  {file.path}\n    from {file.url}" for file in files[:SHOWN_FILES]]
    if len(files) > SHOWN_FILES:
        shown.append(f"  and {len(files) - SHOWN_FILES} more, listed in the manifest")
    folder = cache_folder() / manifest.name
    message = (
        f"{manifest.name}: {len(files)} of {len(manifest.files)} files are not here and {reason}.\n"
        + "\n".join(shown)
        + f"\nWith internet: scstlib data fetch {manifest.name}\n"
        f"By hand: put the files into {folder} under these names.\n"
        f"From a copy: let SCST_MIRROR name a folder that holds {manifest.name}/ with the files."
    )
    return DataUnavailableError(message, manifest.name, [(file.path, file.url) for file in files])


def by_hand_message(manifest: Manifest) -> str:
    """Instructions for a set that has no direct download."""
    hand = manifest.by_hand or {}
    size = f" ({hand['approximate_size']})" if "approximate_size" in hand else ""
    return (
        f"{manifest.name} is fetched by hand{size}, from {hand['url']}\n"
        f"{hand['instructions']}\n"
        f"Its folder in the cache: {cache_folder() / manifest.name}"
    )
