"""What all population methods must keep: a state that is the same however and whenever it was built."""

from __future__ import annotations

import random

import numpy as np
import pytest

import taut
from taut.definition import Definition, Method, Objective
from taut.events import Event, Finished, Settled, Started
from taut.samplers import registry
from taut.samplers.population.base import PopulationSampler
from taut.snapshot import Snapshot
from taut.space import Space, choice, loguniform, ordinal, uniform, uniform_int

METHODS = [
    name
    for name in registry.names()
    if isinstance(registry.make(Method(name, {"resolution": 3} if name == "grid" else {})), PopulationSampler)
]
SPACE = Space(
    lr=loguniform(1e-5, 1e-1),
    depth=uniform_int(1, 12),
    kind=choice(["sgd", "adam", "lion"]),
    momentum=uniform(0.0, 0.99, when="kind == 'sgd'"),
    width=ordinal([8, 16, 64]),
)


def blank(space: Space = SPACE, objectives: int = 1) -> Snapshot:
    wanted = [Objective(f"f{j}", True) for j in range(objectives)]
    return Snapshot(Definition("s", space.to_json(), wanted, subject_to=["g <= 2"], seed=3), space)


def log(name: str, count: int, objectives: int = 1) -> list[tuple[Started, Finished | None]]:
    """What trials of a method are: up to five under way, ending in any order; some fail, some break the constraint, some lack it."""
    sampler, snapshot, rng = (
        registry.make(Method(name, {})),
        blank(objectives=objectives),
        random.Random(name),
    )
    open_: list[tuple[Started, float]] = []
    found: dict[int, tuple[Started, Finished | None]] = {}
    now = 0.0
    for n in range(count):
        codes, notes = sampler.propose_noted(SPACE, 3, np.array([n]), snapshot)
        params = SPACE.params(codes)[0]
        more = {} if notes[0] is None else {"m": notes[0]}
        start = Started(n=n, a=0, x=params, r=0, c=n + 1, t=now, **more)
        snapshot.apply(0, [start])
        found[n] = start, None
        open_.append((start, now + rng.uniform(0.5, 5.0)))
        now += 1.0
        for each in [each for each in open_ if each[1] <= now or len(open_) > 5]:
            open_.remove(each)
            end = ended(each[0], max(each[1], now - 1.0), rng, objectives)
            snapshot.apply(0, [end])
            found[each[0].n] = each[0], end
    return [found[n] for n in range(count)]


def ended(start: Started, t: float, rng: random.Random, objectives: int) -> Finished:
    if rng.random() < 0.1:
        return Finished(n=start.n, a=0, state="failed", y={}, t=t, error="no")
    x = start.x
    loss = (
        abs(np.log10(x["lr"]) + 3)
        + 0.1 * abs(x["depth"] - 7)
        + (x["kind"] != "adam")
        + x.get("momentum", 0.0)
    )
    y: dict[str, float | None] = {f"f{j}": loss + j * x["depth"] for j in range(objectives)}
    if rng.random() < 0.9:
        y["g"] = x["depth"] / 4
    return Finished(n=start.n, a=0, state="complete", y=y, t=t)


@pytest.mark.parametrize("objectives", [1, 2])
@pytest.mark.parametrize("name", METHODS)
def test_what_is_proposed_depends_on_what_is_known_and_not_on_when_it_was_heard(
    name: str, objectives: int
) -> None:
    trials = log(name, 70, objectives)
    sampler, next_ = registry.make(Method(name, {})), np.array([len(trials), len(trials) + 1])
    at_once = blank(objectives=objectives)
    at_once.apply(0, [event for pair in trials for event in pair if event is not None])
    expected, notes = sampler.propose_noted(SPACE, 3, next_, at_once)
    # Starts in their order, results late and in any order, and a look after each of them.
    rng, late = random.Random(1), blank(objectives=objectives)
    ends: list[Event] = [end for _, end in trials if end is not None]
    late.apply(0, [start for start, _ in trials])
    rng.shuffle(ends)
    for i, end in enumerate(ends):
        late.apply(1, [end])
        if i % 3 == 0:
            sampler.propose_noted(SPACE, 3, next_, late)
    codes, again = sampler.propose_noted(SPACE, 3, next_, late)
    assert np.array_equal(codes, expected, equal_nan=True)
    assert list(again) == list(notes)


@pytest.mark.parametrize("name", METHODS)
def test_where_there_is_nothing_to_choose_a_study_goes_on(name: str) -> None:
    study = taut.Study(
        None, Space(a=uniform(1.0, 1.0), b=choice(["only"])), minimize="f", sampler=name, seed=1
    )
    for i in range(70):
        trial = study.ask()
        assert trial.params == {"a": 1.0, "b": "only"}
        study.tell(trial, f=float(i % 5))


@pytest.mark.parametrize("name", METHODS)
def test_it_finds_what_random_search_does_not(name: str) -> None:
    best = []
    for method in (name, "random"):
        found = []
        for seed in range(3):
            study = taut.Study(None, SPACE, minimize="f", sampler=method, seed=seed)
            for _ in range(150):
                trial = study.ask()
                x = trial.params
                loss = abs(np.log10(x["lr"]) + 3) + 0.1 * abs(x["depth"] - 7) + (x["kind"] != "adam")
                study.tell(trial, f=float(loss))
            found.append(study.best.values["f"])
        best.append(float(np.mean(found)))
    assert best[0] < best[1]


@pytest.mark.parametrize("name", [*METHODS, "tpe", "gp", "auto", "bandit"])
def test_a_trial_that_turned_out_otherwise_than_suggested_is_where_it_was(name: str) -> None:
    space = Space(a=choice([1, 2, 3], asked=True), b=choice([1, 2, 3], asked=True))
    asked = Definition("s", space.to_json(), [Objective("loss")], seed=3)
    known, fresh = Snapshot(asked, space), Snapshot(asked, space)
    sampler, rng = registry.make(Method(name, {})), random.Random(1)
    for n in range(14):
        params = space.params(sampler.propose(space, 3, np.array([n]), known))[0]
        start: list[Event] = [Started(n=n, a=0, x=params, r=0, c=n + 1, t=float(n))]
        known.apply(0, start)
        sampler.propose(space, 3, np.array([n + 1]), known)  # while this one runs
        had = {"a": params["a"]} if n % 2 else params
        end: list[Event] = [
            Settled(n=n, a=0, x=had, drawn={}, r=0),
            Finished(n=n, a=0, state="complete", y={"loss": rng.random()}, t=n + 0.5),
        ]
        known.apply(0, end)
        fresh.apply(0, [*start, *end])
    numbers = np.arange(14, 17)
    ours = sampler.propose(space, 3, numbers, known)
    assert np.array_equal(ours, sampler.propose(space, 3, numbers, fresh), equal_nan=True)
