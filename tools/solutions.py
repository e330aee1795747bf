"""The cells with the solutions of checked exercises, as ``notebooks/README.md`` describes them."""

from __future__ import annotations

import re
from typing import Any

TAG = "solution"
TITLE = "# @title Solution"  # with cellView "form", Colab shows this line and folds the code
REGION = re.compile(
    r"^### BEGIN SOLUTION\n(?P<code>.*?)^### END SOLUTION\n", flags=re.MULTILINE | re.DOTALL
)
STUB = "answer = ...\n"


def fold_on_colab(cell: Any) -> None:
    """Give a cell with a solution what Colab folds its code by."""
    cell["metadata"]["cellView"] = "form"
    cell["source"] = f"{TITLE}\n{cell['source']}"


def stub(source: str) -> str:
    """A cell with a solution as a student gets it: the region is one line, to be filled in."""
    return REGION.sub(STUB, source.removeprefix(f"{TITLE}\n"))
