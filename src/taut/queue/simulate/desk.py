"""A study on a virtual clock: what `taut.store` does for real workers, with a snapshot alone.

The decisions are those of real workers, made by the same functions: `decide` says what to start, the pruner's `Referee` who goes on.
Events get the virtual time, and nothing is written anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import msgspec

from taut.clock import Clock, VirtualClock
from taut.decide import Claim, Done, Hands, Proposals, Start, Wait, decide
from taut.definition import Definition
from taut.endings import Ended
from taut.errors import InputError
from taut.events import Event, Finished, Released, Reported, Started
from taut.referee import Referee
from taut.snapshot import Snapshot
from taut.verdict import Verdict, needed, verdict

__all__ = ["Desk"]


class Desk:
    """What all workers of a simulated study share. They see each other's results at once.

    writer: who acts at the moment, as the log would have it. recall: where the content of earlier studies is to be had, by its digest
    (`taut.archive`); needed with `warm_start` alone.

    Raises `InputError` for a definition that makes no sense, or whose space nobody knows before its trials ask for it.
    """

    def __init__(
        self, definition: Definition, proposals: Proposals, recall: Callable[[str], bytes] | None = None
    ) -> None:
        definition.check()
        self.snapshot = Snapshot(definition)
        self.snapshot.recall = recall
        if not self.snapshot.space.names:
            raise InputError(
                "a study whose space its trials have to say cannot be simulated; give the space", ("space",)
            )
        if definition.warm_start and recall is None:
            raise InputError(
                "this study learns from earlier ones, which are not there; give Desk their contents (recall), or leave warm_start out",
                ("warm_start",),
            )
        self.proposals = proposals
        self._clock = VirtualClock()
        self.clock: Clock = self._clock
        self.writer = 0
        self.referee = Referee(self)
        self._must = needed(definition)
        self._held: list[int] = []
        self._frontier = 0

    def next(self, now: float, batch: int, within: float, ends: float, whole: float) -> Start | Wait | Done:
        """Decide for a worker with a free slot; a `Start` is of one trial, and is written down."""
        self.pass_to(now)
        while True:
            hands = Hands(self._held, self._frontier, batch=batch, within=within, ends=ends, whole=whole)
            decision = decide(self.snapshot, self.proposals, hands, now)
            if isinstance(decision, Claim):
                self._held = [self._frontier]
                self._frontier += 1
                continue
            if isinstance(decision, Start):
                if decision.attempt == 0:
                    self._held = []
                self.write([self._started(decision, now)])
            return decision

    def outlook(self, now: float, batch: int = 0) -> Claim | Start | Wait | Done:
        """What a worker with all the time in the world would do."""
        return decide(self.snapshot, self.proposals, Hands(self._held, self._frontier, batch=batch), now)

    def _started(self, start: Start, now: float) -> Started:
        (suggested,), (goal,) = start.suggested, start.goals
        return Started(
            n=start.numbers[0],
            a=start.attempt,
            x=suggested.params,
            r=0,
            c=self._frontier,
            t=now,
            f=msgspec.UNSET if goal is None else goal,
            m=msgspec.UNSET if suggested.note is None else suggested.note,
            d=msgspec.UNSET if suggested.descent is None else suggested.descent,
        )

    def report(self, number: int, attempt: int, step: float, values: dict[str, float], now: float) -> bool:
        """Take a report; whether the trial goes on."""
        self.pass_to(now)
        finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
        self.write([Reported(n=number, a=attempt, s=step, y=finite, t=now)])
        return not self.referee.stops(number, attempt)

    def finish(
        self, number: int, attempt: int, values: dict[str, float], error: str | None, pruned: bool, now: float
    ) -> None:
        """An attempt has come to its end, or to a rung where it waits."""
        self.pass_to(now)
        found: Verdict = verdict(self._must, values, error, pruned)
        events = self.referee.waits(
            Ended(number, attempt, found, aimed=True), now, now - self.snapshot.begun(number)
        )
        if events is None:
            why = msgspec.UNSET if found.error is None else found.error
            events = [Finished(n=number, a=attempt, state=found.state, y=found.values, t=now, error=why)]
        self.write(events)

    def release(
        self, number: int, attempt: int, why: str, now: float, *, blame: bool, short: bool, kept: bool
    ) -> None:
        """An attempt has ended without a result. short, kept, blame: as in `Released`."""
        self.pass_to(now)
        event = Released(
            n=number,
            a=attempt,
            why=why,
            blame=blame,
            t=now,
            had=now - self.snapshot.begun(number),
            short=short or msgspec.UNSET,
            kept=kept or msgspec.UNSET,
        )
        self.write([event])

    def resumes_at(self, number: int, attempt: int) -> float:
        """The step from which this attempt goes on; 0 where it begins at the start."""
        snapshot, fidelity = self.snapshot, self.snapshot.definition.fidelity
        if fidelity is None or not fidelity.resume:
            return 0.0
        kept = [at for before, at in snapshot.releases.rungs(number) if before < attempt]
        if kept:
            return kept[-1]
        descent = snapshot.descents.get(number)
        return 0.0 if descent is None or descent.parent is None else descent.step

    # ------------------------------------------------------------------ what the referee asks of a store

    def pass_to(self, now: float) -> None:
        self._clock.advance(max(now - self._clock.now(), 0.0))

    def glance(self) -> None:
        """There are no others whose news could be read."""

    def news(self) -> list[int]:
        return []

    def write(self, events: Sequence[Event]) -> None:
        self.snapshot.apply(self.writer, events)

    def trial_directory(self, number: int) -> str | None:
        return None
