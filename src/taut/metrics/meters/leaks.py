"""What trials leave on the GPUs of a warm process, in words."""

from __future__ import annotations

from taut.readings import GPU_LEFT, Readings

__all__ = ["Leaks"]

_MUCH = 0.05  # GB that a trial leaves; libraries' own workspaces are less
_OFTEN = 3  # trials; a cache that fills once is no leak


class Leaks:
    """Told of each trial's readings, says once what they mean together."""

    def __init__(self) -> None:
        self._left: list[tuple[int, float]] = []
        self._said = False

    def note(self, number: int, readings: Readings) -> str | None:
        """What to say now that trial `number` is over; None if nothing."""
        left = readings.get(GPU_LEFT, 0.0)
        if left < _MUCH or self._said:
            return None
        self._left.append((number, left))
        if len(self._left) < _OFTEN:
            return None
        self._said = True
        trials = ", ".join(str(n) for n, _ in self._left)
        total = sum(size for _, size in self._left)
        return (
            f"trials {trials} left {total:.2g} GB on the GPU of a process that goes on, and the trials after them will run out of it. "
            "Something still holds their tensors: a global, a cache, a list of losses without .item(). Let go of it, or write "
            "fresh_process = true (in Python: study.run(..., fresh_process=True)), which gives each trial a process of its own"
        )
