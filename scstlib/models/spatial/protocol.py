"""The spatial protocol: models that predict the contact map of a cell type from a known bulk map.

A model is any class with two methods; nothing has to be inherited.

- ``fit(windows)`` learns from windows with targets and returns the model. It calls
  :func:`scstlib.leakage.record_fit`, so that the model is not scored on what it was fitted on.
- ``predict(windows, depth=1.0)`` returns expected contacts: an array (n, bins, bins), float32,
  symmetric, not negative, 0 in masked bins. Targets of the windows, if there are any, are not read.

Windows (:class:`scstlib.preprocess.windows.Windows`) hold, for n places and cell types,

=========== ================= =====================================================================
``bulk``    (n, bins, bins)   contacts that are known in every cell type: raw counts, or balanced
``tracks``  (n, bins, tracks) the guide, along the genome: expression of the cell type, CTCF, CpG;
                              named as :func:`scstlib.preprocess.guides.guide_tracks` does
``targets`` (n, bins, bins)   contacts of the cell type, at a depth of their own; only to learn from
``mask``    (n, bins)         True for bins that can be used
``table``   n rows            ``chrom``, ``start``, ``end`` in bp, ``cell_type``
=========== ================= =====================================================================

Predictions are in the unit of ``bulk`` and, with ``depth=1``, about as many contacts as it has,
whatever the depth of the targets that a model learned from: of a rare cell type few contacts are
measured. :func:`depths_of` says how many, to take that out. Else, what a model normalises is its
own business. Maps are compared on one scale,
:func:`scstlib.preprocess.contacts.normalise_depth`, which takes the depth out.

:func:`scstlib.models.spatial.methods.methods` lists the methods that meet the protocol.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Protocol, Self

import numpy as np

from scstlib.models.settings import check_positive
from scstlib.preprocess.contacts import contact_unit
from scstlib.preprocess.windows import SAMPLE, Windows
from scstlib.splits.parts import listed

#: Column of windows that lists the cell types whose mean expression is the reference.
REFERENCE = "reference_cell_types"
LARGEST_DEPTH = 1e6  # Of a prediction, relative to the bulk map; far beyond it float32 ends.


class SpatialModel(Protocol):
    """A model that predicts the contact maps of windows."""

    def fit(self, windows: Windows) -> Self:
        """Learn from windows with targets.

        Parameters
        ----------
        windows : Windows
            With targets (n, bins, bins) in contacts, raw or balanced.

        Returns
        -------
        Self
            The model.
        """
        ...

    def predict(self, windows: Windows, depth: float = 1.0) -> np.ndarray:
        """Return expected contacts (n, bins, bins), float32, symmetric; masked bins are 0.

        Parameters
        ----------
        windows : Windows
            With the tracks and the bin size that the model was fitted on; targets are not read.
        depth : float
            Relative to the bulk map: with 1, a window has about as many contacts as its bulk map.

        Returns
        -------
        numpy.ndarray, shape (n, bins, bins), float32
            In the unit of ``windows.bulk``.
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
    if not isinstance(windows, Windows):
        raise TypeError(f"windows are a Windows, not a {type(windows).__name__}")
    if len(windows) == 0:
        raise ValueError("there are no windows; cut some with make_windows or build_windows.")
    if targets and windows.targets is None:
        raise ValueError(
            "these windows have no targets to learn from: give make_windows or build_windows some."
        )
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


def check_training(windows: Windows, validation: Windows | None = None) -> None:
    """Refuse windows that no spatial model can learn from, and validation windows unlike them.

    Raises
    ------
    ValueError
        As :func:`check_windows` says, or naming how the validation windows differ.
    """
    check_windows(windows, targets=True)
    if validation is not None:
        check_windows(validation, targets=True)
        check_tracks(validation, windows.track_names, windows.bin_size)


def check_prediction(
    windows: Windows,
    depth: float,
    *,
    bin_size: int | None = None,
    track_names: tuple[str, ...] | None = None,
    reference: tuple[str, ...] | None = None,
) -> None:
    """Refuse windows that a model cannot predict for.

    Parameters
    ----------
    bin_size : int, optional
        In bp, of the training windows; None if the model takes any.
    track_names : tuple of str, optional
        Of the training windows; None if the model reads no track.
    reference : tuple of str, optional
        Cell types whose mean expression was the reference in training; None if that is not known.

    Raises
    ------
    ValueError
        As :func:`check_windows` says, for a depth that is no positive number or above a million,
        and naming what differs from the training windows.
    """
    check_positive({"depth": depth}, "depth")
    if depth > LARGEST_DEPTH:
        raise ValueError(f"depth must be at most {LARGEST_DEPTH:g}, not {depth!r}.")
    check_windows(windows)
    names = windows.track_names if track_names is None else track_names
    check_tracks(windows, names, windows.bin_size if bin_size is None else bin_size)
    given = reference_types(windows)
    if given is not None and reference is not None and set(given) != set(reference):
        raise ValueError(
            f"the reference of these windows is the mean expression of {sorted(given)}, that of the"
            f" model of {sorted(reference)}: name those that the model was trained on."
        )


def check_fitted(model: object, learned: str) -> None:
    """Refuse a model without an attribute that its ``fit`` sets.

    Examples
    --------
    >>> class Model: ...
    >>> check_fitted(Model(), "weights_")
    Traceback (most recent call last):
        ...
    ValueError: this Model is not fitted; call fit first.
    """
    if not hasattr(model, learned):
        raise ValueError(f"this {type(model).__name__} is not fitted; call fit first.")


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


def in_contacts(maps: np.ndarray | None) -> np.ndarray:
    """Maps in contacts: as they are if counts, else divided by the value of one contact."""
    if maps is None:
        raise ValueError("these windows have no targets; give make_windows targets.")
    return maps / np.float32(contact_unit(maps))


def depths_of(windows: Windows) -> np.ndarray:
    """Contacts of each target's sample relative to the bulk's at the same places, (n,).

    Cell types differ in how many of their cells were measured. Whatever learns how a target departs
    from its bulk map takes this factor out first: it says nothing of the cell type.

    Raises
    ------
    ValueError
        If there are no targets, or those of a sample hold no contact.
    """
    group = groups_of(windows)
    seen, bulk = (
        np.bincount(group, in_contacts(maps).sum(axis=(1, 2), dtype=float))
        for maps in (windows.targets, windows.bulk)
    )
    if not (seen > 0).all():
        empty = windows.table["cell_type"][group == int(np.argmin(seen))].iloc[0]
        raise ValueError(f"the targets of {empty} hold no contact: leave them out.")
    depths: np.ndarray = (seen / bulk)[group]
    return depths


def reference_types(windows: Windows) -> tuple[str, ...] | None:
    """Cell types whose mean expression is the reference, if the windows say so.

    They stand in the column ``reference_cell_types`` of the table, the same in all rows, or in the
    table's ``attrs`` under that name.
    """
    table = windows.table
    given = table[REFERENCE].iloc[0] if REFERENCE in table else table.attrs.get(REFERENCE)
    return None if given is None else tuple(listed(given))


def digest(windows: Windows) -> str:
    """What tells the training windows of one run from those of another."""
    found = sha256(repr((windows.track_names, windows.bin_size)).encode())
    for array in (windows.bulk, windows.tracks, windows.targets):
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]
