"""Files appear whole or not at all, whoever else writes and whatever the disk says."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch

from scstlib import writing
from scstlib.datasets import contact_files
from scstlib.datasets.cache import cache_folder
from scstlib.datasets.contact_files import converted, upper_pixels, write_scool
from scstlib.files.outputs import check_output, write_contact_map
from scstlib.files.prediction import _write_cells
from scstlib.models.files import write_model
from scstlib.training.run_state import RunState, _state_of
from scstlib.writing import check_room, whole_file, whole_hdf5

BINS = pd.DataFrame({"chrom": "a", "start": np.arange(9), "end": np.arange(9) + 1})


def write_maps(path: Path, overwrite: bool = True) -> None:
    maps = [("a", sp.csr_array(np.eye(9)))]
    write_contact_map(path, BINS, maps, metadata={}, overwrite=overwrite)


def write_cells(path: Path, overwrite: bool = True) -> None:
    _write_cells(anndata.AnnData(np.ones((3, 2))), path, overwrite)


def save_model(path: Path, overwrite: bool = True) -> None:
    write_model(path, "Line", {}, {}, {"weights": torch.arange(3.0)}, overwrite=overwrite)


def write_checkpoint(path: Path, overwrite: bool = True) -> None:
    weights = [torch.nn.Parameter(torch.zeros(2))]
    run = RunState(weights, torch.optim.AdamW(weights), [], "a run")
    run._written = _state_of(path)  # As if the run had written what is there.
    run.write(path)


WRITERS: dict[str, Callable[..., None]] = {
    "maps.cool": write_maps,
    "maps.mcool": write_maps,
    "cells.h5ad": write_cells,
    "model.safetensors": save_model,
    "run.checkpoint": write_checkpoint,
}
CAREFUL = [name for name in WRITERS if name != "run.checkpoint"]  # They take overwrite=False.


@pytest.mark.parametrize("name", WRITERS)
def test_a_regular_file_is_replaced_and_nothing_else_is_left(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"before")
    WRITERS[name](path)
    assert path.read_bytes() != b"before"
    assert list(tmp_path.iterdir()) == [path]
    usual = tmp_path / "usual"
    usual.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(usual.stat().st_mode)


@pytest.mark.parametrize("name", WRITERS)
def test_what_is_no_regular_file_stays(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    os.mkfifo(path)
    with pytest.raises(ValueError, match=f"{name} is no regular file"):
        WRITERS[name](path)
    assert stat.S_ISFIFO(path.stat().st_mode)
    path.unlink()
    path.mkdir()
    with pytest.raises(ValueError, match=f"{name} is no regular file"):
        WRITERS[name](path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", CAREFUL)
def test_a_file_that_is_there_is_replaced_only_if_asked(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"before")
    with pytest.raises(FileExistsError, match=f"{name} exists already.*overwrite=True"):
        WRITERS[name](path, overwrite=False)
    assert path.read_bytes() == b"before"
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError, match=f"{name} exists already"):
        WRITERS[name](path, overwrite=False)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
@pytest.mark.parametrize("write", [whole_file, whole_hdf5])
def test_a_file_that_appears_meanwhile_is_not_replaced(
    write: Any, links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in the moment between the last look and the move."""
    path = tmp_path / "a.txt"
    if not links:
        monkeypatch.setattr(os, "link", raising(errno.EPERM))
    with pytest.raises(FileExistsError), write(path, overwrite=False) as part:  # noqa: PT012
        part.write_text("second")
        path.write_text("first")
    monkeypatch.setattr(writing, "check_replaceable", lambda *_: None)
    with pytest.raises(FileExistsError), write(path, overwrite=False) as part:
        part.write_text("third")
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]
    path.unlink()
    with write(path, overwrite=False) as part:
        part.write_text("fourth")
    assert path.read_text() == "fourth"


CHILD = """
import sys
from pathlib import Path
from scstlib.writing import whole_file
with whole_file(Path(sys.argv[1]), overwrite=False) as part:
    part.write_text(sys.argv[2] * 10_000)
    print("written", flush=True)
    sys.stdin.readline()
"""


def test_of_three_writers_at_once_one_wins(tmp_path: Path) -> None:
    words = [sys.executable, "-c", CHILD, str(tmp_path / "a.txt")]
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    children = [subprocess.Popen([*words, name], text=True, **pipes) for name in "abc"]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "written\n"
    ends = [(child.communicate("\n")[1], child.returncode) for child in children]
    assert sorted(code for _, code in ends) == [0, 1, 1]
    assert sum("FileExistsError" in error for error, _ in ends) == 2
    (path,) = tmp_path.iterdir()
    assert path.read_text() == "abc"[[code for _, code in ends].index(0)] * 10_000


def test_temporary_names_cannot_be_foreseen(tmp_path: Path) -> None:
    """A link under a name that can be guessed would lead the writer to another file."""
    names = set()
    for _ in range(3):
        with whole_file(tmp_path / "a.txt") as part:
            names.add(part.name)
    assert len(names) == 3
    assert all(str(os.getpid()) not in name for name in names)


def test_what_a_killed_process_left_goes_a_day_later(tmp_path: Path) -> None:
    with whole_file(tmp_path / "a.txt") as part:
        left = part.name
    kept = [".partial-mine", ".partial-0123456789abcdef.txt", ".partial-0123456789abcdeg"]
    (tmp_path / ".partial-00112233445566ff").mkdir()  # of what writes HDF5
    (tmp_path / ".partial-00112233445566ff" / "written.cool").touch()
    os.utime(tmp_path / ".partial-00112233445566ff", (0, 0))
    for name in (left, *kept):
        (tmp_path / name).touch()
        if name != kept[1]:
            os.utime(tmp_path / name, (0, 0))
    with whole_file(tmp_path / "b.txt"):
        pass
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*kept, "a.txt", "b.txt"])


def raising(code: int) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_a_full_or_read_only_disk_is_named_and_keeps_what_was_there(
    name: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    path.write_bytes(b"before")
    monkeypatch.setattr(Path, "write_bytes", raising(code))
    monkeypatch.setattr(shutil, "copyfile", raising(code))
    fault = "is full: free some space" if code in writing.FULL else "cannot be written to"
    with pytest.raises(OSError, match=f"{fault}.*another folder.*{tmp_path}") as caught:
        WRITERS[name](path)
    assert caught.value.errno == code
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_cleaning_up_does_not_hide_the_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "unlink", raising(errno.EIO))
    with pytest.raises(KeyError, match="the cause"), whole_file(tmp_path / "a"):
        raise KeyError("the cause")


def test_hdf5_is_not_begun_where_there_is_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = SimpleNamespace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    with pytest.raises(OSError, match=r"1 may be needed.*TMPDIR") as caught:
        check_room(tmp_path, 1000)
    assert caught.value.errno == errno.ENOSPC
    for name in ("maps.cool", "maps.mcool", "cells.h5ad"):
        with pytest.raises(OSError, match="is full"):
            WRITERS[name](tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_converted_maps_stay_where_they_are_if_the_cache_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCST_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr(contact_files.shutil, "copyfile", raising(errno.ENOSPC))
    written = []

    def write(path: Path) -> None:
        written.append(path)
        path.write_text("maps")

    with pytest.warns(UserWarning, match="cannot take the converted maps"):
        path = converted("full", "key", write)
    assert path.read_text() == "maps"
    assert converted("full", "key", write) == path
    assert len(written) == 1
    assert [p for p in (tmp_path / "cache").rglob("*") if p.is_file() and p.suffix != ".lock"] == []


SMALL_DISK = """
import sys, warnings
import numpy as np, pandas as pd
from scstlib.datasets.contact_files import converted
from tests.test_writing import many
path = converted("many", "key", many)
import h5py
print(sorted(h5py.File(path)["cells"]))
"""


def many(path: Path) -> None:
    """Maps that take more room than the small disk has."""
    rng, n = np.random.default_rng(0), 2000
    bins = pd.DataFrame({"chrom": "a", "start": np.arange(n), "end": np.arange(n) + 1})
    one = upper_pixels(*rng.integers(0, n, (2, 200_000)), np.ones(200_000))
    write_scool(path, bins, {"x": one, "y": one}, pd.DataFrame(index=["x", "y"]), None, {})


def test_a_disk_that_is_really_full_does_not_end_the_process(tmp_path: Path) -> None:
    """In a mount namespace of its own, where the machine allows that."""
    mount = f"mount -t tmpfs -o size=300k tmpfs {tmp_path}"
    if (
        shutil.which("unshare") is None
        or subprocess.run(
            ["unshare", "-rm", "sh", "-c", mount], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("no mounts on this machine")
    run = f'{mount} && exec "$0" -c "$1"'
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", run, sys.executable, SMALL_DISK],
        capture_output=True, text=True, check=False,
        env=os.environ | {"SCST_DATA": str(tmp_path / "cache"), "PYTHONPATH": os.getcwd()},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "['x', 'y']\n"), done.stderr
    assert "cannot take the converted maps" in done.stderr


@pytest.mark.parametrize("place", ["a file", "/proc/scstlib"])
def test_a_cache_that_can_be_no_folder_says_what_to_set(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scstlib.datasets.cache import one_at_a_time
    from scstlib.datasets.cache import writing as in_cache

    (tmp_path / "a file").touch()
    monkeypatch.setenv("SCST_DATA", str(tmp_path / place))  # An absolute path stays itself.
    with (
        pytest.raises(OSError, match="data folder cannot be written to: let SCST_DATA"),
        in_cache(cache_folder() / "set" / "file.txt"),
    ):
        pass
    with one_at_a_time("set"):
        pass


def test_a_home_that_is_not_known_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCST_DATA", "~no-such-user/data")
    with pytest.raises(ValueError, match=r"SCST_DATA is .*a whole path"):
        cache_folder()


def test_an_output_is_never_an_input(tmp_path: Path) -> None:
    """Under another name, through a link, or as a group of a file."""
    path = tmp_path / "maps.mcool"
    path.touch()
    os.link(path, tmp_path / "same.mcool")
    (tmp_path / "link.mcool").symlink_to(path)
    for name in ("maps.mcool", "same.mcool", "link.mcool"):
        with pytest.raises(ValueError, match=f"{name} is read, so it cannot be written"):
            check_output(tmp_path / name, True, inputs=[None, f"{path}::resolutions/1000"])
    check_output(tmp_path / "maps.mcool", True, inputs=[tmp_path / "not there"])
