"""Which reports count: the rules for attempts that resume, that begin again, and that were taken for dead."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from taut.curves import Curves
from taut.definition import Definition, Method, Objective
from taut.events import Event, Finished, Reported, Started
from taut.fidelity import Fidelity
from taut.ladder import Ladder
from taut.snapshot import Snapshot
from taut.space import Space, uniform

SPACE = Space(x=uniform(0, 1))
RUNGS = [1.0, 3.0, 9.0]


def report(n: int, a: int, step: float, value: float | None, t: float = 0.0) -> Reported:
    return Reported(n=n, a=a, s=step, y={"loss": value}, t=t)


def curve(*events: Reported) -> list[tuple[float, float | None]]:
    curves = Curves()
    curves.heard += events
    return [(event.s, event.y["loss"]) for event in curves.of(0)]


def test_steps_in_any_order_come_out_in_theirs() -> None:
    assert curve(report(0, 0, 3, 0.3), report(0, 0, 1, 0.1), report(0, 0, 2, 0.2)) == [
        (1, 0.1),
        (2, 0.2),
        (3, 0.3),
    ]


def test_of_a_step_told_twice_the_later_word_counts() -> None:
    assert curve(report(0, 0, 1, 0.5, t=1.0), report(0, 0, 1, 0.4, t=2.0)) == [(1, 0.4)]
    assert curve(report(0, 0, 1, 0.4, t=2.0), report(0, 0, 1, 0.5, t=1.0)) == [(1, 0.4)]


def test_an_attempt_that_resumes_continues_the_curve() -> None:
    before = [report(0, 0, step, 1.0) for step in (1, 2, 3)]
    after = [report(0, 1, step, 0.5) for step in (3, 4)]
    assert curve(*before, *after) == [(1, 1.0), (2, 1.0), (3, 0.5), (4, 0.5)]


def test_an_attempt_that_begins_again_replaces_the_curve() -> None:
    before = [report(0, 0, step, 1.0) for step in (1, 2, 3)]
    assert curve(*before, report(0, 1, 1, 0.5)) == [(1, 0.5)]


def test_what_a_replaced_attempt_still_says_does_not_count() -> None:
    assert curve(report(0, 0, 1, 1.0), report(0, 1, 2, 0.5), report(0, 0, 5, 9.0)) == [(1, 1.0), (2, 0.5)]


def study(rows: list[Event], finished: int | None = None) -> Snapshot:
    definition = Definition(
        "s",
        SPACE.to_json(),
        [Objective("loss")],
        pruner=Method("asha"),
        fidelity=Fidelity("epoch", 9.0),
    )
    snapshot = Snapshot(definition, SPACE)
    for n in range(3):
        snapshot.apply(0, [Started(n=n, a=0, x={"x": 0.5}, r=0, c=n + 1, t=0.0)])
    snapshot.apply(1, rows)
    return snapshot


def on_rungs(snapshot: Snapshot) -> list[list[float]]:
    found: list[list[float]] = Ladder.of(snapshot, RUNGS).losses[:, :, 0].tolist()
    return found


NAN = math.nan


def same(one: list[list[float]], other: list[list[float]]) -> bool:
    return bool(np.array_equal(np.array(one), np.array(other), equal_nan=True))


def test_a_trial_is_on_a_rung_from_its_first_report_there_on() -> None:
    events: list[Event] = [report(0, 0, 1, 0.9), report(0, 0, 2, 0.8), report(0, 0, 4, 0.7)]
    assert same(on_rungs(study(events)), [[0.9, 0.7, NAN]])


def test_no_number_on_a_rung_is_infinitely_bad() -> None:
    assert same(on_rungs(study([report(0, 0, 1, None)])), [[math.inf, NAN, NAN]])


def test_reports_without_the_objective_say_nothing_of_rungs() -> None:
    other = Reported(n=0, a=0, s=3.0, y={"train_loss": 0.1}, t=0.0)
    assert same(on_rungs(study([report(0, 0, 1, 0.9), other, report(0, 0, 4, 0.7)])), [[0.9, 0.7, NAN]])


def test_the_last_word_of_a_complete_trial_stands_on_the_last_rung() -> None:
    done = Finished(n=0, a=0, state="complete", y={"loss": 0.25}, t=1.0)
    assert same(on_rungs(study([report(0, 0, 1, 0.9), done])), [[0.9, NAN, 0.25]])


def begin(n: int, a: int) -> Started:
    return Started(n=n, a=a, x={"x": 0.5}, r=0, c=n + 1, t=0.0)


def complete(n: int, a: int, value: float, t: float) -> Finished:
    return Finished(n=n, a=a, state="complete", y={"loss": value}, t=t)


numbers, attempts, times = st.integers(0, 2), st.integers(0, 2), st.integers(0, 3)
losses = st.floats(-5, 5)
reports = st.builds(report, numbers, attempts, st.integers(1, 10), st.none() | losses, times)
events = reports | st.builds(begin, numbers, attempts) | st.builds(complete, numbers, attempts, losses, times)


@given(st.lists(events, max_size=25))
def test_looking_meanwhile_changes_nothing(events: list[Event]) -> None:
    watched, fresh = study([]), study(list(events))
    for event in events:
        watched.apply(1, [event])
        Ladder.of(watched, RUNGS)
    one, other = Ladder.of(watched, RUNGS), Ladder.of(fresh, RUNGS)
    size = len(other)  # of trials whose end was taken back before anybody looked it never heard
    assert one.heights.tolist() == [*other.heights.tolist(), *[0] * (len(one) - size)]
    assert np.array_equal(one.losses[:size], other.losses, equal_nan=True)
    assert np.array_equal(one.times[:size], other.times, equal_nan=True)
    assert one.exact[:size].tolist() == other.exact.tolist()
    for n in range(3):
        assert watched.curves.of(n) == fresh.curves.of(n)


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(1, 4), st.sampled_from(["loss", "lr"]), st.integers(0, 3)),
        max_size=12,
    )
)
def test_a_look_after_each_report_finds_what_one_at_the_end_does(
    rows: list[tuple[int, int, str, int]],
) -> None:
    events = [
        Reported(n=0, a=a, s=float(s), y={name: float(i)}, t=float(t))
        for i, (a, s, name, t) in enumerate(rows)
    ]
    watched = Curves()
    for i, event in enumerate(events):
        watched.heard.append(event)
        fresh = Curves()
        fresh.heard += events[: i + 1]
        assert watched.of(0) == fresh.of(0) and watched.last(0) == fresh.last(0)
