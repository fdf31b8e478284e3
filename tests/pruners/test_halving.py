"""Successive halving: who goes on, who is promoted, and how a study ends."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import taut
from taut.definition import Definition, Method, Objective
from taut.errors import InputError
from taut.events import Event, Finished, Judged, Released, Reported, Started
from taut.fidelity import Fidelity
from taut.ladder import Ladder
from taut.opening import make_proposals
from taut.pruners import registry
from taut.pruners.base import Judgement, Pruner
from taut.snapshot import Snapshot
from taut.space import Space, uniform
from taut.trial import State, Trial
from taut.verify import verify

SPACE = Space(x=uniform(0, 1), y=uniform(0, 1))
FIDELITY = {"name": "epoch", "min": 1, "max": 27}


def study(
    method: str = "asha", resume: bool = True, minimize: bool = True, **options: Any
) -> tuple[Snapshot, Pruner]:
    definition = Definition(
        "s",
        SPACE.to_json(),
        [Objective("loss", minimize)],
        pruner=Method(method, options),
        fidelity=Fidelity("epoch", 27.0, resume=resume),
    )
    return Snapshot(definition, SPACE), registry.make(Method(method, options)).settled(definition)


def started(n: int, a: int = 0, goal: float = 1.0) -> Started:
    return Started(n=n, a=a, x={"x": 0.5, "y": 0.5}, r=0, c=n + 1, t=float(n), f=goal)


def reported(n: int, step: float, loss: float | None, a: int = 0) -> Reported:
    return Reported(n=n, a=a, s=step, y={"loss": loss}, t=n + step / 100)


def waits(n: int, step: float, a: int = 0) -> Released:
    return Released(n=n, a=a, why="waits", blame=False, t=n + 0.9, kept=True, had=0.1, at=step)


def on_rung_1(losses: Sequence[float | None]) -> list[Event]:
    """Trials that wait on the first rung."""
    return [
        event
        for n, loss in enumerate(losses)
        for event in (started(n), reported(n, 1.0, loss), waits(n, 1.0))
    ]


def test_the_best_third_is_promotable_best_first() -> None:
    snapshot, pruner = study()
    snapshot.apply(0, on_rung_1([0.5, 0.1, 0.4, 0.2, 0.9, 0.8]))
    assert pruner.promotable(snapshot) == [1, 3]


def test_nobody_is_promoted_from_fewer_than_eta() -> None:
    snapshot, pruner = study()
    snapshot.apply(0, on_rung_1([0.5, 0.1]))
    assert list(pruner.promotable(snapshot)) == []


def test_a_trial_without_a_number_is_never_promoted() -> None:
    snapshot, pruner = study()
    snapshot.apply(0, on_rung_1([None, None, None]))
    assert list(pruner.promotable(snapshot)) == []
    assert list(pruner.promotable(snapshot, closing=True)) == []


def test_the_highest_rung_comes_first() -> None:
    snapshot, pruner = study()
    snapshot.apply(0, on_rung_1([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]))
    for n in range(3):
        snapshot.apply(0, [started(n, 1, 3.0), reported(n, 3.0, 0.3 - n / 10, a=1), waits(n, 3.0, a=1)])
    assert pruner.promotable(snapshot)[0] == 2  # it was the worst of the three on the first rung
    assert pruner.goal(snapshot, 2) == 9.0 and pruner.goal(snapshot, 5) == 3.0


def test_a_closing_study_takes_its_best_trial_to_the_end() -> None:
    snapshot, pruner = study()
    snapshot.apply(0, on_rung_1([0.5, 0.1]))
    assert pruner.promotable(snapshot, closing=True) == [1]
    snapshot.apply(0, [started(0, 1, 27.0), Finished(n=0, a=1, state="complete", y={"loss": 0.4}, t=9.0)])
    assert list(pruner.promotable(snapshot, closing=True)) == []


@pytest.mark.parametrize("loss, wanted", [(0.05, Judgement.GO), (0.15, Judgement.PAUSE)])
def test_on_a_rung_the_best_go_on_and_the_others_wait(loss: float, wanted: Judgement) -> None:
    snapshot, pruner = study()
    snapshot.apply(0, on_rung_1([0.5, 0.1, 0.9]))
    snapshot.apply(0, [started(3), reported(3, 1.0, loss)])
    assert pruner.judge(snapshot, 3) is wanted


@pytest.mark.parametrize("loss, wanted", [(0.05, Judgement.GO), (0.15, Judgement.STOP)])
def test_without_checkpoints_the_others_stop(loss: float, wanted: Judgement) -> None:
    snapshot, pruner = study(resume=False)
    assert not pruner.pauses and pruner.goal(snapshot, 0) == 27.0
    snapshot.apply(
        0, [event for n, v in enumerate([0.5, 0.1, 0.9]) for event in (started(n), reported(n, 1.0, v))]
    )
    snapshot.apply(0, [started(3), reported(3, 1.0, loss)])
    assert pruner.judge(snapshot, 3) is wanted
    assert pruner.judge(snapshot, 3, since=1.0) is Judgement.GO  # it was judged there


@pytest.mark.parametrize(
    "since, wanted", [(1.0, Judgement.STOP), (2.0, Judgement.STOP), (3.0, Judgement.GO), (4.0, Judgement.GO)]
)
def test_a_rung_counts_once_and_also_if_its_step_was_left_out(since: float, wanted: Judgement) -> None:
    snapshot, pruner = study(resume=False)
    for n in range(3):
        snapshot.apply(0, [started(n), reported(n, 3.0, 0.1)])
    snapshot.apply(0, [started(3), *(reported(3, step, 0.9) for step in (1.0, 2.0, 4.0))])
    assert pruner.judge(snapshot, 3, since) is wanted


def test_a_question_between_rungs_reads_nothing() -> None:
    snapshot, pruner = study(resume=False)
    snapshot.apply(0, [started(0), reported(0, 1.0, 0.5)])
    pruner.judge(snapshot, 0)
    ladder = Ladder.of(snapshot, [1.0, 3.0, 9.0, 27.0])
    snapshot.apply(0, [started(1), reported(1, 2.0, 0.5), reported(0, 2.0, 0.5)])
    assert pruner.judge(snapshot, 0, since=1.0) is Judgement.GO and ladder.height(1) == 0
    assert pruner.judge(snapshot, 1) is Judgement.GO and ladder.height(1) == 1


ENDS = st.sampled_from([None, "complete", "failed", "pruned"])


@pytest.mark.parametrize("method, resume", [("asha", False), ("asha", True), ("hyperband", True)])
@given(st.lists(st.tuples(st.none() | st.integers(0, 9), ENDS), max_size=40), st.booleans())
def test_who_goes_on_by_the_rule_written_out(
    method: str, resume: bool, trials: list[tuple[int | None, Any]], minimize: bool
) -> None:
    snapshot, pruner = study(method, resume, minimize=minimize)
    begins = [pruner.goal(snapshot, n) for n in range(len(trials) + 1)] if method == "hyperband" else None
    peers, mine = [5.0], len(trials)
    for n, (loss, end) in enumerate([*trials, (5, None)]):
        value = None if loss is None else float(loss if minimize else -loss)
        snapshot.apply(0, [started(n), reported(n, 1.0, value)])
        if end is not None:
            snapshot.apply(0, [Finished(n=n, a=0, state=end, y={"loss": 0.0}, t=99.0)])
        gone = end == "failed" or (pruner.pauses and end == "pruned")
        if n != mine and not gone and (begins is None or begins[n] == begins[mine]):
            peers.append(math.inf if loss is None else loss)
    goes_on = sum(loss < 5.0 for loss in peers) < len(peers) // 3 or (not pruner.pauses and len(peers) < 3)
    goes_on |= begins is not None and begins[mine] != 1.0  # its bracket begins higher up
    end = Judgement.PAUSE if pruner.pauses else Judgement.STOP
    assert pruner.judge(snapshot, mine) is (Judgement.GO if goes_on else end)


def test_a_restarted_trial_is_not_judged_below_where_it_was_promoted_to() -> None:
    snapshot, pruner = study("halving")
    snapshot.apply(0, on_rung_1([0.9, 0.1, 0.2, 0.3]))
    snapshot.apply(0, [started(0, 1, goal=3.0), reported(0, 1.0, 0.9, a=1)])
    assert pruner.judge(snapshot, 0) is Judgement.GO
    snapshot.apply(0, [reported(0, 3.0, 0.9, a=1)])
    assert pruner.judge(snapshot, 0) is Judgement.PAUSE


def test_a_cohort_is_compared_when_all_are_there() -> None:
    snapshot, pruner = study("halving")
    losses = [n / 27 for n in range(26)]
    snapshot.apply(0, on_rung_1(losses))
    assert list(pruner.promotable(snapshot)) == []  # one is missing
    snapshot.apply(0, [started(26)])
    assert list(pruner.promotable(snapshot)) == []
    snapshot.apply(0, [Finished(n=26, a=0, state="failed", y={}, t=30.0, error="out of memory")])
    assert pruner.promotable(snapshot) == [0, 1, 2, 3, 4, 5, 6, 7]


def test_the_last_cohort_need_not_be_whole() -> None:
    snapshot, pruner = study("halving")
    snapshot.apply(0, on_rung_1([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]))
    assert list(pruner.promotable(snapshot)) == []
    assert pruner.promotable(snapshot, closing=True) == [0, 1]


def test_hyperband_begins_in_every_bracket_as_often_as_it_should() -> None:
    snapshot, pruner = study("hyperband")
    goals = [pruner.goal(snapshot, n) for n in range(5400)]
    share = {goal: goals.count(goal) / len(goals) for goal in (1.0, 3.0, 9.0, 27.0)}
    assert share == pytest.approx({1.0: 27 / 49, 3.0: 12 / 49, 9.0: 6 / 49, 27.0: 4 / 49}, abs=0.01)


def test_brackets_do_not_mix() -> None:
    snapshot, pruner = study("hyperband")
    first = [n for n in range(60) if pruner.goal(snapshot, n) == 1.0][:6]
    second = [n for n in range(60) if pruner.goal(snapshot, n) == 3.0][:6]
    for n in range(max(first + second) + 1):
        snapshot.apply(0, [started(n)])
    for place, n in enumerate(first):
        snapshot.apply(0, [reported(n, 3.0, place / 100), waits(n, 3.0)])
    for place, n in enumerate(second):
        snapshot.apply(0, [reported(n, 3.0, 0.5 + place / 100), waits(n, 3.0)])
    assert set(pruner.promotable(snapshot)) == {*first[:2], *second[:2]}


@pytest.mark.parametrize(
    "method, options, at, problem",
    [
        ("asha", {"eta": 1}, "eta", "from 1.5 to 100"),
        ("asha", {"eta": True}, "eta", "from 1.5 to 100"),
        ("asha", {"variant": "stop"}, "variant", '"promotion" or "stopping"'),
        ("hyperband", {"asynchronous": 1}, "asynchronous", "true or false"),
        ("halving", {"variant": "stopping"}, "variant", "unknown option"),
    ],
)
def test_wrong_options(method: str, options: dict[str, Any], at: str, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        registry.make(Method(method, options))
    assert caught.value.at == ("pruner", at) and problem in caught.value.message


def test_a_fidelity_without_room_for_a_rung() -> None:
    with pytest.raises(InputError, match="no room for a rung"):
        taut.Study(
            None, SPACE, minimize="loss", pruner={"method": "asha", "fidelity": {"name": "e", "max": 2}}
        )


def test_asha_needs_a_fidelity() -> None:
    with pytest.raises(InputError, match="fidelity"):
        taut.Study(None, SPACE, minimize="loss", pruner="asha")


# ---------------------------------------------------------------------- whole studies


def train(trial: Trial) -> float:
    """27 epochs that go on where an earlier attempt stopped, if there is a place for checkpoints."""
    begin = int((trial.resumed_from / "epoch").read_text()) if trial.resumed_from else 0
    loss = 1.0
    for epoch in range(begin + 1, 28):
        loss = (trial.params["x"] - 0.3) ** 2 + (trial.params["y"] - 0.6) ** 2 + 1.0 / epoch
        trial.report(step=epoch, loss=loss)
        if trial.should_stop():
            if trial.checkpoint_dir is not None:
                (trial.checkpoint_dir / "epoch").write_text(str(epoch))
            break
    return loss


def sized(trial: Trial) -> float:
    """A result at the size that was asked for, without any report."""
    assert trial.fidelity is not None
    return float((trial.params["x"] - 0.3) ** 2 + 1.0 / trial.fidelity)


CASES = list(itertools.product(("asha", "halving", "hyperband"), (True, False)))


@pytest.mark.parametrize("method, resume", CASES)
def test_a_study_in_memory(method: str, resume: bool) -> None:
    fidelity = {**FIDELITY, "resume": resume}
    made = taut.Study(
        None,
        SPACE,
        minimize="loss",
        sampler="random",
        pruner={"method": method, "fidelity": fidelity},
    )
    made.run(train, trials=40)
    states = [record.state for record in made.trials]
    assert len(states) == 40 and "running" not in states and "waiting" not in states
    assert states.count("complete") >= 1
    assert len(made.snapshot.curves.heard) < 0.5 * 40 * 27
    assert made.best.values["loss"] == min(
        record.values["loss"] for record in made.trials if record.state == "complete"
    )


@pytest.mark.parametrize("method, workers", [("asha", 1), ("hyperband", 2), ("halving", 2)])
def test_a_study_on_disk_resumes_and_is_verified(tmp_path: Path, method: str, workers: int) -> None:
    pruner = {"method": method, "fidelity": {**FIDELITY, "resume": True}}
    made = taut.Study(tmp_path / "s", SPACE, minimize="loss", sampler="random", pruner=pruner)
    made.run(train, trials=30, workers=workers)
    snapshot = made.snapshot
    steps = [(event.n, event.s) for event in snapshot.curves.heard]
    assert len(steps) == len(set(steps))  # no epoch twice
    assert all(n in snapshot.waiting or snapshot.state[n] >= 4 for n in range(30))
    made.close()
    assert verify(tmp_path / "s", make_proposals).good


def test_a_result_at_the_asked_size_counts_for_its_rung() -> None:
    pruner = {"method": "asha", "fidelity": {**FIDELITY, "resume": True}}
    made = taut.Study(None, SPACE, minimize="loss", sampler="random", pruner=pruner)
    made.run(sized, trials=27)
    places = list(made.snapshot.waiting.values())
    on_rungs = [places.count(rung) for rung in (1.0, 3.0, 9.0)]
    assert on_rungs == sorted(on_rungs, reverse=True) and min(on_rungs) > 0
    assert sum(on_rungs) + made.snapshot.counts[State.COMPLETE] == 27 and made.best.values["loss"] < 0.1


def test_ask_and_tell_by_number() -> None:
    pruner = {"method": "asha", "fidelity": {**FIDELITY, "resume": True}}
    made = taut.Study(None, SPACE, minimize="loss", sampler="random", pruner=pruner)
    trial, other = made.ask(), made.ask()
    assert trial.fidelity == 1.0
    made.tell(trial.number, loss=0.5)
    made.tell(other, loss=0.5)  # it never looked how far to go, so it went all the way
    assert made.trials[0].state == "paused" and made.trials[1].state == "complete"
    with pytest.raises(InputError, match="told before"):
        made.tell(trial, loss=0.4)


def test_what_was_ordered_and_not_heeded_does_not_count() -> None:
    made = taut.Study(
        None,
        SPACE,
        minimize="loss",
        sampler="random",
        pruner={"method": "asha", "fidelity": {**FIDELITY, "resume": True}},
    )
    trial = made.ask()
    trial.report(step=1, loss=0.5)
    assert trial.should_stop()
    for epoch in range(2, 28):
        trial.report(step=epoch, loss=0.5 / epoch)
    trial.tell(loss=0.01)
    assert made.trials[0].state == "complete"


def test_a_forged_judgement_is_found(tmp_path: Path) -> None:
    from taut.events import decode, encode

    pruner = {"method": "asha", "fidelity": FIDELITY}
    made = taut.Study(tmp_path / "s", SPACE, minimize="loss", sampler="random", pruner=pruner)
    made.run(train, trials=12)
    made.close()
    (log,) = (tmp_path / "s" / "log").glob("*.jsonl")
    events = [decode(line) for line in log.read_bytes().splitlines()]
    assert any(isinstance(event, Judged) for event in events)
    forged = [
        Reported(n=e.n, a=e.a, s=e.s, y={"loss": 0.0001}, t=e.t)
        if isinstance(e, Reported) and isinstance(after, Judged)
        else e
        for e, after in itertools.zip_longest(events, events[1:])
    ]
    log.write_bytes(b"".join(map(encode, forged)))
    found = verify(tmp_path / "s", make_proposals)
    assert not found.good and "judgement" in str(found.differences[0])
