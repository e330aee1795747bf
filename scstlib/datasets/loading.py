"""Load a data set by name: find its files, then hand them to its reader."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from scstlib.datasets.cache import DataUnavailableError
from scstlib.datasets.fetching import by_hand_message, fetch
from scstlib.datasets.manifests import read_manifest


def load(name: str) -> Any:
    """Load a data set; its files are fetched first where they are not here.

    Parameters
    ----------
    name : str
        Name of a data set, see :func:`~scstlib.datasets.list_datasets`.

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
    """
    manifest = read_manifest(name)
    if manifest.loader is None:
        raise DataUnavailableError(by_hand_message(manifest), name, [])
    module, function = manifest.loader.split(".")
    reader = getattr(import_module(f"scstlib.datasets.{module}"), function)
    # A contact set is read from its converted file: the sources may not even be needed.
    return reader(manifest, lambda: fetch(name))
