"""What is kept of the complete trials is what a look at all of them would find, whatever is heard and in whatever order."""

import random

import numpy as np
import pytest

from taut import uniform
from taut.definition import Definition, Objective
from taut.events import Event, Finished, Started
from taut.samplers.completed import Completed
from taut.snapshot import Snapshot
from taut.space import Space

SPACE = Space(x=uniform(0.0, 1.0))
DEFINITION = Definition("kept", SPACE.to_json(), [Objective("f"), Objective("g", minimize=False)], seed=0)


def story(rng: random.Random, count: int) -> list[Event]:
    """Two attempts at some trials, results that are missing or infinite, failures, equal times."""
    events: list[Event] = []
    for n in range(count):
        for attempt in range(rng.choice([1, 1, 1, 2])):
            t = float(n + attempt)
            events.append(Started(n=n, a=attempt, x={"x": rng.random()}, r=0, c=n + 1, t=t))
            if rng.random() < 0.9:
                state = rng.choice(["complete", "complete", "complete", "failed", "pruned"])
                y = {
                    "f": rng.choice([rng.random(), None, float("inf")][: rng.choice([1, 3])]),
                    "g": rng.random(),
                }
                end = float(n + rng.randrange(4))
                events.append(Finished(n=n, a=attempt, state=state, y=y, t=end))  # type: ignore[arg-type]
    return events


def mixed(events: list[Event], rng: random.Random) -> list[Event]:
    """In any order; those of a trial with one attempt, too, while whoever makes a second one has read the first."""
    order = list(range(len(events)))
    rng.shuffle(order)
    again = {event.n for event in events if event.a}  # type: ignore[union-attr]
    for n in again:
        its = [i for i, event in enumerate(events) if event.n == n]  # type: ignore[union-attr]
        places = sorted(order.index(i) for i in its)
        for place, i in zip(places, its, strict=True):
            order[place] = i
    return [events[i] for i in order]


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("shuffled", [False, True])
def test_what_is_kept_is_what_a_fresh_look_finds(seed: int, shuffled: bool) -> None:
    rng = random.Random(seed)
    events = story(rng, 120)
    if shuffled:
        events = mixed(events, rng)
    kept = Snapshot(DEFINITION, SPACE)
    before = []
    while events:
        some = rng.choice([1, 1, 1, 70])
        now, events = events[:some], events[some:]
        kept.apply(0, now)
        fresh = Snapshot(DEFINITION, SPACE)
        fresh.apply(0, before := [*before, *now])
        for mine, theirs in zip(Completed.of(kept).rows(), Completed.of(fresh).rows(), strict=True):
            assert np.array_equal(mine, theirs)


def test_rows_stay_as_they_were_when_more_trials_end() -> None:
    snapshot = Snapshot(DEFINITION, SPACE)
    looks = []
    for n in range(200):
        snapshot.apply(0, [Started(n=n, a=0, x={"x": 0.5}, r=0, c=n + 1, t=float(n))])
        snapshot.apply(0, [Finished(n=n, a=0, state="complete", y={"f": n, "g": -n}, t=n + 0.5)])
        completed = Completed.of(snapshot)
        looks.append((completed.table, completed.rows()))
    assert len({id(table) for table, _ in looks}) < 5
    for n, (_, rows) in enumerate(looks):
        assert rows.number.tolist() == list(range(n + 1)) and rows.loss[:, 1].tolist() == list(range(n + 1))
