"""What fits into the rest of a job where trials wait on their way: the next attempt, not a whole trial."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

import taut
from handmade import hello
from taut.decide import Claim, Decision, Done, Hands, Proposals, Start, decide
from taut.definition import Budget, Definition, Method, Objective
from taut.events import Allocation, Descent, Event, Finished, Released, Reported, Started
from taut.fidelity import Fidelity
from taut.opening import make_proposals
from taut.releases import had
from taut.snapshot import Snapshot
from taut.stretches import Stretches, ahead

SPACE = taut.Space(x=taut.uniform(0.0, 1.0))
FIDELITY = Fidelity("epoch", max=9.0, resume=True)
RUNGS = (1.0, 3.0, 9.0)
STEP = 10.0  # seconds
IN_JOB = Allocation("lab", 7, 0, "7", "node1", 1, 4)


def definition(pruner: Method, fidelity: Fidelity = FIDELITY, trials: int | None = None) -> Definition:
    budget = Budget(trials=trials)
    return Definition(
        "s",
        SPACE.to_json(),
        [Objective("loss")],
        sampler=Method("random"),
        pruner=pruner,
        fidelity=fidelity,
        budget=budget,
    )


def ran(
    n: int, upto: float, done: bool = True, rungs: tuple[float, ...] = RUNGS, resume: bool = True
) -> list[Event]:
    """A trial that came so far, and that is whole or waits there: each epoch took 10 s."""
    events: list[Event] = []
    t, begin = 0.0, 0.0
    for a, goal in enumerate(step for step in rungs if step <= upto):
        had = STEP * (goal - (begin if resume else 0.0))
        events += [
            Started(n=n, a=a, x={"x": 0.01 * n}, r=0, c=n + 1, t=t, f=goal),
            Reported(n=n, a=a, s=goal, y={"loss": -float(n)}, t=t + had),
        ]
        t += had
        if goal == rungs[-1] and done:
            events.append(Finished(n=n, a=a, state="complete", y={"loss": -float(n)}, t=t))
        else:
            events.append(Released(n=n, a=a, why="w", blame=False, t=t, kept=True, had=had, at=goal))
        begin = goal
    return events


def whole(n: int, seconds: float) -> list[Event]:
    begun = Started(n=n, a=0, x={"x": 0.5}, r=0, c=n + 1, t=0.0)
    return [begun, Finished(n=n, a=0, state="complete", y={"loss": 1.0}, t=seconds)]


def folded(events: list[Event], what: Definition) -> tuple[Snapshot, Proposals]:
    snapshot = Snapshot(what, SPACE)
    snapshot.apply(0, events)
    return snapshot, make_proposals(what, SPACE)


def ask(snapshot: Snapshot, proposals: Proposals, left: float, **hands: Any) -> Decision:
    given = {"frontier": snapshot.size, **hands}
    return decide(snapshot, proposals, Hands(ends=1000.0 + left, whole=5000.0, **given), 1000.0)


ASHA = definition(Method("asha"), trials=100)
SEVERAL = [event for n in range(6) for event in ran(n, 9.0)]


@pytest.mark.parametrize("resume", [True, False])
def test_attempts_are_measured_by_what_they_ran(resume: bool) -> None:
    fidelity = msgspec.structs.replace(FIDELITY, resume=resume)
    what = definition(Method("asha", {"variant": "promotion"}), fidelity)
    snapshot, proposals = folded([*ran(0, 9.0, resume=resume), *ran(1, 3.0, resume=resume)], what)
    found = Stretches.of(snapshot, fidelity)
    assert found.seconds / found.spans == pytest.approx(9 * STEP)
    spans = [1, 2, 6, 1, 2] if resume else [1, 3, 9, 1, 3]
    assert found.spans * 9 == pytest.approx(spans)
    assert proposals.pruner is not None
    assert ahead(snapshot, proposals.pruner, fidelity, 1) * 9 == pytest.approx(6 if resume else 9)
    assert ahead(snapshot, proposals.pruner, fidelity, 2) * 9 == pytest.approx(1)


def test_an_attempt_is_foretold_by_those_of_its_length_or_the_nearest() -> None:
    snapshot, _ = folded(SEVERAL, ASHA)
    found = Stretches.of(snapshot, FIDELITY)
    for steps in (1.0, 2.0, 6.0, 4.0):
        assert STEP * steps < found.needs(steps / 9) < 1.6 * STEP * steps
    assert found.needs() == found.needs(1 / 9)
    slow = Stretches(found.spans, found.seconds + 30.0)  # 30 s to load, whatever the length
    assert slow.needs(1 / 9) == pytest.approx(40.0 * found.needs(1 / 9) / 10.0)
    nothing, _ = folded([], ASHA)
    assert Stretches.of(nothing, FIDELITY).needs(0.5) == 0.0


def test_attempts_in_jobs_count_and_not_those_before_on_another_machine() -> None:
    snapshot, _ = folded([*ran(0, 9.0), *ran(1, 3.0)], ASHA)
    snapshot.apply(5, [hello(job=IN_JOB), *ran(2, 1.0)])
    found = Stretches.of(snapshot, FIDELITY)
    assert found.spans * 9 == pytest.approx([1]) and found.seconds.tolist() == [STEP]
    # A trial that waits since then, and goes on in the job.
    on: list[Event] = [Started(n=1, a=2, x={"x": 0.01}, r=0, c=2, t=50.0, f=9.0)]
    snapshot.apply(5, on)
    assert Stretches.of(snapshot, FIDELITY).spans * 9 == pytest.approx([1]), "nothing more has ended there"
    snapshot.apply(5, [Finished(n=1, a=2, state="complete", y={"loss": 0.0}, t=57.0)])
    assert sorted(Stretches.of(snapshot, FIDELITY).seconds) == [7.0, STEP]


def test_the_first_trial_that_ends_in_a_job_changes_what_is_expected_at_once() -> None:
    snapshot, proposals = folded([event for n in range(20) for event in whole(n, 10.0)], ASHA)
    assert 10.0 < proposals.needs(snapshot, 1800.0) < 20.0
    snapshot.apply(5, [hello(job=IN_JOB), *whole(20, 3600.0)])
    assert 3600.0 < proposals.needs(snapshot, 1800.0) < 3 * 3600.0


def test_what_remains_of_a_job_is_used_for_attempts_that_fit() -> None:
    """Of 90 s for a whole trial, 30 are left: enough for the first rung, not for a promotion to the last."""
    waiting = [event for n in range(6, 9) for event in ran(n, 3.0)]
    snapshot, proposals = folded([*SEVERAL, *waiting], ASHA)
    promoted = ask(snapshot, proposals, 200.0)
    assert isinstance(promoted, Start) and promoted.numbers == [8] and promoted.goals == [9.0]
    assert ask(snapshot, proposals, 30.0) == Claim(100)
    held = ask(snapshot, proposals, 30.0, held=[9], frontier=10)
    assert isinstance(held, Start) and held.numbers == [9]
    several = ask(snapshot, proposals, 30.0, held=[9, 10, 11], frontier=12, free=2)
    assert isinstance(several, Start) and list(several.numbers) == [9, 10]
    gone = ask(snapshot, proposals, 10.0)
    assert isinstance(gone, Done) and "too short: 95 % of stretches" in gone.why


def test_a_worker_leaves_when_nothing_that_could_begin_fits() -> None:
    waiting = [event for n in range(6, 9) for event in ran(n, 3.0)]
    snapshot, proposals = folded([*SEVERAL, *waiting], definition(Method("asha"), trials=9))
    assert isinstance(ask(snapshot, proposals, 200.0), Start)
    gone = ask(snapshot, proposals, 30.0)
    assert isinstance(gone, Done) and "1 min" in gone.why  # what the promotion needs
    fresh = decide(snapshot, proposals, Hands(frontier=9, ends=1030.0, whole=20.0), 1000.0)
    assert isinstance(fresh, Start)  # no other job has more


@pytest.mark.parametrize("method", ["pbt", "freeze-thaw", "asha"])
def test_a_worker_does_not_leave_for_want_of_time_for_a_whole_trial(method: str) -> None:
    what = definition(Method(method, {"population": 8, "interval": 3} if method == "pbt" else {}))
    steps = (3.0, 6.0, 9.0)
    some = [event for n in range(6) for event in ran(n, 9.0, rungs=steps)]
    waiting = [event for n in (6, 7) for event in ran(n, 3.0, rungs=steps)]
    snapshot, proposals = folded([*some, *waiting], what)
    assert isinstance(ask(snapshot, proposals, 85.0), (Start, Claim))
    assert isinstance(ask(snapshot, proposals, 1.0), Done)


def test_a_copy_has_what_it_inherited_behind_it() -> None:
    what = definition(Method("pbt", {"population": 8, "interval": 3}))
    rungs = (3.0, 6.0, 9.0)
    events = [event for n in range(8) for event in ran(n, 6.0, rungs=rungs)]
    snapshot, proposals = folded(events, what)
    assert proposals.pruner is not None and proposals.ready(snapshot, 8)
    assert ahead(snapshot, proposals.pruner, FIDELITY, 8) * 9 == pytest.approx(3)
    descent = Descent(7, 0, 1, 6.0)
    born = Started(n=8, a=0, x={"x": 0.5}, r=0, c=9, t=50.0, f=9.0, d=descent)
    snapshot.apply(0, [born, Finished(n=8, a=0, state="complete", y={"loss": 0.0}, t=80.0)])
    found = Stretches.of(snapshot, FIDELITY)
    assert found.spans * 9 == pytest.approx(3.0) and found.seconds == pytest.approx(30.0)


def test_what_was_forecast_before_changes_no_decision() -> None:
    """Decisions are the same whether the same proposals have been asked all along, or for the first time."""
    kept = make_proposals(ASHA, SPACE)
    snapshot = Snapshot(ASHA, SPACE)
    for n in range(20):
        scale = 1.0 + 3.0 * (n >= 10)
        slower = [
            msgspec.structs.replace(event, had=had(event) * scale) if isinstance(event, Released) else event
            for event in ran(n, 3.0)
        ]
        snapshot.apply(0, slower)
        for left in (5.0, 12.0, 20.0, 40.0, 90.0, 400.0):
            fresh = ask(snapshot, make_proposals(ASHA, SPACE), left)
            assert type(ask(snapshot, kept, left)) is type(fresh)
