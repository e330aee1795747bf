"""What the published scGrapHiC reads: tracks scaled, bulk maps normalised and encoded, batches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from scstlib.preprocess.contacts import distinct, laplacian_encodings, normalise_depth
from scstlib.preprocess.tracks import TrackScaler, scale_per_window
from scstlib.preprocess.windows import Windows

NOT_PUBLISHED = ("bulk ", "reference ")  # Tracks that it does not read.
READS = 25_000  # What a map is scaled to before log1p.


class Inputs(NamedTuple):
    """What the network reads, as arrays or tensors; cell types share the rows of a bulk map.

    Attributes
    ----------
    features
        (n, bins, tracks), scaled.
    encodings, bulk
        (maps, bins, encodings) and (maps, bins, bins): normalised, each distinct map once.
    map_of
        (n,), the row of ``encodings`` and ``bulk`` of each window.
    """

    features: Any
    encodings: Any
    bulk: Any
    map_of: np.ndarray

    def of(self, rows: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Features, encodings and bulk maps of some windows."""
        maps = self.map_of[rows]
        return self.features[rows], self.encodings[maps], self.bulk[maps]


def read_inputs(windows: Windows, scaler: TrackScaler | None, n_encodings: int) -> Inputs:
    """Return the arrays of windows; without a scaler each window's tracks go to [0, 1]."""
    chosen = published_tracks(windows)
    features = (
        scale_per_window(chosen.tracks) if scaler is None else scaler.transform(chosen).tracks
    )
    kept, map_of = distinct(windows.bulk)
    bulk = normalise_depth(windows.bulk[kept], reads=READS)
    return Inputs(features, laplacian_encodings(bulk, n_encodings), bulk, np.array(map_of))


def published_tracks(windows: Windows) -> Windows:
    """Windows with the tracks that the published model has: expression, CTCF, CpG.

    Raises
    ------
    ValueError
        If there is none.
    """
    names = windows.track_names
    columns = [i for i, name in enumerate(names) if not name.startswith(NOT_PUBLISHED)]
    if not columns:
        raise ValueError(
            f"none of the tracks {list(names)} is one that the published scGrapHiC reads; give"
            " make_windows track_names, such as those of guide_tracks."
        )
    chosen = tuple(names[i] for i in columns)
    return replace(windows, tracks=windows.tracks[..., columns], track_names=chosen)


def targets_on_scale(windows: Windows) -> np.ndarray:
    """Targets as maps are compared."""
    if windows.targets is None:
        raise ValueError("these windows have no targets.")
    return normalise_depth(windows.targets, reads=READS)


class Batches:
    """Rows of each step: every epoch goes through all windows in an order of its own."""

    def __init__(self, n: int, size: int, seed: int) -> None:
        self.n, self.size, self.seed = n, size, seed
        self.per_epoch = -(-n // size)

    def __call__(self, step: int) -> np.ndarray:
        epoch, batch = divmod(step, self.per_epoch)
        # Of the epoch alone, so that a run that goes on draws what an unbroken one does.
        order = np.random.default_rng([self.seed, epoch]).permutation(self.n)
        return order[batch * self.size : (batch + 1) * self.size]
