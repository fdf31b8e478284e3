"""Where all that went on have failed, the others stay where they wait."""

from __future__ import annotations

from typing import Any

import pytest
from histories import definition, ended, make, started, study, told

import taut
from taut.events import Event, Released
from taut.pruners.promoted import in_vain
from taut.trial import Trial

PRUNERS = ("asha", "halving", "hyperband", "freeze-thaw")
FIDELITY = {"name": "epoch", "min": 1, "max": 9, "resume": True}


def waits(n: int, at: float, then: str = "", t: float = 9.0) -> list[Event]:
    """A trial that came to wait at time `t`, and perhaps went on and ended a second later."""
    found: list[Event] = [
        started(n),
        told(n, at, loss=n / 10.0),
        Released(n=n, a=0, why="waits", blame=False, t=t, kept=True, had=1.0, at=at),
    ]
    if then:
        state: Any = then
        found += [started(n, 1, t=t), ended(n, 1, t=t + 1.0, state=state, loss=1.0)]
    return found


def test_three_that_went_on_and_failed_are_enough() -> None:
    what, last = definition(), waits(7, 3.0)
    failed = [waits(n, at, "failed") for n, at in enumerate([1.0, 3.0, 9.0])]
    assert in_vain(study(what, *failed, last))
    assert not in_vain(study(what, *failed[:2], last))
    assert not in_vain(study(what, *failed, last, waits(8, 9.0, "complete")))
    never_waited = [started(8), ended(8, state="failed")]
    assert not in_vain(study(what, *failed[:2], never_waited, last))


def test_new_trials_that_come_to_wait_are_a_new_chance() -> None:
    failed = [waits(n, 3.0, "failed") for n in range(5)]
    assert not in_vain(study(definition(), *failed, waits(7, 3.0), waits(8, 3.0, t=11.0)))


@pytest.mark.parametrize("method", PRUNERS)
def test_a_closing_study_does_not_try_all_of_them(method: str) -> None:
    asked, others = make(definition(), method), [waits(n, 3.0) for n in range(3, 12)]
    for failures, some in ((2, True), (3, False)):
        snapshot = study(definition(), *[waits(n, 3.0, "failed") for n in range(failures)], *others)
        assert bool(asked.promotable(snapshot, closing=True)) is some


@pytest.mark.parametrize("method", PRUNERS[:3])
def test_an_objective_that_breaks_half_way_ends_the_study_soon(method: str) -> None:
    def breaks(trial: Trial) -> float:
        loss = 1.0
        for epoch in range(int(trial.resumed_step or 0) + 1, 10):
            if epoch > 4:
                raise RuntimeError("out of disk")
            loss = trial.params["x"] + 1 / epoch
            trial.report(epoch, loss=loss)
            if trial.should_stop():
                break
        return loss

    made = taut.Study(
        None,
        taut.Space(x=taut.uniform(0, 1)),
        minimize="loss",
        sampler="random",
        pruner={"method": method, "fidelity": FIDELITY},
        retries=0,
    )
    made.run(breaks, trials=30)
    states = [record.state for record in made.trials]
    assert "complete" not in states
    # While new trials come, those that are among the best go on; once there are none, three more.
    normally = {"asha": 10, "halving": 10, "hyperband": 20}[method]
    assert 3 <= states.count("failed") <= normally + 3
    with pytest.raises(taut.StudyError, match=r"those that went on failed: see why \(taut trials\)"):
        made.ask()
