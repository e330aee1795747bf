"""Data sets: manifests, files with checksums, loaders and the simulated organism.

``load("semrau2017")`` returns a data set; ``describe()`` lists all; on the command line
``scstlib data list`` does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scstlib.datasets.cache import (
        ChecksumError,
        DataUnavailableError,
        available,
        cache_folder,
    )
    from scstlib.datasets.contact_maps import ContactMaps
    from scstlib.datasets.fetching import fetch
    from scstlib.datasets.loading import load
    from scstlib.datasets.manifests import (
        Manifest,
        ManifestError,
        UnknownDatasetError,
        describe,
        list_datasets,
        read_manifest,
    )
    from scstlib.datasets.organism import Organism, simulate_organism

# Name → module that has it. Loaded on first use, so that importing this package stays fast.
_EXPORTS = {
    "ChecksumError": "cache",
    "ContactMaps": "contact_maps",
    "DataUnavailableError": "cache",
    "Manifest": "manifests",
    "ManifestError": "manifests",
    "Organism": "organism",
    "UnknownDatasetError": "manifests",
    "available": "cache",
    "cache_folder": "cache",
    "describe": "manifests",
    "fetch": "fetching",
    "list_datasets": "manifests",
    "load": "loading",
    "read_manifest": "manifests",
    "simulate_organism": "organism",
}

__all__ = [
    "ChecksumError",
    "ContactMaps",
    "DataUnavailableError",
    "Manifest",
    "ManifestError",
    "Organism",
    "UnknownDatasetError",
    "available",
    "cache_folder",
    "describe",
    "fetch",
    "list_datasets",
    "load",
    "read_manifest",
    "simulate_organism",
]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_EXPORTS[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_EXPORTS)
