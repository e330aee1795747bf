"""Read measured cells in chunks, from memory or from a backed AnnData, after one checking pass.

Every temporal model reads its cells here, so that bad input meets one set of checks. *Values* are
log1p of counts per 10,000 where the input holds counts, else the numbers as they were given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from scstlib.caller import warn_caller
from scstlib.leakage import is_anndata

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

MAX_CELLS_IN_MEMORY = 10_000
COUNTS_PER_CELL = 10_000.0
EXPECTED_COUNTS = "expected counts"  # ``uns["value_kind"]`` where X holds no measured counts.
SMALLEST_TARGET = 100.0  # Cells of which each sums to as much or more were normalised to it.
NUMBER = r"-?[0-9]+(?:\.[0-9]+)?"
LARGEST_LOG = 50.0  # No log of counts, and no threshold cycle of a qPCR, lies above,
HEAVY_TAIL = 20.0  # nor so many times above the mean value: counts that were scaled do.
LARGEST_Z_MEAN = 0.2  # z-scores of all cells have mean 0 in each gene, those of a part near it.


def log_values(counts: np.ndarray) -> np.ndarray:
    """Return log1p of counts per 10,000 of each cell.

    Of measured counts their mean over many measurements of one cell is its *mean log value*; of
    expected counts it is the cell's *log expression*, which is larger: the logarithm of a mean
    lies above the mean of logarithms.

    Parameters
    ----------
    counts : numpy.ndarray, shape (n_cells, n_genes)

    Returns
    -------
    numpy.ndarray, shape (n_cells, n_genes)
        0 for a cell without counts.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.preprocess.cells import log_values
    >>> log_values(np.array([[1.0, 3.0]])).round(2).tolist()
    [[7.82, 8.92]]
    """
    totals = np.maximum(counts.sum(1, keepdims=True), 1e-9)
    values: np.ndarray = np.log1p(counts * (COUNTS_PER_CELL / totals))
    return values


class ValueReader:
    """Cells of an AnnData, read in chunks of at most ``max_cells_in_memory``.

    ``adata.X`` holds counts if it has no negative and no fractional entry, or if
    ``adata.uns["value_kind"]`` says so. All checks are made here, in one pass over the cells; of
    values that are hardly meant, such as z-scores, it warns unless ``value_kind`` names them. What
    is wrong is said at once, each fault with its remedy.

    Parameters
    ----------
    adata : AnnData
        In memory or opened with ``backed="r"``, dense or compressed by row; a view of either.
    max_cells_in_memory : int
        Rows of the largest chunk. A loop over chunks holds one while the next is read.
    layer : str, optional
        Layer to read instead of X.

    Attributes
    ----------
    genes : tuple of str
    totals : numpy.ndarray, shape (n_cells,), float64
        Sum of each row of X: total counts where ``holds_counts``.
    holds_counts : bool
    depth : float or None
        Median total count of a cell; None when the input does not hold counts.

    Raises
    ------
    ValueError
        If there are no cells or genes, a value is not finite, a count is negative, a gene name
        stands twice, or a cell has no counts at all.
    """

    def __init__(
        self,
        adata: AnnData,
        *,
        max_cells_in_memory: int = MAX_CELLS_IN_MEMORY,
        layer: str | None = None,
    ) -> None:
        if max_cells_in_memory < 1:
            raise ValueError(f"max_cells_in_memory must be at least 1, not {max_cells_in_memory}.")
        _check_layout(adata, layer)
        self._adata, self._layer = adata, layer
        self._source, self._row_of, self._genes_of = _stored(adata)
        self.max_cells_in_memory = max_cells_in_memory
        self.genes = tuple(adata.var_names)
        self.totals = np.empty(adata.n_obs)
        faults = self._faults_of_labels()
        self.holds_counts = self._check_values(faults)
        if faults:
            raise ValueError("; besides, ".join(fault.rstrip(".") for fault in faults))
        self.depth = float(np.median(self.totals)) if self.holds_counts else None

    def __len__(self) -> int:
        return len(self.totals)

    def chunks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield the rows and the values, (n, n_genes) float32, of one chunk after the other."""
        for rows in self._slices():
            yield rows, self._values(self._rows(rows, self._layer), self.totals[rows])

    def stored_chunks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield the rows and X as it is stored, (n, n_genes) float32, chunk by chunk."""
        for rows in self._slices():
            yield rows, _dense(self._rows(rows, None))

    def stored_of(self, rows: np.ndarray) -> np.ndarray:
        """Return X as it is stored of chosen rows, which are ascending; (n, n_genes) float32."""
        return _dense(self._rows(rows, None))

    def values_of(self, rows: np.ndarray) -> np.ndarray:
        """Return the values of chosen rows, in their order and with repeats; (n, n_genes)."""
        # A file is read in ascending order and each row once.
        ascending, place = np.unique(rows, return_inverse=True)
        return self._values(self._rows(ascending, self._layer), self.totals[ascending])[place]

    def _slices(self) -> Iterator[slice]:
        for start in range(0, len(self), self.max_cells_in_memory):
            yield slice(start, min(start + self.max_cells_in_memory, len(self)))

    def _rows(self, rows: slice | np.ndarray, layer: str | None) -> Any:
        """Rows of X or of a layer as a float32 array or CSR matrix of their own."""
        from scipy.sparse import csr_matrix, issparse

        part: Any = self._source[rows if self._row_of is None else self._row_of[rows]]
        part = part.X if layer is None else part.layers[layer]
        if self._genes_of is not None:
            part = part[:, self._genes_of]
        if issparse(part):
            return csr_matrix(part, dtype=np.float32, copy=True)
        return np.array(part, dtype=np.float32)

    def _values(self, part: Any, totals: np.ndarray) -> np.ndarray:
        """Values from rows as they are stored, which are changed."""
        if self.holds_counts:
            scale = (COUNTS_PER_CELL / totals).astype(np.float32)
            if isinstance(part, np.ndarray):
                part *= scale[:, None]
                np.log1p(part, out=part)
            else:
                # Zero stays zero, so only what is stored needs the logarithm.
                part.data *= np.repeat(scale, np.diff(part.indptr))
                np.log1p(part.data, out=part.data)
        return _dense(part)

    def _faults_of_labels(self) -> list[str]:
        """What is wrong with the names of genes and, in a subclass, with columns of ``obs``."""
        twice = self._adata.var_names[self._adata.var_names.duplicated()].unique()
        if not len(twice):
            return []
        return [
            f"{len(twice)} gene names stand more than once, the first is {twice[0]!r}; call"
            " adata.var_names_make_unique()"
        ]

    def _check_values(self, faults: list[str]) -> bool:
        """Fill in ``totals`` and say whether X holds counts; what is wrong goes to ``faults``."""
        odd = ""
        smallest, largest, whole = 0.0, 0.0, True
        sums, squares = np.zeros(len(self.genes)), np.zeros(len(self.genes))
        for rows in self._slices():
            part = self._rows(rows, self._layer)
            entries = part if isinstance(part, np.ndarray) else part.data
            if not (finite := np.isfinite(entries)).all():
                odd = odd or self._first_not_finite(part, rows.start)
                entries[~finite] = 1  # It breaks no other rule.
            smallest = min(smallest, float(entries.min(initial=0.0)))
            largest = max(largest, float(entries.max(initial=0.0)))
            whole = whole and bool((entries == np.rint(entries)).all())
            self.totals[rows] = np.asarray(part.sum(axis=1, dtype=np.float64)).ravel()
            if smallest < 0 and isinstance(part, np.ndarray):  # Else they are no z-scores.
                sums += part.sum(axis=0, dtype=np.float64)
                squares += np.einsum("ij,ij->j", part, part, dtype=np.float64)
        faults += [odd] if odd else []
        if self._layer is not None:
            return False
        kind = self._adata.uns.get("value_kind")
        if not _says_counts(kind, whole, smallest):
            if kind is None:
                self._warn_of_values(smallest, largest, sums / len(self), squares / len(self))
            return False
        if smallest < 0:
            faults.append(f"counts must not be negative; the smallest is {smallest}")
        empty = self._adata.obs_names[self.totals == 0]
        if len(empty):
            faults.append(
                f"{len(empty)} cells have no counts, the first is {empty[0]!r}; leave them out, by"
                " sc.pp.filter_cells(adata, min_counts=1)"
            )
        return True

    def _warn_of_values(
        self, smallest: float, largest: float, mean: np.ndarray, square: np.ndarray
    ) -> None:
        """Warn of values that are no logarithms, by the range, and mean and square of genes."""
        typical = float(np.median(self.totals))
        if smallest < 0:
            spread = np.sqrt(np.maximum(square - mean**2, 0.0))
            varies = spread > 0
            if (
                varies.any()
                and np.median(np.abs(mean[varies])) < LARGEST_Z_MEAN
                and np.abs(np.median(spread[varies]) - 1) < LARGEST_Z_MEAN
            ):
                warn_caller(
                    "adata.X looks like z-scores: negative values, mean 0 and standard deviation 1"
                    " in each gene. They give the noise of silent genes the weight of signal; give"
                    " counts or log1p of normalised counts, or name X in adata.uns['value_kind']."
                )
        elif (
            len(self.genes) > 1
            and typical >= SMALLEST_TARGET
            and np.allclose(self.totals, typical, rtol=1e-3)
        ):
            warn_caller(
                f"adata.X looks normalised and not logged: it holds fractions, and each cell sums"
                f" to {typical:.6g}. A few strong genes would decide every distance; give counts"
                " or log1p of X, or name X in adata.uns['value_kind']."
            )
        elif largest > max(LARGEST_LOG, HEAVY_TAIL * self.totals.mean() / len(self.genes)):
            warn_caller(
                f"adata.X holds fractions and values up to {largest:.6g}, so it is neither counts"
                " nor logarithms. A few strong genes would decide every distance; give whole"
                " counts or log1p of X, or name X in adata.uns['value_kind']."
            )
        elif "counts" in self._adata.layers:
            warn_caller(
                "adata.X holds fractions, so values are learned and predicted, no counts; for"
                " counts give adata.X = adata.layers['counts'], else name X in"
                " adata.uns['value_kind'], such as 'log1p counts'."
            )

    def _first_not_finite(self, part: Any, first_row: int) -> str:
        values = _dense(part)
        row, gene = np.argwhere(~np.isfinite(values))[0]
        return (
            f"cell {self._adata.obs_names[first_row + row]!r} has the value {values[row, gene]} for"
            f" gene {self.genes[gene]!r}; remove or impute it before fitting"
        )


class CellReader(ValueReader):
    """Measured cells: the values of :class:`ValueReader` and the time of each cell.

    Parameters
    ----------
    adata, max_cells_in_memory
        As for :class:`ValueReader`.
    time_key : str
        Column of ``adata.obs`` with the measured time.
    min_times : int
        Fewest distinct times.

    Attributes
    ----------
    time : numpy.ndarray, shape (n_cells,), float64
        Measured time of each cell, in the unit of the data.
    times : numpy.ndarray, shape (n_times,)
        The distinct measured times, ascending.
    genes, totals, holds_counts, depth
        As for :class:`ValueReader`.

    Raises
    ------
    ValueError
        As :class:`ValueReader`, and if times are missing, not numbers or fewer than
        ``min_times``, or a time has a single cell.
    """

    def __init__(
        self,
        adata: AnnData,
        time_key: str = "time",
        *,
        max_cells_in_memory: int = MAX_CELLS_IN_MEMORY,
        min_times: int = 2,
    ) -> None:
        self.time_key, self._min_times = time_key, min_times
        super().__init__(adata, max_cells_in_memory=max_cells_in_memory)

    def _faults_of_labels(self) -> list[str]:
        faults = super()._faults_of_labels()
        try:
            self.time = measured_time(self._adata, self.time_key, self._min_times)
        except ValueError as error:
            return [str(error), *faults]
        self.times, cells_of_time = np.unique(self.time, return_counts=True)
        lonely = self.times[cells_of_time < 2].tolist()
        if lonely:
            faults.insert(
                0,
                f"only one cell was measured at time {', '.join(map(str, lonely))}, which is no"
                " population; remove it or merge it with a neighbouring time",
            )
        return faults


def check_anndata(cells: object) -> None:
    """Refuse what is no AnnData, such as a path or a table.

    Examples
    --------
    >>> check_anndata("cells.h5ad")
    Traceback (most recent call last):
        ...
    TypeError: cells are an AnnData, not a str
    """
    if not is_anndata(cells):
        raise TypeError(f"cells are an AnnData, not a {type(cells).__name__}")


def measured_time(adata: AnnData, time_key: str, min_times: int = 2) -> np.ndarray:
    """Return the measured times as float64, shape (n_cells,), or say what is wrong with them.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from anndata import AnnData
    >>> from scstlib.preprocess.cells import measured_time
    >>> obs = pd.DataFrame({"hour": ["0h", "24h"]}, index=["a", "b"])
    >>> cells = AnnData(np.ones((2, 1)), obs=obs)
    >>> cells.obs["hour"] = cells.obs["hour"].str.extract(r"([0-9.]+)")[0].astype(float)
    >>> measured_time(cells, "hour").tolist()
    [0.0, 24.0]
    """
    import pandas as pd

    check_anndata(adata)
    if time_key not in adata.obs:
        raise ValueError(f"adata.obs has no column {time_key!r}; it has {list(adata.obs.columns)}.")
    column = adata.obs[time_key]
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    column = column.infer_objects()
    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column)
    if pd.api.types.is_bool_dtype(column) or not numeric:
        raise ValueError(
            f"adata.obs[{time_key!r}] holds {column.iloc[0]!r}, not numbers; convert it first, for"
            f" example adata.obs[{time_key!r}] = {_conversion(adata, time_key, column)}"
        )
    time: np.ndarray = column.to_numpy(dtype=np.float64, na_value=np.nan)
    if not np.isfinite(time).all():
        raise ValueError(
            f"adata.obs[{time_key!r}] has {np.sum(~np.isfinite(time))} missing or infinite times;"
            " remove these cells first."
        )
    if len(np.unique(time)) < min_times:
        raise ValueError(
            f"adata.obs[{time_key!r}] holds {len(np.unique(time))} distinct times; at least"
            f" {min_times} are needed."
        )
    return time


def _stored(adata: AnnData) -> tuple[AnnData, np.ndarray | None, Any]:
    """The AnnData that holds X, with the rows and genes of it that ``adata`` has; None is all.

    A view of a backed AnnData cannot be indexed again, so its rows are read from what it views.
    """
    if not (adata.is_view and adata.isbacked):
        return adata, None, None
    source = adata._adata_ref
    return source, np.arange(source.n_obs)[adata._oidx], adata._vidx


def _check_layout(adata: AnnData, layer: str | None) -> None:
    check_anndata(adata)
    if adata.n_obs == 0 or adata.n_vars == 0:
        raise ValueError(f"adata has {adata.n_obs} cells and {adata.n_vars} genes.")
    if adata.isbacked and not adata.file.is_open:
        raise ValueError(f"{adata.filename} was closed: open it again, or read it without backed.")
    if adata.is_view:  # Asking a backed view for X would read all of it.
        return
    X: Any = adata.X if layer is None else adata.layers[layer]
    if X is None:
        raise ValueError("adata.X is None; put the counts or values of the cells there.")
    kind = np.dtype(getattr(X, "dtype", object))
    if kind.kind not in "iuf":
        raise ValueError(f"adata.X holds {kind}, not numbers: convert it, such as X.astype(float).")
    if adata.isbacked and getattr(X, "format", "csr") != "csr":
        raise ValueError(
            f"adata.X is stored by genes ({X.format}) and cannot be read by cells; write the"
            " file again with adata.X = adata.X.tocsr()."
        )


def _says_counts(kind: str | None, whole: bool, smallest: float) -> bool:
    """Say whether X holds counts, by ``uns["value_kind"]`` or by its entries.

    Warns of fractions that are called counts: after scanpy's ``log1p`` the old word still stands.
    """
    if kind is None:
        return whole and smallest >= 0
    if kind == "counts" and not whole:
        warn_caller(
            "uns['value_kind'] says counts, and X holds fractions: if X was normalised, set it to"
            " what X holds, such as 'log1p counts', or it is normalised again."
        )
    return bool(kind == "counts")


def _conversion(adata: AnnData, time_key: str, column: pd.Series) -> str:
    """Code that turns a column of text, dates or durations into numbers, none of them merged."""
    import pandas as pd

    given = f"adata.obs[{time_key!r}]"
    kind = column.dtype.kind
    if kind in "mM":
        if adata.obs[time_key].dtype != column.dtype:  # Objects or categories.
            given = f"{given}.astype({str(column.dtype)!r})"
        if kind == "M":
            given = f"({given} - {given}.min())"
        return f"{given}.dt.total_seconds() / 3600  # hours"
    labels = column.dropna().unique().tolist()
    by_hand = f"{given}.map({{{', '.join(f'{label!r}: ...' for label in labels[:6])}"
    by_hand += ", ...})" if len(labels) > 6 else "})"
    by_hand += "  # a number for each, in one unit"
    if pd.api.types.is_bool_dtype(column) or not all(isinstance(x, str) for x in labels):
        return by_hand
    if pd.to_numeric(pd.Series(labels, dtype=object), errors="coerce").notna().all():
        return f"{given}.astype(float)"
    found = [re.fullmatch(rf"(\D*?)({NUMBER})(\D*)", label) for label in labels]
    parts = [match.groups() for match in found if match is not None]
    around = {(before.strip(), after.strip()) for before, _, after in parts}
    numbers = [float(number) for _, number, _ in parts]
    # The sign of day-1, day-2 may be a hyphen, E18.5 and P0 count from two events, 1 d is 24 h.
    hyphens = all(number < 0 for number in numbers) and any(before for before, _ in around)
    if len(parts) < len(labels) or len(around) > 1 or len(set(numbers)) < len(labels) or hyphens:
        return by_hand
    return f"{given}.str.extract(r'({NUMBER})')[0].astype(float)"


def _dense(part: Any) -> np.ndarray:
    dense: np.ndarray = part if isinstance(part, np.ndarray) else part.toarray()
    return dense
