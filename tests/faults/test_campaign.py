"""The short form of the campaign: a few kills of each job, some damaged files of each kind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults import kills

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_kills_and_damaged_files_find_nothing() -> None:
    """In a process of its own, whose children train: the tests' own has computed with torch."""
    words = ["-m", "tests.faults.campaign", "--kills", "2", "--tries", "60"]
    words += ["--jobs", *(name for name in kills.JOBS if name != "page")]  # A build has pages.
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout, done.stderr[-3000:]
    report = json.loads(done.stdout)
    found = {n: each["found"] for part in report.values() for n, each in part.items()}
    assert not any(found.values()), json.dumps(found, indent=1)[:5000]
    assert done.returncode == 0
    # Many moments lie before the end, and most damage is seen.
    jobs = [each for each in report["kills"].values() if "tries" in each]
    assert sum(each["killed"] for each in jobs) >= sum(each["tries"] for each in jobs) / 3
    assert all(each["error"] >= 20 for each in report["damage"].values())
