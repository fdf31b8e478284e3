"""What was asked: the definition of a study, as one immutable value.

A definition is what `study.toml` or `taut.Study(...)` says, checked and complete. It is stored as
JSON in the study directory; a changed budget or an extended space makes a new *revision*, and every
started trial names the revision that it was chosen under.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from taut.errors import InputError
from taut.fidelity import Fidelity
from taut.preference import Preference, named
from taut.readings import GPU_LEFT
from taut.space import Space
from taut.space.expression import Expression

__all__ = [
    "Budget",
    "Definition",
    "Earlier",
    "Evaluation",
    "Method",
    "Objective",
    "Results",
    "reference_form",
]


class Objective(msgspec.Struct, frozen=True):
    """A metric and the direction in which it gets better."""

    metric: str
    minimize: bool = True


class Budget(msgspec.Struct, frozen=True, omit_defaults=True):
    """When to stop starting trials: whichever bound is reached first.

    trials: finished trials of the whole study, over all workers and resumptions.
    hours: hours of wall-clock time during which at least one trial was running.
    gpu_hours: GPU-hours over all trials.
    until: an expression on metrics, for instance ``eval_loss <= 1.9``; one trial that fulfils it is enough.
    """

    trials: int | None = None
    hours: float | None = None
    gpu_hours: float | None = None
    until: str | None = None


class Method(msgspec.Struct, frozen=True, omit_defaults=True):
    """A sampler or pruner by name, with its own options."""

    method: str
    options: dict[str, Any] = {}


class Results(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a command's numbers come back, besides `$TAUT_REPORT`.

    stdout: ``"hf"`` (printed dicts of the Hugging Face Trainer) or a regular expression with named groups.
    json: a path, relative to the trial's directory, of a JSON, JSON-lines or trainer_state.json file.
    csv: a path of a CSV file with a header; each row is a step.
    tensorboard: a directory of event files (its reader must be installed).
    """

    stdout: str | None = None
    json: str | None = None
    csv: str | None = None
    tensorboard: str | None = None


class Evaluation(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a trial is evaluated when it is not a Python callable of the running program.

    command: argument list template (already split into words), or None.
    function: ``"module:attribute"``, or None.
    style: how ``{args}`` spells a parameter.
    config: path of a YAML, JSON or TOML file, relative to `base`, of which ``{config}`` is a patched copy.
    timeout: seconds of wall-clock time for each trial, or None.
    cwd: working directory relative to `base`; None is the trial's own directory.
    base: directory that relative names start from, as seen from the study directory or absolute.
    fresh_process: whether each trial of a function has a process of its own; a command always has.
    model: the model that trials start from, where the command, the space or the configuration names one (`taut.basemodel`).
    """

    command: list[str] | None = None
    function: str | None = None
    style: Literal["--k v", "--k=v", "k=v", "a.b=v", "++a.b=v"] = "--k v"
    config: str | None = None
    timeout: float | None = None
    cwd: str | None = None
    base: str = "."
    results: Results = Results()
    fresh_process: bool = False
    model: str | None = None


class Earlier(msgspec.Struct, frozen=True, omit_defaults=True):
    """An earlier study that informs this one.

    study: its directory or study.toml, as the user wrote it; so it is recognised when the definition is given again.
    place: where that is, absolute, as long as it was not read. digest: names what was read of it, once and for all
    (see `taut.archive`). complete, failed: how many trials were kept; left_out: how many more there were.
    """

    study: str
    place: str = ""
    digest: str = ""
    complete: int = 0
    failed: int = 0
    left_out: int = 0

    @property
    def summary(self) -> str:
        """The study and what was read of it, in one line."""
        text = f"{self.complete} complete trial{'s' if self.complete > 1 else ''}"
        if not self.complete:
            text = "no complete trial to learn from"
        if self.failed:
            text += f", {self.failed} failed"
        if self.left_out:
            text += f": the best and the newest of {self.complete + self.failed + self.left_out}"
        return f"{self.study} ({text})"


class Definition(msgspec.Struct, frozen=True):
    """Everything that was asked of a study.

    space: JSON form of the space (see `Space.to_json`); `Definition.parsed_space` builds it. Empty where it is found out from what
    trials ask for, and nothing is known yet.
    prefer: which of several objectives matter more, if that was said. reference: from where the hypervolume of the front is
    measured, by objective; empty if that was not said.
    retries: how often a trial whose worker died is started again.
    fidelity: how far trials are taken, if their steps mean something to the study.
    warm_start: earlier studies whose trials inform this one.
    on: settings of the places where trials run (local, slurm, hyperqueue), as the file's `[on.*]` gives them.
    """

    name: str
    space: dict[str, Any]
    objectives: list[Objective]
    seed: int = 0
    subject_to: list[str] = []
    prefer: Preference | None = None
    reference: dict[str, float] = {}
    warm_start: list[Earlier] = []
    budget: Budget = Budget()
    sampler: Method = Method("auto")
    pruner: Method | None = None
    fidelity: Fidelity | None = None
    retries: int = 3
    evaluation: Evaluation = Evaluation()
    on: dict[str, dict[str, Any]] = {}

    def to_json(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=1)

    @staticmethod
    def from_json(data: bytes) -> Definition:
        return msgspec.json.decode(data, type=Definition)

    def parsed_space(self) -> Space:
        return Space.from_json(self.space) if self.space else Space.unknown()

    @property
    def asked(self) -> Definition:
        """The definition without what was read elsewhere: as somebody wrote it."""
        return msgspec.structs.replace(self, warm_start=[Earlier(each.study) for each in self.warm_start])

    def check(self) -> None:
        """Raise `InputError` for what the types cannot say."""
        if not self.objectives:
            raise InputError('no objective; name a metric, for instance minimize = "loss"', ("minimize",))
        seen: set[str] = set()
        for objective in self.objectives:
            if not objective.metric.isidentifier():
                raise InputError(
                    f"{objective.metric!r} is not a metric's name; use letters, digits and _: eval_loss",
                    ("minimize" if objective.minimize else "maximize",),
                )
            _check_asked(objective.metric, "minimize" if objective.minimize else "maximize")
            if objective.metric == "step":
                raise InputError('"step" counts the steps of a trial and cannot be a metric; rename it')
            if objective.metric in seen:
                raise InputError(f"{objective.metric!r} is named twice as an objective", ("minimize",))
            seen.add(objective.metric)
        for text in self.subject_to:
            _check_condition(text, "subject_to")
            for name in Expression.parse(text).names:
                _check_asked(name, "subject_to")
        metrics = [objective.metric for objective in self.objectives]
        try:
            if self.prefer is not None:
                self.prefer.check(metrics)
        except InputError as error:
            raise error.under("prefer") from None
        try:
            if self.reference:
                named(self.reference, metrics, reference_form(metrics))
        except InputError as error:
            raise error.under("reference") from None
        budget = self.budget
        for name in ("trials", "hours", "gpu_hours"):
            value = getattr(budget, name)
            if value is not None and not value > 0:
                raise InputError(f"{value} must be above 0", ("budget", name))
        if budget.until is not None:
            _check_condition(budget.until, "budget", "until")
        if self.fidelity is not None:
            try:
                self.fidelity.check()
            except InputError as error:
                raise error.under("pruner", "fidelity") from None
            if self.fidelity.name in self.space:
                raise InputError(
                    f"{self.fidelity.name!r} is a parameter too; give one of the two another name",
                    ("pruner", "fidelity", "name"),
                )
        if not 0 <= self.retries <= 1000:
            raise InputError(f"{self.retries} must lie between 0 and 1000", ("retries",))
        if not 0 <= self.seed < 2**63:
            raise InputError(f"{self.seed} must lie between 0 and 2**63 - 1", ("seed",))


def reference_form(metrics: Sequence[str]) -> str:
    """How a study's reference is written, as an example."""
    return f"reference = {{ {', '.join(f'{metric} = 4.0' for metric in metrics)} }}"


def _check_asked(name: str, key: str) -> None:
    if name == GPU_LEFT:  # the first trial of a process has none, and no trial has it when it is judged
        raise InputError(
            f"{name} tells of the process that trials share, and not of a trial; ask for peak_gpu_memory_gb",
            (key,),
        )


def _check_condition(text: str, *at: str) -> None:
    try:
        expression = Expression.parse(text)
        if expression.check(dict.fromkeys(expression.names, "float")) != "bool":
            raise InputError(f"{text!r} is a number, not a condition; compare it, for instance {text} <= 40")
    except InputError as error:
        raise error.under(*at) from None
