"""What a release is made of: one version everywhere, and archives that hold what is needed."""

from __future__ import annotations

import json
import re
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import scstlib

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
ARCHIVE = json.loads((ROOT / ".zenodo.json").read_text(encoding="utf-8"))
CHANGELOG = (ROOT / "book" / "changelog.md").read_text(encoding="utf-8")
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/book.yml").read_text(encoding="utf-8"))


def test_one_version() -> None:
    latest = re.findall(r"^## (\S+) \((?:unreleased|\d{4}-\d\d-\d\d)\)$", CHANGELOG, re.MULTILINE)
    versions = [PROJECT["version"], scstlib.__version__, CITATION["version"], ARCHIVE["version"]]
    assert set(versions) == {latest[0]}


def test_the_archive_says_what_the_citation_says() -> None:
    assert ARCHIVE["title"] == CITATION["title"]
    assert ARCHIVE["license"] == CITATION["license"] == PROJECT["license"]
    assert ARCHIVE["keywords"] == CITATION["keywords"]
    authors = [each["name"] for each in CITATION["authors"]]
    assert [each["name"] for each in ARCHIVE["creators"]] == authors
    assert [each["name"] for each in PROJECT["authors"]] == authors
    (related,) = ARCHIVE["related_identifiers"]
    assert related["identifier"] == CITATION["repository-code"] == PROJECT["urls"]["Repository"]


def test_each_stated_python_is_tried_every_week() -> None:
    stated = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert WORKFLOW["jobs"]["newest"]["strategy"]["matrix"]["python"] == stated
    assert PROJECT["requires-python"] == f">={stated[0]}"


def test_the_checklist_names_files_that_are_there() -> None:
    text = (ROOT / ".github" / "RELEASE.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w./]+/[\w.]+\.\w+|[.A-Z]\w+\.(?:cff|json))`", text)
    built = {"_build/pdf/book.pdf"}
    assert len(named) >= 6
    assert [name for name in named if name not in built and not (ROOT / name).is_file()] == []


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Names of the files in the wheel and in the source archive."""
    from hatchling.builders.sdist import SdistBuilder
    from hatchling.builders.wheel import WheelBuilder

    folder = str(tmp_path_factory.mktemp("dist"))
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=folder, versions=["standard"])
    (source,) = SdistBuilder(str(ROOT)).build(directory=folder, versions=["standard"])
    assert Path(source).stat().st_size < 20e6
    with zipfile.ZipFile(wheel) as packed, tarfile.open(source) as tar:
        names = [name.partition("/")[2] for name in tar.getnames()]
        return {"wheel": packed.namelist(), "source": names}


def test_the_wheel_holds_the_results_that_pages_read(built: dict[str, list[str]]) -> None:
    pages = [path.read_text(encoding="utf-8") for path in ROOT.glob("notebooks/*/*.py")]
    read = set(re.findall(r"(?:stored|result_file)\(\"([^\"]+)\"", "\n".join(pages)))
    assert "benchmarks/results/compare.csv" in read
    assert {f"scstlib/{name}" for name in read} <= set(built["wheel"])


def test_the_wheel_holds_manifests_and_what_the_organism_is_compared_with(
    built: dict[str, list[str]],
) -> None:
    manifests = {path.name for path in (ROOT / "data_manifests").iterdir()}
    assert {f"scstlib/data_manifests/{name}" for name in manifests} <= set(built["wheel"])
    others = {
        "scstlib/py.typed",
        "scstlib/datasets/organism/realism.tsv",
        "scstlib/viewers/maps.js",
    }
    assert others <= set(built["wheel"])
    assert {name.partition("/")[0] for name in built["wheel"]} == {
        "scstlib",
        f"scstlib-{PROJECT['version']}.dist-info",
    }


def test_the_source_archive_holds_the_book_and_its_tests(built: dict[str, list[str]]) -> None:
    wanted = {
        "README.md",
        "LICENSE",
        "CITATION.cff",
        "constraints.txt",
        "Makefile",
        "pyproject.toml",
    }
    wanted |= {"data_manifests/schema.json", "notebooks/README.md", "tests/test_release.py"}
    assert wanted <= set(built["source"])
    unwanted = [n for n in built["source"] if re.match(r"(_build|\.venv|dist|\.git)(/|$)", n)]
    assert unwanted == []
