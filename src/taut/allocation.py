"""What a process knows of the job that it runs in, from the variables that Slurm has set."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping

from taut.events import Allocation

__all__ = ["ends", "here", "read"]


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


def _gpus(variables: Mapping[str, str]) -> int:
    if count := _whole(variables.get("SLURM_GPUS_ON_NODE")):
        return count
    names = variables.get("SLURM_JOB_GPUS") or variables.get("CUDA_VISIBLE_DEVICES", "")
    return len([name for name in names.split(",") if name.strip()])


def _whole(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 0
