"""How much memory a study's trials and jobs have needed, as far as anybody has measured it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from taut.forecast import upper
from taut.queue.lengths import Trend
from taut.slurm.jobs import Life
from taut.snapshot import Snapshot

__all__ = ["Peak", "peaks"]

_METRIC = re.compile(r"(?:(?:peak|max)_)?(?:gpu_)?mem(?:ory)?_(gb|gib|mb|mib)")
_UNITS = {"gb": 1e9, "gib": 2.0**30, "mb": 1e6, "mib": 2.0**20}


class Peak(NamedTuple):
    """Bytes that one trial, or one job, probably (95 %) needs at most. source: where that comes from, in words."""

    what: str
    bytes: float
    values: int
    source: str


def peaks(snapshot: Snapshot, lives: Sequence[Life] = ()) -> list[Peak]:
    """Of trials that report memory (a metric such as ``memory_gb``), and of jobs whose memory accounting has sampled."""
    found = []
    for metric in dict.fromkeys((*snapshot.metrics, *snapshot.meters)):
        known = _METRIC.fullmatch(metric)
        values = snapshot.values(metric)
        rows = np.flatnonzero(values > 0.0)
        most = upper(values[rows])
        if known is None or most is None:
            continue
        trend = Trend.of(snapshot.space, snapshot.codes[rows], values[rows])
        source = f"{metric} of {len(rows)} trial{'s' * (len(rows) > 1)}"
        source += "" if trend is None else f"; it goes with {trend}"
        found.append(Peak("a trial", most * _UNITS[known[1]], len(rows), source))
    sizes = np.array([life.max_rss for life in lives if life.max_rss], np.float64)
    if (most := upper(sizes)) is not None:
        found.append(Peak("a job", most, len(sizes), f"MaxRSS of {len(sizes)} job{'s' * (len(sizes) > 1)}"))
    return found
