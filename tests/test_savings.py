"""What was spent on each rung and what was saved, against numbers worked out by hand; one epoch takes a minute."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET, structs

import taut
from taut.definition import Definition, Objective
from taut.events import Event, Finished, Released, Reported, Started
from taut.fidelity import Fidelity
from taut.pruners.halving import AshaPruner
from taut.savings import Rung, Savings, savings
from taut.snapshot import Snapshot

SPACE = taut.Space(x=taut.uniform(0, 1))
FIDELITY = Fidelity("epoch", max=27.0, resume=True)
DEFINITION = Definition("study", SPACE.to_json(), [Objective("loss")], fidelity=FIDELITY)
PLAIN = structs.replace(DEFINITION, fidelity=None)
PRUNER = AshaPruner(variant="promotion")
EPOCH = 60.0


def started(n: int, a: int = 0, t: float = 0.0) -> Started:
    return Started(n=n, a=a, x={"x": 0.5}, r=0, c=n + 1, t=t)


def told(n: int, step: float, t: float, a: int = 0) -> Reported:
    return Reported(n=n, a=a, s=step, y={"loss": 1.0}, t=t)


def finished(n: int, t: float, a: int = 0, state: Any = "complete") -> Finished:
    return Finished(n=n, a=a, state=state, y={"loss": 1.0} if state != "failed" else {}, t=t)


def released(
    n: int, t: float, a: int = 0, at: Any = UNSET, kept: Any = UNSET, had: Any = UNSET, blame: bool = False
) -> Released:
    return Released(n=n, a=a, why="it ended", blame=blame, t=t, at=at, kept=kept, had=had)


def ran(n: int, first: int, last: int, a: int = 0, t: float = 0.0, start: float = 0.0) -> list[Event]:
    """An attempt that reports each epoch from `first` to `last`. start: seconds before the first of them."""
    times = [(e, t + start + EPOCH * (e - first + 1)) for e in range(first, last + 1)]
    return [started(n, a, t), *(told(n, float(e), when, a) for e, when in times)]


def whole(n: int, start: float = 0.0) -> list[Event]:
    return [*ran(n, 1, 27, start=start), finished(n, start + 27 * EPOCH)]


def waits(
    n: int, first: int, last: int, a: int = 0, t: float = 0.0, kept: Any = True, start: float = 0.0
) -> list[Event]:
    had = start + EPOCH * (last - first + 1)
    return [
        *ran(n, first, last, a, t, start),
        released(n, t + had, a, at=float(last), kept=kept, had=had),
    ]


def study(*trials: Sequence[Event], definition: Definition = DEFINITION) -> Snapshot:
    snapshot = Snapshot(definition, SPACE)
    for writer, events in enumerate(trials):
        snapshot.apply(writer, events)
    return snapshot


def account(*trials: Sequence[Event], definition: Definition = DEFINITION, now: float = 1e4) -> Savings:
    pruner = PRUNER if definition.fidelity is not None else None
    return savings(study(*trials, definition=definition), pruner, now)


def in_epochs(rung: Rung) -> tuple[float, ...]:
    """The rung with times in epochs."""
    assert rung.saved is not None
    times = (rung.spent, rung.repeated, rung.saved)
    return (*rung[:5], *(pytest.approx(seconds / EPOCH) for seconds in times))


def test_one_is_complete_and_the_others_wait() -> None:
    found = account(whole(0), waits(1, 1, 1), [*waits(2, 1, 1), *waits(2, 2, 3, a=1, t=500.0)])
    # step, reached, went on, stopped, waiting, spent, repeated, saved
    assert [in_epochs(rung) for rung in found.rungs] == [
        (1.0, 3, 2, 0, 1, 3, 0, 26),
        (3.0, 2, 1, 0, 1, 4, 0, 24),
        (9.0, 1, 1, 0, 0, 6, 0, 0),
        (27.0, 1, 0, 0, 0, 18, 0, 0),
    ]
    assert (found.trials, found.early, found.waiting, found.stopped) == (3, 2, 2, 0)
    assert (found.spent, found.saved, found.full, found.net) == (
        31 * EPOCH,
        50 * EPOCH,
        81 * EPOCH,
        50 * EPOCH,
    )
    assert found.equivalents == pytest.approx(31 / 27)


def test_what_began_again_is_repeated() -> None:
    """Nothing was kept, so that the second attempt runs the first epoch again."""
    again = [*waits(0, 1, 1, kept=UNSET), *waits(0, 1, 3, a=1, t=500.0, kept=UNSET)]
    found = account(again)
    assert [in_epochs(rung) for rung in found.rungs[:2]] == [
        (1.0, 1, 1, 0, 0, 2, 1, 0),
        (3.0, 1, 0, 0, 1, 2, 0, 24),
    ]
    assert (found.spent, found.repeated, found.saved) == (4 * EPOCH, EPOCH, 24 * EPOCH)
    assert (found.full, found.net) == (27 * EPOCH, 23 * EPOCH)
    assert found.equivalents == pytest.approx(4 / 27)


def test_one_report_at_the_goal_of_an_attempt() -> None:
    """Whether an attempt that reports only at its end began anew is told by what its worker found of a checkpoint."""

    def twice(kept: Any) -> Savings:
        had = 2 * EPOCH if kept is True else 3 * EPOCH
        return account(
            [
                *(started(0), told(0, 1.0, EPOCH), released(0, EPOCH, at=1.0, kept=kept, had=EPOCH)),
                *(started(0, 1, 500.0), told(0, 3.0, 500.0 + had, 1)),
                released(0, 500.0 + had, 1, at=3.0, kept=kept, had=had),
            ]
        )

    assert (twice(True).spent, twice(True).repeated) == (3 * EPOCH, 0.0)
    anew = twice(UNSET)
    assert (anew.spent, anew.repeated) == (4 * EPOCH, pytest.approx(EPOCH))
    assert [rung.spent for rung in anew.rungs] == pytest.approx([2 * EPOCH, 2 * EPOCH, 0.0, 0.0])


def test_a_trial_that_was_interrupted_goes_on_where_its_reports_do() -> None:
    """It was killed in its fifth epoch; afterwards it reports the fourth again, or the first."""
    killed = [*ran(0, 1, 4), released(0, 4.5 * EPOCH, had=4.5 * EPOCH, blame=True)]
    resumed = account([*killed, *ran(0, 4, 27, a=1, t=500.0), finished(0, 500.0 + 24 * EPOCH, 1)])
    assert (resumed.spent, resumed.repeated) == (28.5 * EPOCH, EPOCH)
    assert resumed.equivalents == pytest.approx(28 / 27)
    anew = account([*killed, *ran(0, 1, 27, a=1, t=500.0), finished(0, 500.0 + 27 * EPOCH, 1)])
    assert (anew.spent, anew.repeated) == (31.5 * EPOCH, 4 * EPOCH)
    assert anew.equivalents == pytest.approx(31 / 27)


def test_of_a_worker_that_died_without_a_word_the_reports_tell() -> None:
    dead = [*ran(0, 1, 4), released(0, 9999.0, blame=True)]
    found = account(dead, now=20000.0)
    assert (found.spent, found.early) == (3 * EPOCH, 0)
    assert found.equivalents == pytest.approx(4 / 27)


def test_what_a_dead_worker_did_in_unknown_time_makes_no_trial_fast() -> None:
    """Its first epoch took nobody knows how long, the second one a minute."""
    dead = [*ran(0, 1, 1), released(0, 400.0, blame=True)]
    found = account([*dead, *waits(0, 2, 2, a=1, t=500.0)])
    assert (found.spent, found.saved) == (EPOCH, 25 * EPOCH)


def test_a_running_trial_is_counted_up_to_now() -> None:
    found = account(ran(0, 1, 3), now=4 * EPOCH)
    assert [rung.spent / EPOCH for rung in found.rungs] == [1, 2, 1, 0]
    assert [rung.went_on for rung in found.rungs] == [1, 1, 0, 0]
    assert (found.early, found.saved) == (0, 0.0)
    # Resumed at epoch 3, and nothing reported since: it is on its way to the next rung.
    resumed = account([*waits(0, 1, 3), started(0, 1, 500.0)], now=500.0 + EPOCH)
    assert [rung.spent / EPOCH for rung in resumed.rungs] == [1, 2, 1, 0]
    assert resumed.repeated == 0.0
    # Begun anew, and not as far yet as it was before.
    anew = [*waits(0, 1, 3, kept=UNSET), *ran(0, 1, 1, a=1, t=500.0)]
    assert account(anew, now=500.0 + 1.5 * EPOCH).repeated == pytest.approx(1.5 * EPOCH)


def test_a_trial_may_end_below_the_lowest_rung() -> None:
    definition = structs.replace(DEFINITION, fidelity=Fidelity("epoch", min=3.0, max=27.0))
    stopped = [*ran(0, 1, 2), finished(0, 2 * EPOCH, state="pruned")]
    found = account(stopped, whole(1), definition=definition)
    assert [in_epochs(rung) for rung in found.rungs] == [
        (0.0, 2, 1, 1, 0, 0, 0, 25),
        (3.0, 1, 1, 0, 0, 5, 0, 0),
        (9.0, 1, 1, 0, 0, 6, 0, 0),
        (27.0, 1, 0, 0, 0, 18, 0, 0),
    ]


def test_a_failure_saves_nothing() -> None:
    found = account([*ran(0, 1, 5), finished(0, 5 * EPOCH, state="failed")], whole(1))
    assert (found.spent, found.saved, found.early) == (32 * EPOCH, 0.0, 0)


def test_each_trial_goes_at_its_own_pace() -> None:
    """Twice as slow, so twice as much is saved; what never reported in time takes the usual pace."""
    slow = [
        started(0),
        told(0, 1.0, 120.0),
        told(0, 3.0, 360.0),
        released(0, 360.0, at=3.0, kept=True, had=360.0),
    ]
    unknown = [started(1), told(1, 3.0, 0.0), released(1, 0.0, at=3.0, kept=True, had=0.0)]
    found = account(slow, whole(2))
    assert found.saved == 24 * 120.0
    both = account(slow, unknown, whole(2))
    assert both.saved == pytest.approx(24 * 120.0 + 24 * 90.0)


def test_the_time_before_the_first_report_does_not_come_again() -> None:
    """Half a minute to begin: of the trial with one report, that is taken off as the others have it."""
    found = account(waits(0, 1, 3, start=30.0))
    assert (found.spent, found.saved) == (3.5 * EPOCH, 24 * EPOCH)
    found = account(waits(0, 1, 1, start=30.0), waits(1, 1, 3, start=30.0))
    assert found.saved == pytest.approx((26 + 24) * EPOCH)
    alone = account(waits(0, 1, 1, start=30.0))
    assert alone.saved == pytest.approx(26 * 1.5 * EPOCH), "nothing tells the one from the other"


def test_the_cost_of_a_step_may_grow() -> None:
    """As the square: three epochs of nine are a ninth of a trial."""
    definition = structs.replace(DEFINITION, fidelity=Fidelity("epoch", max=9.0, cost="epoch ** 2"))
    trial = [started(0), told(0, 1.0, 10.0), told(0, 3.0, 90.0), finished(0, 90.0, state="pruned")]
    found = account(trial, definition=definition)
    assert found.saved == pytest.approx(80.0 / (8 / 81) * (72 / 81))
    assert found.equivalents == pytest.approx(1 / 9)
    one = account([started(0), told(0, 3.0, 90.0), finished(0, 90.0, state="pruned")], definition=definition)
    assert [rung.spent for rung in one.rungs] == pytest.approx([10.0, 80.0, 0.0])


def test_without_a_fidelity_complete_trials_tell_how_long_a_trial_is() -> None:
    stopped = [*ran(0, 1, 2), finished(0, 2 * EPOCH, state="pruned")]
    found = account(stopped, definition=PLAIN)
    assert (found.early, found.spent, found.saved, found.equivalents) == (1, 2 * EPOCH, None, None)
    assert (found.rungs, found.full, found.net) == ([], None, None)
    complete = [*ran(1, 1, 10), finished(1, 10 * EPOCH)]
    found = account(stopped, complete, definition=PLAIN)
    assert (found.spent, found.saved, found.equivalents) == (12 * EPOCH, 8 * EPOCH, pytest.approx(1.2))


def test_gpus_are_counted_by_worker() -> None:
    snapshot = study(waits(0, 1, 1), waits(1, 1, 1))
    found = savings(snapshot, PRUNER, 1e4, {0: 2.0, 1: 0.5})
    assert (found.spent, found.saved) == (2.5 * EPOCH, 26 * 2.5 * EPOCH)
    partly = savings(snapshot, PRUNER, 1e4, {0: 2.0})
    assert (partly.spent, partly.saved) == (2 * EPOCH, 2 * 26 * 2 * EPOCH)


def test_nothing_has_happened() -> None:
    found = account()
    assert (found.trials, found.spent, found.saved, found.equivalents) == (0, 0.0, 0.0, 0.0)


STEPS = st.lists(st.sampled_from([1, 2, 3, 5, 9, 20, 26]), min_size=1, max_size=4, unique=True).map(sorted)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(STEPS, st.booleans(), st.booleans()), min_size=1, max_size=6))
def test_spent_and_saved_are_the_whole_cost(drawn: list[tuple[list[int], bool, bool]]) -> None:
    """All steps take the same time, whatever the attempts; what is repeated comes on top."""
    trials, repeated = [], 0
    for n, (ends, kept, stops) in enumerate(drawn):
        events: list[Event] = []
        for a, end in enumerate(ends):
            first = (ends[a - 1] if kept and a else 0) + 1
            repeated += 0 if kept or not a else ends[a - 1]
            events += waits(n, first, end, a, t=1e4 * a, kept=True if kept else UNSET)
        if stops:
            last = events.pop()
            assert isinstance(last, Released)
            events.append(finished(n, last.t, last.a, state="pruned"))
        trials.append(events)
    snapshot = study(*trials)
    found = savings(snapshot, PRUNER, 1e6)
    assert found.saved is not None
    assert found.spent == pytest.approx(sum(snapshot.spent(n) for n in range(len(drawn))))
    assert found.repeated == pytest.approx(EPOCH * repeated)
    assert found.spent - found.repeated + found.saved == pytest.approx(len(drawn) * 27 * EPOCH)
    assert sum(rung.spent for rung in found.rungs) == pytest.approx(found.spent)
    assert found.equivalents == pytest.approx(found.spent / (27 * EPOCH))
    order = list(range(len(drawn)))
    random.Random(len(drawn)).shuffle(order)
    other = Snapshot(DEFINITION, SPACE)
    for writer in order:
        other.apply(writer, trials[writer])
    assert savings(other, PRUNER, 1e6) == found, "in whatever order it was read"


def test_a_thousand_trials_take_little_time() -> None:
    snapshot = study(*(waits(n, 1, 26) for n in range(1000)))
    began = time.perf_counter()
    assert savings(snapshot, PRUNER, 1e4).early == 1000
    assert time.perf_counter() - began < 3.0
