"""A HyperQueue for tests: a server with workers in a process of its own, which nobody outside this machine can reach.

The package's `LocalCluster` listens on all addresses. So the process lives in a network of its own, and so does
whoever talks to it: `Cluster.enter` gives the words that put a command there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from processes import SOURCE, until

__all__ = ["Cluster", "missing"]

_SERVER = """\
import sys
from hyperqueue import LocalCluster
from hyperqueue.cluster import WorkerConfig

cluster = LocalCluster(sys.argv[1])
for _ in range(int(sys.argv[2])):
    cluster.start_worker(WorkerConfig(cores=1))
open(sys.argv[3], "w").close()
sys.stdin.read()
cluster.stop()
"""


def missing() -> str | None:
    """Why there can be no HyperQueue here; None if there can."""
    try:
        import hyperqueue  # noqa: F401
    except ImportError:
        return "the Python package hyperqueue is not installed"
    if not all(shutil.which(name) for name in ("unshare", "nsenter", "ip")):
        return "unshare, nsenter or ip is not here, and the server would be reachable from other machines"
    if subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode:
        return "a network of its own needs root, and the server would be reachable from other machines"
    return None


class Cluster:
    """A server in `folder` with workers of one CPU each; it may be killed and started anew."""

    def __init__(self, folder: Path, workers: int = 2) -> None:
        self.folder, self._workers = folder, workers
        folder.mkdir(parents=True, exist_ok=True)
        self._program = folder / "server.py"
        self._program.write_text(_SERVER, encoding="utf-8")
        # Whoever holds the network; it outlives servers, as a machine does.
        self._network = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", "ip link set lo up && echo up && exec sleep 600"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._network.stdout is not None and self._network.stdout.readline() == "up\n"
        self._server: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def directory(self) -> Path:
        """What `server_dir` is to be."""
        return self.folder / "server"

    @property
    def enter(self) -> list[str]:
        """The words in front of a command that is to see the server."""
        return ["nsenter", f"--net=/proc/{self._network.pid}/ns/net"]

    @property
    def environment(self) -> dict[str, str]:
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(("TAUT_", "HQ_", "SLURM_"))
        }
        return {**kept, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}

    def start(self) -> None:
        ready = self.folder / "ready"
        ready.unlink(missing_ok=True)
        with open(self.folder / "server.log", "ab") as log:
            self._server = subprocess.Popen(
                [*self.enter, sys.executable, self._program, self.directory, str(self._workers), ready],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=self.environment,
            )
        until(ready.exists, 30)

    def kill(self) -> None:
        """The server and its workers die without a word, as a machine does; what they ran is told by the kernel."""
        assert self._server is not None
        self._server.kill()
        self._server.wait()

    def close(self) -> None:
        self.kill()
        self._network.kill()
        self._network.wait()
