"""What a process knows of the job that it runs in, from the variables that Slurm has set."""

from __future__ import annotations

import functools
import os
import re
import stat
import time
from collections.abc import Mapping
from datetime import datetime

from taut.events import Allocation

__all__ = ["ending", "ends", "here", "read"]

_SAID = re.compile(rb"\*\*\* JOB (\d+) ON \S+ CANCELLED AT (\S+)(?: DUE TO ([A-Z ]+))?", re.IGNORECASE)
_CAUSES = {
    b"PREEMPTION": "was preempted",
    b"JOB REQUEUE": "was requeued",
    b"TIME LIMIT": "ran into its time limit",
}
_TAIL = 1 << 16  # bytes at the end of the job's log in which Slurm's word is looked for
_RECENT = 30.0  # seconds; an older word is about an earlier life, which wrote into the same log


@functools.lru_cache(maxsize=1)
def here() -> Allocation | None:
    """The job that this process runs in; None outside of a job."""
    return read(os.environ)


def read(variables: Mapping[str, str]) -> Allocation | None:
    """The job that a process with these environment variables runs in.

    A shell on the login node that holds an allocation (`salloc`) is not in the job: nothing on that host ends
    with it, so SLURMD_NODENAME has to be there, too.
    """
    number, node = variables.get("SLURM_JOB_ID", ""), variables.get("SLURMD_NODENAME", "")
    if not number.isdigit() or not node:
        return None
    array, task = variables.get("SLURM_ARRAY_JOB_ID"), variables.get("SLURM_ARRAY_TASK_ID")
    return Allocation(
        cluster=variables.get("SLURM_CLUSTER_NAME", ""),
        id=int(number),
        life=_whole(variables.get("SLURM_RESTART_COUNT")),
        label=f"{array}_{task}" if array and task else number,
        node=node,
        gpus=_gpus(variables),
        cpus=_whole(variables.get("SLURM_CPUS_ON_NODE")),
    )


def ends(variables: Mapping[str, str]) -> float | None:
    """When the job ends, seconds since the epoch, where Slurm says so (from release 23.02 on)."""
    text = variables.get("SLURM_JOB_END_TIME", "")
    return float(text) if text.isdigit() else None


def ending(job: Allocation) -> str | None:
    """Why Slurm ends this very job, once it has sent SIGTERM; None where it has not said so.

    It writes that into the job's log before it sends the signal, and the log is our stderr. Asking Slurm instead
    would take seconds: until the job has ended it only says that it is being ended.
    """
    try:
        if not stat.S_ISREG(os.fstat(2).st_mode):
            return None
        with open("/proc/self/fd/2", "rb") as log:
            log.seek(max(0, os.fstat(2).st_size - _TAIL))
            said = [found for found in _SAID.finditer(log.read()) if int(found[1]) == job.id]
        if not said or abs(time.time() - datetime.fromisoformat(said[-1][2].decode()).timestamp()) > _RECENT:
            return None
    except (OSError, ValueError):
        return None
    return f"job {job.label} {_CAUSES.get((said[-1][3] or b'').strip().upper(), 'was cancelled')}"


def _gpus(variables: Mapping[str, str]) -> int:
    if count := _whole(variables.get("SLURM_GPUS_ON_NODE")):
        return count
    names = variables.get("SLURM_JOB_GPUS") or variables.get("CUDA_VISIBLE_DEVICES", "")
    return len([name for name in names.split(",") if name.strip()])


def _whole(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 0
