"""Make ``.venv`` with the exact versions of ``constraints.txt``: ``python3 tools/setup.py``.

Needs nothing but Python >= 3.11. Of what the list names, torch excepted, pip takes only files whose
SHA-256 is in ``tools/hashes.txt``. A stamp, written last, says what the environment was made from:
it is made anew when that changes, and again when a set-up was interrupted. pip's own settings
(index, find-links, proxies) are left as they are.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
OLDEST = (3, 11)
LISTED_FOR = ("Linux", "x86_64", "3.11")  # what constraints.txt was frozen on
# Its builds for CPU and GPU come from several indexes, each with files of its own; what a build for
# GPU brings along (CUDA) has no pin.
WITHOUT_HASHES = ("torch",)
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
CUDA = re.compile(r"^(nvidia|cuda|triton)\b", re.IGNORECASE)


def stamp(choice: str) -> str:
    """What the environment is made from."""
    digest = hashlib.sha256(f"{sys.version} {choice}".encode())
    for name in ("constraints.txt", "pyproject.toml"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest() + "\n"


def pins() -> dict[str, str]:
    """Version of each package in ``constraints.txt``."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    return {canonical(name): version for name, version in (line.split("==") for line in lines)}


def hashed() -> dict[str, str]:
    """Entry of each package in ``tools/hashes.txt``: its version and the SHA-256 of its files."""
    text = (ROOT / "tools" / "hashes.txt").read_text(encoding="utf-8")
    entries = re.findall(r"^\w.*(?:\n    --hash=.*)+\n", text, re.MULTILINE)
    return {canonical(entry.partition("==")[0]): entry for entry in entries}


def differences() -> list[str]:
    """In what the hashes are not those of the pins."""
    versions = {n: entry.partition("==")[2].split(maxsplit=1)[0] for n, entry in hashed().items()}
    wanted = {name: version for name, version in pins().items() if name not in WITHOUT_HASHES}
    return [
        f"{name}: pinned is {wanted.get(name, 'none')}, hashes are of {versions.get(name, 'none')}"
        for name in sorted(wanted.keys() | versions.keys())
        if wanted.get(name) != versions.get(name)
    ]


def canonical(name: str) -> str:
    """A package's name as an index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pip(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
    """Run the environment's pip."""
    command = [str(VENV / "bin" / "python"), "-m", "pip", *arguments]
    return subprocess.run(command, cwd=ROOT, check=check)


def planned(*arguments: str, check: bool = True) -> set[str]:
    """Names of the packages that pip would install; none if it cannot and ``check`` is false."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        plan = ("install", "-qq", "--dry-run", "--report", str(report), "-c", "constraints.txt")
        if pip(*plan, *arguments, check=check).returncode:
            return set()
        items = json.loads(report.read_text(encoding="utf-8"))["install"]
    return {canonical(item["metadata"]["name"]) for item in items}


def would_bring_cuda(requirement: str) -> bool:
    """Whether pip, asked for its plan, would bring CUDA packages along with ``requirement``."""
    # Where it can make no plan, the real installation will say what is wrong.
    names = planned("--ignore-installed", requirement, check=False)
    return any(CUDA.match(name) for name in names)


def install_torch(choice: str, requirement: str) -> None:
    """Install the CPU or the CUDA build of torch; gigabytes of CUDA only where there is a GPU."""
    gpu = choice == "gpu" or (choice == "auto" and shutil.which("nvidia-smi") is not None)
    if choice == "cpu" or not gpu:
        if sys.platform == "linux" and would_bring_cuda(requirement):
            print("No NVIDIA GPU: taking torch's CPU build (`make setup TORCH=gpu` for the other).")
            pip("install", "-qq", "--no-deps", "--index-url", CPU_INDEX, requirement)
            return
        pip("install", "-qq", "--no-deps", "--no-compile", requirement)
        return
    pip("install", "-qq", "-c", "constraints.txt", requirement)


def install_listed(entries: list[str]) -> None:
    """Install exact versions, nothing resolved, in two halves at once: pip uses one core.

    Files whose SHA-256 is not in the entries are refused.
    """
    command = [str(VENV / "bin" / "python"), "-m", "pip", "install", "-qq", "--no-deps"]
    command += ["--no-compile", "--require-hashes", "--requirement"]
    with tempfile.TemporaryDirectory() as folder:
        halves = []
        for number, half in enumerate((entries[::2], entries[1::2])):
            if not half:
                continue
            listed = Path(folder) / f"{number}.txt"
            listed.write_text("".join(half), encoding="utf-8")
            halves.append(subprocess.Popen([*command, str(listed)], cwd=ROOT))
        failed = [each for each in halves if each.wait()]
    if failed:
        raise subprocess.CalledProcessError(failed[0].returncode, failed[0].args)


def say(stage: int, what: str) -> None:
    """One line for each stage, as pip says nothing for minutes."""
    print(f"make setup: {stage} of 4: {what}", flush=True)


def install(choice: str) -> None:
    """Install the exact list, then torch, then the package itself in editable form."""
    if found := differences():
        raise SystemExit(f"tools/hashes.txt: {'; '.join(found)}: run `make hashes`")
    entries = hashed()
    say(2, f"{len(entries)} exact versions; 1 to 3 min, the longest stage")
    here = (platform.system(), platform.machine(), f"{sys.version_info[0]}.{sys.version_info[1]}")
    if here != LISTED_FOR:
        # Another platform needs other packages beside the listed ones: let pip find them.
        print(f"constraints.txt was made on {LISTED_FOR}; pip resolves for {here}: some minutes.")
        names = planned("--editable", ".[book,test]")
        entries = {name: entry for name, entry in entries.items() if name in names}
    install_listed(list(entries.values()))
    torch = pins()["torch"]
    say(3, f"torch {torch}: 0.2 GB to download, gigabytes with a GPU; a minute. Then scstlib")
    install_torch(choice, f"torch=={torch}")
    if here == LISTED_FOR:
        pip("install", "-qq", "--no-deps", "--no-build-isolation", "--editable", ".")
        pip("check")
    else:
        pip("install", "-qq", "-c", "constraints.txt", "--editable", ".[book,test]")
    say(4, "compiling what was installed; half a minute on two cores")
    # On several cores, which pip does not; and now, because a warning of the compiler about a
    # package would be an error in the first test that imports it.
    workers = str(os.cpu_count() or 1)
    compile_all = [str(VENV / "bin" / "python"), "-m", "compileall", "-qq", "-j", workers]
    compile_all += ["-x", r"[/\\]tests?[/\\]"]  # never imported, a third of the time
    subprocess.run([*compile_all, str(next(VENV.glob("lib/python*/site-packages")))], check=False)


def main() -> int:
    """Make the environment unless it is there already."""
    if sys.version_info < OLDEST:
        found = platform.python_version()
        print(f"Python >= 3.11 is needed, and {sys.executable} is {found}.", file=sys.stderr)
        print("Name another one: `make book PYTHON=python3.12`.", file=sys.stderr)
        return 1
    choice = os.environ.get("TORCH") or "auto"
    if choice not in ("auto", "cpu", "gpu"):
        print(f"TORCH={choice}: say TORCH=cpu or TORCH=gpu.", file=sys.stderr)
        return 1
    mark = VENV / ".stamp"
    if mark.is_file() and mark.read_text() == stamp(choice):
        return 0
    print("make setup: an environment in .venv, with exact versions; about 4 min.", flush=True)
    started = time.monotonic()
    say(1, "an empty environment; seconds")
    mark.unlink(missing_ok=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
    try:
        install(choice)
    except subprocess.CalledProcessError as error:
        command = " ".join(map(str, error.cmd[1:]))
        print(f"make setup: FAILED in `{command}`; its message stands above.", file=sys.stderr)
        return 1
    mark.write_text(stamp(choice))
    print(f"make setup: done in {time.monotonic() - started:.0f} s.", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
