"""About how long a training takes and how much memory, before it starts.

How the time grows was measured as processor time of ``fit`` with one thread, after a first short
``fit``: for scGrapHiC with 32 windows of 16 to 256 bins in batches of 8 and 16, for scNODE with 200
to 20,000 cells, 120 to 2,000 genes and 5 or 10 times. The level is that of an idle core, from
``benchmarks/results``: 4.1 minutes of the default scGrapHiC, 6.1 s of the default scNODE. On a busy
machine two to three times as much was measured, and another processor, more threads or a GPU
differ as well: the estimate tells seconds from hours. Memory is the peak of the resident set.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import scipy.sparse as sp

if TYPE_CHECKING:
    from anndata import AnnData

    from scstlib.preprocess.windows import Windows

BASE = 500.0  # MB of PyTorch, AnnData, cooler and what they load
# scGrapHiC, in a step: seconds for each window and for each of its pixels; bytes of a pixel.
WINDOW_SECONDS, PIXEL_SECONDS, PIXEL_BYTES = 2.5e-3, 1.8e-6, 2_000
# scNODE: seconds for each entry of the cells that factors are fitted to, of those that are only
# encoded, and for each step; bytes of an entry.
FACTOR_SECONDS, ENCODING_SECONDS, STEP_SECONDS, ENTRY_BYTES = 8e-7, 1e-7, 2e-3, 28


class Cost(NamedTuple):
    """What a training is estimated to take; as text, "about …".

    Attributes
    ----------
    minutes : float
        Of one CPU core.
    megabytes : float
        Peak of memory, 10^6 bytes.

    Examples
    --------
    >>> from scstlib.files import Cost
    >>> print(Cost(minutes=2.9, megabytes=880.0))
    about 3 minutes on one CPU core, about 0.9 GB of memory
    """

    minutes: float
    megabytes: float

    def __str__(self) -> str:
        memory = f"{max(self.megabytes, 100) / 1000:.1f} GB"
        return f"about {_duration(self.minutes)} on one CPU core, about {memory} of memory"


def _duration(minutes: float) -> str:
    if minutes < 1.5:
        return "a minute or less"
    if minutes < 90:
        return f"{minutes:.0f} minutes"
    return f"{minutes / 60:.1f} hours" if minutes < 600 else f"{minutes / 60:.0f} hours"


def contact_training_cost(windows: Windows, settings: Mapping[str, Any]) -> Cost:
    """Estimate what it takes to fit scGrapHiC.

    Parameters
    ----------
    windows : Windows
        What it is fitted to.
    settings : mapping
        Of the model: ``n_steps``, ``batch_size``, ``crop``, ``crop_steps``.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from scstlib.datasets import simulate_organism
    >>> from scstlib.files import build_windows, contact_training_cost
    >>> with TemporaryDirectory() as folder:
    ...     simulate_organism(0, "tiny").write(folder)
    ...     windows = build_windows(
    ...         f"{folder}/bulk.mcool::resolutions/50000", f"{folder}/cells.h5ad",
    ...         targets={"stem": f"{folder}/stem.cool"}, window=64,
    ...     )
    >>> settings = {"n_steps": 2000, "batch_size": 8, "crop": 64, "crop_steps": 0.85}
    >>> print(contact_training_cost(windows, settings))
    about 3 minutes on one CPU core, about 0.6 GB of memory
    """
    bins, share = windows.bulk.shape[-1], settings["crop_steps"]
    # The first steps see a part of each window.
    pixels = share * min(settings["crop"], bins) ** 2 + (1 - share) * bins**2
    per_window = WINDOW_SECONDS + PIXEL_SECONDS * pixels
    seconds = settings["n_steps"] * settings["batch_size"] * per_window
    held = 2 * (windows.bulk.nbytes + np.asarray(windows.targets).nbytes)
    return Cost(seconds / 60, BASE + (held + settings["batch_size"] * bins**2 * PIXEL_BYTES) / 1e6)


def expression_training_cost(cells: AnnData, settings: Mapping[str, Any]) -> Cost:
    """Estimate what it takes to fit scNODE.

    Parameters
    ----------
    cells : AnnData
        What it is fitted to, in memory or backed.
    settings : mapping
        Of the model: ``matching_steps``, ``transport_steps``, ``combine``.

    Examples
    --------
    >>> from scstlib.datasets import simulate_organism
    >>> from scstlib.files import expression_training_cost
    >>> cells = simulate_organism(0, "tiny").sample()
    >>> print(expression_training_cost(cells, {"matching_steps": 800, "transport_steps": 0}))
    about a minute or less on one CPU core, about 0.5 GB of memory
    """
    from scstlib.preprocess.cells import MAX_CELLS_IN_MEMORY

    fitted = min(cells.n_obs, MAX_CELLS_IN_MEMORY)
    steps = settings["matching_steps"] + settings["transport_steps"]
    seconds = cells.n_vars * (fitted * FACTOR_SECONDS + cells.n_obs * ENCODING_SECONDS)
    # Up to six times are left out, and a drift is trained without each in a third of the steps.
    seconds += steps * STEP_SECONDS * (3 if settings.get("combine", True) else 1)
    return Cost(
        seconds / 60, BASE + (_stored_bytes(cells) + fitted * cells.n_vars * ENTRY_BYTES) / 1e6
    )


def _stored_bytes(cells: AnnData) -> int:
    """Memory of X; 0 of a backed one, which stays in its file."""
    if cells.isbacked:
        return 0
    X: Any = cells.X
    return X.data.nbytes + X.indices.nbytes if sp.issparse(X) else np.asarray(X).nbytes
