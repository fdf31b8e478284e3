"""Trials side by side share the cores: how many threads each should use."""

from __future__ import annotations

import os

from taut.executors.places import ANYWHERE, Place

__all__ = ["thread_limit"]


def thread_limit(slots: int, place: Place = ANYWHERE) -> dict[str, str]:
    """`OMP_NUM_THREADS` for one of `slots` children at `place`, unless the user has set it.

    Numerical libraries start a thread for each core of the machine. Several of them side by side then get in
    each other's way: measured on two cores, a second of training took ten.
    """
    if "OMP_NUM_THREADS" in os.environ:
        return {}
    if place.cpus is not None:
        return {"OMP_NUM_THREADS": str(len(place.cpus))}
    if slots == 1:
        return {}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"OMP_NUM_THREADS": str(max(1, cores // slots))}
