"""What trees are tried on by hand: scores of cells in time, and maps of which a pixel is a row.

Of maps, trees are anything with ``predict`` that takes rows, one for each pixel on and above the
diagonal of a window, and returns a factor: contacts over those of the smoothed bulk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np

from scstlib.metrics.contacts import contrast_correlation, stratum_adjusted_correlation
from scstlib.metrics.expression import energy_distance, wasserstein

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from scstlib.datasets import Organism
    from scstlib.models.temporal.protocol import CellSampler
    from scstlib.preprocess.windows import Windows

TYPES = ("stem", "bipotent", "beta_precursor", "beta_mature", "gamma_mature")


def place_and_likeness(
    models: Mapping[str, CellSampler], train: AnnData, test: AnnData, seed: int
) -> pd.DataFrame:
    """Score fitted models on held-out times between the training times and beyond the last.

    Place is the squared Wasserstein distance of de-noised cells to measured ones in the first six
    principal components of the training cells, likeness the energy distance of cells with noise in
    all genes; both in the unit of log values.

    Parameters
    ----------
    models : mapping of str to fitted models
    train, test : AnnData
        Times in ``obs["time"]``; counts, or with another unit in ``uns["value_kind"]``.
    seed : int
        Draws the halves of the measured cells, and predicted cells.

    Returns
    -------
    pandas.DataFrame, (models and the floor, scores)
        Means over times, the median of three splits into halves; columns such as "place, inner".
    """
    import pandas as pd
    from sklearn.decomposition import PCA

    from scstlib.experiments.forecasts import values_of
    from scstlib.models.temporal.comparison import score_held_out_times

    pca = PCA(6, random_state=seed).fit(values_of(train))

    def place(x: np.ndarray, y: np.ndarray) -> float:
        return float(wasserstein(pca.transform(x), pca.transform(y), squared=True))

    there = score_held_out_times(models, test, {"place": place}, seed=seed, noise="depth")
    alike = score_held_out_times(models, test, {"likeness": energy_distance}, seed=seed)
    scores = pd.concat([there, alike])
    outer = scores["time"] > train.obs["time"].max()
    scores["score"] = scores["metric"] + np.where(outer, ", outer", ", inner")
    of_split = scores.groupby(["model", "score", "repeat"], sort=False)["value"].mean()
    found = of_split.groupby(["model", "score"], sort=False).median().unstack("score")
    order = [f"{score}, {kind}" for kind in ("inner", "outer") for score in ("place", "likeness")]
    return found.loc[scores["model"].unique(), [name for name in order if name in found]]


class Regression(Protocol):
    """Whatever predicts a number for each row."""

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Return numbers (rows,) for rows (rows, features)."""
        ...


@dataclass(frozen=True, eq=False)
class HeldOutMaps:
    """Windows of five cell types, the last chromosome held out.

    Attributes
    ----------
    train, test : Windows
        With targets.
    truth : numpy.ndarray, shape (n, bins, bins)
        Expected contacts of the test windows.
    smoothed : numpy.ndarray, shape (n, bins, bins)
        Smoothed bulk of the test windows.
    """

    train: Windows
    test: Windows
    truth: np.ndarray
    smoothed: np.ndarray

    @classmethod
    def of(cls, organism: Organism, seed: int, window: int = 64) -> Self:
        """Measure an organism of at least two chromosomes and cut windows of so many bins.

        Examples
        --------
        >>> from scstlib.datasets import simulate_organism
        >>> maps = HeldOutMaps.of(simulate_organism(preset="tiny"), seed=0, window=32)
        >>> len(maps.train), len(maps.test), maps.truth.shape
        (20, 10, (10, 32, 32))
        """
        from scstlib.models.spatial.baselines import BulkSmoothed
        from scstlib.preprocess.organism_windows import organism_windows
        from scstlib.splits import hold_out_chromosomes

        places = organism.chromosomes
        windows, expected = organism_windows(organism, TYPES, places, window=window, seed=seed)
        true = replace(windows, targets=expected)
        split, known = (hold_out_chromosomes(each, places[-1]) for each in (windows, true))
        smoothed = BulkSmoothed().fit(split.train).predict(split.test)
        assert known.test.targets is not None
        return cls(split.train, split.test, known.test.targets, smoothed)

    def score(self, predicted: np.ndarray) -> tuple[float, float]:
        """Score maps (n, bins, bins) of the test windows against the truth.

        Returns
        -------
        tuple of two float
            Stratum-adjusted correlation up to 39 bins, and dC, the correlation of what is specific
            to a cell type.
        """
        from scstlib.models.spatial.comparison import MAX_DISTANCE, mean_at_places, on_scale

        both = [predicted, self.truth]
        means = [mean_at_places(maps, self.test, self.test) for maps in both]
        found, true, own, reference = (on_scale(maps, self.test.mask) for maps in both + means)
        whole = stratum_adjusted_correlation(found, true, max_distance=MAX_DISTANCE)
        specific = contrast_correlation(found, true, reference, prediction_reference=own)
        return float(whole.mean()), float(specific.mean())

    def predict(self, trees: Regression, rows: np.ndarray) -> np.ndarray:
        """Maps (n, bins, bins) of the test windows, from rows (n, pixels, features)."""
        factor = trees.predict(rows.reshape(-1, rows.shape[2])).reshape(rows.shape[:2])
        i, j = np.triu_indices(self.smoothed.shape[-1])
        maps = np.zeros(self.smoothed.shape)
        maps[:, i, j] = maps[:, j, i] = self.smoothed[:, i, j] * factor
        return maps

    def shuffled(
        self, trees: Regression, rows: np.ndarray, columns: Sequence[int], seed: int
    ) -> tuple[float, float]:
        """Score as :meth:`score`, with columns of the rows shuffled among all pixels.

        The columns are shuffled together: what belongs together in them stays so.
        """
        flat = rows.reshape(-1, rows.shape[2]).copy()
        order = np.random.default_rng(seed).permutation(len(flat))
        flat[:, columns] = flat[order][:, columns]
        return self.score(self.predict(trees, flat.reshape(rows.shape)))


def as_frame(
    scores: Mapping[str, Sequence[float]], names: Sequence[str] | None = None
) -> pd.DataFrame:
    """What :meth:`HeldOutMaps.score` returned, a row for each name.

    Examples
    --------
    >>> as_frame({"copy": (0.5, 0.0), "trees": (0.75, 0.5)}, ["trees"])
            SCC   dC
    trees  0.75  0.5
    """
    import pandas as pd

    chosen = {name: scores[name] for name in names or scores}
    return pd.DataFrame(chosen, index=["SCC", "dC"]).T


def levels(windows: Windows, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Expression along the genome, and how it differs from that of the bulk's cells.

    Parameters
    ----------
    windows : Windows
        With the tracks of :func:`scstlib.preprocess.organism_windows.organism_windows`.
    width : float
        Standard deviation in bins of a Gaussian that blurs both; 0: not at all.

    Returns
    -------
    tuple of two numpy.ndarray, shape (n, bins)
        Sums over strands of log(1 + counts per 10,000), and differences of such sums.

    Examples
    --------
    >>> from scstlib.datasets import simulate_organism
    >>> maps = HeldOutMaps.of(simulate_organism(preset="tiny"), seed=0, window=32)
    >>> level, change = levels(maps.test, width=2.0)
    >>> level.shape, float(abs(change[maps.test.table["cell_type"] == "stem"]).max())
    ((10, 32), 0.0)
    """
    from scipy.ndimage import gaussian_filter1d

    names = list(windows.track_names)
    own, bulk = (
        np.log1p(windows.tracks[..., [names.index(f"{name} {strand}") for strand in "+-"]]).sum(2)
        for name in ("expression", "bulk expression")
    )
    level, change = own.astype(float), (own - bulk).astype(float)
    if width > 0:
        level, change = (
            gaussian_filter1d(x, width, axis=1, mode="nearest") for x in (level, change)
        )
    return level, change


def informative_pixels(usual: np.ndarray, n_pixels: int, seed: int) -> np.ndarray:
    """Draw pixels, (n_pixels,), by what their counts can tell of a factor.

    Parameters
    ----------
    usual : numpy.ndarray
        Expected counts, of any shape; where there are none, no pixel is drawn.

    Returns
    -------
    numpy.ndarray, shape (n_pixels,)
        Indices into the flat array, a pixel as often as it is drawn. The chance of a pixel grows
        with one over the variance of its factor: 1 / ``usual`` from counting, and 0.05.

    Examples
    --------
    >>> informative_pixels(np.array([0.0, 3.0]), n_pixels=4, seed=0).tolist()
    [1, 1, 1, 1]
    """
    chance = (usual / (1 + 0.05 * usual)).ravel()
    return np.random.default_rng(seed).choice(len(chance), n_pixels, p=chance / chance.sum())


def thinned(windows: Windows, shares: Mapping[str, float], seed: int) -> Windows:
    """Keep each contact of the targets with the chance that its cell type has.

    Parameters
    ----------
    windows : Windows
        With targets of whole counts.
    shares : mapping of str to float
        Chance by cell type, 0 to 1.

    Raises
    ------
    ValueError
        For a cell type without a chance.

    Examples
    --------
    >>> from scstlib.datasets import simulate_organism
    >>> train = HeldOutMaps.of(simulate_organism(preset="tiny"), seed=0, window=32).train
    >>> half = thinned(train, dict.fromkeys(TYPES, 0.5), seed=0)
    >>> round(float(half.targets.sum() / train.targets.sum()), 2)
    0.5
    """
    share = windows.table["cell_type"].map(dict(shares))
    if share.isna().any():
        missing = sorted(set(windows.table["cell_type"][share.isna()]))
        raise ValueError(f"no share of the contacts of {missing} is given; name all cell types")
    assert windows.targets is not None
    counts = np.triu(windows.targets.astype(int))
    chance = share.to_numpy(float)[:, None, None]
    kept = np.random.default_rng(seed).binomial(counts, chance).astype(np.float32)
    return replace(windows, targets=kept + np.triu(kept, 1).swapaxes(1, 2))


def measured_twice(rows: np.ndarray, column: int, noise: float, seed: int) -> np.ndarray:
    """Put two noisy copies in the place of a column of rows (n, pixels, features), one at the end.

    ``noise`` is the standard deviation of what is added to each, in units of the column's own.

    Examples
    --------
    >>> measured_twice(np.ones((2, 3, 4)), column=1, noise=0.1, seed=0).shape
    (2, 3, 5)
    """
    own = rows[..., [column]]
    added = np.random.default_rng(seed).normal(0, noise * own.std(), (2, *own.shape))
    found = np.concatenate([rows, own + added[1]], axis=2)
    found[..., [column]] += added[0]
    return found
