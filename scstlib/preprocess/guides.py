"""The guide of a spatial model: tracks by cell type, with those of the bulk and of a reference.

What is specific to a cell type shows in its difference from others. So the expression of a cell
type comes with that of the cells in the bulk map and with the mean of the training types.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scstlib.metrics.novelty import nearest_distance, relative_to
from scstlib.preprocess.windows import Windows

EXPRESSION = ("expression +", "expression -")
BULK_EXPRESSION = ("bulk expression +", "bulk expression -")
REFERENCE_EXPRESSION = ("reference expression +", "reference expression -")


def guide_tracks(
    expression: Mapping[str, np.ndarray],
    *,
    reference: Sequence[str],
    bulk: np.ndarray | None = None,
    shared: np.ndarray | None = None,
    shared_names: Sequence[str] = (),
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Join the tracks of every cell type.

    Parameters
    ----------
    expression
        Cell type → (bins, 2), + and − strand, as
        :func:`scstlib.preprocess.tracks.expression_tracks` returns; in one unit.
    reference
        Training cell types, whose mean expression is the reference. A held-out cell type must
        not be among them.
    bulk
        (bins, 2), expression of the cells in the bulk map, if it was measured.
    shared, shared_names
        (bins, tracks), the same in all cell types, such as CTCF and CpG, and their names.

    Returns
    -------
    dict, tuple
        Cell type → (bins, tracks), and the names of the tracks: ``expression ±``,
        ``reference expression ±``, ``bulk expression ±`` if given, then those of ``shared``.

    Raises
    ------
    ValueError
        If there is no reference, one is unknown, or names and tracks differ in number.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.preprocess.guides import guide_tracks
    >>> expression = {"T": np.ones((3, 2)), "B": np.zeros((3, 2))}
    >>> tracks, names = guide_tracks(expression, reference=["T"])
    >>> names
    ('expression +', 'expression -', 'reference expression +', 'reference expression -')
    >>> tracks["B"][0].tolist()  # its own two, then those of the training types
    [0.0, 0.0, 1.0, 1.0]
    """
    unknown = sorted(set(reference) - set(expression))
    if unknown or not reference:
        raise ValueError(f"reference cell types {unknown or 'missing'}; choose {list(expression)}")
    n_shared = 0 if shared is None else shared.shape[1]
    if len(shared_names) != n_shared:
        raise ValueError(f"{len(shared_names)} names for {n_shared} shared tracks")
    more = [np.mean([expression[name] for name in reference], axis=0)]
    names = [*EXPRESSION, *REFERENCE_EXPRESSION]
    if bulk is not None:
        more.append(bulk)
        names += BULK_EXPRESSION
    if shared is not None:
        more.append(shared)
    joined = {name: np.concatenate([own, *more], axis=1) for name, own in expression.items()}
    return joined, (*names, *shared_names)


def bin_features(
    tracks: np.ndarray, names: tuple[str, ...], floor: float
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the features (..., bins, features) of bins, not scaled, and their names.

    Expression x becomes the sum of log(1 + x / floor) over both strands, where a high gene does
    not hide a low one on the other strand, and that minus the same of the reference and of the
    bulk, where they are among the tracks. Other tracks stay as they are.

    Parameters
    ----------
    tracks : array (..., bins, tracks)
        Floating numbers; features have their type.
    names : tuple of str
        Of the tracks; without names none is taken for expression.
    floor : float
        In the unit of the tracks: expression far below it counts as none.

    Raises
    ------
    ValueError
        If expression is negative.
    """
    tracks = np.asarray(tracks)
    place = {name: i for i, name in enumerate(names or range(tracks.shape[-1]))}
    found: dict[str, np.ndarray] = {}
    own = _log_sum(tracks, place, EXPRESSION, floor)
    if own is not None:
        found["expression"] = own
        for name, pair in (("reference", REFERENCE_EXPRESSION), ("bulk", BULK_EXPRESSION)):
            other = _log_sum(tracks, place, pair, floor)
            if other is not None:
                found[f"expression minus {name}"] = own - other
    used = {*EXPRESSION, *REFERENCE_EXPRESSION, *BULK_EXPRESSION}
    found |= {str(name): tracks[..., i] for name, i in place.items() if name not in used}
    if not found:
        return np.zeros((*tracks.shape[:-1], 0), dtype=tracks.dtype), ()
    return np.stack(list(found.values()), axis=-1), tuple(found)


def guide_novelty(
    windows: Windows, training: Windows, *, quantile: float = 0.95, most: int = 4000, seed: int = 0
) -> np.ndarray:
    """How far the guide of each window is from those of the training windows; above 1 is a flag.

    Of each usable bin the features (:func:`bin_features`, each divided by its spread over training
    bins) are compared with those of the nearest training bin of another chromosome; the mean over
    the bins of a window is divided by a quantile of what training windows have.

    Parameters
    ----------
    windows, training : Windows
        With the same tracks.
    quantile : float
        As for :func:`scstlib.metrics.novelty.novelty`.
    most : int
        At most so many training bins are compared with, drawn at random.
    seed : int
        Draws them.

    Returns
    -------
    numpy.ndarray, shape (n,)

    Raises
    ------
    ValueError
        If tracks differ, the training windows lie on one chromosome, or a window has no usable bin.
    """
    if windows.track_names != training.track_names:
        raise ValueError(
            f"the training windows have the tracks {list(training.track_names)}, these windows"
            f" {list(windows.track_names)}"
        )
    features, chroms = _usable_bins(training)
    if len(set(chroms)) < 2:
        raise ValueError(f"the training windows lie on one chromosome, {chroms[0]}: give more")
    spread = features.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    drawn = np.random.default_rng(seed).permutation(len(features))[:most]
    known, places = features[drawn] / spread, chroms[drawn]

    def mean_distance(some: Windows) -> np.ndarray:
        found = np.full(some.mask.shape, np.nan)
        for chrom, rows in some.table.groupby("chrom", sort=False).indices.items():
            own, _ = _usable_bins(some[rows])
            near = nearest_distance(own / spread, known[places != chrom])
            part = np.full(some.mask[rows].shape, np.nan)
            part[some.mask[rows]] = near
            found[rows] = part
        if not some.mask.any(axis=1).all():
            raise ValueError("a window has no usable bin: leave it out")
        mean: np.ndarray = np.nanmean(found, axis=1)
        return mean

    return relative_to(mean_distance(windows), mean_distance(training), quantile)


def _usable_bins(windows: Windows) -> tuple[np.ndarray, np.ndarray]:
    """Features (bins, features) of the usable bins of all windows, and their chromosomes."""
    features, _ = bin_features(windows.tracks.astype(float), windows.track_names, floor=1.0)
    chroms = np.repeat(windows.table["chrom"].to_numpy(), windows.mask.sum(axis=1))
    return features[windows.mask], chroms


def _log_sum(
    tracks: np.ndarray, place: Mapping[Any, int], pair: Sequence[str], floor: float
) -> Any:
    """Sum of the logs of a pair of tracks, of those that there are; None if there is none."""
    columns = [place[name] for name in pair if name in place]
    if not columns:
        return None
    values = tracks[..., columns]
    if (values < 0).any():
        raise ValueError(f"{pair[0][:-2]} goes down to {values.min()}: give values of at least 0.")
    return np.log1p(values / np.float32(floor)).sum(axis=-1)
