"""Read the files that tracks are made from: genes, peaks, values along the genome, cells.

Every reader returns a table with ``chrom``, ``start`` and ``end`` (half-open, from 0), and its
errors name the file.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from scstlib.caller import warn_caller
from scstlib.files.bigwig_files import read_bigwig
from scstlib.files.damage import check_intervals, reading
from scstlib.preprocess.tracks import expression_tracks, interval_track

if TYPE_CHECKING:
    from anndata import AnnData

BED = ["chrom", "start", "end", "name", "score", "strand"]
# Columns of fimo.tsv: https://meme-suite.org/meme/doc/fimo-output-format.html
FIMO = ["motif_id", "name", "chrom", "start", "end", "strand", "score", "p", "q", "sequence"]
LARGEST_LOG = 20  # e^20 is 485 million counts
NOT_DATA = ("#", "track", "browser", "motif_id")  # how lines begin that hold no interval


def read_bed(path: str | Path) -> pd.DataFrame:
    """Read a BED file of three or more columns, plain or gzipped.

    A first line that begins with ``#`` and has a name for every column names those from the
    fourth on; without it they are those of the format: chrom, start, end, name, score, strand.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, or it is empty, or holds no intervals.
    """
    return _intervals(_existing(path), BED, header=True)


def read_sites(path: str | Path) -> pd.DataFrame:
    """Read sites such as those of CTCF from a BED file, or from the table that FIMO writes.

    FIMO counts positions from 1, with the last one included; they are turned into those of BED.

    Returns
    -------
    pandas.DataFrame
        chrom, start, end, and of FIMO strand, score and more.

    Raises
    ------
    FileNotFoundError, ValueError
        As :func:`read_bed`, or if FIMO searched pieces of chromosomes and gives places in them.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from scstlib.files.track_files import read_sites
    >>> head = "motif_id motif_alt_id sequence_name start stop strand score p-value"
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "fimo.tsv"
    ...     rows = f"{head}\\nMA0139.2 CTCF chr1 11 25 - 19.5 1e-7\\n"
    ...     _ = path.write_text(rows.replace(" ", "\\t"))
    ...     read_sites(path)[["chrom", "start", "end", "strand"]].to_numpy().tolist()
    [['chr1', 10, 25, '-']]
    """
    path = _existing(path)
    with reading(path, "tab-separated file of intervals"), _opened(path) as stream:
        is_fimo = stream.readline().startswith("motif_id\t")
    if not is_fimo:
        return read_bed(path)
    sites = _intervals(path, FIMO)
    pieces = sites["chrom"].str.contains(r":\d+-\d+", regex=True)
    if pieces.any():
        raise ValueError(
            f"{path} has places in pieces such as {sites['chrom'][pieces].iloc[0]}: search whole"
            " chromosomes, or run fimo with --parse-genomic-coord."
        )
    return sites.assign(start=sites["start"] - 1)


def read_signal(path: str | Path, bins: pd.DataFrame) -> pd.DataFrame:
    """Read values along the genome from a bedGraph file, or from a bigWig file, averaged in bins.

    Parameters
    ----------
    path
        A bigWig file ends in ``.bw`` or ``.bigWig``. It is read with pybigtools, one chromosome at
        a time, so that memory does not grow with the file.
    bins
        chrom, start, end, of whole chromosomes and one width. A bedGraph file does not need them.

    Returns
    -------
    pandas.DataFrame
        chrom, start, end, value; of a bigWig file one row for each bin with a value, its mean over
        the bases that have one.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, it is damaged or holds no intervals; of a bigWig file also if
        pybigtools is not installed, or a chromosome is longer or shorter than in ``bins``.
    """
    path = _existing(path)
    if path.suffix.lower() in (".bw", ".bigwig"):
        return read_bigwig(path, bins)
    return read_bedgraph(path)


def read_bedgraph(path: str | Path) -> pd.DataFrame:
    """Read a bedGraph file.

    Returns
    -------
    pandas.DataFrame
        chrom, start, end, value.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, or it holds no intervals.
    """
    path = _existing(path)
    table = _intervals(path, ["chrom", "start", "end", "value"])
    values = pd.to_numeric(table.get("value", pd.Series(dtype=float)), errors="coerce")
    if values.isna().all():
        raise ValueError(f"{path} has no numbers in its fourth column, as bedGraph has.")
    if np.isinf(values).any():
        raise ValueError(f"{path}: {int(np.isinf(values).sum())} values are infinite.")
    if values.isna().any():
        warn_caller(f"{path}: {int(values.isna().sum())} values are no numbers and are left out")
    return table[["chrom", "start", "end"]].assign(value=values)


def read_genes(path: str | Path) -> pd.DataFrame:
    """Read the places of genes from a GTF, GFF3 or BED file.

    Returns
    -------
    pandas.DataFrame
        chrom, start, end, strand, indexed by name; of a GTF or GFF3 also ``gene_id`` without its
        version.
        Where a name stands several times, the first is kept.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, it is damaged, or has no names or strands.
    """
    path = _existing(path)
    if ".gtf" in path.name.lower() or ".gff" in path.name.lower():
        genes = _read_gtf(path)
    else:
        genes = read_bed(path)
        missing = [column for column in ("name", "strand") if column not in genes]
        if missing:
            raise ValueError(f"{path} has no column {missing[0]!r}: genes need name and strand.")
    return genes.drop_duplicates("name").set_index("name")


def gtf_assembly(path: str | Path) -> str | None:
    """Assembly of human or mouse that the comments of a GTF or GFF3 file name, if they name one.

    GENCODE and Ensembl name it, as GRCh38 or GRCm39, before the first gene.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from scstlib.files.track_files import gtf_assembly
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "genes.gtf"
    ...     _ = path.write_text("#!genome-build GRCm39\\nchr1\\t...\\n")
    ...     gtf_assembly(path)
    'GRCm39'
    """
    path = _existing(path)
    with reading(path, "tab-separated file of intervals"), _opened(path) as stream:
        for line in stream:
            if not line.startswith("#"):
                return None
            if found := re.search(r"\bGRC[hm]\d\d\b", line):
                return found[0]
    return None


def genes_of(genes: pd.DataFrame, names: pd.Index, source: str) -> pd.DataFrame:
    """Genes indexed as expression names them: by symbol or, where more fit, by ``gene_id``.

    Raises
    ------
    ValueError
        If none is among the names.
    """
    if "gene_id" in genes:
        bare = pd.Index(names.astype(str).str.replace(r"\.\d+$", "", regex=True))
        by_id = genes.drop_duplicates("gene_id").set_index("gene_id")
        if bare.isin(by_id.index).sum() > names.isin(genes.index).sum():
            found = by_id.reindex(bare).set_axis(names)
            return found[found["chrom"].notna()].astype({"start": int, "end": int})
    if not names.isin(genes.index).any():
        raise ValueError(
            f"{source}: none of the genes {list(names[:3])} is among its {list(genes.index[:3])};"
            " use the same names in both."
        )
    return genes


def expression_by_type(
    adata: AnnData, cell_type_key: str, *, layer: str | None = None, source: str = "expression"
) -> pd.DataFrame:
    """Expression of every cell type: counts per 10,000 of its summed cells.

    Parameters
    ----------
    adata
        Counts, cells × genes.
    cell_type_key
        Column of ``obs``.
    layer
        Where the counts are, if not in X.
    source
        What a warning calls the cells, such as the name of their file.

    Returns
    -------
    pandas.DataFrame
        (genes, cell types).

    Warns
    -----
    UserWarning
        If there are fractions among the counts, and they are not expected counts that a temporal
        model predicted, which come with ``layers["log1p_cp10k"]``.

    Raises
    ------
    ValueError
        If there are no cells, a gene name stands twice, the column or layer is missing or has gaps,
        a count is negative or not finite, or a cell type has no count at all.
    """
    if adata.n_obs == 0 or adata.n_vars == 0:
        raise ValueError(f"there are {adata.n_obs} cells and {adata.n_vars} genes.")
    if cell_type_key not in adata.obs:
        raise ValueError(f"obs has no column {cell_type_key!r}; it has {list(adata.obs.columns)}.")
    if layer is not None and layer not in adata.layers:
        raise ValueError(f"there is no layer {layer!r}; there are {list(adata.layers)}.")
    twice = adata.var_names[adata.var_names.duplicated()].unique()
    if len(twice):
        raise ValueError(
            f"{len(twice)} gene names stand more than once, the first is {twice[0]!r}; call"
            " adata.var_names_make_unique(), or name genes by their identifiers."
        )
    kinds = adata.obs[cell_type_key]
    if kinds.isna().any():
        raise ValueError(
            f"obs[{cell_type_key!r}] is missing in {int(kinds.isna().sum())} cells: leave them out."
        )
    counts: Any = adata.X if layer is None else adata.layers[layer]
    if counts is None:
        raise ValueError("X is None; put counts there, or name the layer that has them (layer).")
    values = counts.data if sp.issparse(counts) else np.asarray(counts)
    if not np.isfinite(values).all() or values.min(initial=0) < 0:
        raise ValueError("counts are negative or not finite; give raw counts (layer).")
    fractions = values != np.rint(values)
    if fractions.any() and "log1p_cp10k" not in adata.layers:
        where = "X" if layer is None else f"layer {layer!r}"
        kind = "logarithms" if values.max() < LARGEST_LOG else "values scaled to a common depth"
        warn_caller(
            f"{source}: {where} holds fractions, such as {values[fractions][0]:g}, as {kind} do;"
            " raw counts are expected. Name the layer that has them (layer)"
            + (f" among {list(adata.layers)}" if adata.layers else "")
            + (", or give adata.raw.to_adata()" if adata.raw is not None else "")
        )
    names, which = np.unique(kinds.astype(str), return_inverse=True)
    member = sp.csr_array((np.ones(len(which)), (which, np.arange(len(which)))))
    sums = member @ (sp.csr_array(counts) if sp.issparse(counts) else np.asarray(counts))
    sums = sums.toarray() if sp.issparse(sums) else sums
    totals = sums.sum(axis=1)
    if (totals == 0).any():
        raise ValueError(f"the cells of {names[totals == 0][0]!r} have no counts.")
    return pd.DataFrame((sums / totals[:, None] * 1e4).T, index=adata.var_names, columns=names)


def expression_from_files(
    files: Mapping[str, Any], bins: pd.DataFrame
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Expression tracks of every cell type from files, and the files' names.

    Parameters
    ----------
    files
        Cell type → two bedGraph or bigWig files, + and − strand, averaged in bins; or one BED file
        of genes whose score is the expression, put into the bin of the transcription start.

    Returns
    -------
    dict, list
        Cell type → (bins, 2), and the paths.

    Raises
    ------
    FileNotFoundError, ValueError
        As the readers do, or if a cell type has a single bedGraph file, a gene no score, or the
        expression is negative.
    """
    tracks, paths = {}, []
    for kind, given in files.items():
        one = [given] if isinstance(given, str | Path) else list(given)
        paths += [str(path) for path in one]
        if len(one) == 2:
            sides = [interval_track(read_signal(path, bins), bins)[:, 0] for path in one]
            tracks[kind] = np.stack(sides, axis=1)
        elif len(one) == 1 and Path(one[0]).name.removesuffix(".gz").endswith(".bed"):
            genes = read_genes(one[0])
            if "score" not in genes:
                raise ValueError(f"{one[0]} has no column 'score': that is the expression.")
            score = pd.to_numeric(genes["score"], errors="coerce")
            if score.isna().any():
                raise ValueError(f"{one[0]}: the score of {score.isna().idxmax()!r} is no number.")
            tracks |= expression_tracks(score.to_frame(kind), genes, bins)
        else:
            named = ", ".join(map(str, one)) or "no file"
            raise ValueError(
                f"{named} has no strands: give {kind!r} two files, of the + and the - strand, or"
                " a BED file of genes whose score is the expression."
            )
        if (lowest := tracks[kind].min(initial=0)) < 0:
            raise ValueError(
                f"the expression of {kind!r} in {', '.join(map(str, one))} goes down to {lowest:g}:"
                " give values of at least 0, on the - strand too, and no logarithms or z-scores."
            )
    return tracks, paths


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}.")
    return path


def _opened(path: Path) -> Any:
    opener: Any = gzip.open if path.suffix == ".gz" else open
    return opener(path, "rt", encoding="utf-8")


def _head(path: Path) -> tuple[list[str], int]:
    """Fields of the first line if it is a comment, and the number of lines before the intervals."""
    with _opened(path) as stream:
        first = stream.readline().rstrip("\n")
        stream.seek(0)
        head = next((k for k, line in enumerate(stream) if not line.startswith(NOT_DATA)), 0)
    return (first.lstrip("#").split("\t") if first.startswith("#") else []), head


def _intervals(path: Path, standard: list[str], *, header: bool = False) -> pd.DataFrame:
    """Rows of a tab-separated file of intervals; lines of comments and of browsers are left out.

    Columns are named by ``standard``, or by the first line if that is asked for and fits.
    """
    with reading(path, "tab-separated file of intervals"):
        try:
            names, head = _head(path)
            text = {0: str, standard.index("chrom"): str}
            table = pd.read_csv(path, sep="\t", header=None, skiprows=head, dtype=text)
        except pd.errors.EmptyDataError:
            raise ValueError(f"{path} is empty.") from None
    table = table[~table[0].str.startswith(NOT_DATA, na=False)]
    if table.empty:
        raise ValueError(f"{path} holds no intervals.")
    wanted = [*standard, *map(str, range(len(standard), table.shape[1]))][: table.shape[1]]
    if header and len(names) == table.shape[1]:
        wanted[3:] = names[3:]  # The first three have one meaning, and several names.
    table = table.set_axis(wanted, axis=1)
    return check_intervals(table, str(path))


def _read_gtf(path: Path) -> pd.DataFrame:
    table = _intervals(
        path,
        ["chrom", "source", "feature", "start", "end", "score", "strand", "frame", "attributes"],
    )
    genes = table[table["feature"] == "gene"]
    if genes.empty:
        raise ValueError(f"{path} has no lines of feature 'gene'.")
    # GTF: gene_id "X"; GFF3: gene_id=X.
    found = {
        key: genes["attributes"].str.extract(rf'\b{key}[ =]"?([^";]+)', expand=False)
        for key in ("gene_id", "gene_name")
    }
    if found["gene_id"].isna().all():
        raise ValueError(f"{path} has no gene_id among its attributes: give a GTF or BED file.")
    # A gene without a symbol goes by its identifier. Positions of the format count from 1.
    gene_id = found["gene_id"].str.replace(r"\.\d+$", "", regex=True)
    name = found["gene_name"].fillna(gene_id)
    genes = genes[["chrom", "start", "end", "strand"]].assign(name=name, gene_id=gene_id)
    return genes.assign(start=genes["start"] - 1)
