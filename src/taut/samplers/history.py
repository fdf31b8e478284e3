"""What a model learns from: the trials of a snapshot, as arrays.

`History.of(snapshot)` costs little however often it is asked: where trials lie in the unit cube is worked out once for each.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from taut.definition import Objective
from taut.preferred import aims
from taut.samplers.base import Numbers
from taut.samplers.completed import Completed, Rows, lasting
from taut.samplers.partial import Partial
from taut.samplers.places import Places
from taut.slack import slacks
from taut.snapshot import Snapshot
from taut.space.prior import Bools, Floats
from taut.trial import State

__all__ = ["History"]


class Steps(NamedTuple):
    """All that was measured, a row for each rung that a trial has come to.

    who: (n,) rows of `History.done`. grade: (n,) how far that was, from -1, the lowest rung, to 0, a whole trial, evenly in the
    logarithm of the step. loss: (n, m). last: (n,) which rows are their trial's highest rung.
    """

    who: NDArray[np.int64]
    grade: Floats
    loss: Floats
    last: Bools


class History:
    """The trials of a snapshot by what became of them; rows of all arrays are trials in the order of `done`.

    done: complete trials, in the order in which they ended; in a study with a fidelity and a pruner also those that have come to
    a rung, in the order in which they came there. ended: (k,) when that was. loss: (k, m) their objectives, less is better; of trials that are not
    complete what they would probably come to (see `partial.py`). Where the study prefers some objectives to others, `loss` and `slack` are
    what `taut.preferred.aims` makes of that. graded: whether there may be such. whole: (k,) which of them say what a trial on the highest rung that any
    is on comes to. slack: (k, c) their constraints, kept where at most 0. good: (k,) which fulfil every constraint. failed: trials that ended without a result
    through their parameters' fault, as far as anybody knows (what only lost its worker is tried again, and pending).
    pruned: trials that were given up. pending: trials that are running, or will be; `done` has none of either.
    """

    table: object
    """What grows by a row when a trial ends, if `done` and `loss` are its first rows; see `Completed.table`."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.space = snapshot.space
        partial = (
            Partial.of(snapshot) if snapshot.definition.fidelity and snapshot.definition.pruner else None
        )
        if partial is None:
            completed = Completed.of(snapshot)
            rows = completed.rows()
            self.table = completed.table if snapshot.definition.prefer is None else None
        else:
            self.table = None
            rows = lasting(snapshot, Rows(partial.numbers, partial.loss, partial.ended))
            if self.space.asked:  # what they had is known when they end
                rows = rows.of(snapshot.state[rows.number] != State.RUNNING)
        self.done, self._table, self.ended = rows
        self.graded = partial is not None
        self._partial = partial

    @staticmethod
    def of(snapshot: Snapshot) -> History:
        return History(snapshot)

    def __len__(self) -> int:
        return len(self.done)

    @cached_property
    def whole(self) -> Bools:
        return np.ones(len(self.done), bool) if self._partial is None else self._partial.whole[self.done]

    @cached_property
    def steps(self) -> Steps:
        if self._partial is None:
            count = len(self.done)
            return Steps(np.arange(count), np.zeros(count), self.loss, np.ones(count, bool))
        who, grade, loss, last = self._partial.steps(self.done)
        return Steps(who, grade, self._aims(loss)[0], last)

    @cached_property
    def loss(self) -> Floats:
        return self._aims(self._table)[0]

    @cached_property
    def slack(self) -> Floats:
        within = self._aims(self._table)[1]
        return np.concatenate((self._constraints, within), axis=1) if within.shape[1] else self._constraints

    @property
    def objectives(self) -> list[Objective]:
        """What the columns of `loss` are."""
        definition = self.snapshot.definition
        if definition.prefer is None:
            return definition.objectives
        if definition.prefer.weights:
            return [Objective("weighted")]
        known = {objective.metric: objective for objective in definition.objectives}
        return [known[rank.metric] for rank in definition.prefer.decisive]

    def _aims(self, table: Floats) -> tuple[Floats, Floats]:
        """Losses, and what is to be kept beside the constraints, of rows of objectives."""
        definition = self.snapshot.definition
        if definition.prefer is None:
            return table, np.empty((len(table), 0))
        metrics = [objective.metric for objective in definition.objectives]
        good = (self._constraints <= 0.0).all(axis=1)
        return aims(definition.prefer, metrics, table, self._table[good] if good.any() else self._table)

    @cached_property
    def failed(self) -> Numbers:
        return self._chosen(self.snapshot.where(State.FAILED))

    @cached_property
    def pruned(self) -> Numbers:
        return self._others(self.snapshot.where(State.PRUNED))

    @cached_property
    def pending(self) -> Numbers:
        found = self._others(self.snapshot.where(State.RUNNING, State.WAITING, State.PAUSED))
        if self.space.asked and len(
            found
        ):  # what a trial will ask for that was offered nothing, nobody knows
            found = found[~np.isnan(self.snapshot.codes[found]).all(axis=1)]
        return found

    def _others(self, numbers: Numbers) -> Numbers:
        """Those whose parameters are known and that are not done."""
        if self._partial is not None:
            numbers = numbers[~np.isin(numbers, self.done)]
        return self._chosen(numbers)

    def _chosen(self, numbers: Numbers) -> Numbers:
        """Those whose parameters are known."""
        return numbers[self.snapshot.chosen[numbers]] if len(numbers) else numbers

    @cached_property
    def _constraints(self) -> Floats:
        if not self.snapshot.definition.subject_to:
            return np.empty((len(self.done), 0))
        values = self.snapshot.values if self._partial is None else self._partial.values
        return slacks(self.snapshot.definition.subject_to, values, self.snapshot.size)[self.done]

    @cached_property
    def good(self) -> Bools:
        return np.asarray((self.slack <= 0.0).all(axis=1))

    @cached_property
    def seconds(self) -> Floats:
        """(k,) how long each trial took, over all its attempts; of one that stopped on the way, what a whole one would have."""
        took = self.snapshot.finished[self.done] - self.snapshot.started[self.done]
        for i in np.flatnonzero(np.isin(self.done, list(self.snapshot.releases))):
            took[i] = self.snapshot.spent(int(self.done[i]))
        return np.asarray(took if self._partial is None else took / self._partial.share(self.done))

    def unit(self, numbers: Numbers) -> Floats:
        """(k, d) where trials lie in the unit cube: discrete values in the middle of their cells, 0.5 where inactive."""
        return Places.of(self.snapshot).unit[numbers]

    def active(self, numbers: Numbers) -> Bools:
        """(k, d) which parameters trials have."""
        return ~np.isnan(self.snapshot.codes[numbers])
