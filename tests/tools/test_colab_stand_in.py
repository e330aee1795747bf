"""The stand-in for Colab: what it installs, what git gives it, what it says was replaced."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tools import colab, notebooks

LIST = "# at commit " + "a" * 40 + " of\n# 2026-08-19 (3.13.15).\nnumpy==2.1.3\nPyYAML==6.0.3\n"


def test_the_list_is_read_with_its_python_and_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert colab.image(LIST) == {"Python": "3.13.15", "numpy": "2.1.3", "pyyaml": "6.0.3"}
    monkeypatch.setattr(colab, "VERSIONS", tmp_path / "list.txt")
    colab.VERSIONS.write_text(LIST)
    assert colab.source() == "a" * 40 + " of 2026-08-19"


def test_the_committed_list_has_what_must_stay_and_the_kernel() -> None:
    found = colab.image(colab.VERSIONS.read_text(encoding="utf-8"))
    assert {"Python", "numpy", "pandas", "torch", "ipykernel", "pip"} <= set(found)
    assert colab.source().count("-") == 2


def test_a_version_that_changed_is_named_and_a_new_package_is_not() -> None:
    before, after = (
        {"numpy": "2.1.3", "dill": "0.3.8"},
        {"numpy": "2.1.3", "dill": "0.4", "pot": "1"},
    )
    assert colab.replaced(before, after) == {"dill": ["0.3.8", "0.4"]}
    assert colab.replaced(before, {"numpy": "2.1.3"}) == {"dill": ["0.3.8", None]}


def test_rows_of_pages_that_ran_again_are_replaced_in_the_order_of_the_book() -> None:
    first, second = notebooks.names()[:2]
    old = [{"page": second, "status": "Error"}, {"page": "gone/page"}]
    new = [{"page": first}, {"page": second, "status": "passed"}]
    assert colab.kept(old, new) == new


def test_without_colab_s_python_it_says_what_to_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(colab.shutil, "which", lambda name: None)
    with pytest.raises(FileNotFoundError, match=r"no python3\.13 here: name one with --python"):
        colab.python_command("3.13.15")


def test_pages_run_later_are_of_the_commit_that_was_installed(tmp_path: Path) -> None:
    place = tmp_path / "venv/lib/python3.13/site-packages/scstlib-0.1.0.dist-info"
    place.mkdir(parents=True)
    (place / "direct_url.json").write_text('{"vcs_info": {"commit_id": "a1b2"}}')
    assert colab.installed_commit(tmp_path) == "a1b2"


def test_git_takes_the_address_of_the_cell_from_the_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "clone"
    (root / "tools").mkdir(parents=True)
    cell = (colab.ROOT / "tools" / "colab_cell.py").read_text(encoding="utf-8")
    (root / "tools" / "colab_cell.py").write_text(cell)
    git = ["git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q", "-b", "work"], ["add", "."], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *command], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    monkeypatch.setattr(colab, "ROOT", root)
    folder = tmp_path / "folder"
    (folder / "venv" / "lib" / "python3.13" / "site-packages").mkdir(parents=True)
    colab.prepare(folder, Path("python"), head.stdout.strip())
    kernel = json.loads((folder / "jupyter" / "kernels" / "colab" / "kernel.json").read_text())
    clone = ["git", "clone", "-q", "--filter=blob:none", "-b", "main", colab.address()]
    subprocess.run([*clone, str(tmp_path / "pip")], env={**os.environ, **kernel["env"]}, check=True)
    assert (tmp_path / "pip" / "tools" / "colab_cell.py").read_text() == cell


def test_the_weekly_job_runs_a_page_of_each_part_with_colab_s_python() -> None:
    text = (colab.ROOT / ".github" / "workflows" / "book.yml").read_text(encoding="utf-8")
    job = yaml.safe_load(text)["jobs"]["colab"]
    pages = job["env"]["PAGES"].split()
    assert set(pages) <= set(notebooks.names())
    parts = [name.partition("/")[0] for name in pages]
    assert sorted(parts) == sorted({name.partition("/")[0] for name in notebooks.names()})
    python = colab.image(colab.VERSIONS.read_text(encoding="utf-8"))["Python"]
    assert python.rpartition(".")[0] in job["steps"][1]["with"]["python-version"].split()
