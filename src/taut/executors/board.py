"""A byte of memory in which a parent says to its warm processes, at any time, what it wants of them.

A running objective can look at it 100,000 times a second, which a message would not bear; and no signal
is needed, so that none interrupts the objective or takes a handler from it.
"""

from __future__ import annotations

import mmap
import os
import tempfile

__all__ = ["Board"]

_NOTHING, _CHECKPOINT, _END = 0, 1, 2


class Board:
    """Made by the parent without arguments, and by a child with the descriptor that it was handed."""

    def __init__(self, descriptor: int | None = None) -> None:
        self._file = os.fdopen(_byte() if descriptor is None else descriptor, "r+b", buffering=0)
        self._byte = mmap.mmap(self._file.fileno(), 1)

    @property
    def descriptor(self) -> int:
        """For a child; it must be open there under the same number."""
        return self._file.fileno()

    def ask(self) -> None:
        """Ask for checkpoints."""
        if self._byte[0] == _NOTHING:
            self._byte[0] = _CHECKPOINT

    def end(self) -> None:
        """Say that everybody has to end; SIGTERM follows."""
        self._byte[0] = _END

    @property
    def asked(self) -> bool:
        return self._byte[0] == _CHECKPOINT

    @property
    def ending(self) -> bool:
        return self._byte[0] == _END

    def release(self) -> None:
        """Close the descriptor; the byte can still be read and written."""
        self._file.close()


def _byte() -> int:
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("taut")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, 1)
    return descriptor
