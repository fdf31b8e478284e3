"""What was expected of a study's jobs, beside what came: as a picture, and as the report has it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from taut.duration import in_words
from taut.queue.predicted import expected
from taut.queue.promise import Kept
from taut.queue.timeline import Timeline, beside, between
from taut.reports.actual import Jobs, actual
from taut.reports.gantt import svg
from taut.reports.texts import shown
from taut.snapshot import Snapshot

__all__ = ["band", "picture", "section"]

_SHOWN = 20  # promises in a report, the latest
_AFTER = 0.02  # of the time until the last result, that is drawn after it


def picture(each: Kept, snapshot: Snapshot, now: float, jobs: Jobs | None = None) -> Timeline | None:
    """The course that a promise was made of, above what ran from then until it was kept, or until `now` (seconds since the epoch).

    None for a promise that does not say enough to be drawn, as those of earlier releases.
    """
    planned = expected(each.promise)
    if planned is None:
        return None
    end = each.early if each.finish is None else each.finish
    took = now - each.promise.t if end is None else (1.0 + _AFTER) * end
    came = actual(snapshot, now, jobs)
    begin = each.promise.t - (came.zero or 0.0)
    return beside(planned, between(came, begin, begin + max(took, 0.0)))


def band(each: Kept) -> tuple[float, float] | None:
    """Between which seconds the end was expected in 80 % of the cases."""
    early, _, late = each.promise.finish
    return (early, late) if math.isfinite(late) else None


def section(found: Sequence[Kept], snapshot: Snapshot, now: float, jobs: Jobs | None) -> str:
    """Promises against what came, as HTML, with the picture of the latest; empty if nothing was promised."""
    if not found:
        return ""
    head = "".join(
        f'<th scope="col">{name}</th>'
        for name in ("planned", "expected (80 %)", "came", "cost expected (80 %)", "came")
    )
    rows = "".join(map(_row, found[-_SHOWN:]))
    left = len(found) - _SHOWN
    more = f'<p class="soft">and {left} before these</p>' if left > 0 else ""
    drawn = ""
    if (timeline := picture(found[-1], snapshot, now, jobs)) is not None:
        chart = svg(timeline, title="The latest plan, and what came of it", finish=band(found[-1]))
        drawn = f'<div class="scroll" tabindex="0" role="group" aria-label="Gantt chart of the plan and of what came">{chart}</div>'
    return (
        f'<h3>Plans and what came of them</h3><div class="scroll"><table class="ledger"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{more}{drawn}"
    )


def _row(each: Kept) -> str:
    promise = each.promise
    what = (
        f"{promise.trials} trial{'s' * (promise.trials != 1)}: {promise.jobs} job{'s' * (promise.jobs != 1)} "
        f"x {in_words(60 * promise.minutes)}"
    )
    ends, costs = [_end(value) for value in promise.finish], [_hours(value) for value in promise.cost]
    if each.finish is not None:
        came = in_words(each.finish)
    elif each.early is not None:
        came = f"ended with {each.done} of {promise.trials} after {in_words(each.early)}: {each.why}"
    else:
        came = f"{each.done} of {promise.trials} so far"
    cost = "" if each.cost is None else f"{_hours(each.cost)} {promise.unit}-h"
    cells = (
        f"{ends[1]} ({ends[0]} to {ends[2]})",
        came + _verdict(each.in_time),
        f"{costs[1]} {promise.unit}-h ({costs[0]} to {costs[2]})",
        cost + _verdict(each.in_budget),
    )
    return (
        f'<tr><th scope="row">{shown(what)}</th>{"".join(f"<td>{shown(cell)}</td>" for cell in cells)}</tr>'
    )


def _verdict(within: bool | None) -> str:
    return "" if within is None else ", as expected" if within else ", outside"


def _end(seconds: float) -> str:
    return in_words(seconds) if math.isfinite(seconds) else "never"


def _hours(hours: float) -> str:
    return f"{hours:.2g}" if hours < 10 else f"{hours:.0f}"
