"""The decision: budgets, batches and order, with any number of workers that see one another late."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taut.decide import Claim, Decision, Done, Hands, Proposals, Start, Suggestion, Wait, decide
from taut.definition import Budget, Definition, Method, Objective
from taut.events import Event, Finished, Released, Started
from taut.samplers import registry
from taut.snapshot import Snapshot
from taut.space import Space, choice, uniform
from taut.trial import State

SPACE = Space(x=uniform(0.0, 1.0), kind=choice(["a", "b"]))


def definition(**changes: Any) -> Definition:
    budget = Budget(**{name: changes.pop(name) for name in ("trials", "hours", "until") if name in changes})
    return Definition("study", SPACE.to_json(), [Objective("loss", True)], budget=budget, **changes)


def proposals(method: str = "random", **options: Any) -> Proposals:
    return Proposals(registry.make(Method(method, options)), SPACE)


def started(n: int, a: int = 0, t: float = 0.0, **params: Any) -> Started:
    return Started(n=n, a=a, x=params or {"x": 0.5, "kind": "a"}, r=0, c=n + 1, t=t)


def finished(n: int, a: int = 0, t: float = 1.0, state: Any = "complete", **y: float) -> Finished:
    return Finished(n=n, a=a, state=state, y=y or {"loss": 1.0}, t=t)


def released(n: int, a: int = 0, blame: bool = False, t: float = 1.0) -> Released:
    return Released(n=n, a=a, why="it was interrupted", blame=blame, t=t)


def seen(events: list[Event], **changes: Any) -> Snapshot:
    snapshot = Snapshot(definition(**changes), SPACE)
    snapshot.apply(0, events)
    return snapshot


def ask(snapshot: Snapshot, now: float = 0.0, **hands: Any) -> Decision:
    return decide(snapshot, proposals(), Hands(**hands), now)


def begins(decision: Decision) -> tuple[list[int], int]:
    """Which trials a decision starts, and which attempt of them."""
    assert isinstance(decision, Start), decision
    assert len(decision.suggested) == len(decision.numbers)
    return list(decision.numbers), decision.attempt


# -- one decision at a time -----------------------------------------------------------------------------


def test_it_claims_then_starts_then_waits_then_is_done() -> None:
    snapshot = seen([], trials=1)
    assert ask(snapshot) == Claim(1)
    start = ask(snapshot, held=[0], frontier=1)
    assert begins(start) == ([0], 0) and set(start.suggested[0].params) == {"x", "kind"}  # type: ignore[union-attr]
    snapshot.apply(0, [started(0)])
    assert isinstance(ask(snapshot, frontier=1), Wait)
    snapshot.apply(0, [finished(0)])
    done = ask(snapshot, frontier=1)
    assert isinstance(done, Done) and done.why == "the trial is finished"


def test_without_a_budget_there_is_no_limit() -> None:
    assert ask(seen([])) == Claim(math.inf)


def test_failed_and_pruned_trials_count() -> None:
    events = [started(0), started(1), finished(0, state="failed"), finished(1, state="pruned")]
    assert isinstance(ask(seen(events, trials=2), frontier=2), Done)
    assert ask(seen(events, trials=3), frontier=2) == Claim(3)


def test_a_waiting_trial_comes_before_held_ones_with_the_parameters_it_had() -> None:
    events = [started(0), started(1, x=0.125, kind="b"), started(2), released(2), released(1)]
    snapshot = seen(events, trials=9)
    start = ask(snapshot, held=[3, 4], frontier=5)
    assert start == Start([1], 1, [Suggestion({"x": 0.125, "kind": "b"})], [None])
    assert begins(ask(snapshot, held=[3], frontier=5, taken={(1, 1)})) == ([2], 1)
    assert begins(ask(snapshot, held=[3], frontier=5, taken={(1, 1), (2, 1)})) == ([3], 0)
    assert begins(ask(snapshot, held=[3, 4], frontier=5, free=9)) == ([1], 1)


@pytest.mark.parametrize("free, batch, count", [(1, 0, 1), (3, 0, 3), (99, 0, 5), (3, 3, 1), (3, 1, 1)])
def test_as_many_as_are_free_start_together_and_never_more(free: int, batch: int, count: int) -> None:
    snapshot = seen([event for n in range(3) for event in (started(n), finished(n))], trials=99)
    start = ask(snapshot, held=[3, 4, 5, 6, 9], frontier=10, free=free, batch=batch)
    assert begins(start) == ([3, 4, 5, 6, 9][:count], 0)
    ours = proposals()
    expected = [ours.suggest(snapshot, n) for n in (3, 4, 5, 6, 9)]
    assert start.suggested == expected[:count]  # type: ignore[union-attr]


def test_a_waiting_trial_that_never_began_gets_the_parameters_of_its_number() -> None:
    snapshot = seen([released(4)], trials=9)
    start = ask(snapshot, frontier=5)
    assert begins(start) == ([4], 1) and isinstance(start, Start)
    assert start.suggested == ask(seen([], trials=9), held=[4], frontier=5).suggested  # type: ignore[union-attr]


def test_a_waiting_trial_beyond_the_budget_stays() -> None:
    snapshot = seen([started(5), released(5)], trials=3)
    assert ask(snapshot, frontier=2) == Claim(3)
    assert isinstance(ask(snapshot, frontier=3), Wait)


def test_retries_are_counted_and_interruptions_are_not() -> None:
    events: list[Event] = []
    for attempt in range(3):
        events += [started(0, attempt), released(0, attempt, blame=True)]
    assert begins(ask(seen(events, trials=1, retries=3), frontier=1)) == ([0], 3)
    assert isinstance(ask(seen(events, trials=1, retries=2), frontier=1), Done)
    calm = [event for a in range(9) for event in (started(0, a), released(0, a))]
    assert begins(ask(seen(calm, trials=1, retries=0), frontier=1)) == ([0], 9)


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_a_batch_waits_for_all_before_it(batch: int) -> None:
    events: list[Event] = [started(n) for n in range(batch)] + [finished(n) for n in range(batch - 1)]
    snapshot = seen(events, trials=99)
    assert isinstance(ask(snapshot, batch=batch, frontier=batch), Wait)
    assert isinstance(ask(snapshot, batch=batch, held=[batch], frontier=batch + 1), Wait)
    assert ask(snapshot, batch=0, frontier=batch) == Claim(99)
    snapshot.apply(1, [finished(batch - 1, state="failed")])
    assert ask(snapshot, batch=batch, frontier=batch) == Claim(99)
    assert begins(ask(snapshot, batch=batch, held=[batch], frontier=batch + 1)) == ([batch], 0)


def test_a_batch_waits_for_numbers_that_it_knows_only_by_their_claim() -> None:
    snapshot = seen([started(0), finished(0)], trials=99)
    assert isinstance(ask(snapshot, batch=2, frontier=2), Wait)  # 1 is with somebody
    assert isinstance(ask(snapshot, batch=1, frontier=2), Wait)
    snapshot = seen([started(0), finished(0), started(2)], trials=99)  # 1 is a gap
    assert isinstance(ask(snapshot, batch=2, held=[3], frontier=4), Wait)


def test_a_waiting_trial_of_an_open_batch_runs_and_one_of_a_later_batch_does_not() -> None:
    events = [started(0), started(1), finished(1), released(0)]
    assert begins(ask(seen(events, trials=9), batch=2, frontier=2)) == ([0], 1)
    events = [started(0), started(1), finished(1), started(2), released(2)]
    assert isinstance(ask(seen(events, trials=9), batch=2, frontier=3), Wait)


def test_until_stops_once_a_complete_trial_reaches_it() -> None:
    begun = [started(n) for n in range(3)]
    for state, stops in [("complete", True), ("failed", False), ("pruned", False)]:
        events: list[Event] = [*begun, finished(0, loss=9.0), finished(2, state=state, loss=1.5)]
        decision = ask(seen(events, trials=9, until="loss <= 1.5"), frontier=3)
        assert isinstance(decision, Done) == stops
        if stops:
            assert "trial 2" in decision.why and "loss <= 1.5" in decision.why
    snapshot = seen([*begun, finished(0, loss=1.5)], trials=9, until="loss < 1.5")
    assert ask(snapshot, frontier=3) == Claim(9)
    assert isinstance(ask(seen([*begun, finished(0, loss=1.4)], until="loss < 1.5")), Done)


@pytest.mark.parametrize(
    "until", ["accuracy > 0.9", "not accuracy < 0.9", "accuracy != 3", "loss < 0 or not accuracy <= 1"]
)
def test_until_is_not_reached_by_trials_without_the_metric(until: str) -> None:
    snapshot = seen([started(0), finished(0, loss=1.0)], trials=9, until=until)
    assert ask(snapshot, frontier=1) == Claim(9)
    snapshot.apply(1, [started(1), finished(1, loss=1.0, accuracy=2.0)])
    assert isinstance(ask(snapshot, frontier=2), Done)


def test_hours_count_the_time_in_which_something_ran() -> None:
    events = [
        started(0, t=0),
        finished(0, t=1800),
        started(1, t=7200),
        started(2, t=7300),
        finished(2, t=7400),
    ]
    snapshot = seen(events, hours=1, trials=9)
    assert ask(snapshot, now=7200 + 1799, frontier=3) == Claim(9)
    assert isinstance(ask(snapshot, now=7200 + 1801, frontier=3), Done)
    snapshot.apply(0, [finished(1, t=8000)])
    assert ask(snapshot, now=1e9, frontier=3) == Claim(9)  # nobody has been working since


def test_hours_count_every_attempt() -> None:
    saved = Released(n=0, a=0, why="paused", blame=False, t=1800.0, kept=True, had=1800.0)
    stopped = Released(n=0, a=1, why="it was interrupted", blame=False, t=6000.0, had=1000.0)
    snapshot = seen([started(0, t=0), saved, started(0, 1, t=5000), stopped], hours=1, trials=2)
    assert isinstance(ask(snapshot, now=7000, frontier=1), Start)
    snapshot.apply(0, [started(0, 2, t=7000)])
    assert ask(snapshot, now=7799, frontier=1) == Claim(2)
    assert isinstance(ask(snapshot, now=7801, frontier=1), Done)


spans = st.lists(
    st.tuples(
        st.integers(0, 50), st.integers(0, 20), st.sampled_from(["finished", "running", "waiting", "saved"])
    ),
    max_size=8,
)


@given(spans, st.integers(70, 90), st.integers(1, 80))
def test_hours_are_the_length_of_the_union_of_all_runs(
    spans: list[tuple[int, int, str]], now: int, bound: int
) -> None:
    events: list[Event] = []
    busy: set[int] = set()
    for n, (begin, length, state) in enumerate(spans):
        events.append(started(n, t=begin))
        if state == "finished":
            events.append(finished(n, t=begin + length))
            busy.update(range(begin, begin + length))
        elif state == "waiting":
            events.append(released(n, t=begin + length))
        elif state == "saved":
            end, had = float(begin + length), float(length)
            events.append(Released(n=n, a=0, why="saved", blame=False, t=end, kept=True, had=had))
            busy.update(range(begin, begin + length))
        else:
            busy.update(range(begin, now))
    snapshot = seen(events, hours=bound / 3600)
    if abs(len(busy) - bound) > 0:  # equality is a matter of rounding
        waiting = any(state in ("waiting", "saved") for *_, state in spans)
        decision = ask(snapshot, now=float(now), frontier=len(spans))
        assert isinstance(decision, Done) == (len(busy) > bound)
        assert isinstance(decision, (Done, Start if waiting else Claim))


def test_a_grid_is_a_budget() -> None:
    grid = proposals("grid", resolution=2)  # 4 cells
    decision = decide(seen([], trials=100), grid, Hands(), 0.0)
    assert decision == Claim(4)
    events: list[Event] = [event for n in range(4) for event in (started(n), finished(n))]
    assert isinstance(decide(seen(events, trials=100), grid, Hands(frontier=4), 0.0), Done)
    assert decide(seen([]), proposals("grid", resolution=3), Hands(), 0.0) == Claim(6)


def test_a_decision_changes_nothing() -> None:
    snapshot = seen([started(0), finished(0), started(1), released(1)], trials=5, until="loss < 0")
    held = [2, 3]
    hands = Hands(held, 4, {(9, 9)}, 0)
    ours = proposals()
    first = decide(snapshot, ours, hands, 7.0)
    assert decide(snapshot, ours, hands, 7.0) == first == decide(snapshot, proposals(), hands, 7.0)
    assert (
        held == [2, 3] and snapshot.counts == seen([started(0), finished(0), started(1), released(1)]).counts
    )


def test_proposals_are_the_same_alone_and_in_any_order() -> None:
    snapshot = seen([])
    ours = proposals()
    table = [ours.suggest(snapshot, n) for n in range(600)]
    for n in (599, 0, 255, 256, 300, 511, 512, 1):
        assert proposals().suggest(snapshot, n) == table[n] == ours.suggest(snapshot, n)
    ours.suggest(snapshot, 3).params["x"] = "spoilt"
    assert ours.suggest(snapshot, 3) == table[3]


# -- many workers ---------------------------------------------------------------------------------------


class Worker:
    """What one worker knows: it reads the others' logs late, and never all at once."""

    def __init__(self, number: int, asked: Definition, ours: Proposals) -> None:
        self.number = number
        self.snapshot = Snapshot(asked, SPACE)
        self.proposals = ours
        self.held: list[int] = []
        self.frontier = 0
        self.taken: set[tuple[int, int]] = set()
        self.running: list[tuple[int, int]] = []
        self.done = False


class World:
    """All workers, and the truth: what is claimed, what was written."""

    def __init__(self, rng: Random, workers: int, batch: int, asked: Definition, **method: Any) -> None:
        self.rng, self.batch, self.asked = rng, batch, asked
        self.workers = [Worker(i, asked, proposals(**method)) for i in range(workers)]
        self.logs: list[list[Event]] = [[] for _ in self.workers]
        self.truth = Snapshot(asked, SPACE)
        self.frontier = 0
        self.attempts: dict[tuple[int, int], int] = {}
        self.begun: set[tuple[int, int]] = set()
        self.now = 0.0

    def write(self, worker: Worker, event: Event) -> None:
        self.logs[worker.number].append(event)
        worker.snapshot.apply(worker.number, [event])
        self.truth.apply(worker.number, [event])

    def read(self, worker: Worker, all_of_it: bool = False) -> None:
        for other, log in enumerate(self.logs):
            if other != worker.number:
                known = worker.snapshot.seen.get(other, 0)
                end = len(log) if all_of_it else self.rng.randint(known, len(log))
                worker.snapshot.apply(other, log[known:end])

    def step(self) -> None:
        self.now += 1.0
        worker = self.rng.choice(self.workers)
        self.read(worker)
        if worker.running and self.rng.random() < 0.6:
            self.end(worker)
        elif len(worker.running) < 2:
            self.decide(worker)
        elif worker.held and self.rng.random() < 0.2:
            n = worker.held.pop(0)
            self.write(worker, released(n, 0, t=self.now))

    def end(self, worker: Worker) -> None:
        n, a = worker.running.pop(self.rng.randrange(len(worker.running)))
        what = self.rng.random()
        if what < 0.15:
            self.write(worker, released(n, a, blame=self.rng.random() < 0.5, t=self.now))
        else:
            state = "failed" if what < 0.3 else "complete"
            self.write(worker, finished(n, a, t=self.now, state=state, loss=float(n)))

    def decide(self, worker: Worker) -> None:
        free = 2 - len(worker.running)
        hands = Hands(worker.held, worker.frontier, worker.taken, self.batch, free)
        decision = decide(worker.snapshot, worker.proposals, hands, self.now)
        self.check(worker, decision)
        if isinstance(decision, Claim):
            first = max(worker.frontier, self.frontier)
            size = 1 if self.batch else self.rng.randint(1, 4)
            worker.frontier = self.frontier = int(min(first + size, decision.limit))
            worker.held += range(first, self.frontier)
        elif isinstance(decision, Start):
            assert 1 <= len(decision.numbers) <= free
            if decision.attempt == 0:
                assert [worker.held.pop(0) for _ in decision.numbers] == list(decision.numbers)
            else:
                (n,) = decision.numbers
                if self.attempts.setdefault((n, decision.attempt), worker.number) != worker.number:
                    worker.taken.add((n, decision.attempt))
                    return
                self.read(worker, all_of_it=True)  # as `Store` does, once an attempt is claimed
                if (
                    worker.snapshot.state[n] != State.WAITING
                    or worker.snapshot.next_attempt(n) != decision.attempt
                ):
                    return
            for n, (params, *_) in zip(decision.numbers, decision.suggested, strict=True):
                self.start(worker, n, decision.attempt, params)
        worker.done = isinstance(decision, Done)

    def start(self, worker: Worker, n: int, a: int, params: dict[str, Any]) -> None:
        assert (n, a) not in self.begun, "started twice"
        assert n < (self.asked.budget.trials or math.inf)
        if self.batch:
            before = n // self.batch * self.batch
            assert (self.truth.state[:before] >= State.COMPLETE).all(), "a batch began before its time"
            if self.batch == 1:
                assert not any(w.running for w in self.workers)
        self.begun.add((n, a))
        worker.running.append((n, a))
        self.write(worker, Started(n=n, a=a, x=params, r=0, c=worker.frontier, t=self.now))

    def check(self, worker: Worker, decision: Decision) -> None:
        """Whoever waits to be started again comes first."""
        limit = self.asked.budget.trials or math.inf
        waiting = [
            n
            for n in np.flatnonzero(worker.snapshot.state == State.WAITING).tolist()
            if n < limit and (n, worker.snapshot.next_attempt(n)) not in worker.taken
        ]
        if waiting and not self.batch and not isinstance(decision, Done):
            assert begins(decision)[0] == waiting[:1] and begins(decision)[1] > 0


@settings(max_examples=120, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(1, 5),
    st.sampled_from([0, 0, 1, 2, 4]),
    st.integers(1, 25),
    st.integers(0, 3),
)
def test_the_budget_is_exact_and_batches_keep_apart(
    seed: int, workers: int, batch: int, trials: int, retries: int
) -> None:
    world = World(Random(seed), workers, batch, definition(trials=trials, retries=retries))
    for _ in range(4000):
        world.step()
        if all(worker.done for worker in world.workers):
            break
    assert all(worker.done for worker in world.workers), "it never ends"
    assert world.truth.n_finished == trials
    assert not any(worker.running for worker in world.workers)
    assert {n for n, _ in world.begun} == set(range(trials))
    for n in range(trials):
        params = {
            tuple(e.x.items()) for log in world.logs for e in log if isinstance(e, Started) and e.n == n
        }
        assert len(params) == 1, "another attempt has other parameters"


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 4))
def test_a_grid_of_many_workers_tries_each_cell_once(seed: int, workers: int) -> None:
    world = World(Random(seed), workers, 0, definition(trials=50), method="grid", resolution=7)
    for _ in range(4000):
        world.step()
        if all(worker.done for worker in world.workers):
            break
    tried = {tuple(e.x.items()) for log in world.logs for e in log if isinstance(e, Started)}
    assert world.truth.n_finished == len(tried) == 14


# -- the end of a job --------------------------------------------------------------------------------------


def took(*seconds: float) -> list[Event]:
    """Complete trials that took so long, one after the other."""
    events: list[Event] = []
    for n, duration in enumerate(seconds):
        events += [started(n, t=0.0), finished(n, t=duration)]
    return events


def test_a_trial_that_will_not_fit_is_not_started() -> None:
    snapshot = seen(took(*[100.0] * 10), trials=20)
    assert isinstance(ask(snapshot, now=1000.0, held=[10], frontier=11, ends=1300.0, whole=810.0), Start)
    done = ask(snapshot, now=1000.0, held=[10], frontier=11, ends=1105.0, whole=810.0)
    assert isinstance(done, Done) and "too short" in done.why and "1 min 45 s" in done.why


def test_a_fresh_job_starts_a_trial_whatever_is_feared() -> None:
    """No other job has more time, so holding it back would end the study."""
    snapshot = seen(took(1800.0), trials=20)  # 30 min, so perhaps 80 min
    fresh = ask(snapshot, now=0.0, held=[1], frontier=2, ends=3600.0, whole=3249.0)
    assert isinstance(fresh, Start)
    late = ask(snapshot, now=0.0, held=[1], frontier=2, ends=2400.0, whole=3249.0)
    assert isinstance(late, Done)


def test_while_nothing_is_known_a_trial_is_started_at_any_time() -> None:
    assert isinstance(ask(seen([], trials=2), now=0.0, held=[0], frontier=1, ends=1.0, whole=810.0), Start)


def test_trials_that_save_themselves_are_started_whenever_there_is_time() -> None:
    saved = Released(n=10, a=0, why="paused", blame=False, t=50.0, kept=True)
    snapshot = seen([*took(*[100.0] * 10), started(10), saved], trials=20)
    assert snapshot.state[10] == State.PAUSED
    assert begins(ask(snapshot, now=1000.0, frontier=11, ends=1020.0, whole=810.0)) == ([10], 1)


def test_a_trial_that_ran_out_of_time_waits_for_more_of_it() -> None:
    short = Released(n=0, a=0, why="the job's time was over", blame=True, t=90.0, had=90.0, short=True)
    snapshot = seen([started(0), short], trials=3)
    assert begins(ask(snapshot, now=0.0, frontier=1, ends=95.0, whole=90.0)) == ([0], 1)  # a fresh job
    assert begins(ask(snapshot, now=0.0, frontier=1, ends=190.0, whole=810.0)) == ([0], 1)
    # Where there is hardly more time than it had, or less, another trial is begun rather.
    assert ask(snapshot, now=0.0, frontier=1, ends=120.0, whole=810.0) == Claim(3)
    assert ask(snapshot, now=0.0, frontier=1, ends=60.0, whole=54.0) == Claim(3)


def test_a_paused_trial_goes_on_although_it_fell_short_before() -> None:
    short = Released(n=0, a=0, why="the job's time was over", blame=False, t=90.0, short=90.0)
    saved = Released(n=0, a=1, why="paused", blame=False, t=200.0, kept=True)
    snapshot = seen([started(0), short, started(0, 1), saved], trials=3)
    assert begins(ask(snapshot, now=0.0, frontier=1, ends=20.0, whole=800.0)) == ([0], 2)


def test_a_job_takes_part_in_one_batch() -> None:
    events: list[Event] = [started(n) for n in range(3)]
    snapshot = seen(events, trials=8)
    assert ask(snapshot, frontier=3, batch=4, within=4) == Claim(4)
    snapshot.apply(0, [started(3)])
    done = ask(snapshot, frontier=4, batch=4, within=4)
    assert isinstance(done, Done) and "batch" in done.why
    snapshot.apply(0, [released(1)])  # but what comes back of it is still its business
    assert begins(ask(snapshot, frontier=4, batch=4, within=4)) == ([1], 1)


def test_waiting_for_others_is_idle_and_waiting_for_a_batch_is_not() -> None:
    snapshot = seen([started(0), started(1)], trials=2)
    assert ask(snapshot, frontier=2) == Wait("the last trials are with other workers", idle=True)
    batch = ask(seen([started(0)], trials=4), held=[2], frontier=3, batch=2)
    assert isinstance(batch, Wait) and not batch.idle
