"""Reading earlier studies, once, for a new one that is to learn from them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from taut import layout
from taut.archive import Archive
from taut.clock import Clock
from taut.definition import Definition, Earlier, Objective
from taut.errors import InputError
from taut.journal import FileJournal
from taut.metrics.pareto import losses
from taut.past import Content, Kept
from taut.snapshot import Snapshot
from taut.space import Space
from taut.space.prior import Bools, Floats
from taut.trial import State

__all__ = ["MOST", "settled"]

MOST = 2000  # trials that are kept of an earlier study


def settled(
    wanted: Definition, known: Sequence[Earlier], directory: Path | None, archive: Archive, clock: Clock
) -> Definition:
    """`wanted` with its earlier studies read, and `archive` holding what was found.

    known: those that were read before; they stand as they are, whatever has become of them. directory: where the
    study that asks is kept, or None.

    Raises `InputError`, at the place of the study's name, for what cannot inform it.
    """
    found: list[Earlier] = []
    for i, each in enumerate(wanted.warm_start):
        try:
            fresh = next((one for one in known if one.study == each.study), None)
            fresh = fresh or _read(each, wanted, known, directory, archive, clock)
            for other in found:
                if other.digest == fresh.digest:
                    raise InputError(
                        f"{fresh.study!r} holds the same trials as {other.study!r}; name each study once"
                    )
        except InputError as error:
            index = (str(i),) if len(wanted.warm_start) > 1 else ()
            raise InputError(error.message, ("warm_start", *index)) from None
        found.append(fresh)
    return msgspec.structs.replace(wanted, warm_start=found)


def _read(
    asked: Earlier,
    wanted: Definition,
    known: Sequence[Earlier],
    directory: Path | None,
    archive: Archive,
    clock: Clock,
) -> Earlier:
    path = _directory(Path(asked.place))
    if not os.path.isdir(path / "definition"):
        names = {one.study for one in wanted.warm_start}
        before = " or ".join(repr(one.study) for one in known if one.study not in names)
        raise InputError(
            f"{asked.study!r} is no study: {path} holds none; "
            "give the directory of an earlier study, or its study.toml"
            + (f"; what is known already goes by the name {before}" if before else "")
        )
    if directory is not None and os.path.realpath(path) == os.path.realpath(directory):
        raise InputError(f"{asked.study!r} is this study itself; name an earlier one, or none")
    snapshot = _snapshot(path, clock)
    there, space = snapshot.definition, snapshot.space
    _check(asked.study, there, space, wanted)
    trials, left_out = _trials(snapshot, wanted.objectives[0])
    digest = archive.hold(Content(there.name, space.to_json(), there.objectives, trials).to_json())
    failed = sum(trial.y is None for trial in trials)
    return Earlier(
        asked.study, digest=digest, complete=len(trials) - failed, failed=failed, left_out=left_out
    )


def _directory(place: Path) -> Path:
    if not os.path.isfile(place):
        return place
    if layout.is_frozen(place):
        return place.parent
    if place.suffix == ".toml":
        from taut import studyfile

        return layout.place(place, studyfile.read(place).name)
    return place


def _snapshot(path: Path, clock: Clock) -> Snapshot:
    """All that is known of the study in `path`. Looking leaves no trace."""
    journal = FileJournal(path, clock)
    try:
        revisions = journal.revisions(0)
        if not revisions:
            raise InputError(f"{path} has lost its definition; restore it from a copy, or name another study")
        snapshot = Snapshot(revisions[0])

        def fetch() -> None:
            for definition in journal.revisions(len(snapshot.revisions)):
                snapshot.revise(definition)

        fetch()
        snapshot.fetch = fetch
        for batch in journal.poll(thorough=True):
            snapshot.apply(batch.writer, batch.events)
        if newer := [problem for problem in journal.problems if problem.newer]:
            raise InputError(f"{path}: {newer[0]}")
        return snapshot
    finally:
        journal.close()


def _check(study: str, there: Definition, space: Space, wanted: Definition) -> None:
    """Refuse a study that can tell nothing: of another aim, or of other parameters."""
    first = wanted.objectives[0]
    if first not in there.objectives:
        aims = " and ".join(map(_aim, there.objectives))
        raise InputError(
            f"{study!r} is there to {aims}, and this study to {_aim(first)}; "
            "it learns only from studies with that metric and direction: name another, or none"
        )
    names = wanted.parsed_space().searched
    if not set(names) & set(space.names):
        raise InputError(
            f"{study!r} tunes {_listed(space.names)}, and this study {_listed(names)}; "
            "it learns only about parameters of the same names: name another study, or none"
        )


def _aim(objective: Objective) -> str:
    return f"{'minimize' if objective.minimize else 'maximize'} {objective.metric}"


def _listed(names: Sequence[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _trials(snapshot: Snapshot, first: Objective) -> tuple[list[Kept], int]:
    """The trials to keep, by number, and how many are left out: all but the best by `first`, and the newest."""
    objectives = snapshot.definition.objectives
    table = np.stack([snapshot.values(each.metric) for each in objectives], axis=1)
    failed = snapshot.state == State.FAILED
    complete = (snapshot.state == State.COMPLETE) & np.isfinite(table).all(axis=1)
    chosen = ~np.isnan(snapshot.codes).all(axis=1)  # but for what a damaged line has lost
    numbers = np.flatnonzero((complete | failed) & chosen)
    good = np.isin(np.arange(snapshot.size), losses(snapshot)[0])
    column = table[:, objectives.index(first)]
    loss = np.where(complete, column if first.minimize else -column, np.inf)
    kept = numbers[_kept(loss[numbers], good[numbers], MOST)]
    searched = set(snapshot.space.searched)
    trials: list[Kept] = []
    for n, params in zip(kept.tolist(), snapshot.space.params(snapshot.codes[kept]), strict=True):
        x = {name: value for name, value in params.items() if name in searched}
        trials.append(Kept(n, x) if failed[n] else Kept(n, x, table[n].tolist(), bool(good[n])))
    return trials, len(numbers) - len(kept)


def _kept(loss: Floats, good: Bools, most: int) -> NDArray[np.int64]:
    """Rows to keep of more than `most`: one half the best, what fulfils the constraints first; then the newest."""
    rows = np.arange(len(loss))
    if len(rows) <= most:
        return rows
    order = np.lexsort((rows, loss, ~good))
    best = order[: most // 2]
    others = np.setdiff1d(rows, best)
    return np.sort(np.concatenate((best, others[len(others) - (most - len(best)) :])))
