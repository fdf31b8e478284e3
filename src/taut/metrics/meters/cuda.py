"""All that is asked of PyTorch about GPUs, and only where the trial has loaded it: nothing here imports it.

`torch.cuda` also stands for AMD's GPUs. Every function does nothing, or gives None, where no GPU is in use.
"""

from __future__ import annotations

import gc
import sys
from typing import Any

__all__ = ["allocated", "begin", "free", "peak", "synchronise"]


def _cuda() -> Any:
    """`torch.cuda` once this process uses a GPU; None before."""
    torch = sys.modules.get("torch")
    cuda = getattr(torch, "cuda", None)  # absent while torch is being imported
    initialised = getattr(cuda, "is_initialized", None)
    return cuda if initialised is not None and initialised() else None


def begin() -> None:
    """From now on `peak` counts anew."""
    if cuda := _cuda():
        for device in range(cuda.device_count()):
            cuda.reset_peak_memory_stats(device)


def peak() -> int | None:
    """The most bytes that tensors held on any one GPU since `begin`."""
    cuda = _cuda()
    if cuda is None:
        return None
    return max((int(cuda.max_memory_allocated(device)) for device in range(cuda.device_count())), default=0)


def allocated() -> int | None:
    """Bytes that tensors hold on all GPUs together."""
    cuda = _cuda()
    if cuda is None:
        return None
    return sum(int(cuda.memory_allocated(device)) for device in range(cuda.device_count()))


def free() -> None:
    """Give back what nobody holds any more: to the next trial in this process, and to others on these GPUs."""
    if cuda := _cuda():
        gc.collect()  # modules and optimisers refer to each other in circles
        cuda.empty_cache()


def synchronise() -> None:
    """Wait until the GPU has done what it was given."""
    if cuda := _cuda():
        cuda.synchronize()
