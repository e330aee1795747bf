"""What tests of a page take out of it."""

from __future__ import annotations

import ast
from types import SimpleNamespace
from typing import Any

import nbformat
import numpy as np
import torch

from tools import notebooks, pair


def functions_of_page(name: str, names: dict[str, Any]) -> SimpleNamespace:
    """The functions that a page defines; ``names`` stands for what else they use of the page."""
    source = notebooks.ROOT / "notebooks" / f"{name}.py"
    page = nbformat.reads(pair.derive(source), as_version=4)
    space = {"np": np, "torch": torch, **names}
    for cell in page.cells:
        if cell.cell_type == "code":
            statements = ast.parse(cell.source).body
            found: list[ast.stmt] = [n for n in statements if isinstance(n, ast.FunctionDef)]
            exec(compile(ast.Module(found, []), source.stem, "exec"), space)
    return SimpleNamespace(**space)
