"""What happened as a timeline: slots, overhead, pauses, and what became of each attempt."""

from __future__ import annotations

import itertools

from courses import T, definition, ended, fold, left, opened, started, told, trial

from taut.events import Closed
from taut.fidelity import Fidelity
from taut.queue.timeline import Bar, Timeline
from taut.reports.actual import Jobs, actual
from taut.reports.ledger import ledger
from taut.savings import Savings
from taut.slurm.jobs import Life


def kinds(timeline: Timeline) -> list[tuple[int, str, float, float, int | None]]:
    return [(bar.lane, bar.kind, round(bar.begin, 6), round(bar.end, 6), bar.trial) for bar in timeline.bars]


def life(job: int, begin: float, end: float | None, node: str = "n1", gpus: int = 1) -> Life:
    elapsed = 0 if end is None else int(end - begin)
    state = "RUNNING" if end is None else "COMPLETED"
    ends = None if end is None else T + end
    return Life(
        id=job,
        life=0,
        state=state,
        start=T + begin,
        end=ends,
        elapsed=elapsed,
        minutes=60,
        gpus=gpus,
        cpus=4,
        nodes=node,
    )


def test_one_worker_one_slot() -> None:
    events = [opened(0), *trial(0, 10, 30), *trial(1, 30, 50, "pruned"), *trial(2, 60, 70, "failed")]
    course = actual(fold(events), T + 100)
    assert course.lanes == ("vm",) and course.zero == T
    assert kinds(course) == [
        (0, "overhead", 0, 10, None),
        (0, "useful", 10, 30, 0),
        (0, "pruned", 30, 50, 1),
        (0, "idle", 50, 60, None),
        (0, "failed", 60, 70, 2),
    ]


def test_trials_side_by_side_have_a_lane_each_and_as_few_as_will_do() -> None:
    events = [opened(0), *trial(0, 1, 9), *trial(1, 2, 5), *trial(2, 5, 8), *trial(3, 9, 12)]
    course = actual(fold(events), T + 100)
    assert course.lanes == ("vm 1", "vm 2")
    assert [(bar.lane, bar.trial) for bar in course.bars if bar.trial is not None] == [
        (0, 0),
        (0, 3),
        (1, 1),
        (1, 2),
    ]
    assert [bar.kind for bar in course.bars if bar.lane == 1][:2] == ["overhead", "idle"]


def test_bars_of_a_lane_never_overlap() -> None:
    events = [
        opened(0),
        *(event for n in range(40) for event in trial(n, n * 1.7 % 11 + n, n * 1.7 % 11 + n + 2.5)),
    ]
    course = actual(fold(events), T + 100)
    for lane in range(len(course.lanes)):
        bars = sorted(bar for bar in course.bars if bar.lane == lane)
        assert all(a.end <= b.begin + 1e-9 for a, b in itertools.pairwise(bars))
    assert sorted(bar.trial for bar in course.bars if bar.trial is not None) == list(range(40))


def test_what_runs_goes_on_until_now() -> None:
    course = actual(fold([opened(0), started(0, 5)]), T + 65)
    assert kinds(course)[-1] == (0, "useful", 5, 65, 0)


def test_a_lost_attempt_has_failed_and_its_trial_comes_again_elsewhere() -> None:
    first = [opened(0, "a"), started(0, 1), left(0, 11, had=10.0)]
    second = [opened(20, "b"), started(0, 21, a=1), ended(0, 31, a=1)]
    course = actual(fold(first, second), T + 100)
    assert [(course.lanes[bar.lane], bar.kind) for bar in course.bars if bar.trial == 0] == [
        ("a", "failed"),
        ("b", "useful"),
    ]


def test_a_trial_that_waits_on_a_rung_has_ended_early() -> None:
    fidelity = Fidelity("epoch", max=9.0, resume=True)
    events = [opened(0), started(0, 1), told(0, 1.0, 4, 0.5), left(0, 5, had=4.0, at=1.0, kept=True)]
    course = actual(fold(events, of=definition(fidelity=fidelity)), T + 50)
    assert kinds(course)[-1] == (0, "pruned", 1, 5, 0)


def test_workers_that_follow_each_other_on_a_node_share_its_lane() -> None:
    one = [opened(0, "n1", 7), *trial(0, 10, 20), Closed(t=T + 20)]
    two = [opened(30, "n1", 8), *trial(1, 35, 45), Closed(t=T + 45)]
    both = [opened(12, "n1", 9), *trial(2, 15, 40), Closed(t=T + 40)]
    assert actual(fold(one, two), T + 90).lanes == ("n1",)
    assert actual(fold(one, two, both), T + 90).lanes == ("n1 1", "n1 2")


def test_with_the_queues_word_a_job_is_held_from_its_start_to_its_end() -> None:
    events = [opened(40, "n1", 7), *trial(0, 60, 100), Closed(t=T + 100)]
    course = actual(fold(events), T + 900, Jobs((life(7, 20, 130),), (T, T + 5)))
    assert course.submitted == (0.0, 5.0)
    assert kinds(course) == [
        (0, "overhead", 20, 60, None),
        (0, "useful", 60, 100, 0),
        (0, "idle", 100, 130, None),
    ]
    assert course.bars[0].job == "7"


def test_a_job_that_did_nothing_is_overhead_and_a_reader_is_nothing() -> None:
    course = actual(fold([opened(40, "n1", 7), Closed(t=T + 50)]), T + 900, Jobs((life(7, 20, 60),)))
    assert kinds(course) == [(0, "overhead", 0, 40, None)]
    assert actual(fold([opened(0), Closed(t=T + 1)]), T + 9).bars == ()


def test_the_ledger_adds_up_and_counts_gpus_where_there_are_some() -> None:
    course = Timeline(
        ("a",),
        (
            Bar(0, 0, 10, "overhead", None, "7"),
            Bar(0, 10, 70, "useful", 0, "7"),
            Bar(0, 70, 90, "pruned", 1, "7"),
            Bar(0, 90, 95, "failed", 2, "7"),
            Bar(0, 95, 100, "idle", None, "7"),
            Bar(0, 100, 999, "other"),
        ),
    )
    rows = {entry.name: entry for entry in ledger(course, None)}
    assert rows["used"].seconds == 100 and "requested" not in rows
    parts = ("complete trials", "trials that ended early", "failed trials", "overhead", "idle")
    assert [rows[name].seconds for name in parts] == [60, 20, 5, 10, 5]
    assert (rows["wasted"].seconds, rows["wasted"].share) == (20, 0.2)
    saved = Savings([], 3, 1, 0, spent=100.0, repeated=8.0, saved=50.0, equivalents=2.0)
    rows = {entry.name: entry for entry in ledger(course, saved, requested=720.0, gpus={"7": 2.0})}
    assert [rows[name].seconds for name in ("requested", "used", "repeated", "saved by pruning")] == [
        720,
        200,
        8,
        42,
    ]
    assert ledger(course, None, gpus={})[0].seconds == 0
