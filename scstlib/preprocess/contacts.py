"""Contact maps: pseudo-bulk, depth, smoothing, positional encodings, observed/expected, balancing.

Maps are (..., bins, bins), symmetric. Windows and their cutting
(:mod:`scstlib.preprocess.windows`) and the means per distance (:mod:`scstlib.preprocess.expected`)
can be imported from here.
"""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from scstlib.caller import warn_caller
from scstlib.preprocess.expected import DistanceMeans, distance_means
from scstlib.preprocess.windows import Windows, make_windows, usable_bins, window_starts

__all__ = [
    "Balancing",
    "DistanceMeans",
    "Windows",
    "balance_matrix",
    "contact_unit",
    "distance_means",
    "distinct",
    "downsample",
    "laplacian_encodings",
    "make_windows",
    "normalise_depth",
    "pseudo_bulk",
    "smooth_eigenvalues",
    "usable_bins",
    "window_starts",
    "without_diagonal",
]


def pseudo_bulk(
    maps: Sequence[Any], labels: Sequence[Hashable], *, min_cells: int = 1
) -> dict[Hashable, Any]:
    """Sum the maps of single cells by label.

    Parameters
    ----------
    maps
        One (bins, bins) array or scipy sparse matrix a cell, all of the same shape.
    labels
        One a cell: cell type, time or any other group.
    min_cells
        Labels with fewer cells are left out, with a warning that names them.

    Returns
    -------
    dict
        Label → sum, CSR when the first cell is sparse, else a dense array; in order of appearance.

    Raises
    ------
    ValueError
        If lengths or shapes differ, or a label is missing.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.preprocess.contacts import pseudo_bulk
    >>> maps = [np.eye(2), np.ones((2, 2)), np.eye(2)]
    >>> sums = pseudo_bulk(maps, ["T", "T", "B"])
    >>> sums["T"].tolist()
    [[2.0, 1.0], [1.0, 2.0]]
    """
    if len(maps) != len(labels):
        raise ValueError(f"{len(maps)} maps but {len(labels)} labels")
    if pd.isna(pd.Series(list(labels), dtype=object)).any():
        raise ValueError("a label is missing: leave cells without one out")
    sums: dict[Hashable, Any] = {}
    cells: dict[Hashable, int] = {}
    for matrix, label in zip(maps, labels, strict=True):
        if matrix.shape != maps[0].shape:
            raise ValueError(f"maps of shapes {maps[0].shape} and {matrix.shape}")
        matrix = sp.csr_array(matrix) if sp.issparse(matrix) else np.asarray(matrix)
        sums[label] = sums[label] + matrix if label in sums else matrix.copy()
        cells[label] = cells.get(label, 0) + 1
    few = [label for label, n in cells.items() if n < min_cells]
    if few:
        warn_caller(f"fewer than {min_cells} cells, left out: {few}")
    return {label: total for label, total in sums.items() if label not in few}


def without_diagonal(contacts: np.ndarray) -> np.ndarray:
    """Replace each pixel of the main diagonal by the mean of its neighbours at distance one.

    Most contacts of large bins lie on the diagonal, say nothing about folding and would fill every
    loss; then it holds nothing of its own. No score should look at it.

    Parameters
    ----------
    contacts
        (bins, bins), symmetric.

    Returns
    -------
    numpy.ndarray
        (bins, bins), float64. A neighbour beyond the end counts as 0.

    Raises
    ------
    ValueError
        If the map is not square.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.preprocess.contacts import without_diagonal
    >>> without_diagonal(np.array([[90, 4, 1], [4, 80, 6], [1, 6, 70]]))
    array([[2., 4., 1.],
           [4., 5., 6.],
           [1., 6., 3.]])
    """
    if contacts.ndim != 2 or contacts.shape[0] != contacts.shape[1]:
        raise ValueError(f"a map of shape {contacts.shape} is not square")
    filled = contacts.astype(float)
    beside = np.pad(np.diagonal(filled, 1), 1)
    np.fill_diagonal(filled, (beside[1:] + beside[:-1]) / 2)
    return filled


def normalise_depth(counts: np.ndarray, *, reads: float = 25_000) -> np.ndarray:
    """Scale each map to a number of reads, log1p, divide by its maximum: values in [0, 1].

    As published for scGrapHiC (10.1093/bioinformatics/btae223); the sum runs over both triangles.
    NaN is left out of sum and maximum and stays NaN; an all-zero map stays zero.

    Parameters
    ----------
    counts
        (..., bins, bins), not negative.

    Raises
    ------
    ValueError
        If a count is negative or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.preprocess.contacts import normalise_depth
    >>> counts = np.array([[4.0, 1.0], [1.0, 0.0]])
    >>> maps = normalise_depth(counts)
    >>> maps.round(2).tolist()
    [[1.0, 0.86], [0.86, 0.0]]
    >>> np.allclose(normalise_depth(10 * counts), maps)
    True
    """
    counts = np.asarray(counts, dtype=float)
    if (counts < 0).any():
        raise ValueError(f"counts go down to {np.nanmin(counts)}: give raw counts")
    if np.isinf(counts).any():
        raise ValueError(f"{int(np.isinf(counts).sum())} counts are infinite: masked bins are NaN")
    total = np.nansum(counts, axis=(-2, -1), keepdims=True)
    scaled = np.log1p(counts / np.where(total > 0, total, 1) * reads)
    top = np.max(np.nan_to_num(scaled), axis=(-2, -1), keepdims=True)
    return scaled / np.where(top > 0, top, 1)


def contact_unit(maps: np.ndarray) -> float:
    """Return the value that one contact has in maps: 1 in raw counts, less in balanced maps.

    Balanced values that are on the scale of counts, or counts of which some were interpolated,
    are counts as far as noise goes, however deep the map is.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.preprocess.contacts import contact_unit
    >>> counts = np.array([[4.0, 1.0], [1.0, 2.0]])
    >>> contact_unit(counts), round(contact_unit(counts / 100), 3)
    (1.0, 0.01)
    """
    positive = maps[maps > 0]
    if np.array_equal(positive, np.round(positive)):
        return 1.0
    return min(1.0, float(np.quantile(positive, 0.05)))


def smooth_eigenvalues(maps: np.ndarray, *, threshold: float = 0.25) -> np.ndarray:
    """Soft-threshold the eigenvalues of each map: ``sign(λ) max(|λ| − threshold, 0)``.

    The smoothing of the published targets of scGrapHiC (10.1093/bioinformatics/btae223).

    Parameters
    ----------
    maps
        (..., bins, bins), symmetric and finite, as :func:`normalise_depth` returns.

    Raises
    ------
    ValueError
        If a value is NaN or infinite, or a map is not symmetric.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.preprocess.contacts import smooth_eigenvalues
    >>> smooth_eigenvalues(np.diag([1.0, 0.5, -0.1]), threshold=0.25).round(2).tolist()
    [[0.75, 0.0, 0.0], [0.0, 0.25, 0.0], [0.0, 0.0, 0.0]]
    """
    values, vectors = np.linalg.eigh(_symmetric(maps))
    values = np.sign(values) * np.maximum(np.abs(values) - threshold, 0)
    shrunk: np.ndarray = (vectors * values[..., None, :]) @ np.swapaxes(vectors, -1, -2)
    return shrunk


def laplacian_encodings(maps: np.ndarray, k: int) -> np.ndarray:
    """Positional encodings: the k smallest non-trivial eigenvectors of each map's Laplacian.

    Symmetric normalised Laplacian of the map without its diagonal; each eigenvector divided by its
    largest absolute value, then (v + 1) / 2 (10.1093/bioinformatics/btae223). An eigenvector's sign
    is arbitrary and here chosen so that its entry of largest absolute value is positive, yet it
    can flip between neighbouring windows. Bins without contacts, and encodings that a small map
    does not have, are 0.5.

    Parameters
    ----------
    maps
        (..., bins, bins), symmetric, finite, not negative.

    Returns
    -------
    array
        (..., bins, k), in [0, 1].

    Raises
    ------
    ValueError
        If a value is NaN, infinite or negative, a map is not symmetric, or k is negative.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.preprocess.contacts import laplacian_encodings
    >>> domain = np.repeat([0, 1], 3)
    >>> contacts = np.where(domain[:, None] == domain, 1.0, 0.1)
    >>> codes = laplacian_encodings(contacts, k=1)[:, 0]
    >>> codes.shape, bool(codes[:3].std() < 1e-6), bool(abs(codes[0] - codes[5]) > 0.9)
    ((6,), True, True)
    """
    maps = _symmetric(maps)
    bins = maps.shape[-1]
    if k < 0 or (maps < 0).any():
        raise ValueError(f"needs k >= 0 and contacts >= 0, not k={k} and {maps.min(initial=0)}")
    weights = maps * (1 - np.eye(bins))
    degree = weights.sum(axis=-1)
    scale = np.where(degree > 0, 1 / np.sqrt(np.where(degree > 0, degree, 1)), 0)
    laplacian = np.eye(bins) - weights * scale[..., :, None] * scale[..., None, :]
    # Eigenvalues lie in [0, 2]; 3 sets the empty bins apart from every vector of the others.
    laplacian += 2 * np.eye(bins) * (degree == 0)[..., None, :]
    values, vectors = np.linalg.eigh(laplacian)
    order = np.argsort(np.where((values < 1e-8) | (values > 2.5), np.inf, values), axis=-1)
    usable = np.take_along_axis(values, order, axis=-1)
    vectors = np.take_along_axis(vectors, order[..., None, :], axis=-1)
    vectors = vectors * ((usable > 1e-8) & (usable < 2.5))[..., None, :]
    peak = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=-2, keepdims=True), axis=-2)
    encodings = (vectors / np.where(peak == 0, 1, peak) + 1) / 2
    padding = [(0, 0)] * (encodings.ndim - 1) + [(0, max(0, k - bins))]
    return np.pad(encodings, padding, constant_values=0.5)[..., :k]


def _symmetric(maps: np.ndarray) -> np.ndarray:
    maps = np.asarray(maps, dtype=float)
    if not np.isfinite(maps).all():
        raise ValueError("maps hold NaN or infinity: set masked bins to 0 first")
    if maps.ndim < 2 or not np.allclose(maps, np.swapaxes(maps, -1, -2)):
        raise ValueError(f"maps of shape {maps.shape} are not symmetric (..., bins, bins)")
    return maps


def downsample(
    counts: np.ndarray,
    *,
    seed: int | np.random.Generator,
    fraction: float | None = None,
    n_contacts: int | None = None,
) -> np.ndarray:
    """Thin a map of counts: each contact is kept or lost by chance.

    A contact is a count of the upper triangle with the diagonal; the lower mirrors it.

    Parameters
    ----------
    counts
        (bins, bins), symmetric whole numbers.
    fraction
        Keep each contact with this probability (binomial).
    n_contacts
        Or keep exactly this many, without replacement.

    Raises
    ------
    ValueError
        If counts are not symmetric whole numbers, both or neither size is given, or it is too big.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.preprocess.contacts import downsample
    >>> counts = np.full((10, 10), 20)
    >>> thinned = downsample(counts, n_contacts=100, seed=0)
    >>> int(np.triu(thinned).sum()), bool((thinned == thinned.T).all())
    (100, True)
    """
    counts = _symmetric(counts)
    if (counts < 0).any() or (counts != np.round(counts)).any():
        raise ValueError(
            "counts must be whole and not negative: thin raw counts, not balanced ones"
        )
    if (fraction is None) == (n_contacts is None):
        raise ValueError("give either fraction or n_contacts")
    rng = np.random.default_rng(seed)
    upper = np.triu_indices(counts.shape[-1])
    pixels = counts[upper].astype(np.int64)
    if fraction is not None:
        if not 0 <= fraction <= 1:
            raise ValueError(f"fraction is {fraction}: give a probability")
        kept = rng.binomial(pixels, fraction)
    elif n_contacts is not None:
        if not 0 <= n_contacts <= pixels.sum():
            raise ValueError(f"{n_contacts} contacts asked for, the map has {pixels.sum()}")
        kept = rng.multivariate_hypergeometric(pixels, n_contacts, method="marginals")
    thinned = np.zeros(counts.shape)
    thinned[upper] = kept
    return thinned + np.triu(thinned, 1).T


@dataclass(frozen=True, eq=False)
class Balancing:
    """Result of :func:`balance_matrix`.

    ``weights``: (n_bins,), multiply row and column; NaN for bins that were filtered.
    ``converged``: by chromosome when ``cis_only``, else under the key ``"genome"``.
    ``mask``: (n_bins,), True for bins with a weight.
    """

    weights: np.ndarray
    converged: dict[str, bool]
    mask: np.ndarray


def balance_matrix(clr: Any, *, cis_only: bool = True, **options: Any) -> Balancing:
    """Balance a cooler file by iterative correction, through cooler (10.1038/nmeth.2148).

    The file is not changed. When the iteration does not converge, its last weights are returned
    with ``converged`` False and a warning; they are not to be trusted.

    Parameters
    ----------
    clr
        Path or ``cooler.Cooler``.
    options
        Of ``cooler.balance_cooler``: ``mad_max``, ``min_nnz``, ``ignore_diags``, ``tol``, ...

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    """
    import cooler

    clr = clr if isinstance(clr, cooler.Cooler) else cooler.Cooler(str(clr))
    with warnings.catch_warnings():
        # cooler warns for each chromosome; one warning that names them follows. Chromosomes
        # without contacts, or filtered as a whole, give means of nothing inside cooler.
        warnings.simplefilter("ignore")
        weights, stats = cooler.balance_cooler(clr, cis_only=cis_only, **options)
    flags = np.atleast_1d(stats["converged"])
    names = clr.chromnames if cis_only else ["genome"]
    converged = {name: bool(flag) for name, flag in zip(names, flags, strict=True)}
    failed = [name for name, flag in converged.items() if not flag]
    if failed:
        warn_caller(
            f"balancing did not converge on {failed}: filter more bins (min_nnz, mad_max), use "
            "larger bins, or raise max_iters"
        )
    return Balancing(weights, converged, np.isfinite(weights))


def distinct(*arrays: np.ndarray) -> tuple[list[int], list[int]]:
    """Return the first row of each group of equal rows of arrays, and the group of every row.

    Cell types of one place share their bulk map, which is then prepared once.

    Parameters
    ----------
    *arrays : numpy.ndarray, shape (n, ...)

    Returns
    -------
    list of int
        First row of each group, in order of appearance.
    list of int
        Number of the group of each of the n rows.

    Examples
    --------
    >>> distinct(np.array([5, 7, 5]))
    ([0, 1], [0, 1, 0])
    """
    number: dict[bytes, int] = {}
    group = [
        number.setdefault(b"".join(each.tobytes() for each in row), len(number))
        for row in zip(*arrays, strict=True)
    ]
    return [group.index(i) for i in range(len(number))], group
