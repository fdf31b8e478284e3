"""Whether an error says that memory ran out, in the words of whatever library met it first."""

from __future__ import annotations

import re

__all__ = ["shortage"]

_GPU = re.compile(
    r"(?:CUDA|HIP|XPU|MPS)(?: error:| backend)? out of memory"  # PyTorch, and CUDA's own words
    r"|cudaErrorMemoryAllocation|CUDA_ERROR_OUT_OF_MEMORY"  # CuPy, Numba, TensorFlow
    r"|(?:torch|cupy)\S*\.OutOfMemoryError"
    r"|RESOURCE_EXHAUSTED: |OOM when allocating tensor",  # JAX, TensorFlow
    re.IGNORECASE,
)
_HOST = re.compile(
    r"^(?:numpy\S*\.)?_?(?:Array)?MemoryError\b|std::bad_alloc|DefaultCPUAllocator: .*(?:not enough|can't allocate) memory"
    r"|\[Errno 12\] Cannot allocate memory",
    re.MULTILINE,
)


def shortage(text: str) -> str | None:
    """`ran out of GPU memory`, or `ran out of memory`, if the text of an error says so.

    Such a trial has failed for good: with the same parameters it would again, and samplers learn to stay away from there.
    """
    if _GPU.search(text):
        return "ran out of GPU memory"
    return "ran out of memory" if _HOST.search(text) else None
