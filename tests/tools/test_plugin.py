"""What `make test` adds to pytest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tools import notebooks

SECOND_RUN = """
import pytest
@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_page(name): pass
"""


def test_longest_pages_come_first_and_the_parts_last(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text("def test_one(): pass\n")
    (tmp_path / "test_second_run.py").write_text(SECOND_RUN)
    (tmp_path / "times.py").write_text(
        "from tools import notebooks\n"
        "notebooks.record = lambda name: {'seconds': {'a': 1, 'b': 9, 'c': 5}[name]}\n"
    )
    command = [sys.executable, "-m", "pytest", "-v", "-c", os.devnull, "--rootdir", str(tmp_path)]
    command += ["-p", "no:cacheprovider", "-p", "times", "-p", "tools.test_plugin", str(tmp_path)]
    done = subprocess.run(
        command,
        env={
            **{k: v for k, v in os.environ.items() if not k.startswith(("COV", "PYTEST"))},
            "PYTHONPATH": os.pathsep.join([str(notebooks.ROOT), str(tmp_path)]),
            "SCST_PARTS": json.dumps({"set-up": 120.4, "book": 500.0}),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    ran = [line.split(" ")[0].split("::")[1] for line in lines if "PASSED" in line]
    assert ran == ["test_page[b]", "test_page[c]", "test_page[a]", "test_one"]
    assert "  set-up    120 s" in lines
    assert "    book    500 s" in lines
    assert "4 passed" in lines[-1]
    assert done.returncode == 0
