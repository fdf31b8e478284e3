"""What `[on.hyperqueue]` asks for, as one checked value; `taut.studyfile.hyperqueue` reads it from a table."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

__all__ = ["GPUS", "MOST", "Mode", "Settings", "Tasks"]

Tasks = Literal["worker", "trial"]
Mode = Literal["async", "batch", "sequential"]

GPUS: Final = "gpus/nvidia"
"""The name under which HyperQueue's workers offer the GPUs that they find."""

MOST: Final = 100_000
"""Tasks that are submitted at once, at most."""


class Settings(msgspec.Struct, frozen=True, omit_defaults=True):
    """The tasks of a study: what each asks HyperQueue for, and what it runs.

    server_dir: where the server says how it is reached; None leaves it to the environment.
    tasks: ``worker``, which takes trials until none is left, or ``trial``, which ends after one.
    workers: tasks that are workers; None leaves it to taut. mode: as for every worker.
    cpus, gpus, resources: of one task, by name; parts of one are parts of a second.
    min_time: seconds that HyperQueue's worker must have left for a task to start there.
    setup: shell lines before the worker starts. python: the interpreter in the task; None is the present one.
    """

    server_dir: str | None = None
    tasks: Tasks = "worker"
    workers: int | None = None
    mode: Mode = "async"
    cpus: float = 1
    gpus: float = 0
    resources: dict[str, float] = {}
    min_time: float = 0.0
    setup: list[str] = []
    python: str | None = None

    @property
    def amounts(self) -> dict[str, float]:
        """Everything that a task asks for, under HyperQueue's names."""
        return {"cpus": self.cpus, **({GPUS: self.gpus} if self.gpus else {}), **self.resources}
