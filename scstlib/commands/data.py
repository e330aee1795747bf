"""``scstlib data``: what data sets there are, fetching them, checking them, where they lie."""

from __future__ import annotations

import argparse
import sys
import textwrap
from pathlib import Path
from typing import Any

from scstlib.commands.options import add_command
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
from scstlib.datasets.fetching import by_hand_message, copy_to, fetch
from scstlib.datasets.manifests import Manifest, list_datasets, read_manifest

DESCRIPTION = "Data sets of the book."
EPILOG = """\
environment:
  SCST_DATA      folder for the files (default: the platform's cache folder)
  SCST_MIRROR    folder or folders to copy from, laid out as NAME/file or NAME/file.gz
  SCST_OFFLINE   1: never use the network
  SCST_MANIFESTS folder with manifests of your own, unless --manifests names one

exit status: 0 all is well; 1 files are missing or not as expected; 2 wrong use of the command
"""
WIDTH = 100


def add(commands: Any) -> None:
    """Add ``data`` and its commands."""
    parser = commands.add_parser(
        "data",
        help="data sets: list, fetch, verify, where, describe",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    own = parser.add_subparsers(dest="data_command", required=True, metavar="COMMAND")
    listing = add_command(
        own, "list", _list, summary="all data sets, their size and whether they are here",
        description="List all data sets with their size and whether they are here.",
        example="$ scstlib data list",
    )  # fmt: skip
    fetching = add_command(
        own, "fetch", _fetch, summary="bring the files of data sets here",
        description="Bring files here: from the cache, a mirror, or the internet.",
        example="$ scstlib data fetch semrau2017",
    )  # fmt: skip
    fetching.add_argument("names", nargs="*", metavar="NAME")
    fetching.add_argument(
        "--all", action="store_true", help="all sets that are not fetched by hand"
    )
    fetching.add_argument(
        "--to", metavar="DIR", help="copy them into DIR too, which SCST_MIRROR can then name"
    )
    verify = add_command(
        own, "verify", _verify, summary="compare files in the cache with the manifests, by sha256",
        description="Compare the files in the cache with the manifests, by size and sha256.",
        example="$ scstlib data verify",
    )  # fmt: skip
    verify.add_argument("name", nargs="?", metavar="NAME")
    where = add_command(
        own, "where", _where, summary="the folders that are used, or the files of one set",
        description="Show the folders that are used, or the files of one set.",
        example="$ scstlib data where semrau2017",
    )  # fmt: skip
    where.add_argument("name", nargs="?", metavar="NAME")
    describe = add_command(
        own, "describe", _describe, summary="what a data set is, whom to cite, its known traps",
        description="Say what a data set is, whom to cite, on what terms, and its known traps.",
        example="$ scstlib data describe semrau2017",
    )  # fmt: skip
    describe.add_argument("name", metavar="NAME")
    for command in (listing, fetching, verify, where, describe):
        command.add_argument(
            "--manifests", metavar="DIR", help="folder with manifests of your own, NAME.yml"
        )


def _list(options: argparse.Namespace) -> int:
    """Print one line a data set; one that cannot be read does not stand before the others."""
    status = 0
    for name in list_datasets(options.manifests):
        try:
            manifest = read_manifest(name, options.manifests)
            state = "here" if available(name, options.manifests) else "-"
        except (ValueError, OSError) as error:
            print("error:", *str(error).split(), file=sys.stderr)
            status = 1
            continue
        print(f"{name:<28} {_size(manifest):>9}  {state:<5} {manifest.title}")
    return status


def _size(manifest: Manifest) -> str:
    return "by hand" if manifest.by_hand else f"{manifest.size / 1e6:.1f} MB"


def _fetch(options: argparse.Namespace) -> int:
    """Fetch sets, one after the other; the worst exit status counts."""
    if bool(options.names) == options.all:
        given = f"{options.names[0]} and --all are" if options.names else "no data set is"
        raise ValueError(f"{given} named: give names, or --all instead of them")
    names = list_datasets(options.manifests) if options.all else options.names
    status = max([_fetch_one(name, options) for name in names])
    if options.to:
        print(f"elsewhere, let SCST_MIRROR name {Path(options.to).absolute()} or a copy of it")
    return status


def _fetch_one(name: str, options: argparse.Namespace) -> int:
    """Fetch one set and say where it is, or what stands in the way."""
    manifest = read_manifest(name, options.manifests)
    if manifest.by_hand and options.all:
        print(f"{name}: left out, it is fetched by hand (scstlib data fetch {name} says how)")
        return 0
    if manifest.by_hand:
        print(by_hand_message(manifest))
        if options.to:
            print(f"{name}: not copied to {options.to}, it is fetched by hand", file=sys.stderr)
            return 1
        return 0 if available(name, options.manifests) else 1
    try:
        paths = fetch(name, options.manifests)
        if options.to:
            copy_to(manifest, paths, Path(options.to))
    except (DataUnavailableError, ChecksumError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    folder = Path(options.to).absolute() if options.to else cache_folder()
    print(f"{name}: {len(paths)} files, {_size(manifest)}, in {folder / name}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    """Check the files in the cache of one set (all must be there) or of all sets (those there)."""
    from scstlib.datasets.contact_files import is_whole

    status = 0
    for dataset in [options.name] if options.name else list_datasets(options.manifests):
        manifest = read_manifest(dataset, options.manifests)
        if manifest.by_hand:
            if options.name:
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
        if options.name and absent:
            status = 1
        print(f"{dataset}: {good} of {len(manifest.files)} files as expected, {absent} not fetched")
    for path in [] if options.name else sorted(cached_path("derived", "x").parent.glob("*.scool")):
        if not is_whole(path):
            print(f"{path} is damaged, or half of it: it is made again when it is needed")
            status = 1
    return status


def _where(options: argparse.Namespace) -> int:
    """Print the folders, or the files of one set."""
    name = options.name
    if name is None:
        print(f"cache: {cache_folder()}")
        for folder in mirror_folders():
            print(f"mirror: {folder}")
        return 0
    manifest = read_manifest(name, options.manifests)
    print(cache_folder() / name)
    for file in manifest.files:
        places: list[Path | None] = [cached_path(name, file.path), mirrored_path(name, file.path)]
        here = next((place for place in places if place and place.is_file()), None)
        print(f"  {file.path}: {here or 'not here'}")
    return 0


def _describe(options: argparse.Namespace) -> int:
    """Print a manifest."""
    manifest = read_manifest(options.name, options.manifests)
    print(f"{manifest.name}: {manifest.title}\n")
    print(textwrap.fill(" ".join(manifest.description.split()), WIDTH))
    cited = f"{manifest.citation['text']}"
    if manifest.citation.get("doi"):
        cited += f", https://doi.org/{manifest.citation['doi']}"
    kind = " ".join(filter(None, (manifest.modality, manifest.assembly)))
    n_files = len(manifest.files)
    files = f"{n_files} file{'s' * (n_files != 1)}, {_size(manifest)}"
    rows = {
        "organism": manifest.organism,
        "measured": kind,
        "accession": manifest.accession,
        "cite": cited,
        "licence": f"{manifest.licence['host']}. {manifest.licence['note']}",
        "files": "by hand, see scstlib data fetch" if manifest.by_hand else files,
        "load": f'scstlib.datasets.load("{manifest.name}")' if manifest.loader else None,
    }
    print()
    for name, text in rows.items():
        if text:
            print(_item(f"{name + ':':<11}", text))
    print("\nknown traps:" if manifest.known_traps else "\nno known traps")
    for trap in manifest.known_traps:
        print(_item("- ", trap))
    return 0


def _item(mark: str, text: str) -> str:
    """A paragraph whose first line begins with a mark, the others with as many blanks."""
    return textwrap.fill(
        " ".join(text.split()), WIDTH, initial_indent=mark, subsequent_indent=" " * len(mark)
    )
