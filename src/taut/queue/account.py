"""What an account's limits and a partition's nodes leave to a plan."""

from __future__ import annotations

import functools
import math

import msgspec

from taut.errors import InputError
from taut.queue.shapes import Bounds
from taut.slurm import fitting, limits
from taut.slurm.limits import Request
from taut.slurm.settings import Settings
from taut.slurm.site import Nodes, Partition, Site

__all__ = ["bounds", "longest", "unit", "widened", "width"]

_LONGEST = 7 * 1440  # minutes; a plan looks no further, whatever may be asked for
_USUAL = 24 * 3600.0  # seconds, where nobody knows


def unit(settings: Settings) -> str:
    """What jobs are counted in."""
    return "GPU" if settings.gpus else "CPU"


def bounds(
    settings: Settings,
    site: Site | None,
    trials: int,
    shorter: float | None = None,
    *,
    wider: bool = False,
    any_mode: bool = False,
) -> Bounds:
    """What a plan for `trials` trials must keep to.

    site: None where Slurm was not asked; then all may run at a time that are wanted. shorter: seconds, where somebody wants jobs to be shorter than they may be.
    wider: whether jobs may be as wide as a node, where the study does not say how many trials share one. any_mode: whether it leaves the mode open.

    Raises `InputError` where no job like these can start.
    """
    if shorter is not None:  # said by whoever asks, it goes before the file
        settings = msgspec.structs.replace(settings, time=None)
    slots = 1 if settings.mode == "sequential" else settings.slots
    most = _USUAL if shorter is None else shorter
    room = Bounds(
        longest=most,
        units=(settings.gpus or settings.cpus or 1) / slots,
        wide=(slots,),
        workers=settings.workers,
        walltime=None if settings.time is None else 60.0 * settings.time,
        mode=None if any_mode and settings.mode == "async" else settings.mode,
        partition=settings.partition,
        unit="gpus" if settings.gpus else "cpus",
    )
    if site is None:
        return room if room.walltime is None else room._replace(longest=max(most, room.walltime))
    minutes = longest(settings, site)
    if settings.time is None:
        most = min(60.0 * minutes, math.inf if shorter is None else shorter)
    else:
        most = 60.0 * settings.time
    wide = _widths(settings, site) if wider else room.wide

    @functools.cache
    def at_once(seconds: float, side_by_side: int) -> int:
        asked = widened(settings, max(side_by_side // slots, 1))
        asked = msgspec.structs.replace(asked, time=math.ceil(seconds / 60))
        try:
            return max(limits.check(Request.of(asked, trials, None), site).at_once, 1)
        except InputError:
            return 0

    found = _partition(settings, site)
    where = None if found is None else found.name
    return room._replace(longest=most, at_once=at_once, wide=wide, partition=where)


def widened(settings: Settings, times: int) -> Settings:
    """Jobs that hold so many times as much, for as many trials side by side, each of which gets what a job would have had."""
    if times == 1:
        return settings
    memory = settings.memory
    if memory is not None:
        memory = f"{int(memory.rstrip('KMGT')) * times}{memory.lstrip('0123456789')}"
    each = settings.cpus or (None if settings.gpus else 1)
    shared = settings.trial_gpus is not None or settings.trial_cpus is not None  # the study says itself how
    return msgspec.structs.replace(
        settings,
        gpus=settings.gpus * times,
        cpus=None if each is None else each * times,
        memory=memory,
        trial_gpus=settings.trial_gpus if shared or not settings.gpus else float(settings.gpus),
        trial_cpus=settings.trial_cpus if shared else each,
    )


def width(settings: Settings, slots: int) -> int:
    """How many times as wide a job has to be for so many trials side by side."""
    return max(slots // max(settings.slots, 1), 1)


def longest(settings: Settings, site: Site) -> int:
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
    if partition is None or not (settings.gpus or partition.whole):
        return (1,)
    nodes = [node for node in partition.nodes if node.gpus or not settings.gpus]
    fits = min((_beside(settings, node, partition, site) for node in nodes), default=1)
    while fits > 1 and not _starts(widened(settings, fits), site):
        fits -= 1
    if fits <= 1:
        return (1,)
    return (fits,) if partition.whole else (1, fits)


def _beside(settings: Settings, node: Nodes, partition: Partition, site: Site) -> int:
    """How many trials a node holds side by side, with the GPUs, CPUs and memory that each of them asks for."""
    gpus = sum(node.gpus.values()) if settings.gpu_type is None else node.gpus.get(settings.gpu_type, 0)
    most = gpus // settings.gpus if settings.gpus else node.cpus // (settings.cpus or 1)
    for times in range(most, 1, -1):
        need = fitting.needs(Request.of(widened(settings, times), 1, 1), partition, site.config)
        if need["cpu"] <= node.cpus and need["mem"] <= node.memory:
            return times
    return 1


def _starts(settings: Settings, site: Site) -> bool:
    """Whether such a job can start, if it is short."""
    try:
        limits.check(Request.of(msgspec.structs.replace(settings, time=settings.time or 1), 1, 1), site)
    except InputError:
        return False
    return True


def _partition(settings: Settings, site: Site) -> Partition | None:
    """The partition where the jobs go, if it is one."""
    for one in site.partitions:
        if one.name == settings.partition or (settings.partition is None and one.default):
            return one
    return None
