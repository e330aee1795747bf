"""Expression: normalisation, gene selection, scaling and PCA, learned on the training part only.

Each class is a scikit-learn transformer from AnnData to AnnData: ``fit`` learns from ``X`` and
records its cells for the leak guard (:mod:`scstlib.leakage`), ``transform`` returns a new AnnData,
with what its ``X`` holds in ``uns["value_kind"]``, and leaves its input as it was. They chain in a
``sklearn.pipeline.Pipeline``; normalising not at all is ``"passthrough"`` there. Which
normalisation is best depends on the question; the shifted logarithm is hard to beat
(10.1038/s41592-023-01814-1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.base import BaseEstimator, TransformerMixin

from scstlib.caller import warn_caller
from scstlib.leakage import record_fit
from scstlib.preprocess.reduction import (
    PCA,
    Scale,
    SelectVariableGenes,
    aligned,
    dense,
    parallel_analysis,
    with_x,
)

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = [
    "PCA",
    "PearsonResiduals",
    "PooledSizeFactors",
    "Scale",
    "SelectVariableGenes",
    "ShiftedLog",
    "parallel_analysis",
    "qc_metrics",
]


def qc_metrics(adata: AnnData, *, mitochondrial: str = "MT-") -> pd.DataFrame:
    """Quality of each cell, through scanpy; the AnnData is not changed.

    Parameters
    ----------
    adata
        Counts in ``X``.
    mitochondrial
        Prefix of the names of mitochondrial genes, in any case.

    Returns
    -------
    DataFrame
        By cell: ``total_counts``, ``n_genes`` (with a count), ``zero_fraction``,
        ``mitochondrial_fraction`` (0 for a cell without counts).

    Raises
    ------
    ValueError
        If ``X`` holds NaN or negative values.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from anndata import AnnData
    >>> from scstlib.preprocess.expression import qc_metrics
    >>> counts = np.array([[6.0, 2.0, 0.0], [0.0, 0.0, 5.0]])
    >>> cells = AnnData(counts, var=pd.DataFrame(index=["ACTB", "MT-CO1", "INS"]))
    >>> qc_metrics(cells).round(2).values.tolist()
    [[8.0, 2.0, 0.33, 0.25], [5.0, 1.0, 0.67, 0.0]]
    """
    import scanpy as sc

    _checked_counts(adata)
    genes = adata.var[[]].copy()
    genes["mt"] = adata.var_names.str.upper().str.startswith(mitochondrial.upper())
    bare = type(adata)(adata.X, obs=adata.obs[[]], var=genes)
    cells, _ = sc.pp.calculate_qc_metrics(bare, qc_vars=["mt"], percent_top=None, log1p=False)
    total = cells["total_counts"].to_numpy(dtype=float)
    mitochondrial_counts = cells["total_counts_mt"].to_numpy(dtype=float)
    return pd.DataFrame(
        {
            "total_counts": total,
            "n_genes": cells["n_genes_by_counts"],
            "zero_fraction": 1 - cells["n_genes_by_counts"] / max(adata.n_vars, 1),
            "mitochondrial_fraction": mitochondrial_counts / np.where(total > 0, total, 1),
        },
        index=adata.obs_names,
    )


class ShiftedLog(TransformerMixin, BaseEstimator):
    """log1p of counts scaled to the same total in every cell (total size factors).

    Parameters
    ----------
    target_sum
        Total of every cell after scaling: 10,000 by default; ``"median"``: the median total of the
        training cells.

    Attributes
    ----------
    target_sum_
        The total in use.

    Examples
    --------
    >>> import numpy as np
    >>> from anndata import AnnData
    >>> from scstlib.preprocess.expression import ShiftedLog
    >>> cells = AnnData(np.array([[1.0, 3.0], [10.0, 30.0]]))
    >>> ShiftedLog(target_sum=4).fit_transform(cells).X.round(2).tolist()  # depth is gone
    [[0.69, 1.39], [0.69, 1.39]]
    """

    def __init__(self, target_sum: float | str = 1e4) -> None:
        self.target_sum = target_sum

    def fit(self, adata: AnnData, y: None = None) -> ShiftedLog:
        """Learn the median total, if asked for; else nothing.

        Raises
        ------
        ValueError
            If ``X`` holds NaN or negative values, or ``target_sum`` is another word.
        """
        total = _totals(_checked_counts(adata))
        if isinstance(self.target_sum, str):
            if self.target_sum != "median" or not (total > 0).any():
                raise ValueError(f"target_sum is {self.target_sum!r}: give a number or 'median'")
            self.target_sum_ = float(np.median(total[total > 0]))
            record_fit(self, adata)
        else:
            self.target_sum_ = float(self.target_sum)
            record_fit(self)
        return self

    def transform(self, adata: AnnData) -> AnnData:
        """(cells, genes), sparse as given; a cell without counts stays zero."""
        counts = _checked_counts(adata)
        scaled = _log_scaled(counts, _reciprocal(_totals(counts)) * self.target_sum_)
        return with_x(adata, scaled, "log1p counts")


class PooledSizeFactors(TransformerMixin, BaseEstimator):
    """log1p of counts divided by size factors of pools of cells, deconvolved to cells.

    The method of Lun, Bach, Marioni 2016 (10.1186/s13059-016-0947-7) without its clustering step:
    cells are ordered on a ring by total; the sum of each run of neighbours is compared with the
    reference (the mean profile of the training cells) by the median ratio over genes, and the
    linear system for the cells' own factors is solved by least squares. Cells that are
    transformed are pooled among themselves and compared with the training reference. It assumes
    that most genes do not differ between cells; give one cell type at a time where they do.

    Parameters
    ----------
    sizes
        Numbers of cells in a pool; those above the number of cells are left out.
    min_mean
        Genes with a smaller mean count in training are left out of the ratios.

    Attributes
    ----------
    reference_
        (genes,), mean of counts per total over training cells.
    mean_factor_
        Mean factor of the training cells before scaling; it is 1 after.

    Examples
    --------
    >>> import numpy as np
    >>> from anndata import AnnData
    >>> from scstlib.preprocess.expression import PooledSizeFactors
    >>> depth = np.repeat([1.0, 2.0], 30)
    >>> counts = np.random.default_rng(0).poisson(depth[:, None] * np.arange(1.0, 41.0))
    >>> factors = PooledSizeFactors().fit(AnnData(counts * 1.0)).size_factors(AnnData(counts * 1.0))
    >>> round(float(factors[30:].mean() / factors[:30].mean()), 1)
    2.0
    """

    def __init__(
        self, sizes: tuple[int, ...] = (21, 41, 61, 81, 101), min_mean: float = 0.1
    ) -> None:
        self.sizes = sizes
        self.min_mean = min_mean

    def fit(self, adata: AnnData, y: None = None) -> PooledSizeFactors:
        """Learn the reference profile and the mean factor.

        Raises
        ------
        ValueError
            If ``X`` holds NaN or negative values, a cell has no counts, or no gene is expressed
            enough.
        """
        counts = dense(_checked_counts(adata))
        total = _positive_totals(counts)
        self.genes_ = pd.Index(adata.var_names)
        self.reference_ = (counts / total[:, None]).mean(axis=0)
        self.usable_ = (counts.mean(axis=0) >= self.min_mean) & (self.reference_ > 0)
        if not self.usable_.any():
            raise ValueError(f"no gene has a mean count of {self.min_mean}: lower min_mean")
        self.mean_factor_ = 1.0
        self.mean_factor_ = float(self._factors(counts).mean())
        record_fit(self, adata)
        return self

    def size_factors(self, adata: AnnData) -> np.ndarray:
        """(cells,), mean 1 over the training cells.

        Raises
        ------
        ValueError
            If a cell has no counts or a gene is missing.
        """
        return self._factors(dense(_checked_counts(aligned(adata, self.genes_))))

    def transform(self, adata: AnnData) -> AnnData:
        """(cells, genes) log1p of scaled counts; the factors are in ``obs["size_factor"]``."""
        adata = aligned(adata, self.genes_)
        factors = self.size_factors(adata)
        out = with_x(adata, _log_scaled(_checked_counts(adata), 1 / factors), "log1p counts")
        out.obs["size_factor"] = factors
        return out

    def _factors(self, counts: np.ndarray) -> np.ndarray:
        total = _positive_totals(counts)
        n = len(total)
        # Small totals up one side of the ring and down the other: neighbours are of like depth.
        order = np.argsort(total, kind="stable")
        ring = np.concatenate([order[::2], order[1::2][::-1]])
        ratios = counts[ring][:, self.usable_] / total[ring, None] / self.reference_[self.usable_]
        sizes = sorted({min(size, n) for size in self.sizes if size <= n} or {n})
        sums = np.vstack(
            [np.zeros(ratios.shape[1]), np.cumsum(np.vstack([ratios, ratios]), axis=0)]
        )
        rows, right = [], []
        for size in sizes:
            right.append(np.median(sums[size : size + n] - sums[:n], axis=1))
            members = (np.arange(n)[:, None] + np.arange(size)) % n
            first = np.repeat(np.arange(n), size)
            rows.append(sp.csr_array((np.ones(n * size), (first, members.ravel())), shape=(n, n)))
        # A weak pull to the total makes the system solvable, as in the paper.
        weight = 1e-3
        system = sp.vstack([*rows, weight * sp.eye_array(n)]).tocsc()
        target = np.concatenate([*right, np.full(n, weight)])
        per_total = np.empty(n)
        per_total[ring] = sp.linalg.spsolve((system.T @ system).tocsc(), system.T @ target)
        if (per_total <= 0).any():
            warn_caller(
                f"{int((per_total <= 0).sum())} size factors are not positive and were replaced by "
                "the cell's total: remove cells of low depth"
            )
            per_total[per_total <= 0] = 1.0
        factors: np.ndarray = per_total * total / self.mean_factor_
        return factors


class PearsonResiduals(TransformerMixin, BaseEstimator):
    """Analytic Pearson residuals of a negative binomial with one overdispersion.

    Lause, Berens, Kobak 2021 (10.1186/s13059-021-02451-7): μ = (total of the cell) × (fraction of
    the gene), residual (x − μ) / √(μ + μ²/θ), clipped to ±√n. The fractions and n come from the
    training cells, where the result equals ``scanpy.experimental.pp.normalize_pearson_residuals``.

    Parameters
    ----------
    theta
        Inverse overdispersion; ``np.inf`` for Poisson.
    clip
        Largest absolute residual; default the square root of the number of training cells.

    Attributes
    ----------
    fractions_
        (genes,), share of each gene in all training counts.

    Examples
    --------
    >>> import numpy as np
    >>> from anndata import AnnData
    >>> from scstlib.preprocess.expression import PearsonResiduals
    >>> cells = AnnData(np.array([[5.0, 5.0], [5.0, 5.0], [20.0, 0.0]]))
    >>> PearsonResiduals().fit_transform(cells).X.round(1).tolist()
    [[-0.9, 1.6], [-0.9, 1.6], [1.2, -1.7]]
    """

    def __init__(self, theta: float = 100.0, clip: float | None = None) -> None:
        self.theta = theta
        self.clip = clip

    def fit(self, adata: AnnData, y: None = None) -> PearsonResiduals:
        """Learn the genes' fractions and the limit.

        Raises
        ------
        ValueError
            If ``X`` holds NaN, negative values or no counts, or ``theta`` is not positive.
        """
        if self.theta <= 0:
            raise ValueError(f"theta is {self.theta}: it must be positive")
        counts = _checked_counts(adata)
        by_gene = np.asarray(counts.sum(axis=0), dtype=float).ravel()
        if by_gene.sum() == 0:
            raise ValueError("the training cells have no counts")
        self.genes_ = pd.Index(adata.var_names)
        self.fractions_ = by_gene / by_gene.sum()
        self.clip_ = float(np.sqrt(adata.n_obs)) if self.clip is None else float(self.clip)
        record_fit(self, adata)
        return self

    def transform(self, adata: AnnData) -> AnnData:
        """(cells, genes), dense; 0 where nothing is expected and nothing was counted."""
        adata = aligned(adata, self.genes_)
        counts = dense(_checked_counts(adata))
        expected = counts.sum(axis=1)[:, None] * self.fractions_
        spread = np.sqrt(expected + expected**2 / self.theta)
        residuals = counts - expected
        # A gene never seen in training is a surprise without bound: the limit.
        residuals = np.divide(
            residuals, spread, out=np.where(residuals > 0, np.inf, 0.0), where=spread > 0
        )
        return with_x(adata, np.clip(residuals, -self.clip_, self.clip_), "Pearson residuals")


def _checked_counts(adata: AnnData) -> Any:
    """``X`` as CSR or a dense float array; refuses NaN and negatives, warns of fractions."""
    x = adata.X
    x = sp.csr_array(x) if sp.issparse(x) else np.asarray(x, dtype=float)
    values: Any = x.data if sp.issparse(x) else x
    if not np.isfinite(values).all():
        raise ValueError("X holds NaN or infinity: remove or fill those entries first")
    if values.size and values.min() < 0:
        raise ValueError(f"X goes down to {values.min()}: counts are needed, this is normalised")
    if (values != np.round(values)).any():
        warn_caller("X holds fractions: is it normalised already?")
    return x


def _totals(counts: Any) -> np.ndarray:
    return np.asarray(counts.sum(axis=1), dtype=float).ravel()


def _positive_totals(counts: np.ndarray) -> np.ndarray:
    total = _totals(counts)
    if (total == 0).any():
        raise ValueError(f"{int((total == 0).sum())} cells have no counts: filter them out first")
    return total


def _reciprocal(total: np.ndarray) -> np.ndarray:
    reciprocal: np.ndarray = np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)
    return reciprocal


def _log_scaled(counts: Any, factors: np.ndarray) -> Any:
    """log1p of rows times factors; keeps a sparse matrix sparse."""
    if sp.issparse(counts):
        return sp.csr_matrix((sp.diags_array(factors) @ counts).log1p())
    return np.log1p(counts * factors[:, None])
