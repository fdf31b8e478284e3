"""Fields of the text that Slurm's commands print."""

from __future__ import annotations

import math
import re
from datetime import datetime

__all__ = ["exit_code", "gpus", "minutes", "moment", "size", "state", "tres", "whole"]


def state(text: str) -> str:
    """A job's state without what may follow it: ``CANCELLED by 1000``."""
    return text.partition(" ")[0].rstrip("+").upper()


def whole(text: str) -> int | None:
    """A number; None for N/A, NOT_SET, UNLIMITED and the like."""
    return int(text) if text.isdigit() else None


def moment(text: str) -> float | None:
    """Slurm's tools print this machine's local time; N/A, None and Unknown where there is none yet."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def minutes(text: str) -> int | None:
    """A time limit as squeue shows it (``2:00``, ``1-00:00:00``); None if it is unlimited or not set."""
    found = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", text)
    if not found:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return days * 1440 + hours * 60 + minutes + math.ceil(seconds / 60)


def tres(text: str) -> dict[str, str]:
    """What is counted of a job: ``cpu=4,mem=400M,gres/gpu=2``."""
    return dict(part.split("=", 1) for part in text.split(",") if "=" in part)


def gpus(tres: dict[str, str]) -> int:
    """Devices of any type; where only types are counted (``gres/gpu:a100=2``), their sum."""
    if "gres/gpu" in tres:
        return whole(tres["gres/gpu"]) or 0
    return sum(whole(count) or 0 for kind, count in tres.items() if kind.startswith("gres/gpu:"))


def size(text: str) -> int | None:
    """Bytes: ``2968K``, ``4G``; None where nothing was measured."""
    found = re.fullmatch(r"([0-9.]+)([KMGTP]?)", text)
    if not found:
        return None
    return int(float(found[1]) * 1024 ** " KMGTP".index(found[2] or " "))


def exit_code(status: int | None) -> str | None:
    """The raw status of a process as accounting writes it: exit code, colon, signal."""
    return None if status is None else f"{status >> 8}:{status & 0x7F}"
