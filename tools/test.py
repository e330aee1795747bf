"""Build the book, then run all tests: ``make test``.

With ``CI=true`` the derived files are checked first and the book is built from nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from tools import build, check, notebooks

ROOT = notebooks.ROOT
COVERAGE = ("--cov=scstlib", "--cov-report=term:skip-covered", "--cov-fail-under=90")
PYTEST = ("pytest", "-n", "2", "--dist", "worksteal", "--durations=10", *COVERAGE)
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def run(*module: str) -> int:
    """Run a module of this environment in the root of the repository; returns its exit status."""
    return subprocess.run([sys.executable, "-m", *module], cwd=ROOT, check=False).returncode


def main() -> int:
    """Command line; the last line is pytest's."""
    build.absolute_data_folders()
    if os.environ.get("CI"):
        # The committed notebooks are checked before the build would mend them.
        failed = [c for c in check.CHECKS if c[0] != "pytest" and run(*c)]
        if failed:
            return 1
        shutil.rmtree(ROOT / "_build", ignore_errors=True)
    status = run("tools.build")
    if status:
        return status
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))  # two workers share the cores
    return run(*PYTEST)


if __name__ == "__main__":
    sys.exit(main())
