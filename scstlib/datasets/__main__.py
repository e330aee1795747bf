"""Command line of the data sets: ``python -m scstlib.datasets list | fetch | verify | where``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from scstlib.datasets.cache import (
    ChecksumError,
    DataUnavailableError,
    available,
    cache_folder,
    cached_path,
    check_file,
    mirror_folders,
    mirrored_path,
)
from scstlib.datasets.fetching import by_hand_message, fetch
from scstlib.datasets.manifests import UnknownDatasetError, list_datasets, read_manifest

DESCRIPTION = """\
Data sets of the book: what there is, fetching it, checking it, and where it lies.

  list             all data sets with their size and whether they are here
  fetch NAME ...   bring the files here: from the cache, a mirror, or the internet
  verify [NAME]    compare the files in the cache with the manifests, by sha256
  where [NAME]     the folders that are used, or the files of one set
"""
EPILOG = """\
environment:
  SCST_DATA      folder for the files (default: the platform's cache folder)
  SCST_MIRROR    folder or folders to copy from, laid out as NAME/file or NAME/file.gz
  SCST_OFFLINE   1: never use the network

exit status: 0 all is well; 1 files are missing or not as expected; 2 wrong use of the command
"""


def _parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m scstlib.datasets",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("list", help="all data sets")
    fetching = commands.add_parser("fetch", help="bring the files of data sets here")
    fetching.add_argument("names", nargs="+", metavar="NAME")
    for command, text in (("verify", "check files in the cache"), ("where", "show folders")):
        commands.add_parser(command, help=text).add_argument("name", nargs="?", metavar="NAME")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status (0 well, 1 files missing or wrong, 2 wrong use)."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "list":
            return _list()
        if options.command == "fetch":
            return max([_fetch(name) for name in options.names])
        if options.command == "verify":
            return _verify(options.name)
        return _where(options.name)
    except UnknownDatasetError as error:
        print(error, file=sys.stderr)
        return 2


def _list() -> int:
    """Print one line a data set."""
    for name in list_datasets():
        manifest = read_manifest(name)
        size = "by hand" if manifest.by_hand else f"{manifest.size / 1e6:.1f} MB"
        state = "here" if available(name) else "-"
        print(f"{name:<28} {size:>9}  {state:<5} {manifest.title}")
    return 0


def _fetch(name: str) -> int:
    """Fetch one set and say where it is, or what stands in the way."""
    manifest = read_manifest(name)
    if manifest.by_hand:
        print(by_hand_message(manifest))
        return 0 if available(name) else 1
    try:
        paths = fetch(name)
    except (DataUnavailableError, ChecksumError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{name}: {len(paths)} files, {manifest.size / 1e6:.1f} MB, in {cache_folder() / name}")
    return 0


def _verify(name: str | None) -> int:
    """Check the files in the cache of one set (all must be there) or of all sets (those there)."""
    status = 0
    for dataset in [name] if name else list_datasets():
        manifest = read_manifest(dataset)
        if manifest.by_hand:
            if name:
                print(f"{dataset}: fetched by hand, there is nothing to compare it with")
            continue
        good, absent = 0, 0
        for file in manifest.files:
            path = cached_path(dataset, file.path)
            if not path.is_file():
                absent += 1
                continue
            try:
                check_file(path, file)
                good += 1
            except ChecksumError as error:
                print(error, file=sys.stderr)
                status = 1
        if name and absent:
            status = 1
        print(f"{dataset}: {good} of {len(manifest.files)} files as expected, {absent} not fetched")
    return status


def _where(name: str | None) -> int:
    """Print the folders, or the files of one set."""
    if name is None:
        print(f"cache: {cache_folder()}")
        for folder in mirror_folders():
            print(f"mirror: {folder}")
        return 0
    manifest = read_manifest(name)
    print(cache_folder() / name)
    for file in manifest.files:
        places: list[Path | None] = [cached_path(name, file.path), mirrored_path(name, file.path)]
        here = next((place for place in places if place and place.is_file()), None)
        print(f"  {file.path}: {here or 'not here'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
