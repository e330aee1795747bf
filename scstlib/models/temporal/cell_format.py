"""What a fitted model remembers of its training cells, and checks new ones against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from anndata import AnnData

COUNTS_PER_CELL = 10_000.0


@dataclass(frozen=True)
class CellFormat:
    """What a fitted model remembers of its training cells so that predicted ones look alike.

    Attributes
    ----------
    times : numpy.ndarray, shape (n_times,)
        The distinct measured times, ascending, in the unit of the data.
    genes : tuple of str
    time_key : str
    depth : float or None
        Median total count of a cell; None when the input does not hold counts.
    """

    times: np.ndarray
    genes: tuple[str, ...]
    time_key: str
    depth: float | None

    def as_anndata(self, populations: Sequence[np.ndarray], times: Sequence[float]) -> AnnData:
        """Return predicted values as AnnData in the unit of the input.

        Parameters
        ----------
        populations : sequence of numpy.ndarray, each of shape (n_cells, n_genes)
            Predicted values, one array for each of ``times``.
        """
        import pandas as pd
        from anndata import AnnData

        values = np.concatenate(populations).astype(np.float32)
        time = np.repeat(np.asarray(times, dtype=float), [len(p) for p in populations])
        obs = pd.DataFrame({self.time_key: time}, index=np.arange(len(time)).astype(str))
        var = pd.DataFrame(index=list(self.genes))
        if self.depth is None:
            return AnnData(values, obs=obs, var=var)
        counts = np.expm1(values) * (self.depth / COUNTS_PER_CELL)
        return AnnData(counts, obs=obs, var=var, layers={"log1p_cp10k": values})


def check_genes(adata: AnnData, genes: Sequence[str]) -> None:
    """Raise ``ValueError`` unless the genes of ``adata`` are ``genes``, in this order."""
    given, fitted = list(adata.var_names), list(genes)
    if given == fitted:
        return
    faults = []
    for word, names, others in (("lacks", fitted, set(given)), ("has besides", given, set(fitted))):
        strange = [gene for gene in names if gene not in others]
        if strange:
            more = f" and {len(strange) - 5} more" if len(strange) > 5 else ""
            faults.append(f"{word} {strange[:5]}{more}")
    if not faults and len(given) != len(fitted):
        faults.append("has some of them twice")
    elif not faults:
        first = next(name for name, wanted in zip(given, fitted, strict=True) if name != wanted)
        faults.append(f"has them in another order, from {first!r} on")
    raise ValueError(
        f"the model was fitted on {len(fitted)} genes; adata {' and '.join(faults)}. Select them"
        " with adata[:, list(model.genes)]."
    )
