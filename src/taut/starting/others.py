"""From a launcher's configuration, a function, or a preset alone to the outline of a study."""

from __future__ import annotations

import ast
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from taut.errors import InputError, nearest
from taut.starting import configs, signatures
from taut.starting.findings import look, minimised
from taut.starting.given import settings
from taut.starting.installed import Installed
from taut.starting.measuring import Measure, fidelity, measure
from taut.starting.outline import Outline
from taut.starting.picks import Context, Selection
from taut.starting.presets import Preset, flags_of
from taut.starting.request import Request
from taut.starting.scope import context_of, imported, left_out, refused, require_some
from taut.starting.selection import select
from taut.starting.sources import Source, sources
from taut.starting.spoken import with_texts
from taut.starting.words import literal, parameters

__all__ = ["of_config", "of_function", "of_preset"]


def of_config(request: Request, wanted: Preset | None) -> Outline:
    """The outline for a launcher's configuration: each trial gets a patched copy."""
    path = Path(request.target)
    tree = configs.load(path)
    run = configs.launcher(tree, path)
    if run is None:
        raise InputError(
            f"{path}: its keys are not those of Axolotl, LLaMA-Factory, torchtune or TRL; name the script that reads it, "
            f"and it as its argument: taut init train.py -- --config {path}"
        )
    flags = list(configs.leaves(tree, path.name))
    names = {flag.name for flag in flags}
    lora = bool(names & {"lora_r", "lora_rank", "model__lora_rank"}) or tree.get("finetuning_type") == "lora"
    method = str(tree.get("rl") or tree.get("stage") or (run.command[1] if run.title == "TRL" else ""))
    contexts: tuple[str, ...] = {
        "dpo": ("dpo_lora", "dpo_full") if lora else ("dpo_full",),
        "grpo": ("grpo_lora", "grpo_full") if lora else ("grpo_full",),
        "pt": ("pretrain",),
        "rm": ("reward",),
    }.get(method, ("lora_sft", "full_sft") if lora else ("full_sft",))
    context = Context(contexts, (run.dialect, "hf", "peft"))
    if wanted is not None:
        context = Context(
            tuple(wanted.contexts), (run.dialect, *wanted.libraries), tuple(e.name for e in wanted.entries)
        )
    measured = Measure(
        run.metric,
        minimised(run.metric),
        run.results,
        (f"{run.title} prints it",),
        True,
        "epoch" if run.results.get("stdout") == "hf" else "",
        1,
    )
    far = fidelity(measured, flags, {})
    selection = select(flags, context, {}, {} if far is None else {far.flag.name: far.reason})
    require_some(selection, path.name, wanted)
    base = os.path.relpath(path, request.base)
    words, said = _without_outputs(request.words)
    return Outline(
        name=request.name,
        title=f"{path.name} ({run.title})",
        measure=measured,
        selection=selection,
        command=(*run.command, *map(literal, words)),
        config=base,
        cwd=".",
        why_cwd="so that the paths in it hold",
        read=[
            f"its {len(flags)} keys were read; a key that it does not have yet can be searched when it has been added to it"
        ],
        notes=[*run.notes, *said],
        fidelity=far,
        left_out=left_out(wanted, selection, path.name),
        gpus=1,
    )


def _without_outputs(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The user's words without where results go, which the command itself sets for each trial; and what is said of that."""
    kept, said = [], []
    todo = list(words)
    while todo:
        word = todo.pop(0)
        option, equals, _ = word.partition("=")
        if option.lstrip("-").replace("-", "_") != "output_dir" or not (equals or word.startswith("--")):
            kept.append(word)
            continue
        value = [] if equals or not todo else [todo.pop(0)]
        said.append(f"{' '.join([word, *value])} is left out: each trial has its own directory")
    return kept, said


def of_function(request: Request, wanted: Preset | None) -> Outline:
    """The outline for ``module:function``, which taut calls with its parameters in a process that stays warm."""
    module, _, name = request.target.partition(":")
    path = request.base.joinpath(*module.split(".")).with_suffix(".py")
    if not path.is_file():
        raise InputError(
            f"{request.target}: there is no {path}; the function's module lies beside the study file"
        )
    modules = sources(path)
    node = modules[0].functions.get(name)
    if node is None:
        raise InputError(
            f"{request.target}: {path.name} has no function {name!r}{nearest(name, modules[0].functions)}"
        )
    flags = signatures.of_function(modules[0], node)
    required = [flag.name for flag in flags if flag.required]
    if required == ["trial"] or (len(flags) == 1 and flags[0].name == "trial"):
        flags = signatures.asked_of_trial(modules[0], node)
        if signatures.suggests(node):
            return _of_objective(request, modules, node, len(flags))
        if not flags:
            raise InputError(
                f"{request.target} takes a trial and never says by name what it reads of it; give it named arguments, "
                f"def {name}(learning_rate, ...), or write [space] into the file that plain `taut init` writes"
            )
    found = look(modules)
    flags = [with_texts(flag, modules) for flag in flags]
    context = context_of(modules, flags, found, wanted)
    selection = select(flags, context, {})
    require_some(selection, request.target, wanted)
    for i, pick in enumerate(selection.picks):  # what has no default must be given
        if pick.flag.required and not pick.searched:
            if pick.prior is None:
                raise InputError(
                    f"{request.target}: its argument {pick.flag.name!r} has no default, and nothing is known of it; give it a "
                    f"default, or write a range of it into the file that plain `taut init` writes"
                )
            selection.picks[i] = replace(pick, searched=True)
    measured = measure(found, wanted.metric if wanted else "")
    if not found.reported:
        metric, said = signatures.returned(node)
        measured = Measure(metric, minimised(metric), {}, (said,), True)
    return Outline(
        name=request.name,
        title=f"{name}() of {path.name}",
        measure=measured,
        selection=selection,
        function=request.target,
        read=[f"its {len(flags)} arguments were read, without running it"],
        fidelity=fidelity(measured, flags, {}) if found.reported else None,
        left_out=left_out(wanted, selection, request.target),
        gpus=int("torch" in imported(modules)),
    )


def _of_objective(request: Request, modules: Sequence[Source], node: ast.FunctionDef, asked: int) -> Outline:
    """A function that asks a trial for its parameters as it goes, as Optuna's objectives do."""
    found = look(modules)
    measured = measure(found)
    if not found.reported:
        metric, said = signatures.returned(node)
        measured = Measure(metric, minimised(metric), {}, (said,))
    return Outline(
        name=request.name,
        title=f"{node.name}() of {modules[0].path.name}",
        measure=measured,
        selection=Selection(),
        function=request.target,
        read=[
            f"its {asked} parameters are what it suggests to itself as it goes, with the ranges that stand there"
        ],
        gpus=int("torch" in imported(modules)),
    )


def of_preset(request: Request, wanted: Preset, installed: Installed) -> Outline:
    """The outline for a preset without a script: a command to begin with."""
    flags, said = flags_of(wanted, installed)
    bare = wanted.bare
    in_command = {word.lstrip("-").replace("-", "_") for word in bare.command if word.startswith("--")}
    libraries = (bare.only,) if bare.only else tuple(wanted.libraries)
    tune = tuple(bare.tune) or tuple(entry.name for entry in wanted.entries)
    context = Context(tuple(wanted.contexts), libraries, tune, refused(installed))
    given = settings(flags, bare.command).values  # what the command says decides which conditions hold
    selection = select(flags, context, given, dict.fromkeys(in_command, ""))
    require_some(selection, f"--preset {request.preset}", None)
    _, words, named = parameters(selection, set(), False)
    measured = Measure(
        wanted.metric,
        minimised(wanted.metric),
        bare.results,
        ()
        if bare.results
        else ("the command says it by taut.report, or a line of JSON appended to the file $TAUT_REPORT",),
    )
    command = [request.python if word == "python" else word for word in bare.command]
    return Outline(
        name=request.name,
        title=wanted.title,
        measure=measured,
        selection=selection,
        command=(*command, *map(literal, request.words), *words),
        read=said,
        to_fill=bare.fill,
        named=named,
        left_out=left_out(wanted, selection, "the command", bare.tune),
        gpus=bare.gpus,
    )
