"""Quick checks, ``make check``: lint, types, spelling, style, derived files, fast tests."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHECKS = (
    ("mypy",),  # takes longest: the others run beside it
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("codespell_lib",),
    ("tools.prose",),
    ("tools.pair", "--check"),
    ("tools.environment", "--check"),
    ("tools.hashes", "--check"),
)
TESTS = ("pytest", "-q", "-n", "2", "-m", "not slow and not book")


def run(*check: str) -> tuple[int, str]:
    """Exit status and output of a module of this environment."""
    done = subprocess.run(
        [sys.executable, "-m", *check],
        cwd=ROOT,
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return done.returncode, done.stdout


def failing() -> list[str]:
    """Run every check but the tests, two at a time; returns those that failed."""
    failed = []
    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        for check, (status, output) in zip(
            CHECKS, pool.map(lambda c: run(*c), CHECKS), strict=True
        ):
            print(f"make check: {' '.join(check)}\n{output}", end="", flush=True)
            failed += [check[0]] * bool(status)
    return failed


def main() -> int:
    """Run every check, also after one failed; returns 1 if any did."""
    failed = failing()
    print(f"make check: {' '.join(TESTS)}", flush=True)
    if subprocess.run([sys.executable, "-m", *TESTS], cwd=ROOT, check=False).returncode:
        failed.append(TESTS[0])
    print(f"make check: FAILED in {', '.join(failed)}" if failed else "make check: passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
