"""Energy of the machine's processors, from the counters that Linux shows in /sys/class/powercap.

They count microjoules, of whole packages with everything that runs on them, and begin anew at a limit. On most machines only
root may read them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

__all__ = ["ROOT", "Packages", "Stand"]

ROOT = Path("/sys/class/powercap")
_FASTEST = 500.0  # watts of one package at most: how long its counter needs for a turn at least


class Stand(NamedTuple):
    """joules: since counting began. course: another number where it had to begin anew, since nobody had looked for too long."""

    joules: float
    course: int

    def since(self, before: Stand) -> float | None:
        """Joules between the two; None where that is not known."""
        return self.joules - before.joules if self.course == before.course else None


class Packages:
    """The processors' counters, added up over their turns. Whoever wants long spans has to look every few minutes."""

    def __init__(self, root: Path = ROOT) -> None:
        self._folders = _packages(root)
        self._last: dict[Path, int] = {}
        self._looked = 0.0
        self._stand = Stand(0.0, 0)
        self._turn = min((_number(one / "max_energy_range_uj") or 0 for one in self._folders), default=0)

    @property
    def readable(self) -> bool:
        return self.stand(self._looked) is not None

    def stand(self, now: float) -> Stand | None:
        """Where they stand at `now`, seconds of one clock; None if they cannot be read."""
        found: dict[Path, int] = {}
        for folder in self._folders:
            count = _number(folder / "energy_uj")
            if count is None:
                return None  # without one of them it would be less than the machine took
            found[folder] = count
        if not found or not self._turn:
            return None
        if self._last and now - self._looked < self._turn / 1e6 / _FASTEST:
            passed = sum(self._passed(folder, count) for folder, count in found.items())
            self._stand = Stand(self._stand.joules + passed / 1e6, self._stand.course)
        else:
            self._stand = Stand(0.0, self._stand.course + 1)
        self._last, self._looked = found, now
        return self._stand

    def _passed(self, folder: Path, count: int) -> int:
        delta = count - self._last[folder]
        return delta if delta >= 0 else delta + (_number(folder / "max_energy_range_uj") or 0)


def _packages(root: Path) -> list[Path]:
    """The folders of whole packages, `intel-rapl:0` on AMD's processors, too; what is below (cores, memory) is part of them."""
    try:
        names = sorted(name for name in os.listdir(root) if name.startswith("intel-rapl:"))
    except OSError:
        return []
    # Others (psys: the whole board; intel-rapl-mmio: the same package again) would count twice.
    return [
        root / name
        for name in names
        if name.count(":") == 1 and _text(root / name / "name").startswith("package")
    ]


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.isdigit() else None


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
