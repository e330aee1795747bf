"""What sparse counts make analyses invent: experiments, and the steps that they are made of.

An experiment returns numbers by name, with a mistake and without it, for one seed;
:func:`scstlib.audit.experiments.by_seed` repeats it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scstlib.experiments.group_differences import called_genes, share_test, welch_test
from scstlib.metrics.neighbours import shared_neighbours
from scstlib.preprocess.cells import log_values
from scstlib.preprocess.counts import count_split, expected_zeros, thin_counts, thin_to_one_depth

if TYPE_CHECKING:
    from anndata import AnnData
    from sklearn.cluster import KMeans

    from scstlib.datasets import Organism

N_VARIABLE = 200
N_COMPONENTS = 10


def log_counts(x: Any) -> np.ndarray:
    """Return log1p of counts per 10,000, dense (cells, genes); a cell without counts is 0."""
    return log_values(_dense(x))


def components(values: np.ndarray, n: int = N_COMPONENTS) -> np.ndarray:
    """Return the first ``n`` principal components of values (cells, genes)."""
    from sklearn.decomposition import PCA

    found: np.ndarray = PCA(n, random_state=0).fit_transform(values)
    return found


def zeros_beyond_models(cells: AnnData, groups: Any) -> dict[str, float]:
    """Return the zeros that counting does not explain, in % of all entries, model by model.

    Parameters
    ----------
    cells : AnnData
        Counts in ``X``.
    groups : array (cells,)
        Cell types or stages.

    Returns
    -------
    dict
        ``zeros (%)``; what lies beyond a Poisson count of one level, ``beyond Poisson (%)``; of one
        level a group, ``with groups (%)``; with a dispersion a gene as well, ``and dispersion
        (%)``; and the mean ``dispersion``.
    """
    one, grouped = expected_zeros(cells).mean(), expected_zeros(cells, groups).mean()
    return {
        "zeros (%)": 100 * one["zeros"],
        "beyond Poisson (%)": 100 * (one["zeros"] - one["poisson"]),
        "with groups (%)": 100 * (grouped["zeros"] - grouped["poisson"]),
        "and dispersion (%)": 100 * (grouped["zeros"] - grouped["negative_binomial"]),
        "dispersion": grouped["dispersion"],
    }


def found_at_depths(
    seed: int, organism: Organism, shares: Sequence[float]
) -> dict[tuple[float, str], float]:
    """Return how much of the truth (%) four descriptions find in cells thinned to shares.

    Parameters
    ----------
    seed : int
        Of cells and thinning.
    organism : Organism
        100 cells of each of its last three times are drawn.
    shares : sequence of float
        Of the molecules that are kept.

    Returns
    -------
    dict
        By share and name. For log counts per 10,000 and per median total, Pearson residuals and
        count factors, the true neighbours found among 15; for two of them (``genes: ...``) how
        many of the 200 most variable genes are right.
    """
    full = organism.sample(organism.times[-3:], 100, seed=seed)
    truth = np.log1p(np.asarray(full.layers["true_mean"]))
    near, right = components(truth), _most_variable(truth)
    found = {}
    for share in shares:
        values, points = _described(thin_counts(full, seed=seed, fraction=share), seed)
        for name, p in points.items():
            found[share, name] = 100 * shared_neighbours(p, near)
        for name, v in values.items():
            shared = np.isin(right, _most_variable(v))
            found[share, f"genes: {name}"] = 100 * float(shared.mean())
    return found


def _described(cells: AnnData, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Values of genes by two descriptions, points of cells by four."""
    import torch

    from scstlib.models.temporal.scnode.count_factors import fit_count_factors
    from scstlib.preprocess.expression import PearsonResiduals, ShiftedLog

    values = {
        "log, 10,000": log_counts(cells.X),
        "Pearson residuals": PearsonResiduals().fit(cells).transform(cells).X,
    }
    median = ShiftedLog("median").fit(cells).transform(cells).X.toarray()
    points = {name: components(v) for name, v in {**values, "log, median": median}.items()}
    x = torch.tensor(cells.X.toarray(), dtype=torch.float32)
    factors = fit_count_factors(x, N_COMPONENTS, 5, x.sum(1).numpy(), seed)
    points["count factors"] = factors.encode(x).numpy()
    return values, points


def neighbours_of_halves(cells: AnnData, seed: int, share: float = 1.0) -> float:
    """Return the share of neighbours that two halves of the molecules of cells have in common.

    Parameters
    ----------
    cells : AnnData
        Counts in ``X``.
    seed : int
        Of thinning and splitting.
    share : float
        Of the molecules that are kept before they are split.
    """
    thin = thin_counts(cells, seed=seed, fraction=share)
    first, second = (components(log_counts(half.X)) for half in count_split(thin, seed=seed))
    return shared_neighbours(first, second)


def called_at_unequal_depth(
    seed: int, organism: Organism, differ: bool = False, fraction: float = 1 / 3
) -> dict[str, int]:
    """Return how many genes three tests call when the second of two samples is made shallower.

    Parameters
    ----------
    seed : int
        Of cells and thinning.
    organism : Organism
    differ : bool
        Whether the samples are two fates; otherwise 200 cells each of one true expression.
    fraction : float
        Of the molecules that the second sample keeps.

    Returns
    -------
    dict
        Of the genes seen in more than 5% of the cells, those called with ``log counts``; with
        ``log counts, thinned`` to one depth; with ``counts, depth as exposure``
        (:func:`scstlib.experiments.group_differences.share_test`).
    """
    if differ:
        a, b = late_fates(organism, 400, seed, "alpha", "beta")
    else:
        a, b = (organism.identical_cells(200, seed=2 * seed + k) for k in (0, 1))
    parts = [a, thin_counts(b, seed=seed, fraction=fraction)]
    x = [_dense(part.X) for part in parts]
    seen = np.mean(np.concatenate(x) > 0, axis=0) > 0.05
    even = thin_to_one_depth(parts, seed=seed)
    return {
        "log counts": _called(*(log_counts(part)[:, seen] for part in x)),
        "log counts, thinned": _called(*(log_counts(part.X)[:, seen] for part in even)),
        "counts, depth as exposure": int(called_genes(share_test(*x)[seen]).sum()),
    }


def late_fates(organism: Organism, n_cells: int, seed: int, *fates: str) -> list[AnnData]:
    """Return the cells of each fate among ``n_cells`` drawn at the last time of an organism."""
    cells = organism.sample(float(organism.times[-1]), n_cells, seed=seed)
    return [cells[(cells.obs["fate"] == fate).to_numpy()] for fate in fates]


def called_across_batches(
    seed: int, organism: Organism, confounded: bool, strength: float = 0.2
) -> dict[str, int]:
    """Return how many false and true genes are called between two times in two batches.

    Parameters
    ----------
    seed : int
        Of the cells.
    organism : Organism
        Its third and sixth time are compared, 400 cells each before half are taken.
    confounded : bool
        Whether each time has a batch of its own; otherwise both batches hold cells of both.
    strength : float
        Of the batch, as in :meth:`scstlib.datasets.Organism.sample`.

    Returns
    -------
    dict
        Genes called whose true mean changes by less than 5% (``false``), and by more than
        exp(0.5) (``true``).
    """
    both = organism.times[[2, 5]]
    cells = organism.sample(both, 400, seed=seed, n_batches=2, batch_strength=strength)
    late = (cells.obs["time"] == both[1]).to_numpy()
    second = (cells.obs["batch"] == "batch_1").to_numpy()
    half = np.random.default_rng(seed).random(len(second)) < 0.5
    kept = (second == late) if confounded else half
    mean = np.asarray(cells.layers["true_mean"])
    change = np.abs(np.log(mean[late].mean(axis=0) / mean[~late].mean(axis=0)))
    values = log_counts(cells.X)
    called = called_genes(welch_test(values[kept & late], values[kept & ~late]))
    return {
        "false": int(called[change < 0.05].sum()),
        "true": int(called[change > 0.5].sum()),
    }


def smooth_cells(values: np.ndarray, k: int) -> np.ndarray:
    """Return each cell as the mean of its ``k`` nearest in 20 components: the simplest imputation.

    Parameters
    ----------
    values : array (cells, genes)
        Log counts.
    k : int
        The cell itself is one of them, so that 1 changes nothing.
    """
    from sklearn.neighbors import NearestNeighbors

    points = components(values, 20)
    nearest = NearestNeighbors(n_neighbors=k).fit(points).kneighbors(points)[1]
    smoothed: np.ndarray = values[nearest].mean(axis=1)
    return smoothed


def invented_correlations(
    seed: int, organism: Organism, numbers: Sequence[int]
) -> dict[int, float]:
    """Return the gene pairs (%) with a correlation beyond 0.3 after smoothing over k cells.

    Parameters
    ----------
    seed : int
        Of the cells.
    organism : Organism
        400 cells that do not differ are drawn; genes seen in more than 10% of them are taken.
    numbers : sequence of int
        The k.
    """
    values = log_counts(organism.identical_cells(400, seed=seed).X)
    values = values[:, (values > 0).mean(axis=0) > 0.1]
    pairs = np.triu_indices(values.shape[1], 1)
    r = {k: np.corrcoef(smooth_cells(values, k).T)[pairs] for k in numbers}
    return {k: 100 * float(np.mean(np.abs(each) > 0.3)) for k, each in r.items()}


def invented_genes(seed: int, organism: Organism, numbers: Sequence[int]) -> dict[int, float]:
    """Return the genes (%) called between fates after smoothing, of those that were dealt out.

    The values of half of the genes are dealt out to the cells anew, so that these do not differ.

    Parameters
    ----------
    seed : int
        Of the cells, and of the dealing.
    organism : Organism
        100 cells of two fates are taken, with the genes seen in more than 5% of them.
    numbers : sequence of int
        Cells to smooth over.
    """
    rng, n = np.random.default_rng(seed), 100
    parts = late_fates(organism, 5 * n, seed, "beta", "gamma")
    values = np.concatenate([log_counts(part.X[:n]) for part in parts])
    values = values[:, (values > 0).mean(axis=0) > 0.05]
    dealt = rng.random((values.shape[1],)) < 0.5
    values[:, dealt] = rng.permuted(values[:, dealt], axis=0)
    filled = {k: smooth_cells(values, k)[:, dealt] for k in numbers}
    return {k: 100 * _called(v[:n], v[n:]) / int(dealt.sum()) for k, v in filled.items()}


def called_between_clusters(cells: AnnData, seed: int, deal_out: bool = False) -> dict[str, int]:
    """Return how many of the 100 most expressed genes are called between two clusters.

    Parameters
    ----------
    cells : AnnData
        Counts.
    seed : int
        Of clusters, split and random groups.
    deal_out : bool
        Deal the counts of each gene out to the cells anew first: then no gene goes with another,
        and what is called is called by the clustering.

    Returns
    -------
    dict
        ``double dipping``: clustered and tested in the same counts; ``count splitting``: clustered
        in one half of the molecules, tested in the other; ``random groups`` of the same sizes.
    """
    mean = np.asarray(cells.X.mean(axis=0)).ravel()
    panel = cells[:, np.argsort(-mean)[:100]].copy()
    rng = np.random.default_rng(seed)
    if deal_out:
        panel.X = rng.permuted(_dense(panel.X), axis=0)
    first, second = (log_counts(half.X) for half in count_split(panel, seed=seed))
    values = log_counts(panel.X)
    same, split = (kmeans(v, 2, seed).labels_ == 1 for v in (values, first))
    other = rng.permutation(same)
    return {
        "double dipping": _called(values[same], values[~same]),
        "count splitting": _called(second[split], second[~split]),
        "random groups": _called(values[other], values[~other]),
    }


def kmeans(values: np.ndarray, n: int, seed: int) -> KMeans:
    """Return k-means with ``n`` clusters fitted on ten components of log counts."""
    from sklearn.cluster import KMeans

    return KMeans(n, n_init=5, random_state=seed).fit(components(values))


def with_empty_droplets(cells: AnnData, n: int, seed: int, depth: float = 20.0) -> AnnData:
    """Return cells and below them ``n`` empty droplets, which hold the mean of all cells.

    Parameters
    ----------
    cells : AnnData
        Counts.
    n : int
        Droplets.
    seed : int
        Of their counts.
    depth : float
        Their expected total.

    Returns
    -------
    AnnData
        Dense counts; ``obs["empty"]`` says which are droplets.
    """
    import pandas as pd
    from anndata import AnnData

    real = _dense(cells.X)
    ambient = depth * real.sum(axis=0) / real.sum()
    empty = np.random.default_rng(seed).poisson(ambient, (n, len(ambient)))
    flag = np.repeat([False, True], [len(real), n])
    obs = pd.DataFrame({"empty": flag}, index=[f"droplet_{i}" for i in range(len(flag))])
    return AnnData(np.vstack([real, empty]), obs=obs, var=cells.var[[]].copy())


def deep_enough(counts: np.ndarray) -> np.ndarray:
    """Return which cells are no more than three MADs of log depth below the median, (cells,)."""
    depth = np.log1p(counts.sum(axis=1))
    below = np.median(depth) - depth
    enough: np.ndarray = below < 3 * 1.4826 * np.median(np.abs(below))
    return enough


def fates_with_droplets(seed: int, organism: Organism, n: int = 85) -> dict[str, float]:
    """Return what empty droplets and rarely seen genes do to the late cells of an organism.

    Parameters
    ----------
    seed : int
        Of cells, droplets and clusters.
    organism : Organism
        300 cells of its last time are drawn; those that are committed are kept.
    n : int
        Empty droplets.

    Returns
    -------
    dict
        Adjusted Rand index of three clusters and the fates of the real cells, ``fates: droplets
        in`` and ``fates: droplets out`` (by :func:`deep_enough`); right ones (%) among the 200
        genes of largest coefficient of variation, of all genes (``genes: rare in``) and of those
        seen in a tenth of the cells (``genes: rare out``); ``droplets kept (%)`` and ``cells lost
        (%)`` by the filter.
    """
    from sklearn.metrics import adjusted_rand_score

    cells = organism.sample(float(organism.times[-1]), 300, seed=seed)
    cells = cells[(cells.obs["fate"] != "uncommitted").to_numpy()]
    mixed = with_empty_droplets(cells, n, seed)
    kept, real = deep_enough(mixed.X), ~mixed.obs["empty"].to_numpy()
    found = {}
    for name, rows in {
        "fates: droplets in": np.ones(len(kept), bool),
        "fates: droplets out": kept,
    }.items():
        label = np.full(len(kept), -1)
        label[rows] = kmeans(log_counts(mixed.X[rows]), 3, seed).labels_
        both = real & rows
        fates = cells.obs["fate"].to_numpy()[both[real]]
        found[name] = float(adjusted_rand_score(fates, label[both]))
    truth = np.log1p(np.asarray(cells.layers["true_mean"]))
    for name, least in {"genes: rare in": 0.0, "genes: rare out": 0.1}.items():
        chosen = _varying(mixed.X[real], least)
        found[name] = 100 * float(np.isin(chosen, _most_variable(truth)).mean())
    found["droplets kept (%)"] = 100 * float(kept[~real].mean())
    found["cells lost (%)"] = 100 * float((~kept[real]).mean())
    return found


def thinned(cells: AnnData, seed: int, share: float) -> AnnData:
    """Return cells at a share of their depth; those left without a count are left out."""
    thin = thin_counts(cells, seed=seed, fraction=share)
    return thin[np.asarray(thin.X.sum(axis=1)).ravel() > 0].copy()


def _dense(x: Any) -> np.ndarray:
    values: np.ndarray = np.asarray(x.toarray() if hasattr(x, "toarray") else x, dtype=float)
    return values


def _called(a: np.ndarray, b: np.ndarray) -> int:
    return int(called_genes(welch_test(a, b)).sum())


def _most_variable(values: np.ndarray) -> np.ndarray:
    chosen: np.ndarray = np.argsort(-values.var(axis=0))[:N_VARIABLE]
    return chosen


def _varying(counts: np.ndarray, least: float) -> np.ndarray:
    """Genes of largest coefficient of variation among those seen in a share of the cells."""
    scaled = np.expm1(log_counts(counts))
    variation = scaled.std(axis=0) / np.maximum(scaled.mean(axis=0), 1e-9)
    variation[(counts > 0).mean(axis=0) < least] = -1
    chosen: np.ndarray = np.argsort(-variation)[:N_VARIABLE]
    return chosen
