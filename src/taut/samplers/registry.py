"""Samplers by name. Third parties add theirs through the entry point group `taut.samplers`."""

from __future__ import annotations

import dataclasses
import importlib

from taut.definition import Method
from taut.errors import InputError, nearest
from taut.samplers.base import Sampler

__all__ = ["FOREIGN", "make", "names"]

_BUILT_IN = {
    "ants": "taut.samplers.ants:AntsSampler",
    "auto": "taut.samplers.auto:AutoSampler",
    "bandit": "taut.samplers.conjugate.bandit:BanditSampler",
    "cma": "taut.samplers.cma:CMASampler",
    "conjugate": "taut.samplers.conjugate.sampler:ConjugateSampler",
    "differential": "taut.samplers.differential:DifferentialSampler",
    "evolution": "taut.samplers.evolution:EvolutionSampler",
    "genetic": "taut.samplers.genetic:GeneticSampler",
    "gp": "taut.samplers.gp:GPSampler",
    "grid": "taut.samplers.grid:GridSampler",
    "nsga2": "taut.samplers.nsga2:NSGA2Sampler",
    "nsga3": "taut.samplers.nsga3:NSGA3Sampler",
    "quasirandom": "taut.samplers.quasirandom:QuasiRandomSampler",
    "random": "taut.samplers.random:RandomSampler",
    "swarm": "taut.samplers.swarm:SwarmSampler",
    "tpe": "taut.samplers.tpe:TPESampler",
}


FOREIGN = "optuna:"
"""Begins the names of samplers that are written for Optuna: ``optuna:GPSampler``, ``optuna:package.module:Class``."""


def names() -> list[str]:
    """Every method that `[sampler] method` may name."""
    return sorted({*_BUILT_IN, *_outside()})


def make(method: Method) -> Sampler:
    """The sampler that `[sampler]` asks for. Raises `InputError` for an unknown method or option."""
    if method.method.startswith(FOREIGN):
        try:
            foreign = importlib.import_module("taut.integrations.optuna.foreign")
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "optuna":
                raise
            raise InputError(
                f"{method.method!r} is a sampler of Optuna, which is not there; install it where taut is: "
                "pip install 'taut[optuna]'",
                ("sampler", "method"),
            ) from None
        theirs: Sampler = foreign.make(method)
        return theirs
    target = _BUILT_IN.get(method.method) or _outside().get(method.method)
    if target is None:
        raise InputError(
            f"no sampler is named {method.method!r}{nearest(method.method, names())}; there are: {', '.join(names())}",
            ("sampler", "method"),
        )
    module, _, attribute = target.partition(":")
    kind = getattr(importlib.import_module(module), attribute)
    options = [field.name for field in dataclasses.fields(kind)]
    for name in method.options:
        if name not in options:
            allowed = ", ".join(options) or "none"
            raise InputError(
                f"unknown option of {method.method!r}{nearest(name, options)}; allowed: {allowed}",
                ("sampler", name),
            )
    sampler: Sampler = kind(**method.options)
    return sampler


def _outside() -> dict[str, str]:
    """Samplers of other packages: name -> "module:class"."""
    from importlib.metadata import entry_points  # takes longer to load than all that is needed of taut

    return {point.name: point.value for point in entry_points(group="taut.samplers")}
