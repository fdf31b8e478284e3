"""There and back again: what both sides can hold is the same afterwards. Spaces, trials and attributes are drawn at random."""

from __future__ import annotations

import math
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

optuna = pytest.importorskip("optuna")

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution  # noqa: E402
from optuna.study import StudyDirection  # noqa: E402
from optuna.trial import FrozenTrial, TrialState  # noqa: E402
from optuna_lab import SPACE, evaluated, facts, loaded, opened  # noqa: E402

import taut  # noqa: E402
from space.space_strategies import spaces  # noqa: E402
from taut.events import Event, Finished, Reported  # noqa: E402
from taut.integrations.optuna import TautStorage, export_study, import_study  # noqa: E402

FEW = settings(max_examples=60, deadline=None)
numbers = st.floats(-1e9, 1e9)
START = datetime(2026, 3, 1, 12, 0, 0, 123457)


# ---------------------------------------------------------------------- taut, Optuna, taut


def told(study: taut.Study, ends: list[tuple[str, float, list[float]]]) -> None:
    """A trial for each of `ends`: how it ends, with which value, after which reports."""
    for trial, (state, value, reports) in zip(study.ask(len(ends)), ends, strict=True):
        now, n = study.store.clock.now(), trial.number
        events: list[Event] = [
            Reported(n, 0, float(step), {"loss": y}, now + step) for step, y in enumerate(reports)
        ]
        if state != "running":
            values = {"loss": value, "memory": value / 2}
            error = {"error": f"it broke: {value}"} if state == "failed" else {}
            events.append(Finished(n=n, a=0, state=state, y=values, t=now + 10, **error))  # type: ignore[arg-type]
        study.store.write(events)


def known(study: taut.Study | Any) -> list[dict[str, Any]]:
    """What must be the same of trials that have ended."""
    snapshot = study.snapshot
    return [
        {
            "number": r.number,
            "state": r.state,
            "params": r.params,
            "values": r.values,
            "started": round(r.started, 5),
            "finished": round(r.finished, 5),
            "error": r.error,
            "reports": [(event.s, event.y) for event in snapshot.curves.of(r.number)],
        }
        for r in snapshot.records(snapshot.known)
        if r.state in ("complete", "pruned", "failed")
    ]


ends = st.lists(
    st.tuples(
        st.sampled_from(["complete", "pruned", "failed", "running"]), numbers, st.lists(numbers, max_size=3)
    ),
    min_size=1,
    max_size=4,
)


@FEW
@given(spaces, ends, st.integers(0, 2**40))
def test_taut_optuna_taut(space: taut.Space, ends: Any, seed: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        study = taut.Study(
            None, space, minimize="loss", subject_to="memory <= 3", sampler="random", seed=seed, name="ä b"
        )
        told(study, ends)
        path, _ = export_study(study.snapshot, f"{place}/s.journal")
        back = import_study(str(path), f"{place}/again")
        assert known(back) == known(study)
        assert back.snapshot.definition == study.definition
        assert back.snapshot.space == space
        waiting = len(ends) - len(known(study))
        assert sum(back.snapshot.tally().values()) == len(ends)
        assert [text for text in back.said if "ran or waited" not in text] == [] and bool(back.said) == bool(
            waiting
        )


def test_conditions_computed_parameters_and_attempts(tmp_path: Path) -> None:
    study = taut.Study(
        tmp_path / "s", SPACE, minimize="loss", subject_to="memory <= 40", sampler="random", seed=5
    )
    evaluated(study, 20)
    path, _ = export_study(study.snapshot, str(tmp_path / "s.journal"))
    back = import_study(str(path), tmp_path / "again")
    assert known(back) == known(study) and back.snapshot.space == SPACE
    assert export_study(back.snapshot, str(tmp_path / "t.journal"))[0].exists()


# ---------------------------------------------------------------------- Optuna, taut, Optuna

names = st.sampled_from(["x", "lr", "model.depth", "a-b"])
plain = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.floats(-3, 3), st.text("abé ", max_size=3))
attributes = st.dictionaries(
    st.text("abc.:é", min_size=1, max_size=4),
    st.one_of(
        plain, st.lists(plain, max_size=2), st.dictionaries(st.text("k", max_size=2), plain, max_size=2)
    ),
    max_size=3,
)


@st.composite
def distributions(draw: Any) -> Any:
    kind = draw(st.sampled_from(["float", "step", "log", "int", "intstep", "intlog", "choice"]))
    low = draw(st.integers(1, 50))
    high = low + 3 * draw(st.integers(0, 17))
    if kind == "choice":
        return CategoricalDistribution(draw(st.lists(plain, min_size=1, max_size=4, unique=True)))
    if kind in ("float", "step", "log"):
        step = 0.25 if kind == "step" else None
        return FloatDistribution(low / 2, high / 2, log=kind == "log", step=step)
    return IntDistribution(low, high, log=kind == "intlog", step=3 if kind == "intstep" else 1)


def widened(draw: Any, distribution: Any) -> Any:
    """The same kind with another range, as Optuna allows."""
    if isinstance(distribution, CategoricalDistribution) or draw(st.booleans()):
        return distribution
    more = 3 * draw(st.integers(0, 3))
    return type(distribution)(
        distribution.low, distribution.high + more, log=distribution.log, step=distribution.step
    )


def value(draw: Any, distribution: Any) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return draw(st.sampled_from(distribution.choices))
    low, high = distribution.low, distribution.high
    if distribution.step:
        return low + distribution.step * draw(st.integers(0, int((high - low) / distribution.step)))
    return draw(
        st.floats(low, high) if isinstance(distribution, FloatDistribution) else st.integers(low, high)
    )


@st.composite
def studies(draw: Any) -> tuple[list[StudyDirection], list[FrozenTrial]]:
    """Directions, and finished trials that a study of Optuna may have."""
    directions = draw(
        st.lists(st.sampled_from([StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE]), min_size=1, max_size=2)
    )
    space = draw(st.dictionaries(names, distributions(), min_size=1, max_size=3))
    trials = []
    for number in range(draw(st.integers(1, 5))):
        state = draw(st.sampled_from([TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]))
        had = {name: widened(draw, one) for name, one in space.items() if draw(st.integers(0, 3))}
        begun = START + timedelta(microseconds=draw(st.integers(0, 10**12)))
        valued = state == TrialState.COMPLETE or (state == TrialState.PRUNED and draw(st.booleans()))
        constraints = (
            {"constraints": draw(st.lists(numbers, min_size=1, max_size=2))} if draw(st.booleans()) else {}
        )
        trials.append(
            FrozenTrial(
                number=number,
                state=state,
                value=None,
                values=[draw(numbers) for _ in directions] if valued else None,
                datetime_start=begun,
                datetime_complete=begun + timedelta(seconds=draw(st.integers(0, 9))),
                params={name: value(draw, one) for name, one in had.items()},
                distributions=had,
                user_attrs=draw(attributes),
                system_attrs={**draw(attributes), **constraints},
                intermediate_values=draw(
                    st.dictionaries(st.integers(0, 9), st.one_of(numbers, st.just(math.nan)), max_size=3)
                )
                if len(directions) == 1
                else {},
                trial_id=number,
            )
        )
    return directions, trials


def there_and_back(
    directions: list[StudyDirection], trials: list[FrozenTrial], kind: str, place: str
) -> None:
    storage = opened(Path(f"{place}/o{kind}"))
    study = storage.create_new_study(directions, "o")
    for trial in trials:
        storage.create_new_trial(study, trial)
    before = [facts(trial) for trial in storage.get_all_trials(study)]
    found = import_study(f"{place}/o{kind}", f"{place}/s")
    after = TautStorage(f"{place}/s").get_all_trials(0)
    assert [facts(trial) for trial in after] == before
    again, _ = export_study(found.snapshot, f"{place}/p{kind}")
    assert [facts(trial) for trial in loaded(again).trials] == before


@FEW
@given(studies())
def test_optuna_taut_optuna(drawn: Any) -> None:
    with tempfile.TemporaryDirectory() as place:
        there_and_back(*drawn, ".journal", place)


@given(studies())
@settings(max_examples=3, deadline=None, derandomize=True)
def test_optuna_taut_optuna_by_a_database(drawn: Any) -> None:
    with tempfile.TemporaryDirectory() as place:
        there_and_back(*drawn, ".db", place)
