"""Pruners by name. Third parties add theirs through the entry point group `taut.pruners`."""

from __future__ import annotations

import dataclasses
import importlib

from taut.definition import Method
from taut.errors import InputError, nearest
from taut.pruners.base import Pruner

__all__ = ["FOREIGN", "make", "names"]

_BUILT_IN = {
    "asha": "taut.pruners.halving:AshaPruner",
    "curve": "taut.pruners.curve:CurvePruner",
    "freeze-thaw": "taut.pruners.freezethaw:FreezeThawPruner",
    "halving": "taut.pruners.halving:HalvingPruner",
    "hyperband": "taut.pruners.halving:HyperbandPruner",
    "median": "taut.pruners.percentile:MedianPruner",
    "patient": "taut.pruners.patient:PatientPruner",
    "pb2": "taut.pruners.populationtraining.bandit:Pb2Pruner",
    "pbt": "taut.pruners.populationtraining.pruner:PbtPruner",
    "percentile": "taut.pruners.percentile:PercentilePruner",
    "racing": "taut.pruners.racing:RacingPruner",
    "threshold": "taut.pruners.threshold:ThresholdPruner",
}

FOREIGN = "optuna:"
"""Begins the names of pruners that are written for Optuna: ``optuna:WilcoxonPruner``, ``optuna:package.module:Class``."""


def names() -> list[str]:
    """Every method that `[pruner] method` may name."""
    return sorted({*_BUILT_IN, *_outside()})


def make(method: Method) -> Pruner:
    """The pruner that `[pruner]` asks for. Raises `InputError` for an unknown method or option."""
    if method.method.startswith(FOREIGN):
        try:
            foreign = importlib.import_module("taut.integrations.optuna.foreign_pruner")
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "optuna":
                raise
            raise InputError(
                f"{method.method!r} is a pruner of Optuna, which is not there; install it where taut is: "
                "pip install 'taut[optuna]'",
                ("pruner", "method"),
            ) from None
        theirs: Pruner = foreign.make(method)
        return theirs
    target = _BUILT_IN.get(method.method) or _outside().get(method.method)
    if target is None:
        raise InputError(
            f"no pruner is named {method.method!r}{nearest(method.method, names())}; there are: {', '.join(names())}",
            ("pruner", "method"),
        )
    module, _, attribute = target.partition(":")
    kind = getattr(importlib.import_module(module), attribute)
    options = [field.name for field in dataclasses.fields(kind) if field.init]
    for name in method.options:
        if name not in options:
            allowed = ", ".join(options) or "none"
            raise InputError(
                f"unknown option of {method.method!r}{nearest(name, options)}; allowed: {allowed}",
                ("pruner", name),
            )
    pruner: Pruner = kind(**method.options)
    return pruner


def _outside() -> dict[str, str]:
    """Pruners of other packages: name -> "module:class"."""
    from importlib.metadata import entry_points  # takes longer to load than all that is needed of taut

    return {point.name: point.value for point in entry_points(group="taut.pruners")}
