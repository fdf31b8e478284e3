"""A space that is found out: what trials have asked for becomes the study's, and what they turned out to have is written down.

When an attempt has ended, the parameters that it asked for are added to the space, by a revision that all workers see, each with the widest
range that anybody asked for. What it had in the end is an event of its own, `Settled`. Both are done before its end is told, so whoever
knows a result knows the point that it belongs to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
import numpy as np

from taut.definition import Definition
from taut.errors import InputError
from taut.events import Event, Settled
from taut.snapshot import Snapshot
from taut.space import Searched, Space, choice
from taut.space.branches import branches
from taut.space.continuous import Number
from taut.trial import State
from taut.wishes import Form, Wish, parsed

__all__ = ["Discovery"]

_AGAIN = (
    1.1  # conditions that do not explain the trials are sought again when there are so many times as many
)
_FEW = 32


class Desk(Protocol):
    """What is needed of the store."""

    snapshot: Snapshot

    def write(self, events: Sequence[Event]) -> None: ...
    def revise(self, change: Callable[[Definition], Definition]) -> None: ...


class Discovery:
    """Takes down what the trials of this process have asked for."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._space: Space | None = None
        self._covered: dict[str, Form] = {}  # what was asked for, and is known to be in that space
        self._sought = 0

    def settle(
        self,
        number: int,
        attempt: int,
        wishes: Mapping[str, Wish],
        constraints: Sequence[str] = (),
        whole: bool = False,
    ) -> None:
        """What an attempt of a trial that ran here has asked for. whole: whether it came to its end, so that this is all.

        Raises `InputError` for what contradicts the space: another kind of parameter under the same name.
        """
        snapshot = self._desk.snapshot
        if snapshot.attempt[number] != attempt:
            return  # others have begun it again
        if new := [name for name in constraints if f"{name} <= 0" not in snapshot.definition.subject_to]:
            self._desk.revise(lambda now: _constrained(now, new))
        if not wishes:
            return
        self._extend(wishes)
        suggested = snapshot.params(number) or {}
        asked = snapshot.space.asked
        had = {name: value for name, value in suggested.items() if name not in asked or name in wishes}
        had |= {name: wish.value for name, wish in wishes.items()}
        if had != suggested:
            drawn = {name: wish.form for name, wish in wishes.items() if wish.drawn}
            revision = len(snapshot.revisions) - 1
            self._desk.write([Settled(number, attempt, had, drawn, revision)])
        if whole:
            self._explain(number)

    def _extend(self, wishes: Mapping[str, Wish]) -> None:
        if self._space is not self._desk.snapshot.space:
            self._covered, self._space = {}, self._desk.snapshot.space
        forms = {name: wish.form for name, wish in wishes.items() if self._covered.get(name) != wish.form}
        if forms:
            self._desk.revise(lambda now: _extended(now, forms))
            if self._space is not self._desk.snapshot.space:
                self._covered, self._space = {}, self._desk.snapshot.space
            self._covered.update(forms)

    def _explain(self, number: int) -> None:
        """Seek conditions anew where this trial had other parameters than those that are known say."""
        snapshot = self._desk.snapshot
        space = snapshot.space
        codes = snapshot.codes[[number]]
        if (space.conditions.activity(codes) == ~np.isnan(codes)).all():
            return
        rows = np.append(snapshot.where(State.COMPLETE, State.PRUNED), number)
        if len(rows) > _FEW and len(rows) < _AGAIN * self._sought:
            return
        self._sought = len(rows)
        rows = rows[snapshot.chosen[rows]]
        columns = dict(zip(space.searched, space.columns, strict=True))
        found = branches(columns, snapshot.codes[rows])
        when = {name: text for name, text in found.items() if name in space.asked}
        self._desk.revise(lambda now: _conditioned(now, when))


def _constrained(now: Definition, names: Sequence[str]) -> Definition:
    texts = [f"{name} <= 0" for name in names]
    for name in names:
        if not name.isidentifier():
            raise InputError(
                f"{name!r} is not a constraint's name; use letters, digits and _: memory", ("set_constraint",)
            )
    fresh = [text for text in texts if text not in now.subject_to]
    return msgspec.structs.replace(now, subject_to=[*now.subject_to, *fresh]) if fresh else now


def _extended(now: Definition, forms: Mapping[str, Form]) -> Definition:
    """The definition whose space holds what was asked for."""
    known = now.parsed_space().parameters
    space = dict(now.space)
    for name, form in forms.items():
        before = known.get(name)
        wanted = parsed(name, form)
        if before is None:
            space[name] = {**wanted.to_json(), "asked": True}
        elif isinstance(before, Searched) and (wider := _wider(name, before, wanted, space[name])):
            space[name] = wider
    return now if space == now.space else msgspec.structs.replace(now, space=space)


def _wider(name: str, before: Searched, wanted: Searched, form: Form) -> Form | None:
    """The parameter with the values of both; None if it has them already, or is one that the study was given."""
    if before.kind != wanted.kind:
        if not before.asked:
            return None  # as long as its values are allowed it may be of any kind
        raise InputError(
            f"it was asked for as {before.kind} and is now asked for as {wanted.kind}; ask for one kind under one name",
            (name,),
        )
    if not before.asked or before.narrower(wanted) is None:
        return None
    if isinstance(before, Number) and isinstance(wanted, Number):
        low = min(before.bounds[0], wanted.bounds[0])
        high = max(before.bounds[1], wanted.bounds[1])
        whole = before.kind.endswith("_int")
        kept = {key: value for key, value in form.items() if key not in (before.kind, "step")}
        return {before.kind: [int(low), int(high)] if whole else [low, high], **kept}
    assert isinstance(before, choice) and isinstance(wanted, choice), "kinds are the same"
    more = [value for value in wanted.arguments()[0] if not _has(before, value)]
    return {**form, "choice": [*before.arguments()[0], *more]} if more else None


def _has(parameter: Searched, value: Any) -> bool:
    try:
        parameter.code(value)
    except InputError:
        return False
    return True


def _conditioned(now: Definition, when: Mapping[str, str]) -> Definition:
    """The definition with these conditions of what was asked for, and no others."""
    space: dict[str, Any] = {}
    for name, form in now.space.items():
        plain = {key: value for key, value in form.items() if key != "when"}
        asked = form.get("asked", False)
        space[name] = {**plain, "when": when[name]} if asked and name in when else plain if asked else form
    return now if space == now.space else msgspec.structs.replace(now, space=space)
