"""The loop of a warm worker: trials to evaluate, one after the other, in the user's own program."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator

from taut import allocation
from taut.asktell import AskTell
from taut.decide import Done, Wait
from taut.interrupts import Interrupts
from taut.metrics.meters.leaks import Leaks
from taut.reaper import LINGER
from taut.store import Store
from taut.trial import Trial

__all__ = ["work"]

_PATIENCE = 0.5  # seconds at most between two looks while waiting for others


def work(store: Store, desk: AskTell, batch: int) -> Iterator[Trial]:
    """Trials of `store` until there is nothing to start.

    A trial that was not told when the loop comes back is told its last reports. One whose loop body raises
    goes back to the queue. batch: 1 for one trial at a time over all workers, 0 for as many as there are.
    In a job of a queue it ends before the job does (see `Walltime`), and does not wait for the last trials of others.
    """
    pause, walltime, in_job = 0.0, store.walltime, allocation.here() is not None
    leaks = Leaks()
    walltime.begin()
    with Interrupts(walltime) as interrupts:
        while True:
            desk.reaper.look()
            with store.lock:
                decision = store.next(batch)
            if isinstance(decision, Done):
                if walltime.leaving():
                    warnings.warn(f"study.work() ends: {decision.why}", stacklevel=2)
                break
            if isinstance(decision, Wait):
                if in_job and desk.reaper.in_vain(decision.idle, LINGER):
                    break
                store.check_progress()
                pause = min(pause * 2 or 0.01, _PATIENCE)
                time.sleep(pause)
                continue
            pause = 0.0
            desk.reaper.busy()
            (trial,) = desk.trials(decision)
            desk.measure(trial)
            try:
                yield trial
            except BaseException:
                open_ = not trial.paused and not desk.told(trial.number, trial.attempt)
                attempt = trial.number, trial.attempt
                used = {attempt: desk.used(*attempt)} if open_ else {}
                if open_ and walltime.leaving():
                    with store.lock:
                        store.handback.cut_short([attempt], used)
                elif open_:
                    why = "it was interrupted" if interrupts.seen else "its loop was left before it was told"
                    with store.lock:
                        store.handback.release([attempt], why, blame=not interrupts.seen, used=used)
                raise
            if not trial.paused and not desk.told(trial.number, trial.attempt):
                trial.tell(**trial.last)
            if (leak := leaks.note(trial.number, desk.clean())) is not None:
                warnings.warn(leak, stacklevel=2)
    store.give_back("its worker ended before it began")
