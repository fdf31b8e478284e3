"""Jobs from sacct's text: as Slurm prints it, as others' releases do, and as it comes damaged."""

from __future__ import annotations

import gzip
import math
import time
from datetime import timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from taut.errors import InputError
from taut.queue import reading, sacct

T = 1_700_000_000
HEAD = "JobID|User|Account|Partition|State|Submit|Eligible|Start|End|Timelimit|ReqTRES|AllocTRES"
TRES = "billing=8,cpu=4,gres/gpu:a100=2,gres/gpu=2,mem=16G,node=1"


def line(job: str = "12", **of: object) -> str:
    """A line of `HEAD`: two GPUs for two hours, which waited ten minutes."""
    usual = {
        "JobID": job,
        "User": "ada",
        "Account": "lab",
        "Partition": "gpu",
        "State": "COMPLETED",
        "Submit": T,
        "Eligible": T,
        "Start": T + 600,
        "End": T + 1200,
        "Timelimit": "02:00:00",
        "ReqTRES": TRES,
        "AllocTRES": TRES,
    }
    return "|".join(str({**usual, **of}[name]) for name in HEAD.split("|"))


def read(*lines: str, head: str = HEAD) -> reading.Reading:
    return sacct.read("\n".join([head, *lines, ""]))


def test_a_job_is_read_whole() -> None:
    jobs = read(line()).jobs
    assert (jobs.submit[0], jobs.wait[0], jobs.end[0]) == (T, 600, T + 1200)
    assert (jobs.gpus[0], jobs.cpus[0], jobs.nodes[0], jobs.size[0], jobs.walltime[0]) == (2, 4, 1, 2, 7200)
    assert (jobs.partitions, jobs.users, jobs.accounts, jobs.states) == (
        ("gpu",),
        ("ada",),
        ("lab",),
        ("COMPLETED",),
    )
    assert jobs.array.tolist() == [-1]


def test_columns_come_in_any_order_with_widths_and_others_between() -> None:
    text = f"Start|JobName|TimelimitRaw|submit%20|AllocCPUS|NNodes\n{T + 5}|x|90|{T}|1K|2"
    jobs = sacct.read(text).jobs
    assert (jobs.wait[0], jobs.walltime[0], jobs.cpus[0], jobs.nodes[0]) == (5, 5400, 1024, 2)
    assert np.isnan(jobs.end[0])


def test_the_bar_at_the_end_that_p_prints_is_no_column() -> None:
    assert len(sacct.read(f"{HEAD}|\n{line()}|\n").jobs) == 1


def test_steps_are_no_jobs_and_empty_lines_are_nothing() -> None:
    found = read(line(), line("12.batch"), line("12.extern"), "", line("12.0"))
    assert (len(found.jobs), found.unread) == (1, 0)


def test_tasks_of_an_array_share_its_number_and_those_that_wait_are_unfolded() -> None:
    waiting = line("12_[3,7-9,20-26:2%2]", State="PENDING", Start="Unknown", End="Unknown", AllocTRES="")
    jobs = read(line("12_0"), line("12_1"), waiting).jobs
    assert len(jobs) == 2 + 1 + 3 + 4
    assert set(jobs.array) == {12}
    assert int(np.isnan(jobs.start).sum()) == 8
    assert set(jobs.gpus) == {2}, "what is asked for is known before it starts"


def test_each_life_of_a_requeued_job_waited_for_itself() -> None:
    first = line("4", State="REQUEUED")
    jobs = read(first, line("4", Submit=T + 1300, Eligible=T + 1420, Start=T + 1450, End=T + 2000)).jobs
    assert jobs.wait.tolist() == [600, 30]


@pytest.mark.parametrize("unknown", ["Unknown", "None", "N/A", ""])
def test_what_has_not_happened_is_nan(unknown: str) -> None:
    jobs = read(line(State="PENDING", Start=unknown, End=unknown)).jobs
    assert np.isnan([jobs.start[0], jobs.end[0]]).all()


def test_a_start_that_is_only_expected_is_none() -> None:
    assert np.isnan(read(line(State="PENDING", End="Unknown")).jobs.start[0])


def test_a_job_cancelled_while_it_waited_never_started() -> None:
    of = {"State": "CANCELLED by 1000", "AllocTRES": ""}
    newer, older = line("1", Start="None", **of), line("2", Start=T + 1200, **of)
    jobs = read(newer, older, line("3", State="CANCELLED by 0")).jobs
    assert np.isnan(jobs.start).tolist() == [True, True, False]
    assert jobs.end.tolist() == [T + 1200] * 3
    assert jobs.states == ("CANCELLED",)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1-12:00:00", 129600),
        ("00:30:00", 1800),
        ("05:00", 300),
        ("UNLIMITED", math.inf),
        ("365-00:00:00", 31536000),
    ],
)
def test_walltimes(text: str, seconds: float) -> None:
    assert read(line(Timelimit=text)).jobs.walltime[0] == seconds


@pytest.mark.parametrize("text", ["Partition_Limit", "", "0-00:00:00"])
def test_a_walltime_that_is_not_known(text: str) -> None:
    assert np.isnan(read(line(Timelimit=text)).jobs.walltime[0])


@pytest.mark.parametrize(
    ("asked", "given", "gpus", "cpus"),
    [
        ("cpu=4,gres/gpu=2", "cpu=32,gres/gpu=2", 2, 4),
        ("cpu=4,gres/gpu:a100=1,gres/gpu:h100=2", "", 3, 4),
        ("cpu=4", "cpu=4,gres/gpu=1", 1, 4),
        ("", "cpu=1.50K,mem=4T", 0, 1536),
        ("bad", "cpu=,gres/gpu=x", 0, 0),
    ],
)
def test_what_was_asked_for_and_what_was_given(asked: str, given: str, gpus: int, cpus: int) -> None:
    jobs = read(line(ReqTRES=asked, AllocTRES=given)).jobs
    assert (jobs.gpus[0], jobs.cpus[0]) == (gpus, cpus)


def test_of_several_partitions_the_first_counts() -> None:
    assert read(line(Partition="gpu,long")).jobs.partitions == ("gpu",)


def test_times_with_and_without_a_zone() -> None:
    east = timezone(timedelta(hours=2))
    text = "Submit|Start|Timelimit\n2026-07-01T12:00:00|2026-07-01T12:01:00|01:00:00\n"
    there = sacct.read(text, east).jobs.submit[0]
    assert there == sacct.read(text.replace(":00|", ":00+02:00|", 2)).jobs.submit[0]
    here = time.mktime((2026, 7, 1, 12, 0, 0, 0, 0, -1))
    assert sacct.read(text).jobs.submit[0] == here


def test_lines_that_cannot_be_read_are_counted_and_the_first_are_named() -> None:
    bad = [
        line(Submit="yesterday"),
        line() + "|more",
        line(Submit="Unknown"),
        line(Start=T - 3600),
        line(End=T),
        "sacct: error: something",
    ]
    found = read(line(), *bad, line())
    assert (len(found.jobs), found.unread, found.lines) == (2, 6, 8)
    assert found.left_out == (
        "line 3: its Submit is 'yesterday', which is no time",
        "line 4: it has 13 columns, and the header 12",
        "line 5: it has no time of submission",
    )
    assert str(found).endswith("(and 3 more)")


HUGE = "9" * 400


def test_numbers_that_are_too_large_spoil_no_other_line() -> None:
    lines = [
        line(job=f"{HUGE}_7"),
        line(job=f"12_[0-{HUGE}]", State="PENDING", Start="Unknown", End="Unknown"),
        line(Timelimit=f"{HUGE}-00:00:00"),
        line(ReqTRES=f"cpu={HUGE}"),
        line(Submit="0001-01-01T00:00:00"),
        line(),
    ]
    found = sacct.read("\n".join([HEAD, *lines]))
    assert found.jobs.array.tolist() == [-1, 12, -1] and found.jobs.size.tolist() == [2.0, 2.0, 2.0]
    assert found.unread == 3 and str(found).count("too large to be one of Slurm's") == 2
    assert "its Submit is '0001-01-01T00:00:00', which is no time" in str(found)


def test_clocks_may_differ_a_little() -> None:
    assert read(line(Start=T - 2)).jobs.wait[0] == 0


@pytest.mark.parametrize("text", ["", "\n\n", "hello", "JobID|State\n1|COMPLETED", line()])
def test_without_a_header_it_says_what_to_run(text: str) -> None:
    with pytest.raises(
        InputError, match=r"Submit.*write the file by: SLURM_TIME_FORMAT=%s sacct -a -X -D -P"
    ):
        sacct.read(text)


def test_a_file_of_any_form_is_recognised(tmp_path: Path) -> None:
    plain, packed, trace = tmp_path / "jobs.txt", tmp_path / "jobs.gz", tmp_path / "trace.swf"
    plain.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([HEAD, line(User="Zoë"), ""]).encode("latin-1"))
    packed.write_bytes(gzip.compress(f"{HEAD}\n{line()}\n".encode()))
    trace.write_text("; UnixStartTime: 100\n1 0 5 60 4 -1 -1 4 120 -1 1 3 1 -1 1 -1 -1 -1\n")
    assert [len(reading.read(path).jobs) for path in (plain, packed, trace)] == [1, 1, 1]


@pytest.mark.parametrize(
    "content", [b"", b"\x1f\x8bbroken", f"{HEAD}\n".encode(), b"; only comments\n", b"\x00\xff"]
)
def test_a_file_without_jobs_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "jobs.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"jobs.txt.*write (it|the file)"):
        reading.read(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        reading.read(tmp_path / "none")


def test_thirty_thousand_lines_take_about_a_second() -> None:
    text = "\n".join(
        [HEAD, *(line(str(i), Submit=T + i, Start=T + i + 600, End=T + i + 900) for i in range(30_000))]
    )
    began = time.process_time()
    assert len(sacct.read(text).jobs) == 30_000
    assert time.process_time() - began < 3.0
