"""Whether a process was killed for want of memory: the kernel sends SIGKILL and says why in its control group alone."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from typing import Any

from taut import machine
from taut.metrics.meters.own import GB
from taut.readings import short

__all__ = ["Memory"]

_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes, of ru_maxrss
_MIB = 1 << 20


class Memory:
    """The memory of one attempt; made before the attempt begins."""

    def __init__(self) -> None:
        self._before = machine.kills()
        self._most: int | None = None
        self._usage: resource.struct_rusage | None = None
        # Until it runs its own program a process holds its parent's memory, which the kernel counts as its own peak.
        self._ours = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT

    def wait(self, process: subprocess.Popen[Any]) -> int:
        """Does what `process.wait` does, and learns how much memory the process held. Its exit code."""
        if process.returncode is None:
            try:
                _, status, usage = os.wait4(process.pid, 0)
            except ChildProcessError:  # somebody else has waited for it
                return process.wait()
            process.returncode = os.waitstatus_to_exitcode(status)
            self._most, self._usage = usage.ru_maxrss * _UNIT, usage
        return process.returncode

    def used(self, seen: bool) -> dict[str, float]:
        """What the kernel has counted of the process and of those children that it had waited for. seen: whether its memory was also looked
        at while it ran, often enough; then this counts only where it is more than our own can have been. If not, it says too much rather than too little.
        """
        if self._usage is None or self._most is None:
            return {}
        found = {"cpu_seconds": short(self._usage.ru_utime + self._usage.ru_stime)}
        if not seen or self._most > self._ours:
            found["peak_memory_gb"] = short(self._most / GB)
        return found

    @property
    def ran_out(self) -> bool | None:
        """Whether a process beside us has been killed for want of memory since; None where the system does not say."""
        now = machine.kills()
        return None if now is None or self._before is None else now > self._before

    @property
    def amounts(self) -> str:
        """What may be used, and what was used by the largest of the processes that were waited for."""
        known = machine.memory()
        parts = [] if known is None else [f"limit {known[1] / _MIB:.0f} MiB"]
        if self._most is not None:
            parts.append(f"the largest process held {self._most / _MIB:.0f} MiB")
        return f" ({'; '.join(parts)})" if parts else ""
