"""A room of ``scstlib`` imports only rooms that stand before it, and no modules form a circle.

Read off the source, so that imports inside functions and for type checkers count too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "scstlib"

ROOMS = (
    ("ot",),
    ("splits", "leakage", "selection", "_parts"),
    ("datasets",),
    ("preprocess",),
    ("metrics",),
    ("experiments",),
    ("training", "_run_state"),
    ("audit",),
    ("models",),
    ("analysis",),
    ("plots",),
    ("checks",),
    ("contact_output",),
    ("__main__",),
)
LEVEL = {name: level for level, names in enumerate(ROOMS) for name in names}
# What the order alone would allow: figures are of arrays, and what is read off a model is fitted.
NEVER = {("plots", "models"), ("plots", "analysis"), ("analysis", "training")}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def room(module: str) -> str:
    return module.split(".")[1]


def imported(nodes: Iterator[ast.AST], module: str, is_package: bool) -> set[str]:
    """Modules of the package that import statements name; relative ones are resolved."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                parts = parts[: len(parts) - node.level + is_package]
                base = ".".join([*parts, base] if base else parts)
            # ``from package import module`` names a module, ``from module import name`` does not.
            names = {f"{base}.{alias.name}" for alias in node.names}
            found |= (names & set(SOURCES)) or {base}
    return {name for name in found if name.startswith("scstlib.")}


def all_imports(text: str, module: str, is_package: bool = False) -> set[str]:
    return imported(ast.walk(ast.parse(text)), module, is_package)


def imports_at_once(text: str, module: str, is_package: bool = False) -> set[str]:
    """What runs when the module is imported: not in functions, not for type checkers."""

    def statements(body: list[ast.stmt]) -> Iterator[ast.AST]:
        for node in body:
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                yield from statements(node.orelse)
            elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node
                for part in ("body", "orelse", "finalbody"):
                    yield from statements(getattr(node, part, []))

    return imported(statements(ast.parse(text).body), module, is_package)


def breach(importer: str, target: str) -> str:
    """Why one module must not import another; empty if it may."""
    a, b = room(importer), room(target)
    if a == b or (LEVEL[b] <= LEVEL[a] and (a, b) not in NEVER):
        return ""
    return f"{importer} imports {target}: {a} knows nothing of {b}"


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Some closed path of a graph, empty if there is none."""
    done: set[str] = set()

    def visit(node: str, path: list[str]) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return []
        for target in sorted(graph.get(node, ())):
            if found := visit(target, [*path, node]):
                return found
        done.add(node)
        return []

    return next((found for node in graph if (found := visit(node, []))), [])


def test_every_module_lies_in_a_known_room() -> None:
    rooms = {room(name) for name in SOURCES if name != "scstlib"}
    assert rooms <= set(LEVEL), "a new room needs a place in ROOMS"
    assert {"ot", "splits", "datasets", "preprocess", "metrics", "models"} <= rooms


@pytest.mark.parametrize("module", [name for name in SOURCES if name != "scstlib"])
def test_a_room_imports_only_rooms_before_it(module: str) -> None:
    path = SOURCES[module]
    targets = all_imports(path.read_text(encoding="utf-8"), module, path.stem == "__init__")
    assert [reason for target in sorted(targets) if (reason := breach(module, target))] == []


def test_no_modules_import_each_other() -> None:
    graph = {
        name: imports_at_once(path.read_text(encoding="utf-8"), name, path.stem == "__init__")
        for name, path in SOURCES.items()
    }
    assert circle(graph) == []


def test_the_package_imports_nothing_of_tools_or_tests() -> None:
    for path in SOURCES.values():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {n.split(".")[0] for n in names} & {"tools", "tests", "benchmarks"}, path


@pytest.mark.parametrize(
    ("text", "module", "found"),
    [
        ("from scstlib.models.files import write_model", "scstlib.datasets.cache", True),
        ("def f():\n    import scstlib.models.files", "scstlib.metrics.contacts", True),
        ("from ..plots import book_style", "scstlib.models.scnode", True),
        ("from scstlib.models import files", "scstlib.plots", True),
        ("from scstlib.leakage import record_fit", "scstlib.preprocess.tracks", False),
        ("from .files import read_model", "scstlib.models.scnode", False),
    ],
)
def test_a_breach_is_found(text: str, module: str, found: bool) -> None:
    assert any(breach(module, target) for target in all_imports(text, module)) == found


def test_a_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
    lazy = "if TYPE_CHECKING:\n    import scstlib.ot\ndef f():\n    import scstlib.splits\n"
    assert imports_at_once(lazy + "import scstlib.leakage", "scstlib.plots") == {"scstlib.leakage"}
