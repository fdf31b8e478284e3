"""Trials side by side share the cores: how many threads each should use."""

from __future__ import annotations

import os

__all__ = ["thread_limit"]


def thread_limit(slots: int) -> dict[str, str]:
    """`OMP_NUM_THREADS` for each of `slots` children, unless the user has set it.

    Numerical libraries start a thread for each core of the machine. Several of them side by side then get in
    each other's way: measured on two cores, a second of training took ten.
    """
    if slots == 1 or "OMP_NUM_THREADS" in os.environ:
        return {}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"OMP_NUM_THREADS": str(max(1, cores // slots))}
