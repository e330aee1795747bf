"""Damage files in every way; run by :mod:`tests.faults.campaign`.

Bits flip, files are cut at blocks and between, blocks are zeroed, members are dropped or renamed.
The rule: an error of ours that names the file, or what the whole file gives; on the command line
one line and no output. Never another error, a crash, more than 5 s, or a file that was changed.

A manifest, a map and cells carry no digest: where one says something else and all of it is as it
may be, nobody can know. Those are counted as *other*. A model or a checkpoint must not have any.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import os
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import yaml

from tests.datasets.conftest import BASE, file_entry

SECONDS = 5.0  # of the processor for a try; more is a hang, as is a minute of waiting
MEMORY = 6 << 30  # bytes of address space of a child, most of it torch
BLOCK = 512
WINDOW = 16
Random = np.random.Generator


class Kind(NamedTuple):
    """What is damaged.

    ``read`` returns a digest of all that the file says; ``command`` the words that read it, with
    the folder for outputs; ``members`` drops or renames something inside.
    """

    name: str
    read: Callable[[Path], str]
    command: Callable[[Path, Path], list[str]]
    members: Callable[[bytes, Path, Random], None]
    has_digest: bool
    command_every: int = 8  # tries that are given to the command line as well


# Manifests.


def read_toy(path: Path) -> str:
    from scstlib.datasets.manifests import parse_manifest

    manifest = parse_manifest(path)
    assert re.fullmatch(r"[A-Za-z]\w*", manifest.name)
    assert all(".." not in file.path.split("/") for file in manifest.files)
    return repr(manifest)


def describe(path: Path, out: Path) -> list[str]:
    return ["data", "describe", "toy", "--manifests", str(path.parent)]


def other_lines(right: bytes, path: Path, rng: Random) -> None:
    """Drop, double or rename one line of a text."""
    lines = right.decode().splitlines(keepends=True)
    place = int(rng.integers(len(lines)))
    line = lines.pop(place)
    if (what := int(rng.integers(3))) == 1:
        lines[place:place] = [line, line]
    elif what == 2:
        lines.insert(place, line.replace(":", "_of:", 1))
    path.write_text("".join(lines))


# Maps and cells.


def read_maps(path: Path) -> str:
    from scstlib.files.cooler_maps import CoolerMaps

    maps = CoolerMaps(path, reach=WINDOW)
    said = [repr(maps.bins.to_numpy().tolist()), repr(maps.assembly)]
    return digest(*said, *(maps[chrom].toarray().tobytes() for chrom in maps))


def score_maps(path: Path, out: Path) -> list[str]:
    words = ["--predicted", str(path), "--measured", str(path.with_name("other.cool"))]
    words += ["--bulk", str(path.with_name("bulk.cool")), "--window", str(WINDOW)]
    return ["score", "contacts", *words, "--out", str(out / "scores.csv")]


def read_cells(path: Path) -> str:
    from scstlib.files import track_inputs

    cells = track_inputs.read_cells(path)
    tables = [table.to_csv() for table in (cells.obs, cells.var)]
    X: Any = cells.X
    values = X.toarray() if hasattr(X, "toarray") else np.asarray(X)
    return digest(*tables, np.ascontiguousarray(values).tobytes(), str(values.dtype))


def train_on_cells(path: Path, out: Path) -> list[str]:
    words = ["--set", "matching_steps=1", "--set", "latent_dim=2", "--device", "cpu"]
    return ["train", "expression", "--cells", str(path), *words, "--out", f"{out}/m.safetensors"]


def other_members(right: bytes, path: Path, rng: Random) -> None:
    """Drop or rename a group, a dataset or an attribute of an HDF5 file."""
    path.write_bytes(right)
    with h5py.File(path, "r+") as store:
        places: list[tuple[Any, str]] = [(store.attrs, name) for name in store.attrs]

        def add(name: str, item: Any) -> None:
            places.append((store, name))
            places.extend((item.attrs, attribute) for attribute in item.attrs)

        store.visititems(add)
        holder, name = places[int(rng.integers(len(places)))]
        if rng.integers(2):
            del holder[name]
        elif holder is store:
            store.move(name, f"{name}_of")
        else:
            holder[f"{name}_of"] = holder[name]
            del holder[name]


# Models and checkpoints.


def read_model(path: Path) -> str:
    from scstlib.models import load

    model: Any = load(path, "cpu")
    cells = model.sample([36.0], 3)
    return digest(json.dumps(model.settings, default=str), np.asarray(cells.X).tobytes())


def predict_with_model(path: Path, out: Path) -> list[str]:
    words = ["--times", "36", "--n-cells", "3", "--device", "cpu"]
    return ["predict-expression", "--model", str(path), *words, "--out", str(out / "p.h5ad")]


@functools.cache
def _windows(organism: Path) -> Any:
    from scstlib.files import build_windows

    return build_windows(
        f"{organism}/bulk.mcool::resolutions/50000", organism / "cells.h5ad",
        targets={"stem": organism / "stem.cool"}, window=32, stride=64, chromosomes=["chr1"],
    )  # fmt: skip


def read_map_model(path: Path) -> str:
    from scstlib.models import load

    model: Any = load(path, "cpu")
    maps = model.predict(_windows(path.parents[1] / "organism"))
    return digest(json.dumps(model.settings, default=str), maps.tobytes())


def predict_maps(path: Path, out: Path) -> list[str]:
    organism = path.parents[1] / "organism"
    words = ["--bulk", f"{organism}/bulk.mcool::resolutions/50000", "--window", "32"]
    words += ["--expression", f"{organism}/cells.h5ad", "--cell-types", "stem"]
    words += ["--chromosomes", "chr1", "--device", "cpu"]
    return ["predict-contacts", *words, "--model", str(path), "--out", f"{out}/maps.cool"]


def other_tensors(right: bytes, path: Path, rng: Random) -> None:
    """Drop, rename or reshape a tensor or a part of the header, with the digest that belongs."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import save

    from scstlib.models.files import _digest

    path.write_bytes(right)
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["scstlib"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if rng.integers(2):
        names = sorted(tensors)
        name = names[int(rng.integers(len(names)))]
        tensor = tensors.pop(name)
        changed = {
            0: {},
            1: {f"{name}_of": tensor},
            2: {name: tensor[:-1] if tensor.dim() else tensor[None]},
            3: {name: torch.full_like(tensor, float("nan") if tensor.is_floating_point() else 0)},
            4: {name: torch.zeros(3, 3, dtype=torch.int64)},
        }
        tensors |= changed[int(rng.integers(len(changed)))]
    else:
        part = header if rng.integers(3) == 0 else header[("settings", "learned")[rng.integers(2)]]
        names = sorted(part)
        name = names[int(rng.integers(len(names)))]
        value = part.pop(name)
        values: list[Any] = [None, [], {}, -1, "text", 1e300, True, [value]]
        if (what := int(rng.integers(3))) == 1:
            part[f"{name}_of"] = value
        elif what == 2:
            part[name] = values[int(rng.integers(len(values)))]
    header["digest"] = _digest(header, tensors)
    path.write_bytes(save(tensors, metadata={"scstlib": json.dumps(header)}))


def new_run() -> Any:
    import torch

    from scstlib.training.run_state import RunState

    weights = [torch.nn.Parameter(torch.zeros(40, 9)), torch.nn.Parameter(torch.ones(40))]
    generators = [torch.Generator().manual_seed(3)]
    return RunState(weights, torch.optim.AdamW(weights), generators, "a run")


def read_checkpoint(path: Path) -> str:
    state = new_run()
    state.read(path)
    tensors = [weight.detach().numpy().tobytes() for weight in state._weights]
    generator = state._generators[0].get_state().numpy().tobytes()
    said = repr((state.losses, state.validation, state.stopped, state.finished))
    return digest(*tensors, generator, said, repr(state._optimizer.state_dict()))


def go_on(path: Path, out: Path) -> list[str]:
    words = train_on_cells(path.with_name("cells.h5ad"), out)
    return [*words, "--checkpoint", str(path)]


def other_state(right: bytes, path: Path, rng: Random) -> None:
    """Drop or rename a part of the state, or give it another kind, with the digest that belongs."""
    import torch

    from scstlib.training.run_state import MARK

    held = torch.load(io.BytesIO(right.rpartition(MARK)[0]), weights_only=True)
    part = held
    if rng.integers(2):
        part = held["optimizer"]
        if rng.integers(2):
            part = part["state"][0]
    names = list(part)
    name = names[int(rng.integers(len(names)))]
    value = part.pop(name)
    values: list[Any] = [None, [], {}, -1, "text", torch.zeros(2), [value]]
    if (what := int(rng.integers(3))) == 1:
        part[f"{name}_of"] = value
    elif what == 2:
        part[name] = values[int(rng.integers(len(values)))]
    content = io.BytesIO()
    torch.save(held, content)
    known = hashlib.sha256(content.getvalue()).hexdigest().encode()
    path.write_bytes(content.getvalue() + MARK + known)


KINDS = {
    "manifest": Kind("toy.yml", read_toy, describe, other_lines, False),
    "cool": Kind("maps.cool", read_maps, score_maps, other_members, False),
    "h5ad": Kind("cells.h5ad", read_cells, train_on_cells, other_members, False),
    "model": Kind("m.safetensors", read_model, predict_with_model, other_tensors, True),
    "map model": Kind("m.safetensors", read_map_model, predict_maps, other_tensors, True, 40),
    "checkpoint": Kind("run.checkpoint", read_checkpoint, go_on, other_state, True, 32),
}


def digest(*parts: str | bytes) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part.encode() if isinstance(part, str) else part).digest())
    return whole.hexdigest()


def prepare(folder: Path) -> None:
    """Make one whole file of each kind, each in a folder with what its command reads besides."""
    import anndata
    import torch

    from scstlib.datasets import simulate_organism
    from scstlib.models import ScGrapHiC, ScNODE

    for name, kind in KINDS.items():
        (folder / name).mkdir()
        if name == "manifest":
            entries = [file_entry(f"{n}.txt", n.encode(), "http://127.0.0.1:9/x") for n in "abc"]
            text = yaml.safe_dump({**BASE, "files": entries}, sort_keys=False)
            (folder / name / kind.name).write_text(text)
    simulate_organism(0, "tiny").write(folder / "organism")
    for name, to in (("stem", "maps"), ("bipotent", "other"), ("stem", "bulk")):
        (folder / f"cool/{to}.cool").write_bytes((folder / f"organism/{name}.cool").read_bytes())
    cells = (folder / "organism" / "cells.h5ad").read_bytes()
    for name in ("h5ad", "checkpoint"):
        (folder / name / "cells.h5ad").write_bytes(cells)
    model = ScNODE(matching_steps=3, latent_dim=2, drift_hidden=(4,))
    model.fit(anndata.read_h5ad(folder / "h5ad/cells.h5ad"), device="cpu", progress=False)
    model.save(folder / "model" / "m.safetensors")
    maps = ScGrapHiC(channels=4, pair_channels=4, n_blocks=1, n_steps=1, batch_size=2)
    maps.fit(_windows(folder / "organism"), device="cpu", progress=False)
    maps.save(folder / "map model" / "m.safetensors")
    state = new_run()
    for number in range(20):
        torch.stack([weight.pow(2).sum() for weight in state._weights]).sum().backward()
        state._optimizer.step()
        state.losses.append(float(number))
    state.note_validation(1.0, 3)
    state.write(folder / "checkpoint" / "run.checkpoint")


def damage(kind: Kind, right: bytes, path: Path, number: int, rng: Random) -> str:
    """Write a damaged copy; returns what was done to it."""
    n = len(right)
    what = ("flip", "flip at the head", "cut at a block", "cut", "zeros", "members")[number % 6]
    if what == "members":
        kind.members(right, path, rng)
        return what
    changed = bytearray(right)
    if what == "cut at a block":
        place = number // 6 * BLOCK % n
        changed = changed[:place]
    elif what == "cut":
        place = int(rng.integers(n))
        changed = changed[:place]
    elif what == "zeros":
        place = int(rng.integers(-(-n // BLOCK))) * BLOCK
        changed[place : place + BLOCK] = bytes(len(changed[place : place + BLOCK]))
    else:
        place = int(rng.integers(min(4096, n) if what == "flip at the head" else n))
        changed[place] ^= 1 << int(rng.integers(8))
    path.write_bytes(changed)
    return f"{what} {place}"


def one(kind: Kind, path: Path, done: str, said: str, command: bool) -> str:
    """Read a damaged file; returns "error", "same" or "other", or raises AssertionError."""
    before = path.read_bytes()
    try:
        outcome = "same" if kind.read(path) == said else "other"
    except MemoryError:
        outcome = "error"
    except ValueError as error:
        if kind.name.partition(".")[0] not in str(error):
            raise AssertionError(f"names no file: {error}") from error
        outcome = "error"
    if outcome == "other" and kind.has_digest and done != "members":
        raise AssertionError("another result, silently")
    if command:
        with tempfile.TemporaryDirectory() as folder:
            status, shown = command_line(kind.command(path, Path(folder)))
            left = [each.name for each in Path(folder).iterdir()]
        errors = [line for line in shown.splitlines() if "error" in line.lower()]
        assert status in ((0, 1, 2) if kind.name == "toy.yml" else (0, 2)), status
        if status:
            assert len(errors) == 1, f"{len(errors)} lines: {shown[-800:]}"
            assert not left, f"status {status} and files {left}"
        assert all(not name.startswith(".partial") for name in left)
    changed = path.read_bytes() != before
    assert not changed or (command and kind.name == "run.checkpoint"), "the file was changed"
    return outcome


def command_line(words: list[str]) -> tuple[int, str]:
    """Status and standard error of the command."""
    from scstlib.__main__ import main

    with contextlib.redirect_stderr(io.StringIO()) as shown, contextlib.redirect_stdout(None):
        try:
            status = main(words)
        except SystemExit as stopped:
            status = int(stopped.code or 0)
    return status, shown.getvalue()


def in_children(name: str, folder: Path, tries: range, seed: int) -> tuple[Counter[str], list[str]]:
    """Make all tries in children, a new one where one died; returns outcomes and findings."""
    counts: Counter[str] = Counter()
    found: list[str] = []
    log, path = folder / f"{name}.log", folder / name / KINDS[name].name
    right = path.read_bytes()
    first = tries.start
    while first < tries.stop:
        log.write_text("")
        path.write_bytes(right)
        child = os.fork()
        if not child:
            _work(name, folder, range(first, tries.stop), seed, log)
        _, status = os.waitpid(child, 0)
        last = first
        for line in log.read_text().splitlines():
            record = json.loads(line)
            last = record["try"]
            if "outcome" in record:
                counts[record["outcome"]] += 1
                last += 1
            if "found" in record:
                found.append(f"try {record['try']}, {record['done']}: {record['found']}")
        if status:
            ended = os.waitstatus_to_exitcode(status)
            kind = "hang" if -ended in (signal.SIGPROF, signal.SIGALRM) else "crash"
            counts[kind] += 1
            found.append(f"try {last}: {kind}, {ended}: {log.read_text()[-200:]}")
            assert log.read_text(), "the whole file cannot be read"
            last += 1
        first = last if status else tries.stop
    return counts, found


def _work(name: str, folder: Path, tries: range, seed: int, log: Path) -> None:
    """Make tries and note each, before and after; does not return."""
    status = 1
    try:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        kind, place = KINDS[name], folder / name
        right = (place / kind.name).read_bytes()
        said = kind.read(place / kind.name)
        with log.open("a", buffering=1) as notes:
            for number in tries:
                rng = np.random.default_rng([seed, number])
                done = damage(kind, right, place / kind.name, number, rng)
                notes.write(json.dumps({"try": number, "done": done}) + "\n")
                signal.setitimer(signal.ITIMER_PROF, SECONDS)
                signal.setitimer(signal.ITIMER_REAL, 60)
                record: dict[str, Any] = {"try": number, "done": done}
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        command = number % kind.command_every == 0
                        record["outcome"] = one(kind, place / kind.name, done, said, command)
                except Exception as error:
                    where = traceback.extract_tb(error.__traceback__)[-1]
                    record["outcome"] = "found"
                    record["found"] = f"{type(error).__name__}: {str(error)[:600]} ({where})"
                signal.setitimer(signal.ITIMER_PROF, 0)
                signal.setitimer(signal.ITIMER_REAL, 0)
                notes.write(json.dumps(record) + "\n")
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def campaign(kinds: list[str], tries: int, seed: int = 0) -> dict[str, Any]:
    """Damage a file of each kind so many times; returns what became of it."""
    report: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        child = os.fork()
        if not child:
            status = 1
            try:
                prepare(folder)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        for name in kinds:
            began = time.monotonic()
            counts, found = in_children(name, folder, range(tries), seed)
            report[name] = {**counts, "seconds": round(time.monotonic() - began, 1), "found": found}
            print(name, json.dumps(report[name])[:3000], file=sys.stderr, flush=True)
    return report
