"""From a study file to a checked definition."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from taut.definition import Budget, Definition, Earlier, Method, Objective, reference_form
from taut.errors import InputError
from taut.preference import Preference, amounts
from taut.space import Space
from taut.studyfile import hyperqueue
from taut.studyfile.evaluation import evaluation
from taut.studyfile.keys import TABLES, VALUES, above, below
from taut.studyfile.lines import Lines
from taut.studyfile.pruner import pruning
from taut.studyfile.slurm import settings, trial_gpus
from taut.studyfile.syntax import load, parse
from taut.studyfile.table import Table, plain, show
from taut.studyfile.template import TEMPLATE

__all__ = ["located", "read", "read_text", "template"]

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_NAME_RULE = "letters, digits and . _ - are allowed, at most 100, the first a letter, a digit or _"


def read(
    path: Path, *, samplers: Collection[str] | None = None, pruners: Collection[str] | None = None
) -> Definition:
    """The definition in a study file, complete and checked. Nothing is written.

    samplers, pruners: known method names, to refuse others here; None leaves that to a later look-up.
    The evaluation's `base` is the absolute path of the file's directory.

    Raises `InputError` with ``FILE:LINE: KEY: problem; what is allowed; the next move``, FILE as given.
    """
    text = load(path, "taut init writes a study.toml to begin with")
    return read_text(text, path, samplers=samplers, pruners=pruners)


def read_text(
    text: str,
    path: Path,
    *,
    samplers: Collection[str] | None = None,
    pruners: Collection[str] | None = None,
) -> Definition:
    """The definition in `text` as if it stood at `path`, where nothing need be yet; see `read`."""
    data = parse(path, text)
    try:
        return _definition(Table(data), Path(os.path.abspath(path)), samplers, pruners)
    except InputError as error:
        raise _placed(error, path, text, data) from None


def located(error: InputError, path: Path) -> InputError:
    """`error`, found in the definition that `read(path)` gave, with ``FILE:LINE: KEY:`` in front."""
    text = load(path, "it was there a moment ago")
    return _placed(error, path, text, parse(path, text))


def _placed(error: InputError, path: Path, text: str, data: Any) -> InputError:
    key = _spelled(error.at, data)
    return InputError(f"{path}:{Lines(text).find(error.at)}: {key and key + ': '}{error.message}")


def template(name: str) -> str:
    """The commented study.toml that `taut init` writes if it is given no script; `read` accepts it as it is.

    Raises `InputError` if `name` cannot be the name of a study.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"{show(name)} cannot be a name; {_NAME_RULE}; choose another", ("name",))
    return TEMPLATE.replace("@NAME@", json.dumps(name))


def _spelled(at: tuple[str, ...], data: Any) -> str:
    """A path of keys as TOML spells it, items of lists as ``subject_to[1]``."""
    spelled = ""
    for key in at:
        if isinstance(data, list):
            spelled += f"[{key}]"
            data = data[int(key)] if key.isdigit() and int(key) < len(data) else None
        else:
            spelled += ("." if spelled else "") + (key if re.fullmatch(r"[\w-]+", key) else json.dumps(key))
            data = data.get(key) if isinstance(data, dict) else None
    return spelled


def _definition(
    top: Table, path: Path, samplers: Collection[str] | None, pruners: Collection[str] | None
) -> Definition:
    top.only([*VALUES, *TABLES], lambda key: below(key, top.values[key]))
    space, objectives = _space(top), _objectives(top)
    prefer, reference = _wishes(top, objectives)
    pruner, fidelity = pruning(top.table("pruner", 'method = "asha"'), pruners)
    definition = Definition(
        name=_name(top, path),
        space=space,
        objectives=objectives,
        seed=top.integer("seed", 0, 2**63 - 1, 1) or 0,
        subject_to=top.texts("subject_to", '"memory_gb <= 40"') or [],
        prefer=prefer,
        reference=reference,
        warm_start=_warm_start(top, path.parent),
        budget=_budget(top),
        sampler=_sampler(top, samplers) or Method("auto"),
        pruner=pruner,
        fidelity=fidelity,
        retries=3 if (retries := top.integer("retries", 0, 1000, 3)) is None else retries,
        evaluation=evaluation(top, space, path.parent, None if fidelity is None else fidelity.name),
        on=_on(top),
    )
    definition.check()
    return definition


def _name(top: Table, path: Path) -> str:
    name = top.text("name", '"lora-sweep"')
    found = name or (path.parent.name if path.stem == "study" else path.stem)
    if _NAME.fullmatch(found):
        return found
    source = "" if name else " (of the directory)" if path.stem == "study" else " (of the file)"
    raise top.error(
        f'{show(found)}{source} cannot be a name; {_NAME_RULE}; write, for instance, name = "lora-sweep"',
        "name",
    )


def _objectives(top: Table) -> list[Objective]:
    """In the order of the file, since the first one is what progress shows."""
    objectives = [
        Objective(metric, key == "minimize")
        for key in top.values
        if key in ("minimize", "maximize")
        for metric in top.texts(key, '"eval_loss"' if key == "minimize" else '"accuracy"') or ()
    ]
    if not objectives:
        at = next((key for key in ("minimize", "maximize") if key in top), "minimize")
        raise top.error(
            "no metric is named; minimize or maximize needs at least one; "
            'write, for instance, minimize = "eval_loss"',
            at,
        )
    return objectives


def _wishes(top: Table, objectives: list[Objective]) -> tuple[Preference | None, dict[str, float]]:
    """Which objectives matter more, and from where the hypervolume is measured."""
    prefer, reference = None, {}
    try:
        if "prefer" in top:
            prefer = Preference.parse(top.values["prefer"])
    except InputError as error:
        raise error.under("prefer") from None
    try:
        if "reference" in top:
            reference = amounts(top.values["reference"], reference_form([one.metric for one in objectives]))
    except InputError as error:
        raise error.under("reference") from None
    return prefer, reference


def _space(top: Table) -> dict[str, Any]:
    table = top.table("space", "learning_rate = { loguniform = [1e-5, 1e-3] }")
    if table is None and "function" in top:
        return {}  # the function asks for its parameters as it goes
    if not table or not table.values:
        raise top.error(
            "no parameter is given; a study needs at least one; write [space] and, for instance, "
            "learning_rate = { loguniform = [1e-5, 1e-3] } below it",
            "space",
        )
    for key, value in table.values.items():
        if not isinstance(value, dict) and (advice := above(key)):
            raise table.error(f"{show(value)} is not a parameter; a table is allowed; {advice}", key)
    forms: dict[str, Any] = {}
    paths: dict[str, tuple[str, ...]] = {}
    for path, form in _parameters(table.values, ()):
        name = ".".join(path)
        if name in paths:
            raise table.error(
                f"the parameter {name} is given twice; each may stand once; take one out", *path
            )
        paths[name], forms[name] = path, form
    try:
        return Space.from_json(forms).to_json()
    except InputError as error:
        path = paths.get(error.at[0], error.at[:1]) if error.at else ()
        raise table.error(error.message, *path, *error.at[1:]) from None


def _parameters(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Parameters and the paths to them; ``model.lr = {...}`` is a table inside a table for TOML."""
    for key, value in table.items():
        if isinstance(value, dict) and value and all(isinstance(item, dict) for item in value.values()):
            yield from _parameters(value, (*path, key))
        else:
            yield (*path, key), value


def _warm_start(top: Table, base: Path) -> list[Earlier]:
    """Where earlier studies are. Whether they are there is found out by who reads them, once."""
    texts = top.texts("warm_start", '"runs/first"') or []
    return [Earlier(text, place=os.path.normpath(base / os.path.expanduser(text))) for text in texts]


def _budget(top: Table) -> Budget:
    table = top.table("budget", "trials = 100")
    if table is None:
        return Budget()
    table.only(TABLES["budget"], above)
    return Budget(
        trials=table.integer("trials", 1, 10**12, 100),
        hours=table.positive("hours", "8.5"),
        gpu_hours=table.positive("gpu_hours", "100.0"),
        until=table.text("until", '"eval_loss <= 1.9"'),
    )


def _sampler(top: Table, known: Collection[str] | None) -> Method | None:
    table = top.table("sampler", 'method = "gp"')
    if table is None:
        return None
    method = table.text("method", '"gp"')
    if method is None:
        raise table.error(
            'no method is given; a [sampler] has one; write, for instance, method = "gp"', "method"
        )
    if known is not None and not method.startswith("optuna:"):
        table.one_of("method", sorted(known))
    options = {name: value for name, value in table.values.items() if name != "method"}
    for name in options:
        if advice := above(name):
            raise table.error(f"unknown key of [sampler]; method and its options are allowed; {advice}", name)
    return Method(method, plain(options, ("sampler",)))


def _on(top: Table) -> dict[str, dict[str, Any]]:
    table = top.table("on", "[on.local]")
    if table is None:
        return {}
    table.only(TABLES["on"], above)
    places = {name: table.table(name, "workers = 4") for name in table.values}
    if local := places.get("local"):
        local.only(("workers", "mode", "per_trial"), above)
        if per_trial := local.table("per_trial", "gpus = 0.5"):
            per_trial.only(("gpus",), above)
            trial_gpus(per_trial)
        local.integer("workers", 1, 100_000, 4)
        local.one_of("mode", ("sequential", "batch", "async"))
    if slurm := places.get("slurm"):
        settings(slurm.values)
    if there := places.get("hyperqueue"):
        hyperqueue.settings(there.values)
    return {name: plain(place.values, place.at) for name, place in places.items() if place is not None}
