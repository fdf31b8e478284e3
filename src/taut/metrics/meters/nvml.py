"""All that is asked of NVIDIA's management library, through nvidia-ml-py (the extra `meters`).

Every function gives None where the library, the driver or the device cannot tell.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple, TypeVar

__all__ = ["Gpu", "gpu", "reason"]

T = TypeVar("T")


@functools.cache
def _library() -> tuple[Any, str]:
    """The library, ready to be asked, or why it is not there."""
    try:
        import pynvml
    except ImportError:
        return None, "nvidia-ml-py is not installed (pip install 'taut[meters]')"
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return None, f"there is no NVIDIA driver here ({error})"
    return pynvml, ""


def reason() -> str:
    """Why nothing can be asked; empty if it can."""
    return _library()[1]


@functools.cache
def gpu(name: str) -> Gpu | None:
    """The GPU that CUDA_VISIBLE_DEVICES names: by its number, or the beginning of its UUID."""
    library, problem = _library()
    if problem:
        return None
    try:
        if name.isdigit():
            return Gpu(library, library.nvmlDeviceGetHandleByIndex(int(name)))
        if name.startswith("MIG-"):
            return Gpu(library, library.nvmlDeviceGetHandleByUUID(name))
        for index in range(library.nvmlDeviceGetCount()):
            handle = library.nvmlDeviceGetHandleByIndex(index)
            if str(library.nvmlDeviceGetUUID(handle)).startswith(name):
                return Gpu(library, handle)
    except library.NVMLError:
        pass
    return None


class Gpu(NamedTuple):
    nvml: Any
    handle: Any

    def energy(self) -> float | None:
        """Joules since the driver was loaded, of the whole board; since Volta. The counter moves every 20 to 100 ms."""
        found = self._asked(self.nvml.nvmlDeviceGetTotalEnergyConsumption)
        return None if found is None else float(found) / 1000

    def busy(self) -> float | None:
        """Part of the last moment (a sixth of a second to one, by model) in which anything ran on it."""
        found = self._asked(self.nvml.nvmlDeviceGetUtilizationRates)
        return None if found is None else float(found.gpu) / 100

    def memory(self, pids: Collection[int], alone: bool) -> int | None:
        """Bytes that these processes hold on it. alone: whether all that is there is theirs, where it does not say whose it is.

        It does not in a container with process numbers of its own.
        """
        theirs = [one.usedGpuMemory for one in self._running() if one.pid in pids]
        if theirs and None not in theirs:
            return int(sum(theirs))
        if not alone or self.shared(pids):
            return None
        found = self._asked(self.nvml.nvmlDeviceGetMemoryInfo)
        return None if found is None else int(found.used)

    def shared(self, pids: Collection[int]) -> bool:
        """Whether any other process of this machine uses it, so that what is known of the whole device is not these processes' alone."""
        return any(one.pid not in pids and os.path.exists(f"/proc/{one.pid}") for one in self._running())

    def _running(self) -> Sequence[Any]:
        return self._asked(self.nvml.nvmlDeviceGetComputeRunningProcesses) or ()

    def _asked(self, question: Callable[[Any], T]) -> T | None:
        try:
            return question(self.handle)
        except self.nvml.NVMLError:
            return None
