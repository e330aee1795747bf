"""Expression sets: small files of the same form, and the counts of the real ones."""

from __future__ import annotations

import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scstlib.datasets import expression_sets, load, read_manifest


def read(name: str, folder: Path) -> ad.AnnData:
    """Run the reader of a set on files that a test has written."""
    files = {str(p.relative_to(folder)): p for p in folder.rglob("*") if p.is_file()}
    return getattr(expression_sets, name)(read_manifest(name), lambda: files)


def counts_by(adata: ad.AnnData, column: str) -> dict[Any, int]:
    return adata.obs[column].value_counts().to_dict()


def check_form(adata: ad.AnnData, name: str, value_kind: str, time_unit: str | None) -> None:
    """What every expression set promises."""
    assert adata.uns["dataset"] == name
    assert adata.uns["value_kind"] == value_kind
    assert adata.uns.get("time_unit") == time_unit
    assert adata.var_names.is_unique
    assert adata.obs_names.is_unique
    assert ("time" in adata.obs) == (time_unit is not None)
    if time_unit is not None:
        assert adata.obs["time"].dtype == float
        assert adata.obs["time"].notna().all()
    if value_kind == "counts":
        assert isinstance(adata.X, sparse.csr_matrix)
        assert np.issubdtype(adata.X.dtype, np.integer)
        assert adata.X.min() >= 0
    else:
        assert adata.X.dtype == np.float32
        assert np.isfinite(adata.X).all()


def test_guo2010_small(tmp_path: Path) -> None:
    (tmp_path / "guo_qpcr.csv").write_text(",A,B\n1,0.5,-1\n32 ICM,2,3\n64 PE,4,5\n64 TE,6,7\n")
    adata = read("guo2010", tmp_path)
    check_form(adata, "guo2010", "normalised qPCR", "divisions")
    assert adata.obs["time"].tolist() == [0, 5, 6, 6]
    assert adata.obs["stage"].tolist() == ["1-cell", "32-cell", "64-cell", "64-cell"]
    assert adata.obs["stage"].min() == "1-cell"
    assert adata.obs["lineage"].isna().tolist() == [True, False, False, False]
    assert adata.obs["lineage"].tolist()[1:] == ["ICM", "PE", "TE"]
    np.testing.assert_array_equal(adata.X, [[0.5, -1], [2, 3], [4, 5], [6, 7]])


def write_semrau(folder: Path, h5ad_value: int = 8) -> None:
    # Rows: hours, stimulus, two genes; the first column numbers the rows.
    (folder / "panel_real.txt").write_text("0\t0\t6\t6\n0\t0\t1\t1\n1\t5\t0\t7\n2\t1\t2\t8\n")
    (folder / "panel_genes.txt").write_text("0   RA\n1\tPou5f1\n2\tSox2\n")
    labelled = ad.AnnData(
        np.array([[5, 1], [0, 2], [7, h5ad_value]]),
        obs=pd.DataFrame({"time": [0, 6, 6], "cell_type": ["a", "b", "a"]}, index=list("xyz")),
        var=pd.DataFrame(index=["Pou5f1", "Sox2"]),
    )
    labelled.write_h5ad(folder / "data.h5ad")


def test_semrau2017_small(tmp_path: Path) -> None:
    write_semrau(tmp_path)
    adata = read("semrau2017", tmp_path)
    check_form(adata, "semrau2017", "counts", "hours")
    assert list(adata.var_names) == ["Pou5f1", "Sox2"]
    assert adata.obs["time"].tolist() == [0, 6, 6]
    assert adata.obs["cell_type"].tolist() == ["a", "b", "a"]
    np.testing.assert_array_equal(adata.X.toarray(), [[5, 1], [0, 2], [7, 8]])


def test_semrau2017_labels_are_only_taken_from_equal_counts(tmp_path: Path) -> None:
    write_semrau(tmp_path, h5ad_value=9)
    with pytest.raises(ValueError, match="different cells"):
        read("semrau2017", tmp_path)


def test_bargaje2017_small(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("A,B,h\n25,3.5,0\n18,20,24\n,,\n,,\n")
    adata = read("bargaje2017", tmp_path)
    check_form(adata, "bargaje2017", "Ct", "hours")
    assert adata.obs["time"].tolist() == [0, 24]
    np.testing.assert_array_equal(adata.X, np.float32([[25, 3.5], [18, 20]]))


def test_kouno2013_small(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("A,B,h\n4.5,30.5,0\n5,20,96\n")
    adata = read("kouno2013", tmp_path)
    check_form(adata, "kouno2013", "qPCR, scale not named", "hours")
    assert adata.obs["time"].tolist() == [0, 96]
    np.testing.assert_array_equal(adata.X, np.float32([[4.5, 30.5], [5, 20]]))


def test_klein2015_small(tmp_path: Path) -> None:
    (tmp_path / "profile.txt").write_text(",cell-0,cell-1\nA,3,0\nB,1,2\nC,0,7\n")
    (tmp_path / "labels.txt").write_text("0\n7\n")
    adata = read("klein2015", tmp_path)
    check_form(adata, "klein2015", "counts", "days")
    assert list(adata.var_names) == ["A", "B", "C"]
    assert adata.obs["time"].tolist() == [0, 7]
    np.testing.assert_array_equal(adata.X.toarray(), [[3, 1, 0], [0, 2, 7]])
    (tmp_path / "labels.txt").write_text("0\n7\n7\n")
    with pytest.raises(ValueError, match="3 days for 2 cells"):
        read("klein2015", tmp_path)


def test_malaria_cell_atlas_small(tmp_path: Path) -> None:
    # The phenotypes are in another order than the counts.
    (tmp_path / "pb10xIDC_pheno.csv").write_text(",nUMI,bulk\nCC,4,10\nAA,3,2\n")
    with zipfile.ZipFile(tmp_path / "pb10xIDC_counts.csv.zip", "w") as archive:
        archive.writestr("pb10xIDC_counts.csv", '"","AA","CC"\n"g1",3,0\n"g2",0,4\n"g3",0,0\n')
        archive.writestr("__MACOSX/._pb10xIDC_counts.csv", "x")
    adata = read("malaria_cell_atlas", tmp_path)
    check_form(adata, "malaria_cell_atlas", "counts", None)
    assert adata.obs["inferred_time"].tolist() == [2, 10]
    assert adata.uns["inferred_time_unit"] == "hours"
    assert list(adata.obs_names) == ["AA", "CC"]
    np.testing.assert_array_equal(adata.X.toarray(), [[3, 0, 0], [0, 4, 0]])
    np.testing.assert_array_equal(adata.X.sum(1).A1, adata.obs["nUMI"])


def test_darmanis2015_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import rdata
    import xarray

    (tmp_path / "GSE67835.RData").touch()
    rows = ["A", "no_feature", "B", "ambiguous", "alignment_not_unique"]
    table = xarray.DataArray(
        np.arange(10.0).reshape(5, 2),
        dims=["dim_0", "dim_1"],
        coords={"dim_0": rows, "dim_1": ["c1", "c2"]},
    )
    objects = {"Darmanis": table, "DarmanisCells": np.array(["astro", "neuro"])}
    monkeypatch.setattr(rdata, "read_rda", lambda path: objects)
    adata = read("darmanis2015", tmp_path)
    check_form(adata, "darmanis2015", "counts", None)
    assert list(adata.var_names) == ["A", "B"]
    np.testing.assert_array_equal(adata.X.toarray(), [[0, 4], [1, 5]])
    assert adata.obs["cell_type"].tolist() == ["astro", "neuro"]
    assert adata.obs["reads_no_feature"].tolist() == [2, 3]
    assert adata.obs["reads_alignment_not_unique"].tolist() == [8, 9]


def test_repeated_genes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "guo_qpcr.csv").write_text(",A,B\n1,0.5,-1\n")
    with pytest.raises(ValueError, match=r"not unique: \['A'\]"):
        expression_sets._annotated(
            np.zeros((1, 2)),
            ["A", "A"],
            pd.DataFrame(index=["c"]),
            read_manifest("guo2010"),
            "Ct",
            None,
        )


class Node(SimpleNamespace):
    """A node of a parsed R file, as rdata gives it."""

    def __init__(self, value: Any = None, attributes: Any = None, tag: Any = None) -> None:
        super().__init__(value=value, attributes=attributes, tag=tag, referenced_object=None)


def symbol(name: str) -> Node:
    return Node(Node(name.encode()))


def reference(node: Node) -> Node:
    pointer = Node()
    pointer.referenced_object = node
    return pointer


def pairlist(items: dict[str, Node], seen: dict[str, Node]) -> Node | None:
    """A tagged list; a name that was used before becomes a reference, as in R's format."""
    chain = Node(None)
    for name, item in reversed(items.items()):
        tag = reference(seen[name]) if name in seen else seen.setdefault(name, symbol(name))
        chain = Node((item, chain), tag=tag)
    return chain


def strings(*words: str) -> Node:
    return Node([Node(word.encode()) for word in words])


def test_ipsc_cardiomyocyte_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import rdata

    seen: dict[str, Node] = {}

    def slots(**items: Node) -> Node | None:
        return pairlist({key.replace("_dot_", "."): item for key, item in items.items()}, seen)

    # 3 genes × 2 cells, column by column.
    matrix = Node(np.array([1, 2, 3, 4, 0, 6]))
    matrix.attributes = slots(
        dim=Node(np.array([3, 2])), dimnames=Node([strings("A", "B", "C"), Node()])
    )
    assays = Node(attributes=slots(listData=Node([matrix], slots(names=strings("count")))))
    environment = Node(
        SimpleNamespace(hash_table=Node([None, pairlist({".->data": assays}, seen)]))
    )
    group = Node(np.array([2, 1]), slots(levels=strings("D0", "D10")))
    columns = Node(attributes=slots(listData=Node([group], slots(names=strings("group")))))
    experiment = Node(
        attributes=slots(assays=Node(attributes=slots(_dot_xData=environment)), colData=columns)
    )
    tree = SimpleNamespace(object=pairlist({"iPSC": experiment}, seen))
    monkeypatch.setattr(rdata.parser, "parse_file", lambda path: tree)
    (tmp_path / "iPSC.rda").touch()
    adata = read("ipsc_cardiomyocyte", tmp_path)
    check_form(adata, "ipsc_cardiomyocyte", "counts", "days")
    np.testing.assert_array_equal(adata.X.toarray(), [[1, 2, 3], [4, 0, 6]])
    assert adata.obs["time"].tolist() == [10, 0]
    assert list(adata.var_names) == ["A", "B", "C"]


def test_guo2010_real(real_data: Path) -> None:
    adata = load("guo2010")
    check_form(adata, "guo2010", "normalised qPCR", "divisions")
    assert adata.shape == (437, 48)
    assert counts_by(adata, "time") == {0: 9, 1: 19, 2: 23, 3: 43, 4: 75, 5: 109, 6: 159}
    assert counts_by(adata, "lineage") == {"TE": 156, "ICM": 49, "PE": 44, "EPI": 19}


def test_semrau2017_real(real_data: Path) -> None:
    adata = load("semrau2017")
    check_form(adata, "semrau2017", "counts", "hours")
    assert adata.shape == (2449, 41)
    hours = {0: 282, 6: 335, 12: 285, 24: 291, 36: 334, 48: 277, 60: 273, 72: 235, 96: 137}
    assert counts_by(adata, "time") == hours
    assert len(counts_by(adata, "cell_type")) == 4
    assert "RA" not in adata.var_names


def test_bargaje2017_real(real_data: Path) -> None:
    adata = load("bargaje2017")
    check_form(adata, "bargaje2017", "Ct", "hours")
    assert adata.shape == (1896, 96)
    hours = {0: 231, 24: 166, 36: 93, 48: 211, 60: 122, 72: 258, 96: 456, 120: 359}
    assert counts_by(adata, "time") == hours
    assert adata.X.max() == 25


def test_kouno2013_real(real_data: Path) -> None:
    adata = load("kouno2013")
    check_form(adata, "kouno2013", "qPCR, scale not named", "hours")
    assert adata.shape == (960, 45)
    assert counts_by(adata, "time") == dict.fromkeys([0, 1, 6, 12, 24, 48, 72, 96], 120)
    assert 0 < adata.X.min() < adata.X.max() < 100


def test_klein2015_real(real_data: Path) -> None:
    adata = load("klein2015")
    check_form(adata, "klein2015", "counts", "days")
    assert adata.shape == (1000, 900)
    assert counts_by(adata, "time") == {0: 359, 2: 101, 4: 248, 7: 292}
    # Pluripotency goes: neither cells nor genes are shuffled.
    share = adata.to_df()["Zfp42"].gt(0).groupby(adata.obs["time"]).mean()
    assert share[0.0] > 2 * share[7.0]


def test_ipsc_cardiomyocyte_real(real_data: Path) -> None:
    adata = load("ipsc_cardiomyocyte")
    check_form(adata, "ipsc_cardiomyocyte", "counts", "days")
    assert adata.shape == (315, 15_724)
    assert counts_by(adata, "time") == {0: 83, 6: 77, 10: 60, 30: 41, 60: 54}
    # Known markers: neither cells nor genes are shuffled.
    detected = pd.DataFrame(
        {gene: adata[:, gene].X.toarray().ravel() > 0 for gene in ("NANOG", "MYH6")}
    )
    share = detected.groupby(adata.obs["time"].to_numpy()).mean()
    assert share.loc[0, "NANOG"] > 0.9 > 0.1 > share.loc[60, "NANOG"]
    assert share.loc[60, "MYH6"] > 0.9 > 0.1 > share.loc[0, "MYH6"]


@pytest.mark.slow
def test_malaria_cell_atlas_real(real_data: Path) -> None:
    adata = load("malaria_cell_atlas")
    check_form(adata, "malaria_cell_atlas", "counts", None)
    assert adata.shape == (4763, 4890)
    assert adata.obs["inferred_time"].between(2, 24).all()
    np.testing.assert_array_equal(adata.X.sum(1).A1, adata.obs["total_counts"])


def test_darmanis2015_real(real_data: Path) -> None:
    adata = load("darmanis2015")
    check_form(adata, "darmanis2015", "counts", None)
    # The file's 22,088 rows are 22,085 genes and three counters.
    assert adata.shape == (267, 22_088 - 3)
    kinds = {"astro": 62, "oligo": 38, "microglia": 16, "neuro": 131, "endo": 20}
    assert counts_by(adata, "cell_type") == kinds
    neurons = adata[adata.obs["cell_type"] == "neuro", "GAD1"].X
    assert (neurons > 0).sum() == 116
