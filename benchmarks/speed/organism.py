"""Cost of the simulated organism: seconds and memory of a preset, and growth with its size.

Run ``python -m benchmarks.speed.organism``; the result goes to
``benchmarks/results/organism.json``.
One thread; seconds are of the processor.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"  # read when numpy is first imported

import argparse
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.results import provenance
from scstlib.datasets.organism import Organism, simulate_organism


def seconds(work: Callable[[], object]) -> float:
    """Return the processor seconds of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def whole_preset(preset: str) -> dict[str, float]:
    """Return the seconds of making a preset's organism, its sample, truth and maps."""
    organism = simulate_organism(seed=0, preset=preset)

    def maps() -> None:
        for name in organism.cell_types:
            for chrom in organism.chromosomes:
                organism.expected_contacts(chrom, name)

    steps = {
        "genome": lambda: organism.genome,
        "sample": organism.sample,
        "reference population": organism.mean_expression,
        "expected maps of all cell types": maps,
        "pseudo-bulks of all cell types": lambda: [
            organism.sample_contacts(name) for name in organism.cell_types
        ],
    }
    out = {name: round(seconds(work), 3) for name, work in steps.items()}
    out["total"] = round(sum(out.values()), 3)
    out["peak GB"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 3)
    return out


def growth(sizes: list[int], work: Callable[[int], object]) -> dict[str, object]:
    """Return seconds by size, least of three, and the slope of log seconds on log size."""
    taken = [min(seconds(lambda n=n: work(n)) for _ in range(3)) for n in sizes]
    slope = np.polyfit(np.log(sizes), np.log(taken), 1)[0]
    return {
        "sizes": sizes,
        "seconds": [round(t, 4) for t in taken],
        "slope": round(float(slope), 3),
    }


def map_of(n_bins: int) -> Callable[[int], object]:
    """Return work that makes and samples one map of ``n_bins`` bins."""
    organism = simulate_organism(preset="tiny", n_bins=n_bins, n_chromosomes=1, n_genes=n_bins)
    organism.expected_contacts("chr1")
    return lambda _: organism.sample_contacts("stem", n_cells=20)


def main() -> None:
    """Run the benchmark, print the result and store it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="small")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/organism.json"))
    arguments = parser.parse_args()
    result: dict[str, object] = {
        "provenance": provenance(("numpy", "scipy")),
        arguments.preset: whole_preset(arguments.preset),
    }
    organism: Organism = simulate_organism(seed=0, preset="small")
    result["cells"] = growth([1_000, 2_000, 4_000, 8_000], lambda n: organism.sample(24.0, n))
    works = {n: map_of(n) for n in (320, 640, 1_280, 2_560)}
    result["pixels"] = growth([n * n for n in works], lambda size: works[round(size**0.5)](size))
    text = json.dumps(result, indent=2)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
