"""The API pages: one a room, with every public function, and marks that follow the modules."""

from __future__ import annotations

import inspect
import pkgutil
import re
from importlib import import_module
from itertools import islice
from pathlib import Path

import pytest
from scst_book import api
from sphinx.application import Sphinx

import scstlib.metrics
from tests.book import checks
from tools import notebooks

ROOMS = (
    "analysis",
    "audit",
    "checks",
    "datasets",
    "experiments",
    "files",
    "interop",
    "leakage",
    "metrics",
    "models",
    "models.spatial",
    "models.temporal",
    "ot",
    "plots",
    "preprocess",
    "splits",
    "training",
    "viewers",
)


def page(room: str) -> str:
    return f"book/api/{room.replace('.', '_')}"


@pytest.fixture(scope="module")
def index() -> api.Index:
    return api.Index.of(notebooks.ROOT)


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_has_a_page_with_entries(index: api.Index, room: str) -> None:
    assert page(room) in notebooks.pages()
    text = (notebooks.ROOT / f"{page(room)}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# scstlib.{room}\n")
    assert ".. autofunction::" in index.fill(text) or ".. autoclass::" in index.fill(text)


def test_every_public_metric_is_described(index: api.Index) -> None:
    functions = [
        function
        for info in pkgutil.iter_modules(scstlib.metrics.__path__)
        if not info.name.startswith("_")
        for function in api.offered(import_module(f"scstlib.metrics.{info.name}")).values()
    ]
    assert len(functions) > 20
    assert [f for f in functions if api.definition(f) not in index.names] == []


def test_what_is_defined_elsewhere_is_found_where_it_is_offered(index: api.Index) -> None:
    offered = "scstlib.metrics.contacts.insulation_score"
    assert index.find("scstlib.metrics.insulation.insulation_score") == offered
    assert index.find(offered) == offered
    assert index.find("scstlib.metrics.contacts") == "scstlib.metrics.contacts"
    assert index.find("scstlib.metrics._arrays.map_stack") is None
    assert index.find("numpy.mean") is None


def test_a_new_function_appears_by_itself_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = tmp_path / "scst_toy"
    room.mkdir()
    (room / "__init__.py").touch()
    (room / "_hidden.py").write_text("def unseen() -> None: ...\n")
    (room / "a.py").write_text("def first() -> None: ...\n\ndef _own() -> None: ...\n")
    (room / "b.py").write_text("from scst_toy.a import first\n__all__ = ['first']\n")
    book = tmp_path / "book" / "api"
    book.mkdir(parents=True)
    (book / "toy.md").write_text("# Toy\n\n<!-- api: scst_toy -->\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    text = api.Index.of(tmp_path).fill((book / "toy.md").read_text())
    assert text.count("## ") == 1  # module b, under whose name it is imported
    assert text.count(".. autofunction:: scst_toy.b.first") == 1
    assert "unseen" not in text
    assert "_own" not in text


@pytest.mark.slow
def test_inherited_methods_have_entries_and_those_of_others_do_not(tmp_path: Path) -> None:
    from scstlib import models
    from scstlib.models import temporal
    from scstlib.preprocess import expression

    texts = [
        api.section(models, {"ScNODE": models.ScNODE}, ""),
        api.section(temporal, {"CopyNearest": temporal.CopyNearest}, ""),
        api.section(expression, {"Scale": expression.Scale}, ""),  # of scikit-learn's classes
    ]
    lines = [line for text in texts for line in text.splitlines() if not line.startswith("```")]
    (tmp_path / "index.rst").write_text("Toy\n===\n\n" + "\n".join(lines), encoding="utf-8")
    folders = (tmp_path, None, tmp_path / "out", tmp_path / "doctrees", "text")
    extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc"]
    settings = {"extensions": extensions, "numpydoc_show_class_members": False}
    app = Sphinx(*folders, settings, status=None, warning=None)
    app.connect("autodoc-skip-member", api.skip)
    app.build()
    found = set(app.env.get_domain("py").objects)
    wanted = [f"scstlib.models.ScNODE.{name}" for name in ("fit", "save", "load", "settings")]
    wanted += [f"scstlib.models.temporal.CopyNearest.{name}" for name in ("fit", "sample", "load")]
    wanted += ["scstlib.preprocess.expression.Scale.fit"]
    assert set(wanted) - found == set()
    foreign = {"get_params", "set_params", "set_output", "fit_transform", "state_dict", "forward"}
    assert {name for name in found if name.rpartition(".")[2] in foreign} == set()


@pytest.mark.book
def test_every_entry_is_on_its_page(html: Path, index: api.Index) -> None:
    for room in ROOMS:
        text = (notebooks.ROOT / f"{page(room)}.md").read_text(encoding="utf-8")
        served = (html / f"{page(room)}.html").read_text(encoding="utf-8")
        anchors = set(re.findall(r'<[^>]+ id="([^"]+)"', served))
        expected = {
            f"{module.__name__}.{name}"
            for mark in api.MARK.findall(text)
            for module, entries in index.sections[mark]
            for name in entries
        }
        assert expected
        assert expected - anchors == set()


@pytest.mark.book
def test_pages_lead_to_the_entries(html: Path) -> None:
    linked = (
        name
        for name in notebooks.names()
        if checks.read(html / "notebooks" / f"{name}.html").select("a[href*='/api/'] code.py-obj")
    )
    assert len(list(islice(linked, 5))) == 5


@pytest.mark.parametrize("room", ROOMS)
def test_public_functions_say_what_they_do(index: api.Index, room: str) -> None:
    text = (notebooks.ROOT / f"{page(room)}.md").read_text(encoding="utf-8")
    silent = [
        f"{module.__name__}.{name}"
        for mark in api.MARK.findall(text)
        for module, entries in index.sections[mark]
        for name, value in entries.items()
        if not inspect.getdoc(value)
    ]
    assert silent == []
