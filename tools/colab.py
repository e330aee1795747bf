"""Run pages as Google Colab runs them: ``python -m tools.colab [PART/NAME ...]``.

An environment is made of Colab's Python and package versions, as ``tools/colab_versions.txt`` lists
them, with a module ``google.colab``. Each notebook then runs from its ``.ipynb`` alone in an empty
folder outside the repository, its set-up cell as it stands: git takes the address of the repository
from a copy of this clone, whose branch ``main`` is the commit at hand. On Colab each notebook has a
new environment; here all run in one, so that only the first set-up brings packages. After it
``--again --installed`` runs pages without their set-up cells, whose text is the same in all.

What is left of Colab's versions, and the seconds of each page, are written into
``benchmarks/results/colab.json``, beside those of pages that ran before. Without names all pages
run. Needs the network, and 8 GB of disk below ``--folder``, as PyPI's torch comes with CUDA;
``TORCH=cpu`` takes torch from the index of its CPU builds.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import platformdirs
from packaging.utils import canonicalize_name

from benchmarks import record
from tools import notebooks
from tools.setup import CPU_INDEX

ROOT = notebooks.ROOT
VERSIONS = ROOT / "tools" / "colab_versions.txt"
OUTPUT = record.RESULTS / "colab.json"
BRANCH = "main"
ASKED = """
import importlib.metadata, json, sys
versions = {d.name: d.version for d in importlib.metadata.distributions()}
print(json.dumps({"python": sys.version.split()[0], "versions": versions}))
"""


def image(text: str) -> dict[str, str]:
    """Versions of packages in Colab's image, by name; and of its Python, under ``Python``.

    Parameters
    ----------
    text
        Of ``tools/colab_versions.txt``.

    Examples
    --------
    >>> image("# (3.13.15).\\nnumpy==2.1.3\\n")
    {'Python': '3.13.15', 'numpy': '2.1.3'}
    """
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    python = re.findall(r"\((3\.\d+\.\d+)\)", text)[0]
    pairs = (line.split("==") for line in lines)
    return {"Python": python, **{canonicalize_name(name): version for name, version in pairs}}


def python_command(wanted: str) -> str:
    """The Python of Colab's minor version on this machine.

    Raises
    ------
    FileNotFoundError
        Without one.
    """
    minor = ".".join(wanted.split(".")[:2])
    found = shutil.which(f"python{minor}")
    if found is None:
        raise FileNotFoundError(f"no python{minor} here: name one with --python")
    return found


def make_environment(folder: Path, python: str, pip_version: str) -> None:
    """Make an environment with Colab's versions, ``venv`` below ``folder``."""
    made = folder / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "venv", "--clear", str(folder / "venv")], check=True)
    pip = [str(made), "-m", "pip", "install", "-qq", "--no-compile"]
    subprocess.run([*pip, f"pip=={pip_version}"], check=True)  # it resolves the rest as there
    cpu = ["--extra-index-url", CPU_INDEX] if os.environ.get("TORCH") == "cpu" else []
    subprocess.run([*pip, *cpu, "-r", str(VERSIONS)], check=True)


def prepare(folder: Path, python: Path, commit: str) -> None:
    """Write the module, the kernel's specification and the copy of the repository.

    Parameters
    ----------
    folder
        Where they are written.
    python
        Of the environment.
    commit
        That the set-up cell is to install.
    """
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    (site / "google" / "colab").mkdir(parents=True, exist_ok=True)
    (site / "google" / "colab" / "__init__.py").write_text("")
    startup = folder / "ipython" / "profile_default" / "startup" / "colab.py"
    startup.parent.mkdir(parents=True, exist_ok=True)
    startup.write_text("import google.colab\n")
    copy = folder / "repository.git"
    shutil.rmtree(copy, ignore_errors=True)
    subprocess.run(["git", "clone", "-q", "--bare", str(ROOT), str(copy)], check=True)
    for git in (
        ["update-ref", f"refs/heads/{BRANCH}", commit],
        ["config", "uploadpack.allowFilter", "true"],  # pip asks for a clone without old files
        ["config", "uploadpack.allowAnySHA1InWant", "true"],
    ):
        subprocess.run(["git", "-C", str(copy), *git], check=True)
    variables = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{copy.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": address(),
        "IPYTHONDIR": str(folder / "ipython"),
        "PYTHONPATH": "",
        "PIP_NO_CACHE_DIR": "1",  # a new runtime has none: cooltools is compiled
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    command = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernel = {"argv": command, "display_name": "Colab", "language": "python", "env": variables}
    specification = folder / "jupyter" / "kernels" / "colab" / "kernel.json"
    specification.parent.mkdir(parents=True, exist_ok=True)
    specification.write_text(json.dumps(kernel))


def address() -> str:
    """The address in the set-up cell."""
    cell = (ROOT / "tools" / "colab_cell.py").read_text(encoding="utf-8")
    found: str = re.findall(r"git\+(\S+?)@", cell)[0]
    return found


def installed(python: Path) -> dict[str, Any]:
    """Version of a Python, and those of the packages installed for it."""
    done = subprocess.run(
        [str(python), "-I", "-c", ASKED], check=True, capture_output=True, text=True
    )
    found = json.loads(done.stdout)
    versions = {canonicalize_name(name): version for name, version in found["versions"].items()}
    return {"python": found["python"], "versions": versions}


def replaced(before: dict[str, str], after: dict[str, str]) -> dict[str, list[str | None]]:
    """Packages that the set-up cell changed, each with its version before and after.

    Examples
    --------
    >>> replaced({"numpy": "2.1.3", "dill": "0.3.8"}, {"numpy": "2.1.3", "dill": "0.4", "POT": "1"})
    {'dill': ['0.3.8', '0.4']}
    """
    return {name: [old, after.get(name)] for name, old in before.items() if after.get(name) != old}


def installed_commit(folder: Path) -> str:
    """The commit that the last set-up cell below ``folder`` installed."""
    (record,) = folder.glob("venv/lib/python*/site-packages/scstlib-*.dist-info/direct_url.json")
    found: str = json.loads(record.read_text(encoding="utf-8"))["vcs_info"]["commit_id"]
    return found


def run_page(name: str, folder: Path, *, set_up: bool = True) -> dict[str, Any]:
    """Run one notebook in an empty folder; what came of it and the seconds it took.

    The status is ``passed`` or the error; a page that fails does not stop the others. Without
    ``set_up`` the cell that installs the package is passed over.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    os.environ["JUPYTER_PATH"] = str(folder / "jupyter")
    row: dict[str, Any] = {"page": name, "status": "passed"}
    with tempfile.TemporaryDirectory(dir=folder) as empty:
        notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
        client = NotebookClient(
            notebook, kernel_name="colab", resources={"metadata": {"path": empty}}
        )
        seconds = {"set_up": 0.0, "page": 0.0} if set_up else {"page": 0.0}
        with client.setup_kernel():
            for index, cell in enumerate(notebook.cells):
                part = "set_up" if "colab" in cell.metadata.get("tags", []) else "page"
                if part not in seconds:
                    continue
                started = time.monotonic()
                try:
                    client.execute_cell(cell, index)
                except CellExecutionError as error:
                    row["status"] = f"{error.ename}: {error.evalue}"[:300]
                    break
                finally:
                    seconds[part] += time.monotonic() - started
    return row | {f"{part}_seconds": round(value, 1) for part, value in seconds.items()}


def kept(rows: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the pages of the book in their order, new ones in place of old ones."""
    by_page = {row["page"]: row for row in [*rows, *new]}
    return [by_page[name] for name in notebooks.names() if name in by_page]


def source() -> str:
    """Commit and date of the list of Colab's versions."""
    text = " ".join(VERSIONS.read_text(encoding="utf-8").replace("#", "").split())
    found: str = re.findall(r"at commit (\w{40} of \d{4}-\d\d-\d\d)", text)[0]
    return found


def provenance(python: Path, wanted: dict[str, str]) -> dict[str, Any]:
    """Where the rows are from, and what the set-up cell left of Colab's versions.

    Parameters
    ----------
    python
        Of the environment, after a page.
    wanted
        As :func:`image` reads them.
    """
    now = installed(python)
    packages = {name: version for name, version in wanted.items() if name != "Python"}
    return {
        "uncommitted_changes": record.uncommitted_changes(),
        "cpu": record.provenance()["cpu"],
        "threads": os.environ.get("OMP_NUM_THREADS", str(os.cpu_count())),
        "python": now["python"],
        "colab": {"python": wanted["Python"], "list": source()},
        "replaced": replaced(packages, now["versions"]),
        "versions": {n: v for n, v in sorted(now["versions"].items()) if n in packages},
    }


def parsed() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    folder = platformdirs.user_cache_path("scstlib") / "colab"
    parser.add_argument("pages", nargs="*", metavar="PART/NAME")
    parser.add_argument("--python", help="instead of the one of Colab's minor version on the path")
    parser.add_argument("--folder", type=Path, default=folder, help="of the environment")
    parser.add_argument("--again", action="store_true", help="in the environment of the last run")
    parser.add_argument(
        "--installed", action="store_true", help="the package as the last run left it there"
    )
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    strangers = sorted(set(options.pages) - set(notebooks.names()))
    if strangers:
        parser.error(f"{strangers[0]} is no page: say PART/NAME as in book/_toc.yml")
    return options


def main() -> int:
    """Command line; fails if a page does, or if numpy, pandas or torch were replaced."""
    options = parsed()
    wanted = image(VERSIONS.read_text(encoding="utf-8"))
    folder = options.folder.resolve()
    python = folder / "venv" / "bin" / "python"
    if not options.again:
        make_environment(folder, options.python or python_command(wanted["Python"]), wanted["pip"])
    commit = record.git("rev-parse", "HEAD")
    if options.installed:
        commit = installed_commit(folder)
    else:
        prepare(folder, python, commit)
        # pip keeps a package of the same version, of whichever commit.
        subprocess.run([str(python), "-m", "pip", "uninstall", "-qq", "-y", "scstlib"], check=True)
    rows = json.loads(options.output.read_text())["pages"] if options.output.is_file() else []
    about = {"date": datetime.datetime.now(datetime.UTC).date().isoformat(), "commit": commit}
    failed, lost = [], set()
    for name in options.pages or notebooks.names():
        row = run_page(name, folder, set_up=not options.installed) | about
        print(f"  {name}: {row['status']}, {row['page_seconds']:.0f} s", flush=True)
        failed += [name] if row["status"] != "passed" else []
        rows = kept(rows, [row])
        found = provenance(python, wanted)
        lost |= {"numpy", "pandas", "torch"} & set(found["replaced"])
        record.write(options.output, {"provenance": about | found, "pages": rows})
    if lost:
        print(f"The set-up cell replaced {', '.join(sorted(lost))}", file=sys.stderr)
    return 1 if failed or lost else 0


if __name__ == "__main__":
    sys.exit(main())
