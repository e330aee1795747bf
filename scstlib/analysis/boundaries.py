"""Boundaries of domains: minima of insulation, and those gained or lost between two cell types."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scstlib.analysis.chromosome_maps import ContactMaps, bin_table, chromosome_stack, same_bins
from scstlib.metrics.insulation import insulation_score

if TYPE_CHECKING:
    import pandas as pd


def boundary_profile(
    maps: ContactMaps, *, bin_size: int, window: int, ignore_diags: int = 2, min_valid: float = 0.66
) -> pd.DataFrame:
    """Return insulation and the strength of its minima, by the convention of cooltools' caller.

    The strength of a boundary is the prominence of the minimum: how far the score rises on both
    sides before it falls lower still (Abdennur et al. 2024,
    https://doi.org/10.1371/journal.pcbi.1012067). A minimum without strength is at the end of a
    chromosome.

    Parameters
    ----------
    maps : mapping of str to array
        Chromosome → map; see :mod:`scstlib.analysis.chromosome_maps`. Replicates are added up.
    window : int
        Side of the square of the insulation score, in bp: a multiple of ``bin_size``.
    ignore_diags : int
        Number of diagonals that do not count.
    min_valid : float
        Least share of the square that must lie on bins with contacts, within the chromosome.

    Returns
    -------
    pandas.DataFrame
        ``chrom``, ``start``, ``end``, ``insulation`` (log2, NaN where there is none) and
        ``strength`` (log2, NaN where there is no minimum).

    Raises
    ------
    ValueError
        If ``window`` is not a multiple of ``bin_size``, or as ``insulation_score``.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.analysis.boundaries import boundary_profile
    >>> domain = np.repeat([0, 1], 10)
    >>> contacts = np.where(domain[:, None] == domain, 40.0, 10.0)
    >>> contacts[6, 9] = contacts[9, 6] = 30.0
    >>> profile = boundary_profile({"chr1": contacts}, bin_size=50_000, window=200_000)
    >>> profile.dropna()["start"].tolist()  # where the domains meet
    [450000]
    """
    import pandas as pd

    if window % bin_size or window < bin_size:
        raise ValueError(f"window is {window} bp; it must be a multiple of {bin_size} bp.")
    size = window // bin_size
    parts = []
    for chrom in maps:
        contacts = chromosome_stack(maps, chrom).sum(axis=0)
        score = insulation_score(contacts, window=size, ignore_diags=ignore_diags)
        usable = _valid_share(~np.isnan(contacts).all(axis=1), size, ignore_diags) >= min_valid
        strength = boundary_strength(np.where(usable, score, np.nan))
        parts.append(bin_table(chrom, len(score), bin_size, insulation=score, strength=strength))
    return pd.concat(parts, ignore_index=True)


def boundary_strength(score: np.ndarray) -> np.ndarray:
    """Return the prominence (bins,) of each minimum of an insulation score (bins,), else NaN.

    Bins without a score are passed over.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.analysis.boundaries import boundary_strength
    >>> boundary_strength(np.array([0.0, 1.0, -1.0, 1.0, 0.5])).tolist()
    [nan, nan, 2.0, nan, nan]
    """
    from cooltools.lib.peaks import find_peak_prominence

    known = np.flatnonzero(~np.isnan(score))
    strength = np.full(len(score), np.nan)
    minima, prominence = find_peak_prominence(-score[known])
    strength[known[minima]] = prominence
    return strength


def _valid_share(valid: np.ndarray, size: int, ignore_diags: int) -> np.ndarray:
    """Return the share (bins,) of each bin's square that lies on bins with contacts."""
    total = np.concatenate([[0], np.cumsum(valid)])
    here = np.arange(len(valid))
    rows = total[here + 1] - total[np.maximum(here + 1 - size, 0)]
    columns = total[np.minimum(here + size, len(valid))] - total[here]
    ignored = ignore_diags * (ignore_diags + 1) // 2
    return np.asarray((rows * columns - ignored) / max(size**2 - ignored, 1))


def strength_threshold(profile: pd.DataFrame) -> float:
    """Return the strength from which a minimum is a boundary, by Li's rule, cooltools' default.

    It splits the strengths of one profile in two. For a comparison take one threshold for both.

    Raises
    ------
    ValueError
        If the profile has no minimum.
    """
    from skimage.filters import threshold_li

    strength = profile["strength"].dropna().to_numpy()
    if len(strength) == 0:
        raise ValueError("the insulation has no minimum, so that there is no boundary to judge.")
    return float(threshold_li(strength))


def call_boundaries(profile: pd.DataFrame, min_strength: float | None = None) -> pd.DataFrame:
    """Return the rows of a profile that are boundaries: minima of ``min_strength`` (log2) or more.

    By default the threshold is :func:`strength_threshold`; a profile without a minimum has none.
    """
    if profile["strength"].isna().all():
        return profile.iloc[:0].reset_index(drop=True)
    least = strength_threshold(profile) if min_strength is None else min_strength
    return profile[profile["strength"] >= least].reset_index(drop=True)


def boundary_changes(
    before: pd.DataFrame,
    after: pd.DataFrame,
    *,
    min_strength: float | None = None,
    tolerance: int = 1,
    kept_share: float = 0.5,
) -> pd.DataFrame:
    """Return which boundaries two cell types share, and which are gained or lost.

    A minimum just above the threshold in one map and just below in the other is no change. So a
    boundary is compared with the strongest minimum of the other map nearby, however weak, and is
    gained or lost if the weaker of the two has less than ``kept_share`` of the strength of the
    other.

    Parameters
    ----------
    before, after : pandas.DataFrame
        Profiles of :func:`boundary_profile`, with the same bins.
    min_strength : float, optional
        Least strength (log2) of a boundary, for both; by default the mean of their thresholds.
    tolerance : int
        How far a boundary may shift, in bins.
    kept_share : float
        Above 0, at most 1.

    Returns
    -------
    pandas.DataFrame
        ``chrom``, ``start``, ``end`` (of the bin in ``before``, or in ``after`` if gained),
        ``change`` (``shared``, ``gained`` or ``lost``), ``strength_before``, ``strength_after``
        (0 where there is no minimum), ``shift`` (bp, NaN unless shared).

    Raises
    ------
    ValueError
        If the bins differ, or ``kept_share`` is out of range.
    """
    import pandas as pd

    same_bins(before, after)
    before, after = before.reset_index(drop=True), after.reset_index(drop=True)
    if not 0 < kept_share <= 1:
        raise ValueError(f"kept_share is {kept_share}; it must be above 0 and at most 1.")
    if min_strength is None:
        min_strength = (strength_threshold(before) + strength_threshold(after)) / 2
    changes = []
    for _, rows in before.groupby("chrom", sort=False):
        old = rows["strength"].fillna(0).to_numpy()
        new = after.loc[rows.index, "strength"].fillna(0).to_numpy()
        for first, second in _pairs(old, new, min_strength, tolerance):
            strengths = old[first] if first >= 0 else 0.0, new[second] if second >= 0 else 0.0
            change = "gained" if strengths[1] > strengths[0] else "lost"
            if min(strengths) >= kept_share * max(strengths):
                change = "shared"
            place = rows[["chrom", "start", "end"]].iloc[second if change == "gained" else first]
            shift = (second - first) * (place["end"] - place["start"])
            shift = shift if change == "shared" else np.nan
            changes.append((*place, change, *strengths, shift))
    columns = ["chrom", "start", "end", "change", "strength_before", "strength_after", "shift"]
    return pd.DataFrame(changes, columns=columns)


def _pairs(old: np.ndarray, new: np.ndarray, least: float, tolerance: int) -> list[tuple[int, int]]:
    """Pair each boundary with the strongest minimum nearby in the other map, -1 without one.

    In order of place; each boundary comes once.
    """
    pairs = [(k, _strongest(new, k, tolerance)) for k in _at_least(old, least)]
    taken = {second for _, second in pairs}
    pairs += [(_strongest(old, k, tolerance), k) for k in _at_least(new, least) if k not in taken]
    return sorted(pairs, key=lambda pair: min(pair) if min(pair) >= 0 else max(pair))


def _at_least(strength: np.ndarray, least: float) -> list[int]:
    found: list[int] = np.flatnonzero((strength > 0) & (strength >= least)).tolist()
    return found


def _strongest(strength: np.ndarray, here: int, tolerance: int) -> int:
    """Return the bin of the strongest minimum within ``tolerance`` bins, -1 without one."""
    low = max(here - tolerance, 0)
    near = strength[low : here + tolerance + 1]
    return low + int(near.argmax()) if near.max() > 0 else -1
