"""The most promising trial while none is complete; it is always said at which step."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec import structs

import taut
from taut.definition import Definition, Objective
from taut.errors import StudyError
from taut.events import Event, Reported
from taut.leading import leader, rungs, short
from test_savings import DEFINITION, PLAIN, PRUNER, finished, released, started, study


def curve(n: int, *losses: float | None, size: float | None = None) -> list[Event]:
    """A trial that reported these losses at steps 1, 2, 3, ..."""
    more = {} if size is None else {"size": size}
    rows = [Reported(n=n, a=0, s=i + 1.0, y={"loss": y, **more}, t=i + 1.0) for i, y in enumerate(losses)]
    return [started(n), *rows]


def leads(*trials: Sequence[Event], definition: Definition = DEFINITION) -> str | None:
    found = leader(study(*trials, definition=definition), PRUNER)
    return None if found is None else str(found)


def test_the_highest_rung_counts() -> None:
    """Trial 0 is better, and has not come as far."""
    assert leads(curve(0, 0.1, 0.1), curve(1, 0.9, 0.8, 0.7), curve(2, 0.9, 0.8, 0.6, 0.9)) == (
        "at epoch 3 of 27 trial 2 leads with loss = 0.6"
    )
    assert leads(curve(0, 0.5), curve(1, 0.4)) == "at epoch 1 of 27 trial 1 leads with loss = 0.4"
    assert leads(curve(0, 0.5), curve(1, 0.5)) == "at epoch 1 of 27 trial 0 leads with loss = 0.5"


def test_nobody_leads() -> None:
    assert leads() is None
    assert leads([started(0)]) is None
    assert leads(curve(0, None)) is None


def test_failures_and_what_breaks_a_constraint_do_not_lead() -> None:
    failed = [*curve(0, 0.1, 0.1, 0.1), finished(0, 9.0, state="failed")]
    assert leads(failed, curve(1, 0.5)) == "at epoch 1 of 27 trial 1 leads with loss = 0.5"
    definition = structs.replace(DEFINITION, subject_to=["size <= 2"])
    heavy, light = curve(0, 0.1, 0.1, 0.1, size=3.0), curve(1, 0.5, size=1.0)
    assert leads(heavy, light, definition=definition) == "at epoch 1 of 27 trial 1 leads with loss = 0.5"
    assert leads(heavy, definition=definition) is None


def test_other_objectives() -> None:
    definition = structs.replace(DEFINITION, objectives=[Objective("loss", False)])
    assert leads(curve(0, 0.5), curve(1, 0.4), definition=definition) == (
        "at epoch 1 of 27 trial 0 leads with loss = 0.5"
    )
    definition = structs.replace(DEFINITION, objectives=[Objective("loss"), Objective("size")])
    assert leads(curve(0, 0.5, size=2.0), curve(1, 0.4, size=1.0), definition=definition) == (
        "at epoch 1 of 27 trial 1 leads with loss = 0.4, size = 1"
    )


def test_without_a_fidelity_half_of_the_trials_are_there() -> None:
    trials = curve(0, 0.9, 0.9, 0.9), curve(1, 0.9, 0.3), curve(2, 0.1)
    assert leads(*trials, definition=PLAIN) == "at step 2 trial 1 leads with loss = 0.3"
    assert rungs(study(*trials, definition=PLAIN), None) == []


def test_a_report_that_is_read_before_the_start_of_its_trial() -> None:
    assert leads(curve(7, 0.5)[1:], curve(0, 0.9)) == "at epoch 1 of 27 trial 0 leads with loss = 0.9"


def test_how_far_a_trial_was_heard_of() -> None:
    snapshot = study(curve(0, 0.1, 0.1), curve(1, *[0.1] * 27), [started(2)])
    assert [short(snapshot, n) for n in range(3)] == ["epoch 2 of 27", None, None]
    assert short(study(curve(0, 0.1), definition=PLAIN), 0) is None


@pytest.mark.parametrize("rung", [1, 3])
def test_study_best_names_who_leads(rung: int) -> None:
    """All trials wait, and none of them is the best of anything."""
    fidelity = {"name": "epoch", "min": 1, "max": 27, "resume": True}
    study = taut.Study(
        space=taut.Space(x=taut.uniform(0, 1)),
        minimize="loss",
        pruner={"method": "asha", "fidelity": fidelity},
        sampler="random",
    )
    with pytest.raises(StudyError, match=r"^no trial is complete yet \(0 failed, 0 running\)$"):
        study.best  # noqa: B018
    for n, loss in enumerate((0.4, 0.3)):
        trial = study.ask()
        trial.report(rung, loss=loss)
        study.store.write([released(n, 9.0, at=float(rung), kept=True, had=1.0)])
    with pytest.raises(
        StudyError, match=rf"^no trial is complete yet; at epoch {rung} of 27 trial 1 leads with loss = 0.3$"
    ):
        study.best  # noqa: B018
    assert study.ranking == []
