"""A/B compartments of contact maps by cooltools' eigenvectors, and their agreement."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from scstlib.metrics._arrays import Array, correlation, map_pair, map_stack, unstack

# Smallest eigenvalue that is more than rounding; observed over expected is about 1.
_ROUNDING = 1e-10


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
    from cooltools.api.eigdecomp import cis_eig

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
        values, first = cis_eig(
            contacts, 1, phasing_track=track, ignore_diags=ignore_diags, clip_percentile=99.9
        )
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
