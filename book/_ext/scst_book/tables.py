"""The generated tables: ``<!-- table: NAME -->`` on a page of prose is replaced by the table.

``datasets`` and ``dataset_list`` are made from the data manifests; ``pages``, ``machine`` and
``versions`` from this build; ``colab`` from what ``tools.colab`` ran; those of
:mod:`scst_book.contents` from the pages, of :mod:`scst_book.results` from the benchmarks, and of
:mod:`scst_book.syllabi` the courses.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from scst_book import contents, results, syllabi
from scst_book.markdown import cell, markdown, plain

MARK = re.compile(r"^<!-- table: (\w+) -->$", flags=re.MULTILINE)
SHOWN = (
    "anndata",
    "cooler",
    "cooltools",
    "jupyter-book",
    "matplotlib",
    "numpy",
    "pandas",
    "POT",
    "scanpy",
    "scikit-learn",
    "scipy",
    "snakemake",
    "torch",
    "torch-geometric",
    "torchdiffeq",
)


def datasets(root: Path) -> str:
    """All data sets, one section each, from the manifests."""
    from scstlib.datasets import describe, read_manifest

    sections = []
    for name, row in describe().iterrows():
        manifest = read_manifest(str(name))
        cited, doi = plain(manifest.citation["text"]), plain(row["doi"])
        facts = {
            "Organism": plain(row["organism"]),
            "Assembly": plain(row["assembly"] or ""),
            "Modality": row["modality"],
            "Accession": plain(row["accession"] or ""),
            "Cite": f"[{cited}](https://doi.org/{doi})" if row["doi"] else cited,
            "Size": f"{row['megabytes']:.3g} MB in {_files(row['files'])}",
            "Licence of the host": plain(manifest.licence["host"]),
        }
        if manifest.by_hand:
            facts["Size"] = "fetched by hand"
            instructions, url = plain(manifest.by_hand["instructions"]), manifest.by_hand["url"]
            facts["How to fetch"] = f"{instructions} <{plain(url)}>"
        lines = [f"- {label}: {cell(value)}" for label, value in facts.items() if value]
        traps = [f"  - {cell(plain(trap))}" for trap in manifest.known_traps]
        lines += ["- Known traps:", *traps] if traps else []
        head = [f"## {name}", f"**{plain(manifest.title)}.** {plain(manifest.description)}"]
        sections.append("\n\n".join([*head, "\n".join(lines)]))
    return "\n\n".join(sections)


def dataset_list(root: Path) -> str:
    """All data sets, one row each, with links to their sections."""
    from scstlib.datasets import describe

    rows = []
    for name, row in describe().iterrows():
        size = f"{row['megabytes']:.1f}" if row["megabytes"] else "–"
        facts = [row["organism"], row["modality"], row["assembly"], size]
        rows.append([f"[{name}](#{str(name).lower()})", *(plain(fact or "") for fact in facts)])
    return markdown(["data set", "organism", "modality", "assembly", "size (MB)"], rows)


def _files(number: int) -> str:
    return "one file" if number == 1 else f"{number} files"


def executed(page: contents.Page, root: Path) -> dict[str, Any]:
    """What the runner wrote down about the executed copy of a page; empty when there is none."""
    path = root / "_build" / "executed" / f"{page.name.removeprefix(contents.CODE)}.ipynb"
    if not path.is_file():
        return {}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["metadata"].get("scst", {})
    return found


def pages(root: Path) -> str:
    """Run time and state of every page with code."""
    rows = []
    for page in (page for page in contents.read(root) if page.number):
        made = executed(page, root)
        state = "complete" if made else "not run"
        if made.get("missing"):
            state = f"without `{made['missing']['dataset']}`"
        rows.append([page.link, f"{made.get('seconds', 0):.0f}", state])
    return markdown(["page", "run time (s)", "results"], rows)


def machine(root: Path) -> str:
    """Hardware, system, profile and seed of this build."""
    import torch

    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
    keys = sorted((root / "_build" / "keys").glob("*/*.json"))
    parameters = json.loads(keys[0].read_text())["parameters"] if keys else {}
    rows: list[list[object]] = [
        ["processor", _processor()],
        ["cores", os.cpu_count()],
        ["GPU", device],
        ["system", f"{platform.system()} {platform.machine()}"],
        ["Python", sys.version.split()[0]],
        *[[name, f"`{value}`"] for name, value in parameters.items()],
        ["threads in each kernel", 1],
    ]
    return markdown(["what", "of this build"], rows)


def colab(root: Path) -> str:
    """What ran with the versions of Google Colab: pages of each part, and the longest run time."""
    path = root / "benchmarks" / "results" / "colab.json"
    ran = {row["page"]: row for row in json.loads(path.read_text(encoding="utf-8"))["pages"]}
    parts: dict[str, list[dict[str, Any]]] = {}
    for page in (page for page in contents.read(root) if page.number):
        row = ran.get(page.name.removeprefix("notebooks/"))
        parts.setdefault(page.part, []).append(row or {})
    rows: list[list[object]] = []
    for part, pages_of_it in parts.items():
        done = [row for row in pages_of_it if row]
        passed = sum(row["status"] == "passed" for row in done)
        longest = max((f"{row['page_seconds']:.0f}" for row in done), key=int, default="–")
        rows.append([part, len(pages_of_it), len(done), passed, longest])
    return markdown(["part", "pages", "run", "passed", "longest run (s)"], rows)


def _processor() -> str:
    """Name of the processor where Linux says it, else what Python knows."""
    information = Path("/proc/cpuinfo")
    text = information.read_text(encoding="utf-8") if information.is_file() else ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, flags=re.MULTILINE)
    return found[1] if found else platform.processor() or platform.machine()


def versions(root: Path) -> str:
    """Versions of the packages that results depend on most."""
    return markdown(["package", "version"], [[f"`{n}`", metadata.version(n)] for n in SHOWN])


TABLES = {
    "datasets": datasets,
    "dataset_list": dataset_list,
    "pages": pages,
    "colab": colab,
    "machine": machine,
    "versions": versions,
    **contents.TABLES,
    **results.TABLES,
    **syllabi.TABLES,
}


def fill(app: Sphinx, text: str) -> str:
    """Replace the marks of a page by their tables."""
    return MARK.sub(lambda mark: TABLES[mark[1]](Path(app.srcdir)), text)
