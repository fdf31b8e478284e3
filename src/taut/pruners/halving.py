"""Successive halving: many trials begin, and on each rung only the best of those that are there go on.

One rule in several arrangements. *Where* trials begin: all on the lowest rung, or in brackets that begin higher up and stop
fewer (Hyperband). *When* they are compared: with whoever is on the rung by then (asynchronous, ASHA), or only when all of their
cohort are (synchronous). *What happens* to the others: they wait, to be promoted when that changes, or they stop for good.
"""

from __future__ import annotations

import bisect
import dataclasses
import functools
import math
import weakref
from collections.abc import Iterator, Sequence
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from taut.definition import Definition
from taut.errors import InputError
from taut.ladder import Ladder
from taut.pruners.base import Judgement, Pruner
from taut.pruners.promoted import in_vain
from taut.snapshot import Snapshot
from taut.space.prior import Floats
from taut.standing import standing
from taut.trial import State, trial_seed

__all__ = ["AshaPruner", "HalvingPruner", "HyperbandPruner"]

_decided: weakref.WeakKeyDictionary[
    Ladder, dict[tuple[_Halving, int], tuple[tuple[object, ...], list[int]]]
] = weakref.WeakKeyDictionary()
"""By cohort, what was known of it and who of it may go on."""

_GOLDEN = (5**0.5 - 1) / 2  # its multiples fill an interval evenly, however many there are
_VARIANTS = ("promotion", "stopping")


class Bracket(NamedTuple):
    """lowest: the rung on which its trials are compared first. size: how many trials begin in a cohort of it."""

    lowest: int
    size: int


@dataclasses.dataclass(frozen=True)
class _Halving(Pruner):
    needs_fidelity: ClassVar[bool] = True
    every_bracket: ClassVar[bool] = False
    together: ClassVar[bool] = False

    eta: float = 3.0

    def __post_init__(self) -> None:
        if isinstance(self.eta, bool) or not isinstance(self.eta, int | float) or not 1.5 <= self.eta <= 100:
            raise InputError(
                f"eta = {self.eta!r} must be a number from 1.5 to 100: of so many trials one goes on",
                ("pruner", "eta"),
            )

    def settled(self, definition: Definition) -> Pruner:
        fidelity = definition.fidelity
        if fidelity is not None and len(fidelity.rungs(self.eta)) < 2:
            raise InputError(
                f"between {fidelity.min:g} and {fidelity.max:g} there is no room for a rung with eta = {self.eta:g}; "
                f"let min be at most {fidelity.max / self.eta:g}",
                ("pruner", "fidelity", "min"),
            )
        return self

    @property
    def pauses(self) -> bool:
        return True

    def judge(self, snapshot: Snapshot, number: int, since: float = -np.inf) -> Judgement:
        rungs, last = self._rungs(snapshot), snapshot.curves.last(number)
        if last is None or _below(rungs, last.s) == _below(rungs, since):
            return Judgement.GO  # no rung lies between, as with most steps, or it is the last
        ladder = self._ladder(snapshot)
        top = ladder.height(number) - 1
        if top < 0 or top == len(ladder.rungs) - 1 or since >= ladder.rungs[top]:
            return Judgement.GO  # nothing new, or nothing above
        if top < self._bracket(snapshot, number).lowest:
            return Judgement.GO
        if self.pauses and ladder.rungs[top] < snapshot.goals.get(number, (0, -np.inf))[1]:
            return Judgement.GO  # it begins again from its start, on its way to where it was promoted to
        if ladder.lost(number, top):
            return Judgement.STOP  # it would wait for ever
        if self._goes_on(snapshot, ladder, number, top):
            return Judgement.GO
        return Judgement.PAUSE if self.pauses else Judgement.STOP

    def promotable(self, snapshot: Snapshot, closing: bool = False) -> Sequence[int]:
        if not snapshot.waiting:
            return ()
        if closing and in_vain(
            snapshot
        ):  # else all that wait would go on one after the other, to fail for the same reason
            return ()
        ladder = self._ladder(snapshot)
        if self.together:
            found = self._of_cohorts(snapshot, ladder, closing)
        else:
            found = self._of_rungs(snapshot, ladder)
        if (
            not found
            and closing
            and not snapshot.counts[State.COMPLETE]
            and not snapshot.counts[State.RUNNING]
        ):
            found = self._last_one(snapshot, ladder)
        return found

    def goal(self, snapshot: Snapshot, number: int) -> float | None:
        fidelity = snapshot.definition.fidelity
        if fidelity is None:
            return None
        if not self.pauses:
            return fidelity.max
        rungs, at = self._rungs(snapshot), snapshot.waiting.get(number)
        if at is not None:
            return float(rungs[min(bisect.bisect_right(rungs, at), len(rungs) - 1)])
        if number in snapshot.goals:  # an attempt that died on its way there was not promoted any further
            return snapshot.goals[number][1]
        return float(rungs[self._bracket(snapshot, number).lowest])

    def account(self, snapshot: Snapshot) -> str | None:
        fidelity = snapshot.definition.fidelity
        if fidelity is None:
            return None
        rungs = ", ".join(f"{rung:g}" for rung in self._rungs(snapshot))
        what = "the others wait" if self.pauses else "the others stop"
        return f"one of {self.eta:g} goes on from each of {fidelity.name} {rungs}; {what}"

    # ------------------------------------------------------------------ the rule

    def _goes_on(self, snapshot: Snapshot, ladder: Ladder, number: int, rung: int) -> bool:
        if self.together:  # its cohort decides when all are there
            return False
        peers = self._peers(snapshot, ladder, number, rung)
        merit = _merit(ladder, peers, rung)
        place = int(peers.searchsorted(number))
        if place == len(peers) or peers[place] != number:
            return True  # it has ended, and nobody asks for its sake
        if not self.pauses and len(peers) < self.eta:
            return True
        return int(np.count_nonzero(merit < merit[place])) < int(len(peers) / self.eta)

    def _of_rungs(self, snapshot: Snapshot, ladder: Ladder) -> list[int]:
        """Algorithm 2 of ASHA: from the highest rung down, whoever waits there and is among the best."""
        found: list[int] = []
        for rung, here in _places(snapshot, ladder):
            group = self._group(snapshot, here) if self.every_bracket else np.zeros(len(here))
            for each in np.unique(group):
                ours = here[group == each]
                peers = self._peers(snapshot, ladder, int(ours[0]), rung)
                best = _best(ladder, peers, rung, int(len(peers) / self.eta))
                found += best[np.isin(best, ours)].tolist()
        return found

    def _of_cohorts(self, snapshot: Snapshot, ladder: Ladder, closing: bool) -> list[int]:
        """Of all cohorts; one in which nothing has changed since the last look is not looked at again."""
        decided = _decided.setdefault(ladder, {})
        numbers = np.fromiter(snapshot.waiting, np.int64, len(snapshot.waiting))
        waits = np.zeros(snapshot.size, bool)
        waits[numbers] = True
        found: list[int] = []
        for each in np.unique(self._group(snapshot, numbers)).tolist():
            members = self._members(snapshot, each)
            first, end = int(members[0]), int(members[-1]) + 1
            known = (
                ladder.content(first, end),
                snapshot.state[first:end].tobytes(),
                waits[first:end].tobytes(),
                closing,
                snapshot.size >= end,
            )
            before = decided.get((self, each))
            if before is None or before[0] != known:
                before = decided[self, each] = known, self._of_cohort(snapshot, ladder, each, closing)
            found += before[1]
        return sorted(found, key=lambda n: (-ladder.height(n), n))

    def _of_cohort(self, snapshot: Snapshot, ladder: Ladder, group: int, closing: bool) -> list[int]:
        """Whoever was chosen for a higher rung than the one on which it waits."""
        members = self._members(snapshot, group)
        whole = closing or members[-1] < snapshot.size
        chosen = members[members < snapshot.size]
        for rung in range(self._bracket(snapshot, int(members[0])).lowest, len(ladder.rungs)):
            there = np.array([ladder.height(n) > rung for n in chosen.tolist()], bool)
            coming = chosen[~there & (snapshot.state[chosen] < State.COMPLETE)]
            if len(coming) or not whole:
                return [n for n in coming.tolist() if n in snapshot.waiting] if rung else []
            arrived = self._on(snapshot, ladder, chosen[there], rung)
            chosen = _best(ladder, arrived, rung, max(int(len(arrived) / self.eta), 1))
        return []

    def _last_one(self, snapshot: Snapshot, ladder: Ladder) -> list[int]:
        """The best of the highest rung: a study is to end with a trial that was taken all the way."""
        for rung, here in _places(snapshot, ladder):
            best = _best(ladder, here, rung, 1)
            if len(best):
                return [int(best[0])]
        return []

    def _peers(self, snapshot: Snapshot, ladder: Ladder, number: int, rung: int) -> NDArray[np.int64]:
        """The trials on the rung that `number` is compared with, itself included."""
        there = ladder.heights[: snapshot.size] > rung
        if self.every_bracket:
            turns = self._turns(snapshot, snapshot.size)
            there &= turns[: len(there)] == turns[number]
        return self._on(snapshot, ladder, there.nonzero()[0], rung)

    def _on(
        self, snapshot: Snapshot, ladder: Ladder, numbers: NDArray[np.int64], rung: int
    ) -> NDArray[np.int64]:
        """Those of the trials on a rung that can take one of its places: not whoever failed or gave up right there."""
        if not snapshot.counts[State.FAILED] + snapshot.counts[State.PRUNED]:
            return numbers
        state, ended = snapshot.state[numbers], ladder.heights[numbers] == rung + 1
        gone = (state == State.FAILED) | (self.pauses & (state == State.PRUNED))
        staying: NDArray[np.int64] = numbers[~(gone & ended)]
        return staying

    # ------------------------------------------------------------------ brackets

    def _rungs(self, snapshot: Snapshot) -> list[float]:
        fidelity = snapshot.definition.fidelity
        assert fidelity is not None, "a study with this pruner has a fidelity"
        return fidelity.rungs(self.eta)

    def _ladder(self, snapshot: Snapshot) -> Ladder:
        return Ladder.of(snapshot, self._rungs(snapshot))

    def _brackets(self, snapshot: Snapshot) -> list[Bracket]:
        count = len(self._rungs(snapshot))
        return _brackets(count, self.eta, self.every_bracket)

    def _bracket(self, snapshot: Snapshot, number: int) -> Bracket:
        brackets = self._brackets(snapshot)
        if len(brackets) == 1:
            return brackets[0]
        if self.together:
            return brackets[int(self._group(snapshot, np.array([number]))[0]) % len(brackets)]
        return brackets[int(self._turns(snapshot, number)[number])]

    def _group(self, snapshot: Snapshot, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """(k,) which trials are compared: their cohort, or their bracket."""
        brackets = self._brackets(snapshot)
        if self.together:
            ends = np.cumsum([bracket.size for bracket in brackets])
            rounds, place = np.divmod(numbers, ends[-1])
            return np.asarray(rounds * len(brackets) + np.searchsorted(ends, place, side="right"))
        return self._turns(snapshot, int(numbers.max(initial=0)))[numbers]

    def _turns(self, snapshot: Snapshot, highest: int) -> NDArray[np.int64]:
        """The bracket of each trial, at least up to the `highest`, where they take turns."""
        room = 1 << max(highest, 63).bit_length()
        return _turns(snapshot.definition.seed, len(self._rungs(snapshot)), self.eta, room)

    def _members(self, snapshot: Snapshot, group: int) -> NDArray[np.int64]:
        """The numbers of a cohort's trials."""
        sizes = [bracket.size for bracket in self._brackets(snapshot)]
        rounds, which = divmod(group, len(sizes))
        first = rounds * sum(sizes) + sum(sizes[:which])
        return np.arange(first, first + sizes[which])


@dataclasses.dataclass(frozen=True)
class AshaPruner(_Halving):
    """Asynchronous successive halving: on each rung a trial goes on while it is among the best of `eta` trials there.

    Choose it first, and for many workers: nobody waits for anybody. The rungs are steps of the study's fidelity, each `eta` times
    the one before, up to a whole trial.

    eta: of so many trials on a rung one goes on. From 1.5 to 100, 3 by default; 4 for very many trials.
    variant: "promotion": trials stop on every rung, free their worker, and the best go on later, when it has turned out that they
        are the best (the paper's algorithm); for objectives that resume from a checkpoint. "stopping": a trial is judged on a rung
        when it gets there and stops for good, or runs on; nothing need be resumed. Left out: "promotion" where the fidelity
        says ``resume = true``, else "stopping".

    Source: Li et al., "A system for massively parallel hyperparameter tuning", MLSys 2020, arXiv:1810.05934, algorithm 2; the
    stopping variant as in Syne Tune (Salinas et al., AutoML 2022).
    """

    variant: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.variant not in (None, *_VARIANTS):
            raise InputError(
                f'variant = {self.variant!r} is not known; use "promotion" or "stopping"',
                ("pruner", "variant"),
            )

    def settled(self, definition: Definition) -> Pruner:
        super().settled(definition)
        if self.variant is not None or definition.fidelity is None:
            return self
        return dataclasses.replace(self, variant="promotion" if definition.fidelity.resume else "stopping")

    @property
    def pauses(self) -> bool:
        return self.variant == "promotion"


@dataclasses.dataclass(frozen=True)
class HalvingPruner(_Halving):
    """Successive halving: cohorts of trials, of which on each rung the best `1 / eta` go on, once all are there.

    Choose `asha` unless few workers and noisy early steps make it worth waiting for a whole cohort: no trial is promoted too
    early here, and a slow trial holds up its cohort. Meanwhile workers begin the next one.

    eta: of so many trials on a rung one goes on. From 1.5 to 100, 3 by default.

    Source: Jamieson & Talwalkar, AISTATS 2016, arXiv:1502.07943.
    """

    together: ClassVar[bool] = True


@dataclasses.dataclass(frozen=True)
class HyperbandPruner(_Halving):
    """Hyperband: successive halving in brackets, from many trials that are stopped early to few that are never stopped.

    Choose it where early steps may mislead: part of the trials is not judged by them.

    eta: of so many trials on a rung one goes on. From 1.5 to 100, 3 by default.
    asynchronous: trials are compared with all of their bracket that are on the rung by then, and brackets take turns in
        proportion to their sizes; otherwise cohorts are filled and compared one after the other, as in the paper.

    Source: Li et al., JMLR 18, 2018, arXiv:1603.06560, algorithm 1; asynchronous: as in arXiv:1810.05934.
    """

    every_bracket: ClassVar[bool] = True
    asynchronous: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.asynchronous, bool):
            raise InputError(
                f"asynchronous = {self.asynchronous!r} must be true or false", ("pruner", "asynchronous")
            )

    @property
    def together(self) -> bool:  # type: ignore[override]
        return not self.asynchronous


@functools.lru_cache(maxsize=64)
def _brackets(rungs: int, eta: float, every: bool = True) -> list[Bracket]:
    """From the one that begins lowest to the one whose trials run to the end (Hyperband, algorithm 1, line 3).

    every: all of them, or the first alone.
    """
    most = rungs - 1
    found = [Bracket(most - s, math.ceil((most + 1) / (s + 1) * eta**s - 1e-9)) for s in range(most, -1, -1)]
    return found if every else found[:1]


@functools.lru_cache(maxsize=64)
def _turns(seed: int, rungs: int, eta: float, count: int) -> NDArray[np.int64]:
    """(count,) the bracket of each trial: they take turns, in proportion to their sizes."""
    share = np.cumsum([bracket.size for bracket in _brackets(rungs, eta)])
    even = (trial_seed(seed, 0) / 2**31 + np.arange(count) * _GOLDEN) % 1.0
    turns = np.minimum(np.searchsorted(share / share[-1], even, side="right"), len(share) - 1)
    turns.flags.writeable = False
    return turns


def _below(rungs: list[float], step: float) -> int:
    """How many rungs a step has come to, the last one, on which nobody is compared, left out."""
    return bisect.bisect_right(rungs, step, 0, len(rungs) - 1)


def _merit(ladder: Ladder, numbers: NDArray[np.int64], rung: int) -> Floats:
    loss = ladder.loss(numbers, rung)
    if ladder.plain:
        return loss[:, 0]
    told = ~np.isnan(loss).all(axis=0)  # an objective that nobody tells before the end compares nobody
    return standing(loss[:, told] if told.any() else loss, ladder.slacks(rung)[numbers])


def _best(ladder: Ladder, numbers: NDArray[np.int64], rung: int, count: int) -> NDArray[np.int64]:
    """Up to `count` of the trials `numbers`, the best first; none that has no number there."""
    merit = _merit(ladder, numbers, rung)
    order = np.argsort(merit, kind="stable")[:count]
    return numbers[order[np.isfinite(merit[order])]]


def _places(snapshot: Snapshot, ladder: Ladder) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """The trials that wait, rung by rung, from the highest down."""
    found: dict[int, list[int]] = {}
    for n in sorted(snapshot.waiting):
        found.setdefault(ladder.height(n) - 1, []).append(n)
    for rung in sorted(found, reverse=True):
        if rung >= 0:
            yield rung, np.array(found[rung])
