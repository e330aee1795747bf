"""Cost of the simulated organism: seconds and memory of a preset, and growth with its size.

    python -m benchmarks.speed.organism [--preset small] [--output FILE]

Seconds are of the processor, in one thread.
"""

from __future__ import annotations

import resource
from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.record import argument_parser, provenance, write
from benchmarks.timing import cpu_seconds
from scstlib.datasets.organism import Organism, simulate_organism


def whole_preset(preset: str) -> dict[str, float]:
    """Return the seconds of making a preset's organism, its sample, truth and maps."""
    organism = simulate_organism(seed=0, preset=preset)

    def maps() -> None:
        for name in organism.cell_types:
            for chrom in organism.chromosomes:
                organism.expected_contacts(chrom, name)

    steps: dict[str, Callable[[], object]] = {
        "genome": lambda: organism.genome,
        "sample": organism.sample,
        "reference population": organism.mean_expression,
        "expected maps of all cell types": maps,
        "pseudo-bulks of all cell types": lambda: [
            organism.sample_contacts(name) for name in organism.cell_types
        ],
    }
    out = {name: round(cpu_seconds(work), 3) for name, work in steps.items()}
    out["total"] = round(sum(out.values()), 3)
    out["peak GB"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 3)
    return out


def growth(sizes: list[int], work: Callable[[int], object]) -> dict[str, object]:
    """Return seconds by size, least of three, and the slope of log seconds on log size."""
    taken = [min(cpu_seconds(lambda n=n: work(n)) for _ in range(3)) for n in sizes]
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
    parser = argument_parser(__file__, __doc__)
    parser.add_argument("--preset", default="small")
    arguments = parser.parse_args()
    with threadpool_limits(limits=1):  # Without torch, whose memory would count.
        result: dict[str, object] = {
            "provenance": provenance(),
            arguments.preset: whole_preset(arguments.preset),
        }
        organism: Organism = simulate_organism(seed=0, preset=arguments.preset)
        cells = [1_000, 2_000, 4_000, 8_000]
        result["cells"] = growth(cells, lambda n: organism.sample(24.0, n))
        works = {n: map_of(n) for n in (320, 640, 1_280, 2_560)}
        pixels = [n * n for n in works]
        result["pixels"] = growth(pixels, lambda size: works[round(size**0.5)](size))
    write(arguments.output, result)
    print(arguments.output.read_text(), end="")


if __name__ == "__main__":
    main()
