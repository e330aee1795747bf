"""Readers of the expression sets: files on disk → AnnData.

Every reader takes the manifest and a function that returns the files (path in the manifest → file
on disk), and returns an AnnData of cells × genes with

- ``X``: counts as a CSR matrix of integers, or measured values as a dense float32 array;
- ``obs["time"]``: real-valued, in ``uns["time_unit"]``, where cells were sampled along time;
- ``obs["cell_type"]`` or ``obs["lineage"]``: labels, where there are any;
- ``uns``: ``dataset``, ``value_kind`` ("counts", "normalised qPCR" or "Ct"), ``time_unit``.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from scstlib.datasets.manifests import Manifest
from scstlib.datasets.r_trees import attributes, named, pairs, strings

if TYPE_CHECKING:
    from anndata import AnnData

Files = Callable[[], Mapping[str, Path]]


def _annotated(
    values: Any,
    genes: Iterable[str],
    obs: pd.DataFrame,
    manifest: Manifest,
    value_kind: str,
    time_unit: str | None,
) -> AnnData:
    """AnnData in the form that all readers return; gene and cell names must be unique."""
    from anndata import AnnData

    names = pd.Index(list(genes))
    if not names.is_unique:
        repeated = sorted(set(names[names.duplicated()]))
        raise ValueError(f"{manifest.name}: gene names are not unique: {repeated[:5]}")
    if value_kind == "counts":
        values = sparse.csr_matrix(values).astype(np.int32)
    adata = AnnData(values, obs=obs, var=pd.DataFrame(index=names))
    adata.uns["dataset"] = manifest.name
    adata.uns["value_kind"] = value_kind
    if time_unit is not None:
        adata.uns["time_unit"] = time_unit
    return adata


def _numbered(n_cells: int, **columns: Any) -> pd.DataFrame:
    """Table of cells named cell_0, cell_1, ... for files that do not name their cells."""
    return pd.DataFrame(columns, index=[f"cell_{i}" for i in range(n_cells)])


def guo2010(manifest: Manifest, files: Files) -> AnnData:
    """Mouse pre-implantation embryo: 437 cells × 48 genes, normalised qPCR (can be negative).

    ``obs["time"]`` is log2 of the number of cells of the embryo, that is, the number of divisions
    since the zygote: 0 to 6, the only real-valued time that the stages define. ``obs["stage"]`` is
    the stage itself (``"1-cell"`` to ``"64-cell"``, ordered) and ``obs["lineage"]`` is TE, ICM, PE
    or EPI, missing before 32 cells. DOI 10.1016/j.devcel.2010.02.012.
    """
    table = pd.read_csv(files()["guo_qpcr.csv"], index_col=0)
    labels = [str(label).split() for label in table.index]
    n_cells = np.array([int(label[0]) for label in labels])
    stages = [f"{n}-cell" for n in sorted(set(n_cells))]
    obs = _numbered(
        len(table),
        time=np.log2(n_cells),
        stage=pd.Categorical([f"{n}-cell" for n in n_cells], stages, ordered=True),
        lineage=pd.Categorical([label[1] if len(label) > 1 else None for label in labels]),
    )
    values = table.to_numpy(np.float32)
    return _annotated(values, table.columns, obs, manifest, "normalised qPCR", "divisions")


def semrau2017(manifest: Manifest, files: Files) -> AnnData:
    """Mouse ES cells under retinoic acid: 2,449 cells × 41 genes, UMI counts, hours 0 to 96.

    ``obs["cell_type"]`` is the assignment in ``data.h5ad``, taken over only because its counts
    and times equal those of ``panel_real.txt``. DOI 10.1038/s41467-017-01076-4.

    Raises
    ------
    ValueError
        If the two files do not hold the same cells.
    """
    from anndata import read_h5ad

    paths = files()
    # The first column numbers the rows; row 0 holds the hours and row 1 the stimulus.
    panel = np.loadtxt(paths["panel_real.txt"], delimiter="\t", dtype=np.int64)[:, 1:]
    hours, counts = panel[0], panel[2:].T
    lines = paths["panel_genes.txt"].read_text(encoding="utf-8").splitlines()
    genes = [line.split()[1] for line in lines if line.strip()][1:]
    labelled = read_h5ad(paths["data.h5ad"])
    same = (
        list(labelled.var_names) == genes
        and labelled.shape == counts.shape
        and np.array_equal(labelled.obs["time"], hours)
        and np.array_equal(_dense(labelled.X), counts)
    )
    if not same:
        raise ValueError(f"{manifest.name}: data.h5ad and panel_real.txt hold different cells")
    obs = _numbered(
        len(hours),
        time=hours.astype(float),
        cell_type=pd.Categorical(labelled.obs["cell_type"].astype(str)),
    )
    return _annotated(counts, genes, obs, manifest, "counts", "hours")


def _dense(values: Any) -> np.ndarray:
    """Dense array of a dense or sparse matrix."""
    return values.toarray() if sparse.issparse(values) else np.asarray(values)


def bargaje2017(manifest: Manifest, files: Files) -> AnnData:
    """Human iPSC to cardiac fate: 1,896 cells × 96 genes, Ct values, hours 0 to 120.

    A larger Ct means less expressed; the largest, 25, stands for "not detected".
    DOI 10.1073/pnas.1621412114.
    """
    (path,) = files().values()
    # The file ends in rows without a single value.
    table = pd.read_csv(path).dropna(how="all")
    hours = table.pop("h").to_numpy(float)
    obs = _numbered(len(table), time=hours)
    values = table.to_numpy(np.float32)
    return _annotated(values, table.columns, obs, manifest, "Ct", "hours")


def malaria_cell_atlas(manifest: Manifest, files: Files) -> AnnData:
    """*Plasmodium berghei*, blood stages: 4,763 cells × 4,890 genes, UMI counts, inferred hours.

    The hours were inferred from expression (column ``bulk`` of the phenotype file), not sampled:
    they are ``obs["inferred_time"]`` in ``uns["inferred_time_unit"]``, and there is no
    ``obs["time"]``. The rest of the phenotype table is kept in ``obs``.
    DOI 10.1126/science.aaw2619.
    """
    paths = files()
    obs = pd.read_csv(paths["pb10xIDC_pheno.csv"], index_col=0)
    with (
        zipfile.ZipFile(paths["pb10xIDC_counts.csv.zip"]) as archive,
        archive.open("pb10xIDC_counts.csv") as stream,
    ):
        cells = [name.strip('"\n\r') for name in stream.readline().decode().split(",")][1:]
        genes, rows = [], []
        for line in stream:
            gene, values = line.split(b",", 1)
            genes.append(gene.decode().strip('"'))
            rows.append(sparse.csr_matrix(np.fromstring(values, dtype=np.int32, sep=",")))
    counts = sparse.vstack(rows).T.tocsr()
    if cells != list(obs.index):
        obs = obs.loc[cells]
    obs = obs.rename(columns={"bulk": "inferred_time"})
    obs["inferred_time"] = obs["inferred_time"].astype(float)
    adata = _annotated(counts, genes, obs, manifest, "counts", None)
    adata.uns["inferred_time_unit"] = "hours"
    return adata


def darmanis2015(manifest: Manifest, files: Files) -> AnnData:
    """Human cortex: 267 cells × 22,085 genes, raw read counts, five cell types.

    The file has 22,088 rows; three are counters of reads that fell on no gene and go to
    ``obs["reads_no_feature"]``, ``obs["reads_ambiguous"]`` and
    ``obs["reads_alignment_not_unique"]``. Cells were not sampled along time.
    DOI 10.1073/pnas.1507125112.
    """
    import rdata

    objects = rdata.read_rda(files()["GSE67835.RData"])
    table = objects["Darmanis"].to_pandas()
    counters = ["no_feature", "ambiguous", "alignment_not_unique"]
    reads = table.loc[counters]
    table = table.drop(index=counters)
    obs = pd.DataFrame(
        {"cell_type": pd.Categorical([str(label) for label in objects["DarmanisCells"]])},
        index=[str(cell) for cell in table.columns],
    )
    for counter in counters:
        obs[f"reads_{counter}"] = reads.loc[counter].to_numpy(np.int64)
    genes = [str(gene) for gene in table.index]
    return _annotated(table.to_numpy().T, genes, obs, manifest, "counts", None)


def ipsc_cardiomyocyte(manifest: Manifest, files: Files) -> AnnData:
    """Human iPSC to cardiomyocyte: 315 cells × 15,724 genes, counts, days 0 to 60.

    The host names no paper; the accession GSE81585 is unconfirmed.
    """
    import rdata

    tree = rdata.parser.parse_file(files()["iPSC.rda"])
    counts, genes, days = _summarized_experiment(tree.object)
    obs = _numbered(len(days), time=days)
    return _annotated(counts, genes, obs, manifest, "counts", "days")


def _summarized_experiment(tree: Any) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Counts (cells × genes), gene names and days of the R object ``iPSC``, from the parsed tree.

    The object is an old SummarizedExperiment, whose assays are a reference class: an environment
    of functions and of one list that holds the matrix. Only the path to the data is followed;
    functions and promises are neither converted nor run.
    """
    experiment = attributes(pairs(tree)["iPSC"])
    environment = attributes(experiment["assays"])[".xData"].value
    buckets = environment.hash_table.value or []
    members = {key: item for bucket in buckets for key, item in pairs(bucket).items()}
    assays = attributes(members[".->data"])["listData"]
    count = named(assays)["count"]
    shape = attributes(count)
    n_genes, n_cells = shape["dim"].value
    genes = strings(shape["dimnames"].value[0])
    # R stores matrices column by column: a column is a cell.
    counts = np.asarray(count.value).reshape(n_cells, n_genes)
    group = named(attributes(experiment["colData"])["listData"])["group"]
    levels = strings(attributes(group)["levels"])
    days = np.array([float(level.removeprefix("D")) for level in levels])
    return counts, genes, days[np.asarray(group.value) - 1]
