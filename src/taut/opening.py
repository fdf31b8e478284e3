"""Opening a study: read what is there, take over what changed, or make it new."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from taut import basemodel
from taut.clock import Clock
from taut.decide import Proposals
from taut.definition import Definition, Earlier
from taut.errors import InputError
from taut.journal import FileJournal, Journal, MemoryJournal
from taut.pruners import registry as pruners
from taut.samplers import registry
from taut.samplers.base import Sampler
from taut.snapshot import Snapshot
from taut.space import Space
from taut.store import Store
from taut.walltime import Walltime

__all__ = ["make_proposals", "make_sampler", "open_store", "trials_in_all"]


def open_store(
    path: Path | None,
    define: Callable[[Definition | None], Definition | None],
    clock: Clock,
    hold: bool = False,
) -> Store:
    """The store of the study in `path` (None: in memory).

    define: from the latest definition there (None: there is no study) to the wanted one. What differs
    becomes a new revision, if that leaves all trials valid. hold: only once the store is saved.

    Raises `InputError`, with nothing written, for a wrong or conflicting definition.
    """
    if path is not None and path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file; give a directory for the study", ("path",))
    journal: Journal = MemoryJournal() if path is None else FileJournal(path, clock)
    known = journal.revisions(0)
    read: list[Earlier] = []  # by this call: it may be asked several times what becomes of a definition

    def settled(wanted: Definition, now: Definition | None) -> Definition:
        if not any(each.place for each in wanted.warm_start):
            return wanted
        from taut import earlier

        before = [*(now.warm_start if now else ()), *read]
        wanted = earlier.settled(wanted, before, journal.directory, journal.archive, clock)
        read.extend(wanted.warm_start)
        return wanted

    def change(now: Definition) -> Definition:
        wanted = define(now) or now
        wanted = msgspec.structs.replace(wanted, name=now.name, space=_found_out(wanted, now))
        if wanted != now:
            _check(wanted)
            _check_change(path, now, wanted)
        return settled(wanted, now)

    if not known:
        new = define(None)
        if new is None:
            raise InputError(
                'a study needs a space: Study(path, taut.Space(...), minimize="loss")'
                if path is None
                else f"{path}: there is no study here; give a space and a metric to create one, or check the path"
            )
        _check(new)
        new = settled(new, None)
        return Store(journal, Snapshot(new), make_proposals, clock, path is None, Walltime.here())
    snapshot = Snapshot(known[0])
    for definition in known[1:]:
        snapshot.revise(definition)
    store = Store(journal, snapshot, make_proposals, clock, walltime=Walltime.here())
    (store.propose if hold else store.revise)(change)
    store.refresh()
    return store


def _check(definition: Definition) -> None:
    definition.check()
    make_proposals(definition, definition.parsed_space())


def make_proposals(definition: Definition, space: Space) -> Proposals:
    """The sampler and the pruner that a definition asks for, checked against the study."""
    pruner = None if definition.pruner is None else pruners.make(definition.pruner).settled(definition)
    if pruner is not None and pruner.needs_fidelity and definition.fidelity is None:
        raise InputError(
            f"{definition.pruner.method} compares trials at steps that it has to know; add, for instance, "  # type: ignore[union-attr]
            'fidelity = { name = "epoch", min = 1, max = 27 }',
            ("pruner", "fidelity"),
        )
    sampler = make_sampler(definition, space)
    if pruner is not None and pruner.founders and sampler.limit(space) is not None:
        raise InputError(
            f"{definition.sampler.method} has a trial for each of its numbers, and in a population new trials descend from others; "
            'let the sampler be "quasirandom" or "random"',
            ("sampler", "method"),
        )
    return Proposals(sampler, space, pruner)


def make_sampler(definition: Definition, space: Space) -> Sampler:
    """The sampler that a definition asks for, checked against its space."""
    sampler = registry.make(definition.sampler)
    limit = sampler.limit(space)
    if limit is not None and (space.asked or not space.names):
        raise InputError(
            f"{definition.sampler.method} has a trial for each of its numbers, and has to know its space beforehand; give the space, "
            'or let the sampler be "quasirandom"',
            ("sampler", "method"),
        )
    return sampler


def trials_in_all(definition: Definition) -> int | None:
    """How many trials its sampler has, such as the cells of a grid; None if there is no end to them."""
    space = definition.parsed_space()
    return make_sampler(definition, space).limit(space)


def _found_out(wanted: Definition, now: Definition) -> dict[str, Any]:
    """The space that is wanted, with what trials have asked for by now; one that is left out stays as it is."""
    if not wanted.space:
        return now.space
    asked = {name: form for name, form in now.space.items() if form.get("asked") and name not in wanted.space}
    return {**wanted.space, **asked} if asked else wanted.space


def _check_change(path: Path | None, now: Definition, wanted: Definition) -> None:
    """Refuse what would make a study's trials incomparable or impossible to replay."""
    if wanted.objectives != now.objectives:
        raise InputError(
            f"{path} is there to {_aim(now)}, not to {_aim(wanted)}; use another directory for another aim"
        )
    if now.fidelity is not None and wanted.fidelity != now.fidelity:
        raise InputError(
            f"{path} takes its trials to {now.fidelity.told(now.fidelity.max)}; use another directory for another fidelity",
            ("pruner", "fidelity"),
        )
    old, new = now.evaluation.model, wanted.evaluation.model
    if old and new and not basemodel.same(old, new):
        in_command = basemodel.in_words(wanted.evaluation.command or ()) is not None
        raise InputError(
            f"{path} has tuned {old}, and this is {new}: trials of two base models cannot be compared; make it a study of its own "
            f"that learns from this one: taut init --from {path} --model {new} (or another name, and warm_start, in this file)",
            ("command" if in_command or not wanted.evaluation.config else "config",),
        )
    if wanted.seed != now.seed:
        raise InputError(
            f"{wanted.seed} is not {now.seed}, the seed of {path}; use another directory for another seed",
            ("seed",),
        )
    if (wanted.sampler, wanted.space) != (now.sampler, now.space):
        for definition in (now, wanted):
            if (
                make_sampler(definition, definition.parsed_space()).limit(definition.parsed_space())
                is not None
            ):
                raise InputError(
                    f"{path}: a {definition.sampler.method} numbers its trials, which would change with its space "
                    "or sampler; use another directory",
                    ("sampler", "method"),
                )
    problem = wanted.parsed_space().extension_problem(now.parsed_space())
    if problem:
        raise InputError(f"{path} can only be extended: {problem.rstrip('.')}", ("space",))


def _aim(definition: Definition) -> str:
    return " and ".join(
        f"{'minimize' if o.minimize else 'maximize'} {o.metric}" for o in definition.objectives
    )
