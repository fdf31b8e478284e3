"""Whole studies rehearsed: by a function, and by the trials of a study that is finished."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import taut
from taut.definition import Budget, Definition, Method, Objective
from taut.errors import InputError
from taut.opening import make_proposals
from taut.queue.simulate import (
    PROBLEMS,
    Cluster,
    DrawnQueue,
    Lognormal,
    Neighbours,
    Rehearsal,
    Shape,
    Simulation,
    Trials,
    load,
    regrets,
    rehearse,
    table,
)

HOUR = 3600.0
SHAPES = {
    "sequential": Shape(24 * HOUR, mode="sequential"),
    "batch": Shape(HOUR, workers=6, mode="batch"),
    "async": Shape(3 * HOUR, workers=6),
}


def asked(trials: int, method: str = "tpe") -> Definition:
    space = PROBLEMS["branin"].space.to_json()
    return Definition("r", space, [Objective("loss")], budget=Budget(trials=trials), sampler=Method(method))


def test_a_rehearsal_shows_what_parallel_work_buys_and_what_it_costs() -> None:
    problem = PROBLEMS["branin"]
    cluster = Cluster(8, 4)
    others = [load(cluster, 48, 0.7, seed) for seed in range(4)]
    found = rehearse(
        asked(40),
        make_proposals,
        Trials(problem.objective, Lognormal(900.0, 0.4)),
        SHAPES,
        lambda seed: Simulation(cluster, others[seed], seed),
        overhead=Lognormal(480.0),
        repeats=4,
        begin=12 * HOUR,
    )
    assert found["async"].quantiles()[1] < found["batch"].quantiles()[1] < found["sequential"].quantiles()[1]
    assert found["sequential"].hours[0].efficiency > 0.95 > found["batch"].hours[0].efficiency
    after = regrets(found["async"], [0.0, HOUR, 4 * HOUR, 100 * HOUR], problem.best)
    assert (
        np.isinf(after[:, 0]).all()
        and (np.diff(after[:, 1:], axis=1) <= 0).all()
        and (after[:, -1] >= 0).all()
    )
    hour = {name: np.median(regrets(each, [1.5 * HOUR], problem.best)) for name, each in found.items()}
    assert hour["async"] < hour["sequential"]
    told = table(found, [HOUR, 4 * HOUR], problem.best)
    rows = [line.split("|")[1:-1] for line in told.splitlines()]
    assert [row[0].strip() for row in rows] == ["shape", "---", *SHAPES] and len(
        {len(row) for row in rows}
    ) == 1


def test_the_functions_are_least_where_they_are_said_to_be() -> None:
    branin, hartmann = PROBLEMS["branin"], PROBLEMS["hartmann"]
    assert branin.objective({"x": math.pi, "y": 2.275}, None)["loss"] == pytest.approx(branin.best, abs=1e-6)
    best = [0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573]
    assert hartmann.objective({f"x{j}": x for j, x in enumerate(best)}, None)["loss"] == pytest.approx(
        hartmann.best, abs=1e-5
    )
    rng = np.random.default_rng(1)
    for problem in PROBLEMS.values():
        drawn = problem.space.params(problem.space.quantile(rng.random((500, len(problem.space)))))
        assert min(problem.objective(params, None)["loss"] for params in drawn) >= problem.best
        assert problem.objective(drawn[0], 2.0)["loss"] > problem.objective(drawn[0], 3.0)["loss"]


def finished(trials: int = 30) -> taut.Study:
    """A study with a condition and a choice, that reports on its way."""
    space = taut.Space(
        rate=taut.loguniform(1e-4, 1.0),
        kind=taut.choice(["a", "b"]),
        momentum=taut.uniform(0.0, 1.0, when="kind == 'a'"),
    )
    study = taut.Study(None, space, minimize="loss", sampler="random", seed=3)

    def train(trial: taut.Trial) -> dict[str, float]:
        value = abs(math.log10(trial.params["rate"]) + 2.0) + trial.params.get("momentum", 2.0)
        for step in (1, 2):
            trial.report(step=step, loss=value + 1.0 / step)
        return {"loss": value, "size": trial.params["rate"]}

    return study.run(train, trials=trials)


def test_neighbours_say_what_the_trials_of_a_study_said() -> None:
    study = finished()
    near = Neighbours(study.snapshot)
    for trial in study.trials:
        assert near.objective(trial.params, None)["loss"] == pytest.approx(trial.values["loss"], rel=1e-6)
        assert near.objective(trial.params, 1.0)["loss"] == pytest.approx(
            trial.values["loss"] + 1.0, rel=1e-6
        )
    assert near.best == study.best.values["loss"] and near.seconds(study.best.params) > 0.0
    # Between trials they are between their values, and good where the study was good.
    space, rng = study.space, np.random.default_rng(2)
    drawn = space.params(space.quantile(rng.random((300, len(space)))))
    told = np.array([near.objective(params, None)["loss"] for params in drawn])
    truth = np.array([abs(math.log10(p["rate"]) + 2.0) + p.get("momentum", 2.0) for p in drawn])
    assert near.best <= told.min() and np.corrcoef(told, truth)[0, 1] > 0.8


def test_a_finished_study_can_be_rehearsed() -> None:
    study = finished()
    near = Neighbours(study.snapshot)
    definition = Definition(
        "again", study.definition.space, [Objective("loss")], budget=Budget(trials=20), sampler=Method("tpe")
    )
    found = rehearse(
        definition,
        make_proposals,
        Trials(near.objective, lambda params: 1e5 * near.seconds(params), spread=0.2),
        {"async": SHAPES["async"]},
        lambda seed: DrawnQueue(lambda rng, jobs, runs: rng.exponential(600.0, (runs, jobs)), seed),
        repeats=3,
    )
    assert (regrets(found["async"], [1e9], near.best) >= -1e-9).all() and np.isfinite(
        found["async"].finish
    ).all()


@pytest.mark.parametrize(("change", "said"), [({"repeats": 0}, "repeats: 0"), ({}, "single objective")])
def test_what_cannot_be_rehearsed_is_refused(change: dict[str, Any], said: str) -> None:
    definition = asked(5)
    if not change:
        definition = Definition("r", definition.space, [Objective("loss"), Objective("size")])
    with pytest.raises(InputError, match=said):
        rehearse(
            definition,
            make_proposals,
            Trials(PROBLEMS["branin"].objective, Lognormal(1.0)),
            SHAPES,
            DrawnQueue,
            **change,
        )  # type: ignore[arg-type]
    with pytest.raises(InputError, match="2 complete trials are too few"):
        Neighbours(finished(2).snapshot)


def test_a_study_that_is_cut_off_has_no_end() -> None:
    queue = lambda seed: DrawnQueue(lambda rng, jobs, runs: np.full((runs, jobs), 60.0), seed)  # noqa: E731
    trials = Trials(PROBLEMS["branin"].objective, Lognormal(900.0))
    found: Rehearsal = rehearse(
        asked(40, "random"), make_proposals, trials, {"a": SHAPES["sequential"]}, queue, repeats=2, until=HOUR
    )["a"]
    assert np.isinf(found.finish).all() and [len(ended) for ended, _ in found.found] == [3, 3]
