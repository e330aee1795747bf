"""What the workflows run is named by its contents, not by a tag that can be moved."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools import audit

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
