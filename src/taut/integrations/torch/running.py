"""`run`: a study whose trials are trained by several ranks together."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from typing import Any

from taut.errors import InputError, Interrupted
from taut.executors.objective import Objective, takes_trial
from taut.integrations.torch.ranks import Failure, RankFailed, Ranks, alone
from taut.integrations.torch.shared import SharedTrial
from taut.interrupts import Interrupts
from taut.study import Study
from taut.trial import Trial, TrialPaused, TrialPruned

__all__ = ["run"]


def run(study: Study, objective: Objective, **options: Any) -> Study:
    """`study.run(objective, ...)` for a program that torchrun (or accelerate, or srun) has started on several ranks.

    Choose it where one trial needs several GPUs. Every rank calls it with the same objective; each trial is then evaluated by all ranks at
    once. Rank 0 alone talks to the study. All ranks have the same parameters and seed, and hear the same answer from
    `trial.should_stop()` and `trial.should_checkpoint()`, which all have to ask in the same order. What rank 0 returns counts.

    A trial fails on all ranks if it fails on one; its error is that of the rank that failed first. If the others come out of it within ten
    seconds (since all ran out of memory alike, say, or ask `should_stop`), the process group is made anew and the next trial begins. A rank that
    waits in a collective for the one that failed cannot be called back. Then the failure is written down and the process
    ends; ``torchrun --max-restarts 100`` starts all ranks again, and they go on with the next trial.

    A rank that gets SIGTERM or Ctrl-C ends, and the others with it; the trial goes back to the queue.

    In a program of a single process it is `study.run`.

    study: opened by every rank, from the same directory; of a study in memory only rank 0 sees results.
    options: those of `Study.run`. With several ranks not `workers`, `executor` and `fresh_process`: a trial has all ranks.
    """
    if alone():
        return study.run(objective, **options)
    for name in ("workers", "executor", "fresh_process"):
        if options.get(name):
            raise InputError(f"a trial has all ranks, and these processes; leave {name} out", (name,))
    ranks = Ranks.here()
    with_trial = takes_trial(objective, study.space.names, study.space.optional)

    def lead(trial: Trial) -> Any:
        told = SharedTrial.described(trial)
        ranks.announce(told)
        return _evaluate(ranks, objective, with_trial, SharedTrial(ranks, told, trial), study)

    if ranks.leads:
        try:
            return study.run(lead, **{**options, "workers": 1})
        finally:
            ranks.announce(None)
    with Interrupts(study.store.walltime):
        while (told := ranks.next()) is not None:
            try:
                _evaluate(ranks, objective, with_trial, SharedTrial(ranks, told), study)
            except Interrupted:
                raise
            except (Exception, SystemExit):  # rank 0 has it, too, and writes it down
                continue
    return study


def _evaluate(ranks: Ranks, objective: Objective, with_trial: bool, trial: SharedTrial, study: Study) -> Any:
    """`_together`; a rank that is told to end takes the others with it, which would wait for it."""
    try:
        return _together(ranks, objective, with_trial, trial, study)
    except (Interrupted, KeyboardInterrupt):
        ranks.leave()
        raise


def _together(ranks: Ranks, objective: Objective, with_trial: bool, trial: SharedTrial, study: Study) -> Any:
    """What the objective returns on this rank, when all ranks are done; raises if it has failed on any."""

    def give_up(failure: Failure) -> None:
        if ranks.leads:
            study.fail(trial.number, _said(failure, ranks))
        print(
            f"taut: trial {trial.number} has failed on rank {failure.rank}, and rank {ranks.rank} waits for it in a collective. This process "
            "ends; torchrun --max-restarts 100 starts all ranks again for the next trial",
            file=sys.stderr,
            flush=True,
        )
        os._exit(1)

    left = threading.Event()
    threading.Thread(target=ranks.watch, args=(left, give_up), name="taut-ranks", daemon=True).start()
    own: Exception | SystemExit | None = None
    result = None
    try:
        result = objective(trial) if with_trial else objective(**trial.params, **trial.offered)
    except Interrupted:
        raise
    except (Exception, SystemExit) as error:
        own = error
    finally:
        left.set()
    failure = ranks.settle(_told(own))
    if failure is not None and failure.rank != ranks.rank:
        raise RankFailed(_said(failure, ranks)) from None
    if own is not None:
        raise own
    return result


def _said(failure: Failure, ranks: Ranks) -> str:
    return f"rank {failure.rank} of {ranks.size} failed:\n{failure.text}"


def _told(error: Exception | SystemExit | None) -> str | None:
    """What the other ranks hear of it: nothing of a trial that only ends early."""
    if error is None or isinstance(error, TrialPruned | TrialPaused) or type(error).__name__ == "TrialPruned":
        return None
    below = error.__traceback__.tb_next if error.__traceback__ else None
    return "".join(traceback.format_exception(type(error), error, below)).rstrip()
