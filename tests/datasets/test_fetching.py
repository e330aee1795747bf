"""Fetch: cache, mirror, download; every way in which it can go wrong, and nothing is lost."""

from __future__ import annotations

import errno
import gzip
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scstlib.datasets import (
    ChecksumError,
    DataUnavailableError,
    available,
    cache_folder,
    fetch,
    fetching,
    load,
    manifests,
)
from scstlib.datasets.cache import cached_path, mirrored_path
from scstlib.datasets.manifests import RemoteFile

FILES = {"one.txt": b"1" * 5000, "deep/two.txt": b"22" * 400, "three.txt": b"333"}
Toy = Callable[[dict[str, bytes]], None]


def leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".partial-*") if path.is_file()]


def test_download_then_cache(toy: Toy, server: Any, cache: Path) -> None:
    toy(FILES)
    assert not available("toy")
    paths = fetch("toy")
    assert {name: path.read_bytes() for name, path in paths.items()} == FILES
    assert list(paths) == list(FILES)
    assert paths["deep/two.txt"] == cache / "toy" / "deep" / "two.txt"
    assert available("toy")
    assert fetch("toy") == paths
    assert set(server.requests.values()) == {1}
    assert not leftovers(cache)


def test_interrupted_fetch_goes_on_where_it_stopped(toy: Toy, server: Any, cache: Path) -> None:
    toy(FILES)
    del server.content["three.txt"]
    with pytest.raises(DataUnavailableError, match=r"1 of 3 files.*answered 404") as caught:
        fetch("toy")
    assert caught.value.dataset == "toy"
    assert caught.value.missing == [("three.txt", f"{server.url}/three.txt")]
    assert (cache / "toy" / "one.txt").read_bytes() == FILES["one.txt"]
    server.content["three.txt"] = FILES["three.txt"]
    assert len(fetch("toy")) == 3
    assert server.requests == {"one.txt": 1, "deep/two.txt": 1, "three.txt": 2}


def test_server_error_is_tried_again(toy: Toy, server: Any) -> None:
    toy(FILES)
    server.status["one.txt"] = [503]
    assert len(fetch("toy")) == 3
    assert server.requests["one.txt"] == 2


def test_connection_that_breaks_off(toy: Toy, server: Any, cache: Path) -> None:
    toy(FILES)
    server.cut = {"one.txt"}
    with pytest.raises(DataUnavailableError, match=r"1 of 3 files.*broke off"):
        fetch("toy")
    assert server.requests["one.txt"] == fetching.ATTEMPTS
    assert not leftovers(cache)
    server.cut = set()
    assert len(fetch("toy")) == 3


def test_offline_says_what_where_from_and_where_to(
    toy: Toy, server: Any, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy({f"file{i}.txt": b"x" for i in range(10)})
    monkeypatch.setenv("SCST_OFFLINE", "1")
    with pytest.raises(FileNotFoundError) as caught:
        load("toy")
    message = str(caught.value)
    assert isinstance(caught.value, DataUnavailableError)
    assert f"{server.url}/file0.txt" in message
    assert "10 of 10 files" in message
    assert "7 more" in message
    assert str(cache / "toy") in message
    assert "scstlib data fetch toy" in message
    assert "SCST_MIRROR" in message
    assert len(caught.value.missing) == 10
    assert not server.requests
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.dataset, copy.missing) == (message, "toy", caught.value.missing)


def test_no_connection_gives_up_at_once(
    toy: Toy, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    monkeypatch.setattr(type(server), "url", f"http://127.0.0.1:{port}")
    toy({f"file{i}.txt": b"x" for i in range(300)})
    tried = []
    download = fetching._download
    monkeypatch.setattr(fetching, "_download", lambda *a: (tried.append(1), download(*a))[1])
    with pytest.raises(DataUnavailableError, match="could not be reached"):
        fetch("toy")
    assert len(tried) < 40


def test_wrong_file_in_the_cache_is_reported_and_kept(toy: Toy, cache: Path) -> None:
    toy(FILES)
    path = fetch("toy")["three.txt"]
    path.write_bytes(b"abc")
    expected, found = (
        "556d7dc3a115356350f1f9910b1af1ab0e312d4b3e4fc788d2da63668f36d017",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    )
    with pytest.raises(ChecksumError, match=f"{path}.*{expected}.*{found}"):
        fetch("toy")
    assert path.read_bytes() == b"abc"


def test_truncated_file_in_the_cache(toy: Toy, cache: Path) -> None:
    toy(FILES)
    path = fetch("toy")["one.txt"]
    path.write_bytes(b"1" * 4999)
    assert not available("toy")
    with pytest.raises(ChecksumError, match="cut short: expected 5000 bytes, found 4999"):
        fetch("toy")
    path.write_bytes(b"1" * 5001)
    with pytest.raises(ChecksumError, match="another size"):
        fetch("toy")
    assert path.is_file()


def test_wrong_download_is_refused(toy: Toy, server: Any, cache: Path) -> None:
    toy(FILES)
    server.content["three.txt"] = b"<h1>"
    with pytest.raises(ChecksumError, match=f"served at {server.url}/three.txt"):
        fetch("toy")
    assert not (cache / "toy" / "three.txt").exists()
    assert not leftovers(cache)


def test_a_body_without_an_end_is_cut_off(
    toy: Toy, server: Any, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many bytes as are stated reach the disk, and few more leave the server."""
    toy({"one.txt": FILES["one.txt"]})
    server.content["one.txt"] = b"1" * 50_000_000
    written = []
    write = fetching._Bounded.write

    def counted(self: Any, part: bytes) -> int:
        written.append(write(self, part))
        return written[-1]

    monkeypatch.setattr(fetching._Bounded, "write", counted)
    with pytest.raises(ChecksumError, match=f"{server.url}/one.txt is longer than the 5000 bytes"):
        fetch("toy")
    assert sum(written) <= 5000
    assert not leftovers(cache)
    assert not (cache / "toy" / "one.txt").exists()


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A second mirror folder, after one that does not exist."""
    folder = tmp_path / "mirror" / "toy"
    (folder / "deep").mkdir(parents=True)
    parts = [str(tmp_path / "absent"), str(folder.parent)]
    monkeypatch.setenv("SCST_MIRROR", os.pathsep.join(parts))
    monkeypatch.setenv("SCST_OFFLINE", "1")
    return folder


def test_mirror_plain_and_gzipped(toy: Toy, cache: Path, mirror: Path) -> None:
    toy(FILES)
    (mirror / "one.txt").write_bytes(FILES["one.txt"])
    (mirror / "deep" / "two.txt.gz").write_bytes(gzip.compress(FILES["deep/two.txt"]))
    assert not available("toy")
    (mirror / "three.txt").write_bytes(FILES["three.txt"])
    assert available("toy")
    paths = fetch("toy")
    assert {name: path.read_bytes() for name, path in paths.items()} == FILES
    assert all(path.is_relative_to(cache) for path in paths.values())


def test_wrong_mirror_file_is_left_out_with_a_warning(
    toy: Toy, server: Any, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy({"three.txt": FILES["three.txt"]})
    (mirror / "three.txt").write_bytes(b"abc")
    with (
        pytest.warns(UserWarning, match="mirror.*expected sha256 556d.*found ba78"),
        pytest.raises(DataUnavailableError),
    ):
        fetch("toy")
    monkeypatch.delenv("SCST_OFFLINE")
    with pytest.warns(UserWarning, match="left out"):
        assert fetch("toy")["three.txt"].read_bytes() == FILES["three.txt"]
    assert (mirror / "three.txt").read_bytes() == b"abc"


WHOLE = gzip.compress(FILES["one.txt"])


@pytest.mark.parametrize(
    "packed",
    [WHOLE[:-10], WHOLE[:5], b"not gzip at all", WHOLE[:12] + b"\xff" * 9 + WHOLE[21:]],
    ids=["cut", "cut in the header", "not gzip", "damaged"],
)
def test_wrong_gzipped_mirror_file(toy: Toy, cache: Path, mirror: Path, packed: bytes) -> None:
    toy({"one.txt": FILES["one.txt"]})
    (mirror / "one.txt.gz").write_bytes(packed)
    with (
        pytest.warns(UserWarning, match="one.txt.gz is not a whole gzip file"),
        pytest.raises(DataUnavailableError),
    ):
        fetch("toy")
    assert not leftovers(cache)


def test_gzip_that_unpacks_to_too_much_is_cut_off(toy: Toy, cache: Path, mirror: Path) -> None:
    toy({"one.txt": FILES["one.txt"]})
    with gzip.open(mirror / "one.txt.gz", "wb") as stream:
        for _ in range(50):
            stream.write(bytes(1_000_000))
    with (
        pytest.warns(UserWarning, match=r"one.txt.gz is longer than the 5000 bytes"),
        pytest.raises(DataUnavailableError),
    ):
        fetch("toy")
    assert not leftovers(cache)


def test_gzipped_mirror_file_is_compared_after_unpacking(toy: Toy, mirror: Path) -> None:
    toy({"three.txt": FILES["three.txt"]})
    (mirror / "three.txt.gz").write_bytes(gzip.compress(b"abc"))
    with (
        pytest.warns(UserWarning, match="three.txt.gz.*found ba78"),
        pytest.raises(DataUnavailableError),
    ):
        fetch("toy")


def raising(code: int) -> Callable[..., None]:
    """A function that fails as the operating system does."""

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk(
    toy: Toy, cache: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    toy({"one.txt": FILES["one.txt"]})
    monkeypatch.setattr(fetching.shutil, "copyfileobj", raising(code))
    (mirror / "one.txt.gz").write_bytes(gzip.compress(FILES["one.txt"]))
    with pytest.raises(OSError, match=r"is full.*SCST_DATA.*cache/toy") as caught:
        fetch("toy")
    assert caught.value.errno == code
    assert not leftovers(cache)
    # A plain mirror file that has been checked can be used where it is.
    (mirror / "one.txt").write_bytes(FILES["one.txt"])
    assert fetch("toy") == {"one.txt": mirror / "one.txt"}


def test_full_disk_while_downloading(
    toy: Toy, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pooch

    toy(FILES)
    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", raising(errno.ENOSPC))
    with pytest.raises(OSError, match="is full"):
        fetch("toy")
    assert not leftovers(cache)


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_read_only_cache(
    toy: Toy, cache: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    toy({"one.txt": FILES["one.txt"]})
    monkeypatch.setattr(Path, "mkdir", raising(code))
    (mirror / "one.txt").write_bytes(FILES["one.txt"])
    assert fetch("toy") == {"one.txt": mirror / "one.txt"}
    (mirror / "one.txt").unlink()
    monkeypatch.delenv("SCST_OFFLINE")
    with pytest.raises(OSError, match=r"cannot be written to.*SCST_DATA") as caught:
        fetch("toy")
    assert caught.value.errno == code
    assert not cache.exists()


def test_other_disk_errors_are_not_reworded(
    toy: Toy, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy({"one.txt": FILES["one.txt"]})
    (mirror / "one.txt").write_bytes(FILES["one.txt"])
    monkeypatch.setattr(fetching.shutil, "copyfileobj", raising(errno.EIO))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        fetch("toy")
    monkeypatch.setattr(Path, "mkdir", raising(errno.EIO))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        fetch("toy")


@pytest.mark.parametrize("path", ["../out.txt", "/etc/passwd", "a\\..\\b", "a/../../b", "C:/x", ""])
def test_code_refuses_paths_that_leave_the_cache(path: str, cache: Path) -> None:
    with pytest.raises(ValueError, match="would leave"):
        cached_path("toy", path)
    with pytest.raises(ValueError, match="would leave"):
        mirrored_path("toy", path)
    with pytest.raises(ValueError, match="would leave"):
        cached_path("..", "out.txt")


def test_manifest_that_slips_through_the_schema_cannot_write_outside(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy(FILES)
    manifest = manifests.read_manifest("toy")
    out = RemoteFile("../../out.txt", manifest.files[0].url, 5000, manifest.files[0].sha256)
    object.__setattr__(manifest, "files", (out,))
    with pytest.raises(ValueError, match="would leave"):
        fetch("toy")
    assert not (tmp_path / "out.txt").exists()


def test_link_out_of_the_cache_is_refused(toy: Toy, cache: Path, tmp_path: Path) -> None:
    toy(FILES)
    outside = tmp_path / "outside"
    outside.mkdir()
    (cache / "toy").mkdir(parents=True)
    (cache / "toy" / "deep").symlink_to(outside)
    with pytest.raises(ValueError, match="through a link"):
        fetch("toy")
    assert not list(outside.iterdir())


def test_cache_folder_may_itself_be_a_link(toy: Toy, cache: Path, tmp_path: Path) -> None:
    toy(FILES)
    (tmp_path / "disk").mkdir()
    cache.symlink_to(tmp_path / "disk")
    assert (tmp_path / "disk" / "toy" / "one.txt") == fetch("toy")["one.txt"].resolve()


def test_default_cache_folder_is_the_platforms(monkeypatch: pytest.MonkeyPatch) -> None:
    import platformdirs

    monkeypatch.delenv("SCST_DATA")
    assert str(cache_folder()) == platformdirs.user_cache_dir("scstlib", appauthor=False)


def test_set_fetched_by_hand(cache: Path) -> None:
    for use in (fetch, load):
        with pytest.raises(DataUnavailableError, match=r"by hand.*100 GB") as caught:
            use("HiRES")
        assert str(cache / "HiRES") in str(caught.value)
        assert "GSE223917" in str(caught.value)
        assert caught.value.missing == []
    assert not available("HiRES")
    (cache / "HiRES").mkdir(parents=True)
    assert not available("HiRES")
    (cache / "HiRES" / "contacts.pairs").touch()
    assert available("HiRES")


CHILD = """
import sys
from pathlib import Path
from scstlib.datasets import fetch, manifests
manifests.manifest_folder = lambda: Path(sys.argv[1])
manifests.read_manifest("toy")
print("ready", flush=True)
print(len(fetch("toy")))
"""


def child(manifest_folder: Path) -> subprocess.Popen[str]:
    """Another process that fetches the toy set into the same cache."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", CHILD, str(manifest_folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "nothing happened for 30 s"
        time.sleep(0.02)


def test_two_processes_at_once(toy: Toy, server: Any, manifest_folder: Path, cache: Path) -> None:
    files = {f"file{i}.txt": bytes([65 + i]) * 20_000 for i in range(12)}
    toy(files)
    server.stall.clear()
    both = [child(manifest_folder), child(manifest_folder)]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    wait_for(lambda: sum(server.requests.values()) >= fetching.PARALLEL_DOWNLOADS)
    # Time for the second to ask too, if nothing made it wait.
    time.sleep(0.5)
    server.stall.set()
    for process in both:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out.strip(), err) == (0, "12", "")
    assert {p.name: p.read_bytes() for p in (cache / "toy").glob("file*")} == files
    # The second waits for the first instead of downloading again.
    assert set(server.requests.values()) == {1}
    assert not leftovers(cache)


def test_killed_in_the_middle(toy: Toy, server: Any, manifest_folder: Path, cache: Path) -> None:
    toy(FILES)
    server.stall.clear()
    process = child(manifest_folder)
    wait_for(lambda: len(leftovers(cache)) == 3 and len(server.requests) == 3)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert leftovers(cache)
    assert not available("toy")
    server.stall.set()
    # Neither the halves nor the lock of the dead process stand in the way.
    assert {name: path.read_bytes() for name, path in fetch("toy").items()} == FILES


def test_interrupt_stops_the_downloads(
    toy: Toy, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy({f"file{i}.txt": b"x" for i in range(200)})
    calls = []

    def interrupted(*args: object) -> None:
        calls.append(1)
        raise KeyboardInterrupt

    monkeypatch.setattr(fetching, "_download", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch("toy")
    assert len(calls) < 200


def test_progress_bar_only_on_a_terminal(
    toy: Toy, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    toy(FILES)
    fetch("toy")
    assert capsys.readouterr() == ("", "")
    for path in fetch("toy").values():
        path.unlink()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    fetch("toy")
    assert "toy: 100%" in capsys.readouterr().err
