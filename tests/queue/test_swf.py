"""Traces in the Standard Workload Format."""

from __future__ import annotations

import numpy as np

from taut.queue import swf

HEADER = """\
; Computer: a machine
; UnixStartTime: 1000000000
; Queue: 2 debug, for short jobs
"""


def job(
    submit: float,
    wait: float,
    run: float,
    *,
    given: int = 8,
    asked: int = 16,
    limit: int = 3600,
    status: int = 1,
    queue: int = 2,
) -> str:
    return f"1 {submit} {wait} {run} {given} -1 -1 {asked} {limit} -1 {status} 7 3 -1 {queue} 4 -1 -1"


def test_a_job_is_read_whole() -> None:
    jobs = swf.read(HEADER + job(50, 10, 100)).jobs
    assert (jobs.submit[0], jobs.wait[0], jobs.end[0], jobs.walltime[0]) == (
        1_000_000_050,
        10,
        1_000_000_160,
        3600,
    )
    assert (jobs.cpus[0], jobs.partitions, jobs.users, jobs.accounts) == (16, ("debug",), ("7",), ("3",))


def test_what_is_minus_one_is_not_known() -> None:
    jobs = swf.read(job(0, -1, -1, asked=-1, limit=-1, queue=-1)).jobs
    assert np.isnan([jobs.start[0], jobs.end[0], jobs.walltime[0]]).all()
    assert (jobs.cpus[0], jobs.partitions) == (8, ("4",))


def test_a_cancelled_job_waited_in_vain() -> None:
    jobs = swf.read(job(0, 300, 0, status=5)).jobs
    assert np.isnan(jobs.start[0])
    assert jobs.end[0] == 300


def test_parts_of_jobs_are_no_jobs_and_bad_lines_are_named() -> None:
    found = swf.read(
        "\n".join(
            [
                HEADER,
                job(0, 1, 2),
                job(0, 1, 2, status=3),
                "1 2 3",
                "a b",
                job(-1, 0, 0),
                job(0, 1, 2).replace("7", "nan"),
            ]
        )
    )
    assert (len(found.jobs), found.unread) == (1, 4)
    assert found.left_out == (
        "line 7: it is not 18 numbers",
        "line 8: it is not 18 numbers",
        "line 9: it has no time of submission",
    )


def test_other_texts_are_not_taken_for_it() -> None:
    assert swf.recognised("\n; UnixStartTime: 3\n")
    assert swf.recognised(job(0, 1, 2))
    assert not swf.recognised("Submit|Start|Timelimit\n")
    assert not swf.recognised("")
