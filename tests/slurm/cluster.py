"""A private Slurm on one machine, for the tests: one controller, four nodes, accounting and munge.

    python tests/slurm/cluster.py up DIR          # then: export SLURM_CONF=DIR/etc/slurm.conf
    python tests/slurm/cluster.py status DIR
    python tests/slurm/cluster.py down DIR [--wipe]

The daemons are the real ones, with short timers. They listen on 127.0.0.1 alone, keep everything below
DIR and carry DIR in their environment, by which `down` finds what belongs to this cluster. Linux and root
only: the fake GPUs are device files. Jobs are confined to their memory where the machine has version 1 of
cgroups, and nowhere to their processors. What is configured stands in `cluster_files.py` beside this file.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cluster_files
from cluster_processes import MARK, PATH, ClusterError, Daemons, kill, marked, wait_for

__all__ = ["Cluster", "ClusterError", "missing", "temporary"]

INSTALL = "apt-get install slurmctld slurmd slurmdbd slurm-client mariadb-server munge"
PROGRAMS = (
    "slurmctld",
    "slurmd",
    "slurmdbd",
    "sbatch",
    "sacctmgr",
    "munged",
    "mariadbd",
    "mariadb-install-db",
)
LONGEST_DIRECTORY = 60  # characters: UNIX sockets lie below it, and their paths may have 107


def missing() -> str:
    """Why no test cluster can run here; empty if one can."""
    if sys.platform != "linux":
        return "a test cluster needs Linux"
    if not all(shutil.which(program, path=PATH) for program in PROGRAMS):
        return f"Slurm is not installed: {INSTALL}"
    if os.geteuid() != 0:
        return "a test cluster needs root, for its fake GPUs"
    return ""


class Cluster:
    """A Slurm cluster below `directory`, which is made by `up` and may be left over from an earlier run."""

    nodes = cluster_files.NODES
    #: Whether a job that takes too much memory ends OUT_OF_MEMORY; else it is killed and ends FAILED.
    confines_memory = cluster_files.confines_memory()

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory).resolve()
        if len(str(self.directory)) > LONGEST_DIRECTORY:
            raise ClusterError(f"{self.directory} is too long a name: at most {LONGEST_DIRECTORY} characters")
        #: What a program needs in its environment to talk to this cluster.
        self.environment = {"SLURM_CONF": str(self.directory / "etc" / "slurm.conf")}
        # slurmdbd has no option for the socket of the database, but its client library has this variable.
        database = {"MYSQL_UNIX_PORT": str(self.directory / "db" / "socket")}
        self._daemons = Daemons(self.directory, {**self.environment, **database})

    # --- the whole cluster

    def up(self) -> None:
        """Start whatever does not run yet, and wait until every node takes jobs. Raises ClusterError."""
        if reason := missing():
            raise ClusterError(reason)
        self._claim()
        try:
            self._start()
        except BaseException:
            self._sweep()
            raise

    def down(self, wipe: bool = False) -> None:
        """End every process of this cluster, jobs included; with `wipe` remove its directory, too.

        What is wiped need not end in order, and is killed at once.
        """
        if not wipe:
            self._stop()
        self._sweep()
        if wipe:
            self._claim()
            if Path(self.environment["SLURM_CONF"]).exists():
                cluster_files.remove_cgroups(self.directory)
            shutil.rmtree(self.directory)

    def status(self) -> dict[str, bool]:
        """Which daemons run, by name."""
        names = ("munged", "mariadbd", "slurmdbd", "slurmctld", *self.nodes)
        return {name: self._daemons.pid(name) is not None for name in names}

    def run(self, *words: str, timeout: float = 30.0) -> str:
        """What a Slurm command prints; `timeout` in seconds. Raises ClusterError if it fails."""
        done = subprocess.run(
            words, env={**os.environ, **self.environment}, capture_output=True, text=True, timeout=timeout
        )
        if done.returncode != 0:
            raise ClusterError(f"{' '.join(words)}: exit code {done.returncode}: {done.stderr.strip()}")
        return done.stdout.rstrip("\n")

    def log(self, name: str) -> str:
        """What a daemon has logged: "slurmctld", "slurmdbd", "mariadbd", "munged" or a node's name."""
        paths = (self.directory / "log" / f"{name}.{kind}" for kind in ("log", "out"))
        texts = (path.read_text(encoding="utf-8", errors="replace") for path in paths if path.exists())
        return next(filter(None, texts), "")

    # --- nodes

    def kill_node(self, node: str) -> None:
        """Kill the slurmd of a node with SIGKILL. The processes of its jobs live on, as on a real node
        that has lost its network; half a minute later Slurm takes the node for dead."""
        pid = self._daemons.pid(node)
        if pid is None:
            raise ClusterError(f"{node} does not run")
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: self._daemons.pid(node) is None, 5.0, f"the end of {node}")

    def start_node(self, node: str) -> None:
        """Start the slurmd of a node; without effect if it runs."""
        self._daemons.start(node, "slurmd", "-D", "-N", node)

    def wait_idle(self, timeout: float = 60.0) -> None:
        """Wait until there is no job and every node is idle; `timeout` in seconds. Raises ClusterError."""
        wait_for(self._idle, timeout, "an idle cluster")

    def tidy(self, timeout: float = 60.0) -> None:
        """Cancel every job, bring back every node, and wait until all is idle; `timeout` in seconds."""
        for node in self.nodes:
            self.start_node(node)
        wait_for(self._settled, timeout, "a tidy cluster")
        kill(self._job_processes)  # those that outlived their node's slurmd

    # --- within

    def _claim(self) -> None:
        """Nothing is written into, or removed from, a directory that holds something else."""
        self.directory.mkdir(parents=True, exist_ok=True)
        claim = self.directory / "taut-test-cluster"
        if any(self.directory.iterdir()) and not claim.exists():
            raise ClusterError(f"{self.directory} holds something else than a test cluster; name another")
        claim.touch()

    def _start(self) -> None:
        directory = self.directory
        for name in ("etc", "run", "log", "state", "db", "gpu", *(f"spool/{node}" for node in self.nodes)):
            (directory / name).mkdir(parents=True, exist_ok=True)
        (directory / "db").chmod(0o700)  # whoever can open its socket owns the database
        if not Path(self.environment["SLURM_CONF"]).exists():
            cluster_files.write(directory)
        self._daemons.start("munged", *cluster_files.munged(directory))
        if not (directory / "db" / "mysql").exists():
            self._daemons.once(*cluster_files.make_database(directory))
        self._daemons.start("mariadbd", *cluster_files.mariadbd(directory))
        self._ready("mariadbd", (directory / "db" / "socket").exists)
        self._daemons.start("slurmdbd", "slurmdbd", "-D")
        for node in self.nodes:  # they look for the controller until it is there
            self.start_node(node)
        self._ready("slurmdbd", lambda: self._answers("sacctmgr", "-n", "show", "cluster"))
        accounts = directory / "state" / "accounts"
        if not accounts.exists():
            for step in cluster_files.ACCOUNTS:
                with ThreadPoolExecutor(len(step)) as threads:
                    list(threads.map(self._account, step))
            accounts.touch()
        self._daemons.start("slurmctld", "slurmctld", "-D")
        self._ready("slurmctld", lambda: self._answers("scontrol", "ping"))
        wait_for(self._idle, 60.0, "the nodes")

    def _account(self, command: str) -> None:
        self._daemons.once("sacctmgr", "-i", *command.split())

    def _stop(self) -> None:
        """End the daemons in order, so that what they know is on disk."""
        if self._daemons.pid("slurmctld") is not None:
            with contextlib.suppress(ClusterError, subprocess.TimeoutExpired):
                wait_for(lambda: not self._cancelled(), 10.0, "the end of the jobs")
        for names in (self.nodes, ("slurmctld",), ("slurmdbd",), ("mariadbd",), ("munged",)):
            self._daemons.stop(*names)

    def _sweep(self) -> None:
        kill(lambda: [*marked(f"{MARK}={self.directory}"), *self._job_processes()])
        self._daemons.reap()

    def _job_processes(self) -> list[int]:
        return marked(f"SLURM_CONF={self.environment['SLURM_CONF']}", "SLURM_JOB_ID")

    def _answers(self, *words: str) -> bool:
        try:
            self.run(*words)
        except ClusterError:
            return False
        return True

    def _ready(self, name: str, condition: Callable[[], bool]) -> None:
        wait_for(lambda: self._daemons.pid(name) is None or condition(), 30.0, name)
        if self._daemons.pid(name) is None:
            raise ClusterError(f"{name} has ended: {self.log(name)[-1000:]}")

    def _states(self) -> dict[str, str]:
        lines = self.run("sinfo", "-h", "-N", "-p", "main", "-o", "%N %T").splitlines()
        return dict(line.split(maxsplit=1) for line in lines)

    def _idle(self) -> bool:
        return self._states() == dict.fromkeys(self.nodes, "idle") and not self.run("squeue", "-h")

    def _cancelled(self) -> bool:
        """Whether there were jobs to cancel; a job that ends may just have submitted another."""
        jobs = bool(self.run("squeue", "-h"))
        if jobs:
            self.run("scancel", "--user=root")
        return jobs

    def _settled(self) -> bool:
        if self._cancelled():
            return False
        for node, state in self._states().items():
            if state.startswith(("down", "drain")):
                with contextlib.suppress(ClusterError):  # it has come back by itself
                    self.run("scontrol", "update", f"NodeName={node}", "State=RESUME")
        return self._idle()


@contextlib.contextmanager
def temporary() -> Iterator[Cluster]:
    """A new cluster for the time of a with statement. It ends with this process, even with SIGKILL."""
    cluster = Cluster(tempfile.mkdtemp(prefix="taut-slurm-", dir="/tmp"))
    watcher = subprocess.Popen(
        [sys.executable, __file__, "guard", str(cluster.directory), str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        cluster.up()
        yield cluster
    finally:
        cluster.down(wipe=True)
        watcher.kill()
        watcher.wait()


def guard(cluster: Cluster, parent: int) -> None:
    """Wait until the process that started this one is gone, then end the cluster and remove it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.getppid() == parent:
        time.sleep(0.2)
    cluster.down(wipe=True)


def main(words: Sequence[str]) -> int:
    match words:
        case ["up", directory]:
            cluster = Cluster(directory)
            cluster.up()
            print(f"it runs; now: export SLURM_CONF={cluster.environment['SLURM_CONF']}")
        case ["status", directory]:
            for name, runs in Cluster(directory).status().items():
                print(f"{name}: {'runs' if runs else 'does not run'}")
        case ["down", directory] | ["down", directory, "--wipe"] | ["down", "--wipe", directory]:
            Cluster(directory).down(wipe="--wipe" in words)
        case ["guard", directory, parent]:
            guard(Cluster(directory), int(parent))
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ClusterError as error:
        sys.exit(f"cluster: {error}")
