"""What a GPU is worth: tests that need one, training steps on it and on one core, and full pages.

    python -m benchmarks.speed.gpu [--pages spatial/human_cortex ...] [--output FILE]

Needs a CUDA device. Wall-clock seconds of a training step are those of many steps minus those of
few, over their number, on the GPU and on one thread of the CPU beside it. Data are random: the cost
does not depend on their values. Pages run as with ``SCST_PROFILE=full python -m tools.execute``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from benchmarks.record import ROOT, argument_parser, provenance, write
from benchmarks.speed.scgraphic import random_windows, trained
from scstlib.models import PublishedScNODE, ScNODE

FEW, MANY = 4, 24
MANY_ON_CPU = 8
N_TIMES, N_GENES, CELLS_A_TIME = 9, 1000, 300


def random_cells() -> AnnData:
    """Counts of cells at several times whose genes rise and fall."""
    rng = np.random.default_rng(0)
    level, course = rng.normal(0, 1.5, N_GENES), rng.normal(size=N_GENES)
    hour = np.repeat(np.arange(N_TIMES, dtype=float), CELLS_A_TIME)
    share = np.exp(level + np.outer(hour / N_TIMES, course))
    counts = rng.poisson(3000 * share / share.sum(axis=1, keepdims=True)).astype(np.float32)
    obs = pd.DataFrame({"time": hour}, index=[f"cell{i}" for i in range(len(hour))])
    return AnnData(counts, obs=obs)


def scgraphic(variant: str, precision: str, batch: int) -> Callable[[int, str], object]:
    windows = random_windows(max(batch, 40))
    return lambda steps, device: trained(variant, precision, batch, steps, windows, device)


def scnode() -> Callable[[int, str], object]:
    cells = random_cells()
    return lambda steps, device: ScNODE(matching_steps=steps).fit(
        cells, device=device, progress=False
    )


def published_scnode() -> Callable[[int, str], object]:
    cells = random_cells()
    return lambda steps, device: PublishedScNODE(pretrain_steps=1, joint_steps=steps).fit(
        cells, device=device, progress=False
    )


CASES: dict[str, Callable[[], Callable[[int, str], object]]] = {
    "scGrapHiC default, batch 8": lambda: scgraphic("default", "fp32", 8),
    "scGrapHiC default, batch 8, bf16": lambda: scgraphic("default", "bf16", 8),
    "scGrapHiC published, batch 8": lambda: scgraphic("published", "fp32", 8),
    "scNODE default": scnode,
    "scNODE published": published_scnode,
}


def seconds(train: Callable[[int, str], object], device: str) -> float:
    """Seconds of one step."""
    many = MANY if device == "cuda" else MANY_ON_CPU
    spent = {}
    for steps in (FEW, FEW, many):  # The first warms up.
        start = time.perf_counter()
        train(steps, device)
        if device == "cuda":
            torch.cuda.synchronize()
        spent[steps] = time.perf_counter() - start
    return (spent[many] - spent[FEW]) / (many - FEW)


def steps() -> list[dict[str, object]]:
    """Seconds of a step of each model, on both, and the GPU's memory."""
    found: list[dict[str, object]] = []
    for name, make in CASES.items():
        train = make()
        torch.cuda.reset_peak_memory_stats()
        gpu = seconds(train, "cuda")
        memory = torch.cuda.max_memory_allocated() / 1e6
        cpu = seconds(train, "cpu")
        found.append(
            {"case": name, "gpu": gpu, "cpu": cpu, "ratio": cpu / gpu, "gpu_megabytes": memory}
        )
        print(found[-1], flush=True)
    return found


def tests() -> dict[str, object]:
    """Closing line of the tests that need a GPU."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    print("\n".join(lines[-40:]), flush=True)
    return {"command": "pytest -m gpu tests", "result": lines[-1], "passed": done.returncode == 0}


def pages(names: list[str], limit: float) -> list[dict[str, object]]:
    """Run pages with the full profile, all at once; those that take longer than a limit end."""
    setting = {**os.environ, "SCST_PROFILE": "full"}
    ask = [sys.executable, "-c", "from tools.notebooks import refresh_keys; refresh_keys()"]
    subprocess.run(ask, cwd=ROOT, env=setting, check=True)
    start, running = time.monotonic(), {}
    for name in names:
        command = [sys.executable, "-m", "tools.execute", name]
        running[name] = subprocess.Popen(command, cwd=ROOT, env=setting, start_new_session=True)
    found: list[dict[str, object]] = []
    for name, process in running.items():
        try:
            status = process.wait(max(1.0, start + limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # With the page's kernel.
            status = None
        taken = round(time.monotonic() - start)
        end = {0: "ran", None: "over the limit"}.get(status, "failed")
        found.append({"page": name, "end": end, "seconds_at_most": taken})
        print(found[-1], flush=True)
    return found


def main() -> None:
    parser = argument_parser(__file__, __doc__)
    parser.add_argument("--pages", nargs="*", default=[], help="names of pages to run in full")
    parser.add_argument("--limit", type=float, default=3600, help="seconds for the pages")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("no CUDA device is visible")
    torch.set_num_threads(1)
    about = provenance(
        "torch-geometric",
        "torchdiffeq",
        gpu=torch.cuda.get_device_name(),
        cuda=torch.version.cuda,
        clock="wall",
    )
    results: dict[str, object] = {"provenance": about, "seed": 0, "profile": "full"}
    for name, measure in {
        "tests": tests, "steps": steps, "pages": lambda: pages(arguments.pages, arguments.limit)
    }.items():  # fmt: skip
        results[name] = measure()
        write(arguments.output, results)


if __name__ == "__main__":
    main()
