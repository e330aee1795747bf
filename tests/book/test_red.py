"""A broken notebook, a stale output and an empty page turn the build red; missing data do not.

Each test builds a tiny book with the machinery of this repository.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.book.conftest import PAGE, TinyBook
from tools import notebooks
from tools.second_run import second_run

pytestmark = pytest.mark.slow
MISSING = """
# %%
print("before")

# %%
class DataUnavailableError(FileNotFoundError):
    dataset, missing = "semrau2017", [("counts.txt", "https://example.org")]


raise DataUnavailableError("counts.txt is not here: fetch it.")

# %%
print("after")
"""


def test_good_book_is_green_and_runs_once(tiny_book: TinyBook) -> None:
    first = tiny_book.run("build")
    assert first.returncode == 0, first.stderr
    assert first.stdout.splitlines()[-1].endswith("_build/html/index.html")
    page = (tiny_book.root / "_build/html/notebooks/part/page.html").read_text()
    assert "cell_output" in page
    executed = notebooks.executed_path("part/page", tiny_book.root)
    before = executed.stat().st_mtime_ns
    tiny_book.write("notebooks/part/page.py", PAGE.replace("# A page", "# A better page"))
    second = tiny_book.run("build")
    assert second.returncode == 0, second.stderr
    assert executed.stat().st_mtime_ns == before
    assert "A better page" in (tiny_book.root / "_build/html/notebooks/part/page.html").read_text()


def test_broken_notebook(tiny_book: TinyBook) -> None:
    tiny_book.write("notebooks/part/page.py", PAGE + "\n# %%\n1 / 0\n")
    built = tiny_book.run("build")
    assert built.returncode != 0
    assert "part/page: FAILED" in built.stderr
    assert "ZeroDivisionError" in built.stderr
    assert not (tiny_book.root / "_build/html/.complete").exists()
    assert (tiny_book.root / "_build/failed/part/page.ipynb").is_file()


def test_missing_data_leave_a_box_and_a_line_and_stay_green(tiny_book: TinyBook) -> None:
    tiny_book.write("notebooks/part/page.py", PAGE + MISSING)
    built = tiny_book.run("build")
    assert built.returncode == 0, built.stderr
    assert "Data missing on notebooks/part/page: semrau2017 (counts.txt)." in built.stdout
    page = (tiny_book.root / "_build/html/notebooks/part/page.html").read_text()
    assert "Data not available" in page
    assert "counts.txt is not here: fetch it." in page
    outputs = [c["outputs"] for c in notebooks.code_cells(_executed(tiny_book))]
    assert [bool(output) for output in outputs] == [False, True, True, False, False]


def test_stale_empty_and_missing_pages_turn_the_strict_rendering_red(tiny_book: TinyBook) -> None:
    tiny_book.add("notebooks/part/empty", PAGE)
    box = "# %% [markdown]\n# > **Time**: 9 min to read, 1 min to run.\n\n"
    tiny_book.add("notebooks/part/missing", box + PAGE)
    tiny_book.add("book/blank", "")
    tiny_book.write("book/blank.md", "# A title alone\n")
    tiny_book.run("pair")
    stale = _derived(tiny_book, "part/page")
    stale["cells"][-1]["source"] = "print(2 + seed)"
    for name, copy in (("part/page", stale), ("part/empty", _derived(tiny_book, "part/empty"))):
        tiny_book.write(f"_build/executed/{name}.ipynb", json.dumps(copy))
    rendered = tiny_book.run("render")
    assert rendered.returncode != 0
    assert not (tiny_book.root / "_build" / "html").exists()
    warnings = [row for row in rendered.stderr.splitlines() if "WARNING" in row]
    assert _about(warnings, "part/page") == ["the executed copy of this page is stale"]
    assert _about(warnings, "part/empty") == ["this page is empty"]
    assert _about(warnings, "part/missing") == [
        "the learning box says 9 min to read, and it takes 0",
        "no executed copy of this page",
    ]
    assert _about(warnings, "blank") == ["this page is empty"]
    assert len(warnings) == 5, warnings


def test_a_second_run_that_gives_other_text_or_images_is_red(tiny_book: TinyBook) -> None:
    plot = "\n# %%\nimport matplotlib.pyplot as plt\n\nplt.plot([0, 1])\nplt.show()\n"
    tiny_book.write("notebooks/part/page.py", PAGE + plot)
    tiny_book.run("pair")
    notebooks.refresh_keys(tiny_book.root)
    assert tiny_book.run("execute", "part/page").returncode == 0
    path = notebooks.executed_path("part/page", tiny_book.root)
    copy = notebooks.read(path)
    text, image = (cell["outputs"][-1] for cell in copy["cells"][-2:])
    text["text"] = ["2\n"]
    image["data"]["image/png"] = "AAAA"
    path.write_text(json.dumps(copy))
    found = second_run(path, tiny_book.root)
    assert "mismatch 'stdout'" in found
    assert "mismatch 'image/png'" in found


def _derived(book: TinyBook, name: str) -> dict[str, Any]:
    return notebooks.read(book.root / "notebooks" / f"{name}.ipynb")


def _executed(book: TinyBook) -> dict[str, Any]:
    return notebooks.read(notebooks.executed_path("part/page", book.root))


def _about(warnings: list[str], page: str) -> list[str]:
    """Texts of the warnings about one page, without what they advise."""
    return [row.split("WARNING: ")[1].partition(":")[0] for row in warnings if page in row]
