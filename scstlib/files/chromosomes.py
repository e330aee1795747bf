"""Predictions of several samples as maps of whole chromosomes, and their scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from scstlib.files.stitch import stitch, symmetric
from scstlib.metrics.contacts import contrast_correlation, stratum_adjusted_correlation
from scstlib.preprocess.contacts import normalise_depth

if TYPE_CHECKING:
    import pandas as pd


def join_samples(
    maps: np.ndarray,
    table: pd.DataFrame,
    n_bins: Mapping[str, int],
    *,
    bin_size: int,
    max_distance: int,
) -> dict[tuple[str, str, str], np.ndarray]:
    """Join predicted windows to one map a cell type, donor and chromosome.

    Parameters
    ----------
    maps
        (n, window, window), symmetric.
    table
        n rows with ``cell_type``, ``donor``, ``chrom`` and ``start`` (bp), as ``windows.table``.
    n_bins, bin_size, max_distance
        As for :func:`scstlib.files.stitch.stitch`.

    Returns
    -------
    dict
        (cell type, donor, chromosome) → (bins, bins), symmetric, contacts; 0 beyond
        `max_distance`.

    Raises
    ------
    ValueError
        As :func:`scstlib.files.stitch.stitch`.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from scstlib.files.chromosomes import join_samples
    >>> row = {"cell_type": "MG", "donor": "A", "chrom": "chr1", "start": [0, 100]}
    >>> joined = join_samples(
    ...     np.ones((2, 4, 4)), pd.DataFrame(row), {"chr1": 5}, bin_size=100, max_distance=3
    ... )
    >>> joined["MG", "A", "chr1"].shape
    (5, 5)
    """
    joined: dict[tuple[str, str, str], np.ndarray] = {}
    for kind, donor in table[["cell_type", "donor"]].drop_duplicates().itertuples(index=False):
        rows = np.flatnonzero((table["cell_type"] == kind) & (table["donor"] == donor))
        upper = stitch(
            maps[rows], table.iloc[rows], n_bins, bin_size=bin_size, max_distance=max_distance
        )
        joined |= {(kind, donor, chrom): symmetric(m).toarray() for chrom, m in upper.items()}
    return joined


def chromosome_scores(
    predicted: Mapping[tuple[str, str, str], np.ndarray],
    target: Mapping[tuple[str, str, str], np.ndarray],
    usable: Mapping[str, np.ndarray],
    *,
    max_distance: int,
) -> pd.DataFrame:
    """Score maps of whole chromosomes: SCC, and the contrast to the mean of the cell types.

    Both leave out the main diagonal and compare on the scale of
    :func:`scstlib.preprocess.contacts.normalise_depth`, each chromosome by itself.

    Parameters
    ----------
    predicted, target
        (cell type, donor, chromosome) → contacts (bins, bins); every cell type for every donor.
        What is predicted and not in `target` does not count.
    usable
        Chromosome → (bins,), True where a bin has contacts; the chromosomes that are scored.
    max_distance
        In bins.

    Returns
    -------
    pandas.DataFrame
        ``cell_type``, ``donor``, ``chrom``, ``SCC`` and ``dC``, a row a map.

    Raises
    ------
    ValueError
        If `predicted` lacks a map.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.files.chromosomes import chromosome_scores
    >>> counts = np.random.default_rng(0).poisson(9, (2, 6, 6)).astype(float)
    >>> target = {(k, "A", "chr1"): m + m.T for k, m in zip("ab", counts)}
    >>> scores = chromosome_scores(target, target, {"chr1": np.ones(6, bool)}, max_distance=4)
    >>> scores[["SCC", "dC"]].round(3).to_numpy().tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    import pandas as pd

    kinds = list(dict.fromkeys(kind for kind, _, _ in target))
    donors = list(dict.fromkeys(donor for _, donor, _ in target))
    rows = []
    for donor in donors:
        for chrom, seen in usable.items():
            keys = [(kind, donor, chrom) for kind in kinds]
            lacking = [key for key in keys if key not in predicted or key not in target]
            if lacking:
                raise ValueError(f"there is no map of {lacking[0]}")
            own, true = (
                np.stack([_comparable(maps[key], seen, max_distance) for key in keys])
                for maps in (predicted, target)
            )
            row: dict[str, Any] = {"cell_type": kinds, "donor": donor, "chrom": chrom}
            row["SCC"] = stratum_adjusted_correlation(own, true, max_distance=max_distance)
            row["dC"] = contrast_correlation(
                own, true, true.mean(0), prediction_reference=own.mean(0)
            )
            rows.append(pd.DataFrame(row))
    return pd.concat(rows, ignore_index=True)


def _comparable(contacts: np.ndarray, usable: np.ndarray, max_distance: int) -> np.ndarray:
    """Map on the scale of comparison; NaN in masked bins, on the diagonal and too far from it."""
    i, j = np.indices(contacts.shape)
    seen = usable[i] & usable[j] & (abs(i - j) >= 1) & (abs(i - j) <= max_distance)
    return normalise_depth(np.where(seen, contacts, np.nan))
