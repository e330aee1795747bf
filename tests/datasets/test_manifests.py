"""Manifests: all are valid, every malformed one is refused with the name of the field."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from scstlib.__main__ import main
from scstlib.datasets import (
    ManifestError,
    UnknownDatasetError,
    available,
    describe,
    list_datasets,
    load,
    manifests,
    read_manifest,
)
from scstlib.datasets.manifests import is_confined, parse_manifest
from tests.datasets.conftest import file_entry

FILE = {"path": "a/b.txt", "url": "https://example.org/b.txt", "bytes": 3, "sha256": "0f" * 32}
SCHEMA = json.loads((manifests.manifest_folder() / "schema.json").read_text())


def test_every_manifest_is_valid_and_named_like_its_file() -> None:
    names = list_datasets()
    assert len(names) >= 17
    for name in names:
        manifest = read_manifest(name)
        assert manifest.name == name
        assert manifest.known_traps
        assert bool(manifest.files) != bool(manifest.by_hand)


def test_every_loader_exists() -> None:
    from importlib import import_module

    for name in list_datasets():
        loader = read_manifest(name).loader
        if loader is not None:
            module, function = loader.split(".")
            assert callable(getattr(import_module(f"scstlib.datasets.{module}"), function))


def test_manifests_list_the_files_of_the_mirror(mirror_folder: Path) -> None:
    with (mirror_folder / "SOURCES.tsv").open(newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    expected = {(r["file"], r["url"], int(r["bytes"]), r["sha256"]) for r in rows}
    found = {
        (f"{name}/{file.path}", file.url, file.bytes, file.sha256)
        for name in list_datasets()
        for file in read_manifest(name).files
    }
    assert found == expected
    for row in rows:
        assert row["licence_of_host_repo"] in read_manifest(row["dataset"]).licence["host"]


def test_describe_has_one_row_a_set() -> None:
    table = describe()
    assert list(table.index) == list_datasets()
    assert table.loc["lee2019", "files"] == 401
    assert table.loc["HiRES", "how"] == "by hand"
    assert table.loc["guo2010", "megabytes"] == pytest.approx(0.27)


def test_unknown_name_lists_the_nearest() -> None:
    with pytest.raises(UnknownDatasetError, match=r"semrau2018.*nearest: semrau2017"):
        read_manifest("semrau2018")
    with pytest.raises(ValueError, match="HiRES"):
        read_manifest("hires")
    with pytest.raises(UnknownDatasetError, match=r"guo2010.*semrau2017"):
        read_manifest("zzzzzzzzzzzzzzzzzzzzzz")


MALFORMED: list[tuple[dict[str, Any], str]] = [
    ({"title": None}, "'title'"),
    ({"title": "x"}, "'title'"),
    ({"modality": "gossip"}, "'modality'"),
    ({"surprise": 1}, "surprise"),
    ({"citation": {"text": "made in a test", "doi": None}}, "doi_note"),
    ({"citation": {"text": "made in a test", "doi": "doi.org/1"}}, "'citation.doi'"),
    ({"loader": "os.system"}, "'loader'"),
    ({"files": []}, "'files'"),
    ({"files": [{**FILE, "sha256": "abc"}]}, r"'files\[0\].sha256'"),
    ({"files": [FILE, {**FILE, "path": "c", "bytes": "3"}]}, r"'files\[1\].bytes'"),
    ({"files": [{**FILE, "url": "file:///etc/passwd"}]}, r"'files\[0\].url'"),
    ({"files": [FILE, dict(FILE)]}, r"'files\[1\].path'.*repeats"),
    ({"name": "../toy"}, "'name'"),
    ({"name": "other"}, "'name'"),
    *[
        ({"files": [{**FILE, "path": path}]}, r"'files\[0\].path'")
        for path in ("/etc/passwd", "../x", "a/../../x", "a\\b", "C:x", "a//b", "./a", "", "a/..")
    ],
]


@pytest.mark.parametrize(("change", "field"), MALFORMED)
def test_malformed_manifest_names_the_field(
    change: dict[str, Any], field: str, manifest_folder: Path, base: dict[str, Any]
) -> None:
    content = {**base, "files": [FILE], **change}
    (manifest_folder / "toy.yml").write_text(yaml.safe_dump(content))
    with pytest.raises(ManifestError, match=field) as caught:
        read_manifest("toy")
    assert "toy.yml" in str(caught.value)


def test_missing_field_is_named(manifest_folder: Path, base: dict[str, Any]) -> None:
    content = {key: value for key, value in base.items() if key != "organism"}
    (manifest_folder / "toy.yml").write_text(yaml.safe_dump({**content, "files": [FILE]}))
    with pytest.raises(ManifestError, match="organism"):
        read_manifest("toy")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "toy\n"),
        ("citation.doi", {"text": "made in a test", "doi": "10.1038/nature1\n"}),
        ("loader", "expression_sets.guo2010\n"),
        ("files[0].path", [{**FILE, "path": "a.txt\n"}]),
        ("files[0].url", [{**FILE, "url": "https://example.org/b\n"}]),
        ("files[0].sha256", [{**FILE, "sha256": "0f" * 32 + "\n"}]),
        ("files[0].bytes", [{**FILE, "bytes": 10**60}]),
        ("files[0].bytes", [{**FILE, "bytes": 10**14}]),
        ("files[0].bytes", [{**FILE, "bytes": 1e60}]),
        ("files[0].bytes", [{**FILE, "bytes": 3.0}]),
        ("files[0].bytes", [{**FILE, "bytes": True}]),
    ],
)
def test_no_text_goes_on_behind_its_end_and_no_size_is_out_of_this_world(
    field: str, value: Any, manifest_folder: Path, base: dict[str, Any]
) -> None:
    name = re.split(r"\W", field)[0]
    (manifest_folder / "toy.yml").write_text(yaml.safe_dump({**base, "files": [FILE], name: value}))
    with pytest.raises(ManifestError, match=re.escape(f"field '{field}'")):
        read_manifest("toy")


def test_every_pattern_of_the_schema_holds_the_whole_text() -> None:
    patterns = re.findall(r'"pattern": "(.*?)" *[,}\n]', json.dumps(SCHEMA, indent=1))
    assert len(patterns) == 7
    for pattern in patterns:
        assert pattern.startswith("^")
        assert pattern.endswith(r"$(?!\\n)")


BOMB = "a0: &a0 [x, x]\n" + "".join(
    f"a{k}: &a{k} [*a{k - 1}, *a{k - 1}, *a{k - 1}, *a{k - 1}]\n" for k in range(1, 30)
)
# What is wrong, the document, and what is said of it.
STRICT = {
    "bomb of references": (BOMB, "line 1: a reference"),
    "reference to itself": ("a: &a [*a]", "a reference"),
    "merged": ("a: {<<: *b}", "a reference"),
    "a key twice": ("name: toy\ntitle: first\ntitle: second", "line 3: the key 'title' twice"),
    "a key that is no text": ("? [1, 2]\n: 3", "or no text"),
    "a tag": ("name: !!str toy", "line 1: a tag"),
    "an object": ("name: !!python/object/apply:os.getcwd []", "a tag"),
    "deep": ("[" * 7, "nested more than 6 times"),
    # PyYAML 6.0.4 has a bound of its own.
    "abysmal": ("[" * 100_000, "nested more than 6 times|maximum nesting depth"),
    "two documents": ("name: toy\n---\nname: other", "several documents"),
    "nothing": ("# nothing", "it is empty"),
    "not closed": ("name: [toy", "expected"),
    "control characters": ("name: a\x01b", "control characters|not allowed"),
}


@pytest.mark.parametrize("case", STRICT)
def test_yaml_is_read_strictly_and_at_once(case: str, tmp_path: Path) -> None:
    text, said = STRICT[case]
    (tmp_path / "bad.yml").write_text(text)
    start = time.process_time()
    with pytest.raises(ManifestError, match=f"^bad.yml is not valid YAML: .*{said}"):
        parse_manifest(tmp_path / "bad.yml")
    assert time.process_time() - start < 5


def test_numbers_of_old_yaml_are_texts() -> None:
    text = "[1:30, 010, 0x10, 1e60, 1.5, yes, 2020-01-01, 12, 0, null, ~, '3', 1_000]"
    assert manifests.strict_yaml(text) == [
        "1:30", "010", "0x10", "1e60", "1.5", "yes", "2020-01-01", 12, 0, None, None, "3", "1_000",
    ]  # fmt: skip


def test_what_was_written_is_what_the_safe_loader_reads() -> None:
    for path in manifests.manifest_folder().glob("*.yml"):
        text = path.read_text(encoding="utf-8")
        assert manifests.strict_yaml(text) == yaml.safe_load(text)


def test_a_manifest_is_a_small_file_in_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "bad.yml"
    path.write_bytes("name: toy".encode("utf-16"))
    with pytest.raises(ManifestError, match=r"bad.yml is not UTF-8"):
        parse_manifest(path)
    path.write_bytes(b"#" * (manifests.LARGEST + 1))
    with pytest.raises(ManifestError, match=r"bad.yml has more than 1000000 bytes"):
        parse_manifest(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ManifestError, match=r"bad.yml is no regular file"):
        parse_manifest(path)
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ManifestError, match=r"bad.yml cannot be read: No such file"):
        parse_manifest(path)


def test_what_the_schema_says_of_a_long_value_is_short(
    manifest_folder: Path, base: dict[str, Any]
) -> None:
    (manifest_folder / "toy.yml").write_text(yaml.safe_dump({**base, "files": "x" * 100_000}))
    with pytest.raises(ManifestError, match="'files'") as caught:
        read_manifest("toy")
    assert len(str(caught.value)) < 400


def test_yaml_cannot_build_objects(tmp_path: Path) -> None:
    path = tmp_path / "bad.yml"
    path.write_text("name: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(ManifestError, match="not valid YAML"):
        parse_manifest(path)
    path.write_text("- a list\n")
    with pytest.raises(ManifestError, match="whole file"):
        parse_manifest(path)


def test_manifests_of_the_installed_package_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "scstlib"
    monkeypatch.setattr(manifests, "__file__", str(package / "datasets" / "manifests.py"))
    with pytest.raises(FileNotFoundError, match="data_manifests"):
        manifests.manifest_folder()
    for folder in (tmp_path / "data_manifests", package / "data_manifests"):
        folder.mkdir(parents=True)
        (folder / "schema.json").touch()
        assert manifests.manifest_folder() == folder


@given(st.text(alphabet="ab./\\:\0 ~-", max_size=12))
def test_confined_paths_stay_below_their_folder(relative: str) -> None:
    if is_confined(relative):
        joined = os.path.normpath(os.path.join("/root/folder", relative))
        assert joined.startswith("/root/folder/")
        assert joined == f"/root/folder/{relative}"


@given(st.text(alphabet="ab./\\:\n ~-", max_size=12))
def test_schema_admits_only_confined_paths(relative: str) -> None:
    # The schema's validator searches; an unanchored or too wide pattern would let paths through.
    pattern = SCHEMA["$defs"]["file"]["properties"]["path"]["pattern"]
    if re.search(pattern, relative):
        assert is_confined(relative)


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, scstlib.datasets as d; "
        "heavy = {'numpy', 'pandas', 'anndata', 'cooler', 'yaml', 'requests'} & set(sys.modules); "
        "assert not heavy, heavy; "
        "assert set(d.__all__) == set(dir(d)) and len(d.__all__) > 10; "
        "assert all(getattr(d, name) is not None for name in d.__all__)"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_unknown_attribute_is_an_attribute_error() -> None:
    import scstlib.datasets

    with pytest.raises(AttributeError, match="no_such_thing"):
        scstlib.datasets.no_such_thing  # noqa: B018


READER = """
def lines(manifest, files):
    return manifest.name, files()["one.txt"].read_text().splitlines()
"""


@pytest.fixture
def own(tmp_path: Path, base: dict[str, Any], server: Any) -> Path:
    """A folder as a user without a clone has it: a manifest, and its reader beside it."""
    server.content["one.txt"] = b"a\nb\n"
    fields = {**base, "name": "mine", "loader": "reader.py:lines"}
    fields["files"] = [file_entry("one.txt", b"a\nb\n", f"{server.url}/one.txt")]
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "mine.yml").write_text(yaml.safe_dump(fields))
    (folder / "reader.py").write_text(READER)
    return folder


def test_a_manifest_of_ones_own_needs_no_clone(
    own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UnknownDatasetError, match="'mine'"):
        load("mine")
    assert {"mine", "semrau2017"} <= set(list_datasets(own))
    assert not available("mine", own)
    assert load("mine", manifests=str(own)) == ("mine", ["a", "b"])
    assert describe(own).loc["mine", "files"] == 1
    for command in (["list"], ["fetch", "mine"], ["verify", "mine"], ["where", "mine"]):
        assert main(["data", *command, "--manifests", str(own)]) == 0
        assert "mine" in capsys.readouterr().out
    monkeypatch.setenv("SCST_MANIFESTS", str(own))
    assert main(["data", "describe", "mine"]) == 0
    assert load("mine") == ("mine", ["a", "b"])


def test_a_manifest_of_ones_own_is_read_anew_and_its_faults_are_named(own: Path) -> None:
    path = own / "mine.yml"
    text = path.read_text()
    assert read_manifest("mine", own).title == "A toy data set"
    for wrong, expected in (("reader.py:line", "has no line"), ("other.py:f", "no other.py in")):
        path.write_text(text.replace("reader.py:lines", wrong))
        with pytest.raises(ManifestError, match=f"mine.yml: field 'loader'.*{expected}"):
            load("mine", own)
    path.rename(own / "semrau2017.yml")
    with pytest.raises(ManifestError, match="semrau2017 is a data set of the book"):
        list_datasets(own)
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere"):
        load("mine", own / "nowhere")
