"""From a Python script to the outline of a study."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from taut.errors import InputError
from taut.executors.program import find_program
from taut.starting import argumentparser, configs, dataclassfields, decorated, helptext, signatures
from taut.starting.findings import look
from taut.starting.flags import UNKNOWN, Flag, Script
from taut.starting.given import Invocation, invocation, settings
from taut.starting.installed import Installed
from taut.starting.measuring import fidelity, measure
from taut.starting.outline import Outline
from taut.starting.presets import Preset
from taut.starting.request import Request
from taut.starting.scope import context_of, imported, left_out, refused, require_some
from taut.starting.selection import select
from taut.starting.sources import Source, sources
from taut.starting.spoken import with_texts
from taut.starting.words import held, literal, moved, parameters, to_fill, users, working_directory

__all__ = ["of_script"]

_ON_GPUS = frozenset(["torch", "transformers", "trl", "jax", "tensorflow", "lightning", "vllm"])


def of_script(request: Request, wanted: Preset | None, installed: Installed) -> Outline:
    """The outline for the script that `request` names, or the command that runs it today."""
    run = invocation(request.target, request.words, request.python)
    modules = sources(run.script)
    found = look(modules)
    if found.study:
        raise InputError(
            f"{run.script.name} makes its study itself ({found.study}); start it as it is, in as many terminals or jobs "
            f"as you like: {' '.join(run.launcher)} {run.script}"
        )
    script = _read(modules, run, installed)
    said: list[str] = []
    if request.run_help:
        script, said = _asked(script, run)
    abbreviated = bool({"argparse", "dataclasses"} & set(script.readers))
    given = settings(script.flags, run.words, script.subcommand, abbreviated)
    keys = list(configs.leaves(configs.load(given.config), given.config.name)) if given.config else []
    own = {flag.name for flag in script.flags}
    flags = [*script.flags, *(flag for flag in keys if flag.name not in own)]
    flags = [with_texts(flag, modules, given.values.get(flag.name)) for flag in flags]
    if not flags:
        _refuse_without_flags(run, modules, request.run_help)

    measured = measure(found, wanted.metric if wanted else "")
    far = fidelity(measured, flags, given.values)
    set_for_good = held(script.flags, given, request.base, modules, found)
    context = replace(context_of(modules, flags, found, wanted, given.values), refused=refused(installed))
    # what is required may be searched as well
    set_now = [name for name, words in set_for_good.items() if words[-1] != name.upper()]
    fixed = dict.fromkeys(set_now, "") | ({far.flag.name: far.reason} if far is not None else {})
    selection = select(flags, context, given.values, fixed)
    require_some(selection, run.script.name, wanted)

    searched = {pick.flag.name for pick in selection.searched}
    before = {flag.name for flag in script.flags if flag.early}
    stays = {name: words for name, words in set_for_good.items() if name not in searched}
    first = [word for name, words in stays.items() if name in before for word in words]
    more = [word for name, words in stays.items() if name not in before for word in words]
    ours = parameters(selection, searched - own, given.config is not None)
    start = [*run.launcher, os.path.relpath(run.script, request.base)]
    theirs = users(script.flags, given, {*searched, *set_for_good}, request.base)
    cwd, why_cwd = working_directory(modules, request.base)
    readers = " and ".join(script.readers) or "its configuration"
    return Outline(
        name=request.name,
        title=run.script.name,
        measure=measured,
        selection=selection,
        command=(*map(literal, start), *first, *ours.early, *theirs, *more, *ours.words),
        config=os.path.relpath(given.config, request.base) if given.config is not None else "",
        cwd=cwd,
        why_cwd=why_cwd,
        read=[
            f"its {len(flags)} flags were read from {readers}"
            + (", and held against its --help" if request.run_help else ", without running it")
        ],
        notes=[*script.notes, *said, *moved(set_for_good, given)],
        to_fill=to_fill(script.flags, set_for_good, searched),
        named=ours.named,
        fidelity=far,
        left_out=left_out(wanted, selection, run.script.name),
        gpus=int(bool(imported(modules) & _ON_GPUS)),
    )


def _read(modules: Sequence[Source], run: Invocation, installed: Installed) -> Script:
    script = dataclassfields.read(modules, installed)
    script = script.joined(argumentparser.read(modules, run.words))
    script = script.joined(decorated.read(modules, run.words))
    script = script.joined(signatures.read_absl(modules))
    return script.joined(signatures.read_fire(modules))


def _asked(script: Script, run: Invocation) -> tuple[Script, list[str]]:
    """The script's flags held against what its --help says."""
    program = find_program(run.launcher[0], Path.cwd())
    command = [program, *run.launcher[1:], str(run.script), *script.subcommand]
    told = {flag.name: flag for flag in helptext.parse(helptext.ask(command, Path.cwd())).flags}
    if script.subcommand:  # whose help leaves out the flags of the whole program
        whole = command[: -len(script.subcommand)]
        for flag in helptext.parse(helptext.ask(whole, Path.cwd())).flags:
            if flag.option:
                told.setdefault(flag.name, replace(flag, early=True))
    if not told:
        return script, ["its --help names no flag that can be read"]
    known = {flag.name for flag in script.flags}
    said = []
    if gone := [flag.name for flag in script.flags if flag.name not in told and not flag.positional]:
        said.append(f"{', '.join(gone)} stood in the source, but its --help does not have them")
    if new := [name for name in told if name not in known]:
        said.append(f"its --help has {len(new)} flags that were not seen in the source")
    both = (_completed(flag, told.get(flag.name)) for flag in script.flags)
    own = (flag for flag in both if flag.name in told or flag.positional)
    more = (flag for name, flag in told.items() if name not in known)
    readers = (*script.readers, *(["--help"] if new else []))
    return replace(script, flags=(*own, *more), readers=readers, notes=()), said


def _completed(flag: Flag, told: Flag | None) -> Flag:
    """A flag with what only its --help says."""
    if told is None:
        return flag
    default = told.default if flag.default is UNKNOWN else flag.default
    return replace(flag, default=default, choices=flag.choices or told.choices, kind=flag.kind or told.kind)


def _refuse_without_flags(run: Invocation, modules: Sequence[Source], asked: bool) -> None:
    functions = [
        name for name, node in modules[0].functions.items() if node.args.args or node.args.kwonlyargs
    ]
    move = (
        f"give it flags (argparse), or name a function of it: taut init {run.script.stem}:{functions[0]}"
        if functions
        else "give it flags, for instance with argparse"
    )
    if not asked and imported(modules) & {
        "hydra",
        "jsonargparse",
        "tyro",
        "tap",
        "simple_parsing",
        "lightning",
        "gin",
        "ml_collections",
    }:
        move = "or let it list them itself: taut init --run-help " + str(run.script)
    raise InputError(f"{run.script}: no flags were found in it; {move}")
