"""Which files a page reads, told from its source."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools import notebooks
from tools.page_imports import Package

HINT = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
FILES = {
    "scstlib/__init__.py": "",
    "scstlib/__main__.py": "import scstlib.models.one",
    "scstlib/base.py": "",
    "scstlib/late.py": "def f():\n    if True:\n        from scstlib import base",
    "scstlib/hint.py": f"{HINT}    import scstlib.late",
    "scstlib/lonely.py": "",
    # Names that are loaded on first use, told by a stub and by imports for type checkers.
    "scstlib/models/__init__.py": "import lazy\n__getattr__ = lazy.attach(__name__)",
    "scstlib/models/__init__.pyi": "from .one import One as One\nfrom .two import Two as Two",
    "scstlib/models/one.py": "from ..base import thing",
    "scstlib/models/two.py": "",
    "scstlib/models/other.py": "",
    "scstlib/data/__init__.py": (
        f"{HINT}    from scstlib.data.load import load\ndef __getattr__(name): ..."
    ),
    "scstlib/data/load.py": "import_module(f'scstlib.data.{name}')",
    "scstlib/data/reader.py": "",
    "scstlib/data/tables/table.tsv": "",
    "benchmarks/results/a.json": "",
    "benchmarks/results/b.json": "",
}
START = {"__init__"}
ONE = START | {"models/__init__", "models/one", "base"}
DATA = START | {"data/__init__", "data/load", "data/reader", "data/tables/table.tsv"}
EVERYTHING = {
    name.removeprefix("scstlib/").removesuffix(".py")
    for name in FILES
    if name.startswith("scstlib/") and not name.endswith(".pyi")
}


@pytest.fixture
def package(tmp_path: Path) -> Package:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return Package(tmp_path)


def read(package: Package, *cells: str) -> set[str]:
    paths = [path.relative_to(package.root) for path in package.read_by(list(cells))]
    return {p.as_posix().removeprefix("scstlib/").removesuffix(".py") for p in paths}


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("import numpy as np", set()),
        ("import scstlib.late", START | {"late", "base"}),
        ("def f():\n    from scstlib.late import f", START | {"late", "base"}),
        ("from scstlib import hint", START | {"hint"}),
        ("from scstlib.models import One", ONE),
        ("from scstlib.models.one import One", ONE),
        ("from scstlib import models", ONE | {"models/two"}),
        ("import scstlib.models as m", ONE | {"models/two"}),
        ("from scstlib.models import *", ONE | {"models/two", "models/other"}),
        ("from scstlib.data import load", DATA),
        ("import_module('scstlib.base')", START | {"base"}),
        ("print('scstlib.base is at the bottom', 'scstlib')", set()),
        ("source = 'scstlib @ git+https://example.org'", set()),
        ("!scstlib score a.cool", EVERYTHING),
        ("run('scstlib score a.cool', shell=True)", EVERYTHING),
        ("run([sys.executable, '-m', 'scstlib', 'score'])", EVERYTHING),
        ("open('../../benchmarks/results/a.json')", {"benchmarks/results/a.json"}),
        (
            "folder = '../../benchmarks/results'",
            {"benchmarks/results/a.json", "benchmarks/results/b.json"},
        ),
    ],
)
def test_what_a_cell_reads(package: Package, cell: str, expected: set[str]) -> None:
    assert read(package, "x = 1", cell) == expected


@pytest.fixture(scope="module")
def whole() -> Package:
    """The package itself, whose modules are parsed once for all pages."""
    return Package(notebooks.ROOT)


@pytest.mark.book
@pytest.mark.parametrize("name", notebooks.names())
def test_what_a_page_loads_is_told_by_its_source(whole: Package, name: str) -> None:
    loaded = notebooks.record(name).get("modules")
    if loaded is None:
        pytest.skip("this page was not run: run `make book`")
    path = notebooks.ROOT / "notebooks" / f"{name}.ipynb"
    cells = [cell["source"] for cell in notebooks.code_cells(notebooks.read(path))]
    known = set(whole.read_by(cells))
    if re.search(r"^(from|import) scstlib\b", "\n".join(cells), flags=re.MULTILINE):
        assert any(module in whole.modules for module in loaded)
    assert [m for m in loaded if m in whole.modules and whole.modules[m] not in known] == []
