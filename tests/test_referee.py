"""When a trial is judged: after each report that says something new of its objective, and no report twice."""

from __future__ import annotations

from pathlib import Path

import pytest

import taut
from taut.opening import make_proposals
from taut.verify import verify

SPACE = taut.Space(x=taut.uniform(0, 1))
FIDELITY = {"name": "epoch", "min": 1, "max": 9}


def ends(path: Path, method: str, first: str | None, every: int = 1) -> list[int]:
    """The epoch at which each trial ends. first: another metric, told at every epoch before the objective is."""
    study = taut.Study(
        path,
        SPACE,
        minimize="loss",
        sampler="random",
        seed=1,
        pruner={"method": method, "fidelity": FIDELITY},
    )
    found = []
    for _ in range(30):
        trial = study.ask()
        for epoch in range(1, 10):
            if first is not None:
                trial.report(step=epoch, **{first: trial.params["x"]})
                if trial.should_stop():
                    break
            if epoch % every == 0:
                trial.report(step=epoch, loss=trial.params["x"] + 1 / epoch)
                if trial.should_stop():
                    break
        study.tell(trial, loss=trial.params["x"])
        found.append(epoch)
    study.close()
    assert verify(path, make_proposals).good
    return found


@pytest.mark.parametrize("method", ["asha", "hyperband", "median"])
@pytest.mark.parametrize("every", [1, 3])
def test_another_metric_at_the_same_step_first_changes_nothing(
    tmp_path: Path, method: str, every: int
) -> None:
    alone = ends(tmp_path / "alone", method, None, every)
    assert min(alone) < 9
    assert ends(tmp_path / "both", method, "rate", every) == alone


def test_a_report_is_judged_once(tmp_path: Path) -> None:
    study = taut.Study(
        None, SPACE, minimize="loss", sampler="random", pruner={"method": "asha", "fidelity": FIDELITY}
    )
    best, *others = study.ask(6)
    best.report(step=1, loss=0.5)
    assert not best.should_stop()
    for n, other in enumerate(others):
        other.report(step=1, loss=0.1 + 0.01 * n)
        other.should_stop()
    assert not best.should_stop()  # asked again: it went on when it got there
    best.report(step=1, rate=0.1)  # nor does that say anything new of its loss
    assert not best.should_stop()
