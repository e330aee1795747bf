"""Kill what writes at random moments; run by :mod:`tests.faults.campaign`.

Each job runs unbroken once. Then it is begun in a fresh folder, killed (SIGKILL) at a moment drawn
within the time that it took, looked at, and run again. What is looked for: a file that is there and
not what the unbroken run wrote; a second run that fails or gives something else; files that stay
for good; processes that live on.

Jobs run in children of this process, which has imported all and computed nothing: a child of a
process that has computed with torch cannot train.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import importlib
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import yaml

from scstlib.writing import LEFT, whole_file
from tests.datasets.conftest import BASE, file_entry

ROOT = Path(__file__).resolve().parents[2]
PASSING = re.compile(r"(^|/)(tmp|\.locks|\.partial-[^/]*)(/|$)|\.checkpoint(\.\w+)?$|\.tmp$")
HDF5 = (".cool", ".mcool", ".scool", ".h5ad")
PAGE = """# %% [markdown]
# # A page

# %%
import time
for part in range(3):
    time.sleep(0.1)
    print(part)
"""
RENDER = """import pathlib, sys
from tools import notebooks
pages = "".join(notebooks.executed_path(n).read_text() for n in notebooks.names())
notebooks.write_if_changed(notebooks.ROOT / "_build/html/index.html", str(pages.count("part")))
"""
MAKEFILE = """export SCST_MAKE := $(shell echo $$PPID)
.PHONY: book
book: ; @{python} -m tools.build
"""


class Job(NamedTuple):
    """What is killed: it reads from the first folder and works in the second."""

    run: Callable[[Path, Path], None]
    watched: str = "**/*"  # files that are compared, below the second folder
    processes: bool = False  # whether it starts others, which must end with it


# What is killed.


def fetch(given: Path, work: Path) -> None:
    """Half of the files are packed, and all come from a mirror."""
    from scstlib.datasets import fetch

    os.environ.update(SCST_DATA=str(work / "cache"), SCST_MIRROR=str(given / "mirror"))
    fetch("toy", given / "manifests")


def save(given: Path, work: Path) -> None:
    import torch

    from scstlib.models.files import write_model

    for number in range(4):  # Over a file that is there.
        tensors = {"weights": torch.arange(3_000_000.0) + (number == 3)}
        write_model(work / "model.safetensors", "Line", {"number": number}, {}, tensors)


def organism(given: Path, work: Path) -> None:
    from scstlib.datasets import simulate_organism

    simulate_organism(0, "tiny").write(work / "organism")


def fit_scnode(given: Path, work: Path) -> None:
    from scstlib.models import ScNODE
    from scstlib.models.temporal.scnode import flow_matching

    _writing_often(flow_matching)
    model = ScNODE(matching_steps=100, latent_dim=3, drift_hidden=(8,), transport_steps=10)
    _fit(model, _cells(), work)


def fit_published_scnode(given: Path, work: Path) -> None:
    from scstlib.models import PublishedScNODE
    from scstlib.models.temporal.scnode import published_training

    _writing_often(published_training)
    settings: Any = {"latent_dim": 4, "drift_hidden": (8,), "pretrain_steps": 30}
    settings |= {"joint_steps": 20, "batch_size": 16, "target_size": 24}
    _fit(PublishedScNODE(**settings), _cells(), work)


def fit_scgraphic(given: Path, work: Path) -> None:
    from scstlib.models.spatial.scgraphic import default

    default.CHECKPOINT_EVERY = 2
    model = default.ScGrapHiC(channels=8, pair_channels=8, n_blocks=1, n_steps=16, batch_size=4)
    _fit(model, _windows(), work)


def fit_published_scgraphic(given: Path, work: Path) -> None:
    from scstlib.models.spatial.scgraphic import published

    published.CHECKPOINT_EVERY = 2
    settings: Any = {"width": 8, "encodings": 4, "node_blocks": 1, "attention_blocks": 1}
    settings |= {"residual_blocks": 1, "epochs": 6, "batch_size": 4}
    _fit(published.PublishedScGrapHiC(**settings), _windows(), work)


def _writing_often(module: Any) -> None:
    """Let what a module trains write its state every seventh step, in this process alone."""
    module.minimise = partial(module.minimise, checkpoint_every=7)


def _fit(model: Any, data: Any, work: Path) -> None:
    model.fit(data, device="cpu", checkpoint=work / "run.checkpoint", progress=False)
    model.save(work / "model.safetensors")


def _cells() -> Any:
    from tests.conftest import series

    return series([0.0, 1.0, 3.0])


def _windows() -> Any:
    from tests.models.spatial.spatial_data import spatial_windows

    return spatial_windows(("chr1",))[0]


def predict_contacts(given: Path, work: Path, *more: str) -> None:
    words = ["--bulk", f"{given}/organism/bulk.mcool::resolutions/50000"]
    words += ["--expression", f"{given}/organism/cells.h5ad", "--window", "32"]
    words += ["--model", f"{given}/contacts.safetensors", "--cell-types", "stem", "bipotent"]
    _command("predict-contacts", *words, "--out", f"{work}/maps.mcool", *more)


def predict_expression(given: Path, work: Path, *more: str) -> None:
    words = ["--model", f"{given}/cells.safetensors", "--times", "36", "60", "--n-cells", "400"]
    _command("predict-expression", *words, "--out", f"{work}/cells.h5ad", *more)


def _command(*words: str) -> None:
    from scstlib.__main__ import main

    status = main(words)
    assert status == 0, f"{words[0]} returned {status}"


def page(given: Path, work: Path) -> None:
    from tools import execute, lifeline

    _repository(given, work)
    lifeline.clear(work)  # As the next build does.
    if not (work / "_build/executed/part/one.ipynb").is_file():
        assert execute.run("part/one", work) == 0


def build(given: Path, work: Path) -> None:
    """Through make, which is what is killed."""
    _repository(given, work)
    os.environ["PYTHONPATH"] = str(ROOT)  # The tools of the folder itself come first.
    os.chdir(work)
    os.execvp("make", ["make", "book"])


def copy_model(given: Path, work: Path) -> None:
    from scstlib.models import load

    load(given / "cells.safetensors", "cpu").save(work / "model.safetensors", overwrite=False)


def _repository(given: Path, work: Path) -> None:
    if not (work / "Makefile").is_file():
        shutil.copytree(given / "repository", work, dirs_exist_ok=True)


JOBS = {
    "fetch": Job(fetch),
    "save": Job(save),
    "organism": Job(organism),
    "fit ScNODE": Job(fit_scnode),
    "fit PublishedScNODE": Job(fit_published_scnode),
    "fit ScGrapHiC": Job(fit_scgraphic),
    "fit PublishedScGrapHiC": Job(fit_published_scgraphic),
    "predict contacts": Job(lambda *places: predict_contacts(*places, "--overwrite")),
    "predict expression": Job(lambda *places: predict_expression(*places, "--overwrite")),
    "page": Job(page, "_build/executed/**/*", processes=True),
    "build": Job(build, "_build/[eh]*/**/*", processes=True),
}

# Of these one wins, where three begin at once and none may replace what is there.
AT_ONCE = {
    "save": Job(copy_model),
    "predict contacts": Job(predict_contacts),
    "predict expression": Job(predict_expression),
}


# What they read.


def prepare(given: Path) -> None:
    """Make what the jobs read; in a child."""
    _prepare_fetch(given)
    _prepare_repository(given / "repository")
    import anndata

    from scstlib.datasets import simulate_organism
    from scstlib.files import build_windows
    from scstlib.models import ScGrapHiC, ScNODE

    folder = given / "organism"
    simulate_organism(0, "tiny").write(folder)
    windows = build_windows(
        f"{folder}/bulk.mcool::resolutions/50000", folder / "cells.h5ad",
        targets={"stem": folder / "stem.cool"}, window=32, stride=32,
    )  # fmt: skip
    spatial = ScGrapHiC(channels=8, pair_channels=8, n_blocks=1, n_steps=1, batch_size=2)
    spatial.fit(windows, device="cpu", progress=False).save(given / "contacts.safetensors")
    cells = anndata.read_h5ad(folder / "cells.h5ad")
    temporal = ScNODE(matching_steps=5, latent_dim=3).fit(cells, device="cpu", progress=False)
    temporal.save(given / "cells.safetensors")
    for number, fit in enumerate((fit_published_scnode, fit_published_scgraphic)):
        (given / str(number)).mkdir()
        fit(given, given / str(number))
    # What this process imported, its parent imports as well, so that its other children need not.
    (given / "modules.json").write_text(json.dumps(sorted(sys.modules)))


def _prepare_fetch(given: Path) -> None:
    rng = np.random.default_rng(0)
    mirror, entries = given / "mirror" / "toy", []
    mirror.mkdir(parents=True)
    for number in range(6):
        content, name = rng.bytes(3_000_000), f"deep/{number}.bin"
        path = mirror / name
        path.parent.mkdir(exist_ok=True)
        if number % 2:
            Path(f"{path}.gz").write_bytes(gzip.compress(content, 0))
        else:
            path.write_bytes(content)
        entries.append(file_entry(name, content, "http://127.0.0.1:9/none"))
    (given / "manifests").mkdir()
    (given / "manifests" / "toy.yml").write_text(yaml.safe_dump({**BASE, "files": entries}))


def _prepare_repository(root: Path) -> None:
    """Two pages, the tools, and a book that is one file."""
    from tools import notebooks, pair

    for folder in ("book", "notebooks/part", "scstlib", "data_manifests"):
        (root / folder).mkdir(parents=True)
    for name in ("one", "two"):
        (root / f"notebooks/part/{name}.py").write_text(PAGE)
    (root / "scstlib/__init__.py").touch()
    toc = "".join(f"  - file: notebooks/part/{name}\n" for name in ("one", "two"))
    (root / "book/_toc.yml").write_text(f"format: jb-book\nroot: book/index\nchapters:\n{toc}")
    for name in ("_config.yml", "CITATION.cff"):
        (root / name).touch()
    (root / "Makefile").write_text(MAKEFILE.format(python=sys.executable))
    shutil.copy(ROOT / "Snakefile", root)
    shutil.copytree(ROOT / "tools", root / "tools")
    (root / "tools" / "render.py").write_text(RENDER)
    pair.pair(root / "notebooks")
    notebooks.refresh_keys(root)


# Killing and looking.


def start(job: Job, given: Path, work: Path) -> int:
    """Begin a job in a child; returns the child's number."""
    (work / "tmp").mkdir(parents=True, exist_ok=True)
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        with Path(f"{work}.log").open("a") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        os.environ["TMPDIR"] = tempfile.tempdir = str(work / "tmp")
        job.run(given, work)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def finish(job: Job, given: Path, work: Path) -> float:
    """Run a job to its end; returns the seconds it took."""
    began = time.monotonic()
    _, status = os.waitpid(start(job, given, work), 0)
    if status:
        log = Path(f"{work}.log").read_text()[-2000:]
        raise AssertionError(f"ended with {os.waitstatus_to_exitcode(status)}: {log}")
    return time.monotonic() - began


def outcome(job: Job, work: Path) -> dict[str, str]:
    """Digest of what is in each file that a job made, but for times of day."""
    files = [path for path in work.glob(job.watched) if path.is_file()]
    names = {path.relative_to(work).as_posix(): path for path in files}
    return {name: content(path) for name, path in names.items() if not _is_passing(name)}


def _is_passing(name: str) -> bool:
    """Whether a file is a lock, a temporary one, or the state of a run that goes on."""
    return bool(PASSING.search(name))


def content(path: Path) -> str:
    """Digest of a file, without what says when it was made or how long that took."""
    digest = hashlib.sha256()
    if path.suffix == ".ipynb":
        notebook = json.loads(path.read_text())
        notebook["metadata"]["scst"].pop("seconds", None)
        for cell in notebook["cells"]:  # What is printed comes in parts, as many as time makes it.
            texts = ["".join(each.pop("text", "")) for each in cell.get("outputs", ())]
            cell["outputs"] = "".join(texts), cell.get("outputs", [])[:1]
        digest.update(json.dumps(notebook, sort_keys=True).encode())
    elif path.suffix in HDF5:
        with h5py.File(path, "r") as store:

            def add(name: str, item: Any) -> None:
                held = {k: repr(v) for k, v in item.attrs.items() if k != "creation-date"}
                values = (
                    repr(np.asarray(item[()]).tolist()) if isinstance(item, h5py.Dataset) else ""
                )
                digest.update(f"{name} {sorted(held.items())} {values}".encode())

            add("/", store)
            store.visititems(add)
    else:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def left_by(work: Path) -> list[Path]:
    """Temporary files and folders that lie about."""
    running = list((work / "_build/running").glob("*"))
    return running + [path for path in work.rglob("*") if _is_left(path.name)]


def _is_left(name: str) -> bool:
    return bool(LEFT.fullmatch(name)) or name.endswith(".tmp")


def processes_of(work: Path) -> list[str]:
    """Processes whose environment names a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(work / "tmp").encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def kill_once(job: Job, given: Path, work: Path, moment: float, right: dict[str, str]) -> str:
    """Kill a job, look, run it again; returns "" if it was over before, "killed" else.

    Raises
    ------
    AssertionError
        Saying what is not as it should be.
    """
    child = start(job, given, work)
    time.sleep(moment)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if job.processes:
        deadline = time.monotonic() + 5
        while (alive := processes_of(work)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not alive, f"these live on: {alive}"
    there = outcome(job, work)
    wrong = [n for n in there if there[n] != right[n] and n != "model.safetensors"]
    assert not wrong, f"half-written: {wrong}"
    if (model := work / "model.safetensors").is_file():  # One of those that were saved.
        from scstlib.models.files import read_model

        read_model(model)
    for path in left_by(work):
        os.utime(path, (0, 0))  # As if a day had passed.
    finish(job, given, work)
    again = outcome(job, work)
    assert again == right, f"the second run differs in {set(again.items()) ^ set(right.items())}"
    for folder in {path.parent for path in left_by(work) if LEFT.fullmatch(path.name)}:
        with whole_file(folder / "next"):  # Whoever writes there next.
            pass
        (folder / "next").unlink()
    assert not left_by(work), f"left for good: {left_by(work)}"
    return "killed" if os.WIFSIGNALED(status) else ""


def three_at_once(given: Path, place: Path) -> list[str]:
    """Let three write the same at once; returns what is not as it should be.

    One wins and the others say why they did not. Those that fetch wait for each other instead.
    """
    found = []
    for name, job in {**AT_ONCE, "fetch": JOBS["fetch"]}.items():
        work = place / name.replace(" ", "_")
        work.mkdir(parents=True)
        children = [start(job, given, work) for _ in range(3)]
        ended = sorted(os.waitpid(child, 0)[1] for child in children)
        said = Path(f"{work}.log").read_text()
        refused = len(re.findall("exists already|appeared while it was computed", said))
        if name == "fetch":
            good = ended == [0, 0, 0]
        else:
            good = ended[0] == 0 and ended[1] > 0 and refused == 2
        if not good or left_by(work):
            found.append(f"{name}: {ended}, {left_by(work)}, {said[-2000:]}")
    return found


def campaign(jobs: list[str], kills: int, seed: int = 0) -> dict[str, Any]:
    """Kill each job so many times; returns for each how often it was killed, and what was found.

    Those that start processes take seconds, and are killed half as often.
    """
    rng = np.random.default_rng(seed)
    report: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "given"
        finish(Job(lambda _, work: prepare(work)), given, given)
        for module in json.loads((given / "modules.json").read_text()):
            with contextlib.suppress(Exception):
                importlib.import_module(module)
        report["three at once"] = {"found": three_at_once(given, Path(folder) / "at_once")}
        for name in jobs:
            job, place = JOBS[name], Path(folder) / name.replace(" ", "_")
            times = -(-kills // 2) if job.processes else kills
            work = place / "unbroken"
            work.mkdir(parents=True)
            seconds = finish(job, given, work)
            right = outcome(job, work)
            assert right, f"{name} made nothing: {Path(f'{work}.log').read_text()[-3000:]}"
            moments, killed, found = rng.uniform(0, seconds, times), 0, []
            for number, moment in enumerate(moments):
                work = place / str(number)
                work.mkdir()
                try:
                    killed += bool(kill_once(job, given, work, float(moment), right))
                except AssertionError as error:
                    found.append(f"killed after {moment:.3f} s: {error}")
                shutil.rmtree(work, ignore_errors=True)
            report[name] = {"seconds": round(seconds, 2), "tries": times, "killed": killed}
            report[name]["found"] = found
            print(name, json.dumps(report[name]), file=sys.stderr, flush=True)
            shutil.rmtree(place)
    return report
