"""Runs first in every kernel of the build: deterministic torch; notes of what a page used.

A kernel ends with the process that started it, also while a cell computes: what ipykernel does
about that waits for the cell.
"""

import ctypes
import importlib.util
import json
import os
import signal
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any


class _DeterministicTorch:
    """Switch torch to deterministic algorithms once a page imports it; importing it takes 2 s."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != "torch":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec("torch")
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_then_set(module: ModuleType) -> None:
            execute(module)
            module.use_deterministic_algorithms(True, warn_only=True)
            # Else each new tensor is filled with NaN first: a twentieth of the time of training.
            module.utils.deterministic.fill_uninitialized_memory = False

        spec.loader.exec_module = execute_then_set  # type: ignore[method-assign]
        return spec


def _note_missing_data(result: Any) -> None:
    """Write down which data set a cell went without: papermill passes on the message alone."""
    error = result.error_in_exec
    if type(error).__name__ == "DataUnavailableError" and "SCST_MISSING" in os.environ:
        missing = [path for path, _url in error.missing]
        note = {"dataset": error.dataset, "files": missing, "message": str(error)}
        Path(os.environ["SCST_MISSING"]).write_text(json.dumps(note), encoding="utf-8")


def _note_modules(_: Any) -> None:
    """Write down the modules of the package that are loaded, to compare with the page's key."""
    if "SCST_MODULES" in os.environ:
        loaded = sorted(name for name in list(sys.modules) if name.split(".")[0] == "scstlib")
        Path(os.environ["SCST_MODULES"]).write_text(json.dumps(loaded), encoding="utf-8")


def _end_with_parent() -> None:
    """Ask Linux to kill this kernel once its parent has ended, which it may have done by now."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != int(os.environ.get("JPY_PARENT_PID", os.getppid())):
            os._exit(1)


_end_with_parent()
sys.meta_path.insert(0, _DeterministicTorch())
get_ipython().events.register("post_run_cell", _note_missing_data)  # type: ignore[name-defined]  # noqa: F821
get_ipython().events.register("post_run_cell", _note_modules)  # type: ignore[name-defined]  # noqa: F821
