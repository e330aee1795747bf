"""Render the book with Jupyter Book, strictly and from nothing: ``python -m tools.render``.

Sphinx's incremental build is not used: it forgets the warnings of pages that it does not read
again, and takes a half-written page for a whole one. A rendering takes seconds.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

from tools import lifeline, notebooks

COMMAND = ("build", ".", "--toc", "book/_toc.yml", "-W", "-n", "--keep-going", "--quiet")


def render(root: Path = notebooks.ROOT) -> int:
    """Render into ``_build/html``; returns Jupyter Book's exit status."""
    for folder in ("html", ".doctrees", "jupyter_execute"):
        shutil.rmtree(root / "_build" / folder, ignore_errors=True)
    environment = {**os.environ, "PYTHONPATH": str(root)}
    log = root / "_build" / "render.log"
    log.parent.mkdir(exist_ok=True)
    command = [str(Path(sys.executable).parent / "jupyter-book"), *COMMAND]
    done = subprocess.run(
        command,
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        preexec_fn=partial(lifeline.end_with_parent, os.getpid()),
    )
    text = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout.decode(errors="replace"))
    log.write_text(text, encoding="utf-8")
    if done.returncode:
        shutil.rmtree(root / "_build" / "html", ignore_errors=True)
        print(f"  the book: FAILED\n{text}", file=sys.stderr)
        print(f"    Read again in {log.relative_to(root)}", file=sys.stderr, flush=True)
    return done.returncode


if __name__ == "__main__":
    lifeline.end_with_build()
    sys.exit(render())
