"""What models learn from: which trials, in which order, and where they lie."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from taut.definition import Definition, Objective
from taut.events import Event, Finished, Released, Started
from taut.samplers.history import History
from taut.snapshot import Snapshot
from taut.space import Space, choice, loguniform, uniform, uniform_int

SPACE = Space(
    x=uniform(0, 2), n=uniform_int(1, 4), kind=choice(["a", "b"]), y=uniform(0, 1, when="kind == 'b'")
)


def start(
    n: int, a: int = 0, t: float | None = None, x: float = 1.0, kind: str = "a", **more: float
) -> Started:
    params: dict[str, Any] = {"x": x, "n": 2, "kind": kind, **more}
    return Started(n=n, a=a, x=params, r=0, c=n + 1, t=float(n) if t is None else t)


def end(n: int, t: float, a: int = 0, state: Any = "complete", **y: float | None) -> Finished:
    return Finished(n=n, a=a, state=state, y=y, t=t)


def lost(n: int, t: float, a: int = 0, blame: bool = True, **more: Any) -> Released:
    return Released(n=n, a=a, why="killed", blame=blame, t=t, **more)


def fold(*events: Event, **definition: Any) -> Snapshot:
    wanted = definition.pop("objectives", [Objective("loss")])
    snapshot = Snapshot(Definition("a study", SPACE.to_json(), wanted, **definition), SPACE)
    for event in events:
        snapshot.apply(0, [event])
    return snapshot


def test_they_come_in_the_order_in_which_they_ended() -> None:
    ends = [end(n, t, loss=float(n)) for n, t in enumerate([9.0, 3.0, 7.0, 3.0, 1.0])]
    history = History.of(fold(*map(start, range(5)), *ends))
    assert history.done.tolist() == [4, 1, 3, 2, 0]  # of two that ended together, the lower number
    assert history.loss.tolist() == [[4.0], [1.0], [3.0], [2.0], [0.0]] and len(history) == 5


def test_what_became_of_trials() -> None:
    events = [
        *map(start, range(7)),
        end(0, 8.0, loss=1.0),
        end(1, 8.0, state="failed"),
        end(2, 8.0, state="pruned", loss=3.0),
        lost(4, 8.0),  # waits for its next attempt
        lost(5, 8.0),
        start(5, a=1),
        lost(5, 9.0, a=1),  # given up
        lost(6, 8.0, kept=True),  # paused
    ]
    history = History.of(fold(*events, retries=1))
    assert history.done.tolist() == [0] and history.pruned.tolist() == [2]
    assert history.failed.tolist() == [1, 5] and history.pending.tolist() == [3, 4, 6]


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), -float("inf")])
def test_a_loss_that_is_no_number_teaches_nothing(value: float | None) -> None:
    both = [Objective("loss"), Objective("size")]
    ends = [
        end(0, 1.0, loss=value, size=1.0),
        end(1, 2.0, loss=1.0, size=value),
        end(2, 3.0, loss=1.0, size=2.0),
    ]
    history = History.of(fold(*map(start, range(3)), *ends, objectives=both))
    assert history.done.tolist() == [2] and history.loss.tolist() == [[1.0, 2.0]]
    assert not len(history.failed) and not len(history.pending)


def test_less_is_better() -> None:
    wanted = [Objective("loss"), Objective("accuracy", False)]
    history = History.of(fold(start(0), end(0, 1.0, loss=2.0, accuracy=0.75), objectives=wanted))
    assert history.loss.tolist() == [[2.0, -0.75]]


def test_constraints() -> None:
    ends = [end(n, 4.0 - n, loss=1.0, memory=m) for n, m in enumerate([41.0, 40.0, None])]
    history = History.of(fold(*map(start, range(3)), *ends, subject_to=["memory <= 40"]))
    assert history.done.tolist() == [2, 1, 0]
    assert np.array_equal(history.slack, [[np.nan], [0.0], [1.0]], equal_nan=True)
    assert history.good.tolist() == [False, True, False]
    free = History.of(fold(start(0), end(0, 1.0, loss=1.0)))
    assert free.slack.shape == (1, 0) and free.good.tolist() == [True]


def test_seconds_are_those_of_all_attempts() -> None:
    events = [
        start(0, t=10.0),
        end(0, 14.0, loss=1.0),
        start(1, t=10.0),
        lost(1, 13.0, had=3.0),
        start(1, a=1, t=20.0),
        end(1, 25.0, a=1, loss=1.0),
        start(2, t=0.0),
        end(2, 1.0, state="failed"),
    ]
    history = History.of(fold(*events))
    assert dict(zip(history.done.tolist(), history.seconds.tolist(), strict=True)) == {0: 4.0, 1: 8.0}


def test_an_end_that_was_read_before_its_beginning() -> None:
    snapshot = fold(start(0), end(0, 1.0, loss=1.0), end(1, 2.0, loss=0.0), end(2, 2.0, state="failed"))
    history = History.of(snapshot)
    assert history.done.tolist() == [0] and not len(history.failed)
    assert history.unit(np.array([1]))[0].tolist() == [0.5, 0.5, 0.5, 0.5]
    snapshot.apply(1, [start(1, x=0.5, kind="b", y=0.25), start(2, x=2.0)])
    history = History.of(snapshot)
    assert history.done.tolist() == [0, 1] and history.failed.tolist() == [2]
    assert history.unit(np.array([1, 2])).tolist() == [[0.25, 0.375, 0.75, 0.25], [1.0, 0.375, 0.25, 0.5]]
    assert history.active(np.array([1, 2])).tolist() == [[True] * 4, [True, True, True, False]]


def test_an_attempt_with_other_parameters_moves_the_trial() -> None:
    snapshot = fold(start(0, x=0.5))
    assert History.of(snapshot).unit(np.array([0]))[0, 0] == 0.25
    snapshot.apply(0, [lost(0, 1.0), start(0, a=1, x=1.5)])
    assert History.of(snapshot).unit(np.array([0]))[0, 0] == 0.75


def test_many_trials_and_a_wider_space() -> None:
    xs = np.random.default_rng(0).random(300)
    snapshot = fold(*(start(n, x=x) for n, x in enumerate((2 * xs).tolist())))
    every = np.arange(300)
    assert np.allclose(History.of(snapshot).unit(every)[:, 0], xs, atol=1e-15)
    assert (
        History.of(snapshot).unit(every[::-1])[:, 0].tolist()
        == History.of(snapshot).unit(every)[::-1, 0].tolist()
    )
    wide = Space({**SPACE.parameters, "x": uniform(-2, 2)})
    snapshot.revise(Definition("a study", wide.to_json(), [Objective("loss")]))
    history = History.of(snapshot)
    assert history.space is snapshot.space and np.allclose(history.unit(every)[:, 0], 0.5 + xs / 2)


def test_values_are_those_of_their_geometry() -> None:
    space = Space(lr=loguniform(1e-4, 1.0))
    snapshot = Snapshot(Definition("a study", space.to_json(), [Objective("loss")]), space)
    snapshot.apply(0, [Started(n=0, a=0, x={"lr": 1e-3}, r=0, c=1, t=0.0)])
    assert History.of(snapshot).unit(np.array([0])) == pytest.approx(0.25)


def everything(history: History) -> list[Any]:
    numbers = np.concatenate((history.done, history.failed, history.pruned, history.pending))
    arrays = [history.done, history.loss, history.failed, history.pruned, history.pending, history.seconds]
    return [array.tolist() for array in [*arrays, history.unit(numbers), history.active(numbers)]]


def test_the_order_in_which_writers_were_read_makes_no_difference() -> None:
    streams: dict[int, list[Event]] = {
        0: [start(0, x=0.1), start(1, x=0.2), end(2, 5.0, loss=2.0)],
        1: [start(2, x=0.3, kind="b", y=0.9), end(0, 5.0, loss=1.0), lost(3, 6.0, had=2.0)],
        2: [
            start(3, x=0.4),
            end(1, 4.0, state="failed"),
            start(3, a=1, x=0.6, t=8.0),
            end(3, 9.0, a=1, loss=0.0),
        ],
    }
    lengths = [writer for writer, events in streams.items() for _ in events]
    found = []
    orders = set(itertools.islice(itertools.permutations(lengths), 0, None, 9001))
    assert len(orders) > 100
    for i, order in enumerate(sorted(orders)):
        snapshot, rest = fold(), {writer: list(events) for writer, events in streams.items()}
        for writer in order:
            snapshot.apply(writer, [rest[writer].pop(0)])
            if i % 2:  # to have looked changes nothing
                everything(History.of(snapshot))
        found.append(everything(History.of(snapshot)))
    assert all(each == found[0] for each in found)
    assert found[0][0] == [0, 2, 3] and found[0][5] == [5.0, 3.0, 3.0]
