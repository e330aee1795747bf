"""Quick checks, ``make check``: lint, types, spelling, style, derived files, fast tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHECKS = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy",),
    ("codespell_lib",),
    ("tools.prose",),
    ("tools.pair", "--check"),
    ("tools.environment", "--check"),
    ("tools.hashes", "--check"),
    ("pytest", "-q", "-n", "2", "-m", "not slow and not book"),
)


def main() -> int:
    """Run every check, also after one failed; returns 1 if any did."""
    failed = []
    for check in CHECKS:
        print(f"make check: {' '.join(check)}", flush=True)
        if subprocess.run([sys.executable, "-m", *check], cwd=ROOT, check=False).returncode:
            failed.append(check[0])
    print(f"make check: FAILED in {', '.join(failed)}" if failed else "make check: passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
