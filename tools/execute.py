"""Run one page with papermill: ``python -m tools.execute NAME`` makes its executed copy.

The copy has the cells of the committed notebook, no more and no less, so that the book can take the
outputs over by position. It is written under a temporary name and renamed when it is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tools import lifeline, notebooks

KEPT = 8  # closing lines of a traceback that are shown
THREADS = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA", "BLIS")


def kernel_environment(build: Path) -> dict[str, str]:
    """Environment variables of every kernel: one thread, fixed hashes, no settings of the user's.

    ``build`` is the build folder, which holds the settings of IPython and matplotlib.
    """
    startup = build / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True, exist_ok=True)
    source = Path(__file__).parent / "kernel" / "startup.py"
    notebooks.write_if_changed(startup / source.name, source.read_text(encoding="utf-8"))
    # Kernels would share one history file, and log that they use TCP and that they are stopped.
    settings = "c.HistoryManager.enabled = False\nc.IPKernelApp.log_level = 50\n"
    settings += 'c.InlineBackend.figure_formats = {"retina"}\n'  # sharp on every screen
    notebooks.write_if_changed(startup.parent / "ipython_kernel_config.py", settings)
    return {
        **{f"{name}_NUM_THREADS": "1" for name in THREADS},
        "PYTHONHASHSEED": "0",
        "SOURCE_DATE_EPOCH": "0",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "IPYTHONDIR": str(build / "ipython"),
        "MPLCONFIGDIR": str(build / "matplotlib"),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "JUPYTER_PREFER_ENV_PATH": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


def without_extra_cells(notebook: dict[str, Any]) -> dict[str, Any]:
    """Take out what papermill adds: its cells and its metadata."""
    added = {"injected-parameters", "papermill-error-cell-tag"}
    kept = [c for c in notebook["cells"] if not added & set(c["metadata"].get("tags", []))]
    for cell in kept:
        cell["metadata"].pop("papermill", None)
        cell["metadata"].pop("execution", None)
    notebook["metadata"].pop("papermill", None)
    return {**notebook, "cells": kept}


def without_failure(notebook: dict[str, Any]) -> int:
    """Empty the outputs from the failing code cell on; returns its position among code cells."""
    cells = notebooks.code_cells(notebook)
    failed = [any(o["output_type"] == "error" for o in cell["outputs"]) for cell in cells]
    failing = failed.index(True)
    for cell in cells[failing:]:
        cell.update(outputs=[], execution_count=None)
    return failing


def run(name: str, root: Path = notebooks.ROOT) -> int:
    """Run one page; returns 0, or 1 after any error other than data that cannot be had."""
    from papermill import execute_notebook
    from papermill.exceptions import PapermillExecutionError

    source = root / "notebooks" / f"{name}.ipynb"
    key = notebooks.key_path(name, root).read_text(encoding="utf-8")
    scratch = Path(tempfile.mkdtemp(prefix=f"{Path(name).name}-", dir=lifeline.running(root)))
    lifeline.hold(scratch)  # until this process ends
    note, modules = scratch / "missing.json", scratch / "modules.json"
    os.environ.update(kernel_environment(root / "_build"))
    os.environ.update(SCST_MISSING=str(note), SCST_MODULES=str(modules))
    os.environ.update(JUPYTER_RUNTIME_DIR=str(scratch / "runtime"))  # where to reach the kernel
    started = time.monotonic()
    failure = None
    try:
        execute_notebook(
            source,
            scratch / "notebook.ipynb",
            parameters=json.loads(key)["parameters"],
            kernel_name="python3",
            cwd=source.parent,
            progress_bar=False,
            autosave_cell_every=0,
        )
    except PapermillExecutionError as error:
        failure = error
    made = without_extra_cells(notebooks.read(scratch / "notebook.ipynb"))
    if failure is not None and not note.is_file():
        return _report(name, failure, scratch, root)
    about: dict[str, Any] = {"key": hashlib.sha256(key.encode()).hexdigest()}
    if failure is not None:
        about["missing"] = {**json.loads(note.read_text()), "cell": without_failure(made)}
    about["modules"] = json.loads(modules.read_text()) if modules.is_file() else []
    about["seconds"] = round(time.monotonic() - started, 1)
    made["metadata"]["scst"] = about
    text = json.dumps(made, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    notebooks.write_if_changed(notebooks.executed_path(name, root), text)
    shutil.rmtree(scratch)
    end = "incomplete: data missing" if failure else "done"
    print(f"  {name}: {end}, {about['seconds']:.0f} s", flush=True)
    return 0


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _report(name: str, failure: Any, scratch: Path, root: Path) -> int:
    """Say where a page failed, and keep what it made for a look."""
    kept = root / "_build" / "failed" / f"{name}.ipynb"
    _folder(kept.parent)
    (scratch / "notebook.ipynb").replace(kept)
    shutil.rmtree(scratch)
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in failure.traceback]
    lines = "\n".join(plain).splitlines()[-KEPT:]
    print(f"  {name}: FAILED in code cell {failure.exec_count}", file=sys.stderr)
    print("\n".join(f"    {line}" for line in lines), file=sys.stderr)
    print(f"    The page up to there: {kept.relative_to(root)}", file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    lifeline.end_with_build()
    sys.exit(run(sys.argv[1]))
