"""What meters read of a trial, by name: numbers that are there without any code of the user.

They lie beside what a trial reports itself, which goes first where both use a name. `taut.metrics.meters` takes them; here is what
whoever reads a log has to know of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

__all__ = ["GPU_LEFT", "READINGS", "WALL", "Reading", "Readings", "own", "short", "together"]

Readings = Mapping[str, float]
"""Readings by name. What could not be measured is absent, never zero."""


class Reading(NamedTuple):
    """over: what several attempts of one trial come to: all added, the most of them, or their mean by how long they ran.

    `sum` is absent where an attempt was not measured; in `rate` that one counts as the others do, by its seconds.
    """

    what: str
    over: Literal["sum", "rate", "most", "mean"]


WALL: Final = "wall_seconds"
GPU_LEFT: Final = "gpu_memory_left_gb"

READINGS: Final[Mapping[str, Reading]] = {
    WALL: Reading("seconds from the start of an attempt to its end", "sum"),
    "cpu_seconds": Reading("seconds of processor time, children included", "sum"),
    "peak_memory_gb": Reading("the most memory of its processes at one moment, in 1e9 bytes", "most"),
    "peak_gpu_memory_gb": Reading("the most memory on any one GPU, in 1e9 bytes", "most"),
    "gpu_hours": Reading("GPUs that it had, times hours", "rate"),
    "gpu_utilisation": Reading("part of the time in which its GPUs were at work, 0 to 1", "mean"),
    "gpu_energy_joules": Reading("what its GPUs took", "sum"),
    "cpu_energy_joules": Reading("what the machine's processors took meanwhile", "sum"),
    "energy_joules": Reading("both together, where both are known", "sum"),
    GPU_LEFT: Reading("what it left on the GPUs of a process that goes on, in 1e9 bytes", "most"),
}
"""All there are. `wall_seconds` follows from when an attempt began and ended, and is not written down."""


def together(attempts: Sequence[tuple[float, Readings]]) -> dict[str, float]:
    """What several attempts come to: of each its seconds and its readings."""
    found: dict[str, float] = {}
    whole = sum(seconds for seconds, _ in attempts)
    for name, reading in READINGS.items():
        known = [(seconds, readings[name]) for seconds, readings in attempts if name in readings]
        if not known:
            continue
        values, weight = [value for _, value in known], sum(seconds for seconds, _ in known)
        if reading.over == "most":
            found[name] = max(values)
        elif len(known) == len(attempts) and reading.over in ("sum", "rate"):
            found[name] = sum(values)
        elif reading.over == "rate" and weight:
            found[name] = sum(values) * whole / weight
        elif reading.over == "mean":
            found[name] = (
                sum(s * value for s, value in known) / weight if weight else sum(values) / len(values)
            )
    return found


def short(value: float) -> float:
    """Six digits: more would be noise, and every worker reads every line."""
    return float(f"{value:.6g}")


def own(metrics: Sequence[str]) -> list[str]:
    """Those of `metrics` that no meter reads, so that they have to come from the trial itself."""
    return [name for name in metrics if name not in READINGS]
