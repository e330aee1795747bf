"""Metrics between two populations of cells: pure functions on dense (cells, genes) arrays.

Columns may be genes, principal components or any other coordinates, as long as both populations
use the same; a value means nothing without the space, the scaling and the number of cells.

Both have to hold one quantity: *log expression*, log1p of expected counts per 10,000, goes with
noise-free truth; *mean log values*, means of log1p of measured counts per 10,000, go with measured
cells. :mod:`scstlib.models.temporal.protocol` says where predicted cells hold which.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from scstlib.metrics._arrays import Array, cells_array, populations
from scstlib.metrics.distribution import (
    energy_distance,
    mean_pairwise_distance,
    mmd,
    sinkhorn,
    wasserstein,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "energy_distance",
    "fate_classifier",
    "fate_shares",
    "mean_error",
    "mean_pairwise_distance",
    "mmd",
    "sinkhorn",
    "skill_score",
    "variance_ratio",
    "wasserstein",
    "zero_fraction_error",
]


def mean_error(x: ArrayLike, y: ArrayLike) -> float:
    """Root mean square over genes of the difference between the population means.

    Parameters
    ----------
    x, y : array (cells, genes)
        The two populations.

    Returns
    -------
    float
        Units of the coordinates; blind to everything but the means.

    Raises
    ------
    ValueError
        If the arrays are sparse, empty, not finite, or differ in genes.

    Examples
    --------
    >>> from scstlib.metrics.expression import mean_error
    >>> round(mean_error([[0.0, 1.0], [2.0, 1.0]], [[1.0, 4.0]]), 3)
    2.121
    """
    a, b = populations(x, y)
    return float(np.sqrt(np.square(a.mean(axis=0) - b.mean(axis=0)).mean()))


def variance_ratio(prediction: ArrayLike, truth: ArrayLike) -> Array:
    """Variance of the predicted cells divided by that of the true cells, per gene.

    Parameters
    ----------
    prediction, truth : array (cells, genes)
        The two populations; variances with n - 1.

    Returns
    -------
    array (genes,)
        Below 1 where the prediction varies too little; NaN where the truth does not vary, and
        everywhere if a population has one cell.

    Raises
    ------
    ValueError
        If the arrays are sparse, empty, not finite, or differ in genes.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.metrics.expression import variance_ratio
    >>> truth = np.array([[0.0, 1.0], [2.0, 1.0], [4.0, 1.0]])
    >>> variance_ratio(truth / 2, truth).tolist()  # the second gene does not vary
    [0.25, nan]
    """
    a, b = populations(prediction, truth)
    result = np.full(a.shape[1], np.nan)
    if min(len(a), len(b)) > 1:
        # Equal values can have a variance by rounding; their range is exactly 0.
        varies = np.ptp(b, axis=0) > 0
        np.divide(a.var(axis=0, ddof=1), b.var(axis=0, ddof=1), out=result, where=varies)
    return result


def zero_fraction_error(x: ArrayLike, y: ArrayLike) -> float:
    """Mean over genes of the absolute difference between the fractions of cells that are zero.

    Parameters
    ----------
    x, y : array (cells, genes)
        The two populations, in a unit in which no expression is exactly 0.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    ValueError
        If the arrays are sparse, empty, not finite, or differ in genes.

    Examples
    --------
    >>> from scstlib.metrics.expression import zero_fraction_error
    >>> zero_fraction_error([[0, 3], [2, 1]], [[0, 0], [0, 1]])
    0.5
    """
    a, b = populations(x, y)
    return float(np.abs((a == 0).mean(axis=0) - (b == 0).mean(axis=0)).mean())


def skill_score(errors: ArrayLike, reference_errors: ArrayLike) -> float:
    """Share of a reference's error that a prediction avoids: 1 - sum(errors) / sum(reference).

    The reference is what is predicted without a model, such as a copy of the time before or of the
    bulk map (Murphy 1988, 10.1175/1520-0493(1988)116<2417:SSBOTM>2.0.CO;2).

    Parameters
    ----------
    errors : array (n,)
        Errors of the prediction at n held-out times or places, such as squared distances.
    reference_errors : array (n,)
        Errors of the reference at the same.

    Returns
    -------
    float
        1 without error, 0 for the reference itself, below 0 for what is worse than it.

    Raises
    ------
    ValueError
        If the arrays differ in length, are empty or not finite, or the reference has no error.

    Examples
    --------
    >>> skill_score([1.0, 2.0], [4.0, 2.0])
    0.5
    """
    own, reference = np.asarray(errors, dtype=float), np.asarray(reference_errors, dtype=float)
    if own.ndim != 1 or own.shape != reference.shape or not own.size:
        raise ValueError(
            f"errors and reference_errors must be one number for each time or place, got"
            f" {own.shape} and {reference.shape}"
        )
    if not (np.isfinite(own).all() and np.isfinite(reference).all()):
        raise ValueError("errors are not finite: leave out what could not be scored")
    if not reference.sum() > 0:
        raise ValueError(
            f"errors of the reference add up to {reference.sum():g}: without an error to avoid"
            " there is no skill"
        )
    return float(1 - own.sum() / reference.sum())


def fate_classifier(
    cells: ArrayLike, fates: ArrayLike, *, components: int = 30, seed: int = 0
) -> Any:
    """Classifier of fates for `fate_shares`, trained on training cells: PCA, logistic regression.

    Parameters
    ----------
    cells : array (cells, genes)
        Training cells in the unit of the populations to be judged, such as log1p of counts per
        10,000.
    fates : array (cells,)
        Their labels, at least two different ones.
    components : int
        Principal components kept, at most the number of cells or genes.
    seed : int
        Of the randomised PCA.

    Returns
    -------
    fitted scikit-learn pipeline

    Raises
    ------
    ValueError
        If the numbers of cells and labels differ or there is one fate only.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.metrics.expression import fate_classifier
    >>> cells = np.repeat([[0.0, 5.0], [5.0, 0.0]], 10, axis=0)
    >>> classifier = fate_classifier(cells, ["alpha"] * 10 + ["beta"] * 10)
    >>> classifier.predict([[1.0, 4.0]]).tolist()
    ['alpha']
    """
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train, labels = cells_array(cells, "cells"), np.asarray(fates)
    if labels.shape != (len(train),):
        raise ValueError(f"fates must be ({len(train)},), one a cell, got {labels.shape}")
    if len(np.unique(labels)) < 2:
        raise ValueError("fates must hold at least two different labels")
    classifier = make_pipeline(
        PCA(min(components, *train.shape), random_state=seed),
        StandardScaler(),
        LogisticRegression(max_iter=1000),
    )
    return classifier.fit(train, labels)


def fate_shares(cells: ArrayLike, classifier: Any) -> pd.Series:
    """Share of cells that a classifier assigns to each fate.

    Compare with the shares that the same classifier finds in true cells, not with their labels:
    its errors are then the same on both sides.

    Parameters
    ----------
    cells : array (cells, genes)
        Genes and unit as the classifier was trained on.
    classifier : fitted scikit-learn classifier
        Trained on training cells only; `fate_classifier` gives one.

    Returns
    -------
    pandas.Series (fates,)
        Indexed by ``classifier.classes_``, summing to 1; fates without a cell are 0.

    Raises
    ------
    ValueError
        If the cells are sparse, empty or not finite, or the classifier is not fitted.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.metrics.expression import fate_classifier, fate_shares
    >>> cells = np.repeat([[0.0, 5.0], [5.0, 0.0]], 10, axis=0)
    >>> classifier = fate_classifier(cells, ["alpha"] * 10 + ["beta"] * 10)
    >>> predicted = np.repeat([[0.5, 4.5], [4.5, 0.5]], [3, 1], axis=0)
    >>> fate_shares(predicted, classifier).to_dict()
    {'alpha': 0.75, 'beta': 0.25}
    """
    import pandas as pd

    if not hasattr(classifier, "classes_"):
        raise ValueError("classifier is not fitted: call fit, or use fate_classifier")
    assigned = pd.Series(classifier.predict(cells_array(cells, "cells")))
    shares = assigned.value_counts(normalize=True)
    return shares.reindex(classifier.classes_, fill_value=0.0).rename("share")
