"""Replay a study: derive every suggestion again from what its decision had seen, and compare."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from taut.clock import WallClock
from taut.decide import Proposals, Suggestion, judge, parked, promotable
from taut.definition import Definition
from taut.errors import StudyError
from taut.events import Descent, Event, Judged, Opened, Origin, Settled, Started
from taut.journal import FileJournal
from taut.log import Problem
from taut.snapshot import Snapshot
from taut.space import Space
from taut.wishes import drawn, parsed

__all__ = ["Difference", "Verification", "verify"]

_ROUNDING = 1e-9


class Difference(msgspec.Struct, frozen=True):
    """A suggestion that came out otherwise.

    rounding: whether the two agree up to the last digits, as another processor or NumPy may give.
    """

    number: int
    attempt: int
    writer: int
    recorded: dict[str, Any]
    derived: dict[str, Any]
    environment: str
    rounding: bool

    def __str__(self) -> str:
        kind = "differs by rounding" if self.rounding else "differs"
        return (
            f"trial {self.number} (attempt {self.attempt}, writer {self.writer}) {kind}: "
            f"recorded {json.dumps(self.recorded)}, derived {json.dumps(self.derived)}{self.environment}"
        )


class Verification(msgspec.Struct, frozen=True):
    """What a replay found: suggestions derived, judgements of the pruner derived, trials that were imported and so never suggested here, suggestions that differ, attempts that two workers started both
    (claims rule that out, where they work), damaged and torn lines.
    """

    suggestions: int
    judgements: int
    imported: int
    differences: list[Difference]
    doubled: list[str]
    damaged: list[Problem]
    torn: list[Problem]

    @property
    def good(self) -> bool:
        same = all(difference.rounding for difference in self.differences)
        return same and not self.damaged and not self.doubled


def verify(directory: Path, make: Callable[[Definition, Space], Proposals]) -> Verification:
    """Check every line of the study in `directory` and derive every suggestion again.

    Each writer's decisions are replayed in their order: its own lines before the decision and as
    many lines of each other writer as it had recorded to have seen are folded, and the sampler is asked.
    A second attempt must have the parameters of the first. Raises `StudyError` if what the study knows of
    earlier ones is not there as it was read.
    """
    journal = FileJournal(directory, WallClock())
    revisions = journal.revisions(0)
    if not revisions:
        raise StudyError(f"{directory}: there is no study here")
    for digest in {each.digest for definition in revisions for each in definition.warm_start}:
        journal.archive.read(digest)  # also where no sampler asks for it
    logs: dict[int, list[Event | None]] = {}
    for batch in journal.poll(thorough=True):
        logs.setdefault(batch.writer, []).extend(batch.events)
    replay = _Replay(revisions, make, logs, journal.archive.read)
    differences = [difference for writer in logs for difference in replay.writer(writer)]
    differences.sort(key=lambda difference: (difference.number, difference.attempt))
    return Verification(
        replay.suggestions,
        replay.judgements,
        replay.imported,
        differences,
        _doubled(logs),
        journal.problems,
        journal.torn(),
    )


def _doubled(logs: dict[int, list[Event | None]]) -> list[str]:
    begun: dict[tuple[int, int], list[int]] = {}
    for writer, log in logs.items():
        for event in log:
            if isinstance(event, Started):
                begun.setdefault((event.n, event.a), []).append(writer)
    return [
        f"trial {n} (attempt {a}) was started by workers {' and '.join(map(str, sorted(writers)))}"
        for (n, a), writers in sorted(begun.items())
        if len(writers) > 1
    ]


class _Replay:
    def __init__(
        self,
        revisions: list[Definition],
        make: Callable[[Definition, Space], Proposals],
        logs: dict[int, list[Event | None]],
        recall: Callable[[str], bytes],
    ) -> None:
        self._revisions = revisions
        self._recall = recall
        self._proposals = [
            make(definition, space)
            for definition, space in ((definition, definition.parsed_space()) for definition in revisions)
        ]
        self._blank = [Snapshot(definition) for definition in revisions]
        self._logs = logs
        self.suggestions = self.judgements = self.imported = 0
        self._first: dict[int, Started] = {}
        self._settled: dict[int, list[dict[str, Any]]] = {}
        for log in logs.values():
            for event in log:
                if isinstance(event, Settled):
                    self._settled.setdefault(event.n, []).append(event.x)
                if isinstance(event, Started) and event.a <= self._first.get(event.n, event).a:
                    self._first[event.n] = event

    def writer(self, writer: int) -> list[Difference]:
        """Replay the decisions of one writer."""
        differences = []
        known: Snapshot | None = None
        marks: dict[int, int] = {}  # lines folded so far
        for position, event in enumerate(self._logs[writer]):
            if isinstance(event, Settled):
                differences += self._settlement(writer, event, position)
                continue
            if not isinstance(event, (Started, Judged)):
                continue
            if isinstance(event, Started) and isinstance(event.i, Origin):
                self.imported += 1
                continue
            if isinstance(event, Judged):
                self.judgements += 1
            else:
                self.suggestions += 1
            if isinstance(event.seen, list):
                if known is None:
                    known = Snapshot(self._revisions[0])
                    known.recall = self._recall
                self._advance(known, marks, event, writer, position)
            if isinstance(event, Judged):
                assert known is not None, "a judgement says what it has seen"
                differences += self._judgement(known, writer, event)
                continue
            recorded = _recorded(event)
            if isinstance(event.seen, list):
                assert known is not None
                differences += self._promotion(known, writer, event)
                if not self._proposals[event.r].ready(known, event.n):
                    differences.append(self._without_place(writer, event))
                    continue
                derived = self._proposals[event.r].suggest(known, event.n)
            else:
                first = self._first[event.n]
                before = [first.x, *self._settled.get(event.n, [])]
                again = event.a > first.a and any(_same(Suggestion(event.x), Suggestion(x)) for x in before)
                derived = (
                    recorded if again else self._proposals[event.r].suggest(self._blank[event.r], event.n)
                )
            if not _same(recorded, derived):
                differences.append(self._difference(writer, event, recorded, derived))
        return differences

    def _advance(
        self, known: Snapshot, marks: dict[int, int], event: Started | Judged, writer: int, position: int
    ) -> None:
        """Fold on to what the decision behind `event` had seen."""
        while len(known.revisions) <= event.r:
            known.revise(self._revisions[len(known.revisions)])
        assert isinstance(event.seen, list)
        goals = dict(zip(event.seen[::2], event.seen[1::2], strict=True))
        for other, lines in {**goals, writer: position}.items():
            begin = marks.get(other, 0)
            known.apply(other, self._logs.get(other, [])[begin:lines])
            marks[other] = lines

    def _judgement(self, known: Snapshot, writer: int, event: Judged) -> list[Difference]:
        """What is wrong with the order to end a trial early."""
        proposals = self._proposals[event.r]
        since = event.since if isinstance(event.since, float) else -np.inf
        derived = judge(known, proposals, event.n, since).value
        if derived == event.verdict:
            return []
        recorded, found = {"judgement": event.verdict}, {"judgement": derived}
        return [
            Difference(event.n, event.a, writer, recorded, found, self._environment(writer), rounding=False)
        ]

    def _promotion(self, known: Snapshot, writer: int, event: Started) -> list[Difference]:
        """What is wrong with the promotion of a trial that waited, if this is one."""
        proposals = self._proposals[event.r]
        if event.n not in parked(known, proposals) or event.n in promotable(known, proposals):
            return []
        recorded, found = {"promoted": True}, {"promoted": False}
        return [
            Difference(event.n, event.a, writer, recorded, found, self._environment(writer), rounding=False)
        ]

    def _settlement(self, writer: int, event: Settled, position: int) -> list[Difference]:
        """What is wrong with the parameters that a trial turned out to have: each was offered to it, or is a draw from its prior."""
        offered: dict[str, Any] = next(
            (
                start.x
                for start in reversed(self._logs[writer][:position])
                if isinstance(start, Started) and (start.n, start.a) == (event.n, event.a)
            ),
            {},
        )
        seed = self._revisions[event.r].seed
        found = {
            name: drawn(name, parsed(name, event.drawn[name]), seed, event.n)
            if name in event.drawn
            else offered.get(name)
            for name in event.x
        }
        if _same(Suggestion(event.x), Suggestion(found)):
            return []
        environment = self._environment(writer)
        return [
            Difference(event.n, event.a, writer, event.x, found, environment, rounding=_close(event.x, found))
        ]

    def _without_place(self, writer: int, event: Started) -> Difference:
        recorded, found = {"begun": True}, {"begun": False}
        return Difference(
            event.n, event.a, writer, recorded, found, self._environment(writer), rounding=False
        )

    def _environment(self, writer: int) -> str:
        log = self._logs[writer]
        opened = log[0] if log and isinstance(log[0], Opened) else None
        return f"; written with {opened.environment}" if opened else ""

    def _difference(
        self, writer: int, event: Started, recorded: Suggestion, derived: Suggestion
    ) -> Difference:
        environment = self._environment(writer)
        there, found = _shown(recorded), _shown(derived)
        return Difference(event.n, event.a, writer, there, found, environment, _close(there, found))


def _recorded(event: Started) -> Suggestion:
    return Suggestion(
        event.x,
        event.m if isinstance(event.m, dict) else None,
        event.d if isinstance(event.d, Descent) else None,
    )


def _shown(suggestion: Suggestion) -> dict[str, Any]:
    note, descent = suggestion.note, suggestion.descent
    return {
        **suggestion.params,
        **({} if note is None else {"(note)": note}),
        **({} if descent is None else {"(descent)": msgspec.to_builtins(descent)}),
    }


def _same(one: Suggestion, other: Suggestion) -> bool:
    """Whether two suggestions are the same, as JSON: 1, 1.0 and true are three different values."""
    return msgspec.json.encode(one, order="sorted") == msgspec.json.encode(other, order="sorted")


def _close(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return bool(np.isclose(one, other, rtol=_ROUNDING, atol=0.0))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_close(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_close, one, other))
    return msgspec.json.encode(one) == msgspec.json.encode(other)
