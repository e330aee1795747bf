"""Read bigWig files (https://doi.org/10.1093/bioinformatics/btq351) with pybigtools."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from scstlib.files.damage import reading
from scstlib.preprocess.tracks import match_chromosomes


def read_bigwig(path: Path, bins: pd.DataFrame) -> pd.DataFrame:
    """Average a bigWig file in bins, one chromosome at a time; bins without values are left out.

    Parameters
    ----------
    path : pathlib.Path
    bins : pandas.DataFrame
        ``chrom``, ``start``, ``end`` (bp) of all bins, in order.

    Returns
    -------
    pandas.DataFrame
        ``chrom``, ``start``, ``end``, ``value``.

    Raises
    ------
    ValueError
        If pybigtools is not installed, the file is damaged or holds no values on the chromosomes of
        the bins, or a chromosome is longer or shorter than its bins.
    """
    try:
        import pybigtools
    except ImportError:
        raise ValueError(
            f"{path} is a bigWig file, and its reader is not installed: 'pip install pybigtools',"
            f" or convert the file with 'bigWigToBedGraph {path} {path.stem}.bedGraph'."
        ) from None
    with reading(path, "bigWig file"):
        file = pybigtools.open(str(path))
        stored = pd.DataFrame(file.chroms().items(), columns=["chrom", "length"])
    try:
        named = match_chromosomes(stored, bins["chrom"])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    parts = []
    for own, chrom, length in zip(
        stored["chrom"][named.index], named["chrom"], named["length"], strict=True
    ):
        part = bins.loc[bins["chrom"] == chrom, ["chrom", "start", "end"]].astype({"chrom": str})
        size, end = part["end"].iloc[0] - part["start"].iloc[0], part["end"].iloc[-1]
        if length != end:
            raise ValueError(
                f"{path}: {own} has {length:,} bp, in the bulk map {end:,}; is it another"
                " assembly? Lift one of them over first."
            )
        whole = int(end // size)  # bins; what is left of the chromosome is one more
        spans = [(0, whole * size, whole), (whole * size, end, 1)]
        with reading(path, "bigWig file"):
            means = [
                file.values(own, int(a), int(b), bins=n, summary="mean", exact=True, fillna=np.nan)
                for a, b, n in spans
                if b > a
            ]
        parts.append(part.assign(value=np.concatenate(means)))
    table: pd.DataFrame = pd.concat(parts, ignore_index=True).dropna(subset="value")
    if table.empty:
        raise ValueError(
            f"{path} holds no values on the chromosomes of the bulk map: is it the right file?"
        )
    if np.isinf(table["value"]).any():
        raise ValueError(f"{path}: {int(np.isinf(table['value']).sum())} means are infinite.")
    return table
