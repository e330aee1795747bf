"""Load a data set by name: find its files, then hand them to its reader."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from scstlib.datasets.cache import DataUnavailableError
from scstlib.datasets.fetching import by_hand_message, fetch
from scstlib.datasets.manifests import Manifest, ManifestError, own_folder, read_manifest


def load(name: str, manifests: str | Path | None = None) -> Any:
    """Load a data set; its files are fetched first where they are not here.

    Parameters
    ----------
    name : str
        Name of a data set, see :func:`~scstlib.datasets.list_datasets`.
    manifests : str or pathlib.Path, optional
        Folder with manifests of your own, ``NAME.yml``. The ``loader`` of one may be
        ``file.py:function``, in a file beside it, called as ``function(manifest, files)``, where
        ``files()`` returns path in the manifest → file on disk. None: the folder that the
        environment variable ``SCST_MANIFESTS`` names, if it is set.

    Returns
    -------
    anndata.AnnData, ContactMaps, dict of these, or pandas.DataFrame
        Expression sets: AnnData with counts or values in ``X``, real-valued ``obs["time"]`` in
        ``uns["time_unit"]``, ``uns["value_kind"]`` and labels where there are any. Contact sets:
        :class:`~scstlib.datasets.contact_maps.ContactMaps`. Tracks and annotation: tables with
        ``chrom``, ``start``, ``end``. The reader's docstring says what it returns.

    Raises
    ------
    UnknownDatasetError, DataUnavailableError, ChecksumError, OSError
        As :func:`~scstlib.datasets.fetch`.
    ManifestError
        If the manifest is malformed, or there is no such reader.
    """
    manifest = read_manifest(name, manifests)
    if manifest.loader is None:
        raise DataUnavailableError(by_hand_message(manifest), name, [])
    reader = _reader(manifest, own_folder(manifests))
    # A contact set is read from its converted file: the sources may not even be needed.
    return reader(manifest, lambda: fetch(name, manifests))


def _reader(manifest: Manifest, own: Path | None) -> Callable[[Manifest, Any], Any]:
    """The function that reads a set: the package's, or one in a file beside the user's manifest."""
    file, beside, function = str(manifest.loader).partition(":")
    if not beside:
        stem, _, function = file.partition(".")
        module: Any = import_module(f"scstlib.datasets.{stem}")
    elif own is not None and (own / file).is_file():
        spec: Any = importlib.util.spec_from_file_location(f"own_{Path(file).stem}", own / file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    else:
        raise ManifestError(f"{manifest.name}.yml: field 'loader': no {file} in {own}")
    if not hasattr(module, function):
        raise ManifestError(f"{manifest.name}.yml: field 'loader': {file} has no {function}")
    reader: Callable[[Manifest, Any], Any] = getattr(module, function)
    return reader
