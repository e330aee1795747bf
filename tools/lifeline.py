"""What a build starts ends with it, and what killed processes left is cleared away.

A killed process cannot tell anyone; the operating system frees its locks. A build therefore holds a
lock on a file of its own, ``_build/running/build-*``, and whatever it starts waits for that lock in
a thread: who gets it, has outlived the build. A page that runs holds one on its folder there.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

NAMED_IN = "SCST_BUILD"  # environment variable: the file that the build holds
MAKE = "SCST_MAKE"  # environment variable: the number of the process that is make
PR_SET_PDEATHSIG = 1
TEMPORARY = re.compile(r".+\.(\d+)\.tmp")  # of notebooks.write_if_changed


def running(root: Path) -> Path:
    """The folder of what runs at this time, made if need be."""
    folder = root / "_build" / "running"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def hold(path: Path) -> int:
    """Lock a file or folder until this process ends or closes what is returned."""
    held = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        raise
    return held


@contextlib.contextmanager
def of_build(root: Path) -> Iterator[None]:
    """Clear away what killed builds left, and name this build to all that it starts."""
    clear(root)
    with tempfile.NamedTemporaryFile(prefix="build-", dir=running(root)) as mine:
        held = hold(Path(mine.name))
        os.environ[NAMED_IN] = mine.name
        try:
            yield
        finally:
            del os.environ[NAMED_IN]
            os.close(held)


def clear(root: Path) -> None:
    """Remove from ``_build/running`` what no process holds, and half-written files."""
    for left in running(root).iterdir():
        with contextlib.suppress(OSError):  # held by a page that was started by hand
            held = hold(left)
            try:
                if left.is_dir():
                    shutil.rmtree(left)
                else:
                    left.unlink()
            finally:
                os.close(held)
    for folder in ("_build", "notebooks", "book"):
        for left in (root / folder).rglob("*.tmp"):
            named = TEMPORARY.fullmatch(left.name)
            if named and not _is_alive(int(named[1])):
                left.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def end_with_build() -> None:
    """End this process, at once, when the build that started it is killed."""
    named = os.environ.get(NAMED_IN)
    if named:
        threading.Thread(target=_end_with, args=(named,), daemon=True).start()


def _end_with(path: str) -> None:
    """Wait for the lock that a build holds; a build that ends by itself waits for its pages."""
    with contextlib.suppress(FileNotFoundError):
        fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_EX)
    os.kill(os.getpid(), signal.SIGKILL)


def end_with_parent(ancestor: int) -> None:
    """Ask Linux to kill this process once its parent has ended, and at once if ``ancestor`` has.

    A process that is still being started when its parent is killed asks too late. Elsewhere nothing
    is done.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if not _is_alive(ancestor):
            os.kill(os.getpid(), signal.SIGKILL)
