"""Renew ``tools/hashes.txt``, the SHA-256 of each file that an index has of each pinned version.

``make hashes`` asks PyPI by way of uv, which it installs below ``_build``; needed whenever
``constraints.txt`` changes. With ``--check`` names and versions are compared, without a network.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys

from tools.setup import LISTED_FOR, ROOT, WITHOUT_HASHES, differences

VENV = ROOT / "_build" / "uv"


def renew() -> None:
    """Write the file anew."""
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "-qq", "uv"]
    subprocess.run(pip, check=True)
    fresh = VENV / "hashes.txt"  # uv would keep the hashes of a file that is there
    command = [str(VENV / "bin" / "uv"), "--no-config", "pip", "compile", "--quiet", "--no-deps"]
    command += ["--generate-hashes", "--no-annotate", "--custom-compile-command", "make hashes"]
    command += ["--python-version", LISTED_FOR[-1], "--default-index", "https://pypi.org/simple"]
    for name in WITHOUT_HASHES:
        command += ["--no-emit-package", name]
    subprocess.run([*command, "--output-file", str(fresh), "constraints.txt"], cwd=ROOT, check=True)
    shutil.move(fresh, ROOT / "tools" / "hashes.txt")
    shutil.rmtree(VENV)


def main() -> int:
    """Command line: write, or with ``--check`` fail on a difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail on a difference")
    if not parser.parse_args().check:
        renew()
    found = differences()
    for each in found:
        print(f"tools/hashes.txt: {each}; run `make hashes` and commit", file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
