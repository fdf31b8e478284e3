"""This machine, and the programs beside it."""

from __future__ import annotations

import collections
import os
import platform
import sys
from collections.abc import Mapping

import numpy

import taut
from taut import machine
from taut.doctor.finding import GIB, Finding, size
from taut.executors.places import of_job
from taut.machine import Answer
from taut.metrics.meters.lacking import lacking
from taut.readings import READINGS

__all__ = ["findings", "judge_memory", "judge_meters", "judge_open_files", "judge_program"]


def findings() -> list[Finding]:
    cores = machine.cores()
    return [
        Finding("Python", "ok", f"{platform.python_version()} ({sys.executable})"),
        Finding("taut", "ok", f"{taut.__version__}, numpy {numpy.__version__}"),
        Finding("cores", "ok", f"{cores:g} for this process, of {os.cpu_count() or 1}"),
        judge_memory(machine.memory()),
        judge_open_files(machine.open_files()),
        judge_meters(lacking(gpus=bool(of_job(1)[0].gpus))),
    ]


def judge_meters(missing: Mapping[str, str]) -> Finding:
    """missing: what cannot be measured of a trial, and why."""
    there = ", ".join(name for name in READINGS if name not in missing)
    reasons: dict[str, list[str]] = {}
    for name, why in missing.items():
        reasons.setdefault(why, []).append(name)
    text = "".join(f"; not {', '.join(names)}: {why}" for why, names in reasons.items())
    return Finding("meters", "ok", f"{there}{text}")


def judge_memory(sizes: tuple[int, int] | None) -> Finding:
    if sizes is None:
        return Finding("memory", "ok", "not known on this system")
    text = f"{size(sizes[0])} free of {size(sizes[1])}"
    if sizes[0] < GIB // 2:
        return Finding("memory", "warn", text, "ask for more memory, or run fewer workers")
    return Finding("memory", "ok", text)


def judge_open_files(limit: int | None) -> Finding:
    text = "no limit" if limit is None else f"{limit:,} at once"
    if limit is not None and limit < 512:
        return Finding(
            "open files", "warn", text, "a worker has one open for each other worker: ulimit -n 4096"
        )
    return Finding("open files", "ok", text)


def judge_program(name: str, answer: Answer | None) -> Finding:
    if answer is None:
        return Finding(name, "ok", "not here")
    lines = answer.text.splitlines() or ["no answer"]
    if not answer.ok:
        return Finding(
            name, "warn", f"is here but does not work: {lines[0]}", f"trials cannot use {name} from here"
        )
    counts = collections.Counter(lines)
    return Finding(name, "ok", ", ".join(f"{n} x {line}" if n > 1 else line for line, n in counts.items()))
