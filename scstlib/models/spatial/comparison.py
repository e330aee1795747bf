"""Score spatial models on held-out windows, with the ceiling and reference rows in one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from scstlib.leakage import check_evaluation
from scstlib.metrics.contacts import (
    contrast_correlation,
    genome_disco,
    insulation_contrast_correlation,
    insulation_correlation,
    mse,
    ssim,
    stratum_adjusted_correlation,
)
from scstlib.models.spatial.protocol import SpatialModel
from scstlib.preprocess.contacts import normalise_depth
from scstlib.preprocess.windows import Windows

if TYPE_CHECKING:
    import pandas as pd

CEILING = "truth"
#: Largest distance of the stratum-adjusted correlation in bins, as published
#: (10.1093/bioinformatics/btae223).
MAX_DISTANCE = 39
METRICS = ("MSE", "SSIM", "GD", "SCC", "SCCt", "dC", "ins", "dIns")
PLACE = ["chrom", "start", "end", "cell_type"]


def contact_scores(
    prediction: np.ndarray,
    windows: Windows,
    *,
    truth: np.ndarray | None = None,
    reference: np.ndarray | None = None,
    prediction_reference: np.ndarray | None = None,
    max_distance: int = MAX_DISTANCE,
    insulation_window: int = 10,
) -> pd.DataFrame:
    """Score predicted contacts, one row a window; masked bins do not count.

    MSE, SSIM, GD (GenomeDISCO) and SCC compare with the targets, on the scale of
    :func:`scstlib.preprocess.contacts.normalise_depth`, which takes the depth out. SCCt, dC, ins
    and dIns compare with the truth: SCC, the contrast between cell types, insulation, and the
    contrast of insulation, which is of contacts without a logarithm.

    Parameters
    ----------
    prediction : array (n, bins, bins)
        Expected contacts, at any depth.
    windows : Windows
        With targets, counts.
    truth : array (n, bins, bins), optional
        Noise-free contacts, at any depth; without it, the targets stand in for it.
    reference : array (n, bins, bins), optional
        Mean truth of the training types at the same places; without it, no contrasts.
    prediction_reference : array (n, bins, bins), optional
        Mean of the model's own predictions for the training types at the same places; see
        :func:`mean_at_places`.
    max_distance, insulation_window : int
        In bins.

    Returns
    -------
    pandas.DataFrame
        ``chrom``, ``start``, ``end``, ``cell_type`` and a column a metric.

    Raises
    ------
    ValueError
        If shapes differ, there are no targets, or a prediction is negative or not finite.
    """
    import pandas as pd

    if windows.targets is None:
        raise ValueError("these windows have no targets to score against.")
    prediction = _checked(prediction, windows)
    target = on_scale(windows.targets, windows.mask)
    scaled = on_scale(prediction, windows.mask)
    true = windows.targets if truth is None else truth
    true_scaled = target if truth is None else on_scale(truth, windows.mask)
    contacts = masked(prediction, windows.mask), masked(true, windows.mask)
    found = {
        "MSE": mse(scaled, target),
        "SSIM": ssim(scaled, target, data_range=1),
        "GD": genome_disco(scaled, target),
        "SCC": stratum_adjusted_correlation(scaled, target, max_distance=max_distance),
        "SCCt": stratum_adjusted_correlation(scaled, true_scaled, max_distance=max_distance),
    }
    if reference is not None:
        own = reference if prediction_reference is None else prediction_reference
        found["dC"] = contrast_correlation(
            scaled,
            true_scaled,
            on_scale(reference, windows.mask),
            prediction_reference=on_scale(own, windows.mask),
        )
        found["dIns"] = insulation_contrast_correlation(
            *contacts,
            masked(reference, windows.mask),
            window=insulation_window,
            prediction_reference=masked(own, windows.mask),
        )
    found["ins"] = insulation_correlation(*contacts, window=insulation_window)
    order = [name for name in METRICS if name in found]
    table = windows.table[PLACE].reset_index(drop=True)
    return pd.concat([table, pd.DataFrame(found)[order]], axis=1)


def score_windows(
    models: Mapping[str, SpatialModel],
    test: Windows,
    *,
    truth: np.ndarray | None = None,
    reference: np.ndarray | None = None,
    training: Windows | None = None,
    references: Mapping[str, SpatialModel] | None = None,
    max_distance: int = MAX_DISTANCE,
    insulation_window: int = 10,
) -> pd.DataFrame:
    """Compare fitted models on windows that they have not seen.

    Parameters
    ----------
    models : mapping of str to fitted models
    test : Windows
        With noisy targets.
    truth, reference : arrays (n, bins, bins), optional
        As in :func:`contact_scores`. With a truth, the row ``CEILING`` holds its own scores: what
        noise in the targets leaves to any prediction.
    training : Windows, optional
        Windows of the training types at the places of ``test``, for which the models predict too:
        contrasts of a prediction are taken to the mean of these predictions.
    references : mapping of str to fitted models, optional
        Rows that know more than a model may, such as the targets of other cell types at the test
        places; the leak guard does not look at them.
    max_distance, insulation_window : int
        In bins, as in :func:`contact_scores`.

    Returns
    -------
    pandas.DataFrame
        ``model``, then as :func:`contact_scores`.

    Raises
    ------
    LeakageError
        If one of ``models`` was fitted on chromosomes of ``test``.
    ValueError
        As :func:`contact_scores`, if ``training`` lacks a place of ``test``, or there is no row.
    """
    import pandas as pd

    check_evaluation(list(models.values()), test)

    def scores(maps: np.ndarray, own: np.ndarray | None = None) -> pd.DataFrame:
        return contact_scores(
            maps,
            test,
            truth=truth,
            reference=reference,
            prediction_reference=own,
            max_distance=max_distance,
            insulation_window=insulation_window,
        )

    parts = [] if truth is None else [scores(truth).assign(model=CEILING)]
    for name, model in {**models, **(references or {})}.items():
        predicted = model.predict(test)
        own = None
        if training is not None and reference is not None:
            same = training.table[PLACE].equals(test.table[PLACE])
            own = mean_at_places(predicted if same else model.predict(training), training, test)
        parts.append(scores(predicted, own).assign(model=name))
    if not parts:
        raise ValueError("there is nothing to score: give models, references or a truth.")
    table = pd.concat(parts, ignore_index=True)
    return table[["model", *table.columns.drop("model")]]


def mean_at_places(maps: np.ndarray, windows: Windows, places: Windows) -> np.ndarray:
    """Mean over cell types of the maps at the places of other windows.

    Parameters
    ----------
    maps : array (m, bins, bins)
        One a row of ``windows``: a cell type and a place.
    places : Windows
        n windows, at whose places the means are wanted.

    Returns
    -------
    array (n, bins, bins)

    Raises
    ------
    ValueError
        If a place has no map.
    """
    rows = windows.table.groupby(["chrom", "start"], sort=False).indices
    means = {place: maps[which].mean(axis=0, dtype=float) for place, which in rows.items()}
    wanted = list(zip(places.table["chrom"], places.table["start"], strict=True))
    for chrom, start in wanted:
        if (chrom, start) not in means:
            raise ValueError(f"no window of the training types begins at {chrom}:{start}")
    return np.stack([means[place] for place in wanted])


def contrast_by_distance(
    prediction: np.ndarray, truth: np.ndarray, windows: Windows, *, max_distance: int = MAX_DISTANCE
) -> np.ndarray:
    """Correlate what is specific to cell types with the truth, distance by distance.

    From each map, on the scale of :func:`scstlib.preprocess.contacts.normalise_depth`, the mean
    over the cell types of its place is taken; the pixels of all windows are correlated at once.

    Parameters
    ----------
    prediction, truth : arrays (n, bins, bins)
        Contacts, at any depth.
    windows : Windows
        n windows, several cell types a place; masked bins do not count.
    max_distance : int
        In bins.

    Returns
    -------
    array (max_distance,)
        At distances of 1, 2, ... bins; 0 where one of the two does not vary.

    Raises
    ------
    ValueError
        If shapes differ, a prediction is negative or not finite, or no place has two cell types.

    Examples
    --------
    >>> from scstlib.datasets import simulate_organism
    >>> from scstlib.models.spatial.comparison import contrast_by_distance
    >>> from scstlib.preprocess.organism_windows import organism_windows
    >>> organism = simulate_organism(preset="tiny")
    >>> windows, truth = organism_windows(organism, ["stem", "beta_mature"], ["chr1"], window=32)
    >>> contrast_by_distance(truth, truth, windows, max_distance=3).round(3)
    array([1., 1., 1.])
    """
    kinds_of_place = windows.table.groupby(["chrom", "start"])["cell_type"].nunique()
    if kinds_of_place.max() < 2:
        raise ValueError("there is one cell type at each place: nothing to compare it with")
    apart = []
    for maps in (_checked(prediction, windows), _checked(truth, windows)):
        scaled = on_scale(maps, windows.mask)
        apart.append(scaled - mean_at_places(scaled, windows, windows))
    found = np.zeros(max_distance)
    for d in range(1, max_distance + 1):
        x, y = (np.diagonal(m, d, 1, 2).ravel() for m in apart)
        known = np.isfinite(x) & np.isfinite(y)
        x, y = x[known] - x[known].mean(), y[known] - y[known].mean()
        scale = np.sqrt((x @ x) * (y @ y))
        found[d - 1] = x @ y / scale if scale > 1e-12 else 0.0
    return found


def mean_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over windows of each metric, a row for each model, in their order."""
    metrics = [name for name in METRICS if name in scores]
    return scores.groupby("model", sort=False)[metrics].mean().rename_axis(index=None)


def on_scale(contacts: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Contacts (n, bins, bins) on the scale of comparison, with NaN in masked bins (n, bins)."""
    return normalise_depth(masked(contacts, mask))


def masked(contacts: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Contacts (n, bins, bins), float64, with NaN in masked bins (n, bins)."""
    return np.where(mask[:, :, None] & mask[:, None, :], contacts, np.nan).astype(float)


def _checked(prediction: np.ndarray, windows: Windows) -> np.ndarray:
    prediction = np.asarray(prediction)
    if prediction.shape != windows.bulk.shape:
        raise ValueError(f"a prediction of shape {prediction.shape}, not {windows.bulk.shape}")
    if not np.isfinite(prediction).all() or (prediction < 0).any():
        raise ValueError(
            "a prediction holds negative or non-finite contacts: models predict contacts, not"
            " their logarithms."
        )
    return prediction
