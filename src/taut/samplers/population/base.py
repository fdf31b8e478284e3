"""What population methods have in common: a state that is rebuilt, generation by generation, from the trials that have ended.

A generation is the next `size` trials that ended, in the order in which they did, whichever parents they had. So nobody waits for
anybody: a worker that is free gets a child of the latest generation, and with one worker the method is that of its paper. The state
is a pure function of that order. It is kept beside the snapshot, so that each trial is taken in once; where a result comes in late
and changes the order, the state goes back to the last generation that it leaves as it was.
"""

from __future__ import annotations

import weakref
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from taut.samplers.base import Codes, Note, Numbers, Sampler, draw
from taut.samplers.geometry import Geometry
from taut.samplers.history import History
from taut.samplers.population.ended import Ended, Outcomes
from taut.samplers.quasirandom import halton
from taut.samplers.untried import part
from taut.snapshot import Snapshot
from taut.space import Space
from taut.space.prior import Floats

__all__ = ["PopulationSampler"]

_KEPT = 16  # states before the latest that one can go back to
_TAG = 0x90  # so that no other sampler's numbers are these

S = TypeVar("S")


class PopulationSampler(Sampler, Generic[S]):
    """Subclasses are frozen dataclasses of their options, and say how a state begins, how it goes on, and what a child of it is.

    A state is never changed: `grown` returns another one. Randomness in it comes from the numbers of the trials, or from `seed`.
    """

    uses_history: ClassVar[bool] = True
    partial: ClassVar[bool] = True
    """Whether a state may take in less than a generation: for methods where the sizes of what is taken in make no difference."""

    @abstractmethod
    def size(self, geometry: Geometry) -> int:
        """Trials in a generation."""

    def designed(self, geometry: Geometry) -> int:
        """Trials that are drawn from the priors before the first child."""
        return self.size(geometry)

    @abstractmethod
    def begun(self, geometry: Geometry, snapshot: Snapshot) -> S:
        """The state before any trial has ended."""

    @abstractmethod
    def grown(self, geometry: Geometry, state: S, ended: Ended, snapshot: Snapshot) -> S:
        """The state after these trials, too; a whole generation unless `partial`. `snapshot` is for notes, seed and definition alone."""

    @abstractmethod
    def child(
        self, geometry: Geometry, state: S, number: int, snapshot: Snapshot, rng: np.random.Generator
    ) -> tuple[Floats, Note | None]:
        """(d,) a point of the unit cube for trial `number`, and what is to be remembered of it. It is clipped and snapped to cells."""

    def ready(self, state: S) -> bool:
        """Whether there is anything to descend from; otherwise more is drawn from the priors."""
        return True

    def propose(self, space: Space, seed: int, numbers: Numbers, snapshot: Snapshot | None) -> Codes:
        return self.propose_noted(space, seed, numbers, snapshot)[0]

    def propose_noted(
        self, space: Space, seed: int, numbers: Numbers, snapshot: Snapshot | None
    ) -> tuple[Codes, Sequence[Note | None]]:
        assert snapshot is not None
        geometry = Geometry.of(space)
        if not len(geometry.free):  # there is nothing to choose
            return draw(space, np.full((len(numbers), len(space)), 0.5), numbers), [None] * len(numbers)
        state = self.state(snapshot)
        first = numbers < (self.designed(geometry) if self.ready(state) else np.inf)
        codes = np.empty((len(numbers), len(space)))
        notes: list[Note | None] = [None] * len(numbers)
        if first.any():
            codes[first] = draw(space, halton(numbers[first], len(space), seed), numbers[first])
        for i in np.flatnonzero(~first).tolist():
            number = int(numbers[i])
            rng = np.random.default_rng([seed, number, _TAG])
            unit, notes[i] = self.child(geometry, state, number, snapshot, rng)
            codes[i] = geometry.codes(unit[None])[0]
        part(space, seed, numbers, codes, snapshot)
        return codes, notes

    def state(self, snapshot: Snapshot) -> S:
        """The state after all trials that have ended."""
        lines = _lines.setdefault(snapshot, {})
        line = lines.get(self)
        if line is None or line.space is not snapshot.space:
            lines[self] = line = _Line(self, snapshot)
        state: S = line.latest(snapshot)
        return state


class _Line(Generic[S]):
    """The states of one sampler in one snapshot."""

    def __init__(self, sampler: PopulationSampler[S], snapshot: Snapshot) -> None:
        self.space = snapshot.space
        self._sampler = sampler
        self._geometry = Geometry.of(snapshot.space)
        self._size = sampler.size(self._geometry)
        self._states = [(0, sampler.begun(self._geometry, snapshot))]  # trials taken in, and the state then
        self._taken: Outcomes | None = None
        self._settled = 0
        self._latest: tuple[int, S] = self._states[0]

    def latest(self, snapshot: Snapshot) -> S:
        history = History.of(snapshot)
        ended = Outcomes.of(history)
        same = 0 if self._taken is None else self._taken.same(ended)
        if len(snapshot.settled) > self._settled:  # these have moved
            moved = np.isin(ended.numbers[:same], snapshot.settled[self._settled :])
            same = int(moved.argmax()) if moved.any() else same
            self._settled = len(snapshot.settled)
        if self._taken is not None and same == len(self._taken) == len(ended):
            return self._latest[1]
        self._taken = ended
        while self._states and self._states[-1][0] > same:
            self._states.pop()
        if not self._states:
            self._states = [(0, self._sampler.begun(self._geometry, snapshot))]
        count, state = self._states[-1]
        if self._sampler.partial and count < self._latest[0] <= same:
            count, state = self._latest
        while (end := self._states[-1][0] + self._size) <= len(ended):
            state = self._grown(state, Ended.of(history, ended, count, end), snapshot)
            count = end
            self._states.append((count, state))
        del self._states[:-_KEPT]
        if self._sampler.partial and count < len(ended):
            state = self._grown(state, Ended.of(history, ended, count), snapshot)
            count = len(ended)
        self._latest = count, state
        return state

    def _grown(self, state: S, ended: Ended, snapshot: Snapshot) -> S:
        return self._sampler.grown(self._geometry, state, ended, snapshot)


_lines: weakref.WeakKeyDictionary[Snapshot, dict[PopulationSampler[Any], _Line[Any]]] = (
    weakref.WeakKeyDictionary()
)
