"""Measures of the real sets that the simulated organism is compared with."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pandas as pd

from scstlib.datasets.organism.realism import (
    BIN_SIZE,
    DEEP,
    SHALLOW,
    balance,
    coarsen,
    measure_counts,
    measure_map,
    stratum_correlation,
)


def measure_real_sets(folder: Path) -> pd.DataFrame:
    """Return quantity, set, value from the files of the real sets below ``folder``.

    Raises FileNotFoundError if a file is missing.
    """
    rows: list[tuple[str, str, float]] = []
    for name, counts in _count_sets(folder).items():
        rows += [(quantity, name, value) for quantity, value in measure_counts(counts).items()]
    mouse = _mouse_differentiation(folder)
    human = _human_replicates(folder)
    maps = {f"bonev2017 {kind}": m for kind, m in mouse.items()}
    maps |= {f"rao2014 {c} {r}": m for (c, r), m in human.items()}
    for name, contacts in maps.items():
        rows += [(quantity, name, value) for quantity, value in measure_map(contacts).items()]
    balanced = {name: balance(contacts) for name, contacts in maps.items()}
    for a, b in combinations(mouse, 2):
        value = stratum_correlation(
            balanced[f"bonev2017 {a}"], balanced[f"bonev2017 {b}"], BIN_SIZE
        )
        rows.append(("stratum correlation, cell types", f"bonev2017 {a}-{b}", value))
        # Binomial thinning of deep maps stands in for replicates of the depth of the human ones.
    rng = np.random.default_rng(0)
    for kind, contacts in mouse.items():
        first, second = (balance(_thin(contacts, SHALLOW / DEEP, rng)) for _ in range(2))
        value = stratum_correlation(first, second, BIN_SIZE)
        rows.append(("stratum correlation, replicates", f"bonev2017 {kind} thinned", value))
    for c in ("21", "22"):
        value = stratum_correlation(
            balanced[f"rao2014 {c} HIC001"], balanced[f"rao2014 {c} HIC002"], BIN_SIZE
        )
        rows.append(("stratum correlation, replicates", f"rao2014 {c}", value))
    return pd.DataFrame(rows, columns=["quantity", "set", "value"])


def _count_sets(folder: Path) -> dict[str, np.ndarray]:
    """Return counts (cells, genes) by set."""
    semrau = pd.read_csv(folder / "semrau2017" / "panel_real.txt", sep="\t", header=None)
    with ZipFile(folder / "malaria_cell_atlas" / "pb10xIDC_counts.csv.zip") as archive:
        malaria = pd.read_csv(archive.open("pb10xIDC_counts.csv"), index_col=0)
    return {
        "semrau2017": semrau.to_numpy(dtype=float)[2:].T,
        "malaria_cell_atlas": malaria.to_numpy(dtype=float).T,
        "darmanis2015": _darmanis(folder),
    }


def _darmanis(folder: Path) -> np.ndarray:
    import rdata

    table = rdata.read_rda(folder / "darmanis2015" / "GSE67835.RData")["Darmanis"]
    return np.asarray(table, dtype=float).T


def _mouse_differentiation(folder: Path) -> dict[str, np.ndarray]:
    """Return the maps (bins, bins) of chromosome 19 at 100 kb by cell type."""
    out = {}
    for kind in ("ES", "NPC", "CN"):
        path = folder / "bonev2017_chr19" / f"{kind}_chr19_100kb.txt"
        pixels = pd.read_csv(path, sep="\t", header=None).to_numpy()
        out[kind] = _symmetric(pixels[:, 0], pixels[:, 1], pixels[:, 2])
    return out


def _human_replicates(folder: Path) -> dict[tuple[str, str], np.ndarray]:
    """Return the maps (bins, bins) of two chromosomes at 100 kb by chromosome and replicate."""
    out = {}
    for replicate in ("HIC001", "HIC002"):
        path = folder / "rao2014_gm12878_replicates" / f"{replicate}.res50000.gz"
        pixels = pd.read_csv(path, sep="\t", header=None)
        for chrom in (21, 22):
            p = pixels[(pixels[0] == chrom) & (pixels[2] == chrom)]
            i, j = (p[[1, 3]].to_numpy() // 50_000).T
            out[str(chrom), replicate] = coarsen(_symmetric(i, j, p[4].to_numpy()), 2)
    return out


def _thin(contacts: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Return the map with each contact kept with probability ``share``."""
    upper = np.triu(rng.binomial(np.triu(contacts).astype(np.int64), share)).astype(float)
    thinned: np.ndarray = upper + np.triu(upper, 1).T
    return thinned


def _symmetric(i: np.ndarray, j: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Return the map of pixels that are listed once or in both orders, which are summed."""
    n = int(max(i.max(), j.max())) + 1
    out = np.zeros((n, n))
    np.add.at(out, (np.minimum(i, j), np.maximum(i, j)), count)
    return out + np.triu(out, 1).T
