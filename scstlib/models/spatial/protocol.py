"""The spatial protocol: models that predict the contact map of a cell type from a known bulk map.

``fit(windows)`` learns from windows with targets and returns the model. ``predict(windows)``
returns expected contacts, symmetric, as deep as the bulk map. Maps hold contacts: raw counts, or
balanced values. What a model normalises is its own business. Maps are compared on one scale,
:func:`scstlib.preprocess.contacts.normalise_depth`, which takes the depth out.

A bin's tracks have names: see :func:`scstlib.preprocess.guides.guide_tracks`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from scstlib.preprocess.windows import SAMPLE

if TYPE_CHECKING:
    from scstlib.preprocess.windows import Windows


class SpatialModel(Protocol):
    """A model that predicts the contact maps of windows."""

    def fit(self, windows: Windows) -> Self:
        """Learn from windows with targets."""
        ...

    def predict(self, windows: Windows, depth: float = 1.0) -> np.ndarray:
        """Return expected contacts (n, bins, bins), float32, symmetric; masked bins are 0.

        ``depth`` is relative to the bulk map: with 1, a window has about as many contacts as its
        bulk map has.
        """
        ...


def check_windows(windows: Windows, *, targets: bool = False) -> None:
    """Refuse windows that no spatial model can read.

    Parameters
    ----------
    targets : bool
        Whether targets are needed, as for fitting.

    Raises
    ------
    ValueError
        For no window, missing targets, negative or non-finite contacts, a map that is not
        symmetric, non-finite tracks, or a bulk or target without a contact; it names the window.
    """
    if len(windows) == 0:
        raise ValueError("there are no windows; cut some with make_windows.")
    if targets and windows.targets is None:
        raise ValueError("these windows have no targets to learn from; give make_windows targets.")
    maps = {"bulk": windows.bulk}
    if targets and windows.targets is not None:
        maps["targets"] = windows.targets
    for name, stack in maps.items():
        _refuse(windows, ~np.isfinite(stack).all(axis=(1, 2)), f"{name} holds NaN or infinity")
        _refuse(windows, (stack < 0).any(axis=(1, 2)), f"{name} holds negative contacts")
        apart = np.abs(stack - np.swapaxes(stack, 1, 2)).max(axis=(1, 2))
        top = stack.max(axis=(1, 2), initial=0)
        _refuse(windows, apart > 1e-5 * top, f"{name} is not symmetric")
        if not stack.any():
            raise ValueError(f"{name} holds no contact in any window.")
    _refuse(windows, ~np.isfinite(windows.tracks).all(axis=(1, 2)), "tracks hold NaN or infinity")


def _refuse(windows: Windows, bad: Any, what: str) -> None:
    """Raise for the first bad window, with its place."""
    if bad.any():
        row = windows.table.iloc[int(bad.argmax())]
        raise ValueError(
            f"{what} in the window {row['chrom']}:{row['start']}-{row['end']} of"
            f" {row['cell_type']}, and in {int(bad.sum()) - 1} more."
        )


def check_tracks(windows: Windows, fitted: tuple[str, ...], bin_size: int) -> None:
    """Refuse windows whose tracks or bins are not those that a model was fitted on.

    Raises
    ------
    ValueError
        Naming what differs.
    """
    if tuple(windows.track_names) != tuple(fitted):
        raise ValueError(
            f"the model was fitted on the tracks {list(fitted)}, these windows have"
            f" {list(windows.track_names)}."
        )
    if windows.bin_size != bin_size:
        raise ValueError(
            f"the model was fitted on bins of {bin_size:,} bp, these windows have"
            f" {windows.bin_size:,} bp."
        )


def groups_of(windows: Windows) -> np.ndarray:
    """Number of the sample, cell type and donor, that each target is of, (n,)."""
    names = [name for name in SAMPLE if name in windows.table]
    groups: np.ndarray = windows.table.groupby(names, sort=False).ngroup().to_numpy()
    return groups
