"""Which metric a study is to have, how it is read, and how far trials are taken: from what a script was found to tell."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from taut.starting.findings import Line, Results, minimised, preference
from taut.starting.flags import UNKNOWN, Flag

__all__ = ["Fidelity", "Measure", "fidelity", "measure"]

_EPOCHS: Final = (
    "epochs",
    "num_epochs",
    "n_epochs",
    "max_epochs",
    "num_train_epochs",
    "nepochs",
    "epoch",
    "nb_epochs",
)
_STEPS: Final = (
    *(
        "max_steps",
        "steps",
        "num_steps",
        "n_steps",
        "iterations",
        "max_iters",
        "n_iter",
        "num_iterations",
        "iters",
    ),
    *("train_steps", "total_steps", "max_train_steps", "num_train_steps", "rounds", "n_rounds", "num_rounds"),
)
_TIME: Final = re.compile(r"time|seconds|latency|per_second|throughput")
_LEAST = 3  # epochs or steps, below which nothing can be pruned


@dataclass(frozen=True)
class Measure:
    """The objective. results: keys of `[results]`. said: lines of comment on where it comes from, or what has to be added.
    found: whether anything was. counted, first: what steps are, as in `findings.Line`."""

    metric: str
    minimize: bool
    results: Mapping[str, str] = field(default_factory=dict)
    said: tuple[str, ...] = ()
    found: bool = True
    counted: str = ""
    first: int | None = None


@dataclass(frozen=True)
class Fidelity:
    """The `[pruner]` fidelity. sure: whether it may be switched on; flag: the script's flag that says how long a trial is."""

    name: str
    least: int
    most: int
    flag: Flag
    sure: bool
    doubt: str = ""

    @property
    def reason(self) -> str:
        """Why its flag is not searched."""
        return "it says how long a whole trial is"


def measure(results: Results, wanted: str = "") -> Measure:
    """The best metric that was found. wanted: a metric that a preset asks for, if the script tells it."""
    if results.reported:
        metric = wanted if wanted in results.reported else min(results.reported, key=preference)
        said = f"taut.report({metric}=...) in {results.where} says it"
        others = [each for each in results.reported if each != metric]
        more = (f"it reports {', '.join(others)}, too",) if others else ()
        counted = results.counted if results.stepped else ""
        return Measure(
            metric,
            minimised(metric),
            {},
            (said, *more),
            True,
            counted or ("step" if results.stepped else ""),
            results.first,
        )
    if results.trainer:
        return _of_trainer(results, wanted)
    if results.lines:
        return _printed(results.lines)
    loss = wanted or "loss"
    said_logged = (
        (
            f"it logs {', '.join(dict.fromkeys(results.logged))}, but loggers write to standard error, which is not read",
        )
        if results.logged
        else ()
    )
    return Measure(
        loss,
        minimised(loss),
        {},
        (
            "no place was found where the script tells a result",
            *said_logged,
            f"add at its end:   import taut; taut.report({loss}=...)",
            f"or print it, and write below:   [results] stdout = '{loss}=(?P<{loss}>\\S+)'",
        ),
        found=False,
    )


def _of_trainer(results: Results, wanted: str) -> Measure:
    """What a Trainer prints: at each evaluation if it has data for that; of rewards also as it trains."""
    trainer = f"{results.trainer} ({results.trainer_at})"
    rewarded = results.trainer.startswith("GRPO")
    metric = wanted or ("eval_reward" if rewarded else "eval_loss")
    if results.eval_data or not metric.startswith("eval_"):
        said = f"{trainer} prints it at each evaluation" if results.eval_data else f"{trainer} prints it"
        return Measure(
            metric,
            minimised(metric),
            {"stdout": "hf"},
            (said,),
            True,
            "epoch" if results.eval_data else "",
            1,
        )
    if results.evaluates:
        return Measure(metric, minimised(metric), {"stdout": "hf"}, (f"evaluate() of {trainer} prints it",))
    if rewarded:
        metric = metric.removeprefix("eval_")
        said = f"{trainer} prints it every logging_steps; it is given no eval_dataset, so this is the reward in training"
        return Measure(metric, minimised(metric), {"stdout": "hf"}, (said,))
    return Measure(
        metric,
        minimised(metric),
        {"stdout": "hf"},
        (
            f"{trainer} is given no eval_dataset: no data is held back, and {metric} never comes",
            f"give it eval_dataset=..., and the command --eval_strategy epoch, before you run this (train_loss in place of {metric} "
            "is there already, but rewards learning by heart)",
        ),
        found=False,
    )


def _printed(lines: Sequence[Line]) -> Measure:
    """The line that tells the best metric; of several those with a step, whose pattern matches the others as well."""

    def rank(line: Line) -> tuple[Any, ...]:
        return min(preference(name) for name, _ in line.metrics), line.step is None

    whole = [
        line for line in lines if not line.partial and any(not _TIME.search(name) for name, _ in line.metrics)
    ]
    line = min(whole or lines, key=rank)
    metric = min((name for name, _ in line.metrics), key=preference)
    said = [f"printed in {line.where}"]
    held, _ = preference(metric)
    if held:
        said.append(
            "it does not look like a result on held-out data: tune on validation data, not on training or test data"
        )
    return Measure(
        metric, minimised(metric), {"stdout": line.pattern}, tuple(said), True, line.counted, line.first
    )


def fidelity(found: Measure, flags: Sequence[Flag], given: Mapping[str, Any]) -> Fidelity | None:
    """How far trials are taken, if the script tells its metric step by step and a flag says how many steps there are."""
    if not found.counted:
        return None
    epochs = re.search(r"epoch|^ep$", found.counted) is not None
    for name in _EPOCHS if epochs else _STEPS:
        flag = next((each for each in flags if each.name == name), None)
        if flag is None:
            continue
        total = given.get(name, flag.default)
        if (
            total is UNKNOWN
            or isinstance(total, bool)
            or not isinstance(total, int | float)
            or total < _LEAST
        ):
            continue
        if found.first not in (0, 1):
            doubt = f"does its first {found.counted} count as 0 or 1? The last one must be max"
        else:
            doubt = ""
        last = int(total) - (found.first == 0)
        return Fidelity(
            "epoch" if epochs else "step", max(1, last // 9), last, flag, not doubt and last >= _LEAST, doubt
        )
    return None
