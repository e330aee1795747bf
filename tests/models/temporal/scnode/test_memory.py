from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from anndata.io import sparse_dataset, write_elem
from scipy.sparse import csr_matrix

N_GENES, N_TIMES, COUNTS_OF_CELL = 500, 6, 250
BLOCK = 5000
# The many take 80 MB in memory, whether as stored or as an array: far over a tenth of the peak.
FEW, MANY = 5_000, 40_000

# Peak memory of the process itself: ru_maxrss of a child starts from that of its parent on Linux.
FIT = """
import sys
from pathlib import Path
import anndata
import torch
from scstlib.models import ScNODE

torch.set_num_threads(1)
cells = anndata.read_h5ad(sys.argv[1], backed="r")
settings = {"latent_dim": 3, "matching_steps": 20}
model = ScNODE(**settings).fit(cells, "time", device="cpu", max_cells_in_memory=500, progress=False)
assert model.sample([0.5], 5).shape == (5, 500)
status = Path("/proc/self/status").read_text()
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


def backed_counts(path: Path, n_cells: int) -> Path:
    """Counts of half the genes of each cell, stored by cells, written block by block."""
    rng = np.random.default_rng(0)

    def block(n: int) -> csr_matrix:
        # Genes of a cell: one in each of as many bins, so that none stands twice.
        width = N_GENES // COUNTS_OF_CELL
        genes = np.arange(COUNTS_OF_CELL) * width + rng.integers(width, size=(n, COUNTS_OF_CELL))
        counts = 1 + rng.poisson(1.0, size=genes.shape)
        starts = np.arange(n + 1) * COUNTS_OF_CELL
        shape = (n, N_GENES)
        return csr_matrix((counts.ravel().astype(np.float32), genes.ravel(), starts), shape=shape)

    time = (np.arange(n_cells) % N_TIMES).astype(float)
    obs = pd.DataFrame({"time": time}, index=np.arange(n_cells).astype(str))
    var = pd.DataFrame(index=[f"g{i}" for i in range(N_GENES)])
    AnnData(obs=obs, var=var).write_h5ad(path)
    with h5py.File(path, "r+") as file:
        write_elem(file, "X", block(BLOCK))
        stored = sparse_dataset(file["X"])
        for _ in range(BLOCK, n_cells, BLOCK):
            stored.append(block(BLOCK))
    return path


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads peak memory of Linux")
def test_peak_memory_of_a_backed_fit_does_not_grow_with_the_cells(tmp_path):
    peak = {}
    for n_cells in (FEW, MANY):
        path = backed_counts(tmp_path / f"{n_cells}.h5ad", n_cells)
        run = subprocess.run(
            [sys.executable, "-c", FIT, str(path)], capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stderr
        peak[n_cells] = int(run.stdout)
    assert peak[MANY] <= 1.1 * peak[FEW], peak
