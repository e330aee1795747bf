"""A cache of its own for every test, a server on this machine, and manifests that point to it."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from scstlib.datasets import manifests


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, no mirror, no word on being offline."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("SCST_DATA", str(folder))
    monkeypatch.delenv("SCST_MIRROR", raising=False)
    monkeypatch.delenv("SCST_OFFLINE", raising=False)
    monkeypatch.delenv("SCST_MANIFESTS", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return folder


@pytest.fixture(scope="session")
def mirror_folder() -> Path:
    """The folder of the real data, or a skip."""
    named = os.environ.get("SCST_MIRROR")
    if not named:
        pytest.skip("SCST_MIRROR names no folder with the real data")
    return Path(named.split(os.pathsep)[0])


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all tests of real data."""
    return tmp_path_factory.mktemp("real-data")


@pytest.fixture
def real_data(
    mirror_folder: Path, shared_cache: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The real data: the mirror, a cache that the tests share, and no network."""
    monkeypatch.setenv("SCST_DATA", str(shared_cache))
    monkeypatch.setenv("SCST_MIRROR", str(mirror_folder))
    monkeypatch.setenv("SCST_OFFLINE", "1")
    return mirror_folder


class Server:
    """Serves byte strings by path, counts requests, and can fail, stall or break off."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.status: dict[str, list[int]] = {}
        self.requests: Counter[str] = Counter()
        self.cut: set[str] = set()
        self.stall = threading.Event()
        self.stall.set()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.lstrip("/")
                server.requests[name] += 1
                statuses = server.status.get(name, [])
                status = statuses.pop(0) if statuses else 200
                body = server.content.get(name)
                if status != 200 or body is None:
                    self.send_error(status if status != 200 else 404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                half = len(body) // 2
                self.wfile.write(body[:half])
                self.wfile.flush()
                server.stall.wait(20)
                if name not in server.cut:
                    self.wfile.write(body[half:])

            def log_message(self, *args: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *args: object) -> None:
                """A client that is killed breaks its connection; that is part of the test."""

        self.http = Quiet(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(
            target=self.http.serve_forever, kwargs={"poll_interval": 0.05}
        )
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}"

    def close(self) -> None:
        self.stall.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    """A web server on this machine."""
    running = Server()
    yield running
    running.close()


BASE = {
    "name": "toy",
    "title": "A toy data set",
    "description": "Files made by a test, in no particular format.",
    "organism": "none at all",
    "assembly": None,
    "modality": "scRNA-seq",
    "accession": None,
    "citation": {"text": "made in a test", "doi": None, "doi_note": "made in a test"},
    "licence": {"host": "none", "note": "made in a test"},
    "known_traps": [],
    "loader": "expression_sets.guo2010",
}


@pytest.fixture
def base() -> dict[str, object]:
    """A manifest's fields, but for the files."""
    return dict(BASE)


def file_entry(path: str, content: bytes, url: str) -> dict[str, object]:
    """The manifest's record of a file."""
    sha256 = hashlib.sha256(content).hexdigest()
    return {"path": path, "url": url, "bytes": len(content), "sha256": sha256}


@pytest.fixture
def manifest_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of manifests with the real schema, in place of the real one."""
    folder = tmp_path / "manifests"
    folder.mkdir()
    schema = manifests.manifest_folder() / "schema.json"
    (folder / "schema.json").write_bytes(schema.read_bytes())
    monkeypatch.setattr(manifests, "manifest_folder", lambda: folder)
    return folder


@pytest.fixture
def toy(manifest_folder: Path, server: Server) -> Callable[[dict[str, bytes]], None]:
    """Make the data set ``toy`` of these files, served by the server."""

    def make(files: dict[str, bytes]) -> None:
        server.content.update(files)
        entries = [file_entry(name, body, f"{server.url}/{name}") for name, body in files.items()]
        text = yaml.safe_dump({**BASE, "files": entries})
        (manifest_folder / "toy.yml").write_text(text)

    return make
