"""Gene selection, scaling and PCA of expression, learned on the training part only.

Transformers from AnnData to AnnData, as in :mod:`scstlib.preprocess.expression`, which imports
them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.base import BaseEstimator, TransformerMixin

from scstlib.leakage import record_fit

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["PCA", "Scale", "SelectVariableGenes", "parallel_analysis"]


class SelectVariableGenes(TransformerMixin, BaseEstimator):
    """Keep the most variable genes, chosen by scanpy on the training cells.

    Parameters
    ----------
    n_top_genes
        How many to keep.
    flavor
        ``"seurat"`` or ``"cell_ranger"``: log-normalised values in ``X``; ``"pearson_residuals"``:
        counts (10.1186/s13059-021-02451-7).
    batch_key
        Column of ``obs``: choose within batches and combine.

    Attributes
    ----------
    genes_
        Names of the chosen genes, in the order of the data.

    Examples
    --------
    >>> from scstlib.datasets import simulate_organism
    >>> from scstlib.preprocess.expression import SelectVariableGenes, ShiftedLog
    >>> counts = simulate_organism(preset="tiny").sample(times=[0.0, 96.0])
    >>> SelectVariableGenes(20).fit_transform(ShiftedLog().fit_transform(counts)).shape
    (80, 20)
    """

    def __init__(
        self, n_top_genes: int = 2000, flavor: str = "seurat", batch_key: str | None = None
    ) -> None:
        self.n_top_genes = n_top_genes
        self.flavor = flavor
        self.batch_key = batch_key

    def fit(self, adata: AnnData, y: None = None) -> SelectVariableGenes:
        """Choose the genes.

        Raises
        ------
        ValueError
            If the flavor is unknown, or more genes are asked for than there are.
        """
        import scanpy as sc

        if not 0 < self.n_top_genes <= adata.n_vars:
            raise ValueError(f"{self.n_top_genes} genes asked for, the data have {adata.n_vars}")
        options = {"n_top_genes": self.n_top_genes, "batch_key": self.batch_key, "inplace": False}
        if self.flavor == "pearson_residuals":
            table = sc.experimental.pp.highly_variable_genes(adata, flavor=self.flavor, **options)
        elif self.flavor in ("seurat", "cell_ranger"):
            table = sc.pp.highly_variable_genes(adata, flavor=self.flavor, **options)
        else:
            raise ValueError(
                f"unknown flavor {self.flavor!r}: 'seurat', 'cell_ranger' or 'pearson_residuals'"
            )
        chosen = table["highly_variable"].to_numpy()
        if self.flavor != "pearson_residuals" and self.batch_key is None:
            chosen = _first(table["dispersions_norm"].to_numpy(), self.n_top_genes)
        self.genes_ = pd.Index(adata.var_names[chosen])
        record_fit(self, adata)
        return self

    def transform(self, adata: AnnData) -> AnnData:
        """(cells, chosen genes)."""
        return aligned(adata, self.genes_).copy()


def _first(values: np.ndarray, n: int) -> np.ndarray:
    """Which (mask) of some values are the n largest; of equal ones, those that come first.

    Genes that share a bin of scanpy's with one other have a normalised dispersion of 0.7071 or
    -0.7071: equal up to rounding, which differs with the number of threads. scanpy keeps all that
    are not below the n-th, so more than n or another choice.
    """
    values = np.nan_to_num(np.round(values, 10), nan=-np.inf)
    largest = np.argsort(-values, kind="stable")[:n]
    mask = np.zeros(len(values), dtype=bool)
    mask[largest[np.isfinite(values[largest])]] = True
    return mask


class Scale(TransformerMixin, BaseEstimator):
    """Subtract the training mean of each gene and divide by its standard deviation.

    Genes that are constant in training are divided by 1.

    Parameters
    ----------
    max_value
        Clip to ± this.

    Attributes
    ----------
    mean_, scale_
        (genes,).

    Examples
    --------
    >>> import numpy as np
    >>> from anndata import AnnData
    >>> from scstlib.preprocess.expression import Scale
    >>> train, test = AnnData(np.array([[0.0], [2.0]])), AnnData(np.array([[5.0]]))
    >>> scale = Scale().fit(train)
    >>> scale.transform(train).X.tolist(), scale.transform(test).X.tolist()
    ([[-1.0], [1.0]], [[4.0]])
    """

    def __init__(self, max_value: float | None = None) -> None:
        self.max_value = max_value

    def fit(self, adata: AnnData, y: None = None) -> Scale:
        """Learn mean and standard deviation (divided by n)."""
        from sklearn.preprocessing import StandardScaler

        scaler = StandardScaler().fit(dense(adata.X))
        self.genes_ = pd.Index(adata.var_names)
        self.mean_, self.scale_ = scaler.mean_, scaler.scale_
        record_fit(self, adata)
        return self

    def transform(self, adata: AnnData) -> AnnData:
        """(cells, genes), dense."""
        adata = aligned(adata, self.genes_)
        scaled = (dense(adata.X) - self.mean_) / self.scale_
        if self.max_value is not None:
            scaled = np.clip(scaled, -self.max_value, self.max_value)
        return with_x(adata, scaled, "scaled")


class PCA(TransformerMixin, BaseEstimator):
    """Principal components of the training cells, by scikit-learn.

    Parameters
    ----------
    n_components
        How many, or ``"parallel"``: as many as :func:`parallel_analysis` finds.
    seed
        Of the permutations and of scikit-learn's randomised solver.

    Attributes
    ----------
    components_
        (components, genes), orthonormal rows.
    mean_
        (genes,).
    explained_variance_
        (components,).

    Examples
    --------
    >>> import numpy as np
    >>> from anndata import AnnData
    >>> from scstlib.preprocess.expression import PCA
    >>> cells = AnnData(np.outer([-2.0, 0.0, 2.0], [0.6, 0.8]))  # all on one line
    >>> pca = PCA(1).fit(cells)
    >>> scores = pca.transform(cells).obsm["X_pca"]
    >>> np.allclose(pca.inverse_transform(scores), cells.X)
    True
    """

    def __init__(self, n_components: int | str = 50, seed: int = 0) -> None:
        self.n_components = n_components
        self.seed = seed

    def fit(self, adata: AnnData, y: None = None) -> PCA:
        """Learn the components.

        Raises
        ------
        ValueError
            If ``X`` holds NaN, or more components are asked for than cells or genes.
        """
        from sklearn.decomposition import PCA as SklearnPCA

        x = dense(adata.X)
        n_components = self.n_components
        if isinstance(n_components, str):
            if n_components != "parallel":
                raise ValueError(f"n_components is {n_components!r}: give a number or 'parallel'")
            n_components = parallel_analysis(x, seed=self.seed)
        if not 0 < n_components <= min(x.shape):
            raise ValueError(f"{n_components} components of {x.shape[0]} cells, {x.shape[1]} genes")
        pca = SklearnPCA(n_components, random_state=self.seed).fit(x)
        self.genes_ = pd.Index(adata.var_names)
        self.components_, self.mean_ = pca.components_, pca.mean_
        self.explained_variance_ = pca.explained_variance_
        record_fit(self, adata)
        return self

    def transform(self, adata: AnnData) -> AnnData:
        """The same data with the scores in ``obsm["X_pca"]``, (cells, components)."""
        adata = aligned(adata, self.genes_)
        out = adata.copy()
        out.obsm["X_pca"] = (dense(adata.X) - self.mean_) @ self.components_.T
        return out

    def inverse_transform(self, scores: np.ndarray) -> np.ndarray:
        """Scores (cells, components) → expression (cells, genes)."""
        expression: np.ndarray = scores @ self.components_ + self.mean_
        return expression


def parallel_analysis(
    x: np.ndarray,
    *,
    n_permutations: int = 10,
    max_rank: int = 50,
    max_cells: int = 3000,
    seed: int | np.random.Generator = 0,
) -> int:
    """Number of principal components that stand out from permuted data; at least 1.

    Every gene is permuted over cells by itself, which keeps its distribution and destroys all
    correlation. Counted are the leading eigenvalues of the covariance above the largest eigenvalue
    of the same rank over all permutations.

    Parameters
    ----------
    x
        (cells, genes), finite. Single precision stays single.
    n_permutations
        More lower the chance of keeping a component of noise, about 1 / (n + 1) each.
    max_rank
        Largest number that is looked for.
    max_cells
        Of more cells, as many are drawn at random.

    Raises
    ------
    ValueError
        If there are fewer than 3 cells or a value is NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.preprocess.expression import parallel_analysis
    >>> rng = np.random.default_rng(0)
    >>> signal = rng.standard_normal((200, 2)) @ rng.standard_normal((2, 10))
    >>> parallel_analysis(3 * signal + rng.standard_normal((200, 10)))
    2
    """
    x = np.asarray(x)
    x = x if x.dtype == np.float32 else x.astype(float)
    if x.ndim != 2 or len(x) < 3 or not np.isfinite(x).all():
        raise ValueError(f"needs finite values of at least 3 cells, not shape {x.shape}")
    rng = np.random.default_rng(seed)
    if len(x) > max_cells:
        x = x[rng.choice(len(x), max_cells, replace=False)]
    x = x - x.mean(axis=0)
    max_rank = min(max_rank, len(x) - 1, x.shape[1])
    observed = _leading_eigenvalues(x, max_rank)
    permuted = np.zeros(max_rank)
    for _ in range(n_permutations):
        permuted = np.maximum(permuted, _leading_eigenvalues(rng.permuted(x, axis=0), max_rank))
    above = observed > permuted
    return max(1, max_rank if above.all() else int(np.argmin(above)))


def _leading_eigenvalues(x: np.ndarray, k: int) -> np.ndarray:
    from scipy.linalg import eigh

    gram = x @ x.T if len(x) < x.shape[1] else x.T @ x
    n = len(gram)
    largest_first: np.ndarray = eigh(gram, eigvals_only=True, subset_by_index=(n - k, n - 1))[::-1]
    return largest_first


def dense(x: Any) -> np.ndarray:
    """Float array, whatever ``X`` is; refuses NaN."""
    values = np.asarray(x.toarray() if sp.issparse(x) else x, dtype=float)
    if not np.isfinite(values).all():
        raise ValueError("X holds NaN or infinity: remove or fill those entries first")
    return values


def aligned(adata: AnnData, genes: pd.Index) -> AnnData:
    """The fitted genes in the fitted order; refuses data without one of them."""
    if adata.var_names.equals(genes):
        return adata
    missing = genes.difference(adata.var_names)
    if len(missing):
        raise ValueError(f"{len(missing)} genes of the fit are missing, such as {missing[0]!r}")
    return adata[:, genes]


def with_x(adata: AnnData, x: Any, value_kind: str) -> AnnData:
    """Copy of AnnData with another ``X``, and what that holds in ``uns["value_kind"]``.

    Models read the kind: left at "counts", they would normalise a second time.
    """
    out = adata.copy()
    out.X = x
    out.uns["value_kind"] = value_kind
    return out
