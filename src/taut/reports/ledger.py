"""What a study asked for, what it held, and what became of that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from taut.queue.timeline import Kind, Timeline
from taut.savings import Savings

__all__ = ["Entry", "ledger"]

_PARTS: tuple[tuple[Kind, str, str], ...] = (
    ("useful", "complete trials", "and what is running now"),
    ("pruned", "trials that ended early", "pruned, or waiting to be promoted"),
    ("failed", "failed trials", "and attempts that led to nothing"),
    ("overhead", "overhead", "from the start of a worker or its job to its first trial"),
    ("idle", "idle", "held, and no trial was running"),
)
_WASTED: tuple[Kind, ...] = ("failed", "overhead", "idle")


class Entry(NamedTuple):
    """name, note: what it is. seconds: of slots, or of GPUs where these are counted. share: of all that was held, if it is a part of that."""

    name: str
    seconds: float
    share: float | None
    note: str


def ledger(
    timeline: Timeline,
    savings: Savings | None,
    requested: float | None = None,
    gpus: Mapping[str, float] | None = None,
) -> list[Entry]:
    """timeline: what happened. savings: of the pruner, in the same unit. requested: what jobs asked for at their whole time limit.

    gpus: for each job, how many GPUs a slot of its has; then GPU-seconds are counted, and what ran elsewhere is left out.
    """
    totals = dict.fromkeys((kind for kind, _, _ in _PARTS), 0.0)
    for bar in timeline.bars:
        weight = 1.0 if gpus is None else gpus.get(bar.job or "", 0.0)
        if bar.kind in totals:
            totals[bar.kind] += weight * (bar.end - bar.begin)
    used = sum(totals.values())
    found = (
        []
        if requested is None
        else [Entry("requested", requested, None, "by jobs, with their whole time limits")]
    )
    found.append(Entry("used", used, None, "time that slots were held"))
    found += [
        Entry(name, totals[kind], totals[kind] / used if used else None, note) for kind, name, note in _PARTS
    ]
    wasted = sum(totals[kind] for kind in _WASTED)
    found.append(
        Entry("wasted", wasted, wasted / used if used else None, "failed, overhead and idle together")
    )
    if savings is not None:
        if savings.repeated > 0.0:
            found.append(
                Entry("repeated", savings.repeated, None, "steps run twice for want of a checkpoint")
            )
        if savings.net is not None:
            note = f"about: what {savings.early} trials that ended early would still have taken"
            found.append(Entry("saved by pruning", max(savings.net, 0.0), None, note))
    return found
