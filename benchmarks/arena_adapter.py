"""taut in an arena: for a script that compares tuners by calling ask and tell on each of them.

    python arena.py run --mode seq --opts "arena_adapter:Taut?method=auto" ...

with this directory on PYTHONPATH. The arena describes a space as a list of tables:

    {"name": ..., "type": "float" | "int", "lo": ..., "hi": ..., "log": true}
    {"name": ..., "type": "cat", "choices": [...]}
    {"name": ..., "type": "ordinal", "values": [...]}

each of which may have ``"cond": {"parent": name, "in": [...]}``. Values are minimised, and NaN is a trial that failed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import taut

__all__ = ["Taut", "space_of"]


class Taut:
    """A study in memory behind the arena's ask and tell.

    space, seed, budget: what to search, with which seed, and in how many evaluations.
    parallel: evaluations side by side; nothing follows from it here, since a study sees which trials are pending.
    n_obj: objectives; with more than one, `tell` takes them as `objs`.
    n_con: constraints, each kept where its value is at most 0; `tell` takes them as `cons`.
    fidelity: a name, ``levels``, and whether a configuration may ``resume``; then `mf_ask` and `mf_tell` are used.
    pruner: who decides how far a configuration is taken.
    method, options: the sampler and its options; texts that look like numbers or truth values become such.
    """

    def __init__(
        self,
        space: Sequence[Mapping[str, Any]],
        seed: int,
        budget: int,
        parallel: int = 1,
        n_obj: int = 1,
        n_con: int = 0,
        fidelity: Mapping[str, Any] | None = None,
        method: str = "auto",
        pruner: str = "asha",
        **options: Any,
    ) -> None:
        self._names = [parameter["name"] for parameter in space]
        self._objectives = [f"o{i}" for i in range(n_obj)]
        self._constraints = [f"c{i}" for i in range(n_con)]
        self._asked: dict[int, tuple[dict[str, Any], taut.Trial]] = {}  # by identity: the arena hands it back
        self._levels = [] if fidelity is None else list(fidelity["levels"])
        pruning: dict[str, Any] = {}
        if fidelity is not None:
            of = {"name": "level", "levels": self._levels, "resume": fidelity["resume"]}
            pruning = {"pruner": {"method": pruner, "fidelity": of}}
        self.study = taut.Study(
            None,
            space_of(space),
            minimize=self._objectives,
            subject_to=[f"{name} <= 0" for name in self._constraints],
            trials=budget if fidelity is None else None,
            **pruning,
            sampler={"method": method, **{name: _value(option) for name, option in options.items()}},
            seed=seed,
        )

    def ask(self) -> dict[str, Any]:
        trial = self.study.ask()
        config = {
            name: trial.params[f"p{i}"] for i, name in enumerate(self._names) if f"p{i}" in trial.params
        }
        self._asked[id(config)] = config, trial
        return config

    def mf_ask(self, worker: int) -> tuple[dict[str, Any], int]:
        """The next configuration, perhaps one that waited, and the level that it is to be taken to."""
        config = self.ask()
        fidelity = self._asked[id(config)][1].fidelity
        return config, self._levels.index(fidelity)

    def mf_tell(self, worker: int, config: dict[str, Any], level: int, value: float) -> None:
        self.tell(config, value)

    def tell(
        self,
        config: dict[str, Any],
        value: float,
        objs: Sequence[float] | None = None,
        cons: Sequence[float] | None = None,
    ) -> None:
        _, trial = self._asked.pop(id(config))
        values = [float(each) for each in [*([value] if objs is None else objs), *(cons or ())]]
        if all(map(math.isfinite, values)):
            names = [*self._objectives, *self._constraints]
            self.study.tell(trial, **dict(zip(names, values, strict=True)))
        else:
            self.study.fail(trial, "diverged")


def space_of(space: Sequence[Mapping[str, Any]]) -> taut.Space:
    """The arena's space as taut's. Parameters are called p0, p1, ..., since any text is a name in an arena."""
    place = {parameter["name"]: f"p{i}" for i, parameter in enumerate(space)}
    return taut.Space({place[each["name"]]: _parameter(each, place) for each in space})


def _parameter(parameter: Mapping[str, Any], place: Mapping[str, str]) -> Any:
    condition = parameter.get("cond")
    when = f"{place[condition['parent']]} in {list(condition['in'])!r}" if condition else None
    kind, log = parameter["type"], bool(parameter.get("log"))
    if kind == "cat":
        return taut.choice(parameter["choices"], when=when)
    if kind == "ordinal":
        return taut.ordinal(parameter["values"], when=when)
    if kind == "int":
        whole = taut.loguniform_int if log else taut.uniform_int
        return whole(parameter["lo"], parameter["hi"], when=when)
    if kind == "float":
        real = taut.loguniform if log else taut.uniform
        return real(parameter["lo"], parameter["hi"], when=when)
    raise ValueError(f"no parameter is of the type {kind!r}; there are float, int, cat and ordinal")


def _value(option: Any) -> Any:
    """An option as it was meant: an arena passes all of them as texts."""
    if not isinstance(option, str):
        return option
    if option in ("true", "True", "false", "False"):
        return option in ("true", "True")
    for kind in (int, float):
        try:
            return kind(option)
        except ValueError:
            continue
    return option
