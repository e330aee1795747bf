"""A sweep on a real Slurm of one node, started for it and ended after it.

    python -m benchmarks.compare.one_node_slurm [--profile tiny] [--output FILE]

For a machine without a cluster, to see that the sweep runs on one. It needs Debian's packages
``slurm-wlm`` and ``munge``, ``snakemake-executor-plugin-slurm`` and the rights of root, and refuses
a machine that has a Slurm of its own. On a real cluster leave out what this script starts:

    snakemake -s benchmarks/compare/Snakefile --config profile=full --executor slurm --jobs 40
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.compare.jobs import PROFILES
from benchmarks.record import ROOT, argument_parser

PROGRAMS = ("munged", "slurmctld", "slurmd", "sinfo", "sbatch", "squeue")
CONFIGURATION = Path("/etc/slurm/slurm.conf")  # A job's steps look nowhere else.
MUNGE_KEY, MUNGE_RUN = Path("/etc/munge/munge.key"), Path("/run/munge")


def why_not() -> str:
    """Why this machine cannot start a Slurm for a sweep; empty if it can."""
    lacking = [name for name in PROGRAMS if shutil.which(name) is None]
    if lacking:
        return f"{lacking[0]} is not installed: apt-get install slurm-wlm munge"
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        return "snakemake-executor-plugin-slurm is not installed: pip install it"
    if os.geteuid() != 0:
        return "only root can start the daemons of Slurm"
    if CONFIGURATION.exists():
        return f"{CONFIGURATION} is there already: this machine has a Slurm of its own"
    return ""


def configuration(folder: Path) -> str:
    """One node and one partition; no accounting; whatever is written lies in ``folder``."""
    name = socket.gethostname().split(".")[0]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return "\n".join([
        "ClusterName=one", f"SlurmctldHost={name}", "SlurmUser=root", "SlurmdUser=root",
        "AuthType=auth/munge", "ProctrackType=proctrack/linuxproc", "TaskPlugin=task/none",
        "SelectType=select/cons_tres", "SelectTypeParameters=CR_Core_Memory",
        "AccountingStorageType=accounting_storage/none", "JobAcctGatherType=jobacct_gather/none",
        "MpiDefault=none", "ReturnToService=2", f"StateSaveLocation={folder}/state",
        f"SlurmdSpoolDir={folder}/spool", f"SlurmctldLogFile={folder}/slurmctld.log",
        f"SlurmdLogFile={folder}/slurmd.log", f"SlurmctldPidFile={folder}/slurmctld.pid",
        f"SlurmdPidFile={folder}/slurmd.pid",
        f"NodeName={name} CPUs={os.cpu_count()} RealMemory={memory * 9 // 10} State=UNKNOWN",
        f"PartitionName=main Nodes={name} Default=YES MaxTime=INFINITE State=UP", "",
    ])  # fmt: skip


@contextmanager
def one_node(folder: Path) -> Iterator[None]:
    """A Slurm of one node, idle; its daemons are ended by the numbers in their own files.

    Raises
    ------
    RuntimeError
        If it cannot be started, with what its log says last.
    """
    if reason := why_not():
        raise RuntimeError(reason)
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    socket.gethostbyname(socket.gethostname())  # The nodes find each other by name.
    own_munge = start_munge()
    CONFIGURATION.parent.mkdir(exist_ok=True)
    CONFIGURATION.write_text(configuration(folder))
    try:
        for daemon in ("slurmctld", "slurmd"):
            subprocess.run([daemon, "-f", CONFIGURATION], check=True)
        wait_until_idle(folder)
        yield
    finally:
        for daemon in ("slurmd", "slurmctld"):
            end(folder / f"{daemon}.pid")
        if own_munge:
            end(MUNGE_RUN / "munged.pid")
        CONFIGURATION.unlink(missing_ok=True)


def start_munge() -> bool:
    """Start what Slurm knows its own by; whether it was not running before."""
    if (MUNGE_RUN / "munge.socket.2").exists():
        return False
    MUNGE_RUN.mkdir(exist_ok=True)
    if not MUNGE_KEY.exists():
        MUNGE_KEY.parent.mkdir(exist_ok=True)
        MUNGE_KEY.write_bytes(os.urandom(1024))
    for path in (MUNGE_KEY.parent, MUNGE_KEY, MUNGE_RUN):
        shutil.chown(path, "munge", "munge")
    MUNGE_KEY.chmod(0o400)
    subprocess.run(["su", "munge", "-s", "/bin/sh", "-c", "munged --force"], check=True)
    return True


def wait_until_idle(folder: Path, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        said = subprocess.run(["sinfo", "-h", "-o", "%t"], capture_output=True, text=True)
        if said.stdout.strip() == "idle":
            return
        time.sleep(0.5)
    logs = [path.read_text().splitlines()[-1:] for path in sorted(folder.glob("*.log"))]
    raise RuntimeError(f"the node is not idle after {seconds:.0f} s: {logs}")


def end(pid_file: Path) -> None:
    """End the daemon that wrote its number there, and wait for it."""
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text())
    os.kill(pid, signal.SIGTERM)
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists():
            return
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)


def sweep(profile: str, folder: Path, output: Path, n_jobs: int = 2) -> None:
    """Run a sweep of a profile through the scheduler.

    Raises
    ------
    subprocess.CalledProcessError
        If a job failed.
    """
    command = [
        sys.executable, "-m", "snakemake", "-s", str(ROOT / "benchmarks/compare/Snakefile"),
        "--executor", "slurm", "--jobs", str(n_jobs), "--slurm-status-command", "squeue",
        "--slurm-no-account", "--slurm-init-seconds-before-status-checks", "5",
        "--slurm-keep-successful-logs", "--slurm-logdir", str(folder / "logs"),
        "--default-resources", "slurm_partition=main", "mem_mb=2000",
        "--config", f"profile={profile}", f"folder={folder}/rows", f"output={output.resolve()}",
    ]  # fmt: skip
    subprocess.run(command, check=True, cwd=folder)


def main() -> None:
    parser = argument_parser(__file__, __doc__, output=False)
    parser.add_argument("--profile", choices=list(PROFILES), default="tiny")
    parser.add_argument("--output", type=Path, default=Path("_build/compare/slurm.csv"))
    arguments = parser.parse_args()
    if reason := why_not():
        parser.error(reason)
    with tempfile.TemporaryDirectory() as folder, one_node(Path(folder)):
        sweep(arguments.profile, Path(folder), arguments.output)


if __name__ == "__main__":
    main()
