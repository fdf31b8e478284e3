"""Which GPUs and CPUs each of several trials side by side gets: the slots of one allocation."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from taut import allocation
from taut.errors import InputError
from taut.metrics.meters.watch import Devices

__all__ = ["ANYWHERE", "Place", "devices", "here", "of_job", "pinned", "quietest", "room", "share"]

_CUDA = "CUDA_VISIBLE_DEVICES"
# Slurm sets those that belong to the kind of GPU it knows of, or all of them if it does not know the kind.
_VARIABLES = (_CUDA, "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL")
_DRIVER = Path("/proc/driver/nvidia/gpus")
_TOPOLOGY = "/sys/devices/system/cpu/cpu{}/topology"


class Place(NamedTuple):
    """What the processes of one slot may use. None: whatever the worker itself may.

    gpus: names as in CUDA_VISIBLE_DEVICES; none at all if empty. cpus: numbers as in `os.sched_getaffinity`.
    variables: the environment variables that name the GPUs. part: how many GPUs of this worker's a trial here stands for, which may be
    more than it sees: what no slot can use is held all the same.
    """

    gpus: tuple[str, ...] | None
    cpus: tuple[int, ...] | None
    variables: tuple[str, ...] = (_CUDA,)
    part: float = 0.0

    @property
    def environment(self) -> dict[str, str]:
        """The variables that keep a process to its GPUs."""
        return {} if self.gpus is None else dict.fromkeys(self.variables, ",".join(self.gpus))


ANYWHERE = Place(None, None)


def share(
    slots: int, gpus: Sequence[str] | None, cpus: Sequence[int] | None, each: float | None = None
) -> list[Place]:
    """`slots` places of equal standing; neighbours in `cpus` stay together.

    each: GPUs of a slot, whole or a part of one; None divides them evenly. Every slot gets the same number, and what
    is left over stays idle: on another number of them a script may train another model (its batch is as large as they
    are many). Slots that share GPUs have them in turn, 0, 1, 0, 1, so that the first two trials are not on the same
    one. CPUs change only the speed, and so all are handed out; where they are fewer than slots, nobody is bound to any.

    Raises `InputError` if there are too few GPUs for `each`.
    """
    number = None if gpus is None else _number(slots, len(gpus), each)
    part = (each or len(gpus) / slots) if gpus else 0.0
    return [Place(_gpus(gpus, number, slot), _cpus(slots, cpus, slot), part=part) for slot in range(slots)]


def _number(slots: int, gpus: int, each: float | None) -> int:
    """Whole GPUs of one slot; 0 where several slots are to share one."""
    if each is None:
        return gpus // slots
    fit = _fit(gpus, each)
    if fit < slots:
        raise InputError(
            f"{slots} trials side by side with {each:g} GPUs each do not fit, this process has {gpus} GPUs "
            f"({_CUDA}), enough for {fit}; start fewer side by side, or give each less",
            ("--trial-gpus",),
        )
    return int(each)


def _gpus(gpus: Sequence[str] | None, number: int | None, slot: int) -> tuple[str, ...] | None:
    if not gpus or number is None:
        return None if gpus is None else ()
    return tuple(gpus[slot * number : (slot + 1) * number]) if number else (gpus[slot % len(gpus)],)


def _cpus(slots: int, cpus: Sequence[int] | None, slot: int) -> tuple[int, ...] | None:
    if cpus is None or len(cpus) < slots:
        return None
    return tuple(cpus[len(cpus) * slot // slots : len(cpus) * (slot + 1) // slots])


def of_job(slots: int, each: float | None = None) -> list[Place]:
    """The places for `slots` trials side by side in what this process holds, with `each` so many GPUs (see `share`).

    CPUs are handed out only in a job that has those it may run on for itself. Outside of a job, and where nobody has said which
    GPUs to use, all that the machine has are handed out.
    """
    job = allocation.here()
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    environment: Mapping[str, str] = os.environ
    if job is None and not any(name in environment for name in _VARIABLES) and (count := installed()):
        environment = {**environment, _CUDA: ",".join(map(str, range(count)))}
    places = here(slots, job is not None and usable == job.cpus, environment, each)
    if job is not None and job.gpus:
        places = [place._replace(part=job.gpus / slots) for place in places]
    return places


def room(each: float) -> int:
    """How many trials with `each` so many GPUs fit side by side in what this process holds. Raises `InputError` if none does."""
    gpus = len(of_job(1)[0].gpus or ())
    if not (count := _fit(gpus, each)):
        raise InputError(f"a trial is to have {each:g} GPUs, and this process has {gpus} ({_CUDA})")
    return count


def _fit(gpus: int, each: float) -> int:
    return gpus // int(each) if each >= 1 else gpus * int(1 / each + 1e-9)  # a third of one fits three times


def installed(driver: Path = _DRIVER) -> int:
    """How many GPUs this machine has, as far as NVIDIA's driver tells without a library."""
    try:
        return len(os.listdir(driver))
    except OSError:
        return 0


def devices(places: Sequence[Place]) -> list[Devices]:
    """The GPUs of each place as meters see them."""
    users = Counter(gpu for place in places for gpu in place.gpus or ())
    return [
        Devices(
            place.gpus, place.part >= 1.0 and all(users[gpu] == 1 for gpu in place.gpus or ()), place.part
        )
        for place in places
    ]


def here(
    slots: int, confined: bool, environment: Mapping[str, str] = os.environ, each: float | None = None
) -> list[Place]:
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
    return [place._replace(variables=variables or (_CUDA,)) for place in share(slots, gpus, cpus, each)]


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
