"""What `make test` adds to pytest: the longest pages first, and where the time went."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import pytest

from tools import notebooks

SECOND_RUN = "test_second_run.py"
STARTED = time.monotonic()
PARTS = "SCST_PARTS"  # seconds of what went before, as JSON


def expected_seconds(item: Any) -> float:
    """What the second run of a page will take; 0 for other tests."""
    if item.path.name != SECOND_RUN:
        return 0.0
    return float(notebooks.record(item.callspec.params["name"]).get("seconds", 0))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Second runs come first, the longest before all: one left to the end would run alone."""
    items.sort(key=expected_seconds, reverse=True)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The parts of the run with their times, above pytest's closing line."""
    if PARTS not in os.environ:
        return
    parts: dict[str, float] = json.loads(os.environ[PARTS])
    parts["tests"] = time.monotonic() - STARTED
    reports = [r for found in terminalreporter.stats.values() for r in found]
    spent = [(SECOND_RUN in r.nodeid, r.duration) for r in reports if hasattr(r, "duration")]
    second = sum(seconds for is_second, seconds in spent if is_second)
    total = sum(seconds for _, seconds in spent)
    terminalreporter.section("parts")
    for name, seconds in {**parts, "total": sum(parts.values())}.items():
        terminalreporter.write_line(f"{name:>8} {seconds:6.0f} s")
    terminalreporter.write_line(
        f"Tests on all workers: {total:.0f} s, {second:.0f} s of it second runs of pages."
    )
