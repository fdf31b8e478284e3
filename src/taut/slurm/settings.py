"""What `[on.slurm]` asks for, as one checked value; `taut.studyfile.slurm` reads it from a table."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

__all__ = ["LEAST_NOTICE", "NOTICE", "Mode", "Settings", "usual_notice"]

Mode = Literal["async", "batch", "sequential"]

NOTICE = 120
"""Seconds before the end of a job at which its trials are asked to checkpoint, unless the file says otherwise."""


LEAST_NOTICE = 30
"""Slurm looks at the clock that seldom."""


def usual_notice(minutes: int | None) -> int:
    """Seconds of notice where the file names none: a short job has a quarter of its time."""
    return NOTICE if minutes is None else max(LEAST_NOTICE, min(NOTICE, minutes * 15))


class Settings(msgspec.Struct, frozen=True, omit_defaults=True):
    """The jobs of a study: what each asks Slurm for, and what it runs.

    partition, account, qos, constraint: as for sbatch; None leaves them to the cluster.
    gpus, gpu_type, cpus, memory: of one job, which is one worker on one node; memory as for ``sbatch --mem``.
    time: minutes; None is the partition's default.
    workers: jobs at the same time; None leaves it to taut.
    trial_gpus, trial_cpus: what one trial gets of a job; trial_gpus is whole, or a part of one GPU.
    setup: shell lines before the worker starts. extra: further options of sbatch.
    container: words in front of the interpreter, for instance ``["apptainer", "exec", "--nv", "image.sif"]``.
    python: the interpreter in the job; None is the present one, or ``python3`` in a container.
    snapshot: run a frozen copy of the project's files.
    notice: seconds before the end of a job at which its trials are asked to checkpoint; 0 for a job that has nothing to save.
    requeue: whether Slurm may start a job again after a node failure or a preemption.
    """

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    gpus: int = 0
    gpu_type: str | None = None
    cpus: int | None = None
    memory: str | None = None
    time: int | None = None
    workers: int | None = None
    mode: Mode = "async"
    trial_gpus: float | None = None
    trial_cpus: int | None = None
    setup: list[str] = []
    extra: list[str] = []
    container: list[str] = []
    python: str | None = None
    snapshot: bool = False
    notice: int = NOTICE
    requeue: bool = True

    @property
    def slots(self) -> int:
        """Trials side by side in one job; 0 where not even one fits.

        A trial's part of a GPU lies on one GPU: with 0.4 of one, two GPUs hold four trials, not five.
        """
        fits = []
        if self.trial_gpus is not None and self.trial_gpus < 1:
            fits.append(self.gpus * int(1 / self.trial_gpus + 1e-9))  # a third of one fits three times
        elif self.trial_gpus is not None:
            fits.append(self.gpus // int(self.trial_gpus))
        if self.trial_cpus is not None:
            fits.append((self.cpus or 1) // self.trial_cpus)
        return min(fits, default=1)

    @property
    def memory_mb(self) -> int | None:
        """`memory` in MiB, rounded up; 0 is all that a node has, as for sbatch, and None what the cluster gives."""
        if self.memory is None:
            return None
        number, unit = int(self.memory.rstrip("KMGT")), self.memory.lstrip("0123456789") or "M"
        return math.ceil(number * 1024.0 ** "KMGT".index(unit) / 1024)
