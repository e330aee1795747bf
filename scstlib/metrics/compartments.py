"""A/B compartments of contact maps by eigenvectors as cooltools', and their agreement."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scstlib.metrics._arrays import Array, correlation, map_pair, map_stack, unstack

# Smallest eigenvalue that is more than rounding; observed over expected is about 1.
_ROUNDING = 1e-10


def cis_eigenvectors(
    contacts: Array, n_eigenvectors: int, phasing_track: Array, *, ignore_diags: int = 2
) -> tuple[Array, Array, Array]:
    """First eigenvectors of observed over expected minus 1, each with the sign of a track.

    The values of ``cooltools.api.eigdecomp.cis_eig`` with the 99.9th percentile clipped
    (Abdennur et al. 2024, https://doi.org/10.1371/journal.pcbi.1012067), by a solver of the whole
    matrix: cooltools' (ARPACK) starts from a random vector, so that no two calls agree in the last
    digits, nor in the sign where the track says nothing of it.

    Parameters
    ----------
    contacts : array (bins, bins)
        Balanced, symmetric contact map, not log-transformed; masked bins NaN.
    n_eigenvectors : int
        How many, in the order of the size of their eigenvalues.
    phasing_track : array (bins,)
        Sets the signs: every eigenvector has a positive rank correlation with it, or one of 0.
    ignore_diags : int
        Number of diagonals that are set to their expectation.

    Returns
    -------
    values : array (n_eigenvectors,)
        Eigenvalues; NaN where the map has fewer bins with contacts, or at most
        ``ignore_diags + 3`` of them.
    vectors : array (n_eigenvectors, bins)
        Length is the square root of the size of the eigenvalue; NaN at bins without contacts, and
        where the correlation with the track is not defined.
    correlations : array (n_eigenvectors,)
        Spearman's correlation with the track, from 0 to 1, or NaN.

    Raises
    ------
    ValueError
        If the map is not square or symmetric, or a pixel is infinite.

    Examples
    --------
    >>> import numpy as np
    >>> kind = np.repeat([1, -1, 1, -1], 3)
    >>> distance = abs(np.subtract.outer(np.arange(12), np.arange(12)))
    >>> contacts = (1 + 0.2 * np.outer(kind, kind)) / (1 + distance)
    >>> values, vectors, correlations = cis_eigenvectors(contacts, 1, kind)
    >>> np.sign(vectors[0]).astype(int)
    array([ 1,  1,  1, -1, -1, -1,  1,  1,  1, -1, -1, -1])
    """
    from scipy.stats import spearmanr

    map_stack(contacts, "the map")  # Refuses what is none.
    contacts = np.where(np.isfinite(contacts), contacts, 0.0)
    if not np.allclose(contacts, contacts.T):
        raise ValueError("the contact map is not symmetric; pass (map + map.T) / 2")
    values = np.full(n_eigenvectors, np.nan)
    vectors = np.full((n_eigenvectors, len(contacts)), np.nan)
    correlations = np.full(n_eigenvectors, np.nan)
    used = contacts.sum(axis=0) > 0
    if used.sum() <= ignore_diags + 3:
        return values, vectors, correlations

    bins = np.arange(len(contacts))
    contacts[np.abs(np.subtract.outer(bins, bins)) < ignore_diags] = 1.0
    relative = _observed_over_expected(contacts, used)
    relative = np.clip(relative, 0, np.percentile(relative[used][:, used], 99.9)) - 1
    relative[~used], relative[:, ~used] = 0, 0
    used = np.abs(relative).sum(axis=0) != 0
    found, axes = np.linalg.eigh(relative[used][:, used])

    for i, k in enumerate(np.argsort(-np.abs(found), kind="stable")[:n_eigenvectors]):
        vector = axes[:, k] * np.sqrt(abs(found[k]))
        known = np.isfinite(phasing_track[used])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a constant track: NaN says it
            along = spearmanr(phasing_track[used][known], vector[known])[0]
        sign = np.nan if np.isnan(along) else -1.0 if along < 0 else 1.0
        values[i], vectors[i, used], correlations[i] = found[k], sign * vector, sign * along
    return values, vectors, correlations


def _observed_over_expected(contacts: Array, used: NDArray[np.bool_], step: float = 1.03) -> Array:
    """Contacts (bins, bins) over their mean in groups of distances; 0 where that is 0 or masked.

    The upper end of a group is at most ``step`` times the lower one, as in
    ``cooltools.lib.numutils.observed_over_expected``, which takes 8 s to compile.
    """
    n = len(contacts)
    edges = np.rint(np.logspace(0, np.log10(n), int(np.log(n) / np.log(step))))
    group = np.searchsorted(np.unique(edges), np.arange(n), side="right")
    group = group[np.abs(np.subtract.outer(np.arange(n), np.arange(n)))]
    valid = used[:, None] & used
    pixels = np.bincount(group[valid], minlength=n)
    mean = np.bincount(group[valid], contacts[valid], minlength=n) / np.maximum(pixels, 1)
    return np.divide(contacts, mean[group], out=np.zeros(contacts.shape), where=mean[group] > 0)


def compartment_eigenvector(
    maps: ArrayLike, phasing_track: ArrayLike, *, ignore_diags: int = 2
) -> Array:
    """First eigenvector of observed over expected minus 1, positive where the track is high.

    As ``cooltools.eigs_cis`` with its defaults, one decomposition a map (Abdennur et al. 2024,
    https://doi.org/10.1371/journal.pcbi.1012067), so slow beside other metrics.

    Parameters
    ----------
    maps : array (n, bins, bins) or (bins, bins)
        Balanced, symmetric contact maps, not log-transformed; masked bins NaN.
    phasing_track : array (n, bins) or (bins,)
        GC content or gene density, which fixes the sign: positive is compartment A.
    ignore_diags : int
        Number of diagonals that are set to their expectation.

    Returns
    -------
    array (n, bins), or (bins,) for a single map
        Length is the square root of the eigenvalue; NaN at bins without contacts, and everywhere
        in a map of pure distance decay or with at most ``ignore_diags + 3`` bins with contacts.

    Raises
    ------
    ValueError
        If shapes do not match.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.metrics.contacts import compartment_eigenvector
    >>> kind = np.repeat([1, -1, 1, -1], 5)
    >>> contacts = 2.0 + np.outer(kind, kind)
    >>> score = compartment_eigenvector(contacts, phasing_track=kind)
    >>> np.array_equal(np.sign(score), kind)
    True
    """
    stack, single = map_stack(maps, "maps")
    tracks = np.asarray(phasing_track, dtype=np.float64)
    if tracks.shape not in ((stack.shape[1],), stack.shape[:2]):
        raise ValueError(
            f"phasing_track must be (bins,) or (n, bins) for maps of {stack.shape}, "
            f"got {tracks.shape}"
        )
    tracks = np.broadcast_to(tracks, stack.shape[:2])
    vectors = np.empty(stack.shape[:2])
    for i, (contacts, track) in enumerate(zip(stack, tracks, strict=True)):
        values, first, _ = cis_eigenvectors(contacts, 1, track, ignore_diags=ignore_diags)
        # A map of pure distance decay has eigenvalues of rounding size and no compartments.
        vectors[i] = first[0] if abs(values[0]) > _ROUNDING else np.nan
    return unstack(vectors, single)


def compartment_correlation(
    prediction: ArrayLike, target: ArrayLike, phasing_track: ArrayLike, *, ignore_diags: int = 2
) -> Array:
    """Pearson correlation over bins between the compartment eigenvectors of two maps.

    Parameters
    ----------
    prediction, target, phasing_track, ignore_diags
        As for `compartment_eigenvector`.

    Returns
    -------
    array (n,), or a scalar for a single map
        Between -1 and 1; NaN if an eigenvector is missing.

    Raises
    ------
    ValueError
        If shapes do not match.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.metrics.contacts import compartment_correlation
    >>> kind = np.repeat([1, -1, 1, -1], 5)
    >>> target = 2.0 + np.outer(kind, kind)
    >>> prediction = 2.0 + 0.5 * np.outer(kind, kind)  # the same compartments, weaker
    >>> round(float(compartment_correlation(prediction, target, kind)), 2)
    1.0
    """
    a, b, single = map_pair(prediction, target)
    vectors = (compartment_eigenvector(m, phasing_track, ignore_diags=ignore_diags) for m in (a, b))
    return unstack(correlation(*vectors), single)
