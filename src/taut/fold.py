"""How the state of a study comes of its events.

Folding *commutes over writers*: each writer's events are applied in their order, but how the writers are
interleaved makes no difference. That is what lets any number of workers read each other's files in
any order and agree, and lets a decision be replayed from the line counts it had seen. The rule behind it:
a trial is what its highest attempt says; whatever a lower attempt says is kept in the log and not counted.

Row n of every column is trial n. Parameters and metrics arrive as dictionaries and are moved into NumPy
columns only when somebody looks at them, many at once (`snapshot.py`).
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taut.curves import Curves
from taut.definition import Definition
from taut.events import (
    Closed,
    Descent,
    Event,
    Finished,
    Judged,
    Note,
    Opened,
    Origin,
    Planned,
    Released,
    Reported,
    Settled,
    Started,
)
from taut.outcomes import Outcomes
from taut.readings import READINGS, WALL, Readings, together
from taut.releases import Releases, had
from taut.space import Space
from taut.trial import State
from taut.used import Used
from taut.verdict import needed

__all__ = ["Fold"]

FloatArray = NDArray[np.float64]
_RUNNING = int(State.RUNNING)
_OPEN = State.WAITING, State.PAUSED
_STATES = {"complete": int(State.COMPLETE), "pruned": int(State.PRUNED), "failed": int(State.FAILED)}


class Fold:
    """What the events of a study come to: what a `Snapshot` is made of, and asked of there.

    revisions: the definitions so far, the latest last (see `revise`).
    size: one more than the highest trial number that was mentioned.
    claimed: the end of the highest block of numbers known to be claimed.
    first_start: when the first trial began. completed: trials in the order in which they were seen to be complete; a
    later attempt may have taken that back. retold: how often something that was seen later changed what a trial that had ended came to. seen: lines applied, by writer. fetch: what to call when a trial was chosen under a revision that is not known yet.
    releases: attempts that ended without a result. curves: what trials reported on their way.
    goals: for each trial that has one, an attempt and the step up to which it is to run. judged: for each trial that its
    pruner wanted to end, that verdict; of the highest attempt in both. waiting: the trials that wait until their pruner
    promotes them, and at which step. notes: what the sampler wanted to remember of trials, where it did. descents: where
    trials come from that took the place of others; heirs: who took the place of a trial. Whoever waits and has an heir is pruned.
    origins: where imported trials come from.
    settled: the trials whose parameters turned out otherwise than they were suggested, in the order in which that was seen.
    planned: what was expected of jobs that were submitted.
    theirs: names of readings that any attempt has told itself. From then on the name is the trials' own, and no meter stands in for it.
    writers: who writes, by writer. closed: writers that ended in good order and will not write again.
    """

    def __init__(self, definition: Definition, space: Space | None = None) -> None:
        self.revisions: list[Definition] = [definition]
        self.space = definition.parsed_space() if space is None else space
        self.size = 0
        self.claimed = 0
        self.seen: dict[int, int] = {}
        self.fetch: Callable[[], None] | None = None
        self.writers: dict[int, Opened] = {}
        self.closed: set[int] = set()
        self.counts = [0] * len(State)
        self.first_start = math.inf
        self.completed: list[int] = []
        self.retold = 0
        self._capacity = 0
        self._attempt, self._state = array("i"), array("b")
        self._writer, self._revision, self._ended = array("i"), array("i"), array("i")
        self._starts, self._ender = array("i"), array("i")
        self._started, self._finished = array("d"), array("d")
        self.releases = Releases()
        self._had: dict[int, float] = {}  # how long trials ran that stood ready before
        self._errors: dict[int, str] = {}
        self._codes: FloatArray = np.empty((0, len(self.space)))
        self._fresh_params: dict[int, dict[str, Any]] = {}
        self._outcomes = Outcomes()
        self._used = Used(self._together)
        self.theirs: set[str] = set()
        self._named = _named(definition)
        self.curves = Curves()
        self.goals: dict[int, tuple[int, float]] = {}
        self.judged: dict[int, Judged] = {}
        self.waiting: dict[int, float] = {}
        self.notes: dict[int, Note] = {}
        self.descents: dict[int, Descent] = {}
        self.heirs: dict[int, int] = {}
        self.origins: dict[int, Origin] = {}
        self.settled: list[int] = []
        self.planned: list[Planned] = []
        self._fold: dict[type, Callable[[int, Any], None]] = {
            Finished: self._on_finished,
            Settled: self._on_settled,
            Judged: self._on_judged,
            Released: self._on_released,
            Opened: self._on_opened,
            Planned: self._on_planned,
            Closed: self._on_closed,
        }

    # ------------------------------------------------------------------ definition

    @property
    def definition(self) -> Definition:
        """The latest revision of what was asked."""
        return self.revisions[-1]

    def revise(self, definition: Definition) -> None:
        """Take a new revision; its space extends the one before, and old trials keep their values."""
        old, self.space = self.space, definition.parsed_space()
        self.revisions.append(definition)
        self._named = _named(definition)
        if self.space != old:
            self._settle_params(old)
            self._codes = self.space.recode(self._codes, old)
        for n in self.releases:  # `retries` may have changed
            self._judge(n)

    # ------------------------------------------------------------------ fold

    def apply(self, writer: int, events: Sequence[Event | None]) -> None:
        """Fold the next lines of `writer`: the event of each, or None where it is damaged."""
        starts = [event for event in events if isinstance(event, Started)]
        if starts:
            self._prepare(starts)
            for start in starts:
                self._on_started(writer, start)
        fold = self._fold
        for event in events if len(starts) < len(events) else ():  # the order makes no difference
            if isinstance(event, Reported):  # by far the most frequent
                self.curves.heard.append(event)
            elif type(event) in fold:
                fold[type(event)](writer, event)
        self.seen[writer] = self.seen.get(writer, 0) + len(events)

    def hear(self, writer: int, event: Reported) -> None:
        """Fold one report: as `apply`, for the most frequent event."""
        self.curves.heard.append(event)
        self.seen[writer] = self.seen.get(writer, 0) + 1

    def _prepare(self, starts: list[Started]) -> None:
        """What is the same for many starts as for one."""
        if len(starts) == 1:
            (start,) = starts
            top, revision, claimed, begun = start.n, start.r, start.c, start.t
        else:
            top, revision = max([event.n for event in starts]), max([event.r for event in starts])
            claimed, begun = max([event.c for event in starts]), min([event.t for event in starts])
        if top >= self.size:
            self._grow(top + 1)
        if revision >= len(self.revisions) and self.fetch is not None:
            self.fetch()
        if claimed > self.claimed:
            self.claimed = claimed
        if begun < self.first_start:
            self.first_start = begun

    def _on_opened(self, writer: int, event: Opened) -> None:
        self.writers[writer] = event

    def _on_closed(self, writer: int, event: Closed) -> None:
        self.closed.add(writer)

    def _on_planned(self, writer: int, event: Planned) -> None:
        self.planned.append(event)

    def _on_started(self, writer: int, event: Started) -> None:
        n = event.n
        self._starts[n] += 1
        if isinstance(event.d, Descent):
            self._succeed(event.d.instead, n)
        if isinstance(event.i, Origin):
            self.origins[n] = event.i
        if event.a < self._attempt[n]:
            return
        self._attempt[n] = event.a
        self._writer[n] = writer
        self._revision[n] = event.r
        self._started[n] = event.t
        self._fresh_params[n] = event.x
        if isinstance(event.f, float):
            self.goals[n] = event.a, event.f
        if isinstance(event.m, dict):
            self.notes[n] = event.m
        if isinstance(event.d, Descent):
            self.descents[n] = event.d
        if self._ended[n] >= 0 or n in self.releases:
            self._judge(n)
        else:  # as `_move`, without the call
            counts, state = self.counts, self._state
            counts[state[n]] -= 1
            counts[_RUNNING] += 1
            state[n] = _RUNNING

    def _on_settled(self, writer: int, event: Settled) -> None:
        if event.r >= len(self.revisions) and self.fetch is not None:
            self.fetch()
        if event.a == self._attempt[event.n]:
            self._fresh_params[event.n] = event.x
            self.settled.append(event.n)

    def _succeed(self, n: int, heir: int) -> None:
        """Trial `heir` takes the place of trial `n`."""
        self.heirs[n] = min(heir, self.heirs.get(n, heir))
        if n in self.releases:
            self._judge(n)

    def _on_finished(self, writer: int, event: Finished) -> None:
        n = event.n
        if n >= self.size:
            self._grow(n + 1)
        if not READINGS.keys().isdisjoint(event.y):  # before anything that depends on what was read first
            self._claim_names(event.y.keys() & READINGS.keys())
        if event.a < self._attempt[n]:
            return
        # An attempt ends once; should two writers tell it all the same, what was told first counts.
        if event.a == self._ended[n] and (self._finished[n], self._ender[n]) <= (event.t, writer):
            return
        again = self._ended[n] >= 0
        self.retold += again
        self._attempt[n] = self._ended[n] = event.a
        self._ender[n] = writer
        self._finished[n] = event.t
        if isinstance(event.had, float):
            self._had[n] = event.had
            self._started[n] = event.t - event.had
        elif self._had:
            self._had.pop(n, None)
        self._outcomes.fresh[n] = event.y
        if isinstance(event.u, dict):
            self._used.tell(n, event.u)
        elif again:
            self._used.tell(n, {})
        if n in self.releases:
            self._used.stale(n)
        if isinstance(event.error, str):
            self._errors[n] = event.error
        else:
            self._errors.pop(n, None)
        if event.state == "complete":
            self.completed.append(n)
        self.waiting.pop(n, None)
        counts, state, reached = self.counts, self._state, _STATES[event.state]  # as `_move`
        counts[state[n]] -= 1
        counts[reached] += 1
        state[n] = reached

    def _claim_names(self, names: set[str]) -> None:
        """Trials tell these metrics themselves."""
        if not names <= self.theirs:
            self.theirs |= names
            self.retold += 1  # what was measured of earlier ones does not count any more

    def _on_judged(self, writer: int, event: Judged) -> None:
        known = self.judged.get(event.n)
        if known is None or (known.a, known.t, known.verdict) < (event.a, event.t, event.verdict):
            self.judged[event.n] = event

    def _on_released(self, writer: int, event: Released) -> None:
        n = event.n
        if n >= self.size:
            self._grow(n + 1)
        if self.releases.add(writer, event):
            self._judge(n)

    def _judge(self, n: int) -> None:
        """Work out the state of a trial that has more behind it than one start."""
        attempt = self._attempt[n]
        self._used.stale(n)
        self.retold += self._ended[n] >= 0
        if self._ended[n] == attempt >= 0:
            if n in self._had:  # its start was read after its end
                self._started[n] = self._finished[n] - self._had[n]
            return  # it came to its end; releases of that attempt came from a false alarm
        if self._ended[n] >= 0:  # the end of an older attempt no longer counts
            self._ended[n] = -1
            self._had.pop(n, None)
            self._outcomes.fresh[n] = {}
            self._used.tell(n, {})
        self._errors.pop(n, None)
        self.waiting.pop(n, None)
        self._finished[n] = np.nan
        last, blamed = self.releases.last(n, attempt), self.releases.blamed(n)
        if last is None:
            self._move(n, State.RUNNING)
        elif blamed > self.definition.retries:
            self._finished[n] = last.t
            self._errors[n] = f"given up after {blamed} attempts: {last.why}"
            self._move(n, State.FAILED)
        elif isinstance(last.at, float) and n in self.heirs:
            self._finished[n] = last.t
            self._move(n, State.PRUNED)
        else:
            self._errors[n] = last.why
            if isinstance(last.at, float):
                self.waiting[n] = last.at
            self._move(n, State.PAUSED if last.kept is True or n in self.waiting else State.WAITING)

    def _move(self, n: int, state: State) -> None:
        self.counts[self._state[n]] -= 1
        self.counts[state] += 1
        self._state[n] = state

    def _grow(self, size: int) -> None:
        self.counts[State.RESERVED] += size - self.size
        self.size = size
        if size > self._capacity:
            more = max(64, size * 2) - self._capacity
            self._capacity += more
            # `+` rather than `extend`: NumPy views of the old arrays may still be in somebody's hands.
            self._attempt = self._attempt + array("i", [-1]) * more
            self._ended = self._ended + array("i", [-1]) * more
            self._writer = self._writer + array("i", [-1]) * more
            self._ender = self._ender + array("i", [-1]) * more
            self._revision = self._revision + array("i", [-1]) * more
            self._starts = self._starts + array("i", [0]) * more
            self._state = self._state + array("b", [State.RESERVED]) * more
            self._started = self._started + array("d", [np.nan]) * more
            self._finished = self._finished + array("d", [np.nan]) * more

    # ------------------------------------------------------------------ several attempts

    def _together(self, n: int) -> Readings:
        """What was read of all attempts of a finished trial that had several."""
        if not State(self._state[n]).finished:
            return {}
        attempt, last = self._attempt[n], self._finished[n] - self._started[n]
        ended = self.ended(n, attempt)
        word = None if ended else self.releases.last(n, attempt)
        final = self._used.told(n) if ended else _read(word)
        parts = [(had(event), _read(event)) for _, event in self.earlier(n)]
        return {**together([*parts, (last if last == last else 0.0, final)]), WALL: self.spent(n)}

    def spent(self, n: int) -> float:
        """Seconds of all attempts of trial `n` that have ended, as far as they are known."""
        last = self._finished[n] - self._started[n]
        return math.fsum([last if last == last else 0.0, *(had(event) for _, event in self.earlier(n))])

    def earlier(self, n: int) -> list[tuple[int, Released]]:
        """What the workers of trial `n` said of attempts before the last, or of the last if the trial is open."""
        return self.releases.timed(n, -1 if self._state[n] in _OPEN else self._attempt[n])

    def ended(self, n: int, attempt: int) -> bool:
        """Whether this attempt of trial `n` has told its result, and it counts."""
        return self._ended[n] == attempt >= 0

    # ------------------------------------------------------------------ parameters

    def _settle_params(self, space: Space) -> None:
        if len(self._codes) < self.size:
            self._codes = _longer(self._codes, self._capacity)
        if self._fresh_params:
            rows = np.fromiter(self._fresh_params, np.int64, len(self._fresh_params))
            self._codes[rows] = space.codes(list(self._fresh_params.values()), known=True)
            self._fresh_params = {}


def _named(definition: Definition) -> frozenset[str]:
    """What meters read that the study asks for."""
    return frozenset(READINGS).intersection(needed(definition))


def _read(event: Released | None) -> Readings:
    return event.u if event is not None and isinstance(event.u, dict) else {}


def _longer(old: FloatArray, capacity: int) -> FloatArray:
    new = np.full((capacity, *old.shape[1:]), np.nan)
    new[: len(old)] = old
    return new
