"""Build the book, then run all tests: ``make test``.

With ``CI=true`` the derived files are checked first and the book is built from nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time

from tools import build, check, notebooks, test_plugin

ROOT = notebooks.ROOT
COVERAGE = ("--cov=scstlib", "--cov-report=term:skip-covered", "--cov-fail-under=90")
PYTEST = ("pytest", "-p", "tools.test_plugin", "-n", "2", "--dist", "worksteal")
OPTIONS = ("--durations=10", *COVERAGE)
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def run(*module: str) -> int:
    """Run a module of this environment in the root of the repository; returns its exit status."""
    return subprocess.run([sys.executable, "-m", *module], cwd=ROOT, check=False).returncode


def main() -> int:
    """Command line; the last line is pytest's."""
    build.absolute_data_folders()
    now = time.time()
    parts = {"set-up": now - float(os.environ.get("SCST_STARTED") or now)}
    if os.environ.get("CI"):
        # The committed notebooks are checked before the build would mend them.
        failed = check.failing()
        parts["checks"] = time.time() - now
        if failed:
            print(f"FAILED: {', '.join(failed)}", file=sys.stderr)
            return 1
        shutil.rmtree(ROOT / "_build", ignore_errors=True)
    now = time.time()
    status = run("tools.build")
    parts["book"] = time.time() - now
    if status:
        return status
    os.environ[test_plugin.PARTS] = json.dumps(parts)
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))  # two workers share the cores
    return run(*PYTEST, *OPTIONS)


if __name__ == "__main__":
    sys.exit(main())
