"""The API pages: ``<!-- api: MODULE -->`` on a page in ``book/api`` becomes what the module offers.

A module offers the functions and classes of its ``__all__``, or else those that it defines under a
public name; a package without ``__all__`` what its public modules offer. Everything is described
once, where it is offered first, and found there by the name of its definition too.
"""

from __future__ import annotations

import inspect
import pkgutil
import re
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

MARK = re.compile(r"^<!-- api: ([\w.]+) -->$", flags=re.MULTILINE)


def modules(name: str) -> list[ModuleType]:
    """The module of that name, or the public modules of a package without ``__all__``.

    Modules with ``__all__`` come first: theirs are the names under which things are imported.
    """
    module = import_module(name)
    if not hasattr(module, "__path__") or hasattr(module, "__all__"):
        return [module]
    found = [info.name for info in pkgutil.iter_modules(module.__path__) if not info.ispkg]
    inside = [import_module(f"{name}.{each}") for each in found if not each.startswith("_")]
    return sorted(inside, key=lambda each: not hasattr(each, "__all__"))


def offered(module: ModuleType) -> dict[str, Any]:
    """Functions and classes of a module by name."""
    listed = getattr(module, "__all__", None)
    names = vars(module) if listed is None else listed
    found = {name: getattr(module, name) for name in names if not name.startswith("_")}
    return {
        name: value
        for name, value in found.items()
        if (inspect.isfunction(value) or inspect.isclass(value))
        and (listed is not None or value.__module__ == module.__name__)
    }


def imported(name: str) -> Any:
    """What the package has under a full name, None if nothing."""
    if not name.startswith("scstlib"):
        return None
    module, _, attribute = name.rpartition(".")
    try:
        return import_module(name) if not module else getattr(import_module(module), attribute)
    except (ImportError, AttributeError):
        return None


def definition(value: Any) -> str:
    """Where a function or class is defined."""
    return f"{value.__module__}.{value.__qualname__}"


@dataclass
class Index:
    """What the API pages describe.

    ``names`` leads from the name of a definition, or of a module, to the name in the pages;
    ``sections`` from the module of a mark to the modules, each with what is described there.
    """

    names: dict[str, str] = field(default_factory=dict)
    sections: dict[str, list[tuple[ModuleType, dict[str, Any]]]] = field(default_factory=dict)

    @classmethod
    def of(cls, root: Path) -> Index:
        """The index of the pages in ``book/api``, in the order of their names."""
        made = cls()
        for page in sorted((root / "book" / "api").glob("*.md")):
            for name in MARK.findall(page.read_text(encoding="utf-8")):
                made.sections[name] = [made.take(module) for module in modules(name)]
        return made

    def take(self, module: ModuleType) -> tuple[ModuleType, dict[str, Any]]:
        """Enter what a module offers and no module before it did."""
        new = {n: v for n, v in offered(module).items() if definition(v) not in self.names}
        if new:
            self.names[module.__name__] = module.__name__
        self.names |= {definition(v): f"{module.__name__}.{n}" for n, v in new.items()}
        return module, new

    def find(self, name: str) -> str | None:
        """Name in the pages of what can be imported as ``name``; None if they do not have it."""
        if name in self.names.values():
            return name
        value = imported(name) if self.names else None
        return self.names.get(definition(value)) if hasattr(value, "__qualname__") else None

    def fill(self, text: str) -> str:
        """The text of a page with its marks replaced by the entries."""

        def entries(mark: re.Match[str]) -> str:
            parts = [each for each in self.sections[mark[1]] if each[1]]
            return "\n\n".join(section(*each, heading(each[0].__name__)) for each in parts)

        def heading(module: str) -> str:
            return "" if text.startswith(f"# {module}\n") else f"## {module}\n\n"

        return MARK.sub(entries, text)


def section(module: ModuleType, entries: dict[str, Any], heading: str) -> str:
    """Heading, docstring, summary and entries of one module, for MyST."""
    lines = [f".. automodule:: {module.__name__}", "", ".. autosummary::", "   :nosignatures:", ""]
    lines += [f"   {name}" for name in entries]
    for name, value in entries.items():
        lines += ["", f".. auto{_kind(value)}:: {module.__name__}.{name}"]
        lines += ["   :members:"] if inspect.isclass(value) else []
        lines += ["   :inherited-members:"] if _kind(value) == "class" else []
    body = "\n".join(lines)
    return f"{heading}```{{eval-rst}}\n{body}\n```"


def _kind(value: Any) -> str:
    if not inspect.isclass(value):
        return "function"
    return "exception" if issubclass(value, BaseException) else "class"


@cache
def index(root: Path) -> Index:
    """The index of the book at ``root``."""
    return Index.of(root)


def fill(app: Sphinx, text: str) -> str:
    """Replace the marks of a page by the entries."""
    return index(Path(app.srcdir)).fill(text) if MARK.search(text) else text


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, shown: nodes.Element
) -> nodes.Node | None:
    """Resolve a name of the package under which it is not described, such as its definition's.

    What exists and is described nowhere stays text. Any other name is left to warn of.
    """
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    for name in (target, f"{node.get('py:module')}.{target}"):
        found = index(Path(app.srcdir)).find(name)
        if found is not None:
            page, python = node["refdoc"], env.get_domain("py")
            return python.resolve_xref(env, page, app.builder, "obj", found, node, shown)
        if imported(name) is not None:
            return shown
    return None


def skip(app: Sphinx, what: str, name: str, value: Any, default: bool, options: Any) -> bool | None:
    """Leave out what others made: methods of scikit-learn's, the fields of a named tuple."""
    made = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
    home = getattr(made, "__module__", None) or ""
    foreign = inspect.isroutine(made) and not home.startswith("scstlib")
    return True if foreign or type(value).__name__ == "_tuplegetter" else None


def setup(app: Sphinx) -> None:
    """Connect to Sphinx."""
    app.connect("missing-reference", resolve)
    app.connect("autodoc-skip-member", skip)
