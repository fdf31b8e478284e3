"""Device hours, used and reserved."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from taut.slurm.jobs import FINAL, Life
from taut.slurm.ledger import Entry, Hours, reserved, tasks_within, used

ROUND = Entry(job=45, tasks=4, gpus=2, cpus=8, minutes=60)


def life(task: int | None, state: str, elapsed: int = 0, number: int = 0, gpus: int = 2) -> Life:
    began = {"gpus": gpus, "cpus": 8, "start": 0.0} if elapsed else {}
    return Life(id=100, life=number, state=state, array=45, task=task, elapsed=elapsed, minutes=60, **began)


def test_a_round_that_was_just_submitted_is_reserved_whole() -> None:
    assert reserved([ROUND], []) == (8.0, 32.0)
    assert reserved([ROUND], [life(None, "PENDING")]) == (8.0, 32.0)


def test_what_is_over_counts_with_what_it_used_and_what_runs_with_its_limit() -> None:
    lives = [life(0, "COMPLETED", 1800), life(1, "RUNNING", 60), life(None, "PENDING")]
    assert used(lives) == (1.0 + 2 / 60, 4.0 + 8 / 60)
    assert reserved([ROUND], lives).gpu == 1.0 + 2.0 + 2 * 2.0


def test_tasks_that_were_cancelled_before_they_began_cost_nothing() -> None:
    lives = [life(0, "CANCELLED", 1800), life(None, "CANCELLED")]
    assert reserved([ROUND], lives) == used(lives) == (1.0, 4.0)
    assert reserved([ROUND], [life(task, "CANCELLED") for task in range(4)]) == (0.0, 0.0)


def test_a_requeued_task_counts_for_each_of_its_lives() -> None:
    one = Entry(job=45, tasks=1, gpus=2, cpus=8, minutes=60)
    gone = life(0, "REQUEUED", 1800)
    assert reserved([one], [gone]).gpu == 1.0 + 2.0  # its next life is not shown yet
    assert reserved([one], [gone, life(0, "PENDING", number=1)]).gpu == 1.0 + 2.0
    assert reserved([one], [gone, life(0, "COMPLETED", 360, number=1)]).gpu == 1.2
    assert reserved([one], [life(0, "PREEMPTED", 1800), life(0, "RUNNING", 60, number=1)]).gpu == 3.0


def test_the_round_tells_the_devices_where_accounting_does_not_count_them() -> None:
    done = [life(0, "COMPLETED", 1800, gpus=0)]
    assert used(done).gpu == 0.0 and used(done, [ROUND]).gpu == 1.0


def test_a_single_job_is_a_round_of_its_own() -> None:
    job = Entry(job=7, tasks=1, gpus=0, cpus=1, minutes=5)
    done = Life(id=7, life=0, state="COMPLETED", elapsed=36, cpus=1, minutes=5)
    assert reserved([job], [done]) == used([done]) == (0.0, 0.01)


def test_as_many_tasks_as_fit_into_what_is_left() -> None:
    assert tasks_within(Hours(10.0, math.inf), ROUND, Hours(3.0, 100.0)) == 3
    assert tasks_within(Hours(10.0, math.inf), ROUND, Hours(2.0, 100.0)) == 4
    assert tasks_within(Hours(100.0, math.inf), ROUND, Hours()) == 4
    assert tasks_within(Hours(1.9, math.inf), ROUND, Hours()) == 0
    assert tasks_within(Hours(1.0, math.inf), ROUND, Hours(5.0)) == 0
    assert tasks_within(Hours(math.inf, 16.0), ROUND, Hours()) == 2
    without = Entry(job=45, tasks=9, gpus=0, cpus=1, minutes=60)
    assert tasks_within(Hours(0.0, math.inf), without, Hours()) == 9


states = st.sampled_from([*sorted(FINAL), "RUNNING", "PENDING", "COMPLETING"])


@st.composite
def rounds(draw: st.DrawFn, requeued: bool) -> tuple[Entry, list[Life]]:
    entry = Entry(
        job=45,
        tasks=draw(st.integers(1, 6)),
        gpus=draw(st.integers(0, 8)),
        cpus=draw(st.integers(1, 64)),
        minutes=draw(st.integers(1, 3000)),
    )
    lives = []
    for task in draw(st.sets(st.integers(0, entry.tasks - 1))):
        for number in range(draw(st.integers(1, 3)) if requeued else 1):
            lives.append(
                Life(
                    id=100 + task,
                    life=number,
                    state=draw(st.one_of(states, st.just("REQUEUED")) if requeued else states),
                    array=45,
                    task=task,
                    elapsed=draw(st.integers(0, 60 * entry.minutes + (90 if requeued else 0))),
                    minutes=entry.minutes,
                    gpus=entry.gpus,
                    cpus=entry.cpus,
                )
            )
    if draw(st.booleans()):
        lives.append(Life(id=45, life=0, state=draw(states), array=45))
    return entry, draw(st.permutations(lives))


@given(rounds(requeued=True))
def test_reserved_is_never_below_used(found: tuple[Entry, list[Life]]) -> None:
    entry, lives = found
    held, gone = reserved([entry], lives), used(lives)
    assert held.gpu >= gone.gpu - 1e-9 and held.cpu >= gone.cpu - 1e-9


@given(rounds(requeued=False))
def test_reserved_is_never_above_the_whole_round_at_its_limit(found: tuple[Entry, list[Life]]) -> None:
    entry, lives = found
    held, most = reserved([entry], lives), entry.tasks * entry.minutes / 60
    assert held.gpu <= most * entry.gpus + 1e-9 and held.cpu <= most * entry.cpus + 1e-9


@given(rounds(requeued=False), st.floats(0, 1e5), st.floats(0, 1e5))
def test_what_is_said_to_fit_fits_and_one_more_does_not(
    found: tuple[Entry, list[Life]], gpu: float, taken: float
) -> None:
    entry, _ = found
    count = tasks_within(Hours(gpu, math.inf), entry, Hours(taken))
    each = entry.gpus * entry.minutes / 60
    assert 0 <= count <= entry.tasks
    if each and count:
        assert taken + count * each <= gpu * (1 + 1e-6) + 1e-6
    if each and count < entry.tasks:
        assert taken + (count + 1) * each > gpu
