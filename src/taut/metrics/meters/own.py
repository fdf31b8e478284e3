"""A trial that runs in this very process, with others before and after it: what it used is what changes meanwhile.

No thread watches it. It costs some 15 microseconds, and 1 where the system has no /proc.
"""

from __future__ import annotations

import os
import resource
import time

from taut.metrics.meters import cuda
from taut.readings import GPU_LEFT, short

__all__ = ["GB", "OwnProcess"]

GB = 1e9  # bytes, as in `taut.queue.memory`
_TINY = 1e-3  # seconds; looking at the memory of such a trial takes a noticeable part of it
_RESET = b"5"  # forgets the peak of resident memory, since Linux 4.0


class OwnProcess:
    """Call `begin`, let the trial run, call `end`; and again for the next.

    Memory is that of this process alone: of children (data loaders) only who watches from outside knows (`watch.py`). GPU memory is what
    PyTorch has allocated. After each trial what it left behind is freed; what cannot be freed is a reading of its own from the
    second trial on, since the first one may load what all of them use. thrifty: nobody asks for memory, so that it is not looked at while trials
    take less than a millisecond.
    """

    def __init__(self, thrifty: bool = False) -> None:
        self._thrifty, self._tiny = thrifty, False  # whether the last trial was
        self._cpu = self._began = 0.0
        self._fresh = False  # whether the peak of memory is this trial's
        self._left: int | None = None  # bytes that tensors held after the last trial

    def begin(self) -> None:
        cuda.begin()
        self._fresh = not (self._thrifty and self._tiny) and _forget_peak()
        self._cpu, self._began = _cpu(), time.perf_counter()

    def end(self) -> dict[str, float]:
        """The readings of the trial that was begun."""
        self._tiny = time.perf_counter() - self._began < _TINY
        found = {"cpu_seconds": short(max(_cpu() - self._cpu, 0.0))}
        if self._fresh and (memory := _peak()) is not None:
            found["peak_memory_gb"] = short(memory / GB)
        if (peak := cuda.peak()) is not None:
            found["peak_gpu_memory_gb"] = short(peak / GB)
        return found

    def clean(self) -> dict[str, float]:
        """Free what the trial left behind, and tell what could not be freed."""
        cuda.free()
        before, self._left = self._left, cuda.allocated()
        if before is None or self._left is None:
            return {}
        return {GPU_LEFT: short(max(self._left - before, 0) / GB)}


def _forget_peak() -> bool:
    """Let the kernel count the peak of our memory anew; whether it does."""
    # Opened each time: an objective may close all files, and another would have the number.
    try:
        file = os.open("/proc/self/clear_refs", os.O_WRONLY | os.O_CLOEXEC)
        try:
            return os.write(file, _RESET) == len(_RESET)
        finally:
            os.close(file)
    except OSError:
        return False


def _peak() -> int | None:
    """Bytes of resident memory at the highest; None where the system does not say."""
    try:
        file = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
        try:
            text = os.read(file, 4096)
        finally:
            os.close(file)
        return int(text.partition(b"VmHWM:")[2].split(None, 1)[0]) * 1024
    except (OSError, LookupError, ValueError):
        return None


def _cpu() -> float:
    """Processor seconds of this process and of its children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
