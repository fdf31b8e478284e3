"""What an account's limits and a partition's nodes leave to a plan."""

from __future__ import annotations

import functools
import math

import msgspec

from taut.errors import InputError
from taut.queue.shapes import Bounds
from taut.slurm import limits
from taut.slurm.limits import Request
from taut.slurm.settings import Settings
from taut.slurm.site import Partition, Site

__all__ = ["bounds", "unit", "widened"]

_LONGEST = 7 * 1440  # minutes; a plan looks no further, whatever may be asked for
_USUAL = 24 * 3600.0  # seconds, where nobody knows


def unit(settings: Settings) -> str:
    """What jobs are counted in."""
    return "GPU" if settings.gpus else "CPU"


def bounds(
    settings: Settings, site: Site | None, trials: int, longest: float | None = None, wider: bool = False
) -> Bounds:
    """What a plan for `trials` trials must keep to.

    site: None where Slurm was not asked; then all may run at a time that are wanted. longest: seconds, where somebody wants jobs to be shorter than they may be.
    wider: whether jobs may be as wide as a node, where the study does not say how many trials share one.

    Raises `InputError` where no job like these can start.
    """
    if longest is not None:  # said by whoever asks, it goes before the file
        settings = msgspec.structs.replace(settings, time=None)
    slots = 1 if settings.mode == "sequential" else settings.slots
    most = _USUAL if longest is None else longest
    room = Bounds(
        longest=most,
        units=(settings.gpus or settings.cpus or 1) / slots,
        wide=(slots,),
        workers=settings.workers,
        walltime=None if settings.time is None else 60.0 * settings.time,
        mode=settings.mode,
        partition=settings.partition,
        unit="gpus" if settings.gpus else "cpus",
    )
    if site is None:
        return room if room.walltime is None else room._replace(longest=max(most, room.walltime))
    minutes = _longest(settings, site)
    if settings.time is None:
        most = min(60.0 * minutes, math.inf if longest is None else longest)
    else:
        most = 60.0 * settings.time
    wide = _widths(settings, site) if wider else room.wide

    @functools.cache
    def at_once(seconds: float, side_by_side: int) -> int:
        asked = msgspec.structs.replace(
            widened(settings, side_by_side // slots), time=math.ceil(seconds / 60)
        )
        try:
            return max(limits.check(Request.of(asked, trials, None), site).at_once, 1)
        except InputError:
            return 0

    found = _partition(settings, site)
    where = None if found is None else found.name
    return room._replace(longest=most, at_once=at_once, wide=wide, partition=where)


def widened(settings: Settings, times: int) -> Settings:
    """Jobs that hold so many times as much."""
    if times == 1:
        return settings
    memory = settings.memory
    if memory is not None:
        memory = f"{int(memory.rstrip('KMGT')) * times}{memory.lstrip('0123456789')}"
    cpus = None if settings.cpus is None and settings.gpus else (settings.cpus or 1) * times
    return msgspec.structs.replace(settings, gpus=settings.gpus * times, cpus=cpus, memory=memory)


def _longest(settings: Settings, site: Site) -> int:
    """Minutes of the longest job that can start; what is asked for, where that is said."""

    def check(minutes: int) -> None:
        limits.check(Request.of(msgspec.structs.replace(settings, time=minutes), 1, 1), site)

    if settings.time is not None:
        check(settings.time)
        return settings.time
    check(1)
    low, high = 1, _LONGEST + 1
    while high - low > 1:
        middle = (low + high) // 2
        try:
            check(middle)
            low = middle
        except InputError:
            high = middle
    return low


def _widths(settings: Settings, site: Site) -> tuple[int, ...]:
    """Trials side by side that are worth comparing: one, and as many as fill a node; only these where nodes are given away whole."""
    if settings.trial_gpus is not None or settings.trial_cpus is not None or settings.mode == "sequential":
        return (1 if settings.mode == "sequential" else settings.slots,)
    partition = _partition(settings, site)
    if partition is None or not partition.nodes:
        return (1,)
    if settings.gpus:
        fits = min(
            (sum(one.gpus.values()) // settings.gpus for one in partition.nodes if one.gpus), default=1
        )
    elif partition.whole:
        fits = min(one.cpus for one in partition.nodes) // (settings.cpus or 1)
    else:
        fits = 1
    if fits <= 1:
        return (1,)
    return (fits,) if partition.whole else (1, fits)


def _partition(settings: Settings, site: Site) -> Partition | None:
    """The partition where the jobs go, if it is one."""
    for one in site.partitions:
        if one.name == settings.partition or (settings.partition is None and one.default):
            return one
    return None
