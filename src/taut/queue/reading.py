"""A queue's history from a file, whichever of the known forms it has."""

from __future__ import annotations

import gzip
import zlib
from datetime import tzinfo
from pathlib import Path

from taut.errors import InputError
from taut.queue import sacct, swf
from taut.queue.records import Reading

__all__ = ["read"]

_GZIP = b"\x1f\x8b"


def read(path: Path, zone: tzinfo | None = None) -> Reading:
    """The jobs in a file of ``sacct -P`` or in the Standard Workload Format, plain or packed with gzip.

    zone: where times were printed that have no offset; None: on this machine. Raises `InputError` where it cannot be
    read, has neither form, or holds no job.
    """
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if data.startswith(_GZIP) else data).decode(errors="replace")
    except (OSError, EOFError, zlib.error) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"{path} cannot be read: {why}; write it again by: {sacct.COMMAND}") from None
    try:
        reading = swf.read(text) if swf.recognised(text) else sacct.read(text, zone)
    except InputError as error:
        raise InputError(f"{path}: {error.message}") from None
    if len(reading.jobs) == 0:
        raise InputError(f"{path} holds no job: {reading}; write it again by: {sacct.COMMAND}")
    return reading
