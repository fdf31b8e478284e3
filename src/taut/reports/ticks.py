"""Round places on an axis of time, and how they are called."""

from __future__ import annotations

import math

__all__ = ["span_text", "ticks"]

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
_STEPS = (
    *(1.0, 2.0, 5.0, 10.0, 15.0, 30.0),
    *(_MINUTE * each for each in (1, 2, 5, 10, 15, 30)),
    *(_HOUR * each for each in (1, 2, 3, 6, 12)),
    *(_DAY * each for each in (1, 2, 5, 10, 20, 50, 100)),
)


def ticks(low: float, high: float, most: int) -> tuple[list[float], list[str]]:
    """At most `most` round places from `low` to `high` (seconds), and a label for each, all in one unit."""
    span = high - low
    rough = span / max(most - 1, 1)
    if rough > _STEPS[-1]:
        step = _STEPS[-1] * math.ceil(rough / _STEPS[-1])
    elif rough <= _STEPS[0] / 2:
        unit = 10.0 ** math.floor(math.log10(rough)) if rough > 0.0 else 1.0
        step = unit * next(nice for nice in (1.0, 2.0, 5.0, 10.0) if nice * unit >= rough)
    else:
        step = next(each for each in _STEPS if each >= rough)
    places = [step * i for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
    size, unit_name = _unit(max(abs(low), abs(high)), step)
    return places, [f"{place / size:.10g} {unit_name}" if place else "0" for place in places]


def span_text(seconds: float) -> str:
    """A span in the unit that suits it, with two digits or more: 40 s, 3.5 min, 2.25 h, 3 d."""
    size, name = _unit(abs(seconds), abs(seconds))
    return f"{seconds / size:.3g} {name}"


def _unit(reach: float, step: float) -> tuple[float, str]:
    """The unit in which times up to `reach` that are `step` apart are short to write."""
    if reach >= 3 * _DAY and step >= _HOUR * 6:
        return _DAY, "d"
    if reach >= 2 * _HOUR and step >= _MINUTE * 15:
        return _HOUR, "h"
    if reach >= 2 * _MINUTE and step >= 15.0:
        return _MINUTE, "min"
    return 1.0, "s"
