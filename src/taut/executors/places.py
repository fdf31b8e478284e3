"""Which GPUs and CPUs each of several trials side by side gets: the slots of one allocation."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["ANYWHERE", "Place", "here", "pinned", "quietest", "share"]

_CUDA = "CUDA_VISIBLE_DEVICES"
# Slurm sets those that belong to the kind of GPU it knows of, or all of them if it does not know the kind.
_VARIABLES = (_CUDA, "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL")
_TOPOLOGY = "/sys/devices/system/cpu/cpu{}/topology"


class Place(NamedTuple):
    """What the processes of one slot may use. None: whatever the worker itself may.

    gpus: names as in CUDA_VISIBLE_DEVICES; none at all if empty. cpus: numbers as in `os.sched_getaffinity`.
    variables: the environment variables that name the GPUs.
    """

    gpus: tuple[str, ...] | None
    cpus: tuple[int, ...] | None
    variables: tuple[str, ...] = (_CUDA,)

    @property
    def environment(self) -> dict[str, str]:
        """The variables that keep a process to its GPUs."""
        return {} if self.gpus is None else dict.fromkeys(self.variables, ",".join(self.gpus))


ANYWHERE = Place(None, None)


def share(slots: int, gpus: Sequence[str] | None, cpus: Sequence[int] | None) -> list[Place]:
    """`slots` places of equal standing; neighbours in `cpus` stay together.

    Each slot gets the same number of GPUs, and what is left over stays idle: on another number of them a script
    may train another model (its batch is as large as they are many). If there are more slots than GPUs, slots
    share them in turn, 0, 1, 0, 1, so that the first two trials are not on the same one. CPUs change only the
    speed, and so all are handed out; where they are fewer than slots, nobody is bound to any.
    """
    return [Place(_gpus(slots, gpus, slot), _cpus(slots, cpus, slot)) for slot in range(slots)]


def _gpus(slots: int, gpus: Sequence[str] | None, slot: int) -> tuple[str, ...] | None:
    if not gpus:
        return None if gpus is None else ()
    each = len(gpus) // slots
    return tuple(gpus[slot * each : (slot + 1) * each]) if each else (gpus[slot % len(gpus)],)


def _cpus(slots: int, cpus: Sequence[int] | None, slot: int) -> tuple[int, ...] | None:
    if cpus is None or len(cpus) < slots:
        return None
    return tuple(cpus[len(cpus) * slot // slots : len(cpus) * (slot + 1) // slots])


def here(slots: int, confined: bool, environment: Mapping[str, str] = os.environ) -> list[Place]:
    """The places for `slots` trials side by side in this process's allocation.

    confined: whether the CPUs that this process may run on are its allocation's own; otherwise others
    share them in the same belief, and binding trials to some of them would crowd those.
    """
    variables = tuple(name for name in _VARIABLES if name in environment)
    text = environment[variables[0]] if variables else None
    gpus = None if text is None else [name.strip() for name in text.split(",") if name.strip()]
    cpus = None
    if confined and hasattr(os, "sched_getaffinity"):
        cpus = sorted(os.sched_getaffinity(0), key=_core)
    return [place._replace(variables=variables or (_CUDA,)) for place in share(slots, gpus, cpus)]


def _core(cpu: int) -> tuple[int, int, int]:
    """Sorts the hardware threads of a core next to each other: two slots should not share a core."""
    folder = Path(_TOPOLOGY.format(cpu))
    try:
        package, core = (int((folder / name).read_text()) for name in ("physical_package_id", "core_id"))
    except (OSError, ValueError):
        return 0, cpu, cpu
    return package, core, cpu


def quietest(places: Sequence[Place], free: Collection[int]) -> int:
    """The first of the `free` places whose GPUs the fewest others use."""
    busy = Counter(gpu for n, place in enumerate(places) if n not in free for gpu in place.gpus or ())
    return min(sorted(free), key=lambda n: sum(busy[gpu] for gpu in places[n].gpus or ()))


@contextlib.contextmanager
def pinned(cpus: Collection[int] | None) -> Iterator[None]:
    """Processes that this thread starts meanwhile are bound to `cpus`, from their first instruction on."""
    if cpus is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)  # of this thread alone
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
