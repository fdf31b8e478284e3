"""A stated preference: what it says, whom it makes the best, and what samplers see of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import taut
from taut.definition import Definition, Objective
from taut.errors import InputError
from taut.opening import make_proposals
from taut.preference import Preference, Rank
from taut.preferred import aims, ranked, weighted
from taut.samplers import registry
from taut.samplers.history import History
from taut.space.prior import Floats
from taut.standing import non_dominated, standing
from taut.verify import verify

NAMES = ["a", "b", "c"]
SPACE = taut.Space(
    x=taut.uniform(0, 1), y=taut.loguniform(1e-3, 1.0), kind=taut.choice(["p", "q"]), n=taut.uniform_int(1, 4)
)


def order(*texts: str) -> Preference:
    return Preference.parse(list(texts))


def test_it_says_what_was_written() -> None:
    made = order("a within 1%", " b  within 2.5e-3 ", "c")
    assert made.order == [Rank("a", 0.01, True), Rank("b", 0.0025), Rank("c")]
    assert str(made) == "a within 1%, then b within 0.0025, then c"
    assert str(Preference.parse({"a": 1, "b": 0.25})) == "1 a + 0.25 b"


@st.composite
def cases(draw: st.DrawFn) -> tuple[Preference, list[str], Floats]:
    """A preference among two or three objectives, and trials with many ties."""
    names = NAMES[: draw(st.integers(2, 3))]
    row = st.lists(st.integers(-3, 6), min_size=len(names), max_size=len(names))
    table = np.array(draw(st.lists(row, min_size=1, max_size=10)), float)
    if draw(st.booleans()):
        weights = draw(st.lists(st.integers(0, 3), min_size=len(names), max_size=len(names)).filter(any))
        return Preference.parse(dict(zip(names, weights, strict=True))), names, table
    first, *others = draw(st.permutations(names))
    tolerances = ["", " within 1", " within 30%"]
    texts = [name + draw(st.sampled_from(tolerances)) for name in (first, *others[:-1])]
    return Preference.parse([*texts, others[-1]]), names, table


@given(cases())
def test_the_best_is_on_the_front(case: tuple[Preference, list[str], Floats]) -> None:
    prefer, names, table = case
    prefer.check(names)
    rows = ranked(prefer, names, table)
    assert sorted(rows.tolist()) == list(range(len(table)))
    assert non_dominated(table)[rows[0]] and non_dominated(table)[ranked(None, names, table)[0]]


@given(cases())
def test_an_order_means_what_it_says(case: tuple[Preference, list[str], Floats]) -> None:
    """The best is within the tolerance of the best, objective by objective, among those that are so in all before."""
    prefer, names, table = case
    best, left = table[ranked(prefer, names, table)[0]], table
    for rank in prefer.order:
        j = names.index(rank.metric)
        low = left[:, j].min()
        bound = low + rank.within * (abs(low) if rank.relative else 1.0)
        assert best[j] <= bound
        left = left[left[:, j] <= bound]


@given(cases())
def test_what_samplers_go_for_is_what_is_preferred(case: tuple[Preference, list[str], Floats]) -> None:
    prefer, names, table = case
    loss, slack = aims(prefer, names, table, table)
    best = ranked(prefer, names, table)[0]
    assert loss.shape[1] == max(1, len(prefer.decisive)) and slack.shape[1] == max(
        0, len(prefer.decisive) - 1
    )
    if prefer.weights:
        assert loss[best, 0] == loss.min()
        return
    kept = (slack <= 0.0).all(axis=1)
    assert kept[best] and not (loss[kept] < loss[best]).all(axis=1).any()
    assert standing(loss, slack)[kept].max() < standing(loss, slack)[~kept].min(initial=np.inf)


@given(cases(), st.floats(0.01, 100.0))
def test_units_do_not_change_what_is_preferred(
    case: tuple[Preference, list[str], Floats], unit: float
) -> None:
    prefer, names, table = case
    if all(rank.relative or not rank.within for rank in prefer.order):
        power = 2.0 ** round(np.log2(unit))  # exact
        assert ranked(prefer, names, table).tolist() == ranked(prefer, names, table * power).tolist()


def test_weights_are_measured_on_the_front() -> None:
    """So a trial that diverged does not flatten all others."""
    table = np.array([[1.0, 9.0], [2.0, 2.0], [3.0, 1.0], [1e12, 1e12]])
    prefer = Preference.parse({"a": 1, "b": 1})
    assert weighted(prefer, ["a", "b"], table, table)[:3].tolist() == [0.5, 0.3125, 0.5]
    huge = np.array([[-1e308, 1e308], [1e308, -1e308]])
    assert np.isfinite(weighted(prefer, ["a", "b"], huge, huge)).all()
    assert weighted(prefer, ["a", "b"], table[:1], table[:1]).tolist() == [0.0]


def test_objectives_that_decide_ties_alone_are_not_learned() -> None:
    assert [rank.metric for rank in order("a within 1%", "b", "c").decisive] == ["a", "b"]
    assert [rank.metric for rank in order("a", "b within 1", "c").decisive] == ["a"]
    nothing = np.empty((0, 3))
    loss, slack = aims(order("b within 1%", "a within 1", "c"), NAMES, nothing, nothing)
    assert loss.shape == (0, 3) and slack.shape == (0, 2)


# ---------------------------------------------------------------------- studies


def evaluate(trial: taut.Trial) -> dict[str, float]:
    p = trial.params
    if trial.number % 7 == 5:
        raise ValueError("no")
    return {"loss": 1.0 + (p["x"] - 0.3) ** 2 + p["y"], "hours": p["n"] / p["y"], "gb": 10.0 * p["x"]}


def study(path: Path | None = None, **given: Any) -> taut.Study:
    return taut.Study(path, SPACE, minimize=["loss", "hours"], subject_to="gb <= 6", **given)


def test_the_best_of_a_study_goes_by_the_preference() -> None:
    made = study(sampler="random", prefer=["loss within 5%", "hours"]).run(evaluate, trials=40)
    good = [trial for trial in made.trials if trial.state == "complete" and trial.values["gb"] <= 6]
    near = 1.05 * min(trial.values["loss"] for trial in good)
    expected = min((t for t in good if t.values["loss"] <= near), key=lambda t: t.values["hours"])
    assert made.best.number == expected.number == made.ranking[0]
    assert made.best.number in {trial.number for trial in made.pareto}
    even = study(sampler="random", prefer={"loss": 1, "hours": 1}).run(evaluate, trials=40)
    assert even.knee is not None and even.best.number == even.knee.number


LEARNING = sorted({*registry._BUILT_IN} - {"grid", "random", "quasirandom", "auto"})
ORDER = ["loss within 5%", "hours"]


@pytest.mark.parametrize(
    ("method", "prefer"), [*((method, ORDER) for method in LEARNING), ("tpe", {"loss": 0.8, "hours": 0.2})]
)
def test_every_sampler_works_with_a_preference_and_is_reproduced(
    method: str, prefer: Any, tmp_path: Path
) -> None:
    with study(tmp_path / "s", sampler=method, prefer=prefer, seed=3) as made:
        made.run(evaluate, trials=18)
        history = History.of(made.snapshot)
        assert history.loss.shape[1] == len(history.objectives) == (2 if prefer == ORDER else 1)
        assert made.best.number in history.done[history.good]
    assert verify(tmp_path / "s", make_proposals).good


def test_a_preference_may_change_while_a_study_runs(tmp_path: Path) -> None:
    path = tmp_path / "s"
    study(path, sampler="tpe", seed=1).run(evaluate, trials=15).close()
    plain = taut.Study(path)
    first = plain.best.number
    plain.close()
    weighed = taut.Study(path, prefer={"loss": 0, "hours": 1}, reference={"loss": 3, "hours": 9e3})
    assert weighed.best.values["hours"] == min(
        t.values["hours"] for t in weighed.trials if t.values.get("gb", 9) <= 6
    )
    weighed.run(evaluate, trials=22).close()
    again = taut.Study(path)
    assert again.definition.prefer == Preference(weights={"loss": 0.0, "hours": 1.0})
    assert again.definition.reference == {"loss": 3.0, "hours": 9e3}
    again.close()
    without = taut.Study(path, prefer=[], reference={})
    assert without.definition.prefer is None and without.definition.reference == {}
    assert without.ranking[0] == min(without.ranking, key=lambda n: without.trials[n].values["loss"])
    assert first in without.ranking
    without.run(evaluate, trials=25).close()
    assert verify(path, make_proposals).good


def test_a_definition_from_before_there_were_preferences_opens() -> None:
    plain = Definition("s", SPACE.to_json(), [Objective("a"), Objective("b")])
    old = json.loads(plain.to_json())
    del old["prefer"], old["reference"]
    assert Definition.from_json(json.dumps(old).encode()) == plain


@pytest.mark.parametrize(
    ("prefer", "problem"),
    [
        (["loss within 1%"], r"^prefer: hours must be named, too"),
        (["loss", "huors"], r"^prefer\.1: 'huors' is no objective; .*did you mean 'hours'\?"),
        ("loss then hours", r"^prefer: 'loss then hours' is no metric with a tolerance"),
        ({"loss": 1, "hours": True}, r"^prefer\.hours: True is not a finite number"),
        (3, r"^prefer: 3 is no preference"),
    ],
)
def test_wrong_preferences(prefer: Any, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        study(prefer=prefer)


def test_one_objective_has_no_preference() -> None:
    with pytest.raises(
        InputError, match=r"^prefer: a preference is among several objectives, and loss is the only one"
    ):
        taut.Study(None, SPACE, minimize="loss", prefer=["loss"])
