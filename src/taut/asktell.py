"""Asking for trials and telling how they went, with everything checked that a user may get wrong."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from taut.decide import Start, Wait
from taut.endings import Ended, arrived
from taut.errors import InputError, StudyError
from taut.reaper import Reaper
from taut.store import Store
from taut.trial import Trial, own_copy
from taut.verdict import numbers, verdict
from taut.wishes import parted

__all__ = ["AskTell"]


class AskTell:
    """Hands out a store's trials; also the channel that they speak through (`taut.trial.Channel`)."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.reaper = Reaper(store)
        # Whether somebody who tells by number has looked how far the trial was to run, its trial knows.
        self._out: weakref.WeakValueDictionary[tuple[int, int], Trial] = weakref.WeakValueDictionary()

    def ask(self, count: int) -> list[Trial]:
        """Up to `count` trials; fewer where the budget ends. Raises `StudyError` if there is none at all."""
        with self._store.lock:
            return self._ask(count)

    def _ask(self, count: int) -> list[Trial]:
        trials: list[Trial] = []
        self.reaper.look()
        while len(trials) < count:
            decision = self._store.next(free=count - len(trials), ahead=False)
            if isinstance(decision, Start):
                trials += self.trials(decision)
            elif isinstance(decision, Wait) and self.reaper.reap():
                continue  # what the dead left can be had
            elif trials:
                break
            else:
                raise StudyError(f"nothing to ask for: {decision.why}")
        return trials

    def trials(self, start: Start) -> list[Trial]:
        """The live trials of a decision. Their parameters are the user's own copy."""
        store, attempt, seed = self._store, start.attempt, self._store.snapshot.definition.seed
        own = own_copy if store.snapshot.space.holds_lists else dict
        asked = store.snapshot.space.asked
        main = [objective.metric for objective in store.snapshot.definition.objectives]
        trials = [
            Trial(
                n,
                attempt,
                params,
                self,
                seed,
                store.trial_directory(n),
                goal,
                store.step_before(n, attempt),
                *store.origin(n),
                offered,
                main,
            )
            for n, (params, offered), goal in zip(
                start.numbers,
                (parted(own(suggested.params), asked) for suggested in start.suggested),
                start.goals,
                strict=True,
            )
        ]
        if store.proposals.pruner is not None or asked or not store.snapshot.space.names:
            self._out.update({(trial.number, attempt): trial for trial in trials})
        return trials

    def tell_all(
        self, trials: Sequence[Trial | int], values: Sequence[Mapping[str, Any]], error: str | None = None
    ) -> None:
        """Write down how these trials went, with one flush; nothing is written if any of it is wrong."""
        with self._store.lock:
            self._tell_all(trials, values, error)

    def _tell_all(
        self, trials: Sequence[Trial | int], values: Sequence[Mapping[str, Any]], error: str | None
    ) -> None:
        ended: dict[int, Ended] = {}
        for trial, metrics in zip(trials, values, strict=True):
            number, attempt = self._identify(trial)
            if isinstance(trial, Trial) and trial.paused:
                raise InputError(f"trial {number} was paused; its next attempt tells how it went", ("trial",))
            if number in ended or self.told(number, attempt):
                raise InputError(f"trial {number} was told before; what was told first stands", ("trial",))
            pruned = error is None and self._store.referee.ends_early(number, attempt)
            live = trial if isinstance(trial, Trial) else self._out.get((number, attempt))
            aimed = live is not None and live.aimed
            noted = {}
            if live is not None and (live.wishes or live.user_attrs or live.constraints):
                noted = live.noted
                constraints, whole = list(live.constraints), error is None
                self._store.discovery.settle(number, attempt, live.wishes, constraints, whole)
            told = {**arrived(self._store.snapshot, number, attempt), **noted, **metrics}
            ended[number] = Ended(number, attempt, verdict(self._store.must, told, error, pruned), aimed)
        if ended:
            self._store.finish(list(ended.values()))
        for trial in trials:
            if isinstance(trial, Trial):
                trial.told = True

    def told(self, number: int, attempt: int) -> bool:
        """Whether this attempt has its result, or waits on a rung with what it had there."""
        snapshot = self._store.snapshot
        waits = number in snapshot.waiting and snapshot.attempt[number] == attempt
        return waits or (number < snapshot.size and snapshot.ended(number, attempt))

    def _identify(self, trial: Trial | int) -> tuple[int, int]:
        if isinstance(trial, Trial) and trial.speaks_to(self):
            return trial.number, trial.attempt
        if isinstance(trial, Trial) and not trial.is_below(self._store.journal.directory):
            raise InputError(f"trial {trial.number} belongs to another study; tell it there", ("trial",))
        number = trial.number if isinstance(trial, Trial) else int(trial)
        self._store.refresh()
        snapshot = self._store.snapshot
        if not 0 <= number < snapshot.size or snapshot.attempt[number] < 0:
            raise InputError(f"there is no trial {number}; {len(snapshot.known)} were started", ("trial",))
        return number, trial.attempt if isinstance(trial, Trial) else int(snapshot.attempt[number])

    # ------------------------------------------------------------------ what a live trial says

    def report(self, trial: Trial, step: float, values: Mapping[str, float]) -> None:
        with self._store.lock:
            self._store.report(trial.number, trial.attempt, step, numbers(values))

    def should_stop(self, trial: Trial) -> bool:
        with self._store.lock:
            return self._store.referee.stops(trial.number, trial.attempt)

    def should_checkpoint(self, trial: Trial) -> bool:
        return self._store.walltime.leaving() is not None

    def pause(self, trial: Trial) -> None:
        with self._store.lock:
            if trial.told or trial.paused or self.told(trial.number, trial.attempt):
                raise InputError(f"trial {trial.number} has ended; it cannot be paused", ("trial",))
            self._store.handback.pause(trial.number, trial.attempt)
            trial.paused = True

    def tell(self, trial: Trial, values: Mapping[str, float]) -> None:
        self.tell_all([trial], [values])
