"""Compartments of cell types, and what switched between two of them.

The first eigenvector of a map need not be its compartments: a slow drift along the chromosome can
be the larger pattern. So the eigenvector is chosen, and its sign set, by a track that goes with
compartments, such as gene density or CpG content. The same track for all cell types, or switches
are made by the choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from scstlib.analysis.chromosome_maps import ContactMaps, bin_table, chromosome_stack, same_bins
from scstlib.metrics.compartments import cis_eigenvectors

if TYPE_CHECKING:
    import pandas as pd

# Smallest eigenvalue that is more than rounding; observed over expected is about 1.
_ROUNDING = 1e-10


def compartment_score(
    contacts: np.ndarray, track: np.ndarray, *, n_eigenvectors: int = 3, ignore_diags: int = 2
) -> np.ndarray:
    """Return the eigenvector (bins,) of a map that goes with a track; positive is compartment A.

    Of the first ``n_eigenvectors`` of :func:`~scstlib.metrics.compartments.cis_eigenvectors`, the
    one with the largest rank correlation with the track, in size.

    Parameters
    ----------
    contacts : numpy.ndarray, shape (bins, bins)
        Balanced contacts of a chromosome or a wide window, symmetric, not log-transformed.
    track : numpy.ndarray, shape (bins,)
        High in A: gene density, CpG content, or the score of another cell type.
    n_eigenvectors : int
        1 takes the first one, whatever it is.
    ignore_diags : int
        Number of diagonals that are set to their expectation.

    Returns
    -------
    numpy.ndarray, shape (bins,)
        Its length is the square root of the eigenvalue. NaN at empty bins, and everywhere in a map
        that is empty, flat or has at most ``ignore_diags + 3`` bins with contacts.

    Raises
    ------
    ValueError
        If the track has another length or is constant, or ``n_eigenvectors`` is below 1.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.analysis.compartment_changes import compartment_score
    >>> kind = np.repeat([1, -1, 1, -1], 5)
    >>> score = compartment_score(2.0 + np.outer(kind, kind), track=kind)
    >>> np.array_equal(np.sign(score), kind)
    True
    """
    track = np.asarray(track, dtype=float)
    if track.shape != contacts.shape[:1]:
        raise ValueError(f"a track of shape {track.shape} for a map of shape {contacts.shape}.")
    if not np.nanmax(track, initial=-np.inf) > np.nanmin(track, initial=np.inf):
        raise ValueError("the track is constant, so that it tells no compartment; give another.")
    if n_eigenvectors < 1:
        raise ValueError(f"n_eigenvectors is {n_eigenvectors}; it must be at least 1.")
    values, vectors, correlations = cis_eigenvectors(
        contacts, n_eigenvectors, track, ignore_diags=ignore_diags
    )
    # Eigenvalues of rounding size have eigenvectors that mean nothing.
    correlations = np.where(np.abs(values) > _ROUNDING, correlations, np.nan)
    if np.isnan(correlations).all():
        return np.full(len(contacts), np.nan)
    best: np.ndarray = vectors[np.nanargmax(correlations)]
    return best


def compartment_profile(
    maps: ContactMaps,
    tracks: Mapping[str, np.ndarray],
    *,
    bin_size: int,
    n_eigenvectors: int = 3,
    ignore_diags: int = 2,
) -> pd.DataFrame:
    """Return the compartment scores of one cell type, chromosome by chromosome.

    Parameters
    ----------
    maps : mapping of str to array
        Chromosome → map or replicate maps; see :mod:`scstlib.analysis.chromosome_maps`. One map of
        counts gives two replicates: ``half = downsample(counts, fraction=0.5, seed=0)`` and
        ``counts - half``.
    tracks : mapping of str to array
        Chromosome → (bins,), high in compartment A; the same for all cell types.
    n_eigenvectors, ignore_diags : int
        See :func:`compartment_score`.

    Returns
    -------
    pandas.DataFrame
        ``chrom``, ``start``, ``end``, ``score`` (mean of the replicates) and ``error``, the
        standard error of a score: one value a chromosome, pooled over its bins, because two
        replicates say little about a single bin. NaN without replicates.

    Raises
    ------
    ValueError
        If a chromosome has no track, or as :func:`compartment_score`.
    """
    import pandas as pd

    parts = []
    for chrom in maps:
        stack = chromosome_stack(maps, chrom)
        if chrom not in tracks:
            raise ValueError(f"no track of {chrom!r}; there are tracks of {list(tracks)}.")
        scores = np.stack([
            compartment_score(
                contacts, tracks[chrom], n_eigenvectors=n_eigenvectors, ignore_diags=ignore_diags
            )
            for contacts in stack
        ])  # fmt: skip
        # A bin counts where every replicate has a score: else its mean would be of fewer.
        mean, error = scores.mean(axis=0), np.nan
        if len(scores) > 1:
            variance = scores[:, ~np.isnan(mean)].var(axis=0, ddof=1)
            error = float(np.sqrt(variance.mean() / len(scores))) if len(variance) else np.nan
        parts.append(bin_table(chrom, len(mean), bin_size, score=mean, error=error))
    return pd.concat(parts, ignore_index=True)


def compartment_switches(
    before: pd.DataFrame, after: pd.DataFrame, *, errors: float = 3.0, min_change: float = 0.0
) -> pd.DataFrame:
    """Return the regions whose compartment differs between two cell types.

    A bin has switched when its score changes its sign and by more than ``errors`` standard errors
    of the difference, and by ``min_change`` at least. Neighbouring bins with the same switch are
    one region.

    Parameters
    ----------
    before, after : pandas.DataFrame
        Profiles of :func:`compartment_profile`, with the same bins.
    errors : float
        How many standard errors. It has no effect without replicates.
    min_change : float
        In the unit of the scores; without replicates, it is what keeps noise about 0 out.

    Returns
    -------
    pandas.DataFrame
        ``chrom``, ``start``, ``end``, ``from`` and ``to`` (``A`` or ``B``), ``change`` (mean of
        after - before), ``error`` (of the difference in one bin), ``bins``.

    Raises
    ------
    ValueError
        If the bins differ.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.analysis.compartment_changes import compartment_profile, compartment_switches
    >>> track = np.repeat([1, -1, 1, -1], 5)
    >>> def profile(kind):
    ...     maps = {"chr1": 2.0 + np.outer(kind, kind)}
    ...     return compartment_profile(maps, {"chr1": track}, bin_size=100)
    >>> after = profile(np.repeat([1, -1, 1, -1], [8, 2, 5, 5]))  # bins 5 to 7 join A
    >>> compartment_switches(profile(track), after)[["start", "end", "from", "to"]].values.tolist()
    [[500, 800, 'B', 'A']]
    """

    same_bins(before, after)
    old, new = before["score"].to_numpy(), after["score"].to_numpy()
    error = np.hypot(before["error"].to_numpy(), after["error"].to_numpy())
    least = np.maximum(min_change, errors * np.nan_to_num(error))
    switched = (old * new < 0) & (np.abs(new - old) > least)
    table = before[["chrom", "start", "end"]].assign(change=new - old, error=error)
    table["from"] = np.where(old > 0, "A", "B")
    table["to"] = np.where(new > 0, "A", "B")
    kind = table["chrom"].astype(str) + table["from"] + switched.astype(str)
    table["region"] = (kind != kind.shift()).cumsum()
    regions = table[switched].groupby("region", sort=False)
    answer: pd.DataFrame = regions.agg(
        chrom=("chrom", "first"), start=("start", "first"), end=("end", "last"),
        **{"from": ("from", "first"), "to": ("to", "first")},
        change=("change", "mean"), error=("error", "first"), bins=("start", "size"),
    ).reset_index(drop=True)  # fmt: skip
    return answer
