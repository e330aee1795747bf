"""What a fitted model remembers of its training cells, and checks new ones against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from scstlib.models.files import check_shapes
from scstlib.models.settings import check_positive
from scstlib.preprocess.cells import (
    COUNTS_PER_CELL,
    MAX_CELLS_IN_MEMORY,
    CellReader,
    ValueReader,
    check_anndata,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anndata import AnnData
    from torch import Tensor

DEEPEST = 1e12  # counts of a cell, far beyond any; predicted counts stay within single precision


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

    def to_file(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return texts and numbers, and arrays as tensors, as a model file holds them."""
        import torch

        held = {name: getattr(self, name) for name in self.__dataclass_fields__}
        arrays = {name for name, value in held.items() if isinstance(value, np.ndarray)}
        about = {name: value for name, value in held.items() if name not in arrays}
        return about, {name: torch.as_tensor(held[name]) for name in sorted(arrays)}

    @classmethod
    def from_file(cls, about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Self:
        """Return what :meth:`to_file` took apart.

        Raises
        ------
        ValueError, TypeError, KeyError
            If something is missing, not known, or as no training cells are.
        """
        arrays: dict[str, Any] = {name: value.numpy() for name, value in tensors.items()}
        kept = cls(**{**about, "genes": tuple(about["genes"]), **arrays})
        kept._check()
        return kept

    def _check(self) -> None:
        """Refuse what a file cannot have from training cells."""
        if not all(isinstance(text, str) for text in (self.time_key, *self.genes)):
            raise ValueError("time_key and genes are texts")
        if self.depth is not None:
            check_positive({"depth": self.depth}, "depth")
            if self.depth > DEEPEST:
                raise ValueError(f"no cell has {self.depth:g} counts")
        if self.times.ndim != 1 or not len(self.times) or (np.diff(self.times) <= 0).any():
            raise ValueError(f"its times {self.times.tolist()} do not ascend")


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


@dataclass(frozen=True)
class MeasuredCells(CellFormat):
    """Measured cells as a temporal model sees them, all in memory.

    Attributes
    ----------
    values : numpy.ndarray, shape (n_cells, n_genes), float32
        log1p of counts per 10,000 when the input holds counts, else the input.
    time : numpy.ndarray, shape (n_cells,), float64
        Measured time of each cell, in the unit of the data.
    """

    values: np.ndarray
    time: np.ndarray

    def _check(self) -> None:
        super()._check()
        arrays = {"values": (self.values, "cells genes"), "time": (self.time, "cells")}
        check_shapes({**arrays, "genes": (np.empty(len(self.genes)), "genes")})
        for name, (array, _) in arrays.items():
            if not np.issubdtype(array.dtype, np.floating):
                raise ValueError(f"{name} are {array.dtype}, not floats")
        if not np.isin(self.time, self.times).all():
            raise ValueError(f"its times {self.times.tolist()} are not those of its cells")

    def at(self, time: float) -> np.ndarray:
        """Return the values of the cells measured at ``time``, shape (n, n_genes)."""
        own: np.ndarray = self.values[self.time == time]
        return own

    def nearest(self, time: float) -> float:
        """Return the measured time nearest to ``time``; the earlier one of two equally near."""
        return float(self.times[np.argmin(np.abs(self.times - time))])

    def between(self, time: float) -> tuple[float, float, float]:
        """Return the measured times on both sides of ``time`` and its weight between them.

        Outside the measured range both are the outermost time and the weight is 0.
        """
        after = int(np.searchsorted(self.times, time))
        if after == len(self.times) or time <= self.times[0]:
            edge = float(self.times[min(after, len(self.times) - 1)])
            return edge, edge, 0.0
        left, right = float(self.times[after - 1]), float(self.times[after])
        return left, right, (time - left) / (right - left)

    def mean_at(self, time: float) -> np.ndarray:
        """Return the mean profile at ``time``, linear between measured times; (n_genes,)."""
        left, right, weight = self.between(time)
        mean: np.ndarray = (1 - weight) * self.at(left).mean(0) + weight * self.at(right).mean(0)
        return mean


def measured_cells(adata: AnnData, time_key: str, min_times: int = 2) -> MeasuredCells:
    """Read and check measured cells, all into memory.

    Raises
    ------
    ValueError
        For input that :class:`scstlib.preprocess.cells.CellReader` refuses.
    """
    reader = CellReader(adata, time_key, min_times=min_times)
    values = np.empty((len(reader), len(reader.genes)), dtype=np.float32)
    for rows, chunk in reader.chunks():
        values[rows] = chunk
    return MeasuredCells(
        times=reader.times,
        genes=reader.genes,
        time_key=time_key,
        depth=reader.depth,
        values=values,
        time=reader.time,
    )


def check_validation_time(time: float, measured: np.ndarray) -> None:
    """Refuse a validation time that does not suit the measured times, (n_times,), ascending.

    Raises
    ------
    ValueError
        If no cell was measured at that time, it is the first one, or one time is left.
    """
    if time not in measured[1:] or len(measured) < 3:
        raise ValueError(
            f"validation_time must be a measured time that is not the first, with two others, not"
            f" {time}; there are {measured.tolist()}."
        )


def hold_out_time(
    cells: MeasuredCells, time: float | None
) -> tuple[MeasuredCells, MeasuredCells | None]:
    """Return the cells without those of a validation time, and those.

    Raises
    ------
    ValueError
        As :func:`check_validation_time` says.
    """
    if time is None:
        return cells, None
    check_validation_time(time, cells.times)

    def part(rows: np.ndarray) -> MeasuredCells:
        own = cells.time[rows]
        return replace(cells, values=cells.values[rows], time=own, times=np.unique(own))

    return part(cells.time != time), part(cells.time == time)


def draw(cells: np.ndarray, n_cells: int, rng: np.random.Generator) -> np.ndarray:
    """Return ``n_cells`` rows of ``cells``, without replacement where there are enough."""
    return cells[rng.choice(len(cells), n_cells, replace=len(cells) < n_cells)]


def reader_like(
    adata: AnnData, fitted: CellFormat, max_cells_in_memory: int = MAX_CELLS_IN_MEMORY
) -> ValueReader:
    """Return a reader of new cells, with or without times, whose values a fitted model understands.

    A model that was fitted on counts takes counts, or cells that it predicted, whose values are
    in ``layers["log1p_cp10k"]``.

    Raises
    ------
    ValueError
        If the genes differ from the fitted ones, one of both holds counts and the other does not,
        or for what :class:`ValueReader` refuses.
    """
    check_anndata(adata)
    check_genes(adata, fitted.genes)
    predicted = fitted.depth is not None and "log1p_cp10k" in adata.layers
    layer = "log1p_cp10k" if predicted else None
    reader = ValueReader(adata, max_cells_in_memory=max_cells_in_memory, layer=layer)
    if not predicted and reader.holds_counts != (fitted.depth is not None):
        kinds = ("values such as log counts", "counts")
        raise ValueError(
            f"the model was fitted on {kinds[fitted.depth is not None]}, and adata.X holds"
            f" {kinds[reader.holds_counts]}; give what it was fitted on, or say in"
            " uns['value_kind'] what X holds."
        )
    return reader
