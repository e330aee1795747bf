"""Kills and damaged files, as many as asked for: ``python -m tests.faults.campaign``.

Without options it makes the long form: 20 kills of each job, 1,000 damaged files of each kind.
``--kills 0`` or ``--tries 0`` leaves one of the two out. Prints a report as JSON and returns 1 if
anything was found; progress goes to standard error. ``--output benchmarks/results/faults.json``
keeps the numbers, and those of earlier calls with another seed or of other jobs.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
from pathlib import Path
from typing import Any

from benchmarks.record import provenance, write
from tests.faults import kills, mutations


def warm_up() -> None:
    """Import what the jobs use, so that their children need not."""
    import anndata  # noqa: F401
    import cooler  # noqa: F401
    import papermill  # noqa: F401
    import torch

    import scstlib.__main__
    import scstlib.files.inputs
    import scstlib.files.prediction
    import scstlib.models.spatial.scgraphic.default
    import scstlib.models.spatial.scgraphic.published
    import scstlib.models.temporal.scnode.default
    import scstlib.models.temporal.scnode.published
    import scstlib.training.loop  # noqa: F401

    torch.set_num_threads(1)


def keep(path: Path, report: dict[str, Any], seed: int) -> None:
    """Write the numbers of a report into a file, a row for each job and kind."""
    about = provenance("h5py", clock="wall, beside other programs")
    held = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    results: dict[str, Any] = {"provenance": about}
    for part, first in (("kills", "job"), ("damage", "kind")):
        rows = {(row[first], row["seed"]): row for row in held.get(part, ())}
        for name, numbers in report.get(part, {}).items():
            run = {"seed": seed, "commit": about["commit"]}
            rows[name, seed] = {first: name, **run, **numbers, "found": len(numbers["found"])}
        results[part] = list(rows.values())
    write(path, results)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="of each job, half of slow ones")
    parser.add_argument("--jobs", nargs="+", choices=kills.JOBS, default=list(kills.JOBS))
    parser.add_argument("--tries", type=int, default=1000, help="damaged files of each kind")
    parser.add_argument(
        "--kinds", nargs="+", choices=mutations.KINDS, default=list(mutations.KINDS)
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="JSON file that keeps the numbers")
    options = parser.parse_args()
    warm_up()
    report = {}
    if options.kills:
        report["kills"] = kills.campaign(options.jobs, options.kills, options.seed)
    if options.tries:
        report["damage"] = mutations.campaign(options.kinds, options.tries, options.seed)
    if options.output:
        keep(options.output, report, options.seed)
    spent = [
        resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    print(f"{sum(u.ru_utime + u.ru_stime for u in spent):.0f} CPU seconds", file=sys.stderr)
    print(json.dumps(report, indent=1))
    return int(any(each["found"] for part in report.values() for each in part.values()))


if __name__ == "__main__":
    sys.exit(main())
