"""The course that a plan or a promise was made of, and that what came can be laid beside it."""

from __future__ import annotations

import msgspec
import pytest
from planned_studies import Fixed, T, work

from taut.events import Planned, decode, encode
from taut.queue.plan import Option, Outlook, Plan
from taut.queue.predicted import course, expected, usual
from taut.queue.promise import promised
from taut.queue.simulate import Shape
from taut.queue.timeline import Bar, Timeline, beside, between

FINISH = (3 * 3600.0, 4 * 3600.0, 9 * 3600.0)


def plan(trials: int, mean: float, shape: Shape) -> Plan:
    """A plan that nobody has compared with others."""
    best = Option(shape, Outlook(FINISH, (20.0, 22.0, 25.0), 0.9, 1.0), trials / shape.workers, shape.workers)
    return Plan("trade", work(trials, mean), best, (), {}, "none: assumed")


def promise(trials: int = 60, **more: object) -> Planned:
    made = promised(plan(trials, 360.0, Shape(9000.0, 6)), "GPU", T, Fixed())
    assert made is not None
    return msgspec.structs.replace(made, **more)


def test_a_course_of_very_many_trials_is_drawn_from_some_hundred_bars() -> None:
    found = course(plan(50_000, 4.0, Shape(12_000.0, 12, trials=4000)), Fixed(), T)
    useful = [bar for bar in found.bars if bar.kind == "useful"]
    assert len(found.bars) < 2500 and all(bar.trial is None for bar in found.bars)
    assert sum(bar.end - bar.begin for bar in useful) == pytest.approx(50_000 * 4.0, rel=0.1)


def test_a_promise_keeps_what_its_course_is_drawn_from() -> None:
    made = promise()
    assert decode(encode(made).rstrip()) == made
    assert made.waits == usual(plan(60, 360.0, Shape(9000.0, 6)), Fixed(), T)
    assert len(made.waits) == 6 and list(made.waits) == sorted(made.waits)
    drawn = expected(made)
    assert drawn is not None and drawn.submitted == (0.0,)
    assert sorted(bar.trial for bar in drawn.bars if bar.kind == "useful") == list(range(60))
    first = min(bar.begin for bar in drawn.bars)
    assert first == pytest.approx(made.waits[0])
    assert expected(promise()) == drawn, "the same promise, the same picture"


def test_a_promise_of_many_jobs_keeps_some_waits() -> None:
    made = promised(plan(500, 360.0, Shape(9000.0, 64)), "GPU", T, Fixed())
    assert made is not None and made.waits is not msgspec.UNSET and len(made.waits) == 24
    drawn = expected(made)
    assert drawn is not None and 40 <= len(drawn.lanes) <= 64


@pytest.mark.parametrize("lacks", ["trial", "overhead", "waits"])
def test_an_older_promise_is_not_drawn(lacks: str) -> None:
    assert expected(promise(**{lacks: msgspec.UNSET})) is None


def test_what_lies_between_two_moments() -> None:
    whole = Timeline(
        ("a", "b", "c"),
        (
            Bar(0, 0.0, 10.0, "useful", 1),
            Bar(1, 30.0, 50.0, "useful", 2),
            Bar(2, 15.0, 90.0, "overhead", None, "7"),
        ),
        (0.0, 20.0, 99.0),
        T,
    )
    assert between(whole, 20.0, 60.0) == Timeline(
        ("b", "c"),
        (Bar(0, 10.0, 30.0, "useful", 2), Bar(1, 0.0, 40.0, "overhead", None, "7")),
        (0.0,),
        T + 20.0,
    )
    assert between(whole, 200.0).lanes == ()


def test_the_two_courses_have_one_clock() -> None:
    planned = Timeline(("job 1",), (Bar(0, 5.0, 9.0, "useful", 0),), (0.0,))
    came = Timeline(("node1", "node2"), (Bar(1, 6.0, 8.0, "failed", 0),), (1.0,), T)
    assert beside(planned, came) == Timeline(
        ("planned job 1", "came node1", "came node2"),
        (Bar(0, 5.0, 9.0, "useful", 0), Bar(2, 6.0, 8.0, "failed", 0)),
        (0.0, 1.0),
        T,
    )
