"""Packages that a user would take in place of ours, on the tasks in time of the comparison.

    python -m benchmarks.compare.peers [--peers NAME...] [--output FILE]

Those of :mod:`benchmarks.peers`, in rows of their own file, whose provenance names their versions:
the sweep runs without them. Tasks, splits, halves and scores are those of the profile ``fast`` of
:mod:`benchmarks.compare`; all fits share a process, so that a peak of memory is that of all before.
A peer that is not installed, or fails, is a row with its reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from benchmarks.compare.jobs import PROFILES
from benchmarks.compare.measuring import Cost, measured_fit, said
from benchmarks.compare.run import at_most
from benchmarks.compare.temporal import scores_of, task_of
from benchmarks.peers import LEFT_OUT, N_COMPONENTS, PEERS, version_of
from benchmarks.record import Score, argument_parser, git, provenance, write
from benchmarks.timing import one_thread

PROFILE = "fast"


def rows_of(data: str, peers: list[str], seed: int = 0) -> Iterator[Score]:
    """Rows of installed peers on both splits of a data set."""
    size = PROFILES[PROFILE]
    task = task_of(data, seed, size)
    for split, (train, test) in task.parts.items():
        for row in peers:
            model, cost = PEERS[row][1](seed), Cost()
            try:
                with at_most(size.seconds):
                    cost = measured_fit(lambda m=model, t=train: m.fit(t, "time"), model)
                    scores: dict[str, Any] = scores_of(train, test, {row: model})[row]
            except Exception as error:  # Whatever a method does wrong belongs in the table.
                scores = {"error": said(error)}
            about = {"family": "temporal", "data": data, "split": split, "row": row, "seed": seed}
            yield about | scores | asdict(cost) | {"commit": git("rev-parse", "--short", "HEAD")}


def main() -> None:
    parser = argument_parser(__file__, __doc__)
    quick = [row for row in PEERS if row not in LEFT_OUT]
    parser.add_argument("--peers", nargs="+", default=quick, choices=list(PEERS))
    parser.add_argument("--data", nargs="+", default=list(PROFILES[PROFILE].data["temporal"]))
    arguments = parser.parse_args()
    versions = {row: version_of(package) for row, (package, _) in PEERS.items()}
    there = [row for row in arguments.peers if versions[row]]
    why = dict.fromkeys(arguments.peers, "left out: not installed, pip install .[peers]")
    about = provenance("POT", "torchdiffeq", peers=versions, n_components=N_COMPONENTS)
    rows: list[Score] = [
        {
            "family": "temporal",
            "row": row,
            "error": (LEFT_OUT | why).get(row, "left out: not asked"),
        }
        for row in PEERS
        if row not in there
    ]
    with one_thread():
        for data in arguments.data:
            rows += rows_of(data, there)
            write(arguments.output, {"provenance": about, "rows": rows})
            print(f"{data}: done", flush=True)


if __name__ == "__main__":
    main()
