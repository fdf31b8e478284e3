"""What a file system, a machine, a cluster and a study directory can and cannot do for taut: `taut doctor`.

Each check is one `Finding`. The `judge_...` functions turn a measurement into one and touch nothing.
The measurements are in `filesystem.py`, `machine.py` and `slurm/inventory.py`.
"""

from __future__ import annotations

import os
from pathlib import Path

from taut.doctor import cluster, files, host, hyperqueue, study
from taut.doctor.finding import Finding
from taut.errors import InputError
from taut.filesystem import mount_of
from taut.machine import Program
from taut.slurm.calls import available

__all__ = ["Finding", "examine", "examine_nodes"]


def examine(directory: Path) -> list[Finding]:
    """Look at the file system that holds `directory`, at this machine and its cluster, and at the study if there is one.

    directory: need not exist; its nearest existing parent is then looked at. The checks work in a
    directory of their own inside it, which is removed. They take some two seconds, and see only what one
    host can see.

    Raises `InputError` if `directory` is a file or lies in one.
    """
    place = _nearest(directory)
    programs = {
        "HyperQueue": Program("hq", "--version"),
        "GPU": Program("nvidia-smi", "--query-gpu=name", "--format=csv,noheader"),
    }
    try:
        found = [
            files.judge_mount(mount_of(place)),
            files.attempt("space", lambda: files.space(place)),
            *files.findings(place),
        ]
        found += host.findings()
        found.append(hyperqueue.finding(programs["HyperQueue"].answer(2.0)))
        found.append(host.judge_program("GPU", programs["GPU"].answer(2.0)))
        found += cluster.findings() if available() else [Finding("Slurm", "ok", "not here")]
    finally:
        for program in programs.values():
            program.end()
    return found + study.findings(place if place == Path(os.path.abspath(directory)) else None)


def examine_nodes(
    directory: Path, count: int, partition: str | None = None, account: str | None = None
) -> list[Finding]:
    """Look at `directory` from `count` nodes (1 or 2) of the Slurm cluster, by tiny jobs. At most some three minutes.

    partition, account: of the jobs.

    Raises `InputError` if `directory` is a file or lies in one, or where Slurm is not installed.
    """
    from taut.doctor.nodes import visit

    return visit(_nearest(directory), count, partition, account)


def _nearest(directory: Path) -> Path:
    """`directory`, or its nearest parent that exists."""
    place = Path(os.path.abspath(directory))
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise InputError(
            f"{place} is not a directory; give the directory of a study, or one to keep studies in"
        )
    return place
