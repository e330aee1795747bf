"""Contact maps of whole chromosomes as the analyses of maps read them, and tables of their bins.

Maps are given as chromosome → map. A map is (bins, bins), or (replicates, bins, bins) where there
are several of one population: donors, halves of the contacts, or predictions of several models.

Compartments and insulation are read off balanced maps. A model predicts contacts as the bulk map
shows them, with its more and less visible bins: see :func:`apply_weights`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

#: Chromosome → (bins, bins) or (replicates, bins, bins); dense or, without replicates, sparse.
ContactMaps = Mapping[str, Any]


def chromosome_stack(maps: ContactMaps, chrom: str) -> np.ndarray:
    """Return the maps of one chromosome (replicates, bins, bins), float64; empty bins are NaN.

    Raises
    ------
    ValueError
        If there is no such chromosome, or its maps are not square, not symmetric or negative.
    """
    if chrom not in maps:
        raise ValueError(f"no map of {chrom!r}; there are maps of {list(maps)}.")
    given = maps[chrom]
    stack = np.array(given.toarray() if hasattr(given, "toarray") else given, dtype=float)
    stack = stack[None] if stack.ndim == 2 else stack
    if stack.ndim != 3 or stack.shape[1] != stack.shape[2] or 0 in stack.shape:
        raise ValueError(f"the map of {chrom!r} has shape {stack.shape}, not (n, bins, bins).")
    if (stack < 0).any():
        raise ValueError(f"the map of {chrom!r} goes down to {np.nanmin(stack)}: give contacts.")
    if not np.allclose(stack, stack.transpose(0, 2, 1), equal_nan=True):
        raise ValueError(f"the map of {chrom!r} is not symmetric: add the other triangle.")
    return mask_empty(stack)


def mask_empty(stack: np.ndarray) -> np.ndarray:
    """Return maps (n, bins, bins), float64, with NaN in rows and columns without a contact.

    Models predict 0 where a bin is masked; no contact at all is no measurement.
    """
    masked = np.array(stack, dtype=float)
    empty = ~(np.nan_to_num(masked).sum(axis=2) > 0)
    masked[empty] = np.nan
    masked.transpose(0, 2, 1)[empty] = np.nan
    return masked


def apply_weights(contacts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return maps (..., bins, bins) times the weights (bins,) of row and column.

    Without it, visibility is a pattern that an eigenvector takes for compartments. The weights of
    the bulk map (:func:`scstlib.preprocess.contacts.balance_matrix`) serve for what is predicted
    from it; bins whose weight is NaN are masked.
    """
    return np.asarray(contacts * weights[:, None] * weights)


def observed_over_expected(contacts: np.ndarray) -> np.ndarray:
    """Return a map (bins, bins) divided by its own mean at each distance; NaN where that is 0."""
    from scstlib.metrics.contacts import expected_by_distance

    expected = on_diagonals(expected_by_distance(contacts))
    ratio: np.ndarray = np.divide(
        contacts, expected, out=np.full(contacts.shape, np.nan), where=expected > 0
    )
    return ratio


def on_diagonals(by_distance: np.ndarray) -> np.ndarray:
    """Return the symmetric matrix (bins, bins) with these values (bins,) by distance."""
    bins = np.arange(len(by_distance))
    return np.asarray(by_distance[np.abs(np.subtract.outer(bins, bins))])


def bin_table(chrom: str, n_bins: int, bin_size: int, **columns: Any) -> pd.DataFrame:
    """Return a table of the bins of one chromosome: chrom, start, end (bp) and ``columns``."""
    import pandas as pd

    start = np.arange(n_bins) * bin_size
    return pd.DataFrame({"chrom": chrom, "start": start, "end": start + bin_size, **columns})


def same_bins(before: pd.DataFrame, after: pd.DataFrame) -> None:
    """Raise ValueError unless two tables of bins have the same bins in the same order."""
    columns = ["chrom", "start", "end"]
    if (
        len(before) != len(after)
        or not (before[columns].to_numpy() == after[columns].to_numpy()).all()
    ):
        raise ValueError(
            f"the two profiles have {len(before)} and {len(after)} bins, or other ones: make both"
            " from maps of the same chromosomes and bin size."
        )
