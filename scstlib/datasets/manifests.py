"""Manifests: what a data set is, where its files are and what is known to be wrong with it."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from yaml import Event

LARGEST = 1_000_000  # bytes of a manifest; 401 files take an eighth of that
DEEPEST = 6  # lists and mappings in each other
WHOLE = re.compile(r"0|[1-9][0-9]{0,14}")
LONGEST_MESSAGE = 300  # characters of what the schema says, which repeats the value


class UnknownDatasetError(ValueError):
    """No manifest has this name."""


class ManifestError(ValueError):
    """A manifest does not follow the schema; the message names the file and the field."""


@dataclass(frozen=True)
class RemoteFile:
    """One file of a data set.

    Attributes
    ----------
    path : str
        Relative to the data set's folder, with forward slashes.
    url : str
        Where the file is served.
    bytes : int
        Size as served.
    sha256 : str
        Checksum as served, lower-case hexadecimal.
    """

    path: str
    url: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """One data set: what it is, whom to cite, its traps, its files or how to fetch it by hand.

    ``loader`` is ``module.function`` inside :mod:`scstlib.datasets`, or ``file.py:function`` beside
    a manifest of your own; it is ``None`` and ``files`` is empty for a set that is fetched by hand,
    which has ``by_hand`` (url, instructions) instead.
    """

    name: str
    title: str
    description: str
    organism: str
    assembly: str | None
    modality: str
    accession: str | None
    citation: dict[str, str | None]
    licence: dict[str, str]
    known_traps: tuple[str, ...]
    loader: str | None = None
    files: tuple[RemoteFile, ...] = ()
    by_hand: dict[str, str] | None = None

    @property
    def size(self) -> int:
        """Size of all files in bytes."""
        return sum(file.bytes for file in self.files)


def manifest_folder() -> Path:
    """Folder of the manifests: inside the installed package, else at the top of the repository.

    Raises
    ------
    FileNotFoundError
        If neither place has the schema.
    """
    package = Path(__file__).resolve().parents[1]
    places = [package / "data_manifests", package.parent / "data_manifests"]
    for folder in places:
        if (folder / "schema.json").is_file():
            return folder
    raise FileNotFoundError(
        f"no data manifests in {' or '.join(map(str, places))}: install scstlib again"
    )


def own_folder(manifests: str | Path | None = None) -> Path | None:
    """Folder with manifests of your own: the one named, else ``SCST_MANIFESTS``, else none.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    """
    chosen = manifests if manifests is not None else os.environ.get("SCST_MANIFESTS")
    if not chosen:
        return None
    folder = Path(chosen).expanduser().absolute()
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder} with manifests")
    return folder


def _paths(manifests: str | Path | None) -> dict[str, Path]:
    """Name of each data set → its manifest, the book's and those of your own."""
    paths = {path.stem: path for path in manifest_folder().glob("*.yml")}
    own = own_folder(manifests)
    for path in own.glob("*.yml") if own else ():
        if path.stem in paths:
            raise ManifestError(f"{path}: {path.stem} is a data set of the book, take another name")
        paths[path.stem] = path
    return paths


def list_datasets(manifests: str | Path | None = None) -> list[str]:
    """Names of all data sets that have a manifest, sorted.

    Parameters
    ----------
    manifests : str or pathlib.Path, optional
        Folder with manifests of your own, besides those of the book. None: the one that the
        environment variable ``SCST_MANIFESTS`` names, if it is set.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ManifestError
        If a manifest in it has the name of one of the book.

    Examples
    --------
    >>> from scstlib.datasets import list_datasets
    >>> list_datasets()[:2]
    ['annotation_hg19', 'bargaje2017']
    """
    return sorted(_paths(manifests), key=str.lower)


def read_manifest(name: str, manifests: str | Path | None = None) -> Manifest:
    """Manifest of a data set, checked against the schema.

    Parameters
    ----------
    name : str
        Name of the data set.
    manifests : str or pathlib.Path, optional
        Folder with manifests of your own, as in :func:`list_datasets`.

    Raises
    ------
    UnknownDatasetError
        If there is no such set; the message lists the nearest names.
    ManifestError
        If the manifest is malformed; the message names the field.
    FileNotFoundError
        If there is no such folder.

    Examples
    --------
    >>> from scstlib.datasets import read_manifest
    >>> read_manifest("semrau2017").citation["doi"]
    '10.1038/s41467-017-01076-4'
    >>> read_manifest("semrau2071")
    Traceback (most recent call last):
        ...
    scstlib.datasets.manifests.UnknownDatasetError: there is no data set 'semrau2071'; ...
    """
    paths = _paths(manifests)
    if name not in paths:
        folded = {known.lower(): known for known in sorted(paths, key=str.lower)}
        near = difflib.get_close_matches(str(name).lower(), folded, n=3, cutoff=0.4)
        hint = ", ".join(folded[key] for key in near) if near else ", ".join(folded.values())
        raise UnknownDatasetError(f"there is no data set {name!r}; nearest: {hint}")
    path = paths[name]
    manifest = _parsed_once(path, path.stat().st_mtime_ns if path.exists() else 0)
    if manifest.name != name:
        raise ManifestError(f"{name}.yml: field 'name' is {manifest.name!r}, expected {name!r}")
    return manifest


@cache
def _parsed_once(path: Path, changed: int) -> Manifest:
    """A manifest, read anew only when its file has changed."""
    return parse_manifest(path)


def parse_manifest(path: Path) -> Manifest:
    """Read one manifest file and check it against the schema.

    A manifest is YAML in UTF-8, at most ``LARGEST`` bytes, of mappings with different keys, lists,
    texts, whole numbers and null: no references, tags, dates, fractions or powers.

    Raises
    ------
    ManifestError
        If the file cannot be read or holds anything else, breaks the schema or lists a path twice.
    """
    if path.exists() and not path.is_file():
        raise ManifestError(f"{path.name} is no regular file")
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST + 1)
    except OSError as error:
        raise ManifestError(f"{path.name} cannot be read: {error.strerror}") from error
    if len(content) > LARGEST:
        raise ManifestError(f"{path.name} has more than {LARGEST} bytes, too many for a manifest")
    try:
        fields = strict_yaml(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path.name} is not UTF-8: {error}") from error
    except ValueError as error:
        raise ManifestError(f"{path.name} is not valid YAML: {error}") from error
    _check(fields, path)
    files = tuple(RemoteFile(**file) for file in fields.pop("files", ()))
    seen: set[str] = set()
    for index, file in enumerate(files):
        if file.path in seen:
            raise ManifestError(f"{path.name}: field 'files[{index}].path' repeats {file.path!r}")
        seen.add(file.path)
    fields["known_traps"] = tuple(fields["known_traps"])
    return Manifest(files=files, **fields)


def strict_yaml(text: str) -> Any:
    """Return what a document of plain YAML holds.

    Raises
    ------
    ValueError
        For what is no YAML, a key that stands twice, a reference (``&``, ``*``), a tag (``!``),
        several documents, or lists and mappings nested more than ``DEEPEST`` times.

    Examples
    --------
    >>> strict_yaml("name: toy\\nfiles: [{bytes: 3}, {bytes: 1e60}]\\nassembly: null")
    {'name': 'toy', 'files': [{'bytes': 3}, {'bytes': '1e60'}], 'assembly': None}
    """
    import yaml

    # The parser in C is ten times faster, which matters for the 401 files of one manifest.
    parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        events = iter(yaml.parse(text, Loader=parser))
        for start in (yaml.StreamStartEvent, yaml.DocumentStartEvent):
            if not isinstance(next(events), start):
                raise ValueError("it is empty")
        content = _content(next(events), events, 0)
        next(events)
        if not isinstance(next(events), yaml.StreamEndEvent):
            raise ValueError("it holds several documents")
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    return content


def _content(event: Event, events: Iterator[Event], depth: int) -> Any:
    """What an event begins: a text, number or null, or a list or mapping up to its end."""
    import yaml

    line = _line(event)
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
        raise ValueError(f"line {line}: a reference (& or *); write the value out")
    if getattr(event, "tag", None) is not None:
        raise ValueError(f"line {line}: a tag (!); texts, numbers and null need none")
    if isinstance(event, yaml.ScalarEvent):
        if not event.implicit[0]:  # In quotes, or a block of text.
            return event.value
        if event.value in ("", "~", "null"):
            return None
        return int(event.value) if WHOLE.fullmatch(event.value) else event.value
    if depth == DEEPEST:
        raise ValueError(f"line {line}: nested more than {DEEPEST} times")
    if isinstance(event, yaml.SequenceStartEvent):
        items = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(_content(event, events, depth + 1))
        return items
    fields: dict[str, Any] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        key = _content(event, events, depth + 1)
        if not isinstance(key, str) or key in fields:
            named = repr(key)[:50]
            raise ValueError(f"line {_line(event)}: the key {named} twice, or no text")
        fields[key] = _content(next(events), events, depth + 1)
    return fields


def _line(event: Event) -> int:
    """Line of the document that an event begins in."""
    return 0 if event.start_mark is None else event.start_mark.line + 1


def _check(fields: Any, path: Path) -> None:
    """Raise ManifestError with the name of the first field that breaks the schema."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    schema = json.loads((manifest_folder() / "schema.json").read_text(encoding="utf-8"))
    error = best_match(Draft202012Validator(schema).iter_errors(fields))
    if error is not None:
        field = error.json_path.removeprefix("$").removeprefix(".") or "(the whole file)"
        said = error.message
        if len(said) > LONGEST_MESSAGE:
            said = f"{said[: LONGEST_MESSAGE // 2]} ... {said[-LONGEST_MESSAGE // 2 :]}"
        raise ManifestError(f"{path.name}: field '{field}': {said}")


def is_confined(relative: str) -> bool:
    """Whether a path is relative and stays below the folder that it is joined to, by its text."""
    parts = PurePosixPath(relative).parts
    return (
        bool(parts)
        and not relative.startswith("/")
        and "\\" not in relative
        and ":" not in relative
        and "\0" not in relative
        and all(part not in (".", "..", "") for part in relative.split("/"))
    )


def describe(manifests: str | Path | None = None) -> pd.DataFrame:
    """Table of all data sets.

    Parameters
    ----------
    manifests : str or pathlib.Path, optional
        Folder with manifests of your own, as in :func:`list_datasets`.

    Returns
    -------
    pandas.DataFrame
        One row a data set, indexed by name: title, organism, assembly, modality, accession, doi,
        number of files, size in MB (10^6 bytes) and how it is had (``fetch`` or ``by hand``).

    Examples
    --------
    >>> from scstlib.datasets import describe
    >>> describe().loc["semrau2017", ["organism", "how"]].tolist()
    ['Mus musculus', 'fetch']
    """
    import pandas as pd

    rows = []
    for name in list_datasets(manifests):
        manifest = read_manifest(name, manifests)
        rows.append(
            {
                "name": name,
                "title": manifest.title,
                "organism": manifest.organism,
                "assembly": manifest.assembly,
                "modality": manifest.modality,
                "accession": manifest.accession,
                "doi": manifest.citation["doi"],
                "files": len(manifest.files),
                "megabytes": round(manifest.size / 1e6, 2),
                "how": "by hand" if manifest.by_hand else "fetch",
            }
        )
    return pd.DataFrame(rows).set_index("name")
