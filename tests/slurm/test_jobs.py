"""Reading squeue and sacct. The texts were printed by Slurm 22.05.8."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from taut.slurm.jobs import Job, Life, ending, parse_sacct, parse_squeue

SQUEUED = """\
12|12|N/A|0|RUNNING|root|high|2026-11-24T11:03:08|2026-11-24T11:05:08|2:00|cpu=4,mem=400M,node=1,billing=20,gres/gpu=2|node4|0|None|hi|
8|8|N/A|1|PENDING|root|low|2026-11-24T11:03:14|2026-11-24T11:08:14|5:00|cpu=1,mem=100M,node=1,billing=1||0|BeginTime|pr|
5|5|N/A|0|FAILED|root|main|2026-11-24T11:03:05|2026-11-24T11:03:08|2:00|cpu=1,mem=100M,node=1,billing=1|node1|512|NonZeroExitCode|ex|
3|3|1|0|PENDING|root|main|N/A|N/A|1-00:00:30|cpu=1,mem=100M,node=1,billing=9,gres/gpu=1||0|JobArrayTaskLimit|a|b c, d|
11|3|0|0|RUNNING|root|main|2026-11-24T11:03:05|2026-11-24T11:06:05|UNLIMITED|cpu=1,mem=100M,node=1,billing=9,gres/gpu=1|node1|0|None|a|b c, d|
1|1|N/A|1|PENDING|root|main|N/A|N/A|5:00|cpu=1,mem=100M,node=1,billing=1||0|ReqNodeNotAvail, UnavailableNodes:node2|n|
slurm_load_jobs error: this line is no job
"""

ACCOUNTED = """\
4|4|REQUEUED|0:0|2026-11-24T11:03:05|2026-11-24T11:03:05|2026-11-24T11:03:05|0|2|billing=1,cpu=1,mem=102400K,node=1|node1||rq
4.batch|4.batch|CANCELLED|0:15|2026-11-24T11:03:05|2026-11-24T11:03:05|2026-11-24T11:03:05|0||cpu=1,mem=102400K,node=1|node1||batch
7|7|CANCELLED by 0|0:0|2026-11-24T11:03:05|2026-11-24T11:03:05|2026-11-24T11:03:08|3|1|billing=1,cpu=1,mem=102400K,node=1|node2||cn
7.batch|7.batch|CANCELLED|0:15|2026-11-24T11:03:05|2026-11-24T11:03:05|2026-11-24T11:03:08|3||cpu=1,mem=102400K,node=1|node2|2968K|batch
11|3_0|COMPLETED|0:0|2026-11-24T11:03:05|2026-11-24T11:03:05|2026-11-24T11:03:20|15|3|billing=9,cpu=1,gres/gpu=1,mem=102400K,node=1|node1||a|b
11.batch|3_0.batch|COMPLETED|0:0|2026-11-24T11:03:05|2026-11-24T11:03:05|2026-11-24T11:03:20|15||cpu=1,gres/gpu=1,mem=102400K,node=1|node1|2780K|batch
3|3_1|RUNNING|0:0|2026-11-24T11:03:05|2026-11-24T11:03:20|Unknown|1|3|billing=9,cpu=1,gres/gpu=1,mem=102400K,node=1|node1||a|b
4|4|COMPLETED|0:0|2026-11-24T11:03:06|2026-11-24T11:03:11|2026-11-24T11:03:16|5|2|billing=1,cpu=1,mem=102400K,node=1|node1||rq
4.batch|4.batch|COMPLETED|0:0|2026-11-24T11:03:11|2026-11-24T11:03:11|2026-11-24T11:03:16|5||cpu=1,mem=102400K,node=1|node1|2976K|batch
45|45_[1-5%1]|CANCELLED by 0|0:0|2026-11-24T11:07:47|None|2026-11-24T11:07:49|0|3||None assigned||arr
61|61|FAILED|0:9|2026-11-24T11:09:00|2026-11-24T11:09:00|2026-11-24T11:09:02|2|5|billing=1,cpu=1,mem=51200K,node=1|node1||o
61.batch|61.batch|CANCELLED by 0|0:9|2026-11-24T11:09:00|2026-11-24T11:09:00|2026-11-24T11:09:02|2||cpu=1,mem=51200K,node=1|node1|486392K|batch
"""


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine two hours east of Greenwich in summer, one in winter."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_squeue_is_read_with_names_and_reasons_that_hold_bars_blanks_and_commas() -> None:
    jobs = {job.label: job for job in parse_squeue(SQUEUED)}
    assert list(jobs) == ["12", "8", "5", "3_1", "3_0", "1"]
    assert jobs["3_0"].name == jobs["3_1"].name == "a|b c, d"
    assert jobs["1"].reason == "ReqNodeNotAvail, UnavailableNodes:node2" and jobs["12"].reason == ""
    assert (jobs["3_0"].id, jobs["3_0"].array, jobs["3_1"].id) == (11, 3, 3)
    assert (jobs["8"].life, jobs["12"].life) == (1, 0)
    assert (jobs["12"].gpus, jobs["12"].cpus, jobs["12"].nodes, jobs["8"].gpus) == (2, 4, "node4", 0)
    assert [jobs[name].minutes for name in ("12", "3_1", "3_0")] == [2, 1441, None]
    assert (jobs["5"].exit, jobs["12"].exit) == ("2:0", None)


def test_local_times_become_seconds_since_the_epoch(zone: None) -> None:
    winter, *_ = parse_squeue(SQUEUED)
    summer, *_ = parse_squeue(SQUEUED.replace("2026-11-24", "2026-07-24"))
    assert (winter.start, winter.end) == (1795514588.0, 1795514708.0)  # 10:03:08 UTC
    assert summer.start == 1784883788.0  # 09:03:08 UTC
    assert parse_squeue(SQUEUED)[3].start is None


def test_sacct_is_read_life_by_life_and_steps_tell_the_memory() -> None:
    lives = {(life.label, life.life): life for life in parse_sacct(ACCOUNTED)}
    assert set(lives) == {("4", 0), ("4", 1), ("7", 0), ("3_0", 0), ("3_1", 0), ("45", 0), ("61", 0)}
    assert (lives["4", 0].state, lives["4", 1].state) == ("REQUEUED", "COMPLETED")
    assert (lives["4", 0].max_rss, lives["4", 1].max_rss) == (None, 2976 * 1024)
    assert (lives["7", 0].cancelled_by, lives["4", 1].elapsed, lives["3_0", 0].minutes) == (0, 5, 3)
    assert (lives["3_0", 0].gpus, lives["3_0", 0].memory, lives["3_0", 0].name) == (1, 100 * 2**20, "a|b")
    assert lives["3_1", 0].end is None
    rest = lives["45", 0]
    assert (rest.array, rest.task, rest.start, rest.nodes, rest.cpus) == (45, None, None, "", 0)


def test_lives_are_ordered_by_submission_whatever_the_order_of_lines() -> None:
    rows = [line for line in ACCOUNTED.splitlines() if line.startswith("4|")]
    assert [life.state for life in parse_sacct("\n".join(reversed(rows)))] == ["REQUEUED", "COMPLETED"]


def test_gpus_are_summed_where_only_their_types_are_counted() -> None:
    text = SQUEUED.replace("gres/gpu=2", "gres/gpu:a100=2,gres/gpu:v100=1")
    assert parse_squeue(text)[0].gpus == 3
    assert parse_squeue(text.replace("gres/gpu:", "gres/gpu=3,gres/gpu:", 1))[0].gpus == 3


def test_memory_kill_is_told_from_other_kills() -> None:
    (starved,) = (life for life in parse_sacct(ACCOUNTED) if life.id == 61)
    assert ending(starved) == ("job 61 ran out of memory (MaxRSS 475 MiB of 50 MiB)", True)
    (killed,) = (life for life in parse_sacct(ACCOUNTED.replace("486392K", "4863K")) if life.id == 61)
    assert ending(killed) == ("job 61 was killed by signal 9", True)


@pytest.mark.parametrize(
    "state", ["PENDING", "CONFIGURING", "RUNNING", "SUSPENDED", "COMPLETING", "SOMETHING_NEW"]
)
def test_what_is_not_over_has_no_ending(state: str) -> None:
    assert ending(Job(id=12, life=0, state=state)) is None
    assert ending(Life(id=12, life=0, state=state)) is None


GIB = 2**30


@pytest.mark.parametrize(
    ("life", "why", "blame"),
    [
        (
            {"state": "OUT_OF_MEMORY", "max_rss": int(3.9 * GIB), "memory": 4 * GIB},
            "job 12_3 ran out of memory (MaxRSS 3.9 GiB of 4.0 GiB)",
            True,
        ),
        ({"state": "OUT_OF_MEMORY"}, "job 12_3 ran out of memory", True),
        ({"state": "TIMEOUT", "minutes": 60}, "job 12_3 ran into its time limit of 60 min", True),
        ({"state": "FAILED", "exit": "2:0"}, "job 12_3 ended with exit code 2", True),
        ({"state": "FAILED", "exit": "0:9"}, "job 12_3 was killed by signal 9", True),
        (
            {"state": "FAILED", "exit": "137:0"},
            "job 12_3 ended with exit code 137 (killed by signal 9)",
            True,
        ),
        ({"state": "COMPLETED", "exit": "0:0"}, "job 12_3 ended with exit code 0", True),
        ({"state": "NODE_FAIL", "nodes": "node3"}, "node3, where job 12_3 ran, failed", False),
        ({"state": "NODE_FAIL", "nodes": "node[3-4]"}, "one of node[3-4], where job 12_3 ran, failed", False),
        ({"state": "CANCELLED", "cancelled_by": 0}, "job 12_3 was cancelled by user 0 (root)", False),
        ({"state": "CANCELLED", "cancelled_by": 3999999}, "job 12_3 was cancelled by user 3999999", False),
        ({"state": "CANCELLED"}, "job 12_3 was cancelled", False),
        ({"state": "PREEMPTED"}, "job 12_3 was preempted", False),
        ({"state": "REQUEUED"}, "job 12_3 was requeued", False),
        ({"state": "BOOT_FAIL"}, "job 12_3 was given a node that did not boot", False),
        ({"state": "DEADLINE"}, "job 12_3 came to its deadline", False),
    ],
)
def test_endings_say_why_and_whether_the_trial_may_be_the_reason(
    life: dict[str, object], why: str, blame: bool
) -> None:
    assert ending(Life(id=15, life=0, array=12, task=3, **life)) == (why, blame)  # type: ignore[arg-type]


def test_a_job_that_could_not_be_launched_is_not_the_trials_fault() -> None:
    found = ending(Life(id=13, life=0, state="FAILED", exit="0:53"))
    assert found is not None and "could not be launched" in found.why and not found.blame
