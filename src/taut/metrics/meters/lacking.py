"""What cannot be measured on this machine, and why: so that a study that asks for it hears so."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from taut import machine
from taut.metrics.meters import nvml, rapl
from taut.readings import GPU_LEFT, READINGS, WALL

__all__ = ["Unmeasured", "caution", "lacking", "unmeasured"]

_GPU = ("peak_gpu_memory_gb", "gpu_hours", "gpu_utilisation", "gpu_energy_joules", GPU_LEFT)


class Unmeasured(NamedTuple):
    """Why a trial cannot be judged, and what to do. never: whether no trial can have that reading on this machine."""

    why: str
    never: bool


def lacking(gpus: bool) -> dict[str, str]:
    """The readings that no trial can have here, with the reason of each. gpus: whether this process has been given any."""
    found: dict[str, str] = {}
    if not Path("/proc/self/status").exists():
        found["peak_memory_gb"] = "this system has no /proc"
    if not gpus:
        found |= dict.fromkeys(_GPU, "this process has no GPU (CUDA_VISIBLE_DEVICES)")
    elif problem := nvml.reason():
        found |= dict.fromkeys(("gpu_utilisation", "gpu_energy_joules"), problem)
    if not rapl.ROOT.is_dir():
        found["cpu_energy_joules"] = f"this machine shows no counters of energy ({rapl.ROOT})"
    elif not rapl.Packages().readable:
        found["cpu_energy_joules"] = f"the counters below {rapl.ROOT} may be read by root alone"
    elif machine.cores() < (os.cpu_count() or 1):
        found["cpu_energy_joules"] = "others use the same processors, and their counters tell nobody apart"
    parts = ("cpu_energy_joules", *(["gpu_energy_joules"] if gpus else []))
    if missing := next((found[part] for part in parts if part in found), None):
        found["energy_joules"] = missing
    return {name: found[name] for name in READINGS if name in found}


def caution(metrics: Collection[str], gpus: bool) -> str | None:
    """What to say before a study begins here that asks for `metrics`; None if all of them can be measured, or are the trials' own."""
    here = {name: why for name, why in lacking(gpus).items() if name in metrics}
    if not here:
        return None
    text = "; ".join(f"{name}: {why}" for name, why in here.items())
    return f"not measured here, so that trials have to report it themselves: {text}"


def unmeasured(metrics: Collection[str], there: Collection[str], gpus: bool) -> Unmeasured | None:
    """Why a trial that has ended well cannot be judged, and what to do; None if it can, as far as meters go.

    metrics: what the study asks for. there: what was reported or measured.
    """
    for name in metrics:
        if name not in READINGS or name in there or name == WALL:
            continue
        here = lacking(gpus).get(name)
        why = here or "it was over too soon, or its process could not be looked into"
        where = "Run the study where it can be measured (`taut doctor` tells), let" if here else "Let"
        text = (
            f"{name} was neither reported nor measured: {why}. {where} trials report it, taut.report({name}=...), "
            "or take it out of the study's objectives and subject_to"
        )
        return Unmeasured(text, here is not None)
    return None
