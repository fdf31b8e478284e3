"""A study at work: its journal and its snapshot, kept in step.

Everything that changes a study goes through here, and always in this order: decide, claim, append, fold.
`Study` gives it to users; a `Worker` drives it with an executor.
"""

from __future__ import annotations

import math
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from taut import checkpoints
from taut.clock import Clock
from taut.decide import Claim, Done, Hands, Proposals, Start, Wait, decide
from taut.definition import Budget, Definition, Evaluation
from taut.discovery import Discovery
from taut.endings import Ended
from taut.errors import StudyError
from taut.events import Event, Finished, Released, Reported, Started
from taut.handback import Handback
from taut.journal import Journal
from taut.pace import Pace
from taut.referee import Referee
from taut.snapshot import Snapshot
from taut.space import Space
from taut.trial import State
from taut.verdict import needed
from taut.walltime import Walltime

__all__ = ["Store"]

_GLANCE = 0.25  # seconds between looks at the others' logs while no decision depends on them
_SHARES = 32  # a block is at most this part of what is left, so that the end is shared
_SAFE = 2.0  # seconds after its start in which nobody can have taken a trial for dead
_HELD = 2.0  # seconds for which a worker may use the numbers it claimed; older ones it gives back


class Store:
    """A journal and its fold.

    walltime: how long this process may work.
    held: trial numbers that this process has claimed and not used. taken: attempts that are known to be claimed by
    others, by (number, attempt): by which writer, and since when that is known. pinned: what trials must run for
    this process to start any; None if it does not matter.
    make: builds the sampler and the pruner that a definition asks for. saved: whether the journal has the
    definition; if not, it is written before the first event, so that looking leaves no trace.
    """

    def __init__(
        self,
        journal: Journal,
        snapshot: Snapshot,
        make: Callable[[Definition, Space], Proposals],
        clock: Clock,
        saved: bool = True,
        walltime: Walltime | None = None,
    ) -> None:
        self.journal = journal
        self.snapshot = snapshot
        snapshot.fetch = self._revise
        snapshot.recall = journal.archive.read
        self.clock = clock
        self.walltime = walltime or Walltime()
        self.pinned: Evaluation | None = None
        self.lock = threading.RLock()
        self._make = make
        self._saved = saved
        self._changes: list[Callable[[Definition], Definition]] = []  # made before it was saved
        self._proposed: Callable[[Definition], Definition] | None = None
        self.held: deque[int] = deque()
        self._claimed = 0.0  # when the numbers that are held were claimed
        self.pace = Pace(time.monotonic())
        self.taken: dict[tuple[int, int], tuple[int, float]] = {}
        self._noted: dict[int, int] = {}  # what the last recorded decision of ours had seen
        self._looked = -np.inf
        self.referee = Referee(self)
        self.handback = Handback(self)
        self.discovery = Discovery(self)
        self._take_definition()

    def _take_definition(self) -> None:
        self._proposals: Proposals | None = None
        self.must = needed(self.snapshot.definition)

    @property
    def proposals(self) -> Proposals:
        """The sampler and the pruner at work; made when it is first needed, since whoever only looks at a study needs none."""
        if self._proposals is None:
            space = self.snapshot.space
            self._proposals = self._make(self.snapshot.definition, space)
        return self._proposals

    # ------------------------------------------------------------------ reading

    def refresh(self, force: bool = True) -> None:
        """Read what others have written. Without `force`, only as often as a decision could need it."""
        now = time.monotonic()
        if not force and now - self._looked < _GLANCE:
            if not self.proposals.informed:
                return
            thorough = False
        else:
            thorough = True
        batches = self.journal.poll(thorough)
        if thorough:
            self._looked = time.monotonic()
            self._revise()
        for batch in batches:
            self.snapshot.apply(batch.writer, batch.events)

    def glance(self) -> None:
        """Read what others have written, unless that was done just now."""
        if time.monotonic() - self._looked >= _GLANCE:
            self.refresh()

    def _revise(self) -> None:
        if self._proposed is not None:  # what others have revised is read before ours is written
            return
        if not self._saved:
            self._join()
            return
        for definition in self.journal.revisions(len(self.snapshot.revisions)):
            self.snapshot.revise(definition)
            self._take_definition()

    def _join(self) -> None:
        """If another process has created this study meanwhile, take it as it is now; what was changed here comes on top.

        Raises `StudyError` if it is another one.
        """
        there = self.journal.revisions(0)
        if not there:
            return
        if _beside_budget(there[0]) != _beside_budget(self.snapshot.definition):
            raise StudyError(
                f"{self.journal.directory}: another process has just created a different study here; "
                "run again to see how they differ"
            )
        self._saved = True
        self.snapshot.revisions[:] = there[:1]  # it may have read an earlier study at another moment
        for definition in there[1:]:
            self.snapshot.revise(definition)
        self._take_definition()
        changes, self._changes = self._changes, []
        for change in changes:
            self.revise(change)

    def revise(self, change: Callable[[Definition], Definition]) -> None:
        """Add a revision: what `change` makes of the latest definition, which others may have changed meanwhile."""
        self._revise()
        while (wanted := change(self.snapshot.definition)) != self.snapshot.definition:
            if not self._saved:
                self._changes.append(change)
                self.snapshot.revisions[-1] = wanted
            elif not self.journal.revise(len(self.snapshot.revisions), wanted):
                self._revise()
                continue
            else:
                self.snapshot.revise(wanted)
            self._take_definition()

    # ------------------------------------------------------------------ deciding

    def next(
        self, batch: int = 0, free: int = 1, ahead: bool = True, within: float = math.inf
    ) -> Start | Wait | Done:
        """Decide, claim and write down the next start; when this returns a `Start` it is in the log.

        batch: group size of the mode: 0 asynchronous, 1 sequential, k batches of k. free: how many trials
        may start at once; fewer may come. ahead: whether to claim for later trials, too; only for loops that
        come back by themselves. within: numbers from here on are left to others.
        """
        self.refresh(force=False)
        self._check_format()
        while True:
            if self.pinned not in (None, self.snapshot.definition.evaluation):
                return Done("what a trial runs was changed elsewhere: start this worker again")
            if self.held and time.monotonic() - self._claimed > _HELD:
                self.give_back("its worker was busy with another trial")
            walltime = self.walltime
            if leaving := walltime.leaving():
                return Done(leaving)
            ends, whole = walltime.ends, walltime.whole
            hands = Hands(self.held, self.journal.frontier, self.taken, batch, free, within, ends, whole)
            decision = decide(self.snapshot, self.proposals, hands, self.clock.now())
            if isinstance(decision, Claim):
                self._claim(decision.limit, free, ahead and not batch)
            elif isinstance(decision, Start):
                # What a promotion has seen is what it was decided by, not what was read while it was claimed.
                promoted = decision.attempt > 0 and decision.numbers[0] in self.snapshot.waiting
                noted = dict(self._noted) if promoted else self._noted
                seen = self.news() if promoted else None
                if self._secure(decision):
                    informed = self._informed(decision)
                    if informed is not None:
                        self.write(self._started(informed, seen))
                        return informed
                    why = "there is no place for it in the population for now"
                    self.handback.withdraw(decision.numbers[0], decision.attempt, why)
                self._noted = noted  # nothing was written, so nobody knows yet what was seen
            elif not self._looks_again():
                return decision

    def _check_format(self) -> None:
        """Nothing new may be started on top of events that this version cannot read."""
        for problem in self.journal.problems:
            if problem.newer:
                raise StudyError(f"{self.journal.directory}: {problem}")

    @property
    def done(self) -> bool:
        """Whether there is nothing to start any more, for anybody."""
        return self.over is not None

    @property
    def over(self) -> str | None:
        """Why there is nothing to start any more; None while there is."""
        hands = Hands(frontier=max(self.journal.frontier, self.snapshot.claimed))
        decision = decide(self.snapshot, self.proposals, hands, self.clock.now())
        return decision.why if isinstance(decision, Done) else None

    def _looks_again(self) -> bool:
        """Before waiting or ending: read others' news if that was put off; whether there were any."""
        before = dict(self.snapshot.seen), len(self.snapshot.revisions)
        self.refresh()
        return (self.snapshot.seen, len(self.snapshot.revisions)) != before

    def _claim(self, limit: float, free: int, ahead: bool) -> None:
        self._open()
        self.journal.advance(self.snapshot.claimed)
        block = free
        if ahead:
            share = (limit - self.journal.frontier) / _SHARES
            block = max(free, int(min(self.pace.block, share)))
        self._claimed = time.monotonic()
        self.held.extend(self.journal.claim(block, limit) or ())

    def _secure(self, start: Start) -> bool:
        """Make sure that nobody else starts this; False if somebody does."""
        if start.attempt == 0:
            if not self._take_place(start):
                return False
            for _ in start.numbers:
                self.held.popleft()
            return True
        (number,) = start.numbers
        if self._claim_attempt(number, start.attempt):
            # A worker that was taken for dead may have told its result just now. Either it sees our claim
            # after it told (`finish`), or we see its result after we claimed.
            self.refresh()
            waiting = self.snapshot.state[number] in (State.WAITING, State.PAUSED)
            return bool(waiting) and self.snapshot.next_attempt(number) == start.attempt
        return False

    def _claim_attempt(self, number: int, attempt: int) -> bool:
        self._open()
        holder = self.journal.claim_attempt(number, attempt)
        if holder != self.journal.writer:
            self.taken[number, attempt] = holder, time.monotonic()
        return holder == self.journal.writer

    def _take_place(self, start: Start) -> bool:
        """Make sure that nobody else takes the place that a trial of a population is to take: nor promotes who had it."""
        descent = start.suggested[0].descent
        return descent is None or self._claim_attempt(
            descent.instead, self.snapshot.next_attempt(descent.instead)
        )

    def _informed(self, start: Start) -> Start | None:
        """The same start with the parameters that go with what is known now; None if there is no place for it any more.

        Others' news are read after another attempt is claimed. Where nobody has begun the trial before, its parameters were
        chosen without them, and could not be derived again from what the start says that it has seen.
        """
        if start.attempt == 0 or not self.proposals.informed:
            return start
        (number,) = start.numbers
        if not self.proposals.ready(self.snapshot, number):
            return None
        pruner, suggested = self.proposals.pruner, self.proposals.suggest(self.snapshot, number)
        goals = start.goals if pruner is None else [pruner.goal(self.snapshot, number)]
        start = start._replace(suggested=[suggested], goals=goals)
        return start if number in self.snapshot.descents or self._take_place(start) else None

    def _started(self, start: Start, seen: list[int] | None) -> list[Event]:
        revision, claimed, now = len(self.snapshot.revisions) - 1, self.journal.frontier, self.clock.now()
        known = (self.news() if self.proposals.informed else msgspec.UNSET) if seen is None else seen
        return [
            Started(
                number,
                start.attempt,
                suggested.params,
                revision,
                claimed,
                now,
                known,
                msgspec.UNSET if goal is None else goal,
                msgspec.UNSET if suggested.note is None else suggested.note,
                msgspec.UNSET if suggested.descent is None else suggested.descent,
            )
            for number, suggested, goal in zip(start.numbers, start.suggested, start.goals, strict=True)
        ]

    def news(self) -> list[int]:
        """What changed in our view of others since our last decision: [writer, lines, ...]."""
        news: list[int] = []
        for writer, lines in self.snapshot.seen.items():
            if writer != self.journal.writer and self._noted.get(writer) != lines:
                self._noted[writer] = lines
                news += (writer, lines)
        return news

    def trial_directory(self, number: int) -> str | None:
        """Where the trial may keep files; None for a study in memory."""
        root = self.journal.directory
        return None if root is None else f"{root}/trials/{number}"

    def origin(self, number: int) -> tuple[int | None, str | None]:
        """The trial from whose checkpoint this one goes on at first, and the directory of that checkpoint, where there are such."""
        descent = self.snapshot.descents.get(number)
        if descent is None or descent.parent is None:
            return None, None
        directory = self.trial_directory(descent.parent)
        place = None if directory is None else str(checkpoints.place(Path(directory), descent.attempt))
        return descent.parent, place

    def step_before(self, number: int, attempt: int) -> float | None:
        """The last step that was reported by the attempt whose checkpoint this one goes on from; None if there is none."""
        directory, (parent, origin) = self.trial_directory(number), self.origin(number)
        if directory is None:
            return None if parent is None or attempt else self.snapshot.descents[number].step
        before = checkpoints.latest(Path(directory), attempt, origin)
        if before is None:
            return None
        if str(before) == origin:
            return self.snapshot.descents[number].step
        steps = [
            event.s for event in self.snapshot.curves.of(number) if event.a == checkpoints.attempt_of(before)
        ]
        return steps[-1] if steps else None

    # ------------------------------------------------------------------ writing

    def _open(self) -> None:
        self.save()
        hello = self.journal.open()
        if hello is not None:
            self.snapshot.apply(self.journal.writer, [hello])

    def propose(self, change: Callable[[Definition], Definition]) -> None:
        """Look at the study as if it had been revised so; `save` does it, and nothing else writes until then."""
        if not self._saved:
            self.revise(change)
        elif (wanted := change(self.snapshot.definition)) != self.snapshot.definition:
            self.snapshot.revise(wanted)
            self._take_definition()
            self._proposed = change

    def save(self) -> None:
        """Write the definition of a new study, as the first event does by itself, or a proposed revision."""
        if self._proposed is not None:
            change, self._proposed = self._proposed, None
            self.snapshot.revisions.pop()
            self.revise(change)
        if self._saved:
            return
        if self.journal.revise(0, self.snapshot.definition):
            self._saved = True
        else:
            self._join()

    def write(self, events: Sequence[Event], durable: bool = False) -> None:
        """Append and fold."""
        self._open()
        self.journal.append(events, durable)
        self.snapshot.apply(self.journal.writer, events)

    def report(self, number: int, attempt: int, step: float, values: Mapping[str, float]) -> None:
        """Write down intermediate values (not flushed to disk: losing one costs nothing)."""
        finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
        event = Reported(number, attempt, step, finite, self.clock.now())
        self._open()
        self.journal.append([event], durable=False)
        self.snapshot.hear(self.journal.writer, event)

    def finish(self, ended: Sequence[Ended], behind: bool = False) -> None:
        """Write down results; when this returns they are on the disk, all with one flush.

        behind: they may come to the disk some milliseconds later, together with the results of the next
        trials. Only for those that nobody has been told of; `journal.flush` waits for them.
        """
        now = self.clock.now()
        events: list[Event] = []
        for end in ended:
            waits = self.referee.waits(end, now, self.handback.had(end.number))
            if waits is not None:
                events += waits
                continue
            state, values, error = end.verdict
            events.append(
                Finished(
                    n=end.number,
                    a=end.attempt,
                    state=state,
                    y=values,
                    t=now,
                    error=msgspec.UNSET if error is None else error,
                    had=end.took if end.ahead and end.took is not None else msgspec.UNSET,
                    u=end.used or msgspec.UNSET,
                )
            )
        before = time.monotonic()
        self.write(events, durable=not behind)
        if behind:
            self.journal.flush_soon()
        else:
            self.pace.flushed(time.monotonic() - before)
        for end in ended:
            self.pace.ran(now - self.snapshot.begun(end.number) if end.took is None else end.took)
        self.pace.ended(len(ended), time.monotonic())
        if any(
            now - self.snapshot.begun(end.number) > _SAFE and self.journal.contested(end.number, end.attempt)
            for end in ended
        ):
            self.refresh()
        for end in ended:
            counts = self.snapshot.ended(end.number, end.attempt) or end.number in self.snapshot.waiting
            if not counts:
                warnings.warn(
                    f"trial {end.number} was started again elsewhere, since this process seemed dead; "
                    "the result of this attempt is kept in the log and not counted",
                    stacklevel=3,
                )

    def check_progress(self) -> None:
        """While this process waits with nothing in its hands: raise `StudyError` if it waits for itself."""
        running = self.snapshot.where(State.RUNNING)
        if running.size and (self.snapshot.writer[running] == self.journal.writer).all():
            n = running[0]
            raise StudyError(
                f"trial {n} was asked for in this process and never told, so the study cannot end; "
                f'study.tell({n}, ...) how it went, or study.fail({n}, "why")'
            )

    def close(self) -> None:
        """Give back what is held and end our log. Safe to call twice; the store can still be read."""
        self.give_back("its worker ended before it began")
        self.journal.close()

    def give_back(self, why: str) -> None:
        """Let others have the numbers that were claimed and not used."""
        unused = [(n, 0) for n in self.held if n >= self.snapshot.size or self.snapshot.next_attempt(n) == 0]
        self.held.clear()
        now = self.clock.now()
        if unused:
            self.write([Released(n=n, a=a, why=why, blame=False, t=now) for n, a in unused], durable=True)


def _beside_budget(definition: Definition) -> Definition:
    """What makes a study what it is: how many trials are wanted may be said differently by each who joins it."""
    return msgspec.structs.replace(definition.asked, budget=Budget())
