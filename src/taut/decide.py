"""The next thing a worker should do: one pure function of what is known.

    decide(snapshot, proposals, hands, now) -> Start | Claim | Wait | Done

Nothing here reads a clock, a file or a hidden generator. The same snapshot gives the same decision on
any worker, in a replay (`taut verify`) and on the planner's virtual clock.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Container, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from taut.duration import in_words
from taut.events import Descent, Note
from taut.forecast import upper
from taut.pruners.base import Judgement, Pruner
from taut.pruners.broken import broken
from taut.samplers.base import Sampler
from taut.snapshot import Snapshot
from taut.space import Space
from taut.space.expression import Expression
from taut.spells import spells
from taut.stretches import Stretches, ahead
from taut.trial import State

__all__ = [
    "Claim",
    "Decision",
    "Done",
    "Hands",
    "Proposals",
    "Start",
    "Suggestion",
    "Wait",
    "decide",
    "judge",
    "parked",
    "promotable",
]

_AHEAD = 256  # trials whose parameters are worked out at once, at most
_NEARLY = 0.9  # of the time that a trial had before may be enough for it


class Suggestion(NamedTuple):
    """What a trial is to try, what its sampler wants to remember of it, and whose place it takes in a population."""

    params: dict[str, Any]
    note: Note | None = None
    descent: Descent | None = None


class Start(NamedTuple):
    """Start `attempt` of each of these trials; an attempt above 0 has to be claimed first.

    More than one only where none of them would be chosen otherwise for knowing the others. goals: the step up to which each is
    to run; None where a study knows nothing of steps.
    """

    numbers: Sequence[int]
    attempt: int
    suggested: Sequence[Suggestion]
    goals: Sequence[float | None]


class Claim(NamedTuple):
    """Claim fresh trial numbers below `limit`, then ask again."""

    limit: float


class Wait(NamedTuple):
    """Nothing to start until something happens elsewhere. idle: unless a running trial comes back, nothing ever will."""

    why: str
    idle: bool = False


class Done(NamedTuple):
    """Nothing to start any more."""

    why: str


Decision = Start | Claim | Wait | Done


class Hands(NamedTuple):
    """What the deciding worker knows beyond the log.

    held: trial numbers that it has claimed and not used. frontier: every number below is claimed by
    somebody. taken: (number, attempt) pairs that others hold. within: numbers from here on are not for this worker.
    ends: when this worker has to leave; whole: seconds that are as good as all that a fresh one has. No trial is started
    that will probably not be finished by then, unless the whole is left, so that no other worker has more. batch: trials start in groups of so
    many, the next group when the one before is finished; 1 is sequential, 0 is asynchronous. free: how many
    trials it could start now.
    """

    held: Sequence[int] = ()
    frontier: int = 0
    taken: Container[tuple[int, int]] = ()
    batch: int = 0
    free: int = 1
    within: float = math.inf
    ends: float = math.inf
    whole: float = math.inf


class Proposals:
    """A sampler and a pruner at work: the parameters of trials by their numbers.

    Where the sampler looks at no history, proposals are worked out many at once and kept; that changes
    the cost and not the answer.
    """

    def __init__(self, sampler: Sampler, space: Space, pruner: Pruner | None = None) -> None:
        self.sampler = sampler
        self.pruner = pruner
        self.informed = sampler.uses_history or pruner is not None
        """Whether decisions depend on other trials."""
        cells = sampler.limit(space)
        self.limit = math.inf if cells is None else cells
        self._space: Space | None = None
        self._ready: dict[int, Suggestion] = {}
        self._size = 1
        self._examined: tuple[str, int] = "", 0
        self._forecast: tuple[float, int] = 0.0, 0
        self._stretches: tuple[Stretches, int] | None = None
        self._in_jobs = False

    @property
    def endless(self) -> bool:
        """Whether trials could begin for ever; a population comes to its end by itself."""
        return math.isinf(self.limit) and (self.pruner is None or not self.pruner.founders)

    # Trials that were found not to end the study need not be looked at again; that, too, changes the cost alone.

    def examined(self, until: str) -> int:
        """How many of the complete trials are known not to fulfil `until`."""
        return self._examined[1] if self._examined[0] == until else 0

    def examine(self, until: str, count: int) -> None:
        self._examined = until, count

    def needs(self, snapshot: Snapshot, left: float) -> float:
        """Seconds that the next trial will probably take at most; exact where it comes near to `left`."""
        seconds, before = self._forecast
        count, unsettled = len(snapshot.completed), self._unsettled(snapshot)
        if left < 4 * seconds or count >= 2 * before or (count != before and unsettled):
            seconds = upper(snapshot.durations) or 0.0
            self._forecast = seconds, count
        return seconds

    def stretch(self, snapshot: Snapshot, left: float, number: int | None = None) -> float:
        """Seconds that the next attempt of a trial will probably take at most, where a pruner has trials wait on their way.

        Of the shortest attempt that there is, without `number`. Exact where it comes near to `left`, as `needs`.
        """
        pruner, fidelity = self.pruner, snapshot.definition.fidelity
        assert pruner is not None and fidelity is not None, "trials wait at steps"
        span = None if number is None else ahead(snapshot, pruner, fidelity, number)
        if span is not None and span <= 0.0:
            return 0.0
        count = len(snapshot.completed) + len(snapshot.releases.parked)
        known, before = self._stretches or (None, 0)
        unsettled = self._unsettled(snapshot)
        if (
            known is None
            or count >= 2 * before
            or (count != before and (unsettled or left < 4 * known.needs(span)))
        ):
            known = Stretches.of(snapshot, fidelity)
            self._stretches = known, count
        return known.needs(span)

    def _unsettled(self, snapshot: Snapshot) -> bool:
        """Whether, when this was asked before, nothing had ended in a job: the first that does may change by far what is known of times."""
        before = self._in_jobs
        if not before:
            self._in_jobs = bool(snapshot.in_job(snapshot.where(State.COMPLETE, State.PAUSED)).any())
        return not before

    def suggest(self, snapshot: Snapshot, number: int) -> Suggestion:
        """What trial `number` is to try, given what `snapshot` knows; what was suggested before stands."""
        known = snapshot.params(number) if number < snapshot.size else None
        if known is not None:
            return Suggestion(known, snapshot.notes.get(number), snapshot.descents.get(number))
        descent = self._descent(snapshot, number)
        if descent is None:
            return self._sampled(snapshot, number)
        assert self.pruner is not None
        params = self.pruner.explored(snapshot, number, descent)
        found = self._sampled(snapshot, number) if params is None else Suggestion(params)
        return found._replace(descent=descent)

    def ready(self, snapshot: Snapshot, number: int) -> bool:
        """Whether trial `number` may begin by now: in a population somebody's place must be free."""
        if self.pruner is None or number < self.pruner.founders or not self.pruner.founders:
            return True
        begun = number < snapshot.size and snapshot.attempt[number] >= 0
        return bool(begun) or self._descent(snapshot, number) is not None

    def _descent(self, snapshot: Snapshot, number: int) -> Descent | None:
        if self.pruner is None or number < self.pruner.founders or not self.pruner.founders:
            return None
        return self.pruner.descent(snapshot, number)

    def _sampled(self, snapshot: Snapshot, number: int) -> Suggestion:
        if self.sampler.uses_history:
            return self._ask(snapshot, number, 1)[0]
        if snapshot.space is not self._space:
            self._ready, self._space = {}, snapshot.space
        if number not in self._ready:
            # As far ahead as pays: this worker may get the numbers that follow, or others may.
            self._size = min(2 * max(self._size - len(self._ready), 1), _AHEAD)
            self._ready = dict(enumerate(self._ask(snapshot, number, self._size), start=number))
            self._size = len(self._ready)
        return self._ready.pop(number)

    def many(self, snapshot: Snapshot, numbers: Sequence[int]) -> list[Suggestion]:
        """Suggestions for trials that do not depend on each other."""
        first, count = numbers[0], len(numbers)
        if numbers[-1] == first + count - 1:
            return self._ask(snapshot, first, count)
        return [self.suggest(snapshot, number) for number in numbers]

    def _ask(self, snapshot: Snapshot, first: int, count: int) -> list[Suggestion]:
        space, seed = snapshot.space, snapshot.definition.seed
        numbers = np.arange(first, min(first + count, self.limit), dtype=np.int64)
        if not space.names:  # nobody has asked for anything yet
            return [Suggestion({}) for _ in numbers]
        history = snapshot if self.sampler.uses_history else None
        codes, notes = self.sampler.propose_noted(space, seed, numbers, history)
        return [Suggestion(*each) for each in zip(space.params(codes), notes, strict=True)]


def decide(snapshot: Snapshot, proposals: Proposals, hands: Hands, now: float) -> Decision:
    """What to do next at time `now` (seconds since the epoch)."""
    pruner, limit = proposals.pruner, _limit(snapshot, proposals)
    room = limit if pruner is None else min(limit, pruner.room(snapshot))
    if snapshot.n_finished >= room:
        return Done("the trial is finished" if room == 1 else f"all {room:.0f} trials are finished")
    enough = _enough(snapshot, proposals, now)
    if enough:
        return Done(enough)

    left = hands.ends - now
    tight = left < hands.whole and not snapshot.releases.saves
    # Where trials wait on their way, what has to fit is not a whole one but the next attempt of one.
    stretched = tight and pruner is not None and pruner.pauses and snapshot.definition.fidelity is not None
    if tight:
        needs = proposals.stretch(snapshot, left) if stretched else proposals.needs(snapshot, left)
        if left < needs:
            return _too_short(left, needs, stretched)
    misfit = math.inf  # what the shortest attempt needs that could begin and does not fit

    def fits(n: int) -> bool:
        nonlocal misfit
        if not stretched:
            return True
        needs = proposals.stretch(snapshot, left, n)
        if left < needs:
            misfit = min(misfit, needs)
        return left >= needs

    waiting = parked(snapshot, proposals)
    # Usually there are none, and this is asked for each trial.
    some = snapshot.counts[State.WAITING] or snapshot.counts[State.PAUSED] > len(waiting)
    for n in snapshot.where(State.WAITING, State.PAUSED).tolist() if some else ():
        attempt = snapshot.next_attempt(n)
        if n in waiting or n >= limit or (n, attempt) in hands.taken or not _open(snapshot, n, hands.batch):
            continue
        if snapshot.state[n] == State.PAUSED or left >= _again(snapshot.releases.fell_short(n), hands.whole):
            suggested = _suggested(snapshot, proposals, hands, n)
            if suggested is not None and fits(n):
                return _start(snapshot, proposals, [n], attempt, [suggested])
    founders = 0 if pruner is None else pruner.founders
    first = hands.held[0] if hands.held else max(hands.frontier, snapshot.claimed)
    founding = first < min(founders, limit, hands.within)
    promoted = () if founding else _promotable(snapshot, proposals, limit)
    for n in promoted:
        attempt = snapshot.next_attempt(n)
        if hands.batch and snapshot.counts[State.RUNNING] >= hands.batch:
            return Wait("the batch before is not finished")
        if (n, attempt) not in hands.taken and fits(n):
            return _start(snapshot, proposals, [n], attempt, [proposals.suggest(snapshot, n)])
    if snapshot.n_finished + len(waiting) >= room and not promoted and not founding:
        why = f"all {limit:.0f} trials are decided: {len(waiting)} were not promoted any further"
        if snapshot.counts[State.FAILED] and not snapshot.counts[State.COMPLETE]:
            why += "; none is whole, as those that went on failed: see why (taut trials), mend it, and raise trials"
        return Done(why)
    limit = min(room, hands.within)
    if hands.held:
        if not _open(snapshot, hands.held[0], hands.batch):
            return Wait("the batch before is not finished")
        if hands.free == 1 or hands.batch or founders or proposals.sampler.uses_history:
            n = hands.held[0]
            suggested = _suggested(snapshot, proposals, hands, n)
            if suggested is not None and fits(n):
                return _start(snapshot, proposals, [n], 0, [suggested])
            if misfit < math.inf:
                return _too_short(left, misfit, stretched)
            return Wait("no place in the population is free for now")
        chosen = list(itertools.takewhile(fits, itertools.islice(hands.held, hands.free)))
        if not chosen:
            return _too_short(left, misfit, stretched)
        return _start(snapshot, proposals, chosen, 0, proposals.many(snapshot, chosen))
    if hands.frontier < limit and proposals.ready(snapshot, hands.frontier):
        if not _open(snapshot, hands.frontier, hands.batch):
            return Wait("the batch before is not finished")
        if fits(hands.frontier):
            return Claim(limit)
    if misfit < math.inf:
        return _too_short(left, misfit, stretched)
    if hands.within < math.inf:
        return Done("its batch is complete")
    return Wait("the last trials are with other workers", idle=True)


def _too_short(left: float, needs: float, stretched: bool) -> Done:
    what = "stretches such as the next" if stretched else "trials"
    return Done(
        f"the {in_words(left)} left in this job are too short: 95 % of {what} take less than {in_words(needs)}"
    )


def judge(snapshot: Snapshot, proposals: Proposals, number: int, since: float) -> Judgement:
    """Whether the running trial `number` goes on after its latest report; it was judged before at step `since`."""
    if proposals.pruner is None:
        return Judgement.GO
    if snapshot.definition.subject_to and broken(snapshot, number):
        return Judgement.STOP
    return proposals.pruner.judge(snapshot, number, since)


def parked(snapshot: Snapshot, proposals: Proposals) -> Mapping[int, float]:
    """The trials that wait for a promotion, and at which step. Where nobody is promoted, they go on like any other."""
    return snapshot.waiting if proposals.pruner is not None and proposals.pruner.pauses else {}


def promotable(snapshot: Snapshot, proposals: Proposals) -> Sequence[int]:
    """Which of the trials that wait on a rung may go on, the first one first."""
    return _promotable(snapshot, proposals, _limit(snapshot, proposals))


def _limit(snapshot: Snapshot, proposals: Proposals) -> float:
    """How many trials there may be in all."""
    trials = snapshot.definition.budget.trials
    return proposals.limit if trials is None else min(trials, proposals.limit)


def _suggested(snapshot: Snapshot, proposals: Proposals, hands: Hands, n: int) -> Suggestion | None:
    """What trial `n` is to try; None if there is no place for it, or others are about to take that."""
    if not proposals.ready(snapshot, n):
        return None
    suggested = proposals.suggest(snapshot, n)
    descent = suggested.descent
    if descent is None or n in snapshot.descents:
        return suggested
    return None if (descent.instead, snapshot.next_attempt(descent.instead)) in hands.taken else suggested


def _promotable(snapshot: Snapshot, proposals: Proposals, limit: float) -> Sequence[int]:
    if proposals.pruner is None or not snapshot.waiting:
        return ()
    closing = snapshot.size >= limit and not snapshot.counts[State.RESERVED]
    return [n for n in proposals.pruner.promotable(snapshot, closing) if n < limit]


def _start(
    snapshot: Snapshot,
    proposals: Proposals,
    numbers: Sequence[int],
    attempt: int,
    suggested: Sequence[Suggestion],
) -> Start:
    pruner, fidelity = proposals.pruner, snapshot.definition.fidelity
    if pruner is not None:
        return Start(numbers, attempt, suggested, [pruner.goal(snapshot, n) for n in numbers])
    return Start(numbers, attempt, suggested, [None if fidelity is None else fidelity.max] * len(numbers))


def _again(short: float, whole: float) -> float:
    """Seconds that must be left for a trial to be tried again for which `short` seconds were not enough.

    Twice as many, so that it is not begun at the end of one job after the other; or a job that is as good as fresh.
    """
    return max(_NEARLY * short, min(2.0 * short, whole))


def _enough(snapshot: Snapshot, proposals: Proposals, now: float) -> str | None:
    """Why the budget is used up although trials are left; None if it is not."""
    budget = snapshot.definition.budget
    if budget.until is not None:
        n = _reaching(budget.until, snapshot, proposals)
        if n is not None:
            return f"trial {n} reached {budget.until}"
    if budget.hours is not None and _busy(snapshot, now, budget.hours * 3600):
        return f"the budget of {budget.hours:g} hours is used up"
    return None


def _reaching(until: str, snapshot: Snapshot, proposals: Proposals) -> int | None:
    """The first complete trial seen to fulfil `until`."""
    condition, fresh = Expression.parse(until), snapshot.completed[proposals.examined(until) :]
    rows = np.array([n for n in fresh if snapshot.state[n] == State.COMPLETE], np.int64)
    if rows.size:
        reached = rows[condition.holds({name: snapshot.values(name)[rows] for name in condition.names})]
        if reached.size:
            return int(reached[0])
    proposals.examine(until, len(snapshot.completed))
    return None


def _busy(snapshot: Snapshot, now: float, limit: float) -> bool:
    """Whether at least one trial was running during `limit` seconds or more."""
    return now - snapshot.first_start >= limit and busy(snapshot, now) >= limit


def busy(snapshot: Snapshot, now: float) -> float:
    """Seconds during which at least one trial was running."""
    ran = spells(snapshot, now)
    if not len(ran.begin):
        return 0.0
    order = np.argsort(ran.begin, kind="stable")
    start, end = ran.begin[order], np.maximum.accumulate(ran.end[order])
    # Each interval adds what reaches beyond everything that began before it.
    before = np.concatenate(([-np.inf], end[:-1]))
    return float(np.maximum(end - np.maximum(start, before), 0.0).sum())


def _open(snapshot: Snapshot, n: int, batch: int) -> bool:
    """Whether the batch of trial `n` may run: every trial of earlier batches is finished."""
    if not batch:
        return True
    first = n // batch * batch
    open_ = np.flatnonzero(snapshot.state[:first] < State.COMPLETE).tolist()
    return first <= snapshot.size and all(n in snapshot.waiting for n in open_)
