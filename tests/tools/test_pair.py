"""The derived notebooks: the same bytes each time, ids from contents, drift found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools import pair

SOURCE = """# %% [markdown]
# # Title

# %% tags=["parameters"]
seed = 0

# %% caption="What to see." alt="A line."
print(seed)

# %%
print(seed)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one page in one part."""
    (tmp_path / "part").mkdir()
    (tmp_path / "part/page.py").write_text(SOURCE)
    return tmp_path


def test_pairing_twice_writes_the_same_and_only_once(folder: Path) -> None:
    assert pair.pair(folder) == [folder / "part/page.ipynb"]
    first = (folder / "part/page.ipynb").read_bytes()
    assert pair.pair(folder) == []
    assert pair.derive(folder / "part/page.py").encode() == first


def test_cells_carry_metadata_no_outputs_and_distinct_ids(folder: Path) -> None:
    cells = json.loads(pair.derive(folder / "part/page.py"))["cells"]
    assert [cell["cell_type"] for cell in cells] == ["markdown", "code", "code", "code"]
    assert cells[2]["metadata"] == {"caption": "What to see.", "alt": "A line."}
    assert all(cell["outputs"] == [] for cell in cells[1:])
    assert len({cell["id"] for cell in cells}) == 4  # two cells have the same source


def test_an_id_depends_on_its_own_cell_alone(folder: Path) -> None:
    before = json.loads(pair.derive(folder / "part/page.py"))["cells"]
    (folder / "part/page.py").write_text(SOURCE.replace("# # Title", "# # Another title"))
    after = json.loads(pair.derive(folder / "part/page.py"))["cells"]
    assert before[0]["id"] != after[0]["id"]
    assert [c["id"] for c in before[1:]] == [c["id"] for c in after[1:]]


def test_the_notebook_is_valid(folder: Path) -> None:
    import nbformat

    nbformat.validate(nbformat.reads(pair.derive(folder / "part/page.py"), as_version=4))


def test_drift_and_orphans_are_found_and_orphans_kept(folder: Path) -> None:
    pair.pair(folder)
    (folder / "part/page.ipynb").write_text("{}")
    (folder / "part/gone.ipynb").write_text("{}")
    assert set(pair.drifted(folder)) == {folder / "part/page.ipynb", folder / "part/gone.ipynb"}
    assert pair.drifted(folder)[folder / "part/gone.ipynb"] is None
    pair.pair(folder)
    assert (folder / "part/gone.ipynb").is_file()


def test_committed_notebooks_are_those_of_their_sources() -> None:
    assert pair.drifted(pair.ROOT / "notebooks") == {}


def test_exercises_are_numbered_in_the_order_of_the_book(tmp_path: Path) -> None:
    (tmp_path / "book").mkdir()
    (tmp_path / "book/_toc.yml").write_text(
        "root: book/index\nchapters:\n- file: notebooks/part/a\n- file: notebooks/part/b\n"
    )
    folder = tmp_path / "notebooks"
    (folder / "part").mkdir(parents=True)
    text = "# %% [markdown]\n# > **Exercise** One.\n#\n# > **Exercise** Two.\n\n# %% [markdown]\n"
    for name in ("a", "b", "beside"):
        (folder / f"part/{name}.py").write_text(text + "# > **Exercise** Three.\n")
    pair.pair(folder)
    found = {n: (folder / f"part/{n}.ipynb").read_text() for n in ("a", "b", "beside")}
    for number in ("2.1", "2.2", "2.3"):
        assert f"> **Exercise {number}** " in found["b"]
    assert "> **Exercise 1.3** Three." in found["a"]
    assert "> **Exercise 3** Three." in found["beside"]
    ids = [[cell["id"] for cell in json.loads(found[name])["cells"]] for name in found]
    assert ids[0] == ids[1] == ids[2]  # another number is no other cell
    assert pair.drifted(folder) == {}
