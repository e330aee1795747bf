"""What the build knows of a page with code: its name, its key, its executed copy.

The key of a page is a hash of all that its outputs depend on. A page is run again when its key
changes, and only then: file times play no part.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from tools.page_imports import Package

ROOT = Path(__file__).resolve().parent.parent
SEED = 0


def profile() -> str:
    """``fast`` (default) or ``full``, from ``SCST_PROFILE``."""
    name = os.environ.get("SCST_PROFILE") or "fast"
    if name not in ("fast", "full"):
        raise ValueError(f"SCST_PROFILE={name!r}: say 'fast' or 'full'.")
    return name


def pages(root: Path = ROOT) -> list[str]:
    """All pages of the table of contents, as paths without suffix, in reading order."""
    toc = (root / "book" / "_toc.yml").read_text(encoding="utf-8")
    return re.findall(r"^[\s-]*(?:root|file):\s*(\S+)", toc, flags=re.MULTILINE)


def names(root: Path = ROOT) -> list[str]:
    """Pages with code, ``part/name``, in reading order."""
    found = [page for page in pages(root) if page.startswith("notebooks/")]
    return [page.removeprefix("notebooks/") for page in found]


def numbers(root: Path = ROOT) -> dict[str, int]:
    """Number of each page with code; none without a table of contents."""
    there = (root / "book" / "_toc.yml").is_file()
    return {name: number for number, name in enumerate(names(root) if there else [], start=1)}


def read(path: Path) -> dict[str, Any]:
    """A notebook as plain JSON, every cell's source as one string."""
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
    return notebook


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    """The code cells in order."""
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def executed_path(name: str, root: Path = ROOT) -> Path:
    """Where the executed copy of a page lies."""
    return root / "_build" / "executed" / f"{name}.ipynb"


def key_path(name: str, root: Path = ROOT) -> Path:
    """Where the key of a page lies."""
    return root / "_build" / "keys" / f"{name}.json"


def record(name: str, root: Path = ROOT) -> dict[str, Any]:
    """What the runner wrote down about the executed copy; empty when there is none."""
    path = executed_path(name, root)
    if not path.is_file():
        return {}
    found: dict[str, Any] = read(path)["metadata"].get("scst", {})
    return found


def versions() -> dict[str, str]:
    """Versions of Python and of every installed package but this one."""
    found = {d.name: d.version for d in metadata.distributions() if d.name != "scstlib"}
    return {"Python": sys.version.split()[0], **dict(sorted(found.items()))}


def tree_hash(paths: list[Path], root: Path = ROOT) -> str:
    """Hash of the names and contents of files."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(root).as_posix()} {content}\n".encode())
    return digest.hexdigest()


def manifests_hash(root: Path = ROOT) -> str:
    """Hash of the data manifests."""
    return tree_hash([p for p in (root / "data_manifests").rglob("*") if p.is_file()], root)


def environment(root: Path = ROOT) -> dict[str, Any]:
    """What the outputs of every page depend on."""
    return {
        "parameters": {"profile": profile(), "seed": SEED},
        "manifests": manifests_hash(root),
        "versions": versions(),
    }


def code_hash(notebook: dict[str, Any]) -> str:
    """Hash of the code cells; prose, captions and cell ids do not count."""
    cells = [[c["source"], c["metadata"].get("tags", [])] for c in code_cells(notebook)]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()


def write_if_changed(path: Path, text: str) -> bool:
    """Write ``text`` through a temporary name unless the file holds it already."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
    return True


def now_available(missing: dict[str, Any]) -> bool:
    """Whether the data that a page went without can be had by now; asks no network."""
    from scstlib import datasets

    # A set that is fetched by hand lists no files, and its page loads none of it.
    return bool(missing["files"]) and datasets.available(missing["dataset"])


def results_named(sources: list[str], root: Path = ROOT) -> list[Path]:
    """Results of benchmarks whose paths stand in code, such as ``benchmarks/results/x.csv``."""
    named = set(re.findall(r"benchmarks/results/[\w.-]+", "\n".join(sources)))
    return [root / name for name in sorted(named) if (root / name).is_file()]


def refresh_keys(root: Path = ROOT) -> list[str]:
    """Write the keys that changed, drop executed copies that no longer hold; returns what will run.

    An executed copy is dropped when it was made under another key (a build that was killed
    between the two) or went without data that are there now.
    """
    stale = []
    common = environment(root)
    package = Package(root)
    for name in names(root):
        page = read(root / "notebooks" / f"{name}.ipynb")
        sources = [cell["source"] for cell in code_cells(page)]
        files = [*package.read_by(sources), *results_named(sources, root)]
        own = {"code": code_hash(page), "reads": tree_hash(files, root)}
        text = json.dumps({**own, **common}, indent=1, sort_keys=True) + "\n"
        write_if_changed(key_path(name, root), text)
        made = record(name, root)
        missing = made.get("missing")
        holds = made.get("key") == hashlib.sha256(text.encode()).hexdigest()
        if not holds or (missing and now_available(missing)):
            executed_path(name, root).unlink(missing_ok=True)
            stale.append(name)
    return stale
