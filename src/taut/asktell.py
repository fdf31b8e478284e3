"""Asking for trials and telling how they went, with everything checked that a user may get wrong."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from taut.decide import Start, Wait
from taut.endings import Ended, arrived
from taut.errors import InputError, StudyError
from taut.executors.places import devices, of_job
from taut.metrics.meters.around import Around
from taut.metrics.meters.lacking import unmeasured
from taut.readings import READINGS, WALL
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
        self._around: Around | None = None
        self._measured: tuple[int, int] | None = (
            None  # the attempt that has this process for itself until it is told
        )

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
            used = self.used(number, attempt)
            why = error
            if error is None and not pruned:
                why = self._unmeasured(number, attempt, {*told, *used})
            judged = verdict(self._store.must, told, why, pruned, used, self._store.snapshot.theirs)
            ended[number] = Ended(number, attempt, judged, aimed, used=used)
        if ended:
            self._store.finish(list(ended.values()))
        for trial in trials:
            if isinstance(trial, Trial):
                trial.told = True

    def measure(self, trial: Trial) -> None:
        """From now on this process works for `trial` alone, until it is told."""
        if self._around is None:
            self._around = Around(devices(of_job(1))[0])
        self._measured = trial.number, trial.attempt
        self._around.begin()

    def clean(self) -> dict[str, float]:
        """Free what the last trial has left in this process; what could not be freed (see `OwnProcess`)."""
        return {} if self._around is None else self._around.clean()

    def used(self, number: int, attempt: int) -> dict[str, float]:
        """What meters have read of an attempt that has ended."""
        if self._around is None or self._measured != (number, attempt):
            return {}
        return self._around.end()

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

    def _unmeasured(self, number: int, attempt: int, there: set[str]) -> str | None:
        """Why a trial that was measured has failed all the same, since what a meter was to read of it is not there.

        Raises `InputError` where that is missing of every trial, and nothing but a machine, or who asked for the trial, can add it.
        """
        theirs = self._store.snapshot.theirs
        asked = [name for name in self._store.must if name in READINGS and name not in (*theirs, WALL)]
        if not asked:
            return None
        lack = unmeasured(asked, there, gpus=bool(of_job(1)[0].gpus))
        if lack is None:
            return None
        problem, ours = lack.why, self._measured == (number, attempt)
        if ours and not lack.never:
            return problem
        if not ours:
            name = next(name for name in asked if name not in there)
            problem = (
                f"{name} is not measured of trials that were asked for, since only you know what they took; tell it, "
                f"study.tell({number}, {name}=...), or have them measured by study.run or study.work"
            )
        raise InputError(f"trial {number} cannot be told: {problem}", ("trial",))

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
            self._store.handback.pause(trial.number, trial.attempt, self.used(trial.number, trial.attempt))
            trial.paused = True

    def tell(self, trial: Trial, values: Mapping[str, float]) -> None:
        self.tell_all([trial], [values])
