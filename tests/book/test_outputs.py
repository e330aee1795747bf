"""What the extension does with the cells of a notebook before Sphinx reads it."""

from __future__ import annotations

from typing import Any

import pytest
from scst_book import outputs

from tools import notebooks


def cell(source: str, *tags: str) -> dict[str, Any]:
    return {"cell_type": "code", "source": source, "metadata": {"tags": list(tags), "mystnb": {}}}


@pytest.mark.parametrize(
    ("source", "tags", "added"),
    [
        ("import sys", ["colab"], ["remove-cell"]),
        ("seed = 0", ["parameters"], ["hide-input"]),
        ("answer = 1", ["solution"], ["hide-cell"]),
        ("import numpy as np\nfrom scstlib.datasets import load", [], ["hide-input"]),
        ("import matplotlib.pyplot as plt\nplt.rcParams.update({})", [], ["hide-input"]),
        ("import pandas as pd\npd.options.display.width = 80", [], ["hide-input"]),
        ("from scstlib.pages import Claims\nclaim = Claims(profile, seed)", [], ["hide-input"]),
        ("from a import B\nclaim, costs = Claims(profile, seed), Costs()", [], ["hide-input"]),
        ("import numpy as np\nx = np.ones(3)", [], []),
        ("def f():\n    import numpy", [], []),
        ("print(1)", [], []),
        ("%matplotlib inline\nimport numpy", [], []),
    ],
)
def test_settings_and_imports_are_folded(source: str, tags: list[str], added: list[str]) -> None:
    given = cell(source, *tags)
    outputs._fold(given)
    assert given["metadata"]["tags"] == [*tags, *added]


@pytest.mark.parametrize("name", notebooks.names())
def test_hidden_cells_that_begin_with_imports_are_called_imports(name: str) -> None:
    page = notebooks.read(notebooks.ROOT / "notebooks" / f"{name}.ipynb")
    for each in notebooks.code_cells(page):
        tags, source = each["metadata"].get("tags", []), "".join(each["source"])
        if tags == ["hide-input"] and source.startswith(("import ", "from ")):
            each["metadata"]["mystnb"] = {}
            outputs._fold(each)
            assert each["metadata"]["mystnb"]["code_prompt_show"] == "Imports", source
