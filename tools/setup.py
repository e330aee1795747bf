"""Make ``.venv`` with the exact versions of ``constraints.txt``: ``python3 tools/setup.py``.

Needs nothing but Python >= 3.11. A stamp, written last, says what the environment was made from; it
is made anew when that changes, and again when a set-up was interrupted. pip's own settings (index,
find-links, proxies) are left as they are.
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
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
CUDA = re.compile(r"^(nvidia|cuda|triton)\b", re.IGNORECASE)


def stamp(choice: str) -> str:
    """What the environment is made from."""
    digest = hashlib.sha256(f"{sys.version} {choice}".encode())
    for name in ("constraints.txt", "pyproject.toml"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest() + "\n"


def pip(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
    """Run the environment's pip."""
    command = [str(VENV / "bin" / "python"), "-m", "pip", *arguments]
    return subprocess.run(command, cwd=ROOT, check=check)


def would_bring_cuda(requirement: str) -> bool:
    """Whether pip, asked for its plan, would bring CUDA packages along with ``requirement``."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        plan = ("install", "-qq", "--dry-run", "--ignore-installed", "--report", str(report))
        if pip(*plan, "-c", "constraints.txt", requirement, check=False).returncode:
            return False  # the real installation will say what is wrong
        planned = json.loads(report.read_text(encoding="utf-8"))["install"]
    return any(CUDA.match(item["metadata"]["name"]) for item in planned)


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


def install_listed(requirements: list[str]) -> None:
    """Install exact versions, nothing resolved, in two halves at once: pip uses one core."""
    command = [str(VENV / "bin" / "python"), "-m", "pip", "install", "-qq", "--no-deps"]
    command += ["--no-compile"]
    halves = [subprocess.Popen([*command, *requirements[i::2]], cwd=ROOT) for i in range(2)]
    failed = [half for half in halves if half.wait()]
    if failed:
        raise subprocess.CalledProcessError(failed[0].returncode, command)


def say(stage: int, what: str) -> None:
    """One line for each stage, as pip says nothing for minutes."""
    print(f"make setup: {stage} of 4: {what}", flush=True)


def install(choice: str) -> None:
    """Install torch, then the exact list, then the package itself in editable form."""
    requirements = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    torch = next(line for line in requirements if line.startswith("torch=="))
    say(2, f"{torch.replace('==', ' ')}: 0.2 GB to download, gigabytes with a GPU; a minute")
    install_torch(choice, torch)
    say(3, f"{len(requirements) - 1} exact versions, and scstlib; 1 to 3 min, the longest stage")
    here = (platform.system(), platform.machine(), f"{sys.version_info[0]}.{sys.version_info[1]}")
    if here == LISTED_FOR:
        install_listed([line for line in requirements if line != torch])
        pip("install", "-qq", "--no-deps", "--no-build-isolation", "--editable", ".")
        pip("check")
    else:
        # Another platform needs other packages beside the listed ones: let pip find them.
        print(f"constraints.txt was made on {LISTED_FOR}; pip resolves for {here}: some minutes.")
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
