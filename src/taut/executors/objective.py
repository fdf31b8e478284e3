"""Calling a user's objective: how it takes its trial, and what it may return."""

from __future__ import annotations

import importlib
import inspect
import reprlib
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec

from taut.errors import InputError, Interrupted, nearest
from taut.executors.base import Outcome, Paused, Task
from taut.executors.shortage import shortage
from taut.readings import own
from taut.trial import Channel, Trial, TrialPaused, TrialPruned
from taut.verdict import numbers, writable

__all__ = ["Objective", "call", "live", "load", "note", "takes_trial"]

Objective = Callable[..., Any]


def load(name: str) -> Objective:
    """The objective `"module:attribute"`."""
    module_name, _, attribute = name.partition(":")
    try:
        target: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name not in (module_name, module_name.partition(".")[0]):
            raise  # the module is there, and misses something itself
        raise InputError(f"{name!r}: there is no module {module_name!r}", ("function",)) from None
    for part in attribute.split("."):
        if not hasattr(target, part):
            known = [key for key, value in vars(target).items() if callable(value)]
            raise InputError(f"{name!r}: {module_name} has no {part!r}{nearest(part, known)}", ("function",))
        target = getattr(target, part)
    if not callable(target):
        raise InputError(f"{name!r} is {target!r}, which is not a function", ("function",))
    objective: Objective = target
    return objective


def takes_trial(objective: Objective, names: Collection[str], optional: Collection[str] = ()) -> bool:
    """Whether to call `objective(trial)` rather than `objective(**params)`.

    It takes a trial if its only required parameter is none of the space's names. optional: names that not
    every trial has, for which a function by names needs defaults.

    Raises `InputError` for a function that fits neither.
    """
    try:
        parameters = inspect.signature(objective).parameters.values()
    except (TypeError, ValueError):
        return True  # a builtin without a signature
    rest = any(p.kind is p.VAR_KEYWORD for p in parameters)
    stars = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    required = [p for p in parameters if p.default is p.empty and p.kind not in stars]
    if len(required) == 1 and (required[0].name == "trial" or required[0].name not in names):
        hint = "" if required[0].name == "trial" else nearest(required[0].name, names)
        if not hint:
            return True
        label = getattr(objective, "__name__", "the objective")
        raise InputError(
            f"{label}() takes {required[0].name!r}, which is no parameter{hint} (name it trial if it is the trial)"
        )
    takes = {p.name for p in parameters}
    label = getattr(objective, "__name__", "the objective")
    for p in required:
        if p.name in optional:
            raise InputError(
                f"{label}() requires {p.name}, which exists only under a condition; "
                f"give it a default ({p.name}=None), or write {label}(trial) and read trial.params"
            )
    missing = [p.name for p in required if p.name not in names]
    unknown = [] if rest else [name for name in names if name not in takes]
    if missing and not names:
        raise InputError(
            f"{label}() asks for {', '.join(missing)}, and the study has no space yet; give it one, "
            f"taut.Space({missing[0]}=taut.uniform(0.0, 1.0)), or write {label}(trial) and ask: "
            f'trial.suggest_float("{missing[0]}", 0.0, 1.0)'
        )
    if missing or unknown:
        problem = (
            f"asks for {', '.join(missing)}, which the space does not have"
            if missing
            else f"does not take {', '.join(unknown)}"
        )
        raise InputError(
            f"{label}() {problem}; write {label}(trial) and read trial.params, or {label}({', '.join(names)})"
        )
    return False


def live(task: Task, params: dict[str, Any], channel: Channel) -> Trial:
    """The trial that an objective gets for `task`."""
    return Trial(
        task.number,
        task.attempt,
        params,
        channel,
        study_seed=task.study_seed,
        directory=task.directory,
        goal=task.goal,
        resumed_step=task.step,
        parent=task.parent,
        origin=task.origin,
        offered=task.offered,
    )


def note(trial: Trial, values: Mapping[str, float]) -> None:
    """`trial.tell` within an objective: what was told stands, whatever the objective does afterwards."""
    if trial.told:
        raise InputError(f"trial {trial.number} was told before; what was told first stands", ("trial",))
    trial.last = {**trial.last, **numbers(values)}
    trial.told = True


def call(objective: Objective, trial: Trial, with_trial: bool, main: Sequence[str]) -> Outcome | Paused:
    """Evaluate `trial`. `main` names the objectives, whose values a bare number or a tuple gives."""
    trial.main = main
    outcome = _call(objective, trial, with_trial, main)
    if trial.wishes:
        outcome = msgspec.structs.replace(outcome, wishes=trial.wishes)
    if isinstance(outcome, Outcome):
        if outcome.error is None and (noted := trial.noted):
            constraints = list(trial.constraints)
            outcome = msgspec.structs.replace(
                outcome, values={**noted, **outcome.values}, constraints=constraints
            )
        if trial.aimed:
            outcome = msgspec.structs.replace(outcome, aimed=True)
    return outcome


def _call(objective: Objective, trial: Trial, with_trial: bool, main: Sequence[str]) -> Outcome | Paused:
    try:
        result = objective(trial) if with_trial else objective(**trial.params, **trial.offered)
    except Interrupted:  # the program is asked to end, and the trial did nothing wrong
        raise
    except (Exception, SystemExit) as error:
        if trial.told:
            return Outcome(trial.number, trial.attempt, trial.last)
        if trial.paused or isinstance(error, TrialPaused):
            return Paused(trial.number, trial.attempt)
        if isinstance(error, TrialPruned) or type(error).__name__ == "TrialPruned":
            return Outcome(trial.number, trial.attempt, trial.last, pruned=True)
        return Outcome(trial.number, trial.attempt, {}, error=_trace(error))
    if trial.paused and not trial.told:
        return Paused(trial.number, trial.attempt)
    if result is None or trial.told:
        return Outcome(trial.number, trial.attempt, trial.last)
    if isinstance(result, Mapping):
        return Outcome(trial.number, trial.attempt, {**trial.last, **result})
    results = result if isinstance(result, (tuple, list)) else (result,)
    mine = own(main) or main  # the others are measured
    names = main if len(results) == len(main) else mine
    if isinstance(result, str) or len(results) not in (1, len(names)):
        message = (
            f"the objective returned {reprlib.repr(result)}; return a number, or a dict of metrics by name"
        )
        return Outcome(trial.number, trial.attempt, {}, error=message)
    return Outcome(trial.number, trial.attempt, {**trial.last, **dict(zip(names, results, strict=False))})


def _trace(error: BaseException) -> str:
    """The traceback from the objective on: our own frame above it tells the user nothing. Where memory ran out, that comes first."""
    below = error.__traceback__.tb_next if error.__traceback__ else None
    text = writable("".join(traceback.format_exception(type(error), error, below)).rstrip())
    found = shortage("".join(traceback.format_exception_only(type(error), error)))
    return f"{found}\n{text}" if found else text
