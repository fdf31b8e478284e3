"""Whether an error says that memory ran out, in the words of whatever library met it first."""

from __future__ import annotations

import re

__all__ = ["shortage"]

_GPU = re.compile(
    r"(?:CUDA|HIP|XPU|MPS)(?: error:| backend)? out of memory"  # PyTorch, and CUDA's own words
    r"|cudaErrorMemoryAllocation|CUDA_ERROR_OUT_OF_MEMORY"  # CuPy, Numba, TensorFlow
    r"|(?:torch|cupy)\S*\.OutOfMemoryError"
    r"|RESOURCE_EXHAUSTED: .*(?:out of memory|allocat)|OOM when allocating tensor",  # JAX, TensorFlow
    re.IGNORECASE,
)
_HOST = re.compile(
    r"^(?:numpy\S*\.)?_?(?:Array)?MemoryError\b|std::bad_alloc|DefaultCPUAllocator: .*(?:not enough|can't allocate) memory"
    r"|\[Errno 12\] Cannot allocate memory",
    re.MULTILINE,
)
_LAUNCHERS = (
    r"(?:\w+\.)*(?:ChildFailedError|CalledProcessError)\b"  # say that a process below has failed, not why
)
_RAISED = re.compile(
    rf"^(?:\[[^\]\n]*\]:? *)?(?!{_LAUNCHERS})"  # a launcher writes the rank in front
    r"(?:(?:\w+\.)*\w*(?:Error|Exception|Interrupt|Exit)(?::|$|\()|terminate called after throwing)",
    re.MULTILINE,
)


def _last_words(text: str) -> str:
    """From the last exception on; where none is named, the last line. What came before was a warning, or was overcome."""
    begins = [found.start() for found in _RAISED.finditer(text)]
    return text[begins[-1] :] if begins else text.rstrip().rpartition("\n")[2]


def shortage(text: str) -> str | None:
    """`ran out of GPU memory`, or `ran out of memory`, if an error says so at the end of the text.

    Such a trial has failed for good: with the same parameters it would again, and samplers learn to stay away from there.
    """
    text = _last_words(text)
    if _GPU.search(text):
        return "ran out of GPU memory"
    return "ran out of memory" if _HOST.search(text) else None
