"""Trials that wait on rungs, where something goes wrong or changes: races, failures, other pruners, other ways to pause."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

import taut
from taut.decide import Start, Wait, promotable
from taut.opening import make_proposals
from taut.trial import State, Trial, TrialPaused
from taut.verify import verify

SPACE = taut.Space(x=taut.uniform(0, 1))
FIDELITY = {"name": "epoch", "min": 1, "max": 9, "resume": True}
ASHA = {"method": "asha", "fidelity": FIDELITY}


def study(path: Path | None, **options: Any) -> taut.Study:
    given = {"minimize": "loss", "sampler": "random", "seed": 1, "pruner": ASHA, **options}
    return taut.Study(path, SPACE, **given)


def to_its_goal(made: taut.Study, trial: Trial) -> None:
    """Report and tell at the step that the trial is to come to."""
    assert trial.fidelity is not None
    loss = (trial.params["x"] - 0.3) ** 2 + 1 / trial.fidelity
    trial.report(trial.fidelity, loss=loss)
    made.tell(trial, loss=loss)


def train(trial: Trial) -> float:
    loss = 1.0
    for epoch in range((trial.resumed_step or 0) + 1, 10):  # type: ignore[arg-type]
        loss = trial.params["x"] + 1 / epoch
        trial.report(epoch, loss=loss)
        if trial.should_stop():
            break
    return loss


def test_a_promotion_lost_in_a_race_forgets_nothing_that_was_seen(tmp_path: Path) -> None:
    one, two = study(tmp_path / "s", sampler="tpe"), study(tmp_path / "s", sampler="tpe")
    to_its_goal(two, two.ask())
    for _ in range(14):
        to_its_goal(one, one.ask())
    while not promotable(one.snapshot, one.store.proposals):
        to_its_goal(one, one.ask())
    n = promotable(one.snapshot, one.store.proposals)[0]
    two.store.refresh()
    one.store.journal.claim_attempt(n, one.store.snapshot.next_attempt(n))  # and has not begun yet
    assert two.ask().number != n
    one.close()
    two.close()
    assert verify(tmp_path / "s", make_proposals).good


def test_who_fails_on_a_rung_takes_nobodys_place() -> None:
    def crash(trial: Trial) -> float:
        trial.report(1, loss=trial.params["x"])
        if trial.params["x"] < 0.4:
            raise MemoryError
        return train(trial)

    made = study(None, retries=0)
    made.run(crash, trials=60)
    places = list(made.snapshot.waiting.values())
    assert places.count(3.0) >= 5 and made.snapshot.counts[State.COMPLETE] >= 2


def test_no_number_on_a_rung_ends_a_trial() -> None:
    def diverge(trial: Trial) -> float:
        trial.report(1, loss=float("nan") if trial.number % 2 else trial.params["x"])
        return train(trial) if not trial.should_stop() else trial.params["x"]

    made = study(None)
    made.run(diverge, trials=20)
    states = {record.number: record.state for record in made.trials}
    assert {states[n] for n in range(1, 20, 2)} == {"pruned"}
    assert {states[n] for n in range(0, 20, 2)} <= {"paused", "complete"}


def test_modes_hold_for_promotions(tmp_path: Path) -> None:
    one, two = study(tmp_path / "s"), study(tmp_path / "s")
    for trial in one.ask(9):
        to_its_goal(one, trial)
    first = one.store.next(1)
    two.store.refresh()
    assert isinstance(first, Start) and first.attempt == 1
    assert isinstance(two.store.next(1), Wait)  # one at a time over all workers
    one.store.handback.release([(first.numbers[0], 1)], "test", blame=False)
    one.close()
    two.close()


@pytest.mark.parametrize("resume", [True, False])
def test_pausing_in_other_words_is_waiting_too(tmp_path: Path, resume: bool) -> None:
    def pause(trial: Trial) -> float:
        for epoch in range(1, 10):
            trial.report(epoch, loss=trial.params["x"] + 1 / epoch)
            if trial.should_stop():
                raise TrialPaused
        return trial.params["x"]

    fidelity = {**FIDELITY, "resume": resume}
    made = study(tmp_path / "s", pruner={"method": "asha", "fidelity": fidelity})
    made.run(pause, trials=6)
    states = [record.state for record in made.trials]
    assert states.count("complete") >= 1 and set(states) <= {
        "complete",
        "paused" if resume else "pruned",
    }
    assert max(record.attempts for record in made.trials) <= 3


def test_what_a_trial_was_promoted_for_stays_when_it_begins_again() -> None:
    """One objective is reported, the other one told when the trial stops; nothing is saved, so attempts begin again."""

    def sized(trial: Trial) -> dict[str, float]:
        for epoch in range(1, 10):
            trial.report(epoch, loss=trial.params["x"] + 1 / epoch)
            if trial.should_stop():
                break
        return {"size": 1 - trial.params["x"]}

    made = study(None, minimize=("loss", "size"))
    made.run(sized, trials=12)
    assert 1 <= made.snapshot.counts[State.COMPLETE] <= 3


@pytest.mark.parametrize(
    "pruner",
    [
        {"method": "median", "fidelity": FIDELITY},
        {"method": "asha", "variant": "stopping", "fidelity": FIDELITY},
        {"method": "asha", "eta": 2, "fidelity": FIDELITY},
        None,
    ],
    ids=["median", "stopping", "another eta", "none"],
)
def test_another_pruner_takes_over_who_waits(tmp_path: Path, pruner: dict[str, Any] | None) -> None:
    path = tmp_path / "s"
    first = study(path)
    for _ in range(9):
        to_its_goal(first, first.ask())
    first.close()
    if pruner is None:
        bare = msgspec.structs.replace(first.definition, pruner=None)
        second = taut.Study.of(path, bare)
    else:
        second = taut.Study(path, pruner=pruner)
    second.run(train, trials=12)
    states = [record.state for record in second.trials]
    promotes = pruner is not None and pruner.get("eta") == 2
    assert len(states) == 12 and ("paused" in states) is promotes
    second.close()
    assert verify(path, make_proposals).good


def test_a_pruner_that_changes_elsewhere_is_replayed(tmp_path: Path) -> None:
    def stopping(eta: float) -> dict[str, Any]:
        return {"method": "asha", "eta": eta, "variant": "stopping", "fidelity": {**FIDELITY, "max": 16}}

    one = study(tmp_path / "s", pruner=stopping(8))
    for number in range(6):
        trial = one.ask()
        trial.report(1, loss=float(number))
        one.tell(trial, loss=float(number))
    trial = one.ask()
    taut.Study(tmp_path / "s", pruner=stopping(2)).close()
    one.store.refresh()
    trial.report(1, loss=3.5)
    assert trial.should_stop()  # among eight trials it would not have been judged yet
    trial.tell(loss=3.5)
    one.close()
    assert verify(tmp_path / "s", make_proposals).good


def test_the_step_to_go_on_from_is_that_of_the_checkpoint(tmp_path: Path) -> None:
    made = study(tmp_path / "s")
    trial = made.ask()
    assert trial.checkpoint_dir is not None and trial.fidelity == 1 and isinstance(trial.fidelity, int)
    trial.report(1, loss=0.5)
    (trial.checkpoint_dir / "model").write_text("weights")
    made.tell(trial, loss=0.5)
    for _ in range(2):
        to_its_goal(made, made.ask())
    again = made.ask()
    assert again.attempt == 1
    expected = 1 if again.number == 0 else None  # the others have left nothing
    assert again.resumed_step == expected and (again.resumed_from is None) == (expected is None)
