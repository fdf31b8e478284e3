"""What a trial is: the live one that an objective holds, and the record that a study keeps."""

from __future__ import annotations

import copy
import enum
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar, overload

import msgspec

from taut import checkpoints
from taut.errors import InputError
from taut.wishes import Form, Wish, choices_form, grant, number_form, position

__all__ = ["Channel", "State", "Trial", "TrialPaused", "TrialPruned", "TrialRecord", "own_copy", "trial_seed"]

_MASK = 2**64 - 1
T = TypeVar("T")


class State(enum.IntEnum):
    """Where a trial stands. `RESERVED` is a number that a worker holds and has not used yet."""

    RESERVED = 0
    WAITING = 1
    RUNNING = 2
    PAUSED = 3
    COMPLETE = 4
    PRUNED = 5
    FAILED = 6

    @property
    def finished(self) -> bool:
        return self >= State.COMPLETE


class TrialPruned(Exception):
    """Raise it from an objective to end a trial that `trial.should_stop()` gave up on."""


class TrialPaused(Exception):
    """Raise it from an objective that has saved itself after `trial.should_checkpoint()`; it goes on later."""


class Channel(Protocol):
    """Where a live trial's words go: straight to the study, or through a pipe to the process that has it."""

    def report(self, trial: Trial, step: float, values: Mapping[str, float]) -> None: ...

    def should_stop(self, trial: Trial) -> bool: ...

    def should_checkpoint(self, trial: Trial) -> bool: ...

    def pause(self, trial: Trial) -> None: ...

    def tell(self, trial: Trial, values: Mapping[str, float]) -> None: ...


class Trial:
    """One configuration being evaluated: read `params`, `report` on the way, `tell` at the end.

    number: 0, 1, 2, ... in its study. attempt: 0, or more after a worker died.
    seed: a number of this trial's own, below 2**31 as every library takes it.
    directory: a place of its own for checkpoints, made when asked for; None for a study in memory.
    resumed_step: the last step that an earlier attempt reported before it left its checkpoint; None if there is none.
    parent: the trial from whose checkpoint this one goes on at first, where it took another's place in a population.

    An objective may also be one of Optuna's: it asks for its parameters as it goes (`suggest_float`, `suggest_int`,
    `suggest_categorical`), reports as ``report(value, step)``, and asks `should_prune`.
    offered: what it gets where it asks for these. wishes: what it has asked for. main: the study's objectives.
    """

    __slots__ = (
        "__weakref__",
        "_channel",
        "_directory",
        "_goal",
        "_origin",
        "_study_seed",
        "aimed",
        "attempt",
        "constraints",
        "last",
        "main",
        "number",
        "offered",
        "params",
        "parent",
        "paused",
        "resumed_step",
        "told",
        "user_attrs",
        "wishes",
    )

    def __init__(
        self,
        number: int,
        attempt: int,
        params: dict[str, Any],
        channel: Channel,
        study_seed: int = 0,
        directory: str | None = None,
        goal: float | None = None,
        resumed_step: float | None = None,
        parent: int | None = None,
        origin: str | None = None,
        offered: Mapping[str, Any] | None = None,
        main: Sequence[str] = ("value",),
    ) -> None:
        self.number = number
        self.attempt = attempt
        self.params = params
        self.told = False
        self.paused = False
        self.aimed = False
        self.resumed_step = _counted(resumed_step)
        self.parent = parent
        self._origin = origin
        self._goal = _counted(goal)
        self.last: dict[str, float] = {}
        self._channel = channel
        self._directory = directory
        self._study_seed = study_seed
        self.offered = offered or {}
        self.main = main
        self.wishes: dict[str, Wish] = {}
        self.user_attrs: dict[str, Any] = {}
        self.constraints: dict[str, float] = {}

    @property
    def seed(self) -> int:
        return trial_seed(self._study_seed, self.number)

    @property
    def directory(self) -> Path | None:
        if self._directory is None:
            return None
        path = Path(self._directory)
        path.mkdir(parents=True, exist_ok=True)
        return path

    @overload
    def report(self, /, step: float, **values: float) -> None: ...
    @overload
    def report(self, value: float, /, step: float) -> None: ...
    def report(self, /, *given: Any, **values: Any) -> None:
        """Say how far the trial is: `step` (epoch, tokens, ...) and any metrics at that step.

        ``report(value, step)`` is Optuna's way to say it, of a study with one objective.
        """
        said = len(given) + ("step" in values)
        if said == 1:
            step = given[0] if given else values.pop("step")
        elif said == 2:
            value, step = (*given, values.pop("step")) if len(given) == 1 else given
            if len(self.main) != 1 or values:
                raise InputError(
                    f"report({value!r}, {step!r}) does not say of which metric this is the value; name it: "
                    f"report({step!r}, {self.main[0]}={value!r})",
                    ("report",),
                )
            values = {self.main[0]: value}
        else:
            raise InputError(
                "report(step, loss=...) takes a step and metrics by their names, or report(value, step)",
                ("report",),
            )
        try:
            position = float(step)
        except (TypeError, ValueError):
            position = math.nan
        if not math.isfinite(position):
            raise InputError(f"{step!r} is not a step; count epochs, tokens or whatever grows", ("step",))
        self._channel.report(self, position, values)
        self.last.update(values)

    @property
    def fidelity(self) -> int | float | None:
        """The step up to which this attempt is to run (epochs, tokens, ... as the study names it); None without a fidelity.

        For objectives that want to know beforehand how far to go: they run up to it and return. Whether the trial goes
        on from there is decided later. The others report as they go, and ask `should_stop`.
        """
        self.aimed = True
        return self._goal

    # ------------------------------------------------------------------ asking for parameters, as in Optuna

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A number from `low` to `high`, both included; with `step` only whole steps above `low`, with `log` by its logarithm."""
        return float(self._wish(name, number_form(low, high, step, log, whole=False)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """A whole number from `low` to `high`, both included."""
        return int(self._wish(name, number_form(low, high, step, log, whole=True)))

    def suggest_categorical(self, name: str, choices: Sequence[T]) -> T:
        """One of `choices`, which have no order."""
        form = choices_form(choices)
        return choices[position(form, self._wish(name, form))]

    def _wish(self, name: str, form: Form) -> Any:
        known = self.wishes.get(name)
        if known is None:
            if name in self.params:  # of the space that the study was given
                known = grant(name, form, self.params, self._study_seed, self.number)
                if known.drawn:
                    raise InputError(
                        f"{self.params[name]!r} comes from the study's space, and here it is asked for from {form}; "
                        "leave it out of the space, or let both have the same range",
                        (name,),
                    )
            else:
                known = grant(name, form, self.offered, self._study_seed, self.number)
            self.wishes[name] = known
            self.params[name] = known.value
        elif (before := next(iter(known.form))) != (now := next(iter(form))):
            raise InputError(
                f"this trial has asked for it as {before} and now asks for it as {now}; ask for one kind under one name",
                (name,),
            )
        return known.value

    def suggest_uniform(self, name: str, low: float, high: float) -> float:
        raise _gone("suggest_uniform", f"suggest_float({name!r}, {low!r}, {high!r})")

    def suggest_loguniform(self, name: str, low: float, high: float) -> float:
        raise _gone("suggest_loguniform", f"suggest_float({name!r}, {low!r}, {high!r}, log=True)")

    def suggest_discrete_uniform(self, name: str, low: float, high: float, q: float) -> float:
        raise _gone("suggest_discrete_uniform", f"suggest_float({name!r}, {low!r}, {high!r}, step={q!r})")

    def set_user_attr(self, key: str, value: Any) -> None:
        """Note something; numbers, and lists of them as ``key_0, key_1, ...``, become metrics of the trial."""
        self.user_attrs[key] = value

    def set_constraint(self, key: str, value: float) -> None:
        """Note a number that is to be at most 0: a metric, and a constraint of the study from then on."""
        self.constraints[key] = float(value)

    @property
    def noted(self) -> dict[str, float]:
        """The numbers among the attributes, and the constraints."""
        found: dict[str, float] = {}
        for key, value in self.user_attrs.items():
            many = isinstance(value, list | tuple)
            for i, each in enumerate(value if many else [value]):
                if isinstance(each, int | float) and not isinstance(each, bool):
                    found[f"{key}_{i}" if many else key] = float(each)
        return {**found, **self.constraints}

    def should_prune(self) -> bool:
        """As `should_stop`."""
        return self.should_stop()

    def should_stop(self) -> bool:
        """Whether to end now, since the pruner gives this trial up or has it wait until it is promoted.

        Then save into `checkpoint_dir` what a later attempt could go on from, and return what there is (or `tell` it, or raise
        `TrialPruned`). Ask after each `report`.
        """
        return self._channel.should_stop(self)

    def should_checkpoint(self) -> bool:
        """Whether this worker must leave soon (the end of its job, a preemption).

        Then save what is needed to go on into `checkpoint_dir`, and `pause`, or raise `TrialPaused`. Cheap enough
        to be asked in every step.
        """
        return self._channel.should_checkpoint(self)

    def pause(self) -> None:
        """End this attempt without a result: another worker goes on from `checkpoint_dir`."""
        self._channel.pause(self)

    @property
    def checkpoint_dir(self) -> Path | None:
        """This attempt's own place for checkpoints, made when asked for; None for a study in memory.

        An attempt that was taken for dead may live on and write; so each has a directory of its own.
        """
        if self._directory is None:
            return None
        path = checkpoints.place(Path(self._directory), self.attempt)
        path.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def resumed_from(self) -> Path | None:
        """Where an earlier attempt left its checkpoint, or the parent; None if there is nothing to go on from."""
        if self._directory is None:
            return None
        return checkpoints.latest(Path(self._directory), self.attempt, self._origin)

    def tell(self, /, **values: float) -> None:
        """End the trial with its metrics.

        In a `study.work()` loop and after `study.ask()` the result is on the disk when this returns; in an
        objective that `study.run` calls it is kept, and written when the objective returns.
        """
        self._channel.tell(self, values)

    def speaks_to(self, channel: Channel) -> bool:
        """Whether `channel` is the one that handed this trial out."""
        return self._channel is channel

    def is_below(self, study: Path | None) -> bool:
        """Whether this is a trial of the study in the directory `study`."""
        return study is not None and self._directory == f"{study}/trials/{self.number}"

    def __repr__(self) -> str:
        return f"Trial(number={self.number}, attempt={self.attempt}, params={self.params})"


def _gone(old: str, new: str) -> InputError:
    return InputError(f"{old} is no more, as in Optuna; write trial.{new}", (old,))


def _counted(step: float | None) -> int | float | None:
    """A step as people count: whole ones are integers, which a loop can run to."""
    return step if step is None or not float(step).is_integer() else int(step)


def own_copy(params: dict[str, Any]) -> dict[str, Any]:
    """Parameters for the user's hands: whatever happens to them there changes no record."""
    return {name: copy.deepcopy(v) if isinstance(v, list) else v for name, v in params.items()}


def trial_seed(study_seed: int, number: int) -> int:
    """The seed of a study's trial `number`, below 2**31."""
    # SplitMix64 (Steele, Lea & Flood, OOPSLA 2014): state number + 1 steps after the study's seed.
    mixed = (study_seed + (number + 1) * 0x9E3779B97F4A7C15) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    return (mixed ^ (mixed >> 31)) >> 33


class TrialRecord(msgspec.Struct, frozen=True):
    """What the study knows of one trial.

    values: metrics by name; not finite ones are left out. attempts: how often it was started.
    worker: the writer of its last attempt, as in `log/<worker>.jsonl`. started, finished: seconds since
    the epoch. error: why it failed, or why it waits again. interruptions: why attempts ended without a result.
    spent: seconds of all its attempts that have ended, as far as they are known. parent: the trial from whose checkpoint it
    was to go on, where it took another's place in a population; `Study.lineage` tells whether it did. step: the last that it reported; below the fidelity's max its values are not those
    of a whole trial. meters: what was measured of it without its doing (see `taut.readings`), over all its attempts.
    """

    number: int
    state: str
    params: dict[str, Any]
    values: dict[str, float]
    attempts: int
    worker: int
    started: float
    finished: float | None
    error: str | None = None
    interruptions: list[str] = []
    spent: float = 0.0
    parent: int | None = None
    step: float | None = None
    meters: dict[str, float] = {}

    @property
    def duration(self) -> float | None:
        """Seconds from the last attempt's start to its end."""
        return None if self.finished is None else self.finished - self.started
