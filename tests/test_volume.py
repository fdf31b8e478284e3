"""Hypervolume, knee and front: by their definitions."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import taut
from taut.definition import Definition, Method, Objective
from taut.errors import InputError, StudyError
from taut.events import Finished, Started
from taut.metrics.hypervolume import affordable, hypervolume
from taut.metrics.knee import knee
from taut.metrics.pareto import Front, non_dominated
from taut.snapshot import Snapshot
from taut.space.prior import Floats

SPACE = taut.Space(x=taut.uniform(0, 1))


def tables(most: int = 6, rows: int = 8) -> st.SearchStrategy[Floats]:
    """Few different values, so that ties are common."""
    return st.integers(1, most).flatmap(
        lambda m: st.lists(
            st.lists(st.integers(0, 4), min_size=m, max_size=m), min_size=1, max_size=rows
        ).map(lambda table: np.array(table, float))
    )


def by_cells(table: Floats, top: int) -> float:
    """The hypervolume of whole numbers from (top, ..., top), cell by cell."""
    cells = np.array(list(itertools.product(range(top), repeat=table.shape[1])))
    return float((table[:, None] <= cells[None]).all(axis=2).any(axis=0).sum())


@settings(deadline=None)
@given(tables(most=5), st.integers(2, 5))
def test_the_hypervolume_is_the_count_of_cells(table: Floats, top: int) -> None:
    assert hypervolume(table, np.full(table.shape[1], float(top))) == by_cells(table, top)


@settings(deadline=None)
@given(tables(), st.randoms(use_true_random=False))
def test_order_and_dominated_points_make_no_difference(table: Floats, rng: Any) -> None:
    reference = np.full(table.shape[1], 4.5)
    volume = hypervolume(table, reference)
    shuffled = table[rng.sample(range(len(table)), len(table))]
    worse = np.concatenate((shuffled, table + 0.25))
    assert hypervolume(worse, reference) == pytest.approx(volume, abs=1e-9)
    assert hypervolume(table[non_dominated(table)], reference) == pytest.approx(volume, abs=1e-9)
    columns = rng.sample(range(table.shape[1]), table.shape[1])
    assert hypervolume(table[:, columns], reference) == pytest.approx(volume, abs=1e-9)


@settings(deadline=None)
@given(tables(), st.data())
def test_more_points_or_a_worse_reference_never_shrink_it(table: Floats, data: st.DataObject) -> None:
    m = table.shape[1]
    reference = np.full(m, 4.5)
    point = np.array(data.draw(st.lists(st.integers(-1, 5), min_size=m, max_size=m)), float)
    volume, more = hypervolume(table, reference), hypervolume(np.vstack((table, point)), reference)
    assert more >= volume - 1e-9
    brings = (point < reference).all() and not (table <= point).all(axis=1).any()
    assert (more > volume + 1e-9) == brings
    assert hypervolume(table, reference + 1.0) >= volume


@pytest.mark.parametrize("m", [2, 3, 4, 5, 6])
def test_the_hypervolume_agrees_with_monte_carlo(m: int) -> None:
    rng = np.random.default_rng(m)
    front = np.abs(rng.normal(size=(25, m)))
    front = 1.0 - front / np.linalg.norm(front, axis=1)[:, None]
    draws = rng.random((40_000, m))
    share = (front[:, None] <= draws[None]).all(axis=2).any(axis=0).mean()
    assert hypervolume(front, np.ones(m)) == pytest.approx(share, abs=4 * np.sqrt(share / 40_000))


def test_large_fronts_of_two_and_three() -> None:
    """The quarter of a circle, and the eighth of a ball."""
    angle = np.linspace(0.0, np.pi / 2, 20_001)
    circle = 1.0 - np.stack((np.cos(angle), np.sin(angle)), axis=1)
    assert hypervolume(circle, np.ones(2)) == pytest.approx(np.pi / 4, abs=1e-4)
    rng = np.random.default_rng(0)
    ball = np.abs(rng.normal(size=(800, 3)))
    ball = 1.0 - ball / np.linalg.norm(ball, axis=1)[:, None]
    assert 0.44 < hypervolume(ball, np.ones(3)) < np.pi / 6  # from inside
    assert affordable(10**6, 2) and affordable(800, 3) and not affordable(800, 6)


def test_nothing_beyond_the_reference_counts() -> None:
    assert hypervolume(np.empty((0, 3)), np.ones(3)) == 0.0
    assert hypervolume(np.array([[0.0, 1.0], [1.0, 0.0], [2.0, -5.0]]), np.ones(2)) == 0.0
    assert hypervolume(np.array([[-np.inf, 2.0]]), np.ones(2)) == 0.0


# ---------------------------------------------------------------------- knee


def test_the_knee_of_two_is_the_farthest_from_the_line_between_the_ends() -> None:
    front = np.array([[0.0, 100.0], [1.0, 30.0], [2.0, 10.0], [5.0, 5.0], [10.0, 0.0]])
    a, b = front[0] / [10, 100], front[-1] / [10, 100]
    along, across = b - a, front / [10, 100] - a
    away = abs(along[0] * across[:, 1] - along[1] * across[:, 0])
    assert knee(front) == int(np.argmax(away)) == 2
    assert knee(front * [1e-6, 1e6] + 7.0) == 2  # units make no difference


@pytest.mark.parametrize(
    "front",
    [
        [],
        [[1.0, 1.0]],
        [[0.0, 1.0], [1.0, 0.0]],
        [[0.0, 1.0], [0.1, 0.9], [0.7, 0.3], [1.0, 0.0]],  # a line
        [[0.0, 1.0], [0.7, 0.9], [1.0, 0.0]],  # hollow
        [[0.0, 1.0], [0.0, 1.0]],
    ],
)
def test_a_front_without_a_bend_has_no_knee(front: list[list[float]]) -> None:
    assert knee(np.array(front).reshape(-1, 2)) is None


@given(tables(most=4))
def test_the_knee_is_on_the_front_and_inside(table: Floats) -> None:
    front = table[non_dominated(table)]
    row = knee(front)
    if row is not None:
        wide = np.ptp(front, axis=0) > 0
        scaled = (front[:, wide] - front[:, wide].min(axis=0)) / np.ptp(front[:, wide], axis=0)
        assert scaled[row].sum() == scaled.sum(axis=1).min() < 1.0


# ---------------------------------------------------------------------- studies


def study(rows: list[dict[str, float]], **given: Any) -> taut.Study:
    made = taut.Study(None, SPACE, sampler="random", **given)
    for row in rows:
        made.tell(made.ask(), **row)
    return made


ROWS = [
    {"loss": 1.0, "hours": 9.0, "gb": 1.0},
    {"loss": 2.0, "hours": 2.0, "gb": 2.0},
    {"loss": 4.0, "hours": 1.0, "gb": 3.0},
    {"loss": 5.0, "hours": 10.0, "gb": 4.0},
    {"loss": 0.5, "hours": 0.5, "gb": 99.0},
]
KEPT: dict[str, Any] = {"minimize": ["loss", "hours"], "subject_to": "gb <= 40"}


def test_what_a_study_says_of_its_front() -> None:
    made = study(ROWS, **KEPT)
    assert [trial.number for trial in made.pareto] == [0, 1, 2]
    assert made.knee is not None and made.knee.number == 1
    assert made.reference == {"loss": 5.0, "hours": 10.0}
    assert made.hypervolume() == 1 * (10 - 9) + 2 * (10 - 2) + 1 * (10 - 1)
    assert made.hypervolume({"hours": 9.5, "loss": 3}) == 1 * 0.5 + 1 * 7.5
    stated = study(ROWS, reference={"hours": 20, "loss": 6}, **KEPT)
    assert stated.reference == {"loss": 6.0, "hours": 20.0}
    assert stated.hypervolume() == 1 * (20 - 9) + 2 * (20 - 2) + 2 * (20 - 1)


def test_directions_are_kept() -> None:
    rows = [{"loss": row["loss"], "speed": 10 - row["hours"]} for row in ROWS[:4]]
    made = study(rows, minimize="loss", maximize="speed")
    assert [trial.number for trial in made.pareto] == [0, 1, 2]
    assert made.reference == {"loss": 5.0, "speed": 0.0}
    assert made.hypervolume() == study(ROWS[:4], minimize=["loss", "hours"]).hypervolume()


def test_a_study_without_a_good_trial_has_no_front() -> None:
    made = study(ROWS[4:], **KEPT)
    assert not made.pareto and made.knee is None and made.reference == {} and made.hypervolume() == 0.0
    with pytest.raises(
        StudyError, match=r"^none of 1 complete trial fulfils gb <= 40; trial 0 is nearest, with gb = 99$"
    ):
        made.best  # noqa: B018


@pytest.mark.parametrize(
    ("reference", "problem"),
    [
        ({"loss": 1}, "hours must be named, too"),
        ({"loss": 1, "huors": 2}, "'huors' is no objective"),
        ({"loss": 1, "hours": float("nan")}, "nan is not a finite number"),
        ([1, 2], "no table of numbers; write reference = { loss = 4.0, hours = 4.0 }"),
    ],
)
def test_wrong_references(reference: Any, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        study(ROWS, **KEPT).hypervolume(reference)
    with pytest.raises(InputError, match=problem):
        study(ROWS, reference=reference, **KEPT)


def test_who_breaks_constraints_least() -> None:
    """Each counts as a share of the most that it is broken by."""
    rows = [
        {"loss": 1.0, "gb": 80.0, "ms": 11.0},
        {"loss": 9.0, "gb": 41.0, "ms": 12.0},
        {"loss": 0.1, "gb": 90.0, "ms": 9.0},
    ]
    made = study(rows, minimize="loss", subject_to=["gb <= 40", "ms <= 10"])
    with pytest.raises(
        StudyError, match=r"none of 3 complete trials fulfils .*; trial 2 is nearest, with gb = 90, ms = 9$"
    ):
        made.best  # noqa: B018


def told(rows: list[tuple[float, float, float]], **options: Any) -> Snapshot:
    """Trials of a loss, a cost and seconds."""
    definition = Definition("s", SPACE.to_json(), [Objective("loss")], sampler=Method("gp", options))
    snapshot = Snapshot(definition)
    for n, (loss, cost, seconds) in enumerate(rows):
        y = {"loss": loss} if cost < 0 else {"loss": loss, "cost": cost}
        events = [
            Started(n=n, a=0, x={"x": 0.5}, r=0, c=n + 1, t=0.0),
            Finished(n=n, a=0, state="complete", y=y, t=seconds),
        ]
        snapshot.apply(0, events)
    return snapshot


def test_the_front_of_loss_and_cost() -> None:
    rows = [(3.0, 1.0, 5.0), (2.0, 2.0, 6.0), (2.5, 3.0, 1.0), (1.0, -1.0, 9.0)]
    assert Front.of(told(rows)).numbers.tolist() == [3]
    by_metric = Front.of(told(rows, cost="cost", aim="front"))
    assert by_metric.numbers.tolist() == [1, 0] and by_metric.among == 3  # the last has not told what it cost
    assert by_metric.values(0) == {"loss": 2.0, "cost": 2.0}
    by_time = Front.of(told(rows, cost="seconds", aim="front"))
    assert by_time.numbers.tolist() == [3, 1, 2]
    assert [axis.metric for axis in by_time.axes] == ["loss", "seconds"]
