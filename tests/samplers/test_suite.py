"""What every sampler must keep, whatever it proposes: one suite for all that the registry lists."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from taut.definition import Definition, Method, Objective
from taut.events import Event, Finished, Released, Started
from taut.samplers import registry
from taut.samplers.base import Codes, Sampler
from taut.snapshot import Snapshot
from taut.space import (
    Parameter,
    Space,
    choice,
    expr,
    lognormal,
    loguniform,
    loguniform_int,
    normal,
    ordinal,
    uniform,
    uniform_int,
)

OPTIONS: dict[str, dict[str, Any]] = {"grid": {"resolution": 3}}
HEIRS = {
    "differential",
    "evolution",
    "genetic",
    "nsga2",
    "nsga3",
    "swarm",
}  # whatever the seed, a child has values of its parents, or is at a bound


def one(rng: random.Random) -> Parameter:
    """A parameter of any kind, some with a start value."""
    low, width = round(rng.uniform(-9, 9), 3), round(rng.uniform(0.1, 50), 3)
    first, cells, step = rng.randint(-50, 50), rng.randint(1, 40), rng.randint(1, 7)
    levels: list[Any] = rng.sample(
        [1, 1.0, True, None, "a", "b", "", [1, 2], [], -0.5, 2**40], rng.randint(1, 8)
    )
    makers: list[Callable[[], Parameter]] = [
        lambda: uniform(low, low + width),
        lambda: uniform(low, low + width, start=low + width / 4, belief="weak"),
        lambda: uniform(low, low),
        lambda: uniform(0, round(0.1 * cells, 1), step=0.1),
        lambda: loguniform(10.0**first, 10.0 ** (first + cells)),
        lambda: loguniform(1e-5, 1e-3, start=2e-4),
        lambda: normal(low, width),
        lambda: normal(low, width, low=low + width, high=low + 2 * width),
        lambda: lognormal(low / 3, 0.5),
        lambda: uniform_int(first, first + cells * step, step=step),
        lambda: uniform_int(first, first, start=first),
        lambda: uniform_int(0, 2**53),
        lambda: loguniform_int(1, cells),
        lambda: loguniform_int(3, 3 + cells * 1000, start=3 + cells),
        lambda: choice(levels),
        lambda: choice(levels, start=levels[-1]),
        lambda: choice(["only"]),
        lambda: ordinal(levels),
        lambda: ordinal([8, 16, 32, 64], start=16, belief="strong"),
    ]
    return rng.choice(makers)()


def random_space(seed: int) -> Space:
    rng = random.Random(seed)
    parameters = {f"p{i}": one(rng) for i in range(rng.randint(1, 3))}
    if seed % 3 == 0:  # conditions, one below the other
        parameters["kind"] = choice(["sgd", "adam", "none"], start="sgd")
        parameters["momentum"] = uniform(0.0, 0.99, start=0.9, when="kind == 'sgd'")
        parameters["nesterov"] = choice([True, False], start=False, when="momentum > 0.5")
    if seed % 4 == 0:
        parameters["r"] = uniform_int(1, 9, start=7)
        parameters["alpha"] = expr("2 * r")
        parameters["big"] = loguniform_int(1, 100, when="alpha >= 10")
    return Space(parameters)


SPACES = [random_space(seed) for seed in range(200)]
MIXED = Space(
    lr=loguniform(1e-5, 1e-1),
    layers=uniform_int(1, 12),
    kind=choice(["sgd", "adam"]),
    momentum=uniform(0.0, 0.99, when="kind == 'sgd'"),
    width=lognormal(3, 1),
)
SMALL = Space(
    n=loguniform_int(1, 3),
    kind=choice(["a", "b", "c"], start="b", belief="weak"),
    deep=choice([True, False], when="kind == 'a'"),
    only=choice([1]),
)
POINTS = 3 * (2 + 1 + 1)
SINGLE = Space(a=uniform(1, 1), b=choice(["only"]), c=uniform_int(3, 3), d=ordinal([8], when="b == 'only'"))

Params = dict[str, Any]
Outcome = Mapping[str, float | None] | str | None  # metrics, the state it ended in, or None while it runs


def points(space: Space, count: int) -> list[Params]:
    return space.params(space.quantile(np.random.default_rng(5).random((count, len(space)))))


def study(
    space: Space,
    trials: Iterable[tuple[Params, Outcome]],
    objectives: Sequence[str] = ("loss",),
    subject_to: Sequence[str] = (),
    ended: float | None = None,
) -> Snapshot:
    """A study of two workers and what became of its trials. ended: when all did; else one after the other."""
    wanted = [Objective(name, name != "accuracy") for name in objectives]
    snapshot = Snapshot(
        Definition("a study", space.to_json(), wanted, subject_to=list(subject_to), seed=3), space
    )
    for n, (params, outcome) in enumerate(trials):
        t = n + 0.5 if ended is None else ended
        snapshot.apply(n % 2, [Started(n=n, a=0, x=params, r=0, c=n + 1, t=float(n))])
        if isinstance(outcome, str):
            snapshot.apply(n % 2, [Finished(n=n, a=0, state=outcome, y={}, t=t, error="no")])  # type: ignore
        elif outcome is not None:
            snapshot.apply(n % 2, [Finished(n=n, a=0, state="complete", y=dict(outcome), t=t)])
    return snapshot


def history(space: Space) -> Snapshot:
    """Some trials that others began: most complete, a few failed or given up, some under way."""
    ends: list[Outcome] = [{"loss": loss} for loss in np.random.default_rng(6).random(22).tolist()]
    ends[4:4] = ["failed", "pruned"]
    return study(space, zip(points(space, 28), [*ends, "failed", None, None, None], strict=True))


def everything(snapshot: Snapshot) -> list[Any]:
    """What a sampler could change of a snapshot."""
    columns = [snapshot.codes, snapshot.state, snapshot.attempt, snapshot.started, snapshot.finished]
    columns += [snapshot.values(name) for name in snapshot.metrics]
    return [snapshot.size, snapshot.counts, snapshot.seen, *(column.tobytes() for column in columns)]


class Case:
    """A sampler in a space: asks it as `Proposals` would."""

    def __init__(self, name: str, space: Space, snapshot: Snapshot | None = None) -> None:
        self.name, self.space = name, space
        self.snapshot = history(space) if snapshot is None else snapshot

    @property
    def fresh(self) -> Sampler:
        return registry.make(Method(self.name, OPTIONS.get(self.name, {})))

    @property
    def end(self) -> int:
        """Numbers below this one may be asked for."""
        limit = self.fresh.limit(self.space)
        return 700 if limit is None else min(limit, 700)

    @property
    def next(self) -> int:
        """The first number that nobody has."""
        return self.snapshot.size if self.fresh.uses_history else 0

    @property
    def exhaustive(self) -> bool:
        return self.fresh.limit(self.space) is not None

    def check(self, codes: Codes, count: int) -> None:
        """They are trials of the space: every value, its presence and its conditions."""
        assert codes.shape == (count, len(self.space)) and codes.dtype == np.float64
        assert same(self.space.codes(self.space.params(codes)), codes)

    def ask(self, numbers: Any, seed: int = 3, sampler: Sampler | None = None) -> Codes:
        sampler = self.fresh if sampler is None else sampler
        snapshot = self.snapshot if sampler.uses_history else None
        return sampler.propose(self.space, seed, np.array(numbers, np.int64), snapshot)


def same(one: Codes, other: Codes) -> bool:
    return bool(np.array_equal(one, other, equal_nan=True))


NAMES = registry.names()
LEARNERS = [name for name in NAMES if registry.make(Method(name)).uses_history]
every_sampler = pytest.mark.parametrize("name", NAMES)
every_learner = pytest.mark.parametrize("name", LEARNERS)
# A sampler that learns takes longer, and its place in a space does not depend on the space's kind alone: fewer spaces do.
every_case = pytest.mark.parametrize(
    "case",
    [(name, i) for name in NAMES for i in range(0, 60, 6 if name in LEARNERS else 1)],
    ids=lambda pair: f"{pair[0]}-space{pair[1]}",
    indirect=True,
)


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Case:
    name, i = request.param
    return Case(name, SPACES[i])


@every_sampler
@pytest.mark.parametrize("first", range(0, len(SPACES), 20))
def test_proposals_are_valid(name: str, first: int) -> None:
    for space in SPACES[first : first + 20]:
        case = Case(name, space)
        numbers = np.arange(case.next, case.next + 5 if name in LEARNERS else min(case.end, 300))
        case.check(case.ask(numbers), len(numbers))


@every_case
def test_the_same_arguments_give_the_same_answer(case: Case) -> None:
    numbers = np.array([0, 1, 28, 2**40] if case.fresh.uses_history else [0, 1, 2, 5, 255, 256, 257, 511, 12])
    numbers = numbers if case.fresh.uses_history else numbers[numbers < case.end]
    asked = numbers.copy()
    old = case.fresh
    before, state = case.ask(numbers, sampler=old), np.random.get_state()[1].tolist()
    case.ask(numbers[::-1], seed=8, sampler=old)  # another question in between
    again = case.ask(numbers, sampler=old)
    assert same(before, again)
    again[:] = -1  # what is handed out is the caller's
    assert same(case.ask(numbers, sampler=old), before) and same(case.ask(numbers), before)
    assert np.array_equal(numbers, asked)
    assert np.random.get_state()[1].tolist() == state, "the global generator was used"
    if old.uses_history:
        assert everything(case.snapshot) == everything(history(case.space))


@every_case
def test_without_history_each_number_has_its_own_answer(case: Case) -> None:
    if case.fresh.uses_history:
        return
    end = case.end
    table = case.ask(np.arange(end))
    rng = np.random.default_rng(0)
    shuffled = rng.permutation(end)
    assert same(case.ask(shuffled), table[shuffled])
    for n in {0, end // 2, end - 1, min(255, end - 1), min(256, end - 1)}:
        assert same(case.ask([n]), table[[n]])
    for first in range(0, end, 97):
        block = np.arange(first, min(first + 97, end))
        assert same(case.ask(block), table[block])
    assert same(case.ask([end - 1, 0, end - 1]), table[[end - 1, 0, end - 1]])
    assert case.ask([]).shape == (0, len(case.space))


@every_case
def test_the_seed_decides(case: Case) -> None:
    if case.exhaustive:
        assert same(case.ask(np.arange(case.end), seed=1), case.ask(np.arange(case.end), seed=2))
        return
    numbers = np.arange(28, 32 if case.fresh.uses_history else 60)
    one, other = case.ask(numbers, seed=1), case.ask(numbers, seed=2)
    for j, parameter in enumerate(case.space.columns):
        constant = parameter.quantile(np.array([0.0])) == parameter.quantile(np.array([1.0]))
        if case.space.cells[j] == 0 and parameter.when is None and not constant:
            equal = one[:, j] == other[:, j]
            assert not (equal.all() if case.name in HEIRS else equal.any()), case.space.searched[j]
    large = case.ask([12], seed=2**63 - 1)
    assert same(large, case.ask([12], seed=2**63 - 1))


@every_case
def test_trial_0_has_the_start_values(case: Case) -> None:
    if case.exhaustive:
        return
    if case.fresh.uses_history:
        case.snapshot = Snapshot(case.snapshot.definition, case.space)
    first = case.space.params(case.ask([0, 1]))[0]
    start = case.space.start
    for name, value in start.items():
        parameter = case.space.parameters[name]
        if getattr(parameter, "when", None) is None:
            assert name in first
        if name in first:
            assert repr(first[name]) == repr(value)
    if "momentum" in case.space.names:  # its parent starts with "sgd", it starts with 0.9
        assert first["momentum"] == 0.9 and first["nesterov"] is False
    if start and not case.fresh.uses_history:  # and nobody else gets them by the same way
        numbers = np.arange(1, 60)
        for name, value in start.items():
            parameter = case.space.parameters[name]
            if case.space.cells[case.space.searched.index(name)] == 0:
                assert all(params.get(name) != value for params in case.space.params(case.ask(numbers)))


@every_sampler
def test_the_ends_are_bounds(name: str) -> None:
    """A limit is a whole number, and the last number below it can be had."""
    for space in SPACES:
        case = Case(name, space)
        limit = case.fresh.limit(space)
        if limit is None:
            if not case.fresh.uses_history:
                assert case.ask([10**12, 10**12 + 1]).shape == (2, len(space))
            continue
        assert isinstance(limit, int) and limit >= 1
        assert case.ask([limit - 1]).shape == (1, len(space))
        with pytest.raises(ValueError, match=f"no trial {limit}"):
            case.ask([limit])


@every_sampler
def test_a_warning_is_a_sentence_or_nothing(name: str) -> None:
    warning = Case(name, MIXED).fresh.warning(MIXED)
    assert warning is None or (len(warning) > 20 and "\n" not in warning)


# -- whatever the history ---------------------------------------------------------------------------------


def told(space: Space, losses: Iterable[float | None], **more: Any) -> Snapshot:
    ends: list[Outcome] = [{"loss": loss} for loss in losses]
    return study(space, zip(points(space, len(ends)), ends, strict=True), **more)


def repeated(space: Space, outcomes: Iterable[Outcome], **more: Any) -> Snapshot:
    """Every outcome at one and the same point."""
    (point,) = points(space, 1)
    return study(space, [(point, outcome) for outcome in outcomes], **more)


def at_the_bounds(space: Space) -> Snapshot:
    ends = np.random.default_rng(1).integers(0, 2, (24, len(space)))
    params = space.params(space.decode(ends.astype(float)))
    return study(space, [(each, {"loss": float(i % 5)}) for i, each in enumerate(params)])


def some_objectives(space: Space) -> Snapshot:
    table = np.random.default_rng(2).random((300, 3)).tolist()
    names = ("loss", "accuracy", "seconds")
    ends = [dict(zip(names, row, strict=True)) for row in table]
    return study(space, zip(points(space, 300), ends, strict=True), names)


def limited(space: Space, memory: Callable[[int], float | None], text: str = "memory <= 40") -> Snapshot:
    ends = [{"loss": float(i % 7), "memory": memory(i)} for i in range(24)]
    return study(space, zip(points(space, 24), ends, strict=True), subject_to=[text])


def without_parameters(space: Space) -> Snapshot:
    """The ends of some trials were read before their beginnings."""
    snapshot = told(space, LOSSES[:12])
    for n in range(12, 24):
        snapshot.apply(
            5, [Finished(n=n, a=0, state="complete" if n % 2 else "failed", y={"loss": -9.0}, t=3.0)]
        )
    return snapshot


def given_up(space: Space) -> Snapshot:
    """Workers died under every trial, under some of them more often than allowed."""
    snapshot = study(space, [(params, None) for params in points(space, 24)])
    for n in range(24):
        for attempt in range(1 + n % 6):
            lost = Released(n=n, a=attempt, why="killed", blame=True, t=n + attempt + 0.5)
            again = Started(n=n, a=attempt + 1, x=snapshot.params(n) or {}, r=0, c=24, t=n + attempt + 1.0)
            snapshot.apply(n % 2, [lost, again] if n % 4 else [lost])
    return snapshot


def pending(space: Space) -> Snapshot:
    ends: list[Outcome] = [{"loss": loss} for loss in LOSSES]
    return study(space, zip(points(space, 1024), [*ends, *[None] * 1000], strict=True))


LOSSES = np.random.default_rng(8).random(24).tolist()
POWERS = np.random.default_rng(9).uniform(-300, 300, 24)
HISTORIES: dict[str, Callable[[Space], Snapshot]] = {
    "nothing": lambda space: study(space, []),
    "none finished": lambda space: study(space, [(params, None) for params in points(space, 12)]),
    "one finished": lambda space: told(space, [0.5]),
    "two finished": lambda space: told(space, [0.5, 0.25]),
    "all equal": lambda space: told(space, [0.1] * 24),
    "all 0": lambda space: told(space, [0.0] * 24),
    "all failed": lambda space: study(space, [(params, "failed") for params in points(space, 24)]),
    "all pruned": lambda space: study(space, [(params, "pruned") for params in points(space, 24)]),
    "one finished, all others failed": lambda space: study(
        space, zip(points(space, 24), [{"loss": 1.0}, *["failed"] * 23], strict=True)
    ),
    "all NaN": lambda space: told(space, [None, float("nan")] * 12),
    "some NaN": lambda space: told(space, [None, float("nan"), 0.5, 0.25] * 8),
    "some infinite": lambda space: told(space, [float("inf"), -float("inf"), 0.5, 0.25] * 8),
    "one point": lambda space: repeated(space, [{"loss": loss} for loss in LOSSES]),
    "one point, one loss": lambda space: repeated(space, [{"loss": 0.5}] * 24),
    "one point, all failed": lambda space: repeated(space, ["failed"] * 24),
    "one point, pending": lambda space: repeated(space, [{"loss": 0.5}] * 12 + [None] * 80),
    "1,000 pending": pending,
    "300 trials, 3 objectives": some_objectives,
    "constraint never met": lambda space: limited(space, lambda i: 41.0 + i),
    "constraint met once": lambda space: limited(space, lambda i: 40.0 if i == 7 else 1e3),
    "constraint always at its bound": lambda space: limited(space, lambda i: 40.0),
    "constraint not known": lambda space: limited(space, lambda i: None),
    "constraint cannot be computed": lambda space: limited(space, lambda i: i % 2, "loss / memory <= 1"),
    "constraint of any size": lambda space: limited(space, lambda i: float(10.0 ** POWERS[i]) - 1.0),
    "constraint yes or no": lambda space: limited(space, lambda i: i % 3, "not memory == 1"),
    "at the bounds": at_the_bounds,
    "1e300": lambda space: told(space, [1e300 * (1 + loss) for loss in LOSSES]),
    "-1e300": lambda space: told(space, [-1e300 * (1 + loss) for loss in LOSSES]),
    "largest": lambda space: told(space, [sys.float_info.max * (-1.0) ** i for i in range(24)]),
    "1e-300": lambda space: told(space, [1e-300 * (1 + loss) for loss in LOSSES]),
    "5e-324": lambda space: told(space, [5e-324 * i for i in range(24)]),
    "of any size": lambda space: told(space, (10.0**POWERS).tolist()),
    "of any size and sign": lambda space: told(space, (10.0**POWERS * (-1.0) ** np.arange(24)).tolist()),
    "nearly equal": lambda space: told(space, [1.0 + i * 2.0**-52 for i in range(24)]),
    "one time": lambda space: told(space, LOSSES, ended=7.0),
    "no parameters yet": without_parameters,
    "given up": given_up,
}


def ask(name: str, snapshot: Snapshot, count: int = 3) -> Codes:
    """Checked proposals, made without a warning, of a sampler that changes nothing."""
    case, before = Case(name, snapshot.space, snapshot), everything(snapshot)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        codes = case.ask(np.arange(snapshot.size, snapshot.size + count))
    case.check(codes, count)
    assert everything(snapshot) == before
    return codes


@every_learner
@pytest.mark.parametrize("space", [MIXED, SMALL, SINGLE], ids=["mixed", "small", "single"])
@pytest.mark.parametrize("kind", HISTORIES)
def test_any_history(name: str, kind: str, space: Space) -> None:
    codes = ask(name, HISTORIES[kind](space))
    assert same(ask(name, HISTORIES[kind](space)), codes)


@every_learner
def test_a_parameter_that_no_trial_had(name: str) -> None:
    known = [params for params in points(MIXED, 60) if params["kind"] == "adam"][:24]
    ends = [{"loss": loss} for loss in LOSSES]
    codes = ask(name, study(MIXED, zip(known, ends, strict=True)), 5)
    assert same(ask(name, study(MIXED, zip(known, ends, strict=True)), 5), codes)


@every_learner
def test_a_space_that_was_extended(name: str) -> None:
    wide = Space(
        lr=loguniform(1e-6, 1.0),
        layers=uniform_int(1, 24),
        kind=choice(["sgd", "adam", "lion"]),
        momentum=uniform(0.0, 0.999, when="kind == 'sgd'"),
        width=lognormal(3, 1),
        beta=uniform(0.5, 1.0, when="kind == 'lion'"),
    )

    def extended(asked: bool) -> Snapshot:
        snapshot = history(MIXED)
        if asked:  # what was learned of the old space must not stay
            ask(name, snapshot)
        old = snapshot.definition
        snapshot.revise(Definition(old.name, wide.to_json(), old.objectives, seed=old.seed))
        return snapshot

    snapshot = extended(True)
    codes = ask(name, snapshot, 5)
    assert snapshot.space == wide and same(ask(name, extended(False), 5), codes)
    n = snapshot.size
    for m, params in enumerate(wide.params(wide.quantile(np.random.default_rng(0).random((12, 6)))), start=n):
        ended = Finished(n=m, a=0, state="complete", y={"loss": 0.1}, t=m + 0.5)
        snapshot.apply(0, [Started(n=m, a=0, x=params, r=1, c=m + 1, t=float(m)), ended])
    ask(name, snapshot, 5)


@every_learner
def test_no_point_twice_until_all_are_used(name: str) -> None:
    ends: list[Outcome] = [{"loss": 0.5}, {"loss": 0.5}, "failed", {"loss": 0.25}, "pruned", None]
    trials: list[tuple[Params, Outcome]] = []
    for n in range(POINTS + 3):  # and then it goes on
        (params,) = SMALL.params(ask(name, study(SMALL, trials), 1))
        trials.append((params, ends[n % 6]))
    assert len({repr(params) for params, _ in trials[:POINTS]}) == POINTS


@every_learner
@pytest.mark.parametrize("known", [0, 6])
def test_no_point_twice_of_those_asked_together(name: str, known: int) -> None:
    trials = [(params, {"loss": float(i)}) for i, params in enumerate(different(SMALL)[:known])]
    for more in (0, 2):
        asked = SMALL.params(ask(name, study(SMALL, trials), POINTS - known + more))
        assert len({repr(params) for params in [*(params for params, _ in trials), *asked]}) == POINTS


def different(space: Space) -> list[Params]:
    return list({repr(params): params for params in points(space, 200)}.values())


# -- one state, one answer ------------------------------------------------------------------------------------


def lines() -> dict[int, list[Event]]:
    """What four workers wrote: each begins trials, others tell how they went, some are lost and begun again."""
    written: dict[int, list[Event]] = {0: [], 1: [], 2: [], 3: []}
    losses = np.random.default_rng(4).random(40).tolist()
    for n, params in enumerate(points(MIXED, 40)):
        first, last = (0, 0) if n % 2 else (n % 4, 3 - n % 3)
        written[first].append(Started(n=n, a=0, x=params, r=0, c=n + 1, t=float(n)))
        attempt = 0
        if n % 9 == 4:
            attempt = 1
            written[1].append(Released(n=n, a=0, why="killed", blame=False, t=n + 0.2))
            written[first].append(Started(n=n, a=1, x=params, r=0, c=n + 1, t=n + 0.3))
        y = {"loss": losses[n]}
        state = "failed" if n % 11 == 5 else "complete"
        if n < 36:
            written[last].append(
                Finished(n=n, a=attempt, state=state, y=y if state == "complete" else {}, t=n + 2.5 + n % 4)
            )
    return written


def read(order: Iterable[int], look: Callable[[Snapshot], Any] | None = None) -> Snapshot:
    """The state after the workers' lines were read in this order; `look` is called after each."""
    streams = {writer: iter(events) for writer, events in lines().items()}
    snapshot = study(MIXED, [])
    for writer in order:
        event = next(streams[writer], None)
        if event is not None:
            snapshot.apply(writer, [event])
            if look is not None:
                look(snapshot)
    assert not [event for stream in streams.values() for event in stream]
    return snapshot


LENGTHS = {writer: len(events) for writer, events in lines().items()}
ORDERS = {
    "one by one": [writer for writer, count in LENGTHS.items() for _ in range(count)],
    "backwards": [writer for writer, count in reversed(LENGTHS.items()) for _ in range(count)],
    "in turns": [writer for _ in range(max(LENGTHS.values())) for writer in LENGTHS],
    "by chance": np.random.default_rng(0)
    .permutation(np.repeat(*zip(*LENGTHS.items(), strict=True)))
    .tolist(),
}


@every_learner
def test_the_order_in_which_lines_were_read_makes_no_difference(name: str) -> None:
    answers = [ask(name, read(order), 4) for order in ORDERS.values()]
    assert all(same(answer, answers[0]) for answer in answers)


@every_learner
@pytest.mark.parametrize("order", ["in turns", "backwards"])
def test_what_was_asked_before_makes_no_difference(name: str, order: str) -> None:
    sampler = registry.make(Method(name))

    def look(snapshot: Snapshot) -> None:
        if sum(snapshot.seen.values()) % 7 == 0:
            sampler.propose(MIXED, 3, np.arange(snapshot.size, snapshot.size + 2), snapshot)

    snapshot = read(ORDERS[order], look)
    numbers = np.arange(40, 44)
    assert same(sampler.propose(MIXED, 3, numbers, snapshot), ask(name, read(ORDERS["one by one"]), 4))
    sampler.propose(SMALL, 3, numbers, history(SMALL))
    assert same(sampler.propose(MIXED, 3, numbers, snapshot), ask(name, read(ORDERS["by chance"]), 4))


def answers() -> dict[str, list[list[str]]]:
    """To the last bit."""
    snapshot = read(ORDERS["in turns"])
    cases = {name: Case(name, MIXED, snapshot) for name in NAMES}
    return {
        name: [[value.hex() for value in row] for row in case.ask(np.arange(40, 43)).tolist()]
        for name, case in cases.items()
    }


def test_another_process_gives_the_same_answers() -> None:
    program = "import json, test_suite; print(json.dumps(test_suite.answers()))"
    path = [str(Path(__file__).parent), *sys.path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "PYTHONHASHSEED": "7"}
    told = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    theirs = json.loads(told.stdout)
    assert theirs == answers()


# -- how points are spread ------------------------------------------------------------------------------

CUBE = {d: Space({f"x{j}": uniform(0, 1) for j in range(d)}) for d in (1, 2, 5)}


def discrepancy(points: Codes) -> float:
    """Centred L2 discrepancy (Hickernell, 1998), squared."""
    k, d = points.shape
    z = np.abs(points - 0.5)
    single = np.prod(1 + 0.5 * z - 0.5 * z**2, axis=1).sum()
    pairs = 1 + 0.5 * z[:, None] + 0.5 * z[None] - 0.5 * np.abs(points[:, None] - points[None])
    return float((13 / 12) ** d - 2 / k * single + np.prod(pairs, axis=2).sum() / k**2)


@pytest.mark.parametrize("d, ratio", [(1, 0.05), (2, 0.2), (5, 0.7)])
def test_quasirandom_is_more_even_than_random(d: int, ratio: float) -> None:
    mean = {
        name: np.mean([discrepancy(Case(name, CUBE[d]).ask(np.arange(64), seed=s)) for s in range(8)])
        for name in ("quasirandom", "random")
    }
    assert mean["quasirandom"] < ratio * mean["random"]
    worst = max(discrepancy(Case("quasirandom", CUBE[d]).ask(np.arange(64), seed=s)) for s in range(8))
    assert worst < mean["random"]


@pytest.mark.parametrize("seed", range(5))
def test_quasirandom_puts_one_point_into_each_stratum(seed: int) -> None:
    case = Case("quasirandom", CUBE[5])
    for j, base in enumerate((2, 3, 5, 7, 11)):
        for strata in (base, base**2):
            for first in (0, strata, 3 * strata):  # every whole run of the base, not only the first
                x = case.ask(np.arange(first, first + strata), seed)[:, j]
                assert sorted(np.floor(x * strata).astype(int)) == list(range(strata))


def test_quasirandom_is_even_over_choices_and_where_a_condition_holds() -> None:
    space = Space(kind=choice(["a", "b", "c", "d"]), x=uniform(0, 1, when="kind == 'b'"))
    codes = Case("quasirandom", space).ask(np.arange(4 * 81))
    assert np.bincount(codes[:, 0].astype(int)).tolist() == [81] * 4
    x = codes[codes[:, 0] == 1, 1]
    assert len(x) == 81 and stats.kstest(x, "uniform").statistic < 0.06


def test_scrambles_of_other_seeds_are_uniform() -> None:
    case = Case("quasirandom", CUBE[5])
    points = np.concatenate([case.ask([7], seed) for seed in range(400)])
    for j in range(5):
        assert stats.kstest(points[:, j], "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(points.T) - np.eye(5)).max() < 0.2


def fits(counts: Any, expected: Any = None) -> None:
    """The counts are what chance would give: not too far off, and not too close either."""
    p = stats.chisquare(counts, expected).pvalue
    assert 1e-4 < p < 1 - 1e-4


N = 8000


def test_random_draws_follow_the_priors() -> None:
    space = Space(
        flat=uniform(-2, 6),
        log=loguniform(1e-5, 1e-1),
        bell=normal(3, 2, low=1, high=9),
        logbell=lognormal(1, 0.5),
        whole=uniform_int(0, 20, step=2),
        logwhole=loguniform_int(1, 12),
        kind=choice(["a", "b", "c", "d", "e", "f", "g"]),
        size=ordinal([8, 16, 32]),
    )
    codes = Case("random", space).ask(np.arange(N))
    flat, log, bell, logbell, whole, logwhole, kind, size = codes.T
    fits(np.bincount(((flat + 2) / 8 * 25).astype(int), minlength=25))
    fits(np.bincount(((np.log10(log) + 5) / 4 * 25).astype(int), minlength=25))
    normal_ = stats.truncnorm((1 - 3) / 2, (9 - 3) / 2, 3, 2)
    fits(np.bincount((normal_.cdf(bell) * 25).astype(int), minlength=25))
    fits(
        np.bincount((stats.truncnorm(-4, 4).cdf((np.log(logbell) - 1) / 0.5) * 25).astype(int), minlength=25)
    )
    fits(np.bincount((whole / 2).astype(int), minlength=11))
    values = np.arange(1, 13)
    mass = np.log((values + 0.5) / (values - 0.5)) / np.log(12.5 / 0.5)
    fits(np.bincount(logwhole.astype(int), minlength=13)[1:], mass * N)
    fits(np.bincount(kind.astype(int), minlength=7))
    fits(np.bincount(size.astype(int), minlength=3))


def test_random_draws_are_independent() -> None:
    u = Case("random", CUBE[2]).ask(np.arange(1, N + 1))
    other = Case("random", CUBE[2]).ask(np.arange(1, N + 1), seed=4)
    cells = (u * 8).astype(int)
    pairs = {
        "parameters": cells[:, 0] * 8 + cells[:, 1],
        "neighbours": cells[:-1, 0] * 8 + cells[1:, 0],
        "blocks": cells[:-256, 0] * 8 + cells[256:, 0],
        "seeds": cells[:, 0] * 8 + (other[:, 0] * 8).astype(int),
    }
    for both in pairs.values():
        fits(np.bincount(both, minlength=64))


def test_random_draws_of_one_trial_are_uniform_over_seeds() -> None:
    for n in (0, 1, 300):
        points = np.concatenate([Case("random", CUBE[1]).ask([n], seed) for seed in range(1500)])
        fits(np.bincount((points[:, 0] * 15).astype(int), minlength=15))
