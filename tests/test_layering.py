"""A room of ``scstlib`` imports only rooms that stand before it, and no modules form a circle.

Read off the source, so that imports inside functions and for type checkers count too.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "scstlib"
EXTENSION = ROOT / "book" / "_ext"

# From the ground up: a room imports only rooms above it in this list. A name stands for its module
# or for all modules of its package that have no longer name here.
ROOMS = (
    "caller",
    "writing",
    "ot",
    "pages",
    "checks",
    "leakage",
    "training",
    "plots",
    "viewers",
    "datasets.organism",
    "datasets",
    "metrics",
    "audit",
    "splits",
    "preprocess",
    "models.files",
    "models.settings",
    "models.shares",
    "models.temporal",
    "models.temporal.scnode",
    "models.temporal.flow_matching",  # shares the drift of scNODE
    "models.temporal.methods",
    "models.spatial",
    "models.spatial.scgraphic",
    "models.spatial.methods",
    "models",
    "interop",
    "files",
    "analysis",
    "experiments",
    "commands",
    "__main__",
)
LEVEL = {name: level for level, name in enumerate(ROOMS)}
# What the order alone would allow.
APART = (
    ("models.temporal", "models.spatial"),
    ("metrics", "plots"),
    ("models", "plots"),
    ("interop", "training"),
    ("files", "training"),
    ("analysis", "files"),
    ("analysis", "training"),
)


def module_name(path: Path) -> str:
    place = path.relative_to(EXTENSION if path.is_relative_to(EXTENSION) else ROOT)
    parts = place.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules(folder: Path) -> dict[str, Path]:
    return {module_name(path): path for path in sorted(folder.rglob("*.py"))}


SOURCES = modules(PACKAGE)
# Folders of modules that import each other, and what their names begin with.
FOLDERS = {
    "scstlib": "scstlib",
    "benchmarks": "benchmarks",
    "tools": "tools",
    "book/diagrams": "book",
    "book/_ext": "scst_book",
}
ALL = {name: path for folder in FOLDERS for name, path in modules(ROOT / folder).items()}


def room(module: str) -> str:
    """The longest name of a room that a module lies in; empty if there is none."""
    inside = module.removeprefix("scstlib.")
    found = [name for name in ROOMS if inside == name or inside.startswith(f"{name}.")]
    return max(found, key=len, default="")


def imported(nodes: Iterator[ast.AST], module: str, is_package: bool, top: str) -> set[str]:
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
            found |= (names & set(ALL)) or {base}
    return {name for name in found if name.startswith(f"{top}.")}


def all_imports(text: str, module: str, is_package: bool = False, top: str = "scstlib") -> set[str]:
    return imported(ast.walk(ast.parse(text)), module, is_package, top)


def breach(importer: str, target: str) -> str:
    """Why one module must not import another; empty if it may."""
    a, b = room(importer), room(target)
    if target.startswith(f"{importer}."):  # A package shows what is in it.
        return ""
    apart = any(
        {a[: len(one)], b[: len(other)]} == {one, other}
        or {a[: len(other)], b[: len(one)]} == {one, other}
        for one, other in APART
    )
    if a == b or (LEVEL[b] < LEVEL[a] and not apart):
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
    assert [name for name in SOURCES if name != "scstlib" and not room(name)] == []


@pytest.mark.parametrize("module", [name for name in SOURCES if name != "scstlib"])
def test_a_room_imports_only_rooms_before_it(module: str) -> None:
    path = SOURCES[module]
    targets = all_imports(path.read_text(encoding="utf-8"), module, path.stem == "__init__")
    assert [reason for target in sorted(targets) if (reason := breach(module, target))] == []


def test_only_methods_take_classes_from_the_face_of_their_room() -> None:
    """Its stub names them in turn: for others that would be a circle that no import shows."""
    faces = {"scstlib.models.temporal", "scstlib.models.spatial"}
    taken = {
        name
        for name, path in SOURCES.items()
        for face in faces
        if name.startswith(f"{face}.") and face in all_imports(path.read_text("utf-8"), name)
    }
    assert taken == {f"{face}.methods" for face in faces}


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_files_import_each_other(folder: str) -> None:
    """Neither at once nor in functions nor for type checkers."""
    sources, top = modules(ROOT / folder), FOLDERS[folder]
    graph = {
        name: all_imports(path.read_text(encoding="utf-8"), name, path.stem == "__init__", top)
        for name, path in sources.items()
    }
    assert len(graph) > 5
    assert any(graph.values())
    assert circle(graph) == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_module_hides_one_of_the_standard_library(folder: str) -> None:
    stems = {name.rpartition(".")[2] for name in modules(ROOT / folder)}
    assert stems & sys.stdlib_module_names == set()


def test_arguments_of_the_models_are_spelled_out() -> None:
    """No function or method of the room, but those inside others, takes ``**``."""
    for name, path in modules(PACKAGE / "models").items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
        for node in [*tree.body, *(each for one in classes for each in one.body)]:
            if isinstance(node, ast.FunctionDef):
                assert node.args.kwarg is None, f"{name}: {node.name} takes **"


def test_types_that_are_ignored_are_few_and_say_why() -> None:
    found = []
    for name, path in SOURCES.items():
        lines = path.read_text(encoding="utf-8").splitlines()
        for before, line in pairwise(lines):
            if "# type: ignore" in line:
                assert before.lstrip().startswith("# "), f"{name} does not say why: {line}"
                found.append(name)
    assert len(found) <= 5


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
        ("from ..plots import book_style", "scstlib.models.files", True),
        ("from ..leakage import record_fit", "scstlib.models.files", False),
        ("from scstlib.models import files", "scstlib.plots", True),
        ("from scstlib.models.spatial.pixels import upper", "scstlib.models.temporal.trees", True),
        ("from scstlib.models.temporal import cells", "scstlib.models.spatial.trees", True),
        (
            "from scstlib.models.temporal.cells import draw",
            "scstlib.models.temporal.scnode.x",
            False,
        ),
        ("from scstlib.models.temporal.scnode.x import y", "scstlib.models.temporal.cells", True),
        ("from scstlib.leakage import record_fit", "scstlib.preprocess.tracks", False),
        ("from scstlib.plots import book_style", "scstlib.metrics.contacts", True),
        ("from scstlib.training import loop", "scstlib.files.costs", True),
        ("from scstlib.training import loop", "scstlib.models.spatial.trees", False),
    ],
)
def test_a_breach_is_found(text: str, module: str, found: bool) -> None:
    assert any(breach(module, target) for target in all_imports(text, module)) == found


def test_a_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
