"""Keys of the pages: what makes a page run again, and what does not."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tools import notebooks, pair

PAGE = (
    '# %% [markdown]\n# # Title\n\n# %% tags=["parameters"]\nseed = 0\n\n'
    "# %%\nfrom scstlib import a\nprint(seed)\n"
)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one page whose executed copy holds."""
    monkeypatch.delenv("SCST_PROFILE", raising=False)
    monkeypatch.setattr(notebooks, "versions", lambda: {"torch": "2"})  # reading all is slow
    for folder in ("book", "notebooks/part", "scstlib", "data_manifests"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "book" / "_toc.yml").write_text(
        "format: jb-book\nroot: book/index\nchapters:\n  - file: notebooks/part/page\n"
    )
    (tmp_path / "notebooks/part/page.py").write_text(PAGE)
    (tmp_path / "scstlib" / "b").mkdir()
    (tmp_path / "scstlib" / "__init__.py").touch()
    (tmp_path / "scstlib" / "a.py").write_text("def a():\n    from scstlib.b import c\n")
    (tmp_path / "scstlib" / "b" / "__init__.py").touch()
    (tmp_path / "scstlib" / "b" / "c.py").touch()
    (tmp_path / "scstlib" / "b" / "other.py").touch()
    (tmp_path / "scstlib" / "d.py").touch()
    (tmp_path / "data_manifests" / "a.yml").write_text("name: a\n")
    settle(tmp_path)
    return tmp_path


def settle(root: Path, **about: Any) -> None:
    """Put an executed copy there that was made under the present key."""
    pair.pair(root / "notebooks")
    notebooks.refresh_keys(root)
    key = notebooks.key_path("part/page", root).read_bytes()
    copy = notebooks.read(root / "notebooks/part/page.ipynb")
    copy["metadata"]["scst"] = {"key": hashlib.sha256(key).hexdigest(), "seconds": 1, **about}
    path = notebooks.executed_path("part/page", root)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(copy))


def test_pages_are_those_of_the_table_of_contents(root: Path) -> None:
    assert notebooks.pages(root) == ["book/index", "notebooks/part/page"]
    assert notebooks.names(root) == ["part/page"]


def test_nothing_runs_when_nothing_changed(root: Path) -> None:
    key = notebooks.key_path("part/page", root)
    before = key.stat().st_mtime_ns
    assert notebooks.refresh_keys(root) == []
    assert key.stat().st_mtime_ns == before


def test_prose_file_times_and_caption_do_not_count(root: Path) -> None:
    page = root / "notebooks/part/page.py"
    page.write_text(PAGE.replace("Title", "Better title").replace("# %%\n", '# %% caption="A"\n'))
    pair.pair(page.parent)
    (root / "scstlib" / "a.py").touch()
    (root / "scstlib" / "__pycache__").mkdir()
    (root / "scstlib" / "__pycache__" / "a.cpython-311.pyc").write_bytes(b"compiled")
    assert notebooks.refresh_keys(root) == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("notebooks/part/page.py", PAGE.replace("print(seed)", "print(seed + 1)")),
        ("scstlib/a.py", "a = 2\n"),
        ("scstlib/b/c.py", "c = 1\n"),
        ("scstlib/b/stored.tsv", "c\t1\n"),
        ("data_manifests/a.yml", "name: b\n"),
    ],
)
def test_code_imported_modules_and_manifests_count(root: Path, path: str, text: str) -> None:
    (root / path).write_text(text)
    pair.pair(root / "notebooks")
    assert notebooks.refresh_keys(root) == ["part/page"]
    assert not notebooks.executed_path("part/page", root).exists()


@pytest.mark.parametrize("path", ["scstlib/d.py", "scstlib/b/other.py", "scstlib/new.py"])
def test_modules_that_the_page_does_not_import_do_not_count(root: Path, path: str) -> None:
    (root / path).write_text("changed = True\n")
    assert notebooks.refresh_keys(root) == []


def test_profile_and_versions_count(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCST_PROFILE", "full")
    assert notebooks.refresh_keys(root) == ["part/page"]
    settle(root)
    monkeypatch.setattr(notebooks, "versions", lambda: {"torch": "99"})
    assert notebooks.refresh_keys(root) == ["part/page"]


def test_versions_are_those_that_are_installed() -> None:
    from importlib.metadata import version

    found = notebooks.versions()
    assert found["papermill"] == version("papermill")
    assert found["Python"].startswith("3.")
    assert "scstlib" not in found  # its sources count instead


def test_an_unknown_profile_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCST_PROFILE", "quick")
    with pytest.raises(ValueError, match="quick"):
        notebooks.profile()


def test_a_page_without_its_data_runs_again_once_they_are_there(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(root, missing={"dataset": "a", "files": [], "message": "", "cell": 1})
    monkeypatch.setattr(notebooks, "now_available", lambda missing: False)
    assert notebooks.refresh_keys(root) == []
    monkeypatch.setattr(notebooks, "now_available", lambda missing: missing["dataset"] == "a")
    assert notebooks.refresh_keys(root) == ["part/page"]


def test_a_copy_made_under_another_key_is_dropped(root: Path) -> None:
    settle(root, key="0")
    assert notebooks.refresh_keys(root) == ["part/page"]


def test_results_that_a_page_names_belong_to_its_key(root: Path):
    results = root / "benchmarks" / "results"
    results.mkdir(parents=True)
    source = root / "notebooks/part/page.py"
    source.write_text(PAGE + 'table = "benchmarks/results/compare.csv"\n')
    (results / "compare.csv").write_text("a\n1\n")
    settle(root)
    (results / "other.csv").write_text("a\n1\n")
    assert notebooks.refresh_keys(root) == []
    (results / "compare.csv").write_text("a\n2\n")
    assert notebooks.refresh_keys(root) == ["part/page"]
