"""What the workflows run is named by its contents, not by a tag that can be moved."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools import audit, hashes, setup

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_action_is_pinned_by_its_commit(path: Path) -> None:
    used = re.findall(r"uses: *(.*)", path.read_text(encoding="utf-8"))
    assert used
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_only_read_unless_a_job_says_what_it_writes(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        written = {what for what, may in job.get("permissions", {}).items() if may == "write"}
        assert written <= ({"pages", "id-token"} if name == "publish" else set()), name


def test_the_pins_are_renewed() -> None:
    renewed = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text(encoding="utf-8"))
    assert [each["package-ecosystem"] for each in renewed["updates"]] == ["github-actions"]


def test_every_pin_but_torch_has_its_hashes_and_nothing_else_has() -> None:
    assert setup.differences() == []
    assert setup.pins().keys() - setup.hashed().keys() == {"torch"}
    for entry in setup.hashed().values():
        assert re.fullmatch(r"\S+==\S+( \\\n    --hash=sha256:[0-9a-f]{64})+\n", entry), entry


def test_a_pin_without_its_hashes_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "constraints.txt").write_text("A.b==2\nnumpy==1\ntorch==3\n")
    entries = [f"{name}==1 \\\n    --hash=sha256:00\n" for name in ("a-b", "scipy")]
    (tmp_path / "tools" / "hashes.txt").write_text("# How it was made\n" + "".join(entries))
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["hashes", "--check"])
    assert hashes.main() == 1
    said = capsys.readouterr().err.splitlines()
    assert [line.split("; ")[0] for line in said] == [
        "tools/hashes.txt: a-b: pinned is 2, hashes are of 1",
        "tools/hashes.txt: numpy: pinned is 1, hashes are of none",
        "tools/hashes.txt: scipy: pinned is none, hashes are of 1",
    ]


def test_the_set_up_takes_a_file_with_its_hash_and_refuses_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    wheel, place = tmp_path / "scst_toy-1-py3-none-any.whl", tmp_path / "site"
    about = "scst_toy-1.dist-info"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("scst_toy.py", "")
        file.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: scst-toy\nVersion: 1\n")
        file.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        file.writestr(f"{about}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_TARGET", str(place))
    known = hashlib.sha256(wheel.read_bytes()).hexdigest()
    entry = f"scst-toy==1 \\\n    --hash=sha256:{known}\n"
    with pytest.raises(subprocess.CalledProcessError):
        setup.install_listed([entry.replace(known, "0" * 64)])
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in capfd.readouterr().err
    assert list(place.glob("*")) == []
    setup.install_listed([entry])
    assert (place / "scst_toy.py").is_file()


def test_the_pins_are_audited_in_one_request(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[dict[str, Any]] = []

    def answer(queries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        asked.extend(queries)
        return [
            {"vulns": [{"id": "X-1"}]} if q["package"]["name"] == "torch" else {} for q in asked
        ]

    monkeypatch.setattr(audit, "ask", answer)
    assert audit.main() == 1
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    assert [f"{q['package']['name']}=={q['version']}" for q in asked] == pins
    said = capsys.readouterr().out
    assert re.search(r"^torch==[\d.]+: https://osv.dev/vulnerability/X-1$", said, re.MULTILINE)
    assert f"{len(pins)} packages, 1 known vulnerabilities" in said


def test_without_a_network_the_audit_is_skipped_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit, "SERVICE", "http://127.0.0.1:9/none")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert audit.main() == 0
    assert "skipped, http://127.0.0.1:9/none gave no answer" in capsys.readouterr().err
