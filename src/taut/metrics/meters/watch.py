"""What trials side by side use, seen by the process that has started them.

It looks whenever its owner has a moment, seldom enough that looking takes less than 1/400 of one core in the long run, however large the
machine.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from taut import machine
from taut.metrics.meters.nvml import Gpu, gpu
from taut.metrics.meters.own import GB
from taut.metrics.meters.rapl import Packages, Stand
from taut.metrics.meters.tree import Trees
from taut.readings import Readings, short

__all__ = ["ANY", "Devices", "Watch", "merged"]

_FIRST = 0.04  # seconds after its start in which a trial is looked at first: many commands take no longer
_LEAST = 0.2  # seconds between two looks at least
_PART = 400.0  # of so many seconds one may be spent on looking ...
_AHEAD = 0.03  # ... and so many seconds ahead of that, so that short trials are looked at often enough
_COUNTED = 2.0  # seconds that a trial has to take for energy to be told: counters move in steps
_OFTEN = 3  # looks at a trial's memory at least, the last of them ...
_LATE = 0.5, 0.1  # ... no more than so many seconds, or such a part of the trial, before its end
_AGE = 0.2  # seconds that a reading of a counter may be old at a trial's start


class Devices(NamedTuple):
    """The GPUs of one slot. names: as in CUDA_VISIBLE_DEVICES; None if that was left to the trials. alone: whether no other slot has any of
    them. share: how many GPUs of this worker a trial here stands for; 0 if it has none.
    """

    names: tuple[str, ...] | None
    alone: bool
    share: float


ANY = Devices(None, False, 0.0)


class _Run:
    """What is known of one trial. energy: where the counters of its GPUs stood at its start. busy: sum and number of looks."""

    def __init__(self, devices: Devices, pid: int | None, now: float) -> None:
        self.devices, self.pid, self.began = devices, pid, now
        self.gpus: list[Gpu] = []
        self.energy: float | None = None
        self.packages: Stand | None = None
        self.memory = self.gpu_memory = 0
        self.looks, self.looked = 0, now
        self.busy: list[float] = []
        self.shared = False  # whether somebody else was seen on its GPUs


class Watch:
    """Made before the first trial begins. Times are seconds of the monotonic clock.

    slots: the GPUs of each. alone: whether this process has all of the machine, so that its processors work for nobody else. outside: whether
    trials have processes of their own.
    """

    def __init__(self, slots: Sequence[Devices], alone: bool | None = None, outside: bool = True) -> None:
        self._slots = list(slots)
        self._gpus = [_found(one) for one in self._slots]
        if alone is None:
            alone = machine.cores() >= (os.cpu_count() or math.inf)
        packages = Packages() if alone and len(self._slots) == 1 else None
        self._packages = packages if packages is not None and packages.readable else None
        self._runs: dict[Hashable, _Run] = {}
        self._trees = Trees() if outside else None
        self._next, self._rested = math.inf, -math.inf
        self._credit, self._looked = _AHEAD, 0.0  # seconds that may still be spent on looking, as of when
        self._counted: dict[int, tuple[float, float | None]] = {}  # by slot: when, and joules of its GPUs

    def begin(self, key: Hashable, slot: int, pid: int | None, now: float) -> None:
        """A trial starts. pid: of its process, which has a session of its own; None where it runs in this one."""
        run = self._runs[key] = _Run(self._slots[slot], pid, now)
        run.gpus = self._gpus[slot]
        if run.gpus and run.devices.alone:  # the counter is the board's
            run.energy = self._energy(slot, now)
        if self._packages is not None:
            run.packages = self._packages.stand(now)
        if pid is not None:
            self._next = max(self._rested, min(self._next, now + _FIRST))
            if self._trees is not None:
                self._trees.begin(pid)

    def look(self, now: float) -> None:
        """Look if it is time; nearly nothing if not."""
        if now < self._next:
            return
        watched = {run.pid: run for run in self._runs.values() if run.pid is not None}
        if not watched:
            self._next = math.inf
            return
        spent = time.thread_time()
        if self._trees is not None and now - min(run.began for run in watched.values()) >= _FIRST:
            for pid, tree in self._trees.look(watched.keys()).items():
                run = watched[pid]
                if tree.memory:  # not of one that has ended
                    run.memory, run.looks, run.looked = max(run.memory, tree.memory), run.looks + 1, now
                self._look_at_gpus(run, tree.pids)
            if self._packages is not None:
                self._packages.stand(now)
        self._credit = min(_AHEAD, self._credit + (now - self._looked) / _PART)
        self._credit -= time.thread_time() - spent
        self._looked, self._rested = now, now + max(0.0, -self._credit) * _PART
        self._next = max(self._rested, now + _LEAST)

    def saw(self, key: Hashable, now: float) -> bool:
        """Whether the memory of a trial that ends now was looked at often enough for its peak to be known. Ask before `end`."""
        run = self._runs.get(key)
        if run is None:
            return False
        seconds, part = _LATE
        return run.looks >= _OFTEN and now - run.looked <= max(seconds, part * (now - run.began))

    def end(self, key: Hashable, now: float) -> dict[str, float]:
        """The trial is over: its readings."""
        run = self._runs.pop(key, None)
        if run is None:
            return {}
        took, found = now - run.began, {}
        if run.memory:
            found["peak_memory_gb"] = run.memory / GB
        if run.gpu_memory:
            found["peak_gpu_memory_gb"] = run.gpu_memory / GB
        if run.devices.share:
            found["gpu_hours"] = run.devices.share * took / 3600
        if run.busy and not run.shared:
            found["gpu_utilisation"] = sum(run.busy) / len(run.busy)
        if took >= _COUNTED:
            found |= self._joules(run, now)
        return {name: short(value) for name, value in found.items()}

    def _joules(self, run: _Run, now: float) -> dict[str, float]:
        found: dict[str, float] = {}
        if run.energy is not None and run.pid is None:  # nobody has looked
            run.shared = any(one.shared([os.getpid()]) for one in run.gpus)
        if run.shared:
            run.energy = None
        gpus = None if run.energy is None else _sum([one.energy() for one in run.gpus])
        if gpus is not None and run.energy is not None:
            found["gpu_energy_joules"] = gpus - run.energy
        stand = None if self._packages is None else self._packages.stand(now)
        cpus = None if stand is None or run.packages is None else stand.since(run.packages)
        if cpus is not None:
            found["cpu_energy_joules"] = cpus
            if not run.devices.names:
                found["energy_joules"] = cpus
            elif "gpu_energy_joules" in found:
                found["energy_joules"] = cpus + found["gpu_energy_joules"]
        return found

    def _energy(self, slot: int, now: float) -> float | None:
        when, joules = self._counted.get(slot, (-math.inf, None))
        if now - when > _AGE:  # tiny trials do not ask each time
            joules = _sum([one.energy() for one in self._gpus[slot]])
            self._counted[slot] = now, joules
        return joules

    def _look_at_gpus(self, run: _Run, pids: list[int]) -> None:
        for one in run.gpus:
            run.gpu_memory = max(run.gpu_memory, one.memory(pids, run.devices.alone) or 0)
        if run.gpus and run.devices.alone and not run.shared:
            run.shared = any(one.shared(pids) for one in run.gpus)
            busy = [one.busy() for one in run.gpus]
            if (together := _sum(busy)) is not None:
                run.busy.append(together / len(busy))


def _found(devices: Devices) -> list[Gpu]:
    """The GPUs of a slot, if all of them can be asked."""
    found = [gpu(name) for name in devices.names or ()]
    return [one for one in found if one is not None] if None not in found else []


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def merged(own: Readings, seen: Readings) -> dict[str, float]:
    """What a trial's process has measured of itself, and what was seen from outside. Of memory the more, since each may miss some."""
    found = {**seen, **own}
    if "peak_memory_gb" in found:
        found["peak_memory_gb"] = max(one["peak_memory_gb"] for one in (own, seen) if "peak_memory_gb" in one)
    return found
