"""Fixtures of the tests on the rendered book and on tiny books."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tools import notebooks, pdf

if TYPE_CHECKING:
    from playwright.sync_api import Browser

HTML = notebooks.ROOT / "_build" / "html"
MACHINERY = ("Snakefile", "_config.yml", "tools", "scstlib", "data_manifests")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
]
PAGE = """# %% [markdown]
# # A page

# %% tags=["parameters"]
profile = "fast"
seed = 0

# %%
print(1 + seed)
"""


@pytest.fixture(scope="session")
def html() -> Path:
    """Folder of the rendered book."""
    if not (HTML / ".complete").is_file():
        if os.environ.get("CI"):
            pytest.fail("no book in _build/html: run `make test`")
        pytest.skip("no book in _build/html: run `make book`")
    return HTML


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serve files without a log."""

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def address(html: Path) -> Iterator[str]:
    """The book, served on this machine."""
    handler = functools.partial(Quiet, directory=str(html))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium of the system."""
    from playwright.sync_api import sync_playwright

    binary = pdf.browser()
    if binary is None:
        problem = "no Chromium on this machine: install the package chromium (see .ci/run)"
        if os.environ.get("CI"):
            pytest.fail(problem)
        pytest.skip(problem)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=binary, args=list(FLAGS))
        yield running
        running.close()


class TinyBook:
    """A book of two pages with the machinery of this repository, in a folder of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        ignore = shutil.ignore_patterns("__pycache__")
        for name in (*MACHINERY, "book/_ext", "book/_static", "book/_templates"):
            source = notebooks.ROOT / name
            if source.is_dir():
                shutil.copytree(source, root / name, ignore=ignore)
            else:
                shutil.copy(source, root / name)
        self.write("book/_toc.yml", "format: jb-book\nroot: book/index\nchapters:\n")
        self.add("notebooks/part/page", PAGE)
        self.write("book/index.md", "# A book\n\nWith a [page](../notebooks/part/page.ipynb).\n")
        self.write("book/references.bib", "")

    def write(self, path: str, text: str) -> None:
        """Write one file."""
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text, encoding="utf-8")

    def add(self, page: str, text: str) -> None:
        """Add a page to the table of contents."""
        self.write(f"{page}.py", text)
        with (self.root / "book" / "_toc.yml").open("a", encoding="utf-8") as toc:
            toc.write(f"  - file: {page}\n")

    def run(self, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``tools.<module>`` of the tiny book."""
        command = [sys.executable, "-m", f"tools.{module}", *arguments]
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("COV", "PYTEST"))}
        environment["PYTHONPATH"] = str(self.root)
        return subprocess.run(
            command, cwd=self.root, env=environment, capture_output=True, text=True, check=False
        )


@pytest.fixture
def tiny_book(tmp_path: Path) -> TinyBook:
    """A book small enough to be built within a test."""
    return TinyBook(tmp_path / "tiny")
