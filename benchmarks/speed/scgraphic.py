"""CPU time and memory of scGrapHiC, each case in a process of its own.

    python -m benchmarks.speed.scgraphic [CASE]

prints them as JSON, or the one case that is named. ``benchmarks.spatial.run`` stores them.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.record import ROOT, Score, argument_parser
from benchmarks.timing import cpu_seconds, one_thread
from scstlib.models import PublishedScGrapHiC, ScGrapHiC
from scstlib.preprocess.guides import BULK_EXPRESSION, EXPRESSION, REFERENCE_EXPRESSION
from scstlib.preprocess.windows import Windows, make_windows

# As in benchmarks.spatial.truth, which imports much that predicting does not need.
NAMES = (*EXPRESSION, *REFERENCE_EXPRESSION, *BULK_EXPRESSION, "CTCF +", "CTCF -", "CpG")
WINDOW = 128
STEPS_TIMED, REPEATS = 12, 3
CHROMOSOMES, CHROMOSOME_BINS = 20, 2_752  # 2.75 Gb in all
STRIDE = 64
PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed"}


def random_windows(n_windows: int) -> Windows:
    """Windows of 128 bins with counts that fall with distance: cost does not depend on values."""
    rng = np.random.default_rng(0)
    n_bins = WINDOW * n_windows
    bulk = banded_bulk(n_bins, rng)
    tracks = rng.gamma(0.5, 2.0, (n_bins, len(NAMES)))
    return make_windows(
        {"chr": bulk}, {"type": {"chr": tracks}}, {"type": {"chr": bulk}}, bin_size=50_000,
        bulk_cell_types=(), stride=WINDOW, track_names=NAMES,
    )  # fmt: skip


def trained(
    variant: str, precision: str, batch: int, steps: int, windows: Windows, device: str = "cpu"
) -> None:
    """Make so many training steps."""
    model: ScGrapHiC | PublishedScGrapHiC = ScGrapHiC(n_steps=steps, batch_size=batch)
    if variant == "published":
        model = PublishedScGrapHiC(epochs=steps, batch_size=batch)
        windows = windows[:batch]  # One step is one epoch.
    model.fit(windows, device=device, precision=PRECISIONS[precision], progress=False)


def step_time(variant: str, precision: str) -> dict[str, float]:
    """CPU seconds of a training step at batch 8: of many steps minus those of few.

    The median of several, as other work on a machine slows single ones.
    """
    windows = random_windows(40)
    trained(variant, precision, 8, 2, windows)  # Warms up.
    found = []
    for _ in range(REPEATS):
        spent = {}
        for steps in (2, 2 + STEPS_TIMED):
            spent[steps] = cpu_seconds(
                lambda steps=steps: trained(variant, precision, 8, steps, windows)
            )
        found.append((spent[2 + STEPS_TIMED] - spent[2]) / STEPS_TIMED)
    return {"seconds": statistics.median(found)}


def step_memory(variant: str, precision: str) -> dict[str, float]:
    """Megabytes that training at batch 16 adds to what the process holds before it."""
    windows = random_windows(16)
    trained(variant, precision, 1, 1, windows[:1])  # Libraries are loaded.
    before = resident()
    trained(variant, precision, 16, 2, windows)
    return {"megabytes": peak() - before}


def write_trained(path: Path) -> None:
    """Write the file of a model that has made two steps."""
    ScGrapHiC(n_steps=2).fit(random_windows(8), progress=False, device="cpu").save(path)


def genome() -> dict[str, float]:
    """CPU seconds and peak megabytes of a prediction of a mouse-sized genome at 50 kb.

    Seconds are those of the median chromosome times their number: all have one size.
    """
    from scstlib.files.stitch import predict_map

    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        # Trained in a process of its own: the peak of this one is that of predicting.
        training = get_context("spawn").Process(target=write_trained, args=(path,))
        training.start()
        training.join()
        model = ScGrapHiC.load(path, device="cpu")
    n_bins = CHROMOSOME_BINS
    rng = np.random.default_rng(0)
    bulk, tracks = banded_bulk(n_bins, rng), rng.gamma(0.5, 2.0, (n_bins, len(NAMES)))
    seconds, pixels = [], 0
    for number in range(CHROMOSOMES):
        start = time.process_time()
        windows = make_windows(
            {"chr": bulk}, {"type": {"chr": tracks}}, None, bin_size=50_000, bulk_cell_types=(),
            stride=STRIDE, track_names=NAMES,
        )  # fmt: skip
        predicted = predict_map(model.predict, windows, n_bins, max_distance=STRIDE)
        seconds.append(time.process_time() - start)
        pixels += predicted.nnz
        if number == 0:
            one = predicted
    return {
        "seconds": CHROMOSOMES * statistics.median(seconds),
        "peak_megabytes": peak(),
        "bins": n_bins * CHROMOSOMES,
        "pixels": pixels,
        "chromosome_pixels": one.nnz,
    }


def banded_bulk(n_bins: int, rng: np.random.Generator) -> object:
    """Sparse symmetric counts up to 128 bins from the diagonal."""
    import scipy.sparse as sp

    diagonals = [rng.poisson(500 / (1 + d), n_bins - d).astype(np.float32) for d in range(128)]
    upper = sp.diags_array(diagonals, offsets=list(range(128)), shape=(n_bins, n_bins)).tocsr()
    return (upper + sp.triu(upper, 1).T).tocsr()


def resident() -> float:
    """Megabytes that the process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def peak() -> float:
    """Most megabytes that the process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


CASES: dict[str, Callable[[], dict[str, float]]] = {"genome": genome}
for _variant, _precision in (("default", "fp32"), ("default", "bf16"), ("published", "fp32")):
    CASES[f"step {_variant} {_precision}"] = lambda v=_variant, p=_precision: step_time(v, p)
    CASES[f"memory {_variant} {_precision}"] = lambda v=_variant, p=_precision: step_memory(v, p)


def costs() -> list[Score]:
    """All cases, each in a process of its own."""
    found: list[Score] = []
    command = [sys.executable, "-m", "benchmarks.speed.scgraphic"]
    for case in CASES:
        done = subprocess.run(
            [*command, case], cwd=ROOT, capture_output=True, text=True, check=True
        )
        found.append({"case": case} | json.loads(done.stdout))
        print(found[-1], flush=True, file=sys.stderr)
    return found


def main() -> None:
    parser = argument_parser(__file__, __doc__, output=False)
    parser.add_argument("case", nargs="?", choices=list(CASES))
    case = parser.parse_args().case
    with one_thread():
        print(json.dumps(CASES[case]() if case else costs()))


if __name__ == "__main__":
    main()
