"""A broken notebook, a stale output and an empty page turn the build red; missing data do not.

Each test builds a tiny book with the machinery of this repository.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tools import notebooks
from tools.second_run import second_run

if TYPE_CHECKING:
    from tests.book.conftest import TinyBook

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
    page = (tiny_book.root / "_build/html/notebooks/01_page.html").read_text()
    assert "cell_output" in page
    executed = notebooks.executed_path("01_page", tiny_book.root)
    before = executed.stat().st_mtime_ns
    tiny_book.write("notebooks/01_page.py", _page(tiny_book).replace("# A page", "# A better page"))
    second = tiny_book.run("build")
    assert second.returncode == 0, second.stderr
    assert executed.stat().st_mtime_ns == before
    assert "A better page" in (tiny_book.root / "_build/html/notebooks/01_page.html").read_text()


def test_broken_notebook(tiny_book: TinyBook) -> None:
    tiny_book.write("notebooks/01_page.py", _page(tiny_book) + "\n# %%\n1 / 0\n")
    built = tiny_book.run("build")
    assert built.returncode != 0
    assert "01_page: FAILED" in built.stderr
    assert "ZeroDivisionError" in built.stderr
    assert not (tiny_book.root / "_build/html/.complete").exists()
    assert (tiny_book.root / "_build/failed/01_page.ipynb").is_file()


def test_missing_data_leave_a_box_and_a_line_and_stay_green(tiny_book: TinyBook) -> None:
    tiny_book.write("notebooks/01_page.py", _page(tiny_book) + MISSING)
    built = tiny_book.run("build")
    assert built.returncode == 0, built.stderr
    assert "Data missing on notebooks/01_page: semrau2017 (counts.txt)." in built.stdout
    page = (tiny_book.root / "_build/html/notebooks/01_page.html").read_text()
    assert "Data not available" in page
    assert "counts.txt is not here: fetch it." in page
    outputs = [c["outputs"] for c in notebooks.code_cells(_executed(tiny_book))]
    assert [bool(output) for output in outputs] == [False, True, True, False, False]


def test_stale_empty_and_missing_outputs_turn_the_strict_rendering_red(
    tiny_book: TinyBook,
) -> None:
    assert tiny_book.run("build").returncode == 0
    path = notebooks.executed_path("01_page", tiny_book.root)
    good = path.read_text()

    path.write_text(good.replace("print(1 + seed)", "print(2 + seed)"))
    assert "stale" in _red(tiny_book)
    path.write_text(json.dumps(_without_outputs(json.loads(good))))
    assert "this page is empty" in _red(tiny_book)
    path.unlink()
    assert "no executed copy" in _red(tiny_book)
    path.write_text(good)
    tiny_book.write("book/index.md", "# A book\n")
    assert "this page is empty" in _red(tiny_book)


def test_a_second_run_that_gives_other_text_or_images_is_red(tiny_book: TinyBook) -> None:
    plot = "\n# %%\nimport matplotlib.pyplot as plt\n\nplt.plot([0, 1])\nplt.show()\n"
    tiny_book.write("notebooks/01_page.py", _page(tiny_book) + plot)
    tiny_book.run("pair")
    tiny_book.run("notebooks")
    assert tiny_book.run("execute", "01_page").returncode == 0
    path = notebooks.executed_path("01_page", tiny_book.root)
    good = path.read_text()
    assert second_run(path, tiny_book.root) == ""

    path.write_text(good.replace('"1\\n"', '"2\\n"'))
    assert "mismatch" in second_run(path, tiny_book.root).lower()
    image = json.loads(good)
    image["cells"][-1]["outputs"][-1]["data"]["image/png"] = "AAAA"
    path.write_text(json.dumps(image))
    assert "image/png" in second_run(path, tiny_book.root)


def _page(book: TinyBook) -> str:
    return (book.root / "notebooks" / "01_page.py").read_text()


def _executed(book: TinyBook) -> dict:  # type: ignore[type-arg]
    return notebooks.read(notebooks.executed_path("01_page", book.root))


def _without_outputs(notebook: dict) -> dict:  # type: ignore[type-arg]
    for cell in notebooks.code_cells(notebook):
        cell["outputs"] = []
    return notebook


def _red(book: TinyBook) -> str:
    rendered = book.run("render")
    assert rendered.returncode != 0
    assert not (book.root / "_build" / "html").exists()
    return rendered.stderr
