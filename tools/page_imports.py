"""Which files of the repository the code of a page reads: what it imports, and results it shows.

Read off the source, without running it: imports in functions count, and those of all that is
imported. Where the source does not tell, more is counted rather than less.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise
from pathlib import Path

NAME = "scstlib"
# A command of the package in a string, such as "scstlib score a.cool"; not "scstlib @ git+https…".
COMMAND = re.compile(rf"\b{NAME} [a-z]")
TYPE_CHECKING = ("TYPE_CHECKING", "typing.TYPE_CHECKING")
RESULTS = re.compile(r"\bbenchmarks/[\w./-]+")


class Package:
    """The modules of ``scstlib`` below a folder, and what each of them imports.

    Parameters
    ----------
    root : Path
        Folder that holds ``scstlib``.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.modules = {self._name(path): path for path in (root / NAME).rglob("*.py")}
        self._imports: dict[str, set[str]] = {}

    def _name(self, path: Path) -> str:
        parts = path.relative_to(self.root).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @cached_property
    def shown(self) -> dict[str, dict[str, str]]:
        """For each package with names that are loaded on first use: name → module that has it."""
        found: dict[str, dict[str, str]] = {}
        for module, path in self.modules.items():
            stub = path.with_suffix(".pyi")
            if not stub.is_file():
                continue
            names = found.setdefault(module, {})
            for node in ast.walk(ast.parse(stub.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom):
                    base = self._base(node, module)
                    for alias in node.names:
                        inner = f"{base}.{alias.name}"
                        names[alias.asname or alias.name] = inner if inner in self.modules else base
        return found

    def _base(self, node: ast.ImportFrom, module: str) -> str:
        """The module that ``from … import`` names, relative to ``module`` if it has dots."""
        if not node.level:
            return node.module or ""
        parts = module.split(".")
        is_package = module in self.modules and self.modules[module].name == "__init__.py"
        parts = parts[: len(parts) - node.level + is_package]
        return ".".join([*parts, node.module] if node.module else parts)

    def below(self, prefix: str) -> set[str]:
        """All modules of a package, itself included."""
        return {name for name in self.modules if name == prefix or name.startswith(f"{prefix}.")}

    def _whole(self, module: str) -> set[str]:
        """A module that code holds as an object: it may take any name from it."""
        found: set[str] = set()
        left = {module}
        while left:
            name = left.pop()
            found.add(name)
            names = self.shown.get(name)
            if names is not None:
                left |= (set(names.values()) or self.below(name)) - found
        return found

    def imported_by(self, tree: ast.AST, module: str = "") -> set[str]:
        """Modules that code names in imports, or by their name in a string."""
        found: set[str] = set()
        for node in _run(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:  # ``import a.b`` gives a, and b with it
                    parts = alias.name.split(".")
                    for n in range(1, len(parts) + 1):
                        found |= self._whole(".".join(parts[:n]))
            elif isinstance(node, ast.ImportFrom):
                base = self._base(node, module)
                names = self.shown.get(base, {})
                found.add(base)
                for alias in node.names:
                    if f"{base}.{alias.name}" in self.modules:
                        found |= self._whole(f"{base}.{alias.name}")
                    elif alias.name in names:
                        found |= self._whole(names[alias.name])
                    elif base in self.shown:
                        found |= self.below(base)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                # ``import_module("scstlib.a.b")``, or the start of f"scstlib.a.{name}".
                if re.fullmatch(rf"{NAME}(\.\w+)+", node.value):
                    found |= self._whole(node.value)
                elif re.fullmatch(rf"{NAME}(\.\w+)*\.", node.value):
                    found |= self.below(node.value[:-1])
        return found & set(self.modules)

    def closure(self, modules: set[str]) -> set[str]:
        """Modules, all that they import, and the packages that these lie in."""
        found: set[str] = set()
        left = set(modules)
        while left:
            module = left.pop()
            found.add(module)
            if module not in self._imports:
                tree = ast.parse(self.modules[module].read_text(encoding="utf-8"))
                parents = module.split(".")
                packages = {".".join(parents[:n]) for n in range(1, len(parents))}
                self._imports[module] = self.imported_by(tree, module) | (
                    packages & set(self.modules)
                )
            left |= self._imports[module] - found
        return found

    def read_by(self, cells: list[str]) -> list[Path]:
        """Files that the code cells of a page read: modules, stored tables and results.

        Parameters
        ----------
        cells : list of str
            Source of the code cells.
        """
        try:
            trees = [ast.parse(cell) for cell in cells]
        except SyntaxError:  # a cell with a shell command
            trees, modules = [], set(self.modules)
        else:
            named = set().union(*(self.imported_by(tree) for tree in trees))
            calls = any(_calls_command(tree) for tree in trees)
            modules = set(self.modules) if calls else self.closure(named)
        files = {self.modules[module] for module in modules}
        packages = {path.parent for path in files if path.name == "__init__.py"}
        stored = {path for path, package in self._stored.items() if package in packages}
        return sorted(files | stored | self._results(cells))

    @cached_property
    def _stored(self) -> dict[Path, Path]:
        """Stored file → folder of the package that it lies in."""
        files = [path for path in (self.root / NAME).rglob("*") if path.is_file()]
        packages = {path.parent for path in files if path.name == "__init__.py"}
        return {
            path: next((folder for folder in path.parents if folder in packages), path.parent)
            for path in files
            if path.suffix not in (".py", ".pyi") and "__pycache__" not in path.parts
        }

    def _results(self, cells: list[str]) -> set[Path]:
        """Files of ``benchmarks`` that strings of the cells name."""
        named = {self.root / name for cell in cells for name in RESULTS.findall(cell)}
        found = {path for name in named for path in (name, *name.rglob("*"))}
        return {path for path in found if path.is_file() and "__pycache__" not in path.parts}


def _run(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those for type checkers only."""
    yield node
    children = ast.iter_child_nodes(node)
    if isinstance(node, ast.If) and ast.unparse(node.test) in TYPE_CHECKING:
        children = iter(node.orelse)
    for child in children:
        yield from _run(child)


def _calls_command(tree: ast.AST) -> bool:
    """Whether code starts the package's command, in a shell or as a list of words."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if COMMAND.search(node.value):
                return True
        elif isinstance(node, ast.List | ast.Tuple):
            words = [e.value if isinstance(e, ast.Constant) else None for e in node.elts]
            if words[:1] == [NAME] or ("-m", NAME) in pairwise(words):
                return True
    return False
