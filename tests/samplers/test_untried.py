"""Points of a discrete space that nobody has tried."""

from __future__ import annotations

import math

import numpy as np
import pytest

from taut.definition import Definition, Objective
from taut.events import Finished, Started
from taut.samplers.untried import Tried
from taut.snapshot import Snapshot
from taut.space import Space, choice, loguniform_int, ordinal, uniform, uniform_int

SPACE = Space(
    n=loguniform_int(1, 5),
    kind=choice(["a", "b", "c"]),
    deep=choice([True, False], when="kind == 'a'"),
    only=uniform_int(3, 3),
    size=ordinal([8, 16]),
)
POINTS = 5 * (2 + 1 + 1) * 2
NONE = np.empty((0, 5))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_small_space_gives_each_of_its_points() -> None:
    tried, found = Tried(SPACE, NONE), []
    for seed in range(POINTS):
        row = tried.others(rng(seed))[0]
        assert tried.fresh(row[None]).tolist() == [True]
        tried.add(row)
        assert tried.fresh(row[None]).tolist() == [False]
        found.append(row)
    codes = np.array(found)
    assert len(np.unique(codes, axis=0)) == POINTS
    assert np.array_equal(SPACE.codes(SPACE.params(codes)), codes, equal_nan=True)
    assert tried.others(rng()).shape == (0, 5) and not tried.fresh(codes).any()


def test_what_is_known_at_first_is_taken() -> None:
    every = Tried(SPACE, NONE).others(rng())
    words = [repr(params) for params in SPACE.params(every)]
    tried = Tried(SPACE, every[:10])
    assert tried.fresh(every).tolist() == [word not in words[:10] for word in words]
    for _ in range(2):  # and again
        rest = {repr(params) for params in SPACE.params(tried.others(rng(1)))}
        assert rest == set(words) - set(words[:10])


def test_the_same_generator_gives_the_same_points_and_others_do_not() -> None:
    one, two, three = (Tried(SPACE, NONE).others(rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, two, equal_nan=True) and not np.array_equal(one, three, equal_nan=True)
    one[:] = -1.0  # what is handed out is the caller's
    assert np.array_equal(Tried(SPACE, NONE).others(rng(1)), two, equal_nan=True)


def test_what_is_missing_and_the_sign_of_0_are_no_difference() -> None:
    space = Space(
        x=uniform(-1, 1, step=0.5), kind=choice(["a", "b"]), y=uniform_int(0, 1, when="kind == 'a'")
    )
    tried = Tried(space, np.array([[0.0, 1.0, math.nan]]))
    assert not tried.fresh(np.array([[-0.0, 1.0, math.nan]]))[0]
    assert tried.fresh(np.array([[0.5, 1.0, math.nan], [0.0, 0.0, 0.0]])).all()
    # A trial whose parameters are not known takes no point.
    unknown = Tried(space, np.full((3, 3), math.nan))
    assert len({repr(params) for params in space.params(unknown.others(rng()))}) == 5 * (2 + 1)


@pytest.mark.parametrize(
    "space", [Space({f"n{j}": uniform_int(0, 99) for j in range(3)}), Space(n=uniform_int(0, 2**40))]
)
def test_a_large_space_gives_draws(space: Space) -> None:
    first = space.quantile(rng().random((256, len(space))))
    tried = Tried(space, first)
    assert not len(tried.others(rng())) and not tried.fresh(first).any()  # the same draws, all taken
    others = tried.others(rng(1))
    assert len(others) > 200 and tried.fresh(others).all()


def test_draws_follow_the_priors() -> None:
    space = Space(n=loguniform_int(1, 10**6), m=uniform_int(0, 99))
    n = np.concatenate([Tried(space, np.empty((0, 2))).others(rng(seed))[:, 0] for seed in range(8)])
    assert np.median(np.log10(n)) == pytest.approx(3.0, abs=0.4)


def test_beside_a_snapshot_it_knows_each_trial_from_its_start_on() -> None:
    space = Space(n=uniform_int(1, 6), kind=choice(["a", "b"]))
    snapshot = Snapshot(Definition("s", space.to_json(), [Objective("loss", True)]), space)
    for n in range(4):
        snapshot.apply(0, [Started(n=n, a=0, x={"n": n + 1, "kind": "a"}, r=0, c=4, t=0.0)])
        ours, plain = Tried.of(snapshot), Tried(space, snapshot.codes)
        every = plain.others(rng())
        assert len(every) == 12 - (n + 1) and ours.fresh(every).all()
        assert not ours.fresh(snapshot.codes).any()
        ours.add(every[0])
        assert not ours.fresh(every[:1])[0] and Tried.of(snapshot).fresh(every[:1])[0]
    snapshot.apply(
        0, [Finished(n=5, a=0, state="complete", y={"loss": 1.0}, t=1.0)]
    )  # its start is not read yet
    assert len(Tried.of(snapshot).others(rng())) == 8
    snapshot.apply(0, [Started(n=5, a=0, x={"n": 6, "kind": "b"}, r=0, c=6, t=0.0)])
    assert len(Tried.of(snapshot).others(rng())) == 7
