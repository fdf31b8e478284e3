"""The fold: however the writers are interleaved, cut into batches and looked at in between, the state is one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

import taut
from taut.definition import Definition, Objective
from taut.events import Closed, Event, Finished, Opened, Released, Reported, Started
from taut.snapshot import Snapshot
from taut.spells import spells
from taut.trial import State

SPACE = taut.Space(x=taut.uniform(0, 1), k=taut.uniform_int(1, 5), c=taut.choice(["a", "b"]))
DEFINITION = Definition("study", SPACE.to_json(), [Objective("loss")], retries=1)
METRICS = ["loss", "size"]
Streams = dict[int, list[Event]]


def started(n: int, a: int = 0, t: float = 1.0, x: float = 0.5) -> Started:
    return Started(n=n, a=a, x={"x": x, "k": 2, "c": "b"}, r=0, c=n + 1, t=t)


def finished(n: int, a: int = 0, t: float = 2.0, state: Any = "complete", **values: float) -> Finished:
    return Finished(n=n, a=a, state=state, y=dict(values), t=t)


def released(n: int, a: int = 0, blame: bool = True, t: float = 3.0, why: str = "gone") -> Released:
    return Released(n=n, a=a, why=why, blame=blame, t=t)


def fold(*parts: tuple[int, list[Event]]) -> Snapshot:
    snapshot = Snapshot(DEFINITION)
    for writer, events in parts:
        snapshot.apply(writer, events)
    return snapshot


def everything(snapshot: Snapshot) -> dict[str, Any]:
    """All that anybody can see of a snapshot, in a form that compares (NaN equals NaN)."""
    every = range(snapshot.size)
    reports = {}
    for metric in METRICS:
        table = snapshot.curves.reports(metric)
        rows = zip(*(column.tolist() for column in table), strict=True)
        reports[metric] = sorted(rows)
    return {
        "size": snapshot.size,
        "claimed": snapshot.claimed,
        "seen": dict(sorted(snapshot.seen.items())),
        "writers": dict(sorted(snapshot.writers.items())),
        "closed": sorted(snapshot.closed),
        "counts": list(snapshot.counts),
        "state": snapshot.state.tolist(),
        "attempt": snapshot.attempt.tolist(),
        "writer": snapshot.writer.tolist(),
        "started": repr(snapshot.started.tolist()),
        "finished": repr(snapshot.finished.tolist()),
        "codes": repr(snapshot.codes.tolist()),
        "values": {metric: repr(snapshot.values(metric).tolist()) for metric in METRICS},
        "metrics": sorted(snapshot.metrics),
        "next": [snapshot.next_attempt(n) for n in every],
        "saves": [snapshot.releases.saves, snapshot.releases.blames],
        "short": [snapshot.releases.fell_short(n) for n in every],
        "durations": repr(snapshot.durations.tolist()),
        "spells": repr(
            sorted(zip(*(column.tolist() for column in spells(snapshot, 10.0)), strict=True), key=repr)
        ),
        "params": [snapshot.params(n) for n in every],
        "reports": reports,
        "records": [str(record) for record in snapshot.records(snapshot.known)],
    }


@st.composite
def streams(draw: st.DrawFn) -> Streams:
    """What up to four writers may write about up to four trials: retries, false alarms, late ends and all."""
    count = draw(st.integers(1, 4))
    writers: Streams = {writer: [] for writer in range(count)}
    writer = st.integers(0, count - 1)
    time = st.integers(0, 5).map(float)
    for n in range(draw(st.integers(1, 4))):
        for a in range(draw(st.integers(0, 3))):
            owner = draw(writer)
            # Anybody may tell how a trial went, even somebody whose file is read before the owner's.
            teller = draw(st.sampled_from([owner, owner, draw(writer)]))
            end = draw(st.sampled_from(["", "complete", "pruned", "failed"]))
            writers[owner].append(started(n, a, draw(time), x=draw(st.sampled_from([0.0, 0.25, 1.0]))))
            for step in range(draw(st.integers(0, 2))):
                values: dict[str, float | None] = {draw(st.sampled_from(METRICS)): draw(st.none() | time)}
                writers[owner].append(Reported(n=n, a=a, s=float(step), y=values, t=draw(time)))
            if end:
                names = draw(st.sets(st.sampled_from(METRICS)))
                error = {"error": f"error {a}"} if end == "failed" else {}
                ending: Any = {name: draw(st.none() | time) for name in names}
                writers[teller].append(Finished(n=n, a=a, state=end, y=ending, t=draw(time), **error))
        for _ in range(draw(st.integers(0, 4))):  # alarms, true and false, some by several at once
            alarm = Released(
                n=n,
                a=draw(st.integers(0, 3)),
                why=draw(st.sampled_from("pq")),
                blame=draw(st.booleans()),
                t=draw(time),
                kept=draw(st.sampled_from([UNSET, True])),
                had=draw(st.sampled_from([UNSET, 0.1, 0.2, 1.0])),
                short=draw(st.sampled_from([UNSET, True])),
            )
            for w in draw(st.sets(writer, min_size=1)):
                events = writers[w]
                events.insert(draw(st.integers(0, len(events))), alarm)
    for w, events in writers.items():
        events.insert(0, Opened("host", "boot", "space", 100 + w, "1", "me", {}, 0.0))
        if draw(st.booleans()):
            events.append(Closed(t=9.0))
    return writers


@st.composite
def interleaved(draw: st.DrawFn, writers: Streams) -> list[tuple[int, list[Event]]]:
    """The streams in batches, each writer's order kept."""
    left = {writer: list(events) for writer, events in writers.items()}
    batches = []
    while left:
        writer = draw(st.sampled_from(sorted(left)))
        size = draw(st.integers(1, len(left[writer])))
        batches.append((writer, left[writer][:size]))
        left[writer] = left[writer][size:]
        if not left[writer]:
            del left[writer]
    return batches


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_folding_commutes_over_writers_and_batches(data: st.DataObject) -> None:
    writers = data.draw(streams())
    plain = fold(*sorted(writers.items()))
    other = Snapshot(DEFINITION)
    for writer, events in data.draw(interleaved(writers)):
        other.apply(writer, events)
        if data.draw(st.booleans()):
            everything(other)  # looking moves columns along, and must change nothing
    assert everything(other) == everything(plain)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_counts_are_the_states_counted(data: st.DataObject) -> None:
    snapshot = Snapshot(DEFINITION)
    for writer, events in data.draw(interleaved(data.draw(streams()))):
        snapshot.apply(writer, events)
        assert snapshot.counts == np.bincount(snapshot.state, minlength=len(State)).tolist()


def test_the_highest_attempt_counts_and_a_late_end_of_a_lower_one_does_not() -> None:
    first: tuple[int, list[Event]] = (0, [started(0), finished(0, loss=1.0)])
    second: tuple[int, list[Event]] = (1, [released(0), started(0, 1), finished(0, 1, loss=2.0)])
    for snapshot in (fold(first, second), fold(second, first)):
        assert snapshot.values("loss").tolist() == [2.0]
        assert snapshot.n_finished == 1


def test_an_end_is_undone_by_a_newer_start_and_leaves_no_trace() -> None:
    snapshot = fold((0, [started(0), finished(0, state="failed", size=1.0)]))
    assert snapshot.metrics == ("size",)  # looked at before
    snapshot.apply(1, [started(0, 1)])
    assert snapshot.state.tolist() == [State.RUNNING]
    assert math.isnan(snapshot.values("size")[0]) and math.isnan(snapshot.finished[0])
    assert snapshot.metrics == ()


def test_an_end_read_before_its_start() -> None:
    snapshot = fold((1, [finished(0, loss=1.0)]))
    assert snapshot.n_finished == 1
    snapshot.apply(0, [started(0)])
    assert snapshot.state.tolist() == [State.COMPLETE] and snapshot.params(0) == {"x": 0.5, "k": 2, "c": "b"}


def test_an_attempt_that_two_writers_ended_counts_the_same_for_every_reader() -> None:
    ends: list[tuple[int, list[Event]]] = [
        (1, [finished(0, t=4.0, loss=1.0)]),
        (2, [finished(0, t=3.0, loss=2.0)]),
    ]
    start: tuple[int, list[Event]] = (0, [started(0)])
    one, other = fold(start, *ends), fold(*reversed(ends), start)
    assert everything(one) == everything(other) | {"seen": one.seen}


def test_several_see_the_same_death_and_it_is_blamed_once() -> None:
    snapshot = fold((0, [started(0)]), *((w, [released(0, t=float(w))]) for w in range(1, 6)))
    assert snapshot.state.tolist() == [State.WAITING] and snapshot.next_attempt(0) == 1


def test_blame_is_limited_by_retries_and_innocent_ends_are_not() -> None:
    events: list[Event] = []
    for a in range(5):
        events += [started(0, a), released(0, a, blame=False)]
    snapshot = fold((0, events))
    assert snapshot.state.tolist() == [State.WAITING]
    snapshot.apply(0, [started(0, 5), released(0, 5), started(0, 6), released(0, 6, t=7.0)])
    assert snapshot.state.tolist() == [State.FAILED] and snapshot.finished.tolist() == [7.0]
    assert snapshot.records([0])[0].error == "given up after 2 attempts: gone"


def test_a_false_alarm_does_not_undo_an_end() -> None:
    alarm: tuple[int, list[Event]] = (1, [released(0)])
    trial: tuple[int, list[Event]] = (0, [started(0), finished(0, loss=1.0)])
    assert everything(fold(alarm, trial)) == everything(fold(trial, alarm))
    assert fold(alarm, trial).n_finished == 1


def test_damaged_lines_count_in_what_was_seen() -> None:
    snapshot = fold((3, [None, started(0), None]))  # type: ignore[list-item]
    assert snapshot.seen == {3: 3}


@pytest.mark.parametrize("ending", [[], [finished(0, loss=1.0)]])
def test_a_trial_whose_start_was_damaged_can_be_looked_at(ending: list[Event]) -> None:
    snapshot = fold((0, [Reported(n=0, a=0, s=1.0, y={"loss": 3.0}, t=1.0), *ending]))
    everything(snapshot)
    assert snapshot.n_finished == len(ending)


def test_columns_that_somebody_holds_are_not_changed_by_growth() -> None:
    snapshot = fold((0, [started(0)]))
    state = snapshot.state
    snapshot.apply(0, [started(n) for n in range(1, 500)])
    assert state.tolist() == [State.RUNNING] and snapshot.size == 500
    with pytest.raises(ValueError, match="read-only"):
        state[0] = 1


def test_an_attempt_that_saved_itself_is_paused_and_goes_on_as_the_next() -> None:
    saved = Released(n=0, a=0, why="its job ends in 60 s", blame=False, t=2.0, kept=True, had=1.0)
    snapshot = fold((0, [started(0), saved]))
    assert snapshot.state[0] == State.PAUSED and snapshot.releases.saves == 1
    assert snapshot.next_attempt(0) == 1 and snapshot.spent(0) == 1.0
    # What others say of the same attempt, whose worker then left, changes nothing.
    snapshot.apply(1, [released(0, blame=True, t=9.0)])
    assert snapshot.state[0] == State.PAUSED
    snapshot.apply(1, [started(0, 1, t=10.0), finished(0, 1, t=12.0, loss=1.0)])
    (record,) = snapshot.records([0])
    assert (record.state, record.error) == ("complete", None)
    assert record.interruptions == ["attempt 0: its job ends in 60 s"]
    assert (record.duration, record.spent) == (2.0, 3.0) and snapshot.durations.tolist() == [3.0]


def test_a_paused_trial_stays_paused_when_its_next_attempt_was_claimed_and_not_begun() -> None:
    saved = Released(n=0, a=0, why="saved", blame=False, t=2.0, kept=True, had=1.0)
    snapshot = fold((0, [started(0), saved]), (1, [released(0, 1, blame=False, why="did not begin it")]))
    assert snapshot.state[0] == State.PAUSED and snapshot.next_attempt(0) == 2
    (record,) = snapshot.records([0])
    assert record.error == "saved" and len(record.interruptions) == 2


def lost(n: int, a: int, t: float, had: float) -> Released:
    return Released(n=n, a=a, why="it was interrupted", blame=False, t=t, had=had)


def test_the_time_of_every_attempt_is_known_and_whether_it_was_of_use() -> None:
    saved = Released(n=0, a=0, why="saved", blame=False, t=11.0, kept=True, had=10.0)
    one = [started(0, 0, t=1.0), saved]
    two: list[Event] = [started(0, 1, t=20.0), lost(0, 1, 25.0, 5.0)]
    three: list[Event] = [started(0, 2, t=30.0), finished(0, 2, t=37.0, loss=1.0), started(1, t=40.0)]
    four: list[Event] = [started(2, t=40.0), released(2, t=44.0)]  # nobody knows when it died
    snapshot = fold((2, [*three, *four]), (0, one), (1, two))
    rows = sorted(zip(*(column.tolist() for column in spells(snapshot, 50.0)), strict=True))
    assert rows == [
        (0, 0, 1.0, 11.0, False),
        (0, 1, 20.0, 25.0, True),
        (0, 2, 30.0, 37.0, False),
        (1, 2, 40.0, 50.0, False),
    ]
    assert [record.spent for record in snapshot.records([0, 1, 2])] == [22.0, 0.0, 0.0]
    assert snapshot.durations.size == 0, "attempt 1 was thrown away, so the sum says nothing"


def test_a_trial_that_was_given_up_counts_once_and_as_lost() -> None:
    events: list[Event] = []
    for a in range(2):
        ended = Released(n=0, a=a, why="gone", blame=True, t=10.0 * a + 5.0, had=5.0)
        events += [started(0, a, t=10.0 * a), ended]
    snapshot = fold((0, events))
    assert snapshot.state[0] == State.FAILED
    assert sorted(spells(snapshot, 99.0).begin.tolist()) == [0.0, 10.0]
    assert spells(snapshot, 99.0).lost.all() and snapshot.spent(0) == 10.0


def test_what_the_attempt_s_own_worker_says_goes_before_what_others_say() -> None:
    own: tuple[int, list[Event]] = (0, [started(0), lost(0, 0, 3.0, 2.0)])
    other: tuple[int, list[Event]] = (1, [released(0, blame=True, t=9.0)])
    for snapshot in (fold(own, other), fold(other, own)):
        assert snapshot.releases.why(0) == ["attempt 0: it was interrupted"] and snapshot.spent(0) == 2.0


def test_the_longest_time_that_was_not_enough() -> None:
    short = [
        Released(n=0, a=a, why="short", blame=True, t=3.0, had=had, short=True)
        for a, had in enumerate((50.0, 40.0))
    ]
    assert fold((0, [started(0), short[0], started(0, 1), short[1]])).releases.fell_short(0) == 50.0
    assert fold((0, [started(0), lost(0, 0, 3.0, 60.0)])).releases.fell_short(0) == 0.0
