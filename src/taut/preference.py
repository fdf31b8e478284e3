"""Which of several objectives matter more: what a study prefers, as one immutable value."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from taut.errors import InputError, nearest

__all__ = ["Preference", "Rank", "amounts", "named"]

_RANK = re.compile(r"\s*(?P<metric>\w+)(?:\s+within\s+(?P<within>[^\s%]+)\s*(?P<percent>%?))?\s*")
_FORMS = (
    'an order, prefer = ["eval_loss within 1%", "gpu_hours"], or weights, '
    "prefer = { eval_loss = 0.8, gpu_hours = 0.2 }"
)


class Rank(msgspec.Struct, frozen=True, omit_defaults=True):
    """A metric, and how far from its best value is as good as the best.

    within: in the metric's unit, or as a share of the best value if `relative`.
    """

    metric: str
    within: float = 0.0
    relative: bool = False

    def __str__(self) -> str:
        if not self.within:
            return self.metric
        return f"{self.metric} within {f'{100 * self.within:g}%' if self.relative else f'{self.within:g}'}"


class Preference(msgspec.Struct, frozen=True, omit_defaults=True):
    """Either an order or weights; each names every objective once.

    order: the most important first. Of the trials that are within its tolerance of the best, the next decides, and so on
    (lexicographic, with tolerances).
    weights: what counts is the weighted sum of the objectives, each on a scale from 0, its best value on the front, to 1, its
    worst there.

    Choose an order where one objective comes first and a little of it may be given for the others; weights to weigh all at a time.
    What must be kept at any price is a constraint, not a preference.
    """

    order: list[Rank] = []
    weights: dict[str, float] = {}

    @property
    def decisive(self) -> list[Rank]:
        """The ranks of an order that decide more than ties: up to the first without a tolerance."""
        count = next((i for i, rank in enumerate(self.order, 1) if not rank.within), len(self.order))
        return self.order[:count]

    @staticmethod
    def parse(value: Any) -> Preference:
        """From a list of texts, or a table of numbers. Raises `InputError`; its `at` starts from the value."""
        if isinstance(value, Mapping):
            return Preference(weights=amounts(value, _FORMS))
        if isinstance(value, str):
            return Preference(order=[_rank(value)])
        if not isinstance(value, Sequence) or isinstance(value, bytes):
            raise InputError(f"{value!r} is no preference; write {_FORMS}")
        order = []
        for index, text in enumerate(value):
            try:
                order.append(_rank(text))
            except InputError as error:
                raise error.under(str(index)) from None
        return Preference(order=order)

    def check(self, metrics: Sequence[str]) -> None:
        """Raise `InputError` unless this is a preference among the objectives `metrics`."""
        if len(metrics) < 2:
            raise InputError(
                f"a preference is among several objectives, and {metrics[0]} is the only one; name another with "
                "minimize or maximize, or take it out"
            )
        for index, rank in enumerate(self.order):
            if rank.metric in {other.metric for other in self.order[:index]}:
                raise InputError(
                    f"{rank.metric!r} is named twice; each objective stands once, the most important first",
                    (str(index),),
                )
        named([rank.metric for rank in self.order] if self.order else self.weights, metrics, _FORMS)
        if self.order and self.order[-1].within:
            raise InputError(
                f"{str(self.order[-1])!r} is the last, and nobody comes after it to decide within a tolerance; "
                f"write {self.order[-1].metric!r}, or move it up",
                (str(len(self.order) - 1),),
            )
        for metric, weight in self.weights.items():
            if weight < 0.0:
                raise InputError(f"{weight:g} is below 0; a weight is 0 or above", (metric,))
        if self.weights and not any(self.weights.values()):
            raise InputError("all weights are 0; at least one must be above")

    def __str__(self) -> str:
        if self.order:
            return ", then ".join(map(str, self.order))
        return " + ".join(f"{weight:g} {metric}" for metric, weight in self.weights.items())


def _rank(text: Any) -> Rank:
    found = _RANK.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise InputError(
            f'{text!r} is no metric with a tolerance; "eval_loss", "eval_loss within 1%" and "eval_loss within 0.02" '
            f"are allowed, one text for each objective; write {_FORMS}"
        )
    if found["within"] is None:
        return Rank(found["metric"])
    try:
        within = float(found["within"])
    except ValueError:
        within = math.nan
    if not 0.0 < within < 1e300:
        raise InputError(
            f"{found['within']!r} is no tolerance; a number above 0 is allowed, or a percentage of the best value: "
            f'"{found["metric"]} within 1%"'
        )
    relative = bool(found["percent"])
    return Rank(found["metric"], within / 100 if relative else within, relative)


def amounts(values: Any, forms: str) -> dict[str, float]:
    """A table of finite numbers by name. forms: what to write instead. Raises `InputError`; its `at` starts from the table."""
    if not isinstance(values, Mapping):
        raise InputError(f"{values!r} is no table of numbers; write {forms}")
    for name, value in values.items():
        if not isinstance(name, str):
            raise InputError(f"{name!r} is not a metric's name; write {forms}")
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not abs(value) < 1e300:  # NaN, too
            raise InputError(f"{value!r} is not a finite number; write {forms}", (name,))
    return {name: float(value) for name, value in values.items()}


def named(names: Collection[str], metrics: Sequence[str], forms: str) -> None:
    """Raise `InputError` unless `names` are the objectives `metrics`, in any order."""
    for index, name in enumerate(names):
        if name not in metrics:
            at = name if isinstance(names, Mapping) else str(index)
            raise InputError(
                f"{name!r} is no objective; {' and '.join(metrics)} are{nearest(name, metrics)}", (at,)
            )
    if missing := [metric for metric in metrics if metric not in names]:
        raise InputError(f"{' and '.join(missing)} must be named, too, as every objective; write {forms}")
