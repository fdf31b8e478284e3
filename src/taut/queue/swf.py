"""Jobs from the Standard Workload Format, in which the Parallel Workloads Archive keeps its traces.

One line for each job, 18 numbers, -1 for what is not known; comments begin with a semicolon. Source: Chapin et al., JSSPP 1999.
"""

from __future__ import annotations

import math
import re

from taut.queue.records import Reading
from taut.queue.rows import Row, Rows

__all__ = ["read", "recognised"]

_SUBMIT, _WAIT, _RUN, _GIVEN, _ASKED, _TIME = 1, 2, 3, 4, 7, 8
_STATUS, _USER, _GROUP, _QUEUE, _PARTITION = 10, 11, 12, 14, 15
_COLUMNS = 18
_STATES = {0: "FAILED", 1: "COMPLETED", 5: "CANCELLED"}
_PARTIAL = (2, 3, 4)  # lines that tell parts of a job, which has a line of its own
_BEGIN = re.compile(r";\s*UnixStartTime:\s*(\d+)", re.IGNORECASE)
_NAME = re.compile(r";\s*(Queue|Partition):\s*(\d+)\s+(\S+)", re.IGNORECASE)


def recognised(text: str) -> bool:
    """Whether this looks like the format: comments with a semicolon, or a first line of 18 numbers."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    return first.lstrip().startswith(";") or len(_numbers(first) or ()) == _COLUMNS


def read(text: str) -> Reading:
    """The jobs of a trace. Sizes are processors asked for, or given where that is not known; the queue is the partition.

    Times count from the header's UnixStartTime, or from 0. A job that was cancelled before it began has waited in vain for the
    time that the line gives as its wait. Lines that cannot be read are counted, and the first are named.
    """
    begin, names, rows = 0.0, dict[tuple[str, int], str](), Rows()
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith(";"):
            if found := _BEGIN.search(line):
                begin = float(found[1])
            elif found := _NAME.search(line):
                names[found[1].lower(), int(found[2])] = found[3].rstrip(",;")
            continue
        if not line.strip():
            continue
        numbers = _numbers(line)
        if numbers is None or len(numbers) != _COLUMNS:
            rows.leave_out(number, f"it is not {_COLUMNS} numbers")
            continue
        if numbers[_STATUS] in _PARTIAL:
            continue
        try:
            rows.add(_row(numbers, begin, names))
        except ValueError as error:
            rows.leave_out(number, str(error))
    return rows.reading()


def _row(of: list[float], begin: float, names: dict[tuple[str, int], str]) -> Row:
    if of[_SUBMIT] < 0:
        raise ValueError("it has no time of submission")
    submit, wait, run = begin + of[_SUBMIT], of[_WAIT], of[_RUN]
    never = of[_STATUS] == 5 and run <= 0
    left = submit + wait if wait >= 0 else math.nan
    queue, partition = int(of[_QUEUE]), int(of[_PARTITION])
    where = ("queue", queue) if queue >= 0 else ("partition", partition)
    return Row(
        submit=submit,
        start=math.nan if never else left,
        end=left if never else left + run if run >= 0 else math.nan,
        walltime=of[_TIME] if of[_TIME] > 0 else math.nan,
        cpus=next((of[at] for at in (_ASKED, _GIVEN) if of[at] > 0), 0.0),
        partition=names.get(where, str(where[1]) if where[1] >= 0 else ""),
        user=str(int(of[_USER])) if of[_USER] >= 0 else "",
        account=str(int(of[_GROUP])) if of[_GROUP] >= 0 else "",
        state=_STATES.get(int(of[_STATUS]), ""),
    )


def _numbers(line: str) -> list[float] | None:
    try:
        numbers = [float(part) for part in line.split()]
    except ValueError:
        return None
    return numbers if all(map(math.isfinite, numbers)) else None
